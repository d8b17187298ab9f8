//! OpenMetrics: no input panics, with and without start timestamps and exemplars.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::LabelsBuilder;
use wire::exposition::{Entry, Format, Options, Parser};

fuzz_target!(|input: &[u8]| {
    let mut builder = LabelsBuilder::new();
    for (suppress_created, convert_classic) in [(false, false), (true, false), (true, true)] {
        let options = Options { suppress_created, convert_classic, ..Options::default() };
        let mut parser = Parser::with_options(input, Format::OpenMetricsText, options);
        while let Ok(Some(entry)) = parser.next_entry() {
            let Entry::Series(series) = entry else { continue };
            // The errors of labels are checked by tests; here only panics count.
            let _ = series.pack_labels(&mut builder);
            if let Some(exemplar) = series.exemplar {
                let _ = exemplar.to_exemplar(&mut builder);
            }
            parser.start_timestamp_ms(&series);
        }
    }
    if let Ok(content_type) = std::str::from_utf8(input) {
        let _ = Format::from_content_type(content_type, None);
    }
});
