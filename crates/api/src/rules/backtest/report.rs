//! What is told of a backtest, as JSON.

use std::collections::BTreeMap;

use model::Labels;
use model::number::format_float;
use notifier::rehearsal::Told;
use rules::backtest::compare::compare;
use rules::backtest::stats::{Stats, by_rule};
use rules::backtest::{Episode, Outcome};
use rules::file::RuleKind;
use serde_json::{Map, Value, json};

use crate::params::format_time;

const DAY_MS: i64 = 86_400_000;

/// A version of the rules, and what came of it.
pub(super) struct Version {
    pub(super) outcome: Outcome,
    pub(super) told: Vec<Told>,
}

/// What is said about all of it.
pub(super) struct Report {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// Most alerts in a list.
    pub(super) limit: usize,
}

impl Report {
    pub(super) fn tree(&self, new: &Version, old: Option<&Version>) -> Value {
        let fired: Vec<&Episode> = new.outcome.fired().collect();
        let alerts = fired.iter().take(self.limit).map(|episode| alert(episode, &new.outcome));
        let mut tree = json!({
            "from": format_time(self.from_ms),
            "to": format_time(self.to_ms),
            "rules": self.rules(new),
            "alerts": alerts.collect::<Vec<_>>(),
            "alertCount": fired.len(),
            "pages": self.pages(&new.told),
        });
        if let Some(old) = old {
            tree["compare"] = self.comparison(old, new);
        }
        tree
    }

    fn rules(&self, version: &Version) -> Vec<Value> {
        let stats = by_rule(&version.outcome, self.to_ms);
        let rules = version.outcome.rules.iter().zip(stats);
        rules
            .map(|(rule, stats)| {
                let is_alerting = rule.kind == RuleKind::Alerting;
                let mut tree = json!({
                    "file": rule.file,
                    "group": rule.group,
                    "name": rule.name,
                    "type": if is_alerting { "alerting" } else { "recording" },
                    "interval": seconds(rule.interval_ms),
                    "evaluations": rule.evaluation_count,
                    "failedEvaluations": rule.failure_count,
                    "samples": rule.sample_count,
                });
                if !rule.last_error.is_empty() {
                    tree["lastError"] = rule.last_error.as_str().into();
                }
                if is_alerting {
                    let is_its = |told: &&Told| told.is_page && told.alert_names.contains(&rule.name);
                    tree["alerting"] = alerting(&stats);
                    tree["alerting"]["for"] = seconds(rule.for_ms);
                    tree["alerting"]["pages"] = version.told.iter().filter(is_its).count().into();
                }
                tree
            })
            .collect()
    }

    fn pages(&self, told: &[Told]) -> Value {
        #[derive(Default)]
        struct Counts {
            pages: usize,
            repeats: usize,
            resolved: usize,
        }
        let mut receivers: BTreeMap<&str, Counts> = BTreeMap::new();
        let mut days: BTreeMap<i64, usize> = BTreeMap::new();
        for told in told {
            let counts = receivers.entry(&told.receiver).or_default();
            if told.is_page {
                counts.pages += 1;
                counts.repeats += usize::from(told.is_repeat);
                *days.entry(told.at_ms.div_euclid(DAY_MS)).or_default() += 1;
            } else {
                counts.resolved += 1;
            }
        }
        let total: usize = receivers.values().map(|counts| counts.pages).sum();
        let length_days = (self.to_ms - self.from_ms) as f64 / DAY_MS as f64;
        let receivers = receivers.iter().map(|(name, counts)| {
            let Counts { pages, repeats, resolved } = counts;
            json!({"receiver": name, "pages": pages, "repeats": repeats, "resolved": resolved})
        });
        let days = days
            .iter()
            .map(|(day, pages)| json!({"day": format_time(day * DAY_MS).get(..10), "pages": pages}));
        json!({
            "total": total,
            "perDay": total as f64 / length_days,
            "receivers": receivers.collect::<Vec<_>>(),
            "days": days.collect::<Vec<_>>(),
        })
    }

    fn comparison(&self, old: &Version, new: &Version) -> Value {
        let found = compare(&old.outcome, &new.outcome);
        let list = |episodes: &[&Episode], of: &Outcome| -> Vec<Value> {
            episodes.iter().take(self.limit).map(|episode| alert(episode, of)).collect()
        };
        let moved = found.moved.iter().take(self.limit).map(|(before, after)| {
            json!({
                "labels": labels(&after.labels),
                "old": times(before),
                "new": times(after),
            })
        });
        json!({
            "onlyInOld": list(&found.only_old, &old.outcome),
            "onlyInOldCount": found.only_old.len(),
            "onlyInNew": list(&found.only_new, &new.outcome),
            "onlyInNewCount": found.only_new.len(),
            "moved": moved.collect::<Vec<_>>(),
            "movedCount": found.moved.len(),
            "sameCount": found.same_count,
            "oldRules": self.rules(old),
            "oldPages": self.pages(&old.told),
        })
    }
}

fn alerting(stats: &Stats) -> Value {
    json!({
        "alerts": stats.fired_count,
        "pendingOnly": stats.pending_only_count,
        "flaps": stats.flap_count,
        "firing": seconds(stats.firing_ms),
        "timeToFire": {
            "p50": stats.time_to_fire_p50_ms.map(seconds),
            "max": stats.time_to_fire_max_ms.map(seconds),
        },
    })
}

fn alert(episode: &Episode, of: &Outcome) -> Value {
    let rule = &of.rules[episode.rule];
    let mut tree = times(episode);
    tree["rule"] = rule.name.as_str().into();
    tree["group"] = rule.group.as_str().into();
    tree["labels"] = labels(&episode.labels);
    tree["peak"] = format_float(episode.peak(rule)).into();
    tree
}

fn times(episode: &Episode) -> Value {
    let time = |ms: Option<i64>| ms.map(format_time);
    json!({
        "pendingAt": time(Some(episode.pending_at_ms)),
        "firedAt": time(episode.fired_at_ms),
        "resolvedAt": time(episode.ended_at_ms),
    })
}

fn labels(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>())
}

fn seconds(ms: i64) -> Value {
    (ms as f64 / 1_000.0).into()
}
