//! `azure_sd_configs`: virtual machines of an Azure subscription, those of scale sets included.
//!
//! Map: here the machines and their network interfaces · [`credentials`] who we are to Azure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_client::{InvalidSettings, Secret, StatusCode};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault, PAGES_MAX, parse_url};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};
use crate::token::Token;

mod credentials;

const COMPUTE_VERSION: &str = "2023-03-01";
const NETWORK_VERSION: &str = "2023-04-01";
/// Scale sets show their interfaces in a version of their own.
const SCALE_SET_NETWORK_VERSION: &str = "2018-10-01";
/// Interfaces that are remembered, and how many refreshes long at least.
const INTERFACES_MAX: usize = 5_000;
const INTERFACE_REFRESHES: u32 = 10;
/// Interfaces that are asked for at one time.
const CONCURRENCY: usize = 16;

/// A section of `azure_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    environment: String,
    port: u16,
    subscription_id: String,
    tenant_id: String,
    client_id: String,
    client_secret: Secret,
    refresh_interval: DurationMs,
    authentication_method: String,
    resource_group: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: "AzurePublicCloud".to_owned(),
            port: 80,
            subscription_id: String::new(),
            tenant_id: String::new(),
            client_id: String::new(),
            client_secret: Secret::default(),
            refresh_interval: DurationMs(300_000),
            authentication_method: "OAuth".to_owned(),
            resource_group: String::new(),
            http: http_client::Settings::default(),
        }
    }
}

/// Where a cloud is: those who give tokens, what tokens are for, and the API.
#[derive(Debug, Clone)]
struct Cloud {
    authority: String,
    audience: String,
    api: String,
}

impl Cloud {
    fn named(name: &str) -> Option<Self> {
        let of = |authority: &str, audience: &str, api: &str| {
            let [authority, audience, api] = [authority, audience, api].map(|host| format!("https://{host}"));
            Some(Self { authority, audience, api })
        };
        match name.to_uppercase().as_str() {
            "AZURECLOUD" | "AZUREPUBLICCLOUD" | "AZUREGERMANCLOUD" => {
                of("login.microsoftonline.com", "management.core.windows.net/", "management.azure.com")
            }
            "AZURECHINACLOUD" => of(
                "login.chinacloudapi.cn",
                "management.core.chinacloudapi.cn",
                "management.chinacloudapi.cn",
            ),
            "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => of(
                "login.microsoftonline.us",
                "management.core.usgovcloudapi.net",
                "management.usgovcloudapi.net",
            ),
            _ => None,
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        let required = |key: &str, value: &str| match value {
            "" => fault_at(key, format!("azure SD configuration requires a {key}")),
            _ => Ok(()),
        };
        required("subscription_id", &self.subscription_id)?;
        match self.authentication_method.as_str() {
            "OAuth" => {
                required("tenant_id", &self.tenant_id)?;
                required("client_id", &self.client_id)?;
                required("client_secret", self.client_secret.reveal())?;
            }
            "ManagedIdentity" | "SDK" | "WorkloadIdentity" => {}
            other => {
                let message = format!(
                    "unknown authentication_type {other:?}. Supported types are \"OAuth\", \"ManagedIdentity\", \"SDK\" or \
                     \"WorkloadIdentity\""
                );
                return fault_at("authentication_method", message);
            }
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    shared: Shared,
    cloud: Cloud,
    token: Option<Token>,
    interfaces: HashMap<String, (Interface, Instant)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page<T> {
    value: Vec<T>,
    next_link: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Machine {
    id: String,
    name: String,
    location: String,
    instance_id: String,
    tags: BTreeMap<String, String>,
    properties: MachineProperties,
    /// Not Azure's: the scale set that it belongs to.
    #[serde(skip)]
    scale_set: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MachineProperties {
    storage_profile: StorageProfile,
    os_profile: OsProfile,
    hardware_profile: HardwareProfile,
    network_profile: NetworkProfile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StorageProfile {
    os_disk: OsDisk,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OsDisk {
    os_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OsProfile {
    computer_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HardwareProfile {
    vm_size: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NetworkProfile {
    network_interfaces: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    id: String,
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Interface {
    properties: Option<InterfaceProperties>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InterfaceProperties {
    primary: Option<bool>,
    ip_configurations: Vec<IpConfiguration>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct IpConfiguration {
    properties: IpProperties,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct IpProperties {
    #[serde(rename = "privateIPAddress")]
    private_ip: String,
    #[serde(rename = "publicIPAddress")]
    public_ip: PublicIp,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PublicIp {
    properties: PublicIpProperties,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PublicIpProperties {
    ip_address: String,
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let cloud = Cloud::named(&settings.environment).ok_or_else(|| {
            Fault::Other(format!(
                "there is no cloud configuration matching the name {:?}",
                settings.environment
            ))
        })?;
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        let (settings, shared) = (settings.clone(), shared.clone());
        Ok(Self { api, settings, shared, cloud, token: None, interfaces: HashMap::new() })
    }

    async fn get<T: DeserializeOwned>(&self, token: &Token, url: &str) -> Result<T, Fault> {
        let mut request = self.api.get(url)?;
        token.authorize(&mut request)?;
        self.api.send(request).await?.json()
    }

    /// All pages of a list below the API's root.
    async fn all<T: DeserializeOwned + Default>(&self, token: &Token, path: &str) -> Result<Vec<T>, Fault> {
        let mut items = Vec::new();
        let mut url = format!("{}{path}?api-version={COMPUTE_VERSION}", self.cloud.api);
        for _ in 0..PAGES_MAX {
            let page: Page<T> = self.get(token, &url).await?;
            items.extend(page.value);
            if page.next_link.is_empty() {
                break;
            }
            // The token is for this server only.
            if parse_url(&page.next_link)?.origin() != parse_url(&self.cloud.api)?.origin() {
                return Err(Fault::Other(format!("the next page is elsewhere: {}", page.next_link)));
            }
            url = page.next_link;
        }
        Ok(items)
    }

    async fn machines(&self, token: &Token) -> Result<Vec<Machine>, Fault> {
        let Settings { subscription_id, resource_group, .. } = &self.settings;
        let within = match resource_group.as_str() {
            "" => format!("/subscriptions/{subscription_id}"),
            group => format!("/subscriptions/{subscription_id}/resourceGroups/{group}"),
        };
        let compute = format!("{within}/providers/Microsoft.Compute");
        let mut machines: Vec<Machine> = self.all(token, &format!("{compute}/virtualMachines")).await?;
        let sets: Vec<Named> = self.all(token, &format!("{compute}/virtualMachineScaleSets")).await?;
        for set in sets {
            let mut members: Vec<Machine> = self.all(token, &format!("{}/virtualMachines", set.id)).await?;
            members.iter_mut().for_each(|machine| machine.scale_set.clone_from(&set.name));
            machines.extend(members);
        }
        Ok(machines)
    }

    /// Where an interface of a machine is shown with its addresses.
    fn interface_url(&self, machine: &Machine, id: &str) -> String {
        let (path, version) = match machine.scale_set.as_str() {
            "" => (id.to_owned(), NETWORK_VERSION),
            set => {
                let name = id.rsplit('/').next().unwrap_or("");
                let group = segment_after(id, "resourceGroups");
                let path = format!(
                    "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{set}/\
                     virtualMachines/{}/networkInterfaces/{name}",
                    self.settings.subscription_id, machine.instance_id
                );
                (path, SCALE_SET_NETWORK_VERSION)
            }
        };
        format!("{}{path}?api-version={version}&$expand=IPConfigurations/PublicIPAddress", self.cloud.api)
    }

    /// Asks for the interfaces that are not known. One that is gone in the meantime is left out.
    async fn learn_interfaces(&mut self, token: &Token, machines: &[Machine]) -> Result<(), Fault> {
        let now = Instant::now();
        self.interfaces.retain(|_, (_, until)| *until > now);
        let ids = machines.iter().flat_map(|machine| {
            machine
                .properties
                .network_profile
                .network_interfaces
                .iter()
                .map(move |own| (machine, own.id.as_str()))
        });
        let unknown: Vec<(String, String)> = ids
            .filter(|(_, id)| !self.interfaces.contains_key(*id))
            .map(|(machine, id)| (id.to_owned(), self.interface_url(machine, id)))
            .collect();
        let asks = unknown.into_iter().map(|(id, url)| {
            let this = &*self;
            async move {
                match this.get::<Interface>(token, &url).await {
                    Ok(interface) => Ok(Some((id, interface))),
                    Err(fault) if fault.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
                    Err(fault) => Err(fault),
                }
            }
        });
        let found: Vec<_> = stream::iter(asks).buffer_unordered(CONCURRENCY).try_collect().await?;
        let refresh = interval(self.settings.refresh_interval);
        for (id, interface) in found.into_iter().flatten() {
            if self.interfaces.len() >= INTERFACES_MAX {
                break;
            }
            let spread = refresh.mul_f64(3.0 * self.shared.random.unit_f64());
            let until: Duration = refresh * INTERFACE_REFRESHES + spread;
            self.interfaces.insert(id, (interface, now + until));
        }
        Ok(())
    }

    fn target(&self, machine: &Machine) -> Result<Option<Labels>, Fault> {
        let properties = &machine.properties;
        for id in properties.network_profile.network_interfaces.iter().map(|own| &own.id) {
            let Some((interface, _)) = self.interfaces.get(id) else { return Ok(None) };
            let Some(interface) = &interface.properties else { continue };
            match interface.primary {
                // A machine that is switched off.
                None => return Ok(None),
                Some(false) => continue,
                Some(true) => {}
            }
            let Some(ip) = interface.ip_configurations.first().map(|configuration| &configuration.properties)
            else {
                continue;
            };
            if ip.private_ip.is_empty() {
                return Err(Fault::Other(format!("unable to find a private IP for VM {}", machine.name)));
            }
            let mut meta = Meta::new("__meta_azure_");
            meta.address(&ip.private_ip, self.settings.port)
                .set("subscription_id", &self.settings.subscription_id)
                .set("tenant_id", &self.settings.tenant_id)
                .set("machine_id", &machine.id)
                .set("machine_name", &machine.name)
                .set("machine_computer_name", &properties.os_profile.computer_name)
                .set("machine_os_type", &properties.storage_profile.os_disk.os_type)
                .set("machine_location", &machine.location)
                .set("machine_resource_group", segment_after(&machine.id, "resourceGroups"))
                .set("machine_size", &properties.hardware_profile.vm_size)
                .set("machine_scale_set", &machine.scale_set)
                .set("machine_private_ip", &ip.private_ip)
                .set("machine_public_ip", &ip.public_ip.properties.ip_address)
                .set_each("machine_tag_", &machine.tags);
            return Ok(Some(meta.build()));
        }
        Ok(None)
    }
}

/// The part of an id that stands behind a word; Azure writes the word as it likes.
fn segment_after<'a>(id: &'a str, word: &str) -> &'a str {
    let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case(word));
    parts.nth(1).unwrap_or("")
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let token = match self.token.take().filter(Token::is_good) {
            Some(token) => token,
            None => credentials::fetch(&self.api, &self.settings, &self.cloud, &self.shared).await?,
        };
        let machines = self.machines(&token).await?;
        self.learn_interfaces(&token, &machines).await?;
        // One that was refused is not used again.
        self.token = Some(token);
        let mut targets = Vec::new();
        for machine in &machines {
            targets.extend(self.target(machine)?);
        }
        Ok(vec![TargetGroup::of_targets("azure", targets)])
    }
}

#[cfg(test)]
mod tests;
