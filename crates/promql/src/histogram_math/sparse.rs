//! A histogram's buckets as pairs of index and count, in which additions, alignments and comparisons are done.

use model::{BucketSpan, FloatHistogram};

use super::{MixedSchemas, bounds};

/// Buckets of one side, by rising index.
type Side = Vec<(i32, f64)>;

/// A histogram taken apart.
#[derive(Debug, Clone)]
pub(super) struct Sparse {
    shell: FloatHistogram,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: f64,
    positive: Side,
    negative: Side,
}

impl From<&FloatHistogram> for Sparse {
    fn from(histogram: &FloatHistogram) -> Self {
        let shell = FloatHistogram {
            counter_reset_hint: histogram.counter_reset_hint,
            schema: histogram.schema,
            count: histogram.count,
            sum: histogram.sum,
            custom_values: histogram.custom_values.clone(),
            ..FloatHistogram::default()
        };
        let side = |spans: &[BucketSpan], counts: &[f64]| {
            bounds::indices(spans).zip(counts.iter().copied()).collect()
        };
        Self {
            shell,
            zero_threshold: histogram.zero_threshold,
            zero_count: histogram.zero_count,
            positive: side(&histogram.positive_spans, &histogram.positive_buckets),
            negative: side(&histogram.negative_spans, &histogram.negative_buckets),
        }
    }
}

impl Sparse {
    /// Put together again, compact.
    pub(super) fn into_histogram(self) -> FloatHistogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        FloatHistogram {
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            ..self.shell
        }
    }

    /// Gives both the same buckets: the coarser schema and the wider zero bucket, or the custom bounds they have
    /// in common. Returns whether custom bounds differed.
    pub(super) fn align(&mut self, other: &mut Self) -> Result<bool, MixedSchemas> {
        if self.shell.uses_custom_buckets() != other.shell.uses_custom_buckets() {
            return Err(MixedSchemas);
        }
        if self.shell.uses_custom_buckets() {
            if self.shell.custom_values == other.shell.custom_values {
                return Ok(false);
            }
            let common: Vec<f64> = self
                .shell
                .custom_values
                .iter()
                .copied()
                .filter(|bound| other.shell.custom_values.contains(bound))
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
        let schema = self.shell.schema.min(other.shell.schema);
        self.reduce_to(schema);
        other.reduce_to(schema);
        Ok(false)
    }

    /// Adds the other's observations `sign` times. Both must be aligned.
    pub(super) fn add_scaled(&mut self, other: &Self, sign: f64) {
        self.zero_count += sign * other.zero_count;
        self.shell.count += sign * other.shell.count;
        self.shell.sum += sign * other.shell.sum;
        self.positive = merge(&self.positive, &other.positive, sign);
        self.negative = merge(&self.negative, &other.negative, sign);
    }

    /// Raises the zero threshold to at least `threshold`: a bucket that would be cut is swallowed whole.
    pub(super) fn widen_zero_bucket(&mut self, mut threshold: f64) {
        let schema = self.shell.schema;
        let straddles = |side: &Side, threshold: f64| {
            side.iter()
                .find(|(index, count)| {
                    *count != 0.0
                        && bounds::exponential(*index - 1, schema) < threshold
                        && bounds::exponential(*index, schema) > threshold
                })
                .map(|(index, _)| bounds::exponential(*index, schema))
        };
        while let Some(wider) =
            straddles(&self.positive, threshold).or_else(|| straddles(&self.negative, threshold))
        {
            threshold = wider;
        }
        self.zero_threshold = threshold;
        self.zero_count += self.drop_inside_zero_bucket();
    }

    /// Removes the buckets that lie inside the zero bucket; returns how many observations they held.
    pub(super) fn drop_inside_zero_bucket(&mut self) -> f64 {
        let (schema, threshold) = (self.shell.schema, self.zero_threshold);
        let mut swallowed = 0.0;
        if threshold == 0.0 {
            return swallowed;
        }
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, count)| {
                let inside = bounds::exponential(*index, schema) <= threshold;
                swallowed += if inside { *count } else { 0.0 };
                !inside
            });
        }
        swallowed
    }

    /// Merges exponential buckets until the schema is `schema`.
    pub(super) fn reduce_to(&mut self, schema: i32) {
        let shift = self.shell.schema - schema;
        if shift <= 0 {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            *side = regroup(side, |index| ((index - 1) >> shift) + 1);
        }
        self.shell.schema = schema;
    }

    /// Merges custom buckets until only the bounds in `common`, a part of the present ones, are left.
    fn keep_bounds(&mut self, common: &[f64]) {
        let old = std::mem::take(&mut self.shell.custom_values);
        self.positive = regroup(&self.positive, |index| {
            let upper =
                usize::try_from(index).ok().and_then(|at| old.get(at)).copied().unwrap_or(f64::INFINITY);
            i32::try_from(common.partition_point(|bound| *bound < upper)).unwrap_or(i32::MAX)
        });
        self.shell.custom_values = common.to_vec();
    }

    /// Whether any bucket holds less than the same bucket of `before`. Both must be aligned.
    pub(super) fn is_below(&self, before: &Self) -> bool {
        self.zero_count < before.zero_count
            || side_is_below(&self.positive, &before.positive)
            || side_is_below(&self.negative, &before.negative)
    }

    /// Whether all is the same, empty buckets aside.
    pub(super) fn same(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a == b;
        let side = |a: &Side, b: &Side| {
            let filled =
                |side: &Side| side.iter().copied().filter(|(_, count)| *count != 0.0).collect::<Vec<_>>();
            let (a, b) = (filled(a), filled(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        };
        self.shell.schema == other.shell.schema
            && self.shell.custom_values == other.shell.custom_values
            && same(self.shell.count, other.shell.count)
            && same(self.shell.sum, other.shell.sum)
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count, other.zero_count)
            && side(&self.positive, &other.positive)
            && side(&self.negative, &other.negative)
    }
}

/// Renumbers buckets by a rising function and merges those that get the same number.
fn regroup(side: &[(i32, f64)], number: impl Fn(i32) -> i32) -> Side {
    let mut grouped: Side = Vec::with_capacity(side.len());
    for (index, count) in side {
        let index = number(*index);
        match grouped.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => grouped.push((index, *count)),
        }
    }
    grouped
}

fn merge(a: &[(i32, f64)], b: &[(i32, f64)], sign: f64) -> Side {
    let mut merged = Vec::with_capacity(a.len().max(b.len()));
    let (mut at_a, mut at_b) = (0, 0);
    while at_a < a.len() || at_b < b.len() {
        let next_a = a.get(at_a).map_or(i32::MAX, |bucket| bucket.0);
        let next_b = b.get(at_b).map_or(i32::MAX, |bucket| bucket.0);
        let index = next_a.min(next_b);
        let mut count = 0.0;
        if next_a == index && at_a < a.len() {
            count = a[at_a].1;
            at_a += 1;
        }
        if next_b == index && at_b < b.len() {
            count += sign * b[at_b].1;
            at_b += 1;
        }
        merged.push((index, count));
    }
    merged
}

fn side_is_below(now: &[(i32, f64)], before: &[(i32, f64)]) -> bool {
    before.iter().filter(|(_, count)| *count > 0.0).any(|(index, count)| {
        let found = now.binary_search_by_key(index, |bucket| bucket.0);
        found.map_or(0.0, |at| now[at].1) < *count
    })
}

fn spans(side: &[(i32, f64)]) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut counts = Vec::with_capacity(side.len());
    let mut next = 0_i32;
    for (index, count) in side.iter().filter(|(_, count)| *count != 0.0) {
        match spans.last_mut() {
            Some(span) if next == *index => span.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        counts.push(*count);
        next = index + 1;
    }
    (spans, counts)
}
