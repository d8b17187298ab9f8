//! Observations counted in exponential buckets, as native histograms have them.

use std::collections::BTreeMap;

use model::{BucketSpan, FloatHistogram};

/// Eight buckets from one power of two to the next: a quantile is at most 4.5 % off.
const SCHEMA: i32 = 3;
/// With more, two are made one.
const BUCKETS_MAX: usize = 160;
/// What is nearer to zero is zero.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Counts of observations.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    schema: i32,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
    zero_count: f64,
    pub(crate) count: f64,
    pub(crate) sum: f64,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
        }
    }
}

impl Buckets {
    /// Adds `weight` observations of a finite value.
    pub(crate) fn add(&mut self, value: f64, weight: f64) {
        self.count += weight;
        self.sum += value * weight;
        let side = if value.abs() <= ZERO_THRESHOLD {
            self.zero_count += weight;
            return;
        } else if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        };
        *side.entry(index(value.abs(), self.schema)).or_default() += weight;
        while self.positive.len() + self.negative.len() > BUCKETS_MAX && self.schema > -4 {
            self.schema -= 1;
            for side in [&mut self.positive, &mut self.negative] {
                let finer = std::mem::take(side);
                for (index, count) in finer {
                    *side.entry((index + 1) >> 1).or_default() += count;
                }
            }
        }
    }

    /// The value below which this share of the observations lies: the geometric middle of its bucket. NaN without any.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        if self.count <= 0.0 {
            return f64::NAN;
        }
        let rank = share * self.count;
        let mut seen = 0.0;
        let middle = |index: i32| ((f64::from(index) - 0.5) * (-f64::from(self.schema)).exp2()).exp2();
        let negative = self.negative.iter().rev().map(|(index, count)| (-middle(*index), *count));
        let positive = self.positive.iter().map(|(index, count)| (middle(*index), *count));
        let mut last = 0.0;
        for (value, count) in negative.chain([(0.0, self.zero_count)]).chain(positive) {
            if count > 0.0 {
                seen += count;
                last = value;
                if seen >= rank {
                    break;
                }
            }
        }
        last
    }

    /// As a native histogram.
    pub(crate) fn to_histogram(&self) -> FloatHistogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        FloatHistogram {
            schema: self.schema,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            ..FloatHistogram::default()
        }
    }
}

/// The bucket of a value above zero: those up to `2^(index * 2^-schema)`.
fn index(value: f64, schema: i32) -> i32 {
    (value.log2() * f64::from(schema).exp2()).ceil() as i32
}

fn spans(side: &BTreeMap<i32, f64>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0;
    for index in side.keys() {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: *index - next, length: 1 }),
        }
        next = *index + 1;
    }
    (spans, side.values().copied().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_near_and_histograms_sound() {
        let mut buckets = Buckets::default();
        for value in 1..=1_000 {
            buckets.add(f64::from(value), 1.0);
        }
        for (share, want) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let got = buckets.quantile(share);
            assert!((got / want - 1.0).abs() < 0.05, "{share}: {got}");
        }
        let histogram = buckets.to_histogram();
        assert_eq!((histogram.count, histogram.sum), (1_000.0, 500_500.0));
        assert!(Buckets::default().quantile(0.5).is_nan());
    }

    proptest! {
        #[test]
        fn any_observations_make_a_sound_histogram(values: Vec<f64>, weight in 0.5..10.0f64) {
            let mut buckets = Buckets::default();
            let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
            values.iter().for_each(|value| buckets.add(*value, weight));
            let histogram = buckets.to_histogram();
            prop_assert!(histogram.validate().is_ok());
            prop_assert!(histogram.positive_buckets.len() + histogram.negative_buckets.len() <= BUCKETS_MAX);
        }
    }
}
