//! Pushes as protobuf: Datadog's series and sketches, metric families.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{datadog, metric_family};

fuzz_target!(|input: &[u8]| {
    let _ = datadog::read_protobuf(input, &mut |_, series| {
        if let Ok(series) = series {
            assert!(!series.metric.is_empty());
        }
        true
    });
    let _ = datadog::read_sketches(input, |_, sketch| {
        if let Ok(sketch) = sketch {
            assert!(!sketch.metric.is_empty());
        }
        true
    });
    let _ = metric_family::read_delimited(input, |name, _, _| {
        assert!(!name.is_empty());
        Ok(())
    });
});
