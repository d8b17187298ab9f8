//! The file `index` of a block, version 2: all series in order of their labels, each with its chunks; and frames of the files `chunks/…`.
//!
//! An import needs every series once. So the section of series is read from its beginning to its end, and neither postings nor their
//! offsets are looked at.

use super::{Corrupt, Cursor, check_crc};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 5;
/// Bytes of the table of contents at the end of the file.
pub const TOC_BYTES: usize = 6 * 8 + 4;
/// Series begin at multiples of this; their number is their place divided by it.
pub const SERIES_ALIGNMENT: u64 = 16;
/// Bytes that a frame's length may take.
pub const FRAME_HEAD_BYTES: usize = 10;
/// Bytes of the header of a file of chunks.
pub const CHUNKS_HEADER_BYTES: usize = 8;

const MAGIC: u32 = 0xBAAA_D700;
const CHUNKS_MAGIC: u32 = 0x85BD_40DD;
const VERSION: u8 = 2;
const CHUNKS_VERSION: u8 = 1;
const CRC_BYTES: u64 = 4;
/// Larger frames nobody writes: a series of 100,000 chunks takes a few MiB.
const FRAME_BYTES_MAX: u64 = 256 << 20;

/// Checks the beginning of an index.
///
/// # Errors
/// If it is none, or one of another version.
pub fn check_header(bytes: &[u8]) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(bytes, 0);
    if cursor.u32()? != MAGIC {
        return Err(Corrupt::new(0, "this is no index of a Prometheus block: other first bytes"));
    }
    match cursor.byte()? {
        VERSION => Ok(()),
        other => {
            Err(Corrupt::new(4, format!("an index of version {other}; only version {VERSION} is known")))
        }
    }
}

/// Checks the beginning of a file of chunks.
///
/// # Errors
/// If it is none, or one of another version.
pub fn check_chunks_header(bytes: &[u8]) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(bytes, 0);
    if cursor.u32()? != CHUNKS_MAGIC {
        return Err(Corrupt::new(0, "this is no file of chunks: other first bytes"));
    }
    match cursor.byte()? {
        CHUNKS_VERSION => Ok(()),
        other => Err(Corrupt::new(4, format!("chunks of version {other}; only {CHUNKS_VERSION} is known"))),
    }
}

/// Where the sections are that an import needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    /// Where the symbols begin.
    pub symbols: u64,
    /// Where the series begin.
    pub series: u64,
    /// Where something else begins.
    pub series_end: u64,
}

impl Toc {
    /// Reads the last [`TOC_BYTES`] of an index of `file_bytes`.
    ///
    /// # Errors
    /// If they are damaged, or name places outside the file.
    pub fn read(bytes: &[u8], file_bytes: u64) -> Result<Self, Corrupt> {
        let offset = file_bytes.saturating_sub(bytes.len() as u64);
        let mut cursor = Cursor::new(bytes, offset);
        let mut places = [0; 6];
        for place in &mut places {
            *place = cursor.u64()?;
        }
        let stored = cursor.u32()?;
        check_crc(&bytes[..TOC_BYTES - 4], stored, offset)?;
        let [symbols, series, ..] = places;
        let behind = places.iter().copied().filter(|place| *place > series);
        let series_end = behind.chain([offset]).min().unwrap_or(offset);
        let header = HEADER_BYTES as u64;
        if symbols < header || series < header || symbols >= offset || series > offset {
            return Err(Corrupt::new(offset, "the table of contents names places outside the file"));
        }
        Ok(Self { symbols, series, series_end })
    }
}

/// All names and values of labels.
#[derive(Debug, Default)]
pub struct Symbols {
    text: String,
    ends: Vec<u32>,
}

impl Symbols {
    /// How long the section is that begins with these four bytes, checksum included.
    pub fn section_bytes(length: [u8; 4]) -> u64 {
        4 + u64::from(u32::from_be_bytes(length)) + CRC_BYTES
    }

    /// Reads the section, which begins at `offset`.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(section: &[u8], offset: u64) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(section, offset);
        let len = cursor.u32()? as usize;
        let start = cursor.offset;
        let content = cursor.take(len)?;
        check_crc(content, cursor.u32()?, offset)?;
        let mut content = Cursor::new(content, start);
        let count = content.u32()? as usize;
        if count > content.rest.len() {
            return Err(content.corrupt("more symbols are announced than fit"));
        }
        let mut symbols = Self { text: String::with_capacity(len), ends: Vec::with_capacity(count) };
        for _ in 0..count {
            symbols.text.push_str(content.text()?);
            // The section's length has 32 bits.
            symbols.ends.push(symbols.text.len() as u32);
        }
        Ok(symbols)
    }

    /// The symbol of this number.
    pub fn get(&self, number: u32) -> Option<&str> {
        let end = *self.ends.get(number as usize)?;
        let start = match number.checked_sub(1) {
            None => 0,
            Some(before) => self.ends[before as usize],
        };
        self.text.get(start as usize..end as usize)
    }

    /// Bytes that are held.
    pub fn size_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// A part of a file that begins with its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the length itself.
    head_bytes: usize,
    /// Everything, length and checksum included.
    pub bytes: usize,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A series of an index.
    Series,
    /// A chunk, which has its encoding before its data.
    Chunk,
}

impl Frame {
    /// How long the frame is that begins with `head`: its first [`FRAME_HEAD_BYTES`], or what there is.
    ///
    /// # Errors
    /// If that is no length, or an absurd one.
    pub fn read(head: &[u8], offset: u64, kind: FrameKind) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(head, offset);
        let len = cursor.uvarint()?;
        if len > FRAME_BYTES_MAX {
            return Err(Corrupt::new(
                offset,
                format!("{len} bytes are announced, more than any writer writes"),
            ));
        }
        let head_bytes = (cursor.offset - offset) as usize;
        let extra = CRC_BYTES as usize + usize::from(kind == FrameKind::Chunk);
        Ok(Self { head_bytes, bytes: head_bytes + len as usize + extra })
    }

    /// The content of the whole frame, after its checksum is checked.
    fn content(self, bytes: &[u8], offset: u64) -> Result<Cursor<'_>, Corrupt> {
        let mut cursor = Cursor::new(bytes, offset);
        cursor.take(self.head_bytes)?;
        let start = cursor.offset;
        let content = cursor.take(self.bytes - self.head_bytes - CRC_BYTES as usize)?;
        check_crc(content, cursor.u32()?, offset)?;
        Ok(Cursor::new(content, start))
    }

    /// Encoding number, data, and where the data begins, of a chunk.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn chunk(self, bytes: &[u8], offset: u64) -> Result<(u8, &[u8], u64), Corrupt> {
        let mut content = self.content(bytes, offset)?;
        Ok((content.byte()?, content.rest, content.offset))
    }

    /// Reads a series into `series`.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn series(self, bytes: &[u8], offset: u64, series: &mut Series) -> Result<(), Corrupt> {
        series.read(self.content(bytes, offset)?)
    }
}

/// Where a chunk is, and of which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Time of its first sample.
    pub min_ms: i64,
    /// Time of its last sample.
    pub max_ms: i64,
    reference: u64,
}

impl ChunkPlace {
    /// Number of the file, counted from 0: the first is called 000001.
    pub fn segment(self) -> u32 {
        (self.reference >> 32) as u32
    }

    /// Where in the file.
    pub fn offset(self) -> u64 {
        self.reference & u64::from(u32::MAX)
    }
}

/// A series of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// Numbers of symbols: names and values.
    pub labels: Vec<(u32, u32)>,
    /// In order of time.
    pub chunks: Vec<ChunkPlace>,
}

impl Series {
    fn read(&mut self, mut content: Cursor<'_>) -> Result<(), Corrupt> {
        self.labels.clear();
        self.chunks.clear();
        let symbol = |content: &mut Cursor<'_>| {
            let at = content.offset;
            u32::try_from(content.uvarint()?)
                .map_err(|_| Corrupt::new(at, "a symbol's number has more than 32 bits"))
        };
        for _ in 0..content.count(2)? {
            self.labels.push((symbol(&mut content)?, symbol(&mut content)?));
        }
        let (mut time_ms, mut reference) = (0i64, 0u64);
        for at in 0..content.count(3)? {
            let (min_ms, span_ms);
            if at == 0 {
                min_ms = content.varint()?;
                span_ms = content.uvarint()?;
                reference = content.uvarint()?;
            } else {
                min_ms = time_ms.wrapping_add(content.uvarint()?.cast_signed());
                span_ms = content.uvarint()?;
                reference = reference.wrapping_add(content.varint()?.cast_unsigned());
            }
            time_ms = min_ms.wrapping_add(span_ms.cast_signed());
            self.chunks.push(ChunkPlace { min_ms, max_ms: time_ms, reference });
        }
        Ok(())
    }
}
