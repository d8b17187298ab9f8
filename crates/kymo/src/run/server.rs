//! What is running: answers how it is, and reads its configuration again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use api::{BuildInfo, Control, MemoryUse, ReplayProgress, RuntimeInfo, StatusView, StorageInfo, TsdbStats};
use catalog::Catalog;
use forward::Forwarding;
use model::size::format_size_bytes;
use model::time::format_duration_ms;
use model::{Labels, TenantId};
use parking_lot::{Mutex, RwLock};
use prometheus::{Encoder as _, Registry, TextEncoder};
use stdx::clock::Clock;
use stdx::rand::SeededRandom;
use storage::{Error, ErrorKind};
use tokio_util::sync::CancellationToken;
use tsdb::{Retention, Tsdb};

use super::alerting::{self, Alerting};
use super::alerts::CatalogStore;
use super::memory_limit::Budgets;
use super::process::{self, ConfigMetrics};
use super::query_log::{QueryLogFile, QueryLogMetrics};
use super::{Options, Role};
use crate::cli::UsageError;
use crate::config::{self, Config, NotifierConfig};
use crate::version;

/// What exists once storage is open.
#[derive(Clone)]
pub(super) struct Opened {
    /// None in an agent.
    pub(super) tsdb: Option<Arc<Tsdb>>,
    pub(super) forwarding: Arc<Forwarding>,
    pub(super) scrape: scrape::Handle,
    pub(super) engine: Arc<promql::Engine>,
    /// None in an agent.
    pub(super) alerting: Option<Alerting>,
    pub(super) notifier: Option<notifier::Handle>,
}

/// Everything that outlives a reload.
pub(super) struct Server {
    pub(super) options: Options,
    pub(super) budgets: Budgets,
    /// Cancelled when the process shall end.
    pub(super) stop: CancellationToken,
    clock: Arc<dyn Clock>,
    registry: Registry,
    metrics: ConfigMetrics,
    query_log_metrics: QueryLogMetrics,
    replay: Arc<tsdb::ReplayProgress>,
    started_ms: i64,
    config: RwLock<Arc<Config>>,
    opened: RwLock<Option<Opened>>,
    /// What people made; none in an agent.
    catalog: OnceLock<Arc<Catalog>>,
    /// One reload at a time.
    reloading: Mutex<()>,
    runtime: tokio::runtime::Handle,
}

impl Server {
    /// Reads the configuration. Nothing runs yet.
    pub(super) fn load(
        options: Options,
        clock: Arc<dyn Clock>,
        registry: Registry,
        budgets: Budgets,
    ) -> anyhow::Result<Arc<Self>> {
        let config = read(&options).map_err(UsageError)?;
        if options.role == Role::Agent && config.receivers.is_empty() {
            let advice = "an agent sends what it collects to other servers; name one under remote_write, as in\n\n\
                          remote_write:\n  - url: http://kymo.example:9090/api/v1/write";
            return Err(UsageError(advice.to_owned()).into());
        }
        let metrics = ConfigMetrics::register(&registry)?;
        let query_log_metrics = QueryLogMetrics::register(&registry)?;
        let started_ms = clock.now_ms();
        metrics.successful.set(1);
        metrics.success_seconds.set(started_ms as f64 / 1000.0);
        Ok(Arc::new(Self {
            options,
            budgets,
            stop: CancellationToken::new(),
            clock,
            registry,
            metrics,
            query_log_metrics,
            replay: Arc::default(),
            started_ms,
            config: RwLock::new(Arc::new(config)),
            opened: RwLock::new(None),
            catalog: OnceLock::new(),
            reloading: Mutex::new(()),
            runtime: tokio::runtime::Handle::current(),
        }))
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    pub(super) fn engine(&self) -> anyhow::Result<Arc<promql::Engine>> {
        let settings = self.query_settings(&self.config());
        let results = &self.budgets.results;
        let engine = promql::Engine::new(settings, Arc::clone(&self.budgets.queries))
            .with_result_cache(results, results.limit_bytes())
            .with_kept_texts(&self.budgets.queries);
        engine.register(&self.registry)?;
        self.log_queries(&engine, self.open_query_log(&self.config()).map_err(UsageError)?);
        Ok(Arc::new(engine))
    }

    /// Opens the file anew, even if it is the same: the old one may have been moved away.
    fn open_query_log(&self, config: &Config) -> Result<Option<QueryLogFile>, String> {
        let open = |path| QueryLogFile::open(path, Arc::clone(&self.clock), self.query_log_metrics.clone());
        config.query_log.as_deref().map(open).transpose()
    }

    fn log_queries(&self, engine: &promql::Engine, log: Option<QueryLogFile>) {
        self.query_log_metrics.set_enabled(log.is_some());
        engine.log_to(log.map(|log| Arc::new(log) as Arc<dyn promql::QueryLog>));
    }

    /// Limits of queries: the file, else the flags.
    fn query_settings(&self, config: &Config) -> promql::Settings {
        let subquery_step_ms = config.global.evaluation_interval_ms();
        let mut settings =
            config.query.apply(promql::Settings { subquery_step_ms, ..self.options.query.clone() });
        config.features.promql.iter().for_each(|effect| settings.enable(*effect));
        settings
    }

    pub(super) fn api_settings(&self) -> api::Settings {
        let mut push = self.config().push.clone();
        push.directory = Some(self.options.data.join("pushgateway"));
        api::Settings { push, ..self.options.api.clone() }
    }

    /// Whoever tells people of alerts; nobody in an agent.
    pub(super) async fn notifier(&self) -> anyhow::Result<Option<notifier::Handle>> {
        if self.options.role == Role::Agent {
            return Ok(None);
        }
        let NotifierConfig { config, external_url, settings, .. } = self.config().notifier.clone();
        let path = self.options.data.join("catalog.sqlite");
        let data = self.options.data.clone();
        let opening = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
            anyhow::Ok(Catalog::open(&path)?)
        });
        let catalog = Arc::new(opening.await.context("opening the catalog panicked")??);
        let catalog = Arc::clone(self.catalog.get_or_init(|| catalog));
        let port = self.options.api.listen.rsplit_once(':').map_or("9090", |(_, port)| port);
        let default_url = || format!("http://{}:{port}", process::host_name());
        let deps = notifier::Deps {
            settings,
            clock: Arc::clone(&self.clock),
            random: Arc::new(SeededRandom::from_os()),
            store: Arc::new(CatalogStore { catalog, tenant: TenantId::anonymous() }),
            registry: self.registry.clone(),
            external_url: self
                .options
                .external_url
                .as_deref()
                .map(|url| url.trim_end_matches('/').to_owned())
                .or(external_url)
                .unwrap_or_else(default_url),
        };
        let started = notifier::start((*config).clone(), deps).await;
        started.map(Some).map_err(|error| match error {
            notifier::StartError::Template(error) => UsageError(format!("alertmanager: {error}")).into(),
            other => anyhow::Error::new(other),
        })
    }

    pub(super) fn api_deps(
        self: &Arc<Self>,
        engine: Arc<promql::Engine>,
        notifier: Option<notifier::Handle>,
    ) -> api::Deps {
        api::Deps {
            engine,
            notifier,
            status: Arc::<Self>::clone(self),
            control: Arc::<Self>::clone(self),
            clock: Arc::clone(&self.clock),
            registry: self.registry.clone(),
            budget: Arc::clone(&self.budgets.reads),
        }
    }

    pub(super) fn tsdb(&self) -> (tsdb::Settings, tsdb::Deps) {
        let config = self.config();
        let Retention { retention_ms, retention_bytes, of_tenants } = self.retention(&config);
        let defaults = tsdb::Settings::default();
        let settings = tsdb::Settings {
            directory: self.options.data.clone(),
            retention_ms,
            retention_bytes,
            retention_of_tenants: of_tenants,
            exemplars_per_tenant_max: config
                .storage
                .exemplars_max
                .unwrap_or(defaults.exemplars_per_tenant_max),
            head_bytes_max: self.budgets.head_bytes_max(),
            cache_bytes_max: self.budgets.cache_bytes_max(),
            ..defaults
        };
        let deps = tsdb::Deps {
            fs: stdx::fs::RealFs::shared(),
            clock: Arc::clone(&self.clock),
            budget: Arc::clone(&self.budgets.storage),
            registry: self.registry.clone(),
            replay_progress: Arc::clone(&self.replay),
        };
        (settings, deps)
    }

    /// How long and how much is kept: the file, else the flags.
    fn retention(&self, config: &Config) -> Retention {
        let storage = &config.storage;
        let of_disk = storage.retention_percentage.and_then(|percent| {
            let space = stdx::fs::RealFs::shared().space(&self.options.data)?;
            Some((space.total_bytes as f64 * percent / 100.0) as u64)
        });
        Retention {
            retention_ms: storage.retention_ms.unwrap_or(self.options.retention_ms),
            retention_bytes: storage
                .retention_bytes
                .or(self.options.retention_bytes)
                .into_iter()
                .chain(of_disk)
                .min(),
            of_tenants: storage.retention_of_tenants.clone(),
        }
    }

    pub(super) fn retention_text(&self) -> String {
        let Retention { retention_ms, retention_bytes, .. } = self.retention(&self.config());
        match retention_bytes {
            Some(bytes) => format!("{} or {}", format_duration_ms(retention_ms), format_size_bytes(bytes)),
            None => format_duration_ms(retention_ms),
        }
    }

    /// Who gets a copy of what is written.
    pub(super) fn receivers(&self) -> Vec<forward::Settings> {
        self.config().receivers.clone()
    }

    pub(super) fn forward_deps(&self) -> prometheus::Result<forward::Deps> {
        Ok(forward::Deps {
            fs: stdx::fs::RealFs::shared(),
            folder: self.options.data.join("forward"),
            clock: Arc::clone(&self.clock),
            runtime: self.runtime.clone(),
            environment: Arc::new(|name: &str| std::env::var(name).ok()),
            metrics: forward::metrics::Metrics::register(&self.registry)?,
            linger: match self.options.role {
                // Storage has acknowledged already.
                Role::Server => std::time::Duration::from_secs(1),
                // Pushes wait for it.
                Role::Agent => std::time::Duration::from_millis(50),
            },
        })
    }

    pub(super) fn scrape_settings(&self) -> scrape::Settings {
        self.config().scrape.clone()
    }

    /// Kymo watches itself unless a configuration file says what to watch.
    pub(super) fn self_metrics(&self) -> Option<Arc<dyn scrape::Collector>> {
        let collector = SelfMetrics { registry: self.registry.clone() };
        self.options.config.is_none().then(|| Arc::new(collector) as Arc<dyn scrape::Collector>)
    }

    /// How many jobs there are, in words, and whether the machine itself is watched.
    pub(super) fn watched(&self) -> (String, bool) {
        let settings = &self.config().scrape;
        let count = settings.jobs.len();
        let jobs = if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") };
        (jobs, settings.host_collector.is_some())
    }

    /// Starts what evaluates rules and sends their alerts.
    pub(super) fn start_alerting(
        &self,
        opened: &Opened,
        tsdb: &Arc<Tsdb>,
        listens: SocketAddr,
    ) -> anyhow::Result<Alerting> {
        let deps = alerting::Deps {
            engine: Arc::clone(&opened.engine),
            querier: Arc::<Tsdb>::clone(tsdb),
            appender: Arc::<Forwarding>::clone(&opened.forwarding),
            discovery: opened.scrape.discovery(),
            clock: Arc::clone(&self.clock),
            registry: self.registry.clone(),
            url: format!("http://{}:{}", process::host_name(), listens.port()),
            catalog: Arc::clone(
                self.catalog.get().context("BUG: rules are started before the catalog is open")?,
            ),
            notifier: opened.notifier.clone(),
        };
        Alerting::start(&self.options, &self.config(), deps)
    }

    /// Makes everything of the notifier that could fail.
    fn prepare_notifier(&self, config: &Config) -> Result<notifier::service::Prepared, String> {
        let next = (*config.notifier.config).clone();
        let prepared = self.runtime.block_on(notifier::service::prepare(next));
        prepared.map_err(|error| format!("alertmanager: {error}"))
    }

    pub(super) fn open(&self, opened: Opened) {
        *self.opened.write() = Some(opened);
    }

    /// From now on reloads are refused.
    pub(super) fn close(&self) {
        let _reloading = self.reloading.lock();
        *self.opened.write() = None;
    }

    fn try_reload(&self) -> Result<(), String> {
        let opened =
            self.opened.read().clone().ok_or("the server is starting or stopping; try again later")?;
        let config = read(&self.options)?;
        let query_log = self.open_query_log(&config)?;
        let alertmanagers = Alerting::prepare(&config)?;
        let prepare = |notifier| Ok::<_, String>((notifier, self.prepare_notifier(&config)?));
        let notifier = opened.notifier.as_ref().map(prepare).transpose()?;
        // Forwarding and scraping may refuse. Then what was changed is changed back; so all changes or nothing.
        let forward = |config: &Config| {
            let reloaded = self.runtime.block_on(opened.forwarding.reload(config.receivers.clone()));
            reloaded.map_err(|error| format!("remote_write: {error}"))
        };
        let scraped = forward(&config).and_then(|()| {
            self.runtime
                .block_on(opened.scrape.reload(config.scrape.clone()))
                .map_err(|error| error.to_string())
        });
        if let Err(error) = scraped {
            forward(&self.config()).map_err(|again| format!("{error}; and forwarding stopped: {again}"))?;
            return Err(error);
        }
        if let Some(tsdb) = &opened.tsdb {
            tsdb.reload(self.retention(&config));
        }
        if let Some(alerting) = &opened.alerting {
            // The files were checked when the configuration was read.
            alerting.reload(&config, alertmanagers)?;
        }
        if let Some((notifier, prepared)) = notifier {
            self.runtime.block_on(notifier.reload(prepared));
            notifier.configure(config.notifier.settings);
        }
        opened.engine.reload(self.query_settings(&config));
        self.log_queries(&opened.engine, query_log);
        if config.push != self.config().push {
            tracing::warn!(
                "the section push has changed: its listeners stay as they are until Kymo is started again"
            );
        }
        *self.config.write() = Arc::new(config);
        Ok(())
    }
}

/// Reads the configuration, or makes the one for "no file"; logs what it asks for and will not happen.
fn read(options: &Options) -> Result<Config, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let features = options.features.clone();
    let config = match &options.config {
        Some(path) => config::load(path, &variable, features),
        None => config::without_file(features),
    };
    let mut config = config.map_err(|error| error.to_string())?;
    if options.role == Role::Agent && !(config.rules.files.is_empty() && config.alertmanagers.sets.is_empty())
    {
        let text =
            "rule_files and alerting: an agent evaluates no rules; let the server that it sends to do so";
        config.warnings.push(text.to_owned());
    }
    if let Some(path) = &options.alertmanager_config {
        let named = config::load_alertmanager(path).map_err(|error| error.to_string())?;
        config.notifier.config = Arc::new(named);
    }
    let lookback_ms = config.query.apply(options.query.clone()).lookback_ms;
    Arc::make_mut(&mut config.otlp).lookback_ms = lookback_ms;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

impl Control for Server {
    fn reload(&self) -> Result<(), String> {
        let _reloading = self.reloading.lock();
        self.metrics.reloads.inc();
        let result = self.try_reload();
        self.metrics.successful.set(i64::from(result.is_ok()));
        match &result {
            Ok(()) => {
                self.metrics.success_seconds.set(self.clock.now_ms() as f64 / 1000.0);
                tracing::info!("configuration loaded again");
            }
            Err(error) => {
                self.metrics.failures.inc();
                tracing::error!(error, "configuration not loaded; the one in force stays");
            }
        }
        result
    }

    fn quit(&self) {
        tracing::info!("told to stop over HTTP");
        self.stop.cancel();
    }
}

impl StatusView for Server {
    fn config_yaml(&self) -> String {
        self.config().redacted.clone()
    }

    fn external_labels(&self) -> Labels {
        self.config().external_labels.clone()
    }

    fn flags(&self) -> BTreeMap<String, String> {
        self.options.flags.clone()
    }

    fn features(&self) -> Vec<(&'static str, &'static str, bool)> {
        vec![
            // A setting, which no feature needs to allow.
            ("scrape", "extra_scrape_metrics", true),
            ("scrape", "type_and_unit_labels", self.config().features.type_and_unit_labels),
        ]
    }

    fn runtime_info(&self) -> RuntimeInfo {
        let directory = std::env::current_dir().map(|path| path.display().to_string());
        let threads = procfs::process::Process::myself().and_then(|process| process.stat());
        RuntimeInfo {
            start_ms: self.started_ms,
            working_directory: directory.unwrap_or_default(),
            hostname: process::host_name(),
            reload_succeeded: self.metrics.successful.get() == 1,
            last_config_ms: (self.metrics.success_seconds.get() * 1000.0) as i64,
            corruption_count: self.gauge("kymo_tsdb_wal_corruptions_total") as i64,
            thread_count: threads.map_or(0, |stat| usize::try_from(stat.num_threads).unwrap_or(0)),
            processor_count: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit_bytes: self.options.memory_limit_bytes,
            storage_retention: self.retention_text(),
        }
    }

    fn build_info(&self) -> BuildInfo {
        BuildInfo {
            version: version::VERSION.to_owned(),
            revision: version::REVISION.to_owned(),
            branch: version::BRANCH.to_owned(),
            build_user: String::new(),
            build_date: String::new(),
            compiler: version::COMPILER.to_owned(),
        }
    }

    fn tsdb_stats(&self, tenant: &TenantId, limit: usize) -> Result<TsdbStats, Error> {
        let opened = self.opened.read().clone();
        let tsdb = opened.and_then(|opened| opened.tsdb);
        let tsdb = tsdb.ok_or_else(|| Error::new(ErrorKind::Unavailable, "storage is not open"))?;
        let stats = tsdb.stats(tenant, limit);
        Ok(TsdbStats {
            series_count: stats.series_count,
            label_pair_count: stats.label_pair_count,
            chunk_count: stats.chunk_count,
            min_time_ms: stats.min_time_ms,
            max_time_ms: stats.max_time_ms,
            series_count_by_metric_name: stats.series_count_by_metric,
            label_value_count_by_label_name: stats.value_count_by_label,
            memory_in_bytes_by_label_name: stats.bytes_by_label,
            series_count_by_label_value_pair: stats.series_count_by_pair,
        })
    }

    fn otlp(&self) -> Arc<wire::otlp::convert::Settings> {
        Arc::clone(&self.config().otlp)
    }

    fn replay_progress(&self) -> ReplayProgress {
        // Prometheus counts segments; mebibytes are finer, and those who ask look at the fraction only.
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
        let (done, total) = (self.replay.bytes_done(), self.replay.bytes_total());
        ReplayProgress { min: 0, max: mebibytes(total), current: mebibytes(done) }
    }

    fn memory(&self) -> Vec<MemoryUse> {
        self.budgets.all().into_iter().map(|budget| MemoryUse::from(&**budget)).collect()
    }

    fn storage_info(&self) -> StorageInfo {
        let retention = self.retention(&self.config());
        let mut info = StorageInfo { retention_ms: Some(retention.retention_ms), ..StorageInfo::default() };
        let Some(tsdb) = self.opened.read().clone().and_then(|opened| opened.tsdb) else { return info };
        let tenants = tsdb.tenant_ids();
        info.tenant_count = tenants.len() as u64;
        for tenant in &tenants {
            let stats = tsdb.stats(tenant, 0);
            info.head_series_count += stats.series_count;
            info.head_sample_count += stats.sample_count;
            (info.head_bytes, info.journal_bytes) = (stats.head_bytes, stats.wal_bytes);
            for block in stats.blocks {
                info.block_count += 1;
                info.block_bytes += block.bytes;
                let (min, max) = (block.min_time_ms, block.max_time_ms);
                info.block_min_time_ms = Some(info.block_min_time_ms.map_or(min, |oldest| oldest.min(min)));
                info.block_max_time_ms = Some(info.block_max_time_ms.map_or(max, |newest| newest.max(max)));
            }
        }
        info.journal_segment_count = self.gauge("kymo_tsdb_wal_segments") as u64;
        info
    }
}

impl Server {
    /// A metric of ours without labels; 0 if there is none of this name.
    fn gauge(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let metric = families
            .iter()
            .find(|family| family.name() == name)
            .and_then(|family| family.get_metric().first());
        metric.map_or(0.0, |metric| metric.get_gauge().get_value() + metric.get_counter().get_value())
    }
}

/// The registry, as a target.
struct SelfMetrics {
    registry: Registry,
}

impl scrape::Collector for SelfMetrics {
    fn name(&self) -> &str {
        "kymo"
    }

    fn collect(&self, out: &mut String) {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        match (encoded, String::from_utf8(text)) {
            (Ok(()), Ok(text)) => out.push_str(&text),
            _ => tracing::error!("BUG: our own metrics cannot be written"),
        }
    }
}
