//! `rate` and its kin: how fast a series changes.

use std::sync::Arc;

use model::{CounterResetHint, FloatHistogram};

use crate::eval::window::View;
use crate::histogram_math;

use super::numbers::linear_regression;
use super::range::{KernelState, Notes, Out};

/// Positions of floats that are lower than the one before: a counter started again there.
pub(super) fn find_resets(floats: &[f64], resets: &mut Vec<usize>) {
    resets.clear();
    resets.extend(floats.windows(2).enumerate().filter(|(_, pair)| pair[1] < pair[0]).map(|(at, _)| at + 1));
}

pub(super) fn rate(view: &View<'_>, state: &mut KernelState) -> Out {
    extrapolated(view, state, true, true)
}

pub(super) fn increase(view: &View<'_>, state: &mut KernelState) -> Out {
    extrapolated(view, state, true, false)
}

pub(super) fn delta(view: &View<'_>, state: &mut KernelState) -> Out {
    extrapolated(view, state, false, false)
}

/// The change from the first to the last sample, extrapolated to the ends of the range.
///
/// Samples rarely fall on the ends. If the first or last one is about as near to its end as samples are to each
/// other, the series is taken to go on to the end; else to begin or stop half a sample distance away. A counter is
/// not extrapolated below zero.
fn extrapolated(view: &View<'_>, state: &mut KernelState, is_counter: bool, is_rate: bool) -> Out {
    if !view.floats.is_empty() && !view.histograms.is_empty() {
        state.notes.mixed = true;
        return Out::Nothing;
    }
    if let [first, .., last] = view.floats {
        let mut change = last - first;
        if is_counter {
            let inside = view.first_float + 1..view.first_float + view.floats.len();
            let from = state.resets.partition_point(|at| *at < inside.start);
            for at in state.resets[from..].iter().take_while(|at| inside.contains(at)) {
                change += view.floats[at - view.first_float - 1];
            }
        }
        let counter = (is_counter && change > 0.0 && *first >= 0.0).then_some((*first, change));
        let factor = extrapolation(view, view.float_ms, is_counter, counter, is_rate);
        return Out::Float(change * factor);
    }
    let [first, .., _] = view.histograms else { return Out::Nothing };
    let Some(change) = histogram_change(view.histograms, is_counter, &|_| false, &mut state.notes) else {
        return Out::Nothing;
    };
    let counter =
        (is_counter && change.count > 0.0 && first.count >= 0.0).then_some((first.count, change.count));
    let factor = extrapolation(view, view.histogram_ms, is_counter, counter, is_rate);
    Out::Histogram(Box::new(histogram_math::multiply(&change, factor)))
}

/// By what a change is multiplied. `counter` is the first value and the change of a counter that rose.
fn extrapolation(
    view: &View<'_>,
    timestamps_ms: &[i64],
    is_counter: bool,
    counter: Option<(f64, f64)>,
    is_rate: bool,
) -> f64 {
    let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
    let (first_ms, last_ms) = (timestamps_ms[0], timestamps_ms[timestamps_ms.len() - 1]);
    let mut to_start = seconds(view.start_ms, first_ms);
    let mut to_end = seconds(last_ms, view.end_ms);
    let sampled = seconds(first_ms, last_ms);
    let average = sampled / (timestamps_ms.len() - 1) as f64;
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if is_counter && let Some((first, change)) = counter {
        let to_zero = sampled * (first / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    if is_rate { factor / view.range_s() } else { factor }
}

/// The change over a range of histograms; `None` if they do not fit to each other. `is_reset` says of a sample but
/// the first whether it is known from elsewhere that the counter began again before it.
pub(super) fn histogram_change(
    histograms: &[Arc<FloatHistogram>],
    is_counter: bool,
    is_reset: &dyn Fn(usize) -> bool,
    notes: &mut Notes,
) -> Option<FloatHistogram> {
    let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
    let is_gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    if is_counter {
        notes.not_a_counter |= histograms.iter().any(|histogram| is_gauge(histogram));
    } else {
        notes.not_a_gauge |= !is_gauge(first) || !is_gauge(last);
    }
    // If the counter started again right after the first sample, what that looked like does not matter.
    let second = &histograms[1];
    let empty;
    let mut base: &FloatHistogram = first;
    if is_counter && (is_reset(1) || histogram_math::detect_reset(second, first)) {
        empty = FloatHistogram {
            schema: second.schema,
            custom_values: second.custom_values.clone(),
            ..FloatHistogram::default()
        };
        base = &empty;
    }
    let custom = base.uses_custom_buckets();
    let between = if is_counter { &histograms[1..histograms.len() - 1] } else { &[] };
    if last.uses_custom_buckets() != custom || between.iter().any(|h| h.uses_custom_buckets() != custom) {
        notes.mixed_schemas = true;
        return None;
    }
    let schema = between.iter().map(|h| h.schema).fold(last.schema.min(base.schema), i32::min);
    let Ok(difference) = histogram_math::subtract(&histogram_math::to_schema(last, schema), base) else {
        notes.mixed_schemas = true;
        return None;
    };
    notes.reconciled_subtraction |= difference.reconciled;
    let mut change = difference.histogram;
    if is_counter {
        let mut previous = base;
        for (at, current) in histograms.iter().enumerate().skip(1) {
            if is_reset(at) || histogram_math::detect_reset(current, previous) {
                let Ok(sum) = histogram_math::add(&change, previous) else {
                    notes.mixed_schemas = true;
                    return None;
                };
                notes.reconciled_addition |= sum.reconciled;
                change = sum.histogram;
            }
            previous = current;
        }
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    Some(histogram_math::compact(&change))
}

pub(super) fn irate(view: &View<'_>, state: &mut KernelState) -> Out {
    instant(view, state, true)
}

pub(super) fn idelta(view: &View<'_>, state: &mut KernelState) -> Out {
    instant(view, state, false)
}

/// One of the last two samples of a range.
#[derive(Clone, Copy)]
enum Sample<'a> {
    Float(f64),
    Histogram(&'a FloatHistogram),
}

/// The change between the last two samples.
fn instant(view: &View<'_>, state: &mut KernelState, is_rate: bool) -> Out {
    let Some([(before_ms, before), (last_ms, last)]) = last_two(view) else { return Out::Nothing };
    if before_ms == last_ms {
        return Out::Nothing;
    }
    let seconds = (last_ms - before_ms) as f64 / 1000.0;
    match (before, last) {
        (Sample::Float(before), Sample::Float(last)) => {
            // A counter that started again has risen by its value since then.
            let change = if is_rate && last < before { last } else { last - before };
            Out::Float(if is_rate { change / seconds } else { change })
        }
        (Sample::Histogram(before), Sample::Histogram(last)) => {
            instant_histogram(before, last, is_rate.then_some(seconds), &mut state.notes)
        }
        _ => {
            state.notes.mixed = true;
            Out::Nothing
        }
    }
}

fn instant_histogram(
    before: &FloatHistogram,
    last: &FloatHistogram,
    rate_s: Option<f64>,
    notes: &mut Notes,
) -> Out {
    let gauges = [before, last].map(|histogram| histogram.counter_reset_hint == CounterResetHint::Gauge);
    if rate_s.is_some() {
        notes.not_a_counter |= gauges[0] || gauges[1];
    } else {
        notes.not_a_gauge |= !gauges[0] || !gauges[1];
    }
    let mut change = if rate_s.is_none() || !histogram_math::detect_reset(last, before) {
        let Ok(difference) = histogram_math::subtract(last, before) else {
            notes.mixed_schemas = true;
            return Out::Nothing;
        };
        notes.reconciled_subtraction |= difference.reconciled;
        difference.histogram
    } else {
        last.clone()
    };
    change.counter_reset_hint = CounterResetHint::Gauge;
    let change = histogram_math::compact(&change);
    Out::Histogram(Box::new(match rate_s {
        Some(seconds) => histogram_math::divide(&change, seconds),
        None => change,
    }))
}

fn last_two<'a>(view: &View<'a>) -> Option<[(i64, Sample<'a>); 2]> {
    let (mut floats, mut histograms) = (view.floats.len(), view.histograms.len());
    let mut take_last = || {
        let float_ms = floats.checked_sub(1).map(|at| view.float_ms[at]);
        let histogram_ms = histograms.checked_sub(1).map(|at| view.histogram_ms[at]);
        match (float_ms, histogram_ms) {
            (Some(float_ms), other) if other.is_none_or(|other| other < float_ms) => {
                floats -= 1;
                Some((float_ms, Sample::Float(view.floats[floats])))
            }
            (_, Some(histogram_ms)) => {
                histograms -= 1;
                Some((histogram_ms, Sample::Histogram(view.histograms[histograms].as_ref())))
            }
            _ => None,
        }
    };
    let last = take_last()?;
    let before = take_last()?;
    Some([before, last])
}

pub(super) fn deriv(view: &View<'_>, state: &mut KernelState) -> Out {
    // Times relative to the first sample keep the squares small and exact.
    regression(view, state, |view, _| linear_regression(view.float_ms, view.floats, view.float_ms[0]).0)
}

pub(super) fn predict_linear(view: &View<'_>, state: &mut KernelState) -> Out {
    regression(view, state, |view, state| {
        let (slope, intercept) = linear_regression(view.float_ms, view.floats, view.eval_ms);
        slope * state.params[0] + intercept
    })
}

fn regression(view: &View<'_>, state: &mut KernelState, result: fn(&View<'_>, &KernelState) -> f64) -> Out {
    state.notes.ignored_histograms |= !view.floats.is_empty() && !view.histograms.is_empty();
    if view.floats.len() < 2 { Out::Nothing } else { Out::Float(result(view, state)) }
}

/// Holt's linear method: a smoothed value and a smoothed trend.
pub(super) fn double_exponential_smoothing(view: &View<'_>, state: &mut KernelState) -> Out {
    let [smoothing, trend_factor] = state.params;
    for (name, factor, symbol) in [("smoothing", smoothing, "sf"), ("trend", trend_factor, "tf")] {
        if factor <= 0.0 || factor >= 1.0 {
            state.error =
                Some(format!("invalid {name} factor. Expected: 0 < {symbol} < 1, got: {factor:.6}"));
            return Out::Nothing;
        }
    }
    state.notes.ignored_histograms |= !view.floats.is_empty() && !view.histograms.is_empty();
    let [first, second, ..] = view.floats else { return Out::Nothing };
    let (mut before, mut smoothed) = (0.0, *first);
    let mut trend = second - first;
    for (at, value) in view.floats.iter().enumerate().skip(1) {
        if at > 1 {
            trend = trend_factor * (smoothed - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
        (before, smoothed) = (smoothed, next);
    }
    Out::Float(smoothed)
}
