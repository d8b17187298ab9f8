//! `outscale_sd_configs`: virtual machines at Outscale. Its API is JSON, signed as AWS' is.

use std::collections::BTreeMap;

use http_client::aws::{Credentials, sign};
use http_client::header::{CONTENT_TYPE, HeaderValue};
use http_client::{InvalidSettings, Method, Request, Secret};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde_json::json;

use super::{Configured, fault};
use crate::fetch::{Api, Fault, PAGES_MAX, parse_url};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// The name of the service in signatures.
const SERVICE: &str = "oapi";

/// A section of `outscale_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    region: String,
    endpoint: String,
    access_key: String,
    secret_key: Secret,
    secret_key_file: String,
    port: u16,
    refresh_interval: DurationMs,
    filters: Vec<Filter>,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

/// Which machines, in the API's words: `VmStateNames` and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    name: String,
    values: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "eu-west-2".to_owned(),
            endpoint: String::new(),
            access_key: String::new(),
            secret_key: Secret::default(),
            secret_key_file: String::new(),
            port: 80,
            refresh_interval: DurationMs(60_000),
            filters: Vec::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        for (key, value) in [("region", &self.region), ("access_key", &self.access_key)] {
            if value.is_empty() {
                return fault(format!("outscale SD configuration requires {key}"));
            }
        }
        match (self.secret_key.is_empty(), self.secret_key_file.is_empty()) {
            (true, true) => fault("outscale SD configuration requires secret_key or secret_key_file"),
            (false, false) => fault("at most one of secret_key & secret_key_file must be configured"),
            _ => self.http.check(),
        }
    }

    fn set_directory(&mut self, directory: &std::path::Path) {
        self.http.set_directory(directory);
        if !self.secret_key_file.is_empty() {
            self.secret_key_file = directory.join(&self.secret_key_file).to_string_lossy().into_owned();
        }
    }

    async fn run(self, shared: Shared, publisher: crate::place::Publisher) {
        let make = |shared: &Shared| Source::new(&self, shared);
        crate::refresh::run(self.refresh_interval, shared, publisher, make).await;
    }
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    shared: Shared,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Page {
    vms: Vec<Vm>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Vm {
    vm_id: String,
    state: String,
    private_ip: String,
    public_ip: String,
    placement: Placement,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Placement {
    subregion_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone(), shared: shared.clone() })
    }

    async fn credentials(&self) -> Result<Credentials, Fault> {
        let path = &self.settings.secret_key_file;
        let secret_access_key = if path.is_empty() {
            self.settings.secret_key.clone()
        } else {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.map_err(|error| Fault::Other(format!("cannot read {path}: {error}")))?;
            Secret::new(text.trim())
        };
        let access_key_id = self.settings.access_key.clone();
        Ok(Credentials { access_key_id, secret_access_key, session_token: None, expires_ms: None })
    }

    async fn page(&self, credentials: &Credentials, token: &str) -> Result<Page, Fault> {
        let Settings { region, endpoint, filters, .. } = &self.settings;
        let usual = format!("https://api.{region}.outscale.com/api/v1");
        let base = if endpoint.is_empty() { &usual } else { endpoint };
        let mut request =
            Request::new(Method::POST, parse_url(&format!("{}/ReadVms", base.trim_end_matches('/')))?);
        let mut body = json!({});
        if !filters.is_empty() {
            let filters: BTreeMap<_, _> = filters.iter().map(|it| (&it.name, &it.values)).collect();
            body["Filters"] = json!(filters);
        }
        if !token.is_empty() {
            body["NextPageToken"] = token.into();
        }
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_string().into());
        let signed = sign(&mut request, credentials, region, SERVICE, self.shared.clock.now_ms());
        signed.map_err(|error| Fault::Other(format!("cannot sign a request: {error}")))?;
        self.api.send(request).await?.json()
    }

    /// A machine without an address is no target.
    fn target(&self, vm: &Vm) -> Option<Labels> {
        let host = [&vm.private_ip, &vm.public_ip].into_iter().find(|ip| !ip.is_empty())?;
        let mut meta = Meta::new("__meta_outscale_vm_");
        meta.address(host, self.settings.port)
            .set("instance_id", &vm.vm_id)
            .set("region", &self.settings.region)
            .set("subregion", &vm.placement.subregion_name)
            .set("state", &vm.state)
            .set("private_ip", &vm.private_ip)
            .set("public_ip", &vm.public_ip)
            .set_each("tag_", vm.tags.iter().map(|tag| (&tag.key, &tag.value)));
        Some(meta.build())
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let credentials = self.credentials().await?;
        let (mut targets, mut token) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page = self.page(&credentials, &token).await?;
            targets.extend(page.vms.iter().filter_map(|vm| self.target(vm)));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        Ok(vec![TargetGroup::of_targets(self.settings.region.clone(), targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, check_targets, settings, shared};

    #[tokio::test]
    async fn machines_of_all_pages_asked_for_with_a_signature() {
        let (server, recorded) = Server::recorded(include_str!("../../testdata/outscale.txt")).await;
        let directory = tempfile::tempdir().unwrap();
        tokio::fs::write(directory.path().join("key"), "secret\n").await.unwrap();
        let text = format!(
            "{{region: eu-west-2, access_key: A1, secret_key_file: key, port: 9100, endpoint: '{}/api/v1/',
               filters: [{{name: VmStateNames, values: [running]}}]}}",
            server.url
        );
        let mut settings: Settings = settings(&text);
        settings.check().unwrap();
        settings.set_directory(directory.path());
        let mut source = Source::new(&settings, &shared(&[])).unwrap();
        check_targets(&source.refresh().await.unwrap(), recorded.targets("outscale"));
        let asked = &server.asked("/api/v1/ReadVms")[0];
        assert_eq!(asked.body, r#"{"Filters":{"VmStateNames":["running"]}}"#);
    }

    #[test]
    fn sections_are_checked_as_prometheus_checks_them() {
        let check = |text: &str, want: &str| {
            let fault = settings::<Settings>(text).check().expect_err(text);
            assert_eq!(fault.message, want, "{text}");
        };
        check("{region: ''}", "outscale SD configuration requires region");
        check("{}", "outscale SD configuration requires access_key");
        let secret = "outscale SD configuration requires secret_key or secret_key_file";
        check("{region: a, access_key: b}", secret);
        let both = "{region: a, access_key: b, secret_key: c, secret_key_file: d}";
        check(both, "at most one of secret_key & secret_key_file must be configured");
    }
}
