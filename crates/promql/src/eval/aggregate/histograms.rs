//! Sums and means of native histograms. Few queries have them, so cells exist only where a histogram was seen.

use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use model::CounterResetHint;

use crate::annotations::{Annotations, quoted};
use crate::ast::Span;
use crate::eval::column::{Cell, Column};
use crate::histogram_math::{Accumulator, MixedSchemas};

/// Cells by their number in the accumulator.
pub(super) struct HistogramCells {
    mean: bool,
    cells: HashMap<usize, HistogramCell>,
    /// Names of metrics whose histograms did not fit to the others.
    mixed: Vec<String>,
    reconciled: bool,
}

struct HistogramCell {
    /// `None` once the group has seen histograms that have no sum.
    value: Option<Accumulator>,
    reset_seen: bool,
    no_reset_seen: bool,
}

impl HistogramCells {
    /// For means, or for sums.
    pub(super) fn new(mean: bool) -> Self {
        Self { mean, cells: HashMap::new(), mixed: Vec::new(), reconciled: false }
    }

    /// Adds the histograms of a column to the cells from `first` on.
    pub(super) fn add(&mut self, first: usize, column: &Column, metric: &str) {
        for at in column.present.ones() {
            let Some(Cell::Histogram(histogram)) = column.get(at) else { continue };
            let hint = histogram.counter_reset_hint;
            let (reset, no_reset) = (hint == CounterResetHint::Reset, hint == CounterResetHint::NotReset);
            let cell = match self.cells.entry(first + at) {
                Entry::Vacant(vacant) => {
                    let value = Some(Accumulator::of(histogram));
                    vacant.insert(HistogramCell { value, reset_seen: reset, no_reset_seen: no_reset });
                    continue;
                }
                Entry::Occupied(occupied) => occupied.into_mut(),
            };
            cell.reset_seen |= reset;
            cell.no_reset_seen |= no_reset;
            let Some(value) = &mut cell.value else { continue };
            let added = if self.mean { value.add_to_mean(histogram) } else { value.add(histogram) };
            match added {
                Ok(reconciled) => self.reconciled |= reconciled,
                Err(MixedSchemas) => {
                    cell.value = None;
                    if !self.mixed.iter().any(|known| known == metric) {
                        self.mixed.push(metric.to_owned());
                    }
                }
            }
        }
    }

    pub(super) fn report(&self, span: &Span, annotations: &mut Annotations) {
        for metric in &self.mixed {
            let name = quoted(metric);
            annotations.warn(
                span,
                format!("vector contains a mix of histograms with exponential and custom buckets schemas for metric name {name}"),
            );
        }
        if self.reconciled {
            annotations.info(span, "mismatched custom buckets were reconciled during aggregation");
        }
    }

    /// Writes the cells of a group into its column; where there is a float already, there is no result.
    pub(super) fn finish(
        &mut self,
        first: usize,
        steps: usize,
        column: &mut Column,
        span: &Span,
        annotations: &mut Annotations,
    ) {
        if self.cells.is_empty() {
            return;
        }
        for at in 0..steps {
            let Some(cell) = self.cells.remove(&(first + at)) else { continue };
            if column.present.get(at) {
                annotations.warn(span, "encountered a mix of histograms and floats for aggregation");
                column.clear(at);
                continue;
            }
            let Some(value) = cell.value else { continue };
            if cell.reset_seen && cell.no_reset_seen {
                annotations.warn(span, "conflicting counter resets during histogram aggregation");
            }
            column.set_histogram(at, Arc::new(if self.mean { value.mean() } else { value.sum() }));
        }
    }
}
