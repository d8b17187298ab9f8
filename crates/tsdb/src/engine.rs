//! The engine as a whole: what it holds, and how it stops. How it starts stands in `open`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;

use model::TenantId;
use parking_lot::{Mutex, RwLock};
use stdx::fs::FileLock;
use storage::{Error, ErrorKind};

use crate::append::Scratch;
use crate::block::reader::BlockEnv;
use crate::extras::Extras;
use crate::head::memory::HeadMemory;
use crate::journal::Journal;
use crate::maintain::Schedule;
use crate::metrics::Metrics;
use crate::settings::{Deps, Retention, Settings};
use crate::tenant::Tenant;

/// Buffers of so many concurrent writers are kept.
const SCRATCHES_MAX: usize = 64;

/// The engine. Shared as `Arc<Tsdb>`, which is both an `Appender` and a `Querier`.
#[derive(Debug)]
pub struct Tsdb {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) retention: RwLock<Retention>,
    pub(crate) block_env: Arc<BlockEnv>,
    pub(crate) journal: Journal,
    pub(crate) memory: HeadMemory,
    pub(crate) tenants: RwLock<HashMap<TenantId, Arc<Tenant>>>,
    pub(crate) next_tenant: AtomicU32,
    scratches: Mutex<Vec<Scratch>>,
    /// Held by whoever flushes.
    pub(crate) flush_turn: Mutex<()>,
    /// Held by whoever compacts or deletes.
    pub(crate) compaction_turn: Mutex<()>,
    pub(crate) flushing: Arc<Schedule>,
    pub(crate) compacting: Arc<Schedule>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) lock: Mutex<Option<Box<dyn FileLock>>>,
    #[cfg(test)]
    pub(crate) meanwhile: std::sync::OnceLock<Meanwhile>,
}

/// What a test does between slices of a flush.
#[cfg(test)]
pub(crate) struct Meanwhile(pub(crate) Box<dyn Fn(&Tsdb) + Send + Sync>);

#[cfg(test)]
impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// The parts that [`Tsdb::open`] made.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) block_env: Arc<BlockEnv>,
    pub(crate) journal: Journal,
    pub(crate) flushing: Arc<Schedule>,
    pub(crate) memory: HeadMemory,
    pub(crate) tenants: HashMap<TenantId, Arc<Tenant>>,
    pub(crate) next_tenant: u32,
    pub(crate) lock: Box<dyn FileLock>,
}

impl Tsdb {
    pub(crate) fn assemble(parts: Parts) -> Arc<Self> {
        let retention = Retention {
            retention_ms: parts.settings.retention_ms,
            retention_bytes: parts.settings.retention_bytes,
            of_tenants: parts.settings.retention_of_tenants.clone(),
        };
        Arc::new(Self {
            settings: parts.settings,
            deps: parts.deps,
            metrics: parts.metrics,
            retention: RwLock::new(retention),
            block_env: parts.block_env,
            journal: parts.journal,
            memory: parts.memory,
            tenants: RwLock::new(parts.tenants),
            next_tenant: AtomicU32::new(parts.next_tenant),
            scratches: Mutex::new(Vec::new()),
            flush_turn: Mutex::new(()),
            compaction_turn: Mutex::new(()),
            flushing: parts.flushing,
            compacting: Arc::default(),
            threads: Mutex::new(Vec::new()),
            lock: Mutex::new(Some(parts.lock)),
            #[cfg(test)]
            meanwhile: std::sync::OnceLock::new(),
        })
    }

    /// Takes new settings of how long and how much is kept. Blocks that are too old now go at the next maintenance.
    pub fn reload(&self, retention: Retention) {
        *self.retention.write() = retention;
        self.compacting.wake();
    }

    /// Flushes the head, so that the next start replays nothing, ends all threads and frees the directory. Later
    /// writes are refused; queries still work. A second call does nothing.
    ///
    /// # Errors
    /// If the head could not be flushed; everything acknowledged is then still in the journal.
    pub fn stop(&self) -> Result<(), Error> {
        self.stop_maintenance();
        let Some(_lock) = self.lock.lock().take() else { return Ok(()) };
        self.journal.stop();
        self.flush()
    }

    /// Ends all threads without flushing, as a crash would, but in order: for tests of recovery.
    #[doc(hidden)]
    pub fn abandon(&self) {
        self.stop_maintenance();
        self.journal.stop();
        self.lock.lock().take();
    }

    /// Waits until the journal's thread has done what it was told, tries at recovery included: for simulations, which must do
    /// the same in each run.
    #[doc(hidden)]
    pub fn quiesce(&self) {
        self.journal.quiesce();
    }

    /// Samples of a tenant before this are not kept.
    pub(crate) fn oldest_kept_ms(&self, tenant: &TenantId) -> i64 {
        self.deps.clock.now_ms().saturating_sub(self.retention.read().ms_of(tenant))
    }

    /// Who is known by this id.
    pub(crate) fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.read().get(id).map(Arc::clone)
    }

    /// All tenants, in order of their names.
    pub(crate) fn all_tenants(&self) -> Vec<Arc<Tenant>> {
        let mut all: Vec<Arc<Tenant>> = self.tenants.read().values().map(Arc::clone).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The tenant with this id, made if it is new.
    ///
    /// # Errors
    /// `Limit` if there are too many tenants, `Unavailable` if its directory cannot be made.
    pub(crate) fn tenant_or_new(&self, id: &TenantId) -> Result<Arc<Tenant>, Error> {
        if let Some(tenant) = self.tenant(id) {
            return Ok(tenant);
        }
        let mut tenants = self.tenants.write();
        if let Some(tenant) = tenants.get(id) {
            return Ok(Arc::clone(tenant));
        }
        let max = self.settings.tenants_max;
        if tenants.len() >= max {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("there are {max} tenants already: raise tenants_max"),
            ));
        }
        let number = self.next_tenant.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = crate::open::tenant_directory(&self.settings.directory, id);
        let extras = Extras::default();
        let tenant = Tenant::new(&self.deps.budget, id.clone(), number, directory, Vec::new(), extras);
        let tenant = Arc::new(tenant);
        tenants.insert(id.clone(), Arc::clone(&tenant));
        self.metrics.tenants.set(tenants.len() as i64);
        Ok(tenant)
    }

    pub(crate) fn take_scratch(&self) -> Scratch {
        self.scratches.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_scratch(&self, scratch: Scratch) {
        let mut scratches = self.scratches.lock();
        if scratches.len() < SCRATCHES_MAX {
            scratches.push(scratch);
        }
    }
}

impl Drop for Tsdb {
    /// Without [`Tsdb::stop`], threads end and the journal keeps what was acknowledged.
    fn drop(&mut self) {
        self.stop_maintenance();
        self.journal.stop();
    }
}
