//! Pools of built-in targets in virtual time: tokio's clock stands still while anything can run.

use std::sync::Arc;
use std::time::Duration;

use model::TenantId;
use parking_lot::Mutex;
use stdx::clock::Clock;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{
    Appended, Appender, CommitGroup, Durability, Error, ErrorKind, RejectReason, Rejected, WriteBatch,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Buffers;
use crate::collector::Collector;
use crate::env::{Active, Env, Scratches};
use crate::metrics::Metrics;
use crate::pool::{PoolHandle, PoolId};
use crate::recipe::Recipe;
use crate::settings::Job;

/// When virtual time begins.
pub(super) const START_MS: i64 = 1_000_000_000_000;

/// Wall clock and monotonic time as tokio's clock tells them.
#[derive(Debug)]
pub(super) struct TokioClock(Instant);

impl TokioClock {
    pub(super) fn shared() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        START_MS + i64::try_from(self.0.elapsed().as_millis()).expect("short")
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A target that answers what it was told to.
#[derive(Debug, Default)]
pub(super) struct Exposed(Mutex<String>);

impl Exposed {
    pub(super) fn set(&self, text: &str) {
        *self.0.lock() = text.to_owned();
    }
}

impl Collector for Exposed {
    fn name(&self) -> &str {
        "exposed"
    }

    fn collect(&self, out: &mut String) {
        out.push_str(&self.0.lock());
    }
}

/// Storage that can refuse.
#[derive(Debug, Default)]
pub(super) struct Fickle {
    pub(super) storage: Arc<MemoryStorage>,
    pub(super) refuses: Mutex<bool>,
    /// A metric whose samples are refused one by one.
    pub(super) rejects: Mutex<Option<&'static str>>,
    /// What becomes of what was taken; `None`: it is safe at once.
    pub(super) commit: Mutex<Option<Arc<CommitGroup>>>,
}

impl Appender for Fickle {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        if *self.refuses.lock() {
            return Err(Error::new(ErrorKind::Unavailable, "the disk is full"));
        }
        let rejects = *self.rejects.lock();
        let mut taken = WriteBatch::new();
        let mut rejected = Vec::new();
        let mut buffer = String::new();
        for (series, timestamp_ms, value) in batch.floats() {
            let labels = batch.labels(series).decode(&mut buffer).expect("sound labels");
            if rejects.is_some() && labels.get("__name__") == rejects {
                rejected.push(Rejected { series, timestamp_ms, reason: RejectReason::SeriesLimit });
            } else {
                let series = taken.add_series(labels);
                taken.add_float(series, timestamp_ms, value);
            }
        }
        for sample in batch.histograms() {
            let labels = batch.labels(sample.series).decode(&mut buffer).expect("sound labels");
            let series = taken.add_series(labels);
            taken.add_histogram_since(series, sample.timestamp_ms, sample.histogram.clone(), sample.start_ms);
        }
        for (metric, metadata) in batch.metadata() {
            taken.add_metadata(metric, metadata.clone());
        }
        let mut appended = self.storage.append(tenant, &taken)?;
        appended.rejected = rejected;
        if let Some(commit) = &*self.commit.lock() {
            appended.durable = Durability::of(Arc::clone(commit));
        }
        Ok(appended)
    }
}

/// Everything around a pool.
pub(super) struct Bench {
    pub(super) env: Arc<Env>,
    pub(super) fickle: Arc<Fickle>,
    pub(super) registry: prometheus::Registry,
}

impl Bench {
    pub(super) fn new() -> Self {
        let registry = prometheus::Registry::new();
        let fickle = Arc::new(Fickle::default());
        let env = Env {
            appender: fickle.clone(),
            tenant: TenantId::anonymous(),
            clock: TokioClock::shared(),
            metrics: Metrics::register(&registry).expect("registered"),
            discovery: discovery::Shared::register(&registry).expect("registered"),
            host_name: "here".into(),
            seed: 4711,
            buffers: Buffers::new(Budget::unlimited()),
            scratches: Scratches::default(),
            shapes: crate::shapes::Shapes::new(1),
            active: Active::default(),
            views: parking_lot::RwLock::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
        };
        Self { env: Arc::new(env), fickle, registry }
    }

    pub(super) fn storage(&self) -> &MemoryStorage {
        &self.fickle.storage
    }

    /// Starts a pool of the job's targets, all of which answer what `exposed` says.
    pub(super) fn pool(&self, job: Job, exposed: &Arc<Exposed>) -> PoolHandle {
        let id = PoolId { name: job.name.clone(), built_in: false };
        PoolHandle::start(&self.env, id, Recipe::built_in(job, exposed.clone(), false))
    }

    /// A counter of ours, by its name as exposition text has it.
    pub(super) fn counter(&self, name: &str) -> f64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

/// Lets virtual time pass. Scrapes that are due happen.
pub(super) async fn pass_s(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
