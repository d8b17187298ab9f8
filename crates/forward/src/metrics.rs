//! How forwarding goes, by receiver.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The label that names the receiver.
const RECEIVER: &str = "receiver";

/// All of them; `docs/user/metrics.md` says what each means.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) queued: IntCounterVec,
    pub(crate) sent: IntCounterVec,
    pub(crate) sent_bytes: IntCounterVec,
    pub(crate) requests: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    pub(crate) dropped: IntCounterVec,
    pub(crate) queue_samples: IntGaugeVec,
    pub(crate) queue_bytes: IntGaugeVec,
    pub(crate) newest_sent: GaugeVec,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &[RECEIVER]);
        let metrics = Self {
            queued: counter("kymo_forward_samples_total", "Samples put into a queue.", &[RECEIVER])?,
            sent: counter("kymo_forward_sent_samples_total", "Samples that the receiver took.", &[RECEIVER])?,
            sent_bytes: counter(
                "kymo_forward_sent_bytes_total",
                "Compressed bytes the receiver took.",
                &[RECEIVER],
            )?,
            requests: counter(
                "kymo_forward_requests_total",
                "Answers of the receiver.",
                &[RECEIVER, "code"],
            )?,
            retries: counter(
                "kymo_forward_retried_samples_total",
                "Samples whose request failed and was tried again.",
                &[RECEIVER],
            )?,
            dropped: counter(
                "kymo_forward_dropped_samples_total",
                "Samples that will never arrive, and why.",
                &[RECEIVER, "reason"],
            )?,
            queue_samples: gauge("kymo_forward_queue_samples", "Samples that wait in the queue.")?,
            queue_bytes: gauge("kymo_forward_queue_bytes", "Size of the queue on disk.")?,
            newest_sent: GaugeVec::new(
                Opts::new(
                    "kymo_forward_newest_sent_timestamp_seconds",
                    "Timestamp of the newest sample that the receiver took.",
                ),
                &[RECEIVER],
            )?,
        };
        for collector in [
            &metrics.queued,
            &metrics.sent,
            &metrics.sent_bytes,
            &metrics.requests,
            &metrics.retries,
            &metrics.dropped,
        ] {
            registry.register(Box::new(collector.clone()))?;
        }
        registry.register(Box::new(metrics.queue_samples.clone()))?;
        registry.register(Box::new(metrics.queue_bytes.clone()))?;
        registry.register(Box::new(metrics.newest_sent.clone()))?;
        Ok(metrics)
    }

    /// Counts samples that will never arrive.
    pub(crate) fn drop_samples(&self, receiver: &str, reason: &str, samples: u64) {
        if samples > 0 {
            self.dropped.with_label_values(&[receiver, reason]).inc_by(samples);
        }
    }
}
