//! Queries that run or wait: who asked, what they hold, how far they are, and the means to end one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use model::TenantId;
use parking_lot::Mutex;
use stdx::cancel::Cancel;
use stdx::memory::Budget;

use super::class::Class;
use crate::eval::progress::Progress;

/// Where a query comes from, as whoever listens knows it. Shown to people, never acted on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who asks; empty if that is not known.
    pub user: String,
    /// What asks: a dashboard's panel, or the program that sent the request.
    pub source: String,
    /// How it came, for the query log.
    pub asked_by: AskedBy,
}

/// How a query came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AskedBy {
    /// Not known.
    #[default]
    Unknown,
    /// With a request.
    Http {
        /// The address at the other end of the connection.
        client_ip: String,
        /// `GET` or `POST`.
        method: String,
        /// The path, without parameters.
        path: String,
    },
    /// From a group of rules.
    RuleGroup {
        /// The file in which it is.
        file: String,
        /// Its name.
        name: String,
    },
}

/// The times of a range query, inclusive, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeTimes {
    /// The first step.
    pub start_ms: i64,
    /// The last step asked for.
    pub end_ms: i64,
    /// Distance of steps.
    pub step_ms: i64,
}

/// A query that runs or waits.
#[derive(Debug, Clone)]
pub struct ActiveQuery {
    /// Names it, for [`super::Engine::kill`]. Rises from query to query.
    pub id: u64,
    /// Whose data it reads.
    pub tenant: TenantId,
    /// Its text.
    pub query: Arc<str>,
    /// What it is for.
    pub class: Class,
    /// Where it comes from.
    pub origin: Origin,
    /// `None` for an instant query.
    pub range: Option<RangeTimes>,
    /// Whether it waits for a slot.
    pub is_waiting: bool,
    /// Since when it is there.
    pub age: Duration,
    /// Memory it holds, what storage holds for it included.
    pub memory_bytes: u64,
    /// The most it held.
    pub memory_peak_bytes: u64,
    /// Series it has selected so far.
    pub series_selected: u64,
    /// How many of them it has read.
    pub series_read: u64,
    /// Samples it has read.
    pub samples_read: u64,
}

/// What is known of a query while it is there.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) tenant: TenantId,
    pub(super) query: Arc<str>,
    pub(super) class: Class,
    pub(super) origin: Origin,
    pub(super) range: Option<RangeTimes>,
    pub(super) arrived: Instant,
    pub(super) has_started: AtomicBool,
    pub(super) was_killed: AtomicBool,
    pub(super) memory: Arc<Budget>,
    pub(super) progress: Arc<Progress>,
    pub(super) cancel: Cancel,
}

impl Running {
    fn shown(&self) -> ActiveQuery {
        ActiveQuery {
            id: self.id,
            tenant: self.tenant.clone(),
            query: Arc::clone(&self.query),
            class: self.class,
            origin: self.origin.clone(),
            range: self.range,
            is_waiting: !self.has_started.load(Relaxed),
            age: self.arrived.elapsed(),
            memory_bytes: self.memory.used_bytes(),
            memory_peak_bytes: self.memory.peak_bytes(),
            series_selected: self.progress.series_selected(),
            series_read: self.progress.series_read(),
            samples_read: self.progress.samples_read(),
        }
    }
}

/// All queries that are there. Bounded by the slots and queues of the gate.
#[derive(Debug, Default)]
pub(super) struct ActiveQueries {
    next_id: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<Running>>>,
}

impl ActiveQueries {
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed) + 1
    }

    /// Lists a query until the result is dropped.
    pub(super) fn add(&self, running: Running) -> Listed<'_> {
        let running = Arc::new(running);
        self.running.lock().insert(running.id, Arc::clone(&running));
        Listed { all: self, running }
    }

    /// Those of a tenant, or of all, the oldest first.
    pub(super) fn list(&self, tenant: Option<&TenantId>) -> Vec<ActiveQuery> {
        let running = self.running.lock();
        running
            .values()
            .filter(|one| tenant.is_none_or(|tenant| one.tenant == *tenant))
            .map(|one| one.shown())
            .collect()
    }

    /// Tells one to stop; `None` if it is not there (any more).
    pub(super) fn kill(&self, tenant: Option<&TenantId>, id: u64) -> Option<ActiveQuery> {
        let running = self.running.lock();
        let one = running.get(&id).filter(|one| tenant.is_none_or(|tenant| one.tenant == *tenant))?;
        one.was_killed.store(true, Relaxed);
        one.cancel.cancel();
        Some(one.shown())
    }
}

/// Keeps a query listed.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    all: &'a ActiveQueries,
    running: Arc<Running>,
}

impl std::ops::Deref for Listed<'_> {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.all.running.lock().remove(&self.running.id);
    }
}
