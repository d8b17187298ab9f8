//! Numbers that many threads change at a time without a lock.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A float in an atomic. All orderings are relaxed: metrics order nothing else.
#[derive(Debug, Default)]
pub(crate) struct AtomicF64(AtomicU64);

impl AtomicF64 {
    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn add(&self, amount: f64) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(seen) + amount).to_bits();
            match self.0.compare_exchange_weak(seen, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

/// How many threads can add to one [`StripedSum`] without meeting.
const STRIPES: usize = 4;

/// A stripe has a cache line of its own, so that processors do not take it from each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicF64);

/// A sum that threads add to in different places: floats can only be added by trying until nobody else was faster, which is
/// slow when many try in one place.
#[derive(Debug, Default)]
pub(crate) struct StripedSum([Stripe; STRIPES]);

impl StripedSum {
    pub(crate) fn add(&self, amount: f64) {
        self.0[stripe()].0.add(amount);
    }

    pub(crate) fn get(&self) -> f64 {
        self.0.iter().map(|stripe| stripe.0.get()).sum()
    }
}

/// The stripe of this thread: threads are dealt out in the order in which they first add something.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the program that is measured runs on the real clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_of_many_threads_are_all_there() {
        let (one, striped) = (AtomicF64::default(), StripedSum::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        one.add(0.5);
                        striped.add(0.25);
                    }
                });
            }
        });
        assert_eq!(one.get(), 40_000.0);
        assert_eq!(striped.get(), 20_000.0);
    }
}
