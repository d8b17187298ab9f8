//! `io.prometheus.client.MetricFamily`, length-delimited, as clients push it: classic samples only.
//!
//! Source: `io/prometheus/client/metrics.proto`. Native buckets and exemplars are left out.

use model::number::{FloatFormat, format_float_as};
use model::{Metadata, MetricType};

use crate::protobuf::{ProtobufError, Reader};

/// A sample of a family.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PushedSample<'a> {
    /// What stands behind the family's name: `_bucket`, `_sum`, `_count`, or nothing.
    pub suffix: &'static str,
    /// Labels of the metric, and `le` or `quantile`.
    pub labels: Vec<(&'a str, std::borrow::Cow<'a, str>)>,
    /// The value.
    pub value: f64,
    /// Whether the client gave it a time.
    pub has_timestamp: bool,
}

/// Hands each sample of `body` to `take` with the family it belongs to.
///
/// # Errors
/// If it is not protobuf of this shape, or what `take` says.
pub fn read_delimited<'a>(
    body: &'a [u8],
    mut take: impl FnMut(&str, &Metadata, &PushedSample<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = Reader::new(body);
    let mut sample = PushedSample::default();
    while !rest.is_empty() {
        let family = rest.delimited().map_err(|error| fault(&error))?;
        read_family(family, &mut sample, &mut take)?;
    }
    Ok(())
}

fn fault(error: &ProtobufError) -> String {
    format!("the body is not length-delimited MetricFamily: {error}")
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a name, help or label is not valid UTF-8".to_owned())
}

fn read_family<'a>(
    family: &'a [u8],
    sample: &mut PushedSample<'a>,
    take: &mut impl FnMut(&str, &Metadata, &PushedSample<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let (mut name, mut metadata, mut kind) = ("", Metadata::default(), 0);
    let at = |error: ProtobufError| fault(&error);
    let mut reader = Reader::new(family);
    while let Some((field, value)) = reader.next_field().map_err(at)? {
        match field {
            1 => name = text(value.bytes(field).map_err(at)?)?,
            2 => text(value.bytes(field).map_err(at)?)?.clone_into(&mut metadata.help),
            3 => kind = value.varint(field).map_err(at)?,
            5 => text(value.bytes(field).map_err(at)?)?.clone_into(&mut metadata.unit),
            _ => {}
        }
    }
    if name.is_empty() {
        return Err("a family has no name".to_owned());
    }
    metadata.metric_type = match kind {
        0 => MetricType::Counter,
        1 => MetricType::Gauge,
        2 => MetricType::Summary,
        4 => MetricType::Histogram,
        5 => MetricType::GaugeHistogram,
        _ => MetricType::Unknown,
    };
    let mut reader = Reader::new(family);
    while let Some((field, value)) = reader.next_field().map_err(at)? {
        if field == 4 {
            let metric = value.bytes(field).map_err(at)?;
            read_metric(metric, sample, &mut |sample| take(name, &metadata, sample))?;
        }
    }
    Ok(())
}

fn read_metric<'a>(
    metric: &'a [u8],
    sample: &mut PushedSample<'a>,
    take: &mut impl FnMut(&PushedSample<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let at = |error: ProtobufError| fault(&error);
    (sample.suffix, sample.has_timestamp) = ("", false);
    sample.labels.clear();
    let mut reader = Reader::new(metric);
    while let Some((field, value)) = reader.next_field().map_err(at)? {
        match field {
            1 => {
                let (mut name, mut label) = ("", "");
                let mut pair = Reader::new(value.bytes(field).map_err(at)?);
                while let Some((field, value)) = pair.next_field().map_err(at)? {
                    match field {
                        1 => name = text(value.bytes(field).map_err(at)?)?,
                        2 => label = text(value.bytes(field).map_err(at)?)?,
                        _ => {}
                    }
                }
                sample.labels.push((name, label.into()));
            }
            6 => sample.has_timestamp = value.varint(field).map_err(at)? != 0,
            _ => {}
        }
    }
    let mut reader = Reader::new(metric);
    while let Some((field, value)) = reader.next_field().map_err(at)? {
        match field {
            2 | 3 | 5 => {
                sample.value = double_of(value.bytes(field).map_err(at)?).map_err(at)?;
                take(sample)?;
            }
            4 => read_parts(value.bytes(field).map_err(at)?, "quantile", sample, take)?,
            7 => read_parts(value.bytes(field).map_err(at)?, "le", sample, take)?,
            _ => {}
        }
    }
    Ok(())
}

/// Field 1 of a gauge, counter or untyped value.
fn double_of(message: &[u8]) -> Result<f64, ProtobufError> {
    let mut value = 0.0;
    let mut reader = Reader::new(message);
    while let Some((field, found)) = reader.next_field()? {
        if field == 1 {
            value = found.double(field)?;
        }
    }
    Ok(value)
}

/// Summaries and histograms: count, sum, and quantiles or buckets.
fn read_parts<'a>(
    message: &'a [u8],
    label: &'static str,
    sample: &mut PushedSample<'a>,
    take: &mut impl FnMut(&PushedSample<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let at = |error: ProtobufError| fault(&error);
    let own_labels = sample.labels.len();
    let is_histogram = label == "le";
    let (mut count, mut has_infinity) = (0.0, false);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field().map_err(at)? {
        match field {
            1 => count = value.varint(field).map_err(at)? as f64,
            2 => {
                (sample.suffix, sample.value) = ("_sum", value.double(field).map_err(at)?);
                take(sample)?;
            }
            3 => {
                let (bound, value) = pair_of(value.bytes(field).map_err(at)?, is_histogram).map_err(at)?;
                has_infinity |= bound == f64::INFINITY;
                (sample.suffix, sample.value) = (if is_histogram { "_bucket" } else { "" }, value);
                sample.labels.push((label, format_float_as(bound, FloatFormat::OpenMetrics).into()));
                take(sample)?;
                sample.labels.truncate(own_labels);
            }
            4 if is_histogram => count = value.double(field).map_err(at)?,
            _ => {}
        }
    }
    sample.value = count;
    if is_histogram && !has_infinity {
        sample.suffix = "_bucket";
        sample.labels.push((label, "+Inf".into()));
        take(sample)?;
        sample.labels.truncate(own_labels);
    }
    sample.suffix = "_count";
    take(sample)
}

/// A quantile and its value, or a bucket's bound and its count.
fn pair_of(message: &[u8], is_bucket: bool) -> Result<(f64, f64), ProtobufError> {
    let (mut bound, mut value) = (0.0, 0.0);
    let mut reader = Reader::new(message);
    while let Some((field, found)) = reader.next_field()? {
        match (field, is_bucket) {
            (1, true) => value = found.varint(field)? as f64,
            (2, true) => bound = found.double(field)?,
            (4, true) => value = found.double(field)?,
            (1, false) => bound = found.double(field)?,
            (2, false) => value = found.double(field)?,
            _ => {}
        }
    }
    Ok((bound, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::Writer;
    use proptest::prelude::*;

    fn message(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.as_bytes().to_vec()
    }

    fn samples(body: &[u8]) -> Result<Vec<String>, String> {
        let mut got = Vec::new();
        read_delimited(body, |name, metadata, s| {
            let labels: Vec<String> =
                s.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            got.push(format!("{} {name}{} {labels:?} {}", metadata.metric_type.as_str(), s.suffix, s.value));
            Ok(())
        })?;
        Ok(got)
    }

    #[test]
    fn families_become_samples() {
        let label = message(|w| {
            w.bytes(1, b"path");
            w.bytes(2, b"/");
        });
        let bucket = message(|w| {
            w.varint(1, 3);
            w.double_always(2, 0.5);
        });
        let histogram = message(|w| {
            w.varint(1, 4);
            w.double_always(2, 1.5);
            w.bytes(3, &bucket);
        });
        let metric = message(|w| {
            w.bytes(1, &label);
            w.bytes(7, &histogram);
        });
        let family = message(|w| {
            w.bytes(1, b"latency");
            w.bytes(2, b"Help.");
            w.varint(3, 4);
            w.bytes(4, &metric);
        });
        let mut body = vec![u8::try_from(family.len()).expect("short")];
        body.extend_from_slice(&family);
        assert_eq!(
            samples(&body).expect("sound"),
            [
                r#"histogram latency_sum ["path=/"] 1.5"#,
                r#"histogram latency_bucket ["path=/", "le=0.5"] 3"#,
                r#"histogram latency_bucket ["path=/", "le=+Inf"] 4"#,
                r#"histogram latency_count ["path=/"] 4"#,
            ]
        );
        assert!(samples(&body[..body.len() - 1]).is_err());
        assert!(samples(b"\x02\x18\x01").expect_err("nameless").contains("no name"));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = samples(&body);
        }
    }
}
