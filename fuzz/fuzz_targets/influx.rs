//! Influx line protocol: every line, its tags and fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::influx::{FieldValue, Lines, Precision};

fuzz_target!(|input: &[u8]| {
    let mut last = 0;
    for line in Lines::new(input) {
        let number = line.as_ref().map_or_else(|error| error.number, |line| line.number);
        assert!(number > last, "lines are counted");
        last = number;
        let Ok(line) = line else { continue };
        for (name, value) in line.tags().flatten() {
            assert!(!name.is_empty() && !value.is_empty());
        }
        for (name, value) in line.fields().flatten() {
            assert!(!name.is_empty());
            let _ = matches!(value, FieldValue::Number(_));
        }
        for precision in ["ns", "us", "ms", "s", "m", "h"] {
            let precision = Precision::from_name(precision).expect("known");
            let _ = line.timestamp.and_then(|timestamp| precision.to_ms(timestamp));
        }
    }
});
