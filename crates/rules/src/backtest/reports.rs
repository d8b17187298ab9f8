//! What a notifier would have heard: each alert when it begins to fire, when it is resolved, and repeats of its end.
//!
//! Repeats of what fires are left out: they only say that it still does, which here the first report says for as long as it is so.

use std::collections::HashMap;
use std::sync::Arc;

use model::Labels;

use super::Outcome;
use crate::alert::RESOLVED_RETENTION_MS;

/// A report of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When it is made.
    pub at_ms: i64,
    /// What names the alert.
    pub labels: Labels,
    /// Since when it fires.
    pub starts_at_ms: i64,
    /// When it ended; `None`: it fires.
    pub ends_at_ms: Option<i64>,
    /// Its group.
    pub group: Arc<str>,
}

/// All reports until `to_ms`, in order of time.
pub fn reports(outcome: &Outcome, to_ms: i64, resend_delay_ms: i64) -> Vec<Report> {
    let mut reports = Vec::new();
    // When each alert comes back, looked at from the end.
    let mut again: HashMap<(usize, &Labels), i64> = HashMap::new();
    for episode in outcome.episodes.iter().rev() {
        let rule = &outcome.rules[episode.rule];
        let next_ms = again.insert((episode.rule, &episode.labels), episode.pending_at_ms);
        let Some(starts_at_ms) = episode.fired_at_ms else { continue };
        let group: Arc<str> = rule.group.as_str().into();
        let report = |at_ms, ends_at_ms| Report {
            at_ms,
            labels: episode.labels.clone(),
            starts_at_ms,
            ends_at_ms,
            group: Arc::clone(&group),
        };
        reports.push(report(starts_at_ms, None));
        let Some(ended_at_ms) = episode.ended_at_ms else { continue };
        // The first evaluation that is later than the delay.
        let interval_ms = rule.interval_ms.max(1);
        let period_ms = (resend_delay_ms.max(0) / interval_ms + 1) * interval_ms;
        let last_ms =
            (ended_at_ms + RESOLVED_RETENTION_MS).min(to_ms).min(next_ms.map_or(i64::MAX, |next| next - 1));
        let mut at_ms = ended_at_ms;
        while at_ms == ended_at_ms || at_ms <= last_ms {
            reports.push(report(at_ms, Some(ended_at_ms)));
            at_ms += period_ms;
        }
    }
    reports.sort_by(|a, b| (a.at_ms, &a.labels).cmp(&(b.at_ms, &b.labels)));
    reports
}
