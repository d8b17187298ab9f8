//! Exposition text, written: for federation, and for whoever shows metrics to others.
//!
//! The caller brings families in the order they should have and their samples together; the writer knows the
//! layout: headers, escapes, quoted names, floats as Go writes them, timestamps in the format's unit.

use std::fmt::Write;

use model::labels::{is_legacy_label_name, is_legacy_metric_name};
use model::number::{FloatFormat, write_float};
use model::{Exemplar, MetricType};

/// A text format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus text 0.0.4; names are quoted where they need it.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The Content-Type of what is written.
pub fn content_type(format: TextFormat) -> &'static str {
    match format {
        TextFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        TextFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
}

/// A metric family's header.
#[derive(Debug, Clone, Copy, Default)]
pub struct Family<'a> {
    /// In OpenMetrics without the `_total` of counters.
    pub name: &'a str,
    /// Kind of values.
    pub metric_type: MetricType,
    /// One sentence; no `# HELP` if empty.
    pub help: &'a str,
    /// A suffix of the name; OpenMetrics only, no `# UNIT` if empty.
    pub unit: &'a str,
}

/// Appends exposition text to a string.
#[derive(Debug)]
pub struct TextWriter<'a> {
    out: &'a mut String,
    format: TextFormat,
}

impl<'a> TextWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut String, format: TextFormat) -> Self {
        Self { out, format }
    }

    /// Begins a family: `# HELP`, `# TYPE`, `# UNIT`.
    pub fn family(&mut self, family: Family<'_>) {
        if !family.help.is_empty() {
            self.header("HELP", family.name);
            escape(self.out, family.help, self.format == TextFormat::OpenMetrics);
            self.out.push('\n');
        }
        self.header("TYPE", family.name);
        self.out.push_str(type_word(family.metric_type, self.format));
        self.out.push('\n');
        if self.format == TextFormat::OpenMetrics && !family.unit.is_empty() {
            self.header("UNIT", family.name);
            self.out.push_str(family.unit);
            self.out.push('\n');
        }
    }

    fn header(&mut self, word: &str, name: &str) {
        self.out.push_str("# ");
        self.out.push_str(word);
        self.out.push(' ');
        if is_legacy_metric_name(name) {
            self.out.push_str(name);
        } else {
            quote(self.out, name);
        }
        self.out.push(' ');
    }

    /// A sample line. `labels` come without `__name__`, in the order they are to have; an empty value is written.
    pub fn sample<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: f64,
        timestamp_ms: Option<i64>,
    ) {
        self.series(name, labels, value, timestamp_ms);
        self.out.push('\n');
    }

    /// As [`Self::sample`], with an exemplar, which Prometheus text leaves out.
    pub fn sample_with_exemplar<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: f64,
        timestamp_ms: Option<i64>,
        exemplar: &Exemplar,
    ) {
        self.series(name, labels, value, timestamp_ms);
        if self.format == TextFormat::OpenMetrics {
            self.out.push_str(" # {");
            pairs(self.out, &exemplar.labels, false);
            self.out.push_str("} ");
            self.float(exemplar.value);
            self.timestamp(exemplar.timestamp_ms);
        }
        self.out.push('\n');
    }

    /// Ends the text; nothing may follow.
    pub fn finish(self) {
        if self.format == TextFormat::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
    }

    fn series<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: f64,
        timestamp_ms: Option<i64>,
    ) {
        let mut labels = labels.into_iter().peekable();
        let is_bare = is_legacy_metric_name(name);
        if is_bare {
            self.out.push_str(name);
        }
        if !is_bare || labels.peek().is_some() {
            self.out.push('{');
            if !is_bare {
                quote(self.out, name);
            }
            pairs(self.out, labels, !is_bare);
            self.out.push('}');
        }
        self.out.push(' ');
        self.float(value);
        self.timestamp(timestamp_ms);
    }

    fn float(&mut self, value: f64) {
        let format = match self.format {
            TextFormat::Prometheus => FloatFormat::General,
            TextFormat::OpenMetrics => FloatFormat::OpenMetrics,
        };
        write_float(self.out, value, format).expect("a String takes everything");
    }

    fn timestamp(&mut self, timestamp_ms: Option<i64>) {
        let Some(timestamp_ms) = timestamp_ms else { return };
        self.out.push(' ');
        match self.format {
            TextFormat::Prometheus => {
                self.out.push_str(itoa::Buffer::new().format(timestamp_ms));
            }
            // Written with whole digits, not as a float: a float would lose milliseconds of far times.
            TextFormat::OpenMetrics => {
                let sign = if timestamp_ms < 0 { "-" } else { "" };
                let (seconds, ms) = (timestamp_ms.unsigned_abs() / 1000, timestamp_ms.unsigned_abs() % 1000);
                write!(self.out, "{sign}{seconds}.{ms:03}").expect("a String takes everything");
            }
        }
    }
}

fn type_word(metric_type: MetricType, format: TextFormat) -> &'static str {
    match (format, metric_type) {
        (TextFormat::OpenMetrics, _)
        | (_, MetricType::Counter | MetricType::Gauge | MetricType::Histogram | MetricType::Summary) => {
            metric_type.as_str()
        }
        // Prometheus text knows no other words.
        _ => "untyped",
    }
}

fn pairs<'l>(out: &mut String, labels: impl IntoIterator<Item = (&'l str, &'l str)>, comma_first: bool) {
    for (at, (name, value)) in labels.into_iter().enumerate() {
        if comma_first || at > 0 {
            out.push(',');
        }
        if is_legacy_label_name(name) {
            out.push_str(name);
        } else {
            quote(out, name);
        }
        out.push('=');
        quote(out, value);
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text, true);
    out.push('"');
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'\\', b'\n', b'"', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            _ if quotes => out.push_str("\\\""),
            _ => out.push('"'),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Entry, Format, Parser};
    use model::{Labels, LabelsBuilder};
    use proptest::prelude::*;

    fn write(format: TextFormat, fill: impl FnOnce(&mut TextWriter<'_>)) -> String {
        let mut out = String::new();
        let mut writer = TextWriter::new(&mut out, format);
        fill(&mut writer);
        writer.finish();
        out
    }

    #[test]
    fn prometheus_text_is_laid_out_as_in_federation() {
        let text = write(TextFormat::Prometheus, |writer| {
            let help = "Back\\slash \"quoted\"\nsecond line";
            writer.family(Family { name: "up", metric_type: MetricType::Unknown, help, unit: "s" });
            writer.sample("up", [("instance", "a\"b\\c\nd"), ("job", "")], 1e6, Some(1_520_879_607_789));
            writer.sample("up", [], f64::NEG_INFINITY, None);
            writer.family(Family { name: "my.metric", metric_type: MetricType::Gauge, ..Family::default() });
            writer.sample("my.metric", [("x.y", "z")], 0.1, None);
            writer.sample("my.metric", [], f64::NAN, Some(-5));
        });
        let want = [
            r#"# HELP up Back\\slash "quoted"\nsecond line"#,
            "# TYPE up untyped",
            r#"up{instance="a\"b\\c\nd",job=""} 1e+06 1520879607789"#,
            "up -Inf",
            "# TYPE \"my.metric\" gauge",
            r#"{"my.metric","x.y"="z"} 0.1"#,
            "{\"my.metric\"} NaN -5",
            "",
        ];
        assert_eq!(text, want.join("\n"));
    }

    #[test]
    fn openmetrics_has_units_exemplars_seconds_and_an_end() {
        let exemplar =
            Exemplar { labels: Labels::from_pairs([("id", "x")]), value: 2.0, timestamp_ms: Some(1) };
        let text = write(TextFormat::OpenMetrics, |writer| {
            writer.family(Family { name: "a_s", metric_type: MetricType::Counter, help: "\"", unit: "s" });
            writer.sample_with_exemplar("a_s_total", [("b", "c")], 1.0, Some(-1_500), &exemplar);
        });
        let want = "# HELP a_s \\\"\n# TYPE a_s counter\n# UNIT a_s s\na_s_total{b=\"c\"} 1.0 -1.500 # {id=\"x\"} 2.0 0.001\n# EOF\n";
        assert_eq!(text, want);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name in "(?s)[^\\x00]{1,6}",
            labels in proptest::collection::btree_map("[a-zé\\.\"\\\\]{1,4}", "(?s).{1,6}", 0..4),
            bits: u64,
            timestamp_ms in proptest::option::of(0i64..4_000_000_000_000),
        ) {
            let value = f64::from_bits(bits);
            for (format, read_as) in [
                (TextFormat::Prometheus, Format::PrometheusText),
                (TextFormat::OpenMetrics, Format::OpenMetricsText),
            ] {
                let text = write(format, |writer| {
                    writer.family(Family { name: &name, ..Family::default() });
                    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    writer.sample(&name, pairs, value, timestamp_ms);
                });
                let mut parser = Parser::new(text.as_bytes(), read_as);
                parser.next_entry().expect("a header");
                let Ok(Some(Entry::Series(series))) = parser.next_entry() else { panic!("a sample: {text}") };
                let mut builder = LabelsBuilder::new();
                series.pack_labels(&mut builder).expect("sound labels");
                let mut want = labels.clone();
                want.insert("__name__".to_owned(), name.clone());
                prop_assert_eq!(builder.build(), Labels::from_pairs(&want));
                prop_assert!(series.value == value || value.is_nan() && series.value.is_nan());
                // Seconds are read as a float and cut off, as Prometheus does: that may be a millisecond less.
                let slack_ms = i64::from(format == TextFormat::OpenMetrics);
                let short_ms = timestamp_ms.unwrap_or(0) - series.timestamp_ms.unwrap_or(0);
                prop_assert_eq!(series.timestamp_ms.is_some(), timestamp_ms.is_some());
                prop_assert!((0..=slack_ms).contains(&short_ms), "{} ms lost", short_ms);
                prop_assert_eq!(parser.next_entry(), Ok(None));
            }
        }
    }
}
