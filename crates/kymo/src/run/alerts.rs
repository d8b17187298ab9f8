//! What connects the notifier with the rest of the house: its state in the catalog, the alerts of our own rules.

use std::sync::Arc;

use catalog::{Catalog, NotificationRow, SilenceRow};
use model::{Labels, TenantId};
use notifier::log::{LogEntry, LogKey};
use notifier::{Silence, Store, StoreError};
use parking_lot::RwLock;
use rules::{AlertSink, SentAlert};
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

impl AlertSink for NotifierSink {
    fn send(&self, _: &TenantId, alerts: &[Arc<SentAlert>]) {
        let external_labels = self.external_labels.read().clone();
        let now_ms = self.notifier.now_ms();
        let whole = |alert: &Arc<SentAlert>| {
            let mut labels = alert.labels.to_builder();
            for (name, value) in &external_labels {
                if labels.get(name).is_none() {
                    labels.set(name, value);
                }
            }
            notifier::Alert {
                labels: labels.build(),
                annotations: alert.annotations.clone(),
                starts_at_ms: alert.starts_at_ms,
                ends_at_ms: alert.ends_at_ms,
                generator_url: alert.generator_url.clone(),
                updated_at_ms: now_ms,
                is_timeout: false,
            }
        };
        if let Err(error) = self.notifier.put(alerts.iter().map(whole).collect()) {
            tracing::error!(error, "alerts of rules were left out; what still fires comes again");
        }
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
        store.trim_log(10).expect("trimmed");
        store.delete_silences(&["a".to_owned()]).expect("deleted");
        assert_eq!((store.silences(), store.log(0)), (Ok(Vec::new()), Ok(Vec::new())));
    }
}
