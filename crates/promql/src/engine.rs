//! Evaluates queries. THIS IS THE DOOR that `api`, `kymo` and later `rules` use; the signatures are agreed.

mod active;
mod at_once;
mod cache;
mod class;
mod explain;
mod gate;
pub(crate) mod kept;
mod price;
mod query_log;
mod result;
mod settings;
mod top;
mod when;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use model::TenantId;
use parking_lot::RwLock;
use prometheus::Registry;
use regex::Regex;
use stdx::cancel::{Cancel, Stopped};
use stdx::memory::Budget;
use storage::{Querier, QueryContext};

use crate::annotations::Annotations;
use crate::ast::{Expr, ValueType};
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::eval::grid::Grid;
use crate::eval::ledger::Ledger;
use crate::eval::merge::METADATA_LABELS;
use crate::eval::parallel::Helpers;
use crate::eval::shared::SharedResults;
use crate::eval::stats::SampleStats;
use crate::metrics::Metrics;
use crate::plan::Node;
use crate::value::{Held, QueryResult, QueryStats, Timings};

use active::{ActiveQueries, Listed, Running};
use cache::{Question, ResultCache, Share};
use gate::{Gate, Slot};
use kept::Kept;
use top::{Run, TopQueries};
use when::{check_height, plan_of};

pub use active::{ActiveQuery, AskedBy, Origin, RangeTimes};
pub use class::Class;
pub use explain::{Cost, Measured, PlanNode, Reading};
pub use query_log::{FinishedQuery, QueryLog};
pub use settings::{Limits, Settings};
pub use top::{TopBy, TopQuery};
pub use when::When;

/// What may differ from query to query.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Instead of the engine's lookback.
    pub lookback_ms: Option<i64>,
    /// Fill `QueryStats::total_queryable_samples_per_step`.
    pub per_step_stats: bool,
    /// Stops the query when its client is gone; carries the deadline of the `timeout` parameter.
    pub cancel: Cancel,
    /// Evaluate everything anew, and keep nothing of it.
    pub no_cache: bool,
    /// Tell the plan, with what each part has done, in [`QueryResult::plan`].
    pub trace: bool,
    /// What it is for.
    pub class: Class,
    /// Where it comes from.
    pub origin: Origin,
}

/// Of the memory of queries, this is kept for those of alerts, in percent.
const ALERT_MEMORY_PERCENT: u64 = 15;

/// Evaluates queries against a [`Querier`]. Shared as `Arc<Engine>`; synchronous, call it on a blocking thread.
#[derive(Debug)]
pub struct Engine {
    settings: RwLock<Arc<Settings>>,
    /// Of all queries.
    budget: Arc<Budget>,
    /// Of all but those for alerts.
    others_budget: Arc<Budget>,
    gate: Gate,
    active: ActiveQueries,
    top: TopQueries,
    helpers: Helpers,
    cache: ResultCache,
    parsed: Kept<Expr>,
    patterns: Kept<Regex>,
    metrics: Metrics,
    log: RwLock<Option<Arc<dyn QueryLog>>>,
}

impl Engine {
    /// An engine whose queries take memory from `budget`, and which keeps no results.
    pub fn new(settings: Settings, budget: Arc<Budget>) -> Self {
        let gate = Gate::new(&settings);
        let helpers = Helpers::new(settings.helper_threads_max);
        let others_bytes = budget.limit_bytes() / 100 * (100 - ALERT_MEMORY_PERCENT);
        let metrics = Metrics::new();
        Self {
            others_budget: budget.child("queries", others_bytes),
            cache: ResultCache::new(&budget, 0, metrics.clone()),
            parsed: Kept::new(None),
            patterns: Kept::new(None),
            settings: RwLock::new(Arc::new(settings)),
            budget,
            gate,
            helpers,
            active: ActiveQueries::default(),
            top: TopQueries::default(),
            metrics,
            log: RwLock::default(),
        }
    }

    /// Keeps results of range queries: at most `bytes_max`, taken from `budget`.
    #[must_use]
    pub fn with_result_cache(self, budget: &Arc<Budget>, bytes_max: u64) -> Self {
        Self { cache: ResultCache::new(budget, bytes_max, self.metrics.clone()), ..self }
    }

    /// Keeps what texts with regular expressions were made into, in memory taken from `budget`: a few megabytes at most.
    #[must_use]
    pub fn with_kept_texts(self, budget: &Arc<Budget>) -> Self {
        let kept = || Some(Arc::clone(budget));
        Self { parsed: Kept::new(kept()), patterns: Kept::new(kept()), ..self }
    }

    /// Takes new settings; queries that run go on with the old ones.
    pub fn reload(&self, settings: Settings) {
        self.gate.reload(&settings);
        *self.settings.write() = Arc::new(settings);
        // Some settings change what a query means.
        self.cache.clear();
    }

    /// From now on queries that end are told to `log`, and to no other.
    pub fn log_to(&self, log: Option<Arc<dyn QueryLog>>) {
        *self.log.write() = log;
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// The most memory that a query with these limits may hold.
    pub fn memory_bytes_max(&self, limits: &Limits) -> u64 {
        limits.memory_bytes_max.unwrap_or(self.budget.limit_bytes() / 2)
    }

    /// Queries that run or wait, the oldest first; of one tenant, or of all.
    pub fn active_queries(&self, tenant: Option<&TenantId>) -> Vec<ActiveQuery> {
        self.active.list(tenant)
    }

    /// Tells a query to stop, if it is there and of this tenant (`None`: of any). Returns what it was.
    pub fn kill(&self, tenant: Option<&TenantId>, id: u64) -> Option<ActiveQuery> {
        self.active.kill(tenant, id)
    }

    /// The texts that have cost most of those asked lately; of one tenant, or of all.
    pub fn top_queries(&self, tenant: Option<&TenantId>, by: TopBy, limit: usize) -> Vec<TopQuery> {
        self.top.list(tenant, by, limit)
    }

    /// Adds the engine's own metrics to a registry.
    ///
    /// # Errors
    /// If metrics of these names are there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.metrics.register(registry)
    }

    /// Evaluates `query` at one time.
    ///
    /// # Errors
    /// Says what is wrong with the query, or what it ran into.
    pub fn instant(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        self.evaluate(querier, tenant, query, When::Instant { time_ms }, options)
    }

    /// Evaluates `query` at `start_ms`, `start_ms + step_ms`, … up to `end_ms` (inclusive).
    ///
    /// # Errors
    /// Says what is wrong with the query, or what it ran into.
    pub fn range(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        self.evaluate(querier, tenant, query, When::Range { start_ms, end_ms, step_ms }, options)
    }

    /// Evaluates `query` at one time, or at each step of a range.
    ///
    /// # Errors
    /// Says what is wrong with the query, or what it ran into.
    pub fn evaluate(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        when: When,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let settings = self.settings();
        let listed = self.list(&settings, tenant, query, when, options)?;
        self.metrics.active.inc();
        let result = self.wait_and_run(querier, &listed, &settings, when, options);
        self.metrics.active.dec();
        self.finish(&settings, &listed, when, result)
    }

    /// Counts, times and logs a query that has ended.
    fn finish(
        &self,
        settings: &Settings,
        listed: &Listed<'_>,
        when: When,
        result: Result<QueryResult, QueryError>,
    ) -> Result<QueryResult, QueryError> {
        let result = result.map_err(|error| match error {
            QueryError::Cancelled(_) if listed.was_killed.load(Ordering::Relaxed) => {
                QueryError::Killed(listed.id)
            }
            error => error,
        });
        self.note(settings, listed, result.as_ref().err());
        self.log(listed, when, &result);
        result
    }

    /// Runs a query when it is its turn.
    fn wait_and_run(
        &self,
        querier: &dyn Querier,
        listed: &Listed<'_>,
        settings: &Settings,
        when: When,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        when.grid()?;
        let planned = plan_of(&self.parsed, &listed.query, when, settings)?;
        check_height(&planned.1, settings.limits_of(&listed.tenant))?;
        // Waiting counts: who waits too long for a slot is told so, instead of beginning late.
        let slot = self.gate.enter(listed.class, &listed.cancel, None).inspect_err(|error| {
            if matches!(error, QueryError::Overloaded { .. }) {
                self.metrics.shed.with_label_values(&[listed.class.as_str()]).inc();
            }
        })?;
        self.run(querier, listed, settings, when, options, planned, slot)
    }

    /// Lists a query until the result is dropped.
    fn list(
        &self,
        settings: &Settings,
        tenant: &TenantId,
        query: &str,
        when: When,
        options: &QueryOptions,
    ) -> Result<Listed<'_>, QueryError> {
        let arrived = Instant::now();
        // Before its text is copied anywhere.
        let limits = settings.limits_of(tenant);
        if query.len() > limits.expression_bytes_max {
            let error = QueryError::too_long(query.len(), limits.expression_bytes_max);
            self.metrics.done(when.range_times().is_some(), options.class, arrived.elapsed(), Some(&error));
            return Err(error);
        }
        let budget = if options.class == Class::Alert { &self.budget } else { &self.others_budget };
        let memory_bytes = self.memory_bytes_max(limits);
        Ok(self.active.add(Running {
            id: self.active.next_id(),
            tenant: tenant.clone(),
            query: Arc::from(query),
            class: options.class,
            origin: options.origin.clone(),
            range: when.range_times(),
            arrived,
            has_started: AtomicBool::new(false),
            was_killed: AtomicBool::new(false),
            memory: budget.child_set_by("one query", memory_bytes, "query.max_memory"),
            progress: Arc::default(),
            cancel: options.cancel.until(arrived.checked_add(limits.timeout)),
        }))
    }

    /// Remembers what a query has cost.
    fn note(&self, settings: &Settings, listed: &Listed<'_>, error: Option<&QueryError>) {
        let took = listed.arrived.elapsed();
        let is_range = listed.range.is_some();
        self.metrics.done(is_range, listed.class, took, error);
        if matches!(error, Some(QueryError::Parse(_) | QueryError::BadRequest(_))) {
            return;
        }
        let (memory_peak_bytes, samples_read) = (listed.memory.peak_bytes(), listed.progress.samples_read());
        let run = Run { class: listed.class, failed: error.is_some(), took, memory_peak_bytes, samples_read };
        self.top.note(&listed.tenant, &listed.query, is_range, run);
        if settings.slow_log_after.is_some_and(|after| took >= after) {
            self.metrics.slow.inc();
            tracing::warn!(
                query = &*listed.query,
                tenant = listed.tenant.as_str(),
                class = listed.class.as_str(),
                user = listed.origin.user,
                source = listed.origin.source,
                range = ?listed.range,
                seconds = took.as_secs_f64(),
                memory_peak_bytes,
                series = listed.progress.series_read(),
                samples = samples_read,
                error = error.map(tracing::field::display),
                "slow query"
            );
        }
    }

    fn run(
        &self,
        querier: &dyn Querier,
        listed: &Listed<'_>,
        settings: &Settings,
        when: When,
        options: &QueryOptions,
        (expr, plan): (Expr, Node),
        _slot: Slot<'_>,
    ) -> Result<QueryResult, QueryError> {
        let grid = when.grid()?;
        let query = &*listed.query;
        listed.has_started.store(true, Ordering::Relaxed);
        let exec_queue_s = listed.arrived.elapsed().as_secs_f64();
        self.metrics.queued(listed.class, listed.arrived.elapsed());
        let started = Instant::now();
        let mut evaluator = self.evaluator(querier, listed, settings, when, options)?;
        let of_scalars = evaluator.ledger.take_scratch(grid.count)?;
        let question = self.question(listed, &expr, &plan, &grid, evaluator.lookback_ms, (settings, options));
        if question.as_ref().is_none_or(|question| self.cache.get(question).is_none()) {
            price::check(&evaluator, &plan, &grid, listed.memory.limit_bytes())?;
        }
        let (evaluated, share) = match question {
            Some(question) => self.cache.answer(&mut evaluator, &plan, &grid, question)?,
            None => (evaluator.evaluate(&plan, &grid)?, Share::default()),
        };
        evaluator.shared.clear();
        let inner_eval_s = started.elapsed().as_secs_f64();
        let sorting = Instant::now();
        let (value, held) = evaluated.into_value(&grid, when.range_times().is_some(), &evaluator.ledger)?;
        let result_sort_s = sorting.elapsed().as_secs_f64();
        let samples_peak = evaluator.ledger.samples_peak();
        drop(of_scalars);
        evaluator.ledger.give_back_unused();
        let trace = evaluator.trace.take();
        let explained =
            trace.map(|trace| evaluator.explain(&plan, query, &grid, Some(&trace))).transpose()?;
        let (warnings, infos) = evaluator.annotations.into_texts(query);
        let (total, per_step) = evaluator.stats.finish();
        let eval_total_s = started.elapsed().as_secs_f64();
        let stats = QueryStats {
            timings: Timings {
                eval_total_s,
                result_sort_s,
                // Series are selected where they are needed, so that this is part of evaluation.
                query_preparation_s: (eval_total_s - inner_eval_s - result_sort_s).max(0.0),
                inner_eval_s,
                exec_queue_s,
                exec_total_s: listed.arrived.elapsed().as_secs_f64(),
            },
            total_queryable_samples: total,
            peak_samples: samples_peak,
            total_queryable_samples_per_step: per_step.map(|per_step| {
                per_step.into_iter().enumerate().map(|(at, count)| (grid.time_ms(at), count)).collect()
            }),
            memory_peak_bytes: listed.memory.peak_bytes(),
            kept_steps: share.kept_steps,
        };
        Ok(QueryResult { value, warnings, infos, stats, held: Held::new(held), plan: explained })
    }

    /// What to ask the cache, if the query may be answered from it.
    fn question(
        &self,
        listed: &Listed<'_>,
        expr: &Expr,
        plan: &Node,
        grid: &Grid,
        lookback_ms: i64,
        (settings, options): (&Settings, &QueryOptions),
    ) -> Option<Question> {
        let is_cacheable = settings.results_cache
            && self.cache.is_on()
            && listed.range.is_some()
            && grid.count > 1
            && plan.value_type == ValueType::Vector
            && !(options.no_cache || options.per_step_stats);
        if !is_cacheable {
            return None;
        }
        Question::new((&listed.tenant, &listed.query), expr, grid, lookback_ms, settings.subquery_step_ms)
    }

    /// What evaluates a query.
    fn evaluator<'a>(
        &'a self,
        querier: &'a dyn Querier,
        listed: &'a Listed<'_>,
        settings: &Settings,
        when: When,
        options: &QueryOptions,
    ) -> Result<Evaluator<'a>, QueryError> {
        let limits = settings.limits_of(&listed.tenant);
        let grid = when.grid()?;
        Ok(Evaluator {
            querier,
            tenant: &listed.tenant,
            context: QueryContext { budget: Arc::clone(&listed.memory), cancel: listed.cancel.clone() },
            series_max: limits.series_max,
            progress: Arc::clone(&listed.progress),
            lookback_ms: options.lookback_ms.unwrap_or(settings.lookback_ms),
            is_range: when.is_range(),
            uses_starts: settings.use_start_timestamps,
            drops_names_early: drops_names_early(&listed.query, settings),
            ledger: Ledger::new(&listed.memory, limits.samples_max),
            helpers: &self.helpers,
            patterns: &self.patterns,
            annotations: Annotations::default(),
            stats: SampleStats::new(grid.count, options.per_step_stats),
            shared: SharedResults::default(),
            trace: options.trace.then(Arc::default),
        })
    }
}

/// Whether names are dropped where Prometheus drops them, instead of all in the end. Who does not mention them, nor
/// chooses series by a hash of their labels, nor makes one series of two on the way (`or`, a subquery), cannot tell the
/// difference, and is spared the new label sets.
fn drops_names_early(query: &str, settings: &Settings) -> bool {
    let may_tell = || {
        let words = ["limit_ratio", "union", "default", ":"];
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        words.iter().chain(&METADATA_LABELS).any(|text| query.contains(text))
            || query.split(|c| !is_word(c)).any(|word| word.eq_ignore_ascii_case("or"))
    };
    !settings.delayed_name_removal && may_tell()
}

/// Why a query was stopped, as its error.
pub(crate) fn stopped_in(stopped: Stopped, phase: &str) -> QueryError {
    match stopped {
        Stopped::Cancelled => QueryError::Cancelled(phase.to_owned()),
        Stopped::TimedOut => QueryError::TimedOut(phase.to_owned()),
    }
}
