//! Telling running work to stop: one flag with a reason, checked by whoever works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Why work was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked for it: the client went away, or an operator ended it.
    Cancelled,
    /// The deadline passed.
    TimedOut,
}

/// A flag that many threads may check often. Clones share it.
#[derive(Debug, Clone)]
pub struct Cancel {
    state: Arc<AtomicU8>,
    deadline: Option<Instant>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self::never()
    }
}

impl Cancel {
    /// Work that nobody has asked to stop, without a deadline.
    pub fn never() -> Self {
        Self { state: Arc::new(AtomicU8::new(0)), deadline: None }
    }

    /// Work that must end within `timeout` of now.
    pub fn after(timeout: Duration) -> Self {
        Self { state: Arc::new(AtomicU8::new(0)), deadline: Instant::now().checked_add(timeout) }
    }

    /// The same flag, with `deadline` if that is sooner.
    #[must_use]
    pub fn until(&self, deadline: Option<Instant>) -> Self {
        let sooner = self.deadline.into_iter().chain(deadline).min();
        Self { state: Arc::clone(&self.state), deadline: sooner }
    }

    /// Asks the work to stop. It will at its next check.
    pub fn cancel(&self) {
        self.state.store(1, Ordering::Relaxed);
    }

    /// Cheap enough to be called once per series.
    ///
    /// # Errors
    /// Says why the work must stop.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.state.load(Ordering::Relaxed) != 0 {
            return Err(Stopped::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Stopped::TimedOut),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_flag() {
        let cancel = Cancel::never();
        let worker = cancel.clone();
        assert_eq!(worker.check(), Ok(()));
        cancel.cancel();
        assert_eq!(worker.check(), Err(Stopped::Cancelled));
    }

    #[test]
    fn the_sooner_deadline_counts_and_the_flag_is_shared() {
        let day = Cancel::after(Duration::from_secs(86_400));
        assert_eq!(day.until(Some(Instant::now())).check(), Err(Stopped::TimedOut));
        assert_eq!(Cancel::after(Duration::ZERO).until(None).check(), Err(Stopped::TimedOut));
        let worker = day.until(None);
        assert_eq!(worker.check(), Ok(()));
        day.cancel();
        assert_eq!(worker.check(), Err(Stopped::Cancelled));
    }

    #[test]
    fn a_passed_deadline_stops_work() {
        assert_eq!(Cancel::after(Duration::ZERO).check(), Err(Stopped::TimedOut));
        assert_eq!(Cancel::after(Duration::from_secs(3600)).check(), Ok(()));
    }
}
