//! Accumulators over groups × steps for the aggregations that see each series once.

use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Span};
use crate::eval::column::{Bits, Column, Series};
use crate::kahan::{self, Mean};
use crate::plan::Aggregate;

use super::histograms::HistogramCells;

/// What is known of each group at each step. Cells of group `g` are `g * steps ..`.
pub(super) struct Accumulator {
    op: AggregateOp,
    steps: usize,
    /// Steps at which a group has seen a float (for `count` and `group`: any sample).
    seen: Vec<Bits>,
    state: State,
    histograms: HistogramCells,
    ignored_histograms: bool,
}

enum State {
    /// Sums and their compensations.
    Sum(Vec<f64>, Vec<f64>),
    Mean(Vec<Mean>),
    /// `min`, `max`: the value; `count`: how many; `group`: unused.
    Value(Vec<f64>),
    Spread(Vec<Spread>),
}

/// Running mean and sum of squared distances from it, as Welford has it.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Accumulator {
    pub(super) fn new(op: AggregateOp, steps: usize) -> Self {
        let state = match op {
            AggregateOp::Sum => State::Sum(Vec::new(), Vec::new()),
            AggregateOp::Avg => State::Mean(Vec::new()),
            AggregateOp::Stddev | AggregateOp::Stdvar => State::Spread(Vec::new()),
            _ => State::Value(Vec::new()),
        };
        let histograms = HistogramCells::new(op == AggregateOp::Avg);
        Self { op, steps, seen: Vec::new(), state, histograms, ignored_histograms: false }
    }

    /// Bytes one more group takes.
    pub(super) fn group_bytes(&self) -> u64 {
        let cell = match self.state {
            State::Sum(..) => 16,
            State::Mean(_) => size_of::<Mean>(),
            State::Value(_) => 8,
            State::Spread(_) => size_of::<Spread>(),
        };
        (self.steps * cell + self.steps / 8 + 64) as u64
    }

    pub(super) fn add_group(&mut self) {
        self.seen.push(Bits::none(self.steps));
        let cells = self.seen.len() * self.steps;
        match &mut self.state {
            State::Sum(sums, compensations) => {
                sums.resize(cells, 0.0);
                compensations.resize(cells, 0.0);
            }
            State::Mean(means) => means.resize(cells, Mean::of(0.0)),
            State::Value(values) => values.resize(cells, 0.0),
            State::Spread(spreads) => spreads.resize(cells, Spread::default()),
        }
    }

    /// Adds all samples of a series to a group.
    pub(super) fn add(&mut self, group: usize, series: &mut Series) {
        let column = &mut series.column;
        if column.has_histograms() && !matches!(self.op, AggregateOp::Count | AggregateOp::Group) {
            if matches!(self.op, AggregateOp::Sum | AggregateOp::Avg) {
                self.histograms.add(group * self.steps, column, series.labels.metric_name());
                column.drop_histograms();
            } else {
                self.ignored_histograms |= column.drop_histograms();
            }
        }
        let cells = group * self.steps..(group + 1) * self.steps;
        let seen = &mut self.seen[group];
        match &mut self.state {
            State::Sum(sums, compensations) => {
                add_sums(&mut sums[cells.clone()], &mut compensations[cells], column);
            }
            State::Mean(means) => add_means(&mut means[cells], column, seen),
            State::Value(values) => add_values(self.op, &mut values[cells], column, seen),
            State::Spread(spreads) => add_spreads(&mut spreads[cells], column),
        }
        seen.union(&column.present);
    }

    /// Annotations that do not depend on a group.
    pub(super) fn report(&self, aggregate: &Aggregate, annotations: &mut Annotations) {
        if self.ignored_histograms {
            annotations.info(
                &aggregate.input.span,
                format!("ignored histogram in {} aggregation", aggregate.op.as_str()),
            );
        }
        self.histograms.report(&aggregate.input.span, annotations);
    }

    /// Writes a group's results into an empty column.
    pub(super) fn finish(
        &mut self,
        group: usize,
        column: &mut Column,
        span: &Span,
        annotations: &mut Annotations,
    ) {
        let first = group * self.steps;
        for at in self.seen[group].ones() {
            let cell = first + at;
            let value = match &self.state {
                State::Sum(sums, compensations) => sums[cell] + compensations[cell],
                State::Mean(means) => means[cell].value(),
                State::Value(_) if self.op == AggregateOp::Group => 1.0,
                State::Value(values) => values[cell],
                State::Spread(spreads) => {
                    let variance = spreads[cell].squares / spreads[cell].count;
                    if self.op == AggregateOp::Stddev { variance.sqrt() } else { variance }
                }
            };
            column.set(at, value);
        }
        self.histograms.finish(first, self.steps, column, span, annotations);
    }
}

fn add_sums(sums: &mut [f64], compensations: &mut [f64], column: &Column) {
    let cells = sums.iter_mut().zip(compensations.iter_mut()).zip(&column.values);
    // Adding to zero with zero compensation is the same as beginning with the value.
    if column.present.all() {
        for ((sum, c), value) in cells {
            (*sum, *c) = kahan::add(*value, *sum, *c);
        }
        return;
    }
    for at in column.present.ones() {
        (sums[at], compensations[at]) = kahan::add(column.values[at], sums[at], compensations[at]);
    }
}

fn add_means(means: &mut [Mean], column: &Column, seen: &Bits) {
    for at in column.present.ones() {
        let value = column.values[at];
        if seen.get(at) {
            means[at].add(value);
        } else {
            means[at] = Mean::of(value);
        }
    }
}

fn add_values(op: AggregateOp, values: &mut [f64], column: &Column, seen: &Bits) {
    for at in column.present.ones() {
        let (new, old) = (column.values[at], values[at]);
        values[at] = match op {
            AggregateOp::Count => old + 1.0,
            _ if !seen.get(at) || old.is_nan() => new,
            AggregateOp::Max if old < new => new,
            AggregateOp::Min if old > new => new,
            _ => old,
        };
    }
}

fn add_spreads(spreads: &mut [Spread], column: &Column) {
    for at in column.present.ones() {
        let (spread, value) = (&mut spreads[at], column.values[at]);
        spread.count += 1.0;
        if spread.count == 1.0 {
            spread.mean = value;
            spread.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            continue;
        }
        let delta = value - spread.mean;
        spread.mean += delta / spread.count;
        spread.squares += delta * (value - spread.mean);
    }
}
