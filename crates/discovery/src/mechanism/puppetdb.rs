//! `puppetdb_sd_configs`: resources that a query in PuppetDB's language finds.

use http_client::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http_client::{InvalidSettings, Method, Request};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Configured, check_url, fault_at};
use crate::fetch::{Api, Fault, parse_url};
use crate::group::TargetGroup;
use crate::meta::{Meta, sanitized};
use crate::place::Shared;
use crate::refresh::{Refresh, interval};

/// A section of `puppetdb_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    url: String,
    query: String,
    /// Parameters may hold secrets, and labels are shown.
    include_parameters: bool,
    port: u16,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            query: String::new(),
            include_parameters: false,
            port: 80,
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        check_url("url", &self.url)?;
        if self.query.is_empty() {
            return fault_at("query", "query missing");
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    certname: String,
    resource: String,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    exported: bool,
    tags: Vec<String>,
    file: String,
    environment: String,
    parameters: Map<String, Value>,
}

/// A value that is no list and no map as text; `None` for those.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Maps within maps become names joined by `_`.
fn set_parameters(meta: &mut Meta, prefix: &str, parameters: &Map<String, Value>) {
    for (name, value) in parameters {
        let name = format!("{prefix}{}", sanitized(name));
        match value {
            Value::Object(inner) => set_parameters(meta, &format!("{name}_"), inner),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| scalar(item).unwrap_or_default()).collect();
                meta.set(name, items.join(","));
            }
            other => {
                meta.set_some(name, scalar(other));
            }
        }
    }
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        Ok(Self { api, settings: settings.clone() })
    }

    fn target(&self, resource: &Resource) -> Labels {
        let mut meta = Meta::new("__meta_puppetdb_");
        meta.address(&resource.certname, self.settings.port)
            .set("query", &self.settings.query)
            .set("certname", &resource.certname)
            .set("resource", &resource.resource)
            .set("type", &resource.kind)
            .set("title", &resource.title)
            .set("exported", resource.exported)
            .set("file", &resource.file)
            .set("environment", &resource.environment)
            .set_list("tags", ",", &resource.tags);
        if self.settings.include_parameters {
            set_parameters(&mut meta, "parameter_", &resource.parameters);
        }
        meta.build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let url = format!("{}/pdb/query/v4", self.settings.url.trim_end_matches('/'));
        let mut request = Request::new(Method::POST, parse_url(&url)?);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json.clone());
        request.headers_mut().insert(CONTENT_TYPE, json);
        let body = serde_json::json!({ "query": self.settings.query });
        *request.body_mut() = Some(body.to_string().into());
        let answer = self.api.send(request).await?;
        let kind = answer.header("content-type");
        let (essence, _) = kind.split_once(';').unwrap_or((kind, ""));
        if !essence.trim().eq_ignore_ascii_case("application/json") {
            return Err(answer.syntax(format!("unsupported content type {kind}")));
        }
        let resources: Vec<Resource> = answer.json()?;
        let targets = resources.iter().map(|resource| self.target(resource)).collect();
        Ok(vec![TargetGroup::of_targets(format!("{url}?query={}", self.settings.query), targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, Server, check_targets, settings, shared};

    const QUERY: &str = r#"resources { type = "Package" and title = "httpd" }"#;

    #[tokio::test]
    async fn resources_with_their_parameters_if_wanted() {
        let (server, recorded) = Server::recorded(include_str!("../../testdata/puppetdb.txt")).await;
        for (include, want) in [(false, "puppetdb"), (true, "with parameters")] {
            let text = format!(
                "{{url: '{}/', query: '{QUERY}', port: 9100, include_parameters: {include}}}",
                server.url
            );
            let settings: Settings = settings(&text);
            settings.check().unwrap();
            let mut source = Source::new(&settings, &shared(&[])).unwrap();
            check_targets(&source.refresh().await.unwrap(), recorded.targets(want));
        }
        assert_eq!(server.asked("/")[0].body, serde_json::json!({ "query": QUERY }).to_string());
        let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        let server = Server::start(move |_| Reply { headers: headers.clone(), ..Reply::json("[]") }).await;
        let settings: Settings = settings(&format!("{{url: '{}', query: vhosts}}", server.url));
        let fault = Source::new(&settings, &shared(&[])).unwrap().refresh().await.expect_err("no JSON");
        assert!(fault.to_string().ends_with("unsupported content type text/html"), "{fault}");
    }

    #[test]
    fn sections_are_checked_as_prometheus_checks_them() {
        let check = |text: &str, want: &str| {
            let fault = settings::<Settings>(text).check().expect_err(text);
            assert_eq!(fault.message, want, "{text}");
        };
        check("{}", "URL is missing");
        check("{url: 'ftp://puppet', query: x}", "URL scheme must be 'http' or 'https'");
        check("{url: 'http://puppet'}", "query missing");
    }
}
