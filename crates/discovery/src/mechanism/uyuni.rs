//! `uyuni_sd_configs`: endpoints of systems that Uyuni (SUSE Manager) manages and monitors.
//!
//! Map: here the endpoints · [`rpc`] XML-RPC, as far as Uyuni speaks it.

use std::collections::BTreeMap;
use std::time::Duration;

use http_client::{InvalidSettings, Secret};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;

use self::rpc::{Value, call};
use super::{Configured, fault, fault_at};
use crate::fetch::{Api, Fault};
use crate::group::{ADDRESS_LABEL, TargetGroup};
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::{Refresh, interval};
use crate::token::Token;

mod rpc;

/// How long a session is asked for; we use half of it.
const SESSION: Duration = Duration::from_secs(10 * 60);

/// A section of `uyuni_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    server: String,
    username: String,
    password: Secret,
    entitlement: String,
    separator: String,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: String::new(),
            username: String::new(),
            password: Secret::default(),
            entitlement: "monitoring_entitled".to_owned(),
            separator: ",".to_owned(),
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.server.is_empty() {
            return fault("Uyuni SD configuration requires server host");
        }
        if let Err(error) = http_client::Url::parse(&self.server) {
            return fault_at("server", format!("Uyuni Server URL is not valid: {error}"));
        }
        if self.username.is_empty() {
            return fault("Uyuni SD configuration requires a username");
        }
        if self.password.is_empty() {
            return fault("Uyuni SD configuration requires a password");
        }
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    url: String,
    session: Option<Token>,
}

impl Source {
    fn new(settings: &Settings, _: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        let url = format!("{}/rpc/api", settings.server.trim_end_matches('/'));
        Ok(Self { api, settings: settings.clone(), url, session: None })
    }

    async fn log_in(&self) -> Result<Token, Fault> {
        let lasts = i64::try_from(SESSION.as_secs()).unwrap_or(0);
        let who = [
            self.settings.username.as_str().into(),
            self.settings.password.reveal().into(),
            Value::Int(lasts),
        ];
        let key = call(&self.api, &self.url, "auth.login", &who).await?;
        Ok(Token::new(key.text().to_owned(), Some(SESSION / 2)))
    }

    async fn targets(&self, session: &str) -> Result<Vec<Labels>, Fault> {
        let session = Value::from(session);
        let (api, url) = (&self.api, self.url.as_str());
        let entitled = [session.clone(), self.settings.entitlement.as_str().into()];
        let name = "system.listSystemGroupsForSystemsWithEntitlement";
        let listed = call(api, url, name, &entitled).await?;
        let mut groups = BTreeMap::new();
        for system in listed.items() {
            let names: Vec<&str> =
                system.get("system_groups").items().iter().map(|it| it.get("name").text()).collect();
            groups.insert(system.get("id").int(), names.join(&self.settings.separator));
        }
        let ids = Value::List(groups.keys().map(|id| Value::Int(*id)).collect());
        let of_systems = [session, ids];
        let endpoints = call(api, url, "system.monitoring.listEndpoints", &of_systems).await?;
        let networks = call(api, url, "system.getNetworkForSystems", &of_systems).await?;
        let networks: BTreeMap<i64, &Value> =
            networks.items().iter().map(|network| (network.get("system_id").int(), network)).collect();
        let target = |endpoint: &Value| {
            let id = endpoint.get("system_id").int();
            let network = networks.get(&id).copied().unwrap_or(&Value::Nothing);
            let host = network.get("hostname").text();
            let mut meta = Meta::new("__meta_uyuni_");
            meta.plain(ADDRESS_LABEL, format_args!("{host}:{}", endpoint.get("port").int()))
                .set("minion_hostname", host)
                .set("primary_fqdn", network.get("primary_fqdn").text())
                .set("system_id", id)
                .set_some("groups", groups.get(&id))
                .set("endpoint_name", endpoint.get("endpoint_name").text())
                .set("exporter", endpoint.get("exporter_name").text())
                .set("proxy_module", endpoint.get("module").text())
                .set("metrics_path", endpoint.get("path").text())
                .set("scheme", if endpoint.get("tls_enabled").int() == 1 { "https" } else { "http" });
            meta.build()
        };
        Ok(endpoints.items().iter().map(target).collect())
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let session = match self.session.take().filter(Token::is_good) {
            Some(session) => session,
            None => self.log_in().await?,
        };
        // After a failure a session is begun anew.
        let targets = self.targets(session.text()).await?;
        self.session = Some(session);
        Ok(vec![TargetGroup::of_targets(self.url.clone(), targets)])
    }
}

#[cfg(test)]
mod tests;
