//! What the server counts about itself.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::push::{Protocol, Seen};

pub(crate) struct Metrics {
    pub(crate) requests: IntCounterVec,
    pub(crate) request_duration: HistogramVec,
    pub(crate) panics: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) connections_timed_out: IntCounterVec,
    pub(crate) push: PushMetrics,
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
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["handler", "code"])?,
            request_duration: HistogramVec::new(duration, &["handler"])?,
            panics: IntCounter::new("kymo_http_panics_total", "Requests whose handler panicked.")?,
            connections: IntGauge::new("kymo_http_connections", "Open HTTP connections.")?,
            connections_timed_out: IntCounterVec::new(timed_out, &["phase"])?,
            push: PushMetrics::register(registry)?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_duration.clone()))?;
        registry.register(Box::new(metrics.panics.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_timed_out.clone()))?;
        Ok(metrics)
    }
}

/// What is counted of pushes, by protocol.
pub(crate) struct PushMetrics {
    requests: IntCounterVec,
    samples: IntCounterVec,
    rejected: IntCounterVec,
    ignored: IntCounterVec,
    bytes: IntCounterVec,
    duration: HistogramVec,
    dropped: IntCounterVec,
}

impl PushMetrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let duration = HistogramOpts::new(
            "kymo_push_duration_seconds",
            "Time from a push's arrival until it was durable or refused, by protocol.",
        )
        .buckets(vec![0.001, 0.005, 0.025, 0.1, 0.4, 1.0, 3.0, 10.0, 60.0]);
        let duration = HistogramVec::new(duration, &["protocol"])?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            requests: counter(
                "kymo_push_requests_total",
                "Pushes, by protocol and result (ok, partial, refused, failed).",
                &["protocol", "result"],
            )?,
            samples: counter(
                "kymo_push_samples_total",
                "Pushed samples that were written, by protocol.",
                &["protocol"],
            )?,
            rejected: counter(
                "kymo_push_samples_rejected_total",
                "Pushed samples that were refused, by protocol and reason.",
                &["protocol", "reason"],
            )?,
            ignored: counter(
                "kymo_push_items_ignored_total",
                "Pushed items that no sample can hold, by protocol and kind.",
                &["protocol", "kind"],
            )?,
            bytes: counter(
                "kymo_push_received_bytes_total",
                "Bytes of pushes as they came over the network, by protocol.",
                &["protocol"],
            )?,
            duration,
            dropped: counter(
                "kymo_push_samples_dropped_total",
                "Samples that listeners threw away, by protocol and reason.",
                &["protocol", "reason"],
            )?,
        })
    }

    /// Samples that a listener threw away.
    pub(crate) fn count_dropped(&self, protocol: Protocol, reason: &'static str, samples: usize) {
        self.dropped.with_label_values(&[protocol.as_str(), reason]).inc_by(samples as u64);
    }

    pub(crate) fn count(&self, protocol: Protocol, seen: &Seen<'_>, elapsed: Duration) {
        let protocol = protocol.as_str();
        self.requests.with_label_values(&[protocol, seen.result()]).inc();
        self.samples.with_label_values(&[protocol]).inc_by(seen.samples as u64);
        self.bytes.with_label_values(&[protocol]).inc_by(seen.bytes as u64);
        for (reason, samples) in seen.refusals.by_reason() {
            self.rejected.with_label_values(&[protocol, *reason]).inc_by(*samples as u64);
        }
        for (kind, items) in seen.refusals.ignored() {
            self.ignored.with_label_values(&[protocol, *kind]).inc_by(*items as u64);
        }
        self.duration.with_label_values(&[protocol]).observe(elapsed.as_secs_f64());
    }
}
