//! `WriteRequest` taken apart.

use std::ops::ControlFlow;

use model::labels::LEN_MAX;
use model::{Exemplar, LabelsRef, METRIC_NAME, Metadata, MetricType};

use super::{Place, RejectedReason, RejectedSeries, RemoteWriteError, Visitor, histogram};
use crate::protobuf::{ProtobufError, Reader, Value};

/// Hands everything in `request` (decompressed) to `visitor`.
///
/// # Errors
/// `Protobuf` if it is not a `WriteRequest`; the visitor may have seen part of it then, which must not be
/// written.
pub fn decode(request: &[u8], visitor: &mut impl Visitor) -> Result<(), RemoteWriteError> {
    let mut scratch = Scratch::default();
    walk(request, visitor, |message, _, number, visitor| series(message, number, &mut scratch, visitor))
}

/// Tag of `WriteRequest.timeseries`.
const SERIES_TAG: u8 = 1 << 3 | 2;

/// Hands each series of a request to `take_series`, with its place in the request and its number.
pub(super) fn walk<'a, V: Visitor>(
    request: &'a [u8],
    visitor: &mut V,
    mut take_series: impl FnMut(&'a [u8], usize, usize, &mut V) -> Result<(), ProtobufError>,
) -> Result<(), RemoteWriteError> {
    let mut reader = Reader::new(request);
    let (mut series_count, mut metadata_count) = (0, 0);
    loop {
        let at = |place| move |error| RemoteWriteError::Protobuf { place, error };
        let (field, value) = match reader.usual_bytes(SERIES_TAG) {
            Some(message) => (1, Value::Bytes(message)),
            None => match reader.next_field().map_err(at(Place::Request))? {
                Some(field) => field,
                None => return Ok(()),
            },
        };
        match field {
            1 => {
                series_count += 1;
                let message = value.bytes(field).map_err(at(Place::Series(series_count)))?;
                let start = request.len() - reader.len() - message.len();
                take_series(message, start, series_count, visitor)
                    .map_err(at(Place::Series(series_count)))?;
            }
            3 => {
                metadata_count += 1;
                let message = value.bytes(field).map_err(at(Place::Metadata(metadata_count)))?;
                metadata(message, visitor).map_err(at(Place::Metadata(metadata_count)))?;
            }
            _ => {}
        }
    }
}

/// Allocations that series share.
#[derive(Default)]
pub(super) struct Scratch<'a> {
    pairs: Vec<(&'a [u8], &'a [u8])>,
    packed: String,
}

pub(super) fn series<'a>(
    message: &'a [u8],
    number: usize,
    scratch: &mut Scratch<'a>,
    visitor: &mut impl Visitor,
) -> Result<(), ProtobufError> {
    scratch.pairs.clear();
    let mut sample_count = 0;
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => scratch.pairs.push(label(value.bytes(field)?)?),
            2 | 4 => sample_count += 1,
            _ => {}
        }
    }
    if let Err(reason) = pack(&mut scratch.pairs, &mut scratch.packed, NameRule::Required) {
        let labels = shown(&scratch.pairs);
        // A broken message fails the request even where its labels are wrong.
        check_samples(message)?;
        visitor.reject(RejectedSeries { number, labels, sample_count, reason });
        return Ok(());
    }
    visitor.series(LabelsRef::from_packed_trusted(&scratch.packed));
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        let outcome = match field {
            2 => {
                let (timestamp_ms, float) = sample(value.bytes(field)?)?;
                visitor.float(timestamp_ms, float);
                Ok(())
            }
            3 => exemplar(value.bytes(field)?)?.map(|exemplar| visitor.exemplar(exemplar)),
            4 => {
                let (timestamp_ms, histogram) = histogram::decode(value.bytes(field)?)?;
                histogram
                    .validate()
                    .map_err(RejectedReason::from)
                    .map(|()| visitor.histogram(timestamp_ms, histogram))
            }
            _ => Ok(()),
        };
        if let Err(reason) = outcome {
            let sample_count = usize::from(field == 4);
            visitor.reject(RejectedSeries { number, labels: shown(&scratch.pairs), sample_count, reason });
        }
    }
    Ok(())
}

fn check_samples(message: &[u8]) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            2 => {
                sample(value.bytes(field)?)?;
            }
            3 => {
                exemplar(value.bytes(field)?)?.ok();
            }
            4 => {
                histogram::decode(value.bytes(field)?)?;
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn label(message: &[u8]) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
    let mut reader = Reader::new(message);
    while let Some((field, content)) = reader.next_field()? {
        match field {
            1 => name = content.bytes(field)?,
            2 => value = content.bytes(field)?,
            _ => {}
        }
    }
    Ok((name, value))
}

pub(super) fn sample(message: &[u8]) -> Result<(i64, f64), ProtobufError> {
    let (mut timestamp_ms, mut float) = (0, 0.0);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => float = value.double(field)?,
            2 => timestamp_ms = value.int64(field)?,
            _ => {}
        }
    }
    Ok((timestamp_ms, float))
}

fn exemplar(message: &[u8]) -> Result<Result<Exemplar, RejectedReason>, ProtobufError> {
    let (mut timestamp_ms, mut float) = (0, 0.0);
    let mut pairs = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => pairs.push(label(value.bytes(field)?)?),
            2 => float = value.double(field)?,
            3 => timestamp_ms = value.int64(field)?,
            _ => {}
        }
    }
    let mut packed = String::new();
    Ok(match pack(&mut pairs, &mut packed, NameRule::Free) {
        Ok(()) => {
            let labels = LabelsRef::from_packed_trusted(&packed).to_labels();
            Ok(Exemplar { labels, value: float, timestamp_ms: Some(timestamp_ms) })
        }
        Err(reason) => Err(RejectedReason::Exemplar(Box::new(reason))),
    })
}

fn metadata(message: &[u8], visitor: &mut impl Visitor) -> Result<(), ProtobufError> {
    let mut metric_type = 0;
    let (mut name, mut help, mut unit): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => metric_type = value.varint(field)?,
            2 => name = value.bytes(field)?,
            4 => help = value.bytes(field)?,
            5 => unit = value.bytes(field)?,
            _ => {}
        }
    }
    // Metadata is for people: odd bytes in it are no reason to lose samples.
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let Ok(name) = std::str::from_utf8(name) else { return Ok(()) };
    if !name.is_empty() {
        visitor.metadata(
            name,
            Metadata { metric_type: metric_type_of(metric_type), unit: text(unit), help: text(help) },
        );
    }
    Ok(())
}

/// Numbers of `MetricMetadata.MetricType`.
pub(crate) const METRIC_TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

pub(crate) fn metric_type_of(number: u64) -> MetricType {
    usize::try_from(number).ok().and_then(|at| METRIC_TYPES.get(at)).copied().unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    Required,
    Free,
}

/// Sorts `pairs` if the client did not, and replaces the content of `packed` by them.
pub(crate) fn pack(
    pairs: &mut [(&[u8], &[u8])],
    packed: &mut String,
    name_rule: NameRule,
) -> Result<(), RejectedReason> {
    packed.clear();
    if !pairs.is_sorted_by(|a, b| a.0 <= b.0) {
        pairs.sort_unstable_by_key(|(name, _)| *name);
    }
    let mut last: Option<&[u8]> = None;
    let mut has_metric_name = false;
    for (name, value) in pairs.iter() {
        if name.is_empty() {
            return Err(RejectedReason::EmptyLabelName);
        }
        if last == Some(*name) {
            return Err(RejectedReason::DuplicateLabel(String::from_utf8_lossy(name).into_owned()));
        }
        last = Some(*name);
        let longest = name.len().max(value.len());
        if longest > LEN_MAX {
            return Err(RejectedReason::LabelTooLong(longest));
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| RejectedReason::NotUtf8);
        let (name, value) = (text(name)?, text(value)?);
        // An empty value means that the label is absent.
        if !value.is_empty() {
            has_metric_name |= name == METRIC_NAME;
            model::labels::pack(packed, name, value);
        }
    }
    if name_rule == NameRule::Required && !has_metric_name {
        return Err(RejectedReason::NoMetricName);
    }
    Ok(())
}

/// Labels for a message, whatever is wrong with them, at most a line of them.
pub(crate) fn shown(pairs: &[(&[u8], &[u8])]) -> String {
    const SHOWN_MAX: usize = 200;
    let mut text = String::from("{");
    let outcome = pairs.iter().enumerate().try_for_each(|(at, (name, value))| {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]).into_owned();
        text += &format!("{}{}={:?}", if at > 0 { ", " } else { "" }, lossy(name), lossy(value));
        if text.len() > SHOWN_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    text.truncate(text.floor_char_boundary(SHOWN_MAX));
    text.push_str(if outcome.is_break() { "…}" } else { "}" });
    text
}
