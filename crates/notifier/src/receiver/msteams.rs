//! Microsoft Teams by its older connectors: a message card.

use http_client::{Client, InvalidSettings};
use serde::Deserialize;
use serde_json::json;

use super::send;
use super::{Kind, Notification, Sending, exactly_one, http_kind};
use crate::config::Global;
use crate::config::values::SecretUrl;

const RED: &str = "8C1A1A";
const GREEN: &str = "2DC72D";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MsTeams {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    webhook_url: Option<SecretUrl>,
    webhook_url_file: String,
    title: String,
    summary: String,
    text: String,
}

impl Default for MsTeams {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            webhook_url: None,
            webhook_url_file: String::new(),
            title: "{{ template \"msteams.default.title\" . }}".to_owned(),
            summary: "{{ template \"msteams.default.summary\" . }}".to_owned(),
            text: "{{ template \"msteams.default.text\" . }}".to_owned(),
        }
    }
}

impl Kind for MsTeams {
    http_kind!("msteams");

    fn check(&self) -> Result<(), InvalidSettings> {
        exactly_one("webhook_url", self.webhook_url.is_some(), "webhook_url_file", &self.webhook_url_file)
    }

    fn inherit(&mut self, _: &Global) -> Result<(), InvalidSettings> {
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let message = json!({
                "@context": "http://schema.org/extensions",
                "type": "MessageCard",
                "title": notification.text(&self.title)?,
                "summary": notification.text(&self.summary)?,
                "text": notification.text(&self.text)?,
                "themeColor": if notification.is_firing() { RED } else { GREEN },
            });
            let url = self.webhook_url.as_ref();
            let url = send::url_or_file("webhook_url_file", url, &self.webhook_url_file).await?;
            send::send(client, send::post_json(url, &message)?).await.map(|_| ())
        })
    }
}
