//! Docker: containers of an engine (`docker_sd_configs`), and services, tasks and nodes of a swarm
//! (`dockerswarm_sd_configs`).
//!
//! Map: here the client, which speaks the newest version of the API that both sides know, and networks, which all have
//! in common · [`engine`] containers · [`swarm`] the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use http_client::InvalidSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::fault_at;
use crate::fetch::{Api, Fault, with_query};
use crate::meta::Meta;

pub(crate) mod engine;
pub(crate) mod swarm;

/// The newest version of the API that we know.
const VERSION_MAX: (u32, u32) = (1, 47);
/// Spoken with engines that do not say their version.
const VERSION_OLD: (u32, u32) = (1, 24);

/// Limits what the engine lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    name: String,
    values: Vec<String>,
}

fn check_host(host: &str) -> Result<(), InvalidSettings> {
    if host.is_empty() {
        return fault_at("host", "host missing");
    }
    match http_client::Url::parse(host) {
        Ok(_) => Ok(()),
        Err(error) => fault_at("host", format!("{host:?} is not a valid URL: {error}")),
    }
}

/// Asks an engine.
#[derive(Debug)]
struct Engine {
    api: Api,
    /// `http://host:port`, without a slash at its end.
    base: String,
    filters: String,
    /// The version that is spoken; `None` until it is known.
    version: Option<(u32, u32)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Network {
    id: String,
    name: String,
    scope: String,
    internal: bool,
    ingress: bool,
    labels: BTreeMap<String, String>,
}

impl Engine {
    fn new(
        host: &str,
        filters: &[Filter],
        http: &http_client::Settings,
        timeout: Duration,
    ) -> Result<Self, Fault> {
        let (api, base) = if let Some(path) = host.strip_prefix("unix://") {
            (Api::over_unix_socket(path, timeout)?, "http://docker".to_owned())
        } else if let Some(rest) = host.strip_prefix("tcp://") {
            let scheme = if http.tls_config.cert_file.is_empty() { "http" } else { "https" };
            (Api::new(http, timeout)?, format!("{scheme}://{rest}"))
        } else if host.starts_with("http://") || host.starts_with("https://") {
            (Api::new(http, timeout)?, host.to_owned())
        } else {
            return Err(Fault::Other(format!("{host:?}: use unix://, tcp://, http:// or https://")));
        };
        let mut named: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
        for filter in filters {
            named
                .entry(&filter.name)
                .or_default()
                .extend(filter.values.iter().map(|value| (value.as_str(), true)));
        }
        let filters = if named.is_empty() { String::new() } else { serde_json::json!(named).to_string() };
        Ok(Self { api, base: base.trim_end_matches('/').to_owned(), filters, version: None })
    }

    /// Agrees on a version, anew each time everything is asked for, since an engine may have been upgraded.
    async fn negotiate(&mut self) -> Result<(), Fault> {
        let answer = self.api.send(self.api.get(&format!("{}/_ping", self.base))?).await?;
        self.version = Some(agreed(answer.header("api-version")));
        Ok(())
    }

    async fn list<T: DeserializeOwned>(&self, path: &str, is_filtered: bool) -> Result<T, Fault> {
        let (major, minor) = self.version.unwrap_or(VERSION_OLD);
        let filters = Some(("filters", &self.filters)).filter(|_| is_filtered && !self.filters.is_empty());
        let url = with_query(&format!("{}/v{major}.{minor}/{path}", self.base), filters)?;
        self.api.send(self.api.client().get(url)).await?.json()
    }

    /// The labels of each network by its id.
    async fn networks(&self, prefix: &'static str) -> Result<BTreeMap<String, model::Labels>, Fault> {
        let networks: Vec<Network> = self.list("networks", false).await?;
        let labels = |network: Network| {
            let mut meta = Meta::new(prefix);
            meta.set("network_id", &network.id)
                .set("network_name", &network.name)
                .set("network_scope", &network.scope)
                .set("network_internal", network.internal)
                .set("network_ingress", network.ingress)
                .set_each("network_label_", &network.labels);
            (network.id, meta.build())
        };
        Ok(networks.into_iter().map(labels).collect())
    }
}

/// The older of both sides' newest versions.
fn agreed(theirs: &str) -> (u32, u32) {
    let parsed =
        theirs.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.map_or(VERSION_OLD, |theirs: (u32, u32)| theirs.min(VERSION_MAX))
}

#[cfg(test)]
mod tests;
