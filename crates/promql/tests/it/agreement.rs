//! An instant query is a range query of one step: both give the same bits at the same time, on random data. And
//! both give what a plain loop over the samples would.

use std::collections::BTreeMap;

use model::{Labels, STALE_NAN, is_stale};
use promql::value::{SampleValue, VectorSample};
use promql::{QueryResult, Settings, Value};
use proptest::prelude::*;
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

const SECOND_MS: i64 = 1_000;

/// Queries in which `W` stands for a window and `O` for an offset.
const QUERIES: &[&str] = &[
    "a",
    "a offset O",
    "-a",
    "a * 2 > 1",
    "3 - a",
    "a == bool 1",
    "rate(a[W])",
    "increase(a[W] offset O)",
    "delta(a[W])",
    "irate(a[W])",
    "idelta(a[W])",
    "deriv(a[W])",
    "predict_linear(a[W], 60)",
    "sum_over_time(a[W])",
    "avg_over_time(a[W])",
    "stddev_over_time(a[W])",
    "min_over_time(a[W]) + max_over_time(a[W])",
    "quantile_over_time(0.3, a[W])",
    "changes(a[W]) + resets(a[W])",
    "last_over_time(a[W])",
    "absent_over_time(a[W])",
    "sum_over_time(a[W:10s])",
    "max_over_time(rate(a[W])[W:7s] offset O)",
    "sum by (x) (a)",
    "avg without (y) (rate(a[W]))",
    "stddev(a)",
    "count(a) or vector(0)",
    "quantile by (x) (0.7, a)",
    "topk(2, a)",
    "bottomk by (x) (1, a)",
    "count_values(\"v\", a)",
    "limitk(2, a)",
    "a + on (x, y) b",
    "a and on (x) b",
    "a or b",
    "a unless on (y) b",
    "a / on (x) group_left sum by (x) (b)",
    "a > on (x, y) b",
    "label_replace(a, \"z\", \"$1\", \"x\", \"(.*)\")",
    "absent(b)",
    "scalar(b{x=\"0\", y=\"0\"}) + a",
    "clamp(a, -1, scalar(b{x=\"0\", y=\"0\"}))",
    "round(a, 0.5)",
    "timestamp(a)",
    "time() - timestamp(a)",
    "hour(a * 1000)",
    "vector(time())",
    "increase_exact(a[W])",
    "rate_exact(a[W] offset O)",
    "count_gt_over_time(a[W], 1)",
    "count_ne_over_time(a[W:10s], scalar(b{x=\"0\", y=\"0\"}))",
    "share_le_over_time(a[W], 0.5)",
    "median_over_time(a[W]) + mode_over_time(a[W])",
    "distinct_over_time(a[W])",
    "zscore_over_time(a[W])",
    "lag(a[W])",
    "tlast_change_over_time(a[W])",
    "a if on (x) b",
    "a ifnot b",
    "a ifnot count(b)",
    "union(a, -a, b)",
    "median by (x) (a)",
    "share(a)",
    "zscore by (y) (a)",
    "label_map(a, \"x\", \"0\", \"9\")",
    "a{x=\"0\" or y=\"1\"}",
    "WITH (w = a, f(v) = v + 1Ki) f(w)",
    "a smoothed",
    "increase(a[W] smoothed)",
    "a @ 120",
    "rate(a[W] @ 200)",
];

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => (-50i32..50).prop_map(|v| f64::from(v) / 4.0),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        2 => Just(STALE_NAN),
        1 => Just(1e100),
    ]
}

fn series() -> impl Strategy<Value = Vec<(Labels, Vec<(i64, f64)>)>> {
    let samples = proptest::collection::btree_map(0i64..600, value(), 0..60);
    proptest::collection::btree_map((0usize..2, 0usize..3, 0usize..2), samples, 1..9).prop_map(|all| {
        let labels = |name: usize, x: usize, y: usize| {
            Labels::from_pairs([
                ("__name__", ["a", "b"][name]),
                ("x", ["0", "1", "2"][x]),
                ("y", ["0", "1"][y]),
            ])
        };
        let to_ms =
            |samples: BTreeMap<i64, f64>| samples.into_iter().map(|(t, v)| (t * SECOND_MS, v)).collect();
        all.into_iter().map(|((name, x, y), samples)| (labels(name, x, y), to_ms(samples))).collect()
    })
}

/// What a range query gives at one of its steps, by labels.
fn at_step(result: &QueryResult, time_ms: i64) -> BTreeMap<Labels, u64> {
    let Value::Matrix(series) = &result.value else { panic!("a range query gives a matrix") };
    let mut found = BTreeMap::new();
    for one in series {
        if let Some((_, value)) = one.floats.iter().find(|(t, _)| *t == time_ms) {
            found.insert(one.labels.clone(), bits(*value));
        }
    }
    found
}

fn instant(result: &QueryResult) -> BTreeMap<Labels, u64> {
    let sample = |sample: &VectorSample| match &sample.value {
        SampleValue::Float(value) => (sample.labels.clone(), bits(*value)),
        SampleValue::Histogram(_) => panic!("there are no histograms here"),
    };
    match &result.value {
        Value::Vector(samples) => samples.iter().map(sample).collect(),
        Value::Scalar { value, .. } => BTreeMap::from([(Labels::empty(), bits(*value))]),
        other => panic!("unexpected {other:?}"),
    }
}

/// All NaNs are one.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn instant_and_range_queries_agree(
        rows in series(), query in proptest::sample::select(QUERIES), window_s in 1i64..200, offset_s in -60i64..60,
        start_s in -50i64..600, step_s in 1i64..90, steps in 1i64..8, lookback_s in 1i64..300,
    ) {
        let query = query.replace('W', &format!("{window_s}s")).replace('O', &format!("{offset_s}s"));
        let mut asked = Asked::new(storage_of(&rows), Settings::default(), Budget::unlimited());
        asked.options.lookback_ms = Some(lookback_s * SECOND_MS);
        let (start_ms, step_ms) = (start_s * SECOND_MS, step_s * SECOND_MS);
        let end_ms = start_ms + (steps - 1) * step_ms;
        let times: Vec<i64> = (0..steps).map(|at| start_ms + at * step_ms).collect();
        let instants: Vec<_> = times.iter().map(|time_ms| asked.instant(&query, *time_ms)).collect();
        match asked.range(&query, start_ms, end_ms, step_ms) {
            Ok(range) => {
                for (time_ms, result) in times.iter().zip(instants) {
                    let result = result.map_err(|e| TestCaseError::fail(format!("{query}: {e}")))?;
                    prop_assert_eq!(instant(&result), at_step(&range, *time_ms), "{} at {}", query, time_ms);
                }
            }
            // What is ambiguous at one step is an error of the whole.
            Err(error) => {
                let any = instants.iter().any(|result| result.as_ref().is_err_and(|e| e.to_string() == error.to_string()));
                prop_assert!(any, "{}: {}", query, error);
            }
        }
    }

    #[test]
    fn windows_and_lookback_are_those_of_a_plain_loop(
        samples in proptest::collection::btree_map(0i64..300, value(), 0..80),
        start_s in -50i64..300, step_s in 1i64..60, steps in 1usize..8, window_s in 1i64..120, lookback_s in 1i64..120,
    ) {
        let samples: Vec<(i64, f64)> = samples.into_iter().map(|(t, v)| (t * SECOND_MS, v)).collect();
        let rows = [(Labels::from_pairs([("__name__", "a")]), samples.clone())];
        let mut asked = Asked::new(storage_of(&rows), Settings::default(), Budget::unlimited());
        asked.options.lookback_ms = Some(lookback_s * SECOND_MS);
        let (start_ms, step_ms) = (start_s * SECOND_MS, step_s * SECOND_MS);
        let end_ms = start_ms + (steps as i64 - 1) * step_ms;
        let ask = |query: &str| asked.range(query, start_ms, end_ms, step_ms);
        let (latest, count, sum) = (ask("a"), ask(&format!("count_over_time(a[{window_s}s])")), ask(&format!("sum_over_time(a[{window_s}s])")));
        for step in 0..steps as i64 {
            let time_ms = start_ms + step * step_ms;
            let only = |result: &Result<QueryResult, _>| at_step(result.as_ref().expect("evaluates"), time_ms).into_values().next();
            let seen = samples.iter().rev().find(|(t, _)| *t <= time_ms);
            let want = seen.filter(|(t, v)| *t > time_ms - lookback_s * SECOND_MS && !is_stale(*v));
            prop_assert_eq!(only(&latest), want.map(|(_, v)| bits(*v)));
            let inside = |(t, v): &&(i64, f64)| *t > time_ms - window_s * SECOND_MS && *t <= time_ms && !is_stale(*v);
            let window: Vec<f64> = samples.iter().filter(inside).map(|(_, v)| *v).collect();
            let number = (!window.is_empty()).then_some(window.len() as f64);
            prop_assert_eq!(only(&count), number.map(bits));
            // Quarters are exact, so that any order of addition gives the same; larger values are left to others.
            if window.iter().all(|v| v.abs() < 100.0) {
                prop_assert_eq!(only(&sum), number.map(|_| bits(window.iter().sum::<f64>() + 0.0)));
            }
        }
    }
}
