//! Kymo's aggregations that keep the series: `share`, `zscore`, `outliers_iqr`, `topk_max` and its kin.

use crate::ast::kymo::{KymoAggregate, RankBy};
use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::eval::column::{Bits, Column, Series};
use crate::eval::functions::numbers::quantile;
use crate::eval::grid::Grid;
use crate::eval::{Evaluator, Sink};
use crate::kahan::Sum;
use crate::plan::Aggregate;

use super::selecting::members;

impl Evaluator<'_> {
    pub(super) fn stream_kymo_aggregate(
        &mut self,
        op: KymoAggregate,
        aggregate: &Aggregate,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let counts = match &aggregate.param {
            Some(param) => self.series_counts(param, grid)?,
            None => Vec::new(),
        };
        let mut series = self.collect(&aggregate.input, grid)?;
        let mut ignored = false;
        for one in &mut series {
            ignored |= one.column.has_histograms() && one.column.drop_histograms();
        }
        if ignored {
            let name = AggregateOp::Kymo(op).as_str();
            self.annotations.info(span, format!("ignored histogram in {name} aggregation"));
        }
        let groups = members(aggregate, &series);
        let mut order: Vec<usize> = Vec::new();
        for members in &groups {
            self.check()?;
            match op {
                KymoAggregate::Share => per_step(&mut series, members, grid, share),
                KymoAggregate::ZScore => per_step(&mut series, members, grid, zscore),
                KymoAggregate::OutliersIqr => keep_outliers(&mut series, members, grid),
                KymoAggregate::TopK(by) => keep_ranked(&mut series, members, by, true, &counts, &mut order),
                KymoAggregate::BottomK(by) => {
                    keep_ranked(&mut series, members, by, false, &counts, &mut order);
                }
                // The plan makes a quantile of it.
                KymoAggregate::Median => {
                    return Err(QueryError::Execution("BUG: median is a quantile".to_owned()));
                }
            }
        }
        // One step alone keeps the order of rank, so that an instant query shows it.
        if order.is_empty() || grid.count > 1 {
            order = (0..series.len()).collect();
        }
        for at in order {
            if series[at].column.present.any() {
                sink(&mut series[at])?;
            }
        }
        Ok(())
    }

    /// How many series are wanted at each step.
    fn series_counts(&mut self, param: &crate::plan::Node, grid: &Grid) -> Result<Vec<usize>, QueryError> {
        let counts = self.scalars(param, grid)?;
        let mut wanted = Vec::with_capacity(grid.count);
        for step in 0..grid.count {
            let count = counts.get(step);
            if count.is_nan() {
                return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
            }
            wanted.push(count as usize);
        }
        Ok(wanted)
    }
}

/// Says of each value of a group what becomes of it; nothing if its sample goes.
type Change = fn(&[f64], &mut dyn FnMut(usize, Option<f64>));

/// Replaces the values of a group at each step; `None` takes the sample away.
fn per_step(series: &mut [Series], members: &[usize], grid: &Grid, change: Change) {
    let (mut values, mut present) = (Vec::new(), Vec::new());
    for step in 0..grid.count {
        values.clear();
        present.clear();
        present.extend(members.iter().copied().filter(|at| series[*at].column.present.get(step)));
        values.extend(present.iter().map(|at| series[*at].column.values[step]));
        change(&values, &mut |place, value| {
            let column = &mut series[present[place]].column;
            match value {
                Some(value) => column.set(step, value),
                None => column.clear(step),
            }
        });
    }
    for at in members {
        series[*at].drop_name = true;
    }
}

/// Parts of the sum. Negative values have no part.
fn share(values: &[f64], set: &mut dyn FnMut(usize, Option<f64>)) {
    let mut sum = Sum::default();
    values.iter().filter(|value| **value >= 0.0).for_each(|value| sum.add(*value));
    let sum = sum.total();
    for (at, value) in values.iter().enumerate() {
        set(at, (*value >= 0.0).then(|| value / sum));
    }
}

/// Distances from the mean in standard deviations.
fn zscore(values: &[f64], set: &mut dyn FnMut(usize, Option<f64>)) {
    let count = values.len() as f64;
    let (mut sum, mut squares) = (Sum::default(), Sum::default());
    values.iter().for_each(|value| sum.add(*value));
    let mean = sum.total() / count;
    values.iter().for_each(|value| squares.add((value - mean) * (value - mean)));
    let deviation = (squares.total() / count).sqrt();
    for (at, value) in values.iter().enumerate() {
        set(at, Some((value - mean) / deviation));
    }
}

/// Keeps series that are outside of the group's quartiles by more than 1.5 times their distance, at any step.
fn keep_outliers(series: &mut [Series], members: &[usize], grid: &Grid) {
    let mut outliers = vec![false; members.len()];
    let mut values = Vec::new();
    for step in 0..grid.count {
        let columns = members.iter().map(|at| &series[*at].column);
        values.clear();
        values.extend(columns.filter(|column| column.present.get(step)).map(|column| column.values[step]));
        if values.is_empty() {
            continue;
        }
        let (lower, upper) = (quantile(0.25, &mut values), quantile(0.75, &mut values));
        let distance = 1.5 * (upper - lower);
        let (lower, upper) = (lower - distance, upper + distance);
        for (outlier, at) in outliers.iter_mut().zip(members) {
            let column = &series[*at].column;
            let value = column.values[step];
            *outlier |= column.present.get(step) && (value < lower || value > upper);
        }
    }
    for (at, _) in members.iter().zip(outliers).filter(|(_, outlier)| !outlier) {
        empty(&mut series[*at].column);
    }
}

fn empty(column: &mut Column) {
    column.present = Bits::none(column.len());
}

/// Keeps the series that rank first, at each step as many as are wanted there; appends them to `order`.
fn keep_ranked(
    series: &mut [Series],
    members: &[usize],
    by: RankBy,
    largest: bool,
    counts: &[usize],
    order: &mut Vec<usize>,
) {
    let mut ranked: Vec<(f64, usize)> =
        members.iter().map(|at| (rank_value(&series[*at].column, by), *at)).collect();
    // What has no number comes last either way.
    ranked.sort_by(|(a, _), (b, _)| {
        let by_value = if largest { b.total_cmp(a) } else { a.total_cmp(b) };
        a.is_nan().cmp(&b.is_nan()).then(by_value)
    });
    for (rank, (_, at)) in ranked.into_iter().enumerate() {
        for (step, count) in counts.iter().enumerate() {
            if rank >= *count {
                series[at].column.clear(step);
            }
        }
        order.push(at);
    }
}

fn rank_value(column: &Column, by: RankBy) -> f64 {
    let values = column.present.ones().map(|at| column.values[at]).filter(|value| !value.is_nan());
    match by {
        RankBy::Max => values.fold(f64::NAN, f64::max),
        RankBy::Min => values.fold(f64::NAN, f64::min),
        RankBy::Last => values.last().unwrap_or(f64::NAN),
        RankBy::Avg => {
            let (mut sum, mut count) = (Sum::default(), 0.0);
            values.for_each(|value| {
                sum.add(value);
                count += 1.0;
            });
            sum.total() / count
        }
    }
}
