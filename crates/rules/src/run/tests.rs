//! Threads and reloads, with a clock that tests move.

use std::time::Instant;

use prometheus::Registry;
use stdx::clock::ManualClock;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;

use super::*;
use crate::file::{Options, parse};
use crate::group::tests::Tube;

/// Rules that run over storage in memory.
struct Running {
    handle: Handle,
    tube: Tube,
    clock: Arc<ManualClock>,
}

fn settings(files: &[(&str, &str)]) -> Settings {
    let file = |(name, text): &(&str, &str)| {
        let file =
            parse(text.as_bytes(), Options::default()).unwrap_or_else(|faults| panic!("{}", faults[0]));
        ((*name).to_owned(), Arc::new(file))
    };
    let defaults = Defaults { interval_ms: 10_000, ..Defaults::default() };
    Settings { files: files.iter().map(file).collect(), defaults }
}

impl Running {
    fn start(files: &[(&str, &str)]) -> Self {
        let storage = MemoryStorage::new();
        let clock = ManualClock::at(1_000_000_000);
        let deps = Deps {
            engine: Arc::new(Engine::new(promql::Settings::default(), Budget::unlimited())),
            querier: Arc::<MemoryStorage>::clone(&storage),
            appender: Arc::<MemoryStorage>::clone(&storage),
            tenant: TenantId::anonymous(),
            clock: Arc::<ManualClock>::clone(&clock),
            registry: Registry::new(),
            sink: Arc::new(Vec::new()),
            timing: Timing::default(),
        };
        let handle = start(&settings(files), deps).expect("started");
        Self { handle, tube: Tube::over(storage, 0), clock }
    }

    fn reload(&self, files: &[(&str, &str)]) {
        self.handle.reload(&settings(files)).expect("sound");
    }

    fn group(&self, name: &str) -> Arc<Group> {
        let groups = self.handle.groups(&TenantId::anonymous());
        groups.into_iter().find(|group| group.name() == name).expect("it is there")
    }

    /// Moves the clock by so many intervals, and waits until the group was evaluated at the newest slot.
    #[track_caller]
    fn advance(&self, intervals: i64, name: &str) {
        self.clock.advance_ms(intervals * 10_000);
        let group = self.group(name);
        let slot_ms = group.slots().at(self.clock.now_ms());
        wait_until(|| group.status().last_slot_ms == Some(slot_ms));
    }

    fn count(&self, metric: &prometheus::IntCounterVec, name: &str) -> u64 {
        metric.with_label_values(&[&format!("a.yml;{name}")]).get()
    }
}

#[track_caller]
fn wait_until(mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_true() {
        assert!(Instant::now() < deadline, "waited for a minute");
        std::thread::yield_now();
    }
}

fn file(rules: &str) -> String {
    format!("groups: [{{name: g, rules: [{rules}]}}]")
}

#[test]
fn groups_are_evaluated_at_their_slots_and_what_is_missed_is_counted() {
    let running = Running::start(&[("a.yml", &file("{record: now, expr: vector(time())}"))]);
    running.advance(1, "g");
    let first = running.group("g").status().last_slot_ms.expect("evaluated");
    running.advance(1, "g");
    running.advance(5, "g");
    let seconds = |slot: i64| (first + slot * 10_000) as f64 / 1_000.0;
    let at = |slot: i64| format!("{}@{}", seconds(slot), (first + slot * 10_000) / 1_000);
    let metrics = running.handle.shared.env.metrics.clone();
    // What was missed is made up for, after the evaluation for which it was left out.
    wait_until(|| running.count(&metrics.repaired, "g") == 4);
    let all: Vec<String> = (0..=6).map(at).collect();
    assert_eq!(running.tube.stored("now"), [format!("now: {}", all.join(" "))]);
    assert_eq!(running.count(&metrics.iterations, "g"), 7);
    assert_eq!(running.count(&metrics.missed, "g"), 4);
    assert_eq!(running.count(&metrics.evaluations, "g"), 3);
    running.handle.stop();
}

#[test]
fn a_reload_leaves_alone_what_is_unchanged_and_carries_over_what_is_not() {
    let alert = "{alert: A, expr: vector(1), for: 1h}";
    let same = "groups: [{name: same, rules: [{record: s, expr: vector(1)}]}]";
    let running = Running::start(&[("a.yml", &file(alert)), ("b.yml", same)]);
    running.advance(1, "g");
    running.advance(1, "same");
    let (unchanged, before) = (running.group("same"), running.group("g").rules()[0].alerts());
    assert_eq!(before.len(), 1);
    running
        .reload(&[("a.yml", &file(&format!("{{record: new, expr: vector(2)}}, {alert}"))), ("b.yml", same)]);
    assert!(Arc::ptr_eq(&unchanged, &running.group("same")));
    let after = running.group("g").rules()[1].alerts();
    assert_eq!(after[0].active_at_ms, before[0].active_at_ms);
    running.advance(1, "g");
    assert_eq!(running.tube.stored("new").len(), 1);
    assert!(running.handle.groups(&TenantId::new("other").expect("a name")).is_empty(), "nobody else's");
    running.handle.stop();
}

#[test]
fn series_of_a_group_that_is_gone_end_two_intervals_later_unless_another_writes_them() {
    let both = "{record: gone, expr: vector(1)}, {record: moved, expr: vector(1)}";
    let other = "groups: [{name: other, rules: [{record: moved, expr: vector(2)}]}]";
    let running = Running::start(&[("a.yml", &file(both)), ("b.yml", "groups: [{name: other}]")]);
    running.advance(1, "g");
    running.reload(&[("b.yml", other)]);
    assert_eq!(running.handle.groups(&TenantId::anonymous()).len(), 1);
    let gone_at = running.clock.now_ms();
    running.advance(1, "other");
    assert!(!running.tube.stored("gone")[0].contains('x'));
    running.advance(2, "other");
    wait_until(|| running.tube.stored("gone")[0].ends_with(&format!(" x@{}", gone_at / 1_000)));
    assert!(!running.tube.stored("moved")[0].contains('x'), "{:?}", running.tube.stored("moved"));
    let metrics = running.handle.shared.env.metrics.clone();
    assert_eq!(running.count(&metrics.iterations, "g"), 0, "forgotten");
    running.handle.stop();
}

#[test]
fn many_groups_share_the_threads() {
    let groups: Vec<String> =
        (0..200).map(|at| format!("{{name: g{at}, rules: [{{record: r{at}, expr: vector(1)}}]}}")).collect();
    let running = Running::start(&[("a.yml", &format!("groups: [{}]", groups.join(", ")))]);
    running.clock.advance_ms(10_000);
    let groups = running.handle.groups(&TenantId::anonymous());
    wait_until(|| groups.iter().all(|group| group.status().last_slot_ms.is_some()));
    running.handle.stop();
}
