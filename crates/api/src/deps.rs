//! What the server needs from the rest of the house, and the shapes in which it asks.
//!
//! [`Deps`] exists before storage is open; [`Backends`] are handed over once it is (`Handle::open`).
//! [`StatusView`] and [`Control`] are implemented by the binary, which alone knows everybody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Matcher, TenantId};
use stdx::clock::Clock;
use stdx::memory::Budget;

/// What the server needs from its first moment.
#[derive(Clone)]
pub struct Deps {
    /// Evaluates queries.
    pub engine: Arc<promql::Engine>,
    /// Answers how the process is.
    pub status: Arc<dyn StatusView>,
    /// Tells people of alerts; agents have none.
    pub notifier: Option<notifier::Handle>,
    /// Acts on the process.
    pub control: Arc<dyn Control>,
    /// The time that "now" means.
    pub clock: Arc<dyn Clock>,
    /// What `/metrics` shows; the server adds its own metrics to it.
    pub registry: prometheus::Registry,
    /// Memory of requests that read storage without the engine: series, labels, exemplars, federation.
    pub budget: Arc<Budget>,
}

/// What exists once storage is open. Until then the API answers 503.
#[derive(Clone)]
pub struct Backends {
    /// Takes pushes in.
    pub appender: Arc<dyn storage::Appender>,
    /// Answers what is stored.
    pub querier: Arc<dyn storage::Querier>,
    /// Answers what is scraped.
    pub targets: Arc<dyn scrape::status::TargetsView>,
    /// Acts on what is stored.
    pub admin: Arc<dyn StorageAdmin>,
    /// Answers which rules and alerts there are.
    pub rules: Arc<dyn rules::RulesView>,
    /// Keeps rules that come by API.
    pub stored_rules: Arc<dyn rules::stored::StoredRules>,
    /// Answers where alerts are sent.
    pub alertmanagers: Arc<dyn rules::AlertmanagersView>,
}

/// Answers how the process is. Called on blocking threads; may take short locks.
pub trait StatusView: Send + Sync + 'static {
    /// The configuration as it was loaded, secrets replaced by `<secret>`.
    fn config_yaml(&self) -> String;
    /// `global.external_labels`: federation adds them to every series.
    fn external_labels(&self) -> Labels;
    /// Every flag with its value in force, by name without dashes.
    fn flags(&self) -> BTreeMap<String, String>;
    /// What the process runs on and since when.
    fn runtime_info(&self) -> RuntimeInfo;
    /// What was built.
    fn build_info(&self) -> BuildInfo;
    /// What a tenant stores, each list cut to its `limit` largest entries.
    ///
    /// # Errors
    /// `Unavailable` while storage is not open.
    fn tsdb_stats(&self, tenant: &TenantId, limit: usize) -> Result<TsdbStats, storage::Error>;
    /// Features that are no business of the API's: category and name, as Prometheus calls them, and whether they are on.
    fn features(&self) -> Vec<(&'static str, &'static str, bool)>;
    /// How OTLP becomes series.
    fn otlp(&self) -> Arc<wire::otlp::convert::Settings> {
        Arc::default()
    }
    /// How far the journal has been replayed.
    fn replay_progress(&self) -> ReplayProgress;
    /// Who may use how much memory, and does. The first is the whole process.
    fn memory(&self) -> Vec<MemoryUse>;
    /// How much is stored, of all tenants.
    fn storage_info(&self) -> StorageInfo;
}

/// Acts on the process.
pub trait Control: Send + Sync + 'static {
    /// Reads the configuration again and puts it in force. Called on a blocking thread.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    fn reload(&self) -> Result<(), String>;
    /// Begins an orderly stop and returns at once.
    fn quit(&self);
}

/// Acts on what is stored. Called on blocking threads; may take as long as it takes.
pub trait StorageAdmin: Send + Sync + 'static {
    /// Deletes samples in a range, inclusive at both ends, of a tenant's series that meet all matchers of one set. What is
    /// written afterwards is not touched.
    ///
    /// # Errors
    /// `Limit`, `Unavailable`; nothing is deleted then.
    fn delete_series(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<(), storage::Error>;
    /// Frees the space of what was deleted.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn clean_tombstones(&self) -> Result<(), storage::Error>;
    /// Takes a snapshot and returns its name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn snapshot(&self, skip_head: bool) -> Result<String, storage::Error>;
    /// Writes all that is in memory to disk and makes it as small as it gets.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn compact(&self) -> Result<Compaction, storage::Error>;
}

/// What a full compaction did: pairs are before and after.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compaction {
    /// Blocks.
    pub block_count: (u64, u64),
    /// Bytes of all blocks.
    pub block_bytes: (u64, u64),
    /// Bytes of the journal.
    pub journal_bytes: (u64, u64),
    /// Samples in blocks afterwards.
    pub sample_count: u64,
    /// How long it took.
    pub took: Duration,
}

/// What the process runs on and since when. What only Go has (`GOGC`) the server answers as empty.
#[derive(Debug, Clone, Default)]
pub struct RuntimeInfo {
    /// When the process started.
    pub start_ms: i64,
    /// Working directory.
    pub working_directory: String,
    /// Name of the machine.
    pub hostname: String,
    /// Whether the last load of the configuration worked.
    pub reload_succeeded: bool,
    /// When the configuration in force was loaded.
    pub last_config_ms: i64,
    /// Damaged places of the journal that were found.
    pub corruption_count: i64,
    /// Threads of the process.
    pub thread_count: usize,
    /// Processors the process may use.
    pub processor_count: usize,
    /// The memory limit of the process.
    pub memory_limit_bytes: u64,
    /// As Prometheus writes it: `15d`, `15d or 10GiB`.
    pub storage_retention: String,
}

/// What was built.
#[derive(Debug, Clone, Default)]
pub struct BuildInfo {
    /// Kymo's version.
    pub version: String,
    /// Commit; empty if unknown.
    pub revision: String,
    /// Branch; empty if unknown.
    pub branch: String,
    /// Who built it; empty if unknown.
    pub build_user: String,
    /// When; empty if unknown.
    pub build_date: String,
    /// The compiler, such as `rustc 1.95.0`.
    pub compiler: String,
}

/// What a tenant stores. Lists are sorted by falling value.
#[derive(Debug, Clone, Default)]
pub struct TsdbStats {
    /// Series in the head.
    pub series_count: u64,
    /// Distinct pairs of label name and value in the head.
    pub label_pair_count: u64,
    /// Chunks in the head.
    pub chunk_count: u64,
    /// Oldest sample in the head; `None` if it is empty.
    pub min_time_ms: Option<i64>,
    /// Newest sample in the head; `None` if it is empty.
    pub max_time_ms: Option<i64>,
    /// Series by metric name.
    pub series_count_by_metric_name: Vec<(String, u64)>,
    /// Distinct values by label name.
    pub label_value_count_by_label_name: Vec<(String, u64)>,
    /// Bytes of the values by label name.
    pub memory_in_bytes_by_label_name: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_count_by_label_value_pair: Vec<(String, u64)>,
}

/// How far the journal has been replayed. Prometheus gives numbers of segments; any unit that rises from `min` to `max`
/// serves those who ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Where it began.
    pub min: u64,
    /// Where it will end.
    pub max: u64,
    /// Where it is.
    pub current: u64,
}

/// A share of the process' memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryUse {
    /// Who: `process`, `head`, `queries`…
    pub consumer: String,
    /// What it uses.
    pub used_bytes: u64,
    /// The most it ever used.
    pub peak_bytes: u64,
    /// What it may use.
    pub limit_bytes: u64,
}

impl From<&Budget> for MemoryUse {
    fn from(budget: &Budget) -> Self {
        Self {
            consumer: budget.name().to_owned(),
            used_bytes: budget.used_bytes(),
            peak_bytes: budget.peak_bytes(),
            limit_bytes: budget.limit_bytes(),
        }
    }
}

/// How much is stored, of all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageInfo {
    /// Tenants that have data.
    pub tenant_count: u64,
    /// Series in heads.
    pub head_series_count: u64,
    /// Samples in heads.
    pub head_sample_count: u64,
    /// Memory of heads.
    pub head_bytes: u64,
    /// Blocks on disk.
    pub block_count: u64,
    /// Their size.
    pub block_bytes: u64,
    /// Oldest sample in a block; `None` without blocks.
    pub block_min_time_ms: Option<i64>,
    /// Newest sample in a block; `None` without blocks.
    pub block_max_time_ms: Option<i64>,
    /// Segments of the journal.
    pub journal_segment_count: u64,
    /// Their size.
    pub journal_bytes: u64,
    /// How long samples are kept; `None` for ever.
    pub retention_ms: Option<i64>,
}
