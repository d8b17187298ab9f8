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
    "stddev_over_time",
    "stdvar_over_time",
    "quantile_over_time",
    "mad_over_time",
    "median_over_time",
    "mode_over_time",
    "distinct_over_time",
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

/// Those that add up.
const SUMS: &[&str] = &["sum_over_time", "avg_over_time"];
/// Those of distributions.
const DISTRIBUTIONS: &[&str] = &[
    "stddev_over_time",
    "stdvar_over_time",
    "quantile_over_time",
    "mad_over_time",
    "median_over_time",
    "mode_over_time",
    "distinct_over_time",
];

/// What functions with a bound compare with; the quantile.
fn param(name: &str) -> f64 {
    if name == "quantile_over_time" { 0.3 } else { 7.0 }
}

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
fn check(names: &[&str], all: &[Vec<(i64, f64)>], grid: Grid, window: &Window) {
    for name in names {
        let columns = resolve(name).expect("it has a kernel for columns");
        let kernel = range::resolve(name).expect("it is a function of ranges").kernel;
        let (mut spans, mut state) = (Spans::default(), ColumnState::default());
        state.param = param(name);
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
            let mut kernel_state = KernelState { params: [param(name); 2], ..KernelState::default() };
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

/// What is measured, and what would be hard to add up.
fn realistic() -> impl Strategy<Value = Vec<f64>> {
    const LEN: usize = 400;
    let decimals =
        |scale: f64| prop::collection::vec((-100_000i64..1_000_000).prop_map(move |v| v as f64 / scale), LEN);
    let counter = (0f64..1e9, prop::collection::vec(0f64..100.0, LEN)).prop_map(|(start, steps)| {
        let mut value = start;
        let next = |step: &f64| {
            value += step;
            value
        };
        steps.iter().map(next).collect()
    });
    let fractions = prop::collection::vec((0i64..500, 1i64..500).prop_map(|(a, b)| a as f64 / b as f64), LEN);
    let magnitudes = prop::collection::vec(
        (-9.99f64..9.99, -30i32..30).prop_map(|(digits, exponent)| digits * 10_f64.powi(exponent)),
        LEN,
    );
    let cancelling = (prop::collection::vec(-1e12f64..1e12, LEN), 1e-9f64..1.0).prop_map(|(values, rest)| {
        let pair = |at: usize, value: f64| [value, if at.is_multiple_of(5) { rest } else { -value }];
        values.iter().enumerate().flat_map(|(at, value)| pair(at, *value)).take(LEN).collect()
    });
    let constant = (-10f64..10.0).prop_map(|value| vec![value; LEN]);
    let mostly_zero = prop::collection::vec(
        prop_oneof![60 => Just(0.0), 1 => 1e-12f64..1e3, 1 => Just(-0.0), 1 => -1e-3f64..1e-3],
        LEN,
    );
    let with_gaps = prop::collection::vec(
        prop_oneof![
            40 => -1e3f64..1e3,
            1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        ],
        LEN,
    );
    let huge = prop::collection::vec(prop_oneof![9 => -1e3f64..1e3, 1 => -1.7e308f64..1.7e308], LEN);
    let tiny = prop::collection::vec(
        (-9.99f64..9.99, -320i32..-200).prop_map(|(digits, exponent)| digits * 10_f64.powi(exponent)),
        LEN,
    );
    let bits = prop::collection::vec(any::<u64>().prop_map(f64::from_bits), LEN);
    prop_oneof![
        decimals(10.0),
        decimals(1e3),
        counter,
        fractions,
        magnitudes,
        cancelling,
        constant,
        mostly_zero,
        with_gaps,
        huge,
        tiny,
        bits
    ]
}

fn every_second(values: &[f64]) -> Vec<Vec<(i64, f64)>> {
    vec![values.iter().enumerate().map(|(at, value)| (at as i64 * 1_000, *value)).collect()]
}

proptest! {
    #[test]
    fn sums_and_means_are_those_of_one_value_after_the_other(
        values in realistic(), step_s in 1i64..9, count in 2usize..300, range_s in 1i64..400,
    ) {
        let grid = Grid { start_ms: 0, step_ms: step_s * 1_000, count };
        check(SUMS, &every_second(&values), grid, &window(range_s * 1_000, 0));
    }

    #[test]
    fn distributions_are_those_of_one_window_after_the_other(
        values in realistic(), step_s in 1i64..9, count in 2usize..60, range_s in 1i64..400,
    ) {
        let grid = Grid { start_ms: 100_000, step_ms: step_s * 1_000, count };
        check(DISTRIBUTIONS, &every_second(&values), grid, &window(range_s * 1_000, 0));
    }

    #[test]
    fn whole_series_give_what_single_windows_give(
        all in series(), start_ms in -100i64..100, step_ms in 1i64..60, count in 1usize..40,
        range_ms in 1i64..250, offset_ms in -50i64..50,
    ) {
        check(NAMES, &all, Grid { start_ms, step_ms, count }, &window(range_ms, offset_ms));
    }
}

#[test]
fn a_counter_that_began_inside_is_not_extrapolated_below_zero() {
    let rising: Vec<(i64, f64)> = (0..40).map(|at| (at * 10, at as f64 * 2.0)).collect();
    let restarted: Vec<(i64, f64)> = (0..40).map(|at| (at * 10, (at % 7) as f64)).collect();
    check(NAMES, &[rising, restarted], Grid { start_ms: 5, step_ms: 7, count: 60 }, &window(45, 0));
}
