//! `eureka_sd_configs`: instances of applications in a Netflix Eureka registry.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use http_client::header::{ACCEPT, HeaderValue};
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault};
use crate::group::TargetGroup;
use crate::meta::{INSTANCE_LABEL, Meta, sanitized};
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `eureka_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    server: String,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: String::new(),
            refresh_interval: DurationMs(30_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.server.is_empty() {
            return fault_at("server", "eureka_sd: empty or null eureka server");
        }
        if http_client::Url::parse(&self.server).map_or(true, |url| !url.has_host()) {
            return fault_at("server", "eureka_sd: invalid eureka server URL");
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Applications {
    application: Vec<Application>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Application {
    name: String,
    instance: Vec<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    instance_id: String,
    host_name: String,
    home_page_url: String,
    status_page_url: String,
    health_check_url: String,
    ip_addr: String,
    vip_address: String,
    secure_vip_address: String,
    status: String,
    country_id: i64,
    port: Option<Port>,
    secure_port: Option<Port>,
    data_center_info: Option<DataCenter>,
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(rename = "@enabled", default)]
    enabled: bool,
    #[serde(rename = "$text")]
    port: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DataCenter {
    name: String,
    metadata: Option<BTreeMap<String, String>>,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, url: format!("{}/apps", settings.server.trim_end_matches('/')) })
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let mut request = self.api.get(&self.url)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/xml"));
        let applications: Applications = self.api.send(request).await?.xml()?;
        let targets = applications.application.iter();
        let targets = targets.flat_map(|app| app.instance.iter().map(|instance| target(&app.name, instance)));
        Ok(vec![TargetGroup::of_targets("eureka", targets.collect())])
    }
}

fn target(app: &str, instance: &Instance) -> model::Labels {
    let mut meta = Meta::new("__meta_eureka_");
    meta.address(&instance.host_name, instance.port.as_ref().map_or(80, |port| port.port))
        .plain(INSTANCE_LABEL, &instance.instance_id)
        .set("app_name", app)
        .set("app_instance_hostname", &instance.host_name)
        .set("app_instance_homepage_url", &instance.home_page_url)
        .set("app_instance_statuspage_url", &instance.status_page_url)
        .set("app_instance_healthcheck_url", &instance.health_check_url)
        .set("app_instance_ip_addr", &instance.ip_addr)
        .set("app_instance_vip_address", &instance.vip_address)
        .set("app_instance_secure_vip_address", &instance.secure_vip_address)
        .set("app_instance_status", &instance.status)
        .set("app_instance_country_id", instance.country_id)
        .set("app_instance_id", &instance.instance_id);
    for (name, port) in [("port", &instance.port), ("secure_port", &instance.secure_port)] {
        if let Some(port) = port {
            meta.set(format_args!("app_instance_{name}"), port.port);
            meta.set(format_args!("app_instance_{name}_enabled"), port.enabled);
        }
    }
    if let Some(center) = &instance.data_center_info {
        meta.set("app_instance_datacenterinfo_name", &center.name);
        set_metadata(&mut meta, "app_instance_datacenterinfo_metadata_", center.metadata.as_ref());
    }
    set_metadata(&mut meta, "app_instance_metadata_", instance.metadata.as_ref());
    meta.build()
}

fn set_metadata(meta: &mut Meta, prefix: &str, pairs: Option<&BTreeMap<String, String>>) {
    // Attributes of the element itself come with an `@`.
    for (name, value) in pairs.into_iter().flatten().filter(|(name, _)| !name.starts_with(['@', '$'])) {
        meta.set(format_args!("{prefix}{}", sanitized(name)), value);
    }
}

#[cfg(test)]
mod tests;
