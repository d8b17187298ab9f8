//! Where mechanisms publish, and what all of them share.

use std::fmt;
use std::sync::Arc;

use stdx::clock::{Clock, SystemClock};
use stdx::rand::{Random, SeededRandom};
use tokio::sync::watch as channel;

use crate::Snapshot;
use crate::group::TargetGroup;
use crate::metrics::Metrics;
use crate::watch::DirectoryWatch;

/// What the discoveries of all jobs share. Made once; clones are the same.
#[derive(Debug, Clone)]
pub struct Shared {
    pub(crate) metrics: Metrics,
    pub(crate) directories: Arc<DirectoryWatch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) environment: Environment,
}

impl Shared {
    /// Registers the metrics of discovery.
    ///
    /// # Errors
    /// If the registry holds metrics of the same names.
    pub fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            metrics: Metrics::register(registry)?,
            directories: Arc::new(DirectoryWatch::new()),
            clock: SystemClock::shared(),
            random: Arc::new(SeededRandom::from_os()),
            environment: Environment(Arc::new(|name| std::env::var(name).ok())),
        })
    }
}

/// The value of a variable.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Environment variables, which tests own.
#[derive(Clone)]
pub(crate) struct Environment(pub(crate) Arc<Lookup>);

impl Environment {
    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Where one mechanism publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    sender: Arc<channel::Sender<Snapshot>>,
    at: usize,
    /// The key of the configuration under which the mechanism stands.
    key: &'static str,
    metrics: Metrics,
    targets: i64,
    failing: bool,
}

impl Publisher {
    pub(crate) fn new(
        shared: &Shared,
        sender: &Arc<channel::Sender<Snapshot>>,
        at: usize,
        key: &'static str,
    ) -> Self {
        let metrics = shared.metrics.clone();
        Self { sender: Arc::clone(sender), at, key, metrics, targets: 0, failing: false }
    }

    /// The mechanism's name as metrics and messages have it: `consul`.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.key.strip_suffix("_sd_configs").or(self.key.strip_suffix("_configs")).unwrap_or(self.key)
    }

    /// Replaces the groups of this mechanism, which works.
    pub(crate) fn publish(&mut self, groups: Vec<TargetGroup>) {
        self.set(groups);
        self.recovered();
    }

    /// Replaces the groups, whether or not all of the mechanism works; wakes readers only if anything differs.
    pub(crate) fn set(&mut self, groups: Vec<TargetGroup>) {
        let targets = groups.iter().map(|group| group.targets.len()).sum::<usize>();
        let targets = i64::try_from(targets).unwrap_or(i64::MAX);
        self.metrics.targets.with_label_values(&[self.mechanism()]).add(targets - self.targets);
        self.targets = targets;
        self.sender.send_if_modified(|snapshot| {
            let Some(mine) = snapshot.mechanisms.get_mut(self.at) else { return false };
            let differs = mine.groups.as_deref() != Some(groups.as_slice());
            if differs {
                mine.groups = Some(groups.into());
            }
            differs
        });
    }

    /// The mechanism cannot say anything newer; its last groups stay. A failure is logged once.
    pub(crate) fn failed(&mut self, reason: &str) {
        if !self.failing {
            self.metrics.failing.with_label_values(&[self.mechanism()]).inc();
            self.failing = true;
        }
        let text: Arc<str> = format!("{}: {reason}", self.key).into();
        let new = self.sender.send_if_modified(|snapshot| {
            let Some(mine) = snapshot.mechanisms.get_mut(self.at) else { return false };
            let differs = mine.failure.as_deref() != Some(&text);
            mine.failure = Some(Arc::clone(&text));
            differs
        });
        if new {
            tracing::warn!(mechanism = self.mechanism(), reason, "discovery fails; its last targets stay");
        }
    }

    /// The mechanism answers again, whether or not anything changed.
    pub(crate) fn recovered(&mut self) {
        if self.failing {
            self.metrics.failing.with_label_values(&[self.mechanism()]).dec();
            self.failing = false;
            tracing::info!(mechanism = self.mechanism(), "discovery works again");
            self.sender.send_if_modified(|snapshot| {
                snapshot.mechanisms.get_mut(self.at).is_some_and(|mine| mine.failure.take().is_some())
            });
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.metrics.targets.with_label_values(&[self.mechanism()]).sub(self.targets);
        if self.failing {
            self.metrics.failing.with_label_values(&[self.mechanism()]).dec();
        }
    }
}
