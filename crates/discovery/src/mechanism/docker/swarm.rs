//! `dockerswarm_sd_configs`: services, tasks or nodes of a swarm.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Engine, Filter, check_host};
use crate::fetch::Fault;
use crate::group::TargetGroup;
use crate::mechanism::{Configured, fault_at};
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

const PREFIX: &str = "__meta_dockerswarm_";

/// A section of `dockerswarm_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    host: String,
    role: String,
    port: u16,
    filters: Vec<Filter>,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: String::new(),
            role: String::new(),
            port: 80,
            filters: Vec::new(),
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        check_host(&self.host)?;
        match self.role.as_str() {
            "services" | "nodes" | "tasks" => self.http.check(),
            "" => fault_at("role", "role missing (one of: tasks, services, nodes)"),
            other => fault_at("role", format!("invalid role {other}, expected tasks, services, or nodes")),
        }
    }

    asked_at_intervals!();
}

#[derive(Debug)]
pub(super) struct Source {
    engine: Engine,
    role: String,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    spec: ServiceSpec,
    endpoint: ServiceEndpoint,
    update_status: Option<UpdateStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceSpec {
    name: String,
    labels: BTreeMap<String, String>,
    mode: Mode,
    task_template: TaskSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Mode {
    global: Option<IgnoredAny>,
    replicated: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct TaskSpec {
    container_spec: ContainerSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ContainerSpec {
    hostname: String,
    image: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceEndpoint {
    ports: Vec<Port>,
    #[serde(rename = "VirtualIPs")]
    virtual_ips: Vec<VirtualIp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Port {
    name: String,
    protocol: String,
    published_port: u16,
    publish_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct VirtualIp {
    #[serde(rename = "NetworkID")]
    network_id: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct UpdateStatus {
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    slot: i64,
    desired_state: String,
    spec: TaskSpec,
    status: TaskStatus,
    networks_attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct TaskStatus {
    state: String,
    container_status: Option<ContainerStatus>,
    port_status: PortStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    container_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PortStatus {
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Attachment {
    network: AttachedNetwork,
    addresses: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct AttachedNetwork {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "ID")]
    id: String,
    spec: NodeSpec,
    description: NodeDescription,
    status: NodeStatus,
    manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeSpec {
    role: String,
    availability: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeDescription {
    hostname: String,
    platform: Platform,
    engine: NodeEngine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Platform {
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeEngine {
    engine_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeStatus {
    state: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ManagerStatus {
    leader: bool,
    reachability: String,
    addr: String,
}

impl Source {
    pub(super) fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let timeout = interval(settings.refresh_interval);
        let engine = Engine::new(&settings.host, &settings.filters, &settings.http, timeout)?;
        Ok(Self { engine, role: settings.role.clone(), port: settings.port })
    }

    async fn services(&self) -> Result<Vec<Labels>, Fault> {
        let services: Vec<Service> = self.engine.list("services", true).await?;
        let networks = self.engine.networks(PREFIX).await?;
        let mut targets = Vec::new();
        for service in &services {
            let container = &service.spec.task_template.container_spec;
            let mut common = service_meta(service);
            common
                .set("service_task_container_hostname", &container.hostname)
                .set("service_task_container_image", &container.image)
                .set_some(
                    "service_updating_status",
                    service.update_status.as_ref().map(|update| &update.state),
                );
            for ip in &service.endpoint.virtual_ips {
                let host = host_of(&ip.addr)?;
                let mut on_network = common.clone();
                if let Some(labels) = networks.get(&ip.network_id) {
                    on_network.merge(labels);
                }
                let mut ports =
                    service.endpoint.ports.iter().filter(|port| port.protocol == "tcp").peekable();
                if ports.peek().is_none() {
                    targets.push(on_network.address(host, self.port).build());
                }
                for port in ports {
                    let mut target = on_network.clone();
                    target
                        .address(host, port.published_port)
                        .set("service_endpoint_port_name", &port.name)
                        .set("service_endpoint_port_publish_mode", &port.publish_mode);
                    targets.push(target.build());
                }
            }
        }
        Ok(targets)
    }

    async fn tasks(&self) -> Result<Vec<Labels>, Fault> {
        let tasks: Vec<Task> = self.engine.list("tasks", true).await?;
        let services: Vec<Service> = self.engine.list("services", false).await?;
        let nodes: Vec<Node> = self.engine.list("nodes", false).await?;
        let networks = self.engine.networks(PREFIX).await?;
        let mut targets = Vec::new();
        for task in &tasks {
            let service = services.iter().find(|service| service.id == task.service_id);
            let node = nodes.iter().find(|node| node.id == task.node_id);
            let common = task_meta(task, service, node);
            for port in task.status.port_status.ports.iter().filter(|port| port.protocol == "tcp") {
                let mut target = common.clone();
                target
                    .address(node.map_or("", |node| &node.status.addr), port.published_port)
                    .set("task_port_publish_mode", &port.publish_mode);
                targets.push(target.build());
            }
            let ports = service.map_or(&[][..], |service| &service.endpoint.ports);
            for attachment in &task.networks_attachments {
                for address in &attachment.addresses {
                    let host = host_of(address)?;
                    let mut on_network = common.clone();
                    if let Some(labels) = networks.get(&attachment.network.id) {
                        on_network.merge(labels);
                    }
                    let mut ports = ports.iter().filter(|port| port.protocol == "tcp").peekable();
                    if ports.peek().is_none() {
                        targets.push(on_network.address(host, self.port).build());
                        continue;
                    }
                    for port in ports {
                        let mut target = on_network.clone();
                        target
                            .address(host, port.published_port)
                            .set("task_port_publish_mode", &port.publish_mode);
                        targets.push(target.build());
                    }
                }
            }
        }
        Ok(targets)
    }

    async fn nodes(&self) -> Result<Vec<Labels>, Fault> {
        let nodes: Vec<Node> = self.engine.list("nodes", true).await?;
        let target = |node: &Node| {
            let mut meta = Meta::new(PREFIX);
            set_node(&mut meta, node);
            meta.address(&node.status.addr, self.port)
                .set("node_engine_version", &node.description.engine.engine_version);
            if let Some(manager) = &node.manager_status {
                meta.set("node_manager_leader", manager.leader)
                    .set("node_manager_reachability", &manager.reachability)
                    .set("node_manager_address", &manager.addr);
            }
            meta.build()
        };
        Ok(nodes.iter().map(target).collect())
    }
}

fn service_meta(service: &Service) -> Meta {
    let mode = match &service.spec.mode {
        Mode { global: Some(_), .. } => "global",
        Mode { replicated: Some(_), .. } => "replicated",
        _ => "",
    };
    let mut meta = Meta::new(PREFIX);
    meta.set("service_id", &service.id)
        .set("service_name", &service.spec.name)
        .set("service_mode", mode)
        .set_each("service_label_", &service.spec.labels);
    meta
}

fn task_meta(task: &Task, service: Option<&Service>, node: Option<&Node>) -> Meta {
    let mut meta = Meta::new(PREFIX);
    meta.set("task_id", &task.id)
        .set("task_desired_state", &task.desired_state)
        .set("task_state", &task.status.state)
        .set("task_slot", task.slot)
        .set_some(
            "task_container_id",
            task.status.container_status.as_ref().map(|status| &status.container_id),
        )
        .set_each("container_label_", &task.spec.container_spec.labels);
    if let Some(service) = service {
        meta.merge(&service_meta(service).build());
    }
    if let Some(node) = node {
        set_node(&mut meta, node);
    }
    meta
}

fn set_node(meta: &mut Meta, node: &Node) {
    let description = &node.description;
    meta.set("node_id", &node.id)
        .set("node_role", &node.spec.role)
        .set("node_address", &node.status.addr)
        .set("node_availability", &node.spec.availability)
        .set("node_hostname", &description.hostname)
        .set("node_platform_architecture", &description.platform.architecture)
        .set("node_platform_os", &description.platform.os)
        .set("node_status", &node.status.state)
        .set_each("node_label_", &node.spec.labels);
}

/// `10.0.0.1` of `10.0.0.1/24`.
fn host_of(address: &str) -> Result<&str, Fault> {
    match address.split_once('/') {
        Some((host, _)) if host.parse::<std::net::IpAddr>().is_ok() => Ok(host),
        _ => Err(Fault::Other(format!("error while parsing address {address:?}"))),
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        self.engine.negotiate().await?;
        let targets = match self.role.as_str() {
            "services" => self.services().await?,
            "tasks" => self.tasks().await?,
            _ => self.nodes().await?,
        };
        Ok(vec![TargetGroup::of_targets("DockerSwarm", targets)])
    }
}
