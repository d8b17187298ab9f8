//! Kymo's functions that count the samples of which something holds: differences of running counts.

use crate::eval::column::Column;
use crate::eval::window::spans::Spans;

use super::{ColumnKernel, ColumnState, each};

pub(super) fn resolve(name: &str) -> Option<ColumnKernel> {
    Some(match name {
        "count_eq_over_time" => {
            |state, spans, values, column| count(state, spans, values, column, |v, n| v == n)
        }
        "count_ge_over_time" => {
            |state, spans, values, column| count(state, spans, values, column, |v, n| v >= n)
        }
        "count_gt_over_time" => {
            |state, spans, values, column| count(state, spans, values, column, |v, n| v > n)
        }
        "count_le_over_time" => {
            |state, spans, values, column| count(state, spans, values, column, |v, n| v <= n)
        }
        "count_lt_over_time" => {
            |state, spans, values, column| count(state, spans, values, column, |v, n| v < n)
        }
        "count_ne_over_time" => {
            |state, spans, values, column| count(state, spans, values, column, |v, n| v != n)
        }
        "share_eq_over_time" => {
            |state, spans, values, column| share(state, spans, values, column, |v, n| v == n)
        }
        "share_ge_over_time" => {
            |state, spans, values, column| share(state, spans, values, column, |v, n| v >= n)
        }
        "share_gt_over_time" => {
            |state, spans, values, column| share(state, spans, values, column, |v, n| v > n)
        }
        "share_le_over_time" => {
            |state, spans, values, column| share(state, spans, values, column, |v, n| v <= n)
        }
        "share_lt_over_time" => {
            |state, spans, values, column| share(state, spans, values, column, |v, n| v < n)
        }
        "share_ne_over_time" => {
            |state, spans, values, column| share(state, spans, values, column, |v, n| v != n)
        }
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
