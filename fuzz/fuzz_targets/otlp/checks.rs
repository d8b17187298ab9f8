//! A sink that checks what it is given.

use std::fmt::Display;

use model::labels::LabelsBuilder;
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};
use wire::otlp::convert::{Promote, Settings, Sink};
use wire::otlp::delta::Accumulators;

pub struct Checks(Accumulators);

impl Checks {
    pub fn new() -> Self {
        Self(Accumulators::new(1 << 20))
    }
}

impl Sink for Checks {
    fn has_room(&mut self) -> bool {
        true
    }
    fn begin_point(&mut self, _: bool) {}
    fn series(&mut self, labels: &LabelsBuilder) {
        let mut packed = String::new();
        labels.pack_into(&mut packed);
        let labels = LabelsRef::from_packed(&packed).expect("labels are packed soundly");
        assert!(labels.get("__name__").is_some(), "a series has a name");
    }
    fn float(&mut self, _: i64, _: f64, _: i64) {}
    fn histogram(&mut self, _: i64, histogram: FloatHistogram, _: i64) {
        assert!(histogram.validate().is_ok(), "histograms are validated");
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        assert!(exemplar.timestamp_ms.is_some());
    }
    fn metadata(&mut self, family: &str, _: Metadata) {
        assert!(!family.is_empty());
    }
    fn reject(&mut self, _: &str, reason: &dyn Display) {
        assert!(!reason.to_string().is_empty());
    }
    fn deltas(&mut self) -> (&mut Accumulators, i64) {
        (&mut self.0, 1_760_000_000_000)
    }
    fn stream_key(&mut self, packed: &str) -> u128 {
        packed.bytes().fold(7, |hash: u128, byte| (hash ^ u128::from(byte)).wrapping_mul(0x1_0000_0000_01b3))
    }
}

/// The two ways that differ most.
pub fn settings() -> [Settings; 2] {
    let other = Settings {
        promote: Promote::AllBut(vec!["host.name".to_owned()]),
        keep_identifying_resource_attributes: true,
        convert_histograms_to_nhcb: true,
        promote_scope_metadata: true,
        type_and_unit_labels: true,
        ..Settings::default()
    };
    [Settings::default(), other]
}
