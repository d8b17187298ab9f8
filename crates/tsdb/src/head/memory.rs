//! The account of the heads' memory, of all tenants: taken from the budget in steps, and what follows when it gets short.
//!
//! At three quarters of its share a flush is asked for; at its share new series are refused; at one and a half
//! of it everything is, until a flush is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};

/// The budget is asked once for so many bytes.
const STEP_BYTES: u64 = 1 << 20;

/// The heads' memory.
#[derive(Debug)]
pub(crate) struct HeadMemory {
    used_bytes: AtomicI64,
    /// What was in use after the last flush: as much as a flush cannot free.
    floor_bytes: AtomicI64,
    reservation: Mutex<Reservation>,
    bytes_max: u64,
    gauge: prometheus::IntGauge,
}

impl HeadMemory {
    /// The heads take at most `bytes_max`, and three quarters of the budget.
    pub(crate) fn new(budget: &Arc<Budget>, bytes_max: u64, gauge: prometheus::IntGauge) -> Self {
        let bytes_max = bytes_max.min(budget.limit_bytes() / 4 * 3);
        let reservation = Mutex::new(budget.child("head", bytes_max.saturating_mul(2)).reserve_none());
        Self { used_bytes: AtomicI64::new(0), floor_bytes: AtomicI64::new(0), reservation, bytes_max, gauge }
    }

    /// Counts memory that was taken or freed. Returns whether a flush should free some.
    pub(crate) fn change(&self, by_bytes: i64) -> bool {
        let used = self.used_bytes.fetch_add(by_bytes, Ordering::Relaxed) + by_bytes;
        let before = used - by_bytes;
        let step = STEP_BYTES as i64;
        let mut refused = false;
        self.gauge.set(used);
        if used.div_euclid(step) != before.div_euclid(step) {
            let want = used.max(0).unsigned_abs().next_multiple_of(STEP_BYTES);
            // Refused means that others hold the rest of the budget: a flush gives some of it back.
            refused = self.reservation.lock().resize(want).is_err();
        }
        let flushable = (used - self.floor_bytes.load(Ordering::Relaxed)).max(0).unsigned_abs();
        let is_near = refused || used.max(0).unsigned_abs() > self.bytes_max / 4 * 3;
        // Without the second condition, series alone that fill the head would mean one flush after another.
        is_near && flushable > self.bytes_max / 8
    }

    /// Remembers what is in use after a flush.
    pub(crate) fn flushed(&self) {
        let used = self.used_bytes.load(Ordering::Relaxed);
        self.floor_bytes.store(used, Ordering::Relaxed);
        self.gauge.set(used);
    }

    /// Whether new series must wait for a flush.
    pub(crate) fn is_full(&self) -> bool {
        self.used() > self.bytes_max
    }

    /// Whether nothing at all can be taken.
    pub(crate) fn is_overfull(&self) -> bool {
        self.used() > self.bytes_max / 2 * 3
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed).max(0).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_asked_for_only_if_it_would_free_something() {
        let gauge = prometheus::IntGauge::new("g", "g").expect("valid");
        let budget = Budget::root("process", (400 << 20) / 3);
        let memory = HeadMemory::new(&budget, u64::MAX, gauge);
        assert!(!memory.change(70 << 20));
        assert!(memory.change(10 << 20) && !memory.is_full());
        assert!(budget.used_bytes() >= 80 << 20);
        memory.flushed();
        assert!(!memory.change(10 << 20), "only a little since the last flush");
        assert!(memory.change(11 << 20) && memory.is_full() && !memory.is_overfull());
        assert!(memory.change(50 << 20) && memory.is_overfull());
        memory.change(-151 << 20);
        assert_eq!((memory.used(), budget.used_bytes()), (0, 0));
    }
}
