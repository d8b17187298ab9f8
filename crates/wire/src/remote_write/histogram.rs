//! Native histograms of remote write, with integer or float counts.

use model::{BucketSpan, CounterResetHint, FloatHistogram, UNKNOWN_START_MS};

use crate::protobuf::{ProtobufError, Reader, Value, Writer, zigzag_decode, zigzag_encode};

/// Integer counts come as differences from bucket to bucket, floats as they are.
#[derive(Default)]
struct Side {
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// A `Histogram` message with its timestamp. Not validated.
pub(super) fn decode(message: &[u8]) -> Result<(i64, FloatHistogram), ProtobufError> {
    decode_with_start(message).map(|(timestamp_ms, _, histogram)| (timestamp_ms, histogram))
}

/// A `Histogram` message with its timestamp and, as only 2.0 has it, when it began to count. Not validated.
pub(crate) fn decode_with_start(message: &[u8]) -> Result<(i64, i64, FloatHistogram), ProtobufError> {
    let mut histogram = FloatHistogram::default();
    let (mut timestamp_ms, mut start_ms) = (0, UNKNOWN_START_MS);
    let mut has_float_counts = false;
    let (mut negative, mut positive) = (Side::default(), Side::default());
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => histogram.count = value.varint(field)? as f64,
            2 => {
                histogram.count = value.double(field)?;
                has_float_counts = true;
            }
            3 => histogram.sum = value.double(field)?,
            4 => histogram.schema = sint32(value.varint(field)?),
            5 => histogram.zero_threshold = value.double(field)?,
            6 => histogram.zero_count = value.varint(field)? as f64,
            7 => histogram.zero_count = value.double(field)?,
            8 => histogram.negative_spans.push(span(value.bytes(field)?)?),
            9 => deltas(field, value, &mut negative.deltas)?,
            10 => doubles(field, value, &mut negative.counts)?,
            11 => histogram.positive_spans.push(span(value.bytes(field)?)?),
            12 => deltas(field, value, &mut positive.deltas)?,
            13 => doubles(field, value, &mut positive.counts)?,
            14 => histogram.counter_reset_hint = hint(value.varint(field)?),
            15 => timestamp_ms = value.int64(field)?,
            16 => doubles(field, value, &mut histogram.custom_values)?,
            17 => start_ms = value.int64(field)?,
            _ => {}
        }
    }
    histogram.negative_buckets = negative.into_counts(has_float_counts);
    histogram.positive_buckets = positive.into_counts(has_float_counts);
    Ok((timestamp_ms, start_ms, histogram))
}

impl Side {
    fn into_counts(self, has_float_counts: bool) -> Vec<f64> {
        if has_float_counts {
            return self.counts;
        }
        // A sum that leaves the 64 bits goes negative, and validation refuses it.
        let sums = self.deltas.into_iter().scan(0i64, |count, delta| {
            *count = count.wrapping_add(delta);
            Some(*count as f64)
        });
        sums.collect()
    }
}

pub(crate) fn sint32(number: u64) -> i32 {
    zigzag_decode(number) as i32
}

fn hint(number: u64) -> CounterResetHint {
    match number {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

pub(crate) fn span(message: &[u8]) -> Result<BucketSpan, ProtobufError> {
    let mut span = BucketSpan::default();
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => span.offset = sint32(value.varint(field)?),
            2 => span.length = value.varint(field)? as u32,
            _ => {}
        }
    }
    Ok(span)
}

pub(crate) fn deltas(field: u32, value: Value<'_>, into: &mut Vec<i64>) -> Result<(), ProtobufError> {
    let Value::Bytes(packed) = value else {
        into.push(zigzag_decode(value.varint(field)?));
        return Ok(());
    };
    let mut reader = Reader::new(packed);
    while !reader.is_empty() {
        into.push(zigzag_decode(reader.varint()?));
    }
    Ok(())
}

pub(crate) fn doubles(field: u32, value: Value<'_>, into: &mut Vec<f64>) -> Result<(), ProtobufError> {
    let Value::Bytes(packed) = value else {
        into.push(value.double(field)?);
        return Ok(());
    };
    let mut reader = Reader::new(packed);
    while !reader.is_empty() {
        into.push(f64::from_bits(reader.fixed64()?));
    }
    Ok(())
}

/// Appends the `Histogram` message with float counts.
pub(crate) fn encode(timestamp_ms: i64, histogram: &FloatHistogram, out: &mut Writer) {
    out.double_always(2, histogram.count);
    out.double(3, histogram.sum);
    out.varint(4, zigzag_encode(i64::from(histogram.schema)));
    out.double(5, histogram.zero_threshold);
    out.double_always(7, histogram.zero_count);
    spans(8, &histogram.negative_spans, out);
    out.doubles(10, &histogram.negative_buckets);
    spans(11, &histogram.positive_spans, out);
    out.doubles(13, &histogram.positive_buckets);
    out.varint(
        14,
        match histogram.counter_reset_hint {
            CounterResetHint::Unknown => 0,
            CounterResetHint::Reset => 1,
            CounterResetHint::NotReset => 2,
            CounterResetHint::Gauge => 3,
        },
    );
    out.int64(15, timestamp_ms);
    out.doubles(16, &histogram.custom_values);
}

fn spans(field: u32, spans: &[BucketSpan], out: &mut Writer) {
    let mut message = Writer::new();
    for span in spans {
        message.clear();
        message.varint(1, zigzag_encode(i64::from(span.offset)));
        message.varint(2, u64::from(span.length));
        out.bytes(field, message.as_bytes());
    }
}
