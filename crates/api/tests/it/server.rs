//! A server to ask, and what stands behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::{
    Backends, BuildInfo, Control, Deps, Handle, MemoryUse, ReplayProgress, RuntimeInfo, Settings, StatusView,
    StorageInfo, TsdbStats,
};
use model::relabel::Rule;
use model::{Exemplar, Labels, Metadata, MetricType, TenantId};
use parking_lot::Mutex;
use scrape::status::{ActiveTarget, DroppedTarget, Health, InvalidTarget, TargetsView};
use stdx::clock::ManualClock;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{Appender, Querier, WriteBatch};

use crate::client::Client;

/// 2015-07-01T20:10:51.781Z, the time of Prometheus' documentation.
pub(crate) const NOW_MS: i64 = 1_435_781_451_781;

pub(crate) struct TestServer {
    handle: Handle,
    pub(crate) client: Client,
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) control: Arc<FakeControl>,
    /// Dropped last: the server's tasks run here.
    pub(crate) admin: Arc<FakeAdmin>,
    runtime: tokio::runtime::Runtime,
}

impl TestServer {
    /// With storage open and some series in it.
    pub(crate) fn start() -> Self {
        Self::start_with(settings())
    }

    pub(crate) fn start_with(settings: Settings) -> Self {
        let server = Self::start_closed(settings);
        server.open();
        server
    }

    /// Before storage is open.
    pub(crate) fn start_closed(settings: Settings) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let control = Arc::new(FakeControl::default());
        let deps = deps(Arc::clone(&control), prometheus::Registry::new());
        let handle = runtime.block_on(api::start(settings, deps)).expect("a free port");
        let client = Client::new(handle.local_addr());
        let storage = MemoryStorage::new();
        fill(&storage);
        Self { handle, client, storage, control, admin: Arc::default(), runtime }
    }

    pub(crate) fn open(&self) {
        self.open_with(
            Arc::clone(&self.storage) as Arc<dyn Appender>,
            Arc::clone(&self.storage) as Arc<dyn Querier>,
        );
    }

    pub(crate) fn open_with(&self, appender: Arc<dyn Appender>, querier: Arc<dyn Querier>) {
        self.handle.open(Backends {
            appender,
            querier,
            targets: Arc::new(FakeTargets),
            admin: Arc::<FakeAdmin>::clone(&self.admin),
            rules: Arc::new(rules::NoRules),
            stored_rules: Arc::new(rules::stored::NoStoredRules),
            alertmanagers: Arc::new(rules::NoAlertmanagers),
        });
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.handle.stop());
    }
}

/// Starts a server whose storage is never opened.
pub(crate) async fn try_start(settings: Settings) -> Result<Handle, api::StartError> {
    api::start(settings, deps(Arc::default(), prometheus::Registry::new())).await
}

fn deps(control: Arc<FakeControl>, registry: prometheus::Registry) -> Deps {
    Deps {
        notifier: None,
        engine: Arc::new(promql::Engine::new(promql::Settings::default(), Budget::unlimited())),
        status: Arc::new(FakeStatus),
        control,
        clock: ManualClock::at(NOW_MS),
        registry,
        budget: Budget::unlimited(),
    }
}

pub(crate) fn settings() -> Settings {
    Settings { listen: "127.0.0.1:0".to_owned(), ..Settings::default() }
}

/// Notes what it is told to do.
#[derive(Default)]
pub(crate) struct FakeAdmin {
    pub(crate) told: parking_lot::Mutex<Vec<String>>,
    pub(crate) fault: parking_lot::Mutex<Option<storage::ErrorKind>>,
}

impl FakeAdmin {
    fn tell(&self, what: String) -> Result<(), storage::Error> {
        self.told.lock().push(what);
        match *self.fault.lock() {
            Some(kind) => Err(storage::Error::new(kind, "disk full")),
            None => Ok(()),
        }
    }
}

impl api::StorageAdmin for FakeAdmin {
    fn delete_series(
        &self,
        tenant: &model::TenantId,
        matcher_sets: &[Vec<model::Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<(), storage::Error> {
        self.tell(format!("delete {tenant} {matcher_sets:?} {start_ms} {end_ms}"))
    }

    fn clean_tombstones(&self) -> Result<(), storage::Error> {
        self.tell("clean".to_owned())
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, storage::Error> {
        self.tell(format!("snapshot {skip_head}")).map(|()| "20260131T000000Z-1".to_owned())
    }

    fn compact(&self) -> Result<api::Compaction, storage::Error> {
        let done = api::Compaction { block_count: (9, 1), sample_count: 5, ..api::Compaction::default() };
        self.tell("compact".to_owned()).map(|()| done)
    }
}

fn fill(storage: &MemoryStorage) {
    let mut batch = WriteBatch::new();
    for (job, instance) in [("node", "a:9100"), ("node", "b:9100"), ("<web>", "c&d")] {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", job), ("instance", instance)]);
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, NOW_MS - 60_000, 0.0);
        batch.add_float(series, NOW_MS - 1_781, 1.0);
        if instance == "a:9100" {
            let labels = Labels::from_pairs([("trace_id", "t<1>")]);
            batch.add_exemplar(series, Exemplar { labels, value: 0.5, timestamp_ms: None }, NOW_MS);
        }
    }
    let labels = Labels::from_pairs([("__name__", "requests_total"), ("http.status", "200")]);
    let series = batch.add_series(labels.as_ref());
    batch.add_float(series, NOW_MS, 1e21);
    batch.add_metadata("up", metadata(MetricType::Gauge, "Whether it is <up>.", ""));
    batch.add_metadata("requests_total", metadata(MetricType::Counter, "Requests.", "requests"));
    storage.append(&TenantId::anonymous(), &batch).expect("memory takes everything");
}

fn metadata(metric_type: MetricType, help: &str, unit: &str) -> Metadata {
    Metadata { metric_type, help: help.to_owned(), unit: unit.to_owned() }
}

/// The rules of the pool `node`.
fn rules() -> Vec<Rule> {
    let rules = r#"[{"source_labels":["__address__"],"regex":"(.*):.*","target_label":"host"},
        {"source_labels":["host"],"regex":"x","action":"drop"},
        {"regex":"host","action":"labeldrop"}]"#;
    serde_json::from_str(rules).expect("rules")
}

struct FakeTargets;

impl TargetsView for FakeTargets {
    fn pools(&self) -> Vec<String> {
        vec!["node".to_owned(), "web".to_owned()]
    }

    fn active(&self) -> Vec<ActiveTarget> {
        let target = |pool: &str, instance: &str| ActiveTarget {
            pool: pool.to_owned(),
            discovered_labels: Labels::from_pairs([("__address__", instance), ("job", pool)]),
            labels: Labels::from_pairs([("job", pool), ("instance", instance)]),
            scrape_url: format!("http://{instance}/metrics"),
            global_url: format!("http://{instance}/metrics"),
            last_error: String::new(),
            last_scrape_ms: NOW_MS - 1_781,
            last_scrape_duration_s: 0.0125,
            last_sample_count: 3,
            last_excess_count: 0,
            health: Health::Up,
            interval_ms: 15_000,
            timeout_ms: 10_000,
        };
        let down = ActiveTarget {
            last_error: "connection \"refused\"".to_owned(),
            last_scrape_ms: 0,
            last_scrape_duration_s: 0.0,
            health: Health::Down,
            ..target("web", "c:80")
        };
        vec![target("node", "a:9100"), down]
    }

    fn dropped(&self) -> Vec<DroppedTarget> {
        let discovered_labels = Labels::from_pairs([("__address__", "x:1")]);
        let rule = rules().remove(1).settings().clone();
        vec![DroppedTarget { pool: "node".to_owned(), discovered_labels, dropped_by: 1, rule }]
    }

    fn invalid(&self) -> Vec<InvalidTarget> {
        let discovered_labels = Labels::from_pairs([("__address__", "a/b")]);
        let error = "\"a/b\" is not a valid hostname".to_owned();
        vec![InvalidTarget { pool: "web".to_owned(), discovered_labels, error }]
    }

    fn relabel_rules(&self, pool: &str) -> Option<Vec<Rule>> {
        (pool == "node").then(rules)
    }

    fn dropped_counts(&self) -> Vec<(String, usize)> {
        vec![("web".to_owned(), 0), ("node".to_owned(), 1)]
    }
}

struct FakeStatus;

impl StatusView for FakeStatus {
    fn config_yaml(&self) -> String {
        "global:\n  scrape_interval: 15s\n".to_owned()
    }

    fn external_labels(&self) -> Labels {
        Labels::from_pairs([("region", "eu"), ("job", "never used")])
    }

    fn flags(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("listen".to_owned(), "127.0.0.1:0".to_owned()),
            ("data".to_owned(), "./data".to_owned()),
        ])
    }

    fn features(&self) -> Vec<(&'static str, &'static str, bool)> {
        vec![("scrape", "type_and_unit_labels", false)]
    }

    fn runtime_info(&self) -> RuntimeInfo {
        RuntimeInfo {
            start_ms: NOW_MS - 3_600_000,
            working_directory: "/srv".to_owned(),
            hostname: "host".to_owned(),
            reload_succeeded: true,
            last_config_ms: NOW_MS - 3_599_000,
            corruption_count: 0,
            thread_count: 12,
            processor_count: 2,
            memory_limit_bytes: 1 << 30,
            storage_retention: "15d".to_owned(),
        }
    }

    fn build_info(&self) -> BuildInfo {
        BuildInfo { version: "0.1.0".to_owned(), compiler: "rustc 1.95.0".to_owned(), ..BuildInfo::default() }
    }

    fn tsdb_stats(&self, tenant: &TenantId, limit: usize) -> Result<TsdbStats, storage::Error> {
        if *tenant != TenantId::anonymous() {
            return Ok(TsdbStats::default());
        }
        let list = |name: &str| (0..3).take(limit).map(|i| (format!("{name}{i}"), 10 - i)).collect();
        Ok(TsdbStats {
            series_count: 4,
            label_pair_count: 7,
            chunk_count: 4,
            min_time_ms: Some(NOW_MS - 60_000),
            max_time_ms: Some(NOW_MS),
            series_count_by_metric_name: list("m"),
            label_value_count_by_label_name: list("l"),
            memory_in_bytes_by_label_name: list("b"),
            series_count_by_label_value_pair: list("p="),
        })
    }

    fn replay_progress(&self) -> ReplayProgress {
        ReplayProgress { min: 3, max: 9, current: 5 }
    }

    fn memory(&self) -> Vec<MemoryUse> {
        let process = Budget::root("process", 1_000);
        let _held = process.reserve(10).expect("fits");
        vec![MemoryUse::from(process.as_ref())]
    }

    fn storage_info(&self) -> StorageInfo {
        StorageInfo { tenant_count: 1, head_series_count: 4, ..StorageInfo::default() }
    }
}

#[derive(Default)]
pub(crate) struct FakeControl {
    pub(crate) fault: Mutex<Option<String>>,
    pub(crate) reloads: AtomicUsize,
    pub(crate) quits: AtomicUsize,
}

impl Control for FakeControl {
    fn reload(&self) -> Result<(), String> {
        self.reloads.fetch_add(1, Ordering::SeqCst);
        self.fault.lock().clone().map_or(Ok(()), Err)
    }

    fn quit(&self) {
        self.quits.fetch_add(1, Ordering::SeqCst);
    }
}
