//! What the core tells the timeline.

use std::sync::Arc;

use model::Labels;

use super::{Core, EndingSilence, Source, Telling, log_key};
use crate::ack::Ack;
use crate::alert::{Alert, Fingerprint};
use crate::dispatch::{Flush, Placed};
use crate::log::Reason;
use crate::receiver::Receiver;
use crate::silence::{Silence, SilenceState};
use crate::timeline::decisions::{Decision, Decisions};
use crate::timeline::{At, SilenceFacts, What};

/// An alert was put in; what it was before is known.
pub(super) fn reported(
    decisions: &mut Decisions,
    alert: &Arc<Alert>,
    was_firing: bool,
    source: Source,
    now_ms: i64,
) {
    let is_firing = !alert.is_resolved_at(now_ms);
    if is_firing && !was_firing {
        // What is decided from here on is about another occurrence.
        decisions.forget(alert.fingerprint());
    }
    if source == Source::Rules || is_firing == was_firing {
        return;
    }
    let ends_at = At(alert.ends_at_ms);
    let what = match is_firing {
        true => What::Received { starts_at: At(alert.starts_at_ms), ends_at },
        false => What::Ended { ends_at },
    };
    decisions.record(now_ms, alert, &Arc::new(what));
}

/// An alert is in these groups.
pub(super) fn placed(decisions: &mut Decisions, alert: &Arc<Alert>, placed: Vec<Placed>, now_ms: i64) {
    for placed in placed {
        if alert.is_resolved_at(now_ms) || decisions.is_placed(alert.fingerprint(), &placed.place) {
            continue;
        }
        let what = || {
            let due_at = At(now_ms.saturating_add(placed.wait_ms));
            Arc::new(What::Grouped { place: (*placed.place).clone(), due_at })
        };
        decisions.decide(now_ms, alert, &placed.place, Decision::Waits, what);
    }
}

/// A silence, as its events tell.
fn facts(silence: &Silence) -> SilenceFacts {
    SilenceFacts {
        silence: silence.id.clone(),
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
        starts_at: At(silence.starts_at_ms),
        ends_at: At(silence.ends_at_ms),
    }
}

impl Core {
    /// The route is mute.
    pub(super) fn record_muted(&mut self, flush: &Flush, intervals: Vec<String>) {
        let active = &flush.options.active_time_intervals;
        let is_outside = !active.is_empty() && *active == intervals;
        let place = (*flush.place).clone();
        let what = Arc::new(What::Muted { place, intervals: intervals.clone(), is_outside });
        for alert in &flush.alerts {
            let decision = Decision::Muted(intervals.clone());
            self.decisions.decide(flush.now.wall_ms, alert, &flush.place, decision, || Arc::clone(&what));
        }
    }

    /// Whether something holds an alert back; if so, the timeline knows.
    pub(super) fn record_held_back(&mut self, flush: &Flush, alert: &Arc<Alert>) -> bool {
        let now_ms = flush.now.wall_ms;
        let place = || (*flush.place).clone();
        if let Some(by) = self.inhibitor.muted_by(&alert.labels, now_ms) {
            let what = || {
                let labels = self.alerts.get(&by).map(|by| by.labels.clone()).unwrap_or_default();
                let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                let by_labels = labels.iter().map(pair).collect();
                Arc::new(What::Inhibited { place: place(), by: by.to_string(), by_labels })
            };
            self.decisions.decide(now_ms, alert, &flush.place, Decision::Inhibited(by), what);
            return true;
        }
        let silences = self.silences.muting(&alert.labels, now_ms);
        if silences.is_empty() {
            return false;
        }
        let decision = Decision::Silenced(silences.clone());
        let what = || Arc::new(What::Silenced { place: place(), silences });
        self.decisions.decide(now_ms, alert, &flush.place, decision, what);
        true
    }

    /// What is told of alerts that nothing holds back.
    pub(super) fn record_tellings(
        &mut self,
        flush: &Flush,
        receiver: &Receiver,
        heard: &[Arc<Alert>],
        tellings: &[Telling],
        is_held: bool,
    ) {
        let now_ms = flush.now.wall_ms;
        let place = || (*flush.place).clone();
        let spoken: Vec<&Telling> = tellings.iter().filter(|telling| !telling.alerts.is_empty()).collect();
        if spoken.is_empty() && is_held {
            self.record_held_by_ack(flush, heard);
            return;
        }
        let (decision, what) = if let Some(first) = spoken.first() {
            let integration =
                |telling: &&Telling| format!("{}[{}]", telling.key.integration, telling.key.index);
            let what = What::Notifying {
                place: place(),
                integrations: spoken.iter().map(integration).collect(),
                reason: first.reason.as_str().to_owned(),
                alerts: spoken.iter().map(|telling| telling.alerts.len()).max().unwrap_or(0),
            };
            (Decision::Notified, what)
        } else if receiver.integrations.is_empty() {
            (Decision::Nobody, What::NobodyToTell { place: place() })
        } else {
            (
                Decision::Unchanged,
                What::Unchanged { place: place(), repeats_at: self.repeats_at(flush, receiver) },
            )
        };
        let what = Arc::new(what);
        for alert in heard {
            self.decisions.decide(now_ms, alert, &flush.place, decision.clone(), || Arc::clone(&what));
        }
    }

    fn record_held_by_ack(&mut self, flush: &Flush, heard: &[Arc<Alert>]) {
        let now_ms = flush.now.wall_ms;
        for alert in heard {
            let Some(ack) = self.acks.of(alert.fingerprint(), now_ms) else { continue };
            let what = || {
                let (owner, expires_at) = (ack.owner.clone(), At(ack.expires_at_ms));
                Arc::new(What::HeldByAck { place: (*flush.place).clone(), owner, expires_at })
            };
            let decision = Decision::Acknowledged(ack.owner.clone());
            self.decisions.decide(now_ms, alert, &flush.place, decision, what);
        }
    }

    /// When the first integration is told again of what it knows.
    fn repeats_at(&self, flush: &Flush, receiver: &Receiver) -> Option<At> {
        let entry = |key| self.log.get(&key, flush.now.wall_ms);
        let keys = receiver.integrations.iter().map(|integration| log_key(flush, receiver, &**integration));
        let told = keys.filter_map(entry).filter(|entry| !entry.firing.is_empty());
        let at_ms =
            |entry: &crate::log::LogEntry| entry.told_at_ms.saturating_add(flush.options.repeat_interval_ms);
        told.map(at_ms).min().map(At)
    }

    /// Tells every alert for which a silence holds what became of it.
    pub(super) fn record_silence(&self, id: &str, was_active: bool, now_ms: i64) {
        let Some(silence) = self.silences.get(id) else { return };
        let what = match silence.state_at(now_ms) {
            SilenceState::Expired if was_active => What::SilenceEnded(facts(silence)),
            SilenceState::Expired => return,
            SilenceState::Active | SilenceState::Pending => What::SilenceSet(facts(silence)),
        };
        self.record_of_silenced(id, now_ms, what);
    }

    fn record_of_silenced(&self, id: &str, at_ms: i64, what: What) {
        let what = Arc::new(what);
        for alert in self.alerts.values().filter(|alert| !alert.is_resolved_at(at_ms)) {
            if self.silences.names(id, &alert.labels) {
                self.decisions.record(at_ms, alert, &what);
            }
        }
    }

    /// What time alone brought since it was looked at last: alerts of which nothing more was heard, silences that began and ended.
    pub(crate) fn pass(&mut self, since_ms: i64, now_ms: i64) {
        let passed = |at_ms: i64| since_ms < at_ms && at_ms <= now_ms;
        for silence in self.silences.all() {
            let (was, is) = (silence.state_at(since_ms).holds(), silence.state_at(now_ms).holds());
            // One that somebody made or ended since was told then.
            if was == is || passed(silence.updated_at_ms) {
                continue;
            }
            let (recurs, facts) = (silence.recurrence.is_some(), facts(silence));
            let (at_ms, what) = match is {
                true => (silence.starts_at_ms, What::SilenceBegan(facts)),
                false => (silence.ends_at_ms, What::SilenceEnded(facts)),
            };
            self.record_of_silenced(&silence.id, if recurs { now_ms } else { at_ms }, what);
        }
        for (ack, has_expired) in self.acks.pass(now_ms, |fingerprint| self.alerts.contains_key(&fingerprint))
        {
            let at_ms = if has_expired { ack.expires_at_ms } else { now_ms };
            let reason = if has_expired { "expired" } else { "resolved" };
            self.record_ack_end(&ack, reason, at_ms);
        }
        let over = |alert: &&Arc<Alert>| passed(alert.ends_at_ms);
        let over: Vec<Arc<Alert>> = self.alerts.values().filter(over).cloned().collect();
        for alert in over {
            self.end_ack(&alert, alert.ends_at_ms);
            if passed(alert.ends_at_ms) && alert.updated_at_ms < alert.ends_at_ms {
                let what = Arc::new(What::Lapsed { last_heard_at: At(alert.updated_at_ms) });
                self.decisions.record(alert.ends_at_ms, &alert, &what);
            }
        }
    }

    /// Silences that end within a time although alerts that they hold back still fire. Each alert learns so once.
    pub(crate) fn ending_silences(&mut self, now_ms: i64, within_ms: i64) -> Vec<EndingSilence> {
        self.told_ending.retain(|_, ends_at_ms| *ends_at_ms >= now_ms);
        if within_ms <= 0 {
            return Vec::new();
        }
        let mut all = Vec::new();
        for silence in self.silences.ending(now_ms, within_ms) {
            let alert_count = self.alerts_of_silence(&silence.id, now_ms).count();
            if alert_count == 0 {
                continue;
            }
            let is_new = self.told_ending.get(&silence.id) != Some(&silence.ends_at_ms);
            if is_new {
                self.record_of_silenced(&silence.id, now_ms, What::SilenceEndsSoon(facts(silence)));
            }
            all.push(EndingSilence { silence: silence.clone(), alert_count, is_new });
        }
        let told = all.iter().map(|ending| (ending.silence.id.clone(), ending.silence.ends_at_ms));
        self.told_ending.extend(told);
        all
    }

    /// Somebody takes care of an alert from now on.
    pub(crate) fn put_ack(&mut self, ack: Ack) {
        let what = What::Acknowledged {
            owner: ack.owner.clone(),
            comment: ack.comment.clone(),
            expires_at: At(ack.expires_at_ms),
        };
        let labels = Labels::from_pairs(&ack.labels);
        self.decisions.record_of(ack.created_at_ms, labels, Arc::new(what));
        self.acks.put(ack);
    }

    /// Nobody does any more. Whether somebody did.
    pub(crate) fn take_ack_back(&mut self, fingerprint: Fingerprint, now_ms: i64) -> bool {
        let ended = self.acks.end(fingerprint);
        ended.is_some_and(|ack| {
            self.record_ack_end(&ack, "taken_back", now_ms);
            true
        })
    }

    /// The alert is over.
    pub(super) fn end_ack(&mut self, alert: &Alert, now_ms: i64) {
        if let Some(ack) = self.acks.end(alert.fingerprint()) {
            self.record_ack_end(&ack, "resolved", now_ms);
        }
    }

    fn record_ack_end(&self, ack: &Ack, reason: &str, at_ms: i64) {
        let what = What::AckEnded { owner: ack.owner.clone(), reason: reason.to_owned() };
        self.decisions.record_of(at_ms, Labels::from_pairs(&ack.labels), Arc::new(what));
    }
}

impl Reason {
    /// As the timeline has it.
    fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::NewFiring => "new_firing",
            Self::NewResolved => "new_resolved",
            Self::AllResolved => "all_resolved",
            Self::Repeat => "repeat",
        }
    }
}

#[cfg(test)]
mod tests;
