//! What Prometheus keeps on disk, read: blocks (index, chunks, tombstones) and the write-ahead log.
//!
//! Map: [`index`] series of a block and where their chunks are · [`chunk`] samples out of a chunk · [`tombstones`] what of a block is
//! deleted · [`wal`] records out of the pages of a segment · [`record`] what a record says.
//!
//! Everything is handed in as bytes with the place they have in their file, so that whoever reads files names file and place of a
//! fault. Whatever the bytes are, nothing panics, and nothing is allocated that they do not pay for.
//!
//! Source: Prometheus' documentation of its formats (`tsdb/docs/format`), and what Prometheus 2.42 writes. Deliberately not here: files, and
//! what no import needs (postings, the label index, chunks of the head, which the write-ahead log has, too).

pub mod chunk;
pub mod index;
pub mod record;
pub mod tombstones;
pub mod wal;

use std::borrow::Cow;

/// Bytes that Prometheus did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct Corrupt {
    /// Where, in the file.
    pub offset: u64,
    /// What is wrong.
    pub what: Cow<'static, str>,
}

impl Corrupt {
    pub(crate) fn new(offset: u64, what: impl Into<Cow<'static, str>>) -> Self {
        Self { offset, what: what.into() }
    }
}

/// Checks a CRC32C that is stored in big-endian order behind `bytes`.
fn check_crc(bytes: &[u8], stored: u32, offset: u64) -> Result<(), Corrupt> {
    let computed = crc32c::crc32c(bytes);
    if computed == stored {
        return Ok(());
    }
    Err(Corrupt::new(offset, format!("the checksum is {computed:08x} instead of {stored:08x}")))
}

/// Reads numbers and texts one after the other.
#[derive(Debug, Clone)]
struct Cursor<'a> {
    rest: &'a [u8],
    /// Of `rest`, in the file.
    offset: u64,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, offset }
    }

    fn corrupt(&self, what: impl Into<Cow<'static, str>>) -> Corrupt {
        Corrupt::new(self.offset, what)
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.corrupt(format!("{len} bytes are expected and {} are left", self.rest.len())));
        };
        self.rest = rest;
        self.offset += len as u64;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, Corrupt> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Corrupt> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64, Corrupt> {
        self.u64().map(f64::from_bits)
    }

    fn uvarint(&mut self) -> Result<u64, Corrupt> {
        let mut number = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && *byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                self.offset += at as u64 + 1;
                return Ok(number);
            }
        }
        let what =
            if self.rest.len() < 10 { "a number is cut off" } else { "a number has more than 64 bits" };
        Err(self.corrupt(what))
    }

    fn varint(&mut self) -> Result<i64, Corrupt> {
        self.uvarint().map(crate::protobuf::zigzag_decode)
    }

    /// How many items follow, each of which takes at least `item_bytes`.
    fn count(&mut self, item_bytes: usize) -> Result<usize, Corrupt> {
        let at = self.offset;
        let count = self.uvarint()?;
        let max = self.rest.len() / item_bytes.max(1);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= max)
            .ok_or_else(|| Corrupt::new(at, format!("{count} items are announced where {max} fit at most")))
    }

    /// A text with its length before it.
    fn text(&mut self) -> Result<&'a str, Corrupt> {
        let len = self.count(1)?;
        let at = self.offset;
        std::str::from_utf8(self.take(len)?).map_err(|_| Corrupt::new(at, "a text is not valid UTF-8"))
    }
}

#[cfg(test)]
mod tests;
