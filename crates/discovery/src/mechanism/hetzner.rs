//! `hetzner_sd_configs`: servers of Hetzner Cloud (`hcloud`) and dedicated ones (`robot`).

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault, PAGES_MAX, with_query};
use crate::group::TargetGroup;
use crate::meta::{Meta, sanitized};
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `hetzner_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    role: String,
    port: u16,
    refresh_interval: DurationMs,
    label_selector: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: String::new(),
            port: 80,
            refresh_interval: DurationMs(60_000),
            label_selector: String::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        match self.role.as_str() {
            "robot" | "hcloud" => self.http.check(),
            "" => fault_at("role", "role missing (one of: robot, hcloud)"),
            other => fault_at("role", format!("unknown role {other:?}; use one of: robot, hcloud")),
        }
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    base: String,
}

/// A page of a list; the list itself stands under a key of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page<T> {
    #[serde(alias = "servers", alias = "networks")]
    items: Vec<T>,
    meta: PageMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PageMeta {
    pagination: Pagination,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pagination {
    next_page: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    id: i64,
    name: String,
    status: String,
    public_net: PublicNet,
    private_net: Vec<PrivateNet>,
    server_type: ServerType,
    datacenter: Datacenter,
    image: Option<Image>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PublicNet {
    ipv4: Ip,
    ipv6: Ip,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PrivateNet {
    network: i64,
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerType {
    name: String,
    cores: i64,
    cpu_type: String,
    memory: f64,
    disk: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Datacenter {
    name: String,
    location: Location,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    name: String,
    network_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    name: String,
    description: String,
    os_flavor: String,
    os_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    id: i64,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RobotEntry {
    server: RobotServer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RobotServer {
    server_ip: String,
    server_number: i64,
    server_name: String,
    dc: String,
    status: String,
    product: String,
    cancelled: bool,
    subnet: Vec<RobotSubnet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RobotSubnet {
    ip: String,
    mask: String,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        let base = match settings.role.as_str() {
            "robot" => "https://robot-ws.your-server.de",
            _ => "https://api.hetzner.cloud/v1",
        };
        Ok(Self { api, settings: settings.clone(), base: base.to_owned() })
    }

    async fn all<T: DeserializeOwned + Default>(&self, what: &str, selector: &str) -> Result<Vec<T>, Fault> {
        let mut items = Vec::new();
        let mut page = 1;
        for _ in 0..PAGES_MAX {
            let mut pairs = vec![("page", page.to_string()), ("per_page", "50".to_owned())];
            if !selector.is_empty() {
                pairs.push(("label_selector", selector.to_owned()));
            }
            let url = with_query(&format!("{}/{what}", self.base), pairs)?;
            let answer: Page<T> = self.api.send(self.api.client().get(url)).await?.json()?;
            items.extend(answer.items);
            page = answer.meta.pagination.next_page;
            if page == 0 {
                break;
            }
        }
        Ok(items)
    }

    fn cloud(&self, server: &Server, networks: &[Network]) -> Labels {
        let Server { public_net, server_type, datacenter, .. } = server;
        let mut meta = Meta::new("__meta_hetzner_");
        if !public_net.ipv4.ip.is_empty() {
            meta.address(&public_net.ipv4.ip, self.settings.port);
        }
        meta.set("role", "hcloud")
            .set("server_id", server.id)
            .set("server_name", &server.name)
            .set("server_status", &server.status)
            .set("datacenter", &datacenter.name)
            .set("public_ipv4", &public_net.ipv4.ip)
            .set("public_ipv6_network", &public_net.ipv6.ip)
            .set("hcloud_datacenter_location", &datacenter.location.name)
            .set("hcloud_datacenter_location_network_zone", &datacenter.location.network_zone)
            .set("hcloud_server_type", &server_type.name)
            .set("hcloud_cpu_cores", server_type.cores)
            .set("hcloud_cpu_type", &server_type.cpu_type)
            .set("hcloud_memory_size_gb", server_type.memory.trunc())
            .set("hcloud_disk_size_gb", server_type.disk);
        if let Some(image) = &server.image {
            meta.set("hcloud_image_name", &image.name)
                .set("hcloud_image_description", &image.description)
                .set("hcloud_image_os_version", &image.os_version)
                .set("hcloud_image_os_flavor", &image.os_flavor);
        }
        for private in &server.private_net {
            if let Some(network) = networks.iter().find(|network| network.id == private.network) {
                meta.set(format_args!("hcloud_private_ipv4_{}", sanitized(&network.name)), &private.ip);
            }
        }
        meta.set_each("hcloud_label_", &server.labels);
        meta.set_each("hcloud_labelpresent_", server.labels.keys().map(|name| (name, "true")));
        meta.build()
    }

    fn robot(&self, server: &RobotServer) -> Labels {
        let mut meta = Meta::new("__meta_hetzner_");
        meta.address(&server.server_ip, self.settings.port)
            .set("role", "robot")
            .set("server_id", server.server_number)
            .set("server_name", &server.server_name)
            .set("server_status", &server.status)
            .set("datacenter", server.dc.to_lowercase())
            .set("public_ipv4", &server.server_ip)
            .set("robot_product", &server.product)
            .set("robot_cancelled", server.cancelled);
        if let Some(subnet) = server.subnet.iter().find(|subnet| subnet.ip.contains(':')) {
            meta.set("public_ipv6_network", format_args!("{}/{}", subnet.ip, subnet.mask));
        }
        meta.build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let targets = if self.settings.role == "robot" {
            let servers: Vec<RobotEntry> = self.api.get_json(&format!("{}/server", self.base)).await?;
            servers.iter().map(|entry| self.robot(&entry.server)).collect()
        } else {
            let servers: Vec<Server> = self.all("servers", &self.settings.label_selector).await?;
            let networks: Vec<Network> = self.all("networks", "").await?;
            servers.iter().map(|server| self.cloud(server, &networks)).collect()
        };
        Ok(vec![TargetGroup::of_targets("hetzner", targets)])
    }
}

#[cfg(test)]
mod tests;
