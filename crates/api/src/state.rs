//! What every handler sees.

use std::sync::{Arc, OnceLock};

use stdx::fs::RealFs;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::push::otlp::Totals;
use crate::push::pushgateway::{Groups, StateFiles};
use crate::push::{Intake, Protocol};
use crate::{Backends, Deps, Settings};

/// As Prometheus' `--storage.remote.read-concurrent-limit`.
const READS_CONCURRENT_MAX: usize = 10;

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) metrics: Metrics,
    /// Remote reads that may run at one time; others wait.
    pub(crate) read_slots: Arc<Semaphore>,
    /// One backtest at a time.
    pub(crate) backtest_slot: Arc<Semaphore>,
    /// What all pushes share.
    pub(crate) intake: Intake,
    /// Groups of text pushes.
    pub(crate) groups: Arc<Groups>,
    /// Cancelled when storage is open: tasks that need it wait for this.
    pub(crate) opened: CancellationToken,
    /// What deltas of OTLP add up to.
    pub(crate) totals: Totals,
    backends: OnceLock<Backends>,
    opened_at: std::time::Duration,
}

impl State {
    /// # Errors
    /// If the folder of pushed groups cannot be made.
    pub(crate) fn new(settings: Settings, deps: Deps, metrics: Metrics) -> std::io::Result<Self> {
        let intake = Intake::new(&settings, &deps.budget);
        let directory = settings.push.directory.clone();
        let files = directory.map(|directory| StateFiles::open(RealFs::shared(), directory)).transpose()?;
        let groups = Groups::load(files, intake.budget(Protocol::Pushgateway));
        let totals = Totals::new(&deps.budget);
        let opened_at = deps.clock.monotonic();
        Ok(Self {
            settings,
            deps,
            metrics,
            read_slots: Arc::new(Semaphore::new(READS_CONCURRENT_MAX)),
            backtest_slot: Arc::new(Semaphore::new(1)),
            intake,
            groups,
            opened: CancellationToken::new(),
            totals,
            backends: OnceLock::new(),
            opened_at,
        })
    }

    pub(crate) fn open(&self, backends: Backends) {
        if self.backends.set(backends).is_err() {
            tracing::error!("storage was handed over twice; the first stays");
        }
        self.opened.cancel();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.backends.get().is_some()
    }

    /// Storage, or the answer while there is none.
    pub(crate) fn backends(&self) -> Result<&Backends, ApiError> {
        self.backends.get().ok_or_else(ApiError::not_ready)
    }

    /// Since the server began to listen.
    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.deps.clock.monotonic().saturating_sub(self.opened_at)
    }
}
