//! Evaluates queries. THIS IS THE DOOR that `api`, `kymo` and later `rules` use; the signatures are agreed.

mod gate;
mod result;

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::TenantId;
use prometheus::Registry;
use stdx::cancel::{Cancel, Stopped};
use stdx::memory::Budget;
use storage::{Querier, QueryContext};

use crate::annotations::Annotations;
use crate::ast::{self, ValueType};
use crate::error::{ParseError, QueryError};
use crate::eval::Evaluator;
use crate::eval::grid::Grid;
use crate::eval::ledger::Ledger;
use crate::eval::merge::METADATA_LABELS;
use crate::eval::stats::SampleStats;
use crate::metrics::Metrics;
use crate::parser;
use crate::plan::{self, Node, QueryTimes};
use crate::value::{QueryResult, QueryStats, Timings};

use gate::Gate;

/// Limits and defaults of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far an instant selector looks back for a sample. Default 5 min.
    pub lookback_ms: i64,
    /// The most samples a query may hold in memory at a time. Default 50 million, as Prometheus.
    pub samples_max: u64,
    /// Longest run of a query. Default 2 min.
    pub timeout: Duration,
    /// Default step of subqueries (Prometheus: the global evaluation interval). Default 1 min.
    pub subquery_step_ms: i64,
    /// Queries that run at the same time; others wait. Default 20.
    pub concurrent_max: usize,
    /// Prometheus' feature `promql-delayed-name-removal`: `label_join` and `by (__name__)` still see the name of a metric that
    /// a function is going to drop. Default off, as in Prometheus.
    pub delayed_name_removal: bool,
    /// Prometheus' feature `use-start-timestamps`: `rate`, `increase`, `irate` and `resets` look at when a counter began, where
    /// samples say so. Default off, as in Prometheus.
    pub use_start_timestamps: bool,
}

/// What may differ from query to query.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Instead of the engine's lookback.
    pub lookback_ms: Option<i64>,
    /// Fill `QueryStats::total_queryable_samples_per_step`.
    pub per_step_stats: bool,
    /// Stops the query when its client is gone; carries the deadline of the `timeout` parameter.
    pub cancel: Cancel,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60_000,
            samples_max: 50_000_000,
            timeout: Duration::from_secs(120),
            subquery_step_ms: 60_000,
            concurrent_max: 20,
            delayed_name_removal: false,
            use_start_timestamps: false,
        }
    }
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self { lookback_ms: None, per_step_stats: false, cancel: Cancel::never() }
    }
}

/// Evaluates queries against a [`Querier`]. Shared as `Arc<Engine>`; synchronous, call it on a blocking thread.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    budget: Arc<Budget>,
    gate: Gate,
    metrics: Metrics,
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy)]
enum When {
    Instant { time_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

impl Engine {
    /// An engine whose queries take memory from `budget`.
    pub fn new(settings: Settings, budget: Arc<Budget>) -> Self {
        let gate = Gate::new(settings.concurrent_max);
        Self { settings, budget, gate, metrics: Metrics::new() }
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
        self.execute(querier, tenant, query, When::Instant { time_ms }, options)
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
        self.execute(querier, tenant, query, When::Range { start_ms, end_ms, step_ms }, options)
    }

    /// Counts and times what [`Self::run`] does.
    fn execute(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        when: When,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let arrived = Instant::now();
        self.metrics.active.inc();
        let result = self.run(querier, tenant, query, when, options, arrived);
        self.metrics.active.dec();
        self.metrics.done(matches!(when, When::Range { .. }), arrived.elapsed(), result.as_ref().err());
        result
    }

    fn run(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        when: When,
        options: &QueryOptions,
        arrived: Instant,
    ) -> Result<QueryResult, QueryError> {
        let grid = when.grid()?;
        let plan = self.plan(query, when)?;
        // Waiting counts: who waits too long for a slot is told so, instead of beginning late.
        let deadline = arrived.checked_add(self.settings.timeout);
        let _slot = self.gate.enter(&options.cancel, deadline)?;
        let exec_queue_s = arrived.elapsed().as_secs_f64();
        self.metrics.queued(arrived.elapsed());
        let started = Instant::now();
        let ledger = Ledger::new(&self.budget, self.settings.samples_max);
        let _result_of_scalars = ledger.take_scratch(grid.count)?;
        let cancel = options.cancel.clone();
        let mut evaluator = Evaluator {
            querier,
            tenant,
            context: QueryContext { budget: Arc::clone(&self.budget), cancel },
            deadline,
            lookback_ms: options.lookback_ms.unwrap_or(self.settings.lookback_ms),
            is_range: when.is_range(),
            uses_starts: self.settings.use_start_timestamps,
            drops_names_early: self.drops_names_early(query),
            ledger,
            annotations: Annotations::default(),
            stats: SampleStats::new(grid.count, options.per_step_stats),
        };
        let evaluated = evaluator.evaluate(&plan, &grid)?;
        let inner_eval_s = started.elapsed().as_secs_f64();
        let sorting = Instant::now();
        let value = evaluated.into_value(&grid, matches!(when, When::Range { .. }))?;
        let result_sort_s = sorting.elapsed().as_secs_f64();
        let samples_peak = evaluator.ledger.samples_peak();
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
                exec_total_s: arrived.elapsed().as_secs_f64(),
            },
            total_queryable_samples: total,
            peak_samples: samples_peak,
            total_queryable_samples_per_step: per_step.map(|per_step| {
                per_step.into_iter().enumerate().map(|(at, count)| (grid.time_ms(at), count)).collect()
            }),
        };
        Ok(QueryResult { value, warnings, infos, stats })
    }

    /// Whether names are dropped where Prometheus drops them, instead of all in the end. Who does not mention them, nor
    /// chooses series by a hash of their labels, cannot tell the difference, and is spared the new label sets.
    fn drops_names_early(&self, query: &str) -> bool {
        !self.settings.delayed_name_removal
            && (query.contains("limit_ratio") || METADATA_LABELS.iter().any(|name| query.contains(name)))
    }

    fn plan(&self, query: &str, when: When) -> Result<Node, QueryError> {
        let mut expr = parser::parse(query).map_err(QueryError::Parse)?;
        let times = when.times(self.settings.subquery_step_ms);
        ast::resolve_durations(&mut expr, times.step_ms, times.end_ms - times.start_ms).map_err(|fault| {
            let at = crate::annotations::line_and_column(query, fault.span.start);
            let (line, column) = at.split_once(':').unwrap_or(("1", "1"));
            let position = |text: &str| text.parse().unwrap_or(1);
            let (line, column) = (position(line), position(column));
            QueryError::Parse(vec![ParseError { message: fault.message, span: fault.span, line, column }])
        })?;
        let plan = plan::build(&expr, &times)?;
        let fits = matches!(plan.value_type, ValueType::Scalar | ValueType::Vector);
        if matches!(when, When::Range { .. }) && !fits {
            let got = plan.value_type.documented();
            let text = format!(
                "invalid expression type \"{got}\" for range query, must be Scalar or instant Vector"
            );
            return Err(QueryError::BadRequest(text));
        }
        Ok(plan)
    }
}

impl When {
    fn grid(self) -> Result<Grid, QueryError> {
        match self {
            Self::Instant { time_ms } => Ok(Grid::instant(time_ms)),
            Self::Range { step_ms, .. } if step_ms <= 0 => Err(QueryError::BadRequest(
                "zero or negative query resolution step widths are not accepted. Try a positive integer"
                    .to_owned(),
            )),
            Self::Range { start_ms, end_ms, .. } if end_ms < start_ms => {
                Err(QueryError::BadRequest("end timestamp must not be before start time".to_owned()))
            }
            Self::Range { start_ms, end_ms, step_ms } => Ok(Grid::range(start_ms, end_ms, step_ms)),
        }
    }

    fn is_range(self) -> bool {
        matches!(self, Self::Range { start_ms, end_ms, .. } if start_ms != end_ms)
    }

    fn times(self, subquery_step_ms: i64) -> QueryTimes {
        match self {
            Self::Instant { time_ms } => {
                QueryTimes { start_ms: time_ms, end_ms: time_ms, step_ms: 0, subquery_step_ms }
            }
            Self::Range { start_ms, end_ms, step_ms } => {
                QueryTimes { start_ms, end_ms, step_ms, subquery_step_ms }
            }
        }
    }
}

/// Why a query was stopped, as its error.
pub(crate) fn stopped_in(stopped: Stopped, phase: &str) -> QueryError {
    match stopped {
        Stopped::Cancelled => QueryError::Cancelled(phase.to_owned()),
        Stopped::TimedOut => QueryError::TimedOut(phase.to_owned()),
    }
}
