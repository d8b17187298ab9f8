//! `global`: what receivers take where they say nothing themselves.

use http_client::settings::TlsSettings;
use http_client::{InvalidSettings, Secret};
use model::time::DurationMs;
use serde::Deserialize;

use super::values::{HostPort, HttpUrl, SecretUrl};

/// The `global` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Global {
    /// After this time an alert that nobody repeats counts as resolved.
    pub resolve_timeout: DurationMs,
    pub(crate) http_config: http_client::Settings,
    pub(crate) jira_api_url: Option<HttpUrl>,
    pub(crate) smtp_from: String,
    pub(crate) smtp_hello: String,
    pub(crate) smtp_smarthost: HostPort,
    pub(crate) smtp_auth_username: String,
    pub(crate) smtp_auth_password: Secret,
    pub(crate) smtp_auth_password_file: String,
    pub(crate) smtp_auth_secret: Secret,
    pub(crate) smtp_auth_secret_file: String,
    pub(crate) smtp_auth_identity: String,
    pub(crate) smtp_require_tls: bool,
    pub(crate) smtp_tls_config: TlsSettings,
    pub(crate) smtp_force_implicit_tls: Option<bool>,
    pub(crate) slack_api_url: Option<SecretUrl>,
    pub(crate) slack_api_url_file: String,
    pub(crate) slack_app_token: Secret,
    pub(crate) slack_app_token_file: String,
    pub(crate) slack_app_url: Option<HttpUrl>,
    pub(crate) pagerduty_url: Option<HttpUrl>,
    pub(crate) opsgenie_api_url: Option<HttpUrl>,
    pub(crate) opsgenie_api_key: Secret,
    pub(crate) opsgenie_api_key_file: String,
    pub(crate) wechat_api_url: Option<HttpUrl>,
    pub(crate) wechat_api_secret: Secret,
    pub(crate) wechat_api_secret_file: String,
    pub(crate) wechat_api_corp_id: String,
    pub(crate) victorops_api_url: Option<HttpUrl>,
    pub(crate) victorops_api_key: Secret,
    pub(crate) victorops_api_key_file: String,
    pub(crate) telegram_api_url: Option<HttpUrl>,
    pub(crate) telegram_bot_token: Secret,
    pub(crate) telegram_bot_token_file: String,
    pub(crate) webex_api_url: Option<HttpUrl>,
    pub(crate) rocketchat_api_url: Option<HttpUrl>,
    pub(crate) rocketchat_token: Secret,
    pub(crate) rocketchat_token_file: String,
    pub(crate) rocketchat_token_id: Secret,
    pub(crate) rocketchat_token_id_file: String,
    pub(crate) mattermost_webhook_url: Option<SecretUrl>,
    pub(crate) mattermost_webhook_url_file: String,
}

impl Default for Global {
    fn default() -> Self {
        let url = |text: &str| Some(HttpUrl::known(text));
        Self {
            resolve_timeout: DurationMs(5 * 60_000),
            http_config: http_client::Settings::default(),
            jira_api_url: None,
            smtp_from: String::new(),
            smtp_hello: "localhost".to_owned(),
            smtp_smarthost: HostPort::default(),
            smtp_auth_username: String::new(),
            smtp_auth_password: Secret::default(),
            smtp_auth_password_file: String::new(),
            smtp_auth_secret: Secret::default(),
            smtp_auth_secret_file: String::new(),
            smtp_auth_identity: String::new(),
            smtp_require_tls: true,
            smtp_tls_config: TlsSettings::default(),
            smtp_force_implicit_tls: None,
            slack_api_url: None,
            slack_api_url_file: String::new(),
            slack_app_token: Secret::default(),
            slack_app_token_file: String::new(),
            slack_app_url: url("https://slack.com/api/chat.postMessage"),
            pagerduty_url: url("https://events.pagerduty.com/v2/enqueue"),
            opsgenie_api_url: url("https://api.opsgenie.com/"),
            opsgenie_api_key: Secret::default(),
            opsgenie_api_key_file: String::new(),
            wechat_api_url: url("https://qyapi.weixin.qq.com/cgi-bin/"),
            wechat_api_secret: Secret::default(),
            wechat_api_secret_file: String::new(),
            wechat_api_corp_id: String::new(),
            victorops_api_url: url("https://alert.victorops.com/integrations/generic/20131114/alert/"),
            victorops_api_key: Secret::default(),
            victorops_api_key_file: String::new(),
            telegram_api_url: url("https://api.telegram.org"),
            telegram_bot_token: Secret::default(),
            telegram_bot_token_file: String::new(),
            webex_api_url: url("https://webexapis.com/v1/messages"),
            rocketchat_api_url: url("https://open.rocket.chat/"),
            rocketchat_token: Secret::default(),
            rocketchat_token_file: String::new(),
            rocketchat_token_id: Secret::default(),
            rocketchat_token_id_file: String::new(),
            mattermost_webhook_url: None,
            mattermost_webhook_url_file: String::new(),
        }
    }
}

impl Global {
    /// Checks what excludes each other, in Alertmanager's words and order.
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        self.http_config.check().map_err(|error| error.within("http_config"))?;
        self.smtp_tls_config.check().map_err(|error| error.within("smtp_tls_config"))?;
        let pairs = [
            ("slack_app_token", !self.slack_app_token.is_empty(), &self.slack_app_token_file),
            ("slack_api_url", self.slack_api_url.is_some(), &self.slack_api_url_file),
            ("opsgenie_api_key", !self.opsgenie_api_key.is_empty(), &self.opsgenie_api_key_file),
            ("victorops_api_key", !self.victorops_api_key.is_empty(), &self.victorops_api_key_file),
            ("telegram_bot_token", !self.telegram_bot_token.is_empty(), &self.telegram_bot_token_file),
            ("smtp_auth_password", !self.smtp_auth_password.is_empty(), &self.smtp_auth_password_file),
            ("rocketchat_token", !self.rocketchat_token.is_empty(), &self.rocketchat_token_file),
            ("rocketchat_token_id", !self.rocketchat_token_id.is_empty(), &self.rocketchat_token_id_file),
            ("smtp_auth_secret", !self.smtp_auth_secret.is_empty(), &self.smtp_auth_secret_file),
            ("wechat_api_secret", !self.wechat_api_secret.is_empty(), &self.wechat_api_secret_file),
            (
                "mattermost_webhook_url",
                self.mattermost_webhook_url.is_some(),
                &self.mattermost_webhook_url_file,
            ),
        ];
        for (at, (key, is_set, file)) in pairs.into_iter().enumerate() {
            if is_set && !file.is_empty() {
                let message = format!("at most one of {key} & {key}_file must be configured");
                return Err(InvalidSettings::at([format!("{key}_file")], message));
            }
            if at == 1 {
                self.check_slack()?;
            }
        }
        Ok(())
    }

    /// A token beside a URL is fine only where the URL is that of Slack's API, an older way to use tokens.
    fn check_slack(&self) -> Result<(), InvalidSettings> {
        let token = !self.slack_app_token.is_empty() || !self.slack_app_token_file.is_empty();
        let url = self.slack_api_url.is_some() || !self.slack_api_url_file.is_empty();
        let app = self.slack_app_url.as_ref().map(HttpUrl::url);
        if token && url && self.slack_api_url.as_ref().and_then(SecretUrl::url) != app {
            return Err(InvalidSettings::at(
                ["slack_app_token"],
                "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured",
            ));
        }
        Ok(())
    }
}
