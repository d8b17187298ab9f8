//! The notification log: what each integration was told last about each group, so that nobody is told twice.
//!
//! An entry is durable twice: before news is told, as what may be known from then on ([`LogEntry::maybe`]), and after it was told. Both hold the
//! alerts of which the receiver may believe that they fire, so that after a crash their end is told, too, though nobody reports it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::Labels;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Annotations, Fingerprint};

/// Entries are kept no longer than this.
const RETENTION_MS: i64 = 120 * 3_600_000;

/// Which integration, and about which group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogKey {
    /// The group.
    pub group_key: String,
    /// The receiver's name.
    pub receiver: String,
    /// The integration's kind.
    pub integration: String,
    /// Its place among those of its kind.
    pub index: usize,
}

/// What it was told last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, in ms since the epoch.
    pub told_at_ms: i64,
    /// When the entry is of no use any more.
    pub expires_at_ms: i64,
    /// What fired.
    pub firing: BTreeSet<u64>,
    /// What was over.
    pub resolved: BTreeSet<u64>,
    /// Of which telling had begun when the process died: it may be known to fire, to be over, or not at all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub maybe: BTreeSet<u64>,
    /// Those of `firing` and `maybe`, as they were; in the store only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<KeptAlert>,
}

/// An alert as it was when somebody was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAlert {
    labels: Vec<(String, String)>,
    annotations: Annotations,
    starts_at_ms: i64,
    ends_at_ms: i64,
    updated_at_ms: i64,
    generator_url: String,
    is_timeout: bool,
}

impl KeptAlert {
    fn of(alert: &Alert) -> Self {
        Self {
            labels: alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: alert.annotations.clone(),
            starts_at_ms: alert.starts_at_ms,
            ends_at_ms: alert.ends_at_ms,
            updated_at_ms: alert.updated_at_ms,
            generator_url: alert.generator_url.clone(),
            is_timeout: alert.is_timeout,
        }
    }

    /// The alert.
    pub(crate) fn into_alert(self) -> Alert {
        Alert {
            labels: Labels::from_pairs(self.labels),
            annotations: self.annotations,
            starts_at_ms: self.starts_at_ms,
            ends_at_ms: self.ends_at_ms,
            generator_url: self.generator_url,
            updated_at_ms: self.updated_at_ms,
            is_timeout: self.is_timeout,
        }
    }
}

impl LogEntry {
    /// Takes those alerts along that the receiver may believe to fire.
    fn keeping(mut self, alerts: &[Arc<Alert>]) -> Self {
        let is_kept = |alert: &&Arc<Alert>| {
            let fingerprint = alert.fingerprint().0;
            self.firing.contains(&fingerprint) || self.maybe.contains(&fingerprint)
        };
        self.alerts = alerts.iter().filter(is_kept).map(|alert| KeptAlert::of(alert)).collect();
        self
    }
}

/// What there is to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) firing: BTreeSet<u64>,
    pub(crate) resolved: BTreeSet<u64>,
    /// Those that fire as far as is known, but nobody has said so since the start: no reason to tell anybody.
    pub(crate) presumed: BTreeSet<u64>,
}

impl Facts {
    pub(crate) fn add(&mut self, fingerprint: Fingerprint, is_resolved: bool) {
        let set = if is_resolved { &mut self.resolved } else { &mut self.firing };
        set.insert(fingerprint.0);
    }
}

/// Why a notification is due, or `None` if it is not. The rules are those of Alertmanager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Nobody was told of this group yet.
    First,
    /// An alert fires that was not told.
    NewFiring,
    /// An alert is over that was not told.
    NewResolved,
    /// Nothing fires any more.
    AllResolved,
    /// Nothing changed, but it is time to tell again.
    Repeat,
}

pub(crate) fn reason(
    entry: Option<&LogEntry>,
    facts: &Facts,
    repeat_interval_ms: i64,
    send_resolved: bool,
    now_ms: i64,
) -> Option<Reason> {
    let mut reported = facts.firing.difference(&facts.presumed).peekable();
    let is_reported = reported.peek().is_some();
    let Some(entry) = entry else {
        // What was over before anybody was told is nobody's business.
        return is_reported.then_some(Reason::First);
    };
    if !reported.all(|alert| entry.firing.contains(alert)) {
        let was_told = !(entry.firing.is_empty() && entry.resolved.is_empty());
        return Some(if was_told { Reason::NewFiring } else { Reason::First });
    }
    // Told whether or not ends are told, so that the log forgets what fired.
    if facts.firing.is_empty() {
        let may_fire = !entry.firing.is_empty() || !entry.maybe.is_empty();
        return may_fire.then_some(Reason::AllResolved);
    }
    if send_resolved && !facts.resolved.is_subset(&entry.resolved) {
        return Some(Reason::NewResolved);
    }
    let is_old = entry.told_at_ms < now_ms.saturating_sub(repeat_interval_ms);
    (is_old && is_reported).then_some(Reason::Repeat)
}

/// All entries.
#[derive(Debug, Default)]
pub(crate) struct NotificationLog {
    entries: HashMap<LogKey, LogEntry>,
}

impl NotificationLog {
    /// Those of before a restart.
    pub(crate) fn load(entries: Vec<(LogKey, LogEntry)>) -> Self {
        let without_alerts =
            entries.into_iter().map(|(key, entry)| (key, LogEntry { alerts: Vec::new(), ..entry }));
        Self { entries: without_alerts.collect() }
    }

    pub(crate) fn get(&self, key: &LogKey, now_ms: i64) -> Option<&LogEntry> {
        self.entries.get(key).filter(|entry| entry.expires_at_ms > now_ms)
    }

    /// Writes down what was told. It is of use until it would have been told twice again. What the store shall keep.
    pub(crate) fn put(
        &mut self,
        key: LogKey,
        facts: Facts,
        alerts: &[Arc<Alert>],
        repeat_interval_ms: i64,
        now_ms: i64,
    ) -> LogEntry {
        let entry = LogEntry {
            told_at_ms: now_ms,
            expires_at_ms: expiry(repeat_interval_ms, now_ms),
            firing: facts.firing,
            resolved: facts.resolved,
            maybe: BTreeSet::new(),
            alerts: Vec::new(),
        };
        self.entries.insert(key, entry.clone());
        entry.keeping(alerts)
    }

    /// What was told is of use for longer. What the store shall keep; `None`: nothing was told.
    pub(crate) fn renew(
        &mut self,
        key: &LogKey,
        alerts: &[Arc<Alert>],
        repeat_interval_ms: i64,
        now_ms: i64,
    ) -> Option<LogEntry> {
        let entry = self.entries.get_mut(key)?;
        entry.expires_at_ms = expiry(repeat_interval_ms, now_ms);
        Some(entry.clone().keeping(alerts))
    }

    /// What the store must hold before an integration is told: what it knows for certain, and what it may know when the telling was begun.
    /// `None`: it hears no news.
    pub(crate) fn intent(
        &self,
        key: &LogKey,
        facts: &Facts,
        alerts: &[Arc<Alert>],
        repeat_interval_ms: i64,
        now_ms: i64,
    ) -> Option<LogEntry> {
        let nothing = BTreeSet::new();
        let known = self.get(key, now_ms);
        let (firing, resolved, maybe) = known
            .map_or((&nothing, &nothing, &nothing), |known| (&known.firing, &known.resolved, &known.maybe));
        let news = facts.firing.difference(firing).chain(facts.resolved.difference(resolved));
        let uncertain: BTreeSet<u64> = news.chain(maybe).copied().collect();
        if uncertain.is_empty() {
            return None;
        }
        let certain = |set: &BTreeSet<u64>| set.difference(&uncertain).copied().collect();
        let entry = LogEntry {
            told_at_ms: known.map_or(now_ms, |known| known.told_at_ms),
            expires_at_ms: expiry(repeat_interval_ms, now_ms),
            firing: certain(firing),
            resolved: certain(resolved),
            maybe: uncertain,
            alerts: Vec::new(),
        };
        Some(entry.keeping(alerts))
    }

    pub(crate) fn collect_garbage(&mut self, now_ms: i64) {
        self.entries.retain(|_, entry| entry.expires_at_ms > now_ms);
    }
}

/// Until when an entry is of use.
fn expiry(repeat_interval_ms: i64, now_ms: i64) -> i64 {
    now_ms.saturating_add(repeat_interval_ms.saturating_mul(2).clamp(1, RETENTION_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(firing: &[u64], resolved: &[u64]) -> LogEntry {
        LogEntry {
            told_at_ms: 1_000,
            expires_at_ms: i64::MAX,
            firing: firing.iter().copied().collect(),
            resolved: resolved.iter().copied().collect(),
            maybe: BTreeSet::new(),
            alerts: Vec::new(),
        }
    }

    #[track_caller]
    fn check(
        entry: Option<LogEntry>,
        firing: &[u64],
        resolved: &[u64],
        send_resolved: bool,
        want: Option<Reason>,
    ) {
        let (firing, resolved) = (firing.iter().copied().collect(), resolved.iter().copied().collect());
        let facts = Facts { firing, resolved, presumed: BTreeSet::new() };
        assert_eq!(reason(entry.as_ref(), &facts, 500, send_resolved, 1_500), want);
    }

    #[test]
    fn the_first_notification_needs_something_that_fires() {
        check(None, &[1], &[], true, Some(Reason::First));
        check(None, &[], &[1], true, None);
    }

    #[test]
    fn what_changed_is_told() {
        check(Some(entry(&[1], &[])), &[1, 2], &[], true, Some(Reason::NewFiring));
        check(Some(entry(&[1, 2], &[])), &[1], &[2], true, Some(Reason::NewResolved));
        check(Some(entry(&[1, 2], &[])), &[1], &[2], false, None);
        check(Some(entry(&[1], &[])), &[], &[1], false, Some(Reason::AllResolved));
        check(Some(entry(&[], &[1])), &[], &[1], true, None);
        check(Some(entry(&[1, 2], &[])), &[1], &[], true, None);
    }

    #[test]
    fn what_did_not_is_told_again_after_the_interval() {
        let mut told = entry(&[1], &[]);
        check(Some(told.clone()), &[1], &[], true, None);
        told.told_at_ms = 999;
        check(Some(told), &[1], &[], true, Some(Reason::Repeat));
    }

    #[test]
    fn what_may_be_known_is_told_again_or_ended() {
        let maybe = LogEntry { maybe: [1].into(), ..entry(&[], &[]) };
        check(Some(maybe.clone()), &[1], &[], true, Some(Reason::First));
        check(Some(maybe.clone()), &[], &[1], true, Some(Reason::AllResolved));
        check(
            Some(LogEntry { firing: [2].into(), ..maybe.clone() }),
            &[2],
            &[1],
            true,
            Some(Reason::NewResolved),
        );
        check(Some(LogEntry { resolved: [2].into(), ..maybe }), &[1], &[2], true, Some(Reason::NewFiring));
    }

    #[test]
    fn what_is_only_presumed_is_no_news() {
        let presumed = |entry: Option<&LogEntry>, firing: &[u64]| {
            let facts =
                Facts { firing: firing.iter().copied().collect(), presumed: [1].into(), ..Facts::default() };
            reason(entry, &facts, 500, true, 2_000)
        };
        assert_eq!(presumed(None, &[1]), None);
        assert_eq!(presumed(Some(&entry(&[1], &[])), &[1]), None, "not repeated either");
        assert_eq!(presumed(Some(&entry(&[], &[1])), &[1]), None);
        assert_eq!(presumed(Some(&entry(&[1], &[])), &[1, 2]), Some(Reason::NewFiring));
    }

    #[test]
    fn before_news_the_store_holds_what_will_be_uncertain() {
        let mut log = NotificationLog::default();
        let key = key();
        let facts = |firing: &[u64], resolved: &[u64]| Facts {
            firing: firing.iter().copied().collect(),
            resolved: resolved.iter().copied().collect(),
            presumed: BTreeSet::new(),
        };
        let mut uncertain = |facts: Facts| {
            let intent = log.intent(&key, &facts, &[], 1_000, 1_000);
            log.put(key.clone(), facts, &[], 1_000, 1_000);
            intent.map(|entry| {
                (Vec::from_iter(entry.firing), Vec::from_iter(entry.resolved), Vec::from_iter(entry.maybe))
            })
        };
        assert_eq!(uncertain(facts(&[1, 2], &[])), Some((vec![], vec![], vec![1, 2])));
        assert_eq!(uncertain(facts(&[1, 2], &[])), None, "a repeat is no news");
        assert_eq!(uncertain(facts(&[1], &[2])), Some((vec![1], vec![], vec![2])));
        assert_eq!(uncertain(facts(&[1, 2, 3], &[])), Some((vec![1], vec![], vec![2, 3])));
    }

    fn key() -> LogKey {
        LogKey {
            group_key: "{}:{}".to_owned(),
            receiver: "r".to_owned(),
            integration: "webhook".to_owned(),
            index: 0,
        }
    }

    #[test]
    fn entries_end() {
        let mut log = NotificationLog::default();
        let key = key();
        log.put(key.clone(), Facts::default(), &[], 100, 1_000);
        assert!(log.get(&key, 1_199).is_some());
        assert!(log.get(&key, 1_200).is_none());
        log.collect_garbage(1_200);
        assert!(log.entries.is_empty());
    }
}
