//! `digitalocean_sd_configs`: droplets.

use http_client::InvalidSettings;
use model::time::DurationMs;
use serde::Deserialize;

use super::Configured;
use crate::fetch::{Api, Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

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
            role: "droplets".to_owned(),
            port: 80,
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
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
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        if self.role != "droplets" {
            return Err(Fault::Other(format!("role {:?} is not supported yet; use droplets", self.role)));
        }
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
        Ok(vec![TargetGroup::of_targets("DigitalOcean", targets)])
    }
}

#[cfg(test)]
mod tests;
