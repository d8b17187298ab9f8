//! What can be asked about targets: the shapes that the API and the UI show.

use model::Labels;
use model::relabel::{RelabelSettings, Rule};

/// Whether the last scrape of a target worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not scraped yet.
    Unknown,
    /// The last scrape worked.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// Prometheus' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A target that is scraped.
#[derive(Debug, Clone)]
pub struct ActiveTarget {
    /// Its `job_name`.
    pub pool: String,
    /// Labels as discovery gave them, `__`-labels included.
    pub discovered_labels: Labels,
    /// Labels after relabelling, as its series carry them.
    pub labels: Labels,
    /// What is fetched.
    pub scrape_url: String,
    /// `scrape_url` with a host name that others can reach in place of localhost.
    pub global_url: String,
    /// Why the last scrape failed; empty if it worked.
    pub last_error: String,
    /// When the last scrape began; 0 if there was none.
    pub last_scrape_ms: i64,
    /// How long it took.
    pub last_scrape_duration_s: f64,
    /// Samples of the last scrape after relabelling.
    pub last_sample_count: u64,
    /// Samples of the last scrape whose series `series_limit` kept out.
    pub last_excess_count: u64,
    /// Whether the last scrape worked.
    pub health: Health,
    /// Time between scrapes.
    pub interval_ms: i64,
    /// Longest time a scrape may take.
    pub timeout_ms: i64,
}

/// A target that relabelling dropped.
#[derive(Debug, Clone)]
pub struct DroppedTarget {
    /// Its `job_name`.
    pub pool: String,
    /// Labels as discovery gave them.
    pub discovered_labels: Labels,
    /// Place of the rule that dropped it among the pool's `relabel_configs`, from 0.
    pub dropped_by: usize,
    /// That rule.
    pub rule: RelabelSettings,
}

/// A discovered target that cannot be scraped.
#[derive(Debug, Clone)]
pub struct InvalidTarget {
    /// Its `job_name`.
    pub pool: String,
    /// Labels as discovery and the job gave them.
    pub discovered_labels: Labels,
    /// Why it cannot be scraped.
    pub error: String,
}

/// Answers what is scraped. Shared as `Arc<dyn TargetsView>`.
pub trait TargetsView: Send + Sync + 'static {
    /// All pools' names (`job_name`s), sorted.
    fn pools(&self) -> Vec<String>;
    /// Targets that are scraped, sorted by pool and URL.
    fn active(&self) -> Vec<ActiveTarget>;
    /// Targets that relabelling dropped; at most as many as the setting keeps.
    fn dropped(&self) -> Vec<DroppedTarget>;
    /// How many targets each pool dropped, those not kept included.
    fn dropped_counts(&self) -> Vec<(String, usize)>;
    /// What is wrong with discovery, by pool; targets that it found earlier stay.
    fn discovery_failures(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// Discovered targets that cannot be scraped: no address, a bad interval; some of each pool.
    fn invalid(&self) -> Vec<InvalidTarget>;
    /// The `relabel_configs` of a pool; `None` if there is no such pool.
    fn relabel_rules(&self, pool: &str) -> Option<Vec<Rule>>;
}
