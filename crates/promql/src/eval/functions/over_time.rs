//! Aggregations of one series over time.

use std::sync::Arc;

use model::{CounterResetHint, FloatHistogram};

use crate::eval::window::View;
use crate::histogram_math::{self, Accumulator, MixedSchemas};
use crate::kahan::{Mean, Sum};

use super::numbers;
use super::range::{KernelState, Out};

pub(super) fn count(view: &View<'_>, _: &mut KernelState) -> Out {
    Out::Float((view.floats.len() + view.histograms.len()) as f64)
}

pub(super) fn present(_: &View<'_>, _: &mut KernelState) -> Out {
    Out::Float(1.0)
}

pub(super) fn sum(view: &View<'_>, state: &mut KernelState) -> Out {
    if is_mixed(view, state) {
        return Out::Nothing;
    }
    if view.floats.is_empty() {
        return accumulate(view.histograms, state, Accumulator::add)
            .map(|total| total.sum())
            .map_or(Out::Nothing, |sum| Out::Histogram(Box::new(sum)));
    }
    let mut sum = Sum::default();
    for value in view.floats {
        sum.add(*value);
    }
    Out::Float(if sum.sum.is_infinite() { sum.sum } else { sum.total() })
}

pub(super) fn avg(view: &View<'_>, state: &mut KernelState) -> Out {
    if is_mixed(view, state) {
        return Out::Nothing;
    }
    let Some((first, rest)) = view.floats.split_first() else {
        return accumulate(view.histograms, state, Accumulator::add_to_mean)
            .map(Accumulator::mean)
            .map_or(Out::Nothing, |mean| Out::Histogram(Box::new(mean)));
    };
    let mut mean = Mean::of(*first);
    for value in rest {
        mean.add(*value);
    }
    Out::Float(mean.value())
}

fn is_mixed(view: &View<'_>, state: &mut KernelState) -> bool {
    let mixed = !view.floats.is_empty() && !view.histograms.is_empty();
    state.notes.mixed |= mixed;
    mixed
}

fn note_resets(histograms: &[Arc<FloatHistogram>], state: &mut KernelState) {
    let any = |hint| histograms.iter().any(|histogram| histogram.counter_reset_hint == hint);
    state.notes.reset_conflict |= any(CounterResetHint::Reset) && any(CounterResetHint::NotReset);
}

/// Adds up the histograms of a range with `add`.
fn accumulate(
    histograms: &[Arc<FloatHistogram>],
    state: &mut KernelState,
    add: fn(&mut Accumulator, &FloatHistogram) -> Result<bool, MixedSchemas>,
) -> Option<Accumulator> {
    note_resets(histograms, state);
    let (first, rest) = histograms.split_first()?;
    let mut total = Accumulator::of(first);
    for histogram in rest {
        match add(&mut total, histogram) {
            Ok(reconciled) => state.notes.reconciled_aggregation |= reconciled,
            Err(MixedSchemas) => {
                state.notes.mixed_schemas = true;
                return None;
            }
        }
    }
    Some(total)
}

/// The value that `better` prefers, and when it was; NaN only if there is nothing else.
fn extreme(view: &View<'_>, state: &mut KernelState, better: fn(f64, f64) -> bool) -> Option<(i64, f64)> {
    let (mut best_ms, mut best) = (*view.float_ms.first()?, *view.floats.first()?);
    state.notes.ignored_histograms |= !view.histograms.is_empty();
    for (timestamp_ms, value) in view.float_ms.iter().zip(view.floats) {
        if better(*value, best) || best.is_nan() {
            (best_ms, best) = (*timestamp_ms, *value);
        }
    }
    Some((best_ms, best))
}

fn float(value: Option<f64>) -> Out {
    value.map_or(Out::Nothing, Out::Float)
}

fn seconds(timestamp_ms: Option<i64>) -> Out {
    float(timestamp_ms.map(|timestamp_ms| timestamp_ms as f64 / 1000.0))
}

pub(super) fn min(view: &View<'_>, state: &mut KernelState) -> Out {
    float(extreme(view, state, |new, best| new < best).map(|(_, value)| value))
}

pub(super) fn max(view: &View<'_>, state: &mut KernelState) -> Out {
    float(extreme(view, state, |new, best| new > best).map(|(_, value)| value))
}

pub(super) fn ts_of_min(view: &View<'_>, state: &mut KernelState) -> Out {
    seconds(extreme(view, state, |new, best| new <= best).map(|(timestamp_ms, _)| timestamp_ms))
}

pub(super) fn ts_of_max(view: &View<'_>, state: &mut KernelState) -> Out {
    seconds(extreme(view, state, |new, best| new >= best).map(|(timestamp_ms, _)| timestamp_ms))
}

pub(super) fn ts_of_first(view: &View<'_>, _: &mut KernelState) -> Out {
    seconds(view.float_ms.first().into_iter().chain(view.histogram_ms.first()).min().copied())
}

pub(super) fn ts_of_last(view: &View<'_>, _: &mut KernelState) -> Out {
    seconds(view.float_ms.last().into_iter().chain(view.histogram_ms.last()).max().copied())
}

pub(super) fn first(view: &View<'_>, _: &mut KernelState) -> Out {
    match (view.floats.first(), view.histograms.first()) {
        (Some(value), None) => Out::Float(*value),
        (Some(value), Some(_)) if view.float_ms[0] < view.histogram_ms[0] => Out::Float(*value),
        (_, Some(histogram)) => Out::Histogram(Box::new(FloatHistogram::clone(histogram))),
        (None, None) => Out::Nothing,
    }
}

pub(super) fn last(view: &View<'_>, _: &mut KernelState) -> Out {
    match (view.floats.last(), view.histograms.last()) {
        (Some(value), None) => Out::Float(*value),
        (Some(value), Some(_)) if view.histogram_ms.last() < view.float_ms.last() => Out::Float(*value),
        (_, Some(histogram)) => Out::Histogram(Box::new(FloatHistogram::clone(histogram))),
        (None, None) => Out::Nothing,
    }
}

pub(super) fn stddev(view: &View<'_>, state: &mut KernelState) -> Out {
    float(variance(view, state).map(f64::sqrt))
}

pub(super) fn stdvar(view: &View<'_>, state: &mut KernelState) -> Out {
    float(variance(view, state))
}

fn variance(view: &View<'_>, state: &mut KernelState) -> Option<f64> {
    if view.floats.is_empty() {
        return None;
    }
    state.notes.ignored_histograms |= !view.histograms.is_empty();
    let (mut mean, mut squares, mut count) = (Sum::default(), Sum::default(), 0.0);
    for value in view.floats {
        count += 1.0;
        let delta = value - mean.total();
        mean.add(delta / count);
        squares.add(delta * (value - mean.total()));
    }
    Some(squares.total() / count)
}

pub(super) fn quantile(view: &View<'_>, state: &mut KernelState) -> Out {
    if view.floats.is_empty() {
        return Out::Nothing;
    }
    state.notes.ignored_histograms |= !view.histograms.is_empty();
    state.scratch.clear();
    state.scratch.extend_from_slice(view.floats);
    Out::Float(numbers::quantile(state.params[0], &mut state.scratch))
}

/// The median of distances from the median.
pub(super) fn mad(view: &View<'_>, state: &mut KernelState) -> Out {
    if view.floats.is_empty() {
        return Out::Nothing;
    }
    state.notes.ignored_histograms |= !view.histograms.is_empty();
    state.scratch.clear();
    state.scratch.extend_from_slice(view.floats);
    let median = numbers::quantile(0.5, &mut state.scratch);
    state.scratch.iter_mut().for_each(|value| *value = (*value - median).abs());
    Out::Float(numbers::quantile(0.5, &mut state.scratch))
}

pub(super) fn resets(view: &View<'_>, _: &mut KernelState) -> Out {
    count_pairs(view, |before, now| now < before, |before, now| histogram_math::detect_reset(now, before))
}

pub(super) fn changes(view: &View<'_>, _: &mut KernelState) -> Out {
    count_pairs(
        view,
        |before, now| now != before && !(now.is_nan() && before.is_nan()),
        |before, now| !histogram_math::equal(now, before),
    )
}

/// Counts neighbours that differ in kind, or in what `floats` and `histograms` look at.
fn count_pairs(
    view: &View<'_>,
    floats: fn(f64, f64) -> bool,
    histograms: fn(&FloatHistogram, &FloatHistogram) -> bool,
) -> Out {
    if view.histograms.is_empty() {
        return Out::Float(view.floats.windows(2).filter(|pair| floats(pair[0], pair[1])).count() as f64);
    }
    let (mut float_at, mut histogram_at) = (0, 0);
    let mut counted = 0_u64;
    // The sample before: whether it was a float, and where it is.
    let mut before: Option<(bool, usize)> = None;
    while float_at < view.floats.len() || histogram_at < view.histograms.len() {
        let is_float = histogram_at >= view.histograms.len()
            || (float_at < view.floats.len() && view.float_ms[float_at] < view.histogram_ms[histogram_at]);
        let at = if is_float { float_at } else { histogram_at };
        let counts = match before {
            None => false,
            Some((was_float, _)) if was_float != is_float => true,
            Some((true, last)) => floats(view.floats[last], view.floats[at]),
            Some((false, last)) => histograms(&view.histograms[last], &view.histograms[at]),
        };
        counted += u64::from(counts);
        before = Some((is_float, at));
        if is_float { float_at += 1 } else { histogram_at += 1 }
    }
    Out::Float(counted as f64)
}
