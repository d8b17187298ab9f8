//! The notation of series and histograms, for tests of rules: series that come in as time goes on.

use model::{BucketSpan, CounterResetHint, FloatHistogram, Labels, TenantId};
use storage::memory::MemoryStorage;
use storage::{Appender, WriteBatch};

use super::load::{Sample, add_point};
use super::points::{self, SeriesPoints};

/// Series whose samples are written when their time has come.
#[derive(Debug)]
pub struct InputSeries {
    series: Vec<(SeriesPoints, Option<FloatHistogram>)>,
    start_ms: i64,
    interval_ms: i64,
    /// The next place of all series that is to be written.
    next: usize,
}

impl InputSeries {
    /// Reads series, each with its labels (`up{job="x"}`) and its values (`0+1x5 _ stale`). The first value is at
    /// `start_ms`, each further one `interval_ms` later.
    ///
    /// # Errors
    /// Says which series is none, and why.
    pub fn parse<'a>(
        series: impl IntoIterator<Item = (&'a str, &'a str)>,
        start_ms: i64,
        interval_ms: i64,
    ) -> Result<Self, String> {
        let parse = |(labels, values): (&str, &str)| {
            let read = points::parse_series(&format!("{labels} {values}"));
            read.map(|series| (series, None)).map_err(|message| format!("series {labels:?}: {message}"))
        };
        let series = series.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { series, start_ms, interval_ms: interval_ms.max(1), next: 0 })
    }

    /// Writes the samples up to and with a time that were not written yet.
    ///
    /// # Errors
    /// If storage refuses one.
    pub fn load_until(
        &mut self,
        time_ms: i64,
        storage: &MemoryStorage,
        tenant: &TenantId,
    ) -> Result<(), String> {
        let longest = self.series.iter().map(|(series, _)| series.points.len()).max().unwrap_or(0);
        let due = (time_ms - self.start_ms).div_euclid(self.interval_ms) + 1;
        let until = usize::try_from(due).unwrap_or(0).min(longest);
        if until <= self.next {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        for (series, before) in &mut self.series {
            let number = batch.add_series(series.labels.as_ref());
            for at in self.next..until.min(series.points.len()) {
                let timestamp_ms = self.start_ms + at as i64 * self.interval_ms;
                add_point(&series.points[at], before, |sample| match sample {
                    Sample::Float(value) => batch.add_float(number, timestamp_ms, value),
                    Sample::Histogram(histogram) => batch.add_histogram(number, timestamp_ms, histogram),
                });
            }
        }
        self.next = until;
        let appended = storage.append(tenant, &batch).map_err(|error| error.to_string())?;
        match appended.rejected.first() {
            Some(rejected) => Err(rejected.reason.message().to_owned()),
            None => Ok(()),
        }
    }
}

/// Reads labels as a series has them: `up{job="x"}`; nothing and `{}` are no labels.
///
/// # Errors
/// Says why the text is none.
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    match text.trim() {
        "" | "{}" => Ok(Labels::empty()),
        text => points::parse_labels(text),
    }
}

/// Reads a histogram: `{{schema:1 count:3 sum:5 buckets:[1 2]}}`.
///
/// # Errors
/// Says why the text is none.
pub fn parse_histogram(text: &str) -> Result<FloatHistogram, String> {
    let (histogram, rest) = points::take_histogram(text.trim())?;
    if rest.is_empty() { Ok(histogram) } else { Err(format!("unexpected {rest:?} after a histogram")) }
}

/// Writes a histogram in that notation. Equal histograms are written alike, whatever their spans.
pub fn write_histogram(histogram: &FloatHistogram) -> String {
    let mut parts = Vec::new();
    if histogram.schema != 0 {
        parts.push(format!("schema:{}", histogram.schema));
    }
    let numbers = [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ];
    parts.extend(
        numbers
            .iter()
            .filter(|(_, value)| *value != 0.0)
            .map(|(key, value)| format!("{key}:{}", number(*value))),
    );
    if histogram.uses_custom_buckets() {
        parts.push(format!("custom_values:{}", list(&histogram.custom_values)));
    }
    match histogram.counter_reset_hint {
        CounterResetHint::Unknown => {}
        CounterResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        CounterResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        CounterResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    let sides = [
        ("", &histogram.positive_spans, &histogram.positive_buckets),
        ("n_", &histogram.negative_spans, &histogram.negative_buckets),
    ];
    for (prefix, spans, buckets) in sides {
        let (offset, buckets) = in_one_span(spans, buckets);
        if offset != 0 {
            parts.push(format!("{prefix}offset:{offset}"));
        }
        if !buckets.is_empty() {
            parts.push(format!("{prefix}buckets:{}", list(&buckets)));
        }
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

/// The most empty buckets that are written for gaps between spans.
const GAP_MAX: i32 = 10_000;

/// Buckets from the first to the last that is not empty, and the index of the first.
fn in_one_span(spans: &[BucketSpan], buckets: &[f64]) -> (i32, Vec<f64>) {
    let mut indexed = Vec::new();
    let mut index: i32 = 0;
    let mut rest = buckets.iter();
    for span in spans {
        index = index.saturating_add(span.offset);
        for bucket in rest.by_ref().take(span.length as usize) {
            indexed.push((index, *bucket));
            index = index.saturating_add(1);
        }
    }
    indexed.retain(|(_, bucket)| *bucket != 0.0);
    let Some((first, _)) = indexed.first().copied() else { return (0, Vec::new()) };
    let mut all = Vec::new();
    for (index, bucket) in indexed {
        let gap = index.saturating_sub(first).saturating_sub(all.len() as i32).clamp(0, GAP_MAX);
        all.extend(std::iter::repeat_n(0.0, gap as usize));
        all.push(bucket);
    }
    (first, all)
}

fn list(values: &[f64]) -> String {
    format!("[{}]", values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(" "))
}

/// As Go's `%g`.
fn number(value: f64) -> String {
    model::number::format_float_as(value, model::number::FloatFormat::General)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str) {
        assert_eq!(write_histogram(&parse_histogram(text).expect("a histogram")), text);
    }

    #[test]
    fn histograms_are_written_as_they_are_read() {
        check("{{}}");
        check(
            "{{schema:1 count:32.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 offset:-3 buckets:[5.1 10 7] n_offset:-5 n_buckets:[4.1 5]}}",
        );
        check("{{schema:-53 count:2 sum:3 custom_values:[1 2.5] counter_reset_hint:gauge buckets:[1 0 1]}}");
    }

    #[test]
    fn samples_come_when_their_time_has_come() {
        let (storage, tenant) = (MemoryStorage::new(), TenantId::anonymous());
        let mut input =
            InputSeries::parse([("a", "1 2 3"), ("b", "{{count:1}}x1")], 1_000, 500).expect("series");
        let engine = crate::Engine::new(crate::Settings::default(), stdx::memory::Budget::unlimited());
        let mut count = |until_ms: i64| {
            input.load_until(until_ms, &storage, &tenant).expect("written");
            let query = "sum(count_over_time({__name__=~\"a|b\"}[1h]))";
            let result = engine.instant(&*storage, &tenant, query, 10_000, &crate::QueryOptions::default());
            match result.expect("answered").value {
                crate::value::Value::Vector(samples) => samples.first().map(|sample| match sample.value {
                    crate::value::SampleValue::Float(value) => value,
                    crate::value::SampleValue::Histogram(_) => f64::NAN,
                }),
                _ => None,
            }
        };
        assert_eq!(count(999), None);
        assert_eq!(count(1_000), Some(2.0));
        assert_eq!(count(1_499), Some(2.0));
        assert_eq!(count(60_000), Some(5.0));
    }

    #[test]
    fn what_is_no_series_is_named() {
        let wrong = InputSeries::parse([("a{", "1")], 0, 1).expect_err("refused");
        assert!(wrong.starts_with("series \"a{\": "), "{wrong}");
        assert!(parse_histogram("{{count:1}} 5").is_err());
        assert_eq!(parse_labels(" {} "), Ok(Labels::empty()));
    }
}
