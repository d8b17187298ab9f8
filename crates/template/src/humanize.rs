//! Numbers as people read them: metric prefixes, spans, instants.

use crate::format;
use crate::text::Text;
use crate::time::{self, Time};
use crate::value::Value;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// A number, or text that is one.
pub(crate) fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(ns) => Ok(time::seconds(*ns)),
        Value::String(text) => model::number::parse_float(text.as_bytes())
            .map_err(|_| format!("strconv.ParseFloat: parsing {}: invalid syntax", format::quote(text))),
        Value::Nil => Err("can't convert <nil> to float".to_owned()),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// Four significant digits: Go's `%.4g`.
fn four(value: f64) -> String {
    let mut text = Text::new(64);
    format::printf(&mut text, "%.4g", &[Value::Float(value)]);
    text.into_string()
}

/// `1.235M`.
pub(crate) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four(value);
    }
    if value.abs() >= 1.0 { scaled(value, &LARGE, 1000.0) } else { small(value) }
}

/// `1.205Mi`.
pub(crate) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four(value);
    }
    scaled(value, &LARGE_BINARY, 1024.0)
}

fn scaled(mut value: f64, prefixes: &[&str], base: f64) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    format!("{}{prefix}", four(value))
}

fn small(mut value: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}", four(value))
}

/// Seconds as `1d 2h 3m 4s`.
pub(crate) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    if value == 0.0 {
        return format!("{}s", four(value));
    }
    if value.abs() < 1.0 {
        return format!("{}s", small(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four(value.abs()))
    }
}

/// A ratio as per cent.
pub(crate) fn percentage(value: f64) -> String {
    format!("{}%", four(value * 100.0))
}

/// Seconds since the epoch as an instant, to the millisecond. `None` if it is no number or infinite.
pub(crate) fn to_time(value: f64) -> Result<Option<Time>, String> {
    if !value.is_finite() {
        return Ok(None);
    }
    let ns = value * 1e9;
    if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
        let shown = format::plain(&Value::Float(value), 64);
        return Err(format!(
            "{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    Ok(Some(Time::from_ms(ns as i64 / 1_000_000)))
}

/// Seconds since the epoch as `2015-06-23 13:19:44.128 +0000 UTC`.
pub(crate) fn timestamp(value: f64) -> Result<String, String> {
    Ok(match to_time(value)? {
        Some(time) => time.to_string(),
        None => four(value),
    })
}
