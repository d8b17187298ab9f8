//! `linode_sd_configs`: instances, with what is known of their addresses.

use std::net::IpAddr;

use http_client::InvalidSettings;
use http_client::header::HeaderValue;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Configured;
use crate::fetch::{Api, Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `linode_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    refresh_interval: DurationMs,
    port: u16,
    tag_separator: String,
    region: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh_interval: DurationMs(60_000),
            port: 80,
            tag_separator: ",".to_owned(),
            region: String::new(),
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
    settings: Settings,
    base: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page<T> {
    data: Vec<T>,
    pages: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: i64,
    label: String,
    image: String,
    region: String,
    #[serde(rename = "type")]
    kind: String,
    status: String,
    group: String,
    hypervisor: String,
    tags: Vec<String>,
    ipv4: Vec<String>,
    ipv6: String,
    specs: Specs,
    backups: Backups,
}

/// Sizes in MiB.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Specs {
    disk: i64,
    memory: i64,
    transfer: i64,
    vcpus: i64,
    gpus: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Backups {
    enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    address: String,
    public: bool,
    rdns: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    range: String,
    prefix: i64,
    route_target: String,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone(), base: "https://api.linode.com/v4".to_owned() })
    }

    async fn all<T: DeserializeOwned + Default>(&self, path: &str) -> Result<Vec<T>, Fault> {
        let mut items = Vec::new();
        for page in 1..=PAGES_MAX {
            let mut request = self.api.get(&format!("{}/{path}?page={page}&page_size=500", self.base))?;
            if !self.settings.region.is_empty() {
                let filter = serde_json::json!({ "region": self.settings.region }).to_string();
                if let Ok(filter) = HeaderValue::from_str(&filter) {
                    request.headers_mut().insert("x-filter", filter);
                }
            }
            let answer: Page<T> = self.api.send(request).await?.json()?;
            items.extend(answer.data);
            if page >= answer.pages {
                break;
            }
        }
        Ok(items)
    }

    fn target(&self, instance: &Instance, addresses: &[Address], ranges: &[Range]) -> model::Labels {
        let known = |ip: &str| addresses.iter().find(|address| address.address == ip);
        let own: Vec<&Address> = instance.ipv4.iter().filter_map(|ip| known(ip)).collect();
        let public = own.iter().position(|address| address.public);
        let private = own.iter().position(|address| !address.public);
        let extra = own.iter().enumerate().filter(|(i, _)| Some(*i) != public && Some(*i) != private);
        let extra: Vec<&str> = extra.map(|(_, address)| address.address.as_str()).collect();
        let v6 = known(instance.ipv6.split('/').next().unwrap_or("")).filter(|_| !instance.ipv6.is_empty());
        let slaac = v6.and_then(|address| address.address.parse::<IpAddr>().ok());
        let ranges = ranges
            .iter()
            .filter(|range| slaac.is_some() && range.route_target.parse::<IpAddr>().ok() == slaac);
        let ranges: Vec<String> = ranges.map(|range| format!("{}/{}", range.range, range.prefix)).collect();
        let (public, private) = (public.map(|i| own[i]), private.map(|i| own[i]));
        let ip = |address: Option<&Address>| address.map_or(String::new(), |address| address.address.clone());
        let name = |address: Option<&Address>| {
            address.map(|address| address.rdns.clone()).filter(|name| name != "null").unwrap_or_default()
        };
        let (specs, separator) = (&instance.specs, self.settings.tag_separator.as_str());
        let mut meta = Meta::new("__meta_linode_");
        meta.address(&ip(public), self.settings.port)
            .set("instance_id", instance.id)
            .set("instance_label", &instance.label)
            .set("image", &instance.image)
            .set("private_ipv4", ip(private))
            .set("public_ipv4", ip(public))
            .set("public_ipv6", ip(v6))
            .set("private_ipv4_rdns", name(private))
            .set("public_ipv4_rdns", name(public))
            .set("public_ipv6_rdns", name(v6))
            .set("region", &instance.region)
            .set("type", &instance.kind)
            .set("status", &instance.status)
            .set("group", &instance.group)
            .set("gpus", specs.gpus)
            .set("hypervisor", &instance.hypervisor)
            .set("backups", if instance.backups.enabled { "enabled" } else { "disabled" })
            .set("specs_disk_bytes", specs.disk << 20)
            .set("specs_memory_bytes", specs.memory << 20)
            .set("specs_vcpus", specs.vcpus)
            .set("specs_transfer_bytes", specs.transfer << 20)
            .set_list("tags", separator, &instance.tags)
            .set_list("extra_ips", separator, &extra)
            .set_list("ipv6_ranges", separator, &ranges);
        meta.build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let instances: Vec<Instance> = self.all("linode/instances").await?;
        let addresses: Vec<Address> = self.all("networking/ips").await?;
        let ranges: Vec<Range> = self.all("networking/ipv6/ranges").await?;
        let reachable = instances.iter().filter(|instance| !instance.ipv4.is_empty());
        let targets = reachable.map(|instance| self.target(instance, &addresses, &ranges)).collect();
        Ok(vec![TargetGroup::of_targets("Linode", targets)])
    }
}

#[cfg(test)]
mod tests;
