//! `series_limit`: how many series all targets of a job may have together. A target takes its share one by one, and what is too much
//! stays outside while the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntGauge;

/// What a job may have, and has. Outlives reloads.
#[derive(Debug)]
pub(crate) struct Quota {
    /// 0: no limit.
    limit: AtomicU64,
    used: AtomicU64,
    /// Shows `used`.
    gauge: IntGauge,
}

impl Quota {
    pub(crate) fn new(limit: u64, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0), gauge })
    }

    /// Sets another limit. Series that are there stay, even beyond it.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Series that the job has.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let one_more = |used: u64| (limit == 0 || used < limit).then_some(used + 1);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        self.show();
        taken
    }

    fn show(&self) {
        self.gauge.set(i64::try_from(self.used()).unwrap_or(i64::MAX));
    }
}

/// What a target has of its job's quota; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    quota: Arc<Quota>,
    taken: u64,
}

impl Share {
    pub(crate) fn new(quota: Arc<Quota>) -> Self {
        Self { quota, taken: 0 }
    }

    /// Another of the same quota, with nothing in it.
    pub(crate) fn empty(&self) -> Self {
        Self::new(Arc::clone(&self.quota))
    }

    /// Takes one more, if there is one.
    pub(crate) fn try_grow(&mut self) -> bool {
        let grows = self.quota.try_take();
        self.taken += u64::from(grows);
        grows
    }

    /// Whether there is none left.
    pub(crate) fn is_exhausted(&self) -> bool {
        let limit = self.quota.limit.load(Ordering::Relaxed);
        limit > 0 && self.quota.used() >= limit
    }

    /// Makes the share what is really there.
    pub(crate) fn settle(&mut self, really: u64) {
        if really >= self.taken {
            self.quota.used.fetch_add(really - self.taken, Ordering::Relaxed);
        } else {
            self.quota.used.fetch_sub(self.taken - really, Ordering::Relaxed);
        }
        self.taken = really;
        self.quota.show();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle(0);
    }
}

#[cfg(test)]
impl Share {
    /// Of a job without a limit.
    pub(crate) fn unlimited() -> Self {
        Self::new(Quota::new(0, IntGauge::new("series", "Series.").expect("valid")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_share_what_there_is() {
        let quota = Quota::new(3, IntGauge::new("series", "Series.").expect("valid"));
        let (mut a, mut b) = (Share::new(Arc::clone(&quota)), Share::new(Arc::clone(&quota)));
        assert!(a.try_grow() && b.try_grow() && b.try_grow() && b.is_exhausted());
        assert!(!a.try_grow());
        b.settle(1);
        assert!(a.try_grow() && !b.try_grow());
        drop(a);
        assert_eq!(quota.used(), 1);
        quota.set_limit(1);
        assert!(!b.try_grow());
        quota.set_limit(0);
        assert!(b.try_grow() && !b.is_exhausted());
        assert_eq!((b.empty().taken, quota.used()), (0, 2));
    }
}
