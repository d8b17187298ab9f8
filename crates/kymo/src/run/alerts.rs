//! What connects the notifier with the rest of the house: its state in the catalog, the alerts of our own rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{AckRow, AlertEventRow, Catalog, NotificationRow, SilenceRow};
use model::{Labels, TenantId};
use notifier::log::{LogEntry, LogKey};
use notifier::timeline::{At, Event, KeptEvent, KnownAlert, PastEvent, RuleFacts, What};
use notifier::{Ack, Fingerprint, Silence, Store, StoreError};
use parking_lot::RwLock;
use rules::alert::AlertState;
use rules::{AlertChange, AlertSink, ChangedRule, SentAlert};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;

/// The notifier's state, in the catalog.
pub(super) struct CatalogStore {
    pub(super) catalog: Arc<Catalog>,
    pub(super) tenant: TenantId,
}

fn failed(error: catalog::Error) -> StoreError {
    StoreError(error.to_string())
}

fn write(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError(error.to_string()))
}

/// A row that cannot be read is reported and left out; the others are worth more than a refusal to start.
fn read<T: DeserializeOwned>(what: &str, body: &str) -> Option<T> {
    serde_json::from_str(body)
        .inspect_err(|error| tracing::error!(%error, "the catalog holds {what} that cannot be read"))
        .ok()
}

impl Store for CatalogStore {
    fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        let rows = self.catalog.silences(&self.tenant).map_err(failed)?;
        Ok(rows.iter().filter_map(|row| read("a silence", &row.body)).collect())
    }

    fn save_silences(&self, silences: &[Silence]) -> Result<(), StoreError> {
        let row = |silence: &Silence| {
            Ok(SilenceRow { id: silence.id.clone(), ends_at_ms: silence.ends_at_ms, body: write(silence)? })
        };
        let rows = silences.iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
        self.catalog.save_silences(&self.tenant, &rows).map_err(failed)
    }

    fn delete_silences(&self, ids: &[String]) -> Result<(), StoreError> {
        self.catalog.delete_silences(&self.tenant, ids).map_err(failed)
    }

    fn log(&self, now_ms: i64) -> Result<Vec<(LogKey, LogEntry)>, StoreError> {
        let rows = self.catalog.notifications(&self.tenant, now_ms).map_err(failed)?;
        let entry = |row: &NotificationRow| {
            Some((read("a key of the notification log", &row.key)?, read("a notification", &row.body)?))
        };
        Ok(rows.iter().filter_map(entry).collect())
    }

    fn save_log(&self, entries: &[(LogKey, LogEntry)]) -> Result<(), StoreError> {
        let row = |(key, entry): &(LogKey, LogEntry)| {
            Ok(NotificationRow { key: write(key)?, expires_at_ms: entry.expires_at_ms, body: write(entry)? })
        };
        let rows = entries.iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
        self.catalog.save_notifications(&self.tenant, &rows).map_err(failed)
    }

    fn trim_log(&self, now_ms: i64) -> Result<(), StoreError> {
        self.catalog.trim_notifications(&self.tenant, now_ms).map_err(failed)
    }

    fn acks(&self) -> Result<Vec<Ack>, StoreError> {
        let rows = self.catalog.acks(&self.tenant).map_err(failed)?;
        Ok(rows.iter().filter_map(|row| read("an acknowledgement", &row.body)).collect())
    }

    fn save_ack(&self, ack: &Ack) -> Result<(), StoreError> {
        let row = AckRow {
            fingerprint: ack.fingerprint.to_string(),
            expires_at_ms: ack.expires_at_ms,
            body: write(ack)?,
        };
        self.catalog.save_ack(&self.tenant, &row).map_err(failed)
    }

    fn delete_acks(&self, of: &[Fingerprint]) -> Result<(), StoreError> {
        let names: Vec<String> = of.iter().map(ToString::to_string).collect();
        self.catalog.delete_acks(&self.tenant, &names).map_err(failed)
    }

    fn save_events(&self, events: &[KeptEvent]) -> Result<(), StoreError> {
        let row = |event: &KeptEvent| {
            let labels: BTreeMap<&str, &str> = event.labels.iter().collect();
            Ok(AlertEventRow {
                at_ms: event.at_ms,
                fingerprint: event.fingerprint.to_string(),
                labels: write(&labels)?,
                kind: event.kind.clone(),
                body: event.details.clone(),
            })
        };
        let rows = events.iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
        self.catalog.add_alert_events(&self.tenant, &rows).map_err(failed)
    }

    fn events(
        &self,
        fingerprint: Fingerprint,
        start_ms: i64,
        end_ms: i64,
        events_max: u32,
    ) -> Result<Vec<PastEvent>, StoreError> {
        let name = fingerprint.to_string();
        let rows = self.catalog.alert_events(&self.tenant, &name, start_ms, end_ms, events_max);
        let rows = rows.map_err(failed)?;
        Ok(rows.iter().map(|row| PastEvent::read(row.at_ms, &row.kind, &row.body)).collect())
    }

    fn known_alerts(
        &self,
        end_ms: i64,
        alerts_max: usize,
        is_wanted: &dyn Fn(&KnownAlert) -> bool,
    ) -> Result<Vec<KnownAlert>, StoreError> {
        let mut found = Vec::new();
        let take = |fingerprint: &str, labels: &str| {
            let alert = known_alert(fingerprint, labels).filter(|alert| is_wanted(alert));
            found.extend(alert);
            found.len() < alerts_max
        };
        self.catalog.alert_labels(&self.tenant, end_ms, take).map_err(failed)?;
        Ok(found)
    }

    fn labels_of(&self, fingerprint: Fingerprint) -> Result<Option<Labels>, StoreError> {
        let labels = self.catalog.labels_of_alert(&self.tenant, &fingerprint.to_string()).map_err(failed)?;
        Ok(labels.and_then(|labels| read_labels(&labels)))
    }

    fn trim_events(&self, before_ms: i64) -> Result<(), StoreError> {
        self.catalog.trim_alert_events(before_ms).map_err(failed)
    }
}

fn read_labels(text: &str) -> Option<Labels> {
    read::<BTreeMap<String, String>>("labels of an alert", text).map(Labels::from_pairs)
}

fn known_alert(fingerprint: &str, labels: &str) -> Option<KnownAlert> {
    Some(KnownAlert { fingerprint: fingerprint.parse().ok()?, labels: read_labels(labels)? })
}

/// Alerts of our own rules, on their way to the notifier.
pub(super) struct NotifierSink {
    notifier: notifier::Handle,
    /// Labels that every alert gets unless it has them, as those have that go to other Alertmanagers.
    external_labels: RwLock<Labels>,
}

impl NotifierSink {
    pub(super) fn new(notifier: notifier::Handle, config: &Config) -> Self {
        Self { notifier, external_labels: RwLock::new(config.external_labels.clone()) }
    }

    pub(super) fn reload(&self, config: &Config) {
        *self.external_labels.write() = config.external_labels.clone();
    }
}

/// Labels with those of the configuration that they do not have.
fn with_external(labels: &Labels, external_labels: &Labels) -> Labels {
    let mut builder = labels.to_builder();
    for (name, value) in external_labels {
        if labels.get(name).is_none() {
            builder.set(name, value);
        }
    }
    builder.build()
}

fn rule_facts(rule: &ChangedRule<'_>, change: &AlertChange) -> RuleFacts {
    RuleFacts {
        rule: rule.name.to_owned(),
        group: rule.group.to_owned(),
        file: rule.file.to_owned(),
        query: rule.query.to_owned(),
        for_seconds: rule.for_ms as f64 / 1_000.0,
        keep_firing_for_seconds: rule.keep_firing_for_ms as f64 / 1_000.0,
        value: model::number::format_float(change.value),
        active_at: At(change.active_at_ms),
    }
}

impl AlertSink for NotifierSink {
    fn send(&self, _: &TenantId, alerts: &[Arc<SentAlert>]) {
        let external_labels = self.external_labels.read().clone();
        let now_ms = self.notifier.now_ms();
        let whole = |alert: &Arc<SentAlert>| notifier::Alert {
            labels: with_external(&alert.labels, &external_labels),
            annotations: alert.annotations.clone(),
            starts_at_ms: alert.starts_at_ms,
            ends_at_ms: alert.ends_at_ms,
            generator_url: alert.generator_url.clone(),
            updated_at_ms: now_ms,
            is_timeout: false,
        };
        if let Err(error) = self.notifier.put(alerts.iter().map(whole).collect()) {
            tracing::error!(error, "alerts of rules were left out; what still fires comes again");
        }
    }

    fn changed(&self, _: &TenantId, rule: &ChangedRule<'_>, changes: &[AlertChange]) {
        let external_labels = self.external_labels.read().clone();
        let event = |change: &AlertChange| {
            let facts = rule_facts(rule, change);
            let what = match (change.from, change.to) {
                (_, AlertState::Pending) => What::Pending(facts),
                (_, AlertState::Firing) => What::Firing(facts),
                (AlertState::Firing, AlertState::Inactive) => What::Resolved(facts),
                (_, AlertState::Inactive) => What::Inactive(facts),
            };
            Event::new(rule.time_ms, with_external(&change.labels, &external_labels), Arc::new(what))
        };
        self.notifier.record(changes.iter().map(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_and_the_log_are_there_after_opening_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let catalog = Catalog::open(&folder.path().join("catalog.sqlite")).expect("opened");
            CatalogStore { catalog: Arc::new(catalog), tenant: TenantId::anonymous() }
        };
        let silence = Silence {
            id: "a".to_owned(),
            matchers: notifier::silence::parse_matchers(&["x=~\"y.*\"".to_owned()]).expect("matchers"),
            starts_at_ms: 1,
            ends_at_ms: 2,
            updated_at_ms: 3,
            created_by: "me".to_owned(),
            comment: "why not".to_owned(),
            recurrence: None,
        };
        let key = LogKey {
            group_key: "{}:{}".to_owned(),
            receiver: "r".to_owned(),
            integration: "webhook".to_owned(),
            index: 1,
        };
        let entry = LogEntry {
            told_at_ms: 5,
            expires_at_ms: 10,
            firing: [u64::MAX, 1].into(),
            ..LogEntry::default()
        };
        let store = open();
        store.save_silences(std::slice::from_ref(&silence)).expect("saved");
        store.save_log(&[(key.clone(), entry.clone())]).expect("saved");
        drop(store);
        let store = open();
        assert_eq!(store.silences(), Ok(vec![silence]));
        assert_eq!(store.log(9), Ok(vec![(key, entry)]));
        let labels = Labels::from_pairs([("alertname", "x")]);
        let what = What::Ended { ends_at: At(7) };
        let event = Event::new(7, labels.clone(), Arc::new(what.clone()));
        let kept = KeptEvent {
            at_ms: 7,
            fingerprint: event.fingerprint,
            labels: labels.clone(),
            kind: "ended".to_owned(),
            details: "{\"endsAt\":\"1970-01-01T00:00:00.007Z\"}".to_owned(),
        };
        let ack = Ack {
            fingerprint: event.fingerprint,
            labels: [("alertname".to_owned(), "x".to_owned())].into(),
            owner: "me".to_owned(),
            comment: String::new(),
            created_at_ms: 1,
            expires_at_ms: 2,
        };
        store.save_ack(&ack).expect("saved");
        assert_eq!(store.acks(), Ok(vec![ack]));
        store.delete_acks(&[event.fingerprint]).expect("deleted");
        assert_eq!(store.acks(), Ok(Vec::new()));
        store.save_events(&[kept]).expect("saved");
        let read = store.events(event.fingerprint, 0, 10, 10).expect("read");
        assert_eq!((read.len(), read[0].what.as_ref()), (1, Some(&what)));
        let known = KnownAlert { fingerprint: event.fingerprint, labels: labels.clone() };
        assert_eq!(store.known_alerts(10, 10, &|_| true), Ok(vec![known]));
        assert_eq!(store.known_alerts(6, 10, &|_| true), Ok(Vec::new()));
        assert_eq!(store.labels_of(event.fingerprint), Ok(Some(labels)));
        store.trim_log(10).expect("trimmed");
        store.delete_silences(&["a".to_owned()]).expect("deleted");
        assert_eq!((store.silences(), store.log(0)), (Ok(Vec::new()), Ok(Vec::new())));
    }
}
