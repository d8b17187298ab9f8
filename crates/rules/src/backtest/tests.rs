//! Backtests over storage in memory.

use stdx::clock::ManualClock;
use storage::memory::MemoryStorage;
use storage::{Appender, WriteBatch};

use super::*;
use crate::file::{Options, parse};

pub(crate) const MINUTE: i64 = 60_000;

/// Labels, and values minute by minute.
pub(crate) type Row<'a> = (&'a [(&'a str, &'a str)], &'a [f64]);

/// Storage with series that have a value each minute; NaN for none.
pub(crate) fn stored(series: &[Row<'_>]) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    let mut batch = WriteBatch::new();
    for (labels, values) in series {
        let series = batch.add_series(Labels::from_pairs(labels.iter().copied()).as_ref());
        for (time_ms, value) in (0..).map(|at| at * MINUTE).zip(*values) {
            batch.add_float(series, time_ms, if value.is_nan() { model::STALE_NAN } else { *value });
        }
    }
    storage.append(&TenantId::anonymous(), &batch).expect("written");
    storage
}

pub(crate) fn request(text: &str, to_ms: i64) -> Request {
    let file = parse(text.as_bytes(), Options::default()).unwrap_or_else(|faults| panic!("{}", faults[0]));
    Request {
        files: vec![("rules.yml".to_owned(), Arc::new(file))],
        from_ms: 0,
        to_ms,
        step_ms: None,
        defaults: Defaults { interval_ms: MINUTE, ..Defaults::default() },
    }
}

fn tried(storage: &Arc<MemoryStorage>, request: &Request) -> Outcome {
    let deps = Deps {
        engine: Arc::new(Engine::new(promql::Settings::default(), Budget::unlimited())),
        querier: Arc::<MemoryStorage>::clone(storage),
        tenant: TenantId::anonymous(),
        budget: Budget::unlimited(),
        clock: ManualClock::at(0),
        timing: Timing::default(),
        cancel: Cancel::never(),
        progress: &|_| (),
    };
    run(request, &deps).expect("carried out")
}

/// `labels pending/fired/ended peak`, minutes.
fn shown(outcome: &Outcome) -> Vec<String> {
    let minutes = |ms: Option<i64>| ms.map_or("-".to_owned(), |ms| (ms / MINUTE).to_string());
    outcome
        .episodes
        .iter()
        .map(|episode| {
            let [pending, fired, ended] =
                [Some(episode.pending_at_ms), episode.fired_at_ms, episode.ended_at_ms].map(minutes);
            let peak = episode.peak(&outcome.rules[episode.rule]);
            format!("{} {pending}/{fired}/{ended} {peak}", episode.labels)
        })
        .collect()
}

pub(crate) const N: f64 = f64::NAN;

#[test]
fn alerts_are_pending_fire_and_end_as_they_would_have() {
    let storage = stored(&[
        (&[("__name__", "m"), ("a", "1")], &[0.0, 5.0, 7.0, 6.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]),
        (&[("__name__", "m"), ("a", "2")], &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0, 8.0]),
    ]);
    let rules = "groups: [{name: g, rules: [{alert: High, expr: m > 3, for: 1m, labels: {x: '{{ $labels.a }}'}}, {alert: Low, expr: m < 1, for: 4m}]}]";
    let outcome = tried(&storage, &request(rules, 9 * MINUTE));
    assert_eq!(
        shown(&outcome),
        [
            "{a=\"1\", alertname=\"Low\"} 0/-/1 0",
            "{a=\"2\", alertname=\"Low\"} 0/4/8 0",
            "{a=\"1\", alertname=\"High\", x=\"1\"} 1/2/4 7",
            "{a=\"1\", alertname=\"Low\"} 4/-/6 0",
            "{a=\"1\", alertname=\"High\", x=\"1\"} 6/-/7 9",
            "{a=\"1\", alertname=\"Low\"} 7/-/- 0",
            "{a=\"2\", alertname=\"High\", x=\"2\"} 8/9/- 8",
        ]
    );
    let stats = stats::by_rule(&outcome, 9 * MINUTE);
    assert_eq!((stats[0].fired_count, stats[0].pending_only_count), (2, 1));
    assert_eq!(stats[0].time_to_fire_p50_ms, Some(MINUTE));
    assert_eq!(stats[1].time_to_fire_max_ms, Some(4 * MINUTE));
    assert_eq!((outcome.rules[0].evaluation_count, outcome.rules[0].failure_count), (10, 0));
}

/// The same rules, once as columns and once step by step: a limit that is never met is what columns cannot tell.
#[track_caller]
fn same_step_by_step(storage: &Arc<MemoryStorage>, rules: &str, to_ms: i64) -> Vec<String> {
    let columns = tried(storage, &request(&format!("groups: [{{name: g, rules: [{rules}]}}]"), to_ms));
    let limited = format!("groups: [{{name: g, limit: 1000000, rules: [{rules}]}}]");
    let steps = tried(storage, &request(&limited, to_ms));
    assert_eq!(shown(&columns), shown(&steps));
    for (a, b) in columns.rules.iter().zip(&steps.rules) {
        assert_eq!(
            (a.evaluation_count, a.failure_count, &a.last_error),
            (b.evaluation_count, b.failure_count, &b.last_error),
            "{}",
            a.name
        );
    }
    shown(&columns)
}

#[test]
fn columns_and_steps_tell_the_same() {
    let storage = stored(&[
        (&[("__name__", "m"), ("a", "1")], &[0.0, 5.0, N, 6.0, 7.0, 1.0, 9.0, 9.0, 9.0, 0.0, 0.0, 4.0]),
        (&[("__name__", "m"), ("a", "2")], &[4.0, 4.0, 4.0, N, 0.0, 5.0, 5.0, 2.0, 8.0, 8.0, N, N]),
    ]);
    let alerts = same_step_by_step(
        &storage,
        "{record: r, expr: m * 2, labels: {by: r}}, {record: s, expr: sum(r)}, {alert: A, expr: r > 8, keep_firing_for: 2m}, \
         {alert: B, expr: s > 12, for: 1m}, {alert: C, expr: m > 4, labels: {v: '{{ $value }}'}}, {alert: D, expr: 'avg_over_time(r[3m]) > 9'}",
        14 * MINUTE,
    );
    assert!(alerts.len() > 10, "{alerts:?}");
}

#[test]
fn evaluations_that_fail_change_nothing() {
    let storage = stored(&[
        (&[("__name__", "m"), ("a", "1")], &[5.0, 5.0, 5.0, 5.0, 5.0, 0.0]),
        (&[("__name__", "n"), ("a", "1")], &[N, N, 5.0, 5.0, N, N]),
    ]);
    let alerts = same_step_by_step(
        &storage,
        "{alert: A, expr: '{__name__=~\"m|n\"} > 1'}, {alert: B, expr: 'm > 1 and on(a) (m * on(a) {__name__=~\"m|n\"} > 1)'}",
        7 * MINUTE,
    );
    assert!(alerts.iter().any(|alert| alert == "{a=\"1\", alertname=\"A\"} 0/0/5 5"), "{alerts:?}");
}

#[test]
fn what_is_recorded_hides_what_an_older_version_recorded() {
    let storage = stored(&[
        (&[("__name__", "m")], &[1.0, 2.0, 3.0, 4.0]),
        (&[("__name__", "r")], &[100.0, 100.0, 100.0, 100.0]),
    ]);
    let rules = "groups: [{name: g, rules: [{record: r, expr: m * 10}, {alert: A, expr: r > 25}]}]";
    assert_eq!(shown(&tried(&storage, &request(rules, 3 * MINUTE))), ["{alertname=\"A\"} 2/2/- 40"]);
    let rules = "groups: [{name: g, rules: [{alert: A, expr: r > 25}]}]";
    assert_eq!(shown(&tried(&storage, &request(rules, 3 * MINUTE))), ["{alertname=\"A\"} 0/0/- 100"]);
}

#[test]
fn a_rule_that_never_works_says_why() {
    let storage = stored(&[
        (&[("__name__", "m"), ("a", "1")], &[5.0; 400]),
        (&[("__name__", "m"), ("a", "2")], &[5.0; 400]),
    ]);
    let rules = "groups: [{name: g, rules: [{alert: A, expr: 'm * on() m'}]}]";
    let outcome = tried(&storage, &request(rules, 399 * MINUTE));
    assert_eq!((outcome.rules[0].evaluation_count, outcome.rules[0].failure_count), (400, 400));
    assert!(outcome.rules[0].last_error.contains("duplicate series"), "{}", outcome.rules[0].last_error);
    assert!(outcome.episodes.is_empty());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let storage = stored(&[]);
    let rules = "groups: [{name: g, rules: [{alert: A, expr: m}]}]";
    let check = |change: &dyn Fn(&mut Request), want: &str| {
        let mut request = request(rules, MINUTE);
        change(&mut request);
        let deps = Deps {
            engine: Arc::new(Engine::new(promql::Settings::default(), Budget::unlimited())),
            querier: Arc::<MemoryStorage>::clone(&storage),
            tenant: TenantId::anonymous(),
            budget: Budget::unlimited(),
            clock: ManualClock::at(0),
            timing: Timing::default(),
            cancel: Cancel::never(),
            progress: &|_| (),
        };
        let error = run(&request, &deps).expect_err("refused").to_string();
        assert!(error.contains(want), "{error}");
    };
    check(&|request| request.to_ms = request.from_ms, "later than the start");
    check(&|request| request.step_ms = Some(0), "longer than nothing");
    check(&|request| (request.to_ms, request.step_ms) = (STEPS_MAX * 10, Some(5)), "ask for less time");
}

#[test]
fn reports_are_those_that_a_notifier_would_have_heard() {
    let mut values = vec![0.0, 5.0, 0.0];
    values.extend([0.0; 30]);
    let storage = stored(&[(&[("__name__", "m")], &values)]);
    let rules = "groups: [{name: g, rules: [{alert: A, expr: m > 1}]}]";
    let outcome = tried(&storage, &request(rules, 32 * MINUTE));
    let reports = reports::reports(&outcome, 32 * MINUTE, MINUTE);
    let shown: Vec<(i64, Option<i64>)> = reports
        .iter()
        .map(|report| (report.at_ms / MINUTE, report.ends_at_ms.map(|ends_ms| ends_ms / MINUTE)))
        .collect();
    let ends = [2, 4, 6, 8, 10, 12, 14, 16].map(|at| (at, Some(2)));
    assert_eq!(shown, [&[(1, None)][..], &ends].concat());
}
