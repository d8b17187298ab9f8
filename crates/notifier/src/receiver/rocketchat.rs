//! Rocket.Chat: `chat.postMessage` with one attachment.

use http_client::{Client, InvalidSettings, Secret};
use serde::{Deserialize, Serialize};

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

const TITLE_CHARS_MAX: usize = 1024;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RocketChat {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_url: Option<HttpUrl>,
    token_id: Secret,
    token_id_file: String,
    token: Secret,
    token_file: String,
    channel: String,
    color: String,
    title: String,
    title_link: String,
    text: String,
    fields: Vec<Field>,
    short_fields: bool,
    emoji: String,
    icon_url: String,
    image_url: String,
    thumb_url: String,
    #[serde(rename = "link_names")]
    _link_names: bool,
    actions: Vec<Action>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Field {
    short: Option<bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    is_webview: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    webview_height_ratio: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    msg: String,
    msg_in_chat_window: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    msg_processing_type: String,
}

#[derive(Debug, Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    avatar: String,
    attachments: [Attachment; 1],
}

#[derive(Debug, Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
}

impl Default for RocketChat {
    fn default() -> Self {
        let named = |name: &str| format!("{{{{ template \"rocketchat.default.{name}\" . }}}}");
        Self {
            send_resolved: false,
            http_config: None,
            api_url: None,
            token_id: Secret::default(),
            token_id_file: String::new(),
            token: Secret::default(),
            token_file: String::new(),
            channel: String::new(),
            color: "{{ if eq .Status \"firing\" }}red{{ else }}green{{ end }}".to_owned(),
            title: named("title"),
            title_link: named("titlelink"),
            text: named("text"),
            fields: Vec::new(),
            short_fields: false,
            emoji: named("emoji"),
            icon_url: named("iconurl"),
            image_url: String::new(),
            thumb_url: String::new(),
            _link_names: false,
            actions: Vec::new(),
        }
    }
}

impl RocketChat {
    fn message(&self, notification: &Notification<'_>) -> Result<Message, SendError> {
        let text = |template: &str| notification.text(template);
        let fields = self.fields.iter().map(|field| {
            let short = Some(field.short.unwrap_or(self.short_fields));
            Ok(Field { short, title: text(&field.title)?, value: text(&field.value)? })
        });
        // Rocket.Chat knows only buttons.
        let actions = self.actions.iter().map(|action| {
            Ok(Action {
                kind: "button".to_owned(),
                text: text(&action.text)?,
                url: text(&action.url)?,
                msg: text(&action.msg)?,
                ..Action::default()
            })
        });
        let attachment = Attachment {
            title: truncate(&text(&self.title)?, TITLE_CHARS_MAX),
            title_link: text(&self.title_link)?,
            text: text(&self.text)?,
            image_url: text(&self.image_url)?,
            thumb_url: text(&self.thumb_url)?,
            color: text(&self.color)?,
            fields: fields.collect::<Result<_, SendError>>()?,
            actions: actions.collect::<Result<_, SendError>>()?,
        };
        Ok(Message {
            channel: text(&self.channel)?,
            emoji: text(&self.emoji)?,
            avatar: text(&self.icon_url)?,
            attachments: [attachment],
        })
    }
}

impl Kind for RocketChat {
    http_kind!("rocketchat");

    fn from_nothing() -> Result<Self, InvalidSettings> {
        Ok(Self::default())
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        at_most_one("token", !self.token.is_empty(), "token_file", &self.token_file)?;
        at_most_one("token_id", !self.token_id.is_empty(), "token_id_file", &self.token_id_file)
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.rocketchat_api_url);
        }
        if self.token_id.is_empty() && self.token_id_file.is_empty() {
            self.token_id = global.rocketchat_token_id.clone();
            self.token_id_file.clone_from(&global.rocketchat_token_id_file);
        }
        if self.token_id.is_empty() && self.token_id_file.is_empty() {
            return fault("no global Rocketchat TokenID set either inline or in a file");
        }
        if self.token.is_empty() && self.token_file.is_empty() {
            self.token = global.rocketchat_token.clone();
            self.token_file.clone_from(&global.rocketchat_token_file);
        }
        if self.token.is_empty() && self.token_file.is_empty() {
            return fault("no global Rocketchat Token set either inline or in a file");
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        #[derive(Deserialize)]
        struct Verdict {
            success: bool,
            #[serde(default)]
            error: String,
        }
        Box::pin(async move {
            let api = self.api_url.as_ref().ok_or_else(|| SendError::lasting("no Rocket.Chat URL"))?;
            let message = self.message(notification)?;
            let mut request = send::post_json(api.join("api/v1/chat.postMessage"), &message)?;
            let token = send::secret_or_file("token_file", &self.token, &self.token_file).await?;
            let id = send::secret_or_file("token_id_file", &self.token_id, &self.token_id_file).await?;
            send::set_secret_header(&mut request, "x-auth-token", &token)?;
            send::set_secret_header(&mut request, "x-user-id", &id)?;
            let answer = send::send(client, request).await?;
            // It says "no" with status 200.
            let error = match serde_json::from_slice(&answer.body) {
                Ok(Verdict { success: true, .. }) => return Ok(()),
                Ok(Verdict { error, .. }) => {
                    SendError::lasting(format!("error response from Rocketchat: {error}"))
                }
                Err(error) => SendError::passing(format!("Rocketchat's answer cannot be read: {error}")),
            };
            Err(error.within(format_args!("channel {:?}", message.channel)))
        })
    }
}
