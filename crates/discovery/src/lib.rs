//! Where targets come from: one mechanism a file; all yield target groups.
//!
//! Map: [`settings`] what a configuration file says · [`group`] what a mechanism yields · `fixed` targets
//! written into the configuration · `file` targets in watched files · `watch` noticing their changes ·
//! `mechanism` all others: one file or folder each · `refresh` asking at an interval · `fetch` asking over HTTP ·
//! `token` tokens that are kept · `jwt` those that we sign · `meta` labels of targets · `place` where a mechanism publishes · `metrics` self-metrics.
//!
//! The door is [`start`]: one task a mechanism, each of which publishes all its groups whenever they change.
//! A reader always sees the newest state, never a queue of steps ([`Discovery::changed`]). A mechanism that
//! fails goes on with what it knew last, and says so ([`Snapshot::failures`]). Deliberately not here: relabelling and
//! everything after it.

pub mod group;
pub mod settings;

mod fetch;
mod file;
mod fixed;
mod jwt;
mod mechanism;
mod meta;
mod metrics;
mod place;
mod refresh;
#[cfg(test)]
mod testing;
mod token;
mod watch;

use std::sync::Arc;

use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use crate::place::Publisher;

pub use group::TargetGroup;
pub use place::Shared;
pub use settings::Settings;

/// The groups of all mechanisms of a job, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// One element a mechanism, in order of the configuration.
    mechanisms: Vec<State>,
}

/// What one mechanism published last.
#[derive(Debug, Clone, Default)]
struct State {
    /// `None` until it published for the first time.
    groups: Option<Arc<[TargetGroup]>>,
    /// Why it cannot publish anything newer.
    failure: Option<Arc<str>>,
}

impl Snapshot {
    /// Whether every mechanism has published.
    pub fn is_complete(&self) -> bool {
        self.mechanisms.iter().all(|state| state.groups.is_some())
    }

    /// All groups, in order of the configuration.
    pub fn groups(&self) -> impl Iterator<Item = &TargetGroup> {
        self.mechanisms.iter().filter_map(|state| state.groups.as_deref()).flatten()
    }

    /// What is wrong with mechanisms that fail; their targets are the last that were known.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.mechanisms.iter().filter_map(|state| state.failure.as_deref())
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

/// Starts every mechanism that a job names. Must be called within a tokio runtime.
pub fn start(settings: &Settings, shared: &Shared) -> Discovery {
    let fixed = usize::from(!settings.static_configs.is_empty());
    let count = fixed + settings.file_sd_configs.len() + settings.mechanisms.len();
    let (sender, receiver) = channel::channel(Snapshot { mechanisms: vec![State::default(); count] });
    let sender = Arc::new(sender);
    let mut at = 0..count;
    let mut publisher = |key| Publisher::new(shared, &sender, at.next().unwrap_or(count), key);
    let mut tasks = JoinSet::new();
    if !settings.static_configs.is_empty() {
        publisher("static_configs").publish(fixed::groups(&settings.static_configs));
    }
    for config in &settings.file_sd_configs {
        tasks.spawn(file::run(config.clone(), shared.clone(), publisher("file_sd_configs")));
    }
    for mechanism in &settings.mechanisms {
        tasks.spawn(mechanism.clone().run(shared.clone(), publisher(mechanism.key())));
    }
    Discovery { receiver, _sender: sender, _tasks: tasks }
}
