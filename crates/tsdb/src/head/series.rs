//! One series of the head: an open chunk that grows, closed chunks, and a buffer for what came late.
//!
//! Pieces are kept in order of age of the write, so that reading them in order lets the last write win: closed
//! chunks, then the open one, then the late buffer. The open chunk takes only samples later than all before, so
//! it cannot collide with the late buffer; before either the late buffer or histograms are closed, the
//! open chunk is.

use std::sync::Arc;

use chunk::stream::{StreamDecoder, StreamEncoder};
use model::{FloatHistogram, UNKNOWN_START_MS};
use storage::StartColumn;

use crate::head::chunks::{ChunkMaker, HeadChunk, Values};
use crate::head::keys::NO_PLACE;
use crate::head::starts::OpenStarts;
use crate::merge::Merger;

/// The open chunk is closed at so many samples or bytes: an open one takes more than twice as much for each sample.
const CHUNK_SAMPLES_MAX: u32 = 80;
/// The first one after a flush, or of a new series, at so many less at most, so that not all open chunks are large at the same
/// time.
const FIRST_CHUNK_LESS_MAX: u64 = 50;
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

/// One series of the head. There are millions: fields are as small as can be.
#[derive(Debug)]
pub(crate) struct Series {
    /// Time of the newest sample; `i64::MIN` without one. Survives flushes.
    last_ms: i64,
    /// The newest sample's value, if [`Self::has_last_float`]. If the open chunk has samples, it is that of its last.
    last_float: f64,
    open: StreamEncoder,
    chunks: Box<[HeadChunk]>,
    /// Boxed, because few series have any.
    buffers: Option<Box<Buffers>>,
    /// Where its shard has the numbers of its labels.
    pub(super) labels: u32,
    /// Part of the hash of its labels.
    pub(super) hash: u32,
    /// The newest segment of the journal that defines this series; 0 for none.
    defined_in: u32,
    /// Where `SeriesKeys` has the newest of the keys that pushes know it by, or `NO_PLACE`.
    pub(super) key_place: u32,
    /// How many of `chunks`, from the front, are on their way into a block.
    frozen_count: u32,
    /// How many looks in a row found no new sample; see [`Self::look`].
    idle_looks: u8,
    /// Whether there was a sample since the last look.
    is_touched: bool,
    has_last_float: bool,
}

/// A series that had no sample for so many looks has stopped; after a staleness marker, one is enough.
const IDLE_LOOKS_MAX: u8 = 5;

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

/// What became of samples, and how much memory they took.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) duplicate_count: u64,
    pub(crate) out_of_order_count: u64,
    pub(crate) overwrite_count: u64,
    pub(crate) chunk_count: i64,
    pub(crate) bytes: i64,
    /// Closes chunks of whoever counts here.
    maker: ChunkMaker,
}

/// What a flush freed of a series.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Freed {
    pub(crate) bytes: usize,
    pub(crate) chunk_count: usize,
}

impl Series {
    /// `labels` is a place in the list of its shard.
    pub(super) fn new(labels: u32, hash: u32) -> Self {
        Self {
            last_ms: i64::MIN,
            last_float: 0.0,
            open: StreamEncoder::default(),
            chunks: Box::default(),
            buffers: None,
            labels,
            hash,
            defined_in: 0,
            key_place: NO_PLACE,
            frozen_count: 0,
            idle_looks: 0,
            is_touched: true,
            has_last_float: false,
        }
    }

    /// Notes that this segment of the journal defines it. Answers whether it did not before.
    pub(crate) fn define_in(&mut self, segment: u64) -> bool {
        // Segments are megabytes: no disk holds so many that this would overflow.
        std::mem::replace(&mut self.defined_in, segment as u32) != segment as u32
    }

    /// Writes a float sample.
    #[inline]
    pub(crate) fn append_float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64, tally: &mut Tally) {
        self.is_touched = true;
        if self.buffers.is_some() {
            self.close_histograms(tally);
        }
        if timestamp_ms <= self.last_ms {
            return self.append_late(timestamp_ms, value, start_ms, tally);
        }
        let before = self.open.capacity_bytes();
        if !self.open.push((self.last_ms, self.last_float), timestamp_ms, value) {
            return self.append_far(timestamp_ms, value, start_ms, tally);
        }
        tally.bytes += (self.open.capacity_bytes() - before) as i64;
        self.set_last(timestamp_ms, Some(value));
        if start_ms != UNKNOWN_START_MS || self.buffers.is_some() {
            self.push_start(start_ms, tally);
        }
        if self.open.count() >= CHUNK_SAMPLES_MAX - FIRST_CHUNK_LESS_MAX as u32 && self.is_full() {
            self.close_open(tally);
        }
    }

    /// Whether the open chunk should be closed.
    fn is_full(&self) -> bool {
        let mut samples_max = CHUNK_SAMPLES_MAX;
        if self.chunks.is_empty() {
            // The same for all series of a target, so that they go on sharing timestamps: they began at the same time.
            let random = self.open.first_ms().unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            samples_max -= (random % FIRST_CHUNK_LESS_MAX) as u32;
        }
        self.open.count() >= samples_max || self.open.bytes().len() >= CHUNK_BYTES_MAX
    }

    /// Writes a float sample that does not fit the open chunk: it is too much later than the last.
    #[cold]
    fn append_far(&mut self, timestamp_ms: i64, value: f64, start_ms: i64, tally: &mut Tally) {
        debug_assert!(self.open.count() > 0, "BUG: the first sample always fits");
        self.close_open(tally);
        self.append_float(timestamp_ms, value, start_ms, tally);
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
            // The next sample of the open chunk would be told by one that is not in it.
            self.close_open(tally);
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
        let holds = |chunk: &&HeadChunk| (chunk.min_ms()..=chunk.max_ms()).contains(&timestamp_ms);
        for chunk in self.chunks.iter().rev().filter(holds) {
            if chunk.has_histograms() {
                return None;
            }
            if let Some(found) = chunk.find_float(timestamp_ms) {
                return Some(found);
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
        self.is_touched = true;
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

    fn push_chunk(&mut self, (chunk, bytes): (HeadChunk, usize), tally: &mut Tally) {
        tally.chunk_count += 1;
        tally.bytes += bytes as i64;
        let mut chunks = std::mem::take(&mut self.chunks).into_vec();
        chunks.reserve_exact(1);
        chunks.push(chunk);
        self.chunks = chunks.into_boxed_slice();
    }

    fn close_open(&mut self, tally: &mut Tally) {
        if self.open.count() == 0 {
            return;
        }
        tally.bytes -= self.open.capacity_bytes() as i64;
        let starts_ms = self.take_starts(tally, OpenStarts::take_open);
        let chunk = tally.maker.make_of_stream(self.open.bytes(), &starts_ms);
        self.open.clear();
        self.push_chunk(chunk.expect("what was encoded can be decoded"), tally);
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
        if late.is_empty() {
            return;
        }
        let (timestamps_ms, values): (Vec<i64>, Vec<f64>) = late.into_iter().unzip();
        let chunk = tally.maker.make(&timestamps_ms, Values::Floats(&values), &starts_ms);
        self.push_chunk(chunk, tally);
    }

    fn close_histograms(&mut self, tally: &mut Tally) {
        let Some(buffer) = self.buffers.as_mut().map(|buffers| std::mem::take(&mut buffers.histograms))
        else {
            return;
        };
        self.drop_empty_buffers(tally);
        if buffer.is_empty() {
            return;
        }
        tally.bytes -= buffer.iter().map(HistogramSample::size_bytes).sum::<i64>();
        let (timestamps_ms, histograms, starts) = columns(buffer);
        let chunk = tally.maker.make(&timestamps_ms, Values::Histograms(&histograms), starts.as_slice());
        self.push_chunk(chunk, tally);
    }

    /// Closes everything for [`Self::frozen`]. Answers whether there is anything.
    pub(super) fn freeze(&mut self, tally: &mut Tally) -> bool {
        self.close_histograms(tally);
        self.close_open(tally);
        self.close_late(tally);
        self.forget_newest_start(tally);
        self.frozen_count = self.chunks.len() as u32;
        self.frozen_count > 0
    }

    /// What is on its way into a block.
    pub(super) fn frozen(&self) -> &[HeadChunk] {
        &self.chunks[..self.frozen_count as usize]
    }

    pub(crate) fn not_flushed(&mut self) {
        self.frozen_count = 0;
    }

    /// What was frozen is in a block. Its chunks are added to `gone`, to be freed later.
    pub(crate) fn flushed(&mut self, gone: &mut Vec<HeadChunk>) -> Freed {
        let frozen_count = std::mem::take(&mut self.frozen_count) as usize;
        let mut freed = Freed { bytes: 0, chunk_count: frozen_count };
        if frozen_count > 0 {
            let mut chunks = std::mem::take(&mut self.chunks).into_vec();
            freed.bytes = chunks[..frozen_count].iter().map(HeadChunk::release).sum();
            gone.extend(chunks.drain(..frozen_count));
            self.chunks = chunks.into_boxed_slice();
        }
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

    /// Whether there is no sample, and has been none since `before_ms` or for some looks.
    pub(super) fn is_idle(&self, before_ms: i64) -> bool {
        let is_empty = self.chunks.is_empty() && self.open.count() == 0 && self.buffers.is_none();
        is_empty && (self.last_ms < before_ms || self.has_stopped())
    }

    /// Called about once a minute. Samples count when they come, not by their timestamps, or what is loaded from the past
    /// would have stopped as it comes.
    pub(super) fn look(&mut self) {
        let is_touched = std::mem::take(&mut self.is_touched);
        self.idle_looks = if is_touched { 0 } else { self.idle_looks.saturating_add(1) };
    }

    /// Whether it is unlikely that samples follow.
    pub(super) fn has_stopped(&self) -> bool {
        let is_stale = self.has_last_float && model::is_stale(self.last_float);
        !self.is_touched && self.idle_looks >= if is_stale { 1 } else { IDLE_LOOKS_MAX }
    }

    /// Chunks, the open one included.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len() + usize::from(self.open.count() > 0)
    }

    /// Samples that are here, late ones included.
    pub(crate) fn sample_count(&self) -> usize {
        let closed: usize = self.chunks.iter().map(HeadChunk::count).sum();
        closed + self.open.count() as usize + self.late().len() + self.histograms().len()
    }

    /// The time range of the samples that are here.
    pub(crate) fn range_ms(&self) -> Option<(i64, i64)> {
        let open = (self.open.count() > 0).then(|| (self.open.first_ms(), self.last_ms));
        let late = self.late().first().zip(self.late().last()).map(|(first, last)| (first.0, last.0));
        let histograms = self.histograms();
        let histograms = histograms
            .first()
            .zip(histograms.last())
            .map(|(first, last)| (first.timestamp_ms, last.timestamp_ms));
        let chunks = self.chunks.iter().map(|c| (c.min_ms(), c.max_ms()));
        chunks.chain(open).chain(late).chain(histograms).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The newest sample that is here, if it is a float without a start, and in a range. After a restart, blocks may have newer ones.
    pub(crate) fn newest_float(&self, start_ms: i64, end_ms: i64) -> Option<(i64, f64)> {
        let is_here = || {
            // What is in the open chunk is newer than all else.
            self.open.count() > 0
                || self.chunks.iter().any(|chunk| chunk.max_ms() == self.last_ms && !chunk.has_starts())
        };
        let has_starts = self.buffers.as_ref().is_some_and(|buffers| !buffers.starts.is_empty());
        let is_known =
            self.has_last_float && !has_starts && (start_ms..=end_ms).contains(&self.last_ms) && is_here();
        is_known.then_some((self.last_ms, self.last_float))
    }

    /// What there is in a range, for reading later without the lock; `None` if nothing.
    pub(crate) fn snapshot(&self, start_ms: i64, end_ms: i64) -> Option<SeriesSnapshot> {
        let overlaps = |min_ms: i64, max_ms: i64| min_ms <= end_ms && max_ms >= start_ms;
        let chunks: Vec<HeadChunk> =
            self.chunks.iter().filter(|c| overlaps(c.min_ms(), c.max_ms())).cloned().collect();
        let open = self.open.count() > 0 && overlaps(self.open.first_ms(), self.last_ms);
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

/// Samples of one series at one moment.
#[derive(Debug, Default)]
pub(crate) struct SeriesSnapshot {
    chunks: Vec<HeadChunk>,
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
            + self.chunks.len() * size_of::<HeadChunk>()
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
