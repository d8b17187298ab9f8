//! PagerDuty: events of API v2 (a routing key), or of the older v1 (a service key).

use std::collections::BTreeMap;

use http_client::{Client, InvalidSettings, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::send::{self, truncate};
use super::{Kind, Notification, SendError, Sending, at_most_one, fault, http_kind};
use crate::config::Global;
use crate::config::values::GoDuration;
use crate::config::values::HttpUrl;

/// <https://developer.pagerduty.com/docs/events-api-v2-overview>: a larger event is refused.
const EVENT_BYTES_MAX: usize = 512_000;
const SUMMARY_CHARS_MAX: usize = 1024;
const V1_URL: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PagerDuty {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    service_key: Secret,
    service_key_file: String,
    routing_key: Secret,
    routing_key_file: String,
    url: Option<HttpUrl>,
    client: String,
    client_url: String,
    description: String,
    details: BTreeMap<String, Value>,
    images: Vec<Image>,
    links: Vec<Link>,
    source: String,
    severity: String,
    class: String,
    component: String,
    group: String,
    timeout: GoDuration,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Image {
    src: String,
    alt: String,
    href: String,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Link {
    href: String,
    text: String,
}

impl Default for PagerDuty {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            service_key: Secret::default(),
            service_key_file: String::new(),
            routing_key: Secret::default(),
            routing_key_file: String::new(),
            url: None,
            client: "{{ template \"pagerduty.default.client\" . }}".to_owned(),
            client_url: "{{ template \"pagerduty.default.clientURL\" . }}".to_owned(),
            description: "{{ template \"pagerduty.default.description\" . }}".to_owned(),
            details: BTreeMap::new(),
            images: Vec::new(),
            links: Vec::new(),
            source: String::new(),
            severity: String::new(),
            class: String::new(),
            component: String::new(),
            group: String::new(),
            timeout: GoDuration::default(),
        }
    }
}

const DEFAULT_DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ template \"pagerduty.default.instances\" .Alerts.Firing }}"),
    ("resolved", "{{ template \"pagerduty.default.instances\" .Alerts.Resolved }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

/// Drops what says nothing, as PagerDuty's own examples do.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| value.as_str() != Some(""));
            Value::Object(kept.collect())
        }
        other => other,
    }
}

impl PagerDuty {
    fn details(&self, notification: &Notification<'_>) -> Result<BTreeMap<String, Value>, SendError> {
        let defaults = DEFAULT_DETAILS.iter().filter(|(name, _)| !self.details.contains_key(*name));
        let defaults = defaults.map(|(name, text)| ((*name).to_owned(), Value::String((*text).to_owned())));
        let all = defaults.chain(self.details.iter().map(|(name, value)| (name.clone(), value.clone())));
        all.map(|(name, value)| Ok((name, notification.fill(&value)?))).collect()
    }

    async fn event_v2(&self, notification: &Notification<'_>) -> Result<Value, SendError> {
        let text = |template: &str| notification.text(template);
        let images = self.images.iter().map(|image| {
            let image = Image { src: text(&image.src)?, alt: text(&image.alt)?, href: text(&image.href)? };
            Ok(json!(image))
        });
        // Without an address there is nothing to show or follow.
        let images = images.filter(|image: &Result<Value, SendError>| {
            image.as_ref().map_or(true, |image| image["src"] != "")
        });
        let links = self
            .links
            .iter()
            .map(|link| Ok(json!(Link { href: text(&link.href)?, text: text(&link.text)? })));
        let links = links
            .filter(|link: &Result<Value, SendError>| link.as_ref().map_or(true, |link| link["href"] != ""));
        let images = images.map(|image| image.map(without_empty)).collect::<Result<Vec<_>, _>>()?;
        let links = links.map(|link| link.map(without_empty)).collect::<Result<Vec<_>, _>>()?;
        let severity = if self.severity.is_empty() { "error" } else { &self.severity };
        let source = if self.source.is_empty() { &self.client } else { &self.source };
        let key = send::secret_or_file("routing_key_file", &self.routing_key, &self.routing_key_file).await?;
        let payload = json!({
            "summary": truncate(&text(&self.description)?, SUMMARY_CHARS_MAX),
            "source": text(source)?,
            "severity": text(severity)?,
            "class": text(&self.class)?,
            "component": text(&self.component)?,
            "group": text(&self.group)?,
        });
        let mut payload = without_empty(payload);
        payload["custom_details"] = json!(self.details(notification)?);
        let mut event = without_empty(json!({
            "routing_key": text(&key)?,
            "dedup_key": notification.key_hash(),
            "event_action": if notification.is_firing() { "trigger" } else { "resolve" },
            "client": text(&self.client)?,
            "client_url": text(&self.client_url)?,
        }));
        event["payload"] = payload;
        if !images.is_empty() {
            event["images"] = Value::Array(images);
        }
        if !links.is_empty() {
            event["links"] = Value::Array(links);
        }
        if event.to_string().len() > EVENT_BYTES_MAX {
            event["payload"]["custom_details"] = json!({
                "error": "Custom details have been removed because the original event exceeds the maximum size of 512KB"
            });
        }
        Ok(event)
    }

    async fn event_v1(&self, notification: &Notification<'_>) -> Result<Value, SendError> {
        let text = |template: &str| notification.text(template);
        let key = send::secret_or_file("service_key_file", &self.service_key, &self.service_key_file).await?;
        let firing = notification.is_firing();
        let mut event = without_empty(json!({
            "service_key": text(&key)?,
            "incident_key": notification.key_hash(),
            "event_type": if firing { "trigger" } else { "resolve" },
            "description": truncate(&text(&self.description)?, SUMMARY_CHARS_MAX),
            "client": if firing { text(&self.client)? } else { String::new() },
            "client_url": if firing { text(&self.client_url)? } else { String::new() },
        }));
        event["details"] = json!(self.details(notification)?);
        Ok(event)
    }

    fn is_v1(&self) -> bool {
        !self.service_key.is_empty() || !self.service_key_file.is_empty()
    }
}

impl Kind for PagerDuty {
    http_kind!("pagerduty");

    fn check(&self) -> Result<(), InvalidSettings> {
        let (routing, service) = (!self.routing_key.is_empty(), !self.service_key.is_empty());
        if !routing && !service && self.routing_key_file.is_empty() && self.service_key_file.is_empty() {
            return fault("missing service or routing key in PagerDuty config");
        }
        at_most_one("routing_key", routing, "routing_key_file", &self.routing_key_file)?;
        at_most_one("service_key", service, "service_key_file", &self.service_key_file)
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        if self.url.is_none() {
            self.url.clone_from(&global.pagerduty_url);
        }
        if self.url.is_none() {
            return fault("no global PagerDuty URL set");
        }
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let default = || SendError::lasting("no PagerDuty URL");
            let configured = self.url.as_ref().ok_or_else(default)?;
            let v2 = Global::default().pagerduty_url;
            let (url, event) = if self.is_v1() {
                // The URL of all is that of v2.
                let v1 = HttpUrl::known(V1_URL);
                let url = if Some(configured) == v2.as_ref() { v1 } else { configured.clone() };
                (url, self.event_v1(notification).await?)
            } else {
                (configured.clone(), self.event_v2(notification).await?)
            };
            let request = send::post_json(url.url().clone(), &event)?;
            super::webhook::within(self.timeout, "PagerDuty", send::send(client, request)).await.map(|_| ())
        })
    }
}
