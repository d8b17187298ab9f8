//! What the engine does on its own: flush, compaction, retention, and the two threads that do them in time.
//!
//! Map: this file when · [`flush`] head to blocks · [`compact`] blocks to fewer blocks · [`full`] all that at once · [`delete`]
//! deletes, noted and worked off · [`retain`] what is too old or too much goes · [`background`] threads of low priority.
//!
//! Invariants: one flush at a time, and beside it one compaction or retention. None changes an answer. A failure leaves
//! everything readable and is tried again at the next turn. No lock that a write or a query needs is held for long, or by a thread of
//! low priority.

mod background;
mod compact;
mod delete;
mod flush;
mod full;
mod retain;

pub use full::Compacted;

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use storage::{Error, ErrorKind};

use crate::engine::Tsdb;

/// A thread looks around at least this often, because the clock may jump, and bursts of writes and queries leave free memory.
const PERIOD: Duration = Duration::from_secs(10);
/// After a failed turn, the next comes not before this.
const RETRY: Duration = Duration::from_secs(5);
/// How often the head looks for series that stopped.
const LOOK_PERIOD: Duration = Duration::from_secs(60);
/// A window is flushed this fraction of its span after its end, when its last samples have come.
const GRACE_DIVISOR: i64 = 24;

/// Tells a maintenance thread when to do something.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    flush_requested: bool,
    woken: bool,
}

impl Schedule {
    /// Asks for a flush soon.
    pub(crate) fn request_flush(&self) {
        let mut state = self.state.lock();
        if !state.flush_requested {
            state.flush_requested = true;
            self.wake.notify_all();
        }
    }

    /// Asks for a turn soon.
    pub(crate) fn wake(&self) {
        self.state.lock().woken = true;
        self.wake.notify_all();
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Waits until somebody asks or time is up. `None` once stopped.
    fn wait(&self, timeout: Duration, minimum: Duration) -> Option<Turn> {
        let mut state = self.state.lock();
        let start = std::time::Instant::now();
        while !state.stopping && start.elapsed() < timeout {
            let asked = state.flush_requested || state.woken;
            if asked && start.elapsed() >= minimum {
                break;
            }
            let until = if asked { minimum } else { timeout };
            self.wake.wait_for(&mut state, until.saturating_sub(start.elapsed()));
        }
        let (woken, flush) = (std::mem::take(&mut state.woken), std::mem::take(&mut state.flush_requested));
        let turn = if woken || flush { Turn::Asked { flush } } else { Turn::TimeIsUp };
        (!state.stopping).then_some(turn)
    }
}

/// Why a thread looks around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It has waited for so long as it wanted to.
    TimeIsUp,
    /// Somebody wants it.
    Asked { flush: bool },
}

/// When the next turn for which nobody asks is due, by the clock that the engine was given. The threads wait in real time, and
/// where that clock stands still (in tests), nothing must happen by itself, however slow the machine is.
struct Due(Duration);

impl Due {
    fn after(tsdb: &Tsdb, timeout: Duration) -> Self {
        Self(tsdb.deps.clock.monotonic() + timeout)
    }

    fn is_now(&self, tsdb: &Tsdb, turn: Turn) -> bool {
        turn != Turn::TimeIsUp || tsdb.deps.clock.monotonic() >= self.0
    }
}

/// The window of the span that has closed last.
fn closed_window(now_ms: i64, span_ms: i64) -> i64 {
    now_ms.saturating_sub(span_ms / GRACE_DIVISOR).div_euclid(span_ms)
}

impl Tsdb {
    /// Starts the two threads: flushes must not wait behind a long compaction.
    pub(crate) fn start_maintenance(self: &Arc<Self>) -> Result<(), Error> {
        let failed =
            |e| Error::new(ErrorKind::Unavailable, format!("cannot start a maintenance thread: {e}"));
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(failed)
        };
        let window = closed_window(self.deps.clock.now_ms(), self.settings.block_span_ms);
        let (weak, schedule) = (Arc::downgrade(self), Arc::clone(&self.flushing));
        let due = Due::after(self, PERIOD);
        let flushes = Box::new(move || run_flushes(&weak, &schedule, window, due));
        self.threads.lock().push(spawn("tsdb-flush", flushes)?);
        let (weak, schedule) = (Arc::downgrade(self), Arc::clone(&self.compacting));
        let due = Due::after(self, PERIOD);
        let compactions = Box::new(move || run_compactions(&weak, &schedule, due));
        self.threads.lock().push(spawn("tsdb-compact", compactions)?);
        Ok(())
    }

    /// Ends both threads; a compaction that is under way is given up.
    pub(crate) fn stop_maintenance(&self) {
        self.flushing.stop();
        self.compacting.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // The last owner of the engine may be one of the threads itself, for the time of its turn.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a maintenance thread panicked");
            }
        }
    }

    fn maintain_blocks(&self) -> Result<(), Error> {
        self.enforce_retention()?;
        self.compact()?;
        self.clean_due_tombstones()
    }

    /// How long until the window that is open now is due.
    fn until_next_window(&self) -> Duration {
        let (now_ms, span_ms) = (self.deps.clock.now_ms(), self.settings.block_span_ms);
        let due_ms = (closed_window(now_ms, span_ms) + 1) * span_ms + span_ms / GRACE_DIVISOR;
        Duration::from_millis(due_ms.saturating_sub(now_ms).max(1).unsigned_abs())
    }
}

fn run_flushes(weak: &Weak<Tsdb>, schedule: &Schedule, mut window: i64, mut due: Due) {
    let (mut timeout, mut minimum) = (PERIOD, Duration::ZERO);
    let mut looked_at = None;
    while let Some(turn) = schedule.wait(timeout, minimum) {
        let Some(tsdb) = weak.upgrade() else { return };
        if !due.is_now(&tsdb, turn) {
            timeout = PERIOD;
            continue;
        }
        let requested = turn == Turn::Asked { flush: true };
        let now = closed_window(tsdb.deps.clock.now_ms(), tsdb.settings.block_span_ms);
        let journal_full = tsdb.journal.bytes() > tsdb.settings.wal_bytes_max;
        (timeout, minimum) = (PERIOD.min(tsdb.until_next_window()), Duration::ZERO);
        if requested || now > window || journal_full {
            match tsdb.flush() {
                Ok(()) => {
                    window = now;
                    tsdb.compacting.wake();
                }
                Err(error) => {
                    tracing::error!(%error, "the flush failed and will be tried again");
                    (timeout, minimum) = (RETRY, RETRY);
                    if requested {
                        schedule.request_flush();
                    }
                }
            }
        }
        let clock = tsdb.deps.clock.monotonic();
        if clock.saturating_sub(*looked_at.get_or_insert(clock)) >= LOOK_PERIOD {
            looked_at = Some(clock);
            if let Err(error) = tsdb.release_stopped() {
                tracing::error!(%error, "series that stopped cannot be released; this will be tried again");
            }
        }
        due = Due::after(&tsdb, timeout);
        drop(tsdb);
        stdx::memory::give_back_free();
    }
}

fn run_compactions(weak: &Weak<Tsdb>, schedule: &Schedule, mut due: Due) {
    let (mut timeout, mut minimum) = (PERIOD, Duration::ZERO);
    while let Some(turn) = schedule.wait(timeout, minimum) {
        let Some(tsdb) = weak.upgrade() else { return };
        if !due.is_now(&tsdb, turn) {
            timeout = PERIOD;
            continue;
        }
        (timeout, minimum) = (PERIOD, Duration::ZERO);
        if let Err(error) = tsdb.maintain_blocks()
            && !schedule.is_stopping()
        {
            tracing::error!(%error, "the compaction failed and will be tried again");
            (timeout, minimum) = (RETRY, RETRY);
        }
        due = Due::after(&tsdb, timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closes_a_little_after_its_end() {
        let span_ms = 7_200_000;
        assert_eq!(closed_window(2 * span_ms, span_ms), 1);
        assert_eq!(closed_window(2 * span_ms + 299_999, span_ms), 1);
        assert_eq!(closed_window(2 * span_ms + 300_000, span_ms), 2);
    }

    #[test]
    fn a_request_wakes_the_thread_and_stopping_ends_it() {
        let schedule = Schedule::default();
        schedule.request_flush();
        assert_eq!(schedule.wait(Duration::from_secs(60), Duration::ZERO), Some(Turn::Asked { flush: true }));
        schedule.wake();
        assert_eq!(
            schedule.wait(Duration::from_secs(60), Duration::ZERO),
            Some(Turn::Asked { flush: false })
        );
        assert_eq!(schedule.wait(Duration::ZERO, Duration::ZERO), Some(Turn::TimeIsUp));
        schedule.stop();
        assert_eq!(schedule.wait(Duration::from_secs(60), Duration::ZERO), None);
    }
}
