//! Closed chunks of the head: columns, as blocks have them, but without their compression.
//!
//! Series of one target have the same timestamps, and their chunks are closed by the same batch. So a column of
//! timestamps is kept once for all chunks that one writer closes: most of a sample's bytes otherwise, because
//! scrapes jitter.

use std::sync::Arc;

use chunk::floats::FloatEncoder;
use chunk::varint::Reader;
use model::FloatHistogram;

use crate::merge::Merger;

/// What a chunk's content begins with says what follows.
const HISTOGRAMS: u8 = 1;
/// A column of start timestamps comes first.
const STARTS: u8 = 2;
/// The first chunk that has its timestamps: their memory is counted with it.
const OWNER: u8 = 4;
/// Columns of timestamps that a writer looks through for one that it made before.
const RECENT_MAX: usize = 4;
/// What an allocation costs besides its content, counters included.
const ARC_BYTES: usize = 24;

/// A closed chunk. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HeadChunk {
    times: Arc<TimeColumn>,
    /// Flags, start timestamps if there are any, values.
    content: Arc<[u8]>,
}

/// Timestamps of a chunk, which other chunks may share.
#[derive(Debug)]
struct TimeColumn {
    min_ms: i64,
    max_ms: i64,
    count: u32,
    bytes: Box<[u8]>,
}

impl TimeColumn {
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ARC_BYTES + 8
    }
}

/// What chunks hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    Floats(&'a [f64]),
    Histograms(&'a [Arc<FloatHistogram>]),
}

/// Makes chunks; keeps its buffers, and the timestamps it wrote last, from chunk to chunk.
#[derive(Debug, Default)]
pub(super) struct ChunkMaker {
    encoder: FloatEncoder,
    times: Vec<u8>,
    content: Vec<u8>,
    recent: Vec<Arc<TimeColumn>>,
    next_recent: usize,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

impl ChunkMaker {
    /// Timestamps rise and are not empty, and there are as many values. `starts_ms` may end early.
    pub(super) fn make(&mut self, timestamps_ms: &[i64], values: Values<'_>, starts_ms: &[i64]) -> HeadChunk {
        let (times, is_new) = self.times(timestamps_ms);
        let mut flags = if is_new { OWNER } else { 0 };
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
        HeadChunk { times, content: Arc::from(self.content.as_slice()) }
    }

    /// As [`Self::make`], of what a stream encoder wrote.
    pub(super) fn make_of_stream(
        &mut self,
        bytes: &[u8],
        starts_ms: &[i64],
    ) -> Result<HeadChunk, chunk::Corrupt> {
        let (mut timestamps_ms, mut values) =
            (std::mem::take(&mut self.timestamps_ms), std::mem::take(&mut self.values));
        timestamps_ms.clear();
        values.clear();
        let decoded = chunk::stream::decode_range(bytes, i64::MIN, i64::MAX, &mut timestamps_ms, &mut values);
        let made = decoded.map(|()| self.make(&timestamps_ms, Values::Floats(&values), starts_ms));
        (self.timestamps_ms, self.values) = (timestamps_ms, values);
        made
    }

    /// The column of these timestamps, and whether it had to be made.
    fn times(&mut self, timestamps_ms: &[i64]) -> (Arc<TimeColumn>, bool) {
        self.times.clear();
        chunk::timestamps::encode(timestamps_ms, &mut self.times);
        if let Some(known) = self.recent.iter().find(|known| *known.bytes == *self.times) {
            return (Arc::clone(known), false);
        }
        let new = Arc::new(TimeColumn {
            min_ms: timestamps_ms.first().copied().unwrap_or(0),
            max_ms: timestamps_ms.last().copied().unwrap_or(0),
            count: timestamps_ms.len() as u32,
            bytes: Box::from(self.times.as_slice()),
        });
        if self.recent.len() < RECENT_MAX {
            self.recent.push(Arc::clone(&new));
        } else {
            self.recent[self.next_recent] = Arc::clone(&new);
            self.next_recent = (self.next_recent + 1) % RECENT_MAX;
        }
        (new, true)
    }
}

impl HeadChunk {
    /// Time of the first sample.
    pub(crate) fn min_ms(&self) -> i64 {
        self.times.min_ms
    }

    /// Time of the last sample.
    pub(crate) fn max_ms(&self) -> i64 {
        self.times.max_ms
    }

    /// Samples.
    pub(crate) fn count(&self) -> usize {
        self.times.count as usize
    }

    pub(super) fn has_histograms(&self) -> bool {
        self.flags() & HISTOGRAMS != 0
    }

    pub(super) fn has_starts(&self) -> bool {
        self.flags() & STARTS != 0
    }

    fn flags(&self) -> u8 {
        self.content.first().copied().unwrap_or(0)
    }

    /// Bytes in memory, for the accountant.
    pub(crate) fn size_bytes(&self) -> usize {
        let times = if self.flags() & OWNER == 0 { 0 } else { self.times.size_bytes() };
        size_of::<Self>() + self.content.len() + ARC_BYTES + times
    }

    /// Appends all timestamps.
    pub(crate) fn read_times(&self, into: &mut Vec<i64>) -> Result<(), chunk::Corrupt> {
        chunk::timestamps::decode(&self.times.bytes, self.count(), into)
    }

    /// Start timestamps, which may end early, and the bytes of the values.
    fn content(&self) -> Result<(Vec<i64>, &[u8]), chunk::Corrupt> {
        let mut reader = Reader::new(&self.content);
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
        let (starts_ms, bytes) = self.content().ok()?;
        let mut values = Vec::new();
        chunk::floats::decode(bytes, self.count(), &mut values).ok()?;
        Some((*values.get(place)?, starts_ms.get(place).copied().unwrap_or(model::UNKNOWN_START_MS)))
    }

    /// Adds its samples within the merger's range.
    pub(crate) fn read(&self, merger: &mut Merger<'_>) -> Result<(), chunk::Corrupt> {
        let (starts_ms, bytes) = self.content()?;
        if self.has_histograms() {
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
