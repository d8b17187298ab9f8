//! `marathon_sd_configs`: tasks of applications that Marathon runs on Mesos; a group an application.

use std::collections::BTreeMap;
use std::path::Path;

use http_client::header::{AUTHORIZATION, HeaderValue};
use http_client::{InvalidSettings, Secret};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault};
use crate::fetch::{Api, Fault};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};

/// A section of `marathon_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    servers: Vec<String>,
    refresh_interval: DurationMs,
    auth_token: Secret,
    auth_token_file: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            refresh_interval: DurationMs(30_000),
            auth_token: Secret::default(),
            auth_token_file: String::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        let fault = |text: &str| fault(format!("marathon_sd: {text}"));
        let http = &self.http;
        if self.servers.is_empty() {
            return fault("must contain at least one Marathon server");
        }
        if !self.auth_token.is_empty() && !self.auth_token_file.is_empty() {
            return fault("at most one of auth_token & auth_token_file must be configured");
        }
        if !self.auth_token.is_empty() || !self.auth_token_file.is_empty() {
            if http.basic_auth.is_some() {
                return fault("at most one of basic_auth, auth_token & auth_token_file must be configured");
            }
            if !http.bearer_token.is_empty() || !http.bearer_token_file.is_empty() {
                return fault(
                    "at most one of bearer_token, bearer_token_file, auth_token & auth_token_file must be configured",
                );
            }
            if http.authorization.is_some() {
                return fault(
                    "at most one of auth_token, auth_token_file & authorization must be configured",
                );
            }
        }
        http.check()
    }

    fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
        if !self.auth_token_file.is_empty() {
            self.auth_token_file = directory.join(&self.auth_token_file).to_string_lossy().into_owned();
        }
    }

    async fn run(self, shared: Shared, publisher: Publisher) {
        refresh::run(self.refresh_interval, shared, publisher, |shared| Source::new(&self, shared)).await;
    }
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    shared: Shared,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Apps {
    apps: Vec<App>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct App {
    id: String,
    tasks: Vec<Task>,
    labels: BTreeMap<String, String>,
    container: Container,
    port_definitions: Vec<PortDefinition>,
    networks: Vec<Network>,
    require_ports: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Task {
    id: String,
    host: String,
    ports: Vec<u32>,
    ip_addresses: Vec<IpAddress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IpAddress {
    ip_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    docker: Docker,
    port_mappings: Vec<PortMapping>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Docker {
    image: String,
    port_mappings: Vec<PortMapping>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortMapping {
    labels: BTreeMap<String, String>,
    container_port: u32,
    host_port: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortDefinition {
    labels: BTreeMap<String, String>,
    port: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Network {
    mode: String,
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone(), shared: shared.clone() })
    }

    /// The token of DC/OS, read anew each time.
    async fn token(&self) -> Result<Option<String>, Fault> {
        let file = &self.settings.auth_token_file;
        if !file.is_empty() {
            let text = tokio::fs::read_to_string(file).await;
            let text =
                text.map_err(|error| Fault::Other(format!("cannot read auth_token_file {file}: {error}")))?;
            return Ok(Some(text.trim().to_owned()));
        }
        let token = &self.settings.auth_token;
        Ok((!token.is_empty()).then(|| token.reveal().to_owned()))
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let servers = &self.settings.servers;
        let at = self.shared.random.below(servers.len().max(1) as u64) as usize;
        let server = servers.get(at).map_or("", String::as_str).trim_end_matches('/');
        let mut request = self.api.get(&format!("{server}/v2/apps/?embed=apps.tasks"))?;
        if let Some(token) = self.token().await? {
            let value = HeaderValue::from_str(&format!("token={token}"));
            let mut value =
                value.map_err(|_| Fault::Other("auth_token cannot stand in a header".to_owned()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let apps: Apps = self.api.send(request).await?.json()?;
        Ok(apps.apps.iter().map(group).collect())
    }
}

fn group(app: &App) -> TargetGroup {
    let mut labels = Meta::new("__meta_marathon_");
    labels.set("app", &app.id).set("image", &app.container.docker.image).set_each("app_label_", &app.labels);
    TargetGroup { source: app.id.clone(), targets: targets(app), labels: labels.build() }
}

/// A port, 0 if Mesos chose it, and its labels.
type Port<'a> = (u32, Option<&'a BTreeMap<String, String>>);

fn targets(app: &App) -> Vec<Labels> {
    let in_container = app.networks.first().is_some_and(|network| network.mode == "container");
    let mapped = |mappings: &'_ [PortMapping]| -> Vec<u32> {
        mappings.iter().map(|m| if in_container { m.container_port } else { m.host_port }).collect()
    };
    let (prefix, ports): (&str, Vec<Port<'_>>) = if !app.container.port_mappings.is_empty() {
        let mappings = &app.container.port_mappings;
        let labels = mappings.iter().map(|mapping| Some(&mapping.labels));
        ("port_mapping_label_", mapped(mappings).into_iter().zip(labels).collect())
    } else if !app.container.docker.port_mappings.is_empty() {
        let mappings = &app.container.docker.port_mappings;
        let labels = mappings.iter().map(|mapping| Some(&mapping.labels));
        ("port_mapping_label_", mapped(mappings).into_iter().zip(labels).collect())
    } else {
        // Without `requirePorts` this is the port of a load balancer, not that of the task.
        let definitions = app.port_definitions.iter();
        let ports = definitions.map(|d| (if app.require_ports { d.port } else { 0 }, Some(&d.labels)));
        ("port_definition_label_", ports.collect())
    };
    let mut targets = Vec::new();
    for task in &app.tasks {
        let own: Vec<Port<'_>> = match ports.is_empty() {
            true => task.ports.iter().map(|port| (*port, None)).collect(),
            false => ports.clone(),
        };
        let host = task.ip_addresses.first().filter(|_| in_container).map_or(&task.host, |ip| &ip.ip_address);
        for (i, (port, labels)) in own.iter().enumerate() {
            let chosen = task.ports.get(i).filter(|_| *port == 0 && task.ports.len() == own.len());
            let mut meta = Meta::new("__meta_marathon_");
            meta.address(host, chosen.unwrap_or(port)).set("task", &task.id).set("port_index", i);
            meta.set_each(prefix, labels.iter().copied().flatten());
            targets.push(meta.build());
        }
    }
    targets
}

#[cfg(test)]
mod tests;
