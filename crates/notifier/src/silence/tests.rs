//! Silences are made, changed and expired by Alertmanager's rules.

use super::*;

fn silence(id: &str, text: &str, starts_at_ms: i64, ends_at_ms: i64) -> Silence {
    Silence {
        id: id.to_owned(),
        matchers: parse_matchers(&[text.to_owned()]).expect("matchers"),
        starts_at_ms,
        ends_at_ms,
        updated_at_ms: 0,
        created_by: "somebody".to_owned(),
        comment: "why not".to_owned(),
        recurrence: None,
    }
}

fn id(name: &'static str) -> impl FnOnce() -> String {
    move || name.to_owned()
}

/// One silence, made at 1,000.
fn one(starts_at_ms: i64, ends_at_ms: i64) -> Silences {
    let mut silences = Silences::default();
    let plan = silences.plan(silence("", "a=b", starts_at_ms, ends_at_ms), 1_000, id("first"));
    for change in plan.expect("a plan") {
        silences.apply(change).expect("it can be");
    }
    silences
}

fn mutes(silences: &Silences, now_ms: i64) -> bool {
    !silences.muting(&Labels::from_pairs([("a", "b")]), now_ms).is_empty()
}

#[test]
fn a_silence_holds_from_its_start_to_its_end() {
    let silences = one(2_000, 3_000);
    let times = [1_000, 2_000, 3_000, 3_001];
    assert_eq!(times.map(|now_ms| mutes(&silences, now_ms)), [false, true, true, false]);
    assert!(silences.muting(&Labels::from_pairs([("a", "c")]), 2_500).is_empty());
}

#[test]
fn one_that_began_in_the_past_begins_now() {
    let silences = one(0, 3_000);
    assert_eq!(silences.get("first").map(|silence| silence.starts_at_ms), Some(1_000));
}

#[test]
fn the_end_of_an_active_one_may_move() {
    let silences = one(1_000, 10_000);
    let plan = silences.plan(silence("first", "a=b", 1_000, 20_000), 5_000, id("second")).expect("a plan");
    assert_eq!(plan.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["first"]);
}

#[test]
fn one_that_would_rewrite_the_past_is_replaced() {
    let mut silences = one(1_000, 10_000);
    let plan = silences.plan(silence("first", "a=c", 1_000, 20_000), 5_000, id("second")).expect("a plan");
    assert_eq!(plan.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    for change in plan {
        silences.apply(change).expect("it can be");
    }
    assert!(!mutes(&silences, 5_000));
    assert_eq!(silences.get("first").map(|silence| silence.state_at(5_000)), Some(SilenceState::Expired));
    assert_eq!(silences.get("second").map(|silence| silence.starts_at_ms), Some(5_000));
}

#[test]
fn an_expired_one_comes_back_as_a_new_one() {
    let silences = one(1_000, 2_000);
    let plan = silences.plan(silence("first", "a=b", 5_000, 9_000), 5_000, id("second")).expect("a plan");
    assert_eq!(plan.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["second"]);
}

#[test]
fn what_ends_now_is_not_in_force_any_more() {
    for starts_at_ms in [1_000, 50_000] {
        let mut silences = one(starts_at_ms, 90_000);
        let change = silences.plan_expiry("first", 5_000).expect("known").expect("a change");
        silences.apply(change).expect("it can be");
        assert!(!mutes(&silences, 5_000) && !mutes(&silences, 60_000));
        assert_eq!(silences.plan_expiry("first", 5_001), Ok(None));
    }
    assert_eq!(one(1_000, 2_000).plan_expiry("other", 0), Err(SilenceError::NotFound));
}

#[test]
fn nonsense_is_refused() {
    let refused =
        |wanted: Silence| Silences::default().plan(wanted, 1_000, id("x")).expect_err("nonsense").to_string();
    assert_eq!(refused(silence("", "", 1_000, 2_000)), "at least one matcher required");
    assert_eq!(
        refused(silence("", "a=~\".*\"", 1_000, 2_000)),
        "at least one matcher must not match the empty string"
    );
    assert_eq!(refused(silence("", "a=b", 3_000, 2_000)), "end time must not be before start time");
    assert_eq!(refused(silence("no such", "a=b", 1_000, 2_000)), "silence not found");
    let mut broken = silence("", "a=b", 1_000, 2_000);
    broken.matchers[0] =
        SilenceMatcher { is_regex: true, value: "(".to_owned(), ..broken.matchers[0].clone() };
    assert!(refused(broken).starts_with("invalid label matcher 0: error parsing regexp"));
}

#[test]
fn lists_are_in_alertmanagers_order_and_filtered_by_what_they_ask() {
    let mut silences = Silences::default();
    for (name, text, starts_at_ms, ends_at_ms) in [
        ("late", "a=b", 1_000, 9_000),
        ("soon", "a=b,c=d", 1_000, 8_000),
        ("pending", "a=x", 7_000, 9_000),
        ("over", "a=b", 100, 200),
        ("over later", "a=b", 100, 300),
    ] {
        silences.apply(silence(name, text, starts_at_ms, ends_at_ms)).expect("it can be");
    }
    let names = |filter: &str| {
        let filter = matchers::parse(filter).expect("a filter");
        silences.list(&filter, 5_000).into_iter().map(|silence| silence.id).collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["soon", "late", "pending", "over later", "over"]);
    assert_eq!(names("a=b,c=d"), ["soon"]);
    // Conditions are compared to the letter, as Alertmanager does.
    assert_eq!((names("a!=b"), names("a=~b")), (Vec::new(), Vec::new()));
    assert_eq!(silences.counts(5_000), [2, 1, 2]);
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let mut silences = one(1_000, 2_000);
    assert!(silences.collect_garbage(2_000 + RETENTION_MS).is_empty());
    assert_eq!(silences.collect_garbage(2_001 + RETENTION_MS), ["first"]);
    assert!(silences.get("first").is_none());
}

/// Sundays from two to four, in Berlin.
fn weekly() -> Recurrence {
    let text = r#"{"time_intervals": [{"weekdays": ["sunday"], "times": [{"start_time": "02:00", "end_time": "04:00"}], "location": "Europe/Berlin"}]}"#;
    serde_json::from_str(text).expect("a recurrence")
}

/// 2024-06-02 was a Sunday; Berlin was two hours ahead.
const SUNDAY_MS: i64 = 1_717_286_400_000;
const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_recurring_one_holds_in_its_intervals_alone() {
    let mut silences = Silences::default();
    let wanted = Silence {
        recurrence: Some(weekly()),
        ..silence("", "a=b", SUNDAY_MS - HOUR_MS, SUNDAY_MS + 10 * 24 * HOUR_MS)
    };
    let plan = silences.plan(wanted, SUNDAY_MS - HOUR_MS, id("weekly")).expect("a plan");
    plan.into_iter().for_each(|change| silences.apply(change).expect("it can be"));
    let weekly = |hours: i64| {
        let now_ms = SUNDAY_MS + hours * HOUR_MS;
        let state = silences.get("weekly").expect("there").state_at(now_ms);
        (mutes(&silences, now_ms), state)
    };
    assert_eq!(weekly(-1), (false, SilenceState::Pending));
    assert_eq!(weekly(0), (true, SilenceState::Active));
    assert_eq!(weekly(1), (true, SilenceState::Active));
    assert_eq!(weekly(2), (false, SilenceState::Pending));
    assert_eq!(weekly(7 * 24), (true, SilenceState::Active));
    assert_eq!(weekly(11 * 24), (false, SilenceState::Expired));
    // Between two of its intervals it can be ended, and its end be moved.
    let between_ms = SUNDAY_MS + 5 * HOUR_MS;
    let later = Silence {
        ends_at_ms: SUNDAY_MS + 20 * 24 * HOUR_MS,
        ..silences.get("weekly").expect("there").clone()
    };
    let plan = silences.plan(later, between_ms, id("other")).expect("a plan");
    assert_eq!(plan.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["weekly"]);
    let ended = silences.plan_expiry("weekly", between_ms).expect("a plan").expect("a change");
    assert_eq!(ended.state_at(between_ms), SilenceState::Expired);
}

#[test]
fn a_recurring_one_is_read_as_it_was_written() {
    let kept = Silence { recurrence: Some(weekly()), ..silence("x", "a=b", 0, 1) };
    let text = serde_json::to_string(&kept).expect("text");
    assert_eq!(serde_json::from_str::<Silence>(&text).expect("read"), kept);
    // One of an older version has none.
    let text = serde_json::to_string(&silence("x", "a=b", 0, 1)).expect("text");
    assert!(!text.contains("recurrence"), "{text}");
    let bad = |text: &str| serde_json::from_str::<Recurrence>(text).expect_err("bad").to_string();
    assert!(bad("{\"time_intervals\": []}").contains("time_intervals is empty"));
    assert!(bad("{\"time_intervals\": [{\"weekdays\": [\"someday\"]}]}").contains("someday"));
}
