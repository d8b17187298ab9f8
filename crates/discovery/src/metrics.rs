//! What discovery counts about itself. Made once, shared by all jobs.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters of all discoveries of a process.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Files read, by result (`ok`, `failed`).
    pub(crate) file_reads: IntCounterVec,
    /// Files that could not be read or understood when last tried.
    pub(crate) files_failing: IntGauge,
    /// Failures to watch a directory; its files are then read at their refresh interval only.
    pub(crate) watch_errors: IntCounter,
    /// Requests for all targets, by mechanism and result (`ok`, `failed`).
    pub(crate) refreshes: IntCounterVec,
    /// Sections of the configuration whose mechanism fails now, by mechanism.
    pub(crate) failing: IntGaugeVec,
    /// Targets that are known, before relabelling, by mechanism.
    pub(crate) targets: IntGaugeVec,
    /// Changes that Kubernetes told of, by kind of object and event (`add`, `update`, `delete`).
    pub(crate) kubernetes_events: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If the registry holds metrics of the same names.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            file_reads: IntCounterVec::new(
                Opts::new(
                    "kymo_discovery_file_reads_total",
                    "Target files read by file_sd_configs, by result.",
                ),
                &["result"],
            )?,
            files_failing: IntGauge::new(
                "kymo_discovery_files_failing",
                "Target files that could not be read or understood when last tried; their last good targets stay.",
            )?,
            watch_errors: IntCounter::new(
                "kymo_discovery_watch_errors_total",
                "Failures to watch a directory of target files; they are then read at their refresh interval only.",
            )?,
            refreshes: IntCounterVec::new(
                Opts::new(
                    "kymo_discovery_refreshes_total",
                    "Times a discovery mechanism was asked for its targets, by mechanism and result.",
                ),
                &["mechanism", "result"],
            )?,
            failing: IntGaugeVec::new(
                Opts::new(
                    "kymo_discovery_failing",
                    "Sections of the configuration whose discovery mechanism fails now; their last targets stay.",
                ),
                &["mechanism"],
            )?,
            targets: IntGaugeVec::new(
                Opts::new("kymo_discovery_targets", "Discovered targets before relabelling, by mechanism."),
                &["mechanism"],
            )?,
            kubernetes_events: IntCounterVec::new(
                Opts::new(
                    "kymo_discovery_kubernetes_events_total",
                    "Changes of objects that Kubernetes told of, by kind of object and event.",
                ),
                &["kind", "event"],
            )?,
        };
        registry.register(Box::new(metrics.file_reads.clone()))?;
        registry.register(Box::new(metrics.files_failing.clone()))?;
        registry.register(Box::new(metrics.watch_errors.clone()))?;
        registry.register(Box::new(metrics.refreshes.clone()))?;
        registry.register(Box::new(metrics.failing.clone()))?;
        registry.register(Box::new(metrics.targets.clone()))?;
        registry.register(Box::new(metrics.kubernetes_events.clone()))?;
        Ok(metrics)
    }
}
