//! `alerting`: outside Alertmanagers, and which alerts they get.

use std::path::Path;
use std::time::Duration;

use discovery::settings::Section;
use http_client::InvalidSettings;
use model::Labels;
use model::relabel::Rule;
use model::time::DurationMs;
use rules::alertmanagers::{SetSettings, Settings};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The `alerting` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alerting {
    alert_relabel_configs: Vec<Rule>,
    alertmanagers: Vec<Alertmanager>,
}

/// Where alerts go.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Alertmanager {
    sigv4: Option<IgnoredAny>,
    scheme: Option<String>,
    path_prefix: String,
    timeout: Option<DurationMs>,
    #[serde(rename = "api_version")]
    _api_version: ApiVersion,
    relabel_configs: Vec<Rule>,
    alert_relabel_configs: Vec<Rule>,
    #[serde(rename = "*")]
    targets: Section,
}

#[derive(Debug, Default)]
struct ApiVersion;

impl<'de> Deserialize<'de> for ApiVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "v2" => Ok(Self),
            other => Err(serde::de::Error::custom(format_args!(
                "expected Alertmanager api version to be one of [v2] but got {other}"
            ))),
        }
    }
}

const SCHEME: &str = "http";
const TIMEOUT_MS: i64 = 10_000;

impl Alerting {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        for (i, alertmanager) in self.alertmanagers.iter().enumerate() {
            alertmanager.check().map_err(|e| e.within(i).within("alertmanagers"))?;
        }
        Ok(())
    }

    /// What will not happen.
    pub(super) fn unheeded(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (at, alertmanager) in self.alertmanagers.iter().enumerate() {
            let place = format!("alerting.alertmanagers[{at}]");
            if alertmanager.sigv4.is_some() {
                warnings.push(format!("{place}: sigv4 is not supported yet; nothing is sent there"));
            }
            for key in &alertmanager.targets.discovery.unsupported {
                warnings
                    .push(format!("{place}: {key} is not supported yet; what it would find gets no alerts"));
            }
        }
        warnings
    }

    /// Relative paths are relative to `directory`.
    pub(super) fn settings(&self, directory: &Path, external_labels: &Labels) -> Settings {
        let heeded = self.alertmanagers.iter().filter(|alertmanager| alertmanager.sigv4.is_none());
        Settings {
            external_labels: external_labels.clone(),
            alert_relabel: self.alert_relabel_configs.clone(),
            sets: heeded.map(|alertmanager| alertmanager.settings(directory)).collect(),
        }
    }
}

impl Alertmanager {
    fn settings(&self, directory: &Path) -> SetSettings {
        let mut section = self.targets.clone();
        section.set_directory(directory);
        let timeout_ms = self.timeout.map_or(TIMEOUT_MS, |timeout| timeout.0);
        SetSettings {
            scheme: self.scheme.clone().unwrap_or_else(|| SCHEME.to_owned()),
            path_prefix: self.path_prefix.clone(),
            timeout: Duration::from_millis(timeout_ms.unsigned_abs()),
            relabel: self.relabel_configs.clone(),
            alert_relabel: self.alert_relabel_configs.clone(),
            section,
        }
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        self.targets.check(!self.relabel_configs.is_empty())?;
        let http = &self.targets.http;
        if self.sigv4.is_some()
            && (http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some())
        {
            return Err(InvalidSettings::at(
                ["sigv4"],
                "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured",
            ));
        }
        Ok(())
    }
}
