//! Prometheus remote write 1.0: a snappy block that holds a protobuf `WriteRequest`.
//!
//! Map: [`decompress`] and [`decode`] take a body apart and hand the pieces to a [`Visitor`] · [`decode_raw`] does so without
//! looking into labels, for series that are known by a hash of theirs · [`encode`] makes one.
//!
//! Why a visitor: the caller fills its own batch (which this crate must not know), strings are borrowed from
//! the body, and nothing is allocated per series or sample. A request fails as a whole only if it is not protobuf;
//! series with wrong labels and histograms that contradict themselves are reported one by one and left out, as
//! Prometheus does.
//!
//! Source: the remote write 1.0 specification, `prompb/remote.proto` and `prompb/types.proto`.

mod decode;
pub mod encode;
pub(crate) mod histogram;
mod raw;
#[cfg(test)]
mod tests;

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};

use crate::protobuf::ProtobufError;

pub use decode::decode;
pub(crate) use decode::{METRIC_TYPES, NameRule, metric_type_of, pack, shown};
pub(crate) use histogram::{decode_with_start as decode_histogram, encode as encode_histogram};
pub use raw::{LabelHasher, RawVisitor, decode_raw, pack_raw_labels, refuse_raw};

/// Decompressed requests beyond this are refused by default; Prometheus' limit.
pub const DECOMPRESSED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Takes what a request holds. For each sound series, [`Visitor::series`] comes first, then its samples.
pub trait Visitor {
    /// A series begins: labels sorted, unique, with a metric name.
    fn series(&mut self, labels: LabelsRef<'_>);
    /// A float sample of the series.
    fn float(&mut self, timestamp_ms: i64, value: f64);
    /// A native histogram of the series, validated.
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram);
    /// An exemplar of the series, with its timestamp set.
    fn exemplar(&mut self, exemplar: Exemplar);
    /// What the client knows about a metric family.
    fn metadata(&mut self, metric: &str, metadata: Metadata);
    /// Something was left out; the rest of the request goes on.
    fn reject(&mut self, rejected: RejectedSeries);
}

/// A series, or a sample of it, that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time series number {number} {labels}: {reason}")]
pub struct RejectedSeries {
    /// Its place in the request, counted from 1.
    pub number: usize,
    /// Its labels as they came, shortened.
    pub labels: String,
    /// How many samples and histograms were lost with it.
    pub sample_count: usize,
    /// Why.
    pub reason: RejectedReason,
}

/// Why a series, or a sample of it, was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectedReason {
    /// There is no `__name__`.
    #[error("the metric name is missing")]
    NoMetricName,
    /// A label without a name.
    #[error("a label name is empty")]
    EmptyLabelName,
    /// The same name twice.
    #[error("label name {0:?} is not unique")]
    DuplicateLabel(String),
    /// A name or value that is not text.
    #[error("a label name or value is not valid UTF-8")]
    NotUtf8,
    /// A name or value that no limit would allow.
    #[error("a label name or value of {0} bytes is too long")]
    LabelTooLong(usize),
    /// Labels that are not protobuf.
    #[error("a label is malformed: {0}")]
    Malformed(ProtobufError),
    /// A name without a value.
    #[error("{0} references to label names and values, which is not even")]
    OddReferences(usize),
    /// A reference that points to nothing.
    #[error("reference {reference} of {symbol_count} symbols")]
    NoSymbol {
        /// The reference.
        reference: u32,
        /// How many symbols the request has.
        symbol_count: usize,
    },
    /// A histogram that contradicts itself.
    #[error("invalid native histogram: {0}")]
    Histogram(#[from] model::histogram::InvalidHistogram),
    /// An exemplar with wrong labels.
    #[error("an exemplar has wrong labels: {0}")]
    Exemplar(Box<RejectedReason>),
}

/// A body that is no remote write request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteWriteError {
    /// Not a snappy block (the framed format is something else).
    #[error("the body is not a snappy block: {0}")]
    Snappy(String),
    /// More bytes than allowed, or than a body of this size can hold.
    #[error(
        "the request would have {len_bytes} bytes decompressed, the limit is {max_bytes}: send smaller batches"
    )]
    TooLarge {
        /// According to the header of the block.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// More symbols than a request may have.
    #[error("the request has more than {0} symbols, far more than its series can need")]
    TooManySymbols(usize),
    /// Not a `WriteRequest`.
    #[error("{place}: {error}")]
    Protobuf {
        /// Which part of the request.
        place: Place,
        /// What is wrong.
        error: ProtobufError,
    },
}

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The request itself.
    Request,
    /// A time series, counted from 1.
    Series(usize),
    /// A metadata entry, counted from 1.
    Metadata(usize),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request => f.write_str("request"),
            Self::Series(number) => write!(f, "time series number {number}"),
            Self::Metadata(number) => write!(f, "metadata number {number}"),
        }
    }
}

/// A snappy copy of 3 bytes yields at most 64.
const SNAPPY_RATIO_MAX: usize = 22;

/// Replaces the content of `into` by the decompressed body. Never takes more memory than `max_bytes`, nor more than
/// 22 times the body, whatever its header claims.
///
/// # Errors
/// `Snappy` or `TooLarge`.
pub fn decompress(body: &[u8], max_bytes: usize, into: &mut Vec<u8>) -> Result<(), RemoteWriteError> {
    let snappy = |error: snap::Error| RemoteWriteError::Snappy(error.to_string());
    let len_bytes = snap::raw::decompress_len(body).map_err(snappy)?;
    if len_bytes > max_bytes {
        return Err(RemoteWriteError::TooLarge { len_bytes, max_bytes });
    }
    if len_bytes > body.len() * SNAPPY_RATIO_MAX {
        let message = format!("its header claims {len_bytes} bytes, more than {} bytes can hold", body.len());
        return Err(RemoteWriteError::Snappy(message));
    }
    // What was there is overwritten; only what is new must be zeroed first.
    into.resize(len_bytes, 0);
    let written = snap::raw::Decoder::new().decompress(body, into).map_err(snappy)?;
    into.truncate(written);
    Ok(())
}
