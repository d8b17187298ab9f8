//! What the series of a target became: raw text → labels after relabelling, and what of it is alive in storage.
//!
//! Why: parsing labels, relabelling and packing cost far more than a sample; they happen once per series, and
//! every later scrape finds the packed labels by a keyed 128-bit hash of the raw text. Exporters list series in
//! the same order each time, so the entry behind the last one found is nearly always the next: most lookups are
//! one comparison. Per series: about 80 bytes and its packed labels.
//!
//! Storage is told a series by a key of its packed labels, and looks into those only if it does not know the key: for the time of
//! an append they are lent to the batch ([`SeriesCache::lend`]).
//!
//! A scrape is an attempt: [`SeriesCache::begin`], then lookups and insertions, then exactly one of
//! - [`SeriesCache::commit`]: storage took the samples and the staleness markers of what vanished;
//! - [`SeriesCache::commit_failed`]: the scrape failed, and storage took staleness markers for all that lived;
//! - [`SeriesCache::abort`]: storage took nothing, so nothing has changed.
//!
//! A failed attempt forgets the series it added ([`SeriesCache::rollback`]), so that a target which sends
//! garbage cannot make the cache grow.

use std::ops::Range;

use hashbrown::{HashMap, HashTable};
use model::{LabelsBuilder, LabelsRef};
use storage::{BatchSeries, InvalidLabels, SeriesKey, WriteBatch};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::quota::Share;

/// Position of a series (after relabelling) in its cache.
pub(crate) type SeriesAt = u32;

/// Stands for "relabelling dropped it".
const DROPPED: SeriesAt = SeriesAt::MAX;
/// Most bytes of packed labels of one target.
const LABELS_BYTES_MAX: usize = 1 << 30;

/// Hash of a raw text, 128 bits in two words to keep entries small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawHash([u64; 2]);

/// What is known about a raw text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// It is this series.
    Known(SeriesAt),
    /// Relabelling dropped it.
    Dropped,
    /// Never seen.
    Unknown(RawHash),
}

/// The labels of the target's series exceed [`LABELS_BYTES_MAX`].
#[derive(Debug, thiserror::Error)]
#[error(
    "the labels of this target's series exceed {LABELS_BYTES_MAX} bytes; split the target or drop series"
)]
pub(crate) struct CacheFull;

/// See the module.
#[derive(Debug)]
pub(crate) struct SeriesCache {
    seed: u64,
    /// Number of the current attempt, from 1.
    attempt: u32,
    /// Number of the last attempt that was committed.
    last_commit: u32,
    raw: Vec<Raw>,
    raw_index: HashTable<u32>,
    /// Where the next raw text is expected.
    expected: usize,
    packed: String,
    series: Vec<Series>,
    series_index: HashTable<SeriesAt>,
    /// Lengths of `raw`, `series` and `packed` when the attempt began.
    began_with: (usize, usize, usize),
    /// Hash of a family's name → hash of its metadata as last sent.
    families: HashMap<u64, u64>,
    families_seen: usize,
    /// Series → hash of its exemplar as last sent.
    exemplars: HashMap<SeriesAt, u64>,
    /// Of the series that the job may have, those of this target.
    share: Share,
    /// Of those, how many the last commit left.
    committed_share: u64,
}

#[derive(Debug, Clone, Copy)]
struct Raw {
    hash: RawHash,
    series: SeriesAt,
    /// Attempt that saw it last.
    seen: u32,
}

#[derive(Debug, Clone, Copy)]
struct Series {
    /// By which storage knows it; the same for all targets.
    key: SeriesKey,
    start: u32,
    len: u32,
    /// Attempt that saw it last.
    seen: u32,
    /// Attempt that saw it last without a timestamp of its own.
    untimed: u32,
    /// Attempt that saw it last in a way that makes its absence meaningful.
    tracked: u32,
    /// The newest sample in storage is not a staleness marker.
    live: bool,
}

impl Series {
    /// Where its packed labels are.
    fn range(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

impl SeriesCache {
    /// An empty cache. `seed` keys its hashes, so that no exporter can choose colliding texts; `share` is of what
    /// the job may have.
    pub(crate) fn new(seed: u64, share: Share) -> Self {
        Self {
            seed,
            attempt: 0,
            last_commit: 0,
            raw: Vec::new(),
            raw_index: HashTable::new(),
            expected: 0,
            packed: String::new(),
            series: Vec::new(),
            series_index: HashTable::new(),
            began_with: (0, 0, 0),
            families: HashMap::new(),
            families_seen: 0,
            exemplars: HashMap::new(),
            share,
            committed_share: 0,
        }
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.seed, self.share.empty());
    }

    /// Begins an attempt.
    pub(crate) fn begin(&mut self) {
        self.attempt += 1;
        self.expected = 0;
        self.families_seen = 0;
        self.began_with = (self.raw.len(), self.series.len(), self.packed.len());
    }

    /// Looks the bytes of a series up. `tag` is what else decides what it becomes; 0 for nothing.
    pub(crate) fn find(&mut self, raw: &[u8], tag: u64) -> Lookup {
        let hash = xxh3_128_with_seed(raw, self.seed ^ tag);
        let hash = RawHash([hash as u64, (hash >> 64) as u64]);
        let at = if self.raw.get(self.expected).is_some_and(|entry| entry.hash == hash) {
            self.expected
        } else {
            match self.raw_index.find(hash.0[0], |at| self.raw[*at as usize].hash == hash) {
                Some(at) => *at as usize,
                None => return Lookup::Unknown(hash),
            }
        };
        self.expected = at + 1;
        let entry = &mut self.raw[at];
        entry.seen = self.attempt;
        if entry.series == DROPPED { Lookup::Dropped } else { Lookup::Known(entry.series) }
    }

    /// Remembers that relabelling dropped a raw text.
    pub(crate) fn insert_dropped(&mut self, hash: RawHash) {
        self.insert_raw(hash, DROPPED);
    }

    /// Remembers what a raw text became. Several texts may become the same series.
    ///
    /// # Errors
    /// If the cache would exceed its limit.
    pub(crate) fn insert(&mut self, hash: RawHash, labels: &LabelsBuilder) -> Result<SeriesAt, CacheFull> {
        let start = self.packed.len();
        labels.pack_into(&mut self.packed);
        if self.packed.len() > LABELS_BYTES_MAX || self.series.len() >= DROPPED as usize {
            self.packed.truncate(start);
            return Err(CacheFull);
        }
        let at = match self.find_series(&self.packed[start..]) {
            Some(at) => {
                self.packed.truncate(start);
                at
            }
            None => self.insert_series(start),
        };
        self.insert_raw(hash, at);
        Ok(at)
    }

    /// Whether these labels would be a series too many. Those that are known are decided by [`Self::note`].
    pub(crate) fn is_full_for(&mut self, labels: &LabelsBuilder) -> bool {
        if !self.share.is_exhausted() {
            return false;
        }
        let start = self.packed.len();
        labels.pack_into(&mut self.packed);
        let is_known = self.find_series(&self.packed[start..]).is_some();
        self.packed.truncate(start);
        !is_known
    }

    fn find_series(&self, packed: &str) -> Option<SeriesAt> {
        let hash = xxh3_64_with_seed(packed.as_bytes(), self.seed);
        self.series_index.find(hash, |at| self.packed_of(*at) == packed).copied()
    }

    /// Adds the series whose packed labels end `self.packed`.
    fn insert_series(&mut self, start: usize) -> SeriesAt {
        let narrow = |n: usize| u32::try_from(n).expect("LABELS_BYTES_MAX is below 2^32");
        let at = narrow(self.series.len());
        let len = narrow(self.packed.len() - start);
        let key = SeriesKey::new(xxh3_128_with_seed(&self.packed.as_bytes()[start..], self.seed));
        let start = narrow(start);
        self.series.push(Series { key, start, len, seen: 0, untimed: 0, tracked: 0, live: false });
        let (seed, series, packed) = (self.seed, &self.series, &self.packed);
        let hash = |at: &SeriesAt| hash_of(seed, packed, series[*at as usize]);
        self.series_index.insert_unique(hash(&at), at, hash);
        at
    }

    fn insert_raw(&mut self, hash: RawHash, series: SeriesAt) {
        let at = u32::try_from(self.raw.len()).expect("body limits keep a scrape far below 2^32 series");
        self.raw.push(Raw { hash, series, seen: self.attempt });
        self.raw_index.insert_unique(hash.0[0], at, |at| self.raw[*at as usize].hash.0[0]);
        self.expected = self.raw.len();
    }

    /// Notes a sample of a series. `timed`: it came with a timestamp that is honoured; `track`: if the series
    /// is missing next time, it has ended.
    pub(crate) fn note(&mut self, at: SeriesAt, timed: bool, track: bool) -> Noted {
        let series = &mut self.series[at as usize];
        let is_new = series.seen < self.last_commit || series.seen == 0;
        let first = series.seen != self.attempt;
        if is_new && first && !self.share.try_grow() {
            return Noted::Excess;
        }
        series.seen = self.attempt;
        if !timed && series.untimed == self.attempt {
            return Noted::Repeated;
        }
        if !timed {
            series.untimed = self.attempt;
        }
        if track {
            series.tracked = self.attempt;
        }
        if is_new && first { Noted::New } else { Noted::Known }
    }

    /// Takes back that a sample of the series will live on in storage, because storage refused it.
    pub(crate) fn untrack(&mut self, at: SeriesAt) {
        self.series[at as usize].tracked = 0;
    }

    /// The packed labels of a series.
    pub(crate) fn packed_of(&self, at: SeriesAt) -> &str {
        &self.packed[self.series[at as usize].range()]
    }

    /// Adds a series to a batch that the cache will be lent to.
    pub(crate) fn add_to(&self, batch: &mut WriteBatch, at: SeriesAt) -> BatchSeries {
        let series = &self.series[at as usize];
        batch.add_raw_series(series.key, series.range())
    }

    /// Lends the packed labels to a batch, until [`Self::take_back`]. Nobody may ask for labels meanwhile.
    pub(crate) fn lend(&mut self, batch: &mut WriteBatch) {
        batch.set_raw(std::mem::take(&mut self.packed).into_bytes(), |raw, packed| {
            packed.push_str(std::str::from_utf8(raw).map_err(|_| InvalidLabels)?);
            Ok(())
        });
    }

    /// Takes back what was lent.
    pub(crate) fn take_back(&mut self, batch: &mut WriteBatch) {
        self.packed = String::from_utf8(batch.take_raw_buffer()).expect("it was text when it was lent");
    }

    /// Forgets what this attempt inserted. What it saw stays seen.
    pub(crate) fn rollback(&mut self) {
        let (raw_len, series_len, packed_len) = self.began_with;
        for at in raw_len..self.raw.len() {
            let hash = self.raw[at].hash.0[0];
            if let Ok(entry) = self.raw_index.find_entry(hash, |candidate| *candidate as usize == at) {
                entry.remove();
            }
        }
        for at in series_len..self.series.len() {
            let hash = hash_of(self.seed, &self.packed, self.series[at]);
            if let Ok(entry) = self.series_index.find_entry(hash, |candidate| *candidate as usize == at) {
                entry.remove();
            }
        }
        self.raw.truncate(raw_len);
        self.series.truncate(series_len);
        self.packed.truncate(packed_len);
        self.share.settle(self.committed_share);
        self.forget_sent();
    }

    /// Series that live in storage, and were not seen by this attempt; or all that live, if it `failed`.
    pub(crate) fn ended(&self, failed: bool) -> impl Iterator<Item = LabelsRef<'_>> {
        let ended = move |series: &&Series| series.live && (failed || series.tracked != self.attempt);
        self.series
            .iter()
            .filter(ended)
            .map(|series| LabelsRef::from_packed_trusted(&self.packed[series.range()]))
    }

    /// Whether this series lives in storage.
    pub(crate) fn has_live(&self, packed: &str) -> bool {
        self.find_series(packed).is_some_and(|at| self.series[at as usize].live)
    }

    /// The attempt's samples are in storage.
    pub(crate) fn commit(&mut self) {
        for series in &mut self.series {
            series.live = series.tracked == self.attempt;
        }
        self.last_commit = self.attempt;
        if self.families.len() > 2 * self.families_seen + 64 {
            self.families.clear();
        }
        let unseen_raw = self.raw.iter().filter(|raw| raw.seen != self.attempt).count();
        let unseen_series = self.series.iter().filter(|series| series.seen != self.attempt).count();
        self.committed_share = (self.series.len() - unseen_series) as u64;
        self.share.settle(self.committed_share);
        // Some dead entries are cheaper than compacting each time; an eighth bounds what they cost.
        if (unseen_raw + unseen_series) * 8 > self.raw.len() + self.series.len() {
            self.compact();
        } else if self.began_with != (self.raw.len(), self.series.len(), self.packed.len()) {
            self.trim();
        }
    }

    /// The attempt failed, and storage knows that nothing lives any more.
    pub(crate) fn commit_failed(&mut self) {
        for series in &mut self.series {
            series.live = false;
        }
    }

    /// Storage took nothing.
    pub(crate) fn abort(&mut self) {
        self.rollback();
    }

    /// Forgets what raw texts became, because relabelling changed; what lives in storage stays known, so that
    /// what is not seen under the new rules is ended properly.
    pub(crate) fn forget_raw(&mut self) {
        self.raw.clear();
        self.raw_index.clear();
        self.forget_sent();
    }

    fn forget_sent(&mut self) {
        self.families.clear();
        self.exemplars.clear();
    }

    /// Whether this metadata of a family differs from what was sent last.
    pub(crate) fn family_changed(&mut self, name: &str, content: u64) -> bool {
        self.families_seen += 1;
        let name = xxh3_64_with_seed(name.as_bytes(), self.seed);
        self.families.insert(name, content) != Some(content)
    }

    /// Whether this exemplar of a series differs from what was sent last.
    pub(crate) fn exemplar_changed(&mut self, at: SeriesAt, content: u64) -> bool {
        self.exemplars.insert(at, content) != Some(content)
    }

    /// Drops all that the last attempt did not see and that does not live.
    fn compact(&mut self) {
        let mut moved_to = vec![DROPPED; self.series.len()];
        let mut packed = String::with_capacity(self.packed.len());
        let mut kept = Vec::with_capacity(self.series.len());
        for (from, series) in self.series.iter().enumerate() {
            if series.seen == self.attempt || series.live {
                moved_to[from] = u32::try_from(kept.len()).expect("fewer than before");
                let start = u32::try_from(packed.len()).expect("shorter than before");
                packed.push_str(&self.packed[series.range()]);
                kept.push(Series { start, ..*series });
            }
        }
        let attempt = self.attempt;
        // A text that was seen may stand for a series that was kept out; it is looked at anew next time.
        self.raw.retain(|raw| {
            raw.seen == attempt && (raw.series == DROPPED || moved_to[raw.series as usize] != DROPPED)
        });
        for raw in self.raw.iter_mut().filter(|raw| raw.series != DROPPED) {
            raw.series = moved_to[raw.series as usize];
        }
        let exemplars = std::mem::take(&mut self.exemplars);
        self.exemplars = exemplars
            .into_iter()
            .map(|(at, hash)| (moved_to[at as usize], hash))
            .filter(|(at, _)| *at != DROPPED)
            .collect();
        (self.packed, self.series) = (packed, kept);
        self.rebuild_indexes();
        self.trim();
    }

    fn rebuild_indexes(&mut self) {
        let (raw, series, packed, seed) = (&self.raw, &self.series, &self.packed, self.seed);
        let raw_hash = |at: &u32| raw[*at as usize].hash.0[0];
        let series_hash = |at: &SeriesAt| hash_of(seed, packed, series[*at as usize]);
        self.raw_index.clear();
        for at in (0u32..).take(raw.len()) {
            self.raw_index.insert_unique(raw_hash(&at), at, raw_hash);
        }
        self.raw_index.shrink_to_fit(raw_hash);
        self.series_index.clear();
        for at in (0u32..).take(series.len()) {
            self.series_index.insert_unique(series_hash(&at), at, series_hash);
        }
        self.series_index.shrink_to_fit(series_hash);
    }

    /// Gives back what growing by doubling took too much.
    fn trim(&mut self) {
        let room = |len: usize| len + len / 16;
        if self.packed.capacity() > self.packed.len() + self.packed.len() / 4 {
            self.packed.shrink_to(room(self.packed.len()));
        }
        if self.raw.capacity() > self.raw.len() + self.raw.len() / 4 {
            self.raw.shrink_to(room(self.raw.len()));
        }
        if self.series.capacity() > self.series.len() + self.series.len() / 4 {
            self.series.shrink_to(room(self.series.len()));
        }
    }
}

/// What a sample means for its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The series was not there at the last scrape that worked.
    New,
    /// It was.
    Known,
    /// It was not, and the job may not have more.
    Excess,
    /// The same scrape had a sample of this series already, and neither has a timestamp.
    Repeated,
}

fn hash_of(seed: u64, packed: &str, series: Series) -> u64 {
    xxh3_64_with_seed(&packed.as_bytes()[series.range()], seed)
}

#[cfg(test)]
mod tests;
