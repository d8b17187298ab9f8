//! What has changed since somebody looked, so that results of queries can be kept and still be exact.
//!
//! Writes mostly touch the present. So it is enough to know, for each version that somebody may have seen, the oldest time
//! that was touched since: everything before it is as it was.

use parking_lot::Mutex;

/// Entries of a log; more are merged in pairs, which makes the answer about old versions more careful, never wrong.
const ENTRIES_MAX: usize = 1_024;
/// Times are rounded down to multiples of this, so that samples that come a little out of order share an entry.
const GRAIN_MS: i64 = 250;

/// What has changed in a tenant's data since a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// The version now: ask with it the next time.
    pub version: u64,
    /// Samples of this time and later may have been written, replaced or deleted; `i64::MAX` if none were.
    pub touched_from_ms: i64,
    /// Samples before this time may have gone; `i64::MIN` if none have.
    pub gone_before_ms: i64,
}

/// Notes what changes in a tenant's data.
#[derive(Debug, Default)]
pub struct ChangeLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// Versions and times, both rising: since before this version, the oldest touched time is this one. What is newer than a
    /// later touch says nothing that the later one does not say, and is dropped.
    touched: Vec<(u64, i64)>,
    /// Version and bound of what has gone at the old end.
    gone: Option<(u64, i64)>,
}

impl ChangeLog {
    /// Samples of this time and later were written, replaced or deleted. To be called once queries see it, and before
    /// anybody is told that it is done.
    pub fn touch(&self, oldest_ms: i64) {
        let state = &mut *self.0.lock();
        state.version += 1;
        let oldest_ms = oldest_ms.div_euclid(GRAIN_MS).saturating_mul(GRAIN_MS);
        while state.touched.last().is_some_and(|(_, touched_ms)| *touched_ms >= oldest_ms) {
            state.touched.pop();
        }
        state.touched.push((state.version, oldest_ms));
        if state.touched.len() > ENTRIES_MAX {
            let merged = state.touched.chunks(2).map(|pair| (pair[pair.len() - 1].0, pair[0].1));
            state.touched = merged.collect();
        }
    }

    /// Samples before this time have gone. When to call it: as for [`Self::touch`].
    pub fn lose(&self, before_ms: i64) {
        let state = &mut *self.0.lock();
        state.version += 1;
        let before_ms = state.gone.map_or(before_ms, |(_, known_ms)| known_ms.max(before_ms));
        state.gone = Some((state.version, before_ms));
    }

    /// What has changed since a version; 0 is that of the beginning. To be asked before samples are read: what changes
    /// in between is then told the next time.
    pub fn since(&self, version: u64) -> Changes {
        let state = self.0.lock();
        let at = state.touched.partition_point(|(touched, _)| *touched <= version);
        Changes {
            version: state.version,
            touched_from_ms: state.touched.get(at).map_or(i64::MAX, |(_, oldest_ms)| *oldest_ms),
            gone_before_ms: state.gone.filter(|(gone, _)| *gone > version).map_or(i64::MIN, |(_, ms)| ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_change_is_kept_secret(
            times in proptest::collection::vec(-50_000i64..50_000, 0..3_000), seen in 0usize..3_000, rising in any::<bool>(),
        ) {
            let mut times = times;
            if rising {
                times.sort_unstable();
            }
            let log = ChangeLog::default();
            times.iter().for_each(|time| log.touch(*time));
            let changes = log.since(seen as u64);
            prop_assert_eq!(changes.version, times.len() as u64);
            let oldest = times.iter().skip(seen).min().copied();
            prop_assert!(changes.touched_from_ms <= oldest.unwrap_or(i64::MAX));
            if times.len() <= ENTRIES_MAX {
                let rounded = oldest.map_or(i64::MAX, |oldest| oldest.div_euclid(GRAIN_MS) * GRAIN_MS);
                prop_assert_eq!(changes.touched_from_ms, rounded, "as exact as the grain");
            }
            prop_assert!(log.0.lock().touched.len() <= ENTRIES_MAX);
        }
    }

    #[test]
    fn what_goes_at_the_old_end_does_not_concern_the_rest() {
        let log = ChangeLog::default();
        log.touch(5_000);
        log.lose(1_000);
        log.lose(500);
        let all = Changes { version: 3, touched_from_ms: 5_000, gone_before_ms: 1_000 };
        assert_eq!(log.since(0), all);
        assert_eq!(log.since(1), Changes { touched_from_ms: i64::MAX, ..all });
        assert_eq!(log.since(3), Changes { version: 3, touched_from_ms: i64::MAX, gone_before_ms: i64::MIN });
    }
}
