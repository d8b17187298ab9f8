//! `nomad_sd_configs`: services registered in Nomad itself.

use http_client::InvalidSettings;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault, with_query};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `nomad_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    allow_stale: bool,
    namespace: String,
    refresh_interval: DurationMs,
    region: String,
    server: String,
    tag_separator: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_stale: true,
            namespace: "default".to_owned(),
            refresh_interval: DurationMs(60_000),
            region: "global".to_owned(),
            server: "http://localhost:4646".to_owned(),
            tag_separator: ",".to_owned(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.server.trim().is_empty() {
            return fault_at("server", "nomad SD configuration requires a server address");
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Namespace {
    services: Vec<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Service {
    service_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    service_name: String,
    namespace: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    datacenter: String,
    tags: Vec<String>,
    address: String,
    port: i64,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone() })
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let settings = &self.settings;
        let mut pairs =
            vec![("namespace", settings.namespace.as_str()), ("region", settings.region.as_str())];
        if settings.allow_stale {
            pairs.push(("stale", ""));
        }
        pairs.retain(|(name, value)| !value.is_empty() || *name == "stale");
        let url = with_query(&format!("{}/v1/{path}", settings.server.trim_end_matches('/')), pairs)?;
        self.api.send(self.api.client().get(url)).await?.json()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let namespaces: Vec<Namespace> = self.ask("services").await?;
        let mut targets = Vec::new();
        for service in namespaces.iter().flat_map(|namespace| &namespace.services) {
            let instances: Vec<Instance> = self.ask(&format!("service/{}", service.service_name)).await?;
            for instance in instances {
                let mut meta = Meta::new("__meta_nomad_");
                meta.address(&instance.address, instance.port)
                    .set("address", &instance.address)
                    .set("dc", &instance.datacenter)
                    .set("node_id", &instance.node_id)
                    .set("namespace", &instance.namespace)
                    .set("service_address", &instance.address)
                    .set("service_id", &instance.id)
                    .set("service_port", instance.port)
                    .set("service", &instance.service_name)
                    .set_list("tags", &self.settings.tag_separator, &instance.tags);
                targets.push(meta.build());
            }
        }
        Ok(vec![TargetGroup::of_targets("Nomad", targets)])
    }
}

#[cfg(test)]
mod tests;
