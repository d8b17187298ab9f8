//! `triton_sd_configs`: containers or compute nodes that Triton's monitoring service (CMON) knows.

use http_client::InvalidSettings;
use http_client::settings::TlsSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault, fault_at};
use crate::fetch::{Api, Fault, with_query};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};

/// A section of `triton_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    account: String,
    role: String,
    dns_suffix: String,
    endpoint: String,
    groups: Vec<String>,
    port: u16,
    refresh_interval: DurationMs,
    tls_config: TlsSettings,
    version: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: String::new(),
            role: "container".to_owned(),
            dns_suffix: String::new(),
            endpoint: String::new(),
            groups: Vec::new(),
            port: 9163,
            refresh_interval: DurationMs(60_000),
            tls_config: TlsSettings::default(),
            version: 1,
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if !matches!(self.role.as_str(), "container" | "cn") {
            return fault_at("role", "triton SD configuration requires role to be 'container' or 'cn'");
        }
        let required = [
            ("an account", &self.account),
            ("a dns_suffix", &self.dns_suffix),
            ("an endpoint", &self.endpoint),
        ];
        if let Some((what, _)) = required.iter().find(|(_, value)| value.is_empty()) {
            return fault(format!("triton SD configuration requires {what}"));
        }
        if self.refresh_interval.0 <= 0 {
            let wrong = "triton SD configuration requires RefreshInterval to be a positive integer";
            return fault_at("refresh_interval", wrong);
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
    base: String,
}

/// Either list is there, by role.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answered {
    containers: Vec<Container>,
    cns: Vec<Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    groups: Vec<String>,
    server_uuid: String,
    vm_alias: String,
    vm_brand: String,
    vm_image_uuid: String,
    vm_uuid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    server_uuid: String,
    server_hostname: String,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let http = http_client::Settings { tls_config: settings.tls_config.clone(), ..Default::default() };
        let api = Api::new(&http, interval(settings.refresh_interval))?;
        let base = format!("https://{}:{}", settings.endpoint, settings.port);
        Ok(Self { api, settings: settings.clone(), base })
    }

    fn meta(&self, id: &str) -> Meta {
        let mut meta = Meta::new("__meta_triton_");
        let host = format!("{id}.{}", self.settings.dns_suffix);
        meta.address(&host, self.settings.port).set("machine_id", id);
        meta
    }

    fn container(&self, container: &Container) -> Labels {
        self.meta(&container.vm_uuid)
            .set("machine_alias", &container.vm_alias)
            .set("machine_brand", &container.vm_brand)
            .set("machine_image", &container.vm_image_uuid)
            .set("server_id", &container.server_uuid)
            .set_list("groups", ",", &container.groups)
            .build()
    }

    fn node(&self, node: &Node) -> Labels {
        self.meta(&node.server_uuid).set("machine_alias", &node.server_hostname).build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let path = if self.settings.role == "cn" { "gz/discover" } else { "discover" };
        let groups = self.settings.groups.join(",");
        let pairs = [("groups", groups.as_str())].into_iter().filter(|(_, value)| !value.is_empty());
        let url = with_query(&format!("{}/v{}/{path}", self.base, self.settings.version), pairs)?;
        let source = url.to_string();
        let answer: Answered = self.api.send(self.api.client().get(url)).await?.json()?;
        let targets = match self.settings.role.as_str() {
            "cn" => answer.cns.iter().map(|node| self.node(node)).collect(),
            _ => answer.containers.iter().map(|container| self.container(container)).collect(),
        };
        Ok(vec![TargetGroup::of_targets(source, targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Recorded, Server, check_targets, settings, shared};

    const TEXT: &str = "account: a, dns_suffix: triton.example, endpoint: cmon.example";

    async fn refresh(text: &str) -> (Server, Recorded, Vec<TargetGroup>) {
        let (server, recorded) = Server::recorded(include_str!("../../testdata/triton.txt")).await;
        let settings: Settings = settings(text);
        settings.check().unwrap();
        let mut source = Source::new(&settings, &shared(&[])).unwrap();
        assert_eq!(source.base, "https://cmon.example:9163");
        source.base.clone_from(&server.url);
        let groups = source.refresh().await.unwrap();
        (server, recorded, groups)
    }

    #[tokio::test]
    async fn containers_with_their_groups_and_compute_nodes() {
        let (server, recorded, groups) = refresh(&format!("{{{TEXT}, groups: [foo, bar]}}")).await;
        check_targets(&groups, recorded.targets("triton"));
        assert_eq!(server.asked("/v1")[0].parameter("groups"), "foo,bar");
        let (_server, recorded, groups) = refresh(&format!("{{{TEXT}, role: cn}}")).await;
        check_targets(&groups, recorded.targets("cn"));
    }

    #[test]
    fn sections_are_checked_as_prometheus_checks_them() {
        let check = |text: &str, want: &str| {
            let fault = settings::<Settings>(text).check().expect_err(text);
            assert_eq!(fault.message, format!("triton SD configuration requires {want}"), "{text}");
        };
        check("{}", "an account");
        check("{account: a}", "a dns_suffix");
        check("{account: a, dns_suffix: s}", "an endpoint");
        check("{role: x}", "role to be 'container' or 'cn'");
    }
}
