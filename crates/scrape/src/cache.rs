//! What the series of a target became: raw text → labels after relabelling, and what of it is alive in storage.
//!
//! Why: parsing labels, relabelling and packing cost far more than a sample; they happen once per series, and
//! every later scrape finds the result by a keyed 96-bit hash of the raw text. Exporters list series in
//! the same order each time, so the entry behind the last one found is nearly always the next: most lookups are
//! one comparison. Labels without those of the target are shared by all targets that have the like (see `shapes`), so a series
//! takes about 40 bytes here.
//!
//! Storage is told a series by a key made of both parts, and looks into its labels only if it does not know the key
//! ([`SeriesCache::add_to`], [`SeriesCache::complete`]).
//!
//! A scrape is an attempt: [`SeriesCache::begin`], then lookups and insertions, then exactly one of
//! - [`SeriesCache::commit`]: storage took the samples and the staleness markers of what vanished;
//! - [`SeriesCache::commit_failed`]: the scrape failed, and storage took staleness markers for all that lived;
//! - [`SeriesCache::abort`]: storage took nothing, so nothing has changed.
//!
//! A failed attempt forgets the series it added ([`SeriesCache::rollback`]), so that a target which sends
//! garbage cannot make the cache grow.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet, HashTable};
use model::{Labels, LabelsBuilder};
use storage::{BatchSeries, WriteBatch};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::quota::Share;
use crate::shapes::{Shape, Shapes};

/// Position of a series (after relabelling) in its cache.
pub(crate) type SeriesAt = u32;

/// Stands for "relabelling dropped it".
const DROPPED: SeriesAt = SEEN_RAW - 1;
/// In [`Raw::series`]: the current attempt saw it.
const SEEN_RAW: u32 = 1 << 31;
/// Most bytes of labels of one target.
const LABELS_BYTES_MAX: usize = 1 << 30;

/// The current attempt saw the series.
const SEEN: u8 = 1;
/// The current attempt saw it without a timestamp of its own.
const UNTIMED: u8 = 2;
/// The current attempt saw it in a way that makes its absence meaningful.
const TRACKED: u8 = 4;
/// The newest sample in storage is not a staleness marker.
const LIVE: u8 = 8;
/// The last attempt that was committed saw it, or one after that.
const KNOWN: u8 = 16;

/// Hash of a raw text: 96 bits, to keep entries small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawHash([u32; 3]);

impl RawHash {
    fn short(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }
}

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
    target: Labels,
    shapes: Arc<Shapes>,
    raw: Vec<Raw>,
    raw_index: HashTable<u32>,
    /// Where the next raw text is expected.
    expected: usize,
    series: Vec<Series>,
    /// Series by their shapes; made when a text is new, and dropped at the end of the attempt.
    by_shape: Option<HashMap<usize, SeriesAt>>,
    /// Bytes of the labels of all series.
    labels_bytes: usize,
    /// Lengths of `raw` and `series`, and `labels_bytes`, when the attempt began.
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
    /// What it became, and [`SEEN_RAW`].
    series: u32,
}

impl Raw {
    fn series(self) -> SeriesAt {
        self.series & !SEEN_RAW
    }

    fn is_seen(self) -> bool {
        self.series & SEEN_RAW != 0
    }
}

#[derive(Debug)]
struct Series {
    shape: Arc<Shape>,
    flags: u8,
}

impl Series {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

/// Where a shape is, which tells it from all others.
fn place(shape: &Arc<Shape>) -> usize {
    Arc::as_ptr(shape) as usize
}

impl SeriesCache {
    /// An empty cache of a target with these labels. `seed` keys its hashes, so that no exporter can choose colliding texts; `share` is
    /// of what the job may have.
    pub(crate) fn new(seed: u64, target: Labels, shapes: Arc<Shapes>, share: Share) -> Self {
        Self {
            seed,
            target,
            shapes,
            raw: Vec::new(),
            raw_index: HashTable::new(),
            expected: 0,
            series: Vec::new(),
            by_shape: None,
            labels_bytes: 0,
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
        *self = Self::new(self.seed, self.target.clone(), Arc::clone(&self.shapes), self.share.empty());
    }

    /// Begins an attempt.
    pub(crate) fn begin(&mut self) {
        self.expected = 0;
        self.families_seen = 0;
        self.began_with = (self.raw.len(), self.series.len(), self.labels_bytes);
        for raw in &mut self.raw {
            raw.series &= !SEEN_RAW;
        }
        for series in &mut self.series {
            if series.is(SEEN) {
                series.set(KNOWN, true);
            }
            series.set(SEEN | UNTIMED | TRACKED, false);
        }
    }

    /// Looks the bytes of a series up. `tag` is what else decides what it becomes; 0 for nothing.
    pub(crate) fn find(&mut self, raw: &[u8], tag: u64) -> Lookup {
        let hash = xxh3_128_with_seed(raw, self.seed ^ tag);
        let hash = RawHash([hash as u32, (hash >> 32) as u32, (hash >> 64) as u32]);
        let at = if self.raw.get(self.expected).is_some_and(|entry| entry.hash == hash) {
            self.expected
        } else {
            match self.raw_index.find(hash.short(), |at| self.raw[*at as usize].hash == hash) {
                Some(at) => *at as usize,
                None => return Lookup::Unknown(hash),
            }
        };
        self.expected = at + 1;
        let entry = &mut self.raw[at];
        entry.series |= SEEN_RAW;
        match entry.series() {
            DROPPED => Lookup::Dropped,
            at => Lookup::Known(at),
        }
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
        let shape = self.shapes.of(labels, &self.target, &mut String::new());
        let at = match self.find_series(&shape) {
            Some(at) => at,
            None => {
                let labels_bytes = self.labels_bytes + shape.len();
                if labels_bytes > LABELS_BYTES_MAX || self.series.len() >= DROPPED as usize {
                    return Err(CacheFull);
                }
                self.labels_bytes = labels_bytes;
                let at = self.series.len() as SeriesAt;
                self.by_shape.get_or_insert_default().insert(place(&shape), at);
                self.series.push(Series { shape, flags: 0 });
                at
            }
        };
        self.insert_raw(hash, at);
        Ok(at)
    }

    /// Whether these labels would be a series too many. Those that are known are decided by [`Self::note`].
    pub(crate) fn is_full_for(&mut self, labels: &LabelsBuilder) -> bool {
        if !self.share.is_exhausted() {
            return false;
        }
        let shape = self.shapes.of(labels, &self.target, &mut String::new());
        self.find_series(&shape).is_none()
    }

    fn find_series(&mut self, shape: &Arc<Shape>) -> Option<SeriesAt> {
        let series = &self.series;
        let by_shape = self.by_shape.get_or_insert_with(|| {
            let places = series.iter().map(|series| place(&series.shape));
            places.zip(0..).collect()
        });
        by_shape.get(&place(shape)).copied()
    }

    fn insert_raw(&mut self, hash: RawHash, series: SeriesAt) {
        let at = u32::try_from(self.raw.len()).expect("body limits keep a scrape far below 2^32 series");
        self.raw.push(Raw { hash, series: series | SEEN_RAW });
        self.raw_index.insert_unique(hash.short(), at, |at| self.raw[*at as usize].hash.short());
        self.expected = self.raw.len();
    }

    /// Notes a sample of a series. `timed`: it came with a timestamp that is honoured; `track`: if the series
    /// is missing next time, it has ended.
    pub(crate) fn note(&mut self, at: SeriesAt, timed: bool, track: bool) -> Noted {
        let series = &mut self.series[at as usize];
        let is_new = !series.is(KNOWN | SEEN);
        if is_new && !self.share.try_grow() {
            return Noted::Excess;
        }
        series.set(SEEN, true);
        if !timed && series.is(UNTIMED) {
            return Noted::Repeated;
        }
        if !timed {
            series.set(UNTIMED, true);
        }
        if track {
            series.set(TRACKED, true);
        }
        if is_new { Noted::New } else { Noted::Known }
    }

    /// Takes back that a sample of the series will live on in storage, because storage refused it.
    pub(crate) fn untrack(&mut self, at: SeriesAt) {
        self.series[at as usize].set(TRACKED, false);
    }

    /// The labels of a series.
    pub(crate) fn labels_of(&self, at: SeriesAt) -> Labels {
        let mut packed = String::new();
        self.series[at as usize].shape.append_labels(self.target.as_ref(), &mut packed);
        model::LabelsRef::from_packed_trusted(&packed).to_labels()
    }

    /// What [`Self::add_to`] needs to know of the target.
    pub(crate) fn target_hash(&self) -> u128 {
        xxh3_128_with_seed(self.target.packed().as_bytes(), self.seed)
    }

    /// Adds a series to a batch.
    pub(crate) fn add_to(&self, batch: &mut WriteBatch, target_hash: u128, at: SeriesAt) -> BatchSeries {
        self.series[at as usize].shape.add_to(batch, target_hash, self.seed)
    }

    /// Tells a batch what its series share.
    pub(crate) fn complete(&self, batch: &mut WriteBatch) {
        batch.set_shared(self.target.as_ref());
    }

    /// Forgets what this attempt inserted. What it saw stays seen.
    pub(crate) fn rollback(&mut self) {
        let (raw_len, series_len, labels_bytes) = self.began_with;
        for at in raw_len..self.raw.len() {
            let hash = self.raw[at].hash.short();
            if let Ok(entry) = self.raw_index.find_entry(hash, |candidate| *candidate as usize == at) {
                entry.remove();
            }
        }
        self.raw.truncate(raw_len);
        self.series.truncate(series_len);
        self.labels_bytes = labels_bytes;
        self.by_shape = None;
        self.share.settle(self.committed_share);
        self.forget_sent();
    }

    /// Series that live in storage, and were not seen by this attempt; or all that live, if it `failed`.
    pub(crate) fn ended(&self, failed: bool) -> impl Iterator<Item = SeriesAt> {
        let ended = move |series: &Series| series.is(LIVE) && (failed || !series.is(TRACKED));
        (0..).zip(&self.series).filter(move |(_, series)| ended(series)).map(|(at, _)| at)
    }

    /// Of a target with the same labels, whether its series lives in storage, by places of shapes.
    pub(crate) fn live(&self) -> HashSet<usize> {
        self.series.iter().filter(|series| series.is(LIVE)).map(|series| place(&series.shape)).collect()
    }

    /// Whether a series is among those that [`Self::live`] said of another cache.
    pub(crate) fn is_among(&self, at: SeriesAt, live: &HashSet<usize>) -> bool {
        live.contains(&place(&self.series[at as usize].shape))
    }

    /// The attempt's samples are in storage.
    pub(crate) fn commit(&mut self) {
        self.by_shape = None;
        for series in &mut self.series {
            series.set(LIVE, series.is(TRACKED));
            series.set(KNOWN, false);
        }
        if self.families.len() > 2 * self.families_seen + 64 {
            self.families.clear();
        }
        let unseen_raw = self.raw.iter().filter(|raw| !raw.is_seen()).count();
        let unseen_series = self.series.iter().filter(|series| !series.is(SEEN)).count();
        self.committed_share = (self.series.len() - unseen_series) as u64;
        self.share.settle(self.committed_share);
        // Some dead entries are cheaper than compacting each time; an eighth bounds what they cost.
        if (unseen_raw + unseen_series) * 8 > self.raw.len() + self.series.len() {
            self.compact();
        } else if self.began_with != (self.raw.len(), self.series.len(), self.labels_bytes) {
            self.trim();
        }
    }

    /// The attempt failed, and storage knows that nothing lives any more.
    pub(crate) fn commit_failed(&mut self) {
        for series in &mut self.series {
            series.set(LIVE, false);
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
        let mut kept = 0;
        for (from, series) in self.series.iter().enumerate() {
            if series.is(SEEN | LIVE) {
                moved_to[from] = kept;
                kept += 1;
            }
        }
        self.series.retain(|series| series.is(SEEN | LIVE));
        self.labels_bytes = self.series.iter().map(|series| series.shape.len()).sum();
        // A text that was seen may stand for a series that was kept out; it is looked at anew next time.
        let moved = |at: SeriesAt| if at == DROPPED { DROPPED } else { moved_to[at as usize] };
        self.raw.retain(|raw| raw.is_seen() && (raw.series() == DROPPED || moved(raw.series()) != DROPPED));
        for raw in &mut self.raw {
            raw.series = moved(raw.series()) | SEEN_RAW;
        }
        let exemplars = std::mem::take(&mut self.exemplars);
        self.exemplars = exemplars
            .into_iter()
            .map(|(at, hash)| (moved(at), hash))
            .filter(|(at, _)| *at != DROPPED)
            .collect();
        self.raw_index.clear();
        for (at, raw) in (0..).zip(&self.raw) {
            self.raw_index.insert_unique(raw.hash.short(), at, |at| self.raw[*at as usize].hash.short());
        }
        self.trim();
    }

    /// Gives back what growing by doubling took too much.
    fn trim(&mut self) {
        let room = |len: usize| len + len / 16;
        if self.raw.capacity() > self.raw.len() + self.raw.len() / 4 {
            self.raw.shrink_to(room(self.raw.len()));
        }
        if self.series.capacity() > self.series.len() + self.series.len() / 4 {
            self.series.shrink_to(room(self.series.len()));
        }
        let raw = &self.raw;
        self.raw_index.shrink_to_fit(|at| raw[*at as usize].hash.short());
        self.families.shrink_to_fit();
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

#[cfg(test)]
mod tests;
