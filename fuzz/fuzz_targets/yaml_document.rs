//! YAML: no document panics, and what is printed can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(document) = yaml::Document::parse_bytes(text) {
        let printed = document.print_redacted();
        assert!(yaml::Document::parse(&printed).is_ok(), "{printed:?} is not read back");
    }
});
