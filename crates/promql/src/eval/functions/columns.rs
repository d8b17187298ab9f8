//! Functions of ranges for whole series of floats: all steps in one pass, where one by one would look at each sample
//! as often as there are steps that see it.
//!
//! To the same bits as the kernels of [`over_time`](super::over_time) and [`rates`](super::rates).

mod kymo;
mod lanes;
mod sorted;
mod sums;

use crate::eval::column::{Bits, Column};
use crate::eval::window::spans::Spans;

use super::numbers;
use sorted::SortedWindow;
use sums::RunningSums;

/// Fills a column, which is empty, from a series' floats.
pub(super) type ColumnKernel = fn(&mut ColumnState, &Spans, &[f64], &mut Column);

/// What is kept from series to series.
#[derive(Debug, Default)]
pub(super) struct ColumnState {
    /// The number beside the range, the same at all steps.
    pub(super) param: f64,
    /// Width of the window in seconds.
    pub(super) range_s: f64,
    /// Of each step, when each window begins and ends, in milliseconds.
    pub(super) bounds_ms: Vec<(i64, i64)>,
    /// What rates need of timestamps; empty until it is first needed.
    rates: RateSteps,
    /// Positions of floats lower than the one before.
    resets: Vec<u32>,
    /// Running counts.
    running: Vec<f64>,
    sums: RunningSums,
    sorted: SortedWindow,
    /// Positions of candidates for an extreme.
    candidates: Vec<u32>,
}

impl ColumnState {
    /// The next series has other timestamps.
    pub(super) fn forget_timestamps(&mut self) {
        self.rates.seen.reset(0);
        self.rates.steps.clear();
    }
}

/// The function of a name for whole series; `None` if it looks at one window after the other.
pub(super) fn resolve(name: &str) -> Option<ColumnKernel> {
    Some(match name {
        "rate" => |state, spans, values, column| extrapolated(state, spans, values, column, true, true),
        "increase" => |state, spans, values, column| extrapolated(state, spans, values, column, true, false),
        "delta" => |state, spans, values, column| extrapolated(state, spans, values, column, false, false),
        "irate" => irate,
        "count_over_time" => |_, spans, _, column| each(spans, column, |from, to| f64::from(to - from)),
        "present_over_time" => |_, spans, _, column| each(spans, column, |_, _| 1.0),
        "last_over_time" => |_, spans, values, column| each(spans, column, |_, to| values[to as usize - 1]),
        "first_over_time" => |_, spans, values, column| each(spans, column, |from, _| values[from as usize]),
        "changes" => |state, spans, values, column| {
            count_pairs(state, spans, values, column, |before, now| {
                now != before && !(now.is_nan() && before.is_nan())
            });
        },
        "resets" => |state, spans, values, column| {
            count_pairs(state, spans, values, column, |before, now| now < before);
        },
        "max_over_time" => {
            |state, spans, values, column| extremes(state, spans, values, column, |a, b| a > b)
        }
        "min_over_time" => {
            |state, spans, values, column| extremes(state, spans, values, column, |a, b| a < b)
        }
        "sum_over_time" => sums::sums,
        "avg_over_time" => sums::means,
        "stddev_over_time" => |_, spans, values, column| sums::variances(spans, values, column, f64::sqrt),
        "stdvar_over_time" => |_, spans, values, column| sums::variances(spans, values, column, |v| v),
        "quantile_over_time" => |state, spans, values, column| {
            let q = state.param;
            sorted::each_window(state, spans, values, column, |window| {
                numbers::quantile_of_sorted(q, window)
            });
        },
        "mad_over_time" => sorted::median_distances,
        _ => return kymo::resolve(name),
    })
}

/// A function of the positions in each step's window, where there are any.
#[inline]
fn each(spans: &Spans, column: &mut Column, value: impl Fn(u32, u32) -> f64) {
    for (step, (from, to)) in spans.steps().iter().enumerate() {
        if to > from {
            column.set(step, value(*from, *to));
        }
    }
}

/// What rates need of a column of timestamps at each step.
#[derive(Debug, Default)]
struct RateSteps {
    seen: Bits,
    steps: Vec<RateStep>,
}

#[derive(Debug, Default, Clone, Copy)]
struct RateStep {
    first: u32,
    last: u32,
    /// Seconds from the first sample to the last.
    sampled: f64,
    /// Seconds by which it is extrapolated to either side, unless a counter would begin below zero.
    to_start: f64,
    to_end: f64,
    /// What a change is multiplied with then.
    factor: f64,
}

impl RateSteps {
    fn fill(&mut self, spans: &Spans, bounds_ms: &[(i64, i64)], per_s: Option<f64>) {
        spans.with_at_least(2, &mut self.seen);
        let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
        let timestamps_ms = spans.timestamps_ms();
        self.steps.clear();
        self.steps.extend(spans.steps().iter().zip(bounds_ms).map(|((from, to), (start_ms, end_ms))| {
            if to - from < 2 {
                return RateStep::default();
            }
            let (first, last) = (*from, to - 1);
            let (first_ms, last_ms) = (timestamps_ms[first as usize], timestamps_ms[last as usize]);
            let (mut to_start, mut to_end) = (seconds(*start_ms, first_ms), seconds(last_ms, *end_ms));
            let sampled = seconds(first_ms, last_ms);
            let average = sampled / f64::from(last - first);
            let threshold = average * 1.1;
            if to_start >= threshold {
                to_start = average / 2.0;
            }
            if to_end >= threshold {
                to_end = average / 2.0;
            }
            let factor = factor(sampled, to_start, to_end, per_s);
            RateStep { first, last, sampled, to_start, to_end, factor }
        }));
    }
}

fn factor(sampled: f64, to_start: f64, to_end: f64, per_s: Option<f64>) -> f64 {
    let factor = (sampled + to_start + to_end) / sampled;
    per_s.map_or(factor, |range_s| factor / range_s)
}

/// See [`super::rates`] for what it does.
fn extrapolated(
    state: &mut ColumnState,
    spans: &Spans,
    values: &[f64],
    column: &mut Column,
    is_counter: bool,
    is_rate: bool,
) {
    let per_s = is_rate.then_some(state.range_s);
    if state.rates.steps.is_empty() {
        state.rates.fill(spans, &state.bounds_ms, per_s);
    }
    state.resets.clear();
    if is_counter {
        let pairs = values.windows(2).enumerate();
        state.resets.extend(pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, _)| at as u32 + 1));
    }
    let mut resets = &state.resets[..];
    for (step, out) in state.rates.steps.iter().zip(&mut column.values) {
        let (first, last) = (values[step.first as usize], values[step.last as usize]);
        let mut change = last - first;
        if !resets.is_empty() {
            // Windows only move on.
            while resets.first().is_some_and(|at| *at <= step.first) {
                resets = &resets[1..];
            }
            for at in resets.iter().take_while(|at| **at <= step.last) {
                change += values[*at as usize - 1];
            }
        }
        let mut by = step.factor;
        if is_counter && change > 0.0 && first >= 0.0 {
            let to_zero = step.sampled * (first / change);
            if to_zero < step.to_start {
                by = factor(step.sampled, to_zero, step.to_end, per_s);
            }
        }
        *out = change * by;
    }
    column.present.copy_from(&state.rates.seen);
}

fn irate(_: &mut ColumnState, spans: &Spans, values: &[f64], column: &mut Column) {
    let timestamps_ms = spans.timestamps_ms();
    for (step, (from, to)) in spans.steps().iter().enumerate() {
        if to - from < 2 {
            continue;
        }
        let last = *to as usize - 1;
        let (before, now) = (values[last - 1], values[last]);
        let change = if now < before { now } else { now - before };
        column.set(step, change / ((timestamps_ms[last] - timestamps_ms[last - 1]) as f64 / 1000.0));
    }
}

/// Counts the neighbours of which something holds.
#[inline]
fn count_pairs(
    state: &mut ColumnState,
    spans: &Spans,
    values: &[f64],
    column: &mut Column,
    counts: impl Fn(f64, f64) -> bool,
) {
    let mut count = 0.0;
    state.running.clear();
    state.running.push(0.0);
    state.running.extend(values.windows(2).map(|pair| {
        count += f64::from(u8::from(counts(pair[0], pair[1])));
        count
    }));
    each(spans, column, |from, to| state.running[to as usize - 1] - state.running[from as usize]);
}

/// The value that is `better` than all others, the first of equals; NaN only if there is nothing else.
#[inline]
fn extremes(
    state: &mut ColumnState,
    spans: &Spans,
    values: &[f64],
    column: &mut Column,
    better: impl Fn(f64, f64) -> bool,
) {
    // Those that no later one is better than, the best first.
    let candidates = &mut state.candidates;
    candidates.clear();
    let (mut best, mut read) = (0, 0);
    for (step, (from, to)) in spans.steps().iter().enumerate() {
        if to <= from {
            continue;
        }
        read = read.max(*from);
        for at in read..*to {
            let value = values[at as usize];
            if value.is_nan() {
                continue;
            }
            while candidates.len() > best
                && candidates.last().is_some_and(|last| better(value, values[*last as usize]))
            {
                candidates.pop();
            }
            candidates.push(at);
        }
        read = *to;
        while candidates.get(best).is_some_and(|at| at < from) {
            best += 1;
        }
        column.set(step, values[candidates.get(best).map_or(*to as usize - 1, |at| *at as usize)]);
    }
}

#[cfg(test)]
mod tests;
