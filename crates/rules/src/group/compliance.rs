//! What the alert generator specification of Prometheus' compliance suite (version 1.0) asks of groups of rules, in virtual time: its scenarios,
//! and the specification as a few lines of code against which any sequence of results is compared.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{Tube, group_with};
use crate::alert::AlertState;
use crate::group::Group;

/// Seconds between evaluations, as in the suite.
const INTERVAL_S: i64 = 30;
/// A resolved alert is sent again for so long.
const RETENTION_S: i64 = 900;

/// When an alert fires, and when it is sent again, in seconds.
#[derive(Debug, Clone, Copy)]
struct Terms {
    for_s: i64,
    resend_s: i64,
}

/// One alert as the specification has it, in its own words: `ActiveAt`, `FiredAt`, `ResolvedAt`.
#[derive(Debug, Default)]
struct Specified {
    active_at: Option<i64>,
    fired_at: Option<i64>,
    /// Of the last life: when it fired, and when it was resolved.
    resolved: Option<(i64, i64)>,
    sent_at: Option<i64>,
    /// Samples of `ALERTS` by `alertstate`.
    series: BTreeMap<&'static str, Vec<String>>,
}

impl Specified {
    fn state(&self) -> Option<&'static str> {
        self.active_at.map(|_| if self.fired_at.is_some() { "firing" } else { "pending" })
    }

    /// One evaluation. What is sent: `firing 30..270`.
    fn evaluate(&mut self, at: i64, is_there: bool, terms: Terms) -> Option<String> {
        let before = self.state();
        match (is_there, self.active_at) {
            (true, None) => {
                *self =
                    Self { active_at: Some(at), series: std::mem::take(&mut self.series), ..Self::default() }
            }
            (false, Some(_)) => {
                self.resolved = self.fired_at.map(|fired_at| (fired_at, at));
                (self.active_at, self.fired_at) = (None, None);
            }
            _ => {}
        }
        if self.fired_at.is_none() && self.active_at.is_some_and(|active_at| at - active_at >= terms.for_s) {
            self.fired_at = Some(at);
        }
        self.write(at, before);
        let is_late = self.sent_at.is_none_or(|sent_at| at - sent_at > terms.resend_s);
        let sent = match (self.fired_at, self.resolved) {
            (Some(fired_at), _) if is_late => {
                Some(format!("firing {fired_at}..{}", at + 4 * terms.resend_s.max(INTERVAL_S)))
            }
            (None, Some((fired_at, resolved_at)))
                if self.active_at.is_none()
                    && (is_late || resolved_at == at)
                    && at - resolved_at <= RETENTION_S =>
            {
                Some(format!("resolved {fired_at}..{resolved_at}"))
            }
            _ => None,
        };
        if sent.is_some() {
            self.sent_at = Some(at);
        }
        sent
    }

    /// `ALERTS` is 1 while it is pending or firing, and ends at once.
    fn write(&mut self, at: i64, before: Option<&'static str>) {
        let now = self.state();
        if let Some(state) = now {
            self.series.entry(state).or_default().push(format!("1@{at}"));
        }
        if let Some(ended) = before.filter(|before| Some(*before) != now) {
            self.series.entry(ended).or_default().push(format!("x@{at}"));
        }
    }
}

fn rules(terms: Terms) -> Group {
    let for_s = terms.for_s;
    let text = format!(
        "groups: [{{name: g, interval: 30s, rules: [{{alert: A, expr: x > 10, for: {for_s}s, labels: {{foo: bar}}}}]}}]"
    );
    group_with(&text, false)
}

/// Evaluates a rule on what is there or not at each evaluation, and compares all that can be seen with the specification.
#[track_caller]
fn check(terms: Terms, there: &[bool]) -> Vec<(i64, String)> {
    let (mut tube, group) = (Tube::new(), rules(terms));
    tube.env.timing.resend_delay_ms = terms.resend_s * 1_000;
    let mut specified = Specified::default();
    let mut all = Vec::new();
    for (number, is_there) in there.iter().enumerate() {
        let at = number as i64 * INTERVAL_S;
        tube.write(at * 1_000, &[("__name__", "x")], if *is_there { 11.0 } else { 10.0 });
        tube.evaluate(&group, at * 1_000);
        let expected = specified.evaluate(at, *is_there, terms);
        let shown = expected.iter().map(|sent| format!("{{alertname=\"A\", foo=\"bar\"}} {sent}"));
        assert_eq!(tube.sent(), shown.collect::<Vec<_>>(), "sent at {at} s, {terms:?}");
        let alerts = group.rules()[0].alerts();
        let states: Vec<&str> = alerts.iter().map(|alert| alert.state.as_str()).collect();
        assert_eq!(states, Vec::from_iter(specified.state()), "at {at} s, {terms:?}");
        let since: Vec<i64> = alerts.iter().map(|alert| alert.active_at_ms / 1_000).collect();
        assert_eq!(since, Vec::from_iter(specified.active_at), "at {at} s, {terms:?}");
        let state = group.rules()[0].state().map(AlertState::as_str);
        assert_eq!(state, Some(specified.state().unwrap_or("inactive")), "of the rule at {at} s");
        all.extend(expected.map(|sent| (at, sent)));
    }
    let series = specified.series.iter().map(|(state, samples)| {
        format!("ALERTS{{alertname=\"A\", alertstate=\"{state}\", foo=\"bar\"}}: {}", samples.join(" "))
    });
    assert_eq!(tube.stored("ALERTS"), series.collect::<Vec<_>>(), "{terms:?}");
    all
}

/// So many evaluations without the alert, with it, without it, and so on.
fn spells(lengths: &[usize]) -> Vec<bool> {
    let spell = |(at, length): (usize, &usize)| std::iter::repeat_n(at % 2 == 1, *length);
    lengths.iter().enumerate().flat_map(spell).collect()
}

#[test]
fn pending_firing_resolved() {
    let sent = check(Terms { for_s: 360, resend_s: 60 }, &spells(&[4, 40, 60]));
    // Pending since 120, so it fires at 480; then every 90 s, the first multiple of the interval that is more than a minute.
    assert_eq!(sent[0], (480, "firing 480..720".to_owned()));
    assert_eq!(sent[1], (570, "firing 480..810".to_owned()));
    let resolved: Vec<_> = sent.iter().filter(|(_, text)| text.starts_with("resolved")).collect();
    assert_eq!(resolved[0], &(1_320, "resolved 480..1320".to_owned()), "at once");
    assert!(resolved.iter().all(|(_, text)| text == "resolved 480..1320"), "{resolved:?}");
    assert_eq!(resolved.last().map(|(at, _)| *at), Some(2_220), "for a quarter of an hour");
    assert_eq!(resolved.len(), 11);
}

#[test]
fn pending_resolved_and_always_inactive() {
    assert_eq!(check(Terms { for_s: 180, resend_s: 60 }, &spells(&[4, 5, 20])), []);
    assert_eq!(check(Terms { for_s: 180, resend_s: 60 }, &spells(&[30])), []);
}

#[test]
fn zero_for_and_small_for() {
    let zero = check(Terms { for_s: 0, resend_s: 60 }, &spells(&[2, 4, 2]));
    assert_eq!(zero[0], (60, "firing 60..300".to_owned()), "never pending");
    let small = check(Terms { for_s: 15, resend_s: 60 }, &spells(&[2, 4, 2]));
    assert_eq!(small[0], (90, "firing 90..330".to_owned()), "pending for one interval");
    assert_eq!(
        check(Terms { for_s: 15, resend_s: 60 }, &spells(&[2, 1, 2])),
        [],
        "gone before the next evaluation"
    );
}

#[test]
fn an_alert_that_comes_back_is_new_and_its_old_end_is_not_sent_any_more() {
    let sent = check(Terms { for_s: 60, resend_s: 0 }, &spells(&[1, 4, 2, 6, 2]));
    let texts: Vec<&str> = sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "firing 90..210",
            "firing 90..240",
            "resolved 90..150",
            "resolved 90..150",
            "firing 270..390",
            "firing 270..420",
            "firing 270..450",
            "firing 270..480",
            "resolved 270..390",
            "resolved 270..390",
        ]
    );
}

#[test]
fn rules_see_what_those_before_them_wrote_and_new_elements_are_alerts_of_their_own() {
    let text = r#"
groups:
- name: g
  interval: 30s
  rules:
  - alert: First
    expr: x > 10
    for: 60s
    labels: {foo: bar}
    annotations: {description: 'more later'}
  - alert: Second
    expr: (ALERTS{alertname="First",alertstate="firing",variant="one"} + ignoring(variant) ALERTS{alertname="First",alertstate="firing",variant="two"}) == 2
    labels: {foo: baz}
    annotations: {description: 'Old alertname was {{$labels.alertname}}. foo was {{.Labels.foo}}.'}
"#;
    let (tube, group) = (Tube::new(), group_with(text, false));
    let mut sent = Vec::new();
    for number in 0..8 {
        let at = number * INTERVAL_S;
        for (variant, since) in [("one", 0), ("two", 60)] {
            let value = if at >= since { 11.0 } else { 1.0 };
            tube.write(at * 1_000, &[("__name__", "x"), ("variant", variant)], value);
        }
        tube.evaluate(&group, at * 1_000);
        sent.extend(tube.sent().into_iter().map(|text| format!("{at}: {text}")));
    }
    assert_eq!(
        sent,
        [
            "60: {alertname=\"First\", foo=\"bar\", variant=\"one\"} firing 60..300",
            "120: {alertname=\"First\", foo=\"bar\", variant=\"two\"} firing 120..360",
            // In the same evaluation.
            "120: {alertname=\"Second\", alertstate=\"firing\", foo=\"baz\"} firing 120..360",
            "150: {alertname=\"First\", foo=\"bar\", variant=\"one\"} firing 60..390",
            "210: {alertname=\"First\", foo=\"bar\", variant=\"two\"} firing 120..450",
            "210: {alertname=\"Second\", alertstate=\"firing\", foo=\"baz\"} firing 120..450",
        ]
    );
    let annotations = &group.rules()[1].alerts()[0].annotations;
    assert_eq!(annotations["description"], "Old alertname was First. foo was bar.");
}

#[test]
fn annotations_follow_the_result_and_labels_of_the_rule_override() {
    let text = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: x > 10, for: 1m, labels: {foo: bar, alertname: no}, \
                annotations: {summary: '{{$value}} {{.Value}}'}}]}]";
    let (tube, group) = (Tube::new(), group_with(text, false));
    for (number, value) in [11.0, 12.0, 13.0].into_iter().enumerate() {
        let at_ms = number as i64 * INTERVAL_S * 1_000;
        tube.write(at_ms, &[("__name__", "x"), ("foo", "old"), ("alertname", "old")], value);
        tube.evaluate(&group, at_ms);
        let alerts = group.rules()[0].alerts();
        assert_eq!(alerts[0].annotations["summary"], format!("{value} {value}"));
        assert_eq!(alerts[0].labels.to_string(), "{alertname=\"A\", foo=\"bar\"}");
    }
}

#[test]
fn two_alerts_of_one_name_fail_the_rule_and_nothing_is_sent_or_written() {
    let text =
        "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: x > 10, labels: {variant: same}}]}]";
    let (tube, group) = (Tube::new(), group_with(text, false));
    for variant in ["one", "two"] {
        tube.write(0, &[("__name__", "x"), ("variant", variant)], 11.0);
    }
    tube.evaluate(&group, 0);
    assert_eq!((tube.sent(), tube.stored("ALERTS")), (Vec::new(), Vec::new()));
    let status = group.rules()[0].status();
    assert_eq!(status.health.as_str(), "err");
    assert_eq!(
        status.last_error,
        "vector contains metrics with the same labelset after applying alert labels"
    );
}

proptest! {
    #[test]
    fn whatever_the_results_are_the_specification_holds(
        lengths in prop::collection::vec(1_usize..30, 1..10),
        for_s in prop::sample::select(vec![0, 1, 15, 30, 31, 60, 180, 360]),
        resend_s in prop::sample::select(vec![0, 15, 30, 45, 60, 90, 300]),
    ) {
        check(Terms { for_s, resend_s }, &spells(&lengths));
    }
}
