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
        };
        // All series exist from the start, so that rates over them are right from the first event.
        for kind in ["instant", "range"] {
            metrics.queries.with_label_values(&[kind]);
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
            metrics.errors.with_label_values(&[kind]);
        }
        for class in Class::ALL {
            metrics.duration.with_label_values(&[class.as_str()]);
            metrics.queue_duration.with_label_values(&[class.as_str()]);
            metrics.shed.with_label_values(&[class.as_str()]);
        }
        metrics
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.queries.clone()))?;
        registry.register(Box::new(self.errors.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.queue_duration.clone()))?;
        registry.register(Box::new(self.active.clone()))?;
        registry.register(Box::new(self.shed.clone()))?;
        registry.register(Box::new(self.slow.clone()))
    }

    pub(crate) fn done(&self, is_range: bool, class: Class, took: Duration, error: Option<&QueryError>) {
        self.queries.with_label_values(&[if is_range { "range" } else { "instant" }]).inc();
        self.duration.with_label_values(&[class.as_str()]).observe(took.as_secs_f64());
        if let Some(error) = error {
            self.errors.with_label_values(&[kind(error)]).inc();
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
