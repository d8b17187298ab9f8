//! The appender that stands before storage, or in its place.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_client::aws::Environment;
use model::TenantId;
use parking_lot::RwLock;
use stdx::clock::Clock;
use stdx::fs::Fs;
use storage::{Appended, Appender, Durability, Error, ErrorKind, WriteBatch};
use tokio::runtime::Handle;

use crate::metrics::Metrics;
use crate::receiver::Receiver;
use crate::settings::Settings;

/// What forwarding needs.
#[derive(Clone)]
pub struct Deps {
    /// Where queues are.
    pub fs: Arc<dyn Fs>,
    /// The folder they are in; each receiver has one of its own below it.
    pub folder: PathBuf,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// Where requests are sent from.
    pub runtime: Handle,
    /// Looks environment variables up: clouds have credentials there.
    pub environment: Environment,
    /// How it goes.
    pub metrics: Metrics,
    /// How long samples gather before they are written to disk. Who waits for an agent's acknowledgement waits for that.
    pub linger: Duration,
}

/// Writes to storage, if there is one, and to the queues of all receivers.
///
/// With storage, a batch is acknowledged when storage has it; receivers get what storage did not refuse. Without (an agent), it is
/// acknowledged when it is in the queue of every receiver.
pub struct Forwarding {
    storage: Option<Arc<dyn Appender>>,
    deps: Deps,
    receivers: RwLock<HashMap<String, Receiver>>,
}

impl Forwarding {
    /// Forwards to nobody yet.
    pub fn new(storage: Option<Arc<dyn Appender>>, deps: Deps) -> Self {
        Self { storage, deps, receivers: RwLock::default() }
    }

    /// Forwards to exactly these. Receivers whose settings did not change go on undisturbed; those that are gone keep their
    /// queue on disk.
    ///
    /// # Errors
    /// If the queue of a new receiver cannot be opened, or its client cannot be made; then nothing has changed for the others.
    pub async fn reload(&self, wanted: Vec<Settings>) -> io::Result<()> {
        let mut gone = Vec::new();
        let mut new = Vec::new();
        {
            let mut receivers = self.receivers.write();
            for settings in wanted.iter() {
                if receivers.get(&settings.name).is_none_or(|known| known.shared.settings != *settings) {
                    new.push(settings.clone());
                }
            }
            let names: Vec<String> = receivers.keys().cloned().collect();
            for name in names {
                let unchanged = wanted.iter().any(|s| s.name == name) && !new.iter().any(|s| s.name == name);
                if !unchanged && let Some(receiver) = receivers.remove(&name) {
                    gone.push(receiver);
                }
            }
        }
        // One after the other: the new one opens the queue that the old one leaves.
        for receiver in gone {
            receiver.stop().await;
        }
        for settings in new {
            let name = settings.name.clone();
            let deps = self.deps.clone();
            let started = tokio::task::spawn_blocking(move || Receiver::start(settings, &deps));
            let receiver = started.await.map_err(io::Error::other)??;
            self.receivers.write().insert(name, receiver);
        }
        Ok(())
    }

    /// Writes what is pending to the queues and stops sending.
    pub async fn stop(&self) {
        let receivers: Vec<Receiver> = self.receivers.write().drain().map(|(_, receiver)| receiver).collect();
        for receiver in receivers {
            receiver.stop().await;
        }
    }

    fn append_to_queues(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let receivers = self.receivers.read();
        let mut groups = Vec::with_capacity(receivers.len());
        for receiver in receivers.values().filter(|receiver| receiver.shared.settings.tenant == *tenant) {
            groups.push(receiver.shared.offer(batch, &[])?);
        }
        if groups.is_empty() {
            let advice = format!(
                "nothing is sent on for tenant {tenant}: no remote_write of the agent has this tenant"
            );
            return Err(Error::new(ErrorKind::Unavailable, advice));
        }
        Ok(Appended {
            accepted_count: batch.sample_count(),
            exemplar_count: batch.exemplars().len(),
            duplicate_count: 0,
            created_series_count: 0,
            rejected: Vec::new(),
            durable: Durability::of_all(groups),
        })
    }
}

impl Appender for Forwarding {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let Some(storage) = &self.storage else { return self.append_to_queues(tenant, batch) };
        let appended = storage.append(tenant, batch)?;
        for receiver in
            self.receivers.read().values().filter(|receiver| receiver.shared.settings.tenant == *tenant)
        {
            // Storage has it: that a receiver's disk is slow is counted, and no reason to refuse the batch.
            let _ = receiver.shared.offer(batch, &appended.rejected);
        }
        Ok(appended)
    }
}
