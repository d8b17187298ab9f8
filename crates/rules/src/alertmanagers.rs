//! Outside Alertmanagers: the `alerting` section. What fires here is told to each of them, as Prometheus does.
//!
//! Map, along an alert's way: [`Settings`] what the configuration says · here labels and rules that all share, and which sets of Alertmanagers there
//! are · `set` one section's Alertmanagers, as discovery finds them · `target` one of them: its queue, and requests · `metrics` how it goes.
//!
//! Invariants: who hands over alerts never waits. Each Alertmanager has a queue of its own, bounded; beyond that the oldest alerts make room, and
//! are counted. A batch that cannot be delivered is counted and dropped: what still fires comes again within the resend delay, what has ended for
//! a quarter of an hour.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use discovery::settings::Section;
use http_client::{BuildError, Client};
use model::relabel::{self, Rule};
use model::{Labels, LabelsBuilder, TenantId};
use parking_lot::RwLock;
use tokio::runtime::Handle as Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sink::{AlertSink, SentAlert};

mod metrics;
mod set;
mod target;

use metrics::Metrics;
use set::Set;

/// What the configuration says about outside Alertmanagers. Given anew, whole, on each reload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Labels that every alert gets unless it has them.
    pub external_labels: Labels,
    /// `alert_relabel_configs` for all.
    pub alert_relabel: Vec<Rule>,
    /// `alertmanagers`, one set each.
    pub sets: Vec<SetSettings>,
}

/// One element of `alertmanagers`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetSettings {
    /// `http` or `https`, unless relabelling says otherwise.
    pub scheme: String,
    /// Stands before `/api/v2/alerts`.
    pub path_prefix: String,
    /// Longest time of a request.
    pub timeout: Duration,
    /// Rules for what is discovered.
    pub relabel: Vec<Rule>,
    /// Rules for alerts that go there.
    pub alert_relabel: Vec<Rule>,
    /// Where they are, and how they are reached.
    pub section: Section,
}

/// Limits that are no business of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// `--alertmanager.notification-queue-capacity`: alerts that may wait for one Alertmanager. Default 10,000.
    pub alerts_max: usize,
    /// `--alertmanager.notification-batch-size`: alerts of one request. Default 256.
    pub batch_max: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { alerts_max: 10_000, batch_max: 256 }
    }
}

/// Answers where alerts are sent.
pub trait AlertmanagersView: Send + Sync + 'static {
    /// URLs of those that get alerts.
    fn active(&self) -> Vec<String>;
    /// URLs of those that relabelling has dropped.
    fn dropped(&self) -> Vec<String>;
}

/// Alerts are sent nowhere.
#[derive(Debug, Clone, Copy)]
pub struct NoAlertmanagers;

impl AlertmanagersView for NoAlertmanagers {
    fn active(&self) -> Vec<String> {
        Vec::new()
    }

    fn dropped(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What all Alertmanagers share.
struct Shared {
    metrics: Metrics,
    queue: QueueSettings,
    discovery: discovery::Shared,
    runtime: Runtime,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Sends alerts to outside Alertmanagers. Cheap to clone.
#[derive(Clone)]
pub struct Alertmanagers {
    shared: Arc<Shared>,
    plan: Arc<RwLock<Plan>>,
}

/// What is in force.
#[derive(Default)]
struct Plan {
    external_labels: Labels,
    alert_relabel: Vec<Rule>,
    sets: Vec<Arc<Set>>,
}

/// Settings whose clients could be made, so that nothing can fail any more.
pub struct Prepared {
    settings: Settings,
    clients: Vec<Arc<Client>>,
}

impl Prepared {
    /// Makes the clients.
    ///
    /// # Errors
    /// If a file of certificates or a credential cannot be used.
    pub fn new(settings: Settings) -> Result<Self, BuildError> {
        let clients = settings.sets.iter().map(|set| Client::new(set.section.http.clone()).map(Arc::new));
        let clients = clients.collect::<Result<_, _>>()?;
        Ok(Self { settings, clients })
    }
}

impl Alertmanagers {
    /// Begins with no Alertmanagers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the registry holds metrics of our names.
    pub fn new(
        registry: &prometheus::Registry,
        discovery: discovery::Shared,
        queue: QueueSettings,
    ) -> Result<Self, prometheus::Error> {
        let shared = Shared {
            metrics: Metrics::register(registry)?,
            queue,
            discovery,
            runtime: Runtime::current(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared), plan: Arc::default() })
    }

    /// Goes on with other settings. Sets that are unchanged keep their queues.
    pub fn reload(&self, prepared: Prepared) {
        let Prepared { settings, clients } = prepared;
        let mut plan = self.plan.write();
        let mut before = std::mem::take(&mut plan.sets);
        for (settings, client) in settings.sets.into_iter().zip(clients) {
            let known = before.iter().position(|set| *set.settings() == settings);
            plan.sets.push(match known {
                Some(at) => before.swap_remove(at),
                None => Set::start(&self.shared, settings, client),
            });
        }
        (plan.external_labels, plan.alert_relabel) = (settings.external_labels, settings.alert_relabel);
        drop(plan);
        before.iter().for_each(|set| set.stop());
    }

    /// Sends what is in the queues, once, and ends.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl AlertSink for Alertmanagers {
    fn send(&self, _: &TenantId, alerts: &[Arc<SentAlert>]) {
        let plan = self.plan.read();
        if plan.sets.is_empty() {
            return;
        }
        let alerts: Vec<Arc<SentAlert>> = alerts
            .iter()
            .filter_map(|alert| relabelled(alert, &plan.external_labels, &plan.alert_relabel))
            .collect();
        for set in &plan.sets {
            let rules = &set.settings().alert_relabel;
            let alerts: Cow<'_, [Arc<SentAlert>]> = if rules.is_empty() {
                Cow::Borrowed(&alerts)
            } else {
                alerts.iter().filter_map(|alert| relabelled(alert, &Labels::empty(), rules)).collect()
            };
            set.send(&alerts);
        }
    }
}

impl AlertmanagersView for Alertmanagers {
    fn active(&self) -> Vec<String> {
        self.plan.read().sets.iter().flat_map(|set| set.active()).collect()
    }

    fn dropped(&self) -> Vec<String> {
        self.plan.read().sets.iter().flat_map(|set| set.dropped()).collect()
    }
}

/// An alert with more labels, relabelled; `None` if a rule drops it.
fn relabelled(alert: &Arc<SentAlert>, external: &Labels, rules: &[Rule]) -> Option<Arc<SentAlert>> {
    if external.is_empty() && rules.is_empty() {
        return Some(Arc::clone(alert));
    }
    let mut builder: LabelsBuilder = alert.labels.to_builder();
    for (name, value) in external {
        if alert.labels.get(name).is_none() {
            builder.set(name, value);
        }
    }
    if !relabel::apply(rules, &mut builder) {
        return None;
    }
    Some(Arc::new(SentAlert { labels: builder.build(), ..(**alert).clone() }))
}

#[cfg(test)]
mod tests;
