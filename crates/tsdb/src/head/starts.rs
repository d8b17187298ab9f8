//! Start timestamps of a series' floats that are not in chunks yet: of the open chunk in runs, because a counter
//! begins once for many samples; of late samples one by one.
//!
//! Series without start timestamps have no such thing.

use model::UNKNOWN_START_MS;

/// So many runs end the open chunk: counters that begin anew with each sample shall not take more memory for their starts
/// than for their samples.
const RUNS_MAX: usize = 64;

/// See the module.
#[derive(Debug, Default, Clone)]
pub(super) struct OpenStarts {
    /// Of the newest sample, if that is a float.
    newest_ms: i64,
    /// Place in the open chunk of the first sample that has this start. Before the first run nothing is known.
    runs: Vec<(u32, i64)>,
    /// Samples of the open chunk, if there are runs.
    open_count: u32,
    /// Timestamp and known start of late samples, sorted.
    late: Vec<(i64, i64)>,
}

impl OpenStarts {
    /// Whether nothing is known of any sample.
    pub(super) fn is_empty(&self) -> bool {
        self.newest_ms == UNKNOWN_START_MS && self.runs.is_empty() && self.late.is_empty()
    }

    /// Bytes of buffers, for the accountant.
    pub(super) fn size_bytes(&self) -> i64 {
        ((self.runs.capacity() + self.late.capacity()) * 16) as i64
    }

    /// The start of the newest sample.
    pub(super) fn newest(&self) -> i64 {
        self.newest_ms
    }

    /// Forgets the start of the newest sample. Answers whether it was known.
    pub(super) fn forget_newest(&mut self) -> bool {
        std::mem::replace(&mut self.newest_ms, UNKNOWN_START_MS) != UNKNOWN_START_MS
    }

    /// The sample at `place` of the open chunk is its last and the newest of all.
    pub(super) fn push(&mut self, place: u32, start_ms: i64) {
        self.newest_ms = start_ms;
        if self.runs.last().map_or(UNKNOWN_START_MS, |(_, start_ms)| *start_ms) != start_ms {
            self.runs.push((place, start_ms));
        }
        self.open_count = place + 1;
    }

    /// Whether the open chunk should be closed.
    pub(super) fn is_full(&self) -> bool {
        self.runs.len() >= RUNS_MAX
    }

    /// The start of a sample of the open chunk.
    pub(super) fn of_open(&self, place: usize) -> i64 {
        let behind = self.runs.partition_point(|(first, _)| *first as usize <= place);
        behind.checked_sub(1).map_or(UNKNOWN_START_MS, |at| self.runs[at].1)
    }

    /// The starts of the open chunk's samples, none if nothing is known.
    pub(super) fn expand_open(&self) -> Vec<i64> {
        let mut starts_ms = Vec::new();
        for (at, (first, start_ms)) in self.runs.iter().enumerate() {
            starts_ms.resize(*first as usize, UNKNOWN_START_MS);
            let end = self.runs.get(at + 1).map_or(self.open_count, |(next, _)| *next);
            starts_ms.resize(end as usize, *start_ms);
        }
        starts_ms
    }

    /// As [`Self::expand_open`], and forgets them.
    pub(super) fn take_open(&mut self) -> Vec<i64> {
        let starts_ms = self.expand_open();
        self.runs = Vec::new();
        starts_ms
    }

    /// The start of a late sample.
    pub(super) fn of_late(&self, timestamp_ms: i64) -> i64 {
        let found = self.late.binary_search_by_key(&timestamp_ms, |(t, _)| *t);
        found.map_or(UNKNOWN_START_MS, |at| self.late[at].1)
    }

    /// A late sample was written.
    pub(super) fn set_late(&mut self, timestamp_ms: i64, start_ms: i64, is_newest: bool) {
        if is_newest {
            self.newest_ms = start_ms;
        }
        match self.late.binary_search_by_key(&timestamp_ms, |(t, _)| *t) {
            Ok(at) if start_ms == UNKNOWN_START_MS => {
                self.late.remove(at);
            }
            Ok(at) => self.late[at].1 = start_ms,
            Err(_) if start_ms == UNKNOWN_START_MS => {}
            Err(at) => self.late.insert(at, (timestamp_ms, start_ms)),
        }
    }

    /// The starts of late samples, none if nothing is known.
    pub(super) fn expand_late(&self, timestamps_ms: impl Iterator<Item = i64>) -> Vec<i64> {
        if self.late.is_empty() {
            return Vec::new();
        }
        timestamps_ms.map(|timestamp_ms| self.of_late(timestamp_ms)).collect()
    }

    /// As [`Self::expand_late`], and forgets them.
    pub(super) fn take_late(&mut self, timestamps_ms: impl Iterator<Item = i64>) -> Vec<i64> {
        let starts_ms = self.expand_late(timestamps_ms);
        self.late = Vec::new();
        starts_ms
    }
}
