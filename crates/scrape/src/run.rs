//! Start, reload and stop: which pools there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::TenantId;
use model::relabel::Rule;
use stdx::clock::Clock;
use stdx::memory::Budget;
use stdx::rand::Random;
use storage::Appender;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Buffers;
use crate::collector::Collector;
use crate::env::{Active, Env, Scratches};
use crate::error::Error;
use crate::host::HostCollector;
use crate::metrics::Metrics;
use crate::pool::{PoolHandle, PoolId, PoolView};
use crate::recipe::Recipe;
use crate::settings::{Global, Job, ScrapeConfig, Settings};
use crate::shapes::Shapes;
use crate::status::{ActiveTarget, DroppedTarget, InvalidTarget, TargetsView};

/// The pool, and `job` label, of Kymo's own metrics.
const SELF_JOB: &str = "kymo";

/// What scraping needs from others.
pub struct Deps {
    /// Where samples go.
    pub appender: Arc<dyn Appender>,
    /// Whose they are.
    pub tenant: TenantId,
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Spreads targets over their interval, differently on each server.
    pub random: Arc<dyn Random>,
    /// Where scraping registers its own metrics.
    pub registry: prometheus::Registry,
    /// How others reach this machine: in place of localhost in global URLs, and the `instance` of built-in targets.
    pub host_name: String,
    /// What this process measures about itself, scraped as job `kymo`; `None`: it is not scraped.
    pub self_metrics: Option<Arc<dyn Collector>>,
    /// Memory for answers that are being read, all targets together.
    pub body_budget: Arc<Budget>,
    /// Where targets are scraped. A runtime of its own with few threads serves best: a scrape is so little work that waking
    /// another thread for it costs as much.
    pub runtime: tokio::runtime::Handle,
}

/// Running scrapes. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    env: Arc<Env>,
    host: Arc<dyn Collector>,
    self_metrics: Option<Arc<dyn Collector>>,
    /// Held across a reload, so that reloads happen one after the other.
    pools: Arc<Mutex<BTreeMap<PoolId, PoolHandle>>>,
}

/// Starts scraping. Must be called within a tokio runtime.
///
/// # Errors
/// If a job's HTTP client cannot be made, or metrics of our names are registered already.
pub async fn start(settings: Settings, deps: Deps) -> Result<Handle, Error> {
    let seed = deps.random.next_u64();
    let env = Arc::new(Env {
        appender: deps.appender,
        tenant: deps.tenant,
        metrics: Metrics::register(&deps.registry)?,
        discovery: discovery::Shared::register(&deps.registry)?,
        host_name: deps.host_name,
        seed,
        shapes: Shapes::new(seed),
        buffers: Buffers::new(deps.body_budget),
        scratches: Scratches::default(),
        active: Active::default(),
        views: parking_lot::RwLock::default(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        runtime: deps.runtime,
        clock: Arc::clone(&deps.clock),
    });
    let handle = Handle {
        env,
        host: Arc::new(HostCollector::new(deps.clock)),
        self_metrics: deps.self_metrics,
        pools: Arc::default(),
    };
    handle.reload(settings).await?;
    Ok(handle)
}

impl Handle {
    /// Goes on with other settings. Pools whose job is unchanged do not notice; in changed ones, targets that stay
    /// keep their slots and what they know of their series.
    ///
    /// # Errors
    /// If a job's HTTP client cannot be made; nothing has changed then.
    pub async fn reload(&self, settings: Settings) -> Result<(), Error> {
        let mut pools = self.pools.lock().await;
        if self.env.stop.is_cancelled() {
            return Ok(());
        }
        let wanted = self.wanted(settings);
        let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
        for (id, job, collector) in &wanted {
            if let Some(pool) = pools.get(id).filter(|pool| pool.recipe.job == *job) {
                unchanged.push(Arc::clone(&pool.recipe));
                continue;
            }
            let recipe = match collector {
                Some(collector) => Recipe::built_in(job.clone(), Arc::clone(collector), true),
                None => Recipe::http(job.clone())?,
            };
            changed.push((id.clone(), recipe));
        }
        for log in unchanged.iter().filter_map(|recipe| recipe.failure_log.as_ref()) {
            log.reopen()?;
        }
        // From here on nothing can fail.
        let gone: Vec<PoolId> =
            pools.keys().filter(|id| !wanted.iter().any(|(wanted, ..)| wanted == *id)).cloned().collect();
        for id in gone {
            if let Some(pool) = pools.remove(&id) {
                pool.remove().await;
            }
        }
        for (id, recipe) in changed {
            match pools.get_mut(&id) {
                Some(pool) => pool.reload(recipe).await,
                None => {
                    pools.insert(id.clone(), PoolHandle::start(&self.env, id, recipe));
                }
            }
        }
        Ok(())
    }

    /// Ends all scrapes at once, without ending any series: a server that comes back goes on where it was.
    pub async fn stop(&self) {
        self.env.stop.cancel();
        self.env.tasks.close();
        self.env.tasks.wait().await;
        self.env.views.write().clear();
    }

    /// What discoveries share, for those who discover something else than targets.
    pub fn discovery(&self) -> discovery::Shared {
        self.env.discovery.clone()
    }

    /// What is scraped, for those who show it.
    pub fn targets(&self) -> Arc<dyn TargetsView> {
        Arc::new(View { env: Arc::clone(&self.env) })
    }

    fn wanted(&self, settings: Settings) -> Vec<Wanted> {
        let host = settings.host_collector.as_ref();
        let interval_ms = host.map_or(15_000, |host| host.interval_ms);
        let mut wanted = Vec::new();
        let mut built_in = |name: &str, collector: &Arc<dyn Collector>| {
            let job = built_in_job(name, &self.env.host_name, interval_ms);
            wanted.push((PoolId { name: name.to_owned(), built_in: true }, job, Some(Arc::clone(collector))));
        };
        if let Some(host) = host {
            built_in(&host.job, &self.host);
        }
        if let Some(collector) = &self.self_metrics {
            built_in(SELF_JOB, collector);
        }
        let configured = settings.jobs.into_iter().map(|job| {
            let id = PoolId { name: job.name.clone(), built_in: false };
            (id, job, None)
        });
        wanted.extend(configured);
        for (_, job, _) in &mut wanted {
            job.type_and_unit_labels = settings.type_and_unit_labels;
            job.start_timestamps = settings.start_timestamps;
        }
        wanted
    }
}

/// A pool that should be: its job, and for a built-in one the collector.
type Wanted = (PoolId, Job, Option<Arc<dyn Collector>>);

/// A job with one target, `host_name`, and every other value at its default.
fn built_in_job(name: &str, host_name: &str, interval_ms: i64) -> Job {
    let config = ScrapeConfig { job_name: name.to_owned(), ..ScrapeConfig::default() };
    let job = config.resolve(&Global::default()).expect("the defaults are valid for any name");
    let target =
        discovery::settings::StaticGroup { targets: vec![host_name.to_owned()], ..Default::default() };
    Job {
        interval_ms,
        timeout_ms: interval_ms.min(10_000),
        discovery: discovery::Settings { static_configs: vec![target], ..Default::default() },
        ..job
    }
}

struct View {
    env: Arc<Env>,
}

impl TargetsView for View {
    fn pools(&self) -> Vec<String> {
        let mut names: Vec<String> = self.env.views.read().keys().map(|id| id.name.clone()).collect();
        names.dedup();
        names
    }

    fn active(&self) -> Vec<ActiveTarget> {
        self.env.views.read().values().flat_map(|view| view.active(&self.env.host_name)).collect()
    }

    fn dropped(&self) -> Vec<DroppedTarget> {
        let views = self.env.views.read();
        views.values().flat_map(|view| view.dropped()).collect()
    }

    fn invalid(&self) -> Vec<InvalidTarget> {
        self.env.views.read().values().flat_map(|view| view.invalid()).collect()
    }

    fn relabel_rules(&self, pool: &str) -> Option<Vec<Rule>> {
        let views = self.env.views.read();
        // One of the configuration goes before a built-in one of the same name.
        let view = views.iter().find(|(id, _)| id.name == pool)?.1;
        Some(view.relabel_rules())
    }

    fn dropped_counts(&self) -> Vec<(String, usize)> {
        self.env.views.read().iter().map(|(id, view)| (id.name.clone(), view.dropped_count())).collect()
    }

    fn discovery_failures(&self) -> Vec<(String, String)> {
        let views = self.env.views.read();
        let of_pool = |(id, view): (&PoolId, &Arc<PoolView>)| {
            let failures = view.discovery_failures().into_iter();
            failures.map(|failure| (id.name.clone(), failure)).collect::<Vec<_>>()
        };
        views.iter().flat_map(of_pool).collect()
    }
}
