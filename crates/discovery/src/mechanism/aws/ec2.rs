//! `ec2_sd_configs`: instances of EC2 with an address in their network.

use std::collections::{BTreeMap, BTreeSet};

use http_client::{InvalidSettings, Secret, Url};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Access, who};
use crate::fetch::{Answer, Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::mechanism::{Configured, fault_at};
use crate::meta::{Meta, surrounded};
use crate::place::Shared;
use crate::refresh::Refresh;

/// The version of the API.
pub(super) const VERSION: &str = "2016-11-15";
/// Instances of one page.
const PAGE: &str = "1000";

/// A section of `ec2_sd_configs`.
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
    pub(super) filters: Vec<Filter>,
    #[serde(rename = "*")]
    pub(super) http: http_client::Settings,
}

/// Limits which instances are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Filter {
    name: String,
    values: Vec<String>,
}

pub(super) fn check_filters(filters: &[Filter], mechanism: &str) -> Result<(), InvalidSettings> {
    match filters.iter().any(|filter| filter.values.is_empty()) {
        true => fault_at("filters", format!("{mechanism} SD configuration filter values cannot be empty")),
        false => Ok(()),
    }
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
            filters: Vec::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        check_filters(&self.filters, "EC2")?;
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
pub(super) struct Source {
    access: Access,
    filters: Vec<Filter>,
    port: u16,
    /// By name of an availability zone its id; `None` until they could be had.
    zones: Option<BTreeMap<String, String>>,
}

/// A list in the XML of EC2.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Items<T> {
    pub(super) item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Zones {
    availability_zone_info: Items<Zone>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Zone {
    zone_name: String,
    zone_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    reservation_set: Items<Reservation>,
    next_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reservation {
    owner_id: String,
    instances_set: Items<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    instance_id: String,
    image_id: String,
    instance_state: State,
    private_dns_name: String,
    dns_name: String,
    instance_type: String,
    placement: Placement,
    platform: String,
    subnet_id: String,
    vpc_id: String,
    private_ip_address: String,
    ip_address: String,
    architecture: String,
    instance_lifecycle: String,
    tag_set: Items<Tag>,
    network_interface_set: Items<Interface>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct State {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Placement {
    availability_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tag {
    key: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Interface {
    subnet_id: String,
    attachment: Attachment,
    ipv6_addresses_set: Items<Ipv6>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attachment {
    device_index: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ipv6 {
    ipv6_address: String,
    is_primary_ipv6: bool,
}

/// More network interfaces than any machine has; a device index beyond it is not believed.
const DEVICES_MAX: usize = 1_000;

impl Source {
    pub(super) fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let access = Access::new(&who!(settings), &settings.http, settings.refresh_interval, shared)?;
        Ok(Self { access, filters: settings.filters.clone(), port: settings.port, zones: None })
    }

    async fn ask(&self, action: &str, parameters: &[(String, String)]) -> Result<Answer, Fault> {
        let mut form = Url::parse("http://form/").map_err(|error| Fault::Other(error.to_string()))?;
        form.query_pairs_mut()
            .append_pair("Action", action)
            .append_pair("Version", VERSION)
            .extend_pairs(parameters);
        let body = form.query().unwrap_or("").to_owned();
        self.access.send("ec2", "application/x-www-form-urlencoded; charset=utf-8", None, body).await
    }

    async fn learn_zones(&mut self) {
        let zones =
            match self.ask("DescribeAvailabilityZones", &[]).await.and_then(|answer| answer.xml::<Zones>()) {
                Ok(zones) => zones.availability_zone_info.item,
                Err(error) => {
                    // Needs a permission that only this label is about.
                    tracing::debug!(%error, "cannot list availability zones of EC2");
                    return;
                }
            };
        self.zones = Some(zones.into_iter().map(|zone| (zone.zone_name, zone.zone_id)).collect());
    }

    fn target(&self, owner: &str, region: &str, instance: &Instance) -> Option<Labels> {
        let interfaces: &[Interface] =
            if instance.vpc_id.is_empty() { &[] } else { &instance.network_interface_set.item };
        let interfaces: Vec<&Interface> = interfaces.iter().filter(|own| !own.subnet_id.is_empty()).collect();
        let (addresses, primary) = ipv6_addresses(&interfaces);
        let default_ipv6 = primary.iter().chain(&addresses).find(|address| !address.is_empty());
        let private = Some(&instance.private_ip_address).filter(|ip| !ip.is_empty());
        let host = private.or(default_ipv6)?;
        let zone = &instance.placement.availability_zone;
        let mut meta = Meta::new("__meta_ec2_");
        meta.address(host, self.port)
            .set("region", region)
            .set("instance_id", &instance.instance_id)
            .set("owner_id", owner)
            .set_some("default_ipv6_address", default_ipv6)
            .set("private_ip", &instance.private_ip_address)
            .set("private_dns_name", &instance.private_dns_name)
            .set("platform", &instance.platform)
            .set_list("primary_ipv6_addresses", ",", &primary)
            .set_list("ipv6_addresses", ",", &addresses)
            .set("ami", &instance.image_id)
            .set("availability_zone", zone)
            .set_some("availability_zone_id", self.zones.as_ref().and_then(|zones| zones.get(zone)))
            .set("instance_state", &instance.instance_state.name)
            .set("instance_type", &instance.instance_type)
            .set("instance_lifecycle", &instance.instance_lifecycle)
            .set("architecture", &instance.architecture);
        if !instance.ip_address.is_empty() {
            meta.set("public_ip", &instance.ip_address).set("public_dns_name", &instance.dns_name);
        }
        if !instance.vpc_id.is_empty() {
            let mut seen = BTreeSet::new();
            let subnets: Vec<&str> = interfaces
                .iter()
                .map(|own| own.subnet_id.as_str())
                .filter(|subnet| seen.insert(*subnet))
                .collect();
            meta.set("vpc_id", &instance.vpc_id)
                .set("primary_subnet_id", &instance.subnet_id)
                .set("subnet_id", surrounded(",", &subnets));
        }
        meta.set_each("tag_", instance.tag_set.item.iter().map(|tag| (&tag.key, &tag.value)));
        Some(meta.build())
    }
}

/// All addresses, and the primary ones, each at the place of its device.
fn ipv6_addresses(interfaces: &[&Interface]) -> (Vec<String>, Vec<String>) {
    let (mut all, mut primary) = (Vec::new(), Vec::new());
    for interface in interfaces {
        for ip in interface.ipv6_addresses_set.item.iter().filter(|ip| !ip.ipv6_address.is_empty()) {
            all.push(ip.ipv6_address.clone());
            let device = interface.attachment.device_index.filter(|index| *index < DEVICES_MAX);
            if let Some(index) = device.filter(|_| ip.is_primary_ipv6) {
                if primary.len() <= index {
                    primary.resize(index + 1, String::new());
                }
                primary[index].clone_from(&ip.ipv6_address);
            }
        }
    }
    (all, primary)
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        if self.zones.is_none() {
            self.learn_zones().await;
        }
        let region = self.access.region().await?;
        let mut filters = Vec::new();
        for (i, filter) in self.filters.iter().enumerate() {
            filters.push((format!("Filter.{}.Name", i + 1), filter.name.clone()));
            for (j, value) in filter.values.iter().enumerate() {
                filters.push((format!("Filter.{}.Value.{}", i + 1, j + 1), value.clone()));
            }
        }
        filters.push(("MaxResults".to_owned(), PAGE.to_owned()));
        let mut targets = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let mut parameters = filters.clone();
            if !next.is_empty() {
                parameters.push(("NextToken".to_owned(), next));
            }
            let page: Page = self.ask("DescribeInstances", &parameters).await?.xml()?;
            for reservation in &page.reservation_set.item {
                let instances = reservation.instances_set.item.iter();
                targets.extend(instances.filter_map(|own| self.target(&reservation.owner_id, &region, own)));
            }
            next = page.next_token;
            if next.is_empty() {
                break;
            }
        }
        Ok(vec![TargetGroup::of_targets(region, targets)])
    }
}
