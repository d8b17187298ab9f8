//! Quantiles, fractions and spread of native histograms.

use model::FloatHistogram;

use crate::kahan::Sum;

use super::bounds::{self, Bucket, Part};

/// What NaN observations did to a quantile or fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NanEffect {
    /// There were none, or they made no difference.
    None,
    /// The result is NaN because of them.
    Result,
    /// The result is higher than it should be, or leaves them out.
    Skew,
}

/// The value below which a share `q` of the observations lies.
///
/// Inside an exponential bucket observations are taken to be spread evenly on a logarithmic scale, inside a
/// custom or the zero bucket evenly.
pub(crate) fn quantile(q: f64, histogram: &FloatHistogram) -> (f64, NanEffect) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    let mut buckets = bounds::all(histogram);
    // With NaN observations (the sum is NaN) ranks can only be counted from below.
    let from_below = histogram.sum.is_nan() || q < 0.5;
    if !from_below {
        buckets.reverse();
    }
    let mut rank = if from_below { q * histogram.count } else { (1.0 - q) * histogram.count };
    let mut total = Sum::default();
    let mut found: Option<(Part, Bucket)> = None;
    for (part, bucket) in buckets.into_iter().filter(|(_, bucket)| bucket.count != 0.0) {
        total.add(bucket.count);
        found = Some((part, bucket));
        if total.total() >= rank {
            break;
        }
    }
    let Some((part, mut bucket)) = found else {
        return (f64::NAN, if histogram.sum.is_nan() { NanEffect::Result } else { NanEffect::None });
    };
    if let Some(bound) = open_end(histogram, &mut bucket) {
        return (bound, NanEffect::None);
    }
    narrow_zero_bucket(histogram, &mut bucket);
    let count = total.total().min(histogram.count);
    // The rank is beyond all buckets: only NaN observations are there.
    if count < rank {
        let effect = if histogram.sum.is_nan() { NanEffect::Result } else { NanEffect::None };
        return (if histogram.sum.is_nan() { f64::NAN } else { bucket.upper }, effect);
    }
    let effect = if histogram.sum.is_nan() { NanEffect::Skew } else { NanEffect::None };
    rank = if from_below { rank - (count - bucket.count) } else { count - rank };
    let share = rank / bucket.count;
    if histogram.uses_custom_buckets() || part == Part::Zero {
        return (bucket.lower + (bucket.upper - bucket.lower) * share, effect);
    }
    let (log_lower, log_upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 || (bucket.lower == 0.0 && bucket.upper > 0.0) {
        return ((log_lower + (log_upper - log_lower) * share).exp2(), effect);
    }
    (-(log_upper + (log_lower - log_upper) * (1.0 - share)).exp2(), effect)
}

/// A bucket that reaches to infinity has no inside: its finite end is the answer.
fn open_end(histogram: &FloatHistogram, bucket: &mut Bucket) -> Option<f64> {
    if !histogram.uses_custom_buckets() {
        return None;
    }
    if bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return Some(bucket.upper);
        }
        bucket.lower = 0.0;
    }
    (bucket.upper == f64::INFINITY).then_some(bucket.lower)
}

/// In a histogram of only positive (or only negative) observations, zero bounds the zero bucket.
pub(super) fn narrow_zero_bucket(histogram: &FloatHistogram, bucket: &mut Bucket) {
    if !histogram.uses_custom_buckets() && bucket.lower < 0.0 && bucket.upper > 0.0 {
        let (negative, positive) =
            (!histogram.negative_buckets.is_empty(), !histogram.positive_buckets.is_empty());
        if positive && !negative {
            bucket.lower = 0.0;
        } else if negative && !positive {
            bucket.upper = 0.0;
        }
    }
}

/// The share of observations between two values.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &FloatHistogram) -> (f64, NanEffect) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    let effect = if histogram.sum.is_nan() { NanEffect::Skew } else { NanEffect::None };
    if lower >= upper {
        return (0.0, effect);
    }
    let mut rank = Sum::default();
    let (mut lower_rank, mut upper_rank) = (None, None);
    for (part, mut bucket) in bounds::all(histogram) {
        narrow_zero_bucket(histogram, &mut bucket);
        if histogram.uses_custom_buckets() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            // Observations of the lowest bucket are taken to be positive, if they can be.
            bucket.lower = 0.0;
        }
        let linear = histogram.uses_custom_buckets() || part == Part::Zero;
        let before = rank.total();
        for (bound, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if bucket.lower >= bound {
                *found = Some(before);
            } else if bucket.upper > bound {
                *found = Some(before + inside(&bucket, bound, linear));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank.add(bucket.count);
    }
    // Observations that are NaN are in no bucket, and so above no value.
    let all = if histogram.sum.is_nan() { rank.total() } else { histogram.count };
    let lower_rank = lower_rank.map_or(all, |rank| rank.min(all));
    let upper_rank = upper_rank.map_or(all, |rank| rank.min(all));
    ((upper_rank - lower_rank) / histogram.count, effect)
}

/// How many observations of a bucket lie below `bound`, which is inside it.
pub(super) fn inside(bucket: &Bucket, bound: f64, linear: bool) -> f64 {
    if linear {
        if bucket.lower == f64::NEG_INFINITY {
            return bucket.count;
        }
        if bucket.upper == f64::INFINITY {
            return 0.0;
        }
        return bucket.count * (bound - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (log_lower, log_upper, log_bound) =
        (bucket.lower.abs().log2(), bucket.upper.abs().log2(), bound.abs().log2());
    let share = if bound > 0.0 {
        (log_bound - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - (log_bound - log_upper) / (log_lower - log_upper)
    };
    bucket.count * share
}

/// Estimated variance: each bucket's observations are taken to be at its geometric mean (custom buckets: at the
/// arithmetic mean; around zero: at zero).
pub(crate) fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut total = Sum::default();
    for (_, bucket) in bounds::all(histogram).into_iter().filter(|(_, bucket)| bucket.count != 0.0) {
        let value = if histogram.uses_custom_buckets() {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = value - mean;
        total.add(bucket.count * delta * delta);
    }
    total.total() / histogram.count
}
