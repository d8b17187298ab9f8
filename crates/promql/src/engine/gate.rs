//! Lets so many queries run at the same time; others wait their turn, or until they are stopped.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use stdx::cancel::{Cancel, Stopped};

use crate::error::QueryError;

/// How often a waiting query looks whether it must stop. A flag cannot wake it.
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Gate {
    slots_max: usize,
    running: Mutex<usize>,
    freed: Condvar,
}

impl Gate {
    pub(super) fn new(slots_max: usize) -> Self {
        Self { slots_max: slots_max.max(1), running: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits for a slot, which is given back when the result is dropped.
    pub(super) fn enter(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<Slot<'_>, QueryError> {
        let mut running = self.running.lock();
        while *running >= self.slots_max {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(super::stopped_in(Stopped::TimedOut, "query queue"));
            }
            cancel.check().map_err(|stopped| super::stopped_in(stopped, "query queue"))?;
            self.freed.wait_for(&mut running, POLL);
        }
        *running += 1;
        Ok(Slot(self))
    }
}

/// The right to run.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Gate);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_query_runs_when_a_slot_is_free_and_stops_when_told() {
        let gate = Gate::new(1);
        let held = gate.enter(&Cancel::never(), None).expect("free");
        let cancel = Cancel::never();
        std::thread::scope(|scope| {
            let told = scope.spawn(|| gate.enter(&cancel, None).err());
            cancel.cancel();
            assert!(matches!(told.join().expect("no panic"), Some(QueryError::Cancelled(_))));
            assert!(matches!(gate.enter(&Cancel::after(Duration::ZERO), None), Err(QueryError::TimedOut(_))));
            assert!(matches!(
                gate.enter(&Cancel::never(), Some(Instant::now())),
                Err(QueryError::TimedOut(_))
            ));
            let waiting = scope.spawn(|| gate.enter(&Cancel::never(), None).is_ok());
            drop(held);
            assert!(waiting.join().expect("no panic"));
        });
    }
}
