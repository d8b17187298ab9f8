//! Native histograms in JSON lines: an object with everything a histogram has, numbers as texts, so that no reader rounds them.

use model::{BucketSpan, CounterResetHint, FloatHistogram, STALE_NAN};
use serde_json::{Value, json};

const HINTS: [(&str, CounterResetHint); 4] = [
    ("unknown", CounterResetHint::Unknown),
    ("reset", CounterResetHint::Reset),
    ("notReset", CounterResetHint::NotReset),
    ("gauge", CounterResetHint::Gauge),
];

/// A value as text; `stale` is the staleness marker.
pub fn number(value: f64) -> Value {
    if value.to_bits() == STALE_NAN.to_bits() {
        return Value::from("stale");
    }
    Value::from(model::number::format_float_as(value, model::number::FloatFormat::Json))
}

fn read_number(value: &Value) -> Result<f64, String> {
    let read = match value.as_str() {
        Some("stale") => Some(STALE_NAN),
        Some(text) => model::number::parse_float(text.as_bytes()).ok(),
        None => value.as_f64(),
    };
    read.ok_or_else(|| format!("{value} is no number"))
}

/// A native histogram as JSON.
pub fn write(h: &FloatHistogram) -> Value {
    let spans =
        |spans: &[BucketSpan]| spans.iter().map(|s| json!([s.offset, s.length])).collect::<Vec<Value>>();
    let numbers = |values: &[f64]| values.iter().map(|v| number(*v)).collect::<Vec<Value>>();
    let hint =
        HINTS.iter().find(|(_, hint)| *hint == h.counter_reset_hint).map_or("unknown", |(name, _)| name);
    json!({
        "schema": h.schema, "counterReset": hint, "count": number(h.count), "sum": number(h.sum),
        "zeroThreshold": number(h.zero_threshold), "zeroCount": number(h.zero_count),
        "positiveSpans": spans(&h.positive_spans), "positiveBuckets": numbers(&h.positive_buckets),
        "negativeSpans": spans(&h.negative_spans), "negativeBuckets": numbers(&h.negative_buckets),
        "customValues": numbers(&h.custom_values),
    })
}

/// What [`write()`] wrote, validated.
///
/// # Errors
/// What is wrong with it.
pub fn read(value: &Value) -> Result<FloatHistogram, String> {
    let spans = |key: &str| -> Result<Vec<BucketSpan>, String> {
        let wrong = || format!("{key} must be a list of [offset, length]");
        let span = |span: &Value| {
            let offset = span[0].as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(wrong)?;
            let length = span[1].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)?;
            Ok(BucketSpan { offset, length })
        };
        list(value, key)?.iter().map(span).collect()
    };
    let numbers = |key: &str| list(value, key)?.iter().map(read_number).collect::<Result<Vec<f64>, String>>();
    let one = |key: &str| read_number(&value[key]).map_err(|error| format!("{key}: {error}"));
    let hint = value["counterReset"].as_str().unwrap_or("unknown");
    let hint = HINTS.iter().find(|(name, _)| *name == hint).map(|(_, hint)| *hint).unwrap_or_default();
    let histogram = FloatHistogram {
        counter_reset_hint: hint,
        schema: value["schema"].as_i64().and_then(|n| i32::try_from(n).ok()).ok_or("schema is no number")?,
        zero_threshold: one("zeroThreshold")?,
        zero_count: one("zeroCount")?,
        count: one("count")?,
        sum: one("sum")?,
        positive_spans: spans("positiveSpans")?,
        negative_spans: spans("negativeSpans")?,
        positive_buckets: numbers("positiveBuckets")?,
        negative_buckets: numbers("negativeBuckets")?,
        custom_values: numbers("customValues")?,
    };
    histogram.validate().map_err(|error| error.to_string())?;
    Ok(histogram)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    match &value[key] {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        _ => Err(format!("{key} must be a list")),
    }
}
