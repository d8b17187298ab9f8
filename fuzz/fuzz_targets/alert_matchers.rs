//! Conditions on alerts: any text is read or refused, and what is printed reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notifier::matchers;

fuzz_target!(|text: &str| {
    let _ = matchers::parse_one(text);
    if let Ok(read) = matchers::parse(text) {
        let printed = matchers::format(&read);
        let again = matchers::parse(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        assert_eq!(again, read, "{printed}");
    }
});
