//! The notification log: what each integration was told last about each group, so that nobody is told twice.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::alert::Fingerprint;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, in ms since the epoch.
    pub told_at_ms: i64,
    /// When the entry is of no use any more.
    pub expires_at_ms: i64,
    /// What fired.
    pub firing: BTreeSet<u64>,
    /// What was over.
    pub resolved: BTreeSet<u64>,
}

/// What there is to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) firing: BTreeSet<u64>,
    pub(crate) resolved: BTreeSet<u64>,
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
    let Some(entry) = entry else {
        // What was over before anybody was told is nobody's business.
        return (!facts.firing.is_empty()).then_some(Reason::First);
    };
    if !facts.firing.is_subset(&entry.firing) {
        return Some(Reason::NewFiring);
    }
    // Told whether or not ends are told, so that the log forgets what fired.
    if facts.firing.is_empty() {
        return (!entry.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if send_resolved && !facts.resolved.is_subset(&entry.resolved) {
        return Some(Reason::NewResolved);
    }
    (entry.told_at_ms < now_ms.saturating_sub(repeat_interval_ms)).then_some(Reason::Repeat)
}

/// All entries.
#[derive(Debug, Default)]
pub(crate) struct NotificationLog {
    entries: HashMap<LogKey, LogEntry>,
}

impl NotificationLog {
    /// Those of before a restart.
    pub(crate) fn load(entries: Vec<(LogKey, LogEntry)>) -> Self {
        Self { entries: entries.into_iter().collect() }
    }

    pub(crate) fn get(&self, key: &LogKey, now_ms: i64) -> Option<&LogEntry> {
        self.entries.get(key).filter(|entry| entry.expires_at_ms > now_ms)
    }

    /// Writes down what was told. It is of use until it would have been told twice again.
    pub(crate) fn put(
        &mut self,
        key: LogKey,
        facts: Facts,
        repeat_interval_ms: i64,
        now_ms: i64,
    ) -> LogEntry {
        let kept_ms = repeat_interval_ms.saturating_mul(2).clamp(1, RETENTION_MS);
        let entry = LogEntry {
            told_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(kept_ms),
            firing: facts.firing,
            resolved: facts.resolved,
        };
        self.entries.insert(key, entry.clone());
        entry
    }

    pub(crate) fn collect_garbage(&mut self, now_ms: i64) {
        self.entries.retain(|_, entry| entry.expires_at_ms > now_ms);
    }
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
        let facts =
            Facts { firing: firing.iter().copied().collect(), resolved: resolved.iter().copied().collect() };
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
    fn entries_end() {
        let mut log = NotificationLog::default();
        let key = LogKey {
            group_key: "{}:{}".to_owned(),
            receiver: "r".to_owned(),
            integration: "webhook".to_owned(),
            index: 0,
        };
        log.put(key.clone(), Facts::default(), 100, 1_000);
        assert!(log.get(&key, 1_199).is_some());
        assert!(log.get(&key, 1_200).is_none());
        log.collect_garbage(1_200);
        assert!(log.entries.is_empty());
    }
}
