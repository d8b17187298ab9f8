//! Who may run what: limits, classes, the list of what runs, and the end of one query by another hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Labels, TenantId};
use promql::{Class, Engine, Limits, Origin, QueryError, QueryOptions, Settings, TopBy};
use sim::querier::Intercepted;
use stdx::memory::Budget;
use storage::{Appender, WriteBatch};

use crate::data::{Asked, storage_of};

const MINUTE_MS: i64 = 60_000;

fn many(series: usize) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let samples: Vec<(i64, f64)> = (0..=60).map(|minute| (minute * MINUTE_MS, minute as f64)).collect();
    let labels = |at: usize| Labels::from_pairs([("__name__", "a"), ("n", &at.to_string())]);
    (0..series).map(|at| (labels(at), samples.clone())).collect()
}

fn asked(limits: Limits) -> Asked {
    Asked::new(
        storage_of(&many(20)),
        Settings { limits, ..Settings::default() },
        Budget::root("all", 1 << 30),
    )
}

#[track_caller]
fn check_limit(limits: Limits, query: &str, want: &str) {
    let asked = asked(limits);
    let error = asked.range(query, 0, 60 * MINUTE_MS, MINUTE_MS).expect_err("too much");
    assert_eq!(error.to_string(), want);
    assert!(asked.range("sum(a{n=\"1\"})", 0, 60 * MINUTE_MS, MINUTE_MS).is_ok(), "others go on");
}

#[test]
fn each_limit_names_itself_its_setting_and_what_was_met() {
    check_limit(
        Limits { series_max: 19, ..Limits::default() },
        "sum(a)",
        "the query selects too many series: 20, and the limit is 19; ask for less, or raise query.max_series",
    );
    check_limit(
        Limits { samples_max: 700, ..Limits::default() },
        "a",
        "query processing would load too many samples into memory in query execution: 732, and the limit is 700; \
         ask for less, or raise query.max_samples",
    );
    check_limit(
        Limits { expression_bytes_max: 20, ..Limits::default() },
        &format!("sum(a) + {}", "1".repeat(20)),
        "the expression has too many bytes: 29, and the limit is 20; ask for less, or raise query.max_expression_length",
    );
    check_limit(
        Limits { nesting_max: 3, ..Limits::default() },
        "abs(sum(abs(a)))",
        "the expression has too many levels: 4, and the limit is 3; ask for less, or raise query.max_nesting",
    );
    let small = asked(Limits { memory_bytes_max: Some(10_000), ..Limits::default() });
    let error = small.range("a", 0, 60 * MINUTE_MS, MINUTE_MS).expect_err("too much").to_string();
    assert!(error.starts_with("memory limit of one query reached: "), "{error}");
    assert!(error.ends_with("ask for less, or raise query.max_memory"), "{error}");
}

#[test]
fn a_tenant_may_have_limits_of_its_own() {
    let small = TenantId::new("small").expect("valid");
    let limits = Limits { series_max: 5, ..Limits::default() };
    let settings = Settings { tenant_limits: [(small.clone(), limits)].into(), ..Settings::default() };
    let storage = storage_of(&many(20));
    let mut batch = WriteBatch::new();
    for (labels, _) in many(20) {
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, 0, 1.0);
    }
    storage.append(&small, &batch).expect("written");
    let engine = Engine::new(settings, Budget::unlimited());
    let ask = |tenant: &TenantId| engine.instant(&*storage, tenant, "count(a)", 0, &QueryOptions::default());
    assert!(ask(&TenantId::anonymous()).is_ok());
    assert!(matches!(ask(&small), Err(QueryError::Limit(_))));
    engine.reload(Settings::default());
    assert!(ask(&small).is_ok(), "limits change while the engine runs");
}

#[test]
fn a_result_holds_its_memory_until_it_is_dropped() {
    let budget = Budget::root("all", 1 << 30);
    let asked = Asked::new(storage_of(&many(20)), Settings::default(), Arc::clone(&budget));
    for query in ["a", "a[30m]", "vector(1)", "sum(a)", "1", "sort(a) or a"] {
        let result = match query {
            "a[30m]" => asked.instant(query, 60 * MINUTE_MS),
            _ => asked.range(query, 0, 60 * MINUTE_MS, MINUTE_MS),
        };
        let result = result.expect("evaluates");
        assert_eq!(budget.used_bytes(), result.held.bytes(), "{query}");
        let promql::Value::Matrix(series) = &result.value else { panic!("a matrix") };
        let points: usize = series.iter().map(|one| one.floats.capacity() * 16).sum();
        let labels: usize = series.iter().map(|one| one.labels.packed().len() + size_of_val(one)).sum();
        assert!(result.held.bytes() >= (points + labels) as u64, "{query}: {}", result.held.bytes());
        drop(result);
        assert_eq!(budget.used_bytes(), 0, "{query}");
    }
}

fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_query_is_listed_while_it_runs_and_ends_when_it_is_killed() {
    let storage = Intercepted::endless(storage_of(&many(3)));
    let engine = Engine::new(Settings::default(), Budget::root("all", 1 << 30));
    let tenant = TenantId::anonymous();
    let other = TenantId::new("other").expect("valid");
    let options = QueryOptions {
        class: Class::Batch,
        origin: Origin { user: "ann".to_owned(), source: "a report".to_owned(), ..Origin::default() },
        ..QueryOptions::default()
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            engine.range(&*storage, &tenant, "sum(a) + endless", 0, 60 * MINUTE_MS, MINUTE_MS, &options)
        });
        let active = poll("the query", || {
            engine.active_queries(Some(&tenant)).pop().filter(|one| one.series_read == 3)
        });
        assert_eq!(
            (&*active.query, active.class, active.is_waiting),
            ("sum(a) + endless", Class::Batch, false)
        );
        assert_eq!((active.origin.user.as_str(), active.origin.source.as_str()), ("ann", "a report"));
        assert_eq!(active.range.map(|range| range.step_ms), Some(MINUTE_MS));
        assert_eq!((active.series_selected, active.samples_read), (3, 183));
        assert!(active.memory_bytes > 0 && active.memory_peak_bytes >= active.memory_bytes);
        assert!(engine.active_queries(Some(&other)).is_empty() && engine.active_queries(None).len() == 1);
        assert!(engine.kill(Some(&other), active.id).is_none(), "of another tenant");
        assert!(engine.kill(None, active.id + 1).is_none(), "there is none");
        assert_eq!(engine.kill(Some(&tenant), active.id).map(|killed| killed.id), Some(active.id));
        let error = running.join().expect("no panic").expect_err("killed");
        assert_eq!(error.to_string(), format!("query {} was killed", active.id));
    });
    assert!(engine.active_queries(None).is_empty());
    let top = engine.top_queries(Some(&tenant), TopBy::Time, 10);
    assert_eq!((top.len(), top[0].count, top[0].error_count, top[0].samples_read), (1, 1, 1, 183));
    assert!(top[0].memory_peak_bytes > 0);
}

#[test]
fn alerts_answer_while_dashboards_take_all_slots_and_all_their_memory() {
    let storage = Intercepted::endless(storage_of(&many(3)));
    let budget = Budget::root("all", 1 << 20);
    let settings = Settings { concurrent_max: 2, waiting_max: 0, ..Settings::default() };
    let engine = Engine::new(settings, Arc::clone(&budget));
    let tenant = TenantId::anonymous();
    let of = |class| QueryOptions { class, ..QueryOptions::default() };
    let ask = |query: &str, class| engine.instant(&*storage, &tenant, query, MINUTE_MS, &of(class));
    std::thread::scope(|scope| {
        let dashboards: Vec<_> =
            (0..2).map(|_| scope.spawn(|| ask("endless", Class::Dashboard).err())).collect();
        poll("both run", || {
            (engine.active_queries(None).iter().filter(|one| !one.is_waiting).count() == 2).then_some(())
        });
        let refused = ask("a", Class::Dashboard).expect_err("all slots are taken");
        assert!(matches!(refused, QueryError::Overloaded { class: Class::Dashboard, running: 2, .. }));
        assert!(
            refused.to_string().contains("try again in 1 s, or raise query.max_concurrency"),
            "{refused}"
        );
        assert!(ask("a", Class::Alert).is_ok());
        for active in engine.active_queries(None) {
            engine.kill(None, active.id);
        }
        for dashboard in dashboards {
            assert!(matches!(dashboard.join().expect("no panic"), Some(QueryError::Killed(_))));
        }
    });
    // Of 1 MiB, an alert may use what others may not.
    let _others = budget.reserve((1 << 20) - (60 << 10)).expect("fits");
    assert!(ask("a", Class::Alert).is_ok());
}
