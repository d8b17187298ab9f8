//! One file of a queue: records one after the other.

use std::io;
use std::path::Path;

use stdx::fs::{File, Fs};

/// Length and CRC.
const PREFIX_BYTES: u64 = 8;
/// Length, CRC, samples, newest timestamp.
pub(super) const RECORD_HEADER_BYTES: u64 = PREFIX_BYTES + 12;
/// A larger buffer is given back.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// Longer records are not written; a length beyond is damage.
const PAYLOAD_BYTES_MAX: u64 = 256 << 20;

/// A record as it is written and read.
#[derive(Debug)]
pub(super) struct Record<P> {
    pub(super) samples: u32,
    pub(super) newest_ms: i64,
    pub(super) payload: P,
}

/// A segment, with what is known about its records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    file: Box<dyn File>,
    /// Where the first record begins that still waits.
    pub(super) start: u64,
    /// Where the last record ends.
    pub(super) end: u64,
    /// In records that wait.
    pub(super) samples: u64,
    /// Whether something behind `end` could not be read.
    pub(super) damaged: bool,
}

pub(super) fn name(number: u64) -> String {
    format!("{number:016x}.records")
}

pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".records")?;
    u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16)
}

impl Segment {
    pub(super) fn new(number: u64, file: Box<dyn File>) -> Self {
        Self { number, file, start: 0, end: 0, samples: 0, damaged: false }
    }

    /// Opens a segment that was written before. Records are looked at one by one; at the first that is not whole, the segment ends.
    pub(super) fn open(fs: &dyn Fs, path: &Path, number: u64, start: u64) -> io::Result<Self> {
        let file = fs.open_write(path)?;
        let len = file.len()?;
        let mut segment = Self { number, file, start: start.min(len), end: len, samples: 0, damaged: false };
        let mut at = segment.start;
        while at < len {
            let Some((record, end)) = segment.read(at)? else { break };
            segment.samples += u64::from(record.samples);
            at = end;
        }
        // A record that was never synced may be torn; one that was, and is not whole now, is damage. Both look the same.
        segment.damaged = at < len;
        segment.end = at;
        Ok(segment)
    }

    /// Removes what is behind the last whole record.
    pub(super) fn cut_off(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.sync()?;
        self.damaged = false;
        Ok(())
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Writes a record behind the others; `bytes` is a buffer.
    pub(super) fn append(&mut self, record: &Record<&[u8]>, bytes: &mut Vec<u8>) -> io::Result<()> {
        let len = u32::try_from(record.payload.len()).ok().filter(|len| u64::from(*len) <= PAYLOAD_BYTES_MAX);
        let len = len.ok_or_else(|| io::Error::other("a record of a queue is too long"))?;
        bytes.clear();
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&record.samples.to_le_bytes());
        bytes.extend_from_slice(&record.newest_ms.to_le_bytes());
        bytes.extend_from_slice(record.payload);
        let crc = crc32c::crc32c(&bytes[PREFIX_BYTES as usize..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        bytes.shrink_to(BUFFER_BYTES_MAX);
        self.samples += u64::from(record.samples);
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Samples of the record at `offset`, and where it ends; nothing at the end, or where no record can be.
    pub(super) fn header(&self, offset: u64) -> io::Result<Option<(u32, u64)>> {
        if offset + RECORD_HEADER_BYTES > self.end {
            return Ok(None);
        }
        let mut header = [0; RECORD_HEADER_BYTES as usize];
        self.file.read_exact_at(&mut header, offset)?;
        let end = offset + RECORD_HEADER_BYTES + u64::from(u32_at(&header, 0));
        Ok((end <= self.end).then(|| (u32_at(&header, 8), end)))
    }

    /// The record at `offset`, and where it ends; nothing if it is not whole.
    pub(super) fn read(&self, offset: u64) -> io::Result<Option<(Record<Vec<u8>>, u64)>> {
        let Some((samples, end)) = self.header(offset)? else { return Ok(None) };
        if end - offset - RECORD_HEADER_BYTES > PAYLOAD_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = vec![0; (end - offset) as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        if crc32c::crc32c(&bytes[PREFIX_BYTES as usize..]) != u32_at(&bytes, 4) {
            return Ok(None);
        }
        let mut newest = [0; 8];
        newest.copy_from_slice(&bytes[12..20]);
        bytes.drain(..RECORD_HEADER_BYTES as usize);
        Ok(Some((Record { samples, newest_ms: i64::from_le_bytes(newest), payload: bytes }, end)))
    }

    /// The records before `offset` wait no longer.
    pub(super) fn leave(&mut self, offset: u64) -> io::Result<()> {
        while self.start < offset {
            let Some((samples, end)) = self.header(self.start)? else { break };
            self.samples = self.samples.saturating_sub(u64::from(samples));
            self.start = end;
        }
        Ok(())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}
