//! Slack: a message with one attachment, to an incoming webhook or, with a token, to Slack's API.

use http_client::settings::Authorization;
use http_client::{Client, InvalidSettings, Secret};
use serde::{Deserialize, Serialize};

use super::send::{self, Answer, is_empty, truncate};
use super::webhook::within;
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::{GoDuration, HttpUrl, SecretUrl};

const TITLE_CHARS_MAX: usize = 1024;
/// The only address at which messages can be changed.
const API_URL: &str = "https://slack.com/api/chat.postMessage";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slack {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_url: Option<SecretUrl>,
    api_url_file: String,
    app_token: Secret,
    app_token_file: String,
    app_url: Option<HttpUrl>,
    channel: String,
    username: String,
    color: String,
    title: String,
    title_link: String,
    pretext: String,
    text: String,
    message_text: String,
    fields: Vec<Field>,
    short_fields: bool,
    footer: String,
    fallback: String,
    callback_id: String,
    icon_emoji: String,
    icon_url: String,
    image_url: String,
    thumb_url: String,
    link_names: bool,
    mrkdwn_in: Vec<String>,
    actions: Vec<Action>,
    update_message: bool,
    post_updates_to_thread: bool,
    timeout: GoDuration,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Field {
    title: String,
    value: String,
    short: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Action {
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    style: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirmation>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Confirmation {
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ok_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dismiss_text: String,
}

#[derive(Debug, Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    link_names: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    attachments: [Attachment; 1],
}

#[derive(Debug, Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mrkdwn_in: Vec<String>,
}

impl Default for Slack {
    fn default() -> Self {
        let named = |name: &str| format!("{{{{ template \"slack.default.{name}\" . }}}}");
        Self {
            send_resolved: false,
            http_config: None,
            api_url: None,
            api_url_file: String::new(),
            app_token: Secret::default(),
            app_token_file: String::new(),
            app_url: None,
            channel: String::new(),
            username: named("username"),
            color: named("color"),
            title: named("title"),
            title_link: named("titlelink"),
            pretext: named("pretext"),
            text: named("text"),
            message_text: String::new(),
            fields: Vec::new(),
            short_fields: false,
            footer: named("footer"),
            fallback: named("fallback"),
            callback_id: named("callbackid"),
            icon_emoji: named("iconemoji"),
            icon_url: named("iconurl"),
            image_url: String::new(),
            thumb_url: String::new(),
            link_names: false,
            mrkdwn_in: Vec::new(),
            actions: Vec::new(),
            update_message: false,
            post_updates_to_thread: false,
            timeout: GoDuration::default(),
        }
    }
}

impl Slack {
    fn has_token(&self) -> bool {
        !self.app_token.is_empty() || !self.app_token_file.is_empty()
    }

    fn has_url(&self) -> bool {
        self.api_url.is_some() || !self.api_url_file.is_empty()
    }

    fn check_parts(&self) -> Result<(), InvalidSettings> {
        for (at, action) in self.actions.iter().enumerate() {
            let text = if action.url.is_empty() && action.name.is_empty() {
                "missing name or url in Slack action configuration"
            } else if action.kind.is_empty() {
                "missing type in Slack action configuration"
            } else if action.text.is_empty() {
                "missing text in Slack action configuration"
            } else if action.confirm.as_ref().is_some_and(|confirm| confirm.text.is_empty()) {
                "missing text in Slack confirmation configuration"
            } else {
                continue;
            };
            return Err(InvalidSettings::at(["actions", &at.to_string()], text));
        }
        for (at, field) in self.fields.iter().enumerate() {
            let text = if field.title.is_empty() {
                "missing title in Slack field configuration"
            } else if field.value.is_empty() {
                "missing value in Slack field configuration"
            } else {
                continue;
            };
            return Err(InvalidSettings::at(["fields", &at.to_string()], text));
        }
        Ok(())
    }

    fn message(&self, notification: &Notification<'_>) -> Result<Message, SendError> {
        let text = |template: &str| notification.text(template);
        let fields = self.fields.iter().map(|field| {
            let short = Some(field.short.unwrap_or(self.short_fields));
            Ok(Field { title: text(&field.title)?, value: text(&field.value)?, short })
        });
        let actions = self.actions.iter().map(|action| {
            let mut done = Action {
                kind: text(&action.kind)?,
                text: text(&action.text)?,
                url: text(&action.url)?,
                style: text(&action.style)?,
                ..Action::default()
            };
            // A button with a URL opens it; only others carry names and questions.
            if action.url.is_empty() {
                done.name = text(&action.name)?;
                done.value = text(&action.value)?;
                done.confirm = action
                    .confirm
                    .as_ref()
                    .map(|confirm| {
                        Ok::<_, SendError>(Confirmation {
                            text: text(&confirm.text)?,
                            title: text(&confirm.title)?,
                            ok_text: text(&confirm.ok_text)?,
                            dismiss_text: text(&confirm.dismiss_text)?,
                        })
                    })
                    .transpose()?;
            }
            Ok(done)
        });
        let mrkdwn_in = match self.mrkdwn_in.is_empty() {
            true => ["fallback", "pretext", "text"].map(str::to_owned).to_vec(),
            false => self.mrkdwn_in.clone(),
        };
        let attachment = Attachment {
            title: truncate(&text(&self.title)?, TITLE_CHARS_MAX),
            title_link: text(&self.title_link)?,
            pretext: text(&self.pretext)?,
            text: text(&self.text)?,
            fallback: text(&self.fallback)?,
            callback_id: text(&self.callback_id)?,
            fields: fields.collect::<Result<_, SendError>>()?,
            actions: actions.collect::<Result<_, SendError>>()?,
            image_url: text(&self.image_url)?,
            thumb_url: text(&self.thumb_url)?,
            footer: text(&self.footer)?,
            color: text(&self.color)?,
            mrkdwn_in,
        };
        Ok(Message {
            channel: text(&self.channel)?,
            username: text(&self.username)?,
            icon_emoji: text(&self.icon_emoji)?,
            icon_url: text(&self.icon_url)?,
            link_names: self.link_names,
            text: text(&self.message_text)?,
            attachments: [attachment],
        })
    }
}

/// Slack says "no" with status 200, in JSON or in plain text.
fn check_answer(answer: &Answer) -> Result<(), SendError> {
    #[derive(Deserialize)]
    struct Verdict {
        ok: bool,
        #[serde(default)]
        error: String,
    }
    if answer.is_json {
        return match serde_json::from_slice::<Verdict>(&answer.body) {
            Ok(Verdict { ok: true, .. }) => Ok(()),
            Ok(Verdict { error, .. }) => Err(SendError {
                retry: error == "ratelimited",
                ..SendError::lasting(format!("error response from Slack: {error}"))
            }),
            Err(error) => Err(SendError::passing(format!("Slack's answer cannot be read: {error}"))),
        };
    }
    match answer.body.trim_ascii() {
        b"ok" => Ok(()),
        other => Err(SendError::lasting(format!(
            "received an error response from Slack: {}",
            String::from_utf8_lossy(other)
        ))),
    }
}

impl Kind for Slack {
    http_kind!("slack");

    fn from_nothing() -> Result<Self, InvalidSettings> {
        Ok(Self::default())
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        self.check_parts()?;
        at_most_one("api_url", self.api_url.is_some(), "api_url_file", &self.api_url_file)?;
        at_most_one("app_token", !self.app_token.is_empty(), "app_token_file", &self.app_token_file)?;
        if self.has_url() && self.has_token() {
            return fault(
                "at most one of api_url/api_url_file & app_token/app_token_file must be configured",
            );
        }
        let is_api =
            || self.api_url.as_ref().and_then(SecretUrl::url).is_some_and(|url| url.as_str() == API_URL);
        for (key, on) in
            [("update_message", self.update_message), ("post_updates_to_thread", self.post_updates_to_thread)]
        {
            if on && !is_api() {
                let message =
                    format!("{key} can only be used with bot tokens. api_url must be set to {API_URL}");
                return Err(InvalidSettings::at([key], message));
            }
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.app_url.is_none() {
            self.app_url.clone_from(&global.slack_app_url);
        }
        let Some(app_url) = self.app_url.clone() else { return fault("no global Slack App URL set") };
        let authorized = self.http_config.as_ref().is_some_and(|http| http.authorization.is_some());
        // A token of all does not replace what this one says about itself.
        if !self.has_token() && !authorized && self.api_url.is_none() {
            self.app_token = global.slack_app_token.clone();
            self.app_token_file.clone_from(&global.slack_app_token_file);
        }
        if !self.has_url() {
            self.api_url.clone_from(&global.slack_api_url);
            self.api_url_file.clone_from(&global.slack_api_url_file);
        }
        if !self.has_url() && !self.has_token() {
            return fault("no Slack API URL nor App token set either inline or in a file");
        }
        if self.has_token() {
            let http = self.http_config.get_or_insert_with(|| global.http_config.clone());
            if http.authorization.is_some() {
                return fault("http authorization can't be set when using Slack App tokens");
            }
            http.authorization = Some(Authorization {
                credentials: self.app_token.clone(),
                credentials_file: self.app_token_file.clone(),
                ..Authorization::default()
            });
            self.api_url = Some(app_url.into());
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let message = self.message(notification)?;
            let url = send::url_or_file("api_url_file", self.api_url.as_ref(), &self.api_url_file).await?;
            let request = send::post_json(url, &message)?;
            let sending = within(self.timeout, "slack", send::send(client, request));
            let answer = sending.await.and_then(|answer| check_answer(&answer));
            answer.map_err(|error| {
                if is_empty(&message.channel) {
                    error
                } else {
                    error.within(format_args!("channel {:?}", message.channel))
                }
            })
        })
    }
}
