//! Alerts of a rule that is evaluated once a minute.

use super::*;

const MINUTE: i64 = 60_000;
const TERMS: Terms = Terms {
    for_ms: 5 * MINUTE,
    keep_firing_for_ms: 0,
    limit: 0,
    missing: Missing { on_missing: OnMissing::Resolve, tolerance: 0 },
    flapping: None,
};
const RESEND: i64 = MINUTE;

/// A rule that is evaluated once a minute, and what became of its alerts.
struct Life {
    alerts: Alerts,
    terms: Terms,
    minute: i64,
}

impl Life {
    fn new(terms: Terms) -> Self {
        Self { alerts: Alerts::default(), terms, minute: 0 }
    }

    /// One evaluation, at which these alerts are there; what is sent, as `name@since..until`, in minutes.
    fn step(&mut self, there: &[&str]) -> Result<Vec<String>, TooMany> {
        let time_ms = self.minute * MINUTE;
        self.minute += 1;
        let found = there.iter().map(|name| {
            let labels = Labels::from_pairs([("alertname", *name)]);
            (labels.clone(), Alert::new(labels, BTreeMap::new(), 1.0, time_ms))
        });
        self.alerts.update(time_ms, found.collect(), None, self.terms)?;
        let due = self.alerts.take_due(time_ms, RESEND, MINUTE);
        Ok(due.into_iter().map(|alert| shown(&alert)).collect())
    }

    #[track_caller]
    fn check(&mut self, there: &[&str], sent: &[&str], states: &[(&str, AlertState)]) {
        assert_eq!(self.step(there).expect("not too many"), sent, "sent in minute {}", self.minute - 1);
        let active: Vec<_> = self
            .alerts
            .active()
            .map(|alert| (alert.labels.get("alertname").unwrap_or_default().to_owned(), alert.state))
            .collect();
        let expected: Vec<_> = states.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect();
        assert_eq!(active, expected, "states in minute {}", self.minute - 1);
    }
}

fn shown(alert: &Alert) -> String {
    let minute = |ms: Option<i64>| ms.map_or("-".to_owned(), |ms| (ms / MINUTE).to_string());
    let name = alert.labels.get("alertname").unwrap_or_default();
    match alert.resolved_at_ms {
        Some(_) => format!("{name} resolved {}..{}", minute(alert.fired_at_ms), minute(alert.resolved_at_ms)),
        None => format!("{name} firing {}..{}", minute(alert.fired_at_ms), minute(alert.valid_until_ms)),
    }
}

use AlertState::{Firing, Pending};

#[test]
fn an_alert_is_pending_for_its_time_and_then_fires() {
    let mut life = Life::new(TERMS);
    for _ in 0..5 {
        life.check(&["a"], &[], &[("a", Pending)]);
    }
    life.check(&["a"], &["a firing 5..9"], &[("a", Firing)]);
    life.check(&["a"], &[], &[("a", Firing)]);
    life.check(&["a"], &["a firing 5..11"], &[("a", Firing)]);
}

#[test]
fn a_firing_alert_is_sent_again_when_more_than_the_resend_delay_has_passed() {
    let mut life = Life::new(Terms { for_ms: 0, ..TERMS });
    let sent: Vec<usize> = (0..8).map(|_| life.step(&["a"]).expect("one").len()).collect();
    assert_eq!(sent, [1, 0, 1, 0, 1, 0, 1, 0], "strictly more, as Prometheus");
}

#[test]
fn without_for_it_fires_at_once() {
    let mut life = Life::new(Terms { for_ms: 0, ..TERMS });
    life.check(&["a"], &["a firing 0..4"], &[("a", Firing)]);
}

#[test]
fn a_for_shorter_than_the_interval_takes_one_interval() {
    let mut life = Life::new(Terms { for_ms: 1_000, ..TERMS });
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&["a"], &["a firing 1..5"], &[("a", Firing)]);
}

#[test]
fn a_pending_alert_that_goes_is_forgotten_and_begins_anew() {
    let mut life = Life::new(Terms { for_ms: 2 * MINUTE, ..TERMS });
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&[], &[], &[]);
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&["a"], &["a firing 5..9"], &[("a", Firing)]);
}

#[test]
fn a_resolved_alert_is_told_at_once_and_for_a_quarter_of_an_hour() {
    let mut life = Life::new(Terms { for_ms: 0, ..TERMS });
    life.check(&["a"], &["a firing 0..4"], &[("a", Firing)]);
    life.check(&[], &["a resolved 0..1"], &[]);
    let sent: Vec<usize> = (2..20).map(|_| life.step(&[]).expect("none").len()).collect();
    // Every other minute, and no more when it was resolved for longer than 15 minutes.
    assert_eq!(sent, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0]);
    assert!(life.alerts.by_labels.is_empty(), "forgotten");
}

#[test]
fn an_alert_that_comes_back_is_a_new_one() {
    let mut life = Life::new(Terms { for_ms: MINUTE, ..TERMS });
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&["a"], &["a firing 1..5"], &[("a", Firing)]);
    life.check(&[], &["a resolved 1..2"], &[]);
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&["a"], &["a firing 4..8"], &[("a", Firing)]);
}

#[test]
fn an_alert_goes_on_firing_as_long_as_it_shall() {
    let mut life = Life::new(Terms { for_ms: 0, keep_firing_for_ms: 3 * MINUTE, ..TERMS });
    life.check(&["a"], &["a firing 0..4"], &[("a", Firing)]);
    life.check(&[], &[], &[("a", Firing)]);
    life.check(&[], &["a firing 0..6"], &[("a", Firing)]);
    assert_eq!(life.alerts.active().next().and_then(|alert| alert.keep_firing_since_ms), Some(MINUTE));
    life.check(&["a"], &[], &[("a", Firing)]);
    assert_eq!(life.alerts.active().next().and_then(|alert| alert.keep_firing_since_ms), None, "it is there");
    life.check(&[], &["a firing 0..8"], &[("a", Firing)]);
    life.check(&[], &[], &[("a", Firing)]);
    life.check(&[], &["a firing 0..10"], &[("a", Firing)]);
    life.check(&[], &["a resolved 0..7"], &[]);
}

#[test]
fn what_is_pending_is_not_kept() {
    let mut life = Life::new(Terms { keep_firing_for_ms: 3 * MINUTE, ..TERMS });
    life.check(&["a"], &[], &[("a", Pending)]);
    life.check(&[], &[], &[]);
}

#[test]
fn alerts_of_one_rule_live_on_their_own_and_come_in_order() {
    let mut life = Life::new(Terms { for_ms: MINUTE, ..TERMS });
    life.check(&["b", "a"], &[], &[("a", Pending), ("b", Pending)]);
    life.check(&["b", "c"], &["b firing 1..5"], &[("b", Firing), ("c", Pending)]);
    life.check(&["c"], &["b resolved 1..2", "c firing 2..6"], &[("c", Firing)]);
}

#[test]
fn more_alerts_than_allowed_are_none() {
    let mut life = Life::new(Terms { for_ms: 0, limit: 1, ..TERMS });
    life.check(&["a"], &["a firing 0..4"], &[("a", Firing)]);
    let error = life.step(&["a", "b"]).expect_err("too many");
    assert_eq!(error.to_string(), "exceeded limit of 1 with 2 alerts");
    assert!(life.alerts.by_labels.is_empty());
}

#[test]
fn the_newest_value_and_annotations_count_and_the_first_time() {
    let mut alerts = Alerts::default();
    let labels = Labels::from_pairs([("alertname", "a")]);
    for (time_ms, value) in [(0, 1.0), (MINUTE, 2.0)] {
        let annotations = BTreeMap::from([("value".to_owned(), value.to_string())]);
        let alert = Alert::new(labels.clone(), annotations, value, time_ms);
        alerts.update(time_ms, BTreeMap::from([(labels.clone(), alert)]), None, TERMS).expect("one");
    }
    let alert = alerts.active().next().expect("it is there");
    assert_eq!((alert.value, alert.active_at_ms, alert.annotations["value"].as_str()), (2.0, 0, "2"));
}

#[test]
fn what_became_of_alerts_is_told_once() {
    let mut life = Life::new(TERMS);
    let mut step = |there: &[&str]| {
        let before = life.alerts.standings();
        let is_ok = life.step(there).is_ok();
        let changes = life.alerts.changes(before).into_iter();
        let shown = |change: AlertChange| {
            let name = change.labels.get("alertname").unwrap_or_default().to_owned();
            format!("{name} {} {}", change.from.as_str(), change.to.as_str())
        };
        (is_ok, changes.map(shown).collect::<Vec<_>>())
    };
    let ok = |changes: &[&str]| (true, changes.iter().map(|change| (*change).to_owned()).collect::<Vec<_>>());
    assert_eq!(step(&["a", "c"]), ok(&["a inactive pending", "c inactive pending"]));
    assert_eq!(step(&["a", "b"]), ok(&["b inactive pending", "c pending inactive"]));
    for _ in 2..5 {
        assert_eq!(step(&["a", "b"]), ok(&[]));
    }
    assert_eq!(step(&["a", "b"]), ok(&["a pending firing"]));
    assert_eq!(step(&[]), ok(&["a firing inactive", "b pending inactive"]));
    assert_eq!(step(&[]), ok(&[]));
    // It comes back while its end is still remembered.
    assert_eq!(step(&["a"]), ok(&["a inactive pending"]));
}

#[test]
fn alerts_that_are_forgotten_because_they_are_too_many_are_told() {
    let mut life = Life::new(Terms { for_ms: 0, limit: 1, ..TERMS });
    life.step(&["a"]).expect("not too many");
    let before = life.alerts.standings();
    life.step(&["a", "b"]).expect_err("too many");
    let changes = life.alerts.changes(before);
    assert_eq!(
        changes.iter().map(|change| (change.from, change.to)).collect::<Vec<_>>(),
        [(Firing, AlertState::Inactive)]
    );
}

#[test]
fn an_alert_that_flaps_is_held_until_it_is_quiet() {
    let flapping = Flapping { times: 3, within_ms: 20 * MINUTE, hold_ms: 5 * MINUTE };
    let mut life = Life::new(Terms { for_ms: 0, flapping: Some(flapping), ..TERMS });
    // It comes and goes every other minute; the third time it stays.
    let mut states = Vec::new();
    for minute in 0..12 {
        let there: &[&str] = if minute % 2 == 0 && minute < 6 { &["a"] } else { &[] };
        life.step(there).expect("not too many");
        states.push(life.alerts.active().count());
    }
    assert_eq!(states, [1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0]);
    let annotation =
        |life: &Life| life.alerts.active().next().and_then(|alert| alert.annotations.get(FLAPPING).cloned());
    life.step(&["a"]).expect("one");
    assert_eq!(annotation(&life).as_deref(), Some("began to fire 3 times within 20m"));
    for _ in 0..40 {
        life.step(&[]).expect("none");
    }
    assert!(life.alerts.fired_ms.is_empty(), "forgotten");
    life.step(&["a"]).expect("one");
    assert_eq!(annotation(&life), None);
}
