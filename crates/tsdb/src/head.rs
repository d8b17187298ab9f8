//! The head: recent samples of one tenant in memory, in compressed chunks, with an index of their labels.
//!
//! Map: [`series`] one series and its chunks · [`keys`] raw labels to series · [`index`] label values to series · [`memory`] its account · this file: the shards that hold
//! the series, and how a batch is written to them.
//!
//! Locks: each shard has one, the index has one. A thread that holds a shard's lock may take the index's or the
//! journal's, never the other way round; nobody holds two shards.
//!
//! Invariants: a series is looked up by a hash of its packed labels, and its labels are compared. Its number
//! (slot and shard) is used again after it was released, so whoever looks up numbers in the index and visits
//! shards later checks [`Head::releases`], and if that moved, the labels again.

pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod memory;
pub(crate) mod series;
mod starts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashTable;
use model::{Labels, LabelsRef};
use parking_lot::RwLock;
use storage::RejectReason;

use self::index::HeadIndex;
use self::keys::{NewKey, SeriesKeys};
use self::series::{HeadChunk, Series, Tally};
use crate::selections::SelectionCache;

/// Shards of one tenant. A power of two.
pub(crate) const SHARDS: usize = 16;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();
/// The most series of a shard: their numbers have 32 bits.
const SLOTS_MAX: usize = (1 << (32 - SHARD_BITS)) - 1;

/// What a series costs besides its samples, in bytes, for the accountant: itself, its places in the index and in the table of keys.
const SERIES_BYTES: usize = size_of::<Series>() + 96 + 32;

/// Recent samples of one tenant.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) shards: [RwLock<Shard>; SHARDS],
    pub(crate) index: RwLock<HeadIndex>,
    pub(crate) keys: SeriesKeys,
    series_count: AtomicUsize,
    /// Goes up whenever numbers of series become free.
    releases: AtomicU64,
    /// Numbers of series, sorted by labels, that selectors found at a version of the index.
    pub(crate) selections: SelectionCache<Arc<[u32]>>,
}

/// Most bytes of resolved selectors that are kept of a tenant: a million series.
const SELECTION_BYTES_MAX: usize = 4 << 20;

/// Part of a tenant's series.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    by_hash: HashTable<u32>,
    pub(crate) slots: Vec<Option<Series>>,
    free: Vec<u32>,
}

/// How many series and label bytes a tenant may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesLimits {
    pub(crate) series_max: usize,
    pub(crate) labels_max: usize,
    pub(crate) name_bytes_max: usize,
    pub(crate) value_bytes_max: usize,
    /// Memory is short: no new series.
    pub(crate) full: bool,
}

impl SeriesLimits {
    fn check(&self, labels: LabelsRef<'_>) -> Result<(), RejectReason> {
        let mut count = 0;
        for (name, value) in labels.iter() {
            count += 1;
            if name.is_empty() || name.len() > self.name_bytes_max || value.len() > self.value_bytes_max {
                return Err(RejectReason::InvalidLabels);
            }
        }
        if count > self.labels_max || labels.get(model::METRIC_NAME).is_none() {
            return Err(RejectReason::InvalidLabels);
        }
        Ok(())
    }
}

/// The shard of a series with this hash. Segments of the journal that are older than this process count on it.
pub(crate) fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// The number of a series, unique within its tenant's head.
pub(crate) fn series_number(shard: usize, slot: u32) -> u32 {
    (slot << SHARD_BITS) | shard as u32
}

/// Shard and slot of a number.
pub(crate) fn locate(number: u32) -> (usize, usize) {
    (number as usize % SHARDS, (number >> SHARD_BITS) as usize)
}

impl Default for Head {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            index: RwLock::default(),
            keys: SeriesKeys::default(),
            series_count: AtomicUsize::new(0),
            releases: AtomicU64::new(0),
            selections: SelectionCache::new(SELECTION_BYTES_MAX),
        }
    }
}

impl Head {
    /// Series in the head, idle ones included.
    pub(crate) fn series_count(&self) -> usize {
        self.series_count.load(Ordering::Relaxed)
    }

    /// See the module's invariants.
    pub(crate) fn releases(&self) -> u64 {
        self.releases.load(Ordering::Acquire)
    }

    /// The slot of a series in `shard`, which is locked and is number `shard_number` of this head.
    pub(crate) fn find(&self, shard: &Shard, hash: u64, labels: LabelsRef<'_>) -> Option<u32> {
        let same = |slot: &u32| {
            let series = shard.slots[*slot as usize].as_ref();
            series.is_some_and(|s| s.hash == hash && s.labels.packed() == labels.packed())
        };
        shard.by_hash.find(hash, same).copied()
    }

    /// Remembers by which keys pushes know series of `shard`, which is locked and is number `shard_number` of this head.
    pub(crate) fn remember(&self, shard: &mut Shard, shard_number: usize, new: &[NewKey]) {
        let mut keys = self.keys.write();
        for NewKey { slot, key, place } in new {
            let Some(series) = shard.slots[*slot as usize].as_mut() else {
                keys.remove(*place);
                continue;
            };
            if keys.is_of(series.key_place, *key) {
                keys.remove(*place);
                continue;
            }
            keys.remove(series.key_place);
            keys.fill(*place, *key, series_number(shard_number, *slot));
            series.key_place = *place;
        }
    }

    /// Adds a series that is not there yet.
    ///
    /// # Errors
    /// Why it may not be added.
    pub(crate) fn create(
        &self,
        shard: &mut Shard,
        shard_number: usize,
        hash: u64,
        labels: LabelsRef<'_>,
        limits: &SeriesLimits,
    ) -> Result<u32, RejectReason> {
        limits.check(labels)?;
        if limits.full || self.series_count() >= limits.series_max {
            return Err(RejectReason::SeriesLimit);
        }
        let slot = self.insert(shard, hash, labels).ok_or(RejectReason::SeriesLimit)?;
        let labels = shard.slots[slot as usize].as_ref().expect("just inserted").labels.clone();
        self.index.write().add(series_number(shard_number, slot), &labels);
        Ok(slot)
    }

    /// Adds a series that is not there yet, and leaves it to [`Self::index_all`] to index it. `None` if the shard is
    /// full.
    pub(crate) fn insert(&self, shard: &mut Shard, hash: u64, labels: LabelsRef<'_>) -> Option<u32> {
        let slot = shard.free.pop().or_else(|| {
            if shard.slots.len() >= SLOTS_MAX {
                return None;
            }
            if shard.slots.len() == shard.slots.capacity() {
                // Doubling would waste up to half of the largest part of the head.
                shard.slots.reserve_exact(64 + shard.slots.len() / 16);
            }
            shard.slots.push(None);
            Some((shard.slots.len() - 1) as u32)
        })?;
        shard.slots[slot as usize] = Some(Series::new(labels.to_labels(), hash));
        let slots = &shard.slots;
        let rehash = |slot: &u32| slots[*slot as usize].as_ref().map_or(0, |series| series.hash);
        shard.by_hash.insert_unique(hash, slot, rehash);
        self.series_count.fetch_add(1, Ordering::Relaxed);
        Some(slot)
    }

    /// Builds the index of all series anew, with so many threads. Nobody else may use the head meanwhile.
    pub(crate) fn index_all(&self, thread_count: usize) {
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.read()).collect();
        let slot_count = shards.iter().map(|shard| shard.slots.len()).max().unwrap_or(0);
        *self.index.write() = HeadIndex::build(thread_count, |visit| {
            // In order of their numbers.
            for slot in 0..slot_count {
                for (shard_number, shard) in shards.iter().enumerate() {
                    if let Some(Some(series)) = shard.slots.get(slot) {
                        visit(series_number(shard_number, slot as u32), series.labels.as_ref());
                    }
                }
            }
        });
    }

    /// Everything there is moves out of the way of new samples and is given out, sorted by labels. It stays
    /// readable until [`Self::flushed`], and stays for good after [`Self::not_flushed`].
    pub(crate) fn freeze(&self, tally: &mut Tally) -> Vec<FrozenSeries> {
        let mut frozen = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.write();
            for series in shard.slots.iter_mut().flatten() {
                let chunks = series.freeze(tally);
                if !chunks.is_empty() {
                    frozen.push(FrozenSeries { labels: series.labels.clone(), chunks });
                }
            }
        }
        frozen.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        frozen
    }

    /// What was frozen stays.
    pub(crate) fn not_flushed(&self) {
        for shard in &self.shards {
            shard.write().slots.iter_mut().flatten().for_each(Series::not_flushed);
        }
    }

    /// What was frozen is in blocks and goes; so do series without samples that are idle since `idle_before_ms`.
    pub(crate) fn flushed(&self, idle_before_ms: i64) -> Released {
        let mut released = Released::default();
        for (shard_number, shard) in self.shards.iter().enumerate() {
            let shard = &mut *shard.write();
            let (mut gone, mut key_places): (Vec<(u32, Labels)>, Vec<u32>) = Default::default();
            for (slot, place) in shard.slots.iter_mut().enumerate() {
                let Some(series) = place else { continue };
                let freed = series.flushed();
                released.bytes += freed.bytes;
                released.chunk_count += freed.chunk_count;
                if series.is_idle(idle_before_ms) {
                    released.bytes += series_bytes(series.labels.packed());
                    let (hash, slot) = (series.hash, slot as u32);
                    if let Ok(entry) = shard.by_hash.find_entry(hash, |other| *other == slot) {
                        entry.remove();
                    }
                    key_places.push(series.key_place);
                    gone.push((series_number(shard_number, slot), series.labels.clone()));
                    *place = None;
                    shard.free.push(slot);
                }
            }
            if gone.is_empty() {
                continue;
            }
            released.series_count += gone.len();
            self.series_count.fetch_sub(gone.len(), Ordering::Relaxed);
            {
                let mut keys = self.keys.write();
                key_places.into_iter().for_each(|place| keys.remove(place));
            }
            // Behind the keys: who looks one up after this does not find it.
            self.releases.fetch_add(1, Ordering::AcqRel);
            let mut index = self.index.write();
            for (number, labels) in gone {
                index.remove(number, &labels);
            }
        }
        if released.series_count > 0 {
            self.keys.write().settle();
        }
        released
    }
}

/// What a new series costs.
pub(crate) fn series_bytes(packed: &str) -> usize {
    SERIES_BYTES + packed.len()
}

/// A series on its way into a block.
#[derive(Debug)]
pub(crate) struct FrozenSeries {
    pub(crate) labels: Labels,
    /// In order of age of the write, oldest first.
    pub(crate) chunks: Vec<Arc<HeadChunk>>,
}

/// What a flush freed.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Released {
    pub(crate) bytes: usize,
    pub(crate) chunk_count: usize,
    pub(crate) series_count: usize,
}
