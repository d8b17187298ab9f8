//! Pushover: a message whose parameters stand in the URL.

use http_client::{Client, InvalidSettings, Method, Request, Secret, Url};
use serde::Deserialize;

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, exactly_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::{GoDuration, HttpUrl};

/// <https://pushover.net/api#limits>
const TITLE_CHARS_MAX: usize = 250;
const MESSAGE_CHARS_MAX: usize = 1024;
const URL_CHARS_MAX: usize = 512;
const API_URL: &str = "https://api.pushover.net/1/messages.json";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pushover {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    /// Beyond Alertmanager: where Pushover is, for those who reach it through something else.
    api_url: Option<HttpUrl>,
    user_key: Secret,
    user_key_file: String,
    token: Secret,
    token_file: String,
    title: String,
    message: String,
    url: String,
    url_title: String,
    device: String,
    sound: String,
    priority: String,
    retry: GoDuration,
    expire: GoDuration,
    ttl: GoDuration,
    html: bool,
    monospace: bool,
}

impl Default for Pushover {
    fn default() -> Self {
        let named = |name: &str| format!("{{{{ template \"pushover.default.{name}\" . }}}}");
        Self {
            send_resolved: true,
            http_config: None,
            api_url: None,
            user_key: Secret::default(),
            user_key_file: String::new(),
            token: Secret::default(),
            token_file: String::new(),
            title: named("title"),
            message: named("message"),
            url: named("url"),
            url_title: String::new(),
            device: String::new(),
            sound: String::new(),
            // Emergency while it fires, normal afterwards.
            priority: "{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}".to_owned(),
            retry: GoDuration(60_000),
            expire: GoDuration(3_600_000),
            ttl: GoDuration::default(),
            html: false,
            monospace: false,
        }
    }
}

impl Pushover {
    async fn url(&self, notification: &Notification<'_>) -> Result<Url, SendError> {
        let text = |template: &str| notification.text(template);
        let token = send::secret_or_file("token_file", &self.token, &self.token_file).await?;
        let user = send::secret_or_file("user_key_file", &self.user_key, &self.user_key_file).await?;
        let message = if self.html { notification.html(&self.message)? } else { text(&self.message)? };
        let message = truncate(&message, MESSAGE_CHARS_MAX);
        let message = match message.trim() {
            // An empty message is refused.
            "" => "(no details)",
            message => message,
        };
        let mut url =
            self.api_url.as_ref().map_or_else(|| HttpUrl::known(API_URL), Clone::clone).url().clone();
        let mut query = url.query_pairs_mut();
        let seconds = |duration: GoDuration| (duration.0 / 1_000).to_string();
        query
            .append_pair("token", &text(&token)?)
            .append_pair("user", &text(&user)?)
            .append_pair("title", &truncate(&text(&self.title)?, TITLE_CHARS_MAX))
            .append_pair("message", message)
            .append_pair("url", &truncate(&text(&self.url)?, URL_CHARS_MAX))
            .append_pair("url_title", &text(&self.url_title)?)
            .append_pair("priority", &text(&self.priority)?)
            .append_pair("retry", &seconds(self.retry))
            .append_pair("expire", &seconds(self.expire))
            .append_pair("device", &text(&self.device)?)
            .append_pair("sound", &text(&self.sound)?);
        for (name, on) in [("html", self.html), ("monospace", self.monospace)] {
            if on {
                query.append_pair(name, "1");
            }
        }
        if self.ttl.0 >= 1_000 {
            query.append_pair("ttl", &seconds(self.ttl));
        }
        drop(query);
        Ok(url)
    }
}

impl Kind for Pushover {
    http_kind!("pushover");

    fn check(&self) -> Result<(), InvalidSettings> {
        exactly_one("user_key", !self.user_key.is_empty(), "user_key_file", &self.user_key_file)?;
        exactly_one("token", !self.token.is_empty(), "token_file", &self.token_file)?;
        if self.html && self.monospace {
            return fault("at most one of monospace & html must be configured");
        }
        Ok(())
    }

    fn inherit(&mut self, _: &Global) -> Result<(), InvalidSettings> {
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let request = Request::new(Method::POST, self.url(notification).await?);
            send::send(client, request).await.map(|_| ())
        })
    }
}
