//! Kymo's own form of bulk export: everything of many series in one stream, compressed, checksummed, and with an end that must be there.
//!
//! `docs/internals/native-export.md` draws it. Frames hold remote write messages, because those can say all there is (starts, native histograms,
//! exemplars, staleness markers), and their decoders are hardened; zstd takes back what protobuf wastes.
//!
//! Map: [`Writer`] makes a stream piece by piece · [`Reader`] takes one apart, piece by piece, and says where it is damaged.

use std::fmt;

use model::{Exemplar, FloatHistogram, LabelsRef, METRIC_NAME, Metadata};

use crate::remote_write;
use crate::remote_write2::encode::{Encoder, SeriesContent};

/// How a stream begins: a name, and the version of the form as its last character.
pub const MAGIC: [u8; 8] = *b"KYMOEXP1";
/// What a stream is called in HTTP.
pub const CONTENT_TYPE: &str = "application/vnd.kymo.export";
/// A longer payload no [`Writer`] makes.
pub const FRAME_BYTES_MAX: usize = 32 << 20;
/// A message larger than that, decompressed, no [`Writer`] makes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Length of the payload, checksum, kind.
const HEADER_BYTES: usize = 9;
/// A message is closed when it is this large.
const MESSAGE_BYTES: usize = 1 << 20;
/// Fast, and small enough: what matters is that repeated labels and timestamps cost little.
const LEVEL: i32 = 3;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A remote write 2.0 request: series with samples and exemplars.
    Samples = 1,
    /// A remote write 1.0 request that has only metadata.
    Metadata = 2,
    /// The end: how many frames came before it.
    End = 3,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [Self::Samples, Self::Metadata, Self::End].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A part of a stream that is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it holds; never [`Kind::End`].
    pub kind: Kind,
    /// A message, as a frame of zstd.
    pub payload: Vec<u8>,
    /// Counted from 1.
    pub number: u64,
    /// Where it begins in the stream.
    pub offset: u64,
}

impl Frame {
    /// The message.
    ///
    /// # Errors
    /// If it is not zstd, or too large.
    pub fn message(&self) -> Result<Vec<u8>, Damage> {
        let message = zstd::bulk::decompress(&self.payload, MESSAGE_BYTES_MAX);
        message.map_err(|error| Damage::at(self.offset, self.number, Fault::Zstd(error.to_string())))
    }
}

/// A stream is not what it should be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where the frame begins.
    pub offset: u64,
    /// Which frame, counted from 1; 0 if it is the beginning of the stream.
    pub frame: u64,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    NotOurs,
    Version(char),
    Kind(u8),
    Length(u64),
    Checksum,
    CutOff,
    Behind,
    Count(u64),
    Zstd(String),
}

impl Damage {
    fn at(offset: u64, frame: u64, fault: Fault) -> Self {
        Self { offset, frame, fault }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, frame, fault } = self;
        match fault {
            Fault::NotOurs => {
                return write!(f, "this is no native export of Kymo: it does not begin with KYMOEXP");
            }
            Fault::Version(version) => {
                return write!(f, "this native export is of version {version}; this Kymo reads version 1");
            }
            _ => write!(f, "frame {frame}, at byte {offset} of the native export: ")?,
        }
        match fault {
            Fault::Kind(kind) => write!(f, "its kind is {kind}, which does not exist"),
            Fault::Length(bytes) => {
                write!(f, "it is said to have {bytes} bytes; {FRAME_BYTES_MAX} are the most")
            }
            Fault::Checksum => f.write_str("its checksum is wrong"),
            Fault::CutOff => f.write_str("the export is cut off here, before its end"),
            Fault::Behind => f.write_str("something follows the end"),
            Fault::Count(frames) => write!(f, "the end speaks of {frames} frames; some are missing"),
            Fault::Zstd(error) => write!(f, "it cannot be decompressed: {error}"),
            Fault::NotOurs | Fault::Version(_) => Ok(()),
        }
    }
}

impl std::error::Error for Damage {}

/// Makes a stream. Who writes takes what is ready ([`Self::take`]) now and then, and the rest by [`Self::finish`].
#[derive(Debug)]
pub struct Writer {
    ready: Vec<u8>,
    frames: u64,
    samples: Encoder,
    metadata: remote_write::encode::Encoder,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A stream with nothing in it.
    pub fn new() -> Self {
        Self {
            ready: MAGIC.to_vec(),
            frames: 0,
            samples: Encoder::new(),
            metadata: remote_write::encode::Encoder::new(),
        }
    }

    /// Adds a series, or a part of one: at most some ten thousand floats or a hundred histograms at a time. Nothing, if it has nothing.
    pub fn series(
        &mut self,
        labels: LabelsRef<'_>,
        floats: &[(i64, f64, i64)],
        histograms: &[(i64, FloatHistogram, i64)],
        exemplars: &[Exemplar],
    ) {
        if floats.len() + histograms.len() + exemplars.len() == 0 {
            return;
        }
        let content = SeriesContent { floats, histograms, exemplars, ..SeriesContent::default() };
        self.samples.series(labels.iter(), content);
        if self.samples.size_bytes() >= MESSAGE_BYTES {
            self.close_samples();
        }
    }

    /// Adds what is known about a family.
    pub fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.metadata.metadata(family, metadata);
        if self.metadata.as_bytes().len() >= MESSAGE_BYTES {
            self.close_metadata();
        }
    }

    /// Bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// How many bytes are ready.
    pub fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    /// The last bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.close_samples();
        self.close_metadata();
        let count = self.frames.to_le_bytes();
        self.frame(Kind::End, &count);
        self.ready
    }

    fn close_samples(&mut self) {
        if !self.samples.is_empty() {
            let message = std::mem::take(&mut self.samples).to_bytes();
            self.message(Kind::Samples, &message);
        }
    }

    fn close_metadata(&mut self) {
        if !self.metadata.as_bytes().is_empty() {
            let message = std::mem::take(&mut self.metadata);
            self.message(Kind::Metadata, message.as_bytes());
        }
    }

    fn message(&mut self, kind: Kind, message: &[u8]) {
        let payload =
            zstd::bulk::compress(message, LEVEL).expect("zstd compresses any bytes into a buffer that fits");
        self.frame(kind, &payload);
        self.frames += 1;
    }

    fn frame(&mut self, kind: Kind, payload: &[u8]) {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind as u8]), payload);
        self.ready.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.ready.extend_from_slice(&crc.to_le_bytes());
        self.ready.push(kind as u8);
        self.ready.extend_from_slice(payload);
    }
}

/// Takes a stream apart. Who reads feeds it what there is ([`Self::feed`]), takes frames ([`Self::next_frame`]) until there is none, and so on; at the
/// end of the bytes, [`Self::finish`] says whether the stream is whole.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Of the buffer, taken already.
    taken: usize,
    /// Where the first byte of the buffer is in the stream.
    offset: u64,
    frames: u64,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Beginning,
    Frames,
    End,
}

impl Reader {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// More of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.offset += self.taken as u64;
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are held: at most a frame and what was fed last.
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next frame; none if more of the stream is needed, or it has ended.
    ///
    /// # Errors
    /// If the stream is damaged there; what came before is sound.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Damage> {
        if self.place == Place::Beginning && !self.begin()? {
            return Ok(None);
        }
        let (offset, number) = (self.offset + self.taken as u64, self.frames + 1);
        let damage = |fault| Err(Damage::at(offset, number, fault));
        let rest = &self.buffer[self.taken..];
        if self.place == Place::End {
            return if rest.is_empty() { Ok(None) } else { damage(Fault::Behind) };
        }
        let Some(([l0, l1, l2, l3, c0, c1, c2, c3, kind], behind)) = rest.split_first_chunk::<HEADER_BYTES>()
        else {
            return Ok(None);
        };
        let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let Some(known) = Kind::of(*kind) else { return damage(Fault::Kind(*kind)) };
        if len > FRAME_BYTES_MAX {
            return damage(Fault::Length(len as u64));
        }
        let Some(payload) = behind.get(..len) else { return Ok(None) };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[*kind]), payload);
        if crc.to_le_bytes() != [*c0, *c1, *c2, *c3] {
            return damage(Fault::Checksum);
        }
        if known == Kind::End {
            return match <[u8; 8]>::try_from(payload).map(u64::from_le_bytes) {
                Ok(count) if count == self.frames => {
                    self.taken += HEADER_BYTES + len;
                    self.place = Place::End;
                    self.next_frame()
                }
                Ok(count) => damage(Fault::Count(count)),
                Err(_) => damage(Fault::Length(len as u64)),
            };
        }
        let frame = Frame { kind: known, payload: payload.to_vec(), number, offset };
        self.taken += HEADER_BYTES + len;
        self.frames += 1;
        Ok(Some(frame))
    }

    /// Whether the beginning is there.
    fn begin(&mut self) -> Result<bool, Damage> {
        let known = self.buffer.len().min(MAGIC.len() - 1);
        if self.buffer[..known] != MAGIC[..known] {
            return Err(Damage::at(0, 0, Fault::NotOurs));
        }
        let Some(version) = self.buffer.get(MAGIC.len() - 1) else { return Ok(false) };
        if *version != MAGIC[MAGIC.len() - 1] {
            return Err(Damage::at(0, 0, Fault::Version(char::from(*version))));
        }
        self.taken = MAGIC.len();
        self.place = Place::Frames;
        Ok(true)
    }

    /// Whether the stream is whole, once all of it was fed and taken.
    ///
    /// # Errors
    /// If its end is missing.
    pub fn finish(&self) -> Result<(), Damage> {
        match self.place {
            Place::End => Ok(()),
            Place::Beginning if self.buffer.is_empty() => Err(Damage::at(0, 0, Fault::NotOurs)),
            _ => Err(Damage::at(self.offset + self.taken as u64, self.frames + 1, Fault::CutOff)),
        }
    }
}

/// Whether a family is that of a series of this name: a name may have a suffix that the family's has not.
pub fn is_family_of(family: &str, name: &str) -> bool {
    const SUFFIXES: [&str; 8] = ["", "_total", "_bucket", "_count", "_sum", "_created", "_gcount", "_gsum"];
    name.strip_prefix(family).is_some_and(|suffix| SUFFIXES.contains(&suffix))
}

/// The name of a series.
pub fn name_of(labels: LabelsRef<'_>) -> &str {
    labels.get(METRIC_NAME).unwrap_or_default()
}

#[cfg(test)]
mod tests;
