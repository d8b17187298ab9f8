//! Aggregations: `sum`, `avg`, `count`… accumulate series as they come; `topk`, `quantile`… need them all.
//!
//! Map: [`grouping`] which group a series belongs to · [`floats`] accumulators over groups × steps ·
//! [`kymo`] Kymo's own · [`histograms`] sums and means of native histograms · [`selecting`] operators that need all series.

mod floats;
mod grouping;
mod histograms;
mod kymo;
mod selecting;

use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::plan::Aggregate;

use super::column::Series;
use super::grid::Grid;
use super::{Evaluator, Sink};

use floats::Accumulator;
use grouping::Groups;

impl Evaluator<'_> {
    pub(crate) fn stream_aggregate(
        &mut self,
        aggregate: &Aggregate,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        match aggregate.op {
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
                self.stream_selection(aggregate, span, grid, sink)
            }
            AggregateOp::Kymo(op) => self.stream_kymo_aggregate(op, aggregate, span, grid, sink),
            AggregateOp::Quantile => self.stream_quantile(aggregate, grid, sink),
            AggregateOp::CountValues => self.stream_count_values(aggregate, grid, sink),
            _ => self.stream_accumulated(aggregate, grid, sink),
        }
    }

    fn stream_accumulated(
        &mut self,
        aggregate: &Aggregate,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let mut groups = Groups::new(&aggregate.grouping, aggregate.without);
        let mut accumulator = Accumulator::new(aggregate.op, grid.count);
        let ledger = self.ledger.clone();
        let mut charges = Vec::new();
        self.stream(&aggregate.input, grid, &mut |series| {
            let (group, is_new) = groups.of(&series.labels, series.drop_name);
            if is_new {
                charges.push(ledger.take(grid.count as u64, accumulator.group_bytes())?);
                accumulator.add_group();
            }
            accumulator.add(group, series);
            Ok(())
        })?;
        accumulator.report(aggregate, &mut self.annotations);
        let mut out = Series::default();
        for (group, (labels, drop_name)) in groups.into_labels().into_iter().enumerate() {
            out.column.reset(grid.count);
            accumulator.finish(group, &mut out.column, &aggregate.input.span, &mut self.annotations);
            if out.column.present.any() {
                out.labels = labels;
                out.drop_name = drop_name;
                out.charge = None;
                sink(&mut out)?;
            }
        }
        Ok(())
    }
}
