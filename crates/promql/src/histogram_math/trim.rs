//! The part of a histogram below (`</`) or above (`>/`) a value.

use model::FloatHistogram;

use super::bounds::{self, Bucket, Part};
use super::{compact, quantiles};

/// Which part is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Observations up to the value.
    Below,
    /// Observations from the value on.
    Above,
}

/// Keeps the observations on one side of `value`. Buckets that contain it are cut by interpolation, and the sum
/// is estimated from what was cut off.
pub(crate) fn trim(histogram: &FloatHistogram, value: f64, keep: Keep) -> FloatHistogram {
    let custom = histogram.uses_custom_buckets();
    let mut result = histogram.clone();
    let (mut count, mut removed_sum) = (0.0, 0.0);
    let (mut has_positive, mut has_negative) = (false, false);
    let mut negative_at = result.negative_buckets.len();
    let mut positive_at = 0;
    for (part, bucket) in full_width_buckets(histogram) {
        let into = match part {
            Part::Negative => {
                negative_at -= 1;
                &mut result.negative_buckets[negative_at]
            }
            Part::Positive => {
                positive_at += 1;
                &mut result.positive_buckets[positive_at - 1]
            }
            Part::Zero => continue,
        };
        if bucket.count == 0.0 {
            continue;
        }
        has_negative |= part == Part::Negative || (custom && (bucket.upper <= 0.0 || bucket.lower < 0.0));
        has_positive |= part == Part::Positive && !(custom && bucket.upper <= 0.0);
        let (kept, removed_middle) = cut(&bucket, value, keep, part, custom);
        removed_sum += (bucket.count - kept) * removed_middle;
        count += kept;
        *into = kept;
    }
    if histogram.zero_count > 0.0 {
        let zero = bounds::zero(histogram);
        let below = below_in(&zero, value, true);
        result.zero_count = if keep == Keep::Below { below } else { zero.count - below };
        count += result.zero_count;
    }
    let mut sum = if count == 0.0 { 0.0 } else { histogram.sum - removed_sum };
    if (!has_negative && sum < 0.0) || (!has_positive && sum > 0.0) {
        sum = 0.0;
    }
    result.count = count;
    result.sum = sum;
    compact(&result)
}

/// All buckets but the zero bucket, not cut at its bounds.
fn full_width_buckets(histogram: &FloatHistogram) -> Vec<(Part, Bucket)> {
    let shell = FloatHistogram { zero_threshold: 0.0, zero_count: 0.0, ..histogram.clone() };
    bounds::all(&shell)
}

/// How many observations of a bucket are kept, and where the removed ones are taken to have been.
fn cut(bucket: &Bucket, value: f64, keep: Keep, part: Part, custom: bool) -> (f64, f64) {
    let (whole_kept, whole_removed) = match keep {
        Keep::Below => (bucket.upper <= value, bucket.lower >= value),
        Keep::Above => (bucket.lower >= value, bucket.upper <= value),
    };
    if whole_kept {
        return (bucket.count, 0.0);
    }
    if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
        return cut_open(bucket, value, keep);
    }
    if whole_removed {
        return (0.0, middle(bucket.lower, bucket.upper, custom, part));
    }
    let below = below_in(bucket, value, custom);
    match keep {
        Keep::Below => (below, middle(if custom { bucket.lower } else { value }, bucket.upper, custom, part)),
        Keep::Above => (
            bucket.count - below,
            middle(bucket.lower, if custom { bucket.upper } else { value }, custom, part),
        ),
    }
}

/// A bucket that reaches to infinity says nothing about where inside it observations are; one that reaches down
/// to minus infinity and ends above zero is taken to begin at zero.
fn cut_open(bucket: &Bucket, value: f64, keep: Keep) -> (f64, f64) {
    if bucket.lower == f64::NEG_INFINITY {
        if value >= 0.0 && bucket.upper > value && bucket.upper.is_finite() {
            return match keep {
                Keep::Below => (bucket.count * value / bucket.upper, f64::midpoint(value, bucket.upper)),
                Keep::Above => (bucket.count * (1.0 - value / bucket.upper), value / 2.0),
            };
        }
        return (0.0, bucket.upper);
    }
    (0.0, bucket.lower)
}

fn middle(lower: f64, upper: f64, linear: bool, part: Part) -> f64 {
    if linear {
        return f64::midpoint(lower, upper);
    }
    let middle = (lower.abs() * upper.abs()).sqrt();
    if part == Part::Negative { -middle } else { middle }
}

fn below_in(bucket: &Bucket, value: f64, linear: bool) -> f64 {
    if value <= bucket.lower {
        0.0
    } else if value >= bucket.upper {
        bucket.count
    } else {
        quantiles::inside(bucket, value, linear)
    }
}
