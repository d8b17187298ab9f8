//! `smoothed` instant selectors: the value at each step, interpolated between the samples on both sides of it.
//!
//! Without a later sample, the earlier one stands; without an earlier one, there is nothing.

use model::CounterResetHint;
use storage::SeriesSamples;

use crate::annotations::quoted;
use crate::ast::Span;
use crate::error::QueryError;
use crate::histogram_math::MixedSchemas;
use crate::plan::Select;

use super::column::Column;
use super::functions::extended::histograms::{Step, interpolate};
use super::grid::Grid;
use super::window::drop_stale;
use super::{Evaluator, Sink};

/// What the user should know about a series.
#[derive(Debug, Default, Clone, Copy)]
struct Notes {
    mixed: bool,
    mixed_schemas: bool,
    reconciled_subtraction: bool,
    reconciled_addition: bool,
}

impl Evaluator<'_> {
    pub(crate) fn stream_smoothed(
        &mut self,
        select: &Select,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let mut noted: Vec<(String, Notes)> = Vec::new();
        self.for_each_selected(select, grid, sink, |samples, lookback_ms, series, labels| {
            drop_stale(samples);
            let mut notes = Notes::default();
            for step in 0..grid.count {
                let time_ms = select.shift.apply(grid.time_ms(step));
                smooth_step(samples, time_ms, lookback_ms, step, &mut series.column, &mut notes);
            }
            let metric = labels.metric_name();
            let any = notes.mixed
                || notes.mixed_schemas
                || notes.reconciled_subtraction
                || notes.reconciled_addition;
            if any && !noted.iter().any(|(known, _)| known == metric) {
                noted.push((metric.to_owned(), notes));
            }
        })?;
        for (metric, notes) in noted {
            let name = quoted(&metric);
            if notes.mixed {
                let text = "encountered a mix of histograms and floats for metric name";
                self.annotations.warn(span, format!("{text} {name}"));
            }
            if notes.mixed_schemas {
                let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
                self.annotations.warn(span, format!("{text} {name}"));
            }
            let reconciled =
                [(notes.reconciled_subtraction, "subtraction"), (notes.reconciled_addition, "addition")];
            for (_, operation) in reconciled.iter().filter(|(noted, _)| *noted) {
                let text = "mismatched custom buckets were reconciled during";
                self.annotations.info(span, format!("{text} {operation}"));
            }
        }
        Ok(())
    }
}

fn smooth_step(
    samples: &SeriesSamples,
    time_ms: i64,
    lookback_ms: i64,
    step: usize,
    column: &mut Column,
    notes: &mut Notes,
) {
    let (from_ms, to_ms) = (time_ms.saturating_sub(lookback_ms), time_ms.saturating_add(lookback_ms));
    let near = |times: &[i64]| {
        let (from, to) = (times.partition_point(|t| *t <= from_ms), times.partition_point(|t| *t <= to_ms));
        (from, times[..to].partition_point(|t| *t < time_ms).max(from), to)
    };
    let (floats, histograms) = (&samples.floats, &samples.histograms);
    let (first, next, end) = near(&floats.timestamps_ms);
    let (histogram_first, histogram_next, histogram_end) = near(&histograms.timestamps_ms);
    if first < end && histogram_first < histogram_end {
        notes.mixed = true;
        return;
    }
    if first < end {
        let (times, values) = (&floats.timestamps_ms, &floats.values);
        if next < end && times[next] == time_ms {
            column.set(step, values[next]);
        } else if next > first && next < end {
            let before = next - 1;
            let share = (time_ms - times[before]) as f64 / (times[next] - times[before]) as f64;
            column.set(step, values[before] + (values[next] - values[before]) * share);
        } else if next > first {
            column.set(step, values[next - 1]);
        }
        return;
    }
    let (times, values) = (&histograms.timestamps_ms, &histograms.values);
    let (first, next, end) = (histogram_first, histogram_next, histogram_end);
    if next < end && times[next] == time_ms {
        column.set_histogram(step, values[next].clone());
    } else if next > first && next < end {
        let (before, after) = ((times[next - 1], &values[next - 1]), (times[next], &values[next]));
        let is_counter = before.1.counter_reset_hint != CounterResetHint::Gauge;
        let between = interpolate(before, after, time_ms, is_counter, |step, reconciled| match step {
            Step::Subtraction => notes.reconciled_subtraction |= reconciled,
            Step::Addition => notes.reconciled_addition |= reconciled,
        });
        match between {
            Ok(histogram) => column.set_histogram(step, histogram),
            Err(MixedSchemas) => notes.mixed_schemas = true,
        }
    } else if next > first {
        column.set_histogram(step, values[next - 1].clone());
    }
}
