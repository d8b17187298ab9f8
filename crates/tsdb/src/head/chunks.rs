//! Closed chunks of the head: columns, as blocks have them, but with numbers packed to bits instead of compressed.
//!
//! Series of one target have the same timestamps, and their chunks are closed by the same batch. So chunks that one
//! writer closes with the same timestamps are kept together, in a [`Bundle`]: the timestamps once, which are most of a sample's
//! bytes otherwise, because scrapes jitter; and the contents one after the other, because an allocation for each would cost
//! a third as much again, and leave holes.
//!
//! Locks: a bundle's, innermost; it is held while a chunk is added or decoded.

use std::sync::Arc;

use chunk::floats::FloatEncoder;
use chunk::varint::Reader;
use model::FloatHistogram;
use parking_lot::RwLock;

use crate::merge::Merger;

/// What a chunk's content begins with says what follows.
const HISTOGRAMS: u8 = 1;
/// A column of start timestamps comes first.
const STARTS: u8 = 2;
/// Bundles that a writer looks through for one with the timestamps at hand.
const RECENT_MAX: usize = 4;
/// A bundle takes no more contents once they are so large: it is freed when all its chunks are gone.
const BUNDLE_BYTES_MAX: usize = 16 << 10;
/// What the allocations of a bundle cost besides their content, counters included.
const BUNDLE_BYTES: usize = size_of::<Bundle>() + 16 + 3 * 8;

/// A closed chunk. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HeadChunk {
    bundle: Arc<Bundle>,
    /// Where its content is, and how long.
    at: u32,
    len: u32,
}

/// Chunks with the same timestamps.
#[derive(Debug)]
struct Bundle {
    min_ms: i64,
    max_ms: i64,
    count: u32,
    times: Box<[u8]>,
    contents: RwLock<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    /// Of each chunk flags, start timestamps if there are any, values.
    bytes: Vec<u8>,
    /// Chunks that series have. Snapshots' are not counted.
    chunk_count: u32,
    /// What the accountant was told of and was not told to be freed.
    counted_bytes: u32,
}

impl Contents {
    /// Adds a chunk's content. Answers where it is, if there is room.
    fn add(&mut self, content: &[u8]) -> Option<u32> {
        let at = self.bytes.len();
        if at > 0 && at + content.len() > BUNDLE_BYTES_MAX {
            return None;
        }
        if self.bytes.capacity() - at < content.len() {
            // Many have a single chunk. What a full one has too much, it gives back when its writer is done.
            self.bytes.reserve_exact(if at == 0 { content.len() } else { BUNDLE_BYTES_MAX - at });
        }
        self.bytes.extend_from_slice(content);
        self.chunk_count += 1;
        Some(at as u32)
    }
}

/// What chunks hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    Floats(&'a [f64]),
    Histograms(&'a [Arc<FloatHistogram>]),
}

/// Makes chunks; keeps its buffers, and the bundles it wrote to last, from chunk to chunk.
#[derive(Debug)]
pub(super) struct ChunkMaker {
    encoder: FloatEncoder,
    times: Vec<u8>,
    content: Vec<u8>,
    recent: Vec<Arc<Bundle>>,
    next_recent: usize,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

impl Default for ChunkMaker {
    fn default() -> Self {
        Self {
            encoder: FloatEncoder::packing(),
            times: Vec::new(),
            content: Vec::new(),
            recent: Vec::new(),
            next_recent: 0,
            timestamps_ms: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Drop for ChunkMaker {
    fn drop(&mut self) {
        self.recent.iter().for_each(|bundle| bundle.finish());
    }
}

impl ChunkMaker {
    /// Timestamps rise and are not empty, and there are as many values. `starts_ms` may end early. Answers how many bytes it
    /// takes, too.
    pub(super) fn make(
        &mut self,
        timestamps_ms: &[i64],
        values: Values<'_>,
        starts_ms: &[i64],
    ) -> (HeadChunk, usize) {
        let mut flags = 0;
        self.content.clear();
        self.content.push(0);
        if !starts_ms.is_empty() {
            flags |= STARTS;
            chunk::starts::encode(starts_ms, &mut self.content);
        }
        match values {
            Values::Floats(values) => self.encoder.encode(values, &mut self.content),
            Values::Histograms(values) => {
                flags |= HISTOGRAMS;
                chunk::histograms::encode(values, &mut self.content);
            }
        }
        self.content[0] = flags;
        self.times.clear();
        chunk::timestamps::encode(timestamps_ms, &mut self.times);
        let known = self.recent.iter().find(|bundle| *bundle.times == *self.times);
        if let Some(made) = known.and_then(|bundle| Bundle::add(bundle, &self.content)) {
            return made;
        }
        let bundle = Arc::new(Bundle {
            min_ms: timestamps_ms.first().copied().unwrap_or(0),
            max_ms: timestamps_ms.last().copied().unwrap_or(0),
            count: timestamps_ms.len() as u32,
            times: Box::from(self.times.as_slice()),
            contents: RwLock::default(),
        });
        let made = Bundle::add(&bundle, &self.content).expect("an empty bundle takes any chunk");
        self.keep(bundle);
        made
    }

    /// Remembers a new bundle, in the place of a full one with its timestamps or of the oldest.
    fn keep(&mut self, bundle: Arc<Bundle>) {
        let same = self.recent.iter().position(|known| known.times == bundle.times);
        if same.is_none() && self.recent.len() < RECENT_MAX {
            self.recent.push(bundle);
            return;
        }
        let place = same.unwrap_or(self.next_recent);
        if same.is_none() {
            self.next_recent = (self.next_recent + 1) % RECENT_MAX;
        }
        std::mem::replace(&mut self.recent[place], bundle).finish();
    }

    /// As [`Self::make`], of what a stream encoder wrote.
    pub(super) fn make_of_stream(
        &mut self,
        bytes: &[u8],
        starts_ms: &[i64],
    ) -> Result<(HeadChunk, usize), chunk::Corrupt> {
        let (mut timestamps_ms, mut values) =
            (std::mem::take(&mut self.timestamps_ms), std::mem::take(&mut self.values));
        timestamps_ms.clear();
        values.clear();
        let decoded = chunk::stream::decode_range(bytes, i64::MIN, i64::MAX, &mut timestamps_ms, &mut values);
        let made = decoded.map(|()| self.make(&timestamps_ms, Values::Floats(&values), starts_ms));
        (self.timestamps_ms, self.values) = (timestamps_ms, values);
        made
    }
}

impl Bundle {
    /// Adds a chunk if there is room. Answers how many bytes it takes, too.
    fn add(self: &Arc<Self>, content: &[u8]) -> Option<(HeadChunk, usize)> {
        let mut contents = self.contents.write();
        let at = contents.add(content)?;
        let mut bytes = content.len();
        if contents.counted_bytes == 0 {
            bytes += BUNDLE_BYTES + self.times.len();
        }
        contents.counted_bytes += bytes as u32;
        let chunk = HeadChunk { bundle: Arc::clone(self), at, len: content.len() as u32 };
        Some((chunk, size_of::<HeadChunk>() + bytes))
    }

    /// Its writer will add nothing more.
    fn finish(&self) {
        self.contents.write().bytes.shrink_to_fit();
    }

    /// A series does not have a chunk of it any more. Answers how many bytes that frees: all at once, with the last one.
    fn release(&self) -> usize {
        let mut contents = self.contents.write();
        contents.chunk_count -= 1;
        if contents.chunk_count == 0 { std::mem::take(&mut contents.counted_bytes) as usize } else { 0 }
    }
}

impl HeadChunk {
    /// Time of the first sample.
    pub(crate) fn min_ms(&self) -> i64 {
        self.bundle.min_ms
    }

    /// Time of the last sample.
    pub(crate) fn max_ms(&self) -> i64 {
        self.bundle.max_ms
    }

    /// Samples.
    pub(crate) fn count(&self) -> usize {
        self.bundle.count as usize
    }

    pub(super) fn has_histograms(&self) -> bool {
        self.flags() & HISTOGRAMS != 0
    }

    pub(super) fn has_starts(&self) -> bool {
        self.flags() & STARTS != 0
    }

    fn flags(&self) -> u8 {
        self.with_content(|content| content.first().copied().unwrap_or(0))
    }

    fn with_content<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        let contents = self.bundle.contents.read();
        let at = self.at as usize;
        read(contents.bytes.get(at..at + self.len as usize).unwrap_or(&[]))
    }

    /// The series it belongs to does not need it any more. Answers how many bytes that frees, for the accountant.
    pub(super) fn release(&self) -> usize {
        size_of::<Self>() + self.bundle.release()
    }

    /// Appends all timestamps.
    pub(crate) fn read_times(&self, into: &mut Vec<i64>) -> Result<(), chunk::Corrupt> {
        chunk::timestamps::decode(&self.bundle.times, self.count(), into)
    }

    /// Start timestamps, which may end early, and the bytes of the values.
    fn content<'a>(&self, content: &'a [u8]) -> Result<(Vec<i64>, &'a [u8]), chunk::Corrupt> {
        let mut reader = Reader::new(content);
        let mut starts_ms = Vec::new();
        if reader.u8()? & STARTS != 0 {
            chunk::starts::decode(&mut reader, self.count(), &mut starts_ms)?;
        }
        Ok((starts_ms, reader.rest()))
    }

    /// The float at a time, and its start.
    pub(super) fn find_float(&self, timestamp_ms: i64) -> Option<(f64, i64)> {
        let mut timestamps_ms = Vec::new();
        self.read_times(&mut timestamps_ms).ok()?;
        let place = timestamps_ms.binary_search(&timestamp_ms).ok()?;
        let mut values = Vec::new();
        let starts_ms = self.with_content(|content| {
            let (starts_ms, bytes) = self.content(content)?;
            chunk::floats::decode(bytes, self.count(), &mut values).map(|()| starts_ms)
        });
        let start_ms = starts_ms.ok()?.get(place).copied().unwrap_or(model::UNKNOWN_START_MS);
        Some((*values.get(place)?, start_ms))
    }

    /// Adds its samples within the merger's range.
    pub(crate) fn read(&self, merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        self.with_content(|content| self.read_content(content, merger))
    }

    fn read_content(&self, content: &[u8], merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        let (starts_ms, bytes) = self.content(content)?;
        if content[0] & HISTOGRAMS != 0 {
            let (mut timestamps_ms, mut histograms) = (Vec::new(), Vec::with_capacity(self.count()));
            self.read_times(&mut timestamps_ms)?;
            chunk::histograms::decode(bytes, self.count(), &mut histograms)?;
            merger.add_histograms(&timestamps_ms, &histograms, &starts_ms);
            return Ok(());
        }
        let decode = |timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>| {
            self.read_times(timestamps_ms)?;
            chunk::floats::decode(bytes, self.count(), values)
        };
        merger.add_column((self.min_ms(), self.max_ms()), decode, &starts_ms)
    }
}

#[cfg(test)]
mod tests {
    use storage::SeriesSamples;

    use super::*;

    fn read(chunk: &HeadChunk) -> (Vec<i64>, Vec<f64>) {
        let mut samples = SeriesSamples::default();
        chunk.read(&mut Merger::new(&mut samples, i64::MIN, i64::MAX)).expect("sound");
        (samples.floats.timestamps_ms, samples.floats.values)
    }

    fn times(from_ms: i64) -> Vec<i64> {
        (0..100).map(|at| from_ms + at * 15_000).collect()
    }

    fn values(of: usize) -> Vec<f64> {
        (0..100).map(|at| (of + at * at * 7919 % 1009) as f64 / 100.0).collect()
    }

    #[test]
    fn chunks_with_the_same_timestamps_share_bundles_that_do_not_grow_without_bound() {
        let mut maker = ChunkMaker::default();
        let chunks: Vec<Vec<HeadChunk>> = (0..300)
            .map(|of| {
                let targets = 0..=RECENT_MAX as i64;
                targets.map(|t| maker.make(&times(t), Values::Floats(&values(of)), &[]).0).collect()
            })
            .collect();
        for (of, targets) in chunks.iter().enumerate() {
            for (target, chunk) in (0..).zip(targets) {
                assert_eq!(read(chunk), (times(target), values(of)));
                assert!(chunk.bundle.contents.read().bytes.len() <= BUNDLE_BYTES_MAX);
            }
        }
        let mut maker = ChunkMaker::default();
        let chunks: Vec<HeadChunk> =
            (0..300).map(|of| maker.make(&times(0), Values::Floats(&values(of)), &[]).0).collect();
        let mut bundles: Vec<_> = chunks.iter().map(|chunk| Arc::as_ptr(&chunk.bundle)).collect();
        bundles.dedup();
        assert!((2..6).contains(&bundles.len()), "{} bundles", bundles.len());
        drop(maker);
        for chunk in &chunks {
            let contents = chunk.bundle.contents.read();
            assert_eq!(contents.bytes.capacity(), contents.bytes.len(), "no room is left over");
        }
    }

    #[test]
    fn a_chunk_larger_than_a_bundle_has_one_of_its_own() {
        let mut maker = ChunkMaker::default();
        let timestamps_ms: Vec<i64> = (0..10_000).collect();
        let noise: Vec<f64> = timestamps_ms.iter().map(|t| (*t as f64).sqrt()).collect();
        let chunks: Vec<HeadChunk> =
            (0..3).map(|_| maker.make(&timestamps_ms, Values::Floats(&noise), &[]).0).collect();
        assert!(chunks[0].bundle.contents.read().bytes.len() > BUNDLE_BYTES_MAX);
        assert!(chunks.iter().all(|chunk| read(chunk) == (timestamps_ms.clone(), noise.clone())));
    }

    #[test]
    fn what_was_counted_is_freed_with_the_last_chunk_of_a_bundle() {
        let mut maker = ChunkMaker::default();
        let mut counted = 0;
        let mut make = |of| {
            let (chunk, bytes) = maker.make(&times(0), Values::Floats(&values(of)), &[]);
            counted += bytes;
            chunk
        };
        let (first, second, third) = (make(0), make(1), make(2));
        let snapshot = second.clone();
        let mut freed = first.release() + third.release();
        assert_eq!(freed, 2 * size_of::<HeadChunk>(), "the second needs the bundle");
        freed += second.release();
        assert_eq!(read(&snapshot), (times(0), values(1)), "who reads it keeps it");
        let late = make(3);
        freed += late.release();
        assert_eq!(freed, counted);
    }
}
