//! What can be set about the engine, and what it is given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::TenantId;
use stdx::clock::Clock;
use stdx::fs::Fs;
use stdx::memory::Budget;

/// Settings of the engine. All but those of [`Retention`] need a restart.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where everything is kept. One process at a time may use it.
    pub directory: PathBuf,
    /// How long samples are kept. A block is deleted once all of it is older.
    pub retention_ms: i64,
    /// How much blocks and journal together may take before the oldest blocks are deleted; no limit if absent.
    pub retention_bytes: Option<u64>,
    /// What is different for some tenants.
    pub retention_of_tenants: BTreeMap<TenantId, TenantRetention>,
    /// The time span of a fresh block, to whose multiples blocks are aligned.
    pub block_span_ms: i64,
    /// A segment of the journal is ended at this many bytes of samples before compression (more if definitions of series
    /// would be a large part of it otherwise).
    pub wal_segment_bytes_max: u64,
    /// The head is flushed early when the journal exceeds this size, so that a restart never replays more.
    pub wal_bytes_max: u64,
    /// How many encoded bytes may wait for the journal's thread before writes are refused.
    pub wal_queue_bytes_max: usize,
    /// When a write counts as durable.
    pub fsync: FsyncPolicy,
    /// How far in the future of the machine's clock a sample may be.
    pub future_ms_max: i64,
    /// The most labels a series may have.
    pub labels_max: usize,
    /// The longest label name.
    pub label_name_bytes_max: usize,
    /// The longest label value.
    pub label_value_bytes_max: usize,
    /// The most series one tenant may have in the head.
    pub series_per_tenant_max: usize,
    /// The most tenants.
    pub tenants_max: usize,
    /// The most exemplars kept of one tenant; older ones make room.
    pub exemplars_per_tenant_max: usize,
    /// The most metric families of one tenant of which metadata is kept.
    pub metadata_per_tenant_max: usize,
    /// Memory of the head. It is flushed early when it nears this; at it, new series are refused.
    pub head_bytes_max: u64,
    /// Memory of the cache of decompressed block frames.
    pub cache_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("data"),
            retention_ms: 15 * 86_400_000,
            retention_bytes: None,
            retention_of_tenants: BTreeMap::new(),
            block_span_ms: 2 * 3_600_000,
            wal_segment_bytes_max: 16 << 20,
            wal_bytes_max: 2 << 30,
            wal_queue_bytes_max: 64 << 20,
            fsync: FsyncPolicy::BeforeAck,
            future_ms_max: 600_000,
            labels_max: 64,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 4096,
            series_per_tenant_max: 20_000_000,
            tenants_max: 10_000,
            exemplars_per_tenant_max: 100_000,
            metadata_per_tenant_max: 100_000,
            head_bytes_max: 4 << 30,
            cache_bytes_max: 256 << 20,
        }
    }
}

/// When a write counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FsyncPolicy {
    /// Once its journal record is on disk.
    BeforeAck,
    /// Once it was handed to the operating system: survives a crash of the process, not one of the machine.
    Never,
}

/// The settings that can change while the engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// See [`Settings::retention_ms`].
    pub retention_ms: i64,
    /// See [`Settings::retention_bytes`].
    pub retention_bytes: Option<u64>,
    /// See [`Settings::retention_of_tenants`].
    pub of_tenants: BTreeMap<TenantId, TenantRetention>,
}

/// How long and how much of one tenant is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantRetention {
    /// Instead of [`Settings::retention_ms`]; as there if absent.
    pub retention_ms: Option<i64>,
    /// How much the tenant's blocks may take before its oldest ones are deleted; beside what all may take together.
    pub retention_bytes: Option<u64>,
}

impl Retention {
    /// How long samples of a tenant are kept.
    pub(crate) fn ms_of(&self, tenant: &TenantId) -> i64 {
        self.of_tenants.get(tenant).and_then(|own| own.retention_ms).unwrap_or(self.retention_ms)
    }

    /// How much the blocks of a tenant may take.
    pub(crate) fn bytes_of(&self, tenant: &TenantId) -> Option<u64> {
        self.of_tenants.get(tenant).and_then(|own| own.retention_bytes)
    }
}

/// What the engine is given.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The file system; the simulator gives one that fails.
    pub fs: Arc<dyn Fs>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Memory of the head and of the cache is taken from here.
    pub budget: Arc<Budget>,
    /// Where the engine's own metrics are registered.
    pub registry: prometheus::Registry,
    /// Shows how far [`crate::Tsdb::open`] is; readable from other threads.
    pub replay_progress: Arc<ReplayProgress>,
}

impl Deps {
    /// The machine's file system and clock, no memory limit, a registry of its own.
    pub fn system() -> Self {
        Self {
            fs: stdx::fs::RealFs::shared(),
            clock: stdx::clock::SystemClock::shared(),
            budget: Budget::unlimited(),
            registry: prometheus::Registry::new(),
            replay_progress: Arc::default(),
        }
    }
}

/// How far the replay of the journal is.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
}

impl ReplayProgress {
    /// Bytes of the journal that were replayed so far.
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    /// Bytes of the journal there are to replay; 0 before the replay began.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, total: u64) {
        self.bytes_total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn reach(&self, bytes: u64) {
        self.bytes_done.store(bytes, Ordering::Relaxed);
    }
}
