//! `ExportMetricsServiceRequest` in JSON.
//!
//! Keys may come in any order, and a resource may stand behind its metrics. So each level is first cut into its parts as raw text,
//! then read; nothing is held but the part at hand. Names of fields are taken in camel case, as the specification wants them,
//! and as they are in protobuf; 64-bit numbers as text or numbers; enums as numbers or by name; ids in hexadecimal digits.

mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor as Visit};
use serde_json::value::RawValue;

use super::text::{AnyValue, read_base64};
use super::{
    Attributes, BUCKETS_MAX, Buckets, DEPTH_MAX, Example, Fault, Kind, Metric, NESTED_BYTES_MAX, OtlpError,
    Point, REPEATED_MAX, Scope, Visitor, push_bounded,
};
use values::{Real, TemporalityWord, Text, Whole};

type Json<T> = Result<T, serde_json::Error>;

/// Hands everything in `request` to `visitor`.
///
/// # Errors
/// If it is not JSON of this shape; the visitor may have seen part of it then, which must not be written.
pub fn decode(request: &[u8], visitor: &mut impl Visitor) -> Result<(), OtlpError> {
    let text = std::str::from_utf8(request).map_err(|_| OtlpError::Json("not valid UTF-8".to_owned()))?;
    let mut point = Point::default();
    request_of(text, &mut point, visitor).map_err(|error| OtlpError::Json(error.to_string()))
}

#[derive(Deserialize)]
struct RequestParts<'a> {
    #[serde(borrow, default, alias = "resource_metrics", rename = "resourceMetrics")]
    resource_metrics: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResourceMetricsParts<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "scope_metrics", rename = "scopeMetrics")]
    scope_metrics: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResourceParts<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ScopeMetricsParts<'a> {
    #[serde(borrow, default)]
    scope: Option<ScopeParts<'a>>,
    #[serde(borrow, default)]
    metrics: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "schema_url", rename = "schemaUrl")]
    schema_url: Text<'a>,
}

#[derive(Deserialize)]
struct ScopeParts<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MetricParts<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Text<'a>,
    #[serde(borrow, default)]
    unit: Text<'a>,
    #[serde(borrow, default)]
    gauge: Option<DataParts<'a>>,
    #[serde(borrow, default)]
    sum: Option<DataParts<'a>>,
    #[serde(borrow, default)]
    histogram: Option<DataParts<'a>>,
    #[serde(borrow, default, alias = "exponential_histogram", rename = "exponentialHistogram")]
    exponential_histogram: Option<DataParts<'a>>,
    #[serde(borrow, default)]
    summary: Option<DataParts<'a>>,
}

#[derive(Deserialize)]
struct DataParts<'a> {
    #[serde(borrow, default, alias = "data_points", rename = "dataPoints")]
    data_points: Option<&'a RawValue>,
    #[serde(default, alias = "aggregation_temporality", rename = "aggregationTemporality")]
    temporality: TemporalityWord,
    #[serde(default, alias = "is_monotonic", rename = "isMonotonic")]
    monotonic: Option<bool>,
}

fn request_of<'a>(text: &'a str, point: &mut Point<'a>, visitor: &mut impl Visitor) -> Json<()> {
    let request: RequestParts<'a> = serde_json::from_str(text)?;
    each(request.resource_metrics, |raw| {
        let parts: ResourceMetricsParts<'a> = serde_json::from_str(raw.get())?;
        let resource: Option<ResourceParts<'a>> =
            parts.resource.map(|raw| serde_json::from_str(raw.get())).transpose()?.flatten();
        visitor.resource(&attributes(resource.and_then(|resource| resource.attributes))?);
        each(parts.scope_metrics, |raw| scope_metrics(raw, point, visitor))?;
        visitor.end_resource();
        Ok(())
    })
}

fn scope_metrics<'a>(raw: &'a RawValue, point: &mut Point<'a>, visitor: &mut impl Visitor) -> Json<()> {
    let parts: ScopeMetricsParts<'a> = serde_json::from_str(raw.get())?;
    let mut scope = Scope { schema_url: parts.schema_url.0, ..Scope::default() };
    if let Some(known) = parts.scope {
        (scope.name, scope.version) = (known.name.0, known.version.0);
        scope.attributes = attributes(known.attributes)?;
    }
    visitor.scope(&scope);
    each(parts.metrics, |raw| metric(raw, point, visitor))
}

fn metric<'a>(raw: &'a RawValue, point: &mut Point<'a>, visitor: &mut impl Visitor) -> Json<()> {
    let parts: MetricParts<'a> = serde_json::from_str(raw.get())?;
    let kinds = [
        (parts.gauge, 0),
        (parts.sum, 1),
        (parts.histogram, 2),
        (parts.exponential_histogram, 3),
        (parts.summary, 4),
    ];
    let Some((data, kind)) = kinds.into_iter().find_map(|(data, kind)| Some((data?, kind))) else {
        return Ok(());
    };
    let temporality = data.temporality.0;
    let kind = match kind {
        0 => Kind::Gauge,
        1 => Kind::Sum { temporality, monotonic: data.monotonic.unwrap_or(false) },
        2 => Kind::Histogram(temporality),
        3 => Kind::Exponential(temporality),
        _ => Kind::Summary,
    };
    visitor.metric(&Metric {
        name: parts.name.0,
        description: parts.description.0,
        unit: parts.unit.0,
        kind,
        fault: None,
    });
    each(data.data_points, |raw| {
        point.clear();
        data_point(serde_json::from_str(raw.get())?, point)?;
        visitor.point(point);
        Ok(())
    })
}

/// All fields that points of any kind have; no name means two things.
#[derive(Deserialize)]
struct PointParts<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(default, alias = "start_time_unix_nano", rename = "startTimeUnixNano")]
    start_ns: Whole<u64>,
    #[serde(default, alias = "time_unix_nano", rename = "timeUnixNano")]
    time_ns: Whole<u64>,
    #[serde(default)]
    flags: Whole<u32>,
    #[serde(default, alias = "as_double", rename = "asDouble")]
    as_double: Option<Real>,
    #[serde(default, alias = "as_int", rename = "asInt")]
    as_int: Option<Whole<i64>>,
    #[serde(borrow, default)]
    exemplars: Option<&'a RawValue>,
    #[serde(default)]
    count: Whole<u64>,
    #[serde(default)]
    sum: Option<Real>,
    #[serde(borrow, default, alias = "bucket_counts", rename = "bucketCounts")]
    bucket_counts: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "explicit_bounds", rename = "explicitBounds")]
    explicit_bounds: Option<&'a RawValue>,
    #[serde(default)]
    scale: Whole<i32>,
    #[serde(default, alias = "zero_count", rename = "zeroCount")]
    zero_count: Whole<u64>,
    #[serde(default, alias = "zero_threshold", rename = "zeroThreshold")]
    zero_threshold: Option<Real>,
    #[serde(borrow, default)]
    positive: Option<BucketsParts<'a>>,
    #[serde(borrow, default)]
    negative: Option<BucketsParts<'a>>,
    #[serde(borrow, default, alias = "quantile_values", rename = "quantileValues")]
    quantile_values: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BucketsParts<'a> {
    #[serde(default)]
    offset: Whole<i32>,
    #[serde(borrow, default, alias = "bucket_counts", rename = "bucketCounts")]
    bucket_counts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct QuantileParts {
    #[serde(default)]
    quantile: Option<Real>,
    #[serde(default)]
    value: Option<Real>,
}

#[derive(Deserialize)]
struct ExemplarParts<'a> {
    #[serde(borrow, default, alias = "filtered_attributes", rename = "filteredAttributes")]
    attributes: Option<&'a RawValue>,
    #[serde(default, alias = "time_unix_nano", rename = "timeUnixNano")]
    time_ns: Whole<u64>,
    #[serde(default, alias = "as_double", rename = "asDouble")]
    as_double: Option<Real>,
    #[serde(default, alias = "as_int", rename = "asInt")]
    as_int: Option<Whole<i64>>,
    #[serde(borrow, default, alias = "span_id", rename = "spanId")]
    span_id: Text<'a>,
    #[serde(borrow, default, alias = "trace_id", rename = "traceId")]
    trace_id: Text<'a>,
}

fn data_point<'a>(parts: PointParts<'a>, point: &mut Point<'a>) -> Json<()> {
    point.attributes = attributes(parts.attributes)?;
    (point.start_ns, point.time_ns, point.flags) = (parts.start_ns.0, parts.time_ns.0, parts.flags.0);
    point.number = number_of(parts.as_double, parts.as_int);
    (point.count, point.sum) = (parts.count.0, parts.sum.map(|sum| sum.0));
    (point.scale, point.zero_count) = (parts.scale.0, parts.zero_count.0);
    point.zero_threshold = parts.zero_threshold.map_or(0.0, |threshold| threshold.0);
    let mut fault = None;
    let mut blame = |read: Result<(), Fault>| {
        if let Err(found) = read {
            fault.get_or_insert(found);
        }
    };
    blame(list(parts.bucket_counts, |Whole(count)| {
        push_bounded(&mut point.bucket_counts, count, BUCKETS_MAX)
    })?);
    blame(list(parts.explicit_bounds, |Real(bound)| push_bounded(&mut point.bounds, bound, BUCKETS_MAX))?);
    for (side, parts) in [(&mut point.positive, parts.positive), (&mut point.negative, parts.negative)] {
        if let Some(BucketsParts { offset: Whole(offset), bucket_counts }) = parts {
            let Buckets { offset: place, counts } = side;
            *place = offset;
            blame(list(bucket_counts, |Whole(count)| push_bounded(counts, count, BUCKETS_MAX))?);
        }
    }
    blame(list(parts.quantile_values, |parts: QuantileParts| {
        let number = |real: Option<Real>| real.map_or(0.0, |real| real.0);
        push_bounded(&mut point.quantiles, (number(parts.quantile), number(parts.value)), REPEATED_MAX)
    })?);
    let exemplars = &mut point.exemplars;
    each(parts.exemplars, |raw| {
        let parts: ExemplarParts<'a> = serde_json::from_str(raw.get())?;
        let example = Example {
            attributes: attributes(parts.attributes)?,
            time_ns: parts.time_ns.0,
            value: number_of(parts.as_double, parts.as_int),
            trace_id: id_of(&parts.trace_id.0),
            span_id: id_of(&parts.span_id.0),
        };
        // Of very many, the first are as good as any.
        let _ = push_bounded(exemplars, example, REPEATED_MAX);
        Ok(())
    })?;
    if let Some(fault) = fault {
        point.blame(fault);
    }
    Ok(())
}

fn number_of(double: Option<Real>, int: Option<Whole<i64>>) -> Option<f64> {
    double.map(|Real(number)| number).or(int.map(|Whole(number)| number as f64))
}

/// An id of nothing but zeros is none; what is no hexadecimal number is none either.
fn id_of(text: &str) -> String {
    let is_id = matches!(text.len(), 16 | 32)
        && text.bytes().all(|digit| digit.is_ascii_hexdigit())
        && text.bytes().any(|digit| digit != b'0');
    if is_id { text.to_ascii_lowercase() } else { String::new() }
}

/// Calls `then` for each element of an array (none for `null`), as the text is read.
fn each<'a>(raw: Option<&'a RawValue>, then: impl FnMut(&'a RawValue) -> Json<()>) -> Json<()> {
    struct Each<F>(F);
    impl<'a, F: FnMut(&'a RawValue) -> Json<()>> Visit<'a> for Each<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element::<&'a RawValue>()? {
                (self.0)(item).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    let Some(raw) = raw else { return Ok(()) };
    serde_json::Deserializer::from_str(raw.get()).deserialize_any(Each(then))
}

/// Hands each element of an array over. The inner result tells of the first that was not taken.
fn list<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    mut take: impl FnMut(T) -> Result<(), Fault>,
) -> Json<Result<(), Fault>> {
    let mut taken = Ok(());
    each(raw, |item| {
        let item = serde_json::from_str(item.get())?;
        if taken.is_ok() {
            taken = take(item);
        }
        Ok(())
    })?;
    Ok(taken)
}

#[derive(Deserialize)]
struct Pair<'a> {
    #[serde(borrow, default)]
    key: Text<'a>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

fn attributes(raw: Option<&RawValue>) -> Json<Attributes<'_>> {
    let mut attributes = Attributes::default();
    each(raw, |raw| {
        let pair: Pair<'_> = serde_json::from_str(raw.get())?;
        let value = match pair.value {
            None => Ok(AnyValue::Empty),
            Some(raw) => any_value(raw, DEPTH_MAX)?,
        };
        attributes.push(value.map(|value| (pair.key.0, value.into_text())));
        Ok(())
    })?;
    Ok(attributes)
}

#[derive(Deserialize)]
struct ValueParts<'a> {
    #[serde(borrow, default, alias = "string_value", rename = "stringValue")]
    string: Option<Text<'a>>,
    #[serde(default, alias = "bool_value", rename = "boolValue")]
    bool: Option<bool>,
    #[serde(default, alias = "int_value", rename = "intValue")]
    int: Option<Whole<i64>>,
    #[serde(default, alias = "double_value", rename = "doubleValue")]
    double: Option<Real>,
    #[serde(borrow, default, alias = "bytes_value", rename = "bytesValue")]
    bytes: Option<Text<'a>>,
    #[serde(borrow, default, alias = "array_value", rename = "arrayValue")]
    array: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "kvlist_value", rename = "kvlistValue")]
    map: Option<&'a RawValue>,
}

/// A value; lists and maps up to `depth` levels.
fn any_value(raw: &RawValue, depth: usize) -> Json<Result<AnyValue<'_>, Fault>> {
    let parts: Option<ValueParts<'_>> = serde_json::from_str(raw.get())?;
    let Some(parts) = parts else { return Ok(Ok(AnyValue::Empty)) };
    let is_long = |raw: &RawValue| depth == 0 || raw.get().len() > NESTED_BYTES_MAX;
    Ok(Ok(match parts {
        ValueParts { string: Some(text), .. } => AnyValue::Text(text.0),
        ValueParts { bool: Some(yes), .. } => AnyValue::Bool(yes),
        ValueParts { int: Some(number), .. } => AnyValue::Int(number.0),
        ValueParts { double: Some(number), .. } => AnyValue::Double(number.0),
        ValueParts { bytes: Some(text), .. } if text.0.len() > NESTED_BYTES_MAX => {
            return Ok(Err(Fault::Nested));
        }
        ValueParts { bytes: Some(text), .. } => match read_base64(&text.0) {
            Some(bytes) => AnyValue::Bytes(Cow::Owned(bytes)),
            None => return Ok(Err(Fault::Encoding("bytes"))),
        },
        ValueParts { array: Some(raw), .. } | ValueParts { map: Some(raw), .. } if is_long(raw) => {
            return Ok(Err(Fault::Nested));
        }
        ValueParts { array: Some(raw), .. } => return array(raw, depth - 1),
        ValueParts { map: Some(raw), .. } => return map(raw, depth - 1),
        _ => AnyValue::Empty,
    }))
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
}

fn array(raw: &RawValue, depth: usize) -> Json<Result<AnyValue<'_>, Fault>> {
    let mut items = Ok(Vec::new());
    let parts: Values<'_> = serde_json::from_str(raw.get())?;
    each(parts.values, |raw| {
        let item = any_value(raw, depth)?;
        if let Ok(known) = &mut items
            && let Err(fault) = item.map(|item| known.push(item))
        {
            items = Err(fault);
        }
        Ok(())
    })?;
    Ok(items.map(AnyValue::List))
}

fn map(raw: &RawValue, depth: usize) -> Json<Result<AnyValue<'_>, Fault>> {
    let parts: Values<'_> = serde_json::from_str(raw.get())?;
    let mut items: Result<BTreeMap<String, AnyValue<'_>>, Fault> = Ok(BTreeMap::new());
    each(parts.values, |raw| {
        let pair: Pair<'_> = serde_json::from_str(raw.get())?;
        let value = pair.value.map_or(Ok(Ok(AnyValue::Empty)), |raw| any_value(raw, depth))?;
        if let Ok(known) = &mut items
            && let Err(fault) = value.map(|value| known.insert(pair.key.0.into_owned(), value))
        {
            items = Err(fault);
        }
        Ok(())
    })?;
    Ok(items.map(AnyValue::Map))
}
