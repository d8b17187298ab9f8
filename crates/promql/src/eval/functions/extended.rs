//! `anchored` and `smoothed` ranges: completed with samples around them, and not extrapolated.
//!
//! An anchored range begins with the last sample before it; the values at the ends of a smoothed range are
//! interpolated between the samples on both sides of each end. How far samples are looked for is the lookback.

pub(crate) mod histograms;

use crate::ast::Extended;
use crate::error::QueryError;
use crate::eval::window::View;

use super::range::{Kernel, KernelState, Out};
use super::{kymo_over_time, over_time};

/// The kernel of a function over such a range.
///
/// # Errors
/// Most functions have none.
pub(super) fn kernel(name: &str, extended: Extended) -> Result<Kernel, QueryError> {
    let kernel: Option<Kernel> = match (extended, name) {
        (Extended::Anchored, "rate") => Some(|view, state| change(view, state, Change::RATE)),
        (Extended::Anchored, "increase") => Some(|view, state| change(view, state, Change::INCREASE)),
        (Extended::Anchored, "delta") => Some(|view, state| change(view, state, Change::DELTA)),
        (Extended::Smoothed, "rate") => Some(|view, state| change(view, state, Change::RATE.smoothed())),
        (Extended::Smoothed, "increase") => {
            Some(|view, state| change(view, state, Change::INCREASE.smoothed()))
        }
        (Extended::Smoothed, "delta") => Some(|view, state| change(view, state, Change::DELTA.smoothed())),
        (Extended::Anchored, "rate_exact") => Some(|view, state| change(view, state, Change::RATE)),
        (Extended::Anchored, "increase_exact") => Some(|view, state| change(view, state, Change::INCREASE)),
        (Extended::Anchored, "tlast_change_over_time") => Some(kymo_over_time::tlast_change),
        (Extended::Anchored, "resets") => Some(|view, state| from_anchor(view, state, over_time::resets)),
        (Extended::Anchored, "changes") => Some(|view, state| from_anchor(view, state, over_time::changes)),
        _ => None,
    };
    kernel.ok_or_else(|| {
        let (modifier, functions) = match extended {
            Extended::Anchored => ("anchored", "changes, delta, increase, rate, resets"),
            Extended::Smoothed => ("smoothed", "delta, increase, rate"),
        };
        QueryError::Execution(format!(
            "{modifier} modifier can only be used with: {functions} - not with {name}"
        ))
    })
}

/// What Kymo's exact counters are where nothing is known of their starts.
pub(super) fn exact(view: &View<'_>, state: &mut KernelState, is_rate: bool) -> Out {
    change(view, state, if is_rate { Change::RATE } else { Change::INCREASE })
}

/// Calls a kernel with the samples of the range and the last one before it.
fn from_anchor(view: &View<'_>, state: &mut KernelState, kernel: Kernel) -> Out {
    let before = |timestamps_ms: &[i64]| timestamps_ms.partition_point(|t| *t <= view.start_ms);
    let (mut floats, mut histograms) = (before(view.float_ms), before(view.histogram_ms));
    if floats == view.floats.len() && histograms == view.histograms.len() {
        return Out::Nothing;
    }
    let float_anchor = floats.checked_sub(1).map(|at| view.float_ms[at]);
    let histogram_anchor = histograms.checked_sub(1).map(|at| view.histogram_ms[at]);
    if float_anchor > histogram_anchor {
        floats -= 1;
    } else if histogram_anchor.is_some() {
        histograms -= 1;
    }
    let narrowed = View {
        float_ms: &view.float_ms[floats..],
        floats: &view.floats[floats..],
        histogram_ms: &view.histogram_ms[histograms..],
        histograms: &view.histograms[histograms..],
        float_starts: &[],
        histogram_starts: &[],
        ..*view
    };
    kernel(&narrowed, state)
}

/// Which change over a range is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    is_counter: bool,
    is_rate: bool,
    smoothed: bool,
}

impl Change {
    const RATE: Self = Self { is_counter: true, is_rate: true, smoothed: false };
    const INCREASE: Self = Self { is_rate: false, ..Self::RATE };
    const DELTA: Self = Self { is_counter: false, ..Self::INCREASE };

    const fn smoothed(self) -> Self {
        Self { smoothed: true, ..self }
    }
}

/// The change from one end of the range to the other.
fn change(view: &View<'_>, state: &mut KernelState, kind: Change) -> Out {
    let Change { is_counter, is_rate, smoothed } = kind;
    if !view.histograms.is_empty() {
        if view.floats.is_empty() {
            return histograms::change(view, state, kind);
        }
        state.notes.mixed = true;
        return Out::Nothing;
    }
    let (times, values) = (view.float_ms, view.floats);
    let mut last = values.len() - 1;
    let mut first = times[..last].partition_point(|t| *t <= view.start_ms).saturating_sub(1);
    if smoothed {
        last = times[..last].partition_point(|t| *t < view.end_ms);
    }
    // All of the samples are on one side of the range.
    if times[last] <= view.start_ms || times[first] > view.end_ms {
        return Out::Nothing;
    }
    let between = |from: usize, time_ms: i64| {
        let (mut low, high) = (values[from], values[from + 1]);
        if is_counter && high < low {
            // The counter started again in between, at zero.
            low = 0.0;
        }
        low + (high - low) * (time_ms - times[from]) as f64 / (times[from + 1] - times[from]) as f64
    };
    let interpolate_left = smoothed && times[first] < view.start_ms && first + 1 < values.len();
    let left = if interpolate_left { between(first, view.start_ms) } else { values[first] };
    let interpolate_right = smoothed && last > 0 && times[last] > view.end_ms;
    let right = if interpolate_right { between(last - 1, view.end_ms) } else { values[last] };
    let mut change = right - left;
    if is_counter {
        // The ends are accounted for already; only samples strictly inside can show more resets.
        if times[first] <= view.start_ms {
            first += 1;
        }
        let inside_end = if times[last] >= view.end_ms { last } else { last + 1 };
        let mut before = left;
        let inside = values.get(first..inside_end).unwrap_or_default();
        if let (Some(head), Some(tail)) = (inside.first(), inside.last()) {
            if *head < left {
                change += left;
            }
            // Where a float is lower than the one before is known for the whole series.
            let lower = view.first_float + first + 1..view.first_float + inside_end;
            let from = state.resets.partition_point(|at| *at < lower.start);
            for at in state.resets[from..].iter().take_while(|at| **at < lower.end) {
                change += values[at - view.first_float - 1];
            }
            before = *tail;
        }
        if right < before {
            change += before;
        }
    }
    Out::Float(if is_rate { change / view.range_s() } else { change })
}
