//! What templates are told about a notification, and the texts they make of it.
//!
//! [`Data`] is also the JSON of webhooks. Names and shapes are those of Alertmanager's templates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use template::{Alertmanager, Limits, Templates};

use crate::alert::{Alert, Annotations};

mod objects;

/// The templates that receivers use unless told otherwise.
pub const DEFAULT_TEMPLATES: &str = include_str!("text/default.tmpl");
/// Those of emails.
pub const EMAIL_TEMPLATES: &str = include_str!("text/email.tmpl");

/// How much one template may produce. Pages of a thousand alerts fit.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

/// Names and values, by name.
pub type Pairs = BTreeMap<String, String>;

/// A notification, as templates and webhooks see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// Who is told.
    pub receiver: String,
    /// `firing` if anything fires, else `resolved`.
    pub status: &'static str,
    /// The alerts.
    pub alerts: Vec<AlertData>,
    /// What the group has in common by its making.
    pub group_labels: Pairs,
    /// Labels that all alerts share.
    pub common_labels: Pairs,
    /// Annotations that all alerts share.
    pub common_annotations: Annotations,
    /// Where we are.
    #[serde(rename = "externalURL")]
    pub external_url: String,
}

/// One alert of a notification.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertData {
    /// `firing` or `resolved`.
    pub status: &'static str,
    /// What names it.
    pub labels: Pairs,
    /// What else is said about it.
    pub annotations: Annotations,
    /// Since when it fires.
    #[serde(serialize_with = "go_time")]
    pub starts_at: Option<i64>,
    /// When it ended; not known while it fires.
    #[serde(serialize_with = "go_time")]
    pub ends_at: Option<i64>,
    /// Where its query can be looked at.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
    /// Its name as a hash.
    pub fingerprint: String,
}

/// RFC 3339; no time is Go's zero time.
pub fn format_time(at_ms: Option<i64>) -> String {
    let timestamp = at_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |timestamp| timestamp.to_string())
}

fn go_time<S: Serializer>(at_ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_time(*at_ms))
}

/// `2026-11-20`, in UTC.
pub(crate) fn day(at_ms: i64) -> String {
    format_time(Some(at_ms)).chars().take(10).collect()
}

/// As Go's `regexp.QuoteMeta`: receivers' names are shown so.
fn quote_meta(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl Data {
    /// What is told of `alerts` at a moment.
    pub fn new(
        receiver: &str,
        group_labels: Pairs,
        alerts: &[Arc<Alert>],
        external_url: &str,
        now_ms: i64,
    ) -> Self {
        let alerts: Vec<AlertData> = alerts.iter().map(|alert| AlertData::new(alert, now_ms)).collect();
        let firing = alerts.iter().any(|alert| alert.status == FIRING);
        Self {
            receiver: quote_meta(receiver),
            status: if firing { FIRING } else { RESOLVED },
            group_labels,
            common_labels: common(alerts.iter().map(|alert| &alert.labels)),
            common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
            alerts,
            external_url: external_url.to_owned(),
        }
    }

    /// Whether anything fires.
    pub fn is_firing(&self) -> bool {
        self.status == FIRING
    }
}

const FIRING: &str = "firing";
const RESOLVED: &str = "resolved";

impl AlertData {
    fn new(alert: &Alert, now_ms: i64) -> Self {
        let resolved = alert.is_resolved_at(now_ms);
        Self {
            status: if resolved { RESOLVED } else { FIRING },
            labels: alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: alert.annotations.clone(),
            starts_at: Some(alert.starts_at_ms),
            ends_at: resolved.then_some(alert.ends_at_ms),
            generator_url: alert.generator_url.clone(),
            fingerprint: alert.fingerprint().to_string(),
        }
    }
}

/// What all have, with the same value.
fn common<'a>(mut all: impl Iterator<Item = &'a Pairs>) -> Pairs {
    let Some(mut shared) = all.next().cloned() else { return Pairs::new() };
    for pairs in all {
        shared.retain(|name, value| pairs.get(name) == Some(value));
    }
    shared
}

/// Templates that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A file cannot be read.
    #[error("cannot read template {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What it holds is no template.
    #[error("{0}")]
    Syntax(String),
}

/// All templates by name: the default ones, and those of the configuration's files.
#[derive(Debug)]
pub struct Texts {
    templates: Templates,
}

impl Texts {
    /// The default templates, and those of `files` over them.
    ///
    /// # Errors
    /// If a file cannot be read, or holds no template.
    pub fn load(files: &[PathBuf]) -> Result<Self, TemplateError> {
        let limits = Limits { bytes_max: OUTPUT_BYTES_MAX, ..Limits::default() };
        let mut templates = Templates::new(limits);
        let mut add = |name: &str, text: &str| {
            templates
                .add(name, text, &Alertmanager { now_ms: 0 })
                .map_err(|error| TemplateError::Syntax(error.to_string()))
        };
        add("default.tmpl", DEFAULT_TEMPLATES)?;
        add("email.tmpl", EMAIL_TEMPLATES)?;
        for path in files {
            let text = std::fs::read_to_string(path).map_err(|error| TemplateError::File {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            add(&name, &text)?;
        }
        Ok(Self { templates })
    }

    /// What a text with templates in it becomes.
    ///
    /// # Errors
    /// Why it fails with this data.
    pub fn text(&self, template: &str, data: &Data, now_ms: i64) -> Result<String, String> {
        // Most fields are empty or plain; they cost nothing.
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        let data = objects::data(data);
        self.templates
            .expand_text(template, &data, &Alertmanager { now_ms })
            .map_err(|error| error.to_string())
    }

    /// The same as HTML, values escaped.
    ///
    /// # Errors
    /// Why it fails with this data.
    pub fn html(&self, template: &str, data: &Data, now_ms: i64) -> Result<String, String> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        let data = objects::data(data);
        self.templates
            .expand_html(template, &data, &Alertmanager { now_ms })
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
