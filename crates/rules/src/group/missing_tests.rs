//! Rules whose data goes missing, in virtual time.

use super::Group;
use super::tests::{MINUTE, Tube, group};
use crate::file::{Options, parse};

/// Evaluates a rule once a minute on values of a series, where `None` is a scrape that failed; states of its alert, and what was sent.
#[track_caller]
fn check(keys: &str, values: &[Option<f64>], states: &str) -> Tube {
    let tube = Tube::new();
    run(&tube, &rule(keys), 0, values, states);
    tube
}

fn rule(keys: &str) -> Group {
    group(&format!("{{alert: A, expr: x > 10, {keys}}}"))
}

#[track_caller]
fn run(tube: &Tube, group: &Group, first: i64, values: &[Option<f64>], states: &str) {
    let mut found = String::new();
    for (minute, value) in values.iter().enumerate() {
        let time_ms = (first + minute as i64) * MINUTE;
        // What a scrape that fails leaves.
        let value = value.unwrap_or(model::STALE_NAN);
        tube.write(time_ms, &[("__name__", "x"), ("n", "1")], value);
        tube.evaluate(group, time_ms);
        let rule = &group.rules()[0];
        assert_eq!(rule.status().last_error, "");
        found.push(match rule.alerts().first() {
            None => '-',
            Some(alert) if alert.state.as_str() == "pending" => 'p',
            Some(_) => 'F',
        });
    }
    assert_eq!(found, states);
}

const BAD: Option<f64> = Some(11.0);
const FINE: Option<f64> = Some(1.0);
const GONE: Option<f64> = None;

#[test]
fn as_in_prometheus_missing_data_is_fine_unless_a_rule_says_otherwise() {
    let values = [BAD, BAD, GONE, BAD, BAD, FINE];
    check("for: 1m", &values, "pF-pF-");
    check("for: 1m, on_missing: resolve", &values, "pF-pF-");
}

#[test]
fn a_rule_that_keeps_waits_for_data() {
    check("for: 1m, on_missing: keep", &[BAD, BAD, GONE, GONE, GONE, BAD, FINE, GONE], "pFFFFF--");
    // What is pending does not fire without data.
    check("for: 1m, on_missing: keep", &[BAD, GONE, GONE, GONE, BAD, FINE], "ppppF-");
}

#[test]
fn so_many_scrapes_may_be_missed() {
    check("for: 3m, missing_tolerance: 2", &[BAD, GONE, GONE, BAD, BAD, GONE, GONE, GONE, BAD], "pppFFFF-p");
    check("for: 3m, missing_tolerance: 2", &[BAD, FINE, BAD], "p-p");
}

#[test]
fn missing_data_can_be_an_alert_of_its_own() {
    check("for: 1m, on_missing: alert", &[FINE, GONE, GONE, GONE, FINE, GONE], "-pFF-p");
    check(
        "for: 1m, on_missing: alert, missing_tolerance: 2",
        &[FINE, GONE, GONE, GONE, GONE, BAD, FINE],
        "---pFF-",
    );
}

#[test]
fn what_was_there_before_a_restart_is_expected() {
    let tube = check("on_missing: alert", &[FINE, GONE], "-F");
    run(&tube, &rule("on_missing: alert"), 10, &[GONE, FINE], "F-");
}

#[test]
fn series_that_stop_are_alerts_each_by_itself_for_a_day() {
    let tube = Tube::new();
    let group =
        group("{alert: Gone, expr: 'x{job=\"j\"}', absent_for: 10m, annotations: {last: '{{ $value }}'}}");
    let mut states = Vec::new();
    for minute in 0..40_i64 {
        let time_ms = minute * MINUTE;
        for (n, until) in [("1", 100), ("2", 10)] {
            if minute < until {
                tube.write(time_ms, &[("__name__", "x"), ("job", "j"), ("n", n)], minute as f64);
            }
        }
        tube.evaluate(&group, time_ms);
        states.push(group.rules()[0].alerts().len());
    }
    assert_eq!(group.rules()[0].status().last_error, "");
    assert_eq!(states.iter().position(|count| *count > 0), Some(19), "the last sample is of minute 9");
    let alerts = group.rules()[0].alerts();
    assert_eq!(alerts[0].labels.to_string(), "{alertname=\"Gone\", job=\"j\", n=\"2\"}");
    assert_eq!(alerts[0].annotations["last"], "9");
    // After a day nobody expects it.
    let later_ms = 26 * 60 * MINUTE;
    tube.evaluate(&group, later_ms);
    assert!(!group.rules()[0].alerts().iter().any(|alert| alert.labels.get("n") == Some("2")));
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let check = |rule: &str, expected: &str| {
        let text = format!("groups: [{{name: g, rules: [{{{rule}}}]}}]");
        let faults = parse(text.as_bytes(), Options::default()).expect_err("refused");
        assert!(faults[0].to_string().contains(expected), "{}", faults[0]);
    };
    check(
        "alert: A, expr: absent(x), on_missing: keep",
        "'on_missing' cannot be honoured: the expression must be a comparison",
    );
    check(
        "alert: A, expr: x > y, missing_tolerance: 2",
        "'missing_tolerance' cannot be honoured: the expression compares with a vector",
    );
    check(
        "alert: A, expr: x > 1, absent_for: 5m",
        "'absent_for' cannot be honoured: the expression must be a selector",
    );
    check("alert: A, expr: x, absent_for: 1d", "'absent_for' must be less than a day");
    check("alert: A, expr: x, absent_for: 1h, on_missing: keep", "only one of 'on_missing' and 'absent_for'");
    check(
        "alert: A, expr: x > 1, flapping: {times: 1, within: 1h, hold: 5m}",
        "'flapping' needs 'times' of at least 2",
    );
    check("alert: A, expr: x > 1, on_missing: perhaps", "perhaps");
    check("record: a, expr: x, on_missing: keep", "invalid field 'on_missing' in recording rule");
}
