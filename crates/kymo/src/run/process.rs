//! What the process measures about itself, and its place on the machine.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
use stdx::clock::Clock;

use super::memory_limit::Budgets;
use crate::version;

/// Registers `process_*`, `kymo_build_info` and the memory budgets.
pub(super) fn register(
    registry: &Registry,
    clock: &Arc<dyn Clock>,
    budgets: &Budgets,
) -> prometheus::Result<()> {
    registry.register(Box::new(ProcessMetrics::new(clock.now_ms())?))?;
    registry.register(Box::new(BudgetMetrics::new(budgets.clone())?))?;
    let labels = &["version", "revision", "branch", "compiler"];
    let build = GaugeVec::new(Opts::new("kymo_build_info", "What was built; always 1."), labels)?;
    build
        .with_label_values(&[version::VERSION, version::REVISION, version::BRANCH, version::COMPILER])
        .set(1.0);
    registry.register(Box::new(build))
}

/// How others reach this machine.
pub(super) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Raises the soft limit of open files to the hard one: each target may hold a connection.
pub(super) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
}

/// When the start is over: what only the start needed is no longer kept in memory.
pub(super) fn forget_start() {
    stdx::memory::give_back_free();
    #[cfg(target_os = "linux")]
    match stdx::memory::unmap_code() {
        Ok(bytes) => tracing::debug!(bytes, "code is mapped anew as it is run"),
        Err(error) => tracing::debug!(%error, "code that only the start needed stays mapped"),
    }
}

/// `process_*`, read from `/proc/self` when somebody asks.
struct ProcessMetrics {
    cpu_seconds: Gauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    virtual_bytes: IntGauge,
    resident_bytes: IntGauge,
    threads: IntGauge,
    start_seconds: Gauge,
}

impl ProcessMetrics {
    fn new(started_ms: i64) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let start_seconds =
            Gauge::new("process_start_time_seconds", "When the process started, as a Unix time in seconds.")?;
        start_seconds.set(started_ms as f64 / 1000.0);
        Ok(Self {
            cpu_seconds: Gauge::new("process_cpu_seconds_total", "Processor time used, user and system.")?,
            open_fds: gauge("process_open_fds", "Open file descriptors.")?,
            max_fds: gauge("process_max_fds", "The most file descriptors that may be open.")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Virtual memory.")?,
            resident_bytes: gauge("process_resident_memory_bytes", "Resident memory.")?,
            threads: gauge("process_threads", "Threads.")?,
            start_seconds,
        })
    }

    /// Reads anew; what cannot be read keeps its last value.
    fn read(&self) -> procfs::ProcResult<()> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let ticks = (stat.utime + stat.stime) as f64;
        self.cpu_seconds.set(ticks / procfs::ticks_per_second() as f64);
        self.virtual_bytes.set(i64::try_from(stat.vsize).unwrap_or(i64::MAX));
        self.resident_bytes.set(i64::try_from(stat.rss * procfs::page_size()).unwrap_or(i64::MAX));
        self.threads.set(stat.num_threads);
        self.open_fds.set(i64::try_from(process.fd_count()?).unwrap_or(i64::MAX));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.max_fds.set(limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX)));
        Ok(())
    }

    fn all(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu_seconds,
            &self.open_fds,
            &self.max_fds,
            &self.virtual_bytes,
            &self.resident_bytes,
            &self.threads,
            &self.start_seconds,
        ]
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(|metric| metric.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Err(error) = self.read() {
            tracing::debug!(%error, "cannot read all of /proc/self");
        }
        let mut families: Vec<MetricFamily> =
            self.all().into_iter().flat_map(|metric| metric.collect()).collect();
        for family in &mut families {
            // It only rises, but is set rather than counted.
            if family.name() == "process_cpu_seconds_total" {
                let value = self.cpu_seconds.get();
                family.set_field_type(prometheus::proto::MetricType::COUNTER);
                for metric in family.mut_metric() {
                    let mut counter = prometheus::proto::Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                }
            }
        }
        families
    }
}

/// `kymo_memory_*`: who may use how much, and does.
struct BudgetMetrics {
    budgets: Budgets,
    used: IntGaugeVec,
    peak: IntGaugeVec,
    limit: IntGaugeVec,
}

impl BudgetMetrics {
    fn new(budgets: Budgets) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["consumer"]);
        Ok(Self {
            budgets,
            used: gauges("kymo_memory_used_bytes", "Memory taken from a share of the memory limit.")?,
            peak: gauges("kymo_memory_peak_bytes", "The most that was ever taken from a share.")?,
            limit: gauges("kymo_memory_limit_bytes", "What may be taken from a share.")?,
        })
    }
}

impl Collector for BudgetMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [&self.used, &self.peak, &self.limit].into_iter().flat_map(|metric| metric.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let set = |gauge: &IntGaugeVec, name: &str, bytes: u64| {
            gauge.with_label_values(&[name]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        };
        for budget in self.budgets.all() {
            set(&self.used, budget.name(), budget.used_bytes());
            set(&self.peak, budget.name(), budget.peak_bytes());
            set(&self.limit, budget.name(), budget.limit_bytes());
        }
        [&self.used, &self.peak, &self.limit].into_iter().flat_map(|metric| metric.collect()).collect()
    }
}

/// Whether configuration was loaded, and when.
#[derive(Debug, Clone)]
pub(super) struct ConfigMetrics {
    pub(super) successful: IntGauge,
    pub(super) success_seconds: Gauge,
    pub(super) reloads: IntCounter,
    pub(super) failures: IntCounter,
}

impl ConfigMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            successful: IntGauge::new(
                "kymo_config_last_reload_successful",
                "Whether the last attempt to load the configuration worked.",
            )?,
            success_seconds: Gauge::new(
                "kymo_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was loaded, as a Unix time in seconds.",
            )?,
            reloads: IntCounter::new(
                "kymo_config_reloads_total",
                "Attempts to load the configuration again.",
            )?,
            failures: IntCounter::new(
                "kymo_config_reload_failures_total",
                "Attempts to load the configuration again that failed and changed nothing.",
            )?,
        };
        registry.register(Box::new(metrics.successful.clone()))?;
        registry.register(Box::new(metrics.success_seconds.clone()))?;
        registry.register(Box::new(metrics.reloads.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}
