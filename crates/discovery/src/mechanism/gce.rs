//! `gce_sd_configs`: instances of Google Compute Engine in one zone.
//!
//! Map: here the instances · [`credentials`] who we are to Google.

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault, PAGES_MAX, with_query};
use crate::group::TargetGroup;
use crate::meta::{Meta, sanitized};
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};
use crate::token::Token;

mod credentials;

/// A section of `gce_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    project: String,
    zone: String,
    filter: String,
    refresh_interval: DurationMs,
    port: u16,
    tag_separator: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            project: String::new(),
            zone: String::new(),
            filter: String::new(),
            refresh_interval: DurationMs(60_000),
            port: 80,
            tag_separator: ",".to_owned(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        for (key, value) in [("project", &self.project), ("zone", &self.zone)] {
            if value.is_empty() {
                return fault_at(key, format!("GCE SD configuration requires a {key}"));
            }
        }
        Ok(())
    }

    fn set_directory(&mut self, _: &std::path::Path) {}

    async fn run(self, shared: Shared, publisher: Publisher) {
        refresh::run(self.refresh_interval, shared, publisher, |shared| Source::new(&self, shared)).await;
    }
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    shared: Shared,
    base: String,
    token: Option<Token>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    items: Vec<Instance>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    id: String,
    name: String,
    status: String,
    zone: String,
    machine_type: String,
    network_interfaces: Vec<Interface>,
    tags: Tags,
    metadata: Metadata,
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Interface {
    name: String,
    network: String,
    subnetwork: String,
    #[serde(rename = "networkIP")]
    network_ip: String,
    access_configs: Vec<AccessConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AccessConfig {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "natIP")]
    nat_ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tags {
    items: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    items: Vec<MetadataItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MetadataItem {
    key: String,
    value: String,
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        // The section has no settings of a client. Proxies are those of the environment, as for all of Google's own clients.
        let http = http_client::Settings { proxy_from_environment: true, ..Default::default() };
        let api = Api::new(&http, interval(settings.refresh_interval))?;
        let base = "https://compute.googleapis.com/compute/v1".to_owned();
        Ok(Self { api, settings: settings.clone(), shared: shared.clone(), base, token: None })
    }

    async fn page(&mut self, next: &str) -> Result<Page, Fault> {
        let token = match self.token.take().filter(Token::is_good) {
            Some(token) => token,
            None => credentials::fetch(&self.api, &self.shared).await?,
        };
        let Settings { project, zone, filter, .. } = &self.settings;
        let pairs = [("filter", filter.as_str()), ("pageToken", next)];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let url = with_query(&format!("{}/projects/{project}/zones/{zone}/instances", self.base), pairs)?;
        let mut request = self.api.client().get(url);
        token.authorize(&mut request)?;
        // One that was refused is not used again.
        let answer = self.api.send(request).await?;
        self.token = Some(token);
        answer.json()
    }

    fn target(&self, instance: &Instance) -> Option<Labels> {
        let first = instance.network_interfaces.first()?;
        let mut meta = Meta::new("__meta_gce_");
        meta.address(&first.network_ip, self.settings.port)
            .set("project", &self.settings.project)
            .set("zone", &instance.zone)
            .set("instance_id", &instance.id)
            .set("instance_name", &instance.name)
            .set("instance_status", &instance.status)
            .set("machine_type", &instance.machine_type)
            .set("network", &first.network)
            .set("subnetwork", &first.subnetwork)
            .set("private_ip", &first.network_ip)
            .set_list("tags", &self.settings.tag_separator, &instance.tags.items)
            .set_each("metadata_", instance.metadata.items.iter().map(|item| (&item.key, &item.value)))
            .set_each("label_", &instance.labels);
        for interface in &instance.network_interfaces {
            meta.set(format_args!("interface_ipv4_{}", sanitized(&interface.name)), &interface.network_ip);
        }
        if let Some(access) = first.access_configs.first().filter(|access| access.kind == "ONE_TO_ONE_NAT") {
            meta.set("public_ip", &access.nat_ip);
        }
        Some(meta.build())
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let mut targets = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let page = self.page(&next).await?;
            targets.extend(page.items.iter().filter_map(|instance| self.target(instance)));
            next = page.next_page_token;
            if next.is_empty() {
                break;
            }
        }
        let source = format!("GCE_{}_{}", self.settings.project, self.settings.zone);
        Ok(vec![TargetGroup::of_targets(source, targets)])
    }
}

#[cfg(test)]
mod tests;
