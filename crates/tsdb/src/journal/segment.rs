//! One file of the journal: a header and frames. Written by the journal's thread, read back at start.
//!
//! A frame holds the entries of one commit, compressed where that pays, under one CRC32C. Frames begin with a
//! mark, so that behind a damaged one the next can be found.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use stdx::fs::{File, Fs};

const MAGIC: &[u8; 8] = b"KYMOWAL1";
const HEADER_BYTES: usize = 16;
const FRAME_MARK: [u8; 4] = *b"\xf5KJ\n";
/// Mark, CRC32C of all that follows, stored length, raw length (0 if not compressed).
const FRAME_HEADER_BYTES: usize = 16;
/// Entries are gathered into frames of about this size.
const FRAME_BYTES: usize = 1 << 20;
/// No frame is larger; a length beyond is damage.
const FRAME_BYTES_MAX: usize = 512 << 20;
const COMPRESSION_LEVEL: i32 = 1;

/// Where a segment is.
pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.wal"))
}

/// Segments on disk, in order.
///
/// # Errors
/// As the file system says.
pub(crate) fn list(fs: &dyn Fs, directory: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let entries = fs.read_dir(directory)?;
    let number = |name: &str| name.strip_suffix(".wal")?.parse::<u64>().ok();
    Ok(entries.into_iter().filter_map(|e| Some((number(&e.name)?, e.len))).collect())
}

pub(super) struct SegmentWriter {
    number: u64,
    file: Box<dyn File>,
    len: u64,
    synced_len: u64,
    compressor: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
}

impl SegmentWriter {
    /// A new file. Its name is durable; its content is after [`Self::sync`].
    pub(super) fn create(fs: &dyn Fs, directory: &Path, number: u64) -> io::Result<Self> {
        let path = path(directory, number);
        let file = fs.create(&path)?;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..].copy_from_slice(&number.to_le_bytes());
        if let Err(error) = file.write_all_at(&header, 0).and_then(|()| fs.sync_dir(directory)) {
            // Best effort: a segment without frames is also deleted at the next start.
            let _ = fs.remove_file(&path);
            return Err(error);
        }
        let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
        Ok(Self { number, file, len: HEADER_BYTES as u64, synced_len: 0, compressor, frame: Vec::new() })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Writes entries as frames, compressed if that is said to be worth it; returns the bytes written.
    pub(super) fn write(&mut self, entries: &[u8], compress: bool) -> io::Result<u64> {
        let before = self.len;
        let mut rest = entries;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(super::record::split(rest, FRAME_BYTES));
            self.write_frame(head, compress)?;
            rest = tail;
        }
        Ok(self.len - before)
    }

    fn write_frame(&mut self, raw: &[u8], compress: bool) -> io::Result<()> {
        if raw.len() > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a write is too large for the journal"));
        }
        let room = FRAME_HEADER_BYTES + zstd::zstd_safe::compress_bound(raw.len());
        if self.frame.len() < room {
            // What the last frame left is overwritten, and not worth zeroing.
            self.frame.resize(room, 0);
        }
        let (stored_len, raw_len) = if compress {
            let stored = &mut self.frame[FRAME_HEADER_BYTES..room];
            (self.compressor.compress_to_buffer(raw, stored)?, raw.len())
        } else {
            self.frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + raw.len()].copy_from_slice(raw);
            (raw.len(), 0)
        };
        let frame = &mut self.frame[..FRAME_HEADER_BYTES + stored_len];
        frame[..4].copy_from_slice(&FRAME_MARK);
        frame[8..12].copy_from_slice(&(stored_len as u32).to_le_bytes());
        frame[12..16].copy_from_slice(&(raw_len as u32).to_le_bytes());
        let crc = crc32c::crc32c(&frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(frame, self.len)?;
        self.len += frame.len() as u64;
        self.frame.truncate(2 * FRAME_BYTES);
        self.frame.shrink_to(2 * FRAME_BYTES);
        Ok(())
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.synced_len = self.len;
        Ok(())
    }

    /// Cuts off what was never acknowledged, as far as the file system lets us. Returns what is left.
    pub(super) fn give_up(self, fs: &dyn Fs, directory: &Path) -> u64 {
        if self.synced_len <= HEADER_BYTES as u64 {
            let path = path(directory, self.number);
            if let Err(error) = fs.remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot delete a segment that was given up");
            }
            return 0;
        }
        if let Err(error) = self.file.set_len(self.synced_len) {
            tracing::warn!(segment = self.number, %error, "cannot cut a segment that was given up");
        }
        self.synced_len
    }
}

/// What reading a segment found besides sound frames.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Damaged places with sound frames behind them, or anywhere in a segment that was closed.
    pub(crate) corruption_count: u64,
    /// Where the torn end begins, if there is one.
    pub(crate) torn_at: Option<u64>,
}

/// Appends the entries of one sound frame after the other to `into`; calls `visit` after each with where in `into` they
/// begin, and with where in the file the frame ends. `visit` may empty `into` or put another in its place. `last` says that
/// nothing was written after this segment, so that a damaged end is what a crash left. Reads piece by piece: a segment may be
/// larger than memory.
///
/// # Errors
/// As the file system says.
pub(crate) fn read(
    fs: &dyn Fs,
    path: &Path,
    last: bool,
    into: &mut Vec<u8>,
    mut visit: impl FnMut(&mut Vec<u8>, usize, u64),
) -> io::Result<Damage> {
    let mut window = Window::open(fs, path)?;
    let mut damage = Damage::default();
    if window.len == 0 {
        return Ok(damage);
    }
    let mut at = HEADER_BYTES as u64;
    if window.bytes(0, MAGIC.len())? != MAGIC || window.len < at {
        // Frames carry their own mark, so a damaged header costs nothing but the report.
        damage.torn_at = Some(0);
        at = 0;
    }
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    while at < window.len {
        let start = into.len();
        match read_frame(&mut window, at, &mut decompressor, into)? {
            Some(len) => {
                if damage.torn_at.take().is_some() {
                    damage.corruption_count += 1;
                }
                at += len;
                visit(into, start, at);
            }
            None => {
                into.truncate(start);
                damage.torn_at.get_or_insert(at);
                at = find_mark(&mut window, at + 1)?;
            }
        }
    }
    if damage.torn_at.is_some() && !last {
        damage.torn_at = None;
        damage.corruption_count += 1;
    }
    Ok(damage)
}

/// Read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// A part of a file in memory.
struct Window {
    file: Box<dyn File>,
    len: u64,
    /// Where `data` is in the file.
    start: u64,
    data: Vec<u8>,
}

impl Window {
    fn open(fs: &dyn Fs, path: &Path) -> io::Result<Self> {
        let file = fs.open_read(path)?;
        let len = file.len()?;
        Ok(Self { file, len, start: 0, data: Vec::new() })
    }

    /// `count` bytes from `at` on; fewer at the end of the file.
    fn bytes(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let left = self.len.saturating_sub(at);
        let count = usize::try_from(left).map_or(count, |left| left.min(count));
        let end = self.start + self.data.len() as u64;
        if at < self.start || at + count as u64 > end {
            let wanted = count.max(WINDOW_BYTES);
            let wanted = usize::try_from(left).map_or(wanted, |left| left.min(wanted));
            self.start = at;
            self.data.resize(wanted, 0);
            self.data.shrink_to(WINDOW_BYTES);
            self.file.read_exact_at(&mut self.data, at)?;
        }
        let from = (at - self.start) as usize;
        Ok(&self.data[from..from + count])
    }
}

/// Where the next mark from `at` on is; the end of the file if there is none.
fn find_mark(window: &mut Window, mut at: u64) -> io::Result<u64> {
    loop {
        let data = window.bytes(at, WINDOW_BYTES)?;
        if let Some(found) = data.windows(FRAME_MARK.len()).position(|window| window == FRAME_MARK) {
            return Ok(at + found as u64);
        }
        if data.len() < WINDOW_BYTES {
            return Ok(window.len);
        }
        at += (WINDOW_BYTES - FRAME_MARK.len() + 1) as u64;
    }
}

/// Decodes the frame at `at` and appends its content to `into`; returns its length on disk, `None` if it is damaged.
fn read_frame(
    window: &mut Window,
    at: u64,
    decompressor: &mut zstd::bulk::Decompressor<'_>,
    into: &mut Vec<u8>,
) -> io::Result<Option<u64>> {
    let header = window.bytes(at, FRAME_HEADER_BYTES)?;
    if header.len() < FRAME_HEADER_BYTES || header[..4] != FRAME_MARK {
        return Ok(None);
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (crc, stored_len, raw_len) = (word(4), word(8) as usize, word(12) as usize);
    let frame_len = FRAME_HEADER_BYTES + stored_len;
    if at + frame_len as u64 > window.len || stored_len.max(raw_len) > FRAME_BYTES_MAX {
        return Ok(None);
    }
    let frame = window.bytes(at, frame_len)?;
    if crc != crc32c::crc32c(&frame[8..]) {
        return Ok(None);
    }
    let stored = &frame[FRAME_HEADER_BYTES..];
    if raw_len == 0 {
        into.extend_from_slice(stored);
        return Ok(Some(frame_len as u64));
    }
    let start = into.len();
    into.resize(start + raw_len, 0);
    let decompressed = decompressor.decompress_to_buffer(stored, &mut into[start..]);
    Ok(decompressed.is_ok_and(|len| len == raw_len).then_some(frame_len as u64))
}
