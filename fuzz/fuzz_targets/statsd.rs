//! StatsD and DogStatsD.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::statsd::{Line, Value};

fuzz_target!(|input: &[u8]| {
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(Line::Metric(metric)) = Line::parse(line) else { continue };
        assert!(!metric.name.is_empty());
        assert!(metric.sample_rate > 0.0 && metric.sample_rate <= 1.0);
        for value in metric.values().flatten() {
            if let Value::Number(number) | Value::Change(number) = value {
                assert!(number.is_finite());
            }
        }
        metric.tags().for_each(drop);
    }
});
