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
