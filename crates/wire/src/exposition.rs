//! Exposition text: what exporters answer when they are scraped.
//!
//! Map: this file has the entries and the [`Parser`] that yields them · `text` Prometheus text 0.0.4 · `openmetrics`
//! OpenMetrics 1.0 · `cursor` what both share: the place in the input, quoted strings, errors with line and column ·
//! `labels` packing the labels of a series · `start` start timestamps out of `_created` lines · [`negotiation`] the
//! Accept header and what the Content-Type of an answer means.
//!
//! Zero-copy: a [`Series`] is its exact bytes (to be used as the key of a cache), a value and a timestamp. Labels
//! are taken apart only on demand, with [`Series::pack_labels`], so a series that is known costs no label strings.
//!
//! What is accepted and refused is Prometheus' `model/textparse`, with these deliberate differences: a NUL byte
//! at the start of a line is an error (there, it silently ends the scrape); blanks before a metric's name are not
//! part of the name; escapes in exemplar labels and quoted names are resolved; OpenMetrics timestamps beyond
//! 64 bits of milliseconds are refused; `{foo} 1` without quotes is refused.

mod cursor;
mod labels;
pub mod negotiation;
mod openmetrics;
mod start;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use model::{LabelsBuilder, MetricType};

pub use cursor::ParseError;
pub use labels::LabelsError;
pub use negotiation::{EscapingScheme, Format, ScrapeProtocol, accept_header};

use cursor::Cursor;
use start::StartTimestamps;

/// One line of exposition text, or what it says.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Series(Series<'a>),
    /// `# TYPE`.
    Type {
        /// The family's name.
        name: Cow<'a, str>,
        /// Kind of values.
        metric_type: MetricType,
    },
    /// `# HELP`.
    Help {
        /// The family's name.
        name: Cow<'a, str>,
        /// The text, escapes resolved.
        text: Cow<'a, str>,
    },
    /// `# UNIT`; OpenMetrics only.
    Unit {
        /// The family's name.
        name: Cow<'a, str>,
        /// The unit, maybe empty.
        unit: &'a str,
    },
    /// Any other comment, from `#` to the end of the line; Prometheus text only. Not always UTF-8.
    Comment(&'a [u8]),
}

/// A sample with the text of its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Series<'a> {
    /// Name and labels exactly as they came, from the first byte of the name to the closing brace. Together with
    /// nothing else, a cache key: the same text from the same target is the same series.
    pub raw: &'a str,
    /// The value; every NaN is `model::sample::NORMAL_NAN`.
    pub value: f64,
    /// When, if the exporter said so.
    pub timestamp_ms: Option<i64>,
    /// OpenMetrics only.
    pub exemplar: Option<ExemplarText<'a>>,
    /// The type that the last `# TYPE` line gave, whatever family it was for, as in Prometheus.
    pub metric_type: MetricType,
}

/// An exemplar whose labels are still text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExemplarText<'a> {
    /// Between the braces, without them.
    pub raw_labels: &'a str,
    /// The measured value.
    pub value: f64,
    /// When, if the exporter said so.
    pub timestamp_ms: Option<i64>,
}

impl Series<'_> {
    /// Replaces the content of `builder` by the labels of this series, the metric's name among them as `__name__`.
    /// Escapes are resolved; `le` of histograms and `quantile` of summaries get OpenMetrics' canonical float
    /// (`1` becomes `1.0`), as in Prometheus 3.
    ///
    /// # Errors
    /// If a label name occurs twice, or the metric's name is empty.
    pub fn pack_labels(&self, builder: &mut LabelsBuilder) -> Result<(), LabelsError> {
        labels::pack_series(self.raw, self.metric_type, builder)
    }
}

impl ExemplarText<'_> {
    /// The exemplar with its labels taken apart. `builder` is scratch space.
    ///
    /// # Errors
    /// If a label name occurs twice.
    pub fn to_exemplar(&self, builder: &mut LabelsBuilder) -> Result<model::Exemplar, LabelsError> {
        labels::pack_exemplar(self.raw_labels, builder)?;
        Ok(model::Exemplar { labels: builder.build(), value: self.value, timestamp_ms: self.timestamp_ms })
    }
}

/// Yields the entries of an exporter's answer, in order.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    cursor: Cursor<'a>,
    format: Format,
    metric_type: MetricType,
    created_suppressed: bool,
    /// After the end or an error nothing more is read.
    done: bool,
    start: StartTimestamps,
}

impl<'a> Parser<'a> {
    /// A parser at the start of `input`.
    pub fn new(input: &'a [u8], format: Format) -> Self {
        Self {
            cursor: Cursor::new(input),
            format,
            metric_type: MetricType::Unknown,
            created_suppressed: false,
            done: false,
            start: StartTimestamps::default(),
        }
    }

    /// Whether OpenMetrics' `_created` lines of counters, histograms and summaries are left out; see
    /// [`Self::start_timestamp_ms`] for what they say. By default they come as series like any other.
    #[must_use]
    pub fn suppress_created(mut self, yes: bool) -> Self {
        self.created_suppressed = yes;
        self
    }

    /// The next entry; `None` at the (proper) end.
    ///
    /// # Errors
    /// The first thing that breaks the format's rules; there are no entries after it. A scrape that fails has to
    /// be dropped whole, with the samples before the error.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            if self.done {
                return Ok(None);
            }
            let next = match self.format {
                Format::PrometheusText => text::next_entry(&mut self.cursor, &mut self.metric_type),
                Format::OpenMetricsText => openmetrics::next_entry(&mut self.cursor, &mut self.metric_type),
            };
            match next {
                Ok(Some(Entry::Series(series))) if self.created_suppressed && start::is_created(&series) => {}
                Ok(Some(entry)) => return Ok(Some(entry)),
                Ok(None) => {
                    self.done = true;
                    return Ok(None);
                }
                Err(fault) => {
                    self.done = true;
                    return Err(fault.locate(&self.cursor));
                }
            }
        }
    }

    /// When the counter, histogram or summary that `series` (the entry just returned) belongs to began to count,
    /// according to its `_created` line, which comes after it. `None` for Prometheus text, other types, and families
    /// whose `_created` lines are missing or come first.
    pub fn start_timestamp_ms(&mut self, series: &Series<'a>) -> Option<i64> {
        if self.format != Format::OpenMetricsText || self.done {
            return None;
        }
        self.start.of(series, &self.cursor)
    }
}
