//! What happened to an alert, from its rule to the receiver's answer, and why somebody was not told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use serde_json::{Value, json};

/// A webhook that answers with a status that tests change, and counts.
struct Webhook {
    url: String,
    status: Arc<AtomicU16>,
    count: Arc<AtomicUsize>,
}

impl Webhook {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let (status, count) = (Arc::new(AtomicU16::new(status)), Arc::new(AtomicUsize::new(0)));
        let (says, counts) = (Arc::clone(&status), Arc::clone(&count));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if answer(stream, says.load(Ordering::SeqCst)).is_some() {
                    counts.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { url, status, count }
    }
}

/// Reads a request and answers it; nothing if the peer goes away before.
fn answer(mut stream: TcpStream, status: u16) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&buffer[..read]);
    }
    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).ok()
}

/// Kymo with a rule that fires, one that never does, and one for which a day is not over; told to `hook`.
fn kymo(hook: &Webhook) -> (tempfile::TempDir, Kymo) {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (rules, alertmanager) = (folder.path().join("rules.yml"), folder.path().join("alertmanager.yml"));
    write(
        &alertmanager,
        &format!(
            "route:\n  receiver: hook\n  group_by: [alertname]\n  group_wait: 1s\n  group_interval: 1s\n\
             receivers:\n- name: hook\n  webhook_configs: [{{url: '{}'}}]\n",
            hook.url
        ),
    );
    write(
        &rules,
        "groups:\n- name: g\n  interval: 1s\n  rules:\n\
         \x20 - {alert: Always, expr: 'vector(7) > 5', labels: {severity: page}}\n\
         \x20 - {alert: Never, expr: 'vector(3) > 5', labels: {severity: page}}\n\
         \x20 - {alert: Slow, expr: 'vector(1)', for: 1d}\n",
    );
    let kymo = Kymo::start_configured(&format!(
        "global: {{external_labels: {{dc: x}}}}\nrule_files: ['{}']\nalertmanager: {{config_file: '{}', history_retention: 30d}}\n",
        rules.display(),
        alertmanager.display()
    ));
    (folder, kymo)
}

/// The fingerprint of an alert, as API v2 shows it.
fn fingerprint(url: &str, name: &str) -> String {
    poll::until(name, || {
        let answer = http::get(&format!("{url}/api/v2/alerts?filter=alertname%3D{name}"))?;
        let alerts = answer.json();
        alerts[0]["fingerprint"].as_str().map(str::to_owned).ok_or_else(|| alerts.to_string())
    })
}

fn timeline(url: &str, fingerprint: &str) -> Result<Value, String> {
    http::api(url, &format!("/api/v1/alerts/{fingerprint}/timeline"), &[])
}

fn kinds(timeline: &Value) -> Vec<&str> {
    let events = timeline["events"].as_array().expect("events");
    events.iter().map(|event| event["kind"].as_str().expect("a kind")).collect()
}

fn why(url: &str, matchers: &str) -> Value {
    http::api(url, "/api/v1/alerts/why", &[("match[]", matchers)]).expect("an answer")
}

/// Waits until an alert's timeline holds an event of a kind.
#[track_caller]
fn wait_for(url: &str, fingerprint: &str, kind: &str) -> Value {
    poll::until(kind, || {
        let timeline = timeline(url, fingerprint)?;
        if kinds(&timeline).contains(&kind) { Ok(timeline) } else { Err(timeline.to_string()) }
    })
}

#[test]
fn an_alert_is_followed_from_its_rule_to_the_receiver() {
    let hook = Webhook::start(503);
    let (_folder, mut kymo) = kymo(&hook);
    let name = fingerprint(&kymo.url(), "Always");
    let failed = wait_for(&kymo.url(), &name, "attempt_failed");
    assert_eq!(kinds(&failed)[..2], ["firing", "grouped"], "{failed}");
    let answer = why(&kymo.url(), "{alertname=\"Always\"}");
    assert!(["failed", "notifying"].contains(&answer["step"].as_str().unwrap_or_default()), "{answer}");
    hook.status.store(200, Ordering::SeqCst);
    wait_for(&kymo.url(), &name, "delivered");
    let told = wait_for(&kymo.url(), &name, "unchanged");
    assert!(hook.count.load(Ordering::SeqCst) >= 2);
    assert_eq!(told["labels"], json!({"alertname": "Always", "dc": "x", "severity": "page"}));
    let firing = &told["events"][0];
    assert_eq!(
        (&firing["details"]["query"], &firing["details"]["value"]),
        (&json!("vector(7) > 5"), &json!("7"))
    );
    assert!(firing["text"].as_str().is_some_and(|text| text.starts_with("It fires: ")), "{firing}");
    let answer = why(&kymo.url(), "severity=page,alertname=~\"Al.*\"");
    assert_eq!((&answer["step"], &answer["alerts"][0]["fingerprint"]), (&json!("delivered"), &json!(name)));
    assert_eq!(answer["alerts"][0]["receivers"][0]["receiver"], "hook");
    // A clean stop loses nothing; what holds is said once more.
    kymo.restart();
    let again = timeline(&kymo.url(), &name).expect("it is kept");
    let before = kinds(&told);
    assert_eq!(kinds(&again)[..before.len()], before, "{again}");
}

#[test]
fn why_nobody_was_told_is_answered() {
    let hook = Webhook::start(200);
    let (_folder, kymo) = kymo(&hook);
    let url = kymo.url();
    poll::until("the pending alert", || {
        let answer = why(&url, "{alertname=\"Slow\"}");
        if answer["step"] == "pending" { Ok(()) } else { Err(answer.to_string()) }
    });
    let answer = why(&url, "{alertname=\"Never\"}");
    assert_eq!((&answer["step"], &answer["alerts"]), (&json!("rule_never_fired"), &json!([])));
    let text = answer["answer"].as_str().unwrap_or_default();
    assert!(text.contains("vector(3) > 5") && text.contains("vector(3) was 3 for {}"), "{text}");
    assert_eq!(why(&url, "{alertname=\"Other\"}")["step"], "no_rule");
    assert_eq!(why(&url, "{alertname=\"Never\",severity=\"warn\"}")["step"], "no_rule");
    // Before all of this nothing was.
    let early = http::api(&url, "/api/v1/alerts/why", &[("match[]", "alertname=Always"), ("time", "1000")]);
    assert_eq!(early.expect("an answer")["step"], "rule_never_fired");
    // Silenced from outside.
    let silence = json!({
        "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": false}],
        "startsAt": "2024-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "me", "comment": "disks",
    });
    let headers = [("content-type", "application/json")];
    let made = http::post(&format!("{url}/api/v2/silences"), &headers, silence.to_string().as_bytes());
    let id = made.expect("answered").json()["silenceID"].clone();
    let quiet = json!([{"labels": {"alertname": "Quiet"}}]).to_string();
    http::post(&format!("{url}/api/v2/alerts"), &headers, quiet.as_bytes()).expect("answered");
    let answer = poll::until("the silence to be named", || {
        let answer = why(&url, "{alertname=\"Quiet\"}");
        if answer["step"] == "silenced" { Ok(answer) } else { Err(answer.to_string()) }
    });
    assert!(
        answer["answer"].as_str().is_some_and(|text| text.contains(id.as_str().unwrap_or("?"))),
        "{answer}"
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let kymo = Kymo::start();
    let status =
        |path: &str| http::get(&format!("{}/api/v1/alerts/{path}", kymo.url())).expect("answered").status;
    assert_eq!(status("nonsense/timeline"), 400);
    assert_eq!(status("0000000000000001/timeline"), 404);
    assert_eq!(status("why"), 400);
    assert_eq!(status("why?match[]=%7B%7D"), 400);
    assert_eq!(status("why?match[]=%7Ba"), 400);
}
