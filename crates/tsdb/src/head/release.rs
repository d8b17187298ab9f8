//! How samples leave the head into blocks, and how series that stopped leave it.
//!
//! Invariants: one flush at a time; between [`Head::freeze`] and [`Head::flushed`] or [`Head::not_flushed`] no series goes.

use std::sync::atomic::Ordering;

use parking_lot::RwLockWriteGuard;

use super::chunks::HeadChunk;
use super::series::{Series, Tally};
use super::slices::Slices;
use super::{Head, Shard, locate, series_number};

/// Which series a flush is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    /// Those that stopped.
    Stopped,
}

/// What [`Head::look`] saw.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) series_count: usize,
    pub(crate) stopped_count: usize,
}

/// What a flush freed.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Released {
    pub(crate) bytes: usize,
    pub(crate) chunk_count: usize,
    pub(crate) series_count: usize,
}

impl Head {
    /// What there is moves out of the way of new samples. Answers which series that are. It stays readable until [`Self::flushed`],
    /// and stays for good after [`Self::not_flushed`]. `visit` sees the chunks.
    ///
    /// Done in slices, with `pause` in between, while no lock is held: what is written meanwhile is frozen or not.
    pub(crate) fn freeze(
        &self,
        which: Flushed,
        tally: &mut Tally,
        mut visit: impl FnMut(&HeadChunk),
        mut pause: impl FnMut(),
    ) -> FrozenSeries {
        let mut frozen = FrozenSeries::default();
        let mut slices = Slices::new(&self.shards);
        while let Some(mut slice) = slices.next() {
            while let Some(slot) = slice.next_slot() {
                let Shard { slots, pairs, .. } = &mut *slice.shard;
                let Some(series) = slots[slot].as_mut() else { continue };
                if (which == Flushed::All || series.has_stopped()) && series.freeze(tally) {
                    series.frozen().iter().for_each(&mut visit);
                    frozen.push(series_number(slice.shard_number, slot as u32), pairs.get(series.labels));
                    slice.spend(FREEZE_COST);
                }
            }
            slices.end(slice);
            frozen.make_room();
            pause();
        }
        frozen
    }

    /// The place of each label pair in order of names, then values, by its number: of all pairs that there are now.
    pub(crate) fn ranks(&self, mut pause: impl FnMut()) -> Vec<u32> {
        let (mut ranks, mut rank, mut last) = (Vec::new(), 0, None);
        loop {
            // Pairs that come meanwhile are of new series. Others do not go: only flushes release series.
            last = self.index.read().rank_some(last.as_deref(), &mut rank, &mut ranks);
            if last.is_none() {
                return ranks;
            }
            pause();
        }
    }

    /// What of a series is on its way into a block: appends its packed labels, and the chunks that `wanted` says yes to.
    pub(crate) fn frozen(
        &self,
        number: u32,
        mut wanted: impl FnMut(&HeadChunk) -> bool,
        packed: &mut String,
        chunks: &mut Vec<HeadChunk>,
    ) {
        let (shard, slot) = locate(number);
        let shard = self.shards[shard].read();
        let Some(Some(series)) = shard.slots.get(slot) else { return };
        chunks.extend(series.frozen().iter().filter(|chunk| wanted(chunk)).cloned());
        if !chunks.is_empty() {
            shard.append_labels(series, &self.symbols.read(), packed);
        }
    }

    /// What was frozen stays.
    pub(crate) fn not_flushed(&self, mut pause: impl FnMut()) {
        let mut slices = Slices::new(&self.shards);
        while let Some(mut slice) = slices.next() {
            while let Some(slot) = slice.next_slot() {
                slice.shard.slots[slot].iter_mut().for_each(Series::not_flushed);
            }
            slices.end(slice);
            pause();
        }
    }

    /// What was frozen is in blocks and goes; so do series without samples that stopped, or whose newest is older than
    /// `idle_before_ms`. Done in slices, as [`Self::freeze`].
    pub(crate) fn flushed(&self, idle_before_ms: i64, mut pause: impl FnMut()) -> Released {
        let mut released = Released::default();
        let mut gone: Vec<u32> = Vec::new();
        // Freed when no lock is held: that takes longer than all else.
        let mut chunks_gone: Vec<HeadChunk> = Vec::new();
        let mut slices = Slices::new(&self.shards);
        while let Some(mut slice) = slices.next() {
            while let Some(slot) = slice.next_slot() {
                let Some(series) = slice.shard.slots[slot].as_mut() else { continue };
                let freed = series.flushed(&mut chunks_gone);
                released.bytes += freed.bytes;
                released.chunk_count += freed.chunk_count;
                let is_idle = series.is_idle(idle_before_ms);
                slice.spend(freed.chunk_count * FORGET_COST);
                if is_idle {
                    gone.push(slot as u32);
                    slice.spend(RELEASE_COST);
                }
            }
            if !gone.is_empty() {
                released.series_count += gone.len();
                released.bytes += self.release(&mut slice.shard, slice.shard_number, &gone);
                gone.clear();
            }
            slices.end(slice);
            chunks_gone.clear();
            pause();
        }
        if released.series_count > 0 {
            for shard in &self.shards {
                let mut shard = shard.write();
                shard.settle();
                RwLockWriteGuard::unlock_fair(shard);
                pause();
            }
            self.keys.settle(pause);
        }
        released
    }

    /// Takes series out of a shard. Answers how many bytes that frees.
    fn release(&self, shard: &mut Shard, shard_number: usize, gone: &[u32]) -> usize {
        let mut bytes = 0;
        let mut is_untidy = false;
        let mut pairs_gone: Vec<u32> = Vec::new();
        let mut series_gone: Vec<(u32, Series)> = Vec::with_capacity(gone.len());
        for slot in gone {
            series_gone.extend(shard.slots[*slot as usize].take().map(|series| (*slot, series)));
        }
        {
            let mut keys = self.keys.write();
            series_gone.iter().for_each(|(_, series)| keys.remove(series.key_place));
        }
        // Behind the keys: who looks one up after this does not find it.
        self.releases.fetch_add(1, Ordering::AcqRel);
        {
            let (mut index, symbols) = (self.index.write(), self.symbols.read());
            for (slot, series) in &series_gone {
                let hash = super::table_hash(series.hash);
                if let Ok(entry) = shard.by_hash.find_entry(hash, |other| other == slot) {
                    entry.remove();
                }
                bytes += shard.series_bytes(series);
                let pairs = shard.pairs.get(series.labels);
                index.remove(series_number(shard_number, *slot), pairs.clone(), &symbols);
                pairs_gone.extend(pairs);
            }
        }
        for (slot, series) in series_gone {
            is_untidy = shard.pairs.forget(series.labels);
            shard.free.push(slot);
        }
        self.series_count.fetch_sub(gone.len(), Ordering::Relaxed);
        if is_untidy {
            let places = shard.slots.iter_mut().flatten().map(|series| &mut series.labels);
            shard.pairs = shard.pairs.tidied(places);
        }
        bytes + self.symbols.release(pairs_gone)
    }

    /// Looks which series had samples since the last look; to be called about once a minute.
    pub(crate) fn look(&self, mut pause: impl FnMut()) -> Look {
        let mut look = Look::default();
        let mut slices = Slices::new(&self.shards);
        while let Some(mut slice) = slices.next() {
            while let Some(slot) = slice.next_slot() {
                let Some(series) = slice.shard.slots[slot].as_mut() else { continue };
                series.look();
                look.series_count += 1;
                look.stopped_count += usize::from(series.has_stopped());
            }
            slices.end(slice);
            pause();
        }
        look
    }
}

impl Shard {
    /// Gives memory back after series are gone, and lets new ones fill the gaps from the front, so that the end becomes free.
    fn settle(&mut self) {
        let used = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.slots.truncate(used);
        if self.slots.capacity() > used + used / 4 + 64 {
            self.slots.shrink_to(used + used / 16);
        }
        self.free.retain(|slot| (*slot as usize) < used);
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        self.free.shrink_to_fit();
        if self.by_hash.len() < self.by_hash.capacity() / 4 {
            let slots = &self.slots;
            let hash = |slot: &u32| {
                slots[*slot as usize].as_ref().map_or(0, |series| super::table_hash(series.hash))
            };
            self.by_hash.shrink_to(self.by_hash.len(), hash);
        }
    }
}

/// Series to be sorted by their labels.
#[derive(Debug, Default)]
pub(crate) struct FrozenSeries {
    /// Number, and where in `pairs` those of the series begin.
    series: Vec<(u32, u32)>,
    pairs: Vec<u32>,
}

impl FrozenSeries {
    fn push(&mut self, number: u32, pairs: impl Iterator<Item = u32>) {
        self.series.push((number, self.pairs.len() as u32));
        self.pairs.extend(pairs);
        self.pairs.push(END);
    }

    /// Grows when no lock is held: that moves hundreds of megabytes.
    fn make_room(&mut self) {
        self.series.reserve(SLICE_SERIES);
        self.pairs.reserve(SLICE_SERIES * PAIRS_TYPICAL);
    }

    /// By the places of their pairs among all pairs. Numbers are compared, not text: many series share most pairs.
    pub(crate) fn sorted(mut self, ranks: &[u32]) -> Vec<u32> {
        for pair in &mut self.pairs {
            *pair = ranks.get(*pair as usize).copied().unwrap_or(0);
        }
        let pairs = &self.pairs;
        let from = |start: u32| pairs[start as usize..].iter();
        // Each ends with what is less than all ranks. No two series have the same labels, so none is compared beyond its end.
        self.series.sort_unstable_by(|a, b| from(a.1).cmp(from(b.1)));
        self.series.into_iter().map(|(number, _)| number).collect()
    }
}

/// What freezing a series, dropping a chunk and releasing a series cost, as [`Slices`] count it.
const FREEZE_COST: usize = 16;
const FORGET_COST: usize = 1;
const RELEASE_COST: usize = 40;
/// About as many series are frozen in a slice, with so many label pairs each.
const SLICE_SERIES: usize = 256;
const PAIRS_TYPICAL: usize = 20;

/// Ends the pairs of a series; no pair has this number.
const END: u32 = u32::MAX;
