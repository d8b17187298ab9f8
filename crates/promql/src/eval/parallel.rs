//! Work on many series split over threads, its results taken one after the other in the order of the series.
//!
//! Whoever takes the results cannot tell how many threads there were: they come in order, on the caller's own
//! thread, and the first error in order is the one that is returned. So sums are folded in the same order, to the
//! same bits, however busy the machine is.
//!
//! Threads that help are few and shared by all queries: a query that finds none works alone. At most
//! [`BATCHES_AHEAD`] batches for each thread are held at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

/// Results a thread may hold that nobody has taken yet.
const BATCHES_AHEAD: usize = 3;

/// How many threads may help queries, all together.
#[derive(Debug)]
pub(crate) struct Helpers {
    free: AtomicUsize,
}

impl Helpers {
    /// At most so many at a time.
    pub(crate) fn new(count_max: usize) -> Self {
        Self { free: AtomicUsize::new(count_max) }
    }

    /// Takes up to `wanted` of those that are free; they are given back when dropped.
    pub(crate) fn take(&self, wanted: usize) -> Taken<'_> {
        let mut count = 0;
        let all = |free: usize| {
            count = wanted.min(free);
            (count > 0).then(|| free - count)
        };
        let taken = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, all);
        Taken { helpers: self, count: taken.map_or(0, |_| count) }
    }
}

/// The right to so many threads.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    helpers: &'a Helpers,
    pub(crate) count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.helpers.free.fetch_add(self.count, Ordering::AcqRel);
    }
}

/// How many batches exist at most if so many threads help.
pub(crate) fn batches_held_max(helper_count: usize) -> usize {
    if helper_count == 0 { 1 } else { (helper_count + 1) * BATCHES_AHEAD }
}

/// Calls `fill` for each of `batch_count` batches, on this thread and `helper_count` others, and `take` with each
/// filled batch, in order, on this thread. Batches are used again: `fill` finds what is left of an older one.
///
/// # Errors
/// The first of `fill` or `take`, in order of the batches.
pub(crate) fn in_order<B: Default + Send, E: Send>(
    helper_count: usize,
    batch_count: usize,
    fill: impl Fn(usize, &mut B) -> Result<(), E> + Sync,
    mut take: impl FnMut(usize, &mut B) -> Result<(), E>,
) -> Result<(), E> {
    if helper_count == 0 || batch_count < 2 {
        let mut batch = B::default();
        return (0..batch_count).try_for_each(|at| {
            fill(at, &mut batch)?;
            take(at, &mut batch)
        });
    }
    let work = Work::new(batch_count, batches_held_max(helper_count));
    std::thread::scope(|scope| {
        for _ in 0..helper_count.min(batch_count - 1) {
            scope.spawn(|| work.help(&fill));
        }
        // Also if this thread panics: the others would wait for it for ever.
        let _stop = StopOnDrop(&work);
        work.run(&fill, &mut take)
    })
}

/// What the threads share.
struct Work<B, E> {
    state: Mutex<State<B, E>>,
    changed: Condvar,
    batch_count: usize,
}

struct State<B, E> {
    /// The next batch to be filled.
    next: usize,
    /// The next batch to be taken.
    taken: usize,
    /// Filled batches, each at its number modulo the length.
    filled: Vec<Option<(B, Result<(), E>)>>,
    /// Batches to be used again.
    unused: Vec<B>,
    stopped: bool,
}

struct StopOnDrop<'a, B, E>(&'a Work<B, E>);

impl<B, E> Drop for StopOnDrop<'_, B, E> {
    fn drop(&mut self) {
        self.0.state.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl<B: Default, E> Work<B, E> {
    fn new(batch_count: usize, held_max: usize) -> Self {
        let mut filled = Vec::new();
        filled.resize_with(held_max, || None);
        let state = State { next: 0, taken: 0, filled, unused: Vec::new(), stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), batch_count }
    }

    /// Fills batches until there are none left.
    fn help(&self, fill: &impl Fn(usize, &mut B) -> Result<(), E>) {
        let mut state = self.state.lock();
        loop {
            while !state.stopped && state.next < self.batch_count && !state.has_room() {
                self.changed.wait(&mut state);
            }
            if state.stopped || state.next >= self.batch_count {
                return;
            }
            let (at, mut batch) = state.claim();
            drop(state);
            let panicking = StopOnDrop(self);
            let result = fill(at, &mut batch);
            std::mem::forget(panicking);
            state = self.state.lock();
            state.put(at, batch, result);
            if at == state.taken {
                self.changed.notify_all();
            }
        }
    }

    /// Takes batches in order; while the next one is not there, fills another.
    fn run(
        &self,
        fill: &impl Fn(usize, &mut B) -> Result<(), E>,
        take: &mut impl FnMut(usize, &mut B) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.state.lock();
        while state.taken < self.batch_count {
            let at = state.taken;
            let slot = at % state.filled.len();
            if let Some((mut batch, result)) = state.filled[slot].take() {
                drop(state);
                result?;
                take(at, &mut batch)?;
                state = self.state.lock();
                state.taken += 1;
                state.unused.push(batch);
                self.changed.notify_all();
            } else if state.next < self.batch_count && state.has_room() {
                let (at, mut batch) = state.claim();
                drop(state);
                let result = fill(at, &mut batch);
                state = self.state.lock();
                state.put(at, batch, result);
            } else if state.stopped {
                // A thread panicked; leaving the scope passes that on.
                return Ok(());
            } else {
                self.changed.wait(&mut state);
            }
        }
        Ok(())
    }
}

impl<B: Default, E> State<B, E> {
    fn has_room(&self) -> bool {
        self.next - self.taken < self.filled.len()
    }

    fn claim(&mut self) -> (usize, B) {
        self.next += 1;
        (self.next - 1, self.unused.pop().unwrap_or_default())
    }

    fn put(&mut self, at: usize, batch: B, result: Result<(), E>) {
        let slot = at % self.filled.len();
        self.filled[slot] = Some((batch, result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(helper_count: usize, batch_count: usize, fails_at: Option<usize>) {
        let mut taken = Vec::new();
        let result = in_order(
            helper_count,
            batch_count,
            |at, batch: &mut Vec<usize>| {
                batch.clear();
                batch.extend((0..=at % 7).map(|n| at + n));
                if Some(at) == fails_at { Err(at) } else { Ok(()) }
            },
            |at, batch| {
                assert_eq!(batch, &(0..=at % 7).map(|n| at + n).collect::<Vec<_>>());
                taken.push(at);
                Ok(())
            },
        );
        assert_eq!(result, fails_at.map_or(Ok(()), Err));
        assert_eq!(taken, (0..fails_at.unwrap_or(batch_count)).collect::<Vec<_>>());
    }

    #[test]
    fn batches_are_taken_in_order_by_any_number_of_threads() {
        for helper_count in 0..5 {
            for batch_count in [0, 1, 2, 3, 50, 1000] {
                check(helper_count, batch_count, None);
            }
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        for helper_count in 0..4 {
            check(helper_count, 500, Some(0));
            check(helper_count, 500, Some(123));
            let refused = in_order(
                helper_count,
                100,
                |_, _: &mut ()| Ok(()),
                |at, ()| if at == 7 { Err(at) } else { Ok(()) },
            );
            assert_eq!(refused, Err(7));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let run = || {
            in_order(
                2,
                100,
                |at, (): &mut ()| if at == 40 { panic!("broken") } else { Ok::<(), ()>(()) },
                |_, ()| Ok(()),
            )
        };
        assert!(std::panic::catch_unwind(run).is_err());
    }

    #[test]
    fn helpers_are_shared_and_come_back() {
        let helpers = Helpers::new(3);
        let first = helpers.take(2);
        let second = helpers.take(2);
        assert_eq!((first.count, second.count, helpers.take(1).count), (2, 1, 0));
        drop(first);
        assert_eq!(helpers.take(9).count, 2);
    }
}
