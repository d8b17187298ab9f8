//! Work on all series of a head, in slices: a shard's lock is held for well below a millisecond at a time, and handed to whoever
//! waits for it in between. Writes and queries go through all shards, so each of them would wait for each shard otherwise.

use parking_lot::{RwLock, RwLockWriteGuard};

use super::{SHARDS, Shard};

/// What is done in one slice, in units of about a tenth of a microsecond.
const SLICE_COST: usize = 4096;
/// What it costs to look at a slot.
const SLOT_COST: usize = 1;

/// Goes through the slots that the shards had when they were first met.
#[derive(Debug)]
pub(super) struct Slices<'a> {
    shards: &'a [RwLock<Shard>; SHARDS],
    shard_number: usize,
    /// The next slot of that shard.
    at: usize,
    /// What was added behind these since is new.
    end: Option<usize>,
}

/// Some slots of a shard, which is locked.
pub(super) struct Slice<'a> {
    pub(super) shard: RwLockWriteGuard<'a, Shard>,
    pub(super) shard_number: usize,
    at: usize,
    end: usize,
    cost: usize,
}

impl<'a> Slices<'a> {
    pub(super) fn new(shards: &'a [RwLock<Shard>; SHARDS]) -> Self {
        Self { shards, shard_number: 0, at: 0, end: None }
    }

    /// Locks the next shard that has slots left. To be ended with [`Self::end`] before the next one is asked for.
    pub(super) fn next(&mut self) -> Option<Slice<'a>> {
        while let Some(shard) = self.shards.get(self.shard_number) {
            let shard = shard.write();
            let end = (*self.end.get_or_insert(shard.slots.len())).min(shard.slots.len());
            if self.at < end {
                return Some(Slice { shard, shard_number: self.shard_number, at: self.at, end, cost: 0 });
            }
            (self.shard_number, self.at, self.end) = (self.shard_number + 1, 0, None);
        }
        None
    }

    /// Unlocks the shard of a slice. Whoever waits for it gets it, rather than the next slice.
    pub(super) fn end(&mut self, slice: Slice<'a>) {
        self.at = slice.at;
        RwLockWriteGuard::unlock_fair(slice.shard);
    }
}

impl Slice<'_> {
    /// The next slot, as long as there is one and the slice is not too much.
    #[inline]
    pub(super) fn next_slot(&mut self) -> Option<usize> {
        if self.at >= self.end || self.cost >= SLICE_COST {
            return None;
        }
        self.cost += SLOT_COST;
        self.at += 1;
        Some(self.at - 1)
    }

    /// Says that more was done than looking at a slot.
    #[inline]
    pub(super) fn spend(&mut self, cost: usize) {
        self.cost += cost;
    }
}
