//! Webex: a message in Markdown to a room.

use http_client::{Client, InvalidSettings};
use serde::Deserialize;
use serde_json::json;

use super::send::{self, truncate_bytes};
use super::{Kind, Notification, SendError, Sending, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

const MESSAGE_BYTES_MAX: usize = 7439;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Webex {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_url: Option<HttpUrl>,
    message: String,
    room_id: String,
}

impl Default for Webex {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            api_url: None,
            message: "{{ template \"webex.default.message\" . }}".to_owned(),
            room_id: String::new(),
        }
    }
}

impl Kind for Webex {
    http_kind!("webex");

    fn check(&self) -> Result<(), InvalidSettings> {
        if self.room_id.is_empty() {
            return fault("missing room_id on webex_config");
        }
        if self.http_config.as_ref().is_none_or(|http| http.authorization.is_none()) {
            return fault("missing webex_configs.http_config.authorization");
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.webex_api_url);
        }
        if self.api_url.is_none() { fault("no global Webex URL set") } else { Ok(()) }
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let api = self.api_url.as_ref().ok_or_else(|| SendError::lasting("no Webex URL"))?;
            let message = json!({
                "markdown": truncate_bytes(&notification.text(&self.message)?, MESSAGE_BYTES_MAX),
                "roomId": notification.text(&self.room_id)?,
            });
            send::send(client, send::post_json(api.url().clone(), &message)?).await.map(|_| ())
        })
    }
}
