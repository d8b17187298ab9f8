//! `lightsail_sd_configs`: instances of Lightsail.

use http_client::{InvalidSettings, Secret};
use model::time::DurationMs;
use serde::Deserialize;

use super::{Access, who};
use crate::fetch::{Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::mechanism::Configured;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::Refresh;

/// A section of `lightsail_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(super) endpoint: String,
    pub(super) region: String,
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
    pub(super) profile: String,
    pub(super) role_arn: String,
    pub(super) external_id: String,
    pub(super) refresh_interval: DurationMs,
    pub(super) port: u16,
    #[serde(rename = "*")]
    pub(super) http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: String::new(),
            access_key: String::new(),
            secret_key: Secret::default(),
            profile: String::new(),
            role_arn: String::new(),
            external_id: String::new(),
            refresh_interval: DurationMs(60_000),
            port: 80,
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
pub(super) struct Source {
    access: Access,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    instances: Vec<Instance>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    name: String,
    support_code: String,
    location: Location,
    blueprint_id: String,
    bundle_id: String,
    private_ip_address: String,
    public_ip_address: String,
    ipv6_addresses: Vec<String>,
    state: State,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Location {
    availability_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    key: String,
    value: String,
}

impl Source {
    pub(super) fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let access = Access::new(&who!(settings), &settings.http, settings.refresh_interval, shared)?;
        Ok(Self { access, port: settings.port })
    }

    fn target(&self, region: &str, instance: &Instance) -> model::Labels {
        let mut meta = Meta::new("__meta_lightsail_");
        meta.address(&instance.private_ip_address, self.port)
            .set("availability_zone", &instance.location.availability_zone)
            .set("blueprint_id", &instance.blueprint_id)
            .set("bundle_id", &instance.bundle_id)
            .set("instance_name", &instance.name)
            .set("instance_state", &instance.state.name)
            .set("instance_support_code", &instance.support_code)
            .set("private_ip", &instance.private_ip_address)
            .set("public_ip", &instance.public_ip_address)
            .set("region", region)
            .set_list("ipv6_addresses", ",", &instance.ipv6_addresses)
            .set_each("tag_", instance.tags.iter().map(|tag| (&tag.key, &tag.value)));
        meta.build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let region = self.access.region().await?;
        let mut targets = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let body = match next.as_str() {
                "" => "{}".to_owned(),
                next => serde_json::json!({ "pageToken": next }).to_string(),
            };
            let what = Some("Lightsail_20161128.GetInstances");
            let answer = self.access.send("lightsail", "application/x-amz-json-1.1", what, body).await?;
            let page: Page = answer.json()?;
            let reachable = page.instances.iter().filter(|instance| !instance.private_ip_address.is_empty());
            targets.extend(reachable.map(|instance| self.target(&region, instance)));
            next = page.next_page_token;
            if next.is_empty() {
                break;
            }
        }
        Ok(vec![TargetGroup::of_targets(region, targets)])
    }
}
