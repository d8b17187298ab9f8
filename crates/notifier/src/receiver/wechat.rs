//! WeChat Work: a token is fetched and kept for two hours; then a message as text or Markdown.

use std::sync::Arc;

use http_client::{Client, InvalidSettings, Secret};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::send;
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

const TOKEN_MS: i64 = 2 * 3_600_000;
/// WeChat's number for a token that has ended.
const TOKEN_EXPIRED: i64 = 42_001;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WeChat {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_secret: Secret,
    api_secret_file: String,
    corp_id: String,
    message: String,
    api_url: Option<HttpUrl>,
    to_user: String,
    to_party: String,
    to_tag: String,
    agent_id: String,
    message_type: String,
    /// The token, and when it was fetched.
    #[serde(skip)]
    token: Arc<Mutex<Option<(Secret, i64)>>>,
}

impl Default for WeChat {
    fn default() -> Self {
        let named = |name: &str| format!("{{{{ template \"wechat.default.{name}\" . }}}}");
        Self {
            send_resolved: false,
            http_config: None,
            api_secret: Secret::default(),
            api_secret_file: String::new(),
            corp_id: String::new(),
            message: named("message"),
            api_url: None,
            to_user: named("to_user"),
            to_party: named("to_party"),
            to_tag: named("to_tag"),
            agent_id: named("agent_id"),
            message_type: "text".to_owned(),
            token: Arc::default(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
    #[serde(default)]
    access_token: Secret,
}

fn verdict(body: &[u8]) -> Result<Verdict, SendError> {
    serde_json::from_slice(body)
        .map_err(|error| SendError::passing(format!("WeChat's answer cannot be read: {error}")))
}

impl WeChat {
    fn api(&self) -> Result<&HttpUrl, SendError> {
        self.api_url.as_ref().ok_or_else(|| SendError::lasting("no WeChat URL"))
    }

    async fn token(&self, client: &Client, notification: &Notification<'_>) -> Result<Secret, SendError> {
        let now_ms = notification.now_ms;
        if let Some((token, fetched_ms)) = &*self.token.lock()
            && now_ms - fetched_ms < TOKEN_MS
        {
            return Ok(token.clone());
        }
        let secret = send::secret_or_file("api_secret_file", &self.api_secret, &self.api_secret_file).await?;
        let mut url = self.api()?.join("gettoken");
        url.query_pairs_mut()
            .append_pair("corpid", &notification.text(&self.corp_id)?)
            .append_pair("corpsecret", &notification.text(&secret)?);
        let answer = send::send(client, client.get(url)).await?;
        let token = verdict(&answer.body)?.access_token;
        if token.is_empty() {
            return Err(SendError::lasting(format!("invalid APISecret for CorpID: {}", self.corp_id)));
        }
        *self.token.lock() = Some((token.clone(), now_ms));
        Ok(token)
    }
}

impl Kind for WeChat {
    http_kind!("wechat");

    fn from_nothing() -> Result<Self, InvalidSettings> {
        Ok(Self::default())
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        at_most_one("api_secret", !self.api_secret.is_empty(), "api_secret_file", &self.api_secret_file)?;
        if !["text", "markdown", ""].contains(&self.message_type.as_str()) {
            let message = format!(
                "weChat message type {:?} does not match valid options ^(text|markdown)$",
                self.message_type
            );
            return Err(InvalidSettings::at(["message_type"], message));
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.wechat_api_url);
        }
        if self.api_url.is_none() {
            return fault("no global Wechat URL set");
        }
        if self.api_secret.is_empty() && self.api_secret_file.is_empty() {
            self.api_secret = global.wechat_api_secret.clone();
            self.api_secret_file.clone_from(&global.wechat_api_secret_file);
        }
        if self.api_secret.is_empty() && self.api_secret_file.is_empty() {
            return fault("no global Wechat Api Secret set either inline or in a file");
        }
        if self.corp_id.is_empty() {
            self.corp_id.clone_from(&global.wechat_api_corp_id);
        }
        if self.corp_id.is_empty() { fault("no global Wechat CorpID set") } else { Ok(()) }
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let token = self.token(client, notification).await?;
            let content = json!({ "content": notification.text(&self.message)? });
            let empty = json!({ "content": "" });
            let is_markdown = self.message_type == "markdown";
            let (text, markdown) = if is_markdown { (empty, content) } else { (content, empty) };
            let mut message = json!({
                "text": text,
                "markdown": markdown,
                "safe": "0",
                "msgtype": if is_markdown { "markdown" } else { "text" },
            });
            for (name, template) in [
                ("touser", &self.to_user),
                ("toparty", &self.to_party),
                ("totag", &self.to_tag),
                ("agentid", &self.agent_id),
            ] {
                let value = notification.text(template)?;
                if !value.is_empty() {
                    message[name] = value.into();
                }
            }
            let mut url = self.api()?.join("message/send");
            url.query_pairs_mut().append_pair("access_token", token.reveal());
            let answer = send::send(client, send::post_json(url, &message)?).await?;
            match verdict(&answer.body)? {
                Verdict { errcode: 0, .. } => Ok(()),
                Verdict { errcode: TOKEN_EXPIRED, errmsg, .. } => {
                    *self.token.lock() = None;
                    Err(SendError::passing(errmsg))
                }
                Verdict { errmsg, .. } => Err(SendError::lasting(errmsg)),
            }
        })
    }
}
