//! Range selectors and subqueries: the samples in front of each step, from one cursor over each series.
//!
//! A window is open on the left: it holds the samples after its start, up to and including its end.

pub(crate) mod spans;

use std::sync::Arc;

use model::{CounterResetHint, FloatHistogram, Labels, is_stale};
use storage::{SeriesSamples, SeriesSet};

use crate::ast::Extended;
use crate::error::QueryError;
use crate::histogram_math;
use crate::plan::{Window, WindowSource};

use super::Evaluator;
use super::column::{Cell, Series};
use super::grid::Grid;
use super::ledger::Ledger;
use super::select::ReadBuffer;

/// The series of a range selector or subquery.
pub(crate) enum Ranges {
    /// From storage.
    Stored { set: Box<dyn SeriesSet>, counts_only: bool },
    /// The result of a subquery on its own grid.
    Computed(Grid, Vec<Series>),
}

impl Ranges {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Stored { set, .. } => set.len(),
            Self::Computed(_, series) => series.len(),
        }
    }

    pub(crate) fn labels(&self, at: usize) -> &Labels {
        match self {
            Self::Stored { set, .. } => set.labels(at),
            Self::Computed(_, series) => &series[at].labels,
        }
    }

    /// About how many samples a series has.
    pub(crate) fn samples_guess(&self, window: &Window, grid: &Grid) -> usize {
        match self {
            Self::Stored { .. } => samples_guess(window.range_ms, grid),
            Self::Computed(inner, _) => inner.count,
        }
    }

    pub(crate) fn drop_name(&self, at: usize) -> bool {
        match self {
            Self::Stored { .. } => false,
            Self::Computed(_, series) => series[at].drop_name,
        }
    }

    /// Reads a series; staleness markers are left out.
    pub(crate) fn read(&self, at: usize, into: &mut ReadBuffer, ledger: &Ledger) -> Result<(), QueryError> {
        match self {
            Self::Stored { set, counts_only } => {
                into.read(set.as_ref(), at, ledger)?;
                drop_stale(&mut into.samples);
                if *counts_only {
                    find_resets(&mut into.samples);
                }
            }
            Self::Computed(grid, series) => {
                computed_samples(grid, &series[at], &mut into.samples);
                into.settle(ledger)?;
            }
        }
        Ok(())
    }
}

/// Says of each histogram whether the counter started again, if storage does not know.
pub(super) fn find_resets(samples: &mut SeriesSamples) {
    let histograms = &mut samples.histograms.values;
    for at in (1..histograms.len()).rev() {
        if histograms[at].counter_reset_hint != CounterResetHint::Unknown {
            continue;
        }
        let is_reset = histogram_math::detect_reset(&histograms[at], &histograms[at - 1]);
        let hint = if is_reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
        Arc::make_mut(&mut histograms[at]).counter_reset_hint = hint;
    }
}

fn computed_samples(grid: &Grid, series: &Series, into: &mut SeriesSamples) {
    into.clear();
    for at in series.column.present.ones() {
        let timestamp_ms = grid.time_ms(at);
        match series.column.get(at) {
            Some(Cell::Float(value)) => into.floats.push(timestamp_ms, value),
            Some(Cell::Histogram(histogram)) => {
                into.histograms.timestamps_ms.push(timestamp_ms);
                into.histograms.values.push(without_reset_hint(histogram));
            }
            None => {}
        }
    }
}

/// A subquery may skip or repeat samples, so what they say about the sample before them is void.
fn without_reset_hint(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Unknown | CounterResetHint::Gauge => Arc::clone(histogram),
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            let mut histogram = FloatHistogram::clone(histogram);
            histogram.counter_reset_hint = CounterResetHint::Unknown;
            Arc::new(histogram)
        }
    }
}

pub(super) fn drop_stale(samples: &mut SeriesSamples) {
    let floats = &mut samples.floats;
    if floats.values.iter().any(|value| is_stale(*value)) {
        if !floats.starts.is_empty() {
            let keep: Vec<bool> = floats.values.iter().map(|value| !is_stale(*value)).collect();
            floats.starts.retain(&keep);
        }
        let mut kept = 0;
        for at in 0..floats.values.len() {
            if !is_stale(floats.values[at]) {
                floats.values[kept] = floats.values[at];
                floats.timestamps_ms[kept] = floats.timestamps_ms[at];
                kept += 1;
            }
        }
        floats.values.truncate(kept);
        floats.timestamps_ms.truncate(kept);
    }
    let histograms = &mut samples.histograms;
    if histograms.values.iter().any(|histogram| is_stale(histogram.sum)) {
        let keep: Vec<bool> = histograms.values.iter().map(|histogram| !is_stale(histogram.sum)).collect();
        histograms.starts.retain(&keep);
        let mut keep = keep.into_iter();
        histograms.timestamps_ms.retain(|_| keep.next().unwrap_or(true));
        histograms.values.retain(|histogram| !is_stale(histogram.sum));
    }
}

/// The samples in front of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) float_ms: &'a [i64],
    pub(crate) floats: &'a [f64],
    pub(crate) histogram_ms: &'a [i64],
    pub(crate) histograms: &'a [Arc<FloatHistogram>],
    /// When the counters of the floats began, up to the last that is known.
    pub(crate) float_starts: &'a [i64],
    /// See `float_starts`.
    pub(crate) histogram_starts: &'a [i64],
    /// Position of the first float in its series.
    pub(crate) first_float: usize,
    /// The window's start, exclusive.
    pub(crate) start_ms: i64,
    /// The window's end, inclusive.
    pub(crate) end_ms: i64,
    /// The time of evaluation.
    pub(crate) eval_ms: i64,
    /// Which step.
    pub(crate) step: usize,
}

impl<'a> View<'a> {
    /// The samples from position `at` on; of the kind there is, as nobody asks where there are both.
    pub(crate) fn from(&self, at: usize) -> View<'a> {
        let (floats, histograms) = (at.min(self.floats.len()), at.min(self.histograms.len()));
        View {
            float_ms: &self.float_ms[floats..],
            floats: &self.floats[floats..],
            histogram_ms: &self.histogram_ms[histograms..],
            histograms: &self.histograms[histograms..],
            float_starts: self.float_starts.get(floats..).unwrap_or_default(),
            histogram_starts: self.histogram_starts.get(histograms..).unwrap_or_default(),
            first_float: self.first_float + floats,
            ..*self
        }
    }

    /// The window's width in seconds.
    pub(crate) fn range_s(&self) -> f64 {
        (self.end_ms - self.start_ms) as f64 / 1000.0
    }
}

/// How far around a range samples are looked at, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reach {
    before_ms: i64,
    after_ms: i64,
}

impl Reach {
    /// `anchored` ranges reach back by the lookback, `smoothed` ones in both directions.
    pub(crate) fn of(window: &Window, lookback_ms: i64) -> Self {
        match window.extended {
            None => Self::default(),
            Some(Extended::Anchored) => Self { before_ms: lookback_ms, after_ms: 0 },
            Some(Extended::Smoothed) => Self { before_ms: lookback_ms, after_ms: lookback_ms },
        }
    }
}

/// Calls `visit` for each step whose window holds samples.
pub(crate) fn for_each_view(
    samples: &SeriesSamples,
    grid: &Grid,
    window: &Window,
    reach: Reach,
    mut visit: impl FnMut(View<'_>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let (float_ms, floats) = (&samples.floats.timestamps_ms[..], &samples.floats.values[..]);
    let (histogram_ms, histograms) = (&samples.histograms.timestamps_ms[..], &samples.histograms.values[..]);
    let mut float_at = 0..0;
    let mut histogram_at = 0..0;
    for step in 0..grid.count {
        let eval_ms = grid.time_ms(step);
        let end_ms = window.shift.apply(eval_ms);
        let start_ms = end_ms.saturating_sub(window.range_ms);
        let (from_ms, to_ms) =
            (start_ms.saturating_sub(reach.before_ms), end_ms.saturating_add(reach.after_ms));
        float_at = advance(float_ms, float_at, from_ms, to_ms);
        if !histogram_ms.is_empty() {
            histogram_at = advance(histogram_ms, histogram_at, from_ms, to_ms);
        }
        if float_at.is_empty() && histogram_at.is_empty() {
            continue;
        }
        visit(View {
            float_ms: &float_ms[float_at.clone()],
            floats: &floats[float_at.clone()],
            histogram_ms: &histogram_ms[histogram_at.clone()],
            histograms: &histograms[histogram_at.clone()],
            float_starts: samples.floats.starts.slice(float_at.start, float_at.end),
            histogram_starts: samples.histograms.starts.slice(histogram_at.start, histogram_at.end),
            first_float: float_at.start,
            start_ms,
            end_ms,
            eval_ms,
            step,
        })?;
    }
    Ok(())
}

/// About how many samples a series has in front of all steps: nobody scrapes less often than once in a minute, or he has
/// few samples.
pub(crate) fn samples_guess(range_ms: i64, grid: &Grid) -> usize {
    const INTERVAL_MS: i64 = 15_000;
    let span_ms = grid.end_ms().saturating_sub(grid.start_ms).saturating_add(range_ms);
    usize::try_from(span_ms / INTERVAL_MS).unwrap_or(0) + 1
}

/// Moves a window on; times only rise from step to step.
#[inline]
fn advance(
    timestamps_ms: &[i64],
    mut at: std::ops::Range<usize>,
    start_ms: i64,
    end_ms: i64,
) -> std::ops::Range<usize> {
    while at.end < timestamps_ms.len() && timestamps_ms[at.end] <= end_ms {
        at.end += 1;
    }
    while at.start < at.end && timestamps_ms[at.start] <= start_ms {
        at.start += 1;
    }
    at
}

impl Evaluator<'_> {
    /// The series whose samples the windows of `grid` look at.
    pub(crate) fn ranges(&mut self, window: &Window, grid: &Grid) -> Result<Ranges, QueryError> {
        let reach = Reach::of(window, self.lookback_ms);
        let first_ms = window.shift.apply(grid.start_ms).saturating_sub(window.range_ms + reach.before_ms);
        let last_ms = window.shift.apply(grid.end_ms()).saturating_add(reach.after_ms);
        match &window.source {
            WindowSource::Stored(select) => {
                let set = self.select(select, grid, window.range_ms, first_ms.saturating_add(1), last_ms)?;
                Ok(Ranges::Stored { set, counts_only: select.counts_only })
            }
            WindowSource::Subquery { node, step_ms } => {
                let inner = self.subquery_grid_of(window, grid, *step_ms);
                let before = self.stats.begin();
                let series = self.collect(node, &inner);
                self.stats.end_subquery(before);
                Ok(Ranges::Computed(inner, series?))
            }
        }
    }
}

impl Evaluator<'_> {
    /// The steps at which the inside of a subquery is evaluated.
    pub(crate) fn subquery_grid_of(&self, window: &Window, grid: &Grid, step_ms: i64) -> Grid {
        let reach = Reach::of(window, self.lookback_ms);
        let first_ms = window.shift.apply(grid.start_ms).saturating_sub(window.range_ms + reach.before_ms);
        let last_ms = window.shift.apply(grid.end_ms()).saturating_add(reach.after_ms);
        subquery_grid(first_ms, last_ms, step_ms)
    }
}

/// Multiples of the step after `first_ms`, up to `last_ms`.
fn subquery_grid(first_ms: i64, last_ms: i64, step_ms: i64) -> Grid {
    let start_ms = step_ms.saturating_mul(first_ms / step_ms);
    let start_ms = if start_ms <= first_ms { start_ms.saturating_add(step_ms) } else { start_ms };
    Grid::range(start_ms, last_ms, step_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::grid::Shift;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_hold_what_a_filter_would_find(
            times in proptest::collection::btree_set(-200i64..400, 0..80),
            start_ms in -100i64..100, step_ms in 1i64..60, count in 1usize..20,
            range_ms in 1i64..150, offset_ms in -50i64..50, at_ms in proptest::option::of(0i64..200),
        ) {
            let mut samples = SeriesSamples::default();
            for time in &times {
                if time % 3 == 0 {
                    samples.histograms.timestamps_ms.push(*time);
                    samples.histograms.values.push(Arc::new(FloatHistogram::default()));
                } else {
                    samples.floats.push(*time, *time as f64);
                }
            }
            let grid = Grid { start_ms, step_ms, count };
            let shift = Shift { at_ms, offset_ms };
            let node = WindowSource::Stored(crate::plan::Select { matchers: Vec::new(), alternatives: Vec::new(), shift, hint: "", extended: None, counts_only: false });
            let window = Window { source: node, range_ms, shift, extended: None };
            let mut seen = vec![Vec::new(); count];
            for_each_view(&samples, &grid, &window, Reach::default(), |view| {
                prop_assert_views(&view);
                seen[view.step] = view.float_ms.iter().chain(view.histogram_ms).copied().collect();
                seen[view.step].sort_unstable();
                Ok(())
            }).expect("visiting does not fail");
            for (step, seen) in seen.iter().enumerate() {
                let end = at_ms.unwrap_or(start_ms + step as i64 * step_ms) - offset_ms;
                let want: Vec<i64> = times.iter().copied().filter(|t| *t > end - range_ms && *t <= end).collect();
                prop_assert_eq!(seen, &want);
            }
        }
    }

    fn prop_assert_views(view: &View<'_>) {
        assert!(!view.float_ms.is_empty() || !view.histogram_ms.is_empty());
        assert!(view.float_ms.iter().zip(view.floats).all(|(t, v)| *t as f64 == *v));
    }

    #[test]
    fn subqueries_step_on_multiples_of_their_step() {
        assert_eq!(subquery_grid(70, 100, 10), Grid { start_ms: 80, step_ms: 10, count: 3 });
        assert_eq!(subquery_grid(-75, 50, 25), Grid { start_ms: -50, step_ms: 25, count: 5 });
        assert_eq!(subquery_grid(-80, 50, 25), Grid { start_ms: -75, step_ms: 25, count: 6 });
        assert_eq!(subquery_grid(12, 18, 10).count, 0);
    }
}
