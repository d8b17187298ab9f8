//! A target: what discovery and relabelling made of it, and what its last scrape came to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use discovery::TargetGroup;
use discovery::group::ADDRESS_LABEL;
use model::relabel::{self, Rule};
use model::time::{format_duration_ms, parse_duration_ms};
use model::{Labels, LabelsBuilder};
use parking_lot::Mutex;
use url::Url;
use xxhash_rust::xxh3::xxh3_128;

use crate::cache::SeriesCache;
use crate::env::Env;
use crate::quota::Share;
use crate::settings::Job;
use crate::status::{ActiveTarget, Health};

const SCHEME_LABEL: &str = "__scheme__";
const METRICS_PATH_LABEL: &str = "__metrics_path__";
const INTERVAL_LABEL: &str = "__scrape_interval__";
const TIMEOUT_LABEL: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
/// Labels that begin so are not part of series.
const RESERVED_PREFIX: &str = "__";

/// A hash of what makes a target the same target: its labels and its URL.
pub(crate) type TargetKey = u128;

/// A target as discovery and relabelling made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetSpec {
    pub(crate) discovered: Labels,
    pub(crate) labels: Labels,
    pub(crate) url: String,
    pub(crate) interval_ms: i64,
    pub(crate) timeout_ms: i64,
}

/// What became of a discovered target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Built {
    Target(TargetSpec),
    /// Relabelling dropped it.
    Dropped {
        /// Its labels before.
        discovered: Labels,
        /// The rule that dropped it, counted from 0.
        rule: usize,
    },
}

/// Why a discovered target cannot be scraped. Texts are Prometheus'.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    #[error("error parsing scrape interval: {0}")]
    Interval(#[source] model::time::DurationError),
    #[error("scrape interval cannot be 0")]
    ZeroInterval,
    #[error("error parsing scrape timeout: {0}")]
    Timeout(#[source] model::time::DurationError),
    #[error("scrape timeout cannot be 0")]
    ZeroTimeout,
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutAboveInterval { timeout: String, interval: String },
    #[error("target URL cannot be built: {0}")]
    Url(String),
}

/// What was discovered, with the job's labels.
pub(crate) fn discovered(own: &Labels, group: &TargetGroup, job: &Job) -> Labels {
    let mut labels = own.to_builder();
    let mut default = |name: &str, value: &str| {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    };
    for (name, value) in &group.labels {
        default(name, value);
    }
    default("job", &job.name);
    default(INTERVAL_LABEL, &format_duration_ms(job.interval_ms));
    default(TIMEOUT_LABEL, &format_duration_ms(job.timeout_ms));
    default(METRICS_PATH_LABEL, &job.metrics_path);
    default(SCHEME_LABEL, &job.scheme);
    for (name, values) in &job.params {
        if let Some(value) = values.first() {
            default(&format!("{PARAM_PREFIX}{name}"), value);
        }
    }
    labels.build()
}

/// Makes a target of what was discovered: the job's labels are added, the job's rules applied.
pub(crate) fn build(own: &Labels, group: &TargetGroup, job: &Job) -> Result<Built, TargetError> {
    let discovered = discovered(own, group, job);
    let mut labels = discovered.to_builder();
    let drops = |rule: &Rule| !relabel::apply(std::slice::from_ref(rule), &mut labels);
    if let Some(rule) = job.relabel.iter().position(drops) {
        return Ok(Built::Dropped { discovered, rule });
    }
    let address = labels.get(ADDRESS_LABEL).ok_or(TargetError::NoAddress)?.to_owned();
    if address.contains('/') {
        return Err(TargetError::Address(address));
    }
    let (interval_ms, timeout_ms) = times(&labels)?;
    let url = url_of(&labels, &address, &job.params)?;
    if labels.get("instance").is_none() {
        labels.set("instance", &address);
    }
    labels.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
    Ok(Built::Target(TargetSpec { discovered, labels: labels.build(), url, interval_ms, timeout_ms }))
}

fn times(labels: &LabelsBuilder) -> Result<(i64, i64), TargetError> {
    let interval = labels.get(INTERVAL_LABEL).unwrap_or("");
    let interval_ms = parse_duration_ms(interval).map_err(TargetError::Interval)?;
    if interval_ms == 0 {
        return Err(TargetError::ZeroInterval);
    }
    let timeout = labels.get(TIMEOUT_LABEL).unwrap_or("");
    let timeout_ms = parse_duration_ms(timeout).map_err(TargetError::Timeout)?;
    if timeout_ms == 0 {
        return Err(TargetError::ZeroTimeout);
    }
    if timeout_ms > interval_ms {
        let (timeout, interval) = (timeout.to_owned(), interval.to_owned());
        return Err(TargetError::TimeoutAboveInterval { timeout, interval });
    }
    Ok((interval_ms, timeout_ms))
}

/// The URL as Prometheus shows it: parameters sorted, the port as it was written.
fn url_of(
    labels: &LabelsBuilder,
    address: &str,
    params: &BTreeMap<String, Vec<String>>,
) -> Result<String, TargetError> {
    let mut values: BTreeMap<&str, Vec<&str>> = params
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    for (name, value) in labels.iter() {
        let Some(name) = name.strip_prefix(PARAM_PREFIX) else { continue };
        match values.entry(name).or_default().first_mut() {
            Some(first) => *first = value,
            None => {
                values.insert(name, vec![value]);
            }
        }
    }
    // Only path and query go through the URL parser, which would hide `:80` and change odd host names.
    let mut url = Url::parse("http://host").map_err(|e| TargetError::Url(e.to_string()))?;
    url.set_path(labels.get(METRICS_PATH_LABEL).unwrap_or(""));
    if values.values().any(|values| !values.is_empty()) {
        let pairs = values.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        url.query_pairs_mut().extend_pairs(pairs);
    }
    let scheme = labels.get(SCHEME_LABEL).unwrap_or("http");
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{address}{}{query}", url.path()))
}

impl TargetSpec {
    /// What identifies the target across reloads and rediscovery.
    pub(crate) fn key(&self) -> TargetKey {
        let mut text = String::with_capacity(self.labels.packed().len() + self.url.len());
        text.push_str(self.labels.packed());
        text.push_str(&self.url);
        xxh3_128(text.as_bytes())
    }

    /// The URL with `host_name` in place of a name that means something else elsewhere.
    fn global_url(&self, host_name: &str) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else { return self.url.clone() };
        for local in ["127.0.0.1", "localhost", "[::1]"] {
            if let Some(after) = rest.strip_prefix(local)
                && after.starts_with([':', '/'])
            {
                return format!("{scheme}://{host_name}{after}");
            }
        }
        self.url.clone()
    }
}

/// A target that is scraped. What it knows outlives restarts of its loop.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: TargetKey,
    pub(crate) spec: TargetSpec,
    /// What is asked for; why it cannot be, if its host is none.
    pub(crate) url: Result<Url, url::ParseError>,
    /// Labels before relabelling may change without the target becoming another.
    pub(crate) discovered: Mutex<Labels>,
    pub(crate) state: Arc<TargetState>,
}

/// What a target's loops know.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub(crate) cache: Mutex<SeriesCache>,
    pub(crate) last: Mutex<LastScrape>,
    /// Storage refused samples of the last scrape.
    pub(crate) rejected: AtomicBool,
}

/// What the last scrape came to.
#[derive(Debug, Clone)]
pub(crate) struct LastScrape {
    pub(crate) error: String,
    pub(crate) began_ms: i64,
    pub(crate) duration_s: f64,
    pub(crate) sample_count: u64,
    /// Samples of series that `series_limit` kept out.
    pub(crate) excess_count: u64,
    pub(crate) health: Health,
}

impl TargetState {
    /// Before the first scrape.
    pub(crate) fn new(env: &Env, labels: Labels, share: Share) -> Arc<Self> {
        let last = LastScrape {
            error: String::new(),
            began_ms: 0,
            duration_s: 0.0,
            sample_count: 0,
            excess_count: 0,
            health: Health::Unknown,
        };
        Arc::new(Self {
            cache: Mutex::new(SeriesCache::new(env.seed, labels, Arc::clone(&env.shapes), share)),
            last: Mutex::new(last),
            rejected: AtomicBool::new(false),
        })
    }
}

impl Target {
    pub(crate) fn new(spec: TargetSpec, state: Arc<TargetState>) -> Arc<Self> {
        Arc::new(Self {
            key: spec.key(),
            url: Url::parse(&spec.url),
            discovered: Mutex::new(spec.discovered.clone()),
            spec,
            state,
        })
    }

    /// What the API shows.
    pub(crate) fn view(&self, pool: &str, host_name: &str) -> ActiveTarget {
        let last = self.state.last.lock().clone();
        ActiveTarget {
            pool: pool.to_owned(),
            discovered_labels: self.discovered.lock().clone(),
            labels: self.spec.labels.clone(),
            scrape_url: self.spec.url.clone(),
            global_url: self.spec.global_url(host_name),
            last_error: last.error,
            last_scrape_ms: last.began_ms,
            last_scrape_duration_s: last.duration_s,
            last_sample_count: last.sample_count,
            last_excess_count: last.excess_count,
            health: last.health,
            interval_ms: self.spec.interval_ms,
            timeout_ms: self.spec.timeout_ms,
        }
    }
}

#[cfg(test)]
mod tests;
