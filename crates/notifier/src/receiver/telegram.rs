//! Telegram: `sendMessage` of the bot API.

use http_client::{Client, InvalidSettings, Secret, Url};
use serde::{Deserialize, Serialize};

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

/// <https://core.telegram.org/bots/api#sendmessage>
const MESSAGE_CHARS_MAX: usize = 4096;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telegram {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_url: Option<HttpUrl>,
    bot_token: Secret,
    bot_token_file: String,
    chat_id: i64,
    chat_id_file: String,
    message_thread_id: i64,
    message: String,
    disable_notifications: bool,
    parse_mode: String,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    chat_id: String,
    text: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    parse_mode: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message_thread_id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_notification: bool,
    disable_web_page_preview: bool,
}

impl Default for Telegram {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            api_url: None,
            bot_token: Secret::default(),
            bot_token_file: String::new(),
            chat_id: 0,
            chat_id_file: String::new(),
            message_thread_id: 0,
            message: "{{ template \"telegram.default.message\" . }}".to_owned(),
            disable_notifications: false,
            parse_mode: "HTML".to_owned(),
        }
    }
}

impl Kind for Telegram {
    http_kind!("telegram");

    fn check(&self) -> Result<(), InvalidSettings> {
        at_most_one("bot_token", !self.bot_token.is_empty(), "bot_token_file", &self.bot_token_file)?;
        if self.chat_id == 0 && self.chat_id_file.is_empty() {
            return fault("missing chat_id or chat_id_file on telegram_config");
        }
        at_most_one("chat_id", self.chat_id != 0, "chat_id_file", &self.chat_id_file)?;
        if !["", "Markdown", "MarkdownV2", "HTML"].contains(&self.parse_mode.as_str()) {
            let message =
                "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string";
            return Err(InvalidSettings::at(["parse_mode"], message));
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.telegram_api_url);
        }
        if self.bot_token.is_empty() && self.bot_token_file.is_empty() {
            self.bot_token = global.telegram_bot_token.clone();
            self.bot_token_file.clone_from(&global.telegram_bot_token_file);
        }
        if self.bot_token.is_empty() && self.bot_token_file.is_empty() {
            return fault("missing bot_token or bot_token_file on telegram_config");
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let api = self.api_url.as_ref().ok_or_else(|| SendError::lasting("no Telegram URL"))?;
            let token = send::secret_or_file("bot_token_file", &self.bot_token, &self.bot_token_file).await?;
            let url = Url::parse(&format!("{}/bot{token}/sendMessage", api.base()))
                .map_err(|_| SendError::lasting("bot_token cannot stand in a URL"))?;
            let text = if self.parse_mode == "HTML" {
                notification.html(&self.message)?
            } else {
                notification.text(&self.message)?
            };
            let chat_id = match self.chat_id {
                0 => send::secret_or_file("chat_id_file", &Secret::default(), &self.chat_id_file).await?,
                id => id.to_string(),
            };
            let message = Message {
                chat_id,
                text: truncate(&text, MESSAGE_CHARS_MAX),
                parse_mode: &self.parse_mode,
                message_thread_id: match self.message_thread_id {
                    0 => String::new(),
                    id => id.to_string(),
                },
                disable_notification: self.disable_notifications,
                disable_web_page_preview: true,
            };
            send::send(client, send::post_json(url, &message)?).await.map(|_| ())
        })
    }
}
