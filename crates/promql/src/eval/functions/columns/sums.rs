//! Sums, means and variances of windows.
//!
//! PromQL's sum of a window is `sum + c`: a plain sum, and the compensated rest of what rounding lost. To the last bit, at
//! a cost that does not grow with the window, it is the difference of two running pairs, wherever one of these holds:
//!
//! - All values are whole and small: no order of addition rounds.
//! - The smallest of the values is not too small beside the sum of all ([`RunningSums::fill`] has the bound). All values are
//!   multiples of a power of two then, and so is all that rounding loses; that is small enough for every compensation to
//!   be exact. So `sum + c` is the true sum, rounded once, whatever window it is taken over.
//! - Else, what compensations can have lost is bounded: both ends of the interval in which the true sum lies round to the
//!   same number.
//!
//! What remains is added window by window, in order.

use crate::eval::column::Column;
use crate::eval::window::spans::Spans;
use crate::kahan::{self, Mean};

use super::lanes::{self, CompensatedSums, PlainSums, Squares};
use super::{ColumnState, each};

/// Windows that are summed at the same time, and those of which the variance is computed.
const LANES: usize = 8;
const PLAIN_LANES: usize = 16;
const VARIANCE_LANES: usize = 4;

/// The magnitude up to which sums of whole numbers are exact in any order.
const EXACT_MAX: f64 = (1_u64 << 52) as f64;
/// Sums of smaller values are not taken apart: bounds of their errors would underflow.
const MAGNITUDE_MIN: f64 = 1e-250;

/// The sums before each value of a series.
#[derive(Debug, Default)]
pub(super) struct RunningSums {
    sums: Vec<f64>,
    compensations: Vec<f64>,
    /// Positions of values that are infinite or no numbers; as zeros in the sums.
    gaps: Vec<u32>,
    /// Steps to which the sums give no answer, and their windows.
    open_steps: Vec<u32>,
    open_windows: Vec<(u32, u32)>,
}

/// How far differences of running sums can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trust {
    /// They and the sums of all windows are exact before the last rounding.
    Exact,
    /// Both are this close to one another before the last rounding.
    Within(f64),
    Nothing,
}

impl RunningSums {
    /// Sums of whole numbers, if all of them are exact.
    fn fill_whole(&mut self, values: &[f64]) -> bool {
        let (mut sum, mut magnitude) = (0.0, 0.0);
        let mut whole = true;
        self.sums.clear();
        self.sums.push(0.0);
        for value in values {
            whole &= (*value as i64) as f64 == *value;
            sum += *value;
            magnitude += value.abs();
            self.sums.push(sum);
        }
        whole && magnitude < EXACT_MAX
    }

    /// Compensated sums.
    ///
    /// With `m` the smallest magnitude that is not zero, all values are multiples of a power of two `g > m / 2^53`, and so
    /// are their sums. An addition to a sum of at most `A` loses a multiple of `g`, at most `A / 2^53`; `n` of them lose at
    /// most `n A / 2^53`. While that is at most `m < 2^53 g`, the compensation needs no more than 53 bits: it is exact.
    /// A factor of four is left for differences, and for the roundings of `A`.
    fn fill(&mut self, values: &[f64]) -> Trust {
        self.gaps.clear();
        let (mut magnitude, mut smallest) = self.add_up(values);
        if !magnitude.is_finite() {
            let is_gap = |(_, value): &(usize, &f64)| !value.is_finite();
            self.gaps.extend(values.iter().enumerate().filter(is_gap).map(|(at, _)| at as u32));
            if self.gaps.is_empty() {
                return Trust::Nothing;
            }
            (magnitude, smallest) = self.add_up_finite(values);
        }
        let n = values.len() as f64 + 2.0;
        if 2.0 * n * magnitude <= EXACT_MAX * smallest {
            Trust::Exact
        } else if magnitude.is_finite() && magnitude > MAGNITUDE_MIN {
            // Each of the compensations, at most n A / 2^53, is rounded n times. Thrice for two ends and a window, and
            // then some.
            Trust::Within(8.0 * n * n * (magnitude * (0.5 / EXACT_MAX) * (0.5 / EXACT_MAX)))
        } else {
            Trust::Nothing
        }
    }

    /// Returns the sum of magnitudes, and the smallest of them that is not zero.
    fn add_up(&mut self, values: &[f64]) -> (f64, f64) {
        self.add_up_all(values.iter().copied())
    }

    fn add_up_finite(&mut self, values: &[f64]) -> (f64, f64) {
        self.add_up_all(values.iter().map(|value| if value.is_finite() { *value } else { 0.0 }))
    }

    #[inline]
    fn add_up_all(&mut self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (mut sum, mut c, mut magnitude, mut smallest) = (0.0, 0.0, 0.0, f64::INFINITY);
        self.sums.clear();
        self.compensations.clear();
        self.sums.push(0.0);
        self.compensations.push(0.0);
        for value in values {
            (sum, c) = kahan::add(value, sum, c);
            let size = value.abs();
            magnitude += size;
            smallest = if size < smallest && size > 0.0 { size } else { smallest };
            self.sums.push(sum);
            self.compensations.push(c);
        }
        (magnitude, smallest)
    }

    /// The sum of a window: the rounded one, and the rest.
    #[inline]
    fn between(&self, from: u32, to: u32) -> (f64, f64) {
        let (from, to) = (from as usize, to as usize);
        let (before, after) = (self.sums[from], self.sums[to]);
        let sum = after - before;
        // What this difference has lost, by Knuth.
        let part = sum - after;
        let lost = (after - (sum - part)) - (before + part);
        (sum, lost + (self.compensations[to] - self.compensations[from]))
    }

    /// Calls `done` with each step that has an answer and its sum, and keeps the others in `open_steps`.
    fn answer(
        &mut self,
        trust: Trust,
        windows: &[(u32, u32)],
        values: &[f64],
        mut done: impl FnMut(usize, f64),
    ) {
        self.open_steps.clear();
        self.open_windows.clear();
        let (mut gaps, mut zeros) = (Gaps::default(), Zeros::default());
        for (step, (from, to)) in windows.iter().enumerate() {
            if to <= from {
                continue;
            }
            let total = match gaps.sum(&self.gaps, values, *from, *to) {
                Some(sum) => Some(sum),
                None => {
                    let (sum, rest) = self.between(*from, *to);
                    match trust {
                        Trust::Exact => Some(sum + rest),
                        Trust::Within(error) if sum + (rest - error) == sum + (rest + error) => {
                            Some(sum + rest)
                        }
                        // The interval has the true sum, 0, in its middle.
                        Trust::Within(_) if zeros.fill(values, *from, *to) => Some(0.0),
                        _ => None,
                    }
                }
            };
            match total {
                Some(total) => done(step, total),
                None => {
                    self.open_steps.push(step as u32);
                    self.open_windows.push((*from, *to));
                }
            }
        }
    }
}

/// Finds the values of windows that are infinite or no numbers.
#[derive(Debug, Default)]
struct Gaps {
    /// How many are in front of the window.
    passed: usize,
}

impl Gaps {
    /// The sum of a window, if there are any in it. Windows only move on.
    #[inline]
    fn sum(&mut self, gaps: &[u32], values: &[f64], from: u32, to: u32) -> Option<f64> {
        while gaps.get(self.passed).is_some_and(|at| *at < from) {
            self.passed += 1;
        }
        let inside = gaps[self.passed..].iter().take_while(|at| **at < to);
        let mut sum = None;
        for at in inside {
            let so_far = sum.map_or(values[*at as usize], |sum: f64| sum + values[*at as usize]);
            sum = Some(so_far);
            if so_far.is_nan() {
                break;
            }
        }
        sum
    }
}

/// Finds windows of zeros; looks at each sample but once.
#[derive(Debug, Default)]
struct Zeros {
    from: u32,
    to: u32,
}

impl Zeros {
    /// Whether a window has nothing else. Windows only move on.
    fn fill(&mut self, values: &[f64], from: u32, to: u32) -> bool {
        if from < self.from || from > self.to {
            self.to = from;
        }
        self.from = from;
        while self.to < to && values[self.to as usize] == 0.0 {
            self.to += 1;
        }
        self.to >= to
    }
}

pub(super) fn sums(state: &mut ColumnState, spans: &Spans, values: &[f64], column: &mut Column) {
    let running = &mut state.sums;
    let is_range = spans.steps().len() > 1;
    if is_range && running.fill_whole(values) {
        return each(spans, column, |from, to| running.sums[to as usize] - running.sums[from as usize]);
    }
    let trust = if is_range { running.fill(values) } else { Trust::Nothing };
    let of_pair = |(sum, c): (f64, f64)| if sum.is_infinite() { sum } else { sum + c };
    if trust == Trust::Nothing {
        return lanes::fold(spans.steps(), values, |step, sums: &CompensatedSums<LANES>, lane| {
            if spans.steps()[step].1 > spans.steps()[step].0 {
                column.set(step, of_pair(sums.get(lane)));
            }
        });
    }
    if trust == Trust::Exact && running.gaps.is_empty() {
        return each(spans, column, |from, to| {
            let (sum, rest) = running.between(from, to);
            sum + rest
        });
    }
    running.answer(trust, spans.steps(), values, |step, sum| column.set(step, sum));
    lanes::fold(&running.open_windows, values, |at, sums: &CompensatedSums<LANES>, lane| {
        column.set(running.open_steps[at] as usize, of_pair(sums.get(lane)));
    });
}

pub(super) fn means(state: &mut ColumnState, spans: &Spans, values: &[f64], column: &mut Column) {
    let running = &mut state.sums;
    let is_range = spans.steps().len() > 1;
    if is_range && running.fill_whole(values) {
        return each(spans, column, |from, to| {
            (running.sums[to as usize] - running.sums[from as usize]) / f64::from(to - from)
        });
    }
    let windows = spans.steps();
    if is_range && running.fill(values) == Trust::Exact && running.gaps.is_empty() {
        // A mean is the quotient of the plain sum, which depends on the order, and that of the rest, added. Only the rest
        // comes from the running sums, exactly; it is what makes compensated sums dear.
        return lanes::fold(windows, values, |step, sums: &PlainSums<PLAIN_LANES>, lane| {
            let (from, to) = windows[step];
            if to > from {
                let (plain, count) = (sums.get(lane), f64::from(to - from));
                let (sum, rest) = running.between(from, to);
                let c = (sum - plain) + rest;
                column.set(step, plain / count + c / count);
            }
        });
    }
    lanes::fold(windows, values, |step, sums: &CompensatedSums<LANES>, lane| {
        let (from, to) = windows[step];
        let Some((first, others)) = values[from as usize..to as usize].split_first() else { return };
        let (sum, c) = sums.get(lane);
        if sum.is_finite() {
            let count = f64::from(to - from);
            return column.set(step, sum / count + c / count);
        }
        if first.is_nan() || others.iter().any(|value| value.is_nan()) {
            return column.set(step, f64::NAN);
        }
        // It overflowed, or one of them was infinite: the mean may still be a number.
        let mut mean = Mean::of(*first);
        others.iter().for_each(|value| mean.add(*value));
        column.set(step, mean.value());
    });
}

/// Variances, of which `result` is taken.
pub(super) fn variances(spans: &Spans, values: &[f64], column: &mut Column, result: fn(f64) -> f64) {
    let windows = spans.steps();
    lanes::fold(windows, values, |step, squares: &Squares<VARIANCE_LANES>, lane| {
        let (from, to) = windows[step];
        if to > from {
            column.set(step, result(squares.get(lane) / f64::from(to - from)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: impl Fn(i64) -> f64, want: fn(Trust) -> bool) {
        let values: Vec<f64> = (0..10_000).map(values).collect();
        let trust = RunningSums::default().fill(&values);
        assert!(want(trust), "{trust:?}");
    }

    #[test]
    fn what_is_measured_has_exact_compensations() {
        let is_exact = |trust| trust == Trust::Exact;
        check(|at| (at * 7_919 % 1_000) as f64 / 1_000.0, is_exact);
        check(|at| at as f64 * 0.1 + 3.7e9, is_exact);
        check(|at| (at as f64 / 100.0).sin(), is_exact);
        check(|at| if at % 7 == 0 { f64::NAN } else { 1.0 / (at + 1) as f64 }, is_exact);
        check(|_| 0.0, is_exact);
    }

    #[test]
    fn what_is_far_apart_is_bounded_and_what_overflows_is_added_up() {
        check(|at| 10_f64.powi((at % 40) as i32 - 20), |trust| matches!(trust, Trust::Within(_)));
        check(|_| 1e306, |trust| trust == Trust::Nothing);
        check(|at| if at == 0 { 1e-310 } else { 1e-270 }, |trust| trust == Trust::Nothing);
    }

    #[test]
    fn most_windows_of_what_is_far_apart_have_an_answer() {
        let values: Vec<f64> = (0..2_000_i32).map(|at| 1.3_f64.powi(at % 200 - 150)).collect();
        let mut running = RunningSums::default();
        let trust = running.fill(&values);
        assert!(matches!(trust, Trust::Within(_)), "{trust:?}");
        let windows: Vec<(u32, u32)> = (0..1_000).map(|at| (at, at + 500)).collect();
        let mut answered = 0;
        running.answer(trust, &windows, &values, |_, _| answered += 1);
        assert!(answered > 900, "{answered}");
    }
}
