//! `dns_sd_configs`: names, asked of the machine's name servers.
//!
//! Map: here settings and targets · [`resolver`] which servers, which names, and asking. A name that cannot be resolved
//! keeps its last targets; a name of which a server says that it does not exist has none.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_client::InvalidSettings;
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use tokio::task::JoinSet;

use self::resolver::{Record, Resolver};
use super::{Configured, fault, fault_at};
use crate::fetch::Fault;
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh};

mod resolver;

/// A section of `dns_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    names: Vec<String>,
    refresh_interval: DurationMs,
    #[serde(rename = "type")]
    kind: String,
    /// Of addresses; a `SRV` record has its own.
    port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { names: Vec::new(), refresh_interval: DurationMs(30_000), kind: "SRV".to_owned(), port: 0 }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.names.is_empty() {
            return fault("DNS-SD config must contain at least one SRV record name");
        }
        match (self.kind.to_ascii_uppercase().as_str(), self.port) {
            ("A" | "AAAA" | "MX" | "NS", 0) => {
                fault_at("port", "a port is required in DNS-SD configs for all record types except SRV")
            }
            ("SRV" | "A" | "AAAA" | "MX" | "NS", _) => Ok(()),
            _ => fault_at("type", format!("invalid DNS-SD records type {}", self.kind)),
        }
    }

    fn set_directory(&mut self, _: &std::path::Path) {}

    async fn run(self, shared: Shared, publisher: Publisher) {
        refresh::run(self.refresh_interval, shared, publisher, |shared| Source::new(&self, shared)).await;
    }
}

#[derive(Debug)]
struct Source {
    settings: Settings,
    resolver: Arc<Resolver>,
    /// The last targets of each name.
    known: BTreeMap<String, TargetGroup>,
    failure: Option<String>,
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let resolver = Resolver::of_machine(&settings.kind.to_ascii_uppercase(), shared)?;
        Ok(Self {
            settings: settings.clone(),
            resolver: Arc::new(resolver),
            known: BTreeMap::new(),
            failure: None,
        })
    }

    fn target(&self, name: &str, record: &Record) -> Labels {
        let mut meta = Meta::new("__meta_dns_");
        meta.set("name", name);
        let port = self.settings.port;
        let host = |target: &str| target.trim_end_matches('.').to_owned();
        match record {
            Record::Srv { target, port } => {
                meta.set("srv_record_target", target).set("srv_record_port", port);
                meta.address(&host(target), port);
            }
            Record::Mx { target } => {
                meta.set("mx_record_target", target).address(&host(target), port);
            }
            Record::Ns { target } => {
                meta.set("ns_record_target", target).address(&host(target), port);
            }
            Record::Address(address) => {
                meta.address(&address.to_string(), port);
            }
        }
        meta.build()
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let mut lookups = JoinSet::new();
        for name in &self.settings.names {
            let (resolver, name) = (Arc::clone(&self.resolver), name.clone());
            lookups.spawn(async move {
                let found = resolver.look_up(&name).await;
                (name, found)
            });
        }
        let mut failures = Vec::new();
        while let Some(ended) = lookups.join_next().await {
            let (name, found) = ended.map_err(|error| Fault::Other(error.to_string()))?;
            match found {
                Ok(records) => {
                    let targets = records.iter().map(|record| self.target(&name, record)).collect();
                    self.known.insert(name.clone(), TargetGroup::of_targets(name, targets));
                }
                Err(fault) => failures.push(fault.to_string()),
            }
        }
        failures.sort_unstable();
        self.failure = (!failures.is_empty()).then(|| failures.join("; "));
        match &self.failure {
            Some(failure) if self.known.is_empty() => Err(Fault::Other(failure.clone())),
            _ => Ok(self.known.values().cloned().collect()),
        }
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

#[cfg(test)]
mod tests;
