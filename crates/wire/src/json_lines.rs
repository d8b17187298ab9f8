//! JSON lines: a series, or a part of one, a line, as VictoriaMetrics exports and imports them, and as Kymo exports and imports them:
//! `{"metric":{"__name__":"up","job":"x"},"values":[1,"NaN",null],"timestamps":[1700000000000,…]}`; native histograms stand beside the values, as
//! `histograms` (see [`histogram`]) and `histogramTimestamps`. Where it is known when counters began, `startTimestamps` and
//! `histogramStartTimestamps` have it for each sample, 0 for those of which nobody knows.
//!
//! Buffers are used again from line to line. A wrong line is one error, and the next line is read.

pub mod histogram;

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use model::sample::NORMAL_NAN;
use model::{FloatHistogram, STALE_NAN, UNKNOWN_START_MS};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::{Key, Pairs, Scalar};

/// The samples of one line.
#[derive(Debug, Clone, Default)]
pub struct LineSeries<'a> {
    /// Counted from 1.
    pub number: usize,
    pairs: Vec<(Cow<'a, str>, Scalar<'a>)>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
    starts_ms: Vec<i64>,
    histogram_timestamps_ms: Vec<i64>,
    histograms: Vec<FloatHistogram>,
    histogram_starts_ms: Vec<i64>,
}

impl LineSeries<'_> {
    /// Names and values, the metric's name among them as `__name__`; one may occur twice.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().filter_map(|(name, value)| Some((&**name, value.as_text()?)))
    }

    /// Times, values, and when they began to count ([`UNKNOWN_START_MS`] where the line does not say).
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (i64, f64, i64)> {
        let start = |at: usize| self.starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS);
        self.timestamps_ms
            .iter()
            .zip(&self.values)
            .enumerate()
            .map(move |(at, (time, value))| (*time, *value, start(at)))
    }

    /// Times, native histograms, validated, and when they began to count.
    pub fn histograms(&self) -> impl ExactSizeIterator<Item = (i64, &FloatHistogram, i64)> {
        let start = |at: usize| self.histogram_starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS);
        let pairs = self.histogram_timestamps_ms.iter().zip(&self.histograms);
        pairs.enumerate().map(move |(at, (time, value))| (*time, value, start(at)))
    }
}

/// Hands each line of `body` to `take`, which may end the reading by returning `false`.
pub fn read<'a>(body: &'a [u8], mut take: impl FnMut(usize, Result<&LineSeries<'a>, String>) -> bool) {
    let mut series = LineSeries::default();
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or(&[]);
        series.number += 1;
        if line.is_empty() {
            continue;
        }
        let made = make(line, &mut series);
        if !take(series.number, made.map(|()| &series)) {
            return;
        }
    }
}

fn make<'a>(line: &'a [u8], series: &mut LineSeries<'a>) -> Result<(), String> {
    series.pairs.clear();
    series.timestamps_ms.clear();
    series.values.clear();
    series.starts_ms.clear();
    series.histogram_starts_ms.clear();
    series.histogram_timestamps_ms.clear();
    series.histograms.clear();
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let read = SeriesSeed(series).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| format!("it is not JSON as it should be: {error}"))?;
    for (name, value) in &series.pairs {
        if name.is_empty() || value.as_text().is_none() {
            return Err(format!("label {name:?} must have a name and a text as its value"));
        }
    }
    if !series.pairs.iter().any(|(name, value)| name == model::METRIC_NAME && value.as_text() != Some("")) {
        return Err("\"metric\" must have a \"__name__\"".to_owned());
    }
    if series.timestamps_ms.len() != series.values.len() {
        let (timestamps, values) = (series.timestamps_ms.len(), series.values.len());
        return Err(format!("there are {values} values and {timestamps} timestamps"));
    }
    if series.histogram_timestamps_ms.len() != series.histograms.len() {
        let (timestamps, histograms) = (series.histogram_timestamps_ms.len(), series.histograms.len());
        return Err(format!("there are {histograms} histograms and {timestamps} histogramTimestamps"));
    }
    for (key, starts, values) in [
        ("startTimestamps", series.starts_ms.len(), series.values.len()),
        ("histogramStartTimestamps", series.histogram_starts_ms.len(), series.histograms.len()),
    ] {
        if starts != 0 && starts != values {
            return Err(format!("there are {starts} {key} for {values} samples"));
        }
    }
    Ok(())
}

struct SeriesSeed<'b, 'de>(&'b mut LineSeries<'de>);

impl<'de> DeserializeSeed<'de> for SeriesSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SeriesSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with metric, values and timestamps")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = fields.next_key::<Key<'de>>()? {
            match &*key {
                "metric" => drop(fields.next_value_seed(Pairs(&mut self.0.pairs))?),
                "values" => fields.next_value_seed(Column(&mut self.0.values, value))?,
                "timestamps" => fields.next_value_seed(Column(&mut self.0.timestamps_ms, time))?,
                "startTimestamps" => fields.next_value_seed(Column(&mut self.0.starts_ms, time))?,
                "histogramStartTimestamps" => {
                    fields.next_value_seed(Column(&mut self.0.histogram_starts_ms, time))?;
                }
                "histogramTimestamps" => {
                    fields.next_value_seed(Column(&mut self.0.histogram_timestamps_ms, time))?;
                }
                "histograms" => {
                    for value in fields.next_value::<Vec<serde_json::Value>>()? {
                        self.0.histograms.push(histogram::read(&value).map_err(serde::de::Error::custom)?);
                    }
                }
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn time(scalar: &Scalar<'_>) -> Result<i64, &'static str> {
    scalar.as_whole().ok_or("a timestamp must be a whole number")
}

/// `null` is what JSON makes of NaN; `stale` is Kymo's word for the staleness marker.
fn value(scalar: &Scalar<'_>) -> Result<f64, &'static str> {
    match scalar {
        Scalar::Null => Ok(NORMAL_NAN),
        Scalar::Text(text) if text == "stale" => Ok(STALE_NAN),
        scalar => scalar.as_float().ok_or("a value must be a number, or the text of one"),
    }
}

/// An array of which each element becomes one of a column.
struct Column<'b, T, F>(&'b mut Vec<T>, F);

impl<'de, T, F: Fn(&Scalar<'de>) -> Result<T, &'static str>> DeserializeSeed<'de> for Column<'_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T, F: Fn(&Scalar<'de>) -> Result<T, &'static str>> Visitor<'de> for Column<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(scalar) = items.next_element::<Scalar<'de>>()? {
            self.0.push(self.1(&scalar).map_err(serde::de::Error::custom)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &str, want: &[&str]) {
        let mut got = Vec::new();
        read(body.as_bytes(), |number, line| {
            got.push(match line {
                Ok(series) => {
                    let (labels, samples): (Vec<_>, Vec<_>) = (
                        series.labels().collect(),
                        series.samples().map(|(time, value, _)| (time, value)).collect(),
                    );
                    let starts: Vec<i64> =
                        series.samples().map(|(.., start)| start).filter(|start| *start != 0).collect();
                    let starts = if starts.is_empty() { String::new() } else { format!(" since {starts:?}") };
                    format!("{number} {labels:?} {samples:?}{starts}")
                }
                Err(error) => format!("{number} {error}"),
            });
            true
        });
        assert_eq!(got, want, "{body}");
    }

    #[test]
    fn each_line_is_a_series() {
        check(
            "{\"metric\":{\"__name__\":\"up\",\"job\":\"x\"},\"values\":[1,2.5,null,\"-Infinity\"],\"timestamps\":[1,2,3,4]}\n\n\
             {\"timestamps\":[\"5\"],\"values\":[\"1e3\"],\"metric\":{\"__name__\":\"b\"},\"more\":{}}",
            &[
                r#"1 [("__name__", "up"), ("job", "x")] [(1, 1.0), (2, 2.5), (3, NaN), (4, -inf)]"#,
                r#"3 [("__name__", "b")] [(5, 1000.0)]"#,
            ],
        );
    }

    #[test]
    fn starts_are_read_where_a_line_has_them() {
        check(
            "{\"metric\":{\"__name__\":\"a\"},\"values\":[1,2],\"timestamps\":[5,6],\"startTimestamps\":[0,4]}\n\
             {\"metric\":{\"__name__\":\"a\"},\"values\":[1],\"timestamps\":[5],\"startTimestamps\":[3,4]}\n\
             {\"metric\":{\"__name__\":\"a\"},\"values\":[1],\"timestamps\":[5]}",
            &[
                r#"1 [("__name__", "a")] [(5, 1.0), (6, 2.0)] since [4]"#,
                "2 there are 2 startTimestamps for 1 samples",
                r#"3 [("__name__", "a")] [(5, 1.0)]"#,
            ],
        );
    }

    #[test]
    fn histograms_are_read_as_they_are_written() {
        let one = FloatHistogram {
            count: 3.0,
            zero_count: 1.0,
            sum: 0.1 + 0.2,
            schema: 3,
            zero_threshold: 1e-128,
            positive_spans: vec![model::BucketSpan { offset: -2, length: 2 }],
            positive_buckets: vec![1.0, 1.0],
            ..FloatHistogram::default()
        };
        let line = |times: &str| {
            let histogram = histogram::write(&one);
            format!(
                "{{\"metric\":{{\"__name__\":\"a\"}},\"histogramTimestamps\":{times},\"histograms\":[{histogram}]}}"
            )
        };
        read(line("[7]").as_bytes(), |_, series| {
            let series = series.expect("sound");
            assert!(series.histograms().eq([(7, &one, 0)]) && series.samples().len() == 0);
            true
        });
        check(&line("[]"), &["1 there are 1 histograms and 0 histogramTimestamps"]);
    }

    #[test]
    fn a_wrong_line_is_named_and_the_next_one_read() {
        check(
            "{\"metric\":{\"__name__\":\"a\"},\"values\":[1],\"timestamps\":[]}\n{\"metric\":{\"job\":\"x\"},\"values\":[],\"timestamps\":[]}\n\
             {\"metric\":{\"__name__\":\"a\",\"x\":3}}\n{\"metric\":{\"__name__\":\"ok\"},\"values\":[],\"timestamps\":[]}\n",
            &[
                "1 there are 1 values and 0 timestamps",
                "2 \"metric\" must have a \"__name__\"",
                "3 label \"x\" must have a name and a text as its value",
                "4 [(\"__name__\", \"ok\")] []",
            ],
        );
        let mut faults = Vec::new();
        read(b"{\"metric\"\n[]\n{\"values\":[true]}", |_, line| {
            faults.extend(line.err());
            true
        });
        assert_eq!(faults.len(), 3);
        assert!(faults[2].contains("a value must be a number"), "{}", faults[2]);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "[\\[{}\\]\",:a1.e\n_namemetricvalus]{0,60}", bytes: Vec<u8>) {
            for body in [body.as_bytes(), &bytes] {
                read(body, |_, _| true);
            }
        }
    }
}
