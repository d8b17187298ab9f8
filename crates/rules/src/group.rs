//! A group of rules: one evaluation of it, and what it remembers from one to the next.
//!
//! [`Group::evaluate`] is synchronous and takes the time as an argument, so that the server, unit tests of rules and backtests run the same
//! code. Map: here groups and their order · `recording`, `alerting` one rule · `write` results on their way into storage ·
//! `restore` what was pending before a restart · `repair` what recording rules missed.
//!
//! Each rule writes its own batch, so that the next one sees it; the group waits once, in the end, until all are durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::Labels;
use parking_lot::Mutex;
use storage::Durability;

use crate::env::{Env, EvaluationError, External};
use crate::file::{Fault, GroupSpec};
use crate::order;
use crate::rule::{Evaluation, Health, Rule};
use crate::schedule::Slots;

mod alerting;
mod recording;
mod repair;
mod restore;
mod write;

pub(crate) use write::end_series;

/// What groups inherit from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Time between evaluations.
    pub interval_ms: i64,
    /// How far in the past rules are evaluated.
    pub query_offset_ms: i64,
    /// Evaluations of recording rules that were missed are made up for, if they are no longer ago than this; 0: none are.
    pub repair_missed_ms: i64,
    /// What alerts say about the server they come from.
    pub external: Arc<External>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interval_ms: 60_000,
            query_offset_ms: 0,
            repair_missed_ms: 3_600_000,
            external: Arc::default(),
        }
    }
}

/// What makes a group the same as before a reload.
#[derive(Debug, Clone, PartialEq)]
struct Identity {
    file: Arc<str>,
    spec: GroupSpec,
    interval_ms: i64,
    query_offset_ms: i64,
    repair_missed_ms: i64,
    external: Arc<External>,
}

/// A group of rules.
#[derive(Debug)]
pub struct Group {
    identity: Identity,
    name: Arc<str>,
    /// `file;group`, as metrics have it.
    key: String,
    rules: Vec<Rule>,
    levels: Vec<Vec<usize>>,
    siblings: Vec<Vec<usize>>,
    slots: Slots,
    /// Held while the group is evaluated.
    memory: Mutex<Memory>,
    status: Mutex<GroupStatus>,
    /// Set when another group has taken its place, or none.
    is_retired: AtomicBool,
}

/// What a group remembers, rules aside.
#[derive(Debug, Default)]
struct Memory {
    /// Series of rules that are gone; they are ended at the next evaluation.
    stale: Vec<Labels>,
    /// After how many evaluations to look up what was before the start; `None`: that is done.
    evaluations_to_restore: Option<u32>,
    /// The slot of the first evaluation.
    first_slot_ms: Option<i64>,
}

/// What is known of a group's last evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GroupStatus {
    /// How long it took.
    pub evaluation_s: f64,
    /// When it began, by the wall clock; `None` if there was none.
    pub last_evaluation_ms: Option<i64>,
    /// The slot it was for.
    pub last_slot_ms: Option<i64>,
}

/// A result is looked for in storage after the second evaluation: at the first one, what the rules need may not have been scraped yet.
const EVALUATIONS_BEFORE_RESTORE: u32 = 2;

/// A group whose last evaluation was shorter does without helpers: to start a thread takes time, too.
const HELP_WORTH_S: f64 = 0.005;

impl Group {
    /// A group of a file. `restores`: whether alerts may have been pending before the start.
    ///
    /// # Errors
    /// If it does not come from a file that was checked, and is not sound.
    pub fn new(file: &str, spec: &GroupSpec, defaults: &Defaults, restores: bool) -> Result<Self, Fault> {
        let rules = spec.rules.iter().map(|rule| Rule::new(spec, rule, !restores));
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
        let interval_ms = spec.interval_ms.unwrap_or(defaults.interval_ms);
        let evaluations_to_restore = restores.then_some(EVALUATIONS_BEFORE_RESTORE);
        Ok(Self {
            name: Arc::from(spec.name.as_str()),
            key: format!("{file};{}", spec.name),
            levels: order::levels(&rules),
            siblings: order::siblings(&rules),
            rules,
            slots: Slots::new(file, &spec.name, interval_ms),
            memory: Mutex::new(Memory { evaluations_to_restore, ..Memory::default() }),
            status: Mutex::default(),
            is_retired: AtomicBool::new(false),
            identity: Identity {
                file: Arc::from(file),
                spec: spec.clone(),
                interval_ms,
                query_offset_ms: spec.query_offset_ms.unwrap_or(defaults.query_offset_ms),
                repair_missed_ms: defaults.repair_missed_ms,
                external: Arc::clone(&defaults.external),
            },
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it is in.
    pub fn file(&self) -> &str {
        &self.identity.file
    }

    /// Time between evaluations.
    pub fn interval_ms(&self) -> i64 {
        self.identity.interval_ms
    }

    /// How far in the past it is evaluated.
    pub fn query_offset_ms(&self) -> i64 {
        self.identity.query_offset_ms
    }

    /// What its alerts say about the server.
    pub(crate) fn external(&self) -> &External {
        &self.identity.external
    }

    /// Most series or alerts of a rule; 0 or less: no limit.
    pub fn limit(&self) -> i64 {
        self.identity.spec.limit
    }

    /// Its rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How the last evaluation went.
    pub fn status(&self) -> GroupStatus {
        *self.status.lock()
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn slots(&self) -> Slots {
        self.slots
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// From now on it is not evaluated any more; a running evaluation ends before its next rule.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Evaluates all rules at a time, milliseconds since the epoch: queries, sends alerts, writes results.
    pub fn evaluate(&self, env: &Env, time_ms: i64) {
        let mut memory = self.memory.lock();
        memory.first_slot_ms.get_or_insert(time_ms);
        let (started, started_ms) = (env.clock.monotonic(), env.clock.now_ms());
        let written: Mutex<Vec<(usize, Durability)>> = Mutex::default();
        let sample_count = AtomicUsize::new(0);
        for level in &self.levels {
            if self.is_retired() || env.cancel.check().is_err() {
                return;
            }
            self.for_each(env, level, &|at| {
                let (count, durable) = self.evaluate_rule(env, at, time_ms);
                sample_count.fetch_add(count, Ordering::Relaxed);
                written.lock().extend(durable.map(|durable| (at, durable)));
            });
        }
        self.end_stale(env, &mut memory, time_ms);
        for (at, durable) in written.into_inner() {
            if let Err(error) = durable.wait() {
                self.failed(env, at, &error.into());
                let error = self.rules[at].status.lock().last_error.clone();
                self.rules[at]
                    .evaluations
                    .lock()
                    .front_mut()
                    .into_iter()
                    .for_each(|last| last.error.clone_from(&error));
            }
        }
        let took_s = env.clock.monotonic().saturating_sub(started).as_secs_f64();
        *self.status.lock() = GroupStatus {
            evaluation_s: took_s,
            last_evaluation_ms: Some(started_ms),
            last_slot_ms: Some(time_ms),
        };
        let (metrics, key) = (&env.metrics, [self.key.as_str()]);
        let sample_count = i64::try_from(sample_count.into_inner()).unwrap_or(i64::MAX);
        metrics.samples.with_label_values(&key).set(sample_count);
        metrics.group_seconds.observe(took_s);
        metrics.last_duration_seconds.with_label_values(&key).set(took_s);
        metrics.last_evaluation_seconds.with_label_values(&key).set(started_ms as f64 / 1_000.0);
        self.restore_when_due(env, &mut memory);
    }

    fn restore_when_due(&self, env: &Env, memory: &mut Memory) {
        let Some(left) = &mut memory.evaluations_to_restore else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        memory.evaluations_to_restore = None;
        let started = env.clock.monotonic();
        self.restore(env, env.clock.now_ms());
        if let Some(first_slot_ms) = memory.first_slot_ms {
            self.repair_outage(env, first_slot_ms);
        }
        let took_s = env.clock.monotonic().saturating_sub(started).as_secs_f64();
        env.metrics.last_restore_seconds.with_label_values(&[&self.key]).set(took_s);
    }

    /// Does something for some rules, with the help of other threads if that is worth it.
    fn for_each(&self, env: &Env, rules: &[usize], work: &(dyn Fn(usize) + Sync)) {
        let is_long = self.status.lock().evaluation_s > HELP_WORTH_S;
        let helpers = env.helpers.take(if is_long { rules.len() - 1 } else { 0 });
        let next = AtomicUsize::new(0);
        let run = || {
            while let Some(at) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                work(*at);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..helpers.count {
                let helper = std::thread::Builder::new().name("rule helper".to_owned());
                if let Err(error) = helper.spawn_scoped(scope, run) {
                    tracing::warn!(%error, "no thread to help with rules; this one does all");
                }
            }
            run();
        });
    }

    /// Evaluates one rule; how many samples it yielded, and when they are safe.
    fn evaluate_rule(&self, env: &Env, at: usize, time_ms: i64) -> (usize, Option<Durability>) {
        let rule = &self.rules[at];
        let (started, started_ms) = (env.clock.monotonic(), env.clock.now_ms());
        env.metrics.evaluations.with_label_values(&[&self.key]).inc();
        let evaluate = || match rule.alerting {
            None => self.record(env, at, time_ms),
            Some(_) => self.alert(env, at, time_ms),
        };
        // A fault in evaluating one rule must not end the evaluation of all.
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(evaluate));
        let result = caught.unwrap_or(Err(EvaluationError::Panicked));
        let took_s = env.clock.monotonic().saturating_sub(started).as_secs_f64();
        env.metrics.rule_seconds.observe(took_s);
        let written = match result {
            Ok(written) => {
                let mut status = rule.status.lock();
                (status.health, status.sample_count) = (Health::Good, written.sample_count);
                status.last_error.clear();
                drop(status);
                if let Some(error) = &written.rejected {
                    self.failed(env, at, error);
                }
                (written.sample_count, Some(written.durable))
            }
            Err(error) => {
                self.failed(env, at, &error);
                (0, None)
            }
        };
        let mut status = rule.status.lock();
        (status.evaluation_s, status.last_evaluation_ms) = (took_s, Some(started_ms));
        rule.remember(Evaluation {
            at_ms: started_ms,
            took_s,
            sample_count: written.0,
            error: if status.health == Health::Bad { status.last_error.clone() } else { String::new() },
        });
        drop(status);
        written
    }

    fn failed(&self, env: &Env, at: usize, error: &EvaluationError) {
        env.metrics.failures.with_label_values(&[&self.key]).inc();
        let rule = &self.rules[at];
        if !error.is_cancelled() && !env.is_rehearsal {
            let (file, group, rule) = (self.file(), self.name(), rule.name());
            tracing::warn!(file, group, rule, at, %error, "evaluating a rule failed");
        }
        let mut status = rule.status.lock();
        (status.health, status.last_error) = (Health::Bad, error.to_string());
    }

    /// Goes on where another group was, which is retired and will not be evaluated again. Rules are the same if their names and labels
    /// are; of several such, the first is matched with the first.
    pub(crate) fn take_over(&self, before: &Self) {
        let mut theirs = before.memory.lock();
        let mut memory = self.memory.lock();
        *self.status.lock() = before.status();
        memory.stale = std::mem::take(&mut theirs.stale);
        memory.evaluations_to_restore = theirs.evaluations_to_restore;
        memory.first_slot_ms = theirs.first_slot_ms;
        let mut left: Vec<&Rule> = before.rules.iter().rev().collect();
        for rule in &self.rules {
            let same = |other: &&Rule| {
                (rule.kind(), rule.name()) == (other.kind(), other.name())
                    && rule.spec.labels == other.spec.labels
            };
            if let Some(found) = left.iter().rposition(same) {
                rule.take_over(left.remove(found));
            } else if memory.evaluations_to_restore.is_none()
                && let Some(alerting) = &rule.alerting
            {
                alerting.is_restored.store(true, Ordering::Relaxed);
            }
        }
        for gone in left {
            memory.stale.append(&mut gone.previous.lock());
        }
    }

    /// All series that it wrote last, and those that it still had to end. They are nobody's then.
    pub(crate) fn give_up_series(&self) -> Vec<Labels> {
        let mut series = std::mem::take(&mut self.memory.lock().stale);
        for rule in &self.rules {
            series.append(&mut rule.previous.lock());
        }
        series
    }

    /// Whether one of its rules wrote a series at its last evaluation.
    pub(crate) fn writes(&self, series: &Labels) -> bool {
        self.rules.iter().any(|rule| rule.previous.lock().binary_search(series).is_ok())
    }
}

#[cfg(test)]
mod compliance;
#[cfg(test)]
mod missing_tests;
#[cfg(test)]
pub(crate) mod tests;
