//! When a target is scraped.
//!
//! Every target has a grid of slots: wall-clock times that are a multiple of its interval plus an offset, which
//! a hash of the target and a seed of the process spread over the interval. So neighbours do not scrape in one
//! herd, two servers scrape the same target at different times, and a restarted loop finds its old slots again.
//! The wall clock is asked anew for each slot: when somebody sets it, the grid simply goes on.

/// So many slots are told apart within an interval. Targets of the same slot share what waking up for them costs, which is most of
/// what a small scrape costs; and thousands of targets are still spread evenly.
const STEPS: i64 = 1_000;

/// The slots of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    interval_ms: i64,
    /// In `[0, interval_ms)`.
    offset_ms: i64,
}

impl Grid {
    /// Slots each `interval_ms` (at least 1), at an offset that `hash` decides.
    pub(crate) fn new(interval_ms: i64, hash: u64) -> Self {
        let interval_ms = interval_ms.max(1);
        let step_ms = (interval_ms / STEPS).max(1);
        let offset_ms = i64::try_from(hash % interval_ms.unsigned_abs()).unwrap_or(0);
        Self { interval_ms, offset_ms: offset_ms - offset_ms % step_ms }
    }

    /// Distance of slots.
    pub(crate) fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// The first slot after `now_ms` that is not `last_ms` again (a timer may fire a little before its slot).
    pub(crate) fn next(self, now_ms: i64, last_ms: Option<i64>) -> i64 {
        let into_interval = (now_ms - self.offset_ms).rem_euclid(self.interval_ms);
        let next_ms = now_ms - into_interval + self.interval_ms;
        match last_ms {
            // A last slot that is more than an interval ahead was kept under a clock that has been set back.
            Some(last_ms) if next_ms <= last_ms && last_ms - now_ms <= self.interval_ms => {
                last_ms + self.interval_ms
            }
            _ => next_ms,
        }
    }

    /// The timestamp of a scrape that began at `now_ms` for `slot_ms`: the slot if it is within 2 ms or 1 % of
    /// the interval, so that timestamps compress to nothing; else the truth.
    pub(crate) fn align(self, now_ms: i64, slot_ms: i64) -> i64 {
        let tolerance_ms = (self.interval_ms / 100).max(2);
        if (now_ms - slot_ms).abs() <= tolerance_ms { slot_ms } else { now_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_a_fixed_grid_of_wall_clock_time() {
        let grid = Grid::new(15_000, 15_000 * 7 + 4_010);
        assert_eq!(grid.next(0, None), 4_005);
        assert_eq!(grid.next(4_005, Some(4_005)), 19_005);
        assert_eq!(grid.next(19_004, Some(4_005)), 19_005);
        assert_eq!(grid.next(19_004, Some(19_005)), 34_005, "the timer fired early");
        assert_eq!(grid.next(100_000, Some(19_005)), 109_005, "missed slots are not made up for");
        assert_eq!(grid.next(20_000, Some(500_000_000)), 34_005, "the clock was set back");
        assert_eq!(grid.next(-1, None), 4_005);
    }

    #[test]
    fn offsets_spread_over_the_interval() {
        let random = stdx::rand::SeededRandom::new(1);
        let mut buckets = [0; 10];
        for _ in 0..10_000 {
            let slot = Grid::new(10_000, stdx::rand::Random::next_u64(&random)).next(0, None);
            buckets[usize::try_from((slot - 1) / 1_000).expect("not negative")] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1_150).contains(count)), "{buckets:?}");
    }

    #[test]
    fn slots_of_neighbours_coincide() {
        let slots: std::collections::BTreeSet<_> =
            (0..100_000).map(|hash| Grid::new(15_000, hash).next(0, None)).collect();
        assert_eq!((slots.len() as i64, slots.first(), slots.last()), (STEPS, Some(&15), Some(&15_000)));
        let short: std::collections::BTreeSet<_> =
            (0..1_000).map(|hash| Grid::new(500, hash).next(0, None)).collect();
        assert_eq!(short.len(), 500);
    }

    #[test]
    fn timestamps_near_their_slot_are_the_slot() {
        let check = |interval_ms, late_ms: i64, want_late_ms: i64| {
            assert_eq!(Grid::new(interval_ms, 0).align(900_000 + late_ms, 900_000), 900_000 + want_late_ms);
        };
        check(15_000, 0, 0);
        check(15_000, 150, 0);
        check(15_000, 151, 151);
        check(15_000, -150, 0);
        check(100, 2, 0);
        check(100, 3, 3);
        check(1, 1, 0);
    }
}
