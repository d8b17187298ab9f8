//! One series of the head: an open chunk that grows, closed chunks, and a buffer for what came late.
//!
//! Pieces are kept in order of age of the write, so that reading them in order lets the last write win: closed
//! chunks, then the open one, then the late buffer. The open chunk takes only samples later than all before, so
//! it cannot collide with the late buffer; before either the late buffer or histograms are closed, the
//! open chunk is.

use std::sync::Arc;

use chunk::stream::{StreamDecoder, StreamEncoder};
use model::{FloatHistogram, Labels, UNKNOWN_START_MS};
use storage::StartColumn;

use crate::head::keys::NO_PLACE;
use crate::head::starts::OpenStarts;
use crate::merge::Merger;

/// The open chunk is closed at so many samples or bytes, so that a reader copies little.
const CHUNK_SAMPLES_MAX: u32 = 240;
const CHUNK_BYTES_MAX: usize = 1024;
/// The late buffer is closed at so many samples.
const LATE_MAX: usize = 256;
/// The buffer of histograms is closed at so many.
const HISTOGRAMS_MAX: usize = 32;

/// A histogram of the buffer.
#[derive(Debug, Clone)]
struct HistogramSample {
    timestamp_ms: i64,
    start_ms: i64,
    histogram: Arc<FloatHistogram>,
}

/// One series of the head.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) hash: u64,
    /// The newest segment of the journal that defines this series; 0 for none.
    pub(crate) defined_in: u64,
    /// Time of the newest sample; `i64::MIN` without one. Survives flushes.
    last_ms: i64,
    /// The newest sample's value, if [`Self::has_last_float`].
    last_float: f64,
    open: StreamEncoder,
    /// Boxed, because few series have any.
    buffers: Option<Box<Buffers>>,
    chunks: Vec<Arc<HeadChunk>>,
    /// How many of `chunks`, from the front, are on their way into a block.
    frozen_count: u32,
    /// Where `SeriesKeys` has the newest of the keys that pushes know it by, or `NO_PLACE`.
    pub(super) key_place: u32,
    has_last_float: bool,
}

/// What most series do not have. At least one of them is not empty.
#[derive(Debug, Default)]
struct Buffers {
    /// Sorted by time.
    late: Vec<(i64, f64)>,
    /// Sorted by time.
    histograms: Vec<HistogramSample>,
    /// When the counters of the floats that are not in chunks began.
    starts: OpenStarts,
}

/// What [`Buffers`] take besides their content, in bytes.
const BUFFERS_BYTES: i64 = size_of::<Buffers>() as i64 + 8;

/// A closed chunk.
#[derive(Debug)]
pub(crate) struct HeadChunk {
    pub(crate) kind: ChunkKind,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    pub(crate) count: u32,
    /// Whether the bytes begin with a column of start timestamps.
    has_starts: bool,
    bytes: Box<[u8]>,
}

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    Floats,
    Histograms,
}

/// What became of samples, and how much memory they took.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) duplicate_count: u64,
    pub(crate) out_of_order_count: u64,
    pub(crate) overwrite_count: u64,
    pub(crate) chunk_count: i64,
    pub(crate) bytes: i64,
}

/// What a flush freed of a series.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Freed {
    pub(crate) bytes: usize,
    pub(crate) chunk_count: usize,
}

impl Series {
    pub(crate) fn new(labels: Labels, hash: u64) -> Self {
        Self {
            labels,
            hash,
            defined_in: 0,
            last_ms: i64::MIN,
            last_float: 0.0,
            open: StreamEncoder::default(),
            buffers: None,
            chunks: Vec::new(),
            frozen_count: 0,
            key_place: NO_PLACE,
            has_last_float: false,
        }
    }

    /// Writes a float sample.
    #[inline]
    pub(crate) fn append_float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64, tally: &mut Tally) {
        if self.buffers.is_some() {
            self.close_histograms(tally);
        }
        if timestamp_ms <= self.last_ms {
            return self.append_late(timestamp_ms, value, start_ms, tally);
        }
        if self.open.count() >= CHUNK_SAMPLES_MAX || self.open.bytes().len() >= CHUNK_BYTES_MAX {
            self.close_open(tally);
        }
        let before = self.open.capacity_bytes();
        self.open.push(timestamp_ms, value);
        tally.bytes += (self.open.capacity_bytes() - before) as i64;
        self.set_last(timestamp_ms, Some(value));
        if start_ms != UNKNOWN_START_MS || self.buffers.is_some() {
            self.push_start(start_ms, tally);
        }
    }

    /// Notes the start of the sample that was just added to the open chunk.
    fn push_start(&mut self, start_ms: i64, tally: &mut Tally) {
        let place = self.open.count() - 1;
        let starts = &mut self.buffers_mut(tally).starts;
        let before = starts.size_bytes();
        starts.push(place, start_ms);
        tally.bytes += starts.size_bytes() - before;
        if starts.is_full() {
            self.close_open(tally);
        }
        self.drop_empty_buffers(tally);
    }

    #[inline]
    fn set_last(&mut self, timestamp_ms: i64, float: Option<f64>) {
        (self.last_ms, self.last_float) = (timestamp_ms, float.unwrap_or_default());
        self.has_last_float = float.is_some();
    }

    fn late(&self) -> &[(i64, f64)] {
        self.buffers.as_ref().map_or(&[], |buffers| &buffers.late)
    }

    fn histograms(&self) -> &[HistogramSample] {
        self.buffers.as_ref().map_or(&[], |buffers| &buffers.histograms)
    }

    fn buffers_mut(&mut self, tally: &mut Tally) -> &mut Buffers {
        self.buffers.get_or_insert_with(|| {
            tally.bytes += BUFFERS_BYTES;
            Box::default()
        })
    }

    fn drop_empty_buffers(&mut self, tally: &mut Tally) {
        if self.buffers.as_ref().is_some_and(|buffers| buffers.is_empty()) {
            self.buffers = None;
            tally.bytes -= BUFFERS_BYTES;
        }
    }

    #[cold]
    fn append_late(&mut self, timestamp_ms: i64, value: f64, start_ms: i64, tally: &mut Tally) {
        let found = self.find_float(timestamp_ms);
        if found.is_some_and(|(found, since_ms)| found.to_bits() == value.to_bits() && since_ms == start_ms) {
            tally.duplicate_count += 1;
            return;
        }
        tally.overwrite_count += u64::from(found.is_some());
        tally.out_of_order_count += u64::from(timestamp_ms < self.last_ms);
        if timestamp_ms == self.last_ms {
            self.set_last(timestamp_ms, Some(value));
        }
        let is_newest = timestamp_ms == self.last_ms;
        let Buffers { late, starts, .. } = self.buffers_mut(tally);
        match late.binary_search_by_key(&timestamp_ms, |(t, _)| *t) {
            Ok(at) => late[at].1 = value,
            Err(at) => {
                let before = late.capacity();
                late.insert(at, (timestamp_ms, value));
                tally.bytes += ((late.capacity() - before) * 16) as i64;
            }
        }
        let before = starts.size_bytes();
        starts.set_late(timestamp_ms, start_ms, is_newest);
        tally.bytes += starts.size_bytes() - before;
        if self.late().len() >= LATE_MAX {
            self.close_open(tally);
            self.close_late(tally);
        }
    }

    /// The float at a time and its start, if there is one and it is certain that nothing newer replaced it.
    fn find_float(&self, timestamp_ms: i64) -> Option<(f64, i64)> {
        let starts = self.buffers.as_ref().map(|buffers| &buffers.starts);
        if timestamp_ms == self.last_ms {
            let last_start_ms = starts.map_or(UNKNOWN_START_MS, OpenStarts::newest);
            return self.has_last_float.then_some((self.last_float, last_start_ms));
        }
        if let Ok(at) = self.late().binary_search_by_key(&timestamp_ms, |(t, _)| *t) {
            let start_ms = starts.map_or(UNKNOWN_START_MS, |starts| starts.of_late(timestamp_ms));
            return Some((self.late()[at].1, start_ms));
        }
        if self.open.count() > 0
            && timestamp_ms >= self.open.first_ms()
            && let Some((place, value)) = find_in_stream(self.open.bytes(), timestamp_ms)
        {
            return Some((value, starts.map_or(UNKNOWN_START_MS, |starts| starts.of_open(place))));
        }
        for chunk in self.chunks.iter().rev().filter(|c| (c.min_ms..=c.max_ms).contains(&timestamp_ms)) {
            match chunk.kind {
                ChunkKind::Histograms => return None,
                ChunkKind::Floats => {
                    let (starts_ms, bytes) = chunk.content().ok()?;
                    if let Some((place, value)) = find_in_stream(bytes, timestamp_ms) {
                        return Some((value, starts_ms.get(place).copied().unwrap_or(UNKNOWN_START_MS)));
                    }
                }
            }
        }
        None
    }

    /// Writes a histogram sample.
    pub(crate) fn append_histogram(
        &mut self,
        timestamp_ms: i64,
        histogram: Arc<FloatHistogram>,
        start_ms: i64,
        tally: &mut Tally,
    ) {
        self.close_open(tally);
        self.close_late(tally);
        tally.out_of_order_count += u64::from(timestamp_ms < self.last_ms);
        if timestamp_ms >= self.last_ms {
            self.set_last(timestamp_ms, None);
        }
        let buffer = &mut self.buffers_mut(tally).histograms;
        let sample = HistogramSample { timestamp_ms, start_ms, histogram };
        match buffer.binary_search_by_key(&timestamp_ms, |sample| sample.timestamp_ms) {
            Ok(at) if buffer[at].same(&sample) => tally.duplicate_count += 1,
            Ok(at) => {
                tally.overwrite_count += 1;
                tally.bytes += sample.size_bytes() - buffer[at].size_bytes();
                buffer[at] = sample;
            }
            Err(at) => {
                tally.bytes += sample.size_bytes();
                buffer.insert(at, sample);
            }
        }
        if buffer.len() >= HISTOGRAMS_MAX {
            self.close_histograms(tally);
        }
    }

    fn push_chunk(&mut self, chunk: HeadChunk, tally: &mut Tally) {
        tally.chunk_count += 1;
        tally.bytes += chunk.size_bytes() as i64;
        if self.chunks.len() == self.chunks.capacity() {
            self.chunks.reserve_exact(2);
        }
        self.chunks.push(Arc::new(chunk));
    }

    fn close_open(&mut self, tally: &mut Tally) {
        if self.open.count() == 0 {
            return;
        }
        tally.bytes -= self.open.capacity_bytes() as i64;
        let (count, min_ms, max_ms) = (self.open.count(), self.open.first_ms(), self.open.last_ms());
        let bytes = self.open.take();
        let starts_ms = self.take_starts(tally, OpenStarts::take_open);
        self.push_chunk(HeadChunk::of_floats(min_ms, max_ms, count, &starts_ms, bytes), tally);
    }

    /// Takes start timestamps out of the buffers.
    fn take_starts(&mut self, tally: &mut Tally, take: impl FnOnce(&mut OpenStarts) -> Vec<i64>) -> Vec<i64> {
        let Some(buffers) = self.buffers.as_mut() else { return Vec::new() };
        let before = buffers.starts.size_bytes();
        let taken = take(&mut buffers.starts);
        tally.bytes += buffers.starts.size_bytes() - before;
        taken
    }

    fn close_late(&mut self, tally: &mut Tally) {
        let Some(late) = self.buffers.as_mut().map(|buffers| std::mem::take(&mut buffers.late)) else {
            return;
        };
        tally.bytes -= (late.capacity() * 16) as i64;
        let starts_ms = self.take_starts(tally, |starts| starts.take_late(late.iter().map(|(t, _)| *t)));
        self.drop_empty_buffers(tally);
        let (Some((min_ms, _)), Some((max_ms, _))) = (late.first(), late.last()) else { return };
        let (min_ms, max_ms, count) = (*min_ms, *max_ms, late.len() as u32);
        let mut encoder = StreamEncoder::default();
        for (timestamp_ms, value) in &late {
            encoder.push(*timestamp_ms, *value);
        }
        self.push_chunk(HeadChunk::of_floats(min_ms, max_ms, count, &starts_ms, encoder.take()), tally);
    }

    fn close_histograms(&mut self, tally: &mut Tally) {
        let Some(buffer) = self.buffers.as_mut().map(|buffers| std::mem::take(&mut buffers.histograms))
        else {
            return;
        };
        self.drop_empty_buffers(tally);
        let (Some(first), Some(last)) = (buffer.first(), buffer.last()) else { return };
        let (min_ms, max_ms) = (first.timestamp_ms, last.timestamp_ms);
        tally.bytes -= buffer.iter().map(HistogramSample::size_bytes).sum::<i64>();
        let (timestamps_ms, histograms, starts) = columns(buffer);
        let mut times = Vec::new();
        chunk::timestamps::encode(&timestamps_ms, &mut times);
        let mut bytes = Vec::new();
        let has_starts = !starts.is_empty();
        if has_starts {
            chunk::starts::encode(starts.as_slice(), &mut bytes);
        }
        chunk::varint::write_bytes(&mut bytes, &times);
        chunk::histograms::encode(&histograms, &mut bytes);
        let (count, bytes) = (timestamps_ms.len() as u32, bytes.into_boxed_slice());
        let kind = ChunkKind::Histograms;
        self.push_chunk(HeadChunk { kind, min_ms, max_ms, count, has_starts, bytes }, tally);
    }

    /// Closes everything and gives it out. It stays readable here.
    pub(crate) fn freeze(&mut self, tally: &mut Tally) -> Vec<Arc<HeadChunk>> {
        self.close_histograms(tally);
        self.close_open(tally);
        self.close_late(tally);
        self.forget_newest_start(tally);
        self.frozen_count = self.chunks.len() as u32;
        self.chunks.clone()
    }

    pub(crate) fn not_flushed(&mut self) {
        self.frozen_count = 0;
    }

    /// What was frozen is in a block.
    pub(crate) fn flushed(&mut self) -> Freed {
        let frozen_count = self.frozen_count as usize;
        let mut freed = Freed { bytes: 0, chunk_count: frozen_count };
        for chunk in self.chunks.drain(..frozen_count) {
            freed.bytes += chunk.size_bytes();
        }
        self.chunks.shrink_to_fit();
        self.frozen_count = 0;
        freed
    }

    /// What was written last was deleted: the same again is no duplicate. Called after a flush.
    pub(crate) fn forget_newest(&mut self) {
        self.has_last_float = false;
    }

    /// What flushes leave of a series shall be small: with its start, the newest sample is forgotten, so that it is no
    /// duplicate when it comes again.
    fn forget_newest_start(&mut self, tally: &mut Tally) {
        if let Some(buffers) = &mut self.buffers {
            self.has_last_float &= !buffers.starts.forget_newest();
            self.drop_empty_buffers(tally);
        }
    }

    /// Whether there is no sample, and has been none since `before_ms`.
    pub(crate) fn is_idle(&self, before_ms: i64) -> bool {
        self.chunks.is_empty() && self.open.count() == 0 && self.buffers.is_none() && self.last_ms < before_ms
    }

    /// Chunks, the open one included.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len() + usize::from(self.open.count() > 0)
    }

    /// Samples that are here, late ones included.
    pub(crate) fn sample_count(&self) -> usize {
        let closed: usize = self.chunks.iter().map(|chunk| chunk.count as usize).sum();
        closed + self.open.count() as usize + self.late().len() + self.histograms().len()
    }

    /// The time range of the samples that are here.
    pub(crate) fn range_ms(&self) -> Option<(i64, i64)> {
        let open = (self.open.count() > 0).then(|| (self.open.first_ms(), self.open.last_ms()));
        let late = self.late().first().zip(self.late().last()).map(|(first, last)| (first.0, last.0));
        let histograms = self.histograms();
        let histograms = histograms
            .first()
            .zip(histograms.last())
            .map(|(first, last)| (first.timestamp_ms, last.timestamp_ms));
        let chunks = self.chunks.iter().map(|c| (c.min_ms, c.max_ms));
        chunks.chain(open).chain(late).chain(histograms).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The newest sample that is here, if it is a float without a start, and in a range. After a restart, blocks may have newer ones.
    pub(crate) fn newest_float(&self, start_ms: i64, end_ms: i64) -> Option<(i64, f64)> {
        let is_here = || {
            (self.open.count() > 0 && self.open.last_ms() == self.last_ms)
                || self.chunks.iter().any(|chunk| chunk.max_ms == self.last_ms && !chunk.has_starts)
        };
        let has_starts = self.buffers.as_ref().is_some_and(|buffers| !buffers.starts.is_empty());
        let is_known =
            self.has_last_float && !has_starts && (start_ms..=end_ms).contains(&self.last_ms) && is_here();
        is_known.then_some((self.last_ms, self.last_float))
    }

    /// What there is in a range, for reading later without the lock; `None` if nothing.
    pub(crate) fn snapshot(&self, start_ms: i64, end_ms: i64) -> Option<SeriesSnapshot> {
        let overlaps = |min_ms: i64, max_ms: i64| min_ms <= end_ms && max_ms >= start_ms;
        let chunks: Vec<Arc<HeadChunk>> =
            self.chunks.iter().filter(|c| overlaps(c.min_ms, c.max_ms)).map(Arc::clone).collect();
        let open = self.open.count() > 0 && overlaps(self.open.first_ms(), self.open.last_ms());
        let open = if open { Box::from(self.open.bytes()) } else { Box::default() };
        let late = self.late().iter().filter(|(t, _)| (start_ms..=end_ms).contains(t)).copied().collect();
        let histograms = self.histograms().iter();
        let histograms =
            histograms.filter(|h| (start_ms..=end_ms).contains(&h.timestamp_ms)).cloned().collect();
        let starts = self.buffers.as_ref().map(|buffers| &buffers.starts).filter(|starts| !starts.is_empty());
        let starts = starts.map(|starts| Box::new(starts.clone()));
        let snapshot = SeriesSnapshot { chunks, open, late, histograms, starts };
        (!snapshot.is_empty()).then_some(snapshot)
    }
}

/// Place and value of the sample at a time.
fn find_in_stream(bytes: &[u8], timestamp_ms: i64) -> Option<(usize, f64)> {
    let mut samples = StreamDecoder::new(bytes).map_while(Result::ok).enumerate();
    let found = samples.find(|(_, (t, _))| *t >= timestamp_ms).filter(|(_, (t, _))| *t == timestamp_ms);
    found.map(|(place, (_, value))| (place, value))
}

impl Buffers {
    fn is_empty(&self) -> bool {
        self.late.is_empty() && self.histograms.is_empty() && self.starts.is_empty()
    }
}

impl HistogramSample {
    fn same(&self, other: &Self) -> bool {
        self.start_ms == other.start_ms && self.histogram.same_bits(&other.histogram)
    }

    fn size_bytes(&self) -> i64 {
        self.histogram.size_bytes() as i64 + 48
    }
}

fn columns(samples: Vec<HistogramSample>) -> (Vec<i64>, Vec<Arc<FloatHistogram>>, StartColumn) {
    let mut starts = StartColumn::default();
    for (at, sample) in samples.iter().enumerate() {
        starts.push_at(at, sample.start_ms);
    }
    let (timestamps_ms, histograms) = samples.into_iter().map(|h| (h.timestamp_ms, h.histogram)).unzip();
    (timestamps_ms, histograms, starts)
}

impl HeadChunk {
    /// A chunk of what a stream encoder wrote.
    fn of_floats(min_ms: i64, max_ms: i64, count: u32, starts_ms: &[i64], stream: Box<[u8]>) -> Self {
        let has_starts = !starts_ms.is_empty();
        let bytes = if has_starts {
            let mut bytes = Vec::new();
            chunk::starts::encode(starts_ms, &mut bytes);
            bytes.extend_from_slice(&stream);
            bytes.into_boxed_slice()
        } else {
            stream
        };
        Self { kind: ChunkKind::Floats, min_ms, max_ms, count, has_starts, bytes }
    }

    /// Start timestamps, which may end early, and what follows them.
    fn content(&self) -> Result<(Vec<i64>, &[u8]), chunk::Corrupt> {
        if !self.has_starts {
            return Ok((Vec::new(), &self.bytes));
        }
        let mut reader = chunk::varint::Reader::new(&self.bytes);
        let mut starts_ms = Vec::new();
        chunk::starts::decode(&mut reader, self.count as usize, &mut starts_ms)?;
        Ok((starts_ms, reader.rest()))
    }

    /// Bytes in memory, for the accountant.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len() + size_of::<Self>() + 32
    }

    /// Adds its samples within the merger's range.
    pub(crate) fn read(&self, merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        let (starts_ms, bytes) = self.content()?;
        match self.kind {
            ChunkKind::Floats => merger.add_stream(bytes, &starts_ms),
            ChunkKind::Histograms => {
                let mut reader = chunk::varint::Reader::new(bytes);
                let mut timestamps_ms = Vec::new();
                chunk::timestamps::decode(reader.bytes()?, self.count as usize, &mut timestamps_ms)?;
                let mut histograms = Vec::with_capacity(timestamps_ms.len());
                chunk::histograms::decode(reader.rest(), self.count as usize, &mut histograms)?;
                merger.add_histograms(&timestamps_ms, &histograms, &starts_ms);
                Ok(())
            }
        }
    }
}

/// Samples of one series at one moment.
#[derive(Debug, Default)]
pub(crate) struct SeriesSnapshot {
    chunks: Vec<Arc<HeadChunk>>,
    open: Box<[u8]>,
    late: Vec<(i64, f64)>,
    histograms: Vec<HistogramSample>,
    starts: Option<Box<OpenStarts>>,
}

impl SeriesSnapshot {
    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.open.is_empty() && self.late.is_empty() && self.histograms.is_empty()
    }

    /// Bytes that are held for this snapshot alone.
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.chunks.len() * size_of::<Arc<HeadChunk>>()
            + self.open.len()
            + self.late.len() * 16
            + self.histograms.len() * size_of::<HistogramSample>()
            + self.starts.as_ref().map_or(0, |starts| starts.size_bytes() as usize)
    }

    /// Adds its samples, oldest write first.
    pub(crate) fn read(&self, merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        for chunk in &self.chunks {
            chunk.read(merger)?;
        }
        let starts = self.starts.as_deref();
        merger.add_stream(&self.open, &starts.map_or(Vec::new(), OpenStarts::expand_open))?;
        if !self.late.is_empty() {
            let (timestamps_ms, values): (Vec<i64>, Vec<f64>) = self.late.iter().copied().unzip();
            let starts_ms =
                starts.map_or(Vec::new(), |starts| starts.expand_late(timestamps_ms.iter().copied()));
            merger.add_floats(&timestamps_ms, &values, &starts_ms);
        }
        if !self.histograms.is_empty() {
            let (timestamps_ms, values, starts) = columns(self.histograms.clone());
            merger.add_histograms(&timestamps_ms, &values, starts.as_slice());
        }
        Ok(())
    }
}
