//! The sections of the file, and what must hold between them.

use std::collections::BTreeSet;

use http_client::InvalidSettings;
use model::time::DurationMs;
use scrape::settings::{Global, HostCollector, ScrapeConfig};
use serde::Deserialize;

use super::alerting::Alerting;
use super::alertmanager::Alertmanager;
use super::otlp::Otlp;
use super::promql::Promql;
use super::push::Push;
use super::query::Query;
use super::remote::{RemoteRead, RemoteWrite};
use super::storage::Storage;
use super::tracing::Tracing;

/// A configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) global: Global,
    runtime: Runtime,
    pub(super) alerting: Alerting,
    pub(super) alertmanager: Alertmanager,
    pub(super) rule_files: Vec<String>,
    pub(super) rules: RulesSection,
    pub(super) scrape_configs: Vec<ScrapeConfig>,
    pub(super) scrape_config_files: Vec<String>,
    pub(super) storage: Storage,
    pub(super) query: Query,
    pub(super) promql: Promql,
    pub(super) tracing: Option<Tracing>,
    pub(super) remote_write: Vec<RemoteWrite>,
    pub(super) remote_read: Vec<RemoteRead>,
    pub(super) otlp: Otlp,
    pub(super) host_collector: HostCollectorConfig,
    pub(super) push: Push,
}

/// Kymo's own: how rules are evaluated.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RulesSection {
    /// Evaluations of recording rules that were missed are made up for, if they are no longer ago than this; 0: none are.
    pub(super) repair_missed: DurationMs,
}

impl Default for RulesSection {
    fn default() -> Self {
        Self { repair_missed: DurationMs(3_600_000) }
    }
}

/// Settings of Go's runtime: read, and without meaning here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Runtime {
    #[serde(rename = "gogc")]
    _gogc: i64,
}

/// Kymo's own: whether the machine that it runs on is watched without an exporter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HostCollectorConfig {
    enabled: bool,
    job_name: Option<String>,
    scrape_interval: DurationMs,
}

impl HostCollectorConfig {
    pub(super) fn settings(&self, global: &Global) -> Option<HostCollector> {
        let default = HostCollector::default();
        let interval_ms = match (self.scrape_interval.0, global.scrape_interval.0) {
            (0, 0) => default.interval_ms,
            (0, global) => global,
            (own, _) => own,
        };
        let job = self.job_name.clone().unwrap_or(default.job);
        self.enabled.then_some(HostCollector { job, interval_ms })
    }
}

impl File {
    /// Checks what a type cannot.
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        let global = &self.global;
        global.check().map_err(|e| e.within("global"))?;
        check_patterns("rule_files", "rule file", &self.rule_files)?;
        check_patterns("scrape_config_files", "scrape config file", &self.scrape_config_files)?;
        self.alerting.check().map_err(|e| e.within("alerting"))?;
        self.alertmanager.check().map_err(|e| e.within("alertmanager"))?;
        self.storage.check().map_err(|e| e.within("storage"))?;
        self.query.check().map_err(|e| e.within("query"))?;
        self.push.check().map_err(|e| e.within("push"))?;
        if let Some(tracing) = &self.tracing {
            tracing.check().map_err(|e| e.within("tracing"))?;
        }
        self.otlp.check(global).map_err(|e| e.within("otlp"))?;
        let mut names = BTreeSet::new();
        for (i, write) in self.remote_write.iter().enumerate() {
            let check = write.check().and_then(|()| check_name(&mut names, &write.name, "write"));
            check.map_err(|e| e.within(i).within("remote_write"))?;
        }
        let mut names = BTreeSet::new();
        for (i, read) in self.remote_read.iter().enumerate() {
            let check = read.check().and_then(|()| check_name(&mut names, &read.name, "read"));
            check.map_err(|e| e.within(i).within("remote_read"))?;
        }
        if self.host_collector.job_name.as_deref() == Some("") {
            return Err(InvalidSettings::at(["host_collector", "job_name"], "job_name is empty"));
        }
        Ok(())
    }
}

fn check_name<'a>(names: &mut BTreeSet<&'a str>, name: &'a str, what: &str) -> Result<(), InvalidSettings> {
    if !name.is_empty() && !names.insert(name) {
        let message = format!("found multiple remote {what} configs with job name {name:?}");
        return Err(InvalidSettings::at(["name"], message));
    }
    Ok(())
}

/// `*` may stand once, in the last part.
fn check_patterns(key: &str, what: &str, patterns: &[String]) -> Result<(), InvalidSettings> {
    for (i, pattern) in patterns.iter().enumerate() {
        let fine = match pattern.split_once('*') {
            None => true,
            Some((_, after)) => !after.contains(['/', '*']),
        };
        if !fine {
            let message = format!("invalid {what} path {pattern:?}");
            return Err(InvalidSettings::at([key, &i.to_string()], message));
        }
    }
    Ok(())
}
