//! What is told: the alerts of a group at one moment, and the texts that templates make of them.

use std::sync::Arc;

use ring::digest;
use serde_json::Value;
use stdx::clock::Clock;

use super::SendError;
use crate::alert::Alert;
use crate::text::{Data, Texts};

/// One notification, on its way to one integration.
pub(crate) struct Notification<'a> {
    pub(crate) group_key: &'a str,
    pub(crate) alerts: &'a [Arc<Alert>],
    pub(crate) data: Data,
    pub(crate) texts: &'a Texts,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) now_ms: i64,
}

impl Notification<'_> {
    /// What a template makes of it, as plain text.
    ///
    /// # Errors
    /// If the template fails; it would fail again.
    pub(crate) fn text(&self, template: &str) -> Result<String, SendError> {
        self.texts.text(template, &self.data, self.now_ms).map_err(SendError::lasting)
    }

    /// What a template makes of it, values escaped for HTML.
    ///
    /// # Errors
    /// If the template fails; it would fail again.
    pub(crate) fn html(&self, template: &str) -> Result<String, SendError> {
        self.texts.html(template, &self.data, self.now_ms).map_err(SendError::lasting)
    }

    /// All texts of a tree filled. A text that becomes JSON stays text.
    ///
    /// # Errors
    /// If a template fails.
    pub(crate) fn fill(&self, value: &Value) -> Result<Value, SendError> {
        Ok(match value {
            Value::String(template) => Value::String(self.text(template)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let filled = fields.iter().map(|(name, value)| Ok((self.text(name)?, self.fill(value)?)));
                Value::Object(filled.collect::<Result<_, SendError>>()?)
            }
            other => other.clone(),
        })
    }

    /// Whether anything in it fires.
    pub(crate) fn is_firing(&self) -> bool {
        self.data.is_firing()
    }

    /// The group's key as receivers know it: the same for all notifications of the group.
    pub(crate) fn key_hash(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.group_key.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The data of so many alerts at most, as if there were no others; 0: all.
    pub(crate) fn cut(&self, alerts_max: u64) -> Data {
        let data = &self.data;
        let max = usize::try_from(alerts_max).unwrap_or(usize::MAX);
        match self.alerts.get(..max).filter(|alerts| !alerts.is_empty()) {
            None => data.clone(),
            Some(kept) => {
                Data::new(&data.receiver, data.group_labels.clone(), kept, &data.external_url, self.now_ms)
            }
        }
    }
}
