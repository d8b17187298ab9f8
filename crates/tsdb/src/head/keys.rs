//! Series by the key of their raw labels, so that pushed labels need no decoding once they are known.
//!
//! A hint only: whoever finds a number here looks, under the shard's lock, whether the series still goes by the
//! key. A series goes by the newest of its keys; so there is at most one entry for each series.
//!
//! Locks: each part has one. It may be taken under a shard's lock; who holds one takes no other lock but of a further
//! part, in order.

use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard};
use storage::SeriesKey;

const PARTS: usize = 16;

/// The half of the key that its place follows from, in two words, and the number of the series. The other half
/// is kept in the series.
#[derive(Debug, Clone, Copy)]
struct Entry([u32; 3]);

impl Entry {
    fn new(half: u64, number: u32) -> Self {
        Self([half as u32, (half >> 32) as u32, number])
    }

    fn half(&self) -> u64 {
        u64::from(self.0[1]) << 32 | u64::from(self.0[0])
    }
}

/// Keys of one tenant's series.
#[derive(Debug, Default)]
pub(crate) struct SeriesKeys {
    parts: [RwLock<HashTable<Entry>>; PARTS],
}

fn part_of(half: u64) -> usize {
    (half >> 40) as usize % PARTS
}

impl SeriesKeys {
    /// For looking up many keys; nobody can add any meanwhile.
    pub(crate) fn read(&self) -> ReadKeys<'_> {
        ReadKeys(std::array::from_fn(|part| self.parts[part].read()))
    }

    pub(super) fn insert(&self, key: SeriesKey, number: u32) {
        let [half, _] = key.halves();
        let mut part = self.parts[part_of(half)].write();
        match part.find_mut(half, |entry| entry.half() == half) {
            Some(entry) => *entry = Entry::new(half, number),
            None => {
                part.insert_unique(half, Entry::new(half, number), Entry::half);
            }
        }
    }

    pub(super) fn remove(&self, key: SeriesKey, number: u32) {
        let [half, _] = key.halves();
        let mut part = self.parts[part_of(half)].write();
        if let Ok(entry) = part.find_entry(half, |entry| entry.half() == half && entry.0[2] == number) {
            entry.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().len()).sum()
    }
}

/// All parts, locked for reading.
pub(crate) struct ReadKeys<'a>([RwLockReadGuard<'a, HashTable<Entry>>; PARTS]);

impl ReadKeys<'_> {
    /// The number of the series that may go by `key`.
    #[inline]
    pub(crate) fn find(&self, key: SeriesKey) -> Option<u32> {
        let [half, _] = key.halves();
        self.0[part_of(half)].find(half, |entry| entry.half() == half).map(|entry| entry.0[2])
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;
    use crate::append::hash_labels;
    use crate::head::{Head, SeriesLimits, series_number, shard_of};

    #[test]
    fn there_is_one_entry_for_each_series_and_it_goes_with_it() {
        let head = Head::default();
        let labels = Labels::from_pairs([("__name__", "a")]);
        let hash = hash_labels(labels.packed());
        let at = shard_of(hash);
        let limits = SeriesLimits {
            series_max: 1,
            labels_max: 1,
            name_bytes_max: 10,
            value_bytes_max: 10,
            full: false,
        };
        let slot = {
            let mut shard = head.shards[at].write();
            let slot = head.create(&mut shard, at, hash, labels.as_ref(), &limits).expect("created");
            for key in [1, 2, 1 << 70, 1 << 70] {
                head.remember(&mut shard, at, slot, SeriesKey::new(key));
            }
            slot
        };
        let (newest, before) = (SeriesKey::new(1 << 70), SeriesKey::new(2));
        assert_eq!(head.keys.read().find(newest), Some(series_number(at, slot)));
        assert_eq!(head.keys.read().find(before), None);
        assert_eq!(head.keys.len(), 1);
        let goes_by =
            |key| head.shards[at].read().slots[slot as usize].as_ref().is_some_and(|s| s.goes_by(key));
        assert!(goes_by(newest) && !goes_by(before));
        assert_eq!(head.flushed(i64::MAX).series_count, 1);
        assert_eq!(head.keys.len(), 0);
    }
}
