//! Acknowledgements: somebody takes care of an alert, so it is not repeated for a while. What is new is told all the same.
//!
//! Pure: who makes one durable is the service. An acknowledgement ends when its time is over, when it is taken back, and when its
//! alert is over.

use std::collections::BTreeMap;

use model::Labels;
use serde::{Deserialize, Serialize};

use crate::alert::Fingerprint;

/// Owner and comment together may not be longer.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// An acknowledgement of before a restart ends if its alert was not heard of for so long.
const ORPHAN_MS: i64 = 3_600_000;

/// Somebody takes care of an alert. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The alert's name.
    pub fingerprint: Fingerprint,
    /// What names the alert.
    pub labels: BTreeMap<String, String>,
    /// Who does.
    pub owner: String,
    /// What they say.
    pub comment: String,
    /// Since when.
    pub created_at_ms: i64,
    /// Until when.
    pub expires_at_ms: i64,
}

/// An acknowledgement that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// There is no such alert, or nobody acknowledged it.
    #[error("{0}")]
    NotFound(String),
    /// It says nothing that could be.
    #[error("{0}")]
    Invalid(String),
}

impl Ack {
    /// Whether it holds.
    pub fn holds_at(&self, now_ms: i64) -> bool {
        now_ms < self.expires_at_ms
    }

    pub(crate) fn check(&self, now_ms: i64) -> Result<(), AckError> {
        let invalid = |text: &str| Err(AckError::Invalid(text.to_owned()));
        if self.owner.trim().is_empty() {
            return invalid("owner is missing; say who takes care of the alert");
        }
        if self.owner.len() + self.comment.len() > TEXT_BYTES_MAX {
            return invalid("owner and comment are longer than 16 KiB; shorten the comment");
        }
        if !self.holds_at(now_ms) {
            return invalid(
                "the acknowledgement would end in the past; write a later expires_at, or a duration",
            );
        }
        Ok(())
    }
}

/// All that hold, by alert.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    held: BTreeMap<Fingerprint, Ack>,
    /// Ended, and to be deleted where they are kept.
    ended: Vec<Fingerprint>,
    /// When those of before a restart were read.
    loaded_ms: i64,
}

impl Acks {
    /// Those of before a restart.
    pub(crate) fn load(acks: Vec<Ack>, now_ms: i64) -> Self {
        let held = acks.into_iter().map(|ack| (ack.fingerprint, ack)).collect();
        Self { held, ended: Vec::new(), loaded_ms: now_ms }
    }

    /// The one of an alert that holds.
    pub(crate) fn of(&self, fingerprint: Fingerprint, now_ms: i64) -> Option<&Ack> {
        self.held.get(&fingerprint).filter(|ack| ack.holds_at(now_ms))
    }

    pub(crate) fn put(&mut self, ack: Ack) {
        self.ended.retain(|ended| *ended != ack.fingerprint);
        self.held.insert(ack.fingerprint, ack);
    }

    /// It is over; what was there.
    pub(crate) fn end(&mut self, fingerprint: Fingerprint) -> Option<Ack> {
        let ended = self.held.remove(&fingerprint)?;
        self.ended.push(fingerprint);
        Some(ended)
    }

    /// All, by alert.
    pub(crate) fn list(&self, now_ms: i64) -> Vec<Ack> {
        self.held.values().filter(|ack| ack.holds_at(now_ms)).cloned().collect()
    }

    /// Ends those whose time is over, and those whose alerts nobody has heard of since the start. Says which, and whether their time
    /// was over.
    pub(crate) fn pass(&mut self, now_ms: i64, is_there: impl Fn(Fingerprint) -> bool) -> Vec<(Ack, bool)> {
        let is_late = now_ms.saturating_sub(self.loaded_ms) >= ORPHAN_MS;
        let is_over = |ack: &&Ack| !ack.holds_at(now_ms) || is_late && !is_there(ack.fingerprint);
        let over: Vec<Fingerprint> = self.held.values().filter(is_over).map(|ack| ack.fingerprint).collect();
        let ended = over.into_iter().filter_map(|fingerprint| self.end(fingerprint));
        ended.map(|ack| (!ack.holds_at(now_ms), ack)).map(|(expired, ack)| (ack, expired)).collect()
    }

    /// Those that ended since the last time.
    pub(crate) fn take_ended(&mut self) -> Vec<Fingerprint> {
        std::mem::take(&mut self.ended)
    }

    /// They could not be deleted: again later.
    pub(crate) fn put_back(&mut self, ended: Vec<Fingerprint>) {
        let held = &self.held;
        self.ended.extend(ended.into_iter().filter(|fingerprint| !held.contains_key(fingerprint)));
    }
}

/// Labels as they are kept.
pub(crate) fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
