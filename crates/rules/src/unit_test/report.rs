//! What failed, as promtool prints it.

use std::fmt::Write;

use model::Labels;
use model::labels::write_quoted;
use promql::script::input::write_histogram;
use promql::value::{SampleValue, VectorSample};

/// An alert as it is compared and shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AlertText {
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
}

impl AlertText {
    pub(super) fn new<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let sorted = |pairs: &mut dyn Iterator<Item = (&'a str, &'a str)>| {
            // An empty label is none.
            let filled = pairs.filter(|(_, value)| !value.is_empty());
            let mut owned: Vec<_> = filled.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            owned.sort();
            owned
        };
        Self { labels: sorted(&mut labels.into_iter()), annotations: sorted(&mut annotations.into_iter()) }
    }
}

pub(super) fn as_strs<'a>((name, value): (&'a String, &'a String)) -> (&'a str, &'a str) {
    (name, value)
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    let _infallible = write_quoted(&mut out, text);
    out
}

/// `{a="b", c="d"}`.
fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let shown: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    format!("{{{}}}", shown.join(", "))
}

/// Alerts, one below the other, indented as a part of a failure.
pub(super) fn alerts(alerts: &[AlertText]) -> String {
    const INDENT: &str = "            ";
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let mut out = "[".to_owned();
    for (at, alert) in alerts.iter().enumerate() {
        let labels = pairs(alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let annotations =
            pairs(alert.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let comma = if at > 0 { "," } else { "" };
        let _infallible = write!(
            out,
            "{comma}\n{INDENT}{at}:\n{INDENT}  Labels:{labels}\n{INDENT}  Annotations:{annotations}"
        );
    }
    let _infallible = write!(out, "\n{INDENT}]");
    out
}

/// Lines that only one of two texts has, marked with `-` and `+`, between those that both have.
pub(super) fn diff(expected: &str, got: &str) -> String {
    let (expected, got): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let mut out = String::new();
    let mut rest = got.as_slice();
    for line in expected {
        match rest.iter().position(|other| *other == line) {
            Some(at) => {
                rest[..at].iter().for_each(|line| push_line(&mut out, '+', line));
                push_line(&mut out, ' ', line);
                rest = &rest[at + 1..];
            }
            None => push_line(&mut out, '-', line),
        }
    }
    rest.iter().for_each(|line| push_line(&mut out, '+', line));
    out.truncate(out.trim_end().len());
    out
}

fn push_line(out: &mut String, mark: char, line: &str) {
    let _infallible = writeln!(out, "          {mark} {}", line.trim_start());
}

/// A sample as it is compared and shown.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: f64,
    /// A histogram, in the notation of scripts.
    pub(super) histogram: Option<String>,
}

impl From<VectorSample> for Sample {
    fn from(sample: VectorSample) -> Self {
        let (value, histogram) = match &sample.value {
            SampleValue::Float(value) => (*value, None),
            SampleValue::Histogram(histogram) => (0.0, Some(write_histogram(histogram))),
        };
        Self { labels: sample.labels, value, histogram }
    }
}

impl Sample {
    /// Whether both are the same; `fuzzy`: but for the last bit of the value.
    pub(super) fn is_same(&self, other: &Self, fuzzy: bool) -> bool {
        if self.labels != other.labels || self.histogram != other.histogram {
            return false;
        }
        let (a, b) = (self.value, other.value);
        let close = fuzzy && (a.next_down() == b || a.next_up() == b);
        self.histogram.is_some() || a == b || (a.is_nan() && b.is_nan()) || close
    }
}

/// Samples in one line.
pub(super) fn samples(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let show = |sample: &Sample| {
        let value = sample.histogram.clone().unwrap_or_else(|| exponential(sample.value));
        format!("{} {value}", pairs(sample.labels.iter()))
    };
    samples.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// Go's format `E` with the fewest digits: `1.5E+00`.
fn exponential(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:E}");
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{mantissa}E-{exponent:0>2}"),
        None => format!("{mantissa}E+{exponent:0>2}"),
    }
}

/// Milliseconds as Go writes a span: `0s`, `1m0s`, `1h0m0.5s`.
pub(super) fn go_duration(ms: i64) -> String {
    template::format_duration(ms.saturating_mul(1_000_000))
}
