//! The state, and every decision on it. Pure: no network, no waiting; times are handed in.
//!
//! An alert goes through the same steps as in Alertmanager: merged with what is known of it, put into groups; when a group
//! is due: inhibition, active intervals, mute intervals, silences, then for each integration what it was told last. `recording`
//! tells the timeline what was decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Labels;

use crate::ack::Acks;
use crate::alert::{Alert, Fingerprint};
use crate::config::Config;
use crate::dispatch::{Dispatcher, Flush, GroupView, Now};
use crate::inhibit::Inhibitor;
use crate::interval::TimeInterval;
use crate::log::{Facts, LogEntry, LogKey, NotificationLog, Reason, reason};
use crate::receiver::{Integration, Receiver};
use crate::route::RouteOptions;
use crate::service::history::Queue;
use crate::silence::{Silence, SilenceError, Silences};
use crate::timeline::decisions::Decisions;

mod recording;

/// More alerts are not kept; new ones are refused until others are over.
const ALERTS_MAX: usize = 200_000;
/// Nor more of their texts.
const ALERT_BYTES_MAX: usize = 256 << 20;
/// What was told is remembered anew when less than this is left, while somebody takes care of it.
const RENEWED_BEFORE_MS: i64 = 3_600_000;

/// What fired before the start is believed to fire no longer than this, if nobody says so again.
const PRESUMED_MAX_MS: i64 = 3_600_000;

/// What keeps an alert from being told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertStatus {
    /// Names of silences.
    pub silenced_by: Vec<String>,
    /// Names of alerts that inhibit it.
    pub inhibited_by: Vec<String>,
    /// Names of intervals in which its route is mute.
    pub muted_by: Vec<String>,
}

impl AlertStatus {
    /// Whether nothing does.
    pub fn is_active(&self) -> bool {
        self.silenced_by.is_empty() && self.inhibited_by.is_empty() && self.muted_by.is_empty()
    }
}

/// An alert as it is shown.
#[derive(Debug, Clone)]
pub struct AlertView {
    /// The alert.
    pub alert: Arc<Alert>,
    /// What keeps it from being told.
    pub status: AlertStatus,
    /// Who would be told.
    pub receivers: Vec<Arc<str>>,
}

/// A group as it is shown.
#[derive(Debug, Clone)]
pub struct AlertGroup {
    /// What its alerts have in common.
    pub labels: Labels,
    /// Who is told.
    pub receiver: Arc<str>,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
}

/// Something that one integration is to be told.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) integration: Arc<dyn Integration>,
    pub(crate) key: LogKey,
    pub(crate) facts: Facts,
    pub(crate) reason: Reason,
    /// Nothing is told; what was told is remembered for longer.
    pub(crate) renews: bool,
    /// None: there is nothing to say, but it is written down that it was said.
    pub(crate) alerts: Vec<Arc<Alert>>,
}

/// A silence that ends soon although alerts that it holds back still fire.
#[derive(Debug, Clone)]
pub(crate) struct EndingSilence {
    pub(crate) silence: Silence,
    pub(crate) alert_count: usize,
    /// Whether it was not yet told.
    pub(crate) is_new: bool,
}

/// Who says that an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Our own rules, which tell the timeline themselves.
    Rules,
    /// Others, through the API.
    Outside,
}

/// Everything that is known.
#[derive(Debug)]
pub(crate) struct Core {
    receivers: BTreeMap<Arc<str>, Receiver>,
    intervals: BTreeMap<String, Vec<TimeInterval>>,
    alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    /// Of their texts, all together.
    alert_bytes: usize,
    alert_bytes_max: usize,
    /// Those of before the start of which nobody has spoken since.
    presumed: BTreeSet<Fingerprint>,
    inhibitor: Inhibitor,
    dispatcher: Dispatcher,
    pub(crate) silences: Silences,
    pub(crate) log: NotificationLog,
    pub(crate) acks: Acks,
    decisions: Decisions,
    /// Silences of which was told that they end soon, and when they do.
    told_ending: BTreeMap<String, i64>,
    /// Counts configurations, so that what an older one began does not end in a newer one.
    generation: u64,
}

impl Core {
    pub(crate) fn new(config: &Config, silences: Silences, log: NotificationLog, queue: Arc<Queue>) -> Self {
        Self {
            receivers: receivers(config),
            intervals: config.intervals.clone(),
            alerts: BTreeMap::new(),
            alert_bytes: 0,
            alert_bytes_max: ALERT_BYTES_MAX,
            presumed: BTreeSet::new(),
            inhibitor: Inhibitor::new(config.inhibit_rules.clone()),
            dispatcher: Dispatcher::new(Arc::clone(&config.route)),
            silences,
            log,
            acks: Acks::default(),
            decisions: Decisions::new(queue),
            told_ending: BTreeMap::new(),
            generation: 0,
        }
    }

    /// Puts another configuration in force. Groups begin anew; what was told is remembered.
    pub(crate) fn reconfigure(&mut self, config: &Config, now: Now) {
        self.receivers = receivers(config);
        self.intervals.clone_from(&config.intervals);
        self.inhibitor = Inhibitor::new(config.inhibit_rules.clone());
        self.dispatcher = Dispatcher::new(Arc::clone(&config.route));
        self.generation += 1;
        for alert in self.alerts.values() {
            self.inhibitor.put(alert);
            // A group's other alerts follow at once; that there is no room was counted before.
            let (placed, _) = self.dispatcher.insert(alert, now);
            recording::placed(&mut self.decisions, alert, placed, now.wall_ms);
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn route(&self) -> &Arc<crate::route::Route> {
        self.dispatcher.route()
    }

    pub(crate) fn receiver_names(&self) -> Vec<Arc<str>> {
        self.receivers.keys().cloned().collect()
    }

    /// Takes in what somebody was told of before the start. Whoever reports alerts needs time to do so again, as long as
    /// he had given himself: until then what fired is presumed to fire, which is no reason to tell anybody; then it is over.
    pub(crate) fn presume(&mut self, kept: impl IntoIterator<Item = Alert>, now: Now) {
        let mut newest: BTreeMap<Fingerprint, Alert> = BTreeMap::new();
        for alert in kept {
            let fingerprint = alert.fingerprint();
            if newest.get(&fingerprint).is_none_or(|known| known.updated_at_ms < alert.updated_at_ms) {
                newest.insert(fingerprint, alert);
            }
        }
        let mut presumed = BTreeSet::new();
        let alerts = newest.into_iter().map(|(fingerprint, mut alert)| {
            let was_over = alert.is_resolved_at(alert.updated_at_ms);
            let valid_ms = alert.ends_at_ms.saturating_sub(alert.updated_at_ms).clamp(0, PRESUMED_MAX_MS);
            let ends_at_ms = now.wall_ms.saturating_add(valid_ms);
            if !was_over && alert.ends_at_ms < ends_at_ms {
                // The next start believes it no longer than this one.
                (alert.ends_at_ms, alert.updated_at_ms) = (ends_at_ms, now.wall_ms);
                presumed.insert(fingerprint);
            }
            alert
        });
        let alerts = alerts.collect();
        self.put(alerts, Source::Rules, now);
        self.presumed = presumed;
    }

    /// Takes alerts in. Returns how many found no room.
    pub(crate) fn put(&mut self, alerts: Vec<Alert>, source: Source, now: Now) -> usize {
        let mut refused = 0;
        for mut alert in alerts {
            let fingerprint = alert.fingerprint();
            let known = self.alerts.get(&fingerprint);
            let others_bytes = self.alert_bytes - known.map_or(0, |known| known.text_bytes());
            let is_full = others_bytes + alert.text_bytes() > self.alert_bytes_max
                || known.is_none() && self.alerts.len() >= ALERTS_MAX;
            if is_full {
                refused += 1;
                continue;
            }
            let was_firing = known.is_some_and(|known| !known.is_resolved_at(now.wall_ms));
            if let Some(known) = known {
                alert = known.merged(&alert, now.wall_ms).unwrap_or(alert);
            }
            self.alert_bytes = others_bytes + alert.text_bytes();
            let alert = Arc::new(alert);
            self.inhibitor.put(&alert);
            self.presumed.remove(&fingerprint);
            recording::reported(&mut self.decisions, &alert, was_firing, source, now.wall_ms);
            if alert.is_resolved_at(now.wall_ms) {
                self.end_ack(&alert, now.wall_ms);
            }
            let (placed, without_room) = self.dispatcher.insert(&alert, now);
            recording::placed(&mut self.decisions, &alert, placed, now.wall_ms);
            refused += usize::from(without_room > 0);
            self.alerts.insert(fingerprint, alert);
        }
        refused
    }

    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.dispatcher.next_due_ms()
    }

    pub(crate) fn take_due(&mut self, now: Now) -> Vec<Flush> {
        self.dispatcher.take_due(now)
    }

    pub(crate) fn done(&mut self, generation: u64, flush: &Flush, all_told: bool) {
        if generation == self.generation {
            self.dispatcher.done(flush, all_told);
        }
    }

    /// Intervals that keep a route mute at a moment.
    fn muting_intervals(&self, options: &RouteOptions, now_ms: i64) -> Vec<String> {
        let holds = |name: &String| {
            let intervals = self.intervals.get(name).map_or(&[][..], Vec::as_slice);
            intervals.iter().any(|interval| interval.contains(now_ms))
        };
        let active = &options.active_time_intervals;
        if !active.is_empty() && !active.iter().any(holds) {
            return active.clone();
        }
        options.mute_time_intervals.iter().filter(|name| holds(name)).cloned().collect()
    }

    fn is_muted(&self, alert: &Alert, now_ms: i64) -> bool {
        self.inhibitor.muted_by(&alert.labels, now_ms).is_some()
            || !self.silences.muting(&alert.labels, now_ms).is_empty()
    }

    /// What is to be told of a group that is due: nothing if it is mute, or all know already.
    pub(crate) fn tellings(&mut self, flush: &Flush) -> Vec<Telling> {
        let now_ms = flush.now.wall_ms;
        let muting = self.muting_intervals(&flush.options, now_ms);
        if !muting.is_empty() {
            self.record_muted(flush, muting);
            return Vec::new();
        }
        let heard: Vec<Arc<Alert>> =
            flush.alerts.iter().filter(|alert| !self.record_held_back(flush, alert)).cloned().collect();
        let receiver = self.receivers.get(&flush.options.receiver).cloned();
        let Some(receiver) = receiver.filter(|_| !heard.is_empty()) else { return Vec::new() };
        let (tellings, is_held) = self.tellings_of(flush, &receiver, &heard);
        self.record_tellings(flush, &receiver, &heard, &tellings, is_held);
        tellings
    }

    /// What each integration of a receiver does not know yet; and whether one is not told again only because somebody takes care of all
    /// that fires.
    fn tellings_of(&self, flush: &Flush, receiver: &Receiver, heard: &[Arc<Alert>]) -> (Vec<Telling>, bool) {
        let now_ms = flush.now.wall_ms;
        let mut facts = Facts::default();
        for alert in heard {
            let (fingerprint, is_resolved) = (alert.fingerprint(), alert.is_resolved_at(now_ms));
            facts.add(fingerprint, is_resolved);
            if !is_resolved && self.presumed.contains(&fingerprint) {
                facts.presumed.insert(fingerprint.0);
            }
        }
        let mut firing = facts.firing.iter().map(|firing| Fingerprint(*firing));
        let is_acked =
            !facts.firing.is_empty() && firing.all(|firing| self.acks.of(firing, now_ms).is_some());
        let mut is_held = false;
        let telling = |integration: &Arc<dyn Integration>| {
            let key = log_key(flush, receiver, &**integration);
            let entry = self.log.get(&key, now_ms);
            let repeat_ms = flush.options.repeat_interval_ms;
            let reason = reason(entry, &facts, repeat_ms, integration.send_resolved(), now_ms);
            if is_acked && matches!(reason, None | Some(Reason::Repeat)) {
                is_held |= reason.is_some();
                return renewed(entry?, key, integration, flush);
            }
            let reason = reason?;
            let wanted = |alert: &&Arc<Alert>| integration.send_resolved() || !alert.is_resolved_at(now_ms);
            Some(Telling {
                integration: Arc::clone(integration),
                key,
                facts: facts.clone(),
                reason,
                renews: false,
                alerts: heard.iter().filter(wanted).cloned().collect(),
            })
        };
        let tellings = receiver.integrations.iter().filter_map(telling).collect();
        (tellings, is_held)
    }

    /// What must be durable before an integration is told; `None` if what is durable will do.
    pub(crate) fn intent(&self, telling: &Telling, flush: &Flush) -> Option<LogEntry> {
        let repeat_ms = flush.options.repeat_interval_ms;
        self.log.intent(&telling.key, &telling.facts, &flush.alerts, repeat_ms, flush.now.wall_ms)
    }

    /// An integration was told. What the store shall keep, if it is something new.
    pub(crate) fn told(&mut self, telling: &Telling, flush: &Flush, now_ms: i64) -> Option<LogEntry> {
        let repeat_ms = flush.options.repeat_interval_ms;
        if telling.renews {
            return self.log.renew(&telling.key, &flush.alerts, repeat_ms, now_ms);
        }
        Some(self.log.put(telling.key.clone(), telling.facts.clone(), &flush.alerts, repeat_ms, now_ms))
    }

    /// What keeps an alert from being told, but for intervals: they belong to routes.
    pub(crate) fn status(&self, labels: &Labels, now_ms: i64) -> AlertStatus {
        AlertStatus {
            silenced_by: self.silences.muting(labels, now_ms),
            inhibited_by: self.inhibitor.muted_by(labels, now_ms).iter().map(ToString::to_string).collect(),
            muted_by: Vec::new(),
        }
    }

    fn view(&self, alert: &Arc<Alert>, now_ms: i64) -> AlertView {
        let routes = self.route().find(&alert.labels);
        let mut status = self.status(&alert.labels, now_ms);
        let muted = routes.iter().map(|route| self.muting_intervals(&route.options, now_ms));
        let muted: Vec<Vec<String>> = muted.collect();
        // It is told as long as one of its routes is not mute.
        if muted.iter().all(|names| !names.is_empty()) {
            status.muted_by = muted.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        }
        AlertView {
            alert: Arc::clone(alert),
            status,
            receivers: routes.iter().map(|route| Arc::clone(&route.options.receiver)).collect(),
        }
    }

    /// An alert, be it over or not.
    pub(crate) fn alert(&self, fingerprint: Fingerprint) -> Option<&Arc<Alert>> {
        self.alerts.get(&fingerprint)
    }

    /// Alerts that are not over, by fingerprint.
    pub(crate) fn alerts(&self, now_ms: i64) -> Vec<AlertView> {
        let live = self.alerts.values().filter(|alert| !alert.is_resolved_at(now_ms));
        live.map(|alert| self.view(alert, now_ms)).collect()
    }

    /// All groups with their alerts that are not over.
    pub(crate) fn groups(&self, now_ms: i64) -> Vec<AlertGroup> {
        let shown = |group: GroupView| {
            let muted_by = self.muting_intervals(&group.options, now_ms);
            let live = group.alerts.iter().filter(|alert| !alert.is_resolved_at(now_ms));
            let alerts = live.map(|alert| {
                let mut view = self.view(alert, now_ms);
                view.status.muted_by.clone_from(&muted_by);
                view
            });
            AlertGroup {
                labels: group.labels,
                receiver: Arc::clone(&group.options.receiver),
                alerts: alerts.collect(),
            }
        };
        self.dispatcher.groups().into_iter().map(shown).collect()
    }

    /// How many alerts are active and suppressed, and how many groups there are.
    pub(crate) fn counts(&self, now_ms: i64) -> (usize, usize, usize) {
        let (mut active, mut suppressed) = (0, 0);
        for alert in self.alerts.values().filter(|alert| !alert.is_resolved_at(now_ms)) {
            if self.is_muted(alert, now_ms) {
                suppressed += 1;
            } else {
                active += 1;
            }
        }
        (active, suppressed, self.dispatcher.group_count())
    }

    /// Alerts that fire for which a silence holds; not those that say that silences end.
    pub(crate) fn alerts_of_silence(&self, id: &str, now_ms: i64) -> impl Iterator<Item = &Arc<Alert>> {
        let firing = self.alerts.values().filter(move |alert| !alert.is_resolved_at(now_ms));
        firing.filter(move |alert| {
            alert.name() != crate::service::SILENCE_ALERT_NAME && self.silences.names(id, &alert.labels)
        })
    }

    /// Puts a change of a silence in force.
    pub(crate) fn apply_silence(&mut self, change: Silence, now_ms: i64) -> Result<(), SilenceError> {
        let was_active = self.silences.get(&change.id).is_some_and(|was| was.state_at(now_ms).holds());
        let id = change.id.clone();
        self.silences.apply(change)?;
        self.record_silence(&id, was_active, now_ms);
        Ok(())
    }

    /// Forgets what is over. Returns the silences that are gone.
    pub(crate) fn collect_garbage(&mut self, now_ms: i64) -> Vec<String> {
        self.alerts.retain(|_, alert| !alert.is_resolved_at(now_ms));
        self.presumed.retain(|fingerprint| self.alerts.contains_key(fingerprint));
        self.decisions.retain(|fingerprint| self.alerts.contains_key(&fingerprint));
        self.alert_bytes = self.alerts.values().map(|alert| alert.text_bytes()).sum();
        self.inhibitor.collect_garbage(now_ms);
        self.log.collect_garbage(now_ms);
        self.silences.collect_garbage(now_ms)
    }

    pub(crate) fn remove_empty_groups(&mut self) {
        self.dispatcher.remove_empty();
    }
}

/// What an integration knows, remembered anew before it would be forgotten: then it would be told as if for the first time.
fn renewed(
    entry: &LogEntry,
    key: LogKey,
    integration: &Arc<dyn Integration>,
    flush: &Flush,
) -> Option<Telling> {
    let margin_ms = RENEWED_BEFORE_MS.saturating_add(2 * flush.options.group_interval_ms);
    if entry.expires_at_ms.saturating_sub(flush.now.wall_ms) > margin_ms {
        return None;
    }
    Some(Telling {
        integration: Arc::clone(integration),
        key,
        facts: Facts::default(),
        reason: Reason::Repeat,
        renews: true,
        alerts: Vec::new(),
    })
}

fn log_key(flush: &Flush, receiver: &Receiver, integration: &dyn Integration) -> LogKey {
    LogKey {
        group_key: flush.key.to_string(),
        receiver: receiver.name().to_owned(),
        integration: integration.kind().to_owned(),
        index: integration.index(),
    }
}

fn receivers(config: &Config) -> BTreeMap<Arc<str>, Receiver> {
    config.receivers.iter().map(|receiver| (Arc::clone(&receiver.name), receiver.clone())).collect()
}

#[cfg(test)]
mod tests;
