//! The head: recent samples of one tenant in memory, in compressed chunks, with an index of their labels.
//!
//! Map: [`series`] one series · [`chunks`] its closed chunks · [`starts`] when its counter began · [`symbols`] label pairs, each kept
//! once · [`keys`] raw labels to series · [`index`] label values to series · [`release`] flushing, and series that stopped ·
//! [`slices`] work on all series · [`memory`] its account · this file: the shards that hold the series.
//!
//! Locks: each shard has one, the index and the symbols have one. A thread that holds a shard's lock may take the index's or
//! the journal's, never the other way round; the symbols' comes last of all; nobody holds two shards.
//!
//! Invariants: a series is looked up by a hash of its packed labels, and its labels are compared. Its number
//! (slot and shard) is used again after it was released, so whoever looks up numbers in the index and visits
//! shards later checks [`Head::releases`], and if that moved, the labels again.

pub(crate) mod chunks;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod memory;
pub(crate) mod release;
pub(crate) mod series;
mod slices;
mod starts;
pub(crate) mod symbols;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashTable;
use model::{Labels, LabelsRef};
use parking_lot::RwLock;
use stdx::memory::Budget;
use storage::RejectReason;

use self::index::HeadIndex;
use self::keys::{NewKey, SeriesKeys};
use self::series::Series;
use self::symbols::{Lists, ReadSymbols, Symbols};
use crate::select::Selected;
use crate::selections::SelectionCache;

/// Shards of one tenant. A power of two.
pub(crate) const SHARDS: usize = 16;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();
/// The most series of a shard: their numbers have 32 bits.
const SLOTS_MAX: usize = (1 << (32 - SHARD_BITS)) - 1;

/// What a series costs besides its samples and labels, in bytes, for the accountant: its slot (shards grow by a sixteenth), its
/// places in the table of hashes and in that of keys.
const SERIES_BYTES: usize = size_of::<Option<Series>>() * 33 / 32 + 8 + 32;
/// What a label costs besides its text and its number: about two bytes in a bitmap, and its share of the one of its name.
const LABEL_BYTES: usize = 3;

/// Recent samples of one tenant.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) shards: [RwLock<Shard>; SHARDS],
    pub(crate) index: RwLock<HeadIndex>,
    pub(crate) keys: SeriesKeys,
    symbols: Symbols,
    series_count: AtomicUsize,
    /// Goes up whenever numbers of series become free.
    releases: AtomicU64,
    /// What selectors found at a version of the index.
    pub(crate) selections: SelectionCache<Arc<Selected>>,
}

/// Most bytes of resolved selectors that are kept of a tenant: a million series.
const SELECTION_BYTES_MAX: usize = 4 << 20;

/// Part of a tenant's series.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    by_hash: HashTable<u32>,
    pub(crate) slots: Vec<Option<Series>>,
    free: Vec<u32>,
    /// Label pairs of the series.
    pairs: Lists,
    /// What series were added since [`Self::take_new_bytes`], in bytes.
    new_bytes: usize,
}

impl Shard {
    /// How many bytes new series take, asked for once.
    pub(crate) fn take_new_bytes(&mut self) -> i64 {
        std::mem::take(&mut self.new_bytes) as i64
    }

    /// What a series costs besides its samples and the text of its labels.
    fn series_bytes(&self, series: &Series) -> usize {
        SERIES_BYTES + self.pairs.len_of(series.labels) + self.pairs.get(series.labels).count() * LABEL_BYTES
    }

    /// Appends the packed labels of a series.
    pub(crate) fn append_labels(&self, series: &Series, symbols: &ReadSymbols<'_>, packed: &mut String) {
        symbols.append_to(self.pairs.get(series.labels), packed);
    }

    /// The labels of a series; `buffer` is only for the time being.
    pub(crate) fn labels(&self, series: &Series, symbols: &ReadSymbols<'_>, buffer: &mut String) -> Labels {
        symbols.labels(self.pairs.get(series.labels), buffer)
    }
}

/// The hash by which a shard's table finds a series, of the part that the series remembers.
fn table_hash(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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

impl Head {
    /// An empty head. What it keeps of selectors is taken from `budget`; its other memory is the engine's to count.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            index: RwLock::default(),
            keys: SeriesKeys::default(),
            symbols: Symbols::default(),
            series_count: AtomicUsize::new(0),
            releases: AtomicU64::new(0),
            selections: SelectionCache::new(budget.reserve_none(), SELECTION_BYTES_MAX),
        }
    }

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
        let mut symbols = None;
        let same = |slot: &u32| {
            let series = shard.slots[*slot as usize].as_ref();
            series.is_some_and(|series| {
                let symbols = symbols.get_or_insert_with(|| self.symbols.read());
                series.hash == hash as u32 && symbols.are(shard.pairs.get(series.labels), labels.packed())
            })
        };
        shard.by_hash.find(table_hash(hash as u32), same).copied()
    }

    /// For putting labels together.
    pub(crate) fn symbols(&self) -> ReadSymbols<'_> {
        self.symbols.read()
    }

    #[cfg(test)]
    pub(crate) fn symbols_are_unlocked(&self) -> bool {
        self.symbols.is_unlocked()
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
        let series = shard.slots[slot as usize].as_ref().expect("just inserted");
        let pairs = shard.pairs.get(series.labels);
        self.index.write().add(series_number(shard_number, slot), pairs, &self.symbols.read());
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
        let mut pairs = Vec::with_capacity(16);
        let new_bytes = self.symbols.intern(labels, &mut pairs);
        let Some(place) = shard.pairs.push(&pairs) else {
            self.symbols.release(pairs);
            shard.free.push(slot);
            return None;
        };
        let series = Series::new(place, hash as u32);
        shard.new_bytes += new_bytes + shard.series_bytes(&series);
        shard.slots[slot as usize] = Some(series);
        let slots = &shard.slots;
        let rehash = |slot: &u32| slots[*slot as usize].as_ref().map_or(0, |series| table_hash(series.hash));
        shard.by_hash.insert_unique(table_hash(hash as u32), slot, rehash);
        self.series_count.fetch_add(1, Ordering::Relaxed);
        Some(slot)
    }

    /// Builds the index of all series anew, with so many threads. Nobody else may use the head meanwhile.
    pub(crate) fn index_all(&self, thread_count: usize) {
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.read()).collect();
        let slot_count = shards.iter().map(|shard| shard.slots.len()).max().unwrap_or(0);
        let symbols = self.symbols.read();
        *self.index.write() = HeadIndex::build(thread_count, &symbols, |visit| {
            // In order of their numbers.
            for slot in 0..slot_count {
                for (shard_number, shard) in shards.iter().enumerate() {
                    if let Some(Some(series)) = shard.slots.get(slot) {
                        visit(series_number(shard_number, slot as u32), shard.pairs.get(series.labels));
                    }
                }
            }
        });
    }
}
