//! Jira: an issue is created for a group, found again by a label, changed, closed and reopened.

use std::collections::BTreeMap;

use http_client::{Client, InvalidSettings, Method, Request, Url, header};
use model::time::DurationMs;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, fault, http_kind};
use crate::config::Global;
use crate::config::values::HttpUrl;

const SUMMARY_CHARS_MAX: usize = 255;
const DESCRIPTION_CHARS_MAX: usize = 32_767;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jira {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_url: Option<HttpUrl>,
    api_type: String,
    project: String,
    summary: TextField,
    description: TextField,
    labels: LabelList,
    priority: String,
    issue_type: String,
    reopen_transition: String,
    resolve_transition: String,
    wont_fix_resolution: String,
    reopen_duration: DurationMs,
    #[serde(alias = "custom_fields")]
    fields: BTreeMap<String, Value>,
}

/// A template, and whether it is told again when the issue changes.
#[derive(Debug, Clone)]
struct TextField {
    template: Option<String>,
    enable_update: bool,
}

#[derive(Debug, Clone)]
struct LabelList {
    values: Vec<String>,
    enable_update: bool,
}

impl<'de> Deserialize<'de> for TextField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default, deny_unknown_fields)]
        struct Long {
            template: Option<String>,
            enable_update: Option<bool>,
        }
        let long = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(Self { template: None, enable_update: true }),
            object @ Value::Object(_) => Long::deserialize(object).map_err(serde::de::Error::custom)?,
            Value::String(template) => Long { template: Some(template), enable_update: None },
            other => Long { template: Some(other.to_string()), enable_update: None },
        };
        Ok(Self { template: long.template, enable_update: long.enable_update.unwrap_or(true) })
    }
}

impl<'de> Deserialize<'de> for LabelList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default, deny_unknown_fields)]
        struct Long {
            values: Vec<String>,
            enable_update: Option<bool>,
        }
        let long = match Value::deserialize(deserializer)? {
            Value::Null => Long::default(),
            list @ Value::Array(_) => Long {
                values: Vec::deserialize(list).map_err(serde::de::Error::custom)?,
                enable_update: None,
            },
            other => Long::deserialize(other).map_err(serde::de::Error::custom)?,
        };
        Ok(Self { values: long.values, enable_update: long.enable_update.unwrap_or(true) })
    }
}

impl Default for Jira {
    fn default() -> Self {
        let field = || TextField { template: None, enable_update: true };
        Self {
            send_resolved: true,
            http_config: None,
            api_url: None,
            api_type: "auto".to_owned(),
            project: String::new(),
            summary: field(),
            description: field(),
            labels: LabelList { values: Vec::new(), enable_update: true },
            priority: "{{ template \"jira.default.priority\" . }}".to_owned(),
            issue_type: String::new(),
            reopen_transition: String::new(),
            resolve_transition: String::new(),
            wont_fix_resolution: String::new(),
            reopen_duration: DurationMs(0),
            fields: BTreeMap::new(),
        }
    }
}

/// What is known of an issue that is there.
#[derive(Debug, Deserialize)]
struct Found {
    key: String,
    #[serde(default)]
    fields: Value,
}

impl Found {
    fn is_done(&self) -> Option<bool> {
        Some(self.fields.pointer("/status/statusCategory/key")?.as_str()? == "done")
    }
}

/// How a text stands in a query of Jira.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Jira {
    fn api(&self) -> Result<&HttpUrl, SendError> {
        self.api_url.as_ref().ok_or_else(|| SendError::lasting("no Jira URL"))
    }

    fn is_v3(&self) -> bool {
        self.api_url.as_ref().is_some_and(|url| url.base().ends_with("/3"))
    }

    async fn call(
        &self,
        client: &Client,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Vec<u8>, SendError> {
        let what = format!("{method} request to {:?}", url.path());
        let mut request = match body {
            Some(body) => send::with_json(method, url, &body)?,
            None => Request::new(method, url),
        };
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_LANGUAGE, header::HeaderValue::from_static("en"));
        let sent = send::send(client, request).await;
        sent.map(|answer| answer.body).map_err(|error| error.within(format_args!("failed to {what}")))
    }

    fn label(notification: &Notification<'_>) -> String {
        format!("ALERT{{{}}}", notification.key_hash())
    }

    /// The question for an issue of this group: an open one, or one that may be opened again.
    fn query(&self, notification: &Notification<'_>) -> Result<String, SendError> {
        let mut query = String::new();
        if !self.wont_fix_resolution.is_empty() {
            query.push_str(&format!("resolution != {} and ", quoted(&self.wont_fix_resolution)));
        }
        let minutes = self.reopen_duration.0 / 60_000;
        if notification.is_firing() && !self.reopen_transition.is_empty() && minutes > 0 {
            query.push_str(&format!("(resolutiondate is EMPTY OR resolutiondate >= -{minutes}m) and "));
        } else {
            query.push_str("statusCategory != Done and ");
        }
        let project = quoted(&notification.text(&self.project)?);
        let label = quoted(&Self::label(notification));
        query.push_str(&format!(
            "project={project} and labels={label} order by status ASC,resolutiondate DESC"
        ));
        Ok(query)
    }

    async fn find(
        &self,
        client: &Client,
        notification: &Notification<'_>,
    ) -> Result<Option<Found>, SendError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            issues: Vec<Found>,
        }
        let api = self.api()?;
        let in_cloud = api.url().host_str().is_some_and(|host| host.ends_with("atlassian.net"));
        // The older question is gone from the cloud, the newer one has not come to data centers.
        let url = if self.api_type == "cloud" || (self.api_type == "auto" && in_cloud) {
            let newer = api.join("search/jql");
            let mut url = newer.clone();
            url.set_path(&newer.path().replacen("/2", "/3", 1));
            url
        } else {
            api.join("search")
        };
        let body = json!({ "jql": self.query(notification)?, "maxResults": 2, "fields": ["status"] });
        let answer = self.call(client, Method::POST, url, Some(body)).await?;
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|error| SendError::lasting(format!("Jira's answer cannot be read: {error}")))?;
        Ok(answer.issues.into_iter().next())
    }

    fn issue(&self, notification: &Notification<'_>, is_update: bool) -> Result<Value, SendError> {
        let text = |template: &str| notification.text(template);
        let mut fields = serde_json::Map::new();
        let of = |field: &TextField, name: &str| match &field.template {
            Some(template) => text(template),
            None => text(&format!("{{{{ template \"jira.default.{name}\" . }}}}")),
        };
        fields.insert("project".to_owned(), json!({ "key": text(&self.project)? }));
        fields.insert("issuetype".to_owned(), json!({ "name": text(&self.issue_type)? }));
        if !is_update || self.summary.enable_update {
            let summary = truncate(&of(&self.summary, "summary")?, SUMMARY_CHARS_MAX);
            fields.insert("summary".to_owned(), summary.into());
        }
        if !is_update || self.description.enable_update {
            let description = truncate(&of(&self.description, "description")?, DESCRIPTION_CHARS_MAX);
            // Version 3 wants a document instead of a text.
            let description = match self.is_v3() {
                false => Value::String(description),
                true => serde_json::from_str(&description).unwrap_or_else(|_| document(&description)),
            };
            fields.insert("description".to_owned(), description);
        }
        if !is_update || self.labels.enable_update {
            let labels = self.labels.values.iter().map(|label| text(label));
            let mut labels = labels.chain([Ok(Self::label(notification))]).collect::<Result<Vec<_>, _>>()?;
            labels.sort();
            fields.insert("labels".to_owned(), labels.into());
        }
        let priority = text(&self.priority)?;
        if !priority.is_empty() {
            fields.insert("priority".to_owned(), json!({ "name": priority }));
        }
        for (name, value) in &self.fields {
            fields.insert(name.clone(), notification.fill(value)?);
        }
        Ok(json!({ "fields": fields }))
    }

    /// Opens what was closed, closes what is over, if the settings name the way.
    async fn move_on(
        &self,
        client: &Client,
        notification: &Notification<'_>,
        found: &Found,
    ) -> Result<(), SendError> {
        #[derive(Deserialize)]
        struct Transition {
            id: String,
            name: String,
        }
        #[derive(Deserialize)]
        struct Transitions {
            transitions: Vec<Transition>,
        }
        let wanted = match (notification.is_firing(), found.is_done()) {
            (true, Some(true)) => &self.reopen_transition,
            (false, Some(false)) => &self.resolve_transition,
            _ => return Ok(()),
        };
        if wanted.is_empty() {
            return Ok(());
        }
        let url = self.api()?.join(&format!("issue/{}/transitions", found.key));
        let answer = self.call(client, Method::GET, url.clone(), None).await?;
        let known: Transitions = serde_json::from_slice(&answer)
            .map_err(|error| SendError::lasting(format!("Jira's answer cannot be read: {error}")))?;
        let Some(way) = known.transitions.iter().find(|way| way.name == *wanted) else {
            return Err(SendError::lasting(format!(
                "can't find transition {wanted} for issue {}",
                found.key
            )));
        };
        self.call(client, Method::POST, url, Some(json!({ "transition": { "id": way.id } }))).await?;
        Ok(())
    }
}

/// A text as the smallest document.
fn document(text: &str) -> Value {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    let content: Vec<Value> = paragraphs
        .map(|paragraph| json!({ "type": "paragraph", "content": [{ "type": "text", "text": paragraph }] }))
        .collect();
    json!({ "version": 1, "type": "doc", "content": content })
}

impl Kind for Jira {
    http_kind!("jira");

    fn check(&self) -> Result<(), InvalidSettings> {
        if self.project.is_empty() {
            return fault("missing project in jira_config");
        }
        if self.issue_type.is_empty() {
            return fault("missing issue_type in jira_config");
        }
        if !["auto", "cloud", "datacenter"].contains(&self.api_type.as_str()) {
            let message = "unknown api_type on jira_config, must be auto, cloud or datacenter";
            return Err(InvalidSettings::at(["api_type"], message));
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.api_url.is_none() {
            self.api_url.clone_from(&global.jira_api_url);
        }
        if self.api_url.is_none() { fault("no global Jira Cloud URL set") } else { Ok(()) }
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let found = self.find(client, notification).await;
            let found = found.map_err(|error| error.within("failed to look up existing issues"))?;
            match found {
                // Nobody wants an issue about what is over.
                None if !notification.is_firing() => Ok(()),
                None => {
                    let issue = self.issue(notification, false)?;
                    let url = self.api()?.join("issue");
                    self.call(client, Method::POST, url, Some(issue)).await.map(|_| ())
                }
                Some(found) => {
                    let issue = self.issue(notification, true)?;
                    let url = self.api()?.join(&format!("issue/{}", found.key));
                    self.call(client, Method::PUT, url, Some(issue)).await?;
                    self.move_on(client, notification, &found).await
                }
            }
        })
    }
}
