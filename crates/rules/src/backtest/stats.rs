//! What a backtest comes to, by rule.

use std::collections::HashMap;

use model::Labels;

use super::{Episode, Outcome};

/// An alert that fires again within this time after it was resolved flaps.
pub const FLAP_MS: i64 = 3_600_000;

/// Numbers of one rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Alerts that fired.
    pub fired_count: usize,
    /// Alerts that were pending and went away before they fired.
    pub pending_only_count: usize,
    /// Alerts that fired again soon after they were resolved.
    pub flap_count: usize,
    /// From pending to firing: the median.
    pub time_to_fire_p50_ms: Option<i64>,
    /// The longest.
    pub time_to_fire_max_ms: Option<i64>,
    /// How long alerts fired, all together; those that still did count until the end.
    pub firing_ms: i64,
}

/// Numbers of each rule, in the order of [`Outcome::rules`]. `to_ms` is the end of the backtest.
pub fn by_rule(outcome: &Outcome, to_ms: i64) -> Vec<Stats> {
    let mut stats = vec![Stats::default(); outcome.rules.len()];
    let mut times_to_fire: Vec<Vec<i64>> = vec![Vec::new(); outcome.rules.len()];
    let mut resolved: HashMap<(usize, &Labels), i64> = HashMap::new();
    for episode in &outcome.episodes {
        let stats = &mut stats[episode.rule];
        let Some(fired_at_ms) = episode.fired_at_ms else {
            stats.pending_only_count += usize::from(episode.ended_at_ms.is_some());
            continue;
        };
        stats.fired_count += 1;
        stats.firing_ms += episode.ended_at_ms.unwrap_or(to_ms) - fired_at_ms;
        times_to_fire[episode.rule].push(fired_at_ms - episode.pending_at_ms);
        let key = (episode.rule, &episode.labels);
        if resolved.get(&key).is_some_and(|resolved_ms| fired_at_ms - resolved_ms < FLAP_MS) {
            stats.flap_count += 1;
        }
        if let Some(ended_at_ms) = episode.ended_at_ms {
            resolved.insert(key, ended_at_ms);
        }
    }
    for (stats, mut times) in stats.iter_mut().zip(times_to_fire) {
        times.sort_unstable();
        stats.time_to_fire_p50_ms = times.get(times.len().saturating_sub(1) / 2).copied();
        stats.time_to_fire_max_ms = times.last().copied();
    }
    stats
}

impl Outcome {
    /// Alerts that fired, with their places among all.
    pub fn fired(&self) -> impl Iterator<Item = &Episode> {
        self.episodes.iter().filter(|episode| episode.fired_at_ms.is_some())
    }
}
