//! Graphite's plaintext, and OpenTSDB's telnet lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::graphite::Line;
use wire::opentsdb::Command;

fuzz_target!(|input: &[u8]| {
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(Some(line)) = Line::parse(line) {
            assert!(!line.path.is_empty());
            for (name, value) in line.tags().flatten() {
                assert!(!name.is_empty() && !value.is_empty());
            }
        }
        if let Ok(Command::Put(put)) = Command::parse(line) {
            assert!(!put.metric.is_empty());
            put.tags().for_each(drop);
        }
    }
});
