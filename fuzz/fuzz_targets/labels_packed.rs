//! Packed labels: what is taken for them is what packing its pairs gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::LabelsRef;
use model::labels::pack;

fuzz_target!(|text: &str| {
    if let Some(labels) = LabelsRef::from_packed(text) {
        let mut packed = String::new();
        for (name, value) in labels.iter() {
            assert_eq!(labels.get(name), Some(value));
            pack(&mut packed, name, value);
        }
        assert_eq!(packed, text);
        assert!(!labels.to_string().is_empty());
        assert_eq!(labels.to_labels().to_builder().build(), labels.to_labels());
    }
});
