//! Whole columns against single windows: the same bits for all functions, on random series.

use proptest::prelude::*;
use storage::SeriesSamples;

use super::super::range::{self, KernelState, Out};
use super::super::rates;
use super::*;
use crate::eval::grid::{Grid, Shift};
use crate::eval::window::{Reach, for_each_view};
use crate::plan::{Select, Window, WindowSource};

const NAMES: &[&str] = &[
    "rate",
    "increase",
    "delta",
    "irate",
    "count_over_time",
    "present_over_time",
    "last_over_time",
    "first_over_time",
    "changes",
    "resets",
    "max_over_time",
    "min_over_time",
    "sum_over_time",
    "avg_over_time",
    "count_eq_over_time",
    "count_ge_over_time",
    "count_gt_over_time",
    "count_le_over_time",
    "count_lt_over_time",
    "count_ne_over_time",
    "share_eq_over_time",
    "share_ge_over_time",
    "share_gt_over_time",
    "share_le_over_time",
    "share_lt_over_time",
    "share_ne_over_time",
];

/// What functions with a bound compare with.
const BOUND: f64 = 7.0;

fn window(range_ms: i64, offset_ms: i64) -> Window {
    let shift = Shift { at_ms: None, offset_ms };
    let select = Select {
        matchers: Vec::new(),
        shift,
        hint: "",
        extended: None,
        counts_only: false,
        alternatives: Vec::new(),
    };
    Window { source: WindowSource::Stored(select), range_ms, shift, extended: None }
}

/// All functions give for whole series what they give for one window after the other.
#[track_caller]
fn check(all: &[Vec<(i64, f64)>], grid: Grid, window: &Window) {
    for name in NAMES {
        let columns = resolve(name).expect("it has a kernel for columns");
        let kernel = range::resolve(name).expect("it is a function of ranges").kernel;
        let (mut spans, mut state) = (Spans::default(), ColumnState::default());
        state.param = BOUND;
        state.range_s = window.range_ms as f64 / 1000.0;
        let end_ms = |step| grid.time_ms(step) - window.shift.offset_ms;
        state.bounds_ms =
            (0..grid.count).map(|step| (end_ms(step) - window.range_ms, end_ms(step))).collect();
        for series in all {
            let mut samples = SeriesSamples::default();
            series.iter().for_each(|(t, v)| samples.floats.push(*t, *v));
            let mut got = Column::empty(grid.count);
            if spans.update(&samples.floats.timestamps_ms, &grid, window) {
                state.forget_timestamps();
            }
            columns(&mut state, &spans, &samples.floats.values, &mut got);
            let mut want = Column::empty(grid.count);
            let mut kernel_state = KernelState { params: [BOUND; 2], ..KernelState::default() };
            rates::find_resets(&samples.floats.values, &mut kernel_state.resets);
            for_each_view(&samples, &grid, window, Reach::default(), |view| {
                if let Out::Float(value) = kernel(&view, &mut kernel_state) {
                    want.set(view.step, value);
                }
                Ok(())
            })
            .expect("visiting does not fail");
            let bits = |column: &Column| -> Vec<Option<u64>> {
                let value = |at: usize| if column.values[at].is_nan() { f64::NAN } else { column.values[at] };
                (0..grid.count).map(|at| column.present.get(at).then(|| value(at).to_bits())).collect()
            };
            assert_eq!(bits(&got), bits(&want), "{name} of {series:?}");
        }
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-20i64..200).prop_map(|whole| whole as f64),
        4 => -1e3f64..1e3,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 1e308, 1e-320, 4.6e15]),
    ]
}

/// Several series of one target: most share their timestamps.
fn series() -> impl Strategy<Value = Vec<Vec<(i64, f64)>>> {
    let times = prop::collection::btree_set(-200i64..400, 1..90);
    let values = prop::collection::vec(prop::collection::vec(value(), 90), 1..4);
    let whole = prop::collection::vec((0i64..1000).prop_map(|whole| whole as f64), 90);
    (times, values, whole, any::<bool>()).prop_map(|(times, mut values, whole, drop_one)| {
        values.push(whole);
        let mut all: Vec<Vec<(i64, f64)>> =
            values.iter().map(|values| times.iter().copied().zip(values.iter().copied()).collect()).collect();
        if drop_one && times.len() > 1 {
            all[0].remove(times.len() / 2);
        }
        all
    })
}

proptest! {
    #[test]
    fn whole_series_give_what_single_windows_give(
        all in series(), start_ms in -100i64..100, step_ms in 1i64..60, count in 1usize..40,
        range_ms in 1i64..250, offset_ms in -50i64..50,
    ) {
        check(&all, Grid { start_ms, step_ms, count }, &window(range_ms, offset_ms));
    }
}

#[test]
fn a_counter_that_began_inside_is_not_extrapolated_below_zero() {
    let rising: Vec<(i64, f64)> = (0..40).map(|at| (at * 10, at as f64 * 2.0)).collect();
    let restarted: Vec<(i64, f64)> = (0..40).map(|at| (at * 10, (at % 7) as f64)).collect();
    check(&[rising, restarted], Grid { start_ms: 5, step_ms: 7, count: 60 }, &window(45, 0));
}
