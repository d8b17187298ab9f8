//! `ExportMetricsServiceRequest` in protobuf.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::text::{AnyValue, write_hex};
use super::{
    Attributes, BUCKETS_MAX, Buckets, DEPTH_MAX, Example, Fault, Kind, Metric, NESTED_BYTES_MAX, OtlpError,
    Point, REPEATED_MAX, Scope, Temporality, Visitor, push_bounded,
};
use crate::protobuf::{ProtobufError, Reader, Value, zigzag_decode};

/// Hands everything in `request` to `visitor`.
///
/// # Errors
/// If it is not protobuf of this shape; the visitor may have seen part of it then, which must not be written.
pub fn decode(request: &[u8], visitor: &mut impl Visitor) -> Result<(), OtlpError> {
    let mut point = Point::default();
    let mut reader = Reader::new(request);
    loop {
        let fault = |what| move |error| OtlpError::Protobuf { what, error };
        match reader.next_field().map_err(fault("request"))? {
            Some((1, value)) => value
                .bytes(1)
                .and_then(|message| resource_metrics(message, &mut point, visitor))
                .map_err(fault("resource metrics"))?,
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

fn resource_metrics<'a>(
    message: &'a [u8],
    point: &mut Point<'a>,
    visitor: &mut impl Visitor,
) -> Result<(), ProtobufError> {
    let mut attributes = Attributes::default();
    each(message, 1, |resource| each(resource, 1, |pair| attribute(pair, &mut attributes)))?;
    visitor.resource(&attributes);
    each(message, 2, |scope| scope_metrics(scope, point, visitor))?;
    visitor.end_resource();
    Ok(())
}

/// Calls `then` for each occurrence of a field that holds bytes.
fn each<'a>(
    message: &'a [u8],
    wanted: u32,
    mut then: impl FnMut(&'a [u8]) -> Result<(), ProtobufError>,
) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        if field == wanted {
            then(value.bytes(field)?)?;
        }
    }
    Ok(())
}

fn scope_metrics<'a>(
    message: &'a [u8],
    point: &mut Point<'a>,
    visitor: &mut impl Visitor,
) -> Result<(), ProtobufError> {
    let mut scope = Scope::default();
    let mut fault = None;
    let mut text = |bytes| text_or(bytes, &mut fault);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => {
                let mut reader = Reader::new(value.bytes(field)?);
                while let Some((field, value)) = reader.next_field()? {
                    match field {
                        1 => scope.name = text(value.bytes(field)?),
                        2 => scope.version = text(value.bytes(field)?),
                        3 => attribute(value.bytes(field)?, &mut scope.attributes)?,
                        _ => {}
                    }
                }
            }
            3 => scope.schema_url = text(value.bytes(field)?),
            _ => {}
        }
    }
    scope.attributes.fault = scope.attributes.fault.or(fault);
    visitor.scope(&scope);
    each(message, 2, |message| metric(message, point, visitor))
}

fn text_or<'a>(bytes: &'a [u8], fault: &mut Option<Fault>) -> Cow<'a, str> {
    std::str::from_utf8(bytes).map_or_else(
        |_| {
            fault.get_or_insert(Fault::NotUtf8);
            Cow::Owned(String::from_utf8_lossy(bytes).into_owned())
        },
        Cow::Borrowed,
    )
}

fn metric<'a>(
    message: &'a [u8],
    point: &mut Point<'a>,
    visitor: &mut impl Visitor,
) -> Result<(), ProtobufError> {
    let mut metric = Metric::default();
    let (mut fault, mut ignored) = (None, None);
    let mut data: (u32, &[u8]) = (0, b"");
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => metric.name = text_or(value.bytes(field)?, &mut fault),
            // Words for people: odd bytes in them are no reason to lose samples.
            2 => metric.description = text_or(value.bytes(field)?, &mut ignored),
            3 => metric.unit = text_or(value.bytes(field)?, &mut fault),
            5 | 7 | 9 | 10 | 11 => data = (field, value.bytes(field)?),
            _ => {}
        }
    }
    let (mut temporality, mut monotonic) = (Temporality::Unspecified, false);
    let mut reader = Reader::new(data.1);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            2 => temporality = Temporality::of_number(value.varint(field)?),
            3 => monotonic = value.varint(field)? != 0,
            _ => {}
        }
    }
    metric.kind = match data.0 {
        5 => Kind::Gauge,
        7 => Kind::Sum { temporality, monotonic },
        9 => Kind::Histogram(temporality),
        10 => Kind::Exponential(temporality),
        11 => Kind::Summary,
        _ => return Ok(()),
    };
    metric.fault = fault;
    visitor.metric(&metric);
    each(data.1, 1, |message| {
        point.clear();
        match data.0 {
            5 | 7 => number_point(message, point)?,
            9 => histogram_point(message, point)?,
            10 => exponential_point(message, point)?,
            _ => summary_point(message, point)?,
        }
        visitor.point(point);
        Ok(())
    })
}

fn fixed64(value: Value<'_>, field: u32) -> Result<u64, ProtobufError> {
    value.double(field).map(f64::to_bits)
}

fn number_point<'a>(message: &'a [u8], point: &mut Point<'a>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            2 => point.start_ns = fixed64(value, field)?,
            3 => point.time_ns = fixed64(value, field)?,
            4 => point.number = Some(value.double(field)?),
            5 => exemplar(value.bytes(field)?, point)?,
            6 => point.number = Some(fixed64(value, field)?.cast_signed() as f64),
            7 => attribute(value.bytes(field)?, &mut point.attributes)?,
            8 => point.flags = value.varint(field)? as u32,
            _ => {}
        }
    }
    Ok(())
}

fn histogram_point<'a>(message: &'a [u8], point: &mut Point<'a>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        let listed = match field {
            2 => set(&mut point.start_ns, fixed64(value, field)?),
            3 => set(&mut point.time_ns, fixed64(value, field)?),
            4 => set(&mut point.count, fixed64(value, field)?),
            5 => set(&mut point.sum, Some(value.double(field)?)),
            6 => fixed_list(value, field, |bits| push_bounded(&mut point.bucket_counts, bits, BUCKETS_MAX))?,
            7 => fixed_list(value, field, |bits| {
                push_bounded(&mut point.bounds, f64::from_bits(bits), BUCKETS_MAX)
            })?,
            8 => Ok(exemplar(value.bytes(field)?, point)?),
            9 => Ok(attribute(value.bytes(field)?, &mut point.attributes)?),
            10 => set(&mut point.flags, value.varint(field)? as u32),
            _ => Ok(()),
        };
        listed.unwrap_or_else(|fault| point.blame(fault));
    }
    Ok(())
}

fn set<T>(place: &mut T, value: T) -> Result<(), Fault> {
    *place = value;
    Ok(())
}

/// A repeated fixed64 or double, packed or not. The inner result tells of a list that is too long.
fn fixed_list(
    value: Value<'_>,
    field: u32,
    mut push: impl FnMut(u64) -> Result<(), Fault>,
) -> Result<Result<(), Fault>, ProtobufError> {
    let Value::Bytes(packed) = value else { return Ok(push(fixed64(value, field)?)) };
    let mut reader = Reader::new(packed);
    let mut pushed = Ok(());
    while !reader.is_empty() {
        let bits = reader.fixed64()?;
        pushed = pushed.and_then(|()| push(bits));
    }
    Ok(pushed)
}

fn exponential_point<'a>(message: &'a [u8], point: &mut Point<'a>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => attribute(value.bytes(field)?, &mut point.attributes)?,
            2 => point.start_ns = fixed64(value, field)?,
            3 => point.time_ns = fixed64(value, field)?,
            4 => point.count = fixed64(value, field)?,
            5 => point.sum = Some(value.double(field)?),
            6 => point.scale = zigzag_decode(value.varint(field)?) as i32,
            7 => point.zero_count = fixed64(value, field)?,
            8 | 9 => {
                let side = if field == 8 { &mut point.positive } else { &mut point.negative };
                buckets(value.bytes(field)?, side)?.unwrap_or_else(|fault| point.blame(fault));
            }
            10 => point.flags = value.varint(field)? as u32,
            11 => exemplar(value.bytes(field)?, point)?,
            14 => point.zero_threshold = value.double(field)?,
            _ => {}
        }
    }
    Ok(())
}

fn buckets(message: &[u8], buckets: &mut Buckets) -> Result<Result<(), Fault>, ProtobufError> {
    let mut pushed = Ok(());
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match (field, value) {
            (1, value) => buckets.offset = zigzag_decode(value.varint(field)?) as i32,
            (2, Value::Bytes(packed)) => {
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    let count = reader.varint()?;
                    pushed = pushed.and_then(|()| push_bounded(&mut buckets.counts, count, BUCKETS_MAX));
                }
            }
            (2, value) => {
                let count = value.varint(field)?;
                pushed = pushed.and_then(|()| push_bounded(&mut buckets.counts, count, BUCKETS_MAX));
            }
            _ => {}
        }
    }
    Ok(pushed)
}

fn summary_point<'a>(message: &'a [u8], point: &mut Point<'a>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            2 => point.start_ns = fixed64(value, field)?,
            3 => point.time_ns = fixed64(value, field)?,
            4 => point.count = fixed64(value, field)?,
            5 => point.sum = Some(value.double(field)?),
            6 => {
                let (mut quantile, mut at) = (0.0, 0.0);
                let mut reader = Reader::new(value.bytes(field)?);
                while let Some((field, value)) = reader.next_field()? {
                    match field {
                        1 => quantile = value.double(field)?,
                        2 => at = value.double(field)?,
                        _ => {}
                    }
                }
                push_bounded(&mut point.quantiles, (quantile, at), REPEATED_MAX)
                    .unwrap_or_else(|fault| point.blame(fault));
            }
            7 => attribute(value.bytes(field)?, &mut point.attributes)?,
            8 => point.flags = value.varint(field)? as u32,
            _ => {}
        }
    }
    Ok(())
}

fn exemplar<'a>(message: &'a [u8], point: &mut Point<'a>) -> Result<(), ProtobufError> {
    let mut example = Example::default();
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            2 => example.time_ns = fixed64(value, field)?,
            3 => example.value = Some(value.double(field)?),
            4 => write_id(&mut example.span_id, value.bytes(field)?),
            5 => write_id(&mut example.trace_id, value.bytes(field)?),
            6 => example.value = Some(fixed64(value, field)?.cast_signed() as f64),
            7 => attribute(value.bytes(field)?, &mut example.attributes)?,
            _ => {}
        }
    }
    // Of very many, the first are as good as any.
    let _ = push_bounded(&mut point.exemplars, example, REPEATED_MAX);
    Ok(())
}

/// An id of nothing but zeros is none; one of odd length is none either.
fn write_id(out: &mut String, bytes: &[u8]) {
    out.clear();
    if matches!(bytes.len(), 8 | 16) && bytes.iter().any(|byte| *byte != 0) {
        write_hex(out, bytes);
    }
}

fn attribute<'a>(message: &'a [u8], attributes: &mut Attributes<'a>) -> Result<(), ProtobufError> {
    let (mut key, mut value): (&[u8], &[u8]) = (b"", b"");
    let mut reader = Reader::new(message);
    while let Some((field, content)) = reader.next_field()? {
        match field {
            1 => key = content.bytes(field)?,
            2 => value = content.bytes(field)?,
            _ => {}
        }
    }
    let key = std::str::from_utf8(key).map_err(|_| Fault::NotUtf8);
    let value = any_value(value, DEPTH_MAX)?;
    attributes.push(key.and_then(|key| Ok((Cow::Borrowed(key), value?.into_text()))));
    Ok(())
}

fn any_value(message: &[u8], depth: usize) -> Result<Result<AnyValue<'_>, Fault>, ProtobufError> {
    let mut found = Ok(AnyValue::Empty);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        found = match field {
            1 => std::str::from_utf8(value.bytes(field)?)
                .map(|text| AnyValue::Text(Cow::Borrowed(text)))
                .map_err(|_| Fault::NotUtf8),
            2 => Ok(AnyValue::Bool(value.varint(field)? != 0)),
            3 => Ok(AnyValue::Int(value.int64(field)?)),
            4 => Ok(AnyValue::Double(value.double(field)?)),
            5..=7 => {
                let bytes = value.bytes(field)?;
                if bytes.len() > NESTED_BYTES_MAX || depth == 0 {
                    Err(Fault::Nested)
                } else {
                    match field {
                        5 => list(bytes, depth - 1)?,
                        6 => map(bytes, depth - 1)?,
                        _ => Ok(AnyValue::Bytes(Cow::Borrowed(bytes))),
                    }
                }
            }
            _ => continue,
        };
    }
    Ok(found)
}

fn list(message: &[u8], depth: usize) -> Result<Result<AnyValue<'_>, Fault>, ProtobufError> {
    let mut items = Ok(Vec::new());
    each(message, 1, |item| {
        let item = any_value(item, depth)?;
        if let Ok(known) = &mut items
            && let Err(fault) = item.map(|item| known.push(item))
        {
            items = Err(fault);
        }
        Ok(())
    })?;
    Ok(items.map(AnyValue::List))
}

fn map(message: &[u8], depth: usize) -> Result<Result<AnyValue<'_>, Fault>, ProtobufError> {
    let mut items: Result<BTreeMap<String, AnyValue<'_>>, Fault> = Ok(BTreeMap::new());
    each(message, 1, |pair| {
        let (mut key, mut value): (&[u8], &[u8]) = (b"", b"");
        let mut reader = Reader::new(pair);
        while let Some((field, content)) = reader.next_field()? {
            match field {
                1 => key = content.bytes(field)?,
                2 => value = content.bytes(field)?,
                _ => {}
            }
        }
        let value = any_value(value, depth)?;
        let key = String::from_utf8(key.to_vec()).map_err(|_| Fault::NotUtf8);
        let pair = key.and_then(|key| Ok((key, value?)));
        if let Ok(known) = &mut items
            && let Err(fault) = pair.map(|(key, value)| known.insert(key, value))
        {
            items = Err(fault);
        }
        Ok(())
    })?;
    Ok(items.map(AnyValue::Map))
}
