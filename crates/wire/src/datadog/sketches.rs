//! `SketchPayload`: distributions, as DDSketch bins.
//!
//! Bin `k` above 0 holds values near `gamma^(k - bias)`, with the constants of Datadog's agent; bin 0 holds zeros, bins below 0 the negative values.

use crate::protobuf::{ProtobufError, Reader};

/// Relative width of the agent's bins.
const GAMMA: f64 = 1.0 + 2.0 / 128.0;
/// Added to a bin's exponent, so that the smallest value has bin 1: 1e-9 is the smallest.
const BIAS: i32 = 1_338;

/// The bin of everything that is too large.
const KEY_INFINITY: i32 = 32_767;

/// A distribution with its points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sketch<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The metric's name, not empty.
    pub metric: &'a str,
    /// The host; empty if nobody said.
    pub host: &'a str,
    /// `name:value`, or only a name.
    pub tags: Vec<&'a str>,
    /// What was seen until when.
    pub points: Vec<SketchPoint>,
}

/// Observations of an interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SketchPoint {
    /// Seconds.
    pub seconds: i64,
    /// How many.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The value that a bin stands for, and how many are near it.
    pub bins: Vec<(f64, f64)>,
}

/// Hands each sketch of a `SketchPayload` to `take`, which may end the reading by returning `false`.
///
/// # Errors
/// If it is not protobuf of this shape; sketches before the fault have been handed over.
pub fn read_sketches<'a>(
    body: &'a [u8],
    mut take: impl FnMut(usize, Result<&Sketch<'a>, String>) -> bool,
) -> Result<(), ProtobufError> {
    let mut sketch = Sketch::default();
    let mut reader = Reader::new(body);
    while let Some((field, value)) = reader.next_field()? {
        if field != 1 {
            continue;
        }
        sketch.number += 1;
        let is_text = read_sketch(value.bytes(field)?, &mut sketch)?;
        let made = match (is_text, sketch.metric.is_empty()) {
            (false, _) => Err("a text is not valid UTF-8".to_owned()),
            (true, true) => Err("it has no metric's name".to_owned()),
            (true, false) => Ok(&sketch),
        };
        if !take(sketch.number, made) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether all texts are texts.
fn read_sketch<'a>(message: &'a [u8], sketch: &mut Sketch<'a>) -> Result<bool, ProtobufError> {
    (sketch.metric, sketch.host) = ("", "");
    sketch.tags.clear();
    sketch.points.clear();
    let mut is_text = true;
    let mut text = |bytes: &'a [u8]| {
        std::str::from_utf8(bytes).unwrap_or_else(|_| {
            is_text = false;
            ""
        })
    };
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => sketch.metric = text(value.bytes(field)?),
            2 => sketch.host = text(value.bytes(field)?),
            4 => sketch.tags.push(text(value.bytes(field)?)),
            7 => sketch.points.push(point(value.bytes(field)?)?),
            _ => {}
        }
    }
    Ok(is_text)
}

/// A `Dogsketch`.
fn point(message: &[u8]) -> Result<SketchPoint, ProtobufError> {
    let mut point = SketchPoint::default();
    let (mut keys, mut counts) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => point.seconds = value.int64(field)?,
            2 => point.count = value.int64(field)? as f64,
            6 => point.sum = value.double(field)?,
            7 => numbers(value, field, &mut keys)?,
            8 => numbers(value, field, &mut counts)?,
            _ => {}
        }
    }
    let keys = keys.into_iter().map(|number| crate::protobuf::zigzag_decode(number) as i32);
    point.bins = keys.zip(counts).map(|(key, count)| (value_of(key), count as f64)).collect();
    Ok(point)
}

/// Packed numbers, or one of a list that is not packed.
fn numbers(value: crate::protobuf::Value<'_>, field: u32, into: &mut Vec<u64>) -> Result<(), ProtobufError> {
    if let crate::protobuf::Value::Varint(number) = value {
        into.push(number);
        return Ok(());
    }
    let mut packed = Reader::new(value.bytes(field)?);
    while !packed.is_empty() {
        into.push(packed.varint()?);
    }
    Ok(())
}

fn value_of(key: i32) -> f64 {
    match key {
        0 => 0.0,
        // The agent's bins for what is too large.
        key if key >= KEY_INFINITY => f64::MAX,
        key if key <= -KEY_INFINITY => f64::MIN,
        key if key > 0 => GAMMA.powi(key - BIAS),
        key => -GAMMA.powi(-key - BIAS),
    }
}
