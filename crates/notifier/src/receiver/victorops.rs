//! Splunk On-Call, formerly VictorOps: one JSON object of texts to a URL that holds the key.

use std::collections::BTreeMap;

use http_client::{Client, InvalidSettings, Secret};
use serde::Deserialize;

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

const MESSAGE_CHARS_MAX: usize = 20_480;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VictorOps {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_key: Secret,
    api_key_file: String,
    api_url: Option<HttpUrl>,
    routing_key: String,
    message_type: String,
    state_message: String,
    entity_display_name: String,
    monitoring_tool: String,
    custom_fields: BTreeMap<String, String>,
}

impl Default for VictorOps {
    fn default() -> Self {
        let named = |name: &str| format!("{{{{ template \"victorops.default.{name}\" . }}}}");
        Self {
            send_resolved: true,
            http_config: None,
            api_key: Secret::default(),
            api_key_file: String::new(),
            api_url: None,
            routing_key: String::new(),
            message_type: "CRITICAL".to_owned(),
            state_message: named("state_message"),
            entity_display_name: named("entity_display_name"),
            monitoring_tool: named("monitoring_tool"),
            custom_fields: BTreeMap::new(),
        }
    }
}

impl VictorOps {
    fn message(&self, notification: &Notification<'_>) -> Result<BTreeMap<String, String>, SendError> {
        let text = |template: &str| notification.text(template);
        let wanted = text(&self.message_type)?;
        let message_type = match (notification.is_firing(), wanted.as_str()) {
            (false, _) => "RECOVERY".to_owned(),
            (true, "INFO" | "WARNING" | "CRITICAL") => wanted,
            (true, _) => "CRITICAL".to_owned(),
        };
        let fixed = [
            ("message_type", message_type),
            ("entity_id", notification.key_hash()),
            ("entity_display_name", text(&self.entity_display_name)?),
            ("state_message", truncate(&text(&self.state_message)?, MESSAGE_CHARS_MAX)),
            ("monitoring_tool", text(&self.monitoring_tool)?),
        ];
        let mut message: BTreeMap<String, String> =
            fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, template) in &self.custom_fields {
            message.insert(name.clone(), text(template)?);
        }
        Ok(message)
    }
}

impl Kind for VictorOps {
    http_kind!("victorops");

    fn check(&self) -> Result<(), InvalidSettings> {
        if self.routing_key.is_empty() {
            return fault("missing Routing key in VictorOps config");
        }
        at_most_one("api_key", !self.api_key.is_empty(), "api_key_file", &self.api_key_file)?;
        let reserved = [
            "routing_key",
            "message_type",
            "state_message",
            "entity_display_name",
            "monitoring_tool",
            "entity_id",
            "entity_state",
        ];
        match reserved.into_iter().find(|name| self.custom_fields.contains_key(*name)) {
            Some(name) => Err(InvalidSettings::at(
                ["custom_fields", name],
                format!(
                    "victorOps config contains custom field {name} which cannot be used as it conflicts with the fixed/static fields"
                ),
            )),
            None => Ok(()),
        }
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.victorops_api_url);
        }
        if self.api_url.is_none() {
            return fault("no global VictorOps URL set");
        }
        if self.api_key.is_empty() && self.api_key_file.is_empty() {
            self.api_key = global.victorops_api_key.clone();
            self.api_key_file.clone_from(&global.victorops_api_key_file);
        }
        if self.api_key.is_empty() && self.api_key_file.is_empty() {
            return fault("no global VictorOps API Key set");
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let api = self.api_url.as_ref().ok_or_else(|| SendError::lasting("no VictorOps URL"))?;
            let key = send::secret_or_file("api_key_file", &self.api_key, &self.api_key_file).await?;
            let url = api.join(&format!("{key}/{}", notification.text(&self.routing_key)?));
            let request = send::post_json(url, &self.message(notification)?)?;
            send::send(client, request).await.map(|_| ())
        })
    }
}
