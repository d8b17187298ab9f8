//! Arithmetic on native histograms, as Prometheus does it.
//!
//! Map: [`sparse`] buckets as index/count pairs, in which sums are done · [`bounds`] where buckets begin and end ·
//! [`quantiles`] quantiles, fractions and variance · [`text`] a histogram as label value · [`trim`] the part
//! below or above a value.
//!
//! Results are compact: no empty bucket, no two spans that touch. Inputs need not be.

pub(crate) mod bounds;
pub(crate) mod quantiles;
mod sparse;
mod text;
pub(crate) mod trim;

use model::{CounterResetHint, FloatHistogram};

use sparse::Sparse;
pub(crate) use text::to_text;

/// One has exponential, the other custom buckets: they have no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MixedSchemas;

/// A sum or difference, and what the user should know about it.
#[derive(Debug, Clone)]
pub(crate) struct Combined {
    /// The result.
    pub(crate) histogram: FloatHistogram,
    /// One was a counter reset, the other was known not to be.
    pub(crate) reset_conflict: bool,
    /// Custom bounds differed; only those both have were kept.
    pub(crate) reconciled: bool,
}

/// `a + b`.
///
/// # Errors
/// If they have no sum.
pub(crate) fn add(a: &FloatHistogram, b: &FloatHistogram) -> Result<Combined, MixedSchemas> {
    combine(a, b, 1.0)
}

/// `a - b`.
///
/// # Errors
/// If they have no difference.
pub(crate) fn subtract(a: &FloatHistogram, b: &FloatHistogram) -> Result<Combined, MixedSchemas> {
    combine(a, b, -1.0)
}

fn combine(a: &FloatHistogram, b: &FloatHistogram, sign: f64) -> Result<Combined, MixedSchemas> {
    let mut sum = Sparse::from(a);
    let mut other = Sparse::from(b);
    let reconciled = sum.align(&mut other)?;
    sum.add_scaled(&other, sign);
    let reset_conflict;
    (sum.hint, reset_conflict) = combine_hints(a.counter_reset_hint, b.counter_reset_hint);
    Ok(Combined { histogram: sum.to_histogram(), reset_conflict, reconciled })
}

fn combine_hints(a: CounterResetHint, b: CounterResetHint) -> (CounterResetHint, bool) {
    use CounterResetHint::{Gauge, Unknown};
    match (a, b) {
        _ if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}

/// All counts and the sum times `factor`. A negative factor makes it a gauge.
pub(crate) fn multiply(histogram: &FloatHistogram, factor: f64) -> FloatHistogram {
    scaled(histogram, |value| value * factor, factor < 0.0)
}

/// All counts and the sum divided by `divisor`. A negative divisor makes it a gauge; division by zero leaves no
/// buckets, because infinite counts could not be added up any more.
pub(crate) fn divide(histogram: &FloatHistogram, divisor: f64) -> FloatHistogram {
    let mut result = scaled(histogram, |value| value / divisor, divisor < 0.0);
    if divisor == 0.0 {
        result.positive_spans.clear();
        result.positive_buckets.clear();
        result.negative_spans.clear();
        result.negative_buckets.clear();
    }
    result
}

fn scaled(histogram: &FloatHistogram, scale: impl Fn(f64) -> f64, to_gauge: bool) -> FloatHistogram {
    let mut result = histogram.clone();
    result.zero_count = scale(result.zero_count);
    result.count = scale(result.count);
    result.sum = scale(result.sum);
    for count in result.positive_buckets.iter_mut().chain(&mut result.negative_buckets) {
        *count = scale(*count);
    }
    if to_gauge {
        result.counter_reset_hint = CounterResetHint::Gauge;
    }
    result
}

/// Without empty buckets.
pub(crate) fn compact(histogram: &FloatHistogram) -> FloatHistogram {
    Sparse::from(histogram).to_histogram()
}

/// The same observations in fewer, wider exponential buckets; `schema` must not be above the histogram's.
pub(crate) fn to_schema(histogram: &FloatHistogram, schema: i32) -> FloatHistogram {
    let mut sparse = Sparse::from(histogram);
    sparse.reduce_to(schema);
    sparse.to_histogram()
}

/// Whether two histograms are the same, whatever their spans look like and whatever is known about resets.
/// NaN counts and sums are equal if their bits are.
pub(crate) fn equal(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    Sparse::from(a).same(&Sparse::from(b))
}

/// Whether a counter started again between two samples.
pub(crate) fn detect_reset(current: &FloatHistogram, previous: &FloatHistogram) -> bool {
    match current.counter_reset_hint {
        CounterResetHint::Reset => return true,
        CounterResetHint::NotReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if current.count < previous.count || current.uses_custom_buckets() != previous.uses_custom_buckets() {
        return true;
    }
    let mut now = Sparse::from(current);
    let mut before = Sparse::from(previous);
    if !current.uses_custom_buckets() {
        // More resolution or a narrower zero bucket than before cannot come from the same counters.
        if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
            return true;
        }
        before.widen_zero_bucket(current.zero_threshold);
        if before.zero_threshold != current.zero_threshold || current.zero_count < before.zero_count() {
            return true;
        }
        now.drop_inside_zero_bucket();
    }
    match now.align(&mut before) {
        Err(MixedSchemas) => true,
        Ok(_) => now.is_below(&before),
    }
}

/// The sum or the mean of many histograms.
#[derive(Debug, Clone)]
pub(crate) struct Accumulator {
    /// The sum; once that would overflow, the mean.
    total: Sparse,
    count: f64,
    incremental: bool,
}

impl Accumulator {
    /// Begins with one histogram.
    pub(crate) fn of(first: &FloatHistogram) -> Self {
        Self { total: Sparse::from(first), count: 1.0, incremental: false }
    }

    /// Adds a histogram. Returns whether custom bounds differed.
    ///
    /// # Errors
    /// If the histogram does not fit to the others.
    pub(crate) fn add(&mut self, histogram: &FloatHistogram) -> Result<bool, MixedSchemas> {
        self.add_share(Sparse::from(histogram))
    }

    /// As [`Self::add`], for a mean, whose sum must not overflow.
    ///
    /// # Errors
    /// If the histogram does not fit to the others.
    pub(crate) fn add_to_mean(&mut self, histogram: &FloatHistogram) -> Result<bool, MixedSchemas> {
        let mut share = Sparse::from(histogram);
        // Only where some number might overflow is it worth a copy to find out whether one does.
        if !self.incremental && (self.total.magnitude() + share.magnitude()).is_infinite() {
            let mut tried = self.clone();
            let reconciled = tried.add_share(share.clone())?;
            if tried.total.magnitude().is_finite() {
                *self = tried;
                return Ok(reconciled);
            }
            self.incremental = true;
            self.total.divide(self.count);
        }
        if self.incremental {
            let count = self.count + 1.0;
            self.total.scale(self.count / count);
            share.divide(count);
        }
        self.add_share(share)
    }

    fn add_share(&mut self, mut share: Sparse) -> Result<bool, MixedSchemas> {
        self.count += 1.0;
        let (hint, _) = combine_hints(self.total.hint, share.hint);
        let reconciled = self.total.align(&mut share)?;
        self.total.add_scaled(&share, 1.0);
        self.total.hint = hint;
        Ok(reconciled)
    }

    /// The sum of all.
    pub(crate) fn sum(&self) -> FloatHistogram {
        self.total.to_histogram()
    }

    /// The mean of all, if all were added to the mean.
    pub(crate) fn mean(mut self) -> FloatHistogram {
        if !self.incremental {
            self.total.divide(self.count);
        }
        self.total.to_histogram()
    }
}

#[cfg(test)]
mod tests;
