//! One series of the head: an open chunk that grows, closed chunks, and a buffer for what came late.
//!
//! Pieces are kept in order of age of the write, so that reading them in order lets the last write win: closed
//! chunks, then the open one, then the late buffer. The open chunk takes only samples later than all before, so
//! it cannot collide with the late buffer; before either the late buffer or histograms are closed, the
//! open chunk is.

use std::sync::Arc;

use chunk::stream::{StreamDecoder, StreamEncoder};
use model::{FloatHistogram, Labels};
use storage::SeriesKey;

use crate::merge::Merger;

/// The open chunk is closed at so many samples or bytes, so that a reader copies little.
const CHUNK_SAMPLES_MAX: u32 = 240;
const CHUNK_BYTES_MAX: usize = 1024;
/// The late buffer is closed at so many samples.
const LATE_MAX: usize = 256;
/// The buffer of histograms is closed at so many.
const HISTOGRAMS_MAX: usize = 32;

type HistogramSample = (i64, Arc<FloatHistogram>);

/// One series of the head.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) hash: u64,
    /// The newest of the keys that pushes know it by; see `SeriesKeys`.
    pub(super) key: Option<SeriesKey>,
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
    has_last_float: bool,
}

/// What most series do not have. At least one of them is not empty.
#[derive(Debug, Default)]
struct Buffers {
    /// Sorted by time.
    late: Vec<(i64, f64)>,
    /// Sorted by time.
    histograms: Vec<HistogramSample>,
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
            key: None,
            defined_in: 0,
            last_ms: i64::MIN,
            last_float: 0.0,
            open: StreamEncoder::default(),
            buffers: None,
            chunks: Vec::new(),
            frozen_count: 0,
            has_last_float: false,
        }
    }

    /// Whether pushes know it by this key.
    pub(crate) fn goes_by(&self, key: SeriesKey) -> bool {
        self.key == Some(key)
    }

    /// Writes a float sample.
    #[inline]
    pub(crate) fn append_float(&mut self, timestamp_ms: i64, value: f64, tally: &mut Tally) {
        if self.buffers.is_some() {
            self.close_histograms(tally);
        }
        if timestamp_ms <= self.last_ms {
            return self.append_late(timestamp_ms, value, tally);
        }
        if self.open.count() >= CHUNK_SAMPLES_MAX || self.open.bytes().len() >= CHUNK_BYTES_MAX {
            self.close_open(tally);
        }
        let before = self.open.capacity_bytes();
        self.open.push(timestamp_ms, value);
        tally.bytes += (self.open.capacity_bytes() - before) as i64;
        self.set_last(timestamp_ms, Some(value));
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
        if self.buffers.is_some() && self.late().is_empty() && self.histograms().is_empty() {
            self.buffers = None;
            tally.bytes -= BUFFERS_BYTES;
        }
    }

    #[cold]
    fn append_late(&mut self, timestamp_ms: i64, value: f64, tally: &mut Tally) {
        let found = self.find_float(timestamp_ms);
        if found.is_some_and(|found| found.to_bits() == value.to_bits()) {
            tally.duplicate_count += 1;
            return;
        }
        tally.overwrite_count += u64::from(found.is_some());
        tally.out_of_order_count += u64::from(timestamp_ms < self.last_ms);
        if timestamp_ms == self.last_ms {
            self.set_last(timestamp_ms, Some(value));
        }
        let late = &mut self.buffers_mut(tally).late;
        match late.binary_search_by_key(&timestamp_ms, |(t, _)| *t) {
            Ok(at) => late[at].1 = value,
            Err(at) => {
                let before = late.capacity();
                late.insert(at, (timestamp_ms, value));
                tally.bytes += ((late.capacity() - before) * 16) as i64;
            }
        }
        if self.late().len() >= LATE_MAX {
            self.close_open(tally);
            self.close_late(tally);
        }
    }

    /// The float at a time, if there is one and it is certain that nothing newer replaced it.
    fn find_float(&self, timestamp_ms: i64) -> Option<f64> {
        if timestamp_ms == self.last_ms {
            return self.has_last_float.then_some(self.last_float);
        }
        if let Ok(at) = self.late().binary_search_by_key(&timestamp_ms, |(t, _)| *t) {
            return Some(self.late()[at].1);
        }
        let find = |bytes: &[u8]| {
            let mut samples = StreamDecoder::new(bytes).map_while(Result::ok);
            samples.find(|(t, _)| *t >= timestamp_ms).filter(|(t, _)| *t == timestamp_ms).map(|(_, v)| v)
        };
        if self.open.count() > 0
            && timestamp_ms >= self.open.first_ms()
            && let Some(value) = find(self.open.bytes())
        {
            return Some(value);
        }
        for chunk in self.chunks.iter().rev().filter(|c| (c.min_ms..=c.max_ms).contains(&timestamp_ms)) {
            match chunk.kind {
                ChunkKind::Histograms => return None,
                ChunkKind::Floats => {
                    if let Some(value) = find(&chunk.bytes) {
                        return Some(value);
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
        tally: &mut Tally,
    ) {
        self.close_open(tally);
        self.close_late(tally);
        tally.out_of_order_count += u64::from(timestamp_ms < self.last_ms);
        if timestamp_ms >= self.last_ms {
            self.set_last(timestamp_ms, None);
        }
        let buffer = &mut self.buffers_mut(tally).histograms;
        let size = histogram.size_bytes() as i64 + 40;
        match buffer.binary_search_by_key(&timestamp_ms, |(t, _)| *t) {
            Ok(at) if buffer[at].1.same_bits(&histogram) => tally.duplicate_count += 1,
            Ok(at) => {
                tally.overwrite_count += 1;
                buffer[at].1 = histogram;
            }
            Err(at) => {
                tally.bytes += size;
                buffer.insert(at, (timestamp_ms, histogram));
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
        self.push_chunk(HeadChunk { kind: ChunkKind::Floats, min_ms, max_ms, count, bytes }, tally);
    }

    fn close_late(&mut self, tally: &mut Tally) {
        let Some(late) = self.buffers.as_mut().map(|buffers| std::mem::take(&mut buffers.late)) else {
            return;
        };
        tally.bytes -= (late.capacity() * 16) as i64;
        self.drop_empty_buffers(tally);
        let (Some((min_ms, _)), Some((max_ms, _))) = (late.first(), late.last()) else { return };
        let (min_ms, max_ms, count) = (*min_ms, *max_ms, late.len() as u32);
        let mut encoder = StreamEncoder::default();
        for (timestamp_ms, value) in &late {
            encoder.push(*timestamp_ms, *value);
        }
        self.push_chunk(
            HeadChunk { kind: ChunkKind::Floats, min_ms, max_ms, count, bytes: encoder.take() },
            tally,
        );
    }

    fn close_histograms(&mut self, tally: &mut Tally) {
        let Some(buffer) = self.buffers.as_mut().map(|buffers| std::mem::take(&mut buffers.histograms))
        else {
            return;
        };
        self.drop_empty_buffers(tally);
        let (Some((min_ms, _)), Some((max_ms, _))) = (buffer.first(), buffer.last()) else { return };
        let (min_ms, max_ms) = (*min_ms, *max_ms);
        tally.bytes -= buffer.iter().map(|(_, h)| h.size_bytes() as i64 + 40).sum::<i64>();
        let (timestamps_ms, histograms): (Vec<i64>, Vec<Arc<FloatHistogram>>) = buffer.into_iter().unzip();
        let mut times = Vec::new();
        chunk::timestamps::encode(&timestamps_ms, &mut times);
        let mut bytes = Vec::new();
        chunk::varint::write_bytes(&mut bytes, &times);
        chunk::histograms::encode(&histograms, &mut bytes);
        let (count, bytes) = (timestamps_ms.len() as u32, bytes.into_boxed_slice());
        self.push_chunk(HeadChunk { kind: ChunkKind::Histograms, min_ms, max_ms, count, bytes }, tally);
    }

    /// Closes everything and gives it out. It stays readable here.
    pub(crate) fn freeze(&mut self, tally: &mut Tally) -> Vec<Arc<HeadChunk>> {
        self.close_histograms(tally);
        self.close_open(tally);
        self.close_late(tally);
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
        let histograms = histograms.first().zip(histograms.last()).map(|(first, last)| (first.0, last.0));
        let chunks = self.chunks.iter().map(|c| (c.min_ms, c.max_ms));
        chunks.chain(open).chain(late).chain(histograms).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
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
        let histograms = histograms.filter(|(t, _)| (start_ms..=end_ms).contains(t)).cloned().collect();
        let snapshot = SeriesSnapshot { chunks, open, late, histograms };
        (!snapshot.is_empty()).then_some(snapshot)
    }
}

impl HeadChunk {
    /// Bytes in memory, for the accountant.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len() + size_of::<Self>() + 32
    }

    /// Adds its samples within the merger's range.
    pub(crate) fn read(&self, merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        match self.kind {
            ChunkKind::Floats => merger.add_stream(&self.bytes),
            ChunkKind::Histograms => {
                let mut reader = chunk::varint::Reader::new(&self.bytes);
                let mut timestamps_ms = Vec::new();
                chunk::timestamps::decode(reader.bytes()?, self.count as usize, &mut timestamps_ms)?;
                let mut histograms = Vec::with_capacity(timestamps_ms.len());
                chunk::histograms::decode(reader.rest(), self.count as usize, &mut histograms)?;
                merger.add_histograms(&timestamps_ms, &histograms);
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
            + self.histograms.len() * 16
    }

    /// Adds its samples, oldest write first.
    pub(crate) fn read(&self, merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        for chunk in &self.chunks {
            chunk.read(merger)?;
        }
        merger.add_stream(&self.open)?;
        if !self.late.is_empty() {
            let (timestamps_ms, values): (Vec<i64>, Vec<f64>) = self.late.iter().copied().unzip();
            merger.add_floats(&timestamps_ms, &values);
        }
        if !self.histograms.is_empty() {
            let (timestamps_ms, values): (Vec<i64>, Vec<Arc<FloatHistogram>>) =
                self.histograms.iter().cloned().unzip();
            merger.add_histograms(&timestamps_ms, &values);
        }
        Ok(())
    }
}
