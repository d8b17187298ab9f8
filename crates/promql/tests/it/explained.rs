//! What a query will cost and has cost, part by part.

use model::{Labels, TenantId};
use promql::{Cost, Engine, Limits, PlanNode, QueryOptions, Settings, When};
use stdx::memory::Budget;

use crate::data::storage_of;

const MINUTE_MS: i64 = 60_000;
const HOUR: When = When::Range { start_ms: 0, end_ms: 60 * MINUTE_MS, step_ms: MINUTE_MS };

fn engine(limits: Limits) -> Engine {
    Engine::new(Settings { limits, ..Settings::default() }, Budget::root("all", 1 << 30))
}

/// 20 series of `a`, with a sample each minute of an hour.
fn storage() -> std::sync::Arc<storage::memory::MemoryStorage> {
    let samples: Vec<(i64, f64)> = (0..=60).map(|minute| (minute * MINUTE_MS, minute as f64)).collect();
    let labels = |at: usize| Labels::from_pairs([("__name__", "a_total"), ("n", &at.to_string())]);
    let rows: Vec<_> = (0..20).map(|at| (labels(at), samples.clone())).collect();
    storage_of(&rows)
}

fn explain(query: &str) -> (Cost, PlanNode) {
    let options = QueryOptions::default();
    engine(Limits::default())
        .explain(&*storage(), &TenantId::anonymous(), query, HOUR, &options)
        .expect(query)
}

fn outline(node: &PlanNode) -> String {
    let children: Vec<String> = node.children.iter().map(outline).collect();
    if children.is_empty() {
        node.operator.clone()
    } else {
        format!("{}[{}]", node.operator, children.join(", "))
    }
}

#[test]
fn a_plan_is_a_tree_of_operators() {
    let check = |query: &str, want: &str| assert_eq!(outline(&explain(query).1), want, "{query}");
    check("sum by (n) (rate(a_total[5m])) / 2", "/[sum by (n)[rate[select range 5m]], number]");
    check("topk(3, -a_total) or vector(1)", "or[topk[number, -[select]], vector[number]]");
    check(
        "max_over_time(sum without (n) (a_total)[30m:1m])",
        "max_over_time[subquery 30m every 1m[sum without (n)[select]]]",
    );
    let (_, plan) = explain("sum(a_total) + a_total @ 60");
    assert_eq!(plan.children[0].children[0].text, "a_total");
    assert_eq!((plan.children[0].is_fixed, plan.children[1].is_fixed), (false, true));
    let estimate = plan.children[0].children[0].estimate.expect("of a selector");
    assert_eq!((estimate.series_count, estimate.sample_count), (20, 20 * 61));
    assert_eq!(plan.estimate, None);
    assert_eq!(plan.children[0].measured, None, "nothing was evaluated");
}

#[test]
fn a_cost_tells_what_must_be_held() {
    let (folded, _) = explain("sum(a_total)");
    assert_eq!((folded.series_count, folded.sample_count, folded.step_count), (20, 1_220, 61));
    assert_eq!(folded.memory_bytes, 0);
    let (held, _) = explain("a_total");
    assert!(held.memory_bytes >= 20 * 61 * 9, "{held:?}");
    let (fixed, _) = explain("sum(a_total @ 60) or a_total @ 60");
    assert!(fixed.memory_bytes < held.memory_bytes, "{fixed:?}");
}

#[test]
fn what_cannot_fit_is_refused_before_it_runs() {
    let ask = |limits: Limits, query: &str| {
        let engine = engine(limits);
        let options = QueryOptions::default();
        let result =
            engine.range(&*storage(), &TenantId::anonymous(), query, 0, 60 * MINUTE_MS, MINUTE_MS, &options);
        let top = engine.top_queries(None, promql::TopBy::Time, 1);
        (result.map(|_| ()).map_err(|error| error.to_string()), top[0].samples_read)
    };
    let memory = || Limits { memory_bytes_max: Some(7_000), ..Limits::default() };
    let (refused, samples_read) = ask(memory(), "a_total");
    let refused = refused.expect_err("it cannot fit");
    assert!(
        refused.starts_with("by an estimate, the query would hold too many bytes of memory: "),
        "{refused}"
    );
    assert!(refused.ends_with("and the limit is 7000; ask for less, or raise query.max_memory"), "{refused}");
    assert_eq!(samples_read, 0, "nothing was read");
    let series = || Limits { series_max: 9, ..Limits::default() };
    let (refused, samples_read) = ask(series(), "sum(a_total)");
    let want = "by an estimate, the query selects too many series: 20, and the limit is 9; ask for less, or raise \
                query.max_series";
    assert_eq!((refused, samples_read), (Err(want.to_owned()), 0));
}

#[test]
fn a_trace_tells_what_each_part_has_done() {
    let engine = engine(Limits::default());
    let options = QueryOptions { trace: true, ..QueryOptions::default() };
    let query = "sum by (n) (rate(a_total[5m])) > 0";
    let result = engine
        .range(&*storage(), &TenantId::anonymous(), query, 0, 60 * MINUTE_MS, MINUTE_MS, &options)
        .expect("evaluates");
    let plan = result.plan.expect("it was asked for");
    assert_eq!(outline(&plan), ">[sum by (n)[rate[select range 5m]], number]");
    let sum = &plan.children[0];
    let measured = |node: &PlanNode| node.measured.expect("measured");
    assert_eq!((measured(sum).series_count, measured(sum).sample_count), (20, 20 * 60));
    let rate = &sum.children[0];
    assert_eq!((measured(rate).evaluation_count, measured(rate).series_count), (1, 20));
    assert!(measured(&plan).took >= measured(sum).took && measured(sum).took >= measured(rate).took);
    let reading = rate.children[0].reading.expect("it reads");
    assert_eq!((reading.selected_count, reading.series_count, reading.sample_count), (20, 20, 1_220));
    assert_eq!(reading.bytes, 1_220 * 16);
    let plain = QueryOptions::default();
    let result = engine.instant(&*storage(), &TenantId::anonymous(), query, 0, &plain).expect("evaluates");
    assert_eq!(result.plan, None);
}
