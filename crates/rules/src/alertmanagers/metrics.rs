//! How sending to outside Alertmanagers goes.

use prometheus::core::Collector;
use prometheus::{Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters, by the Alertmanager's URL.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) discovered: IntGauge,
    pub(super) sent: IntCounterVec,
    pub(super) errors: IntCounterVec,
    pub(super) dropped: IntCounterVec,
    pub(super) queue_length: IntGaugeVec,
    pub(super) seconds: HistogramVec,
}

const URL: &[&str] = &["alertmanager"];

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let counters =
            |name: &str, help: &str| register(registry, IntCounterVec::new(Opts::new(name, help), URL)?);
        let queue =
            Opts::new("kymo_alertmanager_queue_length", "Alerts that wait for an outside Alertmanager.");
        let seconds = HistogramOpts::new(
            "kymo_alertmanager_request_duration_seconds",
            "How long an outside Alertmanager takes to take alerts.",
        );
        let discovered =
            IntGauge::new("kymo_alertmanagers_discovered", "Outside Alertmanagers that get alerts.")?;
        Ok(Self {
            discovered: register(registry, discovered)?,
            sent: counters(
                "kymo_alertmanager_alerts_sent_total",
                "Alerts that an outside Alertmanager took.",
            )?,
            errors: counters(
                "kymo_alertmanager_alert_errors_total",
                "Alerts that could not be delivered to an outside Alertmanager.",
            )?,
            dropped: counters(
                "kymo_alertmanager_alerts_dropped_total",
                "Alerts that an outside Alertmanager never got: delivery failed, or its queue was full.",
            )?,
            queue_length: register(registry, IntGaugeVec::new(queue, URL)?)?,
            seconds: register(registry, HistogramVec::new(seconds, URL)?)?,
        })
    }

    /// Forgets an Alertmanager that is gone.
    pub(super) fn forget(&self, url: &str) {
        // What was never counted is not there.
        for counter in [&self.sent, &self.errors, &self.dropped] {
            let _absent = counter.remove_label_values(&[url]);
        }
        let _absent = self.queue_length.remove_label_values(&[url]);
        let _absent = self.seconds.remove_label_values(&[url]);
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
