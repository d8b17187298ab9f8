//! A server's life on one screen: what starts in which order, and stops in the opposite one.
//!
//! Map: here the order · `alerting` rules and where their alerts go · `agent` what stands in storage's place in an agent · `alerts` what connects the notifier · `watchdog` an alert that always fires · `server` what is running, and how it answers and reloads · `memory_limit` how much
//! memory there is, and who gets which share · `process` what the process measures about itself · `query_log` the file of all queries · `signals` what
//! the operating system says · `storage_admin` what operators do to stored data · `welcome` what is printed when it is ready.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use forward::Forwarding;
use stdx::clock::{Clock, SystemClock};
use stdx::rand::SeededRandom;
use tokio::task::spawn_blocking;

mod agent;
mod alerting;
mod alerts;
pub(crate) mod memory_limit;
mod process;
mod query_log;
mod server;
mod signals;
mod storage_admin;
mod stored_rules;
mod watchdog;
mod welcome;

use crate::features::Features;
use memory_limit::Budgets;
use server::{Opened, Server};

/// What the process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Collects, stores, answers.
    Server,
    /// Collects and sends on.
    Agent,
}

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// What the process is for.
    pub role: Role,
    /// The configuration file; `None`: this machine and Kymo itself are watched.
    pub config: Option<PathBuf>,
    /// Alertmanager's configuration file; it comes before the one that the configuration names.
    pub alertmanager_config: Option<PathBuf>,
    /// Where everything is kept.
    pub data: PathBuf,
    /// The most memory to use.
    pub memory_limit_bytes: u64,
    /// How long samples are kept, unless the file says.
    pub retention_ms: i64,
    /// How much disk to use, unless the file says; `None`: no limit.
    pub retention_bytes: Option<u64>,
    /// Limits of queries.
    pub query: promql::Settings,
    /// Features that the command line switches on.
    pub features: Features,
    /// Where people reach this server; `None`: by the machine's name.
    pub external_url: Option<String>,
    /// How alerts are repeated, and taken up again after a restart.
    pub alert_timing: rules::Timing,
    /// How many alerts may wait for an outside Alertmanager.
    pub alert_queue: rules::alertmanagers::QueueSettings,
    /// How to listen.
    pub api: api::Settings,
    /// Every flag with its value, for the status page.
    pub flags: BTreeMap<String, String>,
}

/// Runs a server until it is told to stop. Targets are scraped on `scraping`, everything else where this is called.
///
/// # Errors
/// What kept it from starting; or that it could not stop cleanly, and what that means.
pub async fn run(options: Options, scraping: tokio::runtime::Handle) -> anyhow::Result<()> {
    // Start: each step needs those above it.
    process::raise_file_limit();
    let clock = SystemClock::shared();
    let registry = prometheus::Registry::new();
    let budgets = Budgets::new(options.memory_limit_bytes);
    process::register(&registry, &clock, &budgets)?;
    let server = Server::load(options, Arc::clone(&clock), registry.clone(), budgets)?;
    let signals = signals::listen(&server)?;
    let engine = server.engine()?;
    let notifier = server.notifier().await?;
    let api_deps = server.api_deps(Arc::clone(&engine), notifier.clone());
    let api = api::start(server.api_settings(), api_deps).await?;
    let address = welcome::address(api.local_addr());
    let otlp_grpc = api.grpc_addr().map(|address| address.to_string());
    tracing::info!(address, otlp_grpc, "listening; not ready before the journal is replayed");

    let tsdb = match server.options.role {
        Role::Agent => None,
        Role::Server => {
            let Some(tsdb) = open_storage(&server).await? else {
                api.stop().await;
                return Ok(());
            };
            Some(tsdb)
        }
    };
    let stored = tsdb.clone().map(|tsdb| tsdb as Arc<dyn storage::Appender>);
    let forwarding = Arc::new(Forwarding::new(stored, server.forward_deps()?));
    forwarding.reload(server.receivers()).await.context("cannot start forwarding (remote_write)")?;
    let deps = scrape_deps(&server, &forwarding, clock, registry, scraping);
    let scrape = scrape::start(server.scrape_settings(), deps).await?;
    let opened = Opened { tsdb: tsdb.clone(), forwarding, scrape, engine, alerting: None, notifier };
    let opened = match &tsdb {
        Some(tsdb) => {
            Opened { alerting: Some(server.start_alerting(&opened, tsdb, api.local_addr())?), ..opened }
        }
        None => opened,
    };
    server.open(opened.clone());
    api.open(backends(&opened));
    if let Err(error) = welcome::print(&server, &address) {
        tracing::warn!(%error, "nobody reads standard output; the server runs all the same");
    }
    process::forget_start();
    server.stop.cancelled().await;

    // Stop: the same in the opposite order.
    tracing::info!("stopping");
    server.close();
    if let Some(alerting) = &opened.alerting {
        alerting.stop().await;
    }
    opened.scrape.stop().await;
    api.stop().await;
    opened.forwarding.stop().await;
    if let Some(notifier) = &opened.notifier {
        notifier.stop().await;
    }
    drop(opened);
    if let Some(tsdb) = tsdb {
        let stopped = spawn_blocking(move || tsdb.stop()).await.context("stopping the storage panicked")?;
        stopped.context("storage did not stop cleanly; what was acknowledged is in the journal")?;
    }
    signals.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Opens storage; nothing if the process is told to stop before it is open.
async fn open_storage(server: &Server) -> anyhow::Result<Option<Arc<tsdb::Tsdb>>> {
    let (settings, deps) = server.tsdb();
    let opening = spawn_blocking(move || tsdb::Tsdb::open(settings, deps));
    tokio::select! {
        opened = opening => Ok(Some(opened.context("opening the storage panicked")??)),
        () = server.stop.cancelled() => {
            tracing::info!("told to stop before storage was open; the journal is as it was");
            Ok(None)
        }
    }
}

fn scrape_deps(
    server: &Server,
    forwarding: &Arc<Forwarding>,
    clock: Arc<dyn Clock>,
    registry: prometheus::Registry,
    runtime: tokio::runtime::Handle,
) -> scrape::Deps {
    scrape::Deps {
        appender: Arc::<Forwarding>::clone(forwarding),
        tenant: model::TenantId::anonymous(),
        clock,
        random: Arc::new(SeededRandom::from_os()),
        registry,
        host_name: process::host_name(),
        self_metrics: server.self_metrics(),
        body_budget: Arc::clone(&server.budgets.scrape),
        runtime,
    }
}

/// Whom the API asks: storage, or what says that there is none.
fn backends(opened: &Opened) -> api::Backends {
    let (targets, appender) = (opened.scrape.targets(), Arc::<Forwarding>::clone(&opened.forwarding));
    let (rules, alertmanagers): (Arc<dyn rules::RulesView>, Arc<dyn rules::AlertmanagersView>) =
        match &opened.alerting {
            Some(alerting) => (alerting.rules.rules(), Arc::new(alerting.alertmanagers.clone())),
            None => (Arc::new(rules::NoRules), Arc::new(rules::NoAlertmanagers)),
        };
    let (querier, admin): (Arc<dyn storage::Querier>, Arc<dyn api::StorageAdmin>) = match &opened.tsdb {
        Some(tsdb) => (Arc::<tsdb::Tsdb>::clone(tsdb), Arc::new(storage_admin::Admin(Arc::clone(tsdb)))),
        None => (Arc::new(agent::NothingStored), Arc::new(agent::NothingStored)),
    };
    let stored_rules: Arc<dyn rules::stored::StoredRules> = match &opened.alerting {
        Some(alerting) => Arc::<stored_rules::CatalogRules>::clone(&alerting.stored),
        None => Arc::new(rules::stored::NoStoredRules),
    };
    api::Backends { appender, querier, targets, admin, rules, stored_rules, alertmanagers }
}
