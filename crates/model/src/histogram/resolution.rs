//! Coarser exponential buckets: two of one schema are one of the schema below.

use super::{BucketSpan, FloatHistogram};

/// The finest schema that is stored.
pub const SCHEMA_MAX: i32 = 8;
/// The coarsest schema.
pub const SCHEMA_MIN: i32 = -4;
/// The finest schema that a format may carry; above [`SCHEMA_MAX`] it must be reduced before it is stored.
pub const RESERVED_SCHEMA_MAX: i32 = 52;

impl FloatHistogram {
    /// Merges exponential buckets until the schema is at most `schema`. Histograms with custom buckets stay as they are,
    /// and so does what was nonsense: validate afterwards.
    pub fn reduce_resolution(&mut self, schema: i32) {
        if self.uses_custom_buckets() || self.schema <= schema {
            return;
        }
        let shift = (self.schema - schema).cast_unsigned().min(62);
        reduce_side(&mut self.positive_spans, &mut self.positive_buckets, shift);
        reduce_side(&mut self.negative_spans, &mut self.negative_buckets, shift);
        self.schema = schema;
    }

    /// How many buckets there are, the zero bucket aside.
    pub fn bucket_count(&self) -> usize {
        self.positive_buckets.len() + self.negative_buckets.len()
    }
}

/// Left alone if spans and buckets contradict each other.
fn reduce_side(spans: &mut Vec<BucketSpan>, buckets: &mut Vec<f64>, shift: u32) {
    let length: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if length != buckets.len() as u64 {
        return;
    }
    let mut merged: Vec<f64> = Vec::with_capacity(buckets.len());
    let mut merged_spans: Vec<BucketSpan> = Vec::with_capacity(spans.len());
    let mut counts = buckets.iter();
    // Bucket `next` of the old numbering is where a span without offset would go on; `last` is of the new one.
    let (mut next, mut last) = (0i64, None);
    for span in spans.iter() {
        next += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            let index = ((next - 1) >> shift) + 1;
            next += 1;
            match last {
                Some(last) if last == index => {
                    *merged.last_mut().expect("it was pushed with `last`") += count;
                }
                _ => {
                    merged.push(*count);
                    extend(&mut merged_spans, last, index);
                    last = Some(index);
                }
            }
        }
    }
    (*spans, *buckets) = (merged_spans, merged);
}

/// Adds bucket `index` behind bucket `last`.
fn extend(spans: &mut Vec<BucketSpan>, last: Option<i64>, index: i64) {
    let gap = index - last.map_or(0, |last| last + 1);
    match spans.last_mut() {
        Some(span) if gap == 0 => span.length += 1,
        _ => spans.push(BucketSpan { offset: i32::try_from(gap).unwrap_or(i32::MAX), length: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Side<'a> = (&'a [(i32, u32)], &'a [f64]);

    #[track_caller]
    fn check(from: i32, to: i32, side: Side<'_>, want: Side<'_>) {
        let spans = |spans: &[(i32, u32)]| -> Vec<BucketSpan> {
            spans.iter().map(|(offset, length)| BucketSpan { offset: *offset, length: *length }).collect()
        };
        let mut histogram = FloatHistogram {
            schema: from,
            positive_spans: spans(side.0),
            positive_buckets: side.1.to_vec(),
            ..FloatHistogram::default()
        };
        (histogram.negative_spans, histogram.negative_buckets) =
            (histogram.positive_spans.clone(), histogram.positive_buckets.clone());
        histogram.reduce_resolution(to);
        assert_eq!(histogram.schema, to);
        assert_eq!(
            (&histogram.positive_spans, histogram.positive_buckets.as_slice()),
            (&spans(want.0), want.1)
        );
        assert_eq!(histogram.bucket_count(), 2 * want.1.len());
        assert_eq!(histogram.negative_buckets, histogram.positive_buckets);
        assert_eq!(histogram.validate(), Ok(()));
    }

    #[test]
    fn neighbours_are_merged() {
        // Buckets 1 and 2 of schema 1 are bucket 1 of schema 0; bucket 0 is alone with bucket -1.
        check(1, 0, (&[(0, 3)], &[1.0, 2.0, 4.0]), (&[(0, 2)], &[1.0, 6.0]));
        check(1, 0, (&[(-2, 2), (0, 1)], &[1.0, 2.0, 4.0]), (&[(-1, 2)], &[1.0, 6.0]));
        check(3, 1, (&[(1, 1), (2, 1), (4, 1)], &[1.0, 2.0, 4.0]), (&[(1, 1), (1, 1)], &[3.0, 4.0]));
        check(20, 8, (&[(5, 1)], &[1.0]), (&[(1, 1)], &[1.0]));
        check(0, -4, (&[(-40, 1), (60, 1)], &[1.0, 2.0]), (&[(-2, 1), (3, 1)], &[1.0, 2.0]));
    }

    #[test]
    fn what_is_coarse_or_custom_or_nonsense_stays() {
        let custom =
            FloatHistogram { schema: super::super::CUSTOM_BUCKETS_SCHEMA, ..FloatHistogram::default() };
        let coarse = FloatHistogram { schema: 2, ..FloatHistogram::default() };
        for before in [custom, coarse] {
            let mut after = before.clone();
            after.reduce_resolution(3);
            assert_eq!(after, before);
        }
        let mut nonsense = FloatHistogram {
            schema: 3,
            positive_spans: vec![BucketSpan { offset: 0, length: u32::MAX }],
            positive_buckets: vec![1.0],
            ..FloatHistogram::default()
        };
        nonsense.reduce_resolution(1);
        assert!(nonsense.validate().is_err());
    }
}
