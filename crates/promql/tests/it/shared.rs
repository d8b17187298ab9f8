//! Parts that stand in a query more than once are evaluated once, and nobody can tell: the same bits, the same
//! annotations at the same places, the same counts.
//!
//! In the queries `A` is a metric, chosen by a matcher that excludes nothing. With the same matcher everywhere, equal
//! parts are shared; with another one at each place, of the same length, nothing is.

use model::Labels;
use promql::{PlanNode, QueryOptions, Settings, When};
use proptest::prelude::*;
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

const MINUTE_MS: i64 = 60_000;

const QUERIES: &[&str] = &[
    "A - A",
    "-A + A * 2 - A",
    "sum(A) / count(A)",
    "sum by (x) (rate(A[W])) / sum by (x) (rate(A[W]))",
    "rate(A[W]) / on (x, y) sum by (x, y) (rate(A[W]))",
    "topk(2, A) or bottomk(1, A) or A",
    "(A > 3) or (A > 3) * 2",
    "quantile(1.5, A) + quantile(1.5, A)",
    "histogram_quantile(0.5, A) or histogram_quantile(2, A)",
    "max_over_time(rate(A[W])[10m:1m]) - min_over_time(rate(A[W])[10m:1m])",
    "avg_over_time(sum(A)[10m:1m]) + avg_over_time(sum(A)[10m:1m]) + sum(A)",
    "sum(A @ 900) + sum(A @ 900) + A @ 900",
    "timestamp(A) - A + timestamp(A)",
    "sort(A) or A",
    "count_values(\"v\", A) or count_values(\"v\", A)",
    "scalar(sum(A)) * A + scalar(sum(A))",
    "absent(A) or absent(A) or A",
    "label_replace(A, \"z\", \"$1\", \"x\", \"(.*)\") or A or label_replace(A, \"z\", \"$1\", \"x\", \"(.*)\")",
    "running_sum(A) - running_sum(A) + range_max(A)",
    "A default A if A",
    "limit_ratio(0.5, A) or limit_ratio(0.5, A)",
    "sum without (__name__) (A) + on (x, y) A",
];

/// The query with the same matcher everywhere, and with a different one at each place.
fn both(query: &str, window_s: i64) -> [String; 2] {
    let query = query.replace("[W]", &format!("[{window_s}s]"));
    [true, false].map(|is_shared| {
        let mut text = String::new();
        for (at, part) in query.split('A').enumerate() {
            let letter = if is_shared { 'a' } else { char::from(b'a' + at as u8) };
            if at > 0 {
                text.push_str(&format!("a{{no_{letter}=\"\"}}"));
            }
            text.push_str(part);
        }
        text
    })
}

fn shared_count(node: &PlanNode) -> usize {
    usize::from(node.is_shared) + node.children.iter().map(shared_count).sum::<usize>()
}

fn asked(rows: &[(Labels, Vec<(i64, f64)>)], budget: std::sync::Arc<Budget>) -> Asked {
    let mut asked = Asked::new(storage_of(rows), Settings::default(), budget);
    asked.options.per_step_stats = true;
    asked
}

/// All that a user sees of a query's result.
fn seen(asked: &Asked, query: &str, end_ms: i64) -> [String; 2] {
    let range = asked.range(query, 0, end_ms, MINUTE_MS);
    let instant = asked.instant(query, end_ms / 2);
    [range, instant].map(|result| match result {
        Ok(result) => format!(
            "{:?} {:?} {:?} {} {:?}",
            result.value,
            result.warnings,
            result.infos,
            result.stats.total_queryable_samples,
            result.stats.total_queryable_samples_per_step,
        ),
        Err(error) => error.to_string(),
    })
}

fn rows() -> impl Strategy<Value = Vec<(Labels, Vec<(i64, f64)>)>> {
    let samples = proptest::collection::btree_map(0i64..120, -9i32..20, 0..80);
    proptest::collection::btree_map((0usize..3, 0usize..3), samples, 1..7).prop_map(|all| {
        let labels = |x: usize, y: usize| {
            let (x, y) = (x.to_string(), y.to_string());
            Labels::from_pairs([
                ("__name__", "a"),
                ("x", &x),
                ("y", &y),
                ("le", ["1", "2", "+Inf"][y.len() % 3]),
            ])
        };
        let row = |samples: std::collections::BTreeMap<i64, i32>| {
            samples.into_iter().map(|(t, v)| (t * 20_000, f64::from(v) / 4.0)).collect()
        };
        all.into_iter().map(|((x, y), samples)| (labels(x, y), row(samples))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_tell(rows in rows(), query in proptest::sample::select(QUERIES), window_s in 30i64..400) {
        let asked = asked(&rows, Budget::unlimited());
        let [shared, apart] = both(query, window_s);
        let (with, without) = (seen(&asked, &shared, 40 * MINUTE_MS), seen(&asked, &apart, 40 * MINUTE_MS));
        prop_assert_eq!(with, without, "{}", shared);
    }
}

fn plan_of(asked: &Asked, query: &str) -> PlanNode {
    let when = When::Range { start_ms: 0, end_ms: 40 * MINUTE_MS, step_ms: MINUTE_MS };
    let tenant = model::TenantId::anonymous();
    asked.engine.explain(asked.storage.as_ref(), &tenant, query, when, &asked.options).expect(query).1
}

#[test]
fn the_largest_equal_parts_are_shared() {
    let asked = asked(&[], Budget::unlimited());
    let check = |query: &str, want: usize| assert_eq!(shared_count(&plan_of(&asked, query)), want, "{query}");
    for query in QUERIES {
        let [shared, apart] = both(query, 60);
        assert!(shared_count(&plan_of(&asked, &shared)) > 1, "{shared}");
        check(&apart, 0);
    }
    check("sum(rate(a[5m])) / sum(rate(a[5m]))", 2);
    check("sum(rate(a{x=\"1\"}[5m])) / sum(rate(a[5m]))", 0);
    check("a - a offset 0s", 2);
    check("a - a offset 1s", 0);
    check("a - a @ 1", 0);
    check("rate(a[5m]) - rate(a[6m])", 0);
    check("sum by (x) (a) - sum without (x) (a)", 2);
    check("1 + 1 + vector(1) + vector(1)", 0);
    check("max_over_time(rate(a[5m])[1h:1m]) - max_over_time(rate(a[5m])[2h:1m])", 0);
    check("histogram_count(a) + histogram_quantile(0.5, a)", 0);
    check("(a + fill(0) a) or (a + fill(-0) a)", 4);
}

#[test]
fn an_equal_part_is_read_once() {
    let samples: Vec<(i64, f64)> = (0..100).map(|at| (at * 20_000, at as f64)).collect();
    let rows: Vec<_> = (0..30)
        .map(|n: u32| (Labels::from_pairs([("__name__", "a"), ("x", &n.to_string())]), samples.clone()))
        .collect();
    let check = |budget: std::sync::Arc<Budget>, query: &str, want: u64| {
        let mut asked = asked(&rows, std::sync::Arc::clone(&budget));
        asked.options = QueryOptions { trace: true, ..QueryOptions::default() };
        let result = asked.range(query, 0, 30 * MINUTE_MS, MINUTE_MS).expect(query);
        fn read(node: &PlanNode) -> u64 {
            node.reading.map_or(0, |reading| reading.series_count)
                + node.children.iter().map(read).sum::<u64>()
        }
        assert_eq!(read(&result.plan.expect("asked for")), want, "{query}");
        drop(result.held);
        assert_eq!(budget.used_bytes(), 0, "{query}");
    };
    check(Budget::root("all", 1 << 30), "sum(a) / count(a) + max(a)", 30);
    check(Budget::root("all", 1 << 30), "sum(rate(a[5m])) / sum(rate(a[5m]))", 30);
    // What does not fit is read again.
    check(Budget::root("all", 100 << 10), "sum(a) / count(a) + max(a)", 90);
}
