//! Where targets come from: one mechanism a file; all yield target groups.
//!
//! Map: [`settings`] what a configuration file says · [`group`] what a mechanism yields · `fixed` targets
//! written into the configuration · `file` targets in watched files · `watch` noticing their changes ·
//! `metrics` self-metrics.
//!
//! The door is [`start`]: one task a mechanism, each of which publishes all its groups whenever they change.
//! A reader always sees the newest state, never a queue of steps ([`Discovery::changed`]). A mechanism that
//! fails goes on with what it knew last. Deliberately not here: relabelling and everything after it.

pub mod group;
pub mod settings;

mod file;
mod fixed;
mod metrics;
mod watch;

use std::sync::Arc;

use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use crate::metrics::Metrics;
use crate::watch::DirectoryWatch;

pub use group::TargetGroup;
pub use settings::Settings;

/// The groups of all mechanisms of a job, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// One element a mechanism, in order of the configuration; `None` until it published for the first time.
    mechanisms: Vec<Option<Arc<[TargetGroup]>>>,
}

impl Snapshot {
    /// Whether every mechanism has published.
    pub fn is_complete(&self) -> bool {
        self.mechanisms.iter().all(Option::is_some)
    }

    /// All groups, in order of the configuration.
    pub fn groups(&self) -> impl Iterator<Item = &TargetGroup> {
        self.mechanisms.iter().flatten().flat_map(|groups| groups.iter())
    }
}

/// Running discovery of one job; ends when dropped.
#[derive(Debug)]
pub struct Discovery {
    receiver: channel::Receiver<Snapshot>,
    /// Keeps the channel open for a job whose mechanisms have all said their last word.
    _sender: Arc<channel::Sender<Snapshot>>,
    _tasks: JoinSet<()>,
}

impl Discovery {
    /// Waits until something was published that [`Self::current`] has not shown yet.
    pub async fn changed(&mut self) {
        let open = self.receiver.changed().await;
        debug_assert!(open.is_ok(), "BUG: the sender lives as long as the receiver");
    }

    /// What is known now.
    pub fn current(&mut self) -> Snapshot {
        self.receiver.borrow_and_update().clone()
    }

    /// Waits until every mechanism has published once.
    pub async fn complete(&mut self) {
        let open = self.receiver.wait_for(Snapshot::is_complete).await;
        debug_assert!(open.is_ok(), "BUG: the sender lives as long as the receiver");
    }
}

/// What the discoveries of all jobs share. Made once; clones are the same.
#[derive(Debug, Clone)]
pub struct Shared {
    metrics: Metrics,
    directories: Arc<DirectoryWatch>,
}

impl Shared {
    /// Registers the metrics of discovery.
    ///
    /// # Errors
    /// If the registry holds metrics of the same names.
    pub fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        Ok(Self { metrics: Metrics::register(registry)?, directories: Arc::new(DirectoryWatch::new()) })
    }
}

/// Where one mechanism publishes.
#[derive(Debug)]
struct Publisher {
    sender: Arc<channel::Sender<Snapshot>>,
    at: usize,
}

impl Publisher {
    /// Replaces the groups of this mechanism; wakes readers only if they differ from before.
    fn publish(&self, groups: Vec<TargetGroup>) {
        self.sender.send_if_modified(|snapshot| {
            let mine = &mut snapshot.mechanisms[self.at];
            let differs = mine.as_deref() != Some(groups.as_slice());
            if differs {
                *mine = Some(groups.into());
            }
            differs
        });
    }
}

/// Starts every mechanism that a job names. Must be called within a tokio runtime.
pub fn start(settings: &Settings, shared: &Shared) -> Discovery {
    let count = usize::from(!settings.static_configs.is_empty()) + settings.file_sd_configs.len();
    let (sender, receiver) = channel::channel(Snapshot { mechanisms: vec![None; count] });
    let sender = Arc::new(sender);
    let mut publishers = (0..count).map(|at| Publisher { sender: Arc::clone(&sender), at });
    let mut tasks = JoinSet::new();
    if !settings.static_configs.is_empty()
        && let Some(publisher) = publishers.next()
    {
        publisher.publish(fixed::groups(&settings.static_configs));
    }
    for (config, publisher) in settings.file_sd_configs.iter().zip(publishers) {
        tasks.spawn(file::run(config.clone(), shared.clone(), publisher));
    }
    Discovery { receiver, _sender: sender, _tasks: tasks }
}
