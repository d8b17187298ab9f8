//! The dead man's switch: an alert that always fires, by the same way as all others, and a URL that is asked as long as it does.
//!
//! Somebody outside who misses the alert, or the request, knows that nobody would be told of anything.

use std::sync::Arc;
use std::time::Duration;

use http_client::{Client, Method, Request, Url};
use prometheus::{IntCounter, Registry};
use rules::file::{GroupSpec, RuleFile, RuleKind, RuleSpec};
use rules::{Handle, RulesView};
use stdx::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::config::WatchdogConfig;

/// The file of the built-in group, as the API shows it.
const FILE: &str = "(built in)";
const GROUP: &str = "watchdog";
/// Whoever takes longer is asked again the next time.
const PING_MAX: Duration = Duration::from_secs(10);

/// The rule that always fires.
pub(super) fn rule_file(config: &WatchdogConfig) -> (String, Arc<RuleFile>) {
    let summary = "Alerts of this Kymo reach you. If this one ends, they do not.";
    let rule = RuleSpec {
        name: "Watchdog".to_owned(),
        kind: RuleKind::Alerting,
        expr: "vector(1)".to_owned(),
        labels: config.labels.clone(),
        annotations: [("summary".to_owned(), summary.to_owned())].into(),
        ..RuleSpec::default()
    };
    let group = GroupSpec {
        name: GROUP.to_owned(),
        interval_ms: Some(config.interval_ms),
        rules: vec![rule],
        ..GroupSpec::default()
    };
    (FILE.to_owned(), Arc::new(RuleFile { groups: vec![group] }))
}

/// What is counted.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pings: IntCounter,
    failures: IntCounter,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            pings: counter(
                "kymo_watchdog_pings_total",
                "Requests to the watchdog's URL that were answered with success.",
            )?,
            failures: counter(
                "kymo_watchdog_ping_failures_total",
                "Requests to the watchdog's URL that failed.",
            )?,
        })
    }
}

/// Whom to ask, and whether there is a reason to.
pub(super) struct Pinger {
    pub(super) rules: Handle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
}

impl Pinger {
    /// Asks the URL once an interval, as long as the rule is evaluated in time; until it is stopped.
    pub(super) async fn run(self, config: WatchdogConfig, stop: CancellationToken) {
        let Some((url, client)) = target(&config) else { return };
        let interval = Duration::from_millis(config.interval_ms.unsigned_abs());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            if !self.is_alive(config.interval_ms) {
                tracing::error!("the watchdog's rule is not evaluated in time; its URL is not asked");
                continue;
            }
            let asked = client.execute(Request::new(Method::GET, url.clone()));
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                asked = tokio::time::timeout(PING_MAX, asked) => asked,
            };
            let fault = match asked {
                Ok(Ok(answer)) if answer.status().is_success() => {
                    self.metrics.pings.inc();
                    continue;
                }
                Ok(Ok(answer)) => format!("it answered {}", answer.status()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it did not answer in time".to_owned(),
            };
            self.metrics.failures.inc();
            tracing::error!(fault, "the watchdog's URL could not be asked");
        }
    }

    /// Whether one of the last evaluations that were due took place.
    fn is_alive(&self, interval_ms: i64) -> bool {
        let groups = self.rules.groups(&model::TenantId::anonymous());
        let watchdog = groups.iter().find(|group| group.file() == FILE && group.name() == GROUP);
        let last_ms = watchdog.and_then(|group| group.status().last_slot_ms);
        last_ms.is_some_and(|last_ms| self.clock.now_ms() - last_ms <= 3 * interval_ms)
    }
}

/// Where to ask; `None`, with a line that says why, if there is nobody.
fn target(config: &WatchdogConfig) -> Option<(Url, Client)> {
    if config.ping_url.is_empty() {
        return None;
    }
    let made = || {
        let url = Url::parse(&config.ping_url).map_err(|error| error.to_string())?;
        let client = Client::new(http_client::Settings::default()).map_err(|error| error.to_string())?;
        Ok::<_, String>((url, client))
    };
    made().inspect_err(|error| tracing::error!(error, "the watchdog cannot ask its URL")).ok()
}
