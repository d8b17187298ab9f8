//! Prometheus' protobuf exposition: `MetricFamily` messages, each behind its length.
//!
//! Why by hand: a family's messages are read where they lie. A known series costs the hash of its label bytes, a
//! sample a few numbers; only native histograms are built, because storage takes them as values.
//!
//! Map: here the families and what a series is called ([`Name`]) · `metric` one metric's samples in the order that Prometheus
//! yields them · `histogram` the messages of histograms.
//!
//! Source: `io/prometheus/client/metrics.proto`, and the behaviour of Prometheus' `textparse.ProtobufParser`: count and
//! sum come before buckets, a last bucket of `+Inf` is added where there is none, a histogram without spans, zero
//! threshold and zero count is a classic one, and a timestamp of 0 is none.

use model::number::{FloatFormat, format_float_as};
use model::{LabelsBuilder, METRIC_NAME, MetricType};
use xxhash_rust::xxh3::xxh3_64;

use super::cursor::{ParseError, Place};
use super::labels::{self, LabelsError};
use super::{Entry, Options};
use crate::protobuf::{ProtobufError, Reader, Value};
use metric::Metric;

mod histogram;
mod metric;

/// A series' family, label messages and what part of the metric it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Name<'a> {
    pub(super) family: &'a str,
    family_hash: u64,
    /// The fields of the `Metric` from the first label to the last.
    pub(super) labels: &'a [u8],
    pub(super) part: Part,
}

/// What of a metric a series is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    /// All of a counter, gauge or untyped metric.
    Whole,
    /// A native histogram.
    Histogram,
    Count,
    Sum,
    /// With its upper bound.
    Bucket(f64),
    Quantile(f64),
}

impl Part {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Whole | Self::Histogram | Self::Quantile(_) => "",
            Self::Count => "_count",
            Self::Sum => "_sum",
            Self::Bucket(_) => "_bucket",
        }
    }

    fn label(self) -> Option<(&'static str, f64)> {
        match self {
            Self::Bucket(le) => Some(("le", le)),
            Self::Quantile(quantile) => Some(("quantile", quantile)),
            _ => None,
        }
    }

    fn tag(self) -> u64 {
        let (kind, bits) = match self {
            Self::Whole => (1, 0),
            Self::Histogram => (2, 0),
            Self::Count => (3, 0),
            Self::Sum => (4, 0),
            Self::Bucket(le) => (5, le.to_bits()),
            Self::Quantile(quantile) => (6, quantile.to_bits()),
        };
        // Odd factors keep what differs different.
        bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (kind as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
    }
}

impl Name<'_> {
    pub(super) fn tag(&self) -> u64 {
        self.family_hash.wrapping_add(self.part.tag())
    }

    pub(super) fn pack(&self, builder: &mut LabelsBuilder) -> Result<(), LabelsError> {
        builder.clear();
        let suffix = self.part.suffix();
        if suffix.is_empty() {
            builder.set(METRIC_NAME, self.family);
        } else {
            builder.set(METRIC_NAME, &format!("{}{suffix}", self.family));
        }
        each_label(self.labels, |name, value| labels::add(builder, name, value))?;
        if let Some((name, bound)) = self.part.label() {
            labels::add(builder, name, &format_float_as(bound, FloatFormat::OpenMetrics))?;
        }
        Ok(())
    }

    pub(super) fn has_empty(&self, wanted: &str) -> bool {
        let mut found = false;
        let walked = each_label(self.labels, |name, value| {
            found |= name == wanted && value.is_empty();
            Ok(())
        });
        walked.is_ok() && found
    }
}

/// Visits the `LabelPair`s among the fields of a message, whose number is 1 in metrics and exemplars alike.
pub(super) fn each_label(
    message: &[u8],
    mut visit: impl FnMut(&str, &str) -> Result<(), LabelsError>,
) -> Result<(), LabelsError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        if field != 1 {
            continue;
        }
        let (mut name, mut text): (&[u8], &[u8]) = (b"", b"");
        let mut pair = Reader::new(value.bytes(field)?);
        while let Some((field, content)) = pair.next_field()? {
            match field {
                1 => name = content.bytes(field)?,
                2 => text = content.bytes(field)?,
                _ => {}
            }
        }
        let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| LabelsError::NotUtf8);
        visit(utf8(name)?, utf8(text)?)?;
    }
    Ok(())
}

/// A family without its metrics.
#[derive(Debug, Clone, Copy, Default)]
struct Family<'a> {
    name: &'a str,
    hash: u64,
    help: &'a str,
    unit: &'a str,
    metric_type: MetricType,
    /// Field of `Metric` that has the value of such a type.
    value_field: u32,
}

/// What comes next of the current family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Family,
    Help,
    Type,
    Unit,
    Metrics,
}

/// Yields the entries of an answer.
#[derive(Debug, Clone)]
pub(super) struct Families<'a> {
    input: Reader<'a>,
    /// Of the current family, counted from 1.
    number: usize,
    family: Family<'a>,
    next: Next,
    metrics: Reader<'a>,
    metric: Option<Metric<'a>>,
    pub(super) start_ms: Option<i64>,
    /// Classic histograms that could not be converted.
    pub(super) broken_count: u64,
}

impl<'a> Families<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input: Reader::new(input),
            number: 0,
            family: Family::default(),
            next: Next::Family,
            metrics: Reader::new(&[]),
            metric: None,
            start_ms: None,
            broken_count: 0,
        }
    }

    pub(super) fn next_entry(&mut self, options: Options) -> Result<Option<Entry<'a>>, ParseError> {
        self.step(options).map_err(|fault| {
            let name = match self.next {
                Next::Family => String::new(),
                _ => self.family.name.to_owned(),
            };
            let message = match fault {
                Fault::Wire(error) => error.to_string(),
                Fault::Content(message) => message,
            };
            ParseError { place: Place::Family { number: self.number, name }, message }
        })
    }

    fn step(&mut self, options: Options) -> Result<Option<Entry<'a>>, Fault> {
        loop {
            let family = self.family;
            match self.next {
                Next::Family => {
                    if !self.next_family()? {
                        return Ok(None);
                    }
                }
                Next::Help => {
                    self.next = Next::Type;
                    return Ok(Some(Entry::Help { name: family.name.into(), text: family.help.into() }));
                }
                Next::Type => {
                    self.next = if family.unit.is_empty() { Next::Metrics } else { Next::Unit };
                    let metric_type = family.metric_type;
                    return Ok(Some(Entry::Type { name: family.name.into(), metric_type }));
                }
                Next::Unit => {
                    self.next = Next::Metrics;
                    return Ok(Some(Entry::Unit { name: family.name.into(), unit: family.unit }));
                }
                Next::Metrics => {
                    if let Some(metric) = &mut self.metric {
                        if let Some(entry) = metric.next_entry(&family, options)? {
                            self.start_ms = metric.start_ms;
                            return Ok(Some(entry));
                        }
                        self.broken_count += u64::from(metric.is_broken);
                        self.metric = None;
                    }
                    if !self.next_metric()? {
                        self.next = Next::Family;
                    }
                }
            }
        }
    }

    /// Goes on to the next family that has metrics.
    fn next_family(&mut self) -> Result<bool, Fault> {
        while !self.input.is_empty() {
            self.number += 1;
            let message = self.input.delimited()?;
            let (family, has_metrics) = family(message)?;
            if has_metrics {
                (self.family, self.metrics, self.next) = (family, Reader::new(message), Next::Help);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_metric(&mut self) -> Result<bool, Fault> {
        while let Some((field, value)) = self.metrics.next_field()? {
            if field == 4 {
                self.metric = Some(Metric::new(value.bytes(field)?, &self.family)?);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Why an answer is refused.
#[derive(Debug)]
pub(super) enum Fault {
    Wire(ProtobufError),
    Content(String),
}

impl From<ProtobufError> for Fault {
    fn from(error: ProtobufError) -> Self {
        Self::Wire(error)
    }
}

/// What a family says of itself, and whether it has metrics. Its unit stands behind them, so all fields are passed.
fn family(message: &[u8]) -> Result<(Family<'_>, bool), Fault> {
    let (mut name, mut help, mut unit): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let (mut number, mut has_metrics) = (0, false);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => name = value.bytes(field)?,
            2 => help = value.bytes(field)?,
            3 => number = value.varint(field)?,
            4 => has_metrics = matches!(value, Value::Bytes(_)) || has_metrics,
            5 => unit = value.bytes(field)?,
            _ => {}
        }
    }
    let text = |bytes, what: &str| {
        std::str::from_utf8(bytes).map_err(|_| Fault::Content(format!("the {what} is not valid UTF-8")))
    };
    let name = text(name, "family's name")?;
    let (metric_type, value_field) = match number {
        0 => (MetricType::Counter, 3),
        1 => (MetricType::Gauge, 2),
        2 => (MetricType::Summary, 4),
        3 => (MetricType::Unknown, 5),
        4 => (MetricType::Histogram, 7),
        5 => (MetricType::GaugeHistogram, 7),
        other => return Err(Fault::Content(format!("unknown metric type {other} of metric {name:?}"))),
    };
    let unit = text(unit, "unit")?;
    let hash = xxh3_64(name.as_bytes());
    let family = Family { name, hash, help: text(help, "help text")?, unit, metric_type, value_field };
    if has_metrics {
        check(&family)?;
    }
    Ok((family, has_metrics))
}

fn check(family: &Family<'_>) -> Result<(), Fault> {
    if family.name.is_empty() {
        return Err(Fault::Content("the family has no name".to_owned()));
    }
    let stem = match family.metric_type {
        MetricType::Counter => family.name.strip_suffix("_total").unwrap_or(family.name),
        _ => family.name,
    };
    let unit = family.unit;
    if unit.is_empty() || stem.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_')) {
        return Ok(());
    }
    Err(Fault::Content(format!("unit {unit:?} is not a suffix of metric {:?}", family.name)))
}

#[cfg(test)]
mod tests;
