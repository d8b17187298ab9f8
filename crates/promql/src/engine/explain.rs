//! The plan of a query as people see it: a tree with what each part will cost, or has cost.

use storage::{Estimate, SelectHints, SelectRequest};

use crate::ast::{AggregateOp, Extended};
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::eval::column::Series;
use crate::eval::grid::Grid;
use crate::eval::trace::Trace;
use crate::plan::{Aggregate, Kind, Node, Window, WindowSource};

pub use crate::eval::trace::{Measured, Reading};

/// A part of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanNode {
    /// What it does: `sum by (job)`, `rate`, `select`, `+`.
    pub operator: String,
    /// Its text in the query.
    pub text: String,
    /// Whether it is evaluated once instead of at each step.
    pub is_fixed: bool,
    /// Whether equal parts stand elsewhere in the query, so that one of them is evaluated for all.
    pub is_shared: bool,
    /// Of a selector: what the index says it will find.
    pub estimate: Option<Estimate>,
    /// What it did, if it was traced and evaluated.
    pub measured: Option<Measured>,
    /// Of a selector: what it read.
    pub reading: Option<Reading>,
    /// The parts it works on.
    pub children: Vec<PlanNode>,
}

/// What a query will cost, estimated from the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Series of all selectors.
    pub series_count: u64,
    /// Samples of all selectors, each counted once, however many steps look at it.
    pub sample_count: u64,
    /// Steps.
    pub step_count: u64,
    /// Memory it must hold at a time, at least: of series that no aggregation folds.
    pub memory_bytes: u64,
}

/// What a series that is held costs beside its steps.
const SERIES_BYTES: u64 = size_of::<Series>() as u64 + 100;
/// What a step of a series that is held costs.
const STEP_BYTES: u64 = 9;

/// Where a node stands, for its cost.
#[derive(Debug, Clone, Copy)]
struct Place {
    grid: Grid,
    /// Whether its series are held, or folded one by one.
    is_held: bool,
}

impl Evaluator<'_> {
    /// What a plan will cost.
    ///
    /// # Errors
    /// As storage says.
    pub(super) fn cost(&self, plan: &Node, grid: &Grid) -> Result<Cost, QueryError> {
        let mut cost = Cost { step_count: grid.count as u64, ..Cost::default() };
        self.add_cost(plan, Place { grid: *grid, is_held: true }, &mut cost)?;
        Ok(cost)
    }

    fn add_cost(&self, node: &Node, place: Place, cost: &mut Cost) -> Result<(), QueryError> {
        if let Some(estimate) = self.estimate(node, &place.grid)? {
            cost.series_count = cost.series_count.saturating_add(estimate.series_count);
            cost.sample_count = cost.sample_count.saturating_add(estimate.sample_count);
            if place.is_held {
                let steps = if node.fixed { 1 } else { place.grid.count as u64 };
                let each = SERIES_BYTES.saturating_add(steps.saturating_mul(STEP_BYTES));
                cost.memory_bytes =
                    cost.memory_bytes.saturating_add(estimate.series_count.saturating_mul(each));
            }
        }
        let inside = self.inside(node, place);
        node.children().into_iter().try_for_each(|child| self.add_cost(child, inside, cost))
    }

    /// Where the parts of a node stand.
    fn inside(&self, node: &Node, place: Place) -> Place {
        match &node.kind {
            Kind::Aggregate(aggregate) => Place { is_held: place.is_held && !folds(aggregate), ..place },
            Kind::Window(window) => match window.source {
                WindowSource::Subquery { step_ms, .. } => {
                    Place { grid: self.subquery_grid_of(window, &place.grid, step_ms), is_held: true }
                }
                WindowSource::Stored(_) => place,
            },
            _ => place,
        }
    }

    /// What the index says about a selector; `None` if the node is none.
    fn estimate(&self, node: &Node, grid: &Grid) -> Result<Option<Estimate>, QueryError> {
        let (select, range_ms) = match &node.kind {
            Kind::Select(select) => (select, self.lookback_ms - 1),
            Kind::Window(Window { source: WindowSource::Stored(select), range_ms, .. }) => {
                (select, *range_ms - 1)
            }
            _ => return Ok(None),
        };
        if grid.count == 0 {
            return Ok(Some(Estimate::default()));
        }
        let start_ms = select.shift.apply(grid.start_ms).saturating_sub(range_ms);
        let end_ms = select.shift.apply(grid.end_ms());
        let mut sum = Estimate::default();
        for matchers in std::iter::once(&select.matchers).chain(&select.alternatives) {
            let request = SelectRequest { matchers, start_ms, end_ms, hints: SelectHints::default() };
            let found = self.querier.estimate(self.tenant, &request, &self.context);
            let found = found.map_err(crate::eval::storage_error)?;
            sum.series_count = sum.series_count.saturating_add(found.series_count);
            sum.sample_count = sum.sample_count.saturating_add(found.sample_count);
        }
        Ok(Some(sum))
    }

    /// The plan as people see it, with what was measured if it was.
    ///
    /// # Errors
    /// As storage says.
    pub(super) fn explain(
        &self,
        plan: &Node,
        query: &str,
        grid: &Grid,
        trace: Option<&Trace>,
    ) -> Result<PlanNode, QueryError> {
        self.explain_node(plan, query, Place { grid: *grid, is_held: true }, trace)
    }

    fn explain_node(
        &self,
        node: &Node,
        query: &str,
        place: Place,
        trace: Option<&Trace>,
    ) -> Result<PlanNode, QueryError> {
        let inside = self.inside(node, place);
        let children = node.children().into_iter();
        Ok(PlanNode {
            operator: operator(node),
            text: query.get(node.span.clone()).unwrap_or_default().to_owned(),
            is_fixed: node.fixed,
            is_shared: node.shared.get().is_some(),
            estimate: self.estimate(node, &place.grid)?,
            measured: trace.and_then(|trace| trace.of(node)),
            reading: trace.zip(node.selector()).and_then(|(trace, select)| trace.reading(select)),
            children: children
                .map(|child| self.explain_node(child, query, inside, trace))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Whether an aggregation takes series one by one and holds only its groups.
fn folds(aggregate: &Aggregate) -> bool {
    use AggregateOp::{Avg, Count, Group, Max, Min, Stddev, Stdvar, Sum};
    matches!(aggregate.op, Sum | Avg | Count | Min | Max | Group | Stddev | Stdvar)
}

fn operator(node: &Node) -> String {
    let extended = |extended: Option<Extended>| match extended {
        None => "",
        Some(Extended::Anchored) => " anchored",
        Some(Extended::Smoothed) => " smoothed",
    };
    match &node.kind {
        Kind::Number(_) => "number".to_owned(),
        Kind::Text(_) => "string".to_owned(),
        Kind::Select(select) => format!("select{}", extended(select.extended)),
        Kind::Window(window) => {
            let range = model::time::format_duration_ms(window.range_ms);
            match window.source {
                WindowSource::Stored(_) => format!("select range {range}{}", extended(window.extended)),
                WindowSource::Subquery { step_ms, .. } => {
                    format!("subquery {range} every {}", model::time::format_duration_ms(step_ms))
                }
            }
        }
        Kind::Negate(_) => "-".to_owned(),
        Kind::Binary(binary) => binary.op.as_str().to_owned(),
        Kind::Aggregate(aggregate) => {
            let labels = aggregate.grouping.join(", ");
            match (aggregate.without, aggregate.grouping.is_empty()) {
                (true, _) => format!("{} without ({labels})", aggregate.op.as_str()),
                (false, true) => aggregate.op.as_str().to_owned(),
                (false, false) => format!("{} by ({labels})", aggregate.op.as_str()),
            }
        }
        Kind::Call(call) => call.name.to_owned(),
    }
}
