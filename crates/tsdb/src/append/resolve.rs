//! Which series a batch speaks of.
//!
//! Raw series are looked up by their keys first, all at once, without a lock on the head. Under the lock of its shard each
//! is then made certain of, found by its labels, or made; and its key is remembered.

use model::LabelsRef;
use storage::{BatchLabels, BatchSeries, InvalidLabels, RawLabels, RejectReason};

use super::deal::NOWHERE;
use super::{Append, Scratch, hash_labels};
use crate::head::keys::{NO_PLACE, NewKey};
use crate::head::{Shard, locate, shard_of};

/// A series of the batch, and what is known about it so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved {
    /// Of its packed labels; unknown while the slot is a hint.
    hash: u64,
    pub(super) shard: u8,
    pub(super) slot: Slot,
    /// Where the labels of a raw series are, if they were decoded.
    decoded: (u32, u32),
    /// Reserved for the key of a raw series that was not known, or `NO_PLACE`.
    key_place: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    Unknown,
    /// Here if nothing was released since; only the key is known.
    Hint(u32),
    At(u32),
    Refused(RejectReason),
}

impl Resolved {
    fn refused(reason: RejectReason) -> Self {
        let slot = Slot::Refused(reason);
        Self { hash: 0, shard: NOWHERE, slot, decoded: (0, 0), key_place: NO_PLACE }
    }

    fn hashed(labels: &str, decoded: (u32, u32)) -> Self {
        let hash = hash_labels(labels);
        let shard = shard_of(hash) as u8;
        Self { hash, shard, slot: Slot::Unknown, decoded, key_place: NO_PLACE }
    }

    #[inline]
    fn hint(number: u32) -> Self {
        let (shard, slot) = locate(number);
        let slot = Slot::Hint(slot as u32);
        Self { hash: 0, shard: shard as u8, slot, decoded: (0, 0), key_place: NO_PLACE }
    }

    /// Whether its labels were decoded to be looked up, and its key can be remembered.
    fn is_new_key(&self) -> bool {
        matches!(self.slot, Slot::Unknown) && self.decoded.1 > 0
    }

    /// By decoding raw labels, which are appended to `decoded`.
    #[cold]
    fn decode(raw: &RawLabels<'_>, decoded: &mut String) -> Self {
        let start = decoded.len();
        match raw.append_to(decoded) {
            Ok(()) => Self::hashed(&decoded[start..], (start as u32, decoded.len() as u32)),
            Err(InvalidLabels) => {
                decoded.truncate(start);
                Self::refused(RejectReason::InvalidLabels)
            }
        }
    }
}

/// The shard whose series are being looked up.
struct Resolving<'a> {
    /// Locked.
    shard: &'a mut Shard,
    shard_number: usize,
    /// Nothing was released since the keys were looked up.
    hints_hold: bool,
    decoded: &'a mut String,
    new_keys: &'a mut Vec<NewKey>,
}

impl Append<'_> {
    /// Finds out which shards the series belong to, and where they are if their keys are known.
    pub(super) fn place_series(&self, scratch: &mut Scratch) {
        let Scratch { series: resolved, decoded, key_places, .. } = scratch;
        resolved.clear();
        decoded.clear();
        let mut new_key_count = 0;
        let mut keys = None;
        resolved.extend((0..self.batch.series_count()).map(
            |at| match self.batch.labels(at as BatchSeries) {
                BatchLabels::Packed(labels) => Resolved::hashed(labels.packed(), (0, 0)),
                BatchLabels::Raw(raw) => {
                    let keys = keys.get_or_insert_with(|| self.tenant.head.keys.read());
                    match keys.find(raw.key) {
                        Some(number) => Resolved::hint(number),
                        None => {
                            let resolved = Resolved::decode(&raw, decoded);
                            new_key_count += usize::from(resolved.is_new_key());
                            resolved
                        }
                    }
                }
            },
        ));
        drop(keys);
        key_places.clear();
        if new_key_count > 0 {
            // In the order of the batch, because the next one will most likely be in the same.
            self.tenant.head.keys.reserve(new_key_count, key_places);
            let new_keys = resolved.iter_mut().filter(|resolved| resolved.is_new_key());
            for (resolved, place) in new_keys.zip(key_places.iter()) {
                resolved.key_place = *place;
            }
        }
    }

    /// Of keys that could not be remembered.
    pub(super) fn give_places_back(&self, scratch: &mut Scratch) {
        if scratch.key_places.is_empty() {
            return;
        }
        let unused = scratch.series.iter().map(|resolved| resolved.key_place);
        self.tenant.head.keys.give_back(unused.filter(|place| *place != NO_PLACE));
    }

    /// Finds the slots of all samples of a shard, which is locked.
    pub(super) fn resolve_shard(&mut self, shard: &mut Shard, shard_number: usize, scratch: &mut Scratch) {
        let Scratch { series: resolved, decoded, floats, histograms, .. } = scratch;
        let Scratch { accepted, accepted_histograms, new_keys, .. } = scratch;
        let hints_hold = self.tenant.head.releases() == self.releases;
        let mut resolving = Resolving { shard, shard_number, hints_hold, decoded, new_keys };
        let (series, timestamps_ms, _) = self.batch.float_columns();
        resolving.new_keys.clear();
        accepted.clear();
        for place in floats.of(shard_number) {
            let at = *place as usize;
            match self.resolve(&mut resolving, series[at], &mut resolved[series[at] as usize]) {
                Ok(slot) => accepted.push((slot, *place)),
                Err(reason) => self.outcome.reject(series[at], timestamps_ms[at], reason),
            }
        }
        accepted_histograms.clear();
        for place in histograms.of(shard_number) {
            let sample = &self.batch.histograms()[*place as usize];
            match self.resolve(&mut resolving, sample.series, &mut resolved[sample.series as usize]) {
                Ok(slot) => accepted_histograms.push((slot, *place)),
                Err(reason) => self.outcome.reject(sample.series, sample.timestamp_ms, reason),
            }
        }
    }

    #[inline]
    fn resolve(
        &mut self,
        resolving: &mut Resolving<'_>,
        series: BatchSeries,
        known: &mut Resolved,
    ) -> Result<u32, RejectReason> {
        match known.slot {
            Slot::At(slot) => Ok(slot),
            Slot::Hint(slot) if resolving.hints_hold => {
                known.slot = Slot::At(slot);
                Ok(slot)
            }
            Slot::Hint(_) => self.look_again(resolving, series, known),
            Slot::Refused(reason) => Err(reason),
            Slot::Unknown => self.find_or_create(resolving, series, known),
        }
    }

    /// Series were released since the key was looked up.
    #[cold]
    fn look_again(
        &mut self,
        resolving: &mut Resolving<'_>,
        series: BatchSeries,
        known: &mut Resolved,
    ) -> Result<u32, RejectReason> {
        let BatchLabels::Raw(raw) = self.batch.labels(series) else {
            unreachable!("BUG: only raw series have hints")
        };
        if let Some(number) = self.tenant.head.keys.read().find(raw.key) {
            // Under the lock of its shard, so that it stays: the same labels belong to the same shard.
            let (_, slot) = locate(number);
            known.slot = Slot::At(slot as u32);
            return Ok(slot as u32);
        }
        *known = Resolved::decode(&raw, resolving.decoded);
        match known.slot {
            Slot::Refused(reason) => Err(reason),
            _ => self.find_or_create(resolving, series, known),
        }
    }

    fn find_or_create(
        &mut self,
        resolving: &mut Resolving<'_>,
        series: BatchSeries,
        known: &mut Resolved,
    ) -> Result<u32, RejectReason> {
        let Resolving { shard, shard_number, decoded, new_keys, .. } = resolving;
        debug_assert_eq!(usize::from(known.shard), *shard_number, "BUG: a key led to another shard");
        let head = &self.tenant.head;
        let (labels, key) = match self.batch.labels(series) {
            BatchLabels::Packed(labels) => (labels, None),
            BatchLabels::Raw(raw) => {
                let packed = &decoded[known.decoded.0 as usize..known.decoded.1 as usize];
                (LabelsRef::from_packed_trusted(packed), Some(raw.key))
            }
        };
        let found = match head.find(shard, known.hash, labels) {
            Some(slot) => Ok(slot),
            None => head.create(shard, *shard_number, known.hash, labels, &self.limits).inspect(|_| {
                self.outcome.created_count += 1;
                self.outcome.tally.bytes += shard.take_new_bytes();
            }),
        };
        match found {
            Ok(slot) => {
                known.slot = Slot::At(slot);
                if let (Some(key), true) = (key, known.key_place != NO_PLACE) {
                    let place = std::mem::replace(&mut known.key_place, NO_PLACE);
                    new_keys.push(NewKey { slot, key, place });
                }
            }
            Err(reason) => known.slot = Slot::Refused(reason),
        }
        found
    }
}
