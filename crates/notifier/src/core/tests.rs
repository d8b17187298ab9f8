//! Alerts from their arrival to what is sent of them, in virtual time.

use std::path::Path;

use super::*;
use crate::alert::Annotations;
use crate::silence::{Silence, SilenceMatcher};

const CONFIG: &str = "\
route:
  receiver: all
  group_by: [alertname]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 1h
  routes:
  - matchers: [team=night]
    mute_time_intervals: [always]
  - matchers: [team=office]
    active_time_intervals: [never]
receivers:
- name: all
  webhook_configs:
  - url: http://one.example/
  - url: http://two.example/
    send_resolved: false
inhibit_rules:
- source_matchers: [severity=critical]
  target_matchers: [severity=warning]
  equal: [cluster]
time_intervals:
- name: always
  time_intervals: [{}]
- name: never
  time_intervals: [{years: ['1999']}]
";

pub(super) fn config() -> Config {
    Config::parse(CONFIG.as_bytes(), Path::new("")).expect("fine")
}

/// With what the timeline is told.
pub(super) fn core() -> (Core, Arc<Queue>) {
    let queue = Arc::<Queue>::default();
    (Core::new(&config(), Silences::default(), NotificationLog::default(), Arc::clone(&queue)), queue)
}

pub(super) fn at(seconds: i64) -> Now {
    Now { wall_ms: 1_700_000_000_000 + seconds * 1_000, monotonic_ms: seconds * 1_000 }
}

pub(super) fn alert(pairs: &[(&str, &str)], starts: i64, ends: i64) -> Alert {
    Alert {
        labels: Labels::from_pairs(pairs.iter().copied()),
        annotations: Annotations::new(),
        starts_at_ms: at(starts).wall_ms,
        ends_at_ms: at(ends).wall_ms,
        generator_url: String::new(),
        updated_at_ms: at(starts).wall_ms,
        is_timeout: false,
    }
}

/// Of all alerts called x.
pub(super) fn silence(id: &str, starts: Now, ends: Now) -> Silence {
    Silence {
        id: id.to_owned(),
        matchers: vec![SilenceMatcher {
            is_equal: true,
            is_regex: false,
            name: "alertname".to_owned(),
            value: "x".to_owned(),
        }],
        starts_at_ms: starts.wall_ms,
        ends_at_ms: ends.wall_ms,
        updated_at_ms: 0,
        created_by: String::new(),
        comment: String::new(),
        recurrence: None,
    }
}

/// Lets the group be told at a moment: for each integration why, and how many alerts it hears of.
pub(super) fn told(core: &mut Core, seconds: i64) -> Vec<(usize, Reason, usize)> {
    let mut all = Vec::new();
    for flush in core.take_due(at(seconds)) {
        for telling in core.tellings(&flush) {
            if !telling.renews {
                all.push((telling.key.index, telling.reason, telling.alerts.len()));
            }
            core.told(&telling, &flush, flush.now.wall_ms);
        }
        core.done(core.generation(), &flush, true);
    }
    all
}

pub(super) const X: [(&str, &str); 1] = [("alertname", "x")];

#[test]
fn an_alert_is_told_once_repeated_and_its_end_is_told_to_those_who_want_it() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    assert_eq!(told(&mut core, 9), []);
    assert_eq!(told(&mut core, 10), [(0, Reason::First, 1), (1, Reason::First, 1)]);
    assert_eq!(told(&mut core, 70), []);
    for seconds in (130..3_610).step_by(60) {
        assert_eq!(told(&mut core, seconds), [], "at {seconds}");
    }
    assert_eq!(told(&mut core, 3_670), [(0, Reason::Repeat, 1), (1, Reason::Repeat, 1)]);
    core.put(
        vec![Alert { updated_at_ms: at(3_700).wall_ms, ..alert(&X, 0, 3_700) }],
        Source::Outside,
        at(3_700),
    );
    // The second is told nothing, but that it knows is written down.
    assert_eq!(told(&mut core, 3_730), [(0, Reason::AllResolved, 1), (1, Reason::AllResolved, 0)]);
    core.remove_empty_groups();
    assert_eq!(core.next_due_ms(), None);
}

#[test]
fn new_alerts_of_a_group_are_told_at_its_next_turn() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    told(&mut core, 10);
    core.put(vec![alert(&[("alertname", "x"), ("n", "2")], 20, 100_000)], Source::Outside, at(20));
    assert_eq!(told(&mut core, 60), []);
    assert_eq!(told(&mut core, 70), [(0, Reason::NewFiring, 2), (1, Reason::NewFiring, 2)]);
}

#[test]
fn what_was_told_is_not_told_again_after_a_restart() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    told(&mut core, 10);
    let config = config();
    core.reconfigure(&config, at(20));
    assert_eq!(told(&mut core, 20), []);
    assert_eq!(core.next_due_ms(), Some(80_000));
}

#[test]
fn inhibited_alerts_are_not_told() {
    let mut core = core().0;
    let warning = [("alertname", "x"), ("cluster", "a"), ("severity", "warning")];
    core.put(vec![alert(&warning, 0, 100_000)], Source::Outside, at(0));
    let critical = alert(&[("alertname", "y"), ("cluster", "a"), ("severity", "critical")], 0, 50);
    let by = critical.fingerprint().to_string();
    core.put(vec![critical], Source::Outside, at(0));
    assert_eq!(told(&mut core, 10).len(), 2);
    let status = core.status(&Labels::from_pairs(warning), at(10).wall_ms);
    assert_eq!(status.inhibited_by, [by]);
    // Over: now it is told.
    assert!(told(&mut core, 70).contains(&(0, Reason::First, 1)));
}

#[test]
fn silenced_alerts_are_not_told_until_the_silence_ends() {
    let mut core = core().0;
    let silence = silence("s", at(0), at(60));
    core.silences.apply(silence).expect("it can be");
    core.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    assert_eq!(told(&mut core, 10), []);
    assert_eq!(core.alerts(at(10).wall_ms)[0].status.silenced_by, ["s"]);
    assert_eq!(told(&mut core, 70), [(0, Reason::First, 1), (1, Reason::First, 1)]);
}

#[test]
fn routes_are_mute_in_their_intervals() {
    let mut core = core().0;
    for team in ["night", "office"] {
        core.put(vec![alert(&[("alertname", "x"), ("team", team)], 0, 100_000)], Source::Outside, at(0));
    }
    assert_eq!(told(&mut core, 10), []);
    let muted: Vec<_> = core.alerts(at(10).wall_ms).into_iter().map(|view| view.status.muted_by).collect();
    assert!(
        muted.contains(&vec!["always".to_owned()]) && muted.contains(&vec!["never".to_owned()]),
        "{muted:?}"
    );
}

#[test]
fn what_is_over_is_not_shown_and_forgotten() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 50)], Source::Outside, at(0));
    assert_eq!((core.alerts(at(49).wall_ms).len(), core.groups(at(49).wall_ms)[0].alerts.len()), (1, 1));
    assert_eq!((core.alerts(at(50).wall_ms).len(), core.groups(at(50).wall_ms)[0].alerts.len()), (0, 0));
    assert_eq!(core.counts(at(49).wall_ms), (1, 0, 1));
    core.collect_garbage(at(50).wall_ms);
    assert_eq!(core.alerts(at(0).wall_ms).len(), 0);
}

#[test]
fn the_end_of_a_flush_of_an_older_configuration_changes_nothing() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 5)], Source::Outside, at(0));
    let flush = core.take_due(at(10)).remove(0);
    let config = Config::parse(CONFIG.as_bytes(), Path::new("")).expect("fine");
    let generation = core.generation();
    core.reconfigure(&config, at(11));
    core.done(generation, &flush, true);
    assert_ne!(generation, core.generation());
}

#[test]
fn an_end_that_came_while_nobody_was_there_is_told_after_a_restart() {
    let mut before = core().0;
    before.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    told(&mut before, 10);
    let mut after = core().0;
    after.log = std::mem::take(&mut before.log);
    after.put(vec![alert(&X, 0, 50)], Source::Outside, at(60));
    assert_eq!(told(&mut after, 60), [(0, Reason::AllResolved, 1), (1, Reason::AllResolved, 0)]);
}

#[test]
fn what_was_over_before_anybody_heard_of_it_is_told_to_nobody() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 50)], Source::Outside, at(60));
    assert_eq!(told(&mut core, 60), []);
    core.remove_empty_groups();
    assert_eq!(core.next_due_ms(), None);
}

#[test]
fn an_end_that_is_not_yet_told_is_told_after_a_reload() {
    let mut core = core().0;
    core.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    told(&mut core, 10);
    core.put(vec![Alert { updated_at_ms: at(20).wall_ms, ..alert(&X, 0, 20) }], Source::Outside, at(20));
    let config = config();
    core.reconfigure(&config, at(30));
    assert_eq!(told(&mut core, 30), [(0, Reason::AllResolved, 1), (1, Reason::AllResolved, 0)]);
}

#[test]
fn alerts_beyond_the_limit_are_refused_until_others_are_over() {
    let mut core = core().0;
    core.alert_bytes_max = 1_000;
    let large = |n: &str, seconds: i64| Alert {
        annotations: [("text".to_owned(), "x".repeat(500))].into(),
        ..alert(&[("alertname", n)], 0, seconds)
    };
    assert_eq!(core.put(vec![large("a", 50)], Source::Outside, at(0)), 0);
    assert_eq!(core.put(vec![large("b", 50)], Source::Outside, at(0)), 1);
    // The same again is no more than before.
    assert_eq!(core.put(vec![large("a", 50)], Source::Outside, at(0)), 0);
    core.collect_garbage(at(50).wall_ms);
    assert_eq!(core.put(vec![large("b", 90)], Source::Outside, at(50)), 0);
}
