//! Pushes as JSON: Kymo's and OpenTSDB's items, JSON lines, Datadog's series.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::json_write::{self, Dialect};
use wire::{datadog, json_lines};

fuzz_target!(|input: &[u8]| {
    for dialect in [Dialect::Kymo, Dialect::OpenTsdb] {
        let _ = json_write::read(input, dialect, |_, item| {
            if let Ok(sample) = item {
                assert!(!sample.metric.is_empty());
                assert!(sample.labels.iter().all(|(name, _)| !name.is_empty()));
            }
            true
        });
    }
    json_lines::read(input, |_, line| {
        if let Ok(series) = line {
            series.labels().for_each(drop);
            series.samples().for_each(drop);
        }
        true
    });
    let _ = datadog::read_json(input, &mut |_, series| {
        if let Ok(series) = series {
            assert!(!series.metric.is_empty());
        }
        true
    });
});
