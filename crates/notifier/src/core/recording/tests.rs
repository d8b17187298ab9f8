//! What the timeline is told, in virtual time: every decision once.

use super::super::tests::{X, alert, at, core, silence, told};
use super::*;
use crate::service::history::Queue;

/// Kinds of the events since the last time, of alerts of this name.
fn kinds(queue: &Queue, name: &str) -> Vec<String> {
    let events = queue.drain().into_iter().filter(|event| event.labels.get("alertname") == Some(name));
    let kind = |event: crate::timeline::Event| {
        let value = serde_json::to_value(&*event.what).expect("JSON");
        value["kind"].as_str().expect("a kind").to_owned()
    };
    events.map(kind).collect()
}

#[test]
fn the_way_of_an_alert_is_told_from_its_report_to_its_end() {
    let (mut core, queue) = core();
    core.put(vec![alert(&X, 0, 100_000)], Source::Outside, at(0));
    assert_eq!(kinds(&queue, "x"), ["received", "grouped"]);
    // The same again is nothing new.
    core.put(vec![alert(&X, 0, 100_001)], Source::Outside, at(5));
    told(&mut core, 9);
    assert_eq!(kinds(&queue, "x"), [""; 0]);
    told(&mut core, 10);
    assert_eq!(kinds(&queue, "x"), ["notifying"]);
    for seconds in (70..3_600).step_by(60) {
        told(&mut core, seconds);
    }
    assert_eq!(kinds(&queue, "x"), ["unchanged"], "once");
    told(&mut core, 3_670);
    told(&mut core, 3_730);
    assert_eq!(kinds(&queue, "x"), ["notifying", "unchanged"]);
    let ended = Alert { updated_at_ms: at(3_750).wall_ms, ..alert(&X, 0, 3_750) };
    core.put(vec![ended], Source::Outside, at(3_750));
    told(&mut core, 3_790);
    assert_eq!(kinds(&queue, "x"), ["ended", "notifying"]);
}

#[test]
fn rules_tell_themselves_when_an_alert_fires() {
    let (mut core, queue) = core();
    core.put(vec![alert(&X, 0, 50)], Source::Rules, at(0));
    assert_eq!(kinds(&queue, "x"), ["grouped"]);
    // Nothing more is heard of it.
    core.pass(at(0).wall_ms, at(49).wall_ms);
    assert_eq!(kinds(&queue, "x"), [""; 0]);
    core.pass(at(49).wall_ms, at(60).wall_ms);
    core.pass(at(60).wall_ms, at(90).wall_ms);
    assert_eq!(kinds(&queue, "x"), ["lapsed"]);
    // It comes back: another occurrence.
    core.put(vec![alert(&X, 100, 500)], Source::Rules, at(100));
    assert_eq!(kinds(&queue, "x"), ["grouped"]);
}

#[test]
fn what_holds_an_alert_back_is_told_when_it_changes() {
    let (mut core, queue) = core();
    let warning = [("alertname", "x"), ("cluster", "a"), ("severity", "warning")];
    let critical = [("alertname", "y"), ("cluster", "a"), ("severity", "critical")];
    core.put(vec![alert(&warning, 0, 100_000), alert(&critical, 0, 100)], Source::Rules, at(0));
    for seconds in [10, 70] {
        told(&mut core, seconds);
    }
    let events = queue.drain();
    let held = events.iter().filter_map(|event| match &*event.what {
        What::Inhibited { by_labels, .. } => Some(by_labels["alertname"].as_str()),
        _ => None,
    });
    assert_eq!(held.collect::<Vec<_>>(), ["y"]);
    let stops = silence("s", at(100), at(200));
    core.apply_silence(stops, at(100).wall_ms).expect("it can be");
    assert_eq!(kinds(&queue, "x"), ["silence_set"]);
    told(&mut core, 130);
    told(&mut core, 190);
    assert_eq!(kinds(&queue, "x"), ["silenced"]);
    core.pass(at(190).wall_ms, at(220).wall_ms);
    told(&mut core, 250);
    assert_eq!(kinds(&queue, "x"), ["silence_ended", "notifying"]);
}

#[test]
fn mute_routes_say_by_which_interval() {
    let (mut core, queue) = core();
    for team in ["night", "office"] {
        core.put(vec![alert(&[("alertname", "x"), ("team", team)], 0, 100_000)], Source::Rules, at(0));
    }
    told(&mut core, 10);
    told(&mut core, 70);
    let muted = queue.drain().into_iter().filter_map(|event| match &*event.what {
        What::Muted { intervals, is_outside, .. } => Some((intervals.join(","), *is_outside)),
        _ => None,
    });
    assert_eq!(muted.collect::<Vec<_>>(), [("always".to_owned(), false), ("never".to_owned(), true)]);
}

#[test]
fn a_reload_repeats_nothing() {
    let (mut core, queue) = core();
    core.put(vec![alert(&X, 0, 100_000)], Source::Rules, at(0));
    told(&mut core, 10);
    told(&mut core, 70);
    queue.drain();
    let config = super::super::tests::config();
    core.reconfigure(&config, at(80));
    told(&mut core, 80);
    assert_eq!(kinds(&queue, "x"), [""; 0]);
}

fn acked(core: &mut Core, labels: &[(&str, &str)], from: i64, until: i64) {
    let labels = Labels::from_pairs(labels.iter().copied());
    core.put_ack(Ack {
        fingerprint: Fingerprint::of(&labels),
        labels: crate::ack::pairs(&labels),
        owner: "me".to_owned(),
        comment: String::new(),
        created_at_ms: at(from).wall_ms,
        expires_at_ms: at(until).wall_ms,
    });
}

/// Every turn from one moment to another; what is told, by when.
fn turns(core: &mut Core, from: i64, until: i64) -> Vec<(i64, Reason)> {
    let mut all = Vec::new();
    for seconds in (from..until).step_by(60) {
        let told = told(core, seconds).into_iter().filter(|(index, _, _)| *index == 0);
        all.extend(told.map(|(_, reason, _)| (seconds, reason)));
    }
    all
}

#[test]
fn an_acknowledged_alert_is_not_repeated_until_that_ends() {
    let (mut core, queue) = core();
    core.put(vec![alert(&X, 0, 1_000_000)], Source::Rules, at(0));
    assert_eq!(turns(&mut core, 10, 60), [(10, Reason::First)]);
    acked(&mut core, &X, 60, 40_000);
    // The log would have forgotten it after two hours.
    assert_eq!(turns(&mut core, 70, 39_990), []);
    let kinds = kinds(&queue, "x");
    assert_eq!(kinds, ["grouped", "notifying", "acknowledged", "unchanged", "held_by_ack"]);
    core.pass(at(39_990).wall_ms, at(40_020).wall_ms);
    assert!(core.acks.list(at(40_020).wall_ms).is_empty());
    let told = turns(&mut core, 40_030, 43_000);
    assert_eq!(told.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [Reason::Repeat], "{told:?}");
}

#[test]
fn what_is_new_in_a_group_is_told_though_its_alerts_are_acknowledged() {
    let (mut core, _) = core();
    let other = [("alertname", "x"), ("n", "2")];
    core.put(vec![alert(&X, 0, 1_000_000)], Source::Rules, at(0));
    turns(&mut core, 10, 60);
    acked(&mut core, &X, 60, 1_000_000);
    core.put(vec![alert(&other, 100, 1_000_000)], Source::Rules, at(100));
    assert_eq!(turns(&mut core, 130, 190), [(130, Reason::NewFiring)]);
    // Nobody takes care of the other: the group is repeated because of it.
    let told = turns(&mut core, 190, 4_000);
    assert_eq!(told.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [Reason::Repeat]);
    acked(&mut core, &other, 4_000, 1_000_000);
    assert_eq!(turns(&mut core, 4_030, 9_000), []);
    // An end is told, and ends the acknowledgement.
    let ended = Alert { updated_at_ms: at(9_000).wall_ms, ..alert(&X, 0, 9_000) };
    core.put(vec![ended], Source::Rules, at(9_000));
    assert_eq!(core.acks.list(at(9_000).wall_ms).len(), 1);
    let told = turns(&mut core, 9_010, 9_200);
    assert_eq!(told.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [Reason::NewResolved]);
    assert_eq!(core.acks.take_ended(), [Fingerprint::of(&Labels::from_pairs(X))]);
}

#[test]
fn an_acknowledgement_of_an_alert_that_nobody_hears_of_ends() {
    let (mut core, queue) = core();
    let ack = |name: &str| {
        let labels = Labels::from_pairs([("alertname", name)]);
        Ack {
            fingerprint: Fingerprint::of(&labels),
            labels: crate::ack::pairs(&labels),
            owner: "me".to_owned(),
            comment: String::new(),
            created_at_ms: 0,
            expires_at_ms: i64::MAX,
        }
    };
    core.acks = crate::ack::Acks::load(vec![ack("x"), ack("y")], at(0).wall_ms);
    core.put(vec![alert(&X, 0, 1_000_000)], Source::Rules, at(0));
    core.pass(at(0).wall_ms, at(3_599).wall_ms);
    assert_eq!(core.acks.list(at(3_599).wall_ms).len(), 2);
    core.pass(at(3_599).wall_ms, at(3_600).wall_ms);
    assert_eq!(core.acks.list(at(3_600).wall_ms).len(), 1);
    assert_eq!(kinds(&queue, "y"), ["ack_ended"]);
}

#[test]
fn silences_that_end_soon_are_told_once_while_they_hold_alerts_back() {
    let (mut core, queue) = core();
    core.apply_silence(silence("s", at(0), at(1_000)), at(0).wall_ms).expect("it can be");
    let ending = |core: &mut Core, seconds: i64| {
        let found = core.ending_silences(at(seconds).wall_ms, 300_000);
        found.iter().map(|ending| (ending.alert_count, ending.is_new)).collect::<Vec<_>>()
    };
    assert_eq!(ending(&mut core, 800), [], "it holds nothing back");
    core.put(vec![alert(&X, 0, 100_000)], Source::Rules, at(10));
    assert_eq!(ending(&mut core, 699), []);
    assert_eq!(ending(&mut core, 701), [(1, true)]);
    assert_eq!(ending(&mut core, 731), [(1, false)]);
    assert_eq!(kinds(&queue, "x"), ["grouped", "silence_ends_soon"]);
    // Its end was moved.
    core.apply_silence(silence("s", at(0), at(2_000)), at(740).wall_ms).expect("it can be");
    assert_eq!(ending(&mut core, 760), []);
    assert_eq!(ending(&mut core, 1_800), [(1, true)]);
    assert_eq!(ending(&mut core, 2_001), []);
    assert_eq!(core.ending_silences(at(1_900).wall_ms, 0).len(), 0, "switched off");
}
