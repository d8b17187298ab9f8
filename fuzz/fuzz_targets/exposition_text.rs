//! Prometheus text: no input panics, and what was read can be written and is then read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Labels, LabelsBuilder, METRIC_NAME};
use wire::exposition::{Entry, Format, Parser};
use wire::text_writer::{TextFormat, TextWriter};

fuzz_target!(|input: &[u8]| {
    let mut parser = Parser::new(input, Format::PrometheusText);
    let mut builder = LabelsBuilder::new();
    while let Ok(Some(entry)) = parser.next_entry() {
        let Entry::Series(series) = entry else { continue };
        if series.pack_labels(&mut builder).is_ok() {
            let labels = builder.build();
            same_after_writing(&labels, series.value, series.timestamp_ms);
        }
    }
});

fn same_after_writing(labels: &Labels, value: f64, timestamp_ms: Option<i64>) {
    // Quoted names cannot hold NUL bytes.
    if labels.iter().any(|(name, _)| name.contains('\0')) || labels.metric_name().contains('\0') {
        return;
    }
    let mut text = String::new();
    let mut writer = TextWriter::new(&mut text, TextFormat::Prometheus);
    let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    writer.sample(labels.metric_name(), others, value, timestamp_ms);
    let mut parser = Parser::new(text.as_bytes(), Format::PrometheusText);
    let Ok(Some(Entry::Series(series))) = parser.next_entry() else { panic!("{text:?} is not read back") };
    let mut builder = LabelsBuilder::new();
    series.pack_labels(&mut builder).expect("sound labels");
    assert_eq!(builder.build(), *labels, "{text:?}");
    assert_eq!(series.timestamp_ms, timestamp_ms);
    assert!(series.value.to_bits() == value.to_bits(), "{value} became {}", series.value);
}
