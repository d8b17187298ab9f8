//! What the engine counts about itself, as `kymo_tsdb_*` metrics.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use storage::{Error, ErrorKind};

/// All of the engine's metrics. Counting is one atomic addition.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) samples_appended: IntCounter,
    pub(crate) samples_rejected: IntCounterVec,
    pub(crate) duplicates: IntCounter,
    pub(crate) out_of_order: IntCounter,
    pub(crate) overwrites: IntCounter,
    pub(crate) exemplars_appended: IntCounter,
    pub(crate) head_series: IntGauge,
    pub(crate) head_series_created: IntCounter,
    pub(crate) head_series_removed: IntCounter,
    pub(crate) head_chunks: IntGauge,
    pub(crate) head_bytes: IntGauge,
    pub(crate) tenants: IntGauge,
    pub(crate) wal_bytes: IntGauge,
    pub(crate) wal_segments: IntGauge,
    pub(crate) wal_written_bytes: IntCounter,
    pub(crate) wal_fsync_seconds: Histogram,
    pub(crate) wal_commit_batches: Histogram,
    pub(crate) wal_failures: IntCounter,
    pub(crate) wal_corruptions: IntCounter,
    pub(crate) wal_truncated_tails: IntCounter,
    pub(crate) wal_replay_seconds: prometheus::Gauge,
    pub(crate) blocks: IntGauge,
    pub(crate) blocks_bytes: IntGauge,
    pub(crate) block_corruptions: IntCounter,
    pub(crate) flushes: IntCounter,
    pub(crate) flush_failures: IntCounter,
    pub(crate) flush_seconds: Histogram,
    pub(crate) compactions: IntCounter,
    pub(crate) compaction_failures: IntCounter,
    pub(crate) compaction_seconds: Histogram,
    pub(crate) blocks_deleted: IntCounterVec,
    pub(crate) deletes: IntCounter,
    pub(crate) cache_hits: IntCounter,
    pub(crate) cache_misses: IntCounter,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// `Rejected` if a second engine is registered with the same registry.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        Self::try_register(registry)
            .map_err(|e| Error::new(ErrorKind::Rejected, format!("metrics of the storage engine: {e}")))
    }

    fn try_register(registry: &Registry) -> prometheus::Result<Self> {
        let at = Registrar(registry);
        Ok(Self {
            samples_appended: at.counter("samples_appended_total", "Samples written to the head.")?,
            samples_rejected: at.counters(
                "samples_rejected_total",
                "Samples refused, by reason.",
                "reason",
            )?,
            duplicates: at
                .counter("samples_duplicate_total", "Samples that were there with the same value.")?,
            out_of_order: at
                .counter("samples_out_of_order_total", "Samples older than the newest of their series.")?,
            overwrites: at.counter("samples_overwritten_total", "Samples that replaced another value.")?,
            exemplars_appended: at.counter("exemplars_appended_total", "Exemplars written.")?,
            head_series: at.gauge("head_series", "Series in the head.")?,
            head_series_created: at.counter("head_series_created_total", "Series added to the head.")?,
            head_series_removed: at
                .counter("head_series_removed_total", "Idle series released from the head.")?,
            head_chunks: at.gauge("head_chunks", "Closed chunks in the head.")?,
            head_bytes: at.gauge("head_bytes", "Memory of the head, by its own account.")?,
            tenants: at.gauge("tenants", "Tenants that have data.")?,
            wal_bytes: at.gauge("wal_bytes", "Size of the journal on disk.")?,
            wal_segments: at.gauge("wal_segments", "Segments of the journal on disk.")?,
            wal_written_bytes: at.counter("wal_written_bytes_total", "Bytes written to the journal.")?,
            wal_fsync_seconds: at
                .seconds("wal_fsync_duration_seconds", "Time of one sync of the journal.")?,
            wal_commit_batches: at.histogram(
                "wal_commit_batches",
                "Batches made durable by one sync.",
                vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0],
            )?,
            wal_failures: at.counter("wal_failures_total", "Writes or syncs of the journal that failed.")?,
            wal_corruptions: at
                .counter("wal_corruptions_total", "Damaged places of the journal that were skipped.")?,
            wal_truncated_tails: at
                .counter("wal_truncated_tails_total", "Torn ends of the journal that were cut.")?,
            wal_replay_seconds: at
                .float_gauge("wal_replay_duration_seconds", "Time of the replay at start.")?,
            blocks: at.gauge("blocks", "Blocks on disk.")?,
            blocks_bytes: at.gauge("blocks_bytes", "Size of all blocks.")?,
            block_corruptions: at
                .counter("block_corruptions_total", "Damaged blocks and frames set aside.")?,
            flushes: at.counter("flushes_total", "Flushes of the head.")?,
            flush_failures: at
                .counter("flush_failures_total", "Flushes that failed; the head keeps its data.")?,
            flush_seconds: at.seconds("flush_duration_seconds", "Time of one flush.")?,
            compactions: at.counter("compactions_total", "Compactions of blocks.")?,
            compaction_failures: at.counter("compaction_failures_total", "Compactions that failed.")?,
            compaction_seconds: at.seconds("compaction_duration_seconds", "Time of one compaction.")?,
            blocks_deleted: at.counters("blocks_deleted_total", "Blocks deleted, by reason.", "reason")?,
            deletes: at.counter("deletes_total", "Deletes by selector and time.")?,
            cache_hits: at.counter("cache_hits_total", "Frames found in the cache.")?,
            cache_misses: at.counter("cache_misses_total", "Frames read from disk.")?,
        })
    }
}

struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(format!("kymo_tsdb_{name}"), help)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(format!("kymo_tsdb_{name}"), help), &[label])?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(format!("kymo_tsdb_{name}"), help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<prometheus::Gauge> {
        self.add(prometheus::Gauge::new(format!("kymo_tsdb_{name}"), help)?)
    }

    fn seconds(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        self.histogram(name, help, prometheus::exponential_buckets(0.000_1, 4.0, 12)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(
            HistogramOpts::new(format!("kymo_tsdb_{name}"), help).buckets(buckets),
        )?)
    }
}
