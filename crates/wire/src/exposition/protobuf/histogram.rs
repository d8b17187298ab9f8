//! The messages `Histogram` and `Bucket`, read where they lie.

use model::{CounterResetHint, FloatHistogram};

use super::Fault;
use super::metric::timestamp;
use crate::protobuf::{ProtobufError, Reader, Value};
use crate::remote_write::histogram as fields;

/// What a histogram says without its buckets.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) start_ms: Option<i64>,
    pub(super) is_native: bool,
}

/// Reads a histogram without its buckets.
pub(super) fn summarise(message: &[u8]) -> Result<Summary, ProtobufError> {
    let mut summary = Summary::default();
    let mut float_count = 0.0;
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => summary.count = value.varint(field)? as f64,
            2 => summary.sum = value.double(field)?,
            4 => float_count = value.double(field)?,
            6 => summary.is_native |= value.double(field)? > 0.0,
            7 => summary.is_native |= value.varint(field)? > 0,
            8 => summary.is_native |= value.double(field)? > 0.0,
            9 | 12 => summary.is_native = true,
            15 => summary.start_ms = Some(timestamp(value.bytes(field)?)?),
            _ => {}
        }
    }
    if float_count > 0.0 {
        summary.count = float_count;
    }
    Ok(summary)
}

/// A classic bucket.
#[derive(Debug)]
pub(super) struct Bucket<'a> {
    pub(super) bound: f64,
    /// Observations up to the bound.
    pub(super) count: f64,
    pub(super) exemplar: Option<&'a [u8]>,
}

pub(super) fn bucket(message: &[u8]) -> Result<Bucket<'_>, ProtobufError> {
    let mut bucket = Bucket { bound: 0.0, count: 0.0, exemplar: None };
    let mut float_count = 0.0;
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => bucket.count = value.varint(field)? as f64,
            2 => bucket.bound = value.double(field)?,
            3 => bucket.exemplar = Some(value.bytes(field)?),
            4 => float_count = value.double(field)?,
            _ => {}
        }
    }
    if float_count > 0.0 {
        bucket.count = float_count;
    }
    Ok(bucket)
}

/// The classic buckets of a histogram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets<'a>(Reader<'a>);

impl<'a> Buckets<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(Reader::new(message))
    }

    pub(super) fn next(&mut self) -> Result<Option<Bucket<'a>>, ProtobufError> {
        while let Some((field, value)) = self.0.next_field()? {
            if field == 3 {
                return bucket(value.bytes(field)?).map(Some);
            }
        }
        Ok(None)
    }
}

/// Buckets, spans or exemplars of one histogram: far more than any exporter has, and few enough that a message of a few bytes each cannot
/// take much memory.
pub(super) const PARTS_MAX: usize = 1 << 16;

/// Refuses a histogram that has more parts than that.
pub(super) fn check_count(count: usize, what: &str) -> Result<(), Fault> {
    if count <= PARTS_MAX {
        return Ok(());
    }
    Err(Fault::Content(format!("a histogram has more than {PARTS_MAX} {what}")))
}

/// How many numbers of variable length, or doubles, a field holds.
fn count_of(value: Value<'_>, is_varint: bool) -> usize {
    match value {
        Value::Bytes(packed) if is_varint => packed.iter().filter(|byte| **byte < 0x80).count(),
        Value::Bytes(packed) => packed.len() / 8,
        _ => 1,
    }
}

/// The native histogram of a message; not validated.
pub(super) fn native(message: &[u8], is_gauge: bool) -> Result<FloatHistogram, Fault> {
    let mut histogram = FloatHistogram::default();
    let (mut float_count, mut float_zero) = (0.0, 0.0);
    let (mut negative_deltas, mut positive_deltas) = (Vec::new(), Vec::new());
    let (mut negative_counts, mut positive_counts) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => histogram.count = value.varint(field)? as f64,
            2 => histogram.sum = value.double(field)?,
            4 => float_count = value.double(field)?,
            5 => histogram.schema = fields::sint32(value.varint(field)?),
            6 => histogram.zero_threshold = value.double(field)?,
            7 => histogram.zero_count = value.varint(field)? as f64,
            8 => float_zero = value.double(field)?,
            9 => histogram.negative_spans.push(fields::span(value.bytes(field)?)?),
            10 => {
                check_count(negative_deltas.len() + count_of(value, true), "buckets")?;
                fields::deltas(field, value, &mut negative_deltas)?;
            }
            11 => {
                check_count(negative_counts.len() + count_of(value, false), "buckets")?;
                fields::doubles(field, value, &mut negative_counts)?;
            }
            12 => histogram.positive_spans.push(fields::span(value.bytes(field)?)?),
            13 => {
                check_count(positive_deltas.len() + count_of(value, true), "buckets")?;
                fields::deltas(field, value, &mut positive_deltas)?;
            }
            14 => {
                check_count(positive_counts.len() + count_of(value, false), "buckets")?;
                fields::doubles(field, value, &mut positive_counts)?;
            }
            _ => {}
        }
        check_count(histogram.negative_spans.len().max(histogram.positive_spans.len()), "spans")?;
    }
    if float_count > 0.0 || float_zero > 0.0 {
        (histogram.count, histogram.zero_count) = (float_count, float_zero);
        (histogram.negative_buckets, histogram.positive_buckets) = (negative_counts, positive_counts);
    } else {
        histogram.negative_buckets = summed(&negative_deltas);
        histogram.positive_buckets = summed(&positive_deltas);
    }
    if is_gauge {
        histogram.counter_reset_hint = CounterResetHint::Gauge;
    }
    // The no-op span that marks an empty histogram as native has done its work.
    histogram.negative_spans.retain(|span| span.length > 0 || span.offset != 0);
    histogram.positive_spans.retain(|span| span.length > 0 || span.offset != 0);
    Ok(histogram)
}

/// Counts from the differences between them. A sum that leaves the 64 bits goes negative, and validation refuses it.
fn summed(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0i64;
    let sums = deltas.iter().map(|delta| {
        count = count.wrapping_add(*delta);
        count as f64
    });
    sums.collect()
}
