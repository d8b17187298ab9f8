//! PromQL: no query panics, and what was read, printed, reads as the same query.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    if query.len() > 4096 {
        return;
    }
    let _ = promql::parser::parse_selector(query);
    let Ok(expr) = promql::parser::parse(query) else { return };
    let printed = expr.to_string();
    match promql::parser::parse(&printed) {
        Ok(again) => assert_eq!(again.to_string(), printed, "{query:?}"),
        Err(errors) => panic!("{query:?} is printed as {printed:?}, which is refused: {errors:?}"),
    }
});
