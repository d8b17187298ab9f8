//! The alert generator specification of Prometheus' compliance suite, once in real time from end to end: samples are pushed, the real binary
//! evaluates, and a server that takes Alertmanager's posts keeps what it is told. The logic is tested in virtual time, in `crates/rules`.
//!
//! Nothing here depends on how fast the machine is: what is checked are the times that alerts name, and their order.

use kymo_tests::inbox::Inbox;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use serde_json::Value;

const RULES: &str = r#"
groups:
- name: PendingAndFiringAndResolved
  interval: 1s
  rules:
  - alert: Simple
    expr: '{__name__="suite", of="simple"} > 10'
    for: 3s
    labels: {foo: bar}
    annotations: {description: SimpleAlert is firing, summary: 'The value is {{$value}} {{.Value}}'}
  - alert: Based
    expr: ALERTS{alertname="Simple", alertstate="firing", foo="bar"} == 1
    labels: {foo: baz, ba_dum: tss}
    annotations: {description: 'Old alertname was {{$labels.alertname}}. foo was {{.Labels.foo}}.'}
  - {alert: Ready, expr: vector(1), for: 1h, labels: {of: simple}}
- name: ZeroForAndSmallFor
  interval: 1s
  rules:
  - {alert: ZeroFor, expr: 'suite{of="zero"} > 10', annotations: {t: '{{humanize 1048576}} {{humanizePercentage 0.959}}'}}
  - {alert: SmallFor, expr: 'suite{of="zero"} > 13', for: 500ms}
  - {alert: Ready, expr: vector(1), for: 1h, labels: {of: zero}}
- name: PendingAndResolvedAndAlwaysInactive
  interval: 1s
  rules:
  - {alert: OnlyPending, expr: 'suite{of="simple"} > 10', for: 1h}
  - {alert: AlwaysInactive, expr: 'suite{of="simple"} > 99', for: 3s}
"#;

/// Interval and resend delay of the rules, and how long an alert is valid: four times the larger.
const INTERVAL_MS: i64 = 1_000;
const RESEND_MS: i64 = 2_000;
const VALID_MS: i64 = 4 * RESEND_MS;

/// An alert as it was posted.
#[derive(Debug, Clone, PartialEq)]
struct Posted {
    starts_ms: i64,
    ends_ms: i64,
    alert: Value,
}

impl Posted {
    /// Of one that fires: when it was evaluated.
    fn evaluated_ms(&self) -> i64 {
        self.ends_ms - VALID_MS
    }
}

fn ms(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    let (date, rest) = text.split_once('T').expect("RFC 3339");
    let part = |text: &str| -> i64 { text.parse().expect("a number") };
    let date: Vec<i64> = date.split('-').map(part).collect();
    let clock = rest.strip_suffix('Z').expect("in UTC");
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let clock: Vec<i64> = clock.split(':').map(part).collect();
    let millis = part(&format!("{fraction:0<3}")[..3]);
    // Days since the epoch, by the calendar's rule of 400 years.
    let (year, month) = if date[1] <= 2 { (date[0] - 1, date[1] + 9) } else { (date[0], date[1] - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date[2] - 719_469;
    ((days * 24 + clock[0]) * 60 + clock[1]) * 60_000 + clock[2] * 1_000 + millis
}

/// What was posted of an alert so far, in order.
fn posted(inbox: &Inbox, name: &str) -> Vec<Posted> {
    let letters = inbox.letters();
    assert!(letters.iter().all(|letter| letter.path == "/api/v2/alerts"), "{letters:?}");
    let alerts = letters.iter().flat_map(|letter| letter.body.as_array().expect("a list").clone());
    alerts
        .filter(|alert| alert["labels"]["alertname"] == name)
        .map(|alert| Posted { starts_ms: ms(&alert["startsAt"]), ends_ms: ms(&alert["endsAt"]), alert })
        .collect()
}

fn wait_for(inbox: &Inbox, what: &str, name: &str, is_enough: impl Fn(&[Posted]) -> bool) -> Vec<Posted> {
    poll::until(what, || match posted(inbox, name) {
        enough if is_enough(&enough) => Ok(enough),
        other => Err(format!("{other:?}")),
    })
}

fn push(kymo: &Kymo, simple: u32, zero: u32) {
    let body = format!("suite{{of=\"simple\"}} {simple}\nsuite{{of=\"zero\"}} {zero}\n");
    let response = http::post(&format!("{}/api/v1/import/prometheus", kymo.url()), &[], body.as_bytes());
    let status = response.as_ref().expect("answered").status;
    assert!((200..300).contains(&status), "{response:?}");
}

/// Those that were over when they were posted all have the same end; an end in the future is that of one which fires.
fn split(posts: &[Posted], resolved_ms: Option<i64>) -> (Vec<Posted>, Vec<Posted>) {
    posts.iter().cloned().partition(|post| Some(post.ends_ms) != resolved_ms)
}

/// One that fires is valid for long enough, and is sent again at the first evaluation after the delay has passed.
#[track_caller]
fn check_firing(posts: &[Posted]) {
    let first = &posts[0];
    assert_eq!(first.evaluated_ms(), first.starts_ms, "told when it began to fire: {first:?}");
    for pair in posts.windows(2) {
        assert_eq!(pair[0].starts_ms, pair[1].starts_ms, "{pair:?}");
        let later_ms = pair[1].evaluated_ms() - pair[0].evaluated_ms();
        assert!(later_ms > RESEND_MS && later_ms % INTERVAL_MS == 0, "after {later_ms} ms: {pair:?}");
    }
}

/// The end is told at once, then again and again, and always the same.
fn check_resolved(inbox: &Inbox, name: &str, starts_ms: i64) -> i64 {
    let repeated = |posts: &[Posted]| -> Option<i64> {
        let [.., before, last] = posts else { return None };
        (before == last && last.starts_ms == starts_ms).then_some(last.ends_ms)
    };
    let posts =
        wait_for(inbox, &format!("the end of {name}, twice"), name, |posts| repeated(posts).is_some());
    let resolved_ms = repeated(&posts).expect("it is");
    let of_this: Vec<Posted> = posts.into_iter().filter(|post| post.starts_ms == starts_ms).collect();
    let (firing, _) = split(&of_this, Some(resolved_ms));
    check_firing(&firing);
    let last = firing.last().expect("it fired");
    assert!(resolved_ms > last.evaluated_ms(), "{resolved_ms} {last:?}");
    assert_eq!((resolved_ms - starts_ms) % INTERVAL_MS, 0, "at an evaluation");
    resolved_ms
}

fn state_of(kymo: &Kymo, name: &str) -> (String, Value) {
    let answer = http::api(&kymo.url(), "/api/v1/rules", &[("rule_name[]", name)]).expect("answered");
    let rule = answer["groups"][0]["rules"][0].clone();
    (rule["state"].as_str().unwrap_or_default().to_owned(), rule)
}

fn start(inbox: &Inbox) -> (tempfile::TempDir, Kymo) {
    let folder = tempfile::tempdir().expect("temporary directory");
    write(&folder.path().join("rules.yml"), RULES);
    let config = folder.path().join("kymo.yml");
    write(
        &config,
        &format!(
            "rule_files: ['{}/rules.yml']\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n",
            folder.path().display(),
            inbox.address()
        ),
    );
    let config = config.display().to_string();
    let kymo =
        Kymo::start_with(&["--config", &config, "--alert-resend-delay", "2s", "--query-lookback", "1h"]);
    (folder, kymo)
}

#[test]
fn alerts_come_fire_and_go_as_specified() {
    let inbox = Inbox::start();
    let (_folder, kymo) = start(&inbox);
    push(&kymo, 5, 5);
    poll::until("all rules to be evaluated", || match state_of(&kymo, "AlwaysInactive") {
        (state, _) if state == "inactive" => Ok(()),
        (_, rule) => Err(rule.to_string()),
    });
    // Until it is known what was before the start, ALERTS is not written.
    poll::until("ALERTS of both groups", || {
        let ready =
            http::api(&kymo.url(), "/api/v1/query", &[("query", "count(ALERTS{alertname=\"Ready\"})")])?;
        if ready["result"][0]["value"][1] == "2" { Ok(()) } else { Err(ready.to_string()) }
    });
    assert!(inbox.letters().is_empty(), "{:?}", inbox.letters());
    push(&kymo, 11, 14);
    let simple = wait_for(&inbox, "Simple to be sent again", "Simple", |posts| posts.len() >= 3);
    check_firing(&simple);
    let first = &simple[0];
    let annotations = &first.alert["annotations"];
    assert_eq!(annotations["summary"], "The value is 11 11");
    assert_eq!(
        first.alert["labels"],
        serde_json::json!({"alertname": "Simple", "foo": "bar", "of": "simple"})
    );
    let (state, rule) = state_of(&kymo, "Simple");
    let active_ms = ms(&rule["alerts"][0]["activeAt"]);
    assert_eq!((state.as_str(), &rule["alerts"][0]["state"]), ("firing", &Value::from("firing")));
    let pending_ms = first.starts_ms - active_ms;
    assert!(pending_ms >= 3_000 && pending_ms % INTERVAL_MS == 0, "pending for {pending_ms} ms");
    // In the same evaluation, by what the rule before it wrote.
    let based = wait_for(&inbox, "Based", "Based", |posts| posts.len() >= 2);
    check_firing(&based);
    assert_eq!(based[0].starts_ms, first.starts_ms);
    assert_eq!(based[0].alert["annotations"]["description"], "Old alertname was Simple. foo was bar.");
    check_small_for(&kymo, &inbox);
    assert_eq!(state_of(&kymo, "OnlyPending").0, "pending");
    push(&kymo, 5, 5);
    let resolved_ms = check_resolved(&inbox, "Simple", first.starts_ms);
    check_resolved(&inbox, "Based", first.starts_ms);
    // It comes back as a new one, which is pending again before it fires.
    push(&kymo, 12, 5);
    let again = wait_for(&inbox, "Simple to fire again", "Simple", |posts| {
        posts.last().is_some_and(|post| post.starts_ms > resolved_ms)
    });
    let again = again.last().expect("it is there");
    assert!(again.starts_ms >= resolved_ms + 3_000, "{again:?}");
    assert_eq!(again.alert["annotations"]["summary"], "The value is 12 12");
    assert_eq!(posted(&inbox, "OnlyPending"), []);
    assert_eq!(posted(&inbox, "AlwaysInactive"), []);
}

/// Without `for` it fires when it is seen first; with one below the interval it is pending for one evaluation.
fn check_small_for(kymo: &Kymo, inbox: &Inbox) {
    let zero = wait_for(inbox, "ZeroFor", "ZeroFor", |posts| posts.len() >= 2);
    check_firing(&zero);
    assert_eq!(zero[0].alert["annotations"]["t"], "1.049M 95.9%");
    let (_, rule) = state_of(kymo, "ZeroFor");
    assert_eq!(ms(&rule["alerts"][0]["activeAt"]), zero[0].starts_ms);
    let small = wait_for(inbox, "SmallFor", "SmallFor", |posts| posts.len() >= 2);
    check_firing(&small);
    let (_, rule) = state_of(kymo, "SmallFor");
    let pending_ms = small[0].starts_ms - ms(&rule["alerts"][0]["activeAt"]);
    assert!(pending_ms >= INTERVAL_MS && pending_ms % INTERVAL_MS == 0, "pending for {pending_ms} ms");
    let pending = |name: &str| {
        let query = format!("count_over_time(ALERTS{{alertname=\"{name}\",alertstate=\"pending\"}}[1h])");
        http::api(&kymo.url(), "/api/v1/query", &[("query", &query)]).expect("answered")["result"].clone()
    };
    assert_eq!(pending("ZeroFor"), serde_json::json!([]));
    assert_eq!(pending("SmallFor")[0]["value"][1], "1");
}

#[test]
fn times_are_read_as_they_are_written() {
    assert_eq!(ms(&Value::from("1970-01-01T00:00:00Z")), 0);
    assert_eq!(ms(&Value::from("2024-02-29T12:34:56.789Z")), 1_709_210_096_789);
    assert_eq!(ms(&Value::from("2026-11-20T20:00:00.5Z")), 1_795_204_800_500);
}
