//! Since when alerts are there that were pending before a restart, as `ALERTS_FOR_STATE` tells.
//!
//! The rules are Prometheus': what was pending goes on as if the time of the outage had not been, but fires no sooner than the grace period
//! after it; what was firing fires again at once. Alerts with a `for` shorter than the grace period begin anew.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use model::{Labels, METRIC_NAME, Matcher, is_stale};
use storage::{QueryContext, SelectHints, SelectRequest, SeriesSamples};

use super::Group;
use crate::alert::Alert;
use crate::env::{Env, Timing};
use crate::order::ALERTS_FOR_STATE;
use crate::rule::{ALERT_NAME, Alerting, Rule};

/// The last sample of a series: when it was written, and since when the alert was there, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    written_ms: i64,
    active_at_s: f64,
}

impl Group {
    /// Looks up what was before the start.
    pub(super) fn restore(&self, env: &Env, now_ms: i64) {
        for rule in &self.rules {
            let Some(alerting) = &rule.alerting else { continue };
            if alerting.terms.for_ms >= env.timing.for_grace_period_ms {
                match told(env, rule, alerting, now_ms) {
                    Ok(told) => {
                        for alert in alerting.alerts.lock().all_mut() {
                            if let Some(told) = told.get(&alert.labels) {
                                restore_alert(alert, *told, alerting.terms.for_ms, env.timing, now_ms);
                            }
                        }
                    }
                    // It cannot be tried again later: what is written from now on hides what was.
                    Err(error) => {
                        let (group, rule) = (self.name(), rule.name());
                        tracing::error!(group, rule, %error, "cannot look up since when alerts are there; they begin anew");
                    }
                }
            }
            alerting.is_restored.store(true, Ordering::Relaxed);
        }
    }
}

/// What storage tells about a rule's alerts, by their labels.
fn told(
    env: &Env,
    rule: &Rule,
    alerting: &Alerting,
    now_ms: i64,
) -> Result<HashMap<Labels, Told>, storage::Error> {
    let mut matchers =
        vec![Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, rule.name())];
    let literal = alerting.labels.iter().filter(|(name, text)| text.is_literal() && name != ALERT_NAME);
    matchers.extend(literal.map(|(name, text)| Matcher::equal(name, text.source())));
    let request = SelectRequest {
        matchers: &matchers,
        start_ms: now_ms - env.timing.outage_tolerance_ms,
        end_ms: now_ms,
        hints: SelectHints { latest_only: true, ..SelectHints::default() },
    };
    let context = QueryContext { cancel: env.cancel.clone(), ..QueryContext::unlimited() };
    let found = env.querier.select(&env.tenant, &request, &context)?;
    let mut told = HashMap::new();
    let mut samples = SeriesSamples::default();
    for at in 0..found.len() {
        found.read(at, &mut samples)?;
        let last = samples.floats.timestamps_ms.last().copied().zip(samples.floats.values.last().copied());
        let Some((written_ms, active_at_s)) = last.filter(|(_, value)| !is_stale(*value)) else { continue };
        let labels = found.labels(at).without(|name| name == METRIC_NAME);
        told.insert(labels, Told { written_ms, active_at_s });
    }
    Ok(told)
}

fn restore_alert(alert: &mut Alert, told: Told, for_ms: i64, timing: Timing, now_ms: i64) {
    let active_at_ms = (told.active_at_s * 1_000.0) as i64;
    let left_ms = for_ms - (told.written_ms - active_at_ms);
    alert.active_at_ms = if left_ms <= 0 {
        // It fired, and will again at the next evaluation.
        active_at_ms
    } else if left_ms < timing.for_grace_period_ms {
        now_ms + timing.for_grace_period_ms - for_ms
    } else {
        active_at_ms + (now_ms - told.written_ms)
    };
}
