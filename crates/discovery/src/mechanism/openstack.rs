//! `openstack_sd_configs`: instances of Nova, its hypervisors, or load balancers of Octavia that serve metrics.
//!
//! Map: here settings and targets · [`identity`] Keystone: tokens and the catalogue of services.

use std::collections::{BTreeMap, HashMap, HashSet};

use http_client::settings::TlsSettings;
use http_client::{InvalidSettings, Secret, StatusCode};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::identity::Session;
use super::{Configured, fault, fault_at};
use crate::fetch::{Api, Fault, PAGES_MAX, parse_url};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};

mod identity;

/// A section of `openstack_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    identity_endpoint: String,
    username: String,
    userid: String,
    password: Secret,
    project_name: String,
    project_id: String,
    domain_name: String,
    domain_id: String,
    application_credential_name: String,
    application_credential_id: String,
    application_credential_secret: Secret,
    role: String,
    region: String,
    refresh_interval: DurationMs,
    port: u16,
    all_tenants: bool,
    tls_config: TlsSettings,
    availability: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identity_endpoint: String::new(),
            username: String::new(),
            userid: String::new(),
            password: Secret::default(),
            project_name: String::new(),
            project_id: String::new(),
            domain_name: String::new(),
            domain_id: String::new(),
            application_credential_name: String::new(),
            application_credential_id: String::new(),
            application_credential_secret: Secret::default(),
            role: String::new(),
            region: String::new(),
            refresh_interval: DurationMs(60_000),
            port: 80,
            all_tenants: false,
            tls_config: TlsSettings::default(),
            availability: "public".to_owned(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if !matches!(self.availability.as_str(), "public" | "admin" | "internal") {
            let wrong = format!(
                "unknown availability {}, must be one of admin, internal or public",
                self.availability
            );
            return fault_at("availability", wrong);
        }
        match self.role.as_str() {
            "instance" | "hypervisor" | "loadbalancer" => {}
            "" => return fault("role missing (one of: instance, hypervisor, loadbalancer)"),
            other => return fault_at("role", format!("unknown OpenStack SD role {other:?}")),
        }
        if self.region.is_empty() {
            return fault("openstack SD configuration requires a region");
        }
        self.tls_config.check().map_err(|invalid| InvalidSettings::at(["tls_config"], invalid.message))
    }

    fn set_directory(&mut self, directory: &std::path::Path) {
        self.tls_config.set_directory(directory);
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
    session: Option<Session>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    id: String,
    name: String,
    status: String,
    tenant_id: String,
    user_id: String,
    addresses: BTreeMap<String, Vec<Address>>,
    flavor: BTreeMap<String, Value>,
    /// An empty text for one that boots from a volume.
    image: Value,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hypervisor {
    /// A number, or a text since version 2.53 of the API.
    id: Value,
    hypervisor_hostname: String,
    hypervisor_type: String,
    host_ip: String,
    state: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    id: String,
    device_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FloatingIp {
    floating_ip_address: String,
    fixed_ip_address: String,
    port_id: String,
    tenant_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    id: String,
    name: String,
    operating_status: String,
    provisioning_status: String,
    availability_zone: String,
    vip_address: String,
    vip_port_id: String,
    provider: String,
    project_id: String,
    tags: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listener {
    protocol: String,
    protocol_port: u16,
    loadbalancers: Vec<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    id: String,
}

/// A text, or a number as text.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let http = http_client::Settings { tls_config: settings.tls_config.clone(), ..Default::default() };
        let api = Api::new(&http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone(), shared: shared.clone(), session: None })
    }

    /// All pages of a list. `service` is one of `compute`, `network`, `load-balancer`.
    async fn all<T: DeserializeOwned>(
        &self,
        session: &Session,
        service: &str,
        path: &str,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        let base = session.endpoint(service, &self.settings.availability, &self.settings.region)?;
        let mut url = parse_url(&format!("{base}{path}"))?;
        let links = format!("{key}_links");
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut request = self.api.client().get(url.clone());
            session.authorize(&mut request)?;
            let answer = self.api.send(request).await?;
            let mut page: BTreeMap<String, Value> = answer.json()?;
            let items = page.remove(key).unwrap_or(Value::Array(Vec::new()));
            let items: Vec<T> =
                serde_json::from_value(items).map_err(|error| answer.syntax(error.to_string()))?;
            let next = page.get(&links).and_then(Value::as_array).into_iter().flatten();
            let next = next.filter(|link| link["rel"] == "next").find_map(|link| link["href"].as_str());
            let ended = items.is_empty();
            all.extend(items);
            // Only the query is taken: behind a proxy the servers may not know by which name they are reached.
            match next.map(parse_url).transpose()? {
                Some(next) if !ended && next.query() != url.query() => url.set_query(next.query()),
                _ => break,
            }
        }
        Ok(all)
    }

    async fn instances(&self, session: &Session) -> Result<Vec<Labels>, Fault> {
        let ports: Vec<Port> = self.all(session, "network", "v2.0/ports", "ports").await?;
        let devices: HashMap<String, String> =
            ports.into_iter().map(|port| (port.id, port.device_id)).collect();
        let floating: Vec<FloatingIp> =
            self.all(session, "network", "v2.0/floatingips", "floatingips").await?;
        let mut public = HashMap::new();
        let mut known = HashSet::new();
        for ip in floating {
            if let Some(device) = devices.get(&ip.port_id).filter(|_| !ip.fixed_ip_address.is_empty()) {
                known.insert(ip.floating_ip_address.clone());
                public.insert((ip.tenant_id, device.clone(), ip.fixed_ip_address), ip.floating_ip_address);
            }
        }
        let tenants = if self.settings.all_tenants { "?all_tenants=true" } else { "" };
        let path = format!("servers/detail{tenants}");
        let servers: Vec<Server> = self.all(session, "compute", &path, "servers").await?;
        let mut targets = Vec::new();
        for server in &servers {
            let flavor = ["original_name", "id"].iter().find_map(|key| text_of(server.flavor.get(*key)?));
            let Some(flavor) = flavor else { continue };
            let mut meta = Meta::new("__meta_openstack_");
            meta.set("instance_id", &server.id)
                .set("instance_status", &server.status)
                .set("instance_name", &server.name)
                .set("project_id", &server.tenant_id)
                .set("user_id", &server.user_id)
                .set("instance_flavor", flavor)
                .set_some("instance_image", server.image.get("id").and_then(Value::as_str))
                .set_each("tag_", &server.metadata);
            for (pool, addresses) in &server.addresses {
                let own = addresses.iter().filter(|ip| !ip.addr.is_empty() && !known.contains(&ip.addr));
                for Address { addr } in own {
                    let key = (server.tenant_id.clone(), server.id.clone(), addr.clone());
                    let mut meta = meta.clone();
                    meta.address(addr, self.settings.port)
                        .set("address_pool", pool)
                        .set("private_ip", addr)
                        .set_some("public_ip", public.get(&key));
                    targets.push(meta.build());
                }
            }
        }
        Ok(targets)
    }

    async fn hypervisors(&self, session: &Session) -> Result<Vec<Labels>, Fault> {
        let path = "os-hypervisors/detail";
        let hypervisors: Vec<Hypervisor> = self.all(session, "compute", path, "hypervisors").await?;
        let target = |hypervisor: &Hypervisor| {
            let mut meta = Meta::new("__meta_openstack_hypervisor_");
            meta.address(&hypervisor.host_ip, self.settings.port)
                .set_some("id", text_of(&hypervisor.id))
                .set("hostname", &hypervisor.hypervisor_hostname)
                .set("host_ip", &hypervisor.host_ip)
                .set("status", &hypervisor.status)
                .set("state", &hypervisor.state)
                .set("type", &hypervisor.hypervisor_type);
            meta.build()
        };
        Ok(hypervisors.iter().map(target).collect())
    }

    async fn load_balancers(&self, session: &Session) -> Result<Vec<Labels>, Fault> {
        let service = "load-balancer";
        let balancers: Vec<LoadBalancer> =
            self.all(session, service, "v2.0/lbaas/loadbalancers", "loadbalancers").await?;
        let listeners: Vec<Listener> =
            self.all(session, service, "v2.0/lbaas/listeners", "listeners").await?;
        let floating: Vec<FloatingIp> =
            self.all(session, "network", "v2.0/floatingips", "floatingips").await?;
        let mut ports = HashMap::new();
        for listener in listeners.iter().filter(|listener| listener.protocol == "PROMETHEUS") {
            for balancer in &listener.loadbalancers {
                ports.entry(balancer.id.as_str()).or_insert(listener.protocol_port);
            }
        }
        let public: HashMap<&str, &str> =
            floating.iter().map(|ip| (ip.port_id.as_str(), ip.floating_ip_address.as_str())).collect();
        let target = |balancer: &LoadBalancer| {
            let port = ports.get(balancer.id.as_str())?;
            let floating =
                public.get(balancer.vip_port_id.as_str()).filter(|_| !balancer.vip_port_id.is_empty());
            let mut meta = Meta::new("__meta_openstack_");
            meta.address(&balancer.vip_address, port)
                .set("loadbalancer_id", &balancer.id)
                .set("loadbalancer_name", &balancer.name)
                .set("loadbalancer_operating_status", &balancer.operating_status)
                .set("loadbalancer_provisioning_status", &balancer.provisioning_status)
                .set("loadbalancer_availability_zone", &balancer.availability_zone)
                .set("loadbalancer_vip", &balancer.vip_address)
                .set("loadbalancer_provider", &balancer.provider)
                .set("loadbalancer_tags", balancer.tags.join(","))
                .set_some("loadbalancer_floating_ip", floating)
                .set("project_id", &balancer.project_id);
            Some(meta.build())
        };
        Ok(balancers.iter().filter_map(target).collect())
    }

    async fn targets(&self, session: &Session) -> Result<Vec<Labels>, Fault> {
        match self.settings.role.as_str() {
            "hypervisor" => self.hypervisors(session).await,
            "loadbalancer" => self.load_balancers(session).await,
            _ => self.instances(session).await,
        }
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let kept = self.session.take().filter(Session::is_good);
        let was_kept = kept.is_some();
        let mut session = match kept {
            Some(session) => session,
            None => identity::log_in(&self.api, &self.settings, &self.shared).await?,
        };
        let mut targets = self.targets(&session).await;
        let refused = |fault: &Fault| fault.status() == Some(StatusCode::UNAUTHORIZED);
        if was_kept && targets.as_ref().is_err_and(refused) {
            // It may have been revoked before its time.
            session = identity::log_in(&self.api, &self.settings, &self.shared).await?;
            targets = self.targets(&session).await;
        }
        let targets = targets?;
        self.session = Some(session);
        Ok(vec![TargetGroup::of_targets(format!("OS_{}", self.settings.region), targets)])
    }
}

#[cfg(test)]
mod tests;
