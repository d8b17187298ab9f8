//! `scaleway_sd_configs`: instances, or elastic metal servers, of one project in one zone.

use std::collections::HashMap;

use http_client::{InvalidSettings, Secret};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Configured, fault, fault_at};
use crate::fetch::{Api, Fault, PAGES_MAX, with_query};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};
use crate::token::set_secret;

/// Items a page: the most that the API gives.
const PAGE_ITEMS: usize = 100;

/// A section of `scaleway_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    project_id: String,
    api_url: String,
    zone: String,
    access_key: String,
    secret_key: Secret,
    /// Read for each refresh.
    secret_key_file: String,
    name_filter: String,
    tags_filter: Vec<String>,
    refresh_interval: DurationMs,
    port: u16,
    role: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            project_id: String::new(),
            api_url: "https://api.scaleway.com".to_owned(),
            zone: "fr-par-1".to_owned(),
            access_key: String::new(),
            secret_key: Secret::default(),
            secret_key_file: String::new(),
            name_filter: String::new(),
            tags_filter: Vec::new(),
            refresh_interval: DurationMs(60_000),
            port: 80,
            role: String::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        match self.role.as_str() {
            "instance" | "baremetal" => {}
            "" => return fault("role missing (one of: instance, baremetal)"),
            other => return fault_at("role", format!("unknown role {other:?}")),
        }
        if self.project_id.is_empty() {
            return fault("project_id is mandatory");
        }
        match (self.secret_key.is_empty(), self.secret_key_file.is_empty()) {
            (true, true) => return fault("one of secret_key & secret_key_file must be configured"),
            (false, false) => return fault("at most one of secret_key & secret_key_file must be configured"),
            _ => {}
        }
        if self.access_key.is_empty() {
            return fault("access_key is mandatory");
        }
        self.http.check()
    }

    fn set_directory(&mut self, directory: &std::path::Path) {
        self.http.set_directory(directory);
        if !self.secret_key_file.is_empty() {
            self.secret_key_file = directory.join(&self.secret_key_file).to_string_lossy().into_owned();
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    name: String,
    hostname: String,
    boot_type: String,
    commercial_type: String,
    organization: String,
    project: String,
    state: String,
    zone: String,
    image: Image,
    location: Location,
    security_group: Named,
    tags: Vec<String>,
    private_ip: Option<String>,
    public_ip: Option<Ip>,
    ipv6: Option<Ip>,
    public_ips: Vec<Ip>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    id: String,
    name: String,
    arch: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    cluster_id: String,
    hypervisor_id: String,
    node_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    id: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    address: String,
    family: String,
    version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metal {
    id: String,
    name: String,
    status: String,
    zone: String,
    offer_id: String,
    install: Install,
    tags: Vec<String>,
    ips: Vec<Ip>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Install {
    os_id: String,
}

/// A kind of server, or a system.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Offered {
    id: String,
    name: String,
    version: String,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone() })
    }

    async fn secret(&self) -> Result<String, Fault> {
        let path = &self.settings.secret_key_file;
        if path.is_empty() {
            return Ok(self.settings.secret_key.reveal().to_owned());
        }
        let text = tokio::fs::read_to_string(path).await;
        let text =
            text.map_err(|error| Fault::Other(format!("unable to read auth token file {path}: {error}")))?;
        Ok(text.trim().to_owned())
    }

    /// All pages of a list. `size` is how the API names the size of a page.
    async fn all<T: DeserializeOwned>(
        &self,
        secret: &str,
        path: &str,
        size: &str,
        filters: &[(&str, &str)],
    ) -> Result<Vec<T>, Fault> {
        let (product, list) = path.split_once('/').unwrap_or((path, ""));
        let base = self.settings.api_url.trim_end_matches('/');
        let url = format!("{base}/{product}/v1/zones/{}/{list}", self.settings.zone);
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let (page, items) = (page.to_string(), PAGE_ITEMS.to_string());
            let pairs = [(size, items.as_str()), ("page", &page)];
            let filters = filters.iter().copied().filter(|(_, value)| !value.is_empty());
            let mut request = self.api.client().get(with_query(&url, pairs.into_iter().chain(filters))?);
            set_secret(&mut request, "x-auth-token", secret)?;
            let answer = self.api.send(request).await?;
            let mut answered: HashMap<String, Value> = answer.json()?;
            let items = answered.remove(list).unwrap_or(Value::Array(Vec::new()));
            let items: Vec<T> =
                serde_json::from_value(items).map_err(|error| answer.syntax(error.to_string()))?;
            let last = items.len() < PAGE_ITEMS;
            all.extend(items);
            if last {
                break;
            }
        }
        Ok(all)
    }

    async fn instances(&self) -> Result<Vec<Labels>, Fault> {
        let settings = &self.settings;
        let tags = settings.tags_filter.join(",");
        let filters =
            [("project", settings.project_id.as_str()), ("name", &settings.name_filter), ("tags", &tags)];
        let secret = self.secret().await?;
        let servers: Vec<Instance> = self.all(&secret, "instance/servers", "per_page", &filters).await?;
        Ok(servers.iter().filter_map(|server| self.instance(server)).collect())
    }

    /// One without an address is no target.
    fn instance(&self, server: &Instance) -> Option<Labels> {
        let of_family = |family: &str| {
            let own = server.public_ips.iter().filter(|ip| ip.family == family);
            own.map(|ip| ip.address.as_str()).collect::<Vec<&str>>()
        };
        let (v4, v6) = (of_family("inet"), of_family("inet6"));
        let address = |ip: &'_ Option<Ip>| ip.as_ref().map(|ip| ip.address.clone());
        let (private, public, public_v6) =
            (server.private_ip.clone(), address(&server.public_ip), address(&server.ipv6));
        let any = [v4.first(), v6.first()].into_iter().flatten().next().map(|ip| (*ip).to_owned());
        let chosen = private.clone().or(public.clone()).or(public_v6.clone()).or(any)?;
        let mut meta = Meta::new("__meta_scaleway_instance_");
        meta.address(&chosen, self.settings.port)
            .set("boot_type", &server.boot_type)
            .set("hostname", &server.hostname)
            .set("id", &server.id)
            .set("image_arch", &server.image.arch)
            .set("image_id", &server.image.id)
            .set("image_name", &server.image.name)
            .set("location_cluster_id", &server.location.cluster_id)
            .set("location_hypervisor_id", &server.location.hypervisor_id)
            .set("location_node_id", &server.location.node_id)
            .set("name", &server.name)
            .set("organization_id", &server.organization)
            .set("project_id", &server.project)
            .set("security_group_id", &server.security_group.id)
            .set("security_group_name", &server.security_group.name)
            .set("status", &server.state)
            .set("type", &server.commercial_type)
            .set("zone", &server.zone)
            .set_some("region", server.zone.rsplit_once('-').map(|(region, _)| region))
            .set_some("private_ipv4", private)
            .set_some("public_ipv4", public)
            .set_some("public_ipv6", public_v6)
            .set_list("public_ipv4_addresses", ",", &v4)
            .set_list("public_ipv6_addresses", ",", &v6)
            .set_list("tags", ",", &server.tags);
        Some(meta.build())
    }

    async fn metal(&self) -> Result<Vec<Labels>, Fault> {
        let settings = &self.settings;
        let mut filters = vec![("project_id", settings.project_id.as_str()), ("name", &settings.name_filter)];
        filters.extend(settings.tags_filter.iter().map(|tag| ("tags", tag.as_str())));
        let secret = self.secret().await?;
        let size = "page_size";
        let servers: Vec<Metal> = self.all(&secret, "baremetal/servers", size, &filters).await?;
        let offers: Vec<Offered> = self.all(&secret, "baremetal/offers", size, &[]).await?;
        let systems: Vec<Offered> = self.all(&secret, "baremetal/os", size, &[]).await?;
        let by_id = |offered: Vec<Offered>| -> HashMap<String, Offered> {
            offered.into_iter().map(|offered| (offered.id.clone(), offered)).collect()
        };
        let (offers, systems) = (by_id(offers), by_id(systems));
        let mut targets = Vec::new();
        for server in &servers {
            let system = systems.get(&server.install.os_id);
            let mut meta = Meta::new("__meta_scaleway_baremetal_");
            meta.set("id", &server.id)
                .set("name", &server.name)
                .set("zone", &server.zone)
                .set("status", &server.status)
                .set_some("type", offers.get(&server.offer_id).map(|offer| &offer.name))
                .set_some("os_name", system.map(|system| &system.name))
                .set_some("os_version", system.map(|system| &system.version))
                .set_list("tags", ",", &server.tags);
            for ip in &server.ips {
                let mut meta = meta.clone();
                meta.set("ip_version", &ip.version).set("ip_is_public", true);
                targets.push(meta.address(&ip.address, settings.port).build());
            }
        }
        Ok(targets)
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let targets = match self.settings.role.as_str() {
            "baremetal" => self.metal().await?,
            _ => self.instances().await?,
        };
        Ok(vec![TargetGroup::of_targets("scaleway", targets)])
    }
}

#[cfg(test)]
mod tests;
