//! Groups wait, flush and repeat when they should, in virtual time.

use super::*;
use crate::alert::Annotations;

const TREE: &str = "\
receiver: root
group_by: [alertname]
group_wait: 10s
group_interval: 1m
routes:
- matchers: [team=a]
  receiver: a
  group_by: ['...']
";

fn at(ms: i64) -> Now {
    Now { wall_ms: 1_000_000 + ms, monotonic_ms: ms }
}

fn dispatcher() -> Dispatcher {
    Dispatcher::new(Arc::new(Route::root(&yaml::from_str(TREE).expect("a tree"))))
}

/// An alert that began at a moment and fires for an hour.
fn alert(pairs: &[(&str, &str)], since: Now) -> Arc<Alert> {
    Arc::new(Alert {
        labels: Labels::from_pairs(pairs.iter().copied()),
        annotations: Annotations::new(),
        starts_at_ms: since.wall_ms,
        ends_at_ms: since.wall_ms + 3_600_000,
        generator_url: String::new(),
        updated_at_ms: since.wall_ms,
        is_timeout: true,
    })
}

fn resolved(alert: &Alert, now: Now) -> Arc<Alert> {
    Arc::new(Alert { ends_at_ms: now.wall_ms, updated_at_ms: now.wall_ms, ..alert.clone() })
}

#[test]
fn a_new_group_waits_and_is_then_told_at_its_interval() {
    let mut dispatcher = dispatcher();
    let first = alert(&[("alertname", "x"), ("n", "1")], at(0));
    dispatcher.insert(&first, at(0));
    dispatcher.insert(&alert(&[("alertname", "x"), ("n", "2")], at(5_000)), at(5_000));
    assert_eq!(dispatcher.next_due_ms(), Some(10_000));
    assert!(dispatcher.take_due(at(9_999)).is_empty());
    let flushes = dispatcher.take_due(at(10_000));
    assert_eq!(flushes.len(), 1);
    assert_eq!((&*flushes[0].key, flushes[0].alerts.len()), ("{}:{alertname=\"x\"}", 2));
    // Nothing is due while it is told.
    assert!(dispatcher.take_due(at(500_000)).is_empty());
    dispatcher.done(&flushes[0], true);
    assert_eq!(dispatcher.next_due_ms(), Some(70_000));
}

#[test]
fn an_alert_that_has_waited_elsewhere_is_told_at_once() {
    let mut dispatcher = dispatcher();
    dispatcher.insert(&alert(&[("alertname", "x")], at(0)), at(10_001));
    assert_eq!(dispatcher.next_due_ms(), Some(10_001));
    // But only the first time.
    let flushes = dispatcher.take_due(at(10_001));
    dispatcher.done(&flushes[0], true);
    dispatcher.insert(&alert(&[("alertname", "x")], at(0)), at(10_002));
    assert_eq!(dispatcher.next_due_ms(), Some(70_001));
}

#[test]
fn what_is_over_and_told_is_forgotten() {
    let mut dispatcher = dispatcher();
    let one = alert(&[("alertname", "x"), ("n", "1")], at(0));
    dispatcher.insert(&one, at(0));
    dispatcher.insert(&resolved(&one, at(5_000)), at(5_000));
    let flush = &dispatcher.take_due(at(10_000))[0];
    dispatcher.done(flush, false);
    dispatcher.remove_empty();
    assert_eq!(dispatcher.groups()[0].alerts.len(), 1);
    let flush = &dispatcher.take_due(at(70_000))[0];
    dispatcher.done(flush, true);
    dispatcher.remove_empty();
    assert_eq!((dispatcher.group_count(), dispatcher.next_due_ms()), (0, None));
}

#[test]
fn what_fires_again_while_its_end_is_told_stays() {
    let mut dispatcher = dispatcher();
    let one = alert(&[("alertname", "x")], at(0));
    dispatcher.insert(&one, at(0));
    dispatcher.insert(&resolved(&one, at(5_000)), at(5_000));
    let flush = &dispatcher.take_due(at(10_000))[0];
    dispatcher.insert(&alert(&[("alertname", "x")], at(11_000)), at(11_000));
    dispatcher.done(flush, true);
    dispatcher.remove_empty();
    assert_eq!(dispatcher.groups()[0].alerts.len(), 1);
}

#[test]
fn all_labels_make_a_group_an_alert() {
    let mut dispatcher = dispatcher();
    for n in ["1", "2"] {
        dispatcher.insert(&alert(&[("alertname", "x"), ("team", "a"), ("n", n)], at(0)), at(0));
    }
    assert_eq!(dispatcher.group_count(), 2);
}

#[test]
fn a_clock_that_is_set_back_delays_nobody() {
    let mut dispatcher = dispatcher();
    dispatcher.insert(&alert(&[("alertname", "x")], at(0)), at(0));
    let set_back = Now { wall_ms: 0, monotonic_ms: 10_000 };
    assert_eq!(dispatcher.take_due(set_back).len(), 1);
}

#[test]
fn notifications_are_in_alertmanagers_order() {
    let mut all = [
        &[("alertname", "x"), ("n", "1")][..],
        &[("alertname", "x"), ("instance", "b")],
        &[("alertname", "x"), ("instance", "a")],
        &[("alertname", "x"), ("job", "z")],
        &[("alertname", "x")],
    ]
    .map(|pairs| Labels::from_pairs(pairs.iter().copied()));
    all.sort_by(order);
    let shown: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "{alertname=\"x\", job=\"z\"}",
            "{alertname=\"x\", instance=\"a\"}",
            "{alertname=\"x\", instance=\"b\"}",
            "{alertname=\"x\"}",
            "{alertname=\"x\", n=\"1\"}",
        ]
    );
}
