//! What a query holds: samples against its limit, bytes against its budget.
//!
//! Every series that is kept for longer than it takes to pass it on carries a [`Charge`], which gives back what
//! was taken when it is dropped. Bytes are taken from the budget in lumps, so that a query of many small series
//! does not touch the shared counters once for each.

use std::sync::Arc;

use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};

use crate::error::QueryError;

const LUMP_BYTES: u64 = 1 << 20;

/// What one query holds. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    samples_max: u64,
    samples: u64,
    samples_peak: u64,
    bytes: u64,
    reservation: Reservation,
}

impl Ledger {
    /// Nothing held yet.
    pub(crate) fn new(budget: &Arc<Budget>, samples_max: u64) -> Self {
        let reservation = budget.reserve_none();
        Self(Arc::new(Mutex::new(State { samples_max, samples: 0, samples_peak: 0, bytes: 0, reservation })))
    }

    /// Takes samples and bytes until the result is dropped.
    ///
    /// # Errors
    /// If it would be more than the query may hold.
    pub(crate) fn take(&self, samples: u64, bytes: u64) -> Result<Charge, QueryError> {
        let mut state = self.0.lock();
        let samples_after = state.samples + samples;
        if samples_after > state.samples_max {
            return Err(too_many_samples(state.samples_max, samples_after));
        }
        let bytes_after = state.bytes + bytes;
        if bytes_after > state.reservation.bytes() {
            let missing = bytes_after - state.reservation.bytes();
            // A whole lump if there is room for it, else what is needed.
            if state.reservation.grow(missing.max(LUMP_BYTES)).is_err() {
                state.reservation.grow(missing).map_err(|e| QueryError::Storage(e.into()))?;
            }
        }
        state.samples = samples_after;
        state.samples_peak = state.samples_peak.max(samples_after);
        state.bytes = bytes_after;
        Ok(Charge { ledger: self.clone(), samples, bytes })
    }

    /// Takes what an operator needs to pass series of `steps` cells on: a column, its bits, and a scalar beside it.
    /// A grid of more steps than a query may hold samples is refused before anything of its size is allocated.
    ///
    /// # Errors
    /// If it would be more than the query may hold.
    pub(crate) fn take_scratch(&self, steps: usize) -> Result<Charge, QueryError> {
        let samples_max = self.0.lock().samples_max;
        if steps as u64 > samples_max {
            return Err(too_many_samples(samples_max, steps as u64));
        }
        self.take(0, steps as u64 * 24)
    }

    /// Takes what a column of `steps` cells, all filled, holds.
    ///
    /// # Errors
    /// If it would be more than the query may hold.
    pub(crate) fn take_column(&self, steps: usize) -> Result<Charge, QueryError> {
        self.take(steps as u64, steps as u64 * 9)
    }

    /// Notes that `samples` were held for a moment on top of the others.
    ///
    /// # Errors
    /// If it would be more than the query may hold.
    pub(crate) fn pass(&self, samples: u64) -> Result<(), QueryError> {
        let mut state = self.0.lock();
        let samples_now = state.samples + samples;
        if samples_now > state.samples_max {
            return Err(too_many_samples(state.samples_max, samples_now));
        }
        state.samples_peak = state.samples_peak.max(samples_now);
        Ok(())
    }

    /// Gives back what was taken in lumps and is not needed any more.
    pub(crate) fn give_back_unused(&self) {
        let state = &mut *self.0.lock();
        let unused = state.reservation.bytes() - state.bytes;
        state.reservation.shrink(unused);
    }

    /// The most samples held at one time.
    pub(crate) fn samples_peak(&self) -> u64 {
        self.0.lock().samples_peak
    }
}

/// In Prometheus' words, and more.
fn too_many_samples(limit: u64, met: u64) -> QueryError {
    let what = "query processing would load too many samples into memory in query execution";
    QueryError::limit(what, "max_samples", limit, met)
}

/// Samples and bytes taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    ledger: Ledger,
    samples: u64,
    bytes: u64,
}

impl Charge {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes over what another charge of the same query holds; samples count no longer.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Takes more until this is dropped.
    ///
    /// # Errors
    /// If it would be more than the query may hold.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), QueryError> {
        let mut more = self.ledger.take(0, bytes)?;
        self.bytes += std::mem::take(&mut more.bytes);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut state = self.ledger.0.lock();
        state.samples -= self.samples;
        state.bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::root("queries", 3 << 20);
        let ledger = Ledger::new(&budget, 10);
        let first = ledger.take(6, 2 << 20).expect("fits");
        assert!(ledger.take(5, 0).expect_err("11 of 10").to_string().contains("too many samples"));
        let refused = ledger.take(0, 2 << 20).expect_err("4 MiB of 3");
        assert!(matches!(refused, QueryError::Storage(_)));
        assert!(refused.to_string().contains("a higher --memory-limit"), "{refused}");
        drop(first);
        let _second = ledger.take(10, 3 << 20).expect("fits again");
        assert_eq!(ledger.samples_peak(), 10);
        drop((ledger, _second));
        assert_eq!(budget.used_bytes(), 0);
    }
}
