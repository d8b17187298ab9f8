//! Acknowledgements: written before they hold, deleted after they have ended.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{Handle, Inner};
use crate::ack::{Ack, AckError, pairs};
use crate::alert::Fingerprint;
use crate::store::StoreError;

/// An acknowledgement could not be made or taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetAckError {
    /// It cannot be.
    #[error(transparent)]
    Ack(#[from] AckError),
    /// It cannot be kept, so it does not hold.
    #[error("the acknowledgement could not be stored: {0}")]
    Store(#[from] StoreError),
}

impl Handle {
    /// Somebody takes care of an alert that fires, until `expires_at_ms`; in the place of whoever did before. It is on disk by then.
    ///
    /// # Errors
    /// If there is no such alert, or it cannot be kept.
    pub async fn acknowledge(
        &self,
        fingerprint: Fingerprint,
        owner: String,
        comment: String,
        expires_at_ms: i64,
    ) -> Result<Ack, SetAckError> {
        let _one = self.inner.acks.lock().await;
        let now_ms = self.inner.clock.now_ms();
        let firing =
            self.inner.core.lock().alert(fingerprint).filter(|alert| !alert.is_resolved_at(now_ms)).cloned();
        let none = || AckError::NotFound(format!("no alert {fingerprint} fires"));
        let labels = pairs(&firing.ok_or_else(none)?.labels);
        let ack = Ack { fingerprint, labels, owner, comment, created_at_ms: now_ms, expires_at_ms };
        ack.check(now_ms)?;
        let (store, written) = (Arc::clone(&self.inner.store), ack.clone());
        let saved = spawn_blocking(move || store.save_ack(&written)).await;
        saved.map_err(|error| StoreError(error.to_string()))??;
        self.inner.core.lock().put_ack(ack.clone());
        Ok(ack)
    }

    /// Nobody takes care of an alert any more.
    ///
    /// # Errors
    /// If nobody did, or that cannot be kept.
    pub async fn take_back_ack(&self, fingerprint: Fingerprint) -> Result<(), SetAckError> {
        let _one = self.inner.acks.lock().await;
        let now_ms = self.inner.clock.now_ms();
        if self.inner.core.lock().acks.of(fingerprint, now_ms).is_none() {
            return Err(AckError::NotFound(format!("alert {fingerprint} is not acknowledged")).into());
        }
        let store = Arc::clone(&self.inner.store);
        let deleted = spawn_blocking(move || store.delete_acks(&[fingerprint])).await;
        deleted.map_err(|error| StoreError(error.to_string()))??;
        self.inner.core.lock().take_ack_back(fingerprint, now_ms);
        Ok(())
    }

    /// All acknowledgements that hold.
    pub fn acks(&self) -> Vec<Ack> {
        self.inner.core.lock().acks.list(self.inner.clock.now_ms())
    }
}

/// Deletes those that have ended, so that a restart does not bring them back.
pub(super) async fn forget_ended(inner: &Inner) {
    let _one = inner.acks.lock().await;
    let ended = inner.core.lock().acks.take_ended();
    if ended.is_empty() {
        return;
    }
    let (store, forgotten) = (Arc::clone(&inner.store), ended.clone());
    let fault = match spawn_blocking(move || store.delete_acks(&forgotten)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(
        error = fault,
        "acknowledgements that have ended could not be deleted; it is tried again"
    );
    inner.core.lock().acks.put_back(ended);
}
