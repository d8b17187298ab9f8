//! Queries that cost less than handing them to another thread and taking their result back.
//!
//! Waking a thread and being woken by it takes longer than reading a series or a hundred. So whoever must not be kept waiting, as
//! a thread that serves connections, may ask for an answer at once, and gets one only if it is known beforehand
//! to take a fraction of a millisecond: storage has the series of all selectors at hand, in memory, there is a free slot, and what the
//! plan does with so many samples is little. Everything else is evaluated as ever, on a thread that may wait.

use std::time::{Duration, Instant};

use model::TenantId;
use storage::{Estimate, Querier, SelectHints, SelectRequest};

use super::{Engine, QueryOptions, When, check_height, plan_of};
use crate::ast::AggregateOp;
use crate::error::QueryError;
use crate::eval::functions::{self, Function};
use crate::eval::grid::Grid;
use crate::plan::{Call, Kind, Node, Select, Window, WindowSource};
use crate::value::QueryResult;

/// Longer texts are not even parsed.
const TEXT_BYTES_MAX: usize = 2 << 10;
/// The most that is done at once, in cells and samples; each takes a few nanoseconds. That is as much as waking a thread costs:
/// more is done sooner by those threads, which share a query's series among them.
const WORK_MAX: u64 = 20_000;
/// What a series costs besides its samples and steps, in the same unit: its memory is rarely in a cache.
const SERIES_WORK: u64 = 500;
/// Estimates may be wrong (a histogram is one sample, too). What takes longer begins anew, on a thread that may wait.
const TIME_MAX: Duration = Duration::from_millis(10);

/// What a part of a plan does, and what it yields.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    done: u64,
    cells: u64,
}

/// Reads a plan for what it will do.
struct Foreseen<'a> {
    querier: &'a dyn Querier,
    tenant: &'a TenantId,
    grid: &'a Grid,
    lookback_ms: i64,
}

impl Engine {
    /// The answer, if it costs so little that it may be waited for anywhere; else `None`, and nothing has happened.
    /// As [`Self::instant`] and [`Self::range`] otherwise. Errors in the query's text are left to those.
    pub fn at_once(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        when: When,
        options: &QueryOptions,
    ) -> Option<Result<QueryResult, QueryError>> {
        // Logs are on disks, and a trace is of what usually happens.
        if query.len() > TEXT_BYTES_MAX || options.trace || self.log.read().is_some() {
            return None;
        }
        let settings = self.settings();
        let grid = when.grid().ok()?;
        let planned = plan_of(&self.parsed, query, when, &settings).ok()?;
        check_height(&planned.1, settings.limits_of(tenant)).ok()?;
        let lookback_ms = options.lookback_ms.unwrap_or(settings.lookback_ms);
        let work = Foreseen { querier, tenant, grid: &grid, lookback_ms }.of(&planned.1)?;
        if work.done > WORK_MAX {
            return None;
        }
        let slot = self.gate.try_enter(options.class)?;
        let until = Instant::now() + TIME_MAX;
        let bounded = QueryOptions { cancel: options.cancel.until(Some(until)), ..options.clone() };
        let listed = self.list(&settings, tenant, query, when, &bounded).ok()?;
        self.metrics.active.inc();
        let result = self.run(querier, &listed, &settings, when, &bounded, planned, slot);
        self.metrics.active.dec();
        if matches!(result, Err(QueryError::TimedOut(_))) {
            return None;
        }
        Some(self.finish(&settings, &listed, when, result))
    }
}

impl Foreseen<'_> {
    /// `None` if it cannot be foreseen, or storage would have to look.
    fn of(&self, node: &Node) -> Option<Work> {
        let inside = match &node.kind {
            Kind::Number(_) | Kind::Text(_) => return Some(Work::default()),
            Kind::Select(select) if select.extended.is_none() => {
                return self.of_series(select, self.lookback_ms - 1, 1);
            }
            Kind::Select(_) | Kind::Window(_) => return None,
            Kind::Negate(inner) => self.of(inner)?,
            Kind::Binary(binary) => self.of(&binary.lhs)?.with(self.of(&binary.rhs)?),
            Kind::Aggregate(aggregate) => match aggregate.op {
                AggregateOp::CountValues | AggregateOp::Kymo(_) => return None,
                _ => aggregate
                    .param
                    .iter()
                    .try_fold(self.of(&aggregate.input)?, |sum, param| Some(sum.with(self.of(param)?)))?,
            },
            Kind::Call(call) => self.of_call(call)?,
        };
        Some(Work { done: inside.done.saturating_add(inside.cells), cells: inside.cells })
    }

    fn of_call(&self, call: &Call) -> Option<Work> {
        match call.function {
            // They make texts, of any length, or look for other series.
            Function::LabelReplace | Function::LabelJoin | Function::Info | Function::Kymo(_) => return None,
            _ => {}
        }
        let of_arg = |arg: &Node| match &arg.kind {
            Kind::Window(Window {
                source: WindowSource::Stored(select), range_ms, extended: None, ..
            }) => {
                // Those look at each sample once, others at each window.
                let passes = if functions::is_one_pass(call.name) { 1 } else { self.grid.count as u64 };
                self.of_series(select, range_ms - 1, passes)
            }
            _ => self.of(arg),
        };
        call.args.iter().try_fold(Work::default(), |sum, arg| Some(sum.with(of_arg(arg)?)))
    }

    fn of_series(&self, select: &Select, range_ms: i64, passes: u64) -> Option<Work> {
        if !select.alternatives.is_empty() || self.grid.count == 0 {
            return None;
        }
        let request = SelectRequest {
            matchers: &select.matchers,
            start_ms: select.shift.apply(self.grid.start_ms).saturating_sub(range_ms),
            end_ms: select.shift.apply(self.grid.end_ms()),
            hints: SelectHints::default(),
        };
        let Estimate { series_count, sample_count } = self.querier.estimate_at_hand(self.tenant, &request)?;
        let cells = series_count.saturating_mul(self.grid.count as u64 + SERIES_WORK);
        Some(Work { done: sample_count.saturating_mul(passes).saturating_add(cells), cells })
    }
}

impl Work {
    fn with(self, other: Self) -> Self {
        Self { done: self.done.saturating_add(other.done), cells: self.cells.saturating_add(other.cells) }
    }
}
