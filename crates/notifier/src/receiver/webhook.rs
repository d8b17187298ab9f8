//! Webhook: the notification as JSON, version 4 of Alertmanager's format.

use http_client::Client;
use serde::{Deserialize, Serialize};

use super::send::{self, SendError};
use super::{Kind, Notification, Sending, exactly_one, http_kind};
use crate::config::Global;
use crate::config::values::{GoDuration, SecretUrl};
use crate::text::Data;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Webhook {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    url: Option<SecretUrl>,
    url_file: String,
    max_alerts: u64,
    timeout: GoDuration,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            url: None,
            url_file: String::new(),
            max_alerts: 0,
            timeout: GoDuration::default(),
        }
    }
}

/// What is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    #[serde(flatten)]
    pub(super) data: &'a Data,
    pub(super) version: &'static str,
    pub(super) group_key: &'a str,
    pub(super) truncated_alerts: usize,
}

impl Kind for Webhook {
    http_kind!("webhook");

    fn check(&self) -> Result<(), http_client::InvalidSettings> {
        exactly_one("url", self.url.is_some(), "url_file", &self.url_file)
    }

    fn inherit(&mut self, _: &Global) -> Result<(), http_client::InvalidSettings> {
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let data = notification.cut(self.max_alerts);
            let message = Message {
                version: "4",
                group_key: notification.group_key,
                truncated_alerts: notification.alerts.len() - data.alerts.len(),
                data: &data,
            };
            let url = send::url_or_file("url_file", self.url.as_ref(), &self.url_file).await?;
            let request = send::post_json(url, &message)?;
            within(self.timeout, "webhook", send::send(client, request)).await.map(|_| ())
        })
    }
}

/// Waits no longer than the settings say; 0 is without limit.
pub(super) async fn within<T>(
    timeout: GoDuration,
    what: &str,
    sending: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    if timeout.0 <= 0 {
        return sending.await;
    }
    let late = |_| SendError::passing(format!("configured {what} timeout reached ({}ms)", timeout.0));
    tokio::time::timeout(timeout.duration(), sending).await.map_err(late)?
}
