//! Makes a block: series come in order of labels, frames go out as they fill, the directory comes last.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunk::floats::FloatEncoder;
use chunk::varint::{write_bytes, write_u64};
use model::{LabelsRef, UNKNOWN_START_MS};
use roaring::RoaringBitmap;
use stdx::fs::{File, Fs};
use stdx::memory::{Budget, Reservation};
use storage::{FloatColumn, HistogramColumn, SeriesSamples};

use super::format::{
    CHUNK_SAMPLES_MAX, COLUMN_FRAME_BYTES, ChunkRef, Directory, FrameInfo, FrameKind, MAGIC, Meta, Place,
    SERIES_PER_FRAME, write_series,
};
use super::index::write_postings;

/// What trial showed to be a good trade: level 6 gains a percent for twice the time.
const COMPRESSION_LEVEL: i32 = 3;

/// After so many bytes they are synced. All in the end would keep the disk busy for long, and with it those who wait for the
/// journal.
const SYNC_BYTES: u64 = 8 << 20;

/// What a writer takes at least: its compressor and the frames that are being filled.
const WRITER_BYTES: u64 = 2 << 20;
/// What a symbol takes besides its text, a list of postings besides its content, and a known column of timestamps: their
/// places in tables that are half full to full, and what the allocator adds.
const SYMBOL_BYTES: usize = 56;
const POSTINGS_BYTES: usize = 72;
const TIMES_BYTES: usize = 48;

/// A label value, its symbol, and the series that have it.
type Value<'a> = (&'a str, u32, &'a [u32]);

/// A block that is being made. Dropped before [`Self::finish`], it deletes its temporary file (else the next start does).
pub(crate) struct BlockWriter<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
    temporary: PathBuf,
    file: Box<dyn File>,
    len: u64,
    synced_len: u64,
    compressor: zstd::bulk::Compressor<'static>,
    stored: Vec<u8>,
    directory: Directory,
    encoder: FloatEncoder,
    /// Frames that are being filled, by kind.
    open: [Vec<u8>; FrameKind::ALL.len()],
    /// Columns of timestamps that were written, by hash of their content.
    times: HashMap<u128, Place>,
    column: Vec<u8>,
    symbols: HashMap<Box<str>, u32>,
    symbol_texts: Vec<u8>,
    postings: HashMap<(u32, u32), Vec<u32>>,
    labels: Vec<(u32, u32)>,
    chunks: Vec<ChunkRef>,
    /// Of the lists of `postings` together.
    posting_count: usize,
    /// What all this takes, about.
    memory: Reservation,
    is_named: bool,
}

impl Drop for BlockWriter<'_> {
    fn drop(&mut self) {
        if !self.is_named {
            // Best effort, so that tries on a full disk do not make it fuller.
            let _ = self.fs.remove_file(&self.temporary);
        }
    }
}

impl<'a> BlockWriter<'a> {
    /// Begins a block that will be `path`. `meta` says what is known beforehand; ranges and counts are found out. Memory
    /// is taken from `budget`, whether it has it or not: blocks are made to free memory and disk space.
    pub(crate) fn create(fs: &'a dyn Fs, path: &Path, meta: Meta, budget: &Arc<Budget>) -> io::Result<Self> {
        let temporary = path.with_extension("tmp");
        let file = fs.create(&temporary)?;
        file.write_all_at(MAGIC, 0)?;
        let meta = Meta { min_ms: i64::MAX, max_ms: i64::MIN, ..meta };
        Ok(Self {
            fs,
            path: path.to_owned(),
            temporary,
            file,
            len: MAGIC.len() as u64,
            synced_len: 0,
            compressor: zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?,
            stored: Vec::new(),
            directory: Directory { meta, ..Directory::default() },
            encoder: FloatEncoder::default(),
            open: Default::default(),
            times: HashMap::new(),
            column: Vec::new(),
            symbols: HashMap::new(),
            symbol_texts: Vec::new(),
            postings: HashMap::new(),
            labels: Vec::new(),
            chunks: Vec::new(),
            posting_count: 0,
            memory: budget.reserve_anyway(WRITER_BYTES),
            is_named: false,
        })
    }

    /// Whether there is no series yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.directory.meta.series_count == 0
    }

    /// Adds a series. Labels must come in order, each set once; a series without samples is left out.
    pub(crate) fn add(&mut self, labels: LabelsRef<'_>, samples: &SeriesSamples) -> io::Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let meta = &mut self.directory.meta;
        let number = u32::try_from(meta.series_count)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too many series for one block"))?;
        meta.series_count += 1;
        meta.sample_count += samples.len() as u64;
        self.chunks.clear();
        self.add_floats(&samples.floats)?;
        self.add_histograms(&samples.histograms)?;
        self.directory.meta.chunk_count += self.chunks.len() as u64;
        self.add_labels(number, labels);
        self.column.clear();
        write_series(&mut self.column, &self.labels, &self.chunks);
        write_bytes(&mut self.open[FrameKind::Series as usize], &self.column);
        if (number + 1).is_multiple_of(SERIES_PER_FRAME) {
            self.end_frame(FrameKind::Series)?;
            self.memory.raise_anyway(self.size_bytes());
        }
        Ok(())
    }

    /// About how many bytes it takes, by what grows with the number of series.
    fn size_bytes(&self) -> u64 {
        let frames: usize = self.directory.frames.iter().map(Vec::len).sum();
        let bytes = self.symbol_texts.len() * 2
            + self.symbols.len() * SYMBOL_BYTES
            + self.postings.len() * POSTINGS_BYTES
            + self.posting_count * size_of::<u32>() * 3 / 2
            + self.times.len() * TIMES_BYTES
            + frames * size_of::<FrameInfo>();
        WRITER_BYTES + bytes as u64
    }

    fn add_floats(&mut self, floats: &FloatColumn) -> io::Result<()> {
        let times = floats.timestamps_ms.chunks(CHUNK_SAMPLES_MAX);
        let mut from = 0;
        for (times, values) in times.zip(floats.values.chunks(CHUNK_SAMPLES_MAX)) {
            let place = self.place(FrameKind::Values)?;
            self.encoder.encode(values, &mut self.open[FrameKind::Values as usize]);
            let starts = self.add_starts(floats.starts.slice(from, from + times.len()))?;
            self.add_chunk(FrameKind::Values, times, place, starts)?;
            from += times.len();
        }
        Ok(())
    }

    fn add_histograms(&mut self, histograms: &HistogramColumn) -> io::Result<()> {
        let times = histograms.timestamps_ms.chunks(CHUNK_SAMPLES_MAX);
        let mut from = 0;
        for (times, values) in times.zip(histograms.values.chunks(CHUNK_SAMPLES_MAX)) {
            let place = self.place(FrameKind::Histograms)?;
            chunk::histograms::encode(values, &mut self.open[FrameKind::Histograms as usize]);
            let starts = self.add_starts(histograms.starts.slice(from, from + times.len()))?;
            self.add_chunk(FrameKind::Histograms, times, place, starts)?;
            from += times.len();
        }
        Ok(())
    }

    /// Adds a column of start timestamps, if any of them is known.
    fn add_starts(&mut self, starts_ms: &[i64]) -> io::Result<Option<Place>> {
        if starts_ms.iter().all(|start_ms| *start_ms == UNKNOWN_START_MS) {
            return Ok(None);
        }
        let place = self.place(FrameKind::Starts)?;
        chunk::starts::encode(starts_ms, &mut self.open[FrameKind::Starts as usize]);
        Ok(Some(place))
    }

    fn add_chunk(
        &mut self,
        kind: FrameKind,
        timestamps_ms: &[i64],
        values: Place,
        starts: Option<Place>,
    ) -> io::Result<()> {
        let (min_ms, max_ms) = (timestamps_ms[0], timestamps_ms[timestamps_ms.len() - 1]);
        let meta = &mut self.directory.meta;
        (meta.min_ms, meta.max_ms) = (meta.min_ms.min(min_ms), meta.max_ms.max(max_ms));
        self.column.clear();
        chunk::timestamps::encode(timestamps_ms, &mut self.column);
        let hash = xxhash_rust::xxh3::xxh3_128(&self.column);
        let times = match self.times.get(&hash) {
            Some(place) => *place,
            None => {
                let place = self.place(FrameKind::Times)?;
                self.open[FrameKind::Times as usize].extend_from_slice(&self.column);
                self.times.insert(hash, place);
                place
            }
        };
        let count = timestamps_ms.len() as u32;
        self.chunks.push(ChunkRef { kind, min_ms, max_ms, count, times, values, starts });
        Ok(())
    }

    /// Where the next column of a kind begins. Ends the frame before it if that is full.
    fn place(&mut self, kind: FrameKind) -> io::Result<Place> {
        if self.open[kind as usize].len() >= COLUMN_FRAME_BYTES {
            self.end_frame(kind)?;
        }
        let frame = self.directory.frames[kind as usize].len() as u32;
        Ok(Place { frame, offset: self.open[kind as usize].len() as u32 })
    }

    fn add_labels(&mut self, number: u32, labels: LabelsRef<'_>) {
        self.labels.clear();
        for (name, value) in labels.iter() {
            let pair = (self.symbol(name), self.symbol(value));
            self.labels.push(pair);
            self.postings.entry(pair).or_default().push(number);
        }
        self.posting_count += self.labels.len();
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(number) = self.symbols.get(text) {
            return *number;
        }
        let number = self.symbols.len() as u32;
        self.symbols.insert(Box::from(text), number);
        write_bytes(&mut self.symbol_texts, text.as_bytes());
        number
    }

    fn end_frame(&mut self, kind: FrameKind) -> io::Result<()> {
        let mut raw = std::mem::take(&mut self.open[kind as usize]);
        if !raw.is_empty() {
            let frame = self.write_frame(&raw)?;
            self.directory.frames[kind as usize].push(frame);
        }
        raw.clear();
        self.open[kind as usize] = raw;
        Ok(())
    }

    fn write_frame(&mut self, raw: &[u8]) -> io::Result<FrameInfo> {
        let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, "a frame of a block is too large");
        self.stored.resize(zstd::zstd_safe::compress_bound(raw.len()), 0);
        let stored_len = self.compressor.compress_to_buffer(raw, &mut self.stored[..])?;
        let (stored, raw_bytes) = if stored_len < raw.len() {
            (&self.stored[..stored_len], u32::try_from(raw.len()).map_err(too_large)?)
        } else {
            (raw, 0)
        };
        let stored_bytes = u32::try_from(stored.len()).map_err(too_large)?;
        self.file.write_all_at(stored, self.len)?;
        let frame = FrameInfo { offset: self.len, stored_bytes, raw_bytes, crc: crc32c::crc32c(stored) };
        self.len += u64::from(stored_bytes);
        if self.len - self.synced_len >= SYNC_BYTES {
            self.file.sync()?;
            self.synced_len = self.len;
        }
        Ok(frame)
    }

    /// Writes what is left, syncs, and gives the block its name. Afterwards it survives a crash.
    pub(crate) fn finish(mut self) -> io::Result<PathBuf> {
        let columns = [FrameKind::Values, FrameKind::Times, FrameKind::Histograms, FrameKind::Starts];
        for kind in columns.into_iter().chain([FrameKind::Series]) {
            self.end_frame(kind)?;
        }
        self.write_index()?;
        let raw = self.directory.encode();
        let frame = self.write_frame(&raw)?;
        let mut trailer = Vec::new();
        trailer.extend_from_slice(&frame.offset.to_le_bytes());
        trailer.extend_from_slice(&frame.stored_bytes.to_le_bytes());
        trailer.extend_from_slice(&frame.raw_bytes.to_le_bytes());
        trailer.extend_from_slice(&frame.crc.to_le_bytes());
        trailer.extend_from_slice(&[0; 4]);
        trailer.extend_from_slice(MAGIC);
        self.file.write_all_at(&trailer, self.len)?;
        self.file.sync()?;
        self.fs.rename(&self.temporary, &self.path)?;
        self.is_named = true;
        self.fs.sync_dir(self.path.parent().unwrap_or_else(|| Path::new(".")))?;
        Ok(self.path.clone())
    }

    fn write_index(&mut self) -> io::Result<()> {
        // Names, values and lists stand beside the tables that they are made of.
        self.memory.raise_anyway(self.size_bytes() / 2 * 3);
        let mut texts = vec![""; self.symbols.len()];
        for (text, number) in &self.symbols {
            texts[*number as usize] = text;
        }
        let mut names: BTreeMap<&str, Vec<Value<'_>>> = BTreeMap::new();
        for ((name, value), series) in &self.postings {
            names.entry(texts[*name as usize]).or_default().push((texts[*value as usize], *value, series));
        }
        let mut raws: Vec<(Box<str>, Vec<u8>)> = Vec::with_capacity(names.len());
        for (name, mut values) in names {
            values.sort_unstable();
            let mut raw = Vec::new();
            write_u64(&mut raw, values.len() as u64);
            let mut list = Vec::new();
            for (_, symbol, series) in values {
                list.clear();
                let series: RoaringBitmap = RoaringBitmap::from_sorted_iter(series.iter().copied())
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))?;
                write_postings(&mut list, series)?;
                write_u64(&mut raw, u64::from(symbol));
                write_bytes(&mut raw, &list);
            }
            raws.push((Box::from(name), raw));
        }
        for (name, raw) in raws {
            let frame = self.write_frame(&raw)?;
            self.directory.frames[FrameKind::Label as usize].push(frame);
            self.directory.names.push(name);
        }
        let symbols = std::mem::take(&mut self.symbol_texts);
        let frame = self.write_frame(&symbols)?;
        self.directory.frames[FrameKind::Symbols as usize].push(frame);
        Ok(())
    }
}
