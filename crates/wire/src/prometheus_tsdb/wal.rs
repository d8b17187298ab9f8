//! Records out of a segment of the write-ahead log.
//!
//! A segment is pages of 32 KiB; a record lies in one page or goes on over several, and never into the next segment. A record may be
//! compressed by snappy or zstd. Where Prometheus was killed, the last record of the last segment may be cut off.

use super::{Corrupt, Cursor, check_crc};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 32 << 10;
/// Type, length and checksum of a part of a record.
const PART_HEAD_BYTES: usize = 7;
/// Larger records nobody writes: Prometheus cuts them far below this.
const RECORD_BYTES_MAX: usize = 256 << 20;
const SNAPPY: u8 = 8;
const ZSTD: u8 = 16;

/// Puts the records of one segment together, page by page.
#[derive(Debug, Default)]
pub struct Segment {
    /// What has come of a record that goes on in the next page.
    partial: Vec<u8>,
    /// Where it began; `None` if none is open.
    began: Option<u64>,
    decompressed: Vec<u8>,
}

impl Segment {
    /// At the beginning of a segment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands each record that ends in this page to `take`, with the place where it began. `page` begins at `offset`; only the last one may be
    /// shorter than [`PAGE_BYTES`].
    ///
    /// # Errors
    /// If a part is damaged or cut off. What follows in this segment cannot be relied on.
    pub fn page(
        &mut self,
        page: &[u8],
        offset: u64,
        mut take: impl FnMut(&[u8], u64) -> Result<(), Corrupt>,
    ) -> Result<(), Corrupt> {
        let mut cursor = Cursor::new(page, offset);
        while !cursor.is_empty() {
            let at = cursor.offset;
            let flags = cursor.rest[0];
            let kind = flags & 7;
            if kind == 0 {
                // The rest of the page is empty.
                return match cursor.rest.iter().all(|byte| *byte == 0) {
                    true => Ok(()),
                    false => Err(cursor.corrupt("there is something behind the end of a page")),
                };
            }
            if cursor.rest.len() < PART_HEAD_BYTES {
                return Err(cursor.corrupt("a record is cut off"));
            }
            cursor.byte()?;
            let len = u16::from_be_bytes(cursor.array()?);
            let stored = cursor.u32()?;
            let data = cursor.take(usize::from(len)).map_err(|_| Corrupt::new(at, "a record is cut off"))?;
            check_crc(data, stored, at)?;
            let is_open = self.began.is_some();
            match (kind, is_open) {
                (1, false) => take(decompress(data, flags, at, &mut self.decompressed)?, at)?,
                (2, false) => {
                    self.partial.clear();
                    self.partial.extend_from_slice(data);
                    self.began = Some(at);
                }
                (3 | 4, true) => {
                    if self.partial.len() + data.len() > RECORD_BYTES_MAX {
                        return Err(Corrupt::new(at, "a record is larger than any writer writes"));
                    }
                    self.partial.extend_from_slice(data);
                    if kind == 4 {
                        let began = self.began.take().unwrap_or(at);
                        take(decompress(&self.partial, flags, began, &mut self.decompressed)?, began)?;
                    }
                }
                (1 | 2, true) => return Err(Corrupt::new(at, "a record begins before the last one ended")),
                (3 | 4, false) => return Err(Corrupt::new(at, "a record goes on that did not begin")),
                _ => return Err(Corrupt::new(at, format!("a part of a record of unknown type {kind}"))),
            }
        }
        Ok(())
    }

    /// Says whether the segment ended where a record ends.
    ///
    /// # Errors
    /// If the last record is cut off.
    pub fn finish(&self) -> Result<(), Corrupt> {
        self.began.map_or(Ok(()), |began| Err(Corrupt::new(began, "the last record is cut off")))
    }
}

fn decompress<'a>(
    data: &'a [u8],
    flags: u8,
    offset: u64,
    into: &'a mut Vec<u8>,
) -> Result<&'a [u8], Corrupt> {
    match flags & (SNAPPY | ZSTD) {
        0 => Ok(data),
        SNAPPY => {
            let wrong = |_| Corrupt::new(offset, "a record is not the snappy that it says it is");
            let len = snap::raw::decompress_len(data).map_err(wrong)?;
            // Snappy's copies make at most 64 bytes of three.
            if len > data.len().saturating_mul(64).min(RECORD_BYTES_MAX) {
                return Err(Corrupt::new(
                    offset,
                    format!("a record says that it holds {len} bytes, which it cannot"),
                ));
            }
            into.resize(len, 0);
            let written = snap::raw::Decoder::new().decompress(data, into).map_err(wrong)?;
            Ok(&into[..written])
        }
        ZSTD => {
            into.clear();
            let wrong = |_| Corrupt::new(offset, "a record is not the zstd that it says it is");
            let decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(wrong)?;
            let mut limited = std::io::Read::take(decoder, RECORD_BYTES_MAX as u64 + 1);
            std::io::Read::read_to_end(&mut limited, into).map_err(wrong)?;
            if into.len() > RECORD_BYTES_MAX {
                return Err(Corrupt::new(offset, "a record is larger than any writer writes"));
            }
            Ok(into)
        }
        _ => Err(Corrupt::new(offset, "a record says that it is compressed twice")),
    }
}
