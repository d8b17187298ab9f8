//! Evaluations of recording rules that were missed, made up for: after an outage, or when evaluations took too long.
//!
//! They are evaluated over what is stored by now, as a range query for each rule. Alerts are not: nobody needs to be told of the past.

use std::sync::Arc;

use model::{METRIC_NAME, Matcher};
use storage::{QueryContext, SelectHints, SelectRequest, SeriesSamples};

use super::Group;
use crate::backfill::{self, Deps};
use crate::env::Env;
use crate::file::RuleKind;
use crate::rule::Rule;

/// How far back is looked for what was recorded before an outage. What is not there was not evaluated before it.
const EVIDENCE_MS: i64 = 7 * 86_400_000;

impl Group {
    /// Makes up for what was missed before the first evaluation after a start.
    pub(super) fn repair_outage(&self, env: &Env, first_slot_ms: i64) {
        if self.identity.repair_missed_ms <= 0 {
            return;
        }
        let recorded = self.recording().map(|rule| self.last_recorded_ms(env, rule, first_slot_ms));
        let last_ms = match recorded.collect::<Result<Vec<_>, _>>() {
            Ok(found) => found.into_iter().flatten().max(),
            Err(error) => {
                tracing::warn!(group = self.name(), %error, "cannot look up which evaluations were missed; they stay so");
                return;
            }
        };
        if let Some(last_ms) = last_ms {
            self.repair(env, last_ms + 1, first_slot_ms);
        }
    }

    /// Makes up for slots from one time on, before another, within what the settings allow.
    pub(crate) fn repair(&self, env: &Env, from_ms: i64, before_ms: i64) {
        let from_ms = from_ms.max(before_ms - self.identity.repair_missed_ms);
        let steps: Vec<i64> = self.slots.between(from_ms, before_ms).collect();
        if steps.is_empty() || self.identity.repair_missed_ms <= 0 {
            return;
        }
        let deps = Deps {
            engine: Arc::clone(&env.engine),
            querier: Arc::clone(&env.querier),
            appender: Arc::clone(&env.appender),
            tenant: env.tenant.clone(),
            cancel: env.cancel.clone(),
            is_repair: true,
        };
        // Who reads comes behind who writes.
        for rule in self.levels.iter().flatten().map(|at| &self.rules[*at]).filter(|rule| is_recording(rule))
        {
            if self.is_retired() {
                return;
            }
            let (group, name) = (self.name(), rule.name());
            match backfill::fill(self, rule, &steps, self.interval_ms(), &deps) {
                Ok(written) => {
                    let count = (steps.len() as u64).saturating_sub(written.failure_count);
                    env.metrics.repaired.with_label_values(&[self.key()]).inc_by(count);
                    let samples = written.sample_count;
                    tracing::info!(
                        group,
                        rule = name,
                        evaluations = steps.len(),
                        samples,
                        "made up for missed evaluations"
                    );
                }
                Err(error) => {
                    tracing::warn!(group, rule = name, %error, "cannot make up for missed evaluations");
                }
            }
        }
    }

    fn recording(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| is_recording(rule))
    }

    /// The slot of the last sample that a rule wrote before a time.
    fn last_recorded_ms(
        &self,
        env: &Env,
        rule: &Rule,
        before_ms: i64,
    ) -> Result<Option<i64>, storage::Error> {
        let mut matchers = vec![Matcher::equal(METRIC_NAME, rule.name())];
        let labels = rule.spec.labels.iter().filter(|(_, value)| !value.is_empty());
        matchers.extend(labels.map(|(name, value)| Matcher::equal(name, value)));
        let offset_ms = self.query_offset_ms();
        let request = SelectRequest {
            matchers: &matchers,
            start_ms: before_ms - offset_ms - EVIDENCE_MS,
            end_ms: before_ms - offset_ms - 1,
            hints: SelectHints { latest_only: true, ..SelectHints::default() },
        };
        let context = QueryContext { cancel: env.cancel.clone(), ..QueryContext::unlimited() };
        let found = env.querier.select(&env.tenant, &request, &context)?;
        let (mut samples, mut last_ms) = (SeriesSamples::default(), None);
        for at in 0..found.len() {
            found.read(at, &mut samples)?;
            let last = samples.floats.timestamps_ms.last().max(samples.histograms.timestamps_ms.last());
            last_ms = last_ms.max(last.map(|time_ms| time_ms + offset_ms));
        }
        Ok(last_ms)
    }
}

fn is_recording(rule: &Rule) -> bool {
    rule.kind() == RuleKind::Recording
}
