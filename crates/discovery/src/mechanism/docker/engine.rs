//! `docker_sd_configs`: a target for each network and port of each container.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Engine, Filter, check_host};
use crate::fetch::Fault;
use crate::group::{ADDRESS_LABEL, TargetGroup};
use crate::mechanism::Configured;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

const PREFIX: &str = "__meta_docker_";
/// How the network of another container is named.
const CONTAINER_MODE: &str = "container:";

/// A section of `docker_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    host: String,
    port: u16,
    filters: Vec<Filter>,
    host_networking_host: String,
    refresh_interval: DurationMs,
    match_first_network: bool,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 80,
            filters: Vec::new(),
            host_networking_host: "localhost".to_owned(),
            refresh_interval: DurationMs(60_000),
            match_first_network: true,
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        check_host(&self.host)?;
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
pub(super) struct Source {
    engine: Engine,
    settings: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Container {
    id: String,
    names: Vec<String>,
    labels: BTreeMap<String, String>,
    ports: Vec<Port>,
    host_config: HostConfig,
    network_settings: NetworkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Port {
    #[serde(rename = "IP")]
    ip: String,
    private_port: u16,
    public_port: u16,
    #[serde(rename = "Type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
}

impl Source {
    pub(super) fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let timeout = interval(settings.refresh_interval);
        let engine = Engine::new(&settings.host, &settings.filters, &settings.http, timeout)?;
        Ok(Self { engine, settings: settings.clone() })
    }

    fn targets(
        &self,
        container: &Container,
        all: &BTreeMap<&str, &Container>,
        networks: &BTreeMap<String, Labels>,
        targets: &mut Vec<Labels>,
    ) {
        let Some(name) = container.names.first() else { return };
        let mode = &container.host_config.network_mode;
        let mut common = Meta::new(PREFIX);
        common
            .set("container_id", &container.id)
            .set("container_name", name)
            .set("container_network_mode", mode)
            .set_each("container_label_", &container.labels);
        let endpoints = endpoints(container, all);
        let count = if self.settings.match_first_network { 1 } else { endpoints.len() };
        for endpoint in endpoints.values().take(count) {
            let mut on_network = common.clone();
            on_network.set("network_ip", &endpoint.ip_address);
            if let Some(labels) = networks.get(&endpoint.network_id) {
                on_network.merge(labels);
            }
            let mut ports = container.ports.iter().filter(|port| port.kind == "tcp").peekable();
            if ports.peek().is_none() {
                // In the network of the host there are no ports to know.
                match mode.as_str() {
                    "host" => on_network.plain(ADDRESS_LABEL, &self.settings.host_networking_host),
                    _ => on_network.address(&endpoint.ip_address, self.settings.port),
                };
                targets.push(on_network.build());
                continue;
            }
            for port in ports {
                let mut target = on_network.clone();
                target
                    .address(&endpoint.ip_address, port.private_port)
                    .set("port_private", port.private_port);
                if port.public_port > 0 {
                    target.set("port_public", port.public_port).set("port_public_ip", &port.ip);
                }
                targets.push(target.build());
            }
        }
    }
}

/// The networks of a container, or those of the container whose network it shares.
fn endpoints<'a>(
    container: &'a Container,
    all: &BTreeMap<&str, &'a Container>,
) -> &'a BTreeMap<String, Endpoint> {
    let mut at = container;
    // Containers may share in a row, but not for ever.
    for _ in 0..all.len() {
        let shared = at.host_config.network_mode.strip_prefix(CONTAINER_MODE).and_then(|id| all.get(id));
        match shared {
            Some(next) if at.network_settings.networks.is_empty() => at = next,
            _ => break,
        }
    }
    &at.network_settings.networks
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        self.engine.negotiate().await?;
        let containers: Vec<Container> = self.engine.list("containers/json", true).await?;
        let networks = self.engine.networks(PREFIX).await?;
        let all: BTreeMap<&str, &Container> =
            containers.iter().map(|container| (container.id.as_str(), container)).collect();
        let mut targets = Vec::new();
        for container in &containers {
            self.targets(container, &all, &networks, &mut targets);
        }
        Ok(vec![TargetGroup::of_targets("Docker", targets)])
    }
}
