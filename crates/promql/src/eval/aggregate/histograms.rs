//! Sums and means of native histograms. Few queries have them, so cells exist only where a histogram was seen.

use std::sync::Arc;

use hashbrown::HashMap;

use model::{CounterResetHint, FloatHistogram};

use crate::annotations::{Annotations, quoted};
use crate::ast::Span;
use crate::eval::column::{Cell, Column};
use crate::histogram_math::{self, Combined, MixedSchemas};

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
    value: Option<FloatHistogram>,
    count: f64,
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
            let cell = self.cells.entry(first + at).or_insert_with(|| HistogramCell {
                value: None,
                count: 0.0,
                reset_seen: false,
                no_reset_seen: false,
            });
            cell.reset_seen |= histogram.counter_reset_hint == CounterResetHint::Reset;
            cell.no_reset_seen |= histogram.counter_reset_hint == CounterResetHint::NotReset;
            cell.count += 1.0;
            if cell.count == 1.0 {
                cell.value = Some(FloatHistogram::clone(histogram));
                continue;
            }
            let Some(value) = &cell.value else { continue };
            let combined = if self.mean {
                mean_step(value, histogram, cell.count)
            } else {
                histogram_math::add(value, histogram)
            };
            match combined {
                Ok(combined) => {
                    self.reconciled |= combined.reconciled;
                    cell.value = Some(combined.histogram);
                }
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
            column.set_histogram(at, Arc::new(histogram_math::compact(&value)));
        }
    }
}

/// The mean of `count` histograms from the mean of those before and the newest.
fn mean_step(mean: &FloatHistogram, newest: &FloatHistogram, count: f64) -> Result<Combined, MixedSchemas> {
    let newest = histogram_math::divide(newest, count);
    let share = histogram_math::divide(mean, count);
    let change = histogram_math::subtract(&newest, &share)?;
    let mut combined = histogram_math::add(mean, &change.histogram)?;
    combined.reconciled |= change.reconciled;
    Ok(combined)
}
