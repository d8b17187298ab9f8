//! Microsoft Teams by a workflow (`msteamsv2_configs`): an adaptive card.

use http_client::{Client, InvalidSettings};
use serde::Deserialize;
use serde_json::{Value, json};

use super::send;
use super::{Kind, Notification, Sending, exactly_one, http_kind};
use crate::config::Global;
use crate::config::values::SecretUrl;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MsTeamsWorkflow {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    webhook_url: Option<SecretUrl>,
    webhook_url_file: String,
    title: String,
    text: String,
}

impl Default for MsTeamsWorkflow {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            webhook_url: None,
            webhook_url_file: String::new(),
            title: "{{ template \"msteamsv2.default.title\" . }}".to_owned(),
            text: "{{ template \"msteamsv2.default.text\" . }}".to_owned(),
        }
    }
}

fn card(title: String, text: String, firing: bool) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [
                    {
                        "type": "TextBlock",
                        "text": title,
                        "weight": "Bolder",
                        "size": "Medium",
                        "wrap": true,
                        "style": "heading",
                        "color": if firing { "Attention" } else { "Good" },
                    },
                    { "type": "TextBlock", "text": text, "wrap": true },
                ],
                "msteams": { "width": "full" },
            },
        }],
    })
}

impl Kind for MsTeamsWorkflow {
    http_kind!("msteamsv2");

    fn check(&self) -> Result<(), InvalidSettings> {
        exactly_one("webhook_url", self.webhook_url.is_some(), "webhook_url_file", &self.webhook_url_file)
    }

    fn inherit(&mut self, _: &Global) -> Result<(), InvalidSettings> {
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let (title, text) = (notification.text(&self.title)?, notification.text(&self.text)?);
            let message = card(title, text, notification.is_firing());
            let url = self.webhook_url.as_ref();
            let url = send::url_or_file("webhook_url_file", url, &self.webhook_url_file).await?;
            send::send(client, send::post_json(url, &message)?).await.map(|_| ())
        })
    }
}
