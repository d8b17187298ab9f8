//! What the server counts about itself.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

pub(crate) struct Metrics {
    pub(crate) requests: IntCounterVec,
    pub(crate) request_duration: HistogramVec,
    pub(crate) panics: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) connections_timed_out: IntCounterVec,
    pub(crate) write_samples: IntCounter,
    pub(crate) write_rejected: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests =
            Opts::new("kymo_http_requests_total", "HTTP requests answered, by handler and status code.");
        let duration = HistogramOpts::new(
            "kymo_http_request_duration_seconds",
            "Time from a request's head to the head of its response, by handler.",
        )
        .buckets(vec![0.001, 0.005, 0.025, 0.1, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0]);
        let timed_out = Opts::new(
            "kymo_http_connections_timed_out_total",
            "Connections closed because the client was too slow, by what was waited for.",
        );
        let rejected =
            Opts::new("kymo_push_samples_rejected_total", "Pushed samples that were refused, by reason.");
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["handler", "code"])?,
            request_duration: HistogramVec::new(duration, &["handler"])?,
            panics: IntCounter::new("kymo_http_panics_total", "Requests whose handler panicked.")?,
            connections: IntGauge::new("kymo_http_connections", "Open HTTP connections.")?,
            connections_timed_out: IntCounterVec::new(timed_out, &["phase"])?,
            write_samples: IntCounter::new("kymo_push_samples_total", "Pushed samples that were written.")?,
            write_rejected: IntCounterVec::new(rejected, &["reason"])?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_duration.clone()))?;
        registry.register(Box::new(metrics.panics.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_timed_out.clone()))?;
        registry.register(Box::new(metrics.write_samples.clone()))?;
        registry.register(Box::new(metrics.write_rejected.clone()))?;
        Ok(metrics)
    }
}
