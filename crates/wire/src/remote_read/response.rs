//! The other side: a request made, and both forms of answer read.

use model::{FloatHistogram, Labels, LabelsRef, Matcher, Metadata, matcher::MatchOp};

use crate::prometheus_tsdb::Corrupt;
use crate::prometheus_tsdb::chunk::{self, Encoding, Samples};
use crate::protobuf::{ProtobufError, Reader, Writer};
use crate::remote_write::{RejectedSeries, Visitor};

/// Larger frames nobody sends: servers end them at a megabyte, or a little more.
const FRAME_BYTES_MAX: u64 = 64 << 20;

/// An answer that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not the message it should be.
    #[error("the answer is not what remote read answers: {0}")]
    Protobuf(#[from] ProtobufError),
    /// Series that are not as remote write, which shares them, has them.
    #[error("the answer holds malformed series: {0}")]
    Samples(#[from] crate::remote_write::RemoteWriteError),
    /// A chunk that none can read.
    #[error("a chunk of the answer is damaged: {0}")]
    Chunk(#[from] Corrupt),
    /// An encoding of the future.
    #[error("encoding {0} of chunks is not known")]
    Encoding(u64),
    /// Larger than anybody sends.
    #[error("a frame of {0} bytes is announced, more than any server sends")]
    FrameTooLarge(u64),
    /// Other bytes than were sent.
    #[error("the checksum of a frame is wrong")]
    Checksum,
    /// Labels that are not text.
    #[error("a label of the answer is not valid UTF-8")]
    NotUtf8,
    /// A series, or a sample of it, that makes no sense.
    #[error("the answer holds {0}")]
    Series(Box<RejectedSeries>),
}

/// A request for the samples of one selection, as a body to send. Frames are preferred; both ends of the range are included.
pub fn encode_request(start_ms: i64, end_ms: i64, matchers: &[Matcher]) -> Vec<u8> {
    let (mut query, mut item, mut request) = (Writer::new(), Writer::new(), Writer::new());
    query.int64(1, start_ms);
    query.int64(2, end_ms);
    for matcher in matchers {
        item.clear();
        item.varint(
            1,
            match matcher.op() {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            },
        );
        item.string(2, matcher.name());
        item.string(3, matcher.value());
        query.bytes(3, item.as_bytes());
    }
    request.bytes(1, query.as_bytes());
    request.varint_always(2, 1);
    request.varint_always(2, 0);
    // Selectors are far below the 4 GiB that snappy refuses.
    snap::raw::Encoder::new().compress_vec(request.as_bytes()).unwrap_or_default()
}

/// Puts frames together from bytes as they come.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    at: usize,
}

impl FrameReader {
    /// At the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The message of the next frame, if all of it is there.
    ///
    /// # Errors
    /// If it is damaged, or too large.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, AnswerError> {
        let rest = &self.buffer[self.at..];
        let mut reader = Reader::new(rest);
        let len = match reader.varint() {
            Ok(len) => len,
            Err(ProtobufError::Truncated) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if len > FRAME_BYTES_MAX {
            return Err(AnswerError::FrameTooLarge(len));
        }
        let content = &rest[rest.len() - reader.len()..];
        let Some((checksum, content)) = content.split_first_chunk::<4>() else { return Ok(None) };
        let Some(message) = content.get(..len as usize) else { return Ok(None) };
        if crc32c::crc32c(message) != u32::from_be_bytes(*checksum) {
            return Err(AnswerError::Checksum);
        }
        self.at += rest.len() - content.len() + message.len();
        Ok(Some(message.to_vec()))
    }

    /// Whether something is left that is no whole frame.
    pub fn is_within_message(&self) -> bool {
        self.at < self.buffer.len()
    }
}

/// Hands each series of a `ChunkedReadResponse` to `take`, with its samples.
///
/// # Errors
/// If the message is damaged.
pub fn read_chunked(
    message: &[u8],
    samples: &mut Samples,
    mut take: impl FnMut(&Labels, &mut Samples),
) -> Result<(), AnswerError> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        if field != 1 {
            continue;
        }
        let mut pairs = Vec::new();
        samples.clear();
        let mut series = Reader::new(value.bytes(field)?);
        while let Some((field, value)) = series.next_field()? {
            match field {
                1 => pairs.push(label(value.bytes(field)?)?),
                2 => read_chunk(value.bytes(field)?, samples)?,
                _ => {}
            }
        }
        take(&Labels::from_pairs(pairs), samples);
    }
    Ok(())
}

fn label(message: &[u8]) -> Result<(&str, &str), AnswerError> {
    let (mut name, mut wanted) = ("", "");
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| AnswerError::NotUtf8);
        match field {
            1 => name = text(value.bytes(field)?)?,
            2 => wanted = text(value.bytes(field)?)?,
            _ => {}
        }
    }
    Ok((name, wanted))
}

fn read_chunk(message: &[u8], samples: &mut Samples) -> Result<(), AnswerError> {
    let (mut encoding, mut data) = (0, &[][..]);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            3 => encoding = value.varint(field)?,
            4 => data = value.bytes(field)?,
            _ => {}
        }
    }
    let encoding = Encoding::from_number(encoding).ok_or(AnswerError::Encoding(encoding))?;
    Ok(chunk::decode(encoding, data, 0, samples)?)
}

/// Hands each series of a `ReadResponse`, decompressed, to `take`, with its samples.
///
/// # Errors
/// If the message is damaged.
pub fn read_samples(
    message: &[u8],
    samples: &mut Samples,
    take: impl FnMut(&Labels, &mut Samples),
) -> Result<(), AnswerError> {
    let mut collector = Collector { labels: None, samples, take, rejected: None };
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        if field == 1 {
            // A `QueryResult` is laid out as a `WriteRequest`: series in field 1.
            crate::remote_write::decode(value.bytes(field)?, &mut collector)?;
        }
    }
    collector.finish_series();
    collector.rejected.map_or(Ok(()), |rejected| Err(AnswerError::Series(Box::new(rejected))))
}

struct Collector<'a, F> {
    labels: Option<Labels>,
    samples: &'a mut Samples,
    take: F,
    rejected: Option<RejectedSeries>,
}

impl<F: FnMut(&Labels, &mut Samples)> Collector<'_, F> {
    fn finish_series(&mut self) {
        if let Some(labels) = self.labels.take() {
            (self.take)(&labels, self.samples);
        }
        self.samples.clear();
    }
}

impl<F: FnMut(&Labels, &mut Samples)> Visitor for Collector<'_, F> {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.finish_series();
        self.labels = Some(labels.to_labels());
    }

    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.samples.floats.push((timestamp_ms, value));
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.samples.histograms.push((timestamp_ms, histogram));
    }

    fn exemplar(&mut self, _: model::Exemplar) {}

    fn metadata(&mut self, _: &str, _: Metadata) {}

    fn reject(&mut self, rejected: RejectedSeries) {
        self.rejected.get_or_insert(rejected);
    }
}
