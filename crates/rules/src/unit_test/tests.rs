//! Tests of tests: what passes, what fails, and in which words.

use super::*;
use crate::file::parse as parse_rules;

const RULES: &str = r#"
groups:
  - name: alerts
    rules:
      - alert: Down
        expr: up == 0
        for: 2m
        labels: {severity: page, region: '{{ $externalLabels.region }}'}
        annotations: {summary: '{{ $labels.instance }} at {{ $externalURL }} is {{ $value }}'}
  - name: totals
    rules:
      - {record: 'job:up:sum', expr: sum by (job) (up)}
"#;

/// What fails of tests on these rules.
fn failures_of(tests: &str, options: Options) -> Vec<String> {
    let file = file::parse(tests.as_bytes()).expect("a test file");
    let rules = [(
        "rules.yml".to_owned(),
        parse_rules(RULES.as_bytes(), crate::file::Options::default()).expect("rules"),
    )];
    file.tests.iter().flat_map(|group| run(&file, group, &rules, options)).collect()
}

#[track_caller]
fn check(tests: &str, expected: &[&str]) {
    assert_eq!(failures_of(tests, Options::default()), expected);
}

#[test]
fn alerts_and_samples_that_are_expected_pass() {
    check(
        r#"
tests:
  - input_series: [{series: 'up{job="a", instance="h"}', values: '1 0x5'}]
    external_labels: {region: eu}
    external_url: http://kymo
    alert_rule_test:
      - {eval_time: 2m, alertname: Down, exp_alerts: []}
      - eval_time: 3m30s
        alertname: Down
        exp_alerts:
          - exp_labels: {severity: page, region: eu, job: a, instance: h}
            exp_annotations: {summary: h at http://kymo is 0}
    promql_expr_test:
      - {expr: 'job:up:sum', eval_time: 0m, exp_samples: [{labels: 'job:up:sum{job="a"}', value: 1}]}
      - {expr: 'time()', eval_time: 90s, exp_samples: [{value: 90}]}
      - {expr: 'up > 5', eval_time: 1m, exp_samples: []}
"#,
        &[],
    );
}

#[test]
fn what_differs_is_said_as_promtool_does() {
    check(
        r#"
tests:
  - name: mine
    input_series: [{series: 'up{job="a"}', values: '0x5'}]
    alert_rule_test:
      - {eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {job: b}}]}
      - {eval_time: 5m, alertname: Other, exp_alerts: []}
    promql_expr_test:
      - {expr: up, eval_time: 1m, exp_samples: [{labels: up, value: 1.5}]}
"#,
        &[
            concat!(
                "    name: mine,\n    alertname: Down, time: 5m, \n        exp:[\n            0:\n",
                "              Labels:{alertname=\"Down\", job=\"b\"}\n              Annotations:{}\n            ], \n",
                "        got:[\n            0:\n",
                "              Labels:{alertname=\"Down\", job=\"a\", severity=\"page\"}\n",
                "              Annotations:{summary=\" at  is 0\"}\n            ]"
            ),
            "    expr: \"up\", time: 1m,\n        exp: {__name__=\"up\"} 1.5E+00\n        got: {__name__=\"up\", job=\"a\"} 0E+00",
        ],
    );
}

#[test]
fn a_diff_shows_only_lines() {
    let tests = r#"
tests:
  - input_series: [{series: 'up{job="a"}', values: '0x5'}]
    alert_rule_test: [{eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {job: b}}]}]
"#;
    let failures = failures_of(tests, Options { diff: true });
    assert_eq!(failures.len(), 1);
    assert!(failures[0].contains("- Labels:{alertname=\"Down\", job=\"b\"}"), "{}", failures[0]);
    assert!(
        failures[0].contains("+ Labels:{alertname=\"Down\", job=\"a\", severity=\"page\"}"),
        "{}",
        failures[0]
    );
    assert!(failures[0].contains("  0:"), "{}", failures[0]);
}

#[test]
fn rules_see_no_samples_of_the_future() {
    check(
        r#"
tests:
  - input_series: [{series: 'up{job="a"}', values: '1 2 3'}]
    promql_expr_test:
      - {expr: 'max_over_time(job:up:sum[5m])', eval_time: 1m, exp_samples: [{labels: '{job="a"}', value: 2}]}
      - {expr: 'up offset -1m', eval_time: 1m, exp_samples: [{labels: 'up{job="a"}', value: 3}]}
"#,
        &[],
    );
}

#[test]
fn what_cannot_be_run_says_why() {
    let wrong = failures_of("tests: [{alert_rule_test: [{eval_time: 1m}], name: x}]", Options::default());
    assert_eq!(
        wrong,
        [
            "an item under alert_rule_test misses required attribute alertname at eval_time 1m (in TestGroup x)"
        ]
    );
    let wrong = failures_of("tests: [{input_series: [{series: 'a{', values: '1'}]}]", Options::default());
    assert!(wrong[0].starts_with("series \"a{\": "), "{wrong:?}");
    for text in
        ["tests: [{nope: 1}]", "group_eval_order: [a, a]", "tests: [{start_timestamp: soon}]", "tests: ["]
    {
        assert!(file::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn times_may_begin_anywhere() {
    for start in ["'2024-01-01T00:00:00Z'", "1704067200", "1704067200.0"] {
        check(
            &format!(
                "tests: [{{start_timestamp: {start}, promql_expr_test: [{{expr: time(), eval_time: 1m, exp_samples: [{{value: 1704067260}}]}}]}}]"
            ),
            &[],
        );
    }
}
