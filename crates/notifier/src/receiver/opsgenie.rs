//! OpsGenie: an alert is created, changed if wanted, and closed; all under an alias made of the group's key.

use std::collections::BTreeMap;

use http_client::{Client, InvalidSettings, Method, Request, Secret};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::send::{self, is_empty, truncate};
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

/// <https://docs.opsgenie.com/docs/alert-api>: longer texts are refused.
const MESSAGE_CHARS_MAX: usize = 130;
const DESCRIPTION_CHARS_MAX: usize = 15_000;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OpsGenie {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_key: Secret,
    api_key_file: String,
    api_url: Option<HttpUrl>,
    message: String,
    description: String,
    source: String,
    details: BTreeMap<String, String>,
    entity: String,
    responders: Vec<Responder>,
    actions: String,
    tags: String,
    note: String,
    priority: String,
    update_alerts: bool,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Responder {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize)]
struct Create {
    alias: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    details: BTreeMap<String, String>,
    source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<Responder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    entity: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
}

impl Default for OpsGenie {
    fn default() -> Self {
        let named = |name: &str| format!("{{{{ template \"opsgenie.default.{name}\" . }}}}");
        Self {
            send_resolved: true,
            http_config: None,
            api_key: Secret::default(),
            api_key_file: String::new(),
            api_url: None,
            message: named("message"),
            description: named("description"),
            source: named("source"),
            details: BTreeMap::new(),
            entity: String::new(),
            responders: Vec::new(),
            actions: String::new(),
            tags: String::new(),
            note: String::new(),
            priority: String::new(),
            update_alerts: false,
        }
    }
}

impl Responder {
    fn check(&self) -> Result<(), InvalidSettings> {
        let shown = format!("{{{} {} {} {}}}", self.id, self.name, self.username, self.kind);
        if self.id.is_empty() && self.username.is_empty() && self.name.is_empty() {
            return fault(format!(
                "opsGenieConfig responder {shown} has to have at least one of id, username or name specified"
            ));
        }
        let kind = self.kind.to_lowercase();
        if self.kind.contains("{{")
            || ["team", "teams", "user", "escalation", "schedule"].contains(&kind.as_str())
        {
            return Ok(());
        }
        fault(format!(
            "opsGenieConfig responder {shown} type does not match valid options ^(team|teams|user|escalation|schedule)$"
        ))
    }
}

/// A list in one text, separated by commas; empty elements count for nothing.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty()).map(str::to_owned).collect()
}

impl OpsGenie {
    fn create(&self, notification: &Notification<'_>) -> Result<Create, SendError> {
        let text = |template: &str| notification.text(template);
        let mut details = notification.data.common_labels.clone();
        for (name, template) in &self.details {
            details.insert(name.clone(), text(template)?);
        }
        let mut responders = Vec::new();
        for responder in &self.responders {
            let filled = Responder {
                id: text(&responder.id)?,
                name: text(&responder.name)?,
                username: text(&responder.username)?,
                kind: text(&responder.kind)?.to_lowercase(),
            };
            // Several teams in one text become one responder each.
            if filled.kind == "teams" {
                let named = list(&filled.name).into_iter();
                responders.extend(named.map(|name| Responder {
                    name,
                    kind: "team".to_owned(),
                    ..Responder::default()
                }));
            } else if !(is_empty(&filled.id) && is_empty(&filled.name) && is_empty(&filled.username)) {
                responders.push(filled);
            }
        }
        Ok(Create {
            alias: notification.key_hash(),
            message: truncate(&text(&self.message)?, MESSAGE_CHARS_MAX),
            description: truncate(&text(&self.description)?, DESCRIPTION_CHARS_MAX),
            details,
            source: text(&self.source)?,
            responders,
            tags: list(&text(&self.tags)?),
            note: text(&self.note)?,
            priority: text(&self.priority)?,
            entity: text(&self.entity)?,
            actions: list(&text(&self.actions)?),
        })
    }

    fn requests(&self, notification: &Notification<'_>) -> Result<Vec<Request>, SendError> {
        let api = self.api_url.as_ref().ok_or_else(|| SendError::lasting("no OpsGenie URL"))?;
        let alias = notification.key_hash();
        let of_alert = |what: &str| {
            let mut url = api.join(&format!("v2/alerts/{alias}/{what}"));
            url.set_query(Some("identifierType=alias"));
            url
        };
        if !notification.is_firing() {
            let source = notification.text(&self.source)?;
            return Ok(vec![send::post_json(of_alert("close"), &json!({ "source": source }))?]);
        }
        let create = self.create(notification)?;
        let mut requests = vec![send::post_json(api.join("v2/alerts"), &create)?];
        if self.update_alerts {
            let message = json!({ "message": create.message });
            requests.push(send::with_json(Method::PUT, of_alert("message"), &message)?);
            let description = json!({ "description": create.description });
            requests.push(send::with_json(Method::PUT, of_alert("description"), &description)?);
        }
        Ok(requests)
    }
}

impl Kind for OpsGenie {
    http_kind!("opsgenie");

    fn from_nothing() -> Result<Self, InvalidSettings> {
        Ok(Self::default())
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        at_most_one("api_key", !self.api_key.is_empty(), "api_key_file", &self.api_key_file)?;
        for (at, responder) in self.responders.iter().enumerate() {
            responder.check().map_err(|error| error.within(at).within("responders"))?;
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.opsgenie_api_url);
        }
        if self.api_url.is_none() {
            return fault("no global OpsGenie URL set");
        }
        if self.api_key.is_empty() && self.api_key_file.is_empty() {
            self.api_key = global.opsgenie_api_key.clone();
            self.api_key_file.clone_from(&global.opsgenie_api_key_file);
        }
        if self.api_key.is_empty() && self.api_key_file.is_empty() {
            return fault("no global OpsGenie API Key set either inline or in a file");
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let key = send::secret_or_file("api_key_file", &self.api_key, &self.api_key_file).await?;
            let key = format!("GenieKey {}", notification.text(&key)?);
            for mut request in self.requests(notification)? {
                send::set_secret_header(&mut request, "authorization", &key)?;
                send::send(client, request).await?;
            }
            Ok(())
        })
    }
}
