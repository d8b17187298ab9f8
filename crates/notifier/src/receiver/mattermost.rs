//! Mattermost: a message with attachments, to an incoming webhook.

use http_client::{Client, InvalidSettings};
use serde::{Deserialize, Serialize};

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::SecretUrl;

/// <https://developers.mattermost.com/integrate/webhooks/incoming/#tips-and-best-practices>
const TEXT_CHARS_MAX: usize = 16_383;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mattermost {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    webhook_url: Option<SecretUrl>,
    webhook_url_file: String,
    channel: String,
    username: String,
    icon_url: String,
    icon_emoji: String,
    attachments: Vec<Attachment>,
    #[serde(rename = "type")]
    kind: String,
    props: Option<Props>,
    priority: Option<Priority>,
    /// What the first attachment says; its keys stand in the section itself.
    #[serde(rename = "*")]
    first: Attachment,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    fallback: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    footer_icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Field {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Props {
    #[serde(skip_serializing_if = "String::is_empty")]
    card: String,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Priority {
    #[serde(skip_serializing_if = "String::is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requested_ack: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    persistent_notifications: bool,
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    attachments: Vec<Attachment>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    props: Option<Props>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
}

fn named(name: &str) -> String {
    format!("{{{{ template \"mattermost.default.{name}\" . }}}}")
}

impl Default for Mattermost {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            webhook_url: None,
            webhook_url_file: String::new(),
            channel: String::new(),
            username: named("username"),
            icon_url: String::new(),
            icon_emoji: String::new(),
            attachments: Vec::new(),
            kind: String::new(),
            props: None,
            priority: None,
            first: Attachment::default(),
        }
    }
}

impl Attachment {
    fn check(&self) -> Result<(), InvalidSettings> {
        for (at, field) in self.fields.iter().enumerate() {
            let text = match (field.title.is_empty(), field.value.is_empty()) {
                (true, _) => "missing title in Mattermost field configuration",
                (_, true) => "missing value in Mattermost field configuration",
                _ => continue,
            };
            return Err(InvalidSettings::at(["fields", &at.to_string()], text));
        }
        Ok(())
    }

    /// The first attachment, what it leaves open filled with the defaults.
    fn with_defaults(&self) -> Self {
        let mut filled = self.clone();
        for (field, name) in [
            (&mut filled.color, "color"),
            (&mut filled.text, "text"),
            (&mut filled.title, "title"),
            (&mut filled.title_link, "titlelink"),
            (&mut filled.fallback, "fallback"),
        ] {
            if field.is_empty() {
                *field = named(name);
            }
        }
        filled
    }

    fn fill(&self, notification: &Notification<'_>) -> Result<Self, SendError> {
        let text = |template: &str| notification.text(template);
        let fields = self.fields.iter().map(|field| {
            Ok(Field { title: text(&field.title)?, value: text(&field.value)?, short: field.short })
        });
        Ok(Self {
            fallback: text(&self.fallback)?,
            color: text(&self.color)?,
            pretext: text(&self.pretext)?,
            text: truncate(&text(&self.text)?, TEXT_CHARS_MAX),
            author_name: text(&self.author_name)?,
            author_link: text(&self.author_link)?,
            author_icon: text(&self.author_icon)?,
            title: text(&self.title)?,
            title_link: text(&self.title_link)?,
            fields: fields.collect::<Result<_, SendError>>()?,
            thumb_url: text(&self.thumb_url)?,
            footer: text(&self.footer)?,
            footer_icon: text(&self.footer_icon)?,
            image_url: text(&self.image_url)?,
        })
    }
}

impl Priority {
    /// What Mattermost takes: acknowledgement only for what is not standard, repetition only for what is urgent.
    fn fill(&self, notification: &Notification<'_>) -> Result<Option<Self>, SendError> {
        if self.priority.is_empty() {
            return Ok(None);
        }
        let wanted = notification.text(&self.priority)?.to_lowercase();
        let known = ["urgent", "important"].contains(&wanted.as_str());
        let priority = if known { wanted } else { "standard".to_owned() };
        Ok(Some(Self {
            requested_ack: self.requested_ack && known,
            persistent_notifications: self.persistent_notifications && priority == "urgent",
            priority,
        }))
    }
}

impl Mattermost {
    fn message(&self, notification: &Notification<'_>) -> Result<Message, SendError> {
        let text = |template: &str| notification.text(template);
        let first = self.first.with_defaults();
        let attachments = std::iter::once(&first).chain(&self.attachments);
        let props = match &self.props {
            Some(props) if !props.card.is_empty() => Some(Props { card: text(&props.card)? }),
            _ => None,
        };
        Ok(Message {
            text: String::new(),
            channel: text(&self.channel)?,
            username: text(&self.username)?,
            icon_url: text(&self.icon_url)?,
            icon_emoji: text(&self.icon_emoji)?,
            attachments: attachments
                .map(|attachment| attachment.fill(notification))
                .collect::<Result<_, _>>()?,
            kind: text(&self.kind)?,
            props,
            priority: match &self.priority {
                Some(priority) => priority.fill(notification)?,
                None => None,
            },
        })
    }
}

impl Kind for Mattermost {
    http_kind!("mattermost");

    fn check(&self) -> Result<(), InvalidSettings> {
        at_most_one("webhook_url", self.webhook_url.is_some(), "webhook_url_file", &self.webhook_url_file)?;
        self.first.check()?;
        for (at, attachment) in self.attachments.iter().enumerate() {
            attachment.check().map_err(|error| error.within(at).within("attachments"))?;
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.webhook_url.is_none() && self.webhook_url_file.is_empty() {
            self.webhook_url.clone_from(&global.mattermost_webhook_url);
            self.webhook_url_file.clone_from(&global.mattermost_webhook_url_file);
        }
        if self.webhook_url.is_none() && self.webhook_url_file.is_empty() {
            return fault("missing webhook_url or webhook_url_file on mattermost_config");
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let message = self.message(notification)?;
            let url = self.webhook_url.as_ref();
            let url = send::url_or_file("webhook_url_file", url, &self.webhook_url_file).await?;
            let sent = send::send(client, send::post_json(url, &message)?).await;
            sent.map(|_| ()).map_err(|error| error.within(format_args!("channel {:?}", message.channel)))
        })
    }
}
