//! Native histograms with float counts, as Prometheus stores them.
//!
//! Source: Prometheus' native histogram specification, and `model/histogram`. Histograms with integer counts
//! are converted on their way in: counts below 2^53 stay exact. Schemas -4 to 8 have exponential buckets, where
//! bucket `i` ends at `2^(i * 2^-schema)`; schema -53 has custom buckets whose upper bounds are `custom_values`.
//! `resolution` makes them coarser. Other arithmetic on histograms belongs to `promql`.

mod resolution;

pub use resolution::{RESERVED_SCHEMA_MAX, SCHEMA_MAX, SCHEMA_MIN};

/// The schema number of histograms with custom buckets.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is known about a counter histogram having started again since the sample before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CounterResetHint {
    /// Must be found out by comparing with the sample before.
    #[default]
    Unknown,
    /// It started again.
    Reset,
    /// It did not start again.
    NotReset,
    /// A gauge: resets have no meaning.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct BucketSpan {
    /// For the first span, the index of its first bucket; for later ones, the gap to the end of the span before
    /// (never negative then).
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// A native histogram at one point in time. Counts are absolute, not deltas.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FloatHistogram {
    /// What is known about resets.
    pub counter_reset_hint: CounterResetHint,
    /// -4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Observations with an absolute value up to this are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations; NaN observations are in no bucket.
    pub count: f64,
    /// Sum of all observations; the staleness marker if the whole sample is one.
    pub sum: f64,
    /// Which positive buckets `positive_buckets` holds.
    pub positive_spans: Vec<BucketSpan>,
    /// Which negative buckets `negative_buckets` holds.
    pub negative_spans: Vec<BucketSpan>,
    /// Counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, rising, without +Inf; empty for exponential schemas.
    pub custom_values: Vec<f64>,
}

/// A histogram whose parts contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHistogram {
    /// Spans and counts differ in length.
    #[error("{side} side: spans need {spans} buckets, have {buckets} buckets")]
    BucketsMismatch {
        /// `positive` or `negative`.
        side: &'static str,
        /// Buckets according to the spans.
        spans: u64,
        /// Buckets that are there.
        buckets: usize,
    },
    /// A later span begins before the one before it ends.
    #[error("{side} side: span number {number} with offset {offset} overlaps the span before it")]
    NegativeOffset {
        /// `positive` or `negative`.
        side: &'static str,
        /// Counted from 1.
        number: usize,
        /// The offending offset.
        offset: i32,
    },
    /// Not -4 to 8 and not custom.
    #[error("histogram schema {0} is not supported: use -4 to 8, or -53 for custom buckets")]
    Schema(i32),
    /// A count below zero or not a number.
    #[error("{what} is {value}: counts must not be negative or NaN")]
    NegativeCount {
        /// Which count.
        what: &'static str,
        /// As text, because floats have no equality.
        value: String,
    },
    /// Custom bounds fall, repeat, are infinite or NaN, or are too few for the buckets.
    #[error("custom bounds must rise strictly, be finite, and be at least as many as the buckets less one")]
    CustomBounds,
    /// A custom histogram with a zero bucket or negative side, or an exponential one with custom bounds.
    #[error("custom buckets allow no zero bucket and no negative side, exponential buckets no custom bounds")]
    MixedKinds,
}

impl FloatHistogram {
    /// Whether buckets have custom bounds.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Bytes it takes in memory, for the accountant.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(self.positive_spans.as_slice())
            + size_of_val(self.negative_spans.as_slice())
            + size_of_val(self.positive_buckets.as_slice())
            + size_of_val(self.negative_buckets.as_slice())
            + size_of_val(self.custom_values.as_slice())
    }

    /// Whether two histograms are the same bit for bit, NaN and staleness marker included.
    pub fn same_bits(&self, other: &Self) -> bool {
        let same = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
        };
        self.schema == other.schema
            && self.counter_reset_hint == other.counter_reset_hint
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && same(
                &[self.zero_threshold, self.zero_count, self.count, self.sum],
                &[other.zero_threshold, other.zero_count, other.count, other.sum],
            )
            && same(&self.positive_buckets, &other.positive_buckets)
            && same(&self.negative_buckets, &other.negative_buckets)
            && same(&self.custom_values, &other.custom_values)
    }

    /// Checks everything that later code relies on. Call it on every histogram from outside.
    ///
    /// # Errors
    /// Names the first contradiction.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        if self.uses_custom_buckets() {
            let mixed = self.zero_count != 0.0
                || self.zero_threshold != 0.0
                || !self.negative_spans.is_empty()
                || !self.negative_buckets.is_empty();
            if mixed {
                return Err(InvalidHistogram::MixedKinds);
            }
            let rising = self.custom_values.windows(2).all(|pair| pair[0] < pair[1]);
            let finite = self.custom_values.iter().all(|bound| bound.is_finite());
            let buckets: u64 = self
                .positive_spans
                .iter()
                .map(|s| i64::from(s.offset).unsigned_abs() + u64::from(s.length))
                .sum();
            if !rising || !finite || buckets > self.custom_values.len() as u64 + 1 {
                return Err(InvalidHistogram::CustomBounds);
            }
        } else {
            if !(-4..=8).contains(&self.schema) {
                return Err(InvalidHistogram::Schema(self.schema));
            }
            if !self.custom_values.is_empty() {
                return Err(InvalidHistogram::MixedKinds);
            }
        }
        check_side("positive", &self.positive_spans, &self.positive_buckets)?;
        check_side("negative", &self.negative_spans, &self.negative_buckets)?;
        if !crate::is_stale(self.sum) {
            check_count("zero bucket", self.zero_count)?;
            check_count("observation count", self.count)?;
        }
        Ok(())
    }
}

fn check_side(side: &'static str, spans: &[BucketSpan], buckets: &[f64]) -> Result<(), InvalidHistogram> {
    for (at, span) in spans.iter().enumerate().skip(1) {
        if span.offset < 0 {
            return Err(InvalidHistogram::NegativeOffset { side, number: at + 1, offset: span.offset });
        }
    }
    let needed: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if needed != buckets.len() as u64 {
        return Err(InvalidHistogram::BucketsMismatch { side, spans: needed, buckets: buckets.len() });
    }
    buckets.iter().try_for_each(|count| check_count("bucket", *count))
}

fn check_count(what: &'static str, count: f64) -> Result<(), InvalidHistogram> {
    if count < 0.0 || count.is_nan() {
        return Err(InvalidHistogram::NegativeCount { what, value: count.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> FloatHistogram {
        FloatHistogram {
            count: 6.0,
            sum: 12.5,
            positive_spans: vec![BucketSpan { offset: 0, length: 2 }, BucketSpan { offset: 1, length: 1 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(sound().validate(), Ok(()));
        let mut few = sound();
        few.positive_buckets.pop();
        assert!(matches!(
            few.validate(),
            Err(InvalidHistogram::BucketsMismatch { spans: 3, buckets: 2, .. })
        ));
        let mut overlapping = sound();
        overlapping.positive_spans[1].offset = -1;
        assert!(matches!(overlapping.validate(), Err(InvalidHistogram::NegativeOffset { number: 2, .. })));
        assert_eq!(FloatHistogram { schema: 9, ..sound() }.validate(), Err(InvalidHistogram::Schema(9)));
        let custom =
            FloatHistogram { schema: CUSTOM_BUCKETS_SCHEMA, custom_values: vec![1.0, 1.0, 2.0], ..sound() };
        assert_eq!(custom.validate(), Err(InvalidHistogram::CustomBounds));
    }

    #[test]
    fn a_stale_marker_is_valid_and_the_same_as_itself() {
        let stale = FloatHistogram { sum: crate::STALE_NAN, ..FloatHistogram::default() };
        assert_eq!(stale.validate(), Ok(()));
        assert!(stale.same_bits(&stale.clone()) && stale != stale.clone());
    }
}
