//! `alertmanager`: where Alertmanager's configuration is, and where people find us.

use std::collections::BTreeMap;
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
    /// An alert that always fires.
    watchdog: Option<Watchdog>,
}

/// `alertmanager.watchdog`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Watchdog {
    interval: DurationMs,
    labels: BTreeMap<String, String>,
    ping_url: String,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { interval: DurationMs(60_000), labels: BTreeMap::new(), ping_url: String::new() }
    }
}

/// An alert that always fires, so that its absence says that alerts are not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogConfig {
    /// How often its rule is evaluated and its URL asked.
    pub interval_ms: i64,
    /// Its labels beside its name.
    pub labels: BTreeMap<String, String>,
    /// Asked each interval; nothing: nobody is.
    pub ping_url: String,
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
    /// If there is one.
    pub watchdog: Option<WatchdogConfig>,
}

impl Default for NotifierConfig {
    fn default() -> Self {
        let config = Arc::new(notifier::Config::without_file());
        Self { config, external_url: None, settings: notifier::Settings::default(), watchdog: None }
    }
}

impl Alertmanager {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        check_url("external_url", &self.external_url)?;
        let Some(watchdog) = &self.watchdog else { return Ok(()) };
        if watchdog.interval.0 < 1_000 {
            let message = "interval of the watchdog must be at least 1s";
            return Err(InvalidSettings::at(["interval"], message).within("watchdog"));
        }
        if let Some(name) =
            watchdog.labels.keys().find(|name| name.is_empty() || *name == "__name__" || *name == "alertname")
        {
            let message = format!("invalid label name: {name}");
            return Err(InvalidSettings::at(["labels", name], message).within("watchdog"));
        }
        check_url("ping_url", &watchdog.ping_url).map_err(|error| error.within("watchdog"))
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
        let watchdog = self.watchdog.as_ref().map(|watchdog| WatchdogConfig {
            interval_ms: watchdog.interval.0,
            labels: watchdog.labels.clone(),
            ping_url: watchdog.ping_url.clone(),
        });
        Ok(NotifierConfig { config: Arc::new(config), external_url, settings, watchdog })
    }
}

/// Nothing, or a URL.
fn check_url(key: &str, url: &str) -> Result<(), InvalidSettings> {
    if url.is_empty() || url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    let message = format!("{key} {url:?} is not a URL; write https://HOST or http://HOST:PORT");
    Err(InvalidSettings::at([key], message))
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
