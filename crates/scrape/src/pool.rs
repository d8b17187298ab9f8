//! A scrape pool: the targets of one job. Follows discovery and reloads; starts, restarts and retires loops.
//!
//! One task a pool owns all of this; what others may look at is in [`PoolView`].

use std::sync::Arc;
use std::time::Duration;

use discovery::{Discovery, Snapshot};
use hashbrown::{HashMap, HashSet};
use model::Labels;
use model::relabel::Rule;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use crate::env::Env;
use crate::error::ScrapeError;
use crate::quota::{Quota, Share};
use crate::recipe::{Recipe, Source};
use crate::scrape_loop::{Control, Running};
use crate::status::{ActiveTarget, DroppedTarget, InvalidTarget};
use crate::target::{self, Built, Target, TargetKey, TargetSpec, TargetState};

/// A mechanism that has not answered by then does not hold up the targets of the others.
const DISCOVERY_PATIENCE: Duration = Duration::from_secs(5);

/// Targets of a pool that cannot be scraped and can be asked about.
const INVALID_MAX: usize = 100;

/// Names a pool. A job of the configuration may have the name of a built-in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolId {
    pub(crate) name: String,
    pub(crate) built_in: bool,
}

/// What others may know of a pool.
#[derive(Debug, Default)]
pub(crate) struct PoolView {
    name: String,
    targets: RwLock<Vec<Arc<Target>>>,
    dropped: RwLock<DroppedTargets>,
    /// What is wrong with mechanisms of discovery.
    failures: RwLock<Vec<String>>,
    rules: RwLock<Vec<Rule>>,
}

#[derive(Debug, Default)]
struct DroppedTargets {
    /// Labels before relabelling and the rule that dropped them, of as many as are kept.
    kept: Vec<(Labels, usize)>,
    count: usize,
    /// Labels before relabelling, and what is wrong with the target.
    invalid: Vec<(Labels, String)>,
}

impl PoolView {
    pub(crate) fn active(&self, host_name: &str) -> Vec<ActiveTarget> {
        self.targets.read().iter().map(|target| target.view(&self.name, host_name)).collect()
    }

    pub(crate) fn dropped(&self) -> Vec<DroppedTarget> {
        let rules = self.rules.read();
        let target = |(labels, dropped_by): &(Labels, usize)| DroppedTarget {
            pool: self.name.clone(),
            discovered_labels: labels.clone(),
            dropped_by: *dropped_by,
            rule: rules.get(*dropped_by).map(|rule| rule.settings().clone()).unwrap_or_default(),
        };
        self.dropped.read().kept.iter().map(target).collect()
    }

    pub(crate) fn invalid(&self) -> Vec<InvalidTarget> {
        let target = |(labels, error): &(Labels, String)| InvalidTarget {
            pool: self.name.clone(),
            discovered_labels: labels.clone(),
            error: error.clone(),
        };
        self.dropped.read().invalid.iter().map(target).collect()
    }

    pub(crate) fn relabel_rules(&self) -> Vec<Rule> {
        self.rules.read().clone()
    }

    pub(crate) fn dropped_count(&self) -> usize {
        self.dropped.read().count
    }

    pub(crate) fn discovery_failures(&self) -> Vec<String> {
        self.failures.read().clone()
    }
}

/// What a pool is told. Each is answered once it is done.
pub(crate) enum Command {
    /// Go on with another recipe.
    Reload(Arc<Recipe>, oneshot::Sender<()>),
    /// Retire all targets and end.
    Remove(oneshot::Sender<()>),
}

/// A running pool.
pub(crate) struct PoolHandle {
    pub(crate) recipe: Arc<Recipe>,
    commands: mpsc::Sender<Command>,
}

impl PoolHandle {
    /// Starts a pool.
    pub(crate) fn start(env: &Arc<Env>, id: PoolId, recipe: Arc<Recipe>) -> Self {
        let (commands, receiver) = mpsc::channel(4);
        let view = Arc::new(PoolView { name: id.name.clone(), ..PoolView::default() });
        env.views.write().insert(id.clone(), Arc::clone(&view));
        env.metrics.pools.inc();
        let pool = Pool {
            env: Arc::clone(env),
            discovery: discovery::start(&recipe.job.discovery, &env.discovery),
            quota: Quota::new(
                recipe.job.series_limit,
                env.metrics.series.with_label_values(&[id.name.as_str()]),
            ),
            id,
            recipe: Arc::clone(&recipe),
            snapshot: Snapshot::default(),
            running: HashMap::new(),
            retiring: HashMap::new(),
            view,
        };
        env.tasks.spawn(pool.run(receiver));
        Self { recipe, commands }
    }

    /// Goes on with another recipe; returns when it does.
    pub(crate) async fn reload(&mut self, recipe: Arc<Recipe>) {
        self.recipe = Arc::clone(&recipe);
        self.ask(|done| Command::Reload(recipe, done)).await;
    }

    /// Retires all targets and ends.
    pub(crate) async fn remove(self) {
        self.ask(Command::Remove).await;
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, answer) = oneshot::channel();
        // A pool that is gone was stopped with everything else.
        if self.commands.send(command(done)).await.is_ok() {
            let _stopped = answer.await;
        }
    }
}

struct Pool {
    env: Arc<Env>,
    id: PoolId,
    recipe: Arc<Recipe>,
    discovery: Discovery,
    snapshot: Snapshot,
    running: HashMap<TargetKey, Running>,
    /// Loops of targets that are gone, until their series are ended; one that comes back goes on from here.
    retiring: HashMap<TargetKey, Running>,
    view: Arc<PoolView>,
    /// What `series_limit` allows.
    quota: Arc<Quota>,
}

impl Pool {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let stop = self.env.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.live(&mut commands) => {}
        }
        self.env.metrics.pools.dec();
        let _absent = self.env.metrics.series.remove_label_values(&[&self.id.name]);
        for state in ["active", "dropped"] {
            // Another pool of the same name counts under the same labels only in the odd case of a job that is
            // named as a built-in one; its next sync sets them again.
            let _absent = self.env.metrics.targets.remove_label_values(&[&self.id.name, state]);
        }
    }

    async fn live(&mut self, commands: &mut mpsc::Receiver<Command>) {
        self.await_discovery().await;
        self.sync();
        loop {
            tokio::select! {
                () = self.discovery.changed() => {
                    self.snapshot = self.discovery.current();
                    self.sync();
                }
                command = commands.recv() => match command {
                    Some(Command::Reload(recipe, done)) => {
                        self.reload(recipe).await;
                        let _nobody_waits = done.send(());
                    }
                    Some(Command::Remove(done)) => {
                        self.retire_all();
                        self.env.views.write().remove(&self.id);
                        let _nobody_waits = done.send(());
                        return;
                    }
                    None => return,
                }
            }
        }
    }

    async fn await_discovery(&mut self) {
        // What is missing after this comes with `changed`.
        let _late = tokio::time::timeout(DISCOVERY_PATIENCE, self.discovery.complete()).await;
        self.snapshot = self.discovery.current();
    }

    async fn reload(&mut self, recipe: Arc<Recipe>) {
        self.env.metrics.reloads.inc();
        let before = std::mem::replace(&mut self.recipe, recipe);
        self.quota.set_limit(self.recipe.job.series_limit);
        if before.job.discovery != self.recipe.job.discovery {
            self.discovery = discovery::start(&self.recipe.job.discovery, &self.env.discovery);
            self.await_discovery().await;
        }
        let forget = !before.labels_alike(&self.recipe);
        let running: Vec<Running> = self.running.drain().map(|(_, running)| running).collect();
        for old in running {
            if forget {
                old.target.state.cache.lock().forget_raw();
            }
            let target = Arc::clone(&old.target);
            self.running.insert(target.key, Running::start(&self.env, &self.recipe, target, Some(old)));
        }
        self.sync();
    }

    /// Makes the loops be those of the targets that discovery and relabelling yield now.
    fn sync(&mut self) {
        let wanted = self.wanted();
        let keys: HashSet<TargetKey> = wanted.iter().map(|(key, _)| *key).collect();
        let gone: Vec<TargetKey> = self.running.keys().filter(|key| !keys.contains(*key)).copied().collect();
        for key in gone {
            self.retire(key);
        }
        self.retiring.retain(|_, running| !running.is_finished());
        for (key, spec) in wanted {
            self.want(key, spec);
        }
        self.limit_targets();
        let mut targets: Vec<Arc<Target>> =
            self.running.values().map(|running| Arc::clone(&running.target)).collect();
        targets.sort_by(|a, b| (&a.spec.url, &a.spec.labels).cmp(&(&b.spec.url, &b.spec.labels)));
        let gauge = |state| self.env.metrics.targets.with_label_values(&[self.id.name.as_str(), state]);
        gauge("active").set(i64::try_from(targets.len()).unwrap_or(i64::MAX));
        gauge("dropped").set(i64::try_from(self.view.dropped_count()).unwrap_or(i64::MAX));
        *self.view.targets.write() = targets;
        *self.view.failures.write() = self.snapshot.failures().map(str::to_owned).collect();
    }

    /// Targets as they should be, each once; dropped ones go into the view.
    fn wanted(&self) -> Vec<(TargetKey, TargetSpec)> {
        let job = &self.recipe.job;
        let mut seen = HashSet::new();
        let mut wanted = Vec::new();
        let mut dropped = DroppedTargets::default();
        for group in self.snapshot.groups() {
            for (i, own) in group.targets.iter().enumerate() {
                match target::build(own, group, job) {
                    Ok(Built::Target(mut spec)) => {
                        if let Source::BuiltIn { collector, .. } = &self.recipe.source {
                            spec.url = format!("builtin://{}", collector.name());
                        }
                        let key = spec.key();
                        if seen.insert(key) {
                            wanted.push((key, spec));
                        }
                    }
                    Ok(Built::Dropped { discovered, rule }) => {
                        dropped.count += 1;
                        if job.keep_dropped_targets == 0 || dropped.count as u64 <= job.keep_dropped_targets {
                            dropped.kept.push((discovered, rule));
                        }
                    }
                    Err(error) => {
                        self.env.metrics.target_errors.inc();
                        let (pool, source) = (&self.id.name, &group.source);
                        tracing::error!(pool, group = source, instance = i, %error, "creating a target failed");
                        if dropped.invalid.len() < INVALID_MAX {
                            dropped.invalid.push((target::discovered(own, group, job), error.to_string()));
                        }
                    }
                }
            }
        }
        self.view.rules.write().clone_from(&job.relabel);
        *self.view.dropped.write() = dropped;
        wanted
    }

    /// Starts, restarts or leaves alone the loop of a target.
    fn want(&mut self, key: TargetKey, spec: TargetSpec) {
        if let Some(running) = self.running.get(&key) {
            let same_times = running.target.spec.interval_ms == spec.interval_ms
                && running.target.spec.timeout_ms == spec.timeout_ms;
            if same_times {
                *running.target.discovered.lock() = spec.discovered;
                return;
            }
        }
        let previous = match self.running.remove(&key) {
            Some(running) => {
                self.env.active.remove(&running.target);
                Some(running)
            }
            None => self.retiring.remove(&key),
        };
        let state = match &previous {
            Some(previous) => Arc::clone(&previous.target.state),
            None => TargetState::new(&self.env, spec.labels.clone(), Share::new(Arc::clone(&self.quota))),
        };
        let target = Target::new(spec, state);
        self.env.active.add(&target);
        self.running.insert(key, Running::start(&self.env, &self.recipe, target, previous));
    }

    fn retire(&mut self, key: TargetKey) {
        if let Some(running) = self.running.remove(&key) {
            self.env.active.remove(&running.target);
            running.tell(Control::Retire);
            self.retiring.insert(key, running);
        }
    }

    fn retire_all(&mut self) {
        let keys: Vec<TargetKey> = self.running.keys().copied().collect();
        for key in keys {
            self.retire(key);
        }
    }

    fn limit_targets(&self) {
        let (count, limit) = (self.running.len(), self.recipe.job.target_limit);
        let error = (limit > 0 && count as u64 > limit).then(|| {
            let message = format!("target_limit exceeded (number of targets: {count}, limit: {limit})");
            ScrapeError::limit("target_limit", message)
        });
        *self.recipe.target_limit_error.write() = error;
    }
}
