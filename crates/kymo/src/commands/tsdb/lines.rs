//! JSON lines: a series, or a part of one, a line.
//!
//! `{"metric":{"__name__":"up"},"timestamps":[…],"values":[…],"histogramTimestamps":[…],"histograms":[…]}`; times in milliseconds.
//! Values are text, so that no reader rounds them; `"stale"` is the staleness marker. Numbers are read, too. Where start timestamps are known,
//! `startTimestamps` and `histogramStartTimestamps` stand beside them, 0 for those that are not.

use anyhow::{Context, bail};
use model::sample::NORMAL_NAN;
use model::{Labels, STALE_NAN, UNKNOWN_START_MS};
use serde_json::{Map, Value, json};
use storage::{SeriesSamples, StartColumn, WriteBatch};
use wire::json_lines::histogram::{self, number};

/// One line for all samples.
pub(super) fn line(labels: &Labels, samples: &SeriesSamples) -> Value {
    let metric: Map<String, Value> =
        labels.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let mut line = json!({ "metric": metric });
    if !samples.floats.timestamps_ms.is_empty() {
        line["timestamps"] = json!(samples.floats.timestamps_ms);
        line["values"] = samples.floats.values.iter().map(|value| number(*value)).collect();
        write_starts(&mut line, "startTimestamps", &samples.floats.starts, samples.floats.values.len());
    }
    if !samples.histograms.timestamps_ms.is_empty() {
        line["histogramTimestamps"] = json!(samples.histograms.timestamps_ms);
        line["histograms"] = samples.histograms.values.iter().map(|value| histogram::write(value)).collect();
        let (starts, count) = (&samples.histograms.starts, samples.histograms.values.len());
        write_starts(&mut line, "histogramStartTimestamps", starts, count);
    }
    line
}

fn write_starts(line: &mut Value, key: &str, starts: &StartColumn, count: usize) {
    if !starts.is_empty() {
        line[key] = (0..count).map(|at| starts.get(at)).collect();
    }
}

fn read_number(value: &Value) -> anyhow::Result<f64> {
    match value.as_str() {
        // What JSON makes of NaN, and what VictoriaMetrics writes.
        None if value.is_null() => Ok(NORMAL_NAN),
        Some("stale") => Ok(STALE_NAN),
        Some(text) => {
            model::number::parse_float(text.as_bytes()).ok().with_context(|| format!("{value} is no number"))
        }
        None => value.as_f64().with_context(|| format!("{value} is no number")),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a [Value]> {
    match &value[key] {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        _ => bail!("{key} must be a list"),
    }
}

/// Adds a line to a batch.
pub(super) fn read(line: &str, batch: &mut WriteBatch) -> anyhow::Result<()> {
    let line: Value = serde_json::from_str(line)?;
    let metric = line["metric"].as_object().context("metric must be an object of labels")?;
    let pairs: Option<Vec<(&str, &str)>> =
        metric.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
    let labels = Labels::from_pairs(pairs.context("a label's value must be text")?);
    let times = |key: &str, count: usize| -> anyhow::Result<Vec<i64>> {
        let times: Option<Vec<i64>> = list(&line, key)?.iter().map(Value::as_i64).collect();
        let times = times.with_context(|| format!("{key} must be whole milliseconds"))?;
        if times.len() != count {
            bail!("there are {} {key} for {count} values", times.len());
        }
        Ok(times)
    };
    let starts = |key: &str, count: usize| match &line[key] {
        Value::Null => Ok(vec![UNKNOWN_START_MS; count]),
        _ => times(key, count),
    };
    let values = list(&line, "values")?;
    let series = batch.add_series(labels.as_ref());
    let timestamps_ms = times("timestamps", values.len())?;
    let starts_ms = starts("startTimestamps", values.len())?;
    for ((timestamp_ms, start_ms), value) in timestamps_ms.into_iter().zip(starts_ms).zip(values) {
        batch.add_float_since(series, timestamp_ms, read_number(value)?, start_ms);
    }
    let histograms = list(&line, "histograms")?;
    let timestamps_ms = times("histogramTimestamps", histograms.len())?;
    let starts_ms = starts("histogramStartTimestamps", histograms.len())?;
    for ((timestamp_ms, start_ms), value) in timestamps_ms.into_iter().zip(starts_ms).zip(histograms) {
        batch.add_histogram_since(
            series,
            timestamp_ms,
            histogram::read(value).map_err(anyhow::Error::msg)?,
            start_ms,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{BucketSpan, CounterResetHint, FloatHistogram};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let labels = Labels::from_pairs([("__name__", "a"), ("x", "ü\"\n")]);
        let mut samples = SeriesSamples::default();
        let values = [1.5, 0.1 + 0.2, -0.0, 1e300, f64::NAN, STALE_NAN, f64::INFINITY, f64::NEG_INFINITY];
        for (at, value) in (0..).zip(values) {
            samples.floats.push_since(at, value, if at < 3 { UNKNOWN_START_MS } else { at - 2 });
        }
        let one = FloatHistogram {
            count: 3.0,
            zero_count: 1.0,
            sum: 2.5,
            schema: 3,
            zero_threshold: 1e-128,
            positive_spans: vec![BucketSpan { offset: -2, length: 2 }],
            positive_buckets: vec![1.0, 1.0],
            counter_reset_hint: CounterResetHint::Gauge,
            ..FloatHistogram::default()
        };
        samples.histograms.push_since(100, Arc::new(one.clone()), 90);
        let mut batch = WriteBatch::new();
        read(&line(&labels, &samples).to_string(), &mut batch).expect("read");
        assert_eq!(batch.series(0).to_labels(), labels);
        let back: Vec<(i64, u64)> = batch.floats().map(|(_, t, v)| (t, v.to_bits())).collect();
        assert_eq!(back, (0..).zip(values.map(f64::to_bits)).collect::<Vec<_>>());
        assert!(batch.histograms()[0].histogram.same_bits(&one));
        assert_eq!(batch.float_starts().as_slice(), [0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(batch.histograms()[0].start_ms, 90);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            ("{", "EOF"),
            ("{}", "metric"),
            (r#"{"metric":{"a":1}}"#, "text"),
            (r#"{"metric":{"a":"b"},"timestamps":[1],"values":[]}"#, "1 timestamps for 0 values"),
            (r#"{"metric":{"a":"b"},"timestamps":[1],"values":["x"]}"#, "\"x\" is no number"),
            (
                r#"{"metric":{"a":"b"},"timestamps":[1],"values":[1],"startTimestamps":[1,2]}"#,
                "2 startTimestamps for 1",
            ),
            (r#"{"metric":{"a":"b"},"timestamps":[1.5],"values":[1]}"#, "whole milliseconds"),
        ] {
            let error = read(line, &mut WriteBatch::new()).expect_err(line);
            assert!(format!("{error:#}").contains(part), "{line}: {error:#}");
        }
    }
}
