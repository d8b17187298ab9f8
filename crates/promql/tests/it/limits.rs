//! What a query may use, how it is stopped, and what it says it cost.

use std::time::Duration;

use model::Labels;
use promql::{Limits, QueryError, Settings, Value};
use stdx::cancel::Cancel;
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

const MINUTE_MS: i64 = 60_000;

/// `series` series of `a` with a sample every minute for an hour.
fn many(series: usize) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let samples: Vec<(i64, f64)> = (0..=60).map(|minute| (minute * MINUTE_MS, minute as f64)).collect();
    let labels = |at: usize| Labels::from_pairs([("__name__", "a"), ("n", &at.to_string())]);
    (0..series).map(|at| (labels(at), samples.clone())).collect()
}

fn with(settings: Settings) -> Asked {
    Asked::new(storage_of(&many(10)), settings, Budget::unlimited())
}

fn limited(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

#[track_caller]
fn check_error(result: Result<promql::QueryResult, QueryError>, want: &str) -> QueryError {
    let error = result.expect_err("must fail");
    assert!(error.to_string().contains(want), "{error}");
    error
}

#[test]
fn too_many_samples_are_refused_in_prometheus_words() {
    let asked = with(limited(Limits { samples_max: 300, ..Limits::default() }));
    let text = "query processing would load too many samples into memory in query execution";
    for query in ["a", "a + a", "sort(a)", "rate(a[30m])", "avg_over_time(a[1h:1s])", "-a or a"] {
        check_error(asked.range(query, 0, 60 * MINUTE_MS, MINUTE_MS), text);
    }
    // What is aggregated while it passes is never held.
    assert!(asked.range("sum(a)", 0, 60 * MINUTE_MS, MINUTE_MS).is_ok());
    assert!(asked.instant("a", MINUTE_MS).is_ok());
}

#[test]
fn labels_that_are_made_of_labels_do_not_grow_without_bound() {
    let doubled = |times: usize| {
        (0..times).fold("a".to_owned(), |inner, _| {
            format!("label_replace({inner}, \"n\", \"x$1$1\", \"n\", \"(.*)\")")
        })
    };
    let asked = with(Settings::default());
    assert!(asked.instant(&doubled(10), MINUTE_MS).is_ok());
    check_error(
        asked.instant(&doubled(40), MINUTE_MS),
        "a value of label n would be longer than 1048576 bytes",
    );
    let joined =
        (0..40).fold("a".to_owned(), |inner, _| format!("label_join({inner}, \"n\", \"-\", \"n\", \"n\")"));
    check_error(asked.instant(&joined, MINUTE_MS), "a value of label n would be longer than 1048576 bytes");
    // Shorter ones are charged.
    let asked = Asked::new(storage_of(&many(10)), Settings::default(), Budget::root("queries", 1 << 20));
    check_error(asked.instant(&doubled(18), MINUTE_MS), "memory limit");
}

#[test]
fn a_query_beyond_its_budget_is_refused_and_gives_everything_back() {
    let budget = Budget::root("queries", 40_000);
    let asked = Asked::new(storage_of(&many(50)), Settings::default(), budget.clone());
    let error =
        check_error(asked.range("a", 0, 60 * MINUTE_MS, MINUTE_MS), "memory limit of one query reached");
    assert!(matches!(&error, QueryError::Storage(e) if e.kind() == storage::ErrorKind::Limit), "{error:?}");
    assert_eq!(budget.used_bytes(), 0);
    assert!(asked.range("sum(a)", 0, 60 * MINUTE_MS, MINUTE_MS).is_ok());
    assert_eq!(budget.used_bytes(), 0);
    assert!(budget.peak_bytes() > 0);
}

#[test]
fn more_steps_than_samples_are_refused_before_anything_is_allocated() {
    let asked = with(Settings::default());
    let text = "query processing would load too many samples into memory in query execution";
    for query in
        ["sum_over_time(a[100y:1ms])", "sum_over_time(vector(1)[100y:1ms])", "absent_over_time(b[100y:1ms])"]
    {
        check_error(asked.instant(query, 0), text);
    }
    for query in ["a", "vector(1)", "time()", "1", "sum(a)", "absent(b)"] {
        check_error(asked.range(query, 0, i64::MAX, 1), text);
    }
}

#[test]
fn a_query_stops_when_its_time_is_up_or_its_client_is_gone() {
    let asked = with(limited(Limits { timeout: Duration::ZERO, ..Limits::default() }));
    let error = check_error(asked.instant("a", 0), "query timed out in expression evaluation");
    assert!(matches!(error, QueryError::TimedOut(_)));

    let mut asked = with(Settings::default());
    asked.options.cancel = Cancel::never();
    asked.options.cancel.cancel();
    let error = check_error(asked.instant("a", 0), "query was canceled in expression evaluation");
    assert!(matches!(error, QueryError::Cancelled(_)));
    asked.options.cancel = Cancel::after(Duration::ZERO);
    check_error(asked.instant("a", 0), "query timed out in");
}

#[test]
fn absurd_ranges_are_bad_requests() {
    let asked = with(Settings::default());
    let check = |start_ms, end_ms, step_ms, want: &str| {
        let error = check_error(asked.range("a", start_ms, end_ms, step_ms), want);
        assert!(matches!(error, QueryError::BadRequest(_)), "{error:?}");
    };
    check(0, 10, 0, "zero or negative query resolution step widths are not accepted");
    check(0, 10, -5, "zero or negative query resolution step widths are not accepted");
    check(10, 0, 5, "end timestamp must not be before start time");
    let error = check_error(
        asked.range("a[1m]", 0, 10, 5),
        "invalid expression type \"range vector\" for range query",
    );
    assert!(matches!(error, QueryError::BadRequest(_)));
    check_error(asked.range("\"text\"", 0, 10, 5), "invalid expression type \"string\" for range query");
}

#[test]
fn times_at_the_end_of_the_world_do_no_harm() {
    let asked = with(Settings::default());
    for time_ms in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
        for query in
            ["a", "rate(a[5m])", "a offset 100y", "sum_over_time(a[1h:1m])", "a @ 1", "year()", "absent(a)"]
        {
            assert!(asked.instant(query, time_ms).is_ok(), "{query} at {time_ms}");
        }
        assert!(asked.range("a", time_ms, time_ms, 1).is_ok());
    }
}

#[test]
fn the_deepest_tree_fits_on_a_small_stack() {
    // Blocking threads have 2 MiB.
    let run = || {
        let asked = with(Settings::default());
        let chain = vec!["a"; promql::parser::HEIGHT_MAX - 100].join(" + ");
        let nested = format!("{}a{}", "abs(".repeat(90), ")".repeat(90));
        let ors = vec!["a"; 200].join(" or ");
        for query in [chain, nested, ors] {
            let Ok(result) = asked.range(&query, 0, 10 * MINUTE_MS, MINUTE_MS) else { panic!("{query}") };
            assert!(matches!(&result.value, Value::Matrix(series) if series.len() == 10));
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread can be started");
    thread.join().expect("no overflow, no panic");
}

#[test]
fn what_a_query_cost_is_counted_as_prometheus_counts() {
    let mut asked = with(Settings::default());
    asked.options.per_step_stats = true;
    let check = |query: &str, per_step: &[u64]| {
        let stats = asked.range(query, 10 * MINUTE_MS, 12 * MINUTE_MS, MINUTE_MS).expect("evaluates").stats;
        let counts: Vec<u64> = stats
            .total_queryable_samples_per_step
            .expect("asked for")
            .into_iter()
            .map(|(_, count)| count)
            .collect();
        assert_eq!(counts, per_step, "{query}");
        assert_eq!(stats.total_queryable_samples, per_step.iter().sum::<u64>(), "{query}");
    };
    check("a", &[10, 10, 10]);
    check("rate(a[5m])", &[50, 50, 50]);
    check("a @ 0", &[10, 10, 10]);
    check("a + a", &[20, 20, 20]);
    check("sum_over_time(a[2m:1m])", &[20, 20, 20]);
    check("vector(1)", &[0, 0, 0]);
}

#[test]
fn queries_and_errors_are_counted() {
    let asked = with(Settings::default());
    let registry = prometheus::Registry::new();
    asked.engine.register(&registry).expect("the names are free");
    asked.instant("a", 0).expect("evaluates");
    asked.range("a", 0, 1, 1).expect("evaluates");
    asked.instant("a +", 0).expect_err("is no query");
    let value = |name: &str, label: Option<&str>| -> f64 {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("is registered");
        let metric = family.get_metric().iter().find(|metric| {
            label.is_none_or(|label| metric.get_label().iter().any(|pair| pair.value() == label))
        });
        let metric = metric.expect("has the label");
        if name.ends_with("seconds") {
            return metric.get_histogram().get_sample_count() as f64;
        }
        if name.ends_with("active") {
            metric.get_gauge().get_value()
        } else {
            metric.get_counter().get_value()
        }
    };
    assert_eq!(value("kymo_promql_queries_total", Some("instant")), 2.0);
    assert_eq!(value("kymo_promql_queries_total", Some("range")), 1.0);
    assert_eq!(value("kymo_promql_query_errors_total", Some("parse")), 1.0);
    assert_eq!(value("kymo_promql_query_errors_total", Some("storage")), 0.0);
    assert_eq!(value("kymo_promql_queries_active", None), 0.0);
    assert_eq!(value("kymo_promql_query_duration_seconds", None), 3.0);
}

#[test]
fn queries_of_several_threads_share_one_engine() {
    let asked = with(Settings { concurrent_max: 2, ..Settings::default() });
    let want = asked.range("sum(rate(a[5m]))", 0, 60 * MINUTE_MS, MINUTE_MS).expect("evaluates").value;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let got = asked
                        .range("sum(rate(a[5m]))", 0, 60 * MINUTE_MS, MINUTE_MS)
                        .expect("evaluates")
                        .value;
                    assert_eq!(got, want);
                }
            });
        }
    });
}
