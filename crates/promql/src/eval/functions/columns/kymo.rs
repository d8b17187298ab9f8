//! Kymo's functions: those that count the samples of which something holds are differences of running counts.

use crate::eval::column::Column;
use crate::eval::functions::{kymo_over_time, numbers};
use crate::eval::window::spans::Spans;

use super::{ColumnKernel, ColumnState, each, sorted};

/// A kernel that counts, or takes the share, of the values of which something holds. Each comparison is compiled into a loop
/// of its own.
macro_rules! kernel {
    ($fold:ident, $holds:expr) => {
        |state, spans, values, column| $fold(state, spans, values, column, $holds)
    };
}

pub(super) fn resolve(name: &str) -> Option<ColumnKernel> {
    Some(match name {
        "count_eq_over_time" => kernel!(count, |v, n| v == n),
        "count_ge_over_time" => kernel!(count, |v, n| v >= n),
        "count_gt_over_time" => kernel!(count, |v, n| v > n),
        "count_le_over_time" => kernel!(count, |v, n| v <= n),
        "count_lt_over_time" => kernel!(count, |v, n| v < n),
        "count_ne_over_time" => kernel!(count, |v, n| v != n),
        "share_eq_over_time" => kernel!(share, |v, n| v == n),
        "share_ge_over_time" => kernel!(share, |v, n| v >= n),
        "share_gt_over_time" => kernel!(share, |v, n| v > n),
        "share_le_over_time" => kernel!(share, |v, n| v <= n),
        "share_lt_over_time" => kernel!(share, |v, n| v < n),
        "share_ne_over_time" => kernel!(share, |v, n| v != n),
        "median_over_time" => |state, spans, values, column| {
            sorted::each_window(state, spans, values, column, |window| {
                numbers::quantile_of_sorted(0.5, window)
            });
        },
        "mode_over_time" => |state, spans, values, column| {
            sorted::each_window(state, spans, values, column, kymo_over_time::mode_of_sorted);
        },
        "distinct_over_time" => |state, spans, values, column| {
            sorted::each_window(state, spans, values, column, kymo_over_time::distinct_of_sorted);
        },
        _ => return None,
    })
}

/// Fills `running` with how many of the values in front of each position meet the bound.
#[inline]
fn run(state: &mut ColumnState, values: &[f64], holds: impl Fn(f64, f64) -> bool) {
    let (bound, mut count) = (state.param, 0.0);
    state.running.clear();
    state.running.push(0.0);
    state.running.extend(values.iter().map(|value| {
        count += f64::from(u8::from(holds(*value, bound)));
        count
    }));
}

#[inline]
fn count(
    state: &mut ColumnState,
    spans: &Spans,
    values: &[f64],
    column: &mut Column,
    holds: impl Fn(f64, f64) -> bool,
) {
    run(state, values, holds);
    each(spans, column, |from, to| state.running[to as usize] - state.running[from as usize]);
}

#[inline]
fn share(
    state: &mut ColumnState,
    spans: &Spans,
    values: &[f64],
    column: &mut Column,
    holds: impl Fn(f64, f64) -> bool,
) {
    run(state, values, holds);
    each(spans, column, |from, to| {
        (state.running[to as usize] - state.running[from as usize]) / f64::from(to - from)
    });
}
