//! Exposition: what exporters answer when they are scraped, as text or protobuf.
//!
//! Map: this file has the entries and the [`Parser`] that yields them · `text` Prometheus text 0.0.4 · `openmetrics`
//! OpenMetrics 1.0 · `cursor` what both share: the place in the input, quoted strings, errors with line and column ·
//! `protobuf` the same in delimited messages · `identity` what a series is called · `labels` packing the labels of a
//! series · `start` start timestamps out of `_created` lines · `convert` classic histograms made native ones ·
//! [`negotiation`] the Accept header and what the Content-Type of an answer means.
//!
//! Zero-copy: a [`Series`] is its exact bytes (to be used as the key of a cache), a value and a timestamp. Labels
//! are taken apart only on demand, with [`Series::pack_labels`], so a series that is known costs no label strings.
//!
//! What is accepted and refused is Prometheus' `model/textparse`, with these deliberate differences: a NUL byte
//! at the start of a line is an error (there, it silently ends the scrape); blanks before a metric's name are not
//! part of the name; escapes in exemplar labels and quoted names are resolved; OpenMetrics timestamps beyond
//! 64 bits of milliseconds are refused; `{foo} 1` without quotes is refused.

mod convert;
mod cursor;
mod identity;
mod labels;
pub mod negotiation;
mod openmetrics;
mod protobuf;
mod start;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use model::{FloatHistogram, LabelsBuilder, MetricType};

pub use cursor::{ParseError, Place};
pub use identity::SeriesId;
pub use labels::LabelsError;
pub use negotiation::{EscapingScheme, Format, ScrapeProtocol, accept_header};

use convert::Collector;
use cursor::Cursor;
use protobuf::Families;
use start::StartTimestamps;

/// One line of exposition text, or what it says; the same out of protobuf.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Series(Series<'a>),
    /// A native histogram. Not validated: nothing may rely on it before `FloatHistogram::validate`.
    Histogram(Box<HistogramSeries<'a>>),
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
    /// `# UNIT`; OpenMetrics and protobuf only.
    Unit {
        /// The family's name.
        name: Cow<'a, str>,
        /// The unit, maybe empty.
        unit: &'a str,
    },
    /// Any other comment, from `#` to the end of the line; Prometheus text only. Not always UTF-8.
    Comment(&'a [u8]),
}

/// A sample with the name of its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Series<'a> {
    /// Name and labels as they came.
    pub id: SeriesId<'a>,
    /// The value; every NaN is `model::sample::NORMAL_NAN`.
    pub value: f64,
    /// When, if the exporter said so.
    pub timestamp_ms: Option<i64>,
    /// OpenMetrics and protobuf only.
    pub exemplar: Option<RawExemplar<'a>>,
    /// The type that the last `# TYPE` line gave, whatever family it was for, as in Prometheus.
    pub metric_type: MetricType,
}

/// A native histogram with the name of its series.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSeries<'a> {
    /// Name and labels as they came.
    pub id: SeriesId<'a>,
    /// The value.
    pub histogram: FloatHistogram,
    /// When, if the exporter said so.
    pub timestamp_ms: Option<i64>,
    /// When it began to count, if the exporter said so.
    pub start_ms: Option<i64>,
    /// Those of its buckets, too.
    pub exemplars: Vec<RawExemplar<'a>>,
    /// Histogram or gauge histogram.
    pub metric_type: MetricType,
}

/// An exemplar whose labels nobody has looked into.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawExemplar<'a> {
    labels: RawLabels<'a>,
    /// The measured value.
    pub value: f64,
    /// When, if the exporter said so.
    pub timestamp_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum RawLabels<'a> {
    /// Between the braces, without them.
    Text(&'a str),
    /// The message `Exemplar`.
    Protobuf(&'a [u8]),
}

impl Series<'_> {
    /// Replaces the content of `builder` by the labels of this series, the metric's name among them as `__name__`.
    /// Escapes are resolved; `le` of histograms and `quantile` of summaries get OpenMetrics' canonical float
    /// (`1` becomes `1.0`), as in Prometheus 3.
    ///
    /// # Errors
    /// If a label name occurs twice, or the metric's name is empty.
    pub fn pack_labels(&self, builder: &mut LabelsBuilder) -> Result<(), LabelsError> {
        self.id.pack(self.metric_type, builder)
    }
}

impl HistogramSeries<'_> {
    /// As [`Series::pack_labels`]; without `le`, and without the suffix that a part of a classic histogram has.
    ///
    /// # Errors
    /// If a label name occurs twice, or the metric's name is empty.
    pub fn pack_labels(&self, builder: &mut LabelsBuilder) -> Result<(), LabelsError> {
        self.id.pack(self.metric_type, builder)
    }
}

impl<'a> RawExemplar<'a> {
    fn text(raw_labels: &'a str, value: f64, timestamp_ms: Option<i64>) -> Self {
        Self { labels: RawLabels::Text(raw_labels), value, timestamp_ms }
    }

    fn protobuf(message: &'a [u8], value: f64, timestamp_ms: Option<i64>) -> Self {
        Self { labels: RawLabels::Protobuf(message), value, timestamp_ms }
    }

    /// The labels as they came, in protobuf with value and timestamp: the same bytes are the same labels.
    pub fn bytes(&self) -> &'a [u8] {
        match self.labels {
            RawLabels::Text(text) => text.as_bytes(),
            RawLabels::Protobuf(message) => message,
        }
    }

    /// The exemplar with its labels taken apart. `builder` is scratch space.
    ///
    /// # Errors
    /// If a label name occurs twice.
    pub fn to_exemplar(&self, builder: &mut LabelsBuilder) -> Result<model::Exemplar, LabelsError> {
        match self.labels {
            RawLabels::Text(text) => labels::pack_exemplar(text, builder)?,
            RawLabels::Protobuf(message) => {
                builder.clear();
                protobuf::each_label(message, |name, value| labels::add(builder, name, value))?;
            }
        }
        Ok(model::Exemplar { labels: builder.build(), value: self.value, timestamp_ms: self.timestamp_ms })
    }
}

/// What is wanted of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Native histograms; otherwise such a histogram comes as a classic one.
    pub native_histograms: bool,
    /// Make native histograms with custom buckets of classic ones.
    pub convert_classic: bool,
    /// Classic histograms even where a native one is yielded for them.
    pub always_classic: bool,
    /// Leave OpenMetrics' `_created` lines of counters, histograms and summaries out; see
    /// [`Parser::start_timestamp_ms`] for what they say. Otherwise they come as series like any other.
    pub suppress_created: bool,
}

/// Yields the entries of an exporter's answer, in order.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    input: Input<'a>,
    options: Options,
    /// After the end or an error nothing more is read.
    done: bool,
}

#[derive(Debug, Clone)]
enum Input<'a> {
    Text(Box<Text<'a>>),
    Protobuf(Box<Families<'a>>),
}

/// Text while it is read.
#[derive(Debug, Clone)]
struct Text<'a> {
    cursor: Cursor<'a>,
    is_open_metrics: bool,
    metric_type: MetricType,
    /// That `metric_type` is the type of.
    family: Cow<'a, str>,
    start: StartTimestamps,
    collector: Collector<'a>,
    /// Comes before anything else is read.
    held: Option<Entry<'a>>,
    is_at_end: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the start of `input`.
    pub fn new(input: &'a [u8], format: Format) -> Self {
        Self::with_options(input, format, Options::default())
    }

    /// A parser at the start of `input` that yields what is wanted.
    pub fn with_options(input: &'a [u8], format: Format, options: Options) -> Self {
        let text = |is_open_metrics| {
            Input::Text(Box::new(Text {
                cursor: Cursor::new(input),
                is_open_metrics,
                metric_type: MetricType::Unknown,
                family: Cow::Borrowed(""),
                start: StartTimestamps::default(),
                collector: Collector::default(),
                held: None,
                is_at_end: false,
            }))
        };
        let input = match format {
            Format::PrometheusText => text(false),
            Format::OpenMetricsText => text(true),
            Format::Protobuf => Input::Protobuf(Box::new(Families::new(input))),
        };
        Self { input, options, done: false }
    }

    /// The next entry; `None` at the (proper) end.
    ///
    /// # Errors
    /// The first thing that breaks the format's rules; there are no entries after it. A scrape that fails has to
    /// be dropped whole, with the samples before the error.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.done {
            return Ok(None);
        }
        let next = match &mut self.input {
            Input::Protobuf(families) => families.next_entry(self.options),
            Input::Text(text) if self.options.convert_classic => text.next_converted(self.options),
            Input::Text(text) => text.next_line(self.options),
        };
        self.done = !matches!(next, Ok(Some(_)));
        next
    }

    /// When the counter, histogram or summary that `series` (the entry just returned) belongs to began to count:
    /// in OpenMetrics according to its `_created` line, which comes after it. `None` for Prometheus text, other types,
    /// and families whose `_created` lines are missing or come first.
    pub fn start_timestamp_ms(&mut self, series: &Series<'a>) -> Option<i64> {
        match &mut self.input {
            Input::Protobuf(families) => families.start_ms,
            Input::Text(text) if text.is_open_metrics && !self.done => text.start.of(series, &text.cursor),
            Input::Text(_) => None,
        }
    }

    /// Classic histograms so far that could not be converted, because their buckets contradict each other.
    pub fn unconvertible_count(&self) -> u64 {
        match &self.input {
            Input::Protobuf(families) => families.broken_count,
            Input::Text(text) => text.collector.broken_count,
        }
    }
}

impl<'a> Text<'a> {
    fn next_line(&mut self, options: Options) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            let next = if self.is_open_metrics {
                openmetrics::next_entry(&mut self.cursor, &mut self.metric_type)
            } else {
                text::next_entry(&mut self.cursor, &mut self.metric_type)
            };
            match next {
                Ok(Some(Entry::Series(series))) if options.suppress_created && start::is_created(&series) => {
                }
                Ok(entry) => return Ok(entry),
                Err(fault) => return Err(fault.locate(&self.cursor)),
            }
        }
    }

    /// As `next_line`, with the series of a classic histogram put together behind the last of them.
    fn next_converted(&mut self, options: Options) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            let next = match self.held.take() {
                Some(held) => Some(held),
                None if self.is_at_end => None,
                None => self.next_line(options)?,
            };
            let part = match &next {
                Some(Entry::Series(series)) if Collector::wants(series, &self.family) => Some(*series),
                _ => None,
            };
            let goes_on = part.is_some_and(|series| self.collector.continues(&series));
            if !goes_on && let Some(histogram) = self.collector.finish() {
                self.is_at_end = next.is_none();
                self.held = next;
                return Ok(Some(histogram));
            }
            if let Some(series) = &part {
                // What was broken is finished by now: this begins a histogram, or goes on with it.
                self.collector.continues(series);
                self.collector.add(series, &mut self.start, &self.cursor);
                if !options.always_classic {
                    continue;
                }
            }
            if let Some(Entry::Type { name, .. }) = &next {
                self.family = name.clone();
            }
            return Ok(next);
        }
    }
}
