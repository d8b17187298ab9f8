//! Series by the key of their raw labels, so that pushed labels need no decoding once they are known.
//!
//! Clients send the same series in the same order each time. So entries lie in the order in which they came first, and
//! the entry behind the last one found is nearly always the next: most lookups are one comparison, in memory that is
//! read in sequence. Only where that fails, a table of places is asked, at the price of two or three cache misses.
//!
//! Invariants: an entry belongs to one living series, which knows its place; a series goes by the newest of its keys. So there
//! are no more entries than series, and places on loan to batches that are being written ([`SeriesKeys::reserve`]).
//! Entries go before the series does. So what was found here is right as long as [`super::Head::releases`] has not moved
//! since before it was looked up, which is looked at under the lock of the series' shard.
//!
//! Locks: one, which may be taken under a shard's; who holds it takes no other.

use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard};
use storage::SeriesKey;

/// The table's parts, so that none takes long to grow.
const PARTS: usize = 16;
/// Entries are allocated so many at a time, and never move.
const BLOCK: usize = 1024;
/// No place, or no series.
pub(crate) const NO_PLACE: u32 = u32::MAX;

/// A key in four words, and the number of its series: 20 bytes rather than 24.
#[derive(Debug, Clone, Copy)]
struct Entry([u32; 5]);

impl Entry {
    /// No key has a first half of 0.
    const VACANT: Self = Self([0; 5]);

    fn new(key: SeriesKey, number: u32) -> Self {
        let [first, second] = key.halves();
        Self([first as u32, (first >> 32) as u32, second as u32, (second >> 32) as u32, number])
    }

    #[inline]
    fn halves(&self) -> [u64; 2] {
        let [a, b, c, d, _] = self.0.map(u64::from);
        [b << 32 | a, d << 32 | c]
    }

    #[inline]
    fn is(&self, key: SeriesKey) -> bool {
        self.halves() == key.halves()
    }

    fn number(&self) -> u32 {
        self.0[4]
    }
}

/// A key that a series goes by from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewKey {
    pub(crate) slot: u32,
    pub(crate) key: SeriesKey,
    /// Reserved for it.
    pub(crate) place: u32,
}

/// Keys of one tenant's series.
#[derive(Debug, Default)]
pub(crate) struct SeriesKeys(RwLock<Sequence>);

/// Entries in the order they came, and where to find them.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    blocks: Vec<Box<[Entry]>>,
    /// Places given out so far, vacant ones included.
    len: u32,
    /// Places behind entries that are gone; the next one to use last.
    free: Vec<u32>,
    parts: [HashTable<u32>; PARTS],
}

fn part_of(half: u64) -> usize {
    (half >> 40) as usize % PARTS
}

impl SeriesKeys {
    /// For looking up many keys; nobody can add any meanwhile.
    pub(crate) fn read(&self) -> ReadKeys<'_> {
        ReadKeys { sequence: self.0.read(), expected: 0 }
    }

    /// Appends `count` places to `places`, in order, for keys that come one after the other. Each is to be filled
    /// by `Head::remember` or given back.
    pub(crate) fn reserve(&self, count: usize, places: &mut Vec<u32>) {
        let mut sequence = self.0.write();
        for _ in 0..count {
            let place = sequence.reserve();
            places.push(place);
        }
    }

    /// Takes back places that were not filled.
    pub(crate) fn give_back(&self, places: impl IntoIterator<Item = u32>) {
        self.0.write().free.extend(places);
    }

    /// Gives memory back after many series are gone, and lets series that come next fill the gaps in order. With `pause` now
    /// and then, when nothing is locked.
    pub(super) fn settle(&self, mut pause: impl FnMut()) {
        // Whoever needs a place meanwhile gets a new one.
        let mut free = std::mem::take(&mut self.0.write().free);
        free.sort_unstable_by(|a, b| b.cmp(a));
        self.0.write().settle(free);
        for part in 0..PARTS {
            pause();
            self.0.write().settle_part(part);
        }
    }

    /// For changes; whoever makes them holds the shards of the series.
    pub(super) fn write(&self) -> parking_lot::RwLockWriteGuard<'_, Sequence> {
        self.0.write()
    }

    #[cfg(test)]
    pub(crate) fn is_unlocked(&self) -> bool {
        self.0.try_write().is_some()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.read().parts.iter().map(HashTable::len).sum()
    }
}

impl Sequence {
    #[inline]
    fn entry(&self, place: u32) -> Option<&Entry> {
        self.blocks.get(place as usize / BLOCK).map(|block| &block[place as usize % BLOCK])
    }

    fn set(&mut self, place: u32, entry: Entry) {
        self.blocks[place as usize / BLOCK][place as usize % BLOCK] = entry;
    }

    fn reserve(&mut self) -> u32 {
        if let Some(place) = self.free.pop() {
            return place;
        }
        let place = self.len;
        if place as usize == self.blocks.len() * BLOCK {
            self.blocks.push(vec![Entry::VACANT; BLOCK].into_boxed_slice());
        }
        self.len += 1;
        place
    }

    /// Whether the entry at `place` is of `key`.
    pub(super) fn is_of(&self, place: u32, key: SeriesKey) -> bool {
        self.entry(place).is_some_and(|entry| entry.is(key))
    }

    /// Fills a place that was reserved.
    pub(super) fn fill(&mut self, place: u32, key: SeriesKey, number: u32) {
        self.set(place, Entry::new(key, number));
        let (blocks, half) = (&self.blocks, key.halves()[0]);
        self.parts[part_of(half)].insert_unique(half, place, |place| {
            blocks[*place as usize / BLOCK][*place as usize % BLOCK].halves()[0]
        });
    }

    /// Vacates a place that was reserved or filled.
    pub(super) fn remove(&mut self, place: u32) {
        let Some(entry) = self.entry(place) else { return };
        let half = entry.halves()[0];
        if let Ok(found) = self.parts[part_of(half)].find_entry(half, |other| *other == place) {
            found.remove();
        }
        self.set(place, Entry::VACANT);
        self.free.push(place);
    }

    /// Gives memory of entries back. `free` are places behind entries that are gone, sorted: the next one to use last.
    fn settle(&mut self, mut free: Vec<u32>) {
        // What came meanwhile will be in order the next time.
        free.append(&mut self.free);
        let at_the_end = free.iter().zip((0..self.len).rev()).take_while(|(a, b)| *a == b).count();
        free.drain(..at_the_end);
        self.len -= at_the_end as u32;
        self.blocks.truncate((self.len as usize).div_ceil(BLOCK));
        self.blocks.shrink_to_fit();
        free.shrink_to_fit();
        self.free = free;
    }

    /// Gives memory of a part of the table back.
    fn settle_part(&mut self, part: usize) {
        let (blocks, part) = (&self.blocks, &mut self.parts[part]);
        if part.len() < part.capacity() / 4 {
            part.shrink_to(part.len(), |place| {
                blocks[*place as usize / BLOCK][*place as usize % BLOCK].halves()[0]
            });
        }
    }
}

/// Keys, locked for reading.
pub(crate) struct ReadKeys<'a> {
    sequence: RwLockReadGuard<'a, Sequence>,
    /// Where the next key most likely is.
    expected: u32,
}

impl ReadKeys<'_> {
    /// The number of the series that goes by `key`.
    #[inline]
    pub(crate) fn find(&mut self, key: SeriesKey) -> Option<u32> {
        match self.sequence.entry(self.expected) {
            Some(entry) if entry.is(key) => {
                self.expected += 1;
                Some(entry.number())
            }
            _ => self.look_up(key),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, key: SeriesKey) -> Option<u32> {
        let [half, _] = key.halves();
        let place = *self.sequence.parts[part_of(half)]
            .find(half, |place| self.sequence.entry(*place).is_some_and(|entry| entry.is(key)))?;
        self.expected = place + 1;
        self.sequence.entry(place).map(Entry::number)
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;
    use crate::append::hash_labels;
    use crate::head::{Head, SeriesLimits, series_number, shard_of};

    /// Makes a series of this name, if need be, and lets it go by `key`, as one of a batch.
    fn push(head: &Head, name: &str, key: SeriesKey) -> u32 {
        let labels = Labels::from_pairs([("__name__", name)]);
        let hash = hash_labels(labels.packed());
        let at = shard_of(hash);
        let limits = SeriesLimits {
            series_max: 10_000,
            labels_max: 1,
            name_bytes_max: 10,
            value_bytes_max: 10,
            full: false,
        };
        let mut places = Vec::new();
        head.keys.reserve(1, &mut places);
        let mut shard = head.shards[at].write();
        let found = head.find(&shard, hash, labels.as_ref());
        let slot = found
            .unwrap_or_else(|| head.create(&mut shard, at, hash, labels.as_ref(), &limits).expect("created"));
        head.remember(&mut shard, at, &[NewKey { slot, key, place: places[0] }]);
        series_number(at, slot)
    }

    #[test]
    fn there_is_one_entry_for_each_series_and_it_goes_with_it() {
        let head = Head::new(&stdx::memory::Budget::unlimited());
        let (newest, before) = (SeriesKey::new(1 << 70), SeriesKey::new(2));
        for key in [SeriesKey::new(1), before, newest, newest] {
            push(&head, "a", key);
        }
        let number = push(&head, "a", newest);
        assert_eq!(head.keys.read().find(newest), Some(number));
        assert_eq!(head.keys.read().find(before), None);
        assert_eq!(head.keys.len(), 1);
        let releases = head.releases();
        assert_eq!(head.flushed(i64::MAX, || ()).series_count, 1);
        assert_eq!((head.keys.len(), head.keys.read().find(newest)), (0, None));
        assert!(head.releases() > releases, "whoever found the number before must learn that it is gone");
        assert_eq!((head.keys.0.read().len, head.keys.0.read().blocks.len()), (0, 0), "memory is given back");
    }

    #[test]
    fn keys_are_found_in_any_order_and_places_are_used_again() {
        let head = Head::new(&stdx::memory::Budget::unlimited());
        let count = 3 * BLOCK as u128;
        let key = |at: u128| SeriesKey::new(xxhash_rust::xxh3::xxh3_128(&at.to_le_bytes()));
        let numbers: Vec<u32> = (0..count).map(|at| push(&head, &format!("s{at}"), key(at))).collect();
        let check = |at: u128, keys: &mut ReadKeys<'_>| {
            assert_eq!(keys.find(key(at)), Some(numbers[at as usize]), "{at}");
        };
        let mut keys = head.keys.read();
        (0..count).for_each(|at| check(at, &mut keys));
        (0..count).rev().for_each(|at| check(at, &mut keys));
        assert_eq!(keys.find(key(count)), None);
        drop(keys);
        let places: Vec<u32> = (1..=10).collect();
        {
            let mut sequence = head.keys.write();
            places.iter().rev().for_each(|place| sequence.remove(*place));
        }
        head.keys.settle(|| ());
        let mut again = Vec::new();
        head.keys.reserve(11, &mut again);
        assert_eq!((&again[..10], again[10]), (&places[..], count as u32));
        head.keys.give_back(again);
        let mut keys = head.keys.read();
        assert_eq!(keys.find(key(5)), None);
        (11..count).for_each(|at| check(at, &mut keys));
    }
}
