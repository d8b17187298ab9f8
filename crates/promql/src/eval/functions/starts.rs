//! Functions of counters whose samples say when they began to count (start timestamps).
//!
//! A start later than the sample before means that the counter began again, even if it is higher than before; a
//! start within the range is where the counter was zero, so that nothing is extrapolated on that side. In force with
//! Prometheus' feature `use-start-timestamps`; for Kymo's exact counters always.

use model::{FloatHistogram, UNKNOWN_START_MS};
use storage::SeriesSamples;

use crate::error::QueryError;
use crate::eval::grid::Grid;
use crate::eval::select::pick_latest;
use crate::eval::window::View;
use crate::eval::{Evaluator, Sink};
use crate::histogram_math;
use crate::plan::{Kind, Node};

use super::range::{Kernel, KernelState, Out};
use super::{extended, over_time, rates};

/// The kernel of a function for a series with starts; `None` if it has none, or the function does not look at them.
pub(super) fn kernel(name: &str, samples: &SeriesSamples) -> Option<Kernel> {
    if samples.floats.starts.is_empty() && samples.histograms.starts.is_empty() {
        return None;
    }
    let kernel: Kernel = match name {
        "rate" => |view, state| change(view, state, true),
        "increase" => |view, state| change(view, state, false),
        "irate" => irate,
        "resets" => resets,
        "rate_exact" => |view, state| exact(view, state, true),
        "increase_exact" => |view, state| exact(view, state, false),
        _ => return None,
    };
    Some(kernel)
}

/// Whether a function looks at starts even without the feature: no query of Prometheus has it.
pub(super) fn is_exact(name: &str) -> bool {
    matches!(name, "rate_exact" | "increase_exact")
}

/// Times and starts of samples of one kind. Starts behind the last known one are left out.
#[derive(Clone, Copy)]
struct Starts<'a> {
    times_ms: &'a [i64],
    starts_ms: &'a [i64],
}

impl Starts<'_> {
    fn get(&self, at: usize) -> i64 {
        self.starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS)
    }

    /// Whether the counter began again between sample `at - 1` and sample `at`.
    fn is_reset(&self, at: usize) -> bool {
        let (before_ms, now_ms) = (self.times_ms[at - 1], self.times_ms[at]);
        let (before_start, start) = (self.get(at - 1), self.get(at));
        if start == UNKNOWN_START_MS || start >= now_ms || start < before_ms {
            return false;
        }
        if start > before_ms {
            return true;
        }
        // The start is the sample before. So it is for deltas, each of which begins where the one before ended; but
        // also where nobody knew the start when that sample was taken, which is no reset.
        before_start != UNKNOWN_START_MS && before_start < before_ms
    }

    /// Whether sample `at` claims to have begun before the sample in front of it, but not with it.
    fn overlaps(&self, at: usize) -> bool {
        let start = self.get(at);
        start != UNKNOWN_START_MS && start < self.times_ms[at - 1] && start != self.get(at - 1)
    }
}

fn of_floats<'a>(view: &View<'a>) -> Starts<'a> {
    Starts { times_ms: view.float_ms, starts_ms: view.float_starts }
}

fn of_histograms<'a>(view: &View<'a>) -> Starts<'a> {
    Starts { times_ms: view.histogram_ms, starts_ms: view.histogram_starts }
}

/// What a counter rose by.
enum Rise {
    Float(f64),
    Histogram(Option<FloatHistogram>),
}

fn change(view: &View<'_>, state: &mut KernelState, is_rate: bool) -> Out {
    if !view.floats.is_empty() && !view.histograms.is_empty() {
        state.notes.mixed = true;
        return Out::Nothing;
    }
    let is_float = !view.floats.is_empty();
    let starts = if is_float { of_floats(view) } else { of_histograms(view) };
    let (Some(first_ms), Some(last_ms)) = (starts.times_ms.first(), starts.times_ms.last()) else {
        return Out::Nothing;
    };
    state.notes.start_overlap |= (1..starts.times_ms.len()).any(|at| starts.overlaps(at));
    let mut rise = if is_float {
        Rise::Float(float_rise(view.floats, &starts))
    } else if let [_, _, ..] = view.histograms {
        let is_reset = |at| starts.is_reset(at);
        let Some(rise) = rates::histogram_change(view.histograms, true, &is_reset, &mut state.notes) else {
            return Out::Nothing;
        };
        Rise::Histogram(Some(rise))
    } else {
        Rise::Histogram(None)
    };
    let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
    let mut to_start = seconds(view.start_ms, *first_ms);
    let mut to_end = seconds(*last_ms, view.end_ms);
    let mut sampled = seconds(*first_ms, *last_ms);
    let between = starts.times_ms.len() - 1;
    let average = if between > 0 { sampled / between as f64 } else { 0.0 };
    let start = starts.get(0);
    if start != UNKNOWN_START_MS && start > view.start_ms && start < *first_ms {
        // The counter was zero at its start.
        to_start = 0.0;
        sampled = seconds(start, *last_ms);
        if !add_first(&mut rise, view, state) {
            return Out::Nothing;
        }
    } else if between == 0 {
        return Out::Nothing;
    } else {
        if to_start >= average * 1.1 {
            to_start = average / 2.0;
        }
        to_start = to_start.min(seconds_to_zero(&rise, view, sampled));
    }
    if to_end >= average * 1.1 {
        to_end = average / 2.0;
    }
    let mut factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
    if is_rate {
        factor /= view.range_s();
    }
    match rise {
        Rise::Float(rise) => Out::Float(rise * factor),
        Rise::Histogram(Some(rise)) => Out::Histogram(Box::new(histogram_math::multiply(&rise, factor))),
        Rise::Histogram(None) => Out::Nothing,
    }
}

/// Without a sample before the range, a counter that began within it counted from zero.
fn exact(view: &View<'_>, state: &mut KernelState, is_rate: bool) -> Out {
    let Some(rise) = exact_rise(view, state) else {
        return extended::exact(view, state, is_rate);
    };
    let divisor = if is_rate { view.range_s() } else { 1.0 };
    match rise {
        Rise::Float(rise) => Out::Float(rise / divisor),
        Rise::Histogram(Some(rise)) => {
            let mut rise = histogram_math::divide(&histogram_math::compact(&rise), divisor);
            rise.counter_reset_hint = model::CounterResetHint::Gauge;
            Out::Histogram(Box::new(rise))
        }
        Rise::Histogram(None) => Out::Nothing,
    }
}

/// The rise over the range since the last sample before it. `None` if starts say nothing that values do not.
fn exact_rise(view: &View<'_>, state: &mut KernelState) -> Option<Rise> {
    if !view.floats.is_empty() && !view.histograms.is_empty() {
        return None;
    }
    let is_float = !view.floats.is_empty();
    let times_ms = if is_float { view.float_ms } else { view.histogram_ms };
    let first = times_ms.partition_point(|t| *t <= view.start_ms).saturating_sub(1);
    let view = view.from(first);
    let starts = if is_float { of_floats(&view) } else { of_histograms(&view) };
    let (first_ms, last_ms) = (*starts.times_ms.first()?, *starts.times_ms.last()?);
    if last_ms <= view.start_ms {
        return None;
    }
    let start = starts.get(0);
    let from_zero = start != UNKNOWN_START_MS && start >= view.start_ms && start < first_ms;
    if !from_zero && !(1..starts.times_ms.len()).any(|at| starts.is_reset(at)) {
        return None;
    }
    let mut rise = if is_float {
        Rise::Float(float_rise(view.floats, &starts))
    } else if let [_, _, ..] = view.histograms {
        let is_reset = |at| starts.is_reset(at);
        Rise::Histogram(rates::histogram_change(view.histograms, true, &is_reset, &mut state.notes))
    } else {
        Rise::Histogram(None)
    };
    let failed = matches!(rise, Rise::Histogram(None)) && view.histograms.len() > 1;
    if from_zero && !failed && !add_first(&mut rise, &view, state) {
        rise = Rise::Histogram(None);
    }
    Some(rise)
}

fn float_rise(values: &[f64], starts: &Starts<'_>) -> f64 {
    let mut rise = values[values.len() - 1] - values[0];
    for at in 1..values.len() {
        if values[at] < values[at - 1] || starts.is_reset(at) {
            rise += values[at - 1];
        }
    }
    rise
}

/// Adds the first sample to the rise, as what was counted since the start. Returns whether it could.
fn add_first(rise: &mut Rise, view: &View<'_>, state: &mut KernelState) -> bool {
    match rise {
        Rise::Float(rise) => *rise += view.floats[0],
        Rise::Histogram(None) => *rise = Rise::Histogram(Some(FloatHistogram::clone(&view.histograms[0]))),
        Rise::Histogram(Some(sum)) => match histogram_math::add(sum, &view.histograms[0]) {
            Ok(added) => {
                state.notes.reconciled_addition |= added.reconciled;
                *sum = added.histogram;
            }
            Err(histogram_math::MixedSchemas) => {
                state.notes.mixed_schemas = true;
                return false;
            }
        },
    }
    true
}

/// How long before the first sample the counter was zero, if it rose as steadily before.
fn seconds_to_zero(rise: &Rise, view: &View<'_>, sampled: f64) -> f64 {
    let (first, rise) = match rise {
        Rise::Float(rise) => (view.floats[0], *rise),
        Rise::Histogram(Some(rise)) => (view.histograms[0].count, rise.count),
        Rise::Histogram(None) => return f64::INFINITY,
    };
    if rise > 0.0 && first >= 0.0 { sampled * (first / rise) } else { f64::INFINITY }
}

fn irate(view: &View<'_>, state: &mut KernelState) -> Out {
    match (view.floats, view.histograms) {
        ([.., _, last], []) => {
            let starts = of_floats(view);
            let at = view.floats.len() - 1;
            if !starts.is_reset(at) {
                return rates::irate(view, state);
            }
            Out::Float(last / ((view.float_ms[at] - view.float_ms[at - 1]) as f64 / 1000.0))
        }
        ([], [.., _, last]) => {
            let starts = of_histograms(view);
            let at = view.histograms.len() - 1;
            if !starts.is_reset(at) {
                return rates::irate(view, state);
            }
            let seconds = (view.histogram_ms[at] - view.histogram_ms[at - 1]) as f64 / 1000.0;
            let mut rate = histogram_math::divide(&histogram_math::compact(last), seconds);
            rate.counter_reset_hint = model::CounterResetHint::Gauge;
            Out::Histogram(Box::new(rate))
        }
        _ => rates::irate(view, state),
    }
}

fn resets(view: &View<'_>, state: &mut KernelState) -> Out {
    let count = match (view.floats, view.histograms) {
        (floats, []) => {
            let starts = of_floats(view);
            (1..floats.len()).filter(|at| floats[*at] < floats[at - 1] || starts.is_reset(*at)).count()
        }
        ([], histograms) => {
            let starts = of_histograms(view);
            let is_reset = |at: &usize| {
                starts.is_reset(*at) || histogram_math::detect_reset(&histograms[*at], &histograms[at - 1])
            };
            (1..histograms.len()).filter(is_reset).count()
        }
        _ => return over_time::resets(view, state),
    };
    Out::Float(count as f64)
}

impl Evaluator<'_> {
    /// `start_timestamp()` of a selector: when the counters of the latest samples began; 0 for those that do not say.
    /// What is computed has no start, and without the feature nothing has.
    pub(super) fn stream_start_timestamps(
        &mut self,
        arg: &Node,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let Kind::Select(select) = &arg.kind else { return self.stream(arg, grid, &mut |_| Ok(())) };
        if !self.uses_starts {
            return Ok(());
        }
        self.for_each_selected(select, grid, sink, |samples, lookback_ms, series, _| {
            series.drop_name = true;
            pick_latest(samples, grid, &select.shift, lookback_ms, |step, timestamp_ms, _| {
                let float_at = samples.floats.timestamps_ms.binary_search(&timestamp_ms);
                let histogram_at = samples.histograms.timestamps_ms.binary_search(&timestamp_ms);
                let start_ms = match (float_at, histogram_at) {
                    (Ok(at), _) => samples.floats.starts.get(at),
                    (_, Ok(at)) => samples.histograms.starts.get(at),
                    _ => UNKNOWN_START_MS,
                };
                series.column.set(step, start_ms as f64 / 1000.0);
            });
        })
    }
}
