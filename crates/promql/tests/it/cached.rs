//! Kept results: an answer with them is the same as without them, whatever is written in between.

use std::collections::BTreeSet;

use model::{Labels, TenantId};
use promql::{Engine, QueryOptions, QueryResult, Settings};
use proptest::prelude::*;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{Appender, WriteBatch};

const QUERIES: [&str; 18] = [
    "a",
    "sum by (n) (rate(a[1m]))",
    "avg(a) / count(a)",
    "max_over_time(a[2m])",
    "topk(2, a)",
    "a + on (n) group_left () sum by (n) (a)",
    "absent(a{n=\"1\"})",
    "max_over_time(sum(a)[2m:30s])",
    "a offset 1m",
    "a unless a > 5",
    "quantile(0.5, a)",
    "count_values(\"v\", a)",
    "a @ 100",
    "a offset -30s",
    "timestamp(a)",
    "sort_desc(-a or a)",
    "histogram_quantile(0.5, a)",
    "quantile_over_time(scalar(a{n=\"1\"}), a[1m])",
];

#[derive(Debug, Clone)]
enum Step {
    /// Samples of some series, so many seconds before or after the present.
    Write(Vec<(u8, i64, u8)>),
    /// A query, how many steps before the present it begins, and how many it has.
    Ask(usize, i64, i64),
    /// Time goes by, in seconds.
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sample = (0u8..4, prop_oneof![4 => -5i64..1, 1 => -300i64..30], 0u8..10);
    let step = prop_oneof![
        3 => prop::collection::vec(sample, 1..6).prop_map(Step::Write),
        4 => (0..QUERIES.len(), 0i64..30, 1i64..30).prop_map(|(query, back, count)| Step::Ask(query, back, count)),
        2 => (1i64..40).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

fn ask(
    engine: &Engine,
    storage: &MemoryStorage,
    query: &str,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
) -> QueryResult {
    let options = QueryOptions { lookback_ms: Some(45_000), ..QueryOptions::default() };
    let tenant = TenantId::anonymous();
    engine.range(storage, &tenant, query, start_ms, end_ms, step_ms, &options).expect(query)
}

fn write(storage: &MemoryStorage, now_ms: i64, samples: &[(u8, i64, u8)]) {
    let mut batch = WriteBatch::new();
    for (series, seconds, value) in samples {
        let labels = Labels::from_pairs([("__name__", "a"), ("n", &series.to_string())]);
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, now_ms + seconds * 1_000, f64::from(*value));
    }
    storage.append(&TenantId::anonymous(), &batch).expect("the reference takes everything");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn answers_are_the_same_with_and_without_kept_results(steps in steps(), step_s in prop_oneof![Just(10i64), Just(15)]) {
        let storage = MemoryStorage::new();
        let budget = Budget::root("results", 1 << 20);
        let cached = Engine::new(Settings::default(), Budget::unlimited()).with_result_cache(&budget, 1 << 20);
        let plain = Engine::new(Settings::default(), Budget::unlimited());
        let (mut now_ms, step_ms) = (1_000_000i64, step_s * 1_000);
        for step in steps {
            match step {
                Step::Write(samples) => write(&storage, now_ms, &samples),
                Step::Wait(seconds) => now_ms += seconds * 1_000,
                Step::Ask(query, back, count) => {
                    let start_ms = (now_ms / step_ms - back) * step_ms;
                    let end_ms = start_ms + count * step_ms;
                    let want = ask(&plain, &storage, QUERIES[query], start_ms, end_ms, step_ms);
                    for _ in 0..2 {
                        let got = ask(&cached, &storage, QUERIES[query], start_ms, end_ms, step_ms);
                        // As texts, in which all NaNs are one.
                        prop_assert_eq!(format!("{:?}", got.value), format!("{:?}", want.value), "{}", QUERIES[query]);
                        let sorted = |texts: &[String]| texts.iter().cloned().collect::<BTreeSet<_>>();
                        prop_assert_eq!(sorted(&got.warnings), sorted(&want.warnings), "{}", QUERIES[query]);
                        prop_assert_eq!(sorted(&got.infos), sorted(&want.infos), "{}", QUERIES[query]);
                    }
                }
            }
        }
    }
}

#[test]
fn a_dashboard_that_refreshes_evaluates_only_what_is_new() {
    let storage = MemoryStorage::new();
    let budget = Budget::root("results", 1 << 20);
    let engine = Engine::new(Settings::default(), Budget::unlimited()).with_result_cache(&budget, 1 << 20);
    let kept = |start_s: i64, end_s: i64| {
        ask(&engine, &storage, "sum(rate(a[1m]))", start_s * 1_000, end_s * 1_000, 15_000).stats.kept_steps
    };
    for second in 0..100 {
        write(&storage, second * 15_000, &[(0, 0, 1), (1, 0, 2)]);
    }
    assert_eq!(kept(0, 1_485), 0);
    assert_eq!(kept(0, 1_485), 100, "nothing is new");
    write(&storage, 1_500_000, &[(0, 0, 1)]);
    assert_eq!(kept(15, 1_500), 99, "one step is new");
    assert_eq!(kept(15, 1_500), 100);
    assert_eq!(kept(16, 1_501), 0, "other steps");
    write(&storage, 1_500_000, &[(0, -750, 9)]);
    assert_eq!(kept(15, 1_500), 49, "a late sample in the middle");
    assert_eq!(kept(150, 900), 0, "a part of which nobody knows whether what was said is about it");
    assert_eq!(kept(15, 1_500), 100, "it is still kept as a whole");
    assert!(budget.used_bytes() > 0);
    let options = QueryOptions { no_cache: true, ..QueryOptions::default() };
    let anew = engine
        .range(&*storage, &TenantId::anonymous(), "sum(rate(a[1m]))", 15_000, 1_500_000, 15_000, &options)
        .expect("evaluates");
    assert_eq!(anew.stats.kept_steps, 0);
    engine.reload(Settings::default());
    assert_eq!((kept(15, 1_500), budget.used_bytes() > 0), (0, true));
    engine.reload(Settings { results_cache: false, ..Settings::default() });
    assert_eq!((kept(15, 1_500), kept(15, 1_500), budget.used_bytes()), (0, 0, 0), "switched off");
}

#[test]
fn a_warning_goes_with_the_steps_it_is_about() {
    let storage = MemoryStorage::new();
    let budget = Budget::root("results", 1 << 20);
    let engine = Engine::new(Settings::default(), Budget::unlimited()).with_result_cache(&budget, 1 << 20);
    let query = "quantile_over_time(scalar(a{n=\"1\"}), a[1m])";
    for second in 0..100 {
        // No quantile, for the first ten.
        write(&storage, second * 15_000, &[(0, 0, 1), (1, 0, if second < 10 { 7 } else { 1 })]);
    }
    let ask = |start: i64, end: i64| ask(&engine, &storage, query, start * 15_000, end * 15_000, 15_000);
    let (first, again) = (ask(0, 80), ask(0, 80));
    assert_eq!((first.warnings.len(), again.warnings.len(), again.stats.kept_steps), (1, 1, 81));
    let later = ask(11, 90);
    assert!(later.warnings.is_empty(), "{:?}", later.warnings);
    let refreshed = ask(12, 91);
    assert!(refreshed.warnings.is_empty() && refreshed.stats.kept_steps == 79);
}
