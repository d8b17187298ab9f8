//! What every handler sees.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wire::remote_write::LabelHasher;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::write::Scratch;
use crate::{Backends, Deps, Settings};

/// As Prometheus' `--storage.remote.read-concurrent-limit`.
const READS_CONCURRENT_MAX: usize = 10;

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) metrics: Metrics,
    /// Pushes that may be decoded at one time.
    pub(crate) write_slots: Arc<Semaphore>,
    /// Remote reads that may run at one time; others wait.
    pub(crate) read_slots: Arc<Semaphore>,
    /// Buffers of pushes that have ended; at most one for each slot.
    pub(crate) scratch: Mutex<Vec<Scratch>>,
    /// Makes the keys by which storage knows pushed series.
    pub(crate) label_hasher: LabelHasher,
    backends: OnceLock<Backends>,
    opened_at: std::time::Duration,
}

impl State {
    pub(crate) fn new(settings: Settings, deps: Deps, metrics: Metrics) -> Self {
        let write_slots = Arc::new(Semaphore::new(settings.writes_concurrent_max));
        let opened_at = deps.clock.monotonic();
        Self {
            settings,
            deps,
            metrics,
            write_slots,
            read_slots: Arc::new(Semaphore::new(READS_CONCURRENT_MAX)),
            scratch: Mutex::default(),
            label_hasher: LabelHasher::new(stdx::rand::os_seed),
            backends: OnceLock::new(),
            opened_at,
        }
    }

    pub(crate) fn open(&self, backends: Backends) {
        if self.backends.set(backends).is_err() {
            tracing::error!("storage was handed over twice; the first stays");
        }
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
