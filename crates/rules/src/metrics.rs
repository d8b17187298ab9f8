//! What rules count about themselves. Made once, shared by all groups.

use prometheus::core::Collector;
use prometheus::{
    Error, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Counters of all groups of a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) evaluations: IntCounterVec,
    pub(crate) failures: IntCounterVec,
    pub(crate) iterations: IntCounterVec,
    pub(crate) missed: IntCounterVec,
    pub(crate) repaired: IntCounterVec,
    pub(crate) rules: IntGaugeVec,
    pub(crate) samples: IntGaugeVec,
    pub(crate) interval_seconds: GaugeVec,
    pub(crate) last_evaluation_seconds: GaugeVec,
    pub(crate) last_duration_seconds: GaugeVec,
    pub(crate) last_restore_seconds: GaugeVec,
    pub(crate) rule_seconds: Histogram,
    pub(crate) group_seconds: Histogram,
    pub(crate) lag_seconds: Histogram,
    pub(crate) alerts_sent: IntCounter,
    pub(crate) template_errors: IntCounter,
    pub(crate) groups: IntGauge,
}

const GROUP: &[&str] = &["rule_group"];

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If the registry holds metrics of the same names.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let counters =
            |name: &str, help: &str| register(registry, IntCounterVec::new(Opts::new(name, help), GROUP)?);
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let numbers =
            |name: &str, help: &str| register(registry, IntGaugeVec::new(Opts::new(name, help), GROUP)?);
        let gauges =
            |name: &str, help: &str| register(registry, GaugeVec::new(Opts::new(name, help), GROUP)?);
        let histogram = |name: &str, help: &str| {
            let buckets = vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];
            register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
        };
        Ok(Self {
            evaluations: counters("kymo_rule_evaluations_total", "Evaluations of rules, by group.")?,
            failures: counters(
                "kymo_rule_evaluation_failures_total",
                "Evaluations of rules that failed, by group.",
            )?,
            iterations: counters(
                "kymo_rule_group_iterations_total",
                "Evaluations of groups that were due, whether or not they took place.",
            )?,
            missed: counters(
                "kymo_rule_group_iterations_missed_total",
                "Evaluations of groups that were left out because the one before took too long, or threads were busy.",
            )?,
            repaired: counters(
                "kymo_rule_evaluations_repaired_total",
                "Evaluations of recording rules that were missed and made up for, by group.",
            )?,
            rules: numbers("kymo_rule_group_rules", "Rules of a group.")?,
            samples: numbers(
                "kymo_rule_group_last_evaluation_samples",
                "Samples that a group's last evaluation yielded.",
            )?,
            interval_seconds: gauges(
                "kymo_rule_group_interval_seconds",
                "Time between evaluations of a group.",
            )?,
            last_evaluation_seconds: gauges(
                "kymo_rule_group_last_evaluation_timestamp_seconds",
                "When a group was evaluated last.",
            )?,
            last_duration_seconds: gauges(
                "kymo_rule_group_last_duration_seconds",
                "How long a group's last evaluation took.",
            )?,
            last_restore_seconds: gauges(
                "kymo_rule_group_last_restore_duration_seconds",
                "How long it took to learn since when a group's alerts were there before the start.",
            )?,
            rule_seconds: histogram(
                "kymo_rule_evaluation_duration_seconds",
                "How long rules take, what they write included.",
            )?,
            group_seconds: histogram("kymo_rule_group_duration_seconds", "How long groups take.")?,
            lag_seconds: histogram(
                "kymo_rule_group_evaluation_lag_seconds",
                "How much later than due groups are evaluated.",
            )?,
            alerts_sent: counter(
                "kymo_rule_alerts_sent_total",
                "Alerts handed to whoever notifies, repeats included.",
            )?,
            template_errors: counter(
                "kymo_rule_template_errors_total",
                "Labels and annotations that hold an error instead of what their template should yield.",
            )?,
            groups: register(registry, IntGauge::new("kymo_rule_groups", "Groups of rules.")?)?,
        })
    }

    /// Forgets a group that is gone.
    pub(crate) fn forget(&self, group: &str) {
        let by_group = [&self.evaluations, &self.failures, &self.iterations, &self.missed, &self.repaired];
        // One that was never evaluated has counted nothing.
        for counter in by_group {
            let _absent = counter.remove_label_values(&[group]);
        }
        for gauge in [&self.rules, &self.samples] {
            let _absent = gauge.remove_label_values(&[group]);
        }
        for gauge in [
            &self.interval_seconds,
            &self.last_evaluation_seconds,
            &self.last_duration_seconds,
            &self.last_restore_seconds,
        ] {
            let _absent = gauge.remove_label_values(&[group]);
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
