//! Groups in virtual time, over storage in memory.

use std::sync::Arc;

use model::{METRIC_NAME, TenantId, is_stale};
use parking_lot::Mutex;
use promql::Engine;
use stdx::cancel::Cancel;
use stdx::clock::ManualClock;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{Appender, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples, WriteBatch};

use super::*;
use crate::alert::AlertState;
use crate::env::{Helpers, Timing};
use crate::file::{Options, parse};
use crate::metrics::Metrics;
use crate::sink::{AlertSink, SentAlert};

pub(crate) const MINUTE: i64 = 60_000;

/// Keeps what it is sent.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<Vec<Arc<SentAlert>>>);

impl AlertSink for Inbox {
    fn send(&self, _: &TenantId, alerts: &[Arc<SentAlert>]) {
        self.0.lock().extend(alerts.iter().map(Arc::clone));
    }
}

/// A server in a test tube.
pub(crate) struct Tube {
    pub(crate) env: Env,
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) clock: Arc<ManualClock>,
    inbox: Arc<Inbox>,
}

impl Tube {
    pub(crate) fn new() -> Self {
        Self::over(MemoryStorage::new(), 0)
    }

    /// A server that is started at a time over what another has left.
    pub(crate) fn over(storage: Arc<MemoryStorage>, now_ms: i64) -> Self {
        let (clock, inbox) = (ManualClock::at(now_ms), Arc::new(Inbox::default()));
        let env = Env {
            engine: Arc::new(Engine::new(promql::Settings::default(), Budget::unlimited())),
            querier: Arc::<MemoryStorage>::clone(&storage),
            appender: Arc::<MemoryStorage>::clone(&storage),
            tenant: TenantId::anonymous(),
            clock: Arc::<ManualClock>::clone(&clock),
            sink: Arc::<Inbox>::clone(&inbox),
            metrics: Metrics::register(&prometheus::Registry::new()).expect("a new registry"),
            timing: Timing::default(),
            cancel: Cancel::never(),
            helpers: Helpers::new(2),
            is_rehearsal: false,
        };
        Self { env, storage, clock, inbox }
    }

    /// Writes `name{labels} value` at a time.
    pub(crate) fn write(&self, time_ms: i64, labels: &[(&str, &str)], value: f64) {
        let mut batch = WriteBatch::new();
        let series = batch.add_series(Labels::from_pairs(labels.iter().copied()).as_ref());
        batch.add_float(series, time_ms, value);
        self.storage.append(&self.env.tenant, &batch).expect("written");
    }

    pub(crate) fn evaluate(&self, group: &Group, time_ms: i64) {
        self.clock.set_ms(time_ms);
        group.evaluate(&self.env, time_ms);
    }

    /// What was sent since the last call: `labels @ since..until`, seconds.
    pub(crate) fn sent(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.inbox.0.lock());
        let shown = |alert: Arc<SentAlert>| {
            let word = if alert.is_resolved { "resolved" } else { "firing" };
            let (from, to) = (alert.starts_at_ms / 1_000, alert.ends_at_ms / 1_000);
            format!("{} {word} {from}..{to}", alert.labels)
        };
        sent.into_iter().map(shown).collect()
    }

    /// All samples of a metric: `labels: value@second ...`, `x` for the end of a series.
    pub(crate) fn stored(&self, metric: &str) -> Vec<String> {
        let matchers = [model::Matcher::equal(METRIC_NAME, metric)];
        let request = SelectRequest {
            matchers: &matchers,
            start_ms: i64::MIN,
            end_ms: i64::MAX,
            hints: SelectHints::default(),
        };
        let found =
            self.storage.select(&self.env.tenant, &request, &QueryContext::unlimited()).expect("selected");
        let mut samples = SeriesSamples::default();
        (0..found.len())
            .map(|at| {
                found.read(at, &mut samples).expect("read");
                let floats = samples.floats.timestamps_ms.iter().zip(&samples.floats.values);
                let shown = floats.map(|(time_ms, value)| {
                    let value = if is_stale(*value) { "x".to_owned() } else { value.to_string() };
                    format!("{value}@{}", time_ms / 1_000)
                });
                format!("{metric}{}: {}", braces(found.labels(at)), shown.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }
}

/// Labels without the metric's name; nothing if there are no others.
fn braces(labels: &Labels) -> String {
    let others = labels.without(|name| name == METRIC_NAME);
    if others.is_empty() { String::new() } else { others.to_string() }
}

#[track_caller]
pub(crate) fn group_with(text: &str, restores: bool) -> Group {
    let file = parse(text.as_bytes(), Options::default()).unwrap_or_else(|faults| panic!("{}", faults[0]));
    let external = External {
        labels: Labels::from_pairs([("region", "eu")]),
        url: "http://kymo.example:9090".to_owned(),
    };
    let defaults = Defaults { interval_ms: MINUTE, external: Arc::new(external), ..Defaults::default() };
    Group::new("rules.yml", &file.groups[0], &defaults, restores).expect("sound")
}

#[track_caller]
pub(crate) fn group(rules: &str) -> Group {
    group_with(&format!("groups: [{{name: g, rules: [{rules}]}}]"), false)
}

fn error(group: &Group, rule: usize) -> String {
    let status = group.rules()[rule].status();
    assert_eq!(status.health == Health::Bad, !status.last_error.is_empty());
    status.last_error
}

#[test]
fn a_recording_rule_stores_its_result_under_its_name_and_labels() {
    let tube = Tube::new();
    tube.write(0, &[("__name__", "m"), ("a", "1"), ("drop", "x")], 2.0);
    tube.write(0, &[("__name__", "m"), ("a", "2"), ("drop", "x")], 3.0);
    let group = group("{record: r, expr: m * 2, labels: {team: t, drop: ''}}");
    tube.evaluate(&group, MINUTE);
    assert_eq!(tube.stored("r"), ["r{a=\"1\", team=\"t\"}: 4@60", "r{a=\"2\", team=\"t\"}: 6@60"]);
    let status = group.rules()[0].status();
    assert_eq!(
        (status.health, status.sample_count, status.last_evaluation_ms),
        (Health::Good, 2, Some(MINUTE))
    );
    assert_eq!(group.status().last_evaluation_ms, Some(MINUTE));
}

#[test]
fn a_scalar_is_a_series_and_a_string_is_an_error() {
    let tube = Tube::new();
    let group = group("{record: one, expr: 1 + 1}, {record: text, expr: '\"text\"'}");
    tube.evaluate(&group, 0);
    assert_eq!(tube.stored("one"), ["one: 2@0"]);
    assert_eq!(error(&group, 1), "rule result is not a vector or scalar");
    assert_eq!(error(&group, 0), "");
}

#[test]
fn a_rule_sees_what_those_before_it_wrote() {
    let tube = Tube::new();
    let group =
        group("{record: a, expr: vector(time())}, {record: b, expr: a + 1}, {record: c, expr: b + 1}");
    tube.evaluate(&group, MINUTE);
    assert_eq!(tube.stored("c"), ["c: 62@60"]);
}

#[test]
fn results_with_the_same_labels_are_refused_as_a_whole() {
    let tube = Tube::new();
    let expr = "vector(0) or label_replace(vector(0), \"test\", \"x\", \"\", \"\")";
    let group = group(&format!(
        "{{record: r, expr: '{expr}', labels: {{test: y}}}}, {{alert: A, expr: '{expr}', labels: {{test: y}}}}"
    ));
    tube.evaluate(&group, 0);
    assert_eq!(error(&group, 0), "vector contains metrics with the same labelset after applying rule labels");
    assert_eq!(
        error(&group, 1),
        "vector contains metrics with the same labelset after applying alert labels"
    );
    assert!(tube.stored("r").is_empty() && tube.stored("ALERTS").is_empty() && tube.sent().is_empty());
}

#[test]
fn a_limit_refuses_all_of_a_rule() {
    let tube = Tube::new();
    tube.write(0, &[("__name__", "m"), ("a", "1")], 1.0);
    tube.write(0, &[("__name__", "m"), ("a", "2")], 1.0);
    let rules = "[{record: r, expr: m}, {alert: A, expr: m}]";
    let group = group_with(&format!("groups: [{{name: g, limit: 1, rules: {rules}}}]"), false);
    tube.evaluate(&group, 0);
    assert_eq!(error(&group, 0), "exceeded limit of 1 with 2 series");
    assert_eq!(error(&group, 1), "exceeded limit of 1 with 2 alerts");
    assert!(tube.stored("r").is_empty());
}

#[test]
fn series_end_when_they_are_no_result_any_more() {
    let tube = Tube::new();
    tube.write(0, &[("__name__", "m"), ("a", "1")], 1.0);
    tube.write(0, &[("__name__", "m"), ("a", "2")], 5.0);
    let group = group("{record: r, expr: m > time() / 30}");
    tube.evaluate(&group, 0);
    tube.evaluate(&group, MINUTE);
    tube.evaluate(&group, 2 * MINUTE);
    assert_eq!(tube.stored("r"), ["r{a=\"1\"}: 1@0 x@60", "r{a=\"2\"}: 5@0 5@60 5@120"]);
}

#[test]
fn a_series_that_another_rule_takes_over_does_not_end() {
    let tube = Tube::new();
    let group = group(
        "{record: r, expr: vector(1) and on() (vector(time()) < 60)}, {record: r, expr: vector(2) and on() (vector(time()) >= 60)}",
    );
    for minute in 0..3 {
        tube.evaluate(&group, minute * MINUTE);
    }
    // What the second rule will write in the same evaluation is known only after it was there once.
    assert_eq!(tube.stored("r"), ["r: 1@0 2@60 2@120"]);
}

#[test]
fn a_failed_evaluation_leaves_series_and_alerts_as_they_are() {
    let tube = Tube::new();
    tube.write(0, &[("__name__", "m"), ("a", "1")], 1.0);
    let group = group("{record: r, expr: 'label_replace(m, \"b\", \"c\", \"d\", \"\") + on() group_left m'}");
    tube.evaluate(&group, 0);
    tube.write(MINUTE, &[("__name__", "m"), ("a", "2")], 1.0);
    tube.evaluate(&group, MINUTE);
    assert!(error(&group, 0).contains("many-to-many matching not allowed"), "{}", error(&group, 0));
    assert_eq!(tube.stored("r").len(), 1);
    assert!(!tube.stored("r")[0].contains('x'), "{:?}", tube.stored("r"));
}

#[test]
fn a_query_offset_moves_queries_and_results_into_the_past() {
    let tube = Tube::new();
    tube.write(30_000, &[("__name__", "m")], 1.0);
    tube.write(MINUTE, &[("__name__", "m")], 2.0);
    let rules = "[{record: r, expr: m}, {alert: A, expr: m}]";
    let group = group_with(&format!("groups: [{{name: g, query_offset: 10s, rules: {rules}}}]"), false);
    tube.evaluate(&group, MINUTE);
    assert_eq!(tube.stored("r"), ["r: 1@50"]);
    assert_eq!(tube.stored("ALERTS"), ["ALERTS{alertname=\"A\", alertstate=\"firing\"}: 1@50"]);
    assert_eq!(tube.sent(), ["{alertname=\"A\"} firing 60..300"], "an alert is there since the evaluation");
}

#[test]
fn alerts_are_sent_and_their_states_stored() {
    let tube = Tube::new();
    let group = group(
        "{alert: High, expr: m > 1, for: 2m, labels: {severity: 'p{{ $value }}', gone: ''}, \
          annotations: {text: '{{ $labels.a }} is {{ $value | humanize }} in {{ $externalLabels.region }}'}}",
    );
    for minute in 0..5 {
        let value = if minute < 4 { 2.0 } else { 0.0 };
        tube.write(minute * MINUTE, &[("__name__", "m"), ("a", "x"), ("gone", "y")], value);
        tube.evaluate(&group, minute * MINUTE);
        if minute == 2 {
            let sent = tube.inbox.0.lock()[0].clone();
            assert_eq!(sent.annotations["text"], "x is 2 in eu");
            assert_eq!(sent.generator_url, "http://kymo.example:9090/graph?g0.expr=m+%3E+1&g0.tab=1");
            assert_eq!((&*sent.file, &*sent.group), ("rules.yml", "g"));
        }
    }
    let labels = "{a=\"x\", alertname=\"High\", severity=\"p2\"}";
    assert_eq!(tube.sent(), [format!("{labels} firing 120..360"), format!("{labels} resolved 120..240"),]);
    assert_eq!(
        tube.stored("ALERTS"),
        [
            "ALERTS{a=\"x\", alertname=\"High\", alertstate=\"firing\", severity=\"p2\"}: 1@120 1@180 x@240",
            "ALERTS{a=\"x\", alertname=\"High\", alertstate=\"pending\", severity=\"p2\"}: 1@0 1@60 x@120",
        ]
    );
    assert_eq!(
        tube.stored("ALERTS_FOR_STATE"),
        ["ALERTS_FOR_STATE{a=\"x\", alertname=\"High\", severity=\"p2\"}: 0@0 0@60 0@120 0@180 x@240",]
    );
    assert_eq!(group.rules()[0].state(), Some(AlertState::Inactive));
}

#[test]
fn a_template_that_fails_says_so_in_the_alert() {
    let tube = Tube::new();
    let group = group(
        "{alert: A, expr: vector(1), annotations: {bad: '{{ query \"nothing\" | first | value }}', good: '{{ query \"vector(7)\" | first | value }}'}}",
    );
    tube.evaluate(&group, 0);
    let alert = &group.rules()[0].alerts()[0];
    assert_eq!(alert.annotations["good"], "7");
    let bad = &alert.annotations["bad"];
    assert!(
        bad.starts_with("<error expanding template: error executing template __alert_A: template: "),
        "{bad}"
    );
    assert!(bad.ends_with("first() called on vector with no elements>"), "{bad}");
    assert_eq!(tube.env.metrics.template_errors.get(), 1);
}

#[test]
fn labels_of_the_group_are_those_of_its_rules() {
    let tube = Tube::new();
    let text = "groups: [{name: g, labels: {team: t, own: g}, rules: [{record: r, expr: vector(1), labels: {own: r}}, {alert: A, expr: vector(1)}]}]";
    tube.evaluate(&group_with(text, false), 0);
    assert_eq!(tube.stored("r"), ["r{own=\"r\", team=\"t\"}: 1@0"]);
    assert_eq!(tube.sent(), ["{alertname=\"A\", own=\"g\", team=\"t\"} firing 0..240"]);
}

#[test]
fn what_takes_a_groups_place_goes_on_with_its_alerts_and_ends_what_is_gone() {
    let tube = Tube::new();
    let before = group(
        "{alert: A, expr: vector(1), for: 2m}, {record: gone, expr: vector(1)}, {record: stays, expr: vector(1)}",
    );
    tube.evaluate(&before, 0);
    before.retire();
    tube.evaluate(&before, MINUTE);
    assert_eq!(tube.stored("gone"), ["gone: 1@0"], "not evaluated any more");
    let after = group("{record: stays, expr: vector(2)}, {alert: A, expr: vector(2), for: 2m}");
    after.take_over(&before);
    assert_eq!(after.rules()[1].alerts()[0].active_at_ms, 0);
    tube.evaluate(&after, 2 * MINUTE);
    assert_eq!(tube.sent(), ["{alertname=\"A\"} firing 120..360"]);
    assert_eq!(tube.stored("gone"), ["gone: 1@0 x@120"]);
    assert_eq!(tube.stored("stays"), ["stays: 1@0 2@120"]);
}

/// Pending since 0, evaluated for `ran` minutes, down for `down`; since when the alert is there then, in minutes, and what it says.
#[track_caller]
fn check_restored(hold: &str, ran: i64, down: i64, active_at: i64, fires_at: i64) {
    let rule = format!(
        "groups: [{{name: g, rules: [{{alert: A, expr: vector(1), for: {hold}, labels: {{x: '{{{{ $value }}}}'}}}}]}}]"
    );
    let tube = Tube::new();
    let group = group_with(&rule, false);
    for minute in 0..=ran {
        tube.evaluate(&group, minute * MINUTE);
    }
    let start = ran + down;
    let tube = Tube::over(Arc::clone(&tube.storage), start * MINUTE);
    let group = group_with(&rule, true);
    tube.evaluate(&group, start * MINUTE);
    assert_eq!(
        tube.stored("ALERTS").iter().filter(|series| series.contains(&format!("@{}", start * 60))).count(),
        0
    );
    tube.evaluate(&group, (start + 1) * MINUTE);
    assert_eq!(group.rules()[0].alerts()[0].active_at_ms, active_at * MINUTE);
    let fired = (start + 2..start + 200).find(|minute| {
        tube.evaluate(&group, minute * MINUTE);
        !tube.sent().is_empty()
    });
    assert_eq!(fired, Some(fires_at));
}

#[test]
fn an_alert_that_was_pending_before_a_restart_is_so_since_then() {
    // Thirty minutes pending, five down: they do not count. Restored after the second evaluation, one minute later.
    check_restored("60m", 30, 5, 6, 66);
    // Five minutes are left, but it must not fire before ten have passed.
    check_restored("30m", 25, 5, 31 + 10 - 30, 41);
    // It fired before, and does at once.
    check_restored("20m", 25, 5, 0, 32);
    // Down for longer than an hour: it begins anew.
    check_restored("30m", 25, 90, 115, 145);
    // Shorter than the grace period: it begins anew.
    check_restored("5m", 3, 1, 4, 9);
}

#[test]
fn rules_that_share_nothing_may_be_evaluated_by_several_threads() {
    let tube = Tube::new();
    let rules: Vec<String> =
        (0..30).map(|at| format!("{{record: r, expr: vector({at}), labels: {{n: '{at}'}}}}")).collect();
    let mut names: Vec<String> = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| rule.replace("record: r", &format!("record: r{at}")))
        .collect();
    names.push("{record: all, expr: 'count({__name__=~\"r.*\"})'}".to_owned());
    let group = group(&names.join(", "));
    group.status.lock().evaluation_s = 1.0;
    tube.evaluate(&group, 0);
    assert_eq!(tube.stored("all"), ["all: 30@0"]);
    assert_eq!(tube.env.helpers.take(9).count, 2, "given back");
}

#[test]
fn what_was_missed_in_an_outage_is_made_up_for() {
    let tube = Tube::new();
    for minute in 0..=40 {
        tube.write(minute * MINUTE, &[("__name__", "m"), ("a", "1")], minute as f64);
    }
    let rules = "groups: [{name: g, rules: [{record: s, expr: r + 1}, {record: r, expr: m * 2}, {alert: A, expr: m > 1}]}]";
    let before = group_with(rules, false);
    let slot = |count: i64| before.slots().first(0) + count * MINUTE;
    (0..4).for_each(|at| tube.evaluate(&before, slot(at)));
    let recorded = |tube: &Tube, metric: &str| -> Vec<i64> {
        let stored = tube.stored(metric).pop().unwrap_or_default();
        let samples = stored.split(' ').filter_map(|sample| sample.split_once('@'));
        samples.map(|(_, second)| second.parse().expect("a number")).collect()
    };
    let seconds = |counts: &[i64]| counts.iter().map(|at| slot(*at) / 1_000).collect::<Vec<_>>();
    let after = group_with(rules, true);
    tube.evaluate(&after, slot(9));
    assert_eq!(recorded(&tube, "r"), seconds(&[0, 1, 2, 3, 9]));
    tube.evaluate(&after, slot(10));
    assert_eq!(recorded(&tube, "r"), seconds(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    // It reads what the rule behind it wrote at the evaluation before, or not at all.
    assert!(recorded(&tube, "s").len() >= 9);
    let repaired = tube.env.metrics.repaired.with_label_values(&[after.key()]).get();
    assert_eq!(repaired, 10, "five evaluations of two rules");
}

#[test]
fn only_so_much_is_made_up_for_and_nothing_where_nothing_was() {
    let tube = Tube::new();
    for minute in 0..=200 {
        tube.write(minute * MINUTE, &[("__name__", "m")], minute as f64);
    }
    let rules = "groups: [{name: g, rules: [{record: r, expr: m}]}]";
    let count = |tube: &Tube| {
        tube.stored("r")
            .first()
            .map_or(0, |stored| stored.split(' ').filter(|sample| sample.contains('@')).count())
    };
    let fresh = group_with(rules, true);
    (0..3).for_each(|at| tube.evaluate(&fresh, fresh.slots().first(0) + at * MINUTE));
    assert_eq!(count(&tube), 3, "a new rule has missed nothing");
    let after = group_with(rules, true);
    let slot = |count: i64| after.slots().first(0) + count * MINUTE;
    (150..152).for_each(|at| tube.evaluate(&after, slot(at)));
    // An hour, no more.
    assert_eq!(count(&tube), 3 + 60 + 2);
}

#[test]
fn the_last_evaluations_are_remembered() {
    let tube = Tube::new();
    tube.write(0, &[("__name__", "m"), ("a", "1")], 1.0);
    tube.write(0, &[("__name__", "m"), ("a", "2")], 1.0);
    let group = group("{record: r, expr: m}, {record: bad, expr: m * on() m}");
    (0..12).for_each(|at| tube.evaluate(&group, at * 10_000));
    let [good, bad] = group.rules() else { panic!("two rules") };
    let last = good.evaluations();
    assert_eq!(last.len(), crate::rule::EVALUATIONS_MAX);
    assert_eq!(
        (last[0].at_ms, last[9].at_ms, last[0].sample_count, last[0].error.as_str()),
        (110_000, 20_000, 2, "")
    );
    assert!(bad.evaluations()[0].error.contains("duplicate series"), "{:?}", bad.evaluations()[0]);
}
