//! `kuma_sd_configs`: data planes of a Kuma mesh, as its control plane assigns them (xDS version 3 over REST).
//!
//! A request says which version we have; the answer comes when there is a newer one, or 304 after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use http_client::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http_client::{InvalidSettings, Method, Request, StatusCode};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, fault_at};
use crate::fetch::{Api, Fault, with_query};
use crate::group::{ADDRESS_LABEL, TargetGroup};
use crate::meta::{INSTANCE_LABEL, Meta};
use crate::place::Shared;
use crate::refresh::Refresh;

const TYPE: &str = "type.googleapis.com/kuma.observability.v1.MonitoringAssignment";
/// How much longer than it was asked to the server may take.
const LATE_MAX: Duration = Duration::from_secs(15);

/// A section of `kuma_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    server: String,
    /// Empty: the name of the machine.
    client_id: String,
    refresh_interval: DurationMs,
    /// How long the server may wait for news.
    fetch_timeout: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: String::new(),
            client_id: String::new(),
            refresh_interval: DurationMs(15_000),
            fetch_timeout: DurationMs(120_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        let server = &self.server;
        if server.is_empty() {
            return fault_at("server", "kuma SD server must not be empty: ");
        }
        if !http_client::Url::parse(server).is_ok_and(|url| url.has_host()) {
            return fault_at(
                "server",
                format!("kuma SD server must not be empty and have a scheme: {server}"),
            );
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    client: Option<String>,
    /// Version and nonce of the last answer.
    version: String,
    nonce: String,
    known: Vec<TargetGroup>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answered {
    #[serde(alias = "versionInfo")]
    version_info: String,
    nonce: String,
    resources: Vec<Assignment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Assignment {
    mesh: String,
    service: String,
    labels: BTreeMap<String, String>,
    targets: Vec<Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    name: String,
    scheme: String,
    address: String,
    #[serde(alias = "metricsPath")]
    metrics_path: String,
    labels: BTreeMap<String, String>,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let wait = Duration::from_millis(u64::try_from(settings.fetch_timeout.0).unwrap_or(0));
        let api = Api::new(&settings.http, wait + LATE_MAX)?;
        let (version, nonce) = (String::new(), String::new());
        Ok(Self { api, settings: settings.clone(), client: None, version, nonce, known: Vec::new() })
    }

    async fn client(&mut self) -> String {
        if let Some(known) = &self.client {
            return known.clone();
        }
        let own = self.settings.client_id.clone();
        let name = if own.is_empty() {
            let name = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await.unwrap_or_default();
            if name.trim().is_empty() { "kymo".to_owned() } else { name.trim().to_owned() }
        } else {
            own
        };
        self.client.insert(name).clone()
    }

    async fn fetch(&mut self) -> Result<Answered, Fault> {
        let client = self.client().await;
        let url =
            format!("{}/v3/discovery:monitoringassignments", self.settings.server.trim_end_matches('/'));
        let wait = self.settings.fetch_timeout.to_string();
        let mut request = Request::new(Method::POST, with_query(&url, [("fetch-timeout", wait)])?);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json.clone());
        request.headers_mut().insert(CONTENT_TYPE, json);
        let body = serde_json::json!({
            "version_info": self.version, "response_nonce": self.nonce, "type_url": TYPE,
            "resource_names": [], "node": { "id": client },
        });
        *request.body_mut() = Some(body.to_string().into());
        self.api.send(request).await?.json()
    }
}

fn target(assignment: &Assignment, target: &Target) -> Labels {
    let mut meta = Meta::new("__meta_kuma_");
    meta.set_each("label_", &target.labels)
        .set_each("label_", &assignment.labels)
        .set("mesh", &assignment.mesh)
        .set("service", &assignment.service)
        .set("dataplane", &target.name)
        .plain(ADDRESS_LABEL, &target.address)
        .plain(INSTANCE_LABEL, &target.name)
        .plain("__scheme__", &target.scheme)
        .plain("__metrics_path__", &target.metrics_path);
    meta.build()
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        match self.fetch().await {
            Ok(answer) => {
                let all = answer.resources.iter();
                let targets = all.flat_map(|all| all.targets.iter().map(|one| target(all, one))).collect();
                self.known = vec![TargetGroup::of_targets("kuma", targets)];
                (self.version, self.nonce) = (answer.version_info, answer.nonce);
            }
            Err(fault) if fault.status() == Some(StatusCode::NOT_MODIFIED) => {}
            Err(fault) => return Err(fault),
        }
        Ok(self.known.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, check_targets, settings, shared};

    #[tokio::test]
    async fn assignments_stay_until_there_is_a_newer_version() {
        let (server, recorded) = Server::recorded(include_str!("../../testdata/kuma.txt")).await;
        let settings: Settings = settings(&format!("{{server: '{}/', client_id: me}}", server.url));
        settings.check().unwrap();
        let mut source = Source::new(&settings, &shared(&[])).unwrap();
        check_targets(&source.refresh().await.unwrap(), recorded.targets("kuma"));
        check_targets(&source.refresh().await.unwrap(), recorded.targets("kuma"));
        let asked = server.asked("/v3");
        assert_eq!(asked.len(), 2);
        let body: serde_json::Value = serde_json::from_str(&asked[1].body).unwrap();
        assert_eq!((&body["node"]["id"], &body["type_url"]), (&"me".into(), &TYPE.into()));
        assert_eq!(asked[1].parameter("fetch-timeout"), "2m");
    }

    #[test]
    fn a_server_is_needed() {
        let check = |text: &str, want: &str| {
            let fault = settings::<Settings>(text).check().expect_err(text);
            assert_eq!(fault.message, want, "{text}");
        };
        check("{}", "kuma SD server must not be empty: ");
        check("{server: localhost}", "kuma SD server must not be empty and have a scheme: localhost");
    }
}
