//! CSV: the format in the first line, the table behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::csv::{Format, read};

fuzz_target!(|input: &[u8]| {
    let (format, table) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let format = std::str::from_utf8(format).ok().and_then(|text| Format::parse(text).ok());
    let usual = Format::parse("1:label:a,2:metric:b,3:metric:c,4:time:unix_s").expect("a format");
    let mut last = 0;
    read(table, &format.unwrap_or(usual), |_| None, |number, _| {
        assert!(number > last, "lines are counted");
        last = number;
        true
    });
});
