//! The life of an alert: inactive, pending, firing, resolved. Pure: results and times in, states out.
//!
//! The rules are those of Prometheus 3.14's alerting rules, which the alert generator specification tests:
//! - an element of a rule's result is an alert, named by its labels; it is *pending* until it was there for `for`, then *firing*;
//! - a pending alert that is not in a result is forgotten; a firing one goes on for `keep_firing_for`, then it is *resolved*;
//! - a resolved alert is remembered (and sent) for 15 minutes; if it comes back in that time, it is a new one;
//! - what fires is sent when it begins and then every `resend_delay`; what is resolved is sent at once and then likewise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::Labels;
use model::time::format_duration_ms;

use crate::missing::{Flapping, Missing, OnMissing};
use crate::sink::AlertChange;

/// The annotation of an alert that flaps.
pub const FLAPPING: &str = "flapping";

/// How long a resolved alert is remembered and sent again.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// Not there any more.
    Inactive,
    /// There, but not for long enough.
    Pending,
    /// There for long enough.
    Firing,
}

impl AlertState {
    /// As the API and the label `alertstate` have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One alert of a rule. Times are those of evaluations, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What names it: labels of the result, those of the rule, `alertname`.
    pub labels: Labels,
    /// What else is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub state: AlertState,
    /// The result's value, last.
    pub value: f64,
    /// Since when it is there.
    pub active_at_ms: i64,
    /// Since when it fires.
    pub fired_at_ms: Option<i64>,
    /// When it ended.
    pub resolved_at_ms: Option<i64>,
    /// When it was sent last.
    pub last_sent_at_ms: Option<i64>,
    /// Until when whoever got it may believe that it fires.
    pub valid_until_ms: Option<i64>,
    /// Since when it fires although it is not in the result.
    pub keep_firing_since_ms: Option<i64>,
    /// Labels of the element of the result that it came from; without any where missing data does not matter.
    pub source: Labels,
    /// For how many evaluations its data has been missing.
    pub missing_count: u32,
}

impl Alert {
    /// An alert that is seen for the first time.
    pub fn new(labels: Labels, annotations: BTreeMap<String, String>, value: f64, time_ms: i64) -> Self {
        Self {
            labels,
            annotations,
            state: AlertState::Pending,
            value,
            active_at_ms: time_ms,
            fired_at_ms: None,
            resolved_at_ms: None,
            last_sent_at_ms: None,
            valid_until_ms: None,
            keep_firing_since_ms: None,
            source: Labels::empty(),
            missing_count: 0,
        }
    }

    fn needs_sending(&self, time_ms: i64, resend_delay_ms: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        // Resolved since it was sent last.
        if self.resolved_at_ms.is_some() && self.resolved_at_ms > self.last_sent_at_ms {
            return true;
        }
        self.last_sent_at_ms.is_none_or(|sent_ms| sent_ms.saturating_add(resend_delay_ms) < time_ms)
    }
}

/// How a rule's alerts come and go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long an alert must be there before it fires.
    pub for_ms: i64,
    /// How long it goes on firing after it was there last.
    pub keep_firing_for_ms: i64,
    /// Most alerts that are there at one time; 0 or less: no limit.
    pub limit: i64,
    /// What becomes of alerts whose data is missing.
    pub missing: Missing,
    /// When an alert comes and goes too often.
    pub flapping: Option<Flapping>,
}

/// More alerts than a group allows. Text is Prometheus'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exceeded limit of {limit} with {count} alerts")]
pub struct TooMany {
    limit: i64,
    count: usize,
}

/// All alerts of one rule, those included that are resolved but not forgotten.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    by_labels: BTreeMap<Labels, Alert>,
    /// When each began to fire, the last few times; where it matters.
    fired_ms: BTreeMap<Labels, VecDeque<i64>>,
}

impl Alerts {
    /// Takes the result of an evaluation: every alert that is there now, each once; and of which sources there is data, if that is known.
    ///
    /// # Errors
    /// If there are too many. Then all are forgotten, as with Prometheus.
    pub fn update(
        &mut self,
        time_ms: i64,
        found: BTreeMap<Labels, Alert>,
        there: Option<&BTreeSet<Labels>>,
        terms: Terms,
    ) -> Result<(), TooMany> {
        self.forget_fired(time_ms, terms);
        for (labels, known) in &mut self.by_labels {
            if found.contains_key(labels) {
                continue;
            }
            let is_missing = there.is_some_and(|there| !there.contains(&known.source));
            if !is_missing || !known.is_kept(terms.missing) {
                let hold_ms =
                    flapping_of(&self.fired_ms, labels, terms).map_or(0, |flapping| flapping.hold_ms);
                known.miss(time_ms, terms.keep_firing_for_ms.max(hold_ms));
            }
        }
        for (labels, new) in found {
            match self.by_labels.get_mut(&labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    (known.value, known.annotations) = (new.value, new.annotations);
                    (known.source, known.missing_count) = (new.source, 0);
                    known.keep_firing_since_ms = None;
                }
                _ => {
                    self.by_labels.insert(labels, new);
                }
            }
        }
        self.by_labels.retain(|_, alert| !alert.is_over(time_ms));
        let mut count = 0;
        for (labels, alert) in &mut self.by_labels {
            if alert.state == AlertState::Inactive {
                continue;
            }
            count += 1;
            let is_due = time_ms - alert.active_at_ms >= terms.for_ms && alert.missing_count == 0;
            if alert.state == AlertState::Pending && is_due {
                alert.state = AlertState::Firing;
                alert.fired_at_ms = Some(time_ms);
                if let Some(flapping) = terms.flapping {
                    let fired_ms = self.fired_ms.entry(labels.clone()).or_default();
                    fired_ms.push_back(time_ms);
                    // More are of no use.
                    let excess = fired_ms.len().saturating_sub(flapping.times as usize);
                    fired_ms.drain(..excess);
                }
            }
            if alert.state == AlertState::Firing
                && let Some(flapping) = flapping_of(&self.fired_ms, labels, terms)
            {
                let within = format_duration_ms(flapping.within_ms);
                let text = format!("began to fire {} times within {within}", flapping.times);
                alert.annotations.insert(FLAPPING.to_owned(), text);
            }
        }
        if terms.limit > 0 && i64::try_from(count).is_ok_and(|count| count > terms.limit) {
            self.by_labels.clear();
            return Err(TooMany { limit: terms.limit, count });
        }
        Ok(())
    }

    /// Beginnings that do not count any more.
    fn forget_fired(&mut self, time_ms: i64, terms: Terms) {
        let Some(flapping) = terms.flapping else {
            self.fired_ms.clear();
            return;
        };
        self.fired_ms.retain(|_, fired_ms| {
            fired_ms.retain(|fired_ms| time_ms - *fired_ms <= flapping.within_ms);
            !fired_ms.is_empty()
        });
    }

    /// Those that must be sent at an evaluation, in order of labels; they count as sent.
    pub fn take_due(&mut self, time_ms: i64, resend_delay_ms: i64, interval_ms: i64) -> Vec<Alert> {
        let due = self.by_labels.values_mut().filter(|alert| alert.needs_sending(time_ms, resend_delay_ms));
        due.map(|alert| {
            alert.last_sent_at_ms = Some(time_ms);
            // Two evaluations or sendings may fail.
            alert.valid_until_ms = Some(time_ms + 4 * interval_ms.max(resend_delay_ms));
            alert.clone()
        })
        .collect()
    }

    /// Pending and firing ones, in order of labels.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.by_labels.values().filter(|alert| alert.state != AlertState::Inactive)
    }

    /// All that are remembered, to be changed where a restart forgot what was.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Alert> {
        self.by_labels.values_mut()
    }

    /// What each was that is there, to be compared with what it is after an update ([`Self::changes`]).
    pub fn standings(&self) -> Vec<AlertChange> {
        self.active().map(|alert| alert.change(alert.state, alert.state)).collect()
    }

    /// What became of alerts since `before`, in order of labels.
    pub fn changes(&self, before: Vec<AlertChange>) -> Vec<AlertChange> {
        let mut before = before.into_iter().peekable();
        let mut changes = Vec::new();
        let gone = |was: AlertChange, changes: &mut Vec<AlertChange>| {
            changes.push(AlertChange { to: AlertState::Inactive, ..was });
        };
        for alert in self.by_labels.values() {
            while let Some(was) = before.next_if(|was| was.labels < alert.labels) {
                gone(was, &mut changes);
            }
            let was = before.next_if(|was| was.labels == alert.labels);
            let from = was.map_or(AlertState::Inactive, |was| was.to);
            if from != alert.state {
                changes.push(alert.change(from, alert.state));
            }
        }
        before.for_each(|was| gone(was, &mut changes));
        changes
    }

    /// The most severe state; inactive without alerts.
    pub fn state(&self) -> AlertState {
        self.by_labels.values().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }
}

/// How an alert flaps, if it does.
fn flapping_of(
    fired_ms: &BTreeMap<Labels, VecDeque<i64>>,
    labels: &Labels,
    terms: Terms,
) -> Option<Flapping> {
    let times = fired_ms.get(labels)?.len();
    terms.flapping.filter(|flapping| times >= flapping.times as usize)
}

impl Alert {
    fn change(&self, from: AlertState, to: AlertState) -> AlertChange {
        let (value, active_at_ms) = (self.value, self.active_at_ms);
        AlertChange { labels: self.labels.clone(), from, to, value, active_at_ms }
    }

    /// Its data is missing at this evaluation. Whether it stays as it is.
    fn is_kept(&mut self, missing: Missing) -> bool {
        if self.state == AlertState::Inactive {
            return false;
        }
        self.missing_count = self.missing_count.saturating_add(1);
        missing.on_missing == OnMissing::Keep || self.missing_count <= missing.tolerance
    }

    /// It is not in the result of this evaluation.
    fn miss(&mut self, time_ms: i64, keep_firing_for_ms: i64) {
        if self.state == AlertState::Firing && keep_firing_for_ms > 0 {
            let since_ms = *self.keep_firing_since_ms.get_or_insert(time_ms);
            if time_ms - since_ms < keep_firing_for_ms {
                return;
            }
        }
        match self.state {
            // Marked as what is forgotten below: it never fired.
            AlertState::Pending => (self.state, self.fired_at_ms) = (AlertState::Inactive, None),
            AlertState::Firing => {
                self.state = AlertState::Inactive;
                self.resolved_at_ms = Some(time_ms);
            }
            AlertState::Inactive => {}
        }
    }

    /// Whether nothing needs to be remembered of it.
    fn is_over(&self, time_ms: i64) -> bool {
        self.state == AlertState::Inactive
            && self.resolved_at_ms.is_none_or(|resolved_ms| time_ms - resolved_ms > RESOLVED_RETENTION_MS)
    }
}

#[cfg(test)]
mod tests;
