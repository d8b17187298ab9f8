//! Who runs, who waits, who is sent away.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::*;

fn gate(concurrent_max: usize, waiting_max: usize) -> Arc<Gate> {
    Arc::new(Gate::new(&Settings { concurrent_max, waiting_max, ..Settings::default() }))
}

/// Enters on another thread; tells when it is in, leaves when told.
fn enter_elsewhere(gate: &Arc<Gate>, class: Class) -> Receiver<Result<(), QueryError>> {
    let (told, tell) = channel();
    let (there, before) = (Arc::clone(gate), gate.waiting(class));
    std::thread::spawn(move || told.send(there.enter(class, &Cancel::never(), None).map(drop)));
    let end = Instant::now() + Duration::from_secs(120);
    while gate.waiting(class) == before {
        assert!(Instant::now() < end, "it did not begin to wait");
        std::thread::yield_now();
    }
    tell
}

fn enter(gate: &Gate, class: Class) -> Slot<'_> {
    gate.enter(class, &Cancel::after(Duration::from_secs(120)), None).expect("a slot")
}

const AT_ONCE: Duration = Duration::ZERO;

#[test]
fn a_waiting_query_runs_when_a_slot_is_free_and_stops_when_told() {
    let gate = gate(1, 10);
    let held = enter(&gate, Class::AdHoc);
    let waiting = enter_elsewhere(&gate, Class::AdHoc);
    let cancel = Cancel::never();
    cancel.cancel();
    let check = |cancel: &Cancel, deadline, want: &str| {
        let error = gate.enter(Class::AdHoc, cancel, deadline).expect_err("no slot");
        assert_eq!(error.to_string(), want);
    };
    check(&cancel, None, "query was canceled in query queue");
    check(&Cancel::after(AT_ONCE), None, "query timed out in query queue");
    check(&Cancel::never(), Some(Instant::now()), "query timed out in query queue");
    drop(held);
    assert!(waiting.recv().expect("it tells").is_ok());
    assert_eq!(gate.waiting(Class::AdHoc), 0);
}

#[test]
fn who_does_not_wait_gets_a_slot_only_if_nobody_else_waits_for_it() {
    let gate = gate(1, 10);
    let held = gate.try_enter(Class::AdHoc).expect("it is free");
    assert!(gate.try_enter(Class::AdHoc).is_none());
    drop(gate.try_enter(Class::Alert).expect("alerts have their own"));
    drop(held);
    assert!(gate.try_enter(Class::Batch).is_some());
}

#[test]
fn alerts_do_not_wait_for_others() {
    let gate = gate(1, 0);
    let _dashboard = enter(&gate, Class::Dashboard);
    assert!(gate.enter(Class::Dashboard, &Cancel::never(), None).is_err());
    let _alerts = (enter(&gate, Class::Alert), enter(&gate, Class::Alert));
    // And others do not wait for alerts.
    drop(_dashboard);
    drop(enter(&gate, Class::Batch));
}

#[test]
fn a_class_leaves_room_for_those_above_it() {
    let gate = gate(8, 0);
    let _batch = (enter(&gate, Class::Batch), enter(&gate, Class::Batch));
    assert!(gate.enter(Class::Batch, &Cancel::never(), None).is_err(), "two of eight slots");
    let _ad_hoc: Vec<_> = (0..6).map(|_| enter(&gate, Class::AdHoc)).collect();
    assert!(gate.enter(Class::AdHoc, &Cancel::never(), None).is_err(), "six of eight slots");
}

#[test]
fn the_higher_class_goes_first() {
    let gate = gate(1, 10);
    let held = enter(&gate, Class::Dashboard);
    let batch = enter_elsewhere(&gate, Class::Batch);
    let ad_hoc = enter_elsewhere(&gate, Class::AdHoc);
    assert!(!gate.state.lock().may_start(Class::Batch));
    drop(held);
    assert!(ad_hoc.recv().expect("it tells").is_ok());
    assert!(batch.recv().expect("it tells").is_ok());
}

#[test]
fn a_full_queue_sends_the_newest_of_the_lowest_class_away() {
    let gate = gate(1, 2);
    let held = enter(&gate, Class::Dashboard);
    let first = enter_elsewhere(&gate, Class::Batch);
    let second = enter_elsewhere(&gate, Class::Batch);
    let refused = gate.enter(Class::Batch, &Cancel::never(), None).expect_err("nobody is below it");
    assert!(matches!(
        refused,
        QueryError::Overloaded { class: Class::Batch, waiting: 2, retry_after_s: 1, .. }
    ));
    let dashboard = enter_elsewhere(&gate, Class::Dashboard);
    assert!(second.recv().expect("it tells").is_err(), "the newest goes");
    drop(held);
    assert!(dashboard.recv().expect("it tells").is_ok());
    assert!(first.recv().expect("it tells").is_ok());
    assert!(gate.state.lock().shed.is_empty());
}

#[test]
fn more_slots_let_those_in_who_wait() {
    let gate = gate(1, 10);
    let _held = enter(&gate, Class::AdHoc);
    let waiting = enter_elsewhere(&gate, Class::AdHoc);
    gate.reload(&Settings { concurrent_max: 4, ..Settings::default() });
    assert!(waiting.recv().expect("it tells").is_ok());
}
