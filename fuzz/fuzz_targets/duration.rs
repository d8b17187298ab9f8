//! Durations, sizes and numbers as text: no text panics, and what is written reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::number::{FloatFormat, format_float_as, parse_float};
use model::size::{format_size_bytes, parse_size_bytes};
use model::time::{format_duration_ms, parse_duration_ms};

fuzz_target!(|text: &str| {
    if let Ok(duration_ms) = parse_duration_ms(text) {
        assert_eq!(parse_duration_ms(&format_duration_ms(duration_ms)), Ok(duration_ms));
    }
    if let Ok(bytes) = parse_size_bytes(text) {
        assert_eq!(parse_size_bytes(&format_size_bytes(bytes)), Ok(bytes), "{text:?}");
    }
    if let Ok(value) = parse_float(text.as_bytes()) {
        for format in [FloatFormat::Fixed, FloatFormat::General, FloatFormat::Exponent, FloatFormat::Json] {
            let written = format_float_as(value, format);
            let again = parse_float(written.as_bytes()).expect("just written");
            assert!(again.to_bits() == value.to_bits() || value.is_nan(), "{text:?} {written:?}");
        }
    }
});
