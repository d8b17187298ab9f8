//! What only goes up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cell::{AtomicF64, now_ms};
use crate::exemplar::Latest;
use crate::snapshot::Value;

/// Counts what happens. A clone counts in the same place.
///
/// Whole numbers are counted exactly, up to 2^64; beside them fractions may be added.
#[derive(Debug, Clone)]
pub struct Counter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    whole: AtomicU64,
    fraction: AtomicF64,
    created_ms: u64,
    exemplar: Latest,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            whole: AtomicU64::new(0),
            fraction: AtomicF64::default(),
            created_ms: now_ms(),
            exemplar: Latest::default(),
        }))
    }

    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.whole.fetch_add(count, Ordering::Relaxed);
    }

    /// `amount` more: seconds, say. Whether it was taken: what is negative or not finite would make the counter wrong, and
    /// is left out.
    pub fn add_float(&self, amount: f64) -> bool {
        let sound = amount >= 0.0 && amount.is_finite();
        if sound {
            self.0.fraction.add(amount);
        }
        sound
    }

    /// `count` more, of which the labels (`trace_id`, say; 128 characters at most) name one.
    pub fn add_with_exemplar(&self, count: u64, labels: &[(&str, &str)]) {
        self.add(count);
        self.0.exemplar.offer(labels, count as f64);
    }

    /// At least `count`, for what is counted elsewhere and only read here.
    pub fn raise_to(&self, count: u64) {
        self.0.whole.fetch_max(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> f64 {
        self.0.whole.load(Ordering::Relaxed) as f64 + self.0.fraction.get()
    }

    pub(crate) fn value(&self) -> Value {
        Value::Counter { value: self.get(), created_ms: self.0.created_ms, exemplar: self.0.exemplar.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_only_go_up() {
        let counter = Counter::new();
        counter.inc();
        counter.add(41);
        assert!(counter.add_float(0.5));
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(!counter.add_float(bad));
        }
        counter.raise_to(40);
        assert_eq!(counter.get(), 42.5);
        counter.raise_to(50);
        assert_eq!(counter.clone().get(), 50.5);
    }
}
