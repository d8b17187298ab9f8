//! Start, reload and stop: which groups there are, and the threads that evaluate them when they are due.
//!
//! Rules have threads of their own, as many as queries of their class may run at one time, so that they go on when everything else is
//! busy. Groups wait in one queue in order of time; a thread that is free takes the first that is due. One of the idle threads sleeps until
//! then, the others until they are needed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use model::{Labels, TenantId};
use parking_lot::{Condvar, Mutex};
use promql::{Class, Engine};
use stdx::cancel::Cancel;
use stdx::clock::Clock;
use storage::{Appender, Querier};

use crate::env::{Env, Helpers, Timing};
use crate::file::{Fault, RuleFile};
use crate::group::{Defaults, Group, end_series};
use crate::metrics::Metrics;
use crate::sink::AlertSink;

/// Everything that rules need to know. Given anew, whole, on each reload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Rule files that were checked, with the names under which they are shown.
    pub files: Vec<(String, Arc<RuleFile>)>,
    /// What groups inherit.
    pub defaults: Defaults,
}

impl Settings {
    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        let groups = self.files.iter().flat_map(|(_, file)| &file.groups);
        groups.map(|group| group.rules.len()).sum()
    }
}

/// What rules need from others.
pub struct Deps {
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// Answers what is stored.
    pub querier: Arc<dyn Querier>,
    /// Takes results in.
    pub appender: Arc<dyn Appender>,
    /// Whose rules these are.
    pub tenant: TenantId,
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Where rules register their own metrics.
    pub registry: prometheus::Registry,
    /// Who gets alerts.
    pub sink: Arc<dyn AlertSink>,
    /// How alerts are repeated, and taken up again after a restart.
    pub timing: Timing,
}

/// Rules cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Metrics of our names are there already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// The system has no more threads.
    #[error("cannot start a thread that evaluates rules: {0}")]
    Thread(#[from] std::io::Error),
    /// A rule that was not checked.
    #[error("{}: {fault}", path.display())]
    Rule {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// Answers which rules there are.
pub trait RulesView: Send + Sync + 'static {
    /// All groups of a tenant, in order of file and name.
    fn groups(&self, tenant: &TenantId) -> Vec<Arc<Group>>;

    /// What groups inherit.
    fn defaults(&self) -> Defaults;

    /// How alerts are repeated.
    fn timing(&self) -> Timing;
}

/// No rules at all.
#[derive(Debug, Clone, Copy)]
pub struct NoRules;

impl RulesView for NoRules {
    fn groups(&self, _: &TenantId) -> Vec<Arc<Group>> {
        Vec::new()
    }

    fn defaults(&self) -> Defaults {
        Defaults::default()
    }

    fn timing(&self) -> Timing {
        Timing::default()
    }
}

/// Running rules. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct Shared {
    env: Env,
    plan: Mutex<Plan>,
    /// There is something new to do, or all is over.
    changed: Condvar,
}

/// Names a group: file and name.
type GroupId = (String, String);

#[derive(Default)]
struct Plan {
    groups: BTreeMap<GroupId, Arc<Group>>,
    due: BinaryHeap<Reverse<Due>>,
    next_number: u64,
    /// Whether a thread sleeps until the first job is due.
    has_sleeper: bool,
    is_stopping: bool,
    /// Whether groups were there before; those of a reload have nothing to take up from before the start.
    has_started: bool,
    /// What groups inherit.
    defaults: Defaults,
}

/// A job and when it is due.
struct Due {
    at_ms: i64,
    /// Makes the order total, and fair among jobs of one time.
    number: u64,
    job: Job,
}

enum Job {
    Evaluate(Arc<Group>),
    /// Series of a group that is gone, which end when it went.
    End {
        series: Vec<Labels>,
        time_ms: i64,
    },
}

impl Due {
    fn key(&self) -> (i64, u64) {
        (self.at_ms, self.number)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Plan {
    fn add(&mut self, at_ms: i64, job: Job) {
        self.due.push(Reverse(Due { at_ms, number: self.next_number, job }));
        self.next_number += 1;
    }
}

/// However long nothing is due, the clock is looked at so often: it may be set.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Starts evaluating rules.
///
/// # Errors
/// If metrics of our names are registered already, or there are no threads.
pub fn start(settings: &Settings, deps: Deps) -> Result<Handle, StartError> {
    let thread_count = deps.engine.settings().slots(Class::Alert);
    let shared = Arc::new(Shared {
        env: Env {
            engine: deps.engine,
            querier: deps.querier,
            appender: deps.appender,
            tenant: deps.tenant,
            clock: deps.clock,
            sink: deps.sink,
            metrics: Metrics::register(&deps.registry)?,
            timing: deps.timing,
            cancel: Cancel::never(),
            helpers: Helpers::new(thread_count - 1),
            is_rehearsal: false,
        },
        plan: Mutex::default(),
        changed: Condvar::new(),
    });
    let handle = Handle { shared: Arc::clone(&shared), threads: Arc::default() };
    handle.reload(settings)?;
    for _ in 0..thread_count {
        let shared = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("rules".to_owned()).spawn(move || shared.work());
        handle.threads.lock().push(thread?);
    }
    Ok(handle)
}

impl Handle {
    /// Goes on with other settings. Groups that are unchanged do not notice; changed ones go on with the alerts and series of those rules
    /// that stay. May wait for the evaluation of a rule to end.
    ///
    /// # Errors
    /// If a rule was not checked and is not sound; nothing has changed then.
    pub fn reload(&self, settings: &Settings) -> Result<(), StartError> {
        let has_started = self.shared.plan.lock().has_started;
        let mut wanted: BTreeMap<GroupId, Arc<Group>> = BTreeMap::new();
        for (file, content) in &settings.files {
            for spec in &content.groups {
                let group = Group::new(file, spec, &settings.defaults, !has_started);
                let group = group.map_err(|fault| StartError::Rule { path: file.into(), fault })?;
                wanted.insert((file.clone(), spec.name.clone()), Arc::new(group));
            }
        }
        self.shared.replace(wanted, settings.defaults.clone());
        Ok(())
    }

    /// Ends all evaluations. Series and alerts stay as they are: a server that comes back goes on where it was.
    pub fn stop(&self) {
        self.shared.env.cancel.cancel();
        self.shared.plan.lock().is_stopping = true;
        self.shared.changed.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread that evaluates rules panicked");
            }
        }
    }

    /// What is evaluated, for those who show it.
    pub fn rules(&self) -> Arc<dyn RulesView> {
        Arc::new(self.clone())
    }
}

impl RulesView for Handle {
    fn groups(&self, tenant: &TenantId) -> Vec<Arc<Group>> {
        if *tenant != self.shared.env.tenant {
            return Vec::new();
        }
        self.shared.plan.lock().groups.values().map(Arc::clone).collect()
    }

    fn defaults(&self) -> Defaults {
        self.shared.plan.lock().defaults.clone()
    }

    fn timing(&self) -> Timing {
        self.shared.env.timing
    }
}

impl Shared {
    /// Makes the groups be those that are wanted.
    fn replace(&self, wanted: BTreeMap<GroupId, Arc<Group>>, defaults: Defaults) {
        let mut plan = self.plan.lock();
        plan.defaults = defaults;
        let mut before = std::mem::take(&mut plan.groups);
        let mut replaced = Vec::new();
        for (id, group) in wanted {
            let old = before.remove(&id);
            match old {
                Some(old) if old.is_same(&group) => {
                    plan.groups.insert(id, old);
                }
                old => {
                    plan.groups.insert(id, Arc::clone(&group));
                    replaced.push((old, group));
                }
            }
        }
        plan.has_started = true;
        let gone: Vec<Arc<Group>> = before.into_values().collect();
        replaced.iter().filter_map(|(old, _)| old.as_ref()).chain(&gone).for_each(|group| group.retire());
        self.env.metrics.groups.set(i64::try_from(plan.groups.len()).unwrap_or(i64::MAX));
        drop(plan);
        // From here on new groups wait for running evaluations of old ones to end.
        for (old, group) in replaced {
            if let Some(old) = old {
                group.take_over(&old);
            }
            self.begin(&group);
        }
        for group in gone {
            self.end(&group);
        }
        self.changed.notify_all();
    }

    fn begin(&self, group: &Arc<Group>) {
        let (metrics, key) = (&self.env.metrics, [group.key()]);
        for counter in
            [&metrics.evaluations, &metrics.failures, &metrics.iterations, &metrics.missed, &metrics.repaired]
        {
            counter.with_label_values(&key);
        }
        metrics.rules.with_label_values(&key).set(i64::try_from(group.rules().len()).unwrap_or(i64::MAX));
        metrics.interval_seconds.with_label_values(&key).set(group.interval_ms() as f64 / 1_000.0);
        let due_ms = group.slots().first(self.env.clock.now_ms());
        self.plan.lock().add(due_ms, Job::Evaluate(Arc::clone(group)));
    }

    /// Ends what a group wrote that is gone: not at once, because the same series may come from another group now.
    fn end(&self, group: &Arc<Group>) {
        let now_ms = self.env.clock.now_ms();
        let series = group.give_up_series();
        self.env.metrics.forget(group.key());
        if !series.is_empty() {
            let time_ms = now_ms - group.query_offset_ms();
            self.plan.lock().add(now_ms + 2 * group.interval_ms(), Job::End { series, time_ms });
        }
    }

    /// The life of a thread.
    fn work(&self) {
        let mut plan = self.plan.lock();
        while !plan.is_stopping {
            let now_ms = self.env.clock.now_ms();
            let first_ms = plan.due.peek().map(|Reverse(due)| due.at_ms);
            match first_ms {
                Some(at_ms) if at_ms <= now_ms => {
                    let Some(Reverse(due)) = plan.due.pop() else { continue };
                    // Somebody must look after what comes next.
                    self.changed.notify_one();
                    drop(plan);
                    let again = self.run(due, now_ms);
                    plan = self.plan.lock();
                    if let Some((at_ms, job)) = again {
                        let is_first = plan.due.peek().is_none_or(|Reverse(first)| at_ms < first.at_ms);
                        plan.add(at_ms, job);
                        // Who sleeps until what was first sleeps too long.
                        if is_first {
                            self.changed.notify_all();
                        }
                    }
                }
                Some(at_ms) if !plan.has_sleeper => {
                    plan.has_sleeper = true;
                    let sleep = Duration::from_millis((at_ms - now_ms).unsigned_abs()).min(SLEEP_MAX);
                    self.changed.wait_for(&mut plan, sleep);
                    plan.has_sleeper = false;
                }
                _ => self.changed.wait(&mut plan),
            }
        }
        self.changed.notify_all();
    }

    /// Does a job that is due. When to do it again.
    fn run(&self, due: Due, now_ms: i64) -> Option<(i64, Job)> {
        match due.job {
            Job::Evaluate(group) => self.evaluate(group, due.at_ms, now_ms),
            Job::End { mut series, time_ms } => {
                let groups = Vec::from_iter(self.plan.lock().groups.values().map(Arc::clone));
                series.retain(|series| !groups.iter().any(|group| group.writes(series)));
                if let Err(error) = end_series(&self.env, &series, time_ms) {
                    tracing::warn!(%error, count = series.len(), "cannot end series of groups that are gone");
                }
                None
            }
        }
    }

    fn evaluate(&self, group: Arc<Group>, due_ms: i64, now_ms: i64) -> Option<(i64, Job)> {
        if group.is_retired() {
            return None;
        }
        let (slot_ms, missed) = group.slots().newest(due_ms, now_ms);
        let (metrics, key) = (&self.env.metrics, [group.key()]);
        metrics.iterations.with_label_values(&key).inc_by(1 + missed);
        if missed > 0 {
            metrics.missed.with_label_values(&key).inc_by(missed);
            tracing::warn!(
                group = group.key(),
                missed,
                "evaluations were left out: the one before took too long"
            );
        }
        metrics.lag_seconds.observe((now_ms - slot_ms) as f64 / 1_000.0);
        group.evaluate(&self.env, slot_ms);
        if missed > 0 {
            group.repair(&self.env, due_ms, slot_ms);
        }
        if group.is_retired() {
            return None;
        }
        Some((group.slots().next(slot_ms, self.env.clock.now_ms()), Job::Evaluate(group)))
    }
}

#[cfg(test)]
mod tests;
