//! What discovery counts about itself. Made once, shared by all jobs.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters of all discoveries of a process.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Files read, by result (`ok`, `failed`).
    pub(crate) file_reads: IntCounterVec,
    /// Files that could not be read or understood when last tried.
    pub(crate) files_failing: IntGauge,
    /// Failures to watch a directory; its files are then read at their refresh interval only.
    pub(crate) watch_errors: IntCounter,
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
        };
        registry.register(Box::new(metrics.file_reads.clone()))?;
        registry.register(Box::new(metrics.files_failing.clone()))?;
        registry.register(Box::new(metrics.watch_errors.clone()))?;
        Ok(metrics)
    }
}
