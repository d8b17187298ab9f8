//! Rules, and where their alerts go: what starts, changes and stops together.

use std::sync::Arc;

use anyhow::Context;
use catalog::Catalog;
use parking_lot::Mutex;
use rules::alertmanagers::Prepared;
use rules::{AlertSink, Alertmanagers};
use stdx::clock::Clock;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::alerts::NotifierSink;
use super::stored_rules::{CatalogRules, with_stored};
use super::watchdog::{self, Pinger};
use crate::config::Config;

/// What rules need from the rest of the process.
pub(super) struct Deps {
    pub(super) engine: Arc<promql::Engine>,
    pub(super) querier: Arc<dyn storage::Querier>,
    pub(super) appender: Arc<dyn storage::Appender>,
    pub(super) discovery: discovery::Shared,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) registry: prometheus::Registry,
    /// Where people reach this server, unless the command line says.
    pub(super) url: String,
    /// Keeps rules that come by API.
    pub(super) catalog: Arc<Catalog>,
    /// Tells people itself.
    pub(super) notifier: Option<notifier::Handle>,
}

/// Running rules.
#[derive(Clone)]
pub(super) struct Alerting {
    pub(super) rules: rules::Handle,
    pub(super) alertmanagers: Alertmanagers,
    /// Rules that came by API.
    pub(super) stored: Arc<CatalogRules>,
    own: Option<Arc<NotifierSink>>,
    url: Arc<str>,
    watchdog: Arc<Watchdog>,
}

/// Who asks the watchdog's URL.
struct Watchdog {
    clock: Arc<dyn Clock>,
    metrics: watchdog::Metrics,
    runtime: tokio::runtime::Handle,
    /// Ends what the configuration in force has begun.
    stop: Mutex<CancellationToken>,
}

impl Watchdog {
    /// Begins anew with another configuration.
    fn restart(&self, rules: &rules::Handle, config: &Config) {
        let next = CancellationToken::new();
        std::mem::replace(&mut *self.stop.lock(), next.clone()).cancel();
        if let Some(config) = config.notifier.watchdog.clone() {
            let pinger = Pinger {
                rules: rules.clone(),
                clock: Arc::clone(&self.clock),
                metrics: self.metrics.clone(),
            };
            self.runtime.spawn(pinger.run(config, next));
        }
    }
}

impl Alerting {
    pub(super) fn start(options: &Options, config: &Config, deps: Deps) -> anyhow::Result<Self> {
        let alertmanagers = Alertmanagers::new(&deps.registry, deps.discovery, options.alert_queue)?;
        let prepared = Self::prepare(config).map_err(anyhow::Error::msg)?;
        let url = options.external_url.as_deref().unwrap_or(&deps.url).trim_end_matches('/');
        alertmanagers.reload(prepared);
        let own = deps.notifier.map(|notifier| Arc::new(NotifierSink::new(notifier, config)));
        let outside: Arc<dyn AlertSink> = Arc::new(alertmanagers.clone());
        let own_sink = own.clone().map(|own| own as Arc<dyn AlertSink>);
        let sink: Arc<dyn AlertSink> = Arc::new(Vec::from_iter([outside].into_iter().chain(own_sink)));
        let (catalog, clock) = (deps.catalog, Arc::clone(&deps.clock));
        let watchdog = Arc::new(Watchdog {
            clock: Arc::clone(&deps.clock),
            metrics: watchdog::Metrics::register(&deps.registry)?,
            runtime: tokio::runtime::Handle::current(),
            stop: Mutex::default(),
        });
        let deps = rules::Deps {
            engine: deps.engine,
            querier: deps.querier,
            appender: deps.appender,
            tenant: model::TenantId::anonymous(),
            clock: deps.clock,
            registry: deps.registry,
            sink,
            timing: options.alert_timing,
        };
        let files = settings(config, url);
        let all = with_stored(&catalog, &files)?;
        let rules = rules::start(&all, deps).context("cannot start evaluating rules")?;
        let stored = Arc::new(CatalogRules::new(catalog, clock, rules.clone(), files));
        watchdog.restart(&rules, config);
        Ok(Self { rules, alertmanagers, stored, own, url: Arc::from(url), watchdog })
    }

    /// Makes everything that could fail.
    pub(super) fn prepare(config: &Config) -> Result<Prepared, String> {
        Prepared::new(config.alertmanagers.clone()).map_err(|error| format!("alerting: {error}"))
    }

    pub(super) fn reload(&self, config: &Config, prepared: Prepared) -> Result<(), String> {
        self.stored.reload(settings(config, &self.url))?;
        self.alertmanagers.reload(prepared);
        if let Some(own) = &self.own {
            own.reload(config);
        }
        self.watchdog.restart(&self.rules, config);
        Ok(())
    }

    /// Ends evaluations, then sends what is in the queues.
    pub(super) async fn stop(&self) {
        self.watchdog.stop.lock().cancel();
        let rules = self.rules.clone();
        if let Err(error) = spawn_blocking(move || rules.stop()).await {
            tracing::error!(%error, "stopping the rules panicked");
        }
        self.alertmanagers.stop().await;
    }
}

/// Settings of the file, completed by what only the process knows.
fn settings(config: &Config, url: &str) -> rules::Settings {
    let mut settings = config.rules.clone();
    Arc::make_mut(&mut settings.defaults.external).url = url.to_owned();
    settings.files.extend(config.notifier.watchdog.as_ref().map(watchdog::rule_file));
    settings
}
