//! Remote write 2.0: the content of a body, with labels decoded as storage does it.
#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};
use wire::remote_write::{LabelHasher, RejectedSeries};
use wire::remote_write2::{Visitor, decode, decode_refs, refuse_refs};

#[derive(Default)]
struct Checks {
    raw: Vec<(u128, Range<usize>)>,
}

impl Visitor for Checks {
    fn raw_series(&mut self, hash: u128, refs: Range<usize>) {
        self.raw.push((hash, refs));
    }
    fn series(&mut self, labels: LabelsRef<'_>) {
        assert!(LabelsRef::from_packed(labels.packed()).is_some(), "labels are packed soundly");
    }
    fn float(&mut self, _: i64, _: f64, _: i64) {}
    fn histogram(&mut self, _: i64, histogram: FloatHistogram, _: i64) {
        assert!(histogram.validate().is_ok(), "histograms are validated");
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        assert!(exemplar.timestamp_ms.is_some());
    }
    fn metadata(&mut self, family: &str, _: Metadata) {
        assert!(family.len() <= 1 << 30);
    }
    fn reject(&mut self, rejected: RejectedSeries) {
        assert!(!rejected.to_string().is_empty());
    }
}

fuzz_target!(|input: &[u8]| {
    let mut word = 1u64;
    let hasher = LabelHasher::new(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word
    });
    let mut checks = Checks::default();
    let Ok(table) = decode(input, &hasher, &mut checks) else { return };
    let mut request = input.to_vec();
    table.append_to(&mut request);
    let mut known = std::collections::HashMap::new();
    for (hash, refs) in checks.raw {
        let mut packed = String::new();
        match decode_refs(&request[refs.clone()], &request, &mut packed) {
            Ok(()) => {
                assert!(LabelsRef::from_packed(&packed).is_some());
                let same = known.entry(hash).or_insert_with(|| packed.clone());
                assert_eq!(*same, packed, "one hash, one label set");
            }
            Err(_) => assert!(refuse_refs(&request[refs], &request).is_some()),
        }
    }
});
