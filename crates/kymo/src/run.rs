//! A server's life on one screen: what starts in which order, and stops in the opposite one.
//!
//! Map: here the order · `agent` what stands in storage's place in an agent · `server` what is running, and how it answers and reloads · `memory_limit` how much
//! memory there is, and who gets which share · `process` what the process measures about itself · `query_log` the file of all queries · `signals` what
//! the operating system says · `storage_admin` what operators do to stored data · `welcome` what is printed when it is ready.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use forward::Forwarding;
use stdx::clock::SystemClock;
use stdx::rand::SeededRandom;
use tokio::task::spawn_blocking;

mod agent;
pub(crate) mod memory_limit;
mod process;
mod query_log;
mod server;
mod signals;
mod storage_admin;
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
    /// How to listen.
    pub api: api::Settings,
    /// Every flag with its value, for the status page.
    pub flags: BTreeMap<String, String>,
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// What kept it from starting; or that it could not stop cleanly, and what that means.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // Start: each step needs those above it.
    process::raise_file_limit();
    let clock = SystemClock::shared();
    let registry = prometheus::Registry::new();
    let budgets = Budgets::new(options.memory_limit_bytes);
    process::register(&registry, &clock, &budgets)?;
    let server = Server::load(options, Arc::clone(&clock), registry.clone(), budgets)?;
    let signals = signals::listen(&server)?;
    let engine = server.engine()?;
    let api = api::start(server.api_settings(), server.api_deps(Arc::clone(&engine))).await?;
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
    let scrape = scrape::start(
        server.scrape_settings(),
        scrape::Deps {
            appender: Arc::<Forwarding>::clone(&forwarding),
            tenant: model::TenantId::anonymous(),
            clock,
            random: Arc::new(SeededRandom::from_os()),
            registry,
            host_name: process::host_name(),
            self_metrics: server.self_metrics(),
            body_budget: Arc::clone(&server.budgets.scrape),
        },
    )
    .await?;
    server.open(Opened {
        tsdb: tsdb.clone(),
        forwarding: Arc::clone(&forwarding),
        scrape: scrape.clone(),
        engine,
    });
    api.open(backends(tsdb.as_ref(), Arc::clone(&forwarding), &scrape));
    if let Err(error) = welcome::print(&server, &address) {
        tracing::warn!(%error, "nobody reads standard output; the server runs all the same");
    }
    server.stop.cancelled().await;

    // Stop: the same in the opposite order.
    tracing::info!("stopping");
    server.close();
    scrape.stop().await;
    api.stop().await;
    forwarding.stop().await;
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

/// Whom the API asks: storage, or what says that there is none.
fn backends(
    tsdb: Option<&Arc<tsdb::Tsdb>>,
    appender: Arc<Forwarding>,
    scrape: &scrape::Handle,
) -> api::Backends {
    let targets = scrape.targets();
    match tsdb {
        Some(tsdb) => api::Backends {
            appender,
            querier: Arc::<tsdb::Tsdb>::clone(tsdb),
            targets,
            admin: Arc::new(storage_admin::Admin(Arc::clone(tsdb))),
        },
        None => api::Backends {
            appender,
            querier: Arc::new(agent::NothingStored),
            targets,
            admin: Arc::new(agent::NothingStored),
        },
    }
}
