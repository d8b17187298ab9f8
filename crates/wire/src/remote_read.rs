//! Prometheus remote read: what a client asks, and both forms of the answer.
//!
//! Map: [`decode`] a request · [`SamplesResponse`] all samples in one message · [`ChunkFrames`] series after series in frames of
//! encoded chunks, so that neither side holds everything · `bits` and `xor` floats as Prometheus' TSDB encodes them ·
//! `histogram_chunk` the same for native histograms · `response` the client's side: [`encode_request`], and answers read.
//!
//! Source: `prompb/remote.proto` and `prompb/types.proto`; the chunk formats of Prometheus' TSDB documentation.

mod bits;
mod frames;
mod histogram_chunk;
mod request;
mod response;
mod samples;
#[cfg(test)]
mod tests;
mod xor;

use model::matcher::RegexError;

use crate::protobuf::{ProtobufError, Writer};

pub use frames::ChunkFrames;
pub use request::decode;
pub use response::{AnswerError, FrameReader, encode_request, read_chunked, read_samples};
pub use samples::SamplesResponse;

/// Content type of [`SamplesResponse`], which is a snappy block besides.
pub const SAMPLES_CONTENT_TYPE: &str = "application/x-protobuf";
/// Content type of [`ChunkFrames`].
pub const CHUNKS_CONTENT_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// What a client asks.
#[derive(Debug)]
pub struct ReadRequest {
    /// Answered in this order.
    pub queries: Vec<ReadQuery>,
    /// The first form of answer, in the client's order, that we know.
    pub response_type: ResponseType,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// See [`SamplesResponse`].
    Samples,
    /// See [`ChunkFrames`].
    StreamedXorChunks,
}

/// Series that meet all matchers, and their samples in a range.
#[derive(Debug)]
pub struct ReadQuery {
    /// Inclusive.
    pub start_ms: i64,
    /// Inclusive.
    pub end_ms: i64,
    /// All must be met.
    pub matchers: Vec<model::Matcher>,
    /// What the samples are for.
    pub hints: ReadHints,
}

/// What the samples are for; never changes the answer.
#[derive(Debug, Clone, Default)]
pub struct ReadHints {
    /// Distance of evaluation steps; 0 for an instant query.
    pub step_ms: i64,
    /// The function around the selector; empty if none.
    pub function: String,
    /// Width of the window in front of each step; 0 for an instant selector.
    pub window_ms: i64,
}

/// A body that is no remote read request, or one that cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum RemoteReadError {
    /// Not a `ReadRequest`.
    #[error("the body is not a prometheus.ReadRequest: {0}")]
    Protobuf(#[from] ProtobufError),
    /// A name or value that is not text.
    #[error("a matcher is not valid UTF-8")]
    NotUtf8,
    /// A type of matcher that does not exist.
    #[error("unknown label matcher type {0}")]
    MatcherType(u64),
    /// An expression that does not compile.
    #[error("matcher {name}: {error}")]
    Regex {
        /// The label.
        name: String,
        /// What is wrong.
        error: RegexError,
    },
    /// Only forms of answers that do not exist.
    #[error(
        "server does not support any of the requested response types: {0:?}; supported: samples (0), streamed chunks (1)"
    )]
    ResponseTypes(Vec<u64>),
    /// More queries than anybody sends.
    #[error("the request has more than {0} queries")]
    TooManyQueries(usize),
}

/// Appends labels as repeated `Label` messages in field 1.
fn write_labels(out: &mut Writer, scratch: &mut Writer, labels: &model::Labels) {
    for (name, value) in labels {
        scratch.clear();
        scratch.string(1, name);
        scratch.string(2, value);
        out.bytes(1, scratch.as_bytes());
    }
}
