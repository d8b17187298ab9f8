//! `vultr_sd_configs`: instances.

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::Configured;
use crate::fetch::{Api, Fault, PAGES_MAX, with_query};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `vultr_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    refresh_interval: DurationMs,
    port: u16,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self { refresh_interval: DurationMs(60_000), port: 80, http: http_client::Settings::default() }
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
    port: u16,
    base: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    instances: Vec<Instance>,
    meta: PageMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PageMeta {
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Links {
    next: String,
}

/// Sizes in the unit that the label names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    label: String,
    os: String,
    os_id: i64,
    region: String,
    plan: String,
    main_ip: String,
    v6_main_ip: String,
    internal_ip: String,
    hostname: String,
    server_status: String,
    vcpu_count: i64,
    ram: i64,
    allowed_bandwidth: i64,
    disk: i64,
    features: Vec<String>,
    tags: Vec<String>,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, port: settings.port, base: "https://api.vultr.com".to_owned() })
    }

    fn target(&self, instance: &Instance) -> Labels {
        let mut meta = Meta::new("__meta_vultr_instance_");
        meta.address(&instance.main_ip, self.port)
            .set("id", &instance.id)
            .set("label", &instance.label)
            .set("os", &instance.os)
            .set("os_id", instance.os_id)
            .set("region", &instance.region)
            .set("plan", &instance.plan)
            .set("main_ip", &instance.main_ip)
            .set("main_ipv6", &instance.v6_main_ip)
            .set("internal_ip", &instance.internal_ip)
            .set("hostname", &instance.hostname)
            .set("server_status", &instance.server_status)
            .set("vcpu_count", instance.vcpu_count)
            .set("ram_mb", instance.ram)
            .set("allowed_bandwidth_gb", instance.allowed_bandwidth)
            .set("disk_gb", instance.disk)
            .set_list("features", ",", &instance.features)
            .set_list("tags", ",", &instance.tags);
        meta.build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let mut targets = Vec::new();
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let pairs = [("per_page", "100"), ("cursor", cursor.as_str())];
            let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
            let url = with_query(&format!("{}/v2/instances", self.base), pairs)?;
            let page: Page = self.api.send(self.api.client().get(url)).await?.json()?;
            targets.extend(page.instances.iter().map(|instance| self.target(instance)));
            cursor = page.meta.links.next;
            if cursor.is_empty() {
                break;
            }
        }
        Ok(vec![TargetGroup::of_targets("Vultr", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, check_targets, settings, shared};

    #[tokio::test]
    async fn instances_of_all_pages() {
        let (server, recorded) = Server::recorded(include_str!("../../testdata/vultr.txt")).await;
        let settings: Settings = settings("{authorization: {credentials: TOKEN}}");
        let mut source = Source::new(&settings, &shared(&[])).unwrap();
        source.base.clone_from(&server.url);
        let groups = source.refresh().await.unwrap();
        assert_eq!(groups[0].source, "Vultr");
        check_targets(&groups, recorded.targets("vultr"));
    }
}
