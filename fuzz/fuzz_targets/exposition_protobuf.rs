//! Protobuf exposition: no input panics whatever is wanted of it, and histograms that are sound stay so when they are made coarser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::LabelsBuilder;
use wire::exposition::{Entry, Format, Options, Parser};

fuzz_target!(|input: &[u8]| {
    let mut builder = LabelsBuilder::new();
    for wanted in 0..8u8 {
        let options = Options {
            native_histograms: wanted & 1 > 0,
            convert_classic: wanted & 2 > 0,
            always_classic: wanted & 4 > 0,
            suppress_created: false,
        };
        let mut parser = Parser::with_options(input, Format::Protobuf, options);
        while let Ok(Some(entry)) = parser.next_entry() {
            match entry {
                Entry::Series(series) => {
                    // The errors of labels are checked by tests; here only panics count.
                    let _ = series.pack_labels(&mut builder);
                    let _ = (series.id.tag(), series.id.has_empty("x"), series.id.to_string());
                    if let Some(exemplar) = series.exemplar {
                        let _ = exemplar.to_exemplar(&mut builder);
                    }
                    parser.start_timestamp_ms(&series);
                }
                Entry::Histogram(series) => {
                    let _ = series.pack_labels(&mut builder);
                    let mut histogram = series.histogram;
                    histogram.reduce_resolution(8);
                    if histogram.validate().is_ok() {
                        histogram.reduce_resolution(-4);
                        assert_eq!(histogram.validate(), Ok(()));
                    }
                }
                _ => {}
            }
        }
    }
});
