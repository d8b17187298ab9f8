//! `alertmanager`: where Alertmanager's configuration is, and where people find us.

use std::path::Path;
use std::sync::Arc;

use http_client::InvalidSettings;
use model::time::DurationMs;
use serde::Deserialize;

use super::ConfigError;

/// The `alertmanager` section. Kymo's own: Prometheus has none.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alertmanager {
    /// A file of Alertmanager; relative to this one.
    pub(super) config_file: String,
    /// How notifications name us, as in `https://kymo.example`.
    external_url: String,
    /// How long the timeline of alerts is kept.
    history_retention: Option<DurationMs>,
    /// How long before a silence ends it is said that it does.
    silence_expiry_warning: Option<DurationMs>,
}

/// Who is told of alerts, and how we are called there.
#[derive(Debug, Clone)]
pub struct NotifierConfig {
    /// What Alertmanager's file says.
    pub config: Arc<notifier::Config>,
    /// How notifications name us; nothing: by this machine's name.
    pub external_url: Option<String>,
    /// What Alertmanager's file does not say.
    pub settings: notifier::Settings,
}

impl Default for NotifierConfig {
    fn default() -> Self {
        let config = Arc::new(notifier::Config::without_file());
        Self { config, external_url: None, settings: notifier::Settings::default() }
    }
}

impl Alertmanager {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        let url = self.external_url.as_str();
        if url.is_empty() || url.starts_with("http://") || url.starts_with("https://") {
            return Ok(());
        }
        let message = format!("external_url {url:?} is not a URL; write https://HOST or http://HOST:PORT");
        Err(InvalidSettings::at(["external_url"], message))
    }

    /// Reads the file it names.
    pub(super) fn load(&self, directory: &Path) -> Result<NotifierConfig, ConfigError> {
        let config = match self.config_file.as_str() {
            "" => notifier::Config::without_file(),
            path => load(&directory.join(path))?,
        };
        let url = self.external_url.trim_end_matches('/');
        let external_url = (!url.is_empty()).then(|| url.to_owned());
        let mut settings = notifier::Settings::default();
        if let Some(retention) = self.history_retention {
            settings.history_retention_ms = retention.0;
        }
        if let Some(before) = self.silence_expiry_warning {
            settings.silence_expiry_warning_ms = before.0;
        }
        Ok(NotifierConfig { config: Arc::new(config), external_url, settings })
    }
}

/// Reads one of Alertmanager's files.
///
/// # Errors
/// The first fault, with file, line, keys and remedy.
pub fn load(path: &Path) -> Result<notifier::Config, ConfigError> {
    let unreadable = |error: std::io::Error| {
        ConfigError::new(path, yaml::Error::new(format!("cannot read the file: {error}")))
    };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    notifier::Config::parse(&bytes, directory).map_err(|fault| ConfigError::new(path, fault))
}
