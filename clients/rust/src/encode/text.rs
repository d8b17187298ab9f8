//! Prometheus' text format 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write;

use crate::exemplar::Exemplar;
use crate::snapshot::{FamilySnapshot, HistogramSnapshot, Kind, Value};

pub(super) fn write(families: &[FamilySnapshot], open_metrics: bool) -> String {
    let mut writer = Writer { out: String::new(), open_metrics };
    for family in families {
        writer.family(family);
    }
    if open_metrics {
        writer.out.push_str("# EOF\n");
    }
    writer.out
}

struct Writer {
    out: String,
    open_metrics: bool,
}

impl Writer {
    fn family(&mut self, family: &FamilySnapshot) {
        // In the older format the name of a counter is that of its samples.
        let suffix = if family.kind == Kind::Counter && !self.open_metrics { "_total" } else { "" };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        if !family.help.is_empty() {
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            // OpenMetrics escapes quotes here too.
            let help = if self.open_metrics { help.replace('"', "\\\"") } else { help };
            self.line(format_args!("# HELP {}{suffix} {help}", family.name));
        }
        self.line(format_args!("# TYPE {}{suffix} {kind}", family.name));
        for series in &family.series {
            match &series.value {
                Value::Counter { value, created_ms, exemplar } => {
                    self.sample(&family.name, "_total", &series.labels, None, *value, exemplar.as_ref());
                    self.created(&family.name, &series.labels, *created_ms);
                }
                Value::Gauge(value) => self.sample(&family.name, "", &series.labels, None, *value, None),
                Value::Histogram(histogram) => self.histogram(&family.name, &series.labels, histogram),
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &[(String, String)], histogram: &HistogramSnapshot) {
        let mut cumulative = 0;
        for bucket in &histogram.buckets {
            cumulative += bucket.count;
            let exemplar = bucket.exemplar.as_ref();
            self.sample(name, "_bucket", labels, Some(bucket.upper_bound), cumulative as f64, exemplar);
        }
        self.sample(name, "_sum", labels, None, histogram.sum, None);
        self.sample(name, "_count", labels, None, histogram.count as f64, None);
        self.created(name, labels, histogram.created_ms);
    }

    fn created(&mut self, name: &str, labels: &[(String, String)], created_ms: u64) {
        if self.open_metrics && created_ms > 0 {
            self.sample(name, "_created", labels, None, created_ms as f64 / 1e3, None);
        }
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(String, String)],
        le: Option<f64>,
        value: f64,
        exemplar: Option<&Exemplar>,
    ) {
        self.out.push_str(name);
        self.out.push_str(suffix);
        let le = le.map(|bound| ("le", self.bound(bound)));
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let with_le = labels.chain(le.as_ref().map(|(name, value)| (*name, value.as_str())));
        write_labels(&mut self.out, with_le, false);
        self.out.push(' ');
        self.number(value);
        if let Some(exemplar) = exemplar.filter(|_| self.open_metrics) {
            self.out.push_str(" # ");
            write_labels(&mut self.out, exemplar.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())), true);
            self.out.push(' ');
            self.number(exemplar.value);
            self.out.push(' ');
            self.number(exemplar.timestamp_ms as f64 / 1e3);
        }
        self.out.push('\n');
    }

    /// OpenMetrics wants `le="1.0"`, where the older format has `le="1"`.
    fn bound(&self, bound: f64) -> String {
        let whole = self.open_metrics && bound.is_finite() && bound.fract() == 0.0;
        let mut text = Self { out: String::new(), open_metrics: self.open_metrics };
        text.number(bound);
        if whole && !text.out.contains(['e', '.']) {
            text.out.push_str(".0");
        }
        text.out
    }

    fn number(&mut self, value: f64) {
        match value {
            value if value.is_nan() => self.out.push_str("NaN"),
            f64::INFINITY => self.out.push_str("+Inf"),
            f64::NEG_INFINITY => self.out.push_str("-Inf"),
            value => {
                let mut buffer = ryu::Buffer::new();
                let text = buffer.format_finite(value);
                self.out.push_str(text.strip_suffix(".0").unwrap_or(text));
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.out, "{line}").expect("a String takes everything");
    }
}

fn write_labels<'a>(out: &mut String, labels: impl Iterator<Item = (&'a str, &'a str)>, always: bool) {
    let mut first = true;
    for (name, value) in labels {
        out.push(if first { '{' } else { ',' });
        first = false;
        out.push_str(name);
        out.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    match (first, always) {
        (false, _) => out.push('}'),
        (true, true) => out.push_str("{}"),
        (true, false) => {}
    }
}
