//! `alerting`: read and checked; alerts are not sent yet.

use discovery::settings::Section;
use http_client::InvalidSettings;
use model::relabel::Rule;
use model::time::DurationMs;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The `alerting` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alerting {
    #[serde(rename = "alert_relabel_configs")]
    _alert_relabel_configs: Vec<Rule>,
    alertmanagers: Vec<Alertmanager>,
}

/// Where alerts would go.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Alertmanager {
    sigv4: Option<IgnoredAny>,
    #[serde(rename = "scheme")]
    _scheme: String,
    #[serde(rename = "path_prefix")]
    _path_prefix: String,
    #[serde(rename = "timeout")]
    _timeout: DurationMs,
    #[serde(rename = "api_version")]
    _api_version: ApiVersion,
    relabel_configs: Vec<Rule>,
    #[serde(rename = "alert_relabel_configs")]
    _alert_relabel_configs: Vec<Rule>,
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

impl Alerting {
    pub(super) fn is_set(&self) -> bool {
        !self.alertmanagers.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        for (i, alertmanager) in self.alertmanagers.iter().enumerate() {
            alertmanager.check().map_err(|e| e.within(i).within("alertmanagers"))?;
        }
        Ok(())
    }
}

impl Alertmanager {
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
