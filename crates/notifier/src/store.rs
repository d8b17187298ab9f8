//! Where silences and the notification log outlive the process. The binary supplies the catalog; tests a memory.

use model::Labels;
use parking_lot::Mutex;

use crate::ack::Ack;
use crate::alert::Fingerprint;
use crate::log::{LogEntry, LogKey};
use crate::silence::Silence;
use crate::timeline::{KeptEvent, KnownAlert, PastEvent};

/// The state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Keeps state. Called on blocking threads.
pub trait Store: Send + Sync + 'static {
    /// All silences.
    ///
    /// # Errors
    /// If they cannot be read.
    fn silences(&self) -> Result<Vec<Silence>, StoreError>;

    /// Writes silences, new or changed, all or none. Once it returns they survive a crash.
    ///
    /// # Errors
    /// If they cannot be written; nothing has changed then.
    fn save_silences(&self, silences: &[Silence]) -> Result<(), StoreError>;

    /// Forgets silences.
    ///
    /// # Errors
    /// If that cannot be written.
    fn delete_silences(&self, ids: &[String]) -> Result<(), StoreError>;

    /// What integrations were told last, but for what ended before `now_ms`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn log(&self, now_ms: i64) -> Result<Vec<(LogKey, LogEntry)>, StoreError>;

    /// Writes what integrations were told.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save_log(&self, entries: &[(LogKey, LogEntry)]) -> Result<(), StoreError>;

    /// Forgets what ended before `now_ms`.
    ///
    /// # Errors
    /// If that cannot be written.
    fn trim_log(&self, now_ms: i64) -> Result<(), StoreError>;

    /// All acknowledgements.
    ///
    /// # Errors
    /// If they cannot be read.
    fn acks(&self) -> Result<Vec<Ack>, StoreError>;

    /// Writes an acknowledgement, new or changed. Once it returns it survives a crash.
    ///
    /// # Errors
    /// If it cannot be written; nothing has changed then.
    fn save_ack(&self, ack: &Ack) -> Result<(), StoreError>;

    /// Forgets acknowledgements.
    ///
    /// # Errors
    /// If that cannot be written.
    fn delete_acks(&self, of: &[Fingerprint]) -> Result<(), StoreError>;

    /// Writes what happened to alerts.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save_events(&self, events: &[KeptEvent]) -> Result<(), StoreError>;

    /// What happened to an alert from `start_ms` to `end_ms`, both inclusive: the newest `events_max`, the oldest of them first.
    ///
    /// # Errors
    /// If it cannot be read.
    fn events(
        &self,
        fingerprint: Fingerprint,
        start_ms: i64,
        end_ms: i64,
        events_max: u32,
    ) -> Result<Vec<PastEvent>, StoreError>;

    /// Alerts to which something happened until `end_ms`, those of the newest events first, that `is_wanted` takes; `alerts_max`
    /// at most.
    ///
    /// # Errors
    /// If they cannot be read.
    fn known_alerts(
        &self,
        end_ms: i64,
        alerts_max: usize,
        is_wanted: &dyn Fn(&KnownAlert) -> bool,
    ) -> Result<Vec<KnownAlert>, StoreError>;

    /// What names an alert of which something is kept.
    ///
    /// # Errors
    /// If it cannot be read.
    fn labels_of(&self, fingerprint: Fingerprint) -> Result<Option<Labels>, StoreError>;

    /// Forgets what happened before `before_ms`.
    ///
    /// # Errors
    /// If that cannot be written.
    fn trim_events(&self, before_ms: i64) -> Result<(), StoreError>;
}

/// Keeps state as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    silences: Mutex<std::collections::BTreeMap<String, Silence>>,
    log: Mutex<std::collections::BTreeMap<LogKey, LogEntry>>,
    events: Mutex<Vec<KeptEvent>>,
    acks: Mutex<std::collections::BTreeMap<Fingerprint, Ack>>,
}

impl Store for MemoryStore {
    fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        Ok(self.silences.lock().values().cloned().collect())
    }

    fn save_silences(&self, silences: &[Silence]) -> Result<(), StoreError> {
        let mut kept = self.silences.lock();
        kept.extend(silences.iter().map(|silence| (silence.id.clone(), silence.clone())));
        Ok(())
    }

    fn delete_silences(&self, ids: &[String]) -> Result<(), StoreError> {
        self.silences.lock().retain(|id, _| !ids.contains(id));
        Ok(())
    }

    fn log(&self, now_ms: i64) -> Result<Vec<(LogKey, LogEntry)>, StoreError> {
        let log = self.log.lock();
        let alive = log.iter().filter(|(_, entry)| entry.expires_at_ms > now_ms);
        Ok(alive.map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    fn save_log(&self, entries: &[(LogKey, LogEntry)]) -> Result<(), StoreError> {
        self.log.lock().extend(entries.iter().cloned());
        Ok(())
    }

    fn trim_log(&self, now_ms: i64) -> Result<(), StoreError> {
        self.log.lock().retain(|_, entry| entry.expires_at_ms > now_ms);
        Ok(())
    }

    fn acks(&self) -> Result<Vec<Ack>, StoreError> {
        Ok(self.acks.lock().values().cloned().collect())
    }

    fn save_ack(&self, ack: &Ack) -> Result<(), StoreError> {
        self.acks.lock().insert(ack.fingerprint, ack.clone());
        Ok(())
    }

    fn delete_acks(&self, of: &[Fingerprint]) -> Result<(), StoreError> {
        self.acks.lock().retain(|fingerprint, _| !of.contains(fingerprint));
        Ok(())
    }

    fn save_events(&self, events: &[KeptEvent]) -> Result<(), StoreError> {
        self.events.lock().extend_from_slice(events);
        Ok(())
    }

    fn events(
        &self,
        fingerprint: Fingerprint,
        start_ms: i64,
        end_ms: i64,
        events_max: u32,
    ) -> Result<Vec<PastEvent>, StoreError> {
        let all = self.events.lock();
        let is_asked = |event: &&KeptEvent| {
            event.fingerprint == fingerprint && (start_ms..=end_ms).contains(&event.at_ms)
        };
        let mut found: Vec<&KeptEvent> = all.iter().filter(is_asked).collect();
        found.sort_by_key(|event| event.at_ms);
        let left_out = found.len().saturating_sub(events_max as usize);
        let found = found.into_iter().skip(left_out);
        Ok(found.map(|event| PastEvent::read(event.at_ms, &event.kind, &event.details)).collect())
    }

    fn known_alerts(
        &self,
        end_ms: i64,
        alerts_max: usize,
        is_wanted: &dyn Fn(&KnownAlert) -> bool,
    ) -> Result<Vec<KnownAlert>, StoreError> {
        let mut seen = std::collections::BTreeSet::new();
        let all = self.events.lock();
        let newest = all.iter().rev().filter(|event| event.at_ms <= end_ms);
        let alerts = newest
            .filter(|event| seen.insert(event.fingerprint))
            .map(|event| KnownAlert { fingerprint: event.fingerprint, labels: event.labels.clone() });
        Ok(alerts.filter(|alert| is_wanted(alert)).take(alerts_max).collect())
    }

    fn labels_of(&self, fingerprint: Fingerprint) -> Result<Option<Labels>, StoreError> {
        let events = self.events.lock();
        let found = events.iter().find(|event| event.fingerprint == fingerprint);
        Ok(found.map(|event| event.labels.clone()))
    }

    fn trim_events(&self, before_ms: i64) -> Result<(), StoreError> {
        self.events.lock().retain(|event| event.at_ms >= before_ms);
        Ok(())
    }
}
