//! What the notifier counts.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

pub(super) struct Metrics {
    received: IntCounterVec,
    pub(super) invalid: IntCounter,
    pub(super) refused: IntCounter,
    notifications: IntCounterVec,
    failed: IntCounterVec,
    attempts: IntCounterVec,
    duration: HistogramVec,
    alerts: IntGaugeVec,
    groups: IntGauge,
    silences: IntGaugeVec,
    /// Silences that end soon and still hold alerts back.
    pub(super) silences_ending: IntGauge,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            received: IntCounterVec::new(
                Opts::new("kymo_notifier_alerts_received_total", "Alerts that were reported, by status."),
                &["status"],
            )?,
            invalid: IntCounter::new(
                "kymo_notifier_alerts_invalid_total",
                "Alerts that were reported and are no alerts.",
            )?,
            refused: IntCounter::new(
                "kymo_notifier_alerts_refused_total",
                "Alerts that were left out because there were too many already.",
            )?,
            notifications: IntCounterVec::new(
                Opts::new(
                    "kymo_notifier_notifications_total",
                    "Notifications that were due, by integration.",
                ),
                &["integration"],
            )?,
            failed: IntCounterVec::new(
                Opts::new(
                    "kymo_notifier_notifications_failed_total",
                    "Notifications that were given up, by integration.",
                ),
                &["integration"],
            )?,
            attempts: IntCounterVec::new(
                Opts::new(
                    "kymo_notifier_notification_attempts_total",
                    "Requests to receivers, by integration.",
                ),
                &["integration"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "kymo_notifier_notification_duration_seconds",
                    "How long receivers took to take one notification.",
                )
                .buckets(vec![0.05, 0.25, 1.0, 5.0, 15.0, 30.0]),
                &["integration"],
            )?,
            alerts: IntGaugeVec::new(
                Opts::new("kymo_notifier_alerts", "Alerts that fire, by whether they are told."),
                &["state"],
            )?,
            groups: IntGauge::new("kymo_notifier_groups", "Groups of alerts.")?,
            silences: IntGaugeVec::new(
                Opts::new("kymo_notifier_silences", "Silences, by state."),
                &["state"],
            )?,
            silences_ending: IntGauge::new(
                "kymo_notifier_silences_expiring_soon",
                "Silences that end soon and still hold back alerts that fire.",
            )?,
        };
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.invalid.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.notifications.clone()))?;
        registry.register(Box::new(metrics.failed.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.alerts.clone()))?;
        registry.register(Box::new(metrics.groups.clone()))?;
        registry.register(Box::new(metrics.silences.clone()))?;
        registry.register(Box::new(metrics.silences_ending.clone()))?;
        Ok(metrics)
    }

    pub(super) fn received(&self, is_resolved: bool) {
        self.received.with_label_values(&[if is_resolved { "resolved" } else { "firing" }]).inc();
    }

    pub(super) fn due(&self, integration: &str) {
        self.notifications.with_label_values(&[integration]).inc();
    }

    pub(super) fn given_up(&self, integration: &str) {
        self.failed.with_label_values(&[integration]).inc();
    }

    pub(super) fn attempt(&self, integration: &str, seconds: f64) {
        self.attempts.with_label_values(&[integration]).inc();
        self.duration.with_label_values(&[integration]).observe(seconds);
    }

    /// Silences: active, pending, expired.
    pub(super) fn set_counts(&self, active: usize, suppressed: usize, groups: usize, silences: [usize; 3]) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.alerts.with_label_values(&["active"]).set(count(active));
        self.alerts.with_label_values(&["suppressed"]).set(count(suppressed));
        self.groups.set(count(groups));
        for (state, number) in ["active", "pending", "expired"].into_iter().zip(silences) {
            self.silences.with_label_values(&[state]).set(count(number));
        }
    }
}
