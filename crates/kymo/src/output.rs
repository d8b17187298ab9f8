//! What commands print on a terminal.
//!
//! Map: [`table`] columns · [`graph`] lines over time · [`progress`] how far it is · here the text of a series and of a time.

use serde_json::Value;

pub(crate) mod graph;
pub(crate) mod progress;
pub(crate) mod table;

/// A series as PromQL writes it: `up{instance="a", job="b"}`.
pub(crate) fn series_text(metric: &Value) -> String {
    let Some(labels) = metric.as_object() else { return String::new() };
    let name = labels.get("__name__").and_then(Value::as_str).unwrap_or("");
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match (name.is_empty(), pairs.is_empty()) {
        (false, true) => name.to_owned(),
        _ => format!("{name}{{{}}}", pairs.join(", ")),
    }
}

/// A Unix time in seconds as a date with the machine's time zone; the number itself if it is out of range.
pub(crate) fn time_text(seconds: f64, format: &str) -> String {
    let timestamp = jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64);
    match timestamp {
        Ok(timestamp) => timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// How wide the terminal is; 100 columns if that is unknown.
pub(crate) fn width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    told.or_else(asked).filter(|width| *width > 0).unwrap_or(100).clamp(40, 400)
}
