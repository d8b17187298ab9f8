//! Prometheus remote write 2.0: a snappy block that holds a protobuf `io.prometheus.write.v2.Request`, whose texts are all in
//! one table of symbols.
//!
//! Map: [`decode`] takes a request apart · [`decode_refs`] finds out which labels a series has · [`encode`] makes a request.
//! Compression, errors and histograms are those of [`crate::remote_write`].
//!
//! A client sends the same series again and again, but with other numbers each time, because the table is made anew for each
//! request. So a series is known by a hash of the hashes of its symbols: each symbol is hashed once a request, and no
//! label is looked at ([`Visitor::raw_series`]). The table goes behind the request ([`SymbolTable::append_to`]), so that storage
//! can decode the labels of those few that it does not know.
//!
//! Source: the remote write 2.0 specification and `io/prometheus/write/v2/types.proto`; start timestamps both as the first release
//! candidates have them (of the series) and as later ones do (of each sample).

pub mod encode;
mod symbols;
#[cfg(test)]
mod tests;

use std::ops::Range;

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata, MetricType, UNKNOWN_START_MS};

use crate::protobuf::{ProtobufError, Reader, Value};
use crate::remote_write::{
    LabelHasher, NameRule, Place, RejectedReason, RejectedSeries, RemoteWriteError, decode_histogram,
    metric_type_of, pack, shown,
};

use symbols::{References, Symbols};
pub use symbols::{SymbolTable, decode_refs, refuse_refs};

/// Takes what a request holds. For each sound series, [`Visitor::series`] or [`Visitor::raw_series`] comes first, then its
/// samples. Starts are [`UNKNOWN_START_MS`] where the client does not say.
pub trait Visitor {
    /// A series begins of which only a hash is known, and where in the request its references are.
    fn raw_series(&mut self, hash: u128, refs: Range<usize>);
    /// A series begins: labels sorted, unique, with a metric name.
    fn series(&mut self, labels: LabelsRef<'_>);
    /// A float sample of the series.
    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64);
    /// A native histogram of the series, validated.
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64);
    /// An exemplar of the series; one without a timestamp belongs to the newest sample.
    fn exemplar(&mut self, exemplar: Exemplar);
    /// What the client knows about a metric family; once a request.
    fn metadata(&mut self, family: &str, metadata: Metadata);
    /// Something was left out; the rest of the request goes on.
    fn reject(&mut self, rejected: RejectedSeries);
}

/// Tags of `Request.timeseries`, and of `TimeSeries.labels_refs` and `TimeSeries.samples`.
const SERIES_TAG: u8 = 5 << 3 | 2;
const REFS_TAG: u8 = 1 << 3 | 2;

/// Hands everything in `request` (decompressed) to `visitor`. `hasher` must be used for nothing else.
///
/// # Errors
/// `Protobuf` if it is not a `Request`, `TooManySymbols`; the visitor may have seen part of it then, which must not be written.
pub fn decode(
    request: &[u8],
    hasher: &LabelHasher,
    visitor: &mut impl Visitor,
) -> Result<SymbolTable, RemoteWriteError> {
    let symbols = Symbols::read(request, hasher)?;
    let mut decoder = Decoder {
        described: vec![false; symbols.len()],
        symbols: &symbols,
        hasher,
        scratch: Scratch::default(),
    };
    let mut reader = Reader::new(request);
    let mut number = 0;
    loop {
        let (field, value) = match reader.usual_bytes(SERIES_TAG) {
            Some(message) => (5, Value::Bytes(message)),
            None => match reader.next_field().map_err(at(Place::Request))? {
                Some(field) => field,
                None => return Ok(symbols.into_table()),
            },
        };
        if field == 5 {
            number += 1;
            let message = value.bytes(field).map_err(at(Place::Series(number)))?;
            let start = request.len() - reader.len() - message.len();
            decoder.series(message, start, number, visitor).map_err(at(Place::Series(number)))?;
        }
    }
}

fn at(place: Place) -> impl Fn(ProtobufError) -> RemoteWriteError {
    move |error| RemoteWriteError::Protobuf { place, error }
}

/// Allocations that series share.
#[derive(Default)]
struct Scratch<'a> {
    refs: Vec<u32>,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    packed: String,
    hashes: Vec<u8>,
}

struct Decoder<'a> {
    symbols: &'a Symbols<'a>,
    hasher: &'a LabelHasher,
    /// Symbols that are metric names whose metadata was handed over already.
    described: Vec<bool>,
    scratch: Scratch<'a>,
}

/// What is said once for all samples of a series.
#[derive(Default)]
struct Head<'a> {
    /// The references, if they are one packed field.
    packed_refs: Option<&'a [u8]>,
    metadata: Option<&'a [u8]>,
    created_ms: i64,
    sample_count: usize,
    newest_ms: i64,
}

impl<'a> Decoder<'a> {
    fn series(
        &mut self,
        message: &'a [u8],
        start: usize,
        number: usize,
        visitor: &mut impl Visitor,
    ) -> Result<(), ProtobufError> {
        let head = self.head(message)?;
        let begun = match head.packed_refs.and_then(|refs| self.hash(refs)) {
            Some(hash) => {
                let refs = head.packed_refs.unwrap_or_default();
                // Both are slices of the request.
                let offset = refs.as_ptr() as usize - message.as_ptr() as usize;
                visitor.raw_series(hash, start + offset..start + offset + refs.len());
                Ok(())
            }
            None => self.decoded_series(visitor),
        };
        if let Err(reason) = begun {
            let labels = shown(&self.scratch.pairs);
            // A broken message fails the request even where its labels are wrong.
            let mut ignored = Ignored;
            self.samples(message, number, &head, &mut ignored)?;
            visitor.reject(RejectedSeries { number, labels, sample_count: head.sample_count, reason });
            return Ok(());
        }
        if let Some(metadata) = head.metadata {
            self.metadata(metadata, visitor)?;
        }
        self.samples(message, number, &head, visitor)
    }

    /// Everything but the samples, and the references as numbers.
    fn head(&mut self, message: &'a [u8]) -> Result<Head<'a>, ProtobufError> {
        let mut head = Head { created_ms: UNKNOWN_START_MS, ..Head::default() };
        self.scratch.refs.clear();
        let mut reader = Reader::new(message);
        if let Some(refs) = reader.usual_bytes(REFS_TAG) {
            head.packed_refs = Some(refs);
            References::of(refs).read_into(&mut self.scratch.refs)?;
        }
        while let Some((field, value)) = reader.next_field()? {
            match (field, value) {
                (1, Value::Bytes(refs)) => {
                    head.packed_refs = (self.scratch.refs.is_empty() && !refs.is_empty()).then_some(refs);
                    References::of(refs).read_into(&mut self.scratch.refs)?;
                }
                (1, value) => {
                    head.packed_refs = None;
                    self.scratch.refs.push(value.varint(field)? as u32);
                }
                (2, value) => {
                    head.sample_count += 1;
                    head.newest_ms = sample(value.bytes(field)?)?.0;
                }
                (3, _) => head.sample_count += 1,
                (5, value) => head.metadata = Some(value.bytes(field)?),
                (6, value) => head.created_ms = value.int64(field)?,
                _ => {}
            }
        }
        Ok(head)
    }

    /// The hash of a series whose references are sound; `None` if they are not.
    #[inline]
    fn hash(&mut self, packed_refs: &[u8]) -> Option<u128> {
        let refs = &self.scratch.refs;
        if packed_refs.is_empty() || !refs.len().is_multiple_of(2) {
            return None;
        }
        self.scratch.hashes.clear();
        for reference in refs {
            let hash = self.symbols.hash(*reference)?;
            self.scratch.hashes.extend_from_slice(&hash.to_le_bytes());
        }
        Some(self.hasher.hash(&self.scratch.hashes))
    }

    fn decoded_series(&mut self, visitor: &mut impl Visitor) -> Result<(), RejectedReason> {
        let Scratch { refs, pairs, packed, .. } = &mut self.scratch;
        self.symbols.pairs(refs, pairs)?;
        pack(pairs, packed, NameRule::Required)?;
        visitor.series(LabelsRef::from_packed_trusted(packed));
        Ok(())
    }

    fn samples(
        &mut self,
        message: &'a [u8],
        number: usize,
        head: &Head<'a>,
        visitor: &mut impl Visitor,
    ) -> Result<(), ProtobufError> {
        let of_sample = |start_ms: i64| if start_ms == UNKNOWN_START_MS { head.created_ms } else { start_ms };
        let mut newest_ms = head.newest_ms;
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next_field()? {
            let outcome = match field {
                2 => {
                    let (timestamp_ms, float, start_ms) = sample(value.bytes(field)?)?;
                    visitor.float(timestamp_ms, float, of_sample(start_ms));
                    Ok(())
                }
                3 => {
                    let (timestamp_ms, start_ms, histogram) = decode_histogram(value.bytes(field)?)?;
                    newest_ms = timestamp_ms;
                    histogram
                        .validate()
                        .map_err(RejectedReason::from)
                        .map(|()| visitor.histogram(timestamp_ms, histogram, of_sample(start_ms)))
                }
                4 => self
                    .exemplar(value.bytes(field)?, newest_ms)?
                    .map(|exemplar| visitor.exemplar(exemplar))
                    .map_err(|reason| RejectedReason::Exemplar(Box::new(reason))),
                _ => Ok(()),
            };
            if let Err(reason) = outcome {
                let labels = self.shown();
                let sample_count = usize::from(field == 3);
                visitor.reject(RejectedSeries { number, labels, sample_count, reason });
            }
        }
        Ok(())
    }

    /// The labels of the series at hand, for a message.
    fn shown(&self) -> String {
        let mut pairs = Vec::new();
        // What cannot be shown is left out.
        let _ = self.symbols.pairs(&self.scratch.refs, &mut pairs);
        shown(&pairs)
    }

    fn exemplar(
        &self,
        message: &[u8],
        newest_ms: i64,
    ) -> Result<Result<Exemplar, RejectedReason>, ProtobufError> {
        let (mut refs, mut timestamp_ms, mut value) = (Vec::new(), 0, 0.0);
        let mut reader = Reader::new(message);
        while let Some((field, content)) = reader.next_field()? {
            match (field, content) {
                (1, Value::Bytes(packed)) => References::of(packed).read_into(&mut refs)?,
                (1, content) => refs.push(content.varint(field)? as u32),
                (2, content) => value = content.double(field)?,
                (3, content) => timestamp_ms = content.int64(field)?,
                _ => {}
            }
        }
        let (mut pairs, mut packed) = (Vec::new(), String::new());
        let labels = self
            .symbols
            .pairs(&refs, &mut pairs)
            .and_then(|()| pack(&mut pairs, &mut packed, NameRule::Free));
        Ok(labels.map(|()| Exemplar {
            labels: LabelsRef::from_packed_trusted(&packed).to_labels(),
            value,
            timestamp_ms: Some(if timestamp_ms == 0 { newest_ms } else { timestamp_ms }),
        }))
    }

    /// Every series of a family carries its metadata; the first says it.
    fn metadata(&mut self, message: &[u8], visitor: &mut impl Visitor) -> Result<(), ProtobufError> {
        let (mut metric_type, mut help, mut unit) = (MetricType::Unknown, 0, 0);
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next_field()? {
            match field {
                1 => metric_type = metric_type_of(value.varint(field)?),
                3 => help = value.varint(field)? as u32,
                4 => unit = value.varint(field)? as u32,
                _ => {}
            }
        }
        let Some(name_ref) = self.symbols.name_ref(&self.scratch.refs) else { return Ok(()) };
        // Metadata is for people: odd bytes in it are no reason to lose samples.
        let text =
            |reference| String::from_utf8_lossy(self.symbols.get(reference).unwrap_or_default()).into_owned();
        let (help, unit) = (text(help), text(unit));
        let says_nothing = metric_type == MetricType::Unknown && help.is_empty() && unit.is_empty();
        if says_nothing || std::mem::replace(&mut self.described[name_ref as usize], true) {
            return Ok(());
        }
        if let Some(Ok(name)) = self.symbols.get(name_ref).map(std::str::from_utf8) {
            visitor.metadata(family_of(name, metric_type), Metadata { metric_type, unit, help });
        }
        Ok(())
    }
}

/// The family that a series of this name belongs to.
fn family_of(name: &str, metric_type: MetricType) -> &str {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram => &["_bucket", "_count", "_sum"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .filter(|family| !family.is_empty())
        .unwrap_or(name)
}

/// Timestamp, value and start of a `Sample`.
#[inline]
fn sample(message: &[u8]) -> Result<(i64, f64, i64), ProtobufError> {
    let (mut timestamp_ms, mut float, mut start_ms) = (0, 0.0, UNKNOWN_START_MS);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => float = value.double(field)?,
            2 => timestamp_ms = value.int64(field)?,
            3 => start_ms = value.int64(field)?,
            _ => {}
        }
    }
    Ok((timestamp_ms, float, start_ms))
}

/// Takes the samples of a series that is refused.
pub(crate) struct Ignored;

impl Visitor for Ignored {
    fn raw_series(&mut self, _: u128, _: Range<usize>) {}
    fn series(&mut self, _: LabelsRef<'_>) {}
    fn float(&mut self, _: i64, _: f64, _: i64) {}
    fn histogram(&mut self, _: i64, _: FloatHistogram, _: i64) {}
    fn exemplar(&mut self, _: Exemplar) {}
    fn metadata(&mut self, _: &str, _: Metadata) {}
    fn reject(&mut self, _: RejectedSeries) {}
}
