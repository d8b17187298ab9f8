//! `digitalocean_sd_configs`: droplets, or clusters of databases.

use http_client::InvalidSettings;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

const DROPLETS: &str = "droplets";
const DATABASES: &str = "databases";

/// A section of `digitalocean_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    role: String,
    port: u16,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: DROPLETS.to_owned(),
            port: 80,
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if !matches!(self.role.as_str(), DROPLETS | DATABASES) {
            let role = &self.role;
            return fault_at(
                "role",
                format!("unknown DigitalOcean SD role {role:?}; use droplets or databases"),
            );
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    role: String,
    port: u16,
    base: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    droplets: Vec<Droplet>,
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Links {
    pages: Pages,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pages {
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Droplet {
    id: i64,
    name: String,
    status: String,
    size_slug: String,
    vpc_uuid: String,
    image: Image,
    region: Region,
    networks: Networks,
    features: Vec<String>,
    tags: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    slug: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Region {
    slug: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Networks {
    v4: Vec<Network>,
    v6: Vec<Network>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    ip_address: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DatabasePage {
    databases: Vec<Database>,
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Database {
    id: String,
    name: String,
    engine: String,
    version: String,
    status: String,
    region: String,
    size: String,
    num_nodes: i64,
    connection: Option<Connection>,
    private_connection: Option<Connection>,
    tags: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Connection {
    host: String,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        let base = "https://api.digitalocean.com".to_owned();
        Ok(Self { api, role: settings.role.clone(), port: settings.port, base })
    }

    fn target(&self, droplet: &Droplet) -> model::Labels {
        let ip = |networks: &[Network], kind: &str| {
            let found = networks.iter().find(|network| network.kind == kind);
            found.map(|network| network.ip_address.clone()).unwrap_or_default()
        };
        let public = ip(&droplet.networks.v4, "public");
        let mut meta = Meta::new("__meta_digitalocean_");
        meta.address(&public, self.port)
            .set("droplet_id", droplet.id)
            .set("droplet_name", &droplet.name)
            .set("image", &droplet.image.slug)
            .set("image_name", &droplet.image.name)
            .set("private_ipv4", ip(&droplet.networks.v4, "private"))
            .set("public_ipv4", &public)
            .set("public_ipv6", ip(&droplet.networks.v6, "public"))
            .set("region", &droplet.region.slug)
            .set("size", &droplet.size_slug)
            .set("status", &droplet.status)
            .set("vpc", &droplet.vpc_uuid)
            .set_list("features", ",", &droplet.features)
            .set_list("tags", ",", &droplet.tags);
        meta.build()
    }

    fn database(&self, database: &Database) -> model::Labels {
        let host = |connection: &Option<Connection>| connection.as_ref().map(|it| it.host.clone());
        let (private, public) = (host(&database.private_connection), host(&database.connection));
        let mut meta = Meta::new("__meta_digitalocean_db_");
        meta.set("id", &database.id)
            .set("name", &database.name)
            .set("engine", &database.engine)
            .set("version", &database.version)
            .set("status", &database.status)
            .set("region", &database.region)
            .set("size", &database.size)
            .set("num_nodes", database.num_nodes)
            .set_some("private_host", private.as_ref())
            .set_some("host", public.as_ref())
            .set_each("tag_", database.tags.iter().map(|tag| (tag, true)));
        if let Some(host) = private.filter(|host| !host.is_empty()).or(public).filter(|host| !host.is_empty())
        {
            meta.address(&host, self.port);
        }
        meta.build()
    }

    async fn droplets(&self) -> Result<Vec<model::Labels>, Fault> {
        let mut targets = Vec::new();
        for page in 1..=PAGES_MAX {
            let url = format!("{}/v2/droplets?page={page}&per_page=200", self.base);
            let answer: Page = self.api.get_json(&url).await?;
            let reachable = answer.droplets.iter().filter(|droplet| !droplet.networks.v4.is_empty());
            targets.extend(reachable.map(|droplet| self.target(droplet)));
            if answer.links.pages.next.is_empty() {
                break;
            }
        }
        Ok(targets)
    }

    async fn databases(&self) -> Result<Vec<model::Labels>, Fault> {
        let mut targets = Vec::new();
        for page in 1..=PAGES_MAX {
            let url = format!("{}/v2/databases?page={page}&per_page=100", self.base);
            let answer: DatabasePage = self.api.get_json(&url).await?;
            targets.extend(answer.databases.iter().map(|database| self.database(database)));
            if answer.links.pages.next.is_empty() {
                break;
            }
        }
        Ok(targets)
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let (name, targets) = match self.role.as_str() {
            DATABASES => ("DigitalOcean Databases", self.databases().await?),
            _ => ("DigitalOcean", self.droplets().await?),
        };
        Ok(vec![TargetGroup::of_targets(name, targets)])
    }
}

#[cfg(test)]
mod tests;
