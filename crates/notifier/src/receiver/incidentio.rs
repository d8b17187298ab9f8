//! incident.io: the webhook's format in version 1, at most half a megabyte of it.

use http_client::settings::Authorization;
use http_client::{Client, InvalidSettings, Secret};
use serde::Deserialize;

use super::webhook::{Message, within};
use super::{Kind, Notification, SendError, Sending, at_most_one, exactly_one, fault, http_kind, send};
use crate::config::Global;
use crate::config::values::{GoDuration, HttpUrl, SecretUrl};

/// What incident.io takes.
const PAYLOAD_BYTES_MAX: usize = 512 << 10;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IncidentIo {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    url: Option<HttpUrl>,
    url_file: String,
    alert_source_token: Secret,
    alert_source_token_file: String,
    max_alerts: u64,
    timeout: GoDuration,
}

impl Default for IncidentIo {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            url: None,
            url_file: String::new(),
            alert_source_token: Secret::default(),
            alert_source_token_file: String::new(),
            max_alerts: 0,
            timeout: GoDuration::default(),
        }
    }
}

impl Kind for IncidentIo {
    http_kind!("incidentio");

    fn check(&self) -> Result<(), InvalidSettings> {
        exactly_one("url", self.url.is_some(), "url_file", &self.url_file)?;
        let token = !self.alert_source_token.is_empty();
        at_most_one("alert_source_token", token, "alert_source_token_file", &self.alert_source_token_file)?;
        let token = token || !self.alert_source_token_file.is_empty();
        match self.http_config.as_ref().map(|http| http.authorization.is_some()) {
            Some(true) if token => fault(
                "cannot specify alert_source_token or alert_source_token_file when using http_config.authorization",
            ),
            Some(false) if !token => fault(
                "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured",
            ),
            _ => Ok(()),
        }
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if !self.alert_source_token.is_empty() || !self.alert_source_token_file.is_empty() {
            let http = self.http_config.get_or_insert_with(|| global.http_config.clone());
            http.authorization = Some(Authorization {
                credentials: self.alert_source_token.clone(),
                credentials_file: self.alert_source_token_file.clone(),
                ..Authorization::default()
            });
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let url = self.url.clone().map(SecretUrl::from);
            let url = send::url_or_file("url_file", url.as_ref(), &self.url_file).await?;
            let mut data = notification.cut(self.max_alerts);
            let truncated_alerts = notification.alerts.len() - data.alerts.len();
            let encode = |data: &_| {
                let group_key = notification.group_key;
                let message = Message { version: "1", group_key, truncated_alerts, data };
                serde_json::to_value(&message).map_err(|error| SendError::lasting(error.to_string()))
            };
            let mut message = encode(&data)?;
            if message.to_string().len() > PAYLOAD_BYTES_MAX {
                data.alerts.truncate(1);
                message = encode(&data)?;
            }
            let request = send::post_json(url, &message)?;
            within(self.timeout, "incident.io", send::send(client, request)).await.map(|_| ())
        })
    }
}
