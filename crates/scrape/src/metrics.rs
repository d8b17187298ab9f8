//! What scraping counts about itself. Made once, shared by all pools.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

/// Counters of all pools of a process.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) pools: IntGauge,
    pub(crate) targets: IntGaugeVec,
    pub(crate) series: IntGaugeVec,
    pub(crate) target_errors: IntCounter,
    pub(crate) reloads: IntCounter,
    pub(crate) scrapes: IntCounterVec,
    pub(crate) parse_errors: IntCounter,
    pub(crate) limits_exceeded: IntCounterVec,
    pub(crate) intervals_skipped: IntCounter,
    pub(crate) samples: IntCounter,
    pub(crate) samples_dropped: IntCounterVec,
    pub(crate) stale_markers: IntCounter,
    pub(crate) body_bytes: IntCounter,
    pub(crate) durations: Histogram,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If the registry holds metrics of the same names.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let counters = |name: &str, help: &str, label: &str| {
            register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
        };
        let durations = HistogramOpts::new(
            "kymo_scrape_duration_seconds",
            "Time from a scrape's start until its samples were in storage.",
        );
        let targets =
            Opts::new("kymo_scrape_targets", "Targets by pool and state (active, dropped by relabelling).");
        Ok(Self {
            pools: register(
                registry,
                IntGauge::new("kymo_scrape_pools", "Scrape pools, built-in ones included.")?,
            )?,
            targets: register(registry, IntGaugeVec::new(targets, &["scrape_job", "state"])?)?,
            series: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "kymo_scrape_series",
                        "Series of all targets of a job, as `series_limit` counts them.",
                    ),
                    &["scrape_job"],
                )?,
            )?,
            target_errors: counter(
                "kymo_scrape_target_errors_total",
                "Discovered targets that could not be made one: no address, a bad interval.",
            )?,
            reloads: counter(
                "kymo_scrape_pool_reloads_total",
                "Pools restarted by a changed configuration.",
            )?,
            scrapes: counters(
                "kymo_scrape_scrapes_total",
                "Scrapes by result (ok, or what failed).",
                "result",
            )?,
            parse_errors: counter(
                "kymo_scrape_parse_errors_total",
                "Scrapes that failed because the answer broke the rules of its format.",
            )?,
            limits_exceeded: counters(
                "kymo_scrape_limits_exceeded_total",
                "Scrapes that failed on a limit, by its setting.",
                "limit",
            )?,
            intervals_skipped: counter(
                "kymo_scrape_intervals_skipped_total",
                "Scrapes that were left out because the one before took too long.",
            )?,
            samples: counter("kymo_scrape_samples_total", "Samples handed to storage, reports included.")?,
            samples_dropped: counters(
                "kymo_scrape_samples_dropped_total",
                "Scraped samples that were not stored, by reason.",
                "reason",
            )?,
            stale_markers: counter(
                "kymo_scrape_stale_markers_total",
                "Staleness markers written for series that vanished.",
            )?,
            body_bytes: counter("kymo_scrape_body_bytes_total", "Bytes scraped, uncompressed.")?,
            durations: register(
                registry,
                Histogram::with_opts(
                    durations.buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]),
                )?,
            )?,
        })
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
