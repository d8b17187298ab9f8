//! The answer of a target: bounded, decompressed while it arrives, in a buffer that is used again.
//!
//! Bounds: one answer by `body_size_limit` (or [`BODY_BYTES_MAX`]), all answers under way together by the memory
//! budget that scraping was given, and so is what becomes of them. A compressed answer is stopped where its content exceeds the limit, however
//! small it came, and counts as too large if it comes much larger than its content may be.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};
use parking_lot::Mutex;
use stdx::memory::{Budget, MemoryExceeded, Reservation};
use zstd::stream::raw::{DParameter, Operation};

use crate::error::ScrapeError;

/// The most an answer may have where no limit is configured.
pub(crate) const BODY_BYTES_MAX: u64 = 256 << 20;
/// Buffers that are kept for the next answers.
const FREE_BUFFERS_MAX: usize = 64;
/// A larger buffer is given back to the system rather than kept.
const FREE_BUFFER_BYTES_MAX: usize = 1 << 20;
/// Memory is taken from the budget in such steps.
const RESERVE_STEP_BYTES: u64 = 64 << 10;
/// What gzip's smallest windows and its largest have in common: the decoder takes both.
const GZIP_WINDOW_BITS: u8 = 15;
/// Room for the first bytes that a decoder writes; there is more as it is needed.
const ROOM_BYTES: usize = 16 << 10;
/// zstd may ask for a window of up to 2 GiB; no exporter needs more than 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Buffers for answers, used again and again.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    budget: Arc<Budget>,
}

impl Buffers {
    /// Buffers that together hold no more than `budget`.
    pub(crate) fn new(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { free: Mutex::default(), budget })
    }

    /// Memory for what an answer becomes; none yet.
    pub(crate) fn reserve_none(&self) -> Reservation {
        self.budget.reserve_none()
    }

    /// An empty answer.
    pub(crate) fn take(self: &Arc<Self>) -> Body {
        let bytes = self.free.lock().pop().unwrap_or_default();
        Body { bytes, reservation: self.budget.reserve_none(), buffers: Arc::clone(self) }
    }
}

/// An answer, decompressed. Its buffer goes back where it came from.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    reservation: Reservation,
    buffers: Arc<Buffers>,
}

impl Body {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lets a collector append text.
    ///
    /// # Errors
    /// If the budget has too little left.
    pub(crate) fn write_text(&mut self, write: impl FnOnce(&mut String)) -> Result<(), MemoryExceeded> {
        self.bytes.clear();
        let mut text = String::from_utf8(std::mem::take(&mut self.bytes)).unwrap_or_default();
        write(&mut text);
        self.bytes = text.into_bytes();
        self.reservation.resize(self.bytes.len() as u64)
    }

    fn push(&mut self, data: &[u8]) -> Result<(), MemoryExceeded> {
        let needed = (self.bytes.len() + data.len()) as u64;
        if needed > self.reservation.bytes() {
            self.reservation.resize(needed.next_multiple_of(RESERVE_STEP_BYTES))?;
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Makes room behind the content: not much more than `bytes_max` in all.
    fn make_room(&mut self, bytes_max: u64) -> Result<(), MemoryExceeded> {
        if self.bytes.len() == self.bytes.capacity() {
            let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).saturating_add(1);
            let wanted = (self.bytes.len() * 2).min(bytes_max).max(self.bytes.len() + ROOM_BYTES);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        let capacity = self.bytes.capacity() as u64;
        if capacity > self.reservation.bytes() {
            self.reservation.resize(capacity.next_multiple_of(RESERVE_STEP_BYTES))?;
        }
        Ok(())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() == 0 || bytes.capacity() > FREE_BUFFER_BYTES_MAX {
            return;
        }
        bytes.clear();
        let mut free = self.buffers.free.lock();
        if free.len() < FREE_BUFFERS_MAX {
            free.push(bytes);
        }
    }
}

/// Takes an answer in pieces, as the network brings them.
pub(crate) struct Decoder {
    encoding: Encoding,
    encoded_bytes: u64,
    limit_bytes: u64,
}

enum Encoding {
    Identity(Sink),
    Gzip(Gzip),
    Zstd(Box<Zstd>),
}

impl Decoder {
    /// A decoder for a `Content-Encoding` (empty: none). `limit_bytes` 0: only the built-in limit.
    ///
    /// # Errors
    /// If the encoding is not known.
    pub(crate) fn new(encoding: &str, limit_bytes: u64, body: Body) -> Result<Self, ScrapeError> {
        let limit_bytes = if limit_bytes == 0 { BODY_BYTES_MAX } else { limit_bytes };
        let sink = Sink { body, limit_bytes, refused: None };
        let encoding = match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Encoding::Identity(sink),
            "gzip" | "x-gzip" => Encoding::Gzip(Gzip::new(sink)),
            "zstd" => {
                let decoder = Zstd::new(sink).map_err(|e| ScrapeError::Encoding(e.to_string()))?;
                Encoding::Zstd(Box::new(decoder))
            }
            other => return Err(ScrapeError::Encoding(format!("unknown Content-Encoding {other:?}"))),
        };
        Ok(Self { encoding, encoded_bytes: 0, limit_bytes })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// If the answer is too large, or not what its encoding says.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), ScrapeError> {
        self.encoded_bytes += data.len() as u64;
        // What cannot be compressed grows a little.
        if self.encoded_bytes > self.limit_bytes + self.limit_bytes / 8 + 1024 {
            return Err(too_large(self.limit_bytes));
        }
        let written = match &mut self.encoding {
            Encoding::Identity(sink) => sink.write_all(data),
            Encoding::Gzip(decoder) => decoder.write_all(data),
            Encoding::Zstd(decoder) => decoder.write_all(data),
        };
        written.map_err(|error| self.explain(&error))
    }

    /// The whole answer, once all pieces were pushed.
    ///
    /// # Errors
    /// If it ended too early, or as [`Self::push`].
    pub(crate) fn finish(mut self) -> Result<Body, ScrapeError> {
        let finished = match &mut self.encoding {
            Encoding::Identity(_) => Ok(()),
            Encoding::Gzip(decoder) => decoder.check_complete(),
            Encoding::Zstd(decoder) => decoder.check_complete(),
        };
        finished.map_err(|error| self.explain(&error))?;
        let sink = match self.encoding {
            Encoding::Identity(sink) => sink,
            Encoding::Gzip(decoder) => decoder.sink,
            Encoding::Zstd(decoder) => decoder.sink,
        };
        Ok(sink.body)
    }

    fn explain(&mut self, error: &io::Error) -> ScrapeError {
        let sink = match &mut self.encoding {
            Encoding::Identity(sink) => sink,
            Encoding::Gzip(decoder) => &mut decoder.sink,
            Encoding::Zstd(decoder) => &mut decoder.sink,
        };
        sink.refused.take().unwrap_or_else(|| ScrapeError::Encoding(error.to_string()))
    }
}

fn too_large(limit_bytes: u64) -> ScrapeError {
    let message = format!("body size limit exceeded (limit: {limit_bytes} bytes)");
    ScrapeError::limit("body_size_limit", message)
}

/// Where decompressed bytes go.
struct Sink {
    body: Body,
    limit_bytes: u64,
    /// Why the last write was refused; decoders pass on only an `io::Error`.
    refused: Option<ScrapeError>,
}

impl Sink {
    fn refuse(&mut self, why: ScrapeError) -> io::Error {
        self.refused = Some(why);
        io::Error::other("refused")
    }

    /// Room for a decoder that writes into the body itself.
    fn make_room(&mut self) -> io::Result<()> {
        self.body.make_room(self.limit_bytes).map_err(|error| self.refuse(error.into()))
    }

    /// Refuses a body that has become too long by what was written.
    fn check_length(&mut self, written: usize) -> io::Result<()> {
        // As in Prometheus, an answer of exactly the limit is too large.
        if written > 0 && self.body.bytes.len() as u64 >= self.limit_bytes {
            return Err(self.refuse(too_large(self.limit_bytes)));
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let len = self.body.bytes.len() as u64 + data.len() as u64;
        // As in Prometheus, an answer of exactly the limit is too large.
        if len >= self.limit_bytes {
            return Err(self.refuse(too_large(self.limit_bytes)));
        }
        match self.body.push(data) {
            Ok(()) => Ok(data.len()),
            Err(error) => Err(self.refuse(error.into())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decodes gzip straight into the body of a [`Sink`].
struct Gzip {
    decoder: Decompress,
    sink: Sink,
    /// Whether the last member is complete.
    complete: bool,
}

impl Gzip {
    fn new(sink: Sink) -> Self {
        Self { decoder: Decompress::new_gzip(GZIP_WINDOW_BITS), sink, complete: false }
    }

    fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        loop {
            if self.complete && !data.is_empty() {
                // Another member.
                self.decoder = Decompress::new_gzip(GZIP_WINDOW_BITS);
                self.complete = false;
            }
            self.sink.make_room()?;
            let (read_before, had) = (self.decoder.total_in(), self.sink.body.bytes.len());
            let bytes = &mut self.sink.body.bytes;
            let status = self.decoder.decompress_vec(data, bytes, FlushDecompress::None)?;
            self.complete = status == Status::StreamEnd;
            let (written, is_full) = (bytes.len() - had, bytes.len() == bytes.capacity());
            self.sink.check_length(written)?;
            let read = usize::try_from(self.decoder.total_in() - read_before).unwrap_or(data.len());
            data = &data[read.min(data.len())..];
            // A full buffer means that the decoder may hold more.
            if data.is_empty() && (self.complete || !is_full) {
                return Ok(());
            }
            if read == 0 && written == 0 && !is_full {
                return Err(io::Error::other("the decoder does not go on"));
            }
        }
    }

    fn check_complete(&self) -> io::Result<()> {
        if self.complete { Ok(()) } else { Err(ends_too_early()) }
    }
}

fn ends_too_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early")
}

/// Decodes zstd into a [`Sink`]. The `zstd` crate's own writer does not tell when a frame is cut off.
struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    sink: Sink,
    /// Decoded bytes on their way into the sink.
    buffer: Vec<u8>,
    /// Whether the last frame is complete.
    complete: bool,
}

impl Zstd {
    fn new(sink: Sink) -> io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Self { decoder, sink, buffer: vec![0; 32 << 10], complete: true })
    }

    fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        loop {
            let status = self.decoder.run_on_buffers(data, &mut self.buffer)?;
            self.sink.write_all(&self.buffer[..status.bytes_written])?;
            data = &data[status.bytes_read..];
            self.complete = status.remaining == 0;
            // A full buffer means that the decoder may hold more.
            if data.is_empty() && status.bytes_written < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn check_complete(&self) -> io::Result<()> {
        if self.complete { Ok(()) } else { Err(ends_too_early()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[track_caller]
    fn check(encoding: &str, encoded: &[u8], limit_bytes: u64, want: Result<&[u8], &str>) {
        for piece_len in [1, 7, encoded.len().max(1)] {
            let body = Buffers::new(Budget::unlimited()).take();
            let decoded = Decoder::new(encoding, limit_bytes, body).and_then(|mut decoder| {
                encoded.chunks(piece_len).try_for_each(|piece| decoder.push(piece))?;
                decoder.finish()
            });
            match (decoded, want) {
                (Ok(body), Ok(want)) => assert_eq!(body.bytes(), want, "{encoding}"),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
                (got, want) => panic!("{encoding}: {:?} instead of {want:?}", got.map(|b| b.bytes().len())),
            }
        }
    }

    #[test]
    fn known_encodings_are_decoded_and_others_refused() {
        let text = b"up 1\n".repeat(100);
        check("", &text, 0, Ok(&text));
        check("GZIP", &gzip(&text), 0, Ok(&text));
        check("zstd", &zstd::encode_all(text.as_slice(), 3).expect("in memory"), 0, Ok(&text));
        check("", b"", 0, Ok(b""));
        check("br", &text, 0, Err("unknown Content-Encoding \"br\""));
    }

    #[test]
    fn damaged_and_cut_answers_are_errors() {
        let text = b"up 1\n".repeat(100);
        check("gzip", &text, 0, Err("cannot decode the answer"));
        check("zstd", &text, 0, Err("cannot decode the answer"));
        let whole = gzip(&text);
        check("gzip", &whole[..whole.len() - 9], 0, Err("cannot decode the answer"));
        let whole = zstd::encode_all(text.as_slice(), 3).expect("in memory");
        check("zstd", &whole[..whole.len() - 3], 0, Err("cannot decode the answer"));
    }

    #[test]
    fn limits_hold_for_what_comes_out_as_for_what_comes_in() {
        let too_large = Err("body size limit exceeded (limit: 100 bytes)");
        check("", &[b'x'; 99], 100, Ok(&[b'x'; 99]));
        check("", &[b'x'; 100], 100, too_large);
        check("gzip", &gzip(&[b'x'; 100_000]), 100, too_large);
        check("zstd", &zstd::encode_all([b'x'; 1_000_000].as_slice(), 3).expect("in memory"), 100, too_large);
        // Empty members decode to nothing, for ever.
        check("gzip", &gzip(b"").repeat(100), 100, too_large);
    }

    #[test]
    fn all_answers_together_keep_the_budget_and_buffers_are_used_again() {
        let budget = Budget::root("scrape", 2 * RESERVE_STEP_BYTES);
        let buffers = Buffers::new(Arc::clone(&budget));
        let decode = |len: usize| {
            let mut decoder = Decoder::new("", 0, buffers.take())?;
            decoder.push(&vec![b'x'; len])?;
            decoder.finish()
        };
        let held = decode(100_000).expect("fits");
        assert!(decode(100_000).expect_err("too much together").to_string().contains("too much memory"));
        drop(held);
        assert_eq!(budget.used_bytes(), 0);
        assert!(decode(100_000).expect("fits again").bytes.capacity() >= 100_000);
        assert!(buffers.take().bytes.capacity() >= 100_000);
    }
}
