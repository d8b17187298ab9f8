//! Where silences and the notification log outlive the process. The binary supplies the catalog; tests a memory.

use parking_lot::Mutex;

use crate::log::{LogEntry, LogKey};
use crate::silence::Silence;

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
}

/// Keeps state as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    silences: Mutex<std::collections::BTreeMap<String, Silence>>,
    log: Mutex<std::collections::BTreeMap<LogKey, LogEntry>>,
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
}
