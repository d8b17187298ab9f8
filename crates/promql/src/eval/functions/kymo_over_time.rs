//! Kymo's functions of ranges. Names and meanings are MetricsQL's.

use crate::eval::window::View;
use crate::kahan::Sum;

use super::numbers;
use super::range::{Kernel, KernelState, Out};

/// A kernel that counts, or takes the share, of the values of which something holds.
macro_rules! kernel {
    ($fold:ident, $holds:expr) => {
        |view, state| $fold(view, state, $holds)
    };
}

/// The kernel of a name.
pub(super) fn resolve(name: &str) -> Option<Kernel> {
    let kernel: Kernel = match name {
        "count_eq_over_time" => kernel!(count, |value, bound| value == bound),
        "count_ge_over_time" => kernel!(count, |value, bound| value >= bound),
        "count_gt_over_time" => kernel!(count, |value, bound| value > bound),
        "count_le_over_time" => kernel!(count, |value, bound| value <= bound),
        "count_lt_over_time" => kernel!(count, |value, bound| value < bound),
        "count_ne_over_time" => kernel!(count, |value, bound| value != bound),
        "share_eq_over_time" => kernel!(share, |value, bound| value == bound),
        "share_ge_over_time" => kernel!(share, |value, bound| value >= bound),
        "share_gt_over_time" => kernel!(share, |value, bound| value > bound),
        "share_le_over_time" => kernel!(share, |value, bound| value <= bound),
        "share_lt_over_time" => kernel!(share, |value, bound| value < bound),
        "share_ne_over_time" => kernel!(share, |value, bound| value != bound),
        "distinct_over_time" => distinct,
        "median_over_time" => median,
        "mode_over_time" => mode,
        "zscore_over_time" => zscore,
        "lag" => lag,
        // These are made of other kernels, over a window that begins with the sample before it.
        "increase_exact" | "rate_exact" | "tlast_change_over_time" => |_, _| Out::Nothing,
        _ => return None,
    };
    Some(kernel)
}

/// Whether there are floats; histograms beside them are noted.
fn has_floats(view: &View<'_>, state: &mut KernelState) -> bool {
    state.notes.ignored_histograms |= !view.floats.is_empty() && !view.histograms.is_empty();
    !view.floats.is_empty()
}

fn matching(view: &View<'_>, state: &KernelState, holds: fn(f64, f64) -> bool) -> f64 {
    let bound = state.params[0];
    view.floats.iter().filter(|value| holds(**value, bound)).count() as f64
}

fn count(view: &View<'_>, state: &mut KernelState, holds: fn(f64, f64) -> bool) -> Out {
    if has_floats(view, state) { Out::Float(matching(view, state, holds)) } else { Out::Nothing }
}

fn share(view: &View<'_>, state: &mut KernelState, holds: fn(f64, f64) -> bool) -> Out {
    if !has_floats(view, state) {
        return Out::Nothing;
    }
    Out::Float(matching(view, state, holds) / view.floats.len() as f64)
}

/// Sorts the floats into `scratch`, NaN first.
fn sorted<'s>(view: &View<'_>, state: &'s mut KernelState) -> &'s mut Vec<f64> {
    state.scratch.clear();
    state.scratch.extend_from_slice(view.floats);
    state.scratch.sort_unstable_by(numbers::nan_first);
    &mut state.scratch
}

fn distinct(view: &View<'_>, state: &mut KernelState) -> Out {
    if !has_floats(view, state) {
        return Out::Nothing;
    }
    Out::Float(distinct_of_sorted(sorted(view, state)))
}

/// How many values there are that differ.
pub(super) fn distinct_of_sorted(values: &[f64]) -> f64 {
    let changes = values.windows(2).filter(|pair| !same(pair[0], pair[1])).count();
    (changes + 1) as f64
}

fn median(view: &View<'_>, state: &mut KernelState) -> Out {
    if !has_floats(view, state) {
        return Out::Nothing;
    }
    Out::Float(numbers::quantile_of_sorted(0.5, sorted(view, state)))
}

fn mode(view: &View<'_>, state: &mut KernelState) -> Out {
    if !has_floats(view, state) {
        return Out::Nothing;
    }
    Out::Float(mode_of_sorted(sorted(view, state)))
}

/// The most frequent value; of several, the smallest.
pub(super) fn mode_of_sorted(values: &[f64]) -> f64 {
    let (mut best, mut best_count) = (values[0], 0);
    let mut run = 0;
    for at in 0..values.len() {
        run = if at > 0 && same(values[at - 1], values[at]) { run + 1 } else { 1 };
        if run > best_count {
            (best, best_count) = (values[at], run);
        }
    }
    best
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// How many standard deviations the last sample is away from the mean.
fn zscore(view: &View<'_>, state: &mut KernelState) -> Out {
    if !has_floats(view, state) {
        return Out::Nothing;
    }
    let count = view.floats.len() as f64;
    let (mut sum, mut squares) = (Sum::default(), Sum::default());
    view.floats.iter().for_each(|value| sum.add(*value));
    let mean = sum.total() / count;
    view.floats.iter().for_each(|value| squares.add((value - mean) * (value - mean)));
    let last = view.floats[view.floats.len() - 1];
    Out::Float((last - mean) / (squares.total() / count).sqrt())
}

/// Seconds from the last sample to the end of the range.
fn lag(view: &View<'_>, _: &mut KernelState) -> Out {
    let last_ms = view.float_ms.last().into_iter().chain(view.histogram_ms.last()).max();
    last_ms.map_or(Out::Nothing, |last_ms| Out::Float((view.end_ms - last_ms) as f64 / 1000.0))
}

/// When the value changed for the last time within the range. The view begins with samples before the range, as for
/// `anchored`; a series that begins within it changed then.
pub(super) fn tlast_change(view: &View<'_>, state: &mut KernelState) -> Out {
    if !has_floats(view, state) {
        return Out::Nothing;
    }
    let (times, values) = (view.float_ms, view.floats);
    let mut at = values.len() - 1;
    while at > 0 && times[at] > view.start_ms && same(values[at - 1], values[at]) {
        at -= 1;
    }
    if times[at] <= view.start_ms { Out::Nothing } else { Out::Float(times[at] as f64 / 1000.0) }
}
