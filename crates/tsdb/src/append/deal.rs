//! Samples of a batch dealt to shards.

use crate::head::SHARDS;

/// Instead of a shard: the sample is refused.
pub(super) const NOWHERE: u8 = u8::MAX;
const _: () = assert!(SHARDS < NOWHERE as usize);

/// Places of a batch sorted by shard, keeping their order (a counting sort).
#[derive(Debug, Default)]
pub(super) struct Deal {
    places: Vec<u32>,
    ends: [u32; SHARDS],
}

impl Deal {
    /// By the shard of each place.
    pub(super) fn sort(&mut self, shards: &[u8]) {
        let mut next = [0u32; SHARDS];
        for shard in shards {
            if let Some(next) = next.get_mut(usize::from(*shard)) {
                *next += 1;
            }
        }
        let mut sum = 0;
        for (next, end) in next.iter_mut().zip(&mut self.ends) {
            sum += std::mem::replace(next, sum);
            *end = sum;
        }
        self.places.clear();
        self.places.resize(sum as usize, 0);
        for (place, shard) in shards.iter().enumerate() {
            if let Some(next) = next.get_mut(usize::from(*shard)) {
                self.places[*next as usize] = place as u32;
                *next += 1;
            }
        }
    }

    /// Places of one shard.
    pub(super) fn of(&self, shard: usize) -> &[u32] {
        let start = if shard == 0 { 0 } else { self.ends[shard - 1] };
        &self.places[start as usize..self.ends[shard] as usize]
    }
}
