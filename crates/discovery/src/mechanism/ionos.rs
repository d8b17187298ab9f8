//! `ionos_sd_configs`: servers of one data centre of IONOS Cloud.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault};
use crate::group::TargetGroup;
use crate::meta::{Meta, sanitized, surrounded};
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `ionos_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    datacenter_id: String,
    port: u16,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            datacenter_id: String::new(),
            port: 80,
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.datacenter_id.is_empty() {
            return fault_at("datacenter_id", "datacenter id can't be empty");
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    base: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Servers {
    id: String,
    items: Vec<Server>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    id: String,
    metadata: State,
    properties: Properties,
    entities: Entities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Properties {
    name: String,
    availability_zone: String,
    cpu_family: String,
    vm_state: String,
    #[serde(rename = "type")]
    kind: String,
    boot_cdrom: Reference,
    boot_volume: Reference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entities {
    nics: Items<Nic>,
    volumes: Items<Volume>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound = "T: Deserialize<'de> + Default")]
struct Items<T> {
    items: Vec<Item<T>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound = "T: Deserialize<'de> + Default")]
struct Item<T> {
    properties: T,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nic {
    name: Option<String>,
    ips: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume {
    image: String,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone(), base: "https://api.ionos.com/cloudapi/v6".to_owned() })
    }

    /// A server without an address is no target.
    fn target(&self, all: &str, server: &Server) -> Option<Labels> {
        let mut by_nic = BTreeMap::<&str, Vec<&str>>::new();
        let mut ips = Vec::new();
        // The newest network interface comes first.
        for Item { properties: nic } in server.entities.nics.items.iter().rev() {
            let own = nic.ips.iter().map(String::as_str);
            ips.extend(own.clone());
            by_nic.entry(nic.name.as_deref().unwrap_or("unnamed")).or_default().extend(own);
        }
        let properties = &server.properties;
        let image = server.entities.volumes.items.first().map(|volume| &volume.properties.image);
        let mut meta = Meta::new("__meta_ionos_server_");
        meta.address(ips.first()?, self.settings.port)
            .set("availability_zone", &properties.availability_zone)
            .set("cpu_family", &properties.cpu_family)
            .set("servers_id", all)
            .set("id", &server.id)
            .set_list("ip", ",", &ips)
            .set("lifecycle", &server.metadata.state)
            .set("name", &properties.name)
            .set("state", &properties.vm_state)
            .set("type", &properties.kind)
            .set("boot_cdrom_id", &properties.boot_cdrom.id)
            .set("boot_volume_id", &properties.boot_volume.id)
            .set_some("boot_image_id", image);
        for (name, ips) in by_nic {
            meta.set(format_args!("nic_ip_{}", sanitized(name)), surrounded(",", &ips));
        }
        Some(meta.build())
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let id = &self.settings.datacenter_id;
        let url = format!("{}/datacenters/{id}/servers?depth=3", self.base);
        let servers: Servers = self.api.get_json(&url).await?;
        let targets = servers.items.iter().filter_map(|server| self.target(&servers.id, server)).collect();
        Ok(vec![TargetGroup::of_targets("ionos", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, check_targets, shared};

    #[tokio::test]
    async fn servers_with_addresses_by_network_interface() {
        let (server, recorded) = testing::Server::recorded(include_str!("../../testdata/ionos.txt")).await;
        let settings: Settings =
            testing::settings("{datacenter_id: ID, authorization: {credentials: TOKEN}}");
        settings.check().unwrap();
        let mut source = Source::new(&settings, &shared(&[])).unwrap();
        source.base = format!("{}/cloudapi/v6", server.url);
        check_targets(&source.refresh().await.unwrap(), recorded.targets("ionos"));
        let fault = testing::settings::<Settings>("{}").check().expect_err("no id");
        assert_eq!(fault.message, "datacenter id can't be empty");
    }
}
