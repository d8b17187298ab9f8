//! When groups are evaluated: at fixed slots of time, spread over the interval by a hash of file and name.
//!
//! A slot depends on nothing but the group's file, name and interval, so a server that is started anew goes on with the same ones.

use xxhash_rust::xxh3::xxh3_64;

/// The slots of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots {
    interval_ms: i64,
    offset_ms: i64,
}

impl Slots {
    pub(crate) fn new(file: &str, group: &str, interval_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        let hash = xxh3_64(format!("{file};{group}").as_bytes());
        let offset_ms = (hash % interval_ms.unsigned_abs()).cast_signed();
        Self { interval_ms, offset_ms }
    }

    /// The last slot that is not after `now_ms`.
    pub(crate) fn at(self, now_ms: i64) -> i64 {
        (now_ms - self.offset_ms).div_euclid(self.interval_ms) * self.interval_ms + self.offset_ms
    }

    /// Slots from a time on, before another.
    pub(crate) fn between(self, from_ms: i64, before_ms: i64) -> impl Iterator<Item = i64> {
        let at_ms = self.at(from_ms);
        let first_ms = if at_ms < from_ms { at_ms + self.interval_ms } else { at_ms };
        (0..)
            .map(move |count| first_ms + count * self.interval_ms)
            .take_while(move |slot_ms| *slot_ms < before_ms)
    }

    /// The first slot of a group that is new at `now_ms`.
    pub(crate) fn first(self, now_ms: i64) -> i64 {
        self.at(now_ms) + self.interval_ms
    }

    /// What to do now instead of `due_ms`, which is not in the future: the newest slot, and how many were left out for it.
    pub(crate) fn newest(self, due_ms: i64, now_ms: i64) -> (i64, u64) {
        let newest_ms = self.at(now_ms).max(due_ms);
        (newest_ms, ((newest_ms - due_ms) / self.interval_ms).unsigned_abs())
    }

    /// The slot after `done_ms`. When the clock was set back, that is not the one of yore but the next.
    pub(crate) fn next(self, done_ms: i64, now_ms: i64) -> i64 {
        if now_ms < done_ms - self.interval_ms { self.first(now_ms) } else { done_ms + self.interval_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_an_interval_apart_and_the_same_after_a_restart() {
        let slots = Slots::new("a.yml", "g", 60_000);
        assert_eq!(slots, Slots::new("a.yml", "g", 60_000));
        for now_ms in [-1, 0, 1, 1_700_000_000_000, 1_700_000_059_999] {
            let at_ms = slots.at(now_ms);
            assert!(at_ms <= now_ms && now_ms < at_ms + 60_000, "{at_ms} of {now_ms}");
            assert_eq!(slots.first(now_ms), at_ms + 60_000);
            assert_eq!(slots.at(at_ms), at_ms);
        }
    }

    #[test]
    fn groups_are_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for group in 0..1_000 {
            let offset_ms = Slots::new("a.yml", &format!("group {group}"), 60_000).at(59_999);
            tenths[usize::try_from(offset_ms / 6_000).expect("within the interval")] += 1;
        }
        assert!(tenths.iter().all(|count| (50..200).contains(count)), "{tenths:?}");
    }

    #[test]
    fn slots_that_were_slept_through_are_counted_and_left_out() {
        let slots = Slots { interval_ms: 10, offset_ms: 3 };
        assert_eq!(slots.newest(13, 13), (13, 0));
        assert_eq!(slots.newest(13, 22), (13, 0));
        assert_eq!(slots.newest(13, 49), (43, 3));
        assert_eq!(slots.next(43, 49), 53);
    }

    #[test]
    fn slots_between_two_times_are_all_that_were_missed() {
        let slots = Slots { interval_ms: 10, offset_ms: 3 };
        let between = |from_ms, before_ms| Vec::from_iter(slots.between(from_ms, before_ms));
        assert_eq!(between(13, 43), [13, 23, 33]);
        assert_eq!(between(14, 44), [23, 33, 43]);
        assert_eq!(between(14, 23), [0; 0]);
        assert_eq!(between(50, 20), [0; 0]);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_a_group() {
        let slots = Slots { interval_ms: 10, offset_ms: 3 };
        assert_eq!(slots.next(1_003, 995), 1_013, "a little: the slot stays");
        assert_eq!(slots.next(1_003, 504), 513);
    }
}
