//! Opens a block and reads its frames on demand.

pub(crate) mod verify;

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chunk::Corrupt;
use chunk::varint::Reader;
use model::labels::pack;
use model::{Labels, LabelsRef};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use stdx::fs::{File, Fs};
use stdx::memory::Budget;
use storage::{Error, ErrorKind, FloatColumn};

use super::cache::{Cached, FrameCache, FrameKey};
use super::format::{
    CHUNK_SAMPLES_MAX, ChunkRef, Directory, FRAME_BYTES_MAX, FrameInfo, FrameKind, MAGIC, Meta, Place,
    SERIES_PER_FRAME, TRAILER_BYTES, read_series,
};
use super::index::{LabelFrame, Symbols};
use crate::merge::Merger;
use crate::metrics::Metrics;
use crate::selections::SelectionCache;

/// What blocks share.
#[derive(Debug)]
pub(crate) struct BlockEnv {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) cache: Arc<FrameCache>,
    pub(crate) metrics: Arc<Metrics>,
    /// Of the next block that is opened.
    pub(crate) next_key: AtomicU64,
    /// Of the storage: caches, and what it takes to make blocks.
    pub(crate) budget: Arc<Budget>,
}

/// An open block.
#[derive(Debug)]
pub(crate) struct Block {
    env: Arc<BlockEnv>,
    path: PathBuf,
    file: Box<dyn File>,
    key: u64,
    len: u64,
    directory: Directory,
    /// Frames that were found damaged and reported.
    set_aside: Mutex<HashSet<(FrameKind, u32)>>,
    /// What selectors found here. The version is always the same.
    pub(crate) selections: SelectionCache<Arc<RoaringBitmap>>,
}

/// Most bytes of resolved selectors that are kept of a block.
const SELECTION_BYTES_MAX: usize = 256 << 10;

/// A series of a block.
#[derive(Debug)]
pub(crate) struct BlockSeries {
    /// Its number in the block.
    pub(crate) number: u32,
    pub(crate) labels: Labels,
    /// In order of time.
    pub(crate) chunks: Vec<ChunkRef>,
}

/// Buffers for decoding, kept from chunk to chunk.
///
/// Series of a block stand beside each other in its frames and share columns of timestamps, so what was used last is most
/// often what is needed next: it is kept here, where no lock is in the way.
#[derive(Debug, Default)]
pub(crate) struct DecodeScratch {
    /// Whether frames are read once only: they are not put into the cache.
    is_passing: bool,
    /// The last frame of each kind of column, with its block and number.
    frames: [Option<RecentFrame>; FrameKind::ALL.len()],
    /// Decoded columns of timestamps, one after the other.
    timestamps_ms: Vec<i64>,
    /// Where in `timestamps_ms` a column is, by its block, place and count.
    times: hashbrown::HashMap<(u64, Place, u32), Range<usize>>,
    values: Vec<f64>,
    starts_ms: Vec<i64>,
    /// Pieces on their way into a series.
    pub(crate) pieces: FloatColumn,
    /// Frames that were in the cache, of those that were needed beside the last one.
    pub(crate) frames_cached: u64,
    /// Frames that were read from disk.
    pub(crate) frames_read: u64,
}

impl DecodeScratch {
    /// For reading a whole block from its beginning to its end.
    pub(crate) fn passing() -> Self {
        Self { is_passing: true, ..Self::default() }
    }

    /// Bytes of its buffers; frames are counted by the cache they come from.
    pub(crate) fn size_bytes(&self) -> usize {
        let numbers = self.timestamps_ms.capacity() + self.values.capacity() + self.starts_ms.capacity();
        let pieces = self.pieces.timestamps_ms.capacity() + self.pieces.values.capacity();
        (numbers + pieces) * 8 + self.times.capacity() * size_of::<((u64, Place, u32), Range<usize>)>()
    }
}

/// Block, number and content of a frame.
type RecentFrame = (u64, u32, Arc<Vec<u8>>);

/// Decoded timestamps that are kept at most.
const TIMES_MAX: usize = 64 << 10;

impl Drop for Block {
    fn drop(&mut self) {
        self.env.cache.forget(self.key);
    }
}

impl Block {
    /// Opens a block and reads its directory.
    ///
    /// # Errors
    /// As the file system says; `InvalidData` if trailer or directory are damaged.
    pub(crate) fn open(env: &Arc<BlockEnv>, path: &Path) -> io::Result<Self> {
        let file = env.fs.open_read(path)?;
        let len = file.len()?;
        let directory = read_directory(&*file, len)?;
        let key = env.next_key.fetch_add(1, Ordering::Relaxed);
        let set_aside = Mutex::new(HashSet::new());
        let selections = SelectionCache::new(env.budget.reserve_none(), SELECTION_BYTES_MAX);
        Ok(Self {
            env: Arc::clone(env),
            path: path.to_owned(),
            file,
            key,
            len,
            directory,
            set_aside,
            selections,
        })
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.directory.meta
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len
    }

    pub(crate) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        self.meta().min_ms <= end_ms && self.meta().max_ms >= start_ms
    }

    /// Whether a part of it was found damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.set_aside.lock().is_empty()
    }

    pub(super) fn label_names(&self) -> impl Iterator<Item = &str> {
        self.directory.names.iter().map(|name| &**name)
    }

    pub(super) fn label_frame_number(&self, name: &str) -> Option<u32> {
        self.directory.names.binary_search_by(|candidate| (**candidate).cmp(name)).ok().map(|at| at as u32)
    }

    /// Values and postings of a label; `None` if no series has it, or its frame was set aside.
    pub(super) fn label(&self, name: &str) -> Result<Option<Arc<LabelFrame>>, Error> {
        let Some(number) = self.label_frame_number(name) else { return Ok(None) };
        let parse = |raw| LabelFrame::parse(raw).map(|label| Cached::Label(Arc::new(label)));
        match self.frame(FrameKind::Label, number, parse)? {
            Some(Cached::Label(label)) => Ok(Some(label)),
            _ => Ok(None),
        }
    }

    /// All label names and values; `None` if their frame was set aside.
    pub(super) fn symbols(&self) -> Result<Option<Arc<Symbols>>, Error> {
        let parse = |raw| Symbols::parse(raw).map(|symbols| Cached::Symbols(Arc::new(symbols)));
        match self.frame(FrameKind::Symbols, 0, parse)? {
            Some(Cached::Symbols(symbols)) => Ok(Some(symbols)),
            _ => Ok(None),
        }
    }

    fn raw(&self, kind: FrameKind, number: u32) -> Result<Option<Arc<Vec<u8>>>, Error> {
        match self.frame(kind, number, |raw| Ok(Cached::Raw(raw)))? {
            Some(Cached::Raw(raw)) => Ok(Some(raw)),
            _ => Ok(None),
        }
    }

    /// As [`Self::raw`], without keeping it.
    fn raw_once(&self, kind: FrameKind, number: u32) -> Result<Option<Arc<Vec<u8>>>, Error> {
        match self.find_frame(kind, number, |raw| Ok(Cached::Raw(raw)), false)? {
            Some(Cached::Raw(raw)) => Ok(Some(raw)),
            _ => Ok(None),
        }
    }

    /// A frame from the cache or the disk; `None` if it was set aside before.
    fn frame(
        &self,
        kind: FrameKind,
        number: u32,
        parse: impl FnOnce(Arc<Vec<u8>>) -> Result<Cached, Corrupt>,
    ) -> Result<Option<Cached>, Error> {
        self.find_frame(kind, number, parse, true)
    }

    fn find_frame(
        &self,
        kind: FrameKind,
        number: u32,
        parse: impl FnOnce(Arc<Vec<u8>>) -> Result<Cached, Corrupt>,
        is_kept: bool,
    ) -> Result<Option<Cached>, Error> {
        let key = FrameKey { block: self.key, kind, number };
        if let Some(frame) = self.env.cache.get(key) {
            return Ok(Some(frame));
        }
        if self.set_aside.lock().contains(&(kind, number)) {
            return Ok(None);
        }
        let info = self.directory.frames[kind as usize].get(number as usize);
        let read =
            info.ok_or(ReadError::Corrupt(Corrupt("it does not exist"))).and_then(|info| self.read(info));
        match read.and_then(|raw| parse(Arc::new(raw)).map_err(ReadError::Corrupt)) {
            Ok(frame) => {
                if is_kept {
                    self.env.cache.insert(key, frame.clone());
                }
                Ok(Some(frame))
            }
            Err(ReadError::Corrupt(corrupt)) => Err(self.corrupt(kind, number, corrupt)),
            Err(ReadError::Io(error)) => {
                let path = self.path.display();
                Err(Error::new(ErrorKind::Unavailable, format!("block {path} cannot be read: {error}")))
            }
        }
    }

    fn read(&self, info: &FrameInfo) -> Result<Vec<u8>, ReadError> {
        read_frame(&*self.file, info, self.len)
    }

    /// Sets a frame aside, and says so.
    pub(super) fn corrupt(&self, kind: FrameKind, number: u32, corrupt: Corrupt) -> Error {
        let path = self.path.display();
        let message =
            format!("block {path}: {} frame {number} is damaged ({corrupt}) and set aside", kind.as_str());
        if self.set_aside.lock().insert((kind, number)) {
            self.env.metrics.block_corruptions.inc();
            tracing::error!("{message}");
        }
        Error::new(ErrorKind::Corrupt, message)
    }

    /// Calls `visit` with each series of `wanted`, in order, until it fails.
    pub(crate) fn visit_series(
        &self,
        wanted: &RoaringBitmap,
        visit: impl FnMut(BlockSeries) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.visit_frames(wanted, true, visit)
    }

    /// As [`Self::visit_series`], without keeping the frames: for reading a whole block in pieces of whole frames.
    pub(crate) fn visit_series_once(
        &self,
        wanted: &RoaringBitmap,
        visit: impl FnMut(BlockSeries) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.visit_frames(wanted, false, visit)
    }

    fn visit_frames(
        &self,
        wanted: &RoaringBitmap,
        are_kept: bool,
        mut visit: impl FnMut(BlockSeries) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let Some(symbols) = self.symbols()? else { return Ok(()) };
        let mut packed = String::new();
        let mut wanted = wanted.iter().peekable();
        while let Some(first) = wanted.peek() {
            let frame_number = first / SERIES_PER_FRAME;
            let mut number = frame_number * SERIES_PER_FRAME;
            let raw = if are_kept {
                self.raw(FrameKind::Series, frame_number)?
            } else {
                self.raw_once(FrameKind::Series, frame_number)?
            };
            let Some(raw) = raw else {
                while wanted.next_if(|n| n / SERIES_PER_FRAME == frame_number).is_some() {}
                continue;
            };
            let mut reader = Reader::new(&raw);
            while let Some(next) = wanted.next_if(|n| n / SERIES_PER_FRAME == frame_number) {
                let read = |reader: &mut Reader<'_>, packed: &mut String, number: &mut u32| {
                    while *number < next {
                        reader.bytes()?;
                        *number += 1;
                    }
                    *number += 1;
                    read_one(next, reader.bytes()?, &symbols, packed)
                };
                let series = read(&mut reader, &mut packed, &mut number)
                    .map_err(|e| self.corrupt(FrameKind::Series, frame_number, e))?;
                visit(series)?;
            }
        }
        Ok(())
    }

    /// Adds the samples of a chunk; nothing if its frame was set aside before.
    ///
    /// # Errors
    /// `Corrupt` the first time damage is found; `Unavailable` if the file cannot be read.
    pub(crate) fn read_chunk(
        &self,
        chunk: &ChunkRef,
        scratch: &mut DecodeScratch,
        merger: &mut Merger<'_>,
    ) -> Result<(), Error> {
        let count = chunk.count as usize;
        if count > CHUNK_SAMPLES_MAX {
            return Err(self.corrupt(
                chunk.kind,
                chunk.values.frame,
                Corrupt("a chunk has too many samples"),
            ));
        }
        let Some(times) = self.timestamps(chunk, scratch)? else { return Ok(()) };
        let Some(values) = self.recent(chunk.kind, chunk.values.frame, scratch)? else { return Ok(()) };
        let missing = Corrupt("a column begins behind its frame");
        let bytes = values
            .get(chunk.values.offset as usize..)
            .ok_or(missing)
            .map_err(|e| self.corrupt(chunk.kind, chunk.values.frame, e))?;
        self.read_starts(chunk, scratch)?;
        if chunk.kind == FrameKind::Values {
            scratch.values.clear();
            let decoded = chunk::floats::decode(bytes, count, &mut scratch.values);
            decoded.map_err(|e| self.corrupt(chunk.kind, chunk.values.frame, e))?;
            merger.add_floats(&scratch.timestamps_ms[times], &scratch.values, &scratch.starts_ms);
        } else {
            let mut histograms = Vec::with_capacity(count);
            let decoded = chunk::histograms::decode(bytes, count, &mut histograms);
            decoded.map_err(|e| self.corrupt(chunk.kind, chunk.values.frame, e))?;
            merger.add_histograms(&scratch.timestamps_ms[times], &histograms, &scratch.starts_ms);
        }
        Ok(())
    }
}

impl Block {
    /// Reads the start timestamps of a chunk into the scratch, none if it has none or their frame was set aside before.
    fn read_starts(&self, chunk: &ChunkRef, scratch: &mut DecodeScratch) -> Result<(), Error> {
        scratch.starts_ms.clear();
        let Some(place) = chunk.starts else { return Ok(()) };
        let Some(raw) = self.recent(FrameKind::Starts, place.frame, scratch)? else { return Ok(()) };
        raw.get(place.offset as usize..)
            .ok_or(Corrupt("a column begins behind its frame"))
            .and_then(|bytes| {
                chunk::starts::decode(&mut Reader::new(bytes), chunk.count as usize, &mut scratch.starts_ms)
            })
            .map_err(|e| self.corrupt(FrameKind::Starts, place.frame, e))
    }

    /// As [`Self::raw`], with the last frame of each kind at hand.
    fn recent(
        &self,
        kind: FrameKind,
        number: u32,
        scratch: &mut DecodeScratch,
    ) -> Result<Option<Arc<Vec<u8>>>, Error> {
        let is_passing = scratch.is_passing;
        let last = &mut scratch.frames[kind as usize];
        if let Some((block, last_number, raw)) = last
            && (*block, *last_number) == (self.key, number)
        {
            return Ok(Some(Arc::clone(raw)));
        }
        if self.env.cache.contains(FrameKey { block: self.key, kind, number }) {
            scratch.frames_cached += 1;
        } else {
            scratch.frames_read += 1;
        }
        let raw = if is_passing { self.raw_once(kind, number)? } else { self.raw(kind, number)? };
        *last = raw.as_ref().map(|raw| (self.key, number, Arc::clone(raw)));
        Ok(raw)
    }

    /// Where in the scratch's timestamps those of a chunk are; `None` if their frame was set aside before.
    fn timestamps(
        &self,
        chunk: &ChunkRef,
        scratch: &mut DecodeScratch,
    ) -> Result<Option<Range<usize>>, Error> {
        let key = (self.key, chunk.times, chunk.count);
        if let Some(known) = scratch.times.get(&key) {
            return Ok(Some(known.clone()));
        }
        let Some(raw) = self.recent(FrameKind::Times, chunk.times.frame, scratch)? else { return Ok(None) };
        if scratch.timestamps_ms.len() >= TIMES_MAX {
            scratch.timestamps_ms.clear();
            scratch.times.clear();
        }
        let from = scratch.timestamps_ms.len();
        raw.get(chunk.times.offset as usize..)
            .ok_or(Corrupt("a column begins behind its frame"))
            .and_then(|bytes| {
                chunk::timestamps::decode(bytes, chunk.count as usize, &mut scratch.timestamps_ms)
            })
            .and_then(|()| rising(&scratch.timestamps_ms[from..]))
            .map_err(|e| self.corrupt(FrameKind::Times, chunk.times.frame, e))?;
        let range = from..scratch.timestamps_ms.len();
        scratch.times.insert(key, range.clone());
        Ok(Some(range))
    }
}

fn rising(timestamps_ms: &[i64]) -> Result<(), Corrupt> {
    if timestamps_ms.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(Corrupt("timestamps do not rise")) }
}

fn read_one(
    number: u32,
    bytes: &[u8],
    symbols: &Symbols,
    packed: &mut String,
) -> Result<BlockSeries, Corrupt> {
    packed.clear();
    let mut chunks = Vec::new();
    let label = |name, value| {
        pack(packed, symbols.get(name)?, symbols.get(value)?);
        Ok(())
    };
    read_series(bytes, label, |chunk| chunks.push(chunk))?;
    let labels = LabelsRef::from_packed(packed).ok_or(Corrupt("labels are not in packed form"))?.to_labels();
    Ok(BlockSeries { number, labels, chunks })
}

enum ReadError {
    Io(io::Error),
    Corrupt(Corrupt),
}

fn read_frame(file: &dyn File, info: &FrameInfo, file_len: u64) -> Result<Vec<u8>, ReadError> {
    let end = info.offset.checked_add(u64::from(info.stored_bytes));
    if end.is_none_or(|end| end > file_len) || info.raw_bytes as usize > FRAME_BYTES_MAX {
        return Err(ReadError::Corrupt(Corrupt("it reaches behind the end of the file")));
    }
    let mut stored = vec![0; info.stored_bytes as usize];
    file.read_exact_at(&mut stored, info.offset).map_err(ReadError::Io)?;
    if crc32c::crc32c(&stored) != info.crc {
        return Err(ReadError::Corrupt(Corrupt("its checksum is wrong")));
    }
    if info.raw_bytes == 0 {
        return Ok(stored);
    }
    let raw_len = info.raw_bytes as usize;
    let raw = zstd::bulk::decompress(&stored, raw_len).ok().filter(|raw| raw.len() == raw_len);
    raw.ok_or(ReadError::Corrupt(Corrupt("it cannot be decompressed")))
}

fn read_directory(file: &dyn File, len: u64) -> io::Result<Directory> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut trailer = [0; TRAILER_BYTES];
    let start = len.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| invalid("the file is too short"))?;
    file.read_exact_at(&mut trailer, start)?;
    if trailer[TRAILER_BYTES - 8..] != *MAGIC {
        return Err(invalid("the file does not end as a block does"));
    }
    let word =
        |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
    let offset = u64::from(word(0)) | u64::from(word(4)) << 32;
    let info = FrameInfo { offset, stored_bytes: word(8), raw_bytes: word(12), crc: word(16) };
    let raw = read_frame(file, &info, len).map_err(|e| match e {
        ReadError::Io(error) => error,
        ReadError::Corrupt(corrupt) => invalid(&format!("the directory is damaged: {corrupt}")),
    })?;
    Directory::decode(&raw).map_err(|e| invalid(&format!("the directory is damaged: {e}")))
}
