//! One alert over time, from a column of its samples: when it was pending, when it fired, when it ended.
//!
//! Does the same as [`crate::alert::Alerts`], which is what the server runs, only many evaluations at once and without looking at those
//! in which nothing changes. Limits of groups are not known here: such groups are evaluated step by step.

use model::Labels;

use super::Episode;
use crate::alert::Terms;

/// An alert of a rule, with what is going on.
#[derive(Debug)]
pub(super) struct Life {
    labels: Labels,
    open: Option<Open>,
}

/// What has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Open {
    pending_at_ms: i64,
    fired_at_ms: Option<i64>,
    lowest: f64,
    highest: f64,
    keep_firing_since_ms: Option<i64>,
}

impl Life {
    pub(super) fn new(labels: Labels) -> Self {
        Self { labels, open: None }
    }

    /// Whether something is going on.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Goes on through evaluations. `good` are the times of those that did not fail, rising; `points` what they found of this alert,
    /// each at one of these times.
    pub(super) fn advance(
        &mut self,
        rule: usize,
        good: &[i64],
        points: &[(i64, f64)],
        terms: Terms,
        out: &mut Vec<Episode>,
    ) {
        let mut next = 0;
        for &(time_ms, value) in points {
            if good.get(next) != Some(&time_ms) {
                let found = next + good[next..].partition_point(|good_ms| *good_ms < time_ms);
                self.miss(rule, &good[next..found], terms, out);
                next = found;
            }
            next += 1;
            self.meet(time_ms, value, terms);
        }
        self.miss(rule, good.get(next..).unwrap_or_default(), terms, out);
    }

    /// It is in the result of an evaluation.
    fn meet(&mut self, time_ms: i64, value: f64, terms: Terms) {
        let open = self.open.get_or_insert(Open {
            pending_at_ms: time_ms,
            fired_at_ms: None,
            lowest: value,
            highest: value,
            keep_firing_since_ms: None,
        });
        open.keep_firing_since_ms = None;
        // A number counts more than none.
        open.lowest = open.lowest.min(value);
        open.highest = open.highest.max(value);
        if open.fired_at_ms.is_none() && time_ms - open.pending_at_ms >= terms.for_ms {
            open.fired_at_ms = Some(time_ms);
        }
    }

    /// It is not in the results of these evaluations.
    fn miss(&mut self, rule: usize, times: &[i64], terms: Terms, out: &mut Vec<Episode>) {
        let (Some(&first_ms), Some(open)) = (times.first(), &mut self.open) else { return };
        let mut ended_at_ms = Some(first_ms);
        if open.fired_at_ms.is_some() && terms.keep_firing_for_ms > 0 {
            let since_ms = *open.keep_firing_since_ms.get_or_insert(first_ms);
            let end = times.partition_point(|time_ms| time_ms - since_ms < terms.keep_firing_for_ms);
            ended_at_ms = times.get(end).copied();
        }
        if ended_at_ms.is_some() {
            out.extend(self.end(rule, ended_at_ms));
        }
    }

    /// What is going on, as it stands; with `ended_at_ms`, that is its end.
    pub(super) fn end(&mut self, rule: usize, ended_at_ms: Option<i64>) -> Option<Episode> {
        let open = self.open.take()?;
        Some(Episode {
            rule,
            labels: self.labels.clone(),
            pending_at_ms: open.pending_at_ms,
            fired_at_ms: open.fired_at_ms,
            ended_at_ms,
            lowest: open.lowest,
            highest: open.highest,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::alert::{Alert, AlertState, Alerts};

    fn labels() -> Labels {
        Labels::from_pairs([("alertname", "A")])
    }

    /// What the server would have done, evaluation by evaluation: since when pending, firing, ended.
    fn by_evaluation(found: &[(i64, Option<f64>)], terms: Terms) -> Vec<(i64, Option<i64>, Option<i64>)> {
        let mut alerts = Alerts::default();
        let mut out: Vec<(i64, Option<i64>, Option<i64>)> = Vec::new();
        for (time_ms, value) in found {
            let one = value.map(|value| (labels(), Alert::new(labels(), BTreeMap::new(), value, *time_ms)));
            alerts.update(*time_ms, one.into_iter().collect(), None, terms).expect("no limit");
            let now = alerts.active().next().cloned();
            if let Some(last) = out.last_mut().filter(|last| last.2.is_none())
                && now.as_ref().is_none_or(|now| now.active_at_ms != last.0)
            {
                last.2 = Some(*time_ms);
            }
            let Some(now) = now else { continue };
            assert_ne!(now.state, AlertState::Inactive);
            match out.last_mut().filter(|last| last.0 == now.active_at_ms) {
                Some(last) => last.1 = now.fired_at_ms,
                None => out.push((now.active_at_ms, now.fired_at_ms, None)),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn columns_tell_what_evaluations_tell(
            found in prop::collection::vec(prop::option::weighted(0.6, 0..9_i32), 1..60),
            hold in 0..6_i64,
            keep in 0..6_i64,
            cut in 0..60_usize,
        ) {
            let terms = Terms { for_ms: hold * 10, keep_firing_for_ms: keep * 10, ..Terms::default() };
            let found: Vec<(i64, Option<f64>)> =
                (0..).map(|at| at * 10).zip(found.into_iter().map(|value| value.map(f64::from))).collect();
            let (mut life, mut episodes) = (Life::new(labels()), Vec::new());
            let (first, second) = found.split_at(cut.min(found.len()));
            for part in [first, second] {
                let good: Vec<i64> = part.iter().map(|(time_ms, _)| *time_ms).collect();
                let points: Vec<(i64, f64)> =
                    part.iter().filter_map(|(time_ms, value)| Some((*time_ms, (*value)?))).collect();
                life.advance(0, &good, &points, terms, &mut episodes);
            }
            episodes.extend(life.end(0, None));
            let got: Vec<_> = episodes
                .iter()
                .map(|episode| (episode.pending_at_ms, episode.fired_at_ms, episode.ended_at_ms))
                .collect();
            prop_assert_eq!(got, by_evaluation(&found, terms));
        }
    }
}
