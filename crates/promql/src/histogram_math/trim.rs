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

/// Keeps the observations on one side of `value`. Buckets that contain it are cut by interpolation. If anything
/// was cut off, the sum is estimated anew from where the kept observations are.
pub(crate) fn trim(histogram: &FloatHistogram, value: f64, keep: Keep) -> FloatHistogram {
    let mut result = histogram.clone();
    let (mut count, mut sum) = (0.0, 0.0);
    let mut trimmed = false;
    let mut negative_at = result.negative_buckets.len();
    let mut positive_at = 0;
    for (part, mut bucket) in bounds::all(histogram) {
        let into = match part {
            Part::Negative => {
                negative_at -= 1;
                &mut result.negative_buckets[negative_at]
            }
            Part::Positive => {
                positive_at += 1;
                &mut result.positive_buckets[positive_at - 1]
            }
            Part::Zero => &mut result.zero_count,
        };
        if bucket.count == 0.0 {
            continue;
        }
        quantiles::narrow_zero_bucket(histogram, &mut bucket);
        let linear = histogram.uses_custom_buckets() || part == Part::Zero;
        let (kept, middle) = cut(&bucket, value, keep, linear);
        trimmed |= kept != bucket.count;
        count += kept;
        sum += if kept == 0.0 { 0.0 } else { kept * middle };
        *into = kept;
    }
    if !trimmed {
        return compact(histogram);
    }
    result.count = count;
    result.sum = sum;
    compact(&result)
}

/// How many observations of a bucket are kept, and where they are taken to be.
fn cut(bucket: &Bucket, value: f64, keep: Keep, linear: bool) -> (f64, f64) {
    if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
        return cut_open(bucket, value, keep);
    }
    let (lower, upper) = match keep {
        Keep::Below => (bucket.lower, bucket.upper.min(value)),
        Keep::Above => (bucket.lower.max(value), bucket.upper),
    };
    if lower >= upper {
        return (0.0, 0.0);
    }
    let kept = match keep {
        Keep::Below if upper < bucket.upper => quantiles::inside(bucket, value, linear),
        Keep::Above if lower > bucket.lower => bucket.count - quantiles::inside(bucket, value, linear),
        _ => bucket.count,
    };
    let middle = if linear {
        f64::midpoint(lower, upper)
    } else {
        let middle = (lower * upper).sqrt();
        if upper <= 0.0 { -middle } else { middle }
    };
    (kept, middle)
}

/// A bucket that reaches to infinity says little about where inside it observations are. One that begins at minus
/// infinity and ends above zero is taken to begin at zero; other than that, observations are at the finite bound or
/// at the value, and are kept where the infinite end is on the side that is kept.
fn cut_open(bucket: &Bucket, value: f64, keep: Keep) -> (f64, f64) {
    let from_below = bucket.lower == f64::NEG_INFINITY;
    let to_above = bucket.upper == f64::INFINITY;
    let nothing_cut = match keep {
        Keep::Below => value == f64::INFINITY,
        Keep::Above => value == f64::NEG_INFINITY,
    };
    if nothing_cut {
        return (bucket.count, if from_below { bucket.upper } else { bucket.lower });
    }
    if (from_below && to_above) || value.is_infinite() {
        return (0.0, 0.0);
    }
    match keep {
        _ if from_below && bucket.upper > 0.0 => {
            if value < 0.0 {
                return (0.0, 0.0);
            }
            cut(&Bucket { lower: 0.0, ..*bucket }, value, keep, true)
        }
        Keep::Below if from_below => (bucket.count, bucket.upper.min(value)),
        Keep::Above if to_above => (bucket.count, bucket.lower.max(value)),
        _ => (0.0, 0.0),
    }
}
