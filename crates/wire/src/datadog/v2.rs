//! `MetricPayload`: series of version 2 as protobuf.

use std::borrow::Cow;

use super::{Kind, Series, Take};
use crate::protobuf::{ProtobufError, Reader};

/// Hands each series of a `MetricPayload` to `take`.
///
/// # Errors
/// If it is not protobuf of this shape; series before the fault have been handed over.
pub fn read_protobuf<'a>(body: &'a [u8], take: Take<'_, 'a>) -> Result<(), ProtobufError> {
    let mut series = Series::default();
    let mut reader = Reader::new(body);
    while let Some((field, value)) = reader.next_field()? {
        if field != 1 {
            continue;
        }
        series.number += 1;
        let made = read_series(value.bytes(field)?, &mut series)?;
        if !take(series.number, made.map(|()| &series).map_err(str::to_owned)) {
            return Ok(());
        }
    }
    Ok(())
}

fn read_series<'a>(
    message: &'a [u8],
    series: &mut Series<'a>,
) -> Result<Result<(), &'static str>, ProtobufError> {
    (series.metric, series.host, series.device) = (Cow::default(), Cow::default(), Cow::default());
    series.kind = Kind::Gauge;
    series.tags.clear();
    series.points.clear();
    let mut is_text = true;
    let mut text = |bytes: &'a [u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            is_text = false;
            Cow::default()
        }
    };
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => {
                let (kind, name) = two_texts(value.bytes(field)?)?;
                match kind {
                    b"host" => series.host = text(name),
                    b"device" => series.device = text(name),
                    _ => {}
                }
            }
            2 => series.metric = text(value.bytes(field)?),
            3 => series.tags.push(text(value.bytes(field)?)),
            4 => series.points.push(point(value.bytes(field)?)?),
            5 => {
                series.kind = match value.varint(field)? {
                    1 => Kind::Count,
                    2 => Kind::Rate,
                    _ => Kind::Gauge,
                }
            }
            _ => {}
        }
    }
    Ok(match (is_text, series.metric.is_empty()) {
        (false, _) => Err("a text is not valid UTF-8"),
        (true, true) => Err("it has no metric's name"),
        (true, false) => Ok(()),
    })
}

fn two_texts(message: &[u8]) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut first, mut second) = (&b""[..], &b""[..]);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => first = value.bytes(field)?,
            2 => second = value.bytes(field)?,
            _ => {}
        }
    }
    Ok((first, second))
}

/// Seconds and value.
fn point(message: &[u8]) -> Result<(f64, f64), ProtobufError> {
    let (mut number, mut seconds) = (0.0, 0);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => number = value.double(field)?,
            2 => seconds = value.int64(field)?,
            _ => {}
        }
    }
    Ok((seconds as f64, number))
}
