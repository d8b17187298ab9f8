//! Columns of native histograms: runs of equal bucket layout, within a run one float column for each count.
//!
//! Counts of one bucket over time behave like any counter, so they take the encodings of [`crate::floats`].

use std::sync::Arc;

use model::{BucketSpan, CounterResetHint, FloatHistogram};

use crate::floats::{self, FloatEncoder};
use crate::varint::{Reader, write_bytes, write_i64, write_u64};
use crate::{Corrupt, SAMPLES_MAX};

/// The most buckets on one side of a histogram, or bounds of custom buckets.
const BUCKETS_MAX: usize = 1 << 16;

/// Whether two histograms have the same buckets, so that only their counts and sums differ.
fn same_layout(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let same =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits());
    a.schema == b.schema
        && a.counter_reset_hint == b.counter_reset_hint
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.positive_buckets.len() == b.positive_buckets.len()
        && a.negative_buckets.len() == b.negative_buckets.len()
        && same(&a.custom_values, &b.custom_values)
}

/// Appends the encoded column. Its length must be remembered elsewhere.
pub fn encode(histograms: &[Arc<FloatHistogram>], out: &mut Vec<u8>) {
    let mut encoder = FloatEncoder::default();
    let (mut column, mut bytes) = (Vec::new(), Vec::new());
    for run in histograms.chunk_by(|a, b| same_layout(a, b)) {
        write_u64(out, run.len() as u64);
        write_layout(&run[0], out);
        let mut write = |of: &dyn Fn(&FloatHistogram) -> f64| {
            column.clear();
            column.extend(run.iter().map(|h| of(h)));
            bytes.clear();
            encoder.encode(&column, &mut bytes);
            write_bytes(out, &bytes);
        };
        write(&|h| h.count);
        write(&|h| h.sum);
        write(&|h| h.zero_count);
        for at in 0..run[0].positive_buckets.len() {
            write(&|h| h.positive_buckets[at]);
        }
        for at in 0..run[0].negative_buckets.len() {
            write(&|h| h.negative_buckets[at]);
        }
    }
}

fn write_layout(histogram: &FloatHistogram, out: &mut Vec<u8>) {
    out.push(match histogram.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    });
    write_i64(out, i64::from(histogram.schema));
    out.extend_from_slice(&histogram.zero_threshold.to_bits().to_le_bytes());
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        write_u64(out, spans.len() as u64);
        for span in spans {
            write_i64(out, i64::from(span.offset));
            write_u64(out, u64::from(span.length));
        }
    }
    write_u64(out, histogram.positive_buckets.len() as u64);
    write_u64(out, histogram.negative_buckets.len() as u64);
    write_u64(out, histogram.custom_values.len() as u64);
    for bound in &histogram.custom_values {
        out.extend_from_slice(&bound.to_bits().to_le_bytes());
    }
}

/// Appends `count` decoded histograms to `into`, from the front of `bytes`.
///
/// # Errors
/// If the bytes are not such a column.
pub fn decode(bytes: &[u8], count: usize, into: &mut Vec<Arc<FloatHistogram>>) -> Result<(), Corrupt> {
    if count > SAMPLES_MAX {
        return Err(Corrupt("a column of histograms has too many values"));
    }
    let mut reader = Reader::new(bytes);
    let mut left = count;
    while left > 0 {
        let run_count = reader.count(left)?;
        if run_count == 0 {
            return Err(Corrupt("an empty run of histograms"));
        }
        left -= run_count;
        let layout = read_layout(&mut reader)?;
        let mut read = || -> Result<Vec<f64>, Corrupt> {
            let mut column = Vec::new();
            floats::decode(reader.bytes()?, run_count, &mut column)?;
            Ok(column)
        };
        let (counts, sums, zeros) = (read()?, read()?, read()?);
        let mut run: Vec<FloatHistogram> = vec![layout; run_count];
        for (at, histogram) in run.iter_mut().enumerate() {
            (histogram.count, histogram.sum, histogram.zero_count) = (counts[at], sums[at], zeros[at]);
        }
        for bucket in 0..run[0].positive_buckets.len() {
            for (histogram, value) in run.iter_mut().zip(read()?) {
                histogram.positive_buckets[bucket] = value;
            }
        }
        for bucket in 0..run[0].negative_buckets.len() {
            for (histogram, value) in run.iter_mut().zip(read()?) {
                histogram.negative_buckets[bucket] = value;
            }
        }
        into.extend(run.into_iter().map(Arc::new));
    }
    Ok(())
}

/// A histogram with the layout and all counts zero.
fn read_layout(reader: &mut Reader<'_>) -> Result<FloatHistogram, Corrupt> {
    let counter_reset_hint = match reader.u8()? {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => return Err(Corrupt("an unknown counter reset hint")),
    };
    let schema = i32::try_from(reader.i64()?).map_err(|_| Corrupt("a histogram schema is out of range"))?;
    let zero_threshold = f64::from_bits(reader.fixed_u64()?);
    let positive_spans = read_spans(reader)?;
    let negative_spans = read_spans(reader)?;
    // A bucket's column takes at least one byte, so counts beyond the rest of the bytes are corruption.
    let bytes_left = reader.rest().len();
    let positive_buckets = vec![0.0; reader.count(BUCKETS_MAX.min(bytes_left))?];
    let negative_buckets = vec![0.0; reader.count(BUCKETS_MAX.min(bytes_left))?];
    let bounds_count = reader.count(BUCKETS_MAX.min(bytes_left))?;
    let mut custom_values = Vec::with_capacity(bounds_count);
    for _ in 0..bounds_count {
        custom_values.push(f64::from_bits(reader.fixed_u64()?));
    }
    Ok(FloatHistogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values,
        ..FloatHistogram::default()
    })
}

fn read_spans(reader: &mut Reader<'_>) -> Result<Vec<BucketSpan>, Corrupt> {
    let count = reader.count(BUCKETS_MAX.min(reader.rest().len()))?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(reader.i64()?).map_err(|_| Corrupt("a span begins out of range"))?;
        spans.push(BucketSpan { offset, length: reader.u32()? });
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE_NAN;
    use proptest::prelude::*;

    #[track_caller]
    fn check(histograms: Vec<FloatHistogram>) {
        let histograms: Vec<Arc<FloatHistogram>> = histograms.into_iter().map(Arc::new).collect();
        let mut bytes = Vec::new();
        encode(&histograms, &mut bytes);
        bytes.push(0xa5);
        let mut decoded = Vec::new();
        decode(&bytes, histograms.len(), &mut decoded).expect("sound");
        assert_eq!(decoded.len(), histograms.len());
        for (got, want) in decoded.iter().zip(&histograms) {
            assert!(got.same_bits(want), "{got:?} is not {want:?}");
        }
    }

    fn histogram(buckets: Vec<f64>, schema: i32, sum: f64) -> FloatHistogram {
        FloatHistogram {
            counter_reset_hint: CounterResetHint::NotReset,
            schema,
            zero_threshold: 1e-128,
            zero_count: 1.0,
            count: buckets.iter().sum(),
            sum,
            positive_spans: vec![BucketSpan { offset: -3, length: buckets.len() as u32 }],
            positive_buckets: buckets.clone(),
            negative_spans: vec![BucketSpan { offset: 2, length: buckets.len() as u32 }],
            negative_buckets: buckets,
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn layouts_may_change_and_end_with_a_marker() {
        let custom = FloatHistogram {
            schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![0.5, 2.5],
            positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            ..FloatHistogram::default()
        };
        let stale = FloatHistogram { sum: STALE_NAN, ..FloatHistogram::default() };
        check(vec![
            histogram(vec![1.0, 2.0], 3, 0.5),
            histogram(vec![1.0, 4.0], 3, -1.5),
            custom.clone(),
            custom,
            stale,
        ]);
        check(Vec::new());
    }

    proptest! {
        #[test]
        fn any_histograms_come_back(all in proptest::collection::vec(
            (proptest::collection::vec(0.0f64..1e9, 0..6), -4i32..=8, any::<u64>()), 0..20)) {
            check(all.into_iter().map(|(b, schema, sum)| histogram(b, schema, f64::from_bits(sum))).collect());
        }

        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..50) {
            let mut into = Vec::new();
            let decoded = decode(&bytes, count, &mut into);
            prop_assert!(decoded.is_err() || into.len() == count);
        }
    }
}
