//! The way in, and what "acknowledged" means.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use model::TenantId;
use parking_lot::{Condvar, Mutex};

use crate::{BatchSeries, Error, WriteBatch};

/// Takes samples in. Shared as `Arc<dyn Appender>`.
pub trait Appender: Send + Sync + 'static {
    /// Writes a batch.
    ///
    /// Contract:
    /// - Samples that are refused one by one (limits, time bounds) are listed in [`Appended::rejected`]; the
    ///   others are written. An `Err` means that nothing of the batch was written.
    /// - Written samples are visible to queries when this returns, and survive a crash once
    ///   [`Appended::durable`] resolves to `Ok`. Nobody may be told "written" before.
    /// - The same timestamp and value again is a duplicate: counted, otherwise ignored. Another value at the same
    ///   timestamp: the last write wins. Samples may come in any order of time.
    /// - May block for a short time on locks, never on the disk.
    ///
    /// # Errors
    /// `Unavailable` if the engine is behind, stopping, or its disk is full; `Limit` if memory is used up.
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error>;

    /// [`Self::append`], and waits until the batch is durable.
    ///
    /// # Errors
    /// As `append`, or if the batch could not be made durable.
    fn append_durably(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let mut appended = self.append(tenant, batch)?;
        std::mem::replace(&mut appended.durable, Durability::done()).wait()?;
        Ok(appended)
    }
}

/// What became of a batch.
#[derive(Debug)]
pub struct Appended {
    /// Samples written, duplicates included.
    pub accepted_count: usize,
    /// Samples that were there already with the same value.
    pub duplicate_count: usize,
    /// Series that did not exist before.
    pub created_series_count: usize,
    /// Exemplars written, those included that were there already.
    pub exemplar_count: usize,
    /// Samples that were refused, each with its reason.
    pub rejected: Vec<Rejected>,
    /// When the written samples are safe.
    pub durable: Durability,
}

/// A sample that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Whose it was.
    pub series: BatchSeries,
    /// Its timestamp.
    pub timestamp_ms: i64,
    /// Why.
    pub reason: RejectReason,
}

/// Why a sample was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Older than the retention or the out-of-order window.
    TooOld,
    /// Further in the future than the setting allows.
    TooFarInFuture,
    /// The tenant's limit of series is reached, and this would be a new one.
    SeriesLimit,
    /// The labels are empty, have no metric name, or exceed a limit.
    InvalidLabels,
    /// A timestamp that cannot be stored.
    InvalidTimestamp,
}

impl RejectReason {
    /// A word for metrics' labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooFarInFuture => "too_far_in_future",
            Self::SeriesLimit => "series_limit",
            Self::InvalidLabels => "invalid_labels",
            Self::InvalidTimestamp => "invalid_timestamp",
        }
    }

    /// A clause for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::TooOld => "too old: before the retention or the out-of-order window",
            Self::TooFarInFuture => "too far in the future",
            Self::SeriesLimit => "the limit of active series is reached and this series is new",
            Self::InvalidLabels => "labels are empty, lack a metric name, or exceed a limit",
            Self::InvalidTimestamp => "the timestamp is out of range",
        }
    }
}

/// Resolves when a write is safe. Await it, or [`Durability::wait`] for it on a blocking thread.
#[derive(Debug)]
#[must_use = "a write must not be acknowledged before it is durable"]
pub struct Durability(Vec<Arc<CommitGroup>>);

impl Durability {
    /// Safe already (or nothing to make safe).
    pub fn done() -> Self {
        Self(Vec::new())
    }

    /// Safe when `group` completes.
    pub fn of(group: Arc<CommitGroup>) -> Self {
        Self(vec![group])
    }

    /// Safe when all of `groups` complete. If several fail, the first is reported.
    pub fn of_all(groups: Vec<Arc<CommitGroup>>) -> Self {
        Self(groups)
    }

    /// Blocks until the write is safe.
    ///
    /// # Errors
    /// If it could not be made safe; it may or may not survive a crash.
    pub fn wait(self) -> Result<(), Error> {
        self.0.iter().try_for_each(|group| group.wait())
    }
}

impl Future for Durability {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        for group in &self.0 {
            match group.poll(context.waker()) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes that become safe together, by one sync of the journal.
#[derive(Debug, Default)]
pub struct CommitGroup {
    state: Mutex<CommitState>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct CommitState {
    result: Option<Result<(), Error>>,
    wakers: Vec<Waker>,
}

impl CommitGroup {
    /// A group that is not complete yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Tells all who wait. Only the first call counts.
    pub fn complete(&self, result: Result<(), Error>) {
        let wakers = {
            let mut state = self.state.lock();
            if state.result.is_some() {
                return;
            }
            state.result = Some(result);
            std::mem::take(&mut state.wakers)
        };
        self.done.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }

    fn wait(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            self.done.wait(&mut state);
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<(), Error>> {
        let mut state = self.state.lock();
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone());
        }
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn all_waiters_of_a_group_learn_the_same_result() {
        let group = CommitGroup::new();
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let durable = Durability::of(Arc::clone(&group));
                std::thread::spawn(move || durable.wait())
            })
            .collect();
        group.complete(Err(Error::new(ErrorKind::Unavailable, "disk is full")));
        group.complete(Ok(()));
        for waiter in waiters {
            let error = waiter.join().expect("no panic").expect_err("the first result counts");
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_polled_group_wakes_its_task() {
        let group = CommitGroup::new();
        let mut durable = Durability::of(Arc::clone(&group));
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut durable).poll(&mut context).is_pending());
        group.complete(Ok(()));
        assert!(matches!(Pin::new(&mut durable).poll(&mut context), Poll::Ready(Ok(()))));
    }
}
