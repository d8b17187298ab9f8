//! Evaluates a plan: for all steps of the grid at once, series by series.
//!
//! Series are pushed from operator to operator as they come out of storage, so that what is aggregated is never
//! held; operators that need all of their input (joins, `topk`, sorting) collect it first.
//!
//! Map: [`grid`] points in time · [`column`] a series' result · [`ledger`] what a query holds · [`progress`] how far it is · [`trace`] what each part does · [`select`] instant
//! selectors · [`alternatives`] those with several sets of matchers · [`smooth`] those with `smoothed` · [`window`] range selectors and subqueries · [`aggregate`] · [`binary`] and [`join`] · [`gaps`] `default`, `if`, `ifnot` · [`functions`]
//! · [`parallel`] work split over threads · [`shared`] parts that are there more than once · [`merge`] series that end up with the same labels.

pub(crate) mod aggregate;
pub(crate) mod alternatives;
pub(crate) mod binary;
pub(crate) mod column;
pub(crate) mod functions;
pub(crate) mod gaps;
pub(crate) mod grid;
pub(crate) mod join;
pub(crate) mod ledger;
pub(crate) mod merge;
pub(crate) mod parallel;
pub(crate) mod progress;
pub(crate) mod select;
pub(crate) mod shared;
pub(crate) mod smooth;
pub(crate) mod stats;
pub(crate) mod trace;
pub(crate) mod window;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::TenantId;
use regex::Regex;
use stdx::cancel::{Cancel, Stopped};
use storage::{Querier, QueryContext};

use crate::annotations::Annotations;
use crate::ast::{Extended, ValueType};
use crate::engine::kept::Kept;
use crate::engine::stopped_in;
use crate::error::QueryError;
use crate::plan::{Kind, Node};

use column::{Bits, Column, Series};
use grid::Grid;
use ledger::{Charge, Ledger};
use parallel::{Helpers, Taken, batches_held_max};
use progress::Progress;
use shared::SharedResults;
use stats::SampleStats;
use trace::Trace;

/// Takes one series after the other. It may take the series' content or leave it; the producer fills it anew.
pub(crate) type Sink<'s> = dyn FnMut(&mut Series) -> Result<(), QueryError> + 's;

/// Where the time of a query is spent, for error texts.
const PHASE: &str = "expression evaluation";

/// Evaluates one query.
pub(crate) struct Evaluator<'a> {
    pub(crate) querier: &'a dyn Querier,
    pub(crate) tenant: &'a TenantId,
    pub(crate) context: QueryContext,
    /// The most series that all selectors together may select.
    pub(crate) series_max: u64,
    pub(crate) progress: Arc<Progress>,
    pub(crate) lookback_ms: i64,
    /// Whether the query has (or could have) more than one step; sorting has no effect then.
    pub(crate) is_range: bool,
    /// Names are dropped at once, not in the end.
    pub(crate) drops_names_early: bool,
    /// Whether start timestamps of samples count.
    pub(crate) uses_starts: bool,
    pub(crate) ledger: Ledger,
    pub(crate) helpers: &'a Helpers,
    /// Regular expressions by their patterns.
    pub(crate) patterns: &'a Kept<Regex>,
    pub(crate) annotations: Annotations,
    pub(crate) stats: SampleStats,
    pub(crate) shared: SharedResults,
    /// Where it is noted what each part does, if that was asked for.
    pub(crate) trace: Option<Arc<Trace>>,
}

/// Whether a query must stop, asked from any thread.
#[derive(Debug)]
pub(crate) struct Checker {
    cancel: Cancel,
}

impl Checker {
    /// Asked for each series, looks at the clock for one in sixteen, because that costs as much as the samples of a
    /// short one.
    ///
    /// # Errors
    /// Why the query must stop.
    #[inline]
    pub(crate) fn check_at(&self, at: usize) -> Result<(), QueryError> {
        if at.is_multiple_of(16) { check(&self.cancel) } else { Ok(()) }
    }
}

fn check(cancel: &Cancel) -> Result<(), QueryError> {
    cancel.check().map_err(|stopped| stopped_in(stopped, PHASE))
}

/// Series divided into batches for threads.
#[derive(Debug)]
pub(crate) struct Split<'a> {
    helpers: Taken<'a>,
    batch_len: usize,
    series_count: usize,
    _charge: Charge,
}

impl Split<'_> {
    pub(crate) fn helper_count(&self) -> usize {
        self.helpers.count
    }

    pub(crate) fn batch_count(&self) -> usize {
        self.series_count.div_ceil(self.batch_len)
    }

    /// The series of a batch.
    pub(crate) fn series_of(&self, batch: usize) -> Range<usize> {
        let start = batch * self.batch_len;
        start..(start + self.batch_len).min(self.series_count)
    }
}

/// A scalar at each step.
#[derive(Debug, Clone)]
pub(crate) enum Scalars {
    /// The same at all steps.
    Constant(f64),
    /// One for each step.
    Steps(Vec<f64>),
}

impl Scalars {
    /// The value at a step.
    pub(crate) fn get(&self, at: usize) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Steps(values) => values[at],
        }
    }

    /// The same function applied to all steps.
    pub(crate) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(f(value)),
            Self::Steps(mut values) => {
                values.iter_mut().for_each(|value| *value = f(*value));
                Self::Steps(values)
            }
        }
    }

    /// A function of two, applied to all steps.
    pub(crate) fn zip(self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => Self::Constant(f(a, *b)),
            (Self::Constant(a), Self::Steps(b)) => Self::Steps(b.iter().map(|b| f(a, *b)).collect()),
            (Self::Steps(mut a), b) => {
                a.iter_mut().enumerate().for_each(|(at, value)| *value = f(*value, b.get(at)));
                Self::Steps(a)
            }
        }
    }
}

impl Evaluator<'_> {
    /// Whether the query must stop.
    ///
    /// # Errors
    /// Says why it must.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        check(&self.context.cancel)
    }

    /// As [`Self::check`], for series `at` of many.
    ///
    /// # Errors
    /// As [`Self::check`].
    #[inline]
    pub(crate) fn check_at(&self, at: usize) -> Result<(), QueryError> {
        if at.is_multiple_of(16) { self.check() } else { Ok(()) }
    }

    /// What other threads ask whether the query must stop.
    pub(crate) fn checker(&self) -> Checker {
        Checker { cancel: self.context.cancel.clone() }
    }

    /// Evaluates a vector expression; each series goes to `sink` with at least one cell filled.
    ///
    /// # Errors
    /// What the query ran into.
    pub(crate) fn stream(&mut self, node: &Node, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let Some(trace) = self.trace.clone() else { return self.stream_node(node, grid, sink) };
        let started = Instant::now();
        let (mut series_count, mut sample_count, mut elsewhere) = (0, 0, Duration::ZERO);
        let result = self.stream_node(node, grid, &mut |series| {
            series_count += 1;
            sample_count += series.column.present.count_ones() as u64;
            let handed = Instant::now();
            let result = sink(series);
            elsewhere += handed.elapsed();
            result
        });
        trace.add(node, started.elapsed().saturating_sub(elsewhere), series_count, sample_count);
        result
    }

    fn stream_node(&mut self, node: &Node, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        self.check()?;
        if grid.count == 0 {
            return Ok(());
        }
        let _scratch = self.ledger.take_scratch(grid.count)?;
        if node.fixed && grid.count > 1 {
            return self.stream_fixed(node, grid, sink);
        }
        match node.shared.get() {
            Some(shared) => self.stream_shared(*shared, node, grid, sink),
            None => self.stream_settled(node, grid, sink),
        }
    }

    /// Drops names where they are to be dropped at once.
    fn stream_settled(&mut self, node: &Node, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        if self.drops_names_early && !matches!(node.kind, Kind::Select(_)) {
            return self.stream_kind(node, grid, &mut |series| {
                merge::settle_name(series);
                sink(series)
            });
        }
        self.stream_kind(node, grid, sink)
    }

    fn stream_kind(&mut self, node: &Node, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        match &node.kind {
            Kind::Select(select) if select.extended == Some(Extended::Smoothed) => {
                self.stream_smoothed(select, &node.span, grid, sink)
            }
            Kind::Select(select) => self.stream_select(select, grid, sink),
            Kind::Negate(inner) => self.stream(inner, grid, &mut |series| {
                binary::negate(&mut series.column);
                series.drop_name = true;
                sink(series)
            }),
            Kind::Binary(binary) => self.stream_binary(binary, &node.span, grid, sink),
            Kind::Aggregate(aggregate) => self.stream_aggregate(aggregate, &node.span, grid, sink),
            Kind::Call(call) => self.stream_call(call, &node.span, grid, sink),
            Kind::Number(_) | Kind::Text(_) | Kind::Window(_) => Err(not_a(ValueType::Vector, node)),
        }
    }

    /// Evaluates once and repeats the result at every step.
    fn stream_fixed(&mut self, node: &Node, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let before = self.stats.begin();
        let mut repeated = Series::default();
        let result = self.stream_node(node, &grid.first(), &mut |series| {
            repeated.labels = series.labels.clone();
            repeated.drop_name = series.drop_name;
            repeated.charge = None;
            repeated.column.reset(grid.count);
            for at in 0..grid.count {
                repeated.column.copy_cell(at, &series.column, 0);
            }
            sink(&mut repeated)
        });
        self.stats.end_fixed(before, grid.count);
        result
    }

    /// Evaluates a vector expression and keeps its series.
    ///
    /// # Errors
    /// What the query ran into.
    pub(crate) fn collect(&mut self, node: &Node, grid: &Grid) -> Result<Vec<Series>, QueryError> {
        let ledger = self.ledger.clone();
        let mut all = Vec::new();
        self.stream(node, grid, &mut |series| {
            all.push(keep(series, &ledger)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Evaluates a scalar expression.
    ///
    /// # Errors
    /// What the query ran into.
    pub(crate) fn scalars(&mut self, node: &Node, grid: &Grid) -> Result<Scalars, QueryError> {
        let Some(trace) = self.trace.clone() else { return self.scalars_of(node, grid) };
        let started = Instant::now();
        let result = self.scalars_of(node, grid);
        trace.add(node, started.elapsed(), 1, grid.count as u64);
        result
    }

    fn scalars_of(&mut self, node: &Node, grid: &Grid) -> Result<Scalars, QueryError> {
        match &node.kind {
            Kind::Number(value) => return Ok(Scalars::Constant(*value)),
            Kind::Negate(inner) => return Ok(self.scalars(inner, grid)?.map(|value| -value)),
            _ => {}
        }
        let _scratch = self.ledger.take_scratch(grid.count)?;
        if node.fixed && grid.count > 1 {
            let before = self.stats.begin();
            let result = self.scalars_of(node, &grid.first());
            self.stats.end_fixed(before, grid.count);
            return Ok(Scalars::Constant(result?.get(0)));
        }
        match &node.kind {
            Kind::Binary(binary) => {
                let lhs = self.scalars(&binary.lhs, grid)?;
                let rhs = self.scalars(&binary.rhs, grid)?;
                let op = binary.op;
                Ok(lhs.zip(&rhs, |a, b| binary::scalar(op, a, b)))
            }
            Kind::Call(call) => self.scalar_call(call, grid),
            _ => Err(not_a(ValueType::Scalar, node)),
        }
    }
}

impl<'a> Evaluator<'a> {
    /// Divides work on series among threads, and takes the memory for what they hold.
    ///
    /// # Errors
    /// If it would be more than the query may hold.
    pub(crate) fn split(
        &self,
        series_count: usize,
        grid: &Grid,
        samples: usize,
    ) -> Result<Split<'a>, QueryError> {
        let cost = grid.count.saturating_add(samples).max(1);
        // Starting a thread costs as much as some ten thousand samples.
        let helpers = self.helpers.take(series_count.saturating_mul(cost) / 50_000);
        let share = series_count.div_ceil(4 * (helpers.count + 1));
        let batch_len = (20_000 / cost).clamp(1, 256).min(share.max(1));
        let held = |helper_count: usize, batch_len: usize| {
            self.ledger.take(0, (batches_held_max(helper_count) * batch_len * (grid.count * 9 + 64)) as u64)
        };
        match held(helpers.count, batch_len) {
            Ok(charge) => Ok(Split { helpers, batch_len, series_count, _charge: charge }),
            // Slower, but with what an operator that passes on one series needs.
            Err(_) => {
                let charge = held(0, 1)?;
                Ok(Split { helpers: self.helpers.take(0), batch_len: 1, series_count, _charge: charge })
            }
        }
    }
}

/// Takes a series out of a stream, with its memory charged.
///
/// # Errors
/// If it would be more than the query may hold.
pub(crate) fn keep(series: &mut Series, ledger: &Ledger) -> Result<Series, QueryError> {
    let mut kept = std::mem::take(series);
    if kept.charge.is_none() {
        kept.charge = Some(ledger.take(kept.column.sample_count(), kept.size_bytes())?);
    }
    Ok(kept)
}

/// A series without labels, with a value at each step.
pub(crate) fn unlabelled(scalars: &Scalars, grid: &Grid) -> Series {
    let mut present = Bits::none(grid.count);
    present.fill();
    let mut column = Column::constant(0.0, present);
    for (at, value) in column.values.iter_mut().enumerate() {
        *value = scalars.get(at);
    }
    Series { column, ..Series::default() }
}

pub(crate) fn storage_error(error: storage::Error) -> QueryError {
    match error.kind() {
        storage::ErrorKind::Cancelled => stopped_in(Stopped::Cancelled, PHASE),
        storage::ErrorKind::TimedOut => stopped_in(Stopped::TimedOut, PHASE),
        _ => QueryError::Storage(error),
    }
}

/// The parser lets no such tree through.
fn not_a(wanted: ValueType, node: &Node) -> QueryError {
    let (wanted, got) = (wanted.documented(), node.value_type.documented());
    QueryError::Execution(format!("BUG: expected an expression of type {wanted}, got {got}"))
}
