//! Where buckets begin and end, and all buckets of a histogram in order.

use model::{BucketSpan, FloatHistogram};

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) lower_inclusive: bool,
    pub(crate) upper_inclusive: bool,
    pub(crate) count: f64,
}

/// Which buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Positive,
    Negative,
    Zero,
}

/// The upper bound of positive exponential bucket `index`.
///
/// The last bucket ends at the largest finite float, because values beyond the end of the one before it are
/// finite too.
pub(crate) fn exponential(index: i32, schema: i32) -> f64 {
    if schema <= 0 {
        let exponent = i64::from(index) << u32::try_from(-schema).unwrap_or(0);
        return if exponent == 1024 { f64::MAX } else { power_of_two(exponent, 1.0) };
    }
    let per_doubling = 1_i32 << schema;
    let (whole, part) = (index.div_euclid(per_doubling), index.rem_euclid(per_doubling));
    if whole == 1024 && part == 0 {
        return f64::MAX;
    }
    power_of_two(i64::from(whole), (f64::from(part) / f64::from(per_doubling)).exp2())
}

fn power_of_two(exponent: i64, factor: f64) -> f64 {
    let exponent = i32::try_from(exponent.clamp(-3_000, 3_000)).unwrap_or(0);
    // In two halves, so that neither overflows nor underflows before the product does.
    let half = exponent / 2;
    factor * 2_f64.powi(half) * 2_f64.powi(exponent - half)
}

/// The upper bound of a positive bucket of `histogram`.
pub(crate) fn upper(histogram: &FloatHistogram, index: i32) -> f64 {
    if histogram.uses_custom_buckets() {
        custom(&histogram.custom_values, index)
    } else {
        exponential(index, histogram.schema)
    }
}

fn custom(bounds: &[f64], index: i32) -> f64 {
    match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(at) => bounds.get(at).copied().unwrap_or(f64::INFINITY),
    }
}

/// Indices of the buckets that `spans` describe.
pub(crate) fn indices(spans: &[BucketSpan]) -> impl DoubleEndedIterator<Item = i32> + '_ {
    let mut next = 0_i32;
    let starts: Vec<(i32, u32)> = spans
        .iter()
        .map(|span| {
            let start = next.saturating_add(span.offset);
            next = start.saturating_add_unsigned(span.length);
            (start, span.length)
        })
        .collect();
    starts.into_iter().flat_map(|(start, length)| (0..length).map(move |i| start.saturating_add_unsigned(i)))
}

/// A positive bucket.
fn positive(histogram: &FloatHistogram, index: i32, count: f64) -> Bucket {
    let custom = histogram.uses_custom_buckets();
    let lower = upper(histogram, index - 1);
    // The first custom bucket includes everything below it.
    Bucket {
        lower,
        upper: upper(histogram, index),
        lower_inclusive: custom && index == 0,
        upper_inclusive: true,
        count,
    }
}

/// All buckets from lowest to highest; buckets inside the zero bucket are cut at its bounds.
pub(crate) fn all(histogram: &FloatHistogram) -> Vec<(Part, Bucket)> {
    let threshold = histogram.zero_threshold;
    let mut buckets = Vec::new();
    let negative: Vec<_> = indices(&histogram.negative_spans).zip(&histogram.negative_buckets).collect();
    for (index, count) in negative.into_iter().rev() {
        let mirrored = positive(histogram, index, *count);
        let bucket = Bucket {
            lower: -mirrored.upper,
            upper: -mirrored.lower,
            lower_inclusive: true,
            upper_inclusive: false,
            count: *count,
        };
        buckets.push((Part::Negative, Bucket { upper: bucket.upper.min(-threshold), ..bucket }));
    }
    if histogram.zero_count > 0.0 {
        buckets.push((Part::Zero, zero(histogram)));
    }
    for (index, count) in indices(&histogram.positive_spans).zip(&histogram.positive_buckets) {
        let bucket = positive(histogram, index, *count);
        let lower = if histogram.uses_custom_buckets() { bucket.lower } else { bucket.lower.max(threshold) };
        buckets.push((Part::Positive, Bucket { lower, ..bucket }));
    }
    buckets
}

/// The zero bucket.
pub(crate) fn zero(histogram: &FloatHistogram) -> Bucket {
    Bucket {
        lower: -histogram.zero_threshold,
        upper: histogram.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: histogram.zero_count,
    }
}
