//! Groups evaluation by evaluation, by the code that the server runs.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Labels, TenantId};

use super::{Episode, Error, Run, times};
use crate::alert::Alert;
use crate::env::{Env, Helpers};
use crate::group::Group;
use crate::metrics::Metrics;
use crate::rule::Health;
use crate::sink::{AlertSink, SentAlert};

/// What alerts of a rehearsal are told to.
struct Nobody;

impl AlertSink for Nobody {
    fn send(&self, _: &TenantId, _: &[Arc<SentAlert>]) {}
}

/// Evaluates groups in order of time, each with the place of its first rule among all.
pub(super) fn run(run: &mut Run<'_>, groups: &[(&Group, usize)]) -> Result<(), Error> {
    let deps = run.deps;
    let metrics = Metrics::register(&prometheus::Registry::new())
        .map_err(|error| Error::Request(format!("cannot count evaluations: {error}")))?;
    let env = Env {
        engine: Arc::clone(&deps.engine),
        querier: Arc::<super::Overlay>::clone(&run.overlay),
        appender: Arc::<super::Overlay>::clone(&run.overlay),
        tenant: deps.tenant.clone(),
        clock: Arc::clone(&deps.clock),
        sink: Arc::new(Nobody),
        metrics,
        timing: deps.timing,
        cancel: deps.cancel.clone(),
        helpers: Helpers::new(0),
        is_rehearsal: true,
    };
    let mut due: Vec<(i64, i64, i64)> = groups.iter().map(|(group, _)| times(run.request, group)).collect();
    let mut watched: HashMap<(usize, Labels), Episode> = HashMap::new();
    while let Some(next) = (0..due.len()).filter(|at| due[*at].1 > 0).min_by_key(|at| (due[*at].0, *at)) {
        let (time_ms, count, interval_ms) = due[next];
        due[next] = (time_ms + interval_ms, count - 1, interval_ms);
        deps.cancel.check().map_err(storage::Error::from)?;
        let (group, first_rule) = groups[next];
        group.evaluate(&env, time_ms);
        watch(run, group, first_rule, time_ms, &mut watched)?;
        run.add_done(group.rules().len() as u64);
    }
    let mut rest: Vec<Episode> = watched.into_values().collect();
    run.keep(&mut rest)
}

/// Looks at what an evaluation has changed.
fn watch(
    run: &mut Run<'_>,
    group: &Group,
    first_rule: usize,
    time_ms: i64,
    watched: &mut HashMap<(usize, Labels), Episode>,
) -> Result<(), Error> {
    let mut ended = Vec::new();
    for (at, rule) in group.rules().iter().enumerate() {
        let place = first_rule + at;
        let status = rule.status();
        let tried = &mut run.tried[place];
        tried.evaluation_count += 1;
        if status.health == Health::Bad {
            tried.failure_count += 1;
            tried.last_error = status.last_error;
        } else {
            tried.sample_count += status.sample_count as u64;
        }
        let Some(alerting) = &rule.alerting else { continue };
        let alerts = alerting.alerts.lock();
        for alert in alerts.active() {
            let key = (place, alert.labels.clone());
            match watched.get_mut(&key) {
                Some(known) if known.pending_at_ms == alert.active_at_ms => known.follow(alert),
                _ => {
                    let before = watched.insert(key, Episode::of(place, alert));
                    ended.extend(before.map(|before| Episode { ended_at_ms: Some(time_ms), ..before }));
                }
            }
        }
        let is_there = |labels: &Labels| alerts.active().any(|alert| alert.labels == *labels);
        let gone: Vec<(usize, Labels)> =
            watched.keys().filter(|(rule, labels)| *rule == place && !is_there(labels)).cloned().collect();
        for key in gone {
            let before = watched.remove(&key);
            ended.extend(before.map(|before| Episode { ended_at_ms: Some(time_ms), ..before }));
        }
    }
    run.keep(&mut ended)
}

impl Episode {
    fn of(rule: usize, alert: &Alert) -> Self {
        Self {
            rule,
            labels: alert.labels.clone(),
            pending_at_ms: alert.active_at_ms,
            fired_at_ms: alert.fired_at_ms,
            ended_at_ms: None,
            lowest: alert.value,
            highest: alert.value,
        }
    }

    fn follow(&mut self, alert: &Alert) {
        self.fired_at_ms = alert.fired_at_ms;
        self.lowest = self.lowest.min(alert.value);
        self.highest = self.highest.max(alert.value);
    }
}
