//! Events as they are kept and told, and what they say about a moment.

use super::why::{Step, standing};
use super::*;

fn place(receiver: &str) -> Place {
    Place { group_key: "{}:{alertname=\"x\"}".to_owned(), receiver: receiver.to_owned() }
}

fn told(receiver: &str, attempt: u32) -> Told {
    Told {
        place: place(receiver),
        integration: "webhook".to_owned(),
        index: 0,
        attempt,
        took_ms: 12,
        alerts: 1,
    }
}

fn facts() -> RuleFacts {
    RuleFacts {
        rule: "Down".to_owned(),
        group: "g".to_owned(),
        file: "rules.yml".to_owned(),
        query: "up == 0".to_owned(),
        for_seconds: 300.0,
        keep_firing_for_seconds: 0.0,
        value: "0".to_owned(),
        active_at: At(1_700_000_000_000),
    }
}

/// One of every kind.
fn all() -> Vec<What> {
    let at = At(1_700_000_000_123);
    let silence = SilenceFacts {
        silence: "id".to_owned(),
        created_by: "me".to_owned(),
        comment: "disks".to_owned(),
        starts_at: at,
        ends_at: at,
    };
    let (owner, error) = ("me".to_owned(), "unexpected status code 500".to_owned());
    let by_labels = [("alertname".to_owned(), "Up".to_owned())].into();
    vec![
        What::Pending(facts()),
        What::Firing(facts()),
        What::Inactive(facts()),
        What::Resolved(facts()),
        What::Received { starts_at: at, ends_at: at },
        What::Ended { ends_at: at },
        What::Lapsed { last_heard_at: at },
        What::Grouped { place: place("r"), due_at: at },
        What::Notifying {
            place: place("r"),
            integrations: vec!["webhook[0]".to_owned()],
            reason: "first".to_owned(),
            alerts: 1,
        },
        What::Inhibited { place: place("r"), by: "00".to_owned(), by_labels },
        What::Silenced { place: place("r"), silences: vec!["id".to_owned()] },
        What::Muted { place: place("r"), intervals: vec!["night".to_owned()], is_outside: false },
        What::Unchanged { place: place("r"), repeats_at: Some(at) },
        What::Unchanged { place: place("r"), repeats_at: None },
        What::NobodyToTell { place: place("r") },
        What::HeldByAck { place: place("r"), owner: owner.clone(), expires_at: at },
        What::AttemptFailed { told: told("r", 1), error: error.clone(), retry: true },
        What::Delivered { told: told("r", 1) },
        What::GivenUp { told: told("r", 3), error },
        What::Acknowledged { owner: owner.clone(), comment: String::new(), expires_at: at },
        What::AckEnded { owner, reason: "resolved".to_owned() },
        What::SilenceSet(silence.clone()),
        What::SilenceBegan(silence.clone()),
        What::SilenceEnded(silence.clone()),
        What::SilenceEndsSoon(silence),
    ]
}

fn kept(at_ms: i64, what: What) -> PastEvent {
    let event = Event::new(at_ms, Labels::from_pairs([("alertname", "x")]), Arc::new(what));
    let kept = KeptEvent::of(&event).expect("JSON");
    PastEvent::read(kept.at_ms, &kept.kind, &kept.details)
}

#[test]
fn every_event_is_read_as_it_was_written_and_has_a_sentence() {
    for what in all() {
        let read = kept(5, what.clone());
        assert_eq!(read.what.as_ref(), Some(&what), "{read:?}");
        let text = read.text();
        assert!(text.ends_with('.') && text.len() > 20, "{text}");
        assert!(!read.kind.is_empty() && read.details.get("kind").is_none());
    }
}

#[test]
fn details_are_flat_and_times_are_text() {
    let read = kept(5, What::Delivered { told: told("r", 2) });
    let want = serde_json::json!({
        "groupKey": "{}:{alertname=\"x\"}", "receiver": "r", "integration": "webhook", "index": 0,
        "attempt": 2, "tookMs": 12, "alerts": 1,
    });
    assert_eq!((read.kind.as_str(), &read.details), ("delivered", &want));
    assert_eq!(read.text(), "It was delivered to r (webhook[0]), with attempt 2.");
    let read = kept(5, What::Ended { ends_at: At(1_700_000_000_123) });
    assert_eq!(read.details, serde_json::json!({"endsAt": "2023-11-14T22:13:20.123Z"}));
    assert_eq!(read.text(), "It was reported from outside that it is over, since 2023-11-14 22:13:20 UTC.");
}

#[test]
fn a_kind_of_a_newer_version_is_shown_as_it_is() {
    let read = PastEvent::read(1, "teleported", "{\"to\":\"Mars\"}");
    assert_eq!(read.text(), "teleported: {\"to\":\"Mars\"}");
    assert_eq!(standing(&[read]), None);
}

/// The step at which the alert of these events stood, and since when.
#[track_caller]
fn check(events: &[(i64, What)], want: Option<(Step, i64)>) {
    let events: Vec<PastEvent> = events.iter().map(|(at_ms, what)| kept(*at_ms, what.clone())).collect();
    let found = standing(&events).map(|standing| (standing.step, standing.at_ms));
    assert_eq!(found, want);
}

#[test]
fn the_last_decision_of_the_receiver_that_got_furthest_counts() {
    let at = At(0);
    let grouped = |receiver: &str| What::Grouped { place: place(receiver), due_at: at };
    let silenced = What::Silenced { place: place("a"), silences: vec!["s".to_owned()] };
    let failed = What::GivenUp { told: told("b", 1), error: "no".to_owned() };
    check(&[], None);
    check(&[(1, What::Pending(facts()))], Some((Step::Pending, 1)));
    check(&[(1, What::Pending(facts())), (2, What::Inactive(facts()))], Some((Step::NeverFired, 2)));
    let mut events = vec![(1, What::Firing(facts()))];
    check(&events, Some((Step::Firing, 1)));
    events.extend([(2, grouped("a")), (2, grouped("b"))]);
    check(&events, Some((Step::GroupWaiting, 2)));
    events.push((3, silenced.clone()));
    check(&events, Some((Step::Silenced, 3)));
    events.push((4, failed));
    check(&events, Some((Step::Failed, 4)));
    events.push((5, What::Delivered { told: told("b", 1) }));
    check(&events, Some((Step::Delivered, 5)));
    // Told is told.
    events.push((6, What::Unchanged { place: place("b"), repeats_at: Some(at) }));
    check(&events, Some((Step::Delivered, 5)));
    events.push((7, What::Resolved(facts())));
    check(&events, Some((Step::Delivered, 5)));
    // Another occurrence begins at the beginning.
    events.push((8, What::Firing(facts())));
    check(&events, Some((Step::Firing, 8)));
    events.push((9, silenced));
    events.push((10, What::Resolved(facts())));
    check(&events, Some((Step::Resolved, 10)));
}
