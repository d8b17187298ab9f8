//! Aggregations that need all series of a group at once: those that select some of them (`topk`, `bottomk`,
//! `limitk`, `limit_ratio`), `quantile` and `count_values`.

use model::{Labels, LabelsBuilder};
use xxhash_rust::xxh64::xxh64;

use crate::annotations::general;
use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::eval::column::{Bits, Cell, Column, Series};
use crate::eval::functions::numbers;
use crate::eval::grid::Grid;
use crate::eval::{Evaluator, Scalars, Sink};
use crate::plan::{Aggregate, text_of};

use super::grouping::Groups;

impl Evaluator<'_> {
    fn param(&mut self, aggregate: &Aggregate, grid: &Grid) -> Result<Scalars, QueryError> {
        match &aggregate.param {
            Some(param) => self.scalars(param, grid),
            None => Ok(Scalars::Constant(f64::NAN)),
        }
    }

    /// `topk`, `bottomk`, `limitk`, `limit_ratio`: some of the series as they are.
    pub(super) fn stream_selection(
        &mut self,
        aggregate: &Aggregate,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let param = self.param(aggregate, grid)?;
        let mut series = self.collect(&aggregate.input, grid)?;
        if !self.check_selection_param(aggregate, &param, grid)? {
            return Ok(());
        }
        let members = members(aggregate, &series);
        if matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK) {
            let mut ignored = false;
            for one in &mut series {
                ignored |= one.column.has_histograms() && one.column.drop_histograms();
            }
            if ignored {
                self.annotations
                    .info(span, format!("ignored histogram in {} aggregation", aggregate.op.as_str()));
            }
        }
        let mut masks: Vec<Bits> = series.iter().map(|_| Bits::none(grid.count)).collect();
        let mut order = Vec::new();
        let mut picked = Vec::new();
        for step in 0..grid.count {
            self.check()?;
            let param = param.get(step);
            for members in &members {
                select(aggregate.op, param, members, &series, step, &mut picked);
                picked.iter().for_each(|at| masks[*at].set(step));
                order.append(&mut picked);
            }
        }
        // One step alone keeps the order of rank, so that an instant query shows it.
        if grid.count > 1 {
            order = (0..series.len()).collect();
        }
        for at in order {
            series[at].column.present.intersect(&masks[at]);
            if series[at].column.present.any() {
                sink(&mut series[at])?;
            }
        }
        Ok(())
    }

    /// Whether there is anything to select.
    fn check_selection_param(
        &mut self,
        aggregate: &Aggregate,
        param: &Scalars,
        grid: &Grid,
    ) -> Result<bool, QueryError> {
        let (min, max, any_nan) = extremes(param, grid);
        if aggregate.op == AggregateOp::LimitRatio {
            if !any_nan && max == 0.0 && min == 0.0 {
                return Ok(false);
            }
            if any_nan {
                return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
            }
            let span = aggregate.param.as_ref().map_or(0..0, |param| param.span.clone());
            for (value, cap, beyond) in [(max, "1", max > 1.0), (min, "-1", min < -1.0)] {
                if beyond {
                    let got = general(value);
                    let text = format!("ratio value should be between -1 and 1, got {got}, capping to {cap}");
                    self.annotations.warn(&span, text);
                }
            }
            return Ok(true);
        }
        if max < 1.0 && !any_nan {
            return Ok(false);
        }
        if any_nan {
            return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
        }
        if min <= i64::MIN as f64 {
            return Err(QueryError::Execution(format!("Scalar value {} underflows int64", general(min))));
        }
        if max >= i64::MAX as f64 {
            return Err(QueryError::Execution(format!("Scalar value {} overflows int64", general(max))));
        }
        Ok(true)
    }

    pub(super) fn stream_quantile(
        &mut self,
        aggregate: &Aggregate,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let param = self.param(aggregate, grid)?;
        let (min, max, any_nan) = extremes(&param, grid);
        let span = aggregate.param.as_ref().map_or(0..0, |param| param.span.clone());
        for (q, wrong) in [(f64::NAN, any_nan), (max, max > 1.0), (min, min < 0.0)] {
            if wrong {
                self.annotations.warn(&span, numbers::invalid_quantile(q));
            }
        }
        let mut series = self.collect(&aggregate.input, grid)?;
        let mut ignored = false;
        for one in &mut series {
            ignored |= one.column.has_histograms() && one.column.drop_histograms();
        }
        if ignored {
            self.annotations.info(&aggregate.input.span, "ignored histogram in quantile aggregation");
        }
        let mut groups = Groups::new(&aggregate.grouping, aggregate.without);
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (at, one) in series.iter().enumerate() {
            let (group, _) = groups.of(&one.labels, one.drop_name);
            members.resize(groups.len(), Vec::new());
            members[group].push(at);
        }
        let mut out = Series::default();
        let mut values = Vec::new();
        for ((labels, drop_name), members) in groups.into_labels().into_iter().zip(members) {
            self.check()?;
            out = Series { labels, drop_name, column: std::mem::take(&mut out.column), charge: None };
            out.column.reset(grid.count);
            for step in 0..grid.count {
                let present =
                    members.iter().map(|at| &series[*at].column).filter(|column| column.present.get(step));
                values.clear();
                values.extend(present.map(|column| column.values[step]));
                if !values.is_empty() {
                    out.column.set(step, numbers::quantile(param.get(step), &mut values));
                }
            }
            if out.column.present.any() {
                sink(&mut out)?;
            }
        }
        Ok(())
    }

    pub(super) fn stream_count_values(
        &mut self,
        aggregate: &Aggregate,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let label = aggregate.param.as_ref().map(text_of).unwrap_or_default();
        if label.is_empty() {
            return Err(QueryError::Execution("invalid label name \"\"".to_owned()));
        }
        let mut grouping = aggregate.grouping.clone();
        if !aggregate.without {
            grouping.push(label.to_string());
            grouping.sort_unstable();
            grouping.dedup();
        }
        let mut groups = Groups::new(&grouping, aggregate.without);
        let mut columns: Vec<Column> = Vec::new();
        let mut builder = LabelsBuilder::new();
        let ledger = self.ledger.clone();
        let mut charges = Vec::new();
        self.stream(&aggregate.input, grid, &mut |series| {
            // A series rarely changes its value: the group of the last one is most often that of the next.
            let mut last: Option<(u64, usize)> = None;
            for at in series.column.present.ones() {
                let known = last.filter(|(bits, _)| {
                    !series.column.has_histograms() && *bits == series.column.values[at].to_bits()
                });
                let group = if let Some((_, group)) = known {
                    group
                } else {
                    let labels = with_value(&mut builder, &series.labels, &label, &series.column, at);
                    let (group, is_new) = groups.of(&labels, false);
                    if is_new {
                        charges.push(ledger.take_column(grid.count)?);
                        columns.push(Column::empty(grid.count));
                    }
                    group
                };
                last = Some((series.column.values[at].to_bits(), group));
                let count = if columns[group].present.get(at) { columns[group].values[at] } else { 0.0 };
                columns[group].set(at, count + 1.0);
            }
            Ok(())
        })?;
        for ((labels, _), column) in groups.into_labels().into_iter().zip(columns) {
            sink(&mut Series { labels, drop_name: false, column, charge: None })?;
        }
        Ok(())
    }
}

fn with_value(
    builder: &mut LabelsBuilder,
    labels: &Labels,
    name: &str,
    column: &Column,
    at: usize,
) -> Labels {
    builder.reset_to(labels.as_ref());
    match column.get(at) {
        Some(Cell::Histogram(histogram)) => builder.set(name, &crate::histogram_math::to_text(histogram)),
        _ => builder.set(name, &model::number::format_float(column.values[at])),
    };
    builder.build()
}

pub(super) fn members(aggregate: &Aggregate, series: &[Series]) -> Vec<Vec<usize>> {
    let mut groups = Groups::new(&aggregate.grouping, aggregate.without);
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (at, one) in series.iter().enumerate() {
        let (group, _) = groups.of(&one.labels, one.drop_name);
        members.resize(groups.len(), Vec::new());
        members[group].push(at);
    }
    members
}

/// The smallest and largest of a parameter's values, and whether one is NaN.
fn extremes(param: &Scalars, grid: &Grid) -> (f64, f64, bool) {
    let count = if matches!(param, Scalars::Constant(_)) { 1 } else { grid.count };
    let values = (0..count).map(|at| param.get(at));
    let (mut min, mut max, mut any_nan) = (f64::INFINITY, f64::NEG_INFINITY, false);
    for value in values {
        any_nan |= value.is_nan();
        min = min.min(value);
        max = max.max(value);
    }
    (min, max, any_nan)
}

/// Which members of a group are in the result at a step, in order of rank.
fn select(
    op: AggregateOp,
    param: f64,
    members: &[usize],
    series: &[Series],
    step: usize,
    picked: &mut Vec<usize>,
) {
    picked.clear();
    let present = members.iter().copied().filter(|at| series[*at].column.present.get(step));
    if op == AggregateOp::LimitRatio {
        let ratio = param.clamp(-1.0, 1.0);
        picked.extend(present.filter(|at| ratio != 0.0 && in_ratio(ratio, &series[*at].labels)));
        return;
    }
    let k = (param as i64).min(i64::try_from(series.len()).unwrap_or(i64::MAX));
    let Some(k) = usize::try_from(k).ok().filter(|k| *k > 0) else { return };
    if op == AggregateOp::LimitK {
        picked.extend(present.take(k));
        return;
    }
    let value = |at: &usize| series[*at].column.values[step];
    // NaN loses against every number, whether the largest or the smallest are wanted.
    let loses = |a: &usize, b: &usize| {
        let (a, b) = (value(a), value(b));
        if op == AggregateOp::TopK {
            a < b || (a.is_nan() && !b.is_nan())
        } else {
            a > b || (a.is_nan() && !b.is_nan())
        }
    };
    for at in present {
        if picked.len() < k {
            picked.push(at);
            sift_up(picked, loses);
        } else if loses(&picked[0], &at) {
            picked[0] = at;
            sift_down(picked, loses);
        }
    }
    picked.sort_by(|a, b| loses(a, b).cmp(&loses(b, a)));
}

/// Restores a heap, its loser first, after a push.
fn sift_up(heap: &mut [usize], loses: impl Fn(&usize, &usize) -> bool) {
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if !loses(&heap[at], &heap[parent]) {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

/// Restores a heap after its first element was replaced.
fn sift_down(heap: &mut [usize], loses: impl Fn(&usize, &usize) -> bool) {
    let mut at = 0;
    loop {
        let left = 2 * at + 1;
        if left >= heap.len() {
            return;
        }
        let right = left + 1;
        let child = if right < heap.len() && loses(&heap[right], &heap[left]) { right } else { left };
        if !loses(&heap[child], &heap[at]) {
            return;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// Whether a series is in the sample: the hash of its labels, as a share of all hashes, is below the ratio; for a
/// negative ratio, in the rest. The hash is that of Prometheus, so that both choose the same series.
fn in_ratio(ratio: f64, labels: &Labels) -> bool {
    let mut bytes = Vec::with_capacity(labels.packed().len() + 8);
    for (name, value) in labels {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(len) if len < 255 => bytes.push(len),
                _ => bytes.extend([255, text.len() as u8, (text.len() >> 8) as u8, (text.len() >> 16) as u8]),
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    let share = xxh64(&bytes, 0) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { share < ratio } else { share >= 1.0 + ratio }
}
