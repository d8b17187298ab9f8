//! However many threads help, the answer is the same to the last bit, and so are its annotations.

use model::Labels;
use promql::Settings;
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

const STEP_MS: i64 = 15_000;
const SERIES: usize = 420;
const SAMPLES: i64 = 200;

/// Values whose sums depend on their order, gaps, and counters that start again.
fn rows() -> Vec<(Labels, Vec<(i64, f64)>)> {
    let row = |series: usize| {
        let name = if series.is_multiple_of(3) { "a_total" } else { "b" };
        let labels = Labels::from_pairs([
            ("__name__", name.to_owned()),
            ("group", (series % 7).to_string()),
            ("pod", format!("p{series:04}")),
        ]);
        let value = |at: i64| (at % 50) as f64 * 0.1 + 1e7 / (1 + series) as f64;
        let there = |at: &i64| !(series.is_multiple_of(5) && (80..110).contains(at));
        (labels, (0..SAMPLES).filter(there).map(|at| (at * STEP_MS, value(at))).collect())
    };
    (0..SERIES).map(row).collect()
}

const QUERIES: &[&str] = &[
    "sum by (group) (rate(a_total[5m]))",
    "avg(b)",
    "sum(sum_over_time(b[10m]))",
    "stddev by (group) ({__name__=~\".+\"})",
    "rate(b[5m])",
    "topk(5, increase(b[20m]))",
    "sum(rate(a_total[5m]) * on (pod) group_left a_total)",
    "quantile_over_time(1.5, b[5m])",
    "avg_over_time(sum by (group) (rate(b[5m]))[20m:1m])",
    "sum(timestamp(b)) by (group)",
    "max_over_time(b[10m]) - min_over_time(b[10m])",
];

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let storage = storage_of(&rows());
    let with = |helper_threads_max| {
        let settings = Settings { helper_threads_max, ..Settings::default() };
        Asked::new(storage.clone(), settings, Budget::unlimited())
    };
    let alone = with(0);
    for helped in [with(1), with(4)] {
        for query in QUERIES {
            let end_ms = SAMPLES * STEP_MS;
            let text = |asked: &Asked| {
                let range = asked.range(query, 0, end_ms, 60_000).expect("it can be evaluated");
                let instant = asked.instant(query, end_ms - STEP_MS).expect("it can be evaluated");
                [range, instant].map(|result| {
                    let counts = (result.stats.total_queryable_samples, result.stats.peak_samples);
                    // A float's debug form reads back as the same float.
                    format!("{:?} {:?} {:?} {counts:?}", result.value, result.warnings, result.infos)
                })
            };
            assert_eq!(text(&helped), text(&alone), "{query}");
        }
    }
}

#[test]
fn an_error_of_one_series_ends_the_query() {
    let storage = storage_of(&rows());
    let settings = Settings { helper_threads_max: 3, ..Settings::default() };
    let asked = Asked::new(storage, settings, Budget::unlimited());
    let wrong = asked.range("double_exponential_smoothing(b[5m], 2, 0.5)", 0, SAMPLES * STEP_MS, 30_000);
    let text = wrong.expect_err("the factor is too large").to_string();
    assert!(text.contains("invalid smoothing factor"), "{text}");
}
