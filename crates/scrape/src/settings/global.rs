//! What jobs inherit.

use std::collections::BTreeMap;
use std::path::Path;

use http_client::InvalidSettings;
use model::size::ByteSize;
use model::time::DurationMs;
use serde::Deserialize;

use super::protocol::{EscapingScheme, ScrapeProtocol, ValidationScheme};

/// The `global` section.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Global {
    /// Time between scrapes. Default 1 min.
    pub scrape_interval: DurationMs,
    /// Longest time of a scrape. Default 10 s, or the interval if that is shorter.
    pub scrape_timeout: DurationMs,
    /// Formats that are offered to targets, the most wanted first.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// Time between evaluations of rules. Default 1 min.
    pub evaluation_interval: DurationMs,
    /// How far in the past rules are evaluated.
    pub rule_query_offset: DurationMs,
    /// File that lists queries.
    pub query_log_file: String,
    /// File that lists failed scrapes.
    pub scrape_failure_log_file: String,
    /// Labels of all that leaves this server.
    pub external_labels: BTreeMap<String, String>,
    /// Largest answer of a target, uncompressed. 0: no limit.
    pub body_size_limit: ByteSize,
    /// Most samples of a scrape. 0: no limit.
    pub sample_limit: u64,
    /// Kymo's own: most series of all targets of a job. 0: no limit.
    pub series_limit: u64,
    /// Most targets of a job. 0: no limit.
    pub target_limit: u64,
    /// Most labels of a series. 0: no limit.
    pub label_limit: u64,
    /// Longest name of a label, in bytes. 0: no limit.
    pub label_name_length_limit: u64,
    /// Longest value of a label, in bytes. 0: no limit.
    pub label_value_length_limit: u64,
    /// Most dropped targets of a job that can be asked about. 0: no limit.
    pub keep_dropped_targets: u64,
    /// Which names are allowed.
    pub metric_name_validation_scheme: Option<ValidationScheme>,
    /// How names that are not are asked for.
    pub metric_name_escaping_scheme: Option<EscapingScheme>,
    /// Take native histograms.
    pub scrape_native_histograms: Option<bool>,
    /// Make native histograms of classic ones.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Take classic histograms even where there are native ones.
    pub always_scrape_classic_histograms: bool,
    /// Add `scrape_timeout_seconds`, `scrape_sample_limit`, `scrape_body_size_bytes`.
    pub extra_scrape_metrics: Option<bool>,
}

impl Global {
    /// Makes relative paths relative to `directory` instead of where the process runs.
    pub fn set_directory(&mut self, directory: &Path) {
        if !self.scrape_failure_log_file.is_empty() {
            self.scrape_failure_log_file =
                directory.join(&self.scrape_failure_log_file).to_string_lossy().into_owned();
        }
    }

    /// The scrape interval with its default.
    pub fn interval_ms(&self) -> i64 {
        if self.scrape_interval.0 == 0 { 60_000 } else { self.scrape_interval.0 }
    }

    /// The scrape timeout with its default.
    pub fn timeout_ms(&self) -> i64 {
        if self.scrape_timeout.0 == 0 { self.interval_ms().min(10_000) } else { self.scrape_timeout.0 }
    }

    /// The evaluation interval with its default.
    pub fn evaluation_interval_ms(&self) -> i64 {
        if self.evaluation_interval.0 == 0 { 60_000 } else { self.evaluation_interval.0 }
    }

    /// The validation scheme with its default.
    pub fn validation(&self) -> ValidationScheme {
        self.metric_name_validation_scheme.unwrap_or_default()
    }

    /// The escaping scheme with its default.
    pub fn escaping(&self) -> EscapingScheme {
        self.metric_name_escaping_scheme.unwrap_or_else(|| EscapingScheme::suiting(self.validation()))
    }

    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The first fault, in Prometheus' words.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        for name in self.external_labels.keys() {
            if !self.validation().allows_label_name(name) {
                let message = format!("{} is not a valid label name", quoted(name));
                return Err(InvalidSettings::at(["external_labels", name], message));
            }
        }
        if self.timeout_ms() > self.interval_ms() {
            return Err(InvalidSettings::at(
                ["scrape_timeout"],
                "global scrape timeout greater than scrape interval",
            ));
        }
        if let Some(protocols) = &self.scrape_protocols {
            check_protocols(protocols).map_err(|mut error| {
                error.message.push_str(" for global config");
                error
            })?;
        }
        Ok(())
    }
}

/// A list of formats must name at least one, and none twice.
pub(super) fn check_protocols(protocols: &[ScrapeProtocol]) -> Result<(), InvalidSettings> {
    let fault = |message: String| Err(InvalidSettings::at(["scrape_protocols"], message));
    if protocols.is_empty() {
        return fault("scrape_protocols cannot be empty".to_owned());
    }
    for (i, protocol) in protocols.iter().enumerate() {
        if protocols[..i].contains(protocol) {
            let all: Vec<&str> = protocols.iter().map(|protocol| protocol.as_str()).collect();
            return fault(format!("duplicated protocol in scrape_protocols, got [{}]", all.join(" ")));
        }
    }
    Ok(())
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
