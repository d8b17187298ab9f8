//! `anchored` and `smoothed` ranges of native histograms.
//!
//! The same idea as for floats: the difference of the histograms at both ends of the range, plus what was counted
//! before each reset in between.

use std::sync::Arc;

use model::{CounterResetHint, FloatHistogram};

use crate::eval::functions::range::{KernelState, Notes, Out};
use crate::eval::window::View;
use crate::histogram_math::{self, Combined, MixedSchemas};

use super::Change;

/// The change from one end of the range to the other.
pub(super) fn change(view: &View<'_>, state: &mut KernelState, kind: Change) -> Out {
    let times = view.histogram_ms;
    let mut last = times.len() - 1;
    let first = times[..last].partition_point(|t| *t <= view.start_ms).saturating_sub(1);
    if kind.smoothed {
        last = times[..last].partition_point(|t| *t < view.end_ms);
    }
    // All of the samples are on one side of the range.
    if times[last] <= view.start_ms || (kind.smoothed && times[first] > view.end_ms) {
        return Out::Nothing;
    }
    let window = Window { view, first, last, kind };
    match window.change(&mut state.notes) {
        Ok(Some(change)) => Out::Histogram(Box::new(change)),
        Ok(None) => Out::Nothing,
        Err(MixedSchemas) => {
            state.notes.mixed_schemas = true;
            Out::Nothing
        }
    }
}

/// The samples of a range, from the one at or before its start to the one at or after its end.
struct Window<'a> {
    view: &'a View<'a>,
    first: usize,
    last: usize,
    kind: Change,
}

impl Window<'_> {
    fn change(&self, notes: &mut Notes) -> Result<Option<FloatHistogram>, MixedSchemas> {
        let inside = &self.view.histograms[self.first..=self.last];
        let custom = inside[0].uses_custom_buckets();
        let is_gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
        for histogram in inside {
            if histogram.uses_custom_buckets() != custom {
                return Err(MixedSchemas);
            }
            notes.not_a_counter |= self.kind.is_counter && is_gauge(histogram);
        }
        let left = self.left(notes)?;
        let right = self.right(notes)?;
        notes.not_a_gauge |= !(self.kind.is_counter || is_gauge(&left) && is_gauge(&right));
        let mut change = note(histogram_math::subtract(&right, &left)?, &mut notes.reconciled_subtraction);
        if self.kind.is_counter
            && let Some(correction) = self.correction(&left, &right, notes)?
        {
            change = note(histogram_math::add(&change, &correction)?, &mut notes.reconciled_addition);
        }
        if self.kind.is_rate {
            change = histogram_math::divide(&change, self.view.range_s());
        }
        change.counter_reset_hint = CounterResetHint::Gauge;
        Ok(Some(histogram_math::compact(&change)))
    }

    fn left(&self, notes: &mut Notes) -> Result<Arc<FloatHistogram>, MixedSchemas> {
        let first = self.first;
        if self.kind.smoothed && self.view.histogram_ms[first] < self.view.start_ms && first < self.last {
            return self.between(first, self.view.start_ms, notes);
        }
        Ok(Arc::clone(&self.view.histograms[first]))
    }

    fn right(&self, notes: &mut Notes) -> Result<Arc<FloatHistogram>, MixedSchemas> {
        let last = self.last;
        if self.kind.smoothed && last > 0 && self.view.histogram_ms[last] > self.view.end_ms {
            return self.between(last - 1, self.view.end_ms, notes);
        }
        Ok(Arc::clone(&self.view.histograms[last]))
    }

    fn between(
        &self,
        from: usize,
        time_ms: i64,
        notes: &mut Notes,
    ) -> Result<Arc<FloatHistogram>, MixedSchemas> {
        let (times, histograms) = (self.view.histogram_ms, self.view.histograms);
        let before = (times[from], &histograms[from]);
        let after = (times[from + 1], &histograms[from + 1]);
        interpolate(before, after, time_ms, self.kind.is_counter, |step, reconciled| match step {
            Step::Subtraction => notes.reconciled_subtraction |= reconciled,
            Step::Addition => notes.reconciled_addition |= reconciled,
        })
    }

    /// What was counted before the resets between both ends.
    fn correction(
        &self,
        left: &FloatHistogram,
        right: &FloatHistogram,
        notes: &mut Notes,
    ) -> Result<Option<FloatHistogram>, MixedSchemas> {
        let (times, histograms) = (self.view.histogram_ms, self.view.histograms);
        let mut from = self.first + 1;
        let mut before = left;
        let left_is_between =
            self.kind.smoothed && times[self.first] < self.view.start_ms && from < histograms.len();
        if left_is_between && histogram_math::detect_reset(&histograms[from], &histograms[self.first]) {
            // The interpolation at the start has crossed this reset, so it is spent.
            before = &histograms[from];
            from += 1;
        }
        // The right end is the last sample or inherits what that knows of a reset: it is looked at once, as `right`.
        if from > self.last {
            return Ok(None);
        }
        let mut correction: Option<FloatHistogram> = None;
        let inner = histograms[from..self.last].iter().map(AsRef::as_ref);
        for now in inner.chain([right]) {
            if histogram_math::detect_reset(now, before) {
                correction = Some(match correction {
                    None => before.clone(),
                    Some(sum) => note(histogram_math::add(&sum, before)?, &mut notes.reconciled_addition),
                });
            }
            before = now;
        }
        Ok(correction)
    }
}

fn note(combined: Combined, reconciled: &mut bool) -> FloatHistogram {
    *reconciled |= combined.reconciled;
    combined.histogram
}

/// The parts of an interpolation in which custom bounds may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Subtraction,
    Addition,
}

/// The histogram on the line between two samples. A counter that started again in between started at zero.
///
/// # Errors
/// If one has exponential and the other custom buckets.
pub(crate) fn interpolate(
    (before_ms, before): (i64, &Arc<FloatHistogram>),
    (after_ms, after): (i64, &Arc<FloatHistogram>),
    time_ms: i64,
    is_counter: bool,
    mut reconciled: impl FnMut(Step, bool),
) -> Result<Arc<FloatHistogram>, MixedSchemas> {
    if time_ms == before_ms {
        return Ok(Arc::clone(before));
    }
    if time_ms == after_ms {
        return Ok(Arc::clone(after));
    }
    if before.uses_custom_buckets() != after.uses_custom_buckets() {
        return Err(MixedSchemas);
    }
    let share = (time_ms - before_ms) as f64 / (after_ms - before_ms) as f64;
    if is_counter && histogram_math::detect_reset(after, before) {
        return Ok(Arc::new(histogram_math::multiply(after, share)));
    }
    let difference = histogram_math::subtract(after, before)?;
    reconciled(Step::Subtraction, difference.reconciled);
    let sum = histogram_math::add(&histogram_math::multiply(&difference.histogram, share), before)?;
    reconciled(Step::Addition, sum.reconciled);
    Ok(Arc::new(sum.histogram))
}
