//! `ovhcloud_sd_configs`: dedicated servers, or virtual private ones.

use std::net::IpAddr;

use http_client::{InvalidSettings, Secret};
use model::Labels;
use model::time::DurationMs;
use ring::digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Configured, fault, fault_at};
use crate::fetch::{Api, Fault, parse_url};
use crate::group::{ADDRESS_LABEL, TargetGroup};
use crate::meta::{INSTANCE_LABEL, Meta};
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};
use crate::token::set_secret;

/// Names of the APIs; any other is a URL.
const ENDPOINTS: &[(&str, &str)] = &[
    ("ovh-eu", "https://eu.api.ovh.com/1.0"),
    ("ovh-ca", "https://ca.api.ovh.com/1.0"),
    ("ovh-us", "https://api.us.ovhcloud.com/1.0"),
    ("kimsufi-eu", "https://eu.api.kimsufi.com/1.0"),
    ("kimsufi-ca", "https://ca.api.kimsufi.com/1.0"),
    ("soyoustart-eu", "https://eu.api.soyoustart.com/1.0"),
    ("soyoustart-ca", "https://ca.api.soyoustart.com/1.0"),
];

/// A section of `ovhcloud_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    endpoint: String,
    application_key: String,
    application_secret: Secret,
    consumer_key: Secret,
    refresh_interval: DurationMs,
    service: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: "ovh-eu".to_owned(),
            application_key: String::new(),
            application_secret: Secret::default(),
            consumer_key: Secret::default(),
            refresh_interval: DurationMs(60_000),
            service: String::new(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        let required = [
            ("endpoint", self.endpoint.is_empty()),
            ("application key", self.application_key.is_empty()),
            ("application secret", self.application_secret.is_empty()),
            ("consumer key", self.consumer_key.is_empty()),
        ];
        if let Some((what, _)) = required.iter().find(|(_, empty)| *empty) {
            return fault(format!("{what} can not be empty"));
        }
        match self.service.as_str() {
            "dedicated_server" | "vps" => Ok(()),
            other => fault_at("service", format!("unknown service: {other}")),
        }
    }

    fn set_directory(&mut self, _: &std::path::Path) {}

    async fn run(self, shared: Shared, publisher: Publisher) {
        refresh::run(self.refresh_interval, shared, publisher, |shared| Source::new(&self, shared)).await;
    }
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    shared: Shared,
    base: String,
    /// How far our clock is behind the API's, in seconds, once it is known.
    behind_s: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Dedicated {
    state: String,
    commercial_range: String,
    link_speed: i64,
    rack: String,
    no_intervention: bool,
    os: String,
    support_level: String,
    server_id: i64,
    reverse: String,
    datacenter: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Vps {
    zone: String,
    model: VpsModel,
    display_name: String,
    cluster: String,
    state: String,
    name: String,
    netboot_mode: String,
    memory_limit: i64,
    offer_type: String,
    vcore: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VpsModel {
    /// The API writes it so.
    #[serde(rename = "maximumAdditionnalIp")]
    maximum_additional_ip: i64,
    offer: String,
    datacenter: Vec<String>,
    vcore: i64,
    version: String,
    name: String,
    disk: i64,
    memory: i64,
}

/// The last address of either family; networks of more than one IPv4 address are none.
fn addresses(ips: &[String]) -> Option<(String, String)> {
    let (mut v4, mut v6) = (String::new(), String::new());
    for ip in ips {
        let (address, bits) = ip.split_once('/').unwrap_or((ip, "32"));
        let address: IpAddr = address.parse().ok()?;
        if bits != "32" || address.is_unspecified() {
            continue;
        }
        *(if address.is_ipv4() { &mut v4 } else { &mut v6 }) = address.to_string();
    }
    (!v4.is_empty() || !v6.is_empty()).then_some((v4, v6))
}

fn meta(prefix: &'static str, name: &str, (v4, v6): &(String, String)) -> Meta {
    let mut meta = Meta::new(prefix);
    meta.plain(ADDRESS_LABEL, if v4.is_empty() { v6 } else { v4 })
        .plain(INSTANCE_LABEL, name)
        .set("name", name)
        .set("ipv4", v4)
        .set("ipv6", v6);
    meta
}

fn of_dedicated(server: &Dedicated, ips: &(String, String)) -> Labels {
    meta("__meta_ovhcloud_dedicated_server_", &server.name, ips)
        .set("state", &server.state)
        .set("commercial_range", &server.commercial_range)
        .set("link_speed", server.link_speed)
        .set("rack", &server.rack)
        .set("no_intervention", server.no_intervention)
        .set("os", &server.os)
        .set("support_level", &server.support_level)
        .set("server_id", server.server_id)
        .set("reverse", &server.reverse)
        .set("datacenter", &server.datacenter)
        .build()
}

fn of_vps(server: &Vps, ips: &(String, String)) -> Labels {
    let model = &server.model;
    meta("__meta_ovhcloud_vps_", &server.name, ips)
        .set("offer", &model.offer)
        .set("datacenter", format_args!("[{}]", model.datacenter.join(" ")))
        .set("model_vcore", model.vcore)
        .set("maximum_additional_ip", model.maximum_additional_ip)
        .set("version", &model.version)
        .set("model_name", &model.name)
        .set("disk", model.disk)
        .set("memory", model.memory)
        .set("zone", &server.zone)
        .set("display_name", &server.display_name)
        .set("cluster", &server.cluster)
        .set("state", &server.state)
        .set("netboot_mode", &server.netboot_mode)
        .set("memory_limit", server.memory_limit)
        .set("offer_type", &server.offer_type)
        .set("vcore", server.vcore)
        .build()
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&http_client::Settings::default(), interval(settings.refresh_interval))?;
        let known = ENDPOINTS.iter().find(|(name, _)| *name == settings.endpoint);
        let base = match known {
            Some((_, url)) => (*url).to_owned(),
            None if settings.endpoint.contains("://") => settings.endpoint.trim_end_matches('/').to_owned(),
            None => return Err(Fault::Other(format!("unknown endpoint {:?}", settings.endpoint))),
        };
        Ok(Self { api, settings: settings.clone(), shared: shared.clone(), base, behind_s: None })
    }

    /// The API's time: signatures hold it.
    async fn now_s(&mut self) -> Result<i64, Fault> {
        let own = self.shared.clock.now_ms() / 1_000;
        let behind = match self.behind_s {
            Some(behind) => behind,
            None => self.api.get_json::<i64>(&format!("{}/auth/time", self.base)).await? - own,
        };
        Ok(own + *self.behind_s.insert(behind))
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Fault> {
        let now = self.now_s().await?;
        let url = parse_url(&format!("{}{path}", self.base))?;
        let (secret, consumer) =
            (self.settings.application_secret.reveal(), self.settings.consumer_key.reveal());
        let text = format!("{secret}+{consumer}+GET+{url}++{now}");
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut request = self.api.client().get(url);
        set_secret(&mut request, "x-ovh-application", &self.settings.application_key)?;
        set_secret(&mut request, "x-ovh-consumer", consumer)?;
        set_secret(&mut request, "x-ovh-timestamp", &now.to_string())?;
        set_secret(&mut request, "x-ovh-signature", &format!("$1${hash}"))?;
        self.api.send(request).await?.json()
    }

    /// A server of which something cannot be had (it is being removed, say) is passed over.
    async fn all<T: DeserializeOwned>(
        &mut self,
        path: &str,
        target: fn(&T, &(String, String)) -> Labels,
    ) -> Result<Vec<Labels>, Fault> {
        let names: Vec<String> = self.get(path).await?;
        let mut targets = Vec::new();
        for name in &names {
            let path = format!("{path}/{name}");
            let found = async {
                let server: T = self.get(&path).await?;
                let ips: Vec<String> = self.get(&format!("{path}/ips")).await?;
                Ok::<_, Fault>((server, ips))
            };
            match found.await {
                Ok((server, ips)) => targets.extend(addresses(&ips).map(|ips| target(&server, &ips))),
                Err(fault) if fault.status().is_some_and(|status| status.is_client_error()) => {
                    tracing::warn!(%fault, name, "a server's details cannot be had");
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(targets)
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let targets = match self.settings.service.as_str() {
            "vps" => self.all("/vps", of_vps).await?,
            _ => self.all("/dedicated/server", of_dedicated).await?,
        };
        Ok(vec![TargetGroup::of_targets(format!("ovhcloud_{}", self.settings.service), targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ask, Recorded, Reply, Server, check_targets, settings, shared};

    fn answer(ask: &Ask, recorded: &Recorded) -> Reply {
        if ask.path == "/auth/time" {
            return ask.answered(recorded);
        }
        let time: i64 = ask.header("x-ovh-timestamp").parse().unwrap();
        assert!((1_700_000_000..1_700_000_060).contains(&time), "the API's time, not ours: {time}");
        let url = format!("http://{}{}", ask.header("host"), ask.path);
        let text = format!("AS+CK+GET+{url}++{time}");
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ask.header("x-ovh-signature"), format!("$1${hash}"));
        assert_eq!((ask.header("x-ovh-application"), ask.header("x-ovh-consumer")), ("AK", "CK"));
        ask.answered(recorded)
    }

    async fn check(service: &str, want: &str) {
        let recorded = Recorded::parse(include_str!("../../testdata/ovhcloud.txt"));
        let own = recorded.clone();
        let server = Server::start(move |ask| answer(ask, &own)).await;
        let text = format!(
            "{{endpoint: '{}', application_key: AK, application_secret: AS, consumer_key: CK, service: {service}}}",
            server.url
        );
        let settings: Settings = settings(&text);
        settings.check().unwrap();
        let mut source = Source::new(&settings, &shared(&[])).unwrap();
        let groups = source.refresh().await.unwrap();
        assert_eq!(groups[0].source, format!("ovhcloud_{service}"));
        check_targets(&groups, recorded.targets(want));
    }

    #[tokio::test]
    async fn dedicated_and_virtual_servers_asked_for_with_a_signature() {
        check("dedicated_server", "dedicated_server").await;
        check("vps", "ovhcloud").await;
    }

    #[test]
    fn sections_are_checked_as_prometheus_checks_them() {
        let check = |text: &str, want: &str| {
            let fault = settings::<Settings>(text).check().expect_err(text);
            assert_eq!(fault.message, want, "{text}");
        };
        check("{endpoint: ''}", "endpoint can not be empty");
        check("{}", "application key can not be empty");
        check("{application_key: a}", "application secret can not be empty");
        check("{application_key: a, application_secret: b}", "consumer key can not be empty");
        check(
            "{application_key: a, application_secret: b, consumer_key: c, service: x}",
            "unknown service: x",
        );
    }
}
