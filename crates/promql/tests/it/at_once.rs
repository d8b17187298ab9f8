//! What is answered at once is little, the same as otherwise, and counted as otherwise.

use model::{Labels, TenantId};
use promql::{QueryError, QueryOptions, Settings, TopBy, When};
use sim::querier::Intercepted;
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

const MINUTE_MS: i64 = 60_000;
const RANGE: When = When::Range { start_ms: 0, end_ms: 60 * MINUTE_MS, step_ms: MINUTE_MS };
const INSTANT: When = When::Instant { time_ms: 30 * MINUTE_MS };

fn asked(series: usize) -> Asked {
    let samples: Vec<(i64, f64)> = (0..=60).map(|minute| (minute * MINUTE_MS, minute as f64)).collect();
    let labels = |at: usize| Labels::from_pairs([("__name__", "a"), ("n", &at.to_string())]);
    let rows: Vec<_> = (0..series).map(|at| (labels(at), samples.clone())).collect();
    Asked::new(storage_of(&rows), Settings::default(), Budget::root("all", 1 << 30))
}

fn at_once(asked: &Asked, query: &str, when: When) -> Option<Result<promql::QueryResult, QueryError>> {
    let tenant = TenantId::anonymous();
    asked.engine.at_once(asked.storage.as_ref(), &tenant, query, when, &asked.options)
}

#[test]
fn what_is_little_is_answered_at_once_and_the_same() {
    let asked = asked(3);
    for query in [
        "a",
        "1 + 1",
        "absent(missing)",
        "sum(rate(a[5m])) / count(a)",
        "quantile_over_time(0.9, a[10m])",
        "topk(2, -a) or a > 3",
        "deriv(a[5m])",
        "avg by (n) (a offset 5m)",
    ] {
        for when in [INSTANT, RANGE] {
            let got = at_once(&asked, query, when).unwrap_or_else(|| panic!("{query} is little"));
            let tenant = TenantId::anonymous();
            let want = asked.engine.evaluate(asked.storage.as_ref(), &tenant, query, when, &asked.options);
            let (got, want) = (got.expect("evaluated"), want.expect("evaluated"));
            assert_eq!(got.value, want.value, "{query}");
            assert_eq!(got.stats.total_queryable_samples, want.stats.total_queryable_samples, "{query}");
        }
    }
    let top = asked.engine.top_queries(None, TopBy::Count, 100);
    assert!(top.iter().all(|text| text.count == 2 && text.error_count == 0), "{top:?}");
    assert!(asked.engine.active_queries(None).is_empty());
}

#[test]
fn what_is_much_or_cannot_be_foreseen_is_not() {
    let asked = asked(3);
    let long = format!("a{}", " + a".repeat(600));
    for query in [
        "max_over_time(a[1h:1s])",
        "label_replace(a, \"n\", \"$1\", \"n\", \"(.*)\")",
        "count_values(\"v\", a)",
        "info(a)",
        "a smoothed",
        "a +",
        &long,
    ] {
        assert!(at_once(&asked, query, RANGE).is_none(), "{query}");
    }
    assert!(at_once(&asked, "a", When::Range { start_ms: 0, end_ms: 1 << 40, step_ms: 1_000 }).is_none());
    assert!(at_once(&self::asked(3_000), "a", INSTANT).is_none());
    assert!(asked.engine.top_queries(None, TopBy::Count, 100).is_empty(), "nothing has happened");
}

#[test]
fn who_would_have_to_wait_or_is_traced_is_not_answered_at_once() {
    let asked = asked(3);
    let tenant = TenantId::anonymous();
    let options = QueryOptions { trace: true, ..QueryOptions::default() };
    assert!(asked.engine.at_once(asked.storage.as_ref(), &tenant, "a", INSTANT, &options).is_none());
    // This storage does not say what is at hand.
    let other = Intercepted::endless(storage_of(&[]));
    assert!(asked.engine.at_once(&*other, &tenant, "a", INSTANT, &asked.options).is_none());
}
