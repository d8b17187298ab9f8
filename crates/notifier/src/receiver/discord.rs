//! Discord: a message with one embed, to an incoming webhook.

use http_client::{Client, InvalidSettings};
use serde::Deserialize;
use serde_json::json;

use super::send::{self, truncate};
use super::{Kind, Notification, Sending, exactly_one, http_kind};
use crate::config::Global;
use crate::config::values::SecretUrl;

/// <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>
const TITLE_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 4096;
const CONTENT_CHARS_MAX: usize = 2000;
const RED: u32 = 0x99_2D_22;
const GREEN: u32 = 0x2E_CC_71;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Discord {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    webhook_url: Option<SecretUrl>,
    webhook_url_file: String,
    content: String,
    title: String,
    message: String,
    username: String,
    avatar_url: String,
}

impl Default for Discord {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            webhook_url: None,
            webhook_url_file: String::new(),
            content: String::new(),
            title: "{{ template \"discord.default.title\" . }}".to_owned(),
            message: "{{ template \"discord.default.message\" . }}".to_owned(),
            username: String::new(),
            avatar_url: String::new(),
        }
    }
}

impl Kind for Discord {
    http_kind!("discord");

    fn check(&self) -> Result<(), InvalidSettings> {
        exactly_one("webhook_url", self.webhook_url.is_some(), "webhook_url_file", &self.webhook_url_file)
    }

    fn inherit(&mut self, _: &Global) -> Result<(), InvalidSettings> {
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let embed = json!({
                "title": truncate(&notification.text(&self.title)?, TITLE_CHARS_MAX),
                "description": truncate(&notification.text(&self.message)?, DESCRIPTION_CHARS_MAX),
                "color": if notification.is_firing() { RED } else { GREEN },
            });
            let mut message = json!({
                "content": truncate(&notification.text(&self.content)?, CONTENT_CHARS_MAX),
                "embeds": [embed],
            });
            for (name, template) in [("username", &self.username), ("avatar_url", &self.avatar_url)] {
                let text = notification.text(template)?;
                if !text.is_empty() {
                    message[name] = text.into();
                }
            }
            let url = self.webhook_url.as_ref();
            let url = send::url_or_file("webhook_url_file", url, &self.webhook_url_file).await?;
            send::send(client, send::post_json(url, &message)?).await.map(|_| ())
        })
    }
}
