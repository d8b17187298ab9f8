//! What the engine says about itself.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::engine::Class;
use crate::error::QueryError;

/// Self-metrics of an engine.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    queries: IntCounterVec,
    errors: IntCounterVec,
    duration: HistogramVec,
    queue_duration: HistogramVec,
    pub(crate) active: IntGauge,
    pub(crate) shed: IntCounterVec,
    pub(crate) slow: IntCounter,
    cache_requests: IntCounterVec,
    cache_steps: IntCounterVec,
    pub(crate) cache_bytes: IntGauge,
    pub(crate) cache_entries: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        const NAMES: &str = "BUG: metric names and labels are constants and valid";
        let buckets = prometheus::exponential_buckets(0.001, 4.0, 9).expect(NAMES);
        let histogram = |name: &str, help: &str| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.clone());
            HistogramVec::new(opts, &["class"]).expect(NAMES)
        };
        let counter = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect(NAMES)
        };
        let metrics = Self {
            queries: counter("kymo_promql_queries_total", "Queries evaluated, instant and range.", "kind"),
            errors: counter(
                "kymo_promql_query_errors_total",
                "Queries that failed, by what they ran into.",
                "kind",
            ),
            duration: histogram(
                "kymo_promql_query_duration_seconds",
                "Time from arrival of a query to its answer, by class.",
            ),
            queue_duration: histogram(
                "kymo_promql_queue_duration_seconds",
                "Time queries waited for a slot, by class.",
            ),
            active: IntGauge::new("kymo_promql_queries_active", "Queries running or waiting.").expect(NAMES),
            shed: counter(
                "kymo_promql_queries_shed_total",
                "Queries that were sent away because too many waited, by class.",
                "class",
            ),
            slow: IntCounter::new(
                "kymo_promql_slow_queries_total",
                "Queries that took longer than query.slow_log_after.",
            )
            .expect(NAMES),
            cache_requests: counter(
                "kymo_promql_result_cache_requests_total",
                "Range queries, by whether kept results answered them (hit), helped (partial), or not (miss, off).",
                "result",
            ),
            cache_steps: counter(
                "kymo_promql_result_cache_steps_total",
                "Steps of range queries that could be kept, by where they came from.",
                "source",
            ),
            cache_bytes: IntGauge::new("kymo_promql_result_cache_bytes", "Memory of kept results.")
                .expect(NAMES),
            cache_entries: IntGauge::new("kymo_promql_result_cache_entries", "Kept results.").expect(NAMES),
        };
        metrics.show_all();
        metrics
    }

    fn show_all(&self) {
        // All series exist from the start, so that rates over them are right from the first event.
        for kind in ["instant", "range"] {
            self.queries.with_label_values(&[kind]);
        }
        for kind in [
            "parse",
            "bad_request",
            "execution",
            "limit",
            "overloaded",
            "killed",
            "timeout",
            "cancelled",
            "storage",
        ] {
            self.errors.with_label_values(&[kind]);
        }
        for result in ["hit", "partial", "miss", "off"] {
            self.cache_requests.with_label_values(&[result]);
        }
        for source in ["kept", "evaluated"] {
            self.cache_steps.with_label_values(&[source]);
        }
        for class in Class::ALL {
            self.duration.with_label_values(&[class.as_str()]);
            self.queue_duration.with_label_values(&[class.as_str()]);
            self.shed.with_label_values(&[class.as_str()]);
        }
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.queries.clone()))?;
        registry.register(Box::new(self.errors.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.queue_duration.clone()))?;
        registry.register(Box::new(self.active.clone()))?;
        registry.register(Box::new(self.shed.clone()))?;
        registry.register(Box::new(self.slow.clone()))?;
        registry.register(Box::new(self.cache_requests.clone()))?;
        registry.register(Box::new(self.cache_steps.clone()))?;
        registry.register(Box::new(self.cache_bytes.clone()))?;
        registry.register(Box::new(self.cache_entries.clone()))
    }

    pub(crate) fn done(&self, is_range: bool, class: Class, took: Duration, error: Option<&QueryError>) {
        self.queries.with_label_values(&[if is_range { "range" } else { "instant" }]).inc();
        self.duration.with_label_values(&[class.as_str()]).observe(took.as_secs_f64());
        if let Some(error) = error {
            self.errors.with_label_values(&[kind(error)]).inc();
        }
    }

    /// A range query was answered with the help of kept results, or without.
    pub(crate) fn cached(&self, result: &str, kept_steps: usize, evaluated_steps: usize) {
        self.cache_requests.with_label_values(&[result]).inc();
        if result != "off" {
            self.cache_steps.with_label_values(&["kept"]).inc_by(kept_steps as u64);
            self.cache_steps.with_label_values(&["evaluated"]).inc_by(evaluated_steps as u64);
        }
    }

    pub(crate) fn queued(&self, class: Class, waited: Duration) {
        self.queue_duration.with_label_values(&[class.as_str()]).observe(waited.as_secs_f64());
    }
}

fn kind(error: &QueryError) -> &'static str {
    match error {
        QueryError::Parse(_) => "parse",
        QueryError::BadRequest(_) => "bad_request",
        QueryError::Execution(_) => "execution",
        QueryError::Limit(_) => "limit",
        QueryError::Overloaded { .. } => "overloaded",
        QueryError::Killed(_) => "killed",
        QueryError::TimedOut(_) => "timeout",
        QueryError::Cancelled(_) => "cancelled",
        QueryError::Storage(_) => "storage",
    }
}
