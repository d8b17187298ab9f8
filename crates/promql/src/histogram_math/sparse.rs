//! A histogram's buckets as pairs of index and count, in which additions, alignments and comparisons are done.
//!
//! Every number is a compensated sum, so that adding up many histograms loses as little as adding up floats.

use model::{BucketSpan, CounterResetHint, FloatHistogram};

use crate::kahan::Sum;

use super::{MixedSchemas, bounds};

/// Buckets of one side, by rising index.
type Side = Vec<(i32, Sum)>;

/// A histogram taken apart.
#[derive(Debug, Clone)]
pub(super) struct Sparse {
    pub(super) hint: CounterResetHint,
    schema: i32,
    custom: bool,
    custom_values: Vec<f64>,
    pub(super) zero_threshold: f64,
    zero_count: Sum,
    count: Sum,
    sum: Sum,
    positive: Side,
    negative: Side,
}

fn exact(value: f64) -> Sum {
    Sum { sum: value, c: 0.0 }
}

impl From<&FloatHistogram> for Sparse {
    fn from(histogram: &FloatHistogram) -> Self {
        let side = |spans: &[BucketSpan], counts: &[f64]| {
            bounds::indices(spans).zip(counts.iter().map(|count| exact(*count))).collect()
        };
        Self {
            hint: histogram.counter_reset_hint,
            schema: histogram.schema,
            custom: histogram.uses_custom_buckets(),
            custom_values: histogram.custom_values.clone(),
            zero_threshold: histogram.zero_threshold,
            zero_count: exact(histogram.zero_count),
            count: exact(histogram.count),
            sum: exact(histogram.sum),
            positive: side(&histogram.positive_spans, &histogram.positive_buckets),
            negative: side(&histogram.negative_spans, &histogram.negative_buckets),
        }
    }
}

impl Sparse {
    /// Put together again, compact.
    pub(super) fn to_histogram(&self) -> FloatHistogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.total(),
            count: self.count.total(),
            sum: self.sum.total(),
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }

    fn numbers(&mut self) -> impl Iterator<Item = &mut Sum> {
        let buckets = self.positive.iter_mut().chain(&mut self.negative).map(|(_, count)| count);
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().chain(buckets)
    }

    /// Multiplies all counts and the sum.
    pub(super) fn scale(&mut self, factor: f64) {
        for number in self.numbers() {
            number.sum *= factor;
            number.c *= factor;
        }
    }

    /// Divides all counts and the sum. Not the same as scaling by the inverse, which is rounded.
    pub(super) fn divide(&mut self, divisor: f64) {
        for number in self.numbers() {
            number.sum /= divisor;
            number.c /= divisor;
        }
    }

    /// The largest count or sum, whatever its sign.
    pub(super) fn magnitude(&mut self) -> f64 {
        self.numbers().map(|number| number.sum.abs()).fold(0.0, f64::max)
    }

    /// Gives both the same buckets: the coarser schema and the wider zero bucket, or the custom bounds they have
    /// in common. Returns whether custom bounds differed.
    pub(super) fn align(&mut self, other: &mut Self) -> Result<bool, MixedSchemas> {
        if self.custom != other.custom {
            return Err(MixedSchemas);
        }
        if self.custom {
            if self.custom_values == other.custom_values {
                return Ok(false);
            }
            let common: Vec<f64> = self
                .custom_values
                .iter()
                .copied()
                .filter(|bound| other.custom_values.contains(bound))
                .collect();
            self.keep_bounds(&common);
            other.keep_bounds(&common);
            return Ok(true);
        }
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold < other.zero_threshold {
                self.widen_zero_bucket(other.zero_threshold);
            } else {
                other.widen_zero_bucket(self.zero_threshold);
            }
        }
        let schema = self.schema.min(other.schema);
        self.reduce_to(schema);
        other.reduce_to(schema);
        Ok(false)
    }

    /// Adds the other's observations `sign` times. Both must be aligned.
    pub(super) fn add_scaled(&mut self, other: &Self, sign: f64) {
        add(&mut self.zero_count, other.zero_count, sign);
        add(&mut self.count, other.count, sign);
        add(&mut self.sum, other.sum, sign);
        merge(&mut self.positive, &other.positive, sign);
        merge(&mut self.negative, &other.negative, sign);
    }

    /// Raises the zero threshold to at least `threshold`: a bucket that would be cut is swallowed whole.
    pub(super) fn widen_zero_bucket(&mut self, mut threshold: f64) {
        let schema = self.schema;
        let straddling = |side: &Side, threshold: f64| {
            let cut = side.iter().find(|(index, count)| {
                count.total() != 0.0
                    && bounds::exponential(*index - 1, schema) < threshold
                    && bounds::exponential(*index, schema) > threshold
            });
            cut.map(|(index, _)| bounds::exponential(*index, schema))
        };
        while let Some(wider) =
            straddling(&self.positive, threshold).or_else(|| straddling(&self.negative, threshold))
        {
            threshold = wider;
        }
        self.zero_threshold = threshold;
        let swallowed = self.drop_inside_zero_bucket();
        add(&mut self.zero_count, swallowed, 1.0);
    }

    /// Removes the buckets that lie inside the zero bucket; returns how many observations they held.
    pub(super) fn drop_inside_zero_bucket(&mut self) -> Sum {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let mut swallowed = Sum::default();
        if threshold == 0.0 {
            return swallowed;
        }
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, count)| {
                let inside = bounds::exponential(*index, schema) <= threshold;
                if inside {
                    add(&mut swallowed, *count, 1.0);
                }
                !inside
            });
        }
        swallowed
    }

    /// Merges exponential buckets until the schema is `schema`.
    pub(super) fn reduce_to(&mut self, schema: i32) {
        let shift = self.schema - schema;
        if shift <= 0 {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            *side = regroup(side, |index| ((index - 1) >> shift) + 1);
        }
        self.schema = schema;
    }

    /// Merges custom buckets until only the bounds in `common`, a part of the present ones, are left.
    fn keep_bounds(&mut self, common: &[f64]) {
        let old = std::mem::take(&mut self.custom_values);
        self.positive = regroup(&self.positive, |index| {
            let upper =
                usize::try_from(index).ok().and_then(|at| old.get(at)).copied().unwrap_or(f64::INFINITY);
            i32::try_from(common.partition_point(|bound| *bound < upper)).unwrap_or(i32::MAX)
        });
        self.custom_values = common.to_vec();
    }

    /// Observations in the zero bucket.
    pub(super) fn zero_count(&self) -> f64 {
        self.zero_count.total()
    }

    /// Whether any bucket holds less than the same bucket of `before`. Both must be aligned.
    pub(super) fn is_below(&self, before: &Self) -> bool {
        self.zero_count() < before.zero_count()
            || side_is_below(&self.positive, &before.positive)
            || side_is_below(&self.negative, &before.negative)
    }

    /// Whether all is the same, empty buckets aside.
    pub(super) fn same(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a == b;
        let filled = |side: &Side| -> Vec<(i32, f64)> {
            side.iter()
                .map(|(index, count)| (*index, count.total()))
                .filter(|(_, count)| *count != 0.0)
                .collect()
        };
        let side = |a: &Side, b: &Side| {
            let (a, b) = (filled(a), filled(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        };
        self.schema == other.schema
            && self.custom_values == other.custom_values
            && same(self.count.total(), other.count.total())
            && same(self.sum.total(), other.sum.total())
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count(), other.zero_count())
            && side(&self.positive, &other.positive)
            && side(&self.negative, &other.negative)
    }
}

fn add(into: &mut Sum, value: Sum, sign: f64) {
    into.add(sign * value.sum);
    if into.sum.is_finite() {
        into.c += sign * value.c;
    }
}

/// Renumbers buckets by a rising function and merges those that get the same number.
fn regroup(side: &[(i32, Sum)], number: impl Fn(i32) -> i32) -> Side {
    let mut grouped: Side = Vec::with_capacity(side.len());
    for (index, count) in side {
        let index = number(*index);
        match grouped.last_mut() {
            Some(last) if last.0 == index => add(&mut last.1, *count, 1.0),
            _ => grouped.push((index, *count)),
        }
    }
    grouped
}

fn merge(into: &mut Side, other: &[(i32, Sum)], sign: f64) {
    // Most often both have the same buckets.
    if into.len() == other.len() && into.iter().zip(other).all(|(a, b)| a.0 == b.0) {
        for (bucket, (_, count)) in into.iter_mut().zip(other) {
            add(&mut bucket.1, *count, sign);
        }
        return;
    }
    let mine = std::mem::take(into);
    into.reserve(mine.len() + other.len());
    let (mut mine, mut other) = (mine.into_iter().peekable(), other.iter().peekable());
    loop {
        let next = match (mine.peek(), other.peek()) {
            (None, None) => return,
            (Some(a), None) => a.0,
            (None, Some(b)) => b.0,
            (Some(a), Some(b)) => a.0.min(b.0),
        };
        let mut count = mine.next_if(|bucket| bucket.0 == next).map_or_else(Sum::default, |bucket| bucket.1);
        if let Some((_, more)) = other.next_if(|bucket| bucket.0 == next) {
            add(&mut count, *more, sign);
        }
        into.push((next, count));
    }
}

fn side_is_below(now: &[(i32, Sum)], before: &[(i32, Sum)]) -> bool {
    before.iter().filter(|(_, count)| count.total() > 0.0).any(|(index, count)| {
        let found = now.binary_search_by_key(index, |bucket| bucket.0);
        found.map_or(0.0, |at| now[at].1.total()) < count.total()
    })
}

fn spans(side: &[(i32, Sum)]) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut counts = Vec::with_capacity(side.len());
    let mut next = 0_i32;
    for (index, count) in side.iter().map(|(index, count)| (*index, count.total())) {
        if count == 0.0 {
            continue;
        }
        match spans.last_mut() {
            Some(span) if next == index => span.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        counts.push(count);
        next = index + 1;
    }
    (spans, counts)
}
