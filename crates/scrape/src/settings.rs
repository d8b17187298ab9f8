//! What a configuration file says about scraping.
//!
//! Two layers: [`ScrapeConfig`] is a job as the file has it, [`Global`] what jobs inherit; [`ScrapeConfig::resolve`]
//! makes of both a [`Job`], in which every value is decided. Defaults, checks and texts are Prometheus 3.14's.

mod global;
mod job;
mod protocol;

pub use global::Global;
pub use job::{Job, ScrapeConfig};
pub use protocol::{EscapingScheme, ScrapeProtocol, ValidationScheme};

/// Everything that scraping needs to know. Given anew, whole, on each reload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// What is scraped, one pool each. Names are unique.
    pub jobs: Vec<Job>,
    /// Collect metrics of the machine; `None`: no.
    pub host_collector: Option<HostCollector>,
    /// Series get `__type__` and `__unit__` labels from what exporters say about them.
    pub type_and_unit_labels: bool,
    /// `_created` of OpenMetrics are start timestamps of the samples they are about, not series.
    pub start_timestamps: bool,
}

/// How the machine itself is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCollector {
    /// Its `job` label. Default `node`.
    pub job: String,
    /// Time between collections. Default 15 s, or the global interval if that is set.
    pub interval_ms: i64,
}

impl Default for HostCollector {
    fn default() -> Self {
        Self { job: "node".to_owned(), interval_ms: 15_000 }
    }
}

#[cfg(test)]
mod tests;
