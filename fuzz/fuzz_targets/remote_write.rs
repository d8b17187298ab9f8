//! Remote write: the body as it comes, and its content without the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};
use wire::remote_write::{RejectedSeries, Visitor, decode, decompress};

struct Checks;

impl Visitor for Checks {
    fn series(&mut self, labels: LabelsRef<'_>) {
        assert!(LabelsRef::from_packed(labels.packed()).is_some(), "labels are packed soundly");
    }
    fn float(&mut self, _: i64, _: f64) {}
    fn histogram(&mut self, _: i64, histogram: FloatHistogram) {
        assert!(histogram.validate().is_ok(), "histograms are validated");
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        assert!(exemplar.timestamp_ms.is_some());
    }
    fn metadata(&mut self, metric: &str, _: Metadata) {
        assert!(!metric.is_empty());
    }
    fn reject(&mut self, rejected: RejectedSeries) {
        assert!(!rejected.to_string().is_empty());
    }
}

fuzz_target!(|input: &[u8]| {
    let mut request = Vec::new();
    if decompress(input, 1 << 20, &mut request).is_ok() {
        let _ = decode(&request, &mut Checks);
    }
    let _ = decode(input, &mut Checks);
});
