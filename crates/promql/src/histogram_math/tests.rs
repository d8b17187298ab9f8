//! Arithmetic on native histograms: by hand for the rules, at random for what must hold for all.

use model::{BucketSpan, CounterResetHint, FloatHistogram};
use proptest::prelude::*;

use super::*;

fn exponential(schema: i32, positive: &[f64], zero_count: f64) -> FloatHistogram {
    FloatHistogram {
        schema,
        zero_threshold: 0.001,
        zero_count,
        count: positive.iter().sum::<f64>() + zero_count,
        sum: positive.iter().sum(),
        positive_spans: vec![BucketSpan { offset: 0, length: u32::try_from(positive.len()).expect("short") }],
        positive_buckets: positive.to_vec(),
        ..FloatHistogram::default()
    }
}

#[test]
fn bounds_are_powers_of_the_base() {
    assert_eq!(bounds::exponential(0, 0), 1.0);
    assert_eq!(bounds::exponential(3, 0), 8.0);
    assert_eq!(bounds::exponential(-1, 0), 0.5);
    assert_eq!(bounds::exponential(1, -2), 16.0);
    assert_eq!(bounds::exponential(4, 2), 2.0);
    assert_eq!(bounds::exponential(-4, 2), 0.5);
    assert_eq!(bounds::exponential(1024, 0), f64::MAX);
}

#[test]
fn a_sum_has_the_coarser_schema() {
    let sum = add(&exponential(1, &[1.0, 2.0, 3.0], 1.0), &exponential(0, &[4.0, 8.0], 1.0))
        .expect("both exponential");
    // Schema 1 buckets 0, 1, 2 are schema 0 buckets 0, 1, 1.
    assert_eq!(sum.histogram.schema, 0);
    assert_eq!(sum.histogram.positive_buckets, [5.0, 13.0]);
    assert_eq!(sum.histogram.zero_count, 2.0);
}

#[test]
fn a_falling_bucket_is_a_reset_unless_the_hint_says_otherwise() {
    let before = exponential(0, &[4.0, 1.0], 0.0);
    let after = exponential(0, &[3.0, 9.0], 0.0);
    assert!(detect_reset(&after, &before));
    assert!(!detect_reset(&exponential(0, &[4.0, 9.0], 0.0), &before));
    let hinted = FloatHistogram { counter_reset_hint: CounterResetHint::NotReset, ..after };
    assert!(!detect_reset(&hinted, &before));
}

#[test]
fn quantiles_are_interpolated_on_a_logarithmic_scale() {
    let histogram = exponential(0, &[0.0, 4.0, 4.0], 0.0);
    // Four observations in (1, 2], four in (2, 4].
    assert_eq!(quantiles::quantile(0.5, &histogram).0, 2.0);
    assert!((quantiles::quantile(0.25, &histogram).0 - 2_f64.sqrt()).abs() < 1e-12);
    assert_eq!(quantiles::quantile(1.5, &histogram).0, f64::INFINITY);
    assert!((quantiles::fraction(0.0, 2.0, &histogram).0 - 0.5).abs() < 1e-12);
}

proptest! {
    #[test]
    fn what_is_added_can_be_taken_away_again(
        a in proptest::collection::vec(0u32..9, 1..12), b in proptest::collection::vec(0u32..9, 1..12),
        schema_a in -2i32..4, schema_b in -2i32..4,
    ) {
        let counts = |counts: &[u32]| counts.iter().map(|c| f64::from(*c)).collect::<Vec<_>>();
        let a = exponential(schema_a, &counts(&a), 1.0);
        let b = exponential(schema_b, &counts(&b), 2.0);
        let sum = add(&a, &b).expect("both exponential").histogram;
        prop_assert!(sum.validate().is_ok());
        prop_assert_eq!(sum.count, a.count + b.count);
        let back = subtract(&sum, &b).expect("both exponential").histogram;
        prop_assert!(equal(&back, &to_schema(&a, schema_a.min(schema_b))));
        prop_assert!(!detect_reset(&sum, &b));
    }

    #[test]
    fn quantile_and_fraction_are_inverse(counts in proptest::collection::vec(1u32..9, 1..12), q in 0.01f64..0.99) {
        let counts: Vec<f64> = counts.iter().map(|c| f64::from(*c)).collect();
        let histogram = exponential(1, &counts, 0.0);
        let value = quantiles::quantile(q, &histogram).0;
        let share = quantiles::fraction(f64::NEG_INFINITY, value, &histogram).0;
        prop_assert!((share - q).abs() < 1e-9, "{share} {q}");
    }
}
