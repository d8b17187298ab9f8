//! What the timeline is told and asked.

use std::sync::Arc;

use model::{Labels, Matcher};
use tokio::task::spawn_blocking;

use super::Handle;
use crate::alert::Fingerprint;
use crate::store::{Store, StoreError};
use crate::timeline::{Event, KnownAlert, PastEvent};

impl Handle {
    /// Tells the timeline what others know: rules, what became of their alerts. Never waits.
    pub fn record(&self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|event| self.inner.queue.put(event));
    }

    /// What happened to an alert from `start_ms` to `end_ms`, both inclusive: the newest `events_max`, the oldest of them first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn events(
        &self,
        fingerprint: Fingerprint,
        start_ms: i64,
        end_ms: i64,
        events_max: u32,
    ) -> Result<Vec<PastEvent>, StoreError> {
        self.read(move |store| store.events(fingerprint, start_ms, end_ms, events_max)).await
    }

    /// Alerts to which something happened until `end_ms`, those of the newest events first, whose labels meet one of `wanted`;
    /// `alerts_max` at most.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn known_alerts(
        &self,
        end_ms: i64,
        alerts_max: usize,
        wanted: Vec<Vec<Matcher>>,
    ) -> Result<Vec<KnownAlert>, StoreError> {
        let meets = move |alert: &KnownAlert| {
            let all = |matchers: &Vec<Matcher>| {
                matchers.iter().all(|matcher| matcher.matches_labels(alert.labels.as_ref()))
            };
            wanted.iter().any(all)
        };
        self.read(move |store| store.known_alerts(end_ms, alerts_max, &meets)).await
    }

    /// The labels of an alert that fires, or of which something is kept.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn labels_of(&self, fingerprint: Fingerprint) -> Result<Option<Labels>, StoreError> {
        if let Some(alert) = self.inner.core.lock().alert(fingerprint) {
            return Ok(Some(alert.labels.clone()));
        }
        self.read(move |store| store.labels_of(fingerprint)).await
    }

    /// Reads what is kept, all that happened until now included.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.queue.written().await;
        let store = Arc::clone(&self.inner.store);
        spawn_blocking(move || read(&*store)).await.map_err(|error| StoreError(error.to_string()))?
    }
}
