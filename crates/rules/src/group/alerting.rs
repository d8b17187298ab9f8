//! An alerting rule: its result as alerts, which are sent, and whose states are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Labels, LabelsBuilder, METRIC_NAME};
use promql::value::{SampleValue, VectorSample};

use super::Group;
use super::write::{Sample, Written, sort};
use crate::alert::Alert;
use crate::env::{Env, EvaluationError};
use crate::missing::OnMissing;
use crate::order::{ALERTS, ALERTS_FOR_STATE};
use crate::rule::{ALERT_NAME, Alerting, Presence, Rule};
use crate::sink::{AlertChange, ChangedRule, SentAlert};
use crate::text::{About, Text, template_sample};

/// The label that tells an alert's state.
const ALERT_STATE: &str = "alertstate";

impl Group {
    pub(super) fn alert(&self, env: &Env, at: usize, time_ms: i64) -> Result<Written, EvaluationError> {
        let rule = &self.rules[at];
        let Some(alerting) = &rule.alerting else { unreachable!("BUG: asked of a recording rule") };
        let query_ms = time_ms - self.query_offset_ms();
        let mut found = env.query((self.file(), self.name()), &rule.query, query_ms)?;
        let there = match &alerting.presence {
            Some(presence) => Some(self.presence(env, alerting, presence, &mut found, query_ms)?),
            None => None,
        };
        let found = self.found(env, rule, alerting, found, time_ms)?;
        let (updated, changes) = {
            let mut alerts = alerting.alerts.lock();
            let before = alerts.standings();
            let updated = alerts.update(time_ms, found, there.as_ref(), alerting.terms);
            (updated, alerts.changes(before))
        };
        self.tell_changes(env, rule, alerting, &changes, time_ms);
        updated?;
        let (due, mut samples) = {
            let mut alerts = alerting.alerts.lock();
            let due = alerts.take_due(time_ms, env.timing.resend_delay_ms, self.interval_ms());
            let is_restored = alerting.is_restored.load(Ordering::Relaxed);
            let samples: Vec<Sample> =
                if is_restored { alerts.active().flat_map(state_samples).collect() } else { Vec::new() };
            (due, samples)
        };
        self.send(env, rule, due);
        if !sort(&mut samples) {
            return Err(EvaluationError::SameAlert);
        }
        self.write(env, at, time_ms, samples)
    }

    /// Of which sources there is data. What is expected and not there is added to the result, if that is a reason for an alert.
    fn presence(
        &self,
        env: &Env,
        alerting: &Alerting,
        presence: &Presence,
        found: &mut Vec<VectorSample>,
        query_ms: i64,
    ) -> Result<BTreeSet<Labels>, EvaluationError> {
        let asked = (self.file(), self.name());
        let expects = alerting.terms.missing.on_missing == OnMissing::Alert;
        let mut known = presence.known.lock();
        if expects && known.is_empty() {
            // The first evaluation since the start: what was there before is expected, too.
            let day = format!("last_over_time(({})[1d:5m])", presence.query);
            known.remember(env.query(asked, &day, query_ms)?, query_ms);
        }
        let now = known.update(env.query(asked, &presence.query, query_ms)?, query_ms, expects);
        let tolerance = alerting.terms.missing.tolerance;
        found.extend(
            now.missing.into_iter().filter(|(_, count)| *count > tolerance).map(|(sample, _)| sample),
        );
        Ok(now.there)
    }

    /// Every element of the result as an alert that is seen for the first time.
    fn found(
        &self,
        env: &Env,
        rule: &Rule,
        alerting: &Alerting,
        found: Vec<VectorSample>,
        time_ms: i64,
    ) -> Result<BTreeMap<Labels, Alert>, EvaluationError> {
        let query = |query: &str| {
            let found = env.query((self.file(), self.name()), query, time_ms);
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.into_iter().map(template_sample).collect())
        };
        let mut alerts = BTreeMap::new();
        let mut builder = LabelsBuilder::new();
        for sample in found {
            let about = About::new(&sample, &self.identity.external, &query, time_ms);
            let expand = |text: &Text| {
                text.expand(&about).unwrap_or_else(|error| {
                    env.metrics.template_errors.inc();
                    if !env.is_rehearsal {
                        let (group, rule) = (self.name(), rule.name());
                        tracing::warn!(group, rule, %error, "expanding a template of an alert failed");
                    }
                    format!("<error expanding template: {error}>")
                })
            };
            builder.reset_to(sample.labels.as_ref());
            builder.remove(METRIC_NAME);
            for (name, text) in &alerting.labels {
                builder.set(name, &expand(text));
            }
            builder.set(ALERT_NAME, rule.name());
            let annotations =
                alerting.annotations.iter().map(|(name, text)| (name.clone(), expand(text))).collect();
            let value = match sample.value {
                SampleValue::Float(value) => value,
                SampleValue::Histogram(_) => 0.0,
            };
            let labels = builder.build();
            let mut alert = Alert::new(labels.clone(), annotations, value, time_ms);
            if alerting.presence.is_some() {
                alert.source = sample.labels;
            }
            if alerts.insert(labels, alert).is_some() {
                return Err(EvaluationError::SameAlert);
            }
        }
        Ok(alerts)
    }

    fn tell_changes(
        &self,
        env: &Env,
        rule: &Rule,
        alerting: &Alerting,
        changes: &[AlertChange],
        time_ms: i64,
    ) {
        if changes.is_empty() {
            return;
        }
        let about = ChangedRule {
            file: self.file(),
            group: self.name(),
            name: rule.name(),
            query: &rule.query,
            for_ms: alerting.terms.for_ms,
            keep_firing_for_ms: alerting.terms.keep_firing_for_ms,
            time_ms,
        };
        env.sink.changed(&env.tenant, &about, changes);
    }

    fn send(&self, env: &Env, rule: &Rule, due: Vec<Alert>) {
        if due.is_empty() {
            return;
        }
        let link = graph_link(&self.identity.external.url, &rule.query);
        let sent = |alert: Alert| {
            Arc::new(SentAlert {
                starts_at_ms: alert.fired_at_ms.unwrap_or(alert.active_at_ms),
                ends_at_ms: alert.resolved_at_ms.or(alert.valid_until_ms).unwrap_or(alert.active_at_ms),
                is_resolved: alert.resolved_at_ms.is_some(),
                labels: alert.labels,
                annotations: alert.annotations,
                generator_url: link.clone(),
                file: Arc::clone(&self.identity.file),
                group: Arc::clone(&self.name),
            })
        };
        let alerts: Vec<Arc<SentAlert>> = due.into_iter().map(sent).collect();
        env.metrics.alerts_sent.inc_by(alerts.len() as u64);
        env.sink.send(&env.tenant, &alerts);
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE` of an alert.
fn state_samples(alert: &Alert) -> [Sample; 2] {
    let mut builder = alert.labels.to_builder();
    let for_state = builder.set(METRIC_NAME, ALERTS_FOR_STATE).build();
    let state = builder.set(METRIC_NAME, ALERTS).set(ALERT_STATE, alert.state.as_str()).build();
    let seconds = alert.active_at_ms.div_euclid(1_000) as f64;
    [
        Sample { labels: state, value: SampleValue::Float(1.0) },
        Sample { labels: for_state, value: SampleValue::Float(seconds) },
    ]
}

/// Where a query's result can be looked at, as Prometheus links it.
fn graph_link(url: &str, query: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("{url}/graph?g0.expr={escaped}&g0.tab=1")
}
