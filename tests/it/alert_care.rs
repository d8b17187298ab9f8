//! What people do with alerts beyond Alertmanager: acknowledge them, see beforehand what a silence would do, silences that recur; through
//! the API and the command line.

use std::process::Command;

use kymo_tests::server::Kymo;
use kymo_tests::{http, paths};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn report(url: &str, names: &[&str]) {
    let alert = |name: &&str| json!({"labels": {"alertname": name, "team": "db"}});
    let body = Value::from(names.iter().map(alert).collect::<Vec<_>>()).to_string();
    let response = http::post(&format!("{url}/api/v2/alerts"), &JSON, body.as_bytes()).expect("answered");
    assert_eq!(response.status, 200, "{}", response.text());
}

/// Status and answer of a `POST` of JSON.
fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let response = http::post(&format!("{url}/api/v1/{path}"), &JSON, body.to_string().as_bytes());
    let response = response.expect("answered");
    (response.status, response.json())
}

fn fingerprint(url: &str, name: &str) -> String {
    let alerts =
        http::get(&format!("{url}/api/v2/alerts?filter=alertname%3D{name}")).expect("answered").json();
    alerts[0]["fingerprint"].as_str().unwrap_or_else(|| panic!("{alerts}")).to_owned()
}

/// Exit status and output of a command.
fn kymo(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(paths::kymo_binary())
        .arg("alert")
        .args(arguments)
        .args(["--url", url])
        .env("USER", "tester")
        .output()
        .expect("it runs");
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&both).into_owned())
}

#[test]
fn an_acknowledgement_survives_a_crash_and_can_be_taken_back() {
    let mut server = Kymo::start();
    report(&server.url(), &["Down"]);
    let name = fingerprint(&server.url(), "Down");
    let path = format!("alerts/{name}/ack");
    let body = json!({"owner": "me", "comment": "on it", "duration": "2h"});
    let (status, made) = post(&server.url(), &path, &body);
    assert_eq!((status, &made["data"]["owner"]), (200, &json!("me")), "{made}");
    for bad in [json!({"owner": "me"}), json!({"owner": " ", "duration": "2h"}), json!({"duration": "2h"})] {
        assert_eq!(post(&server.url(), &path, &bad).0, 400, "{bad}");
    }
    assert_eq!(post(&server.url(), "alerts/0000000000000001/ack", &body).0, 404);
    server.crash_and_restart();
    let acks = http::api(&server.url(), "/api/v1/alerts/acks", &[]).expect("acknowledgements");
    assert_eq!(acks["acks"][0]["fingerprint"], json!(name), "{acks}");
    assert_eq!(acks["acks"][0]["labels"], json!({"alertname": "Down", "team": "db"}));
    let (status, text) = kymo(&server.url(), &["ack", "--list"]);
    assert!(status == Some(0) && text.contains("me") && text.contains(&name), "{text}");
    assert_eq!(kymo(&server.url(), &["ack", &name, "--undo"]).0, Some(0));
    assert_eq!(kymo(&server.url(), &["ack", &name, "--undo"]).0, Some(1));
    assert_eq!(kymo(&server.url(), &["ack", "--list"]).0, Some(1));
    let events =
        http::api(&server.url(), &format!("/api/v1/alerts/{name}/timeline"), &[]).expect("a timeline");
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    assert_eq!(kinds.last(), Some(&"ack_ended"), "{events}");
}

#[test]
fn silences_are_previewed_recur_and_end() {
    let server = Kymo::start();
    let url = server.url();
    report(&url, &["Down", "Slow"]);
    let matchers = json!([{"name": "alertname", "value": "D.*", "isRegex": true}]);
    let (status, seen) = post(&url, "silences/preview", &json!({"matchers": matchers}));
    let names: Vec<_> = seen["data"]["alerts"].as_array().into_iter().flatten().collect();
    assert_eq!((status, names.len(), &names[0]["labels"]["alertname"]), (200, 1, &json!("Down")), "{seen}");
    assert_eq!(post(&url, "silences/preview", &json!({"matchers": []})).0, 400);
    // In force at all times of all days, then in a year that is over.
    let silence = |years: &str| {
        json!({
            "matchers": matchers, "duration": "10m", "createdBy": "me", "comment": "maintenance",
            "recurrence": {"time_intervals": [{"years": [years], "location": "Europe/Berlin"}]},
        })
    };
    let (status, made) = post(&url, "silences", &silence("2000:2999"));
    assert_eq!(status, 200, "{made}");
    let held = http::get(&format!("{url}/api/v2/alerts?filter=alertname%3DDown")).expect("answered").json();
    assert_eq!(held[0]["status"]["silencedBy"], json!([made["data"]["id"]]), "{held}");
    let (_, idle) = post(&url, "silences", &silence("1999"));
    let shown = http::get(&format!("{url}/api/v2/silences")).expect("answered").json();
    let state = |id: &Value| {
        let all = shown.as_array().expect("a list");
        let found = all.iter().find(|silence| silence["id"] == *id).unwrap_or_else(|| panic!("{shown}"));
        found["status"]["state"].as_str().expect("a state").to_owned()
    };
    assert_eq!((state(&made["data"]["id"]), state(&idle["data"]["id"])), ("active".into(), "pending".into()));
    let listed = http::api(&url, "/api/v1/silences", &[]).expect("silences");
    assert_eq!(
        (&listed["silences"][0]["expiringSoon"], &listed["silences"][0]["alerts"]),
        (&json!(false), &json!(1)),
        "{listed}"
    );
    assert_eq!(listed["silences"][0]["recurrence"]["time_intervals"][0]["location"], "Europe/Berlin");
    assert_eq!(post(&url, "silences", &silence("sometimes")).0, 400);
    let id = made["data"]["id"].as_str().expect("an id");
    assert_eq!(kymo(&url, &["silence", "--expire", id]).0, Some(0));
    let freed = http::get(&format!("{url}/api/v2/alerts?filter=alertname%3DDown")).expect("answered").json();
    assert_eq!(freed[0]["status"]["state"], "active", "{freed}");
}

#[test]
fn groups_are_planned_beforehand() {
    let server = Kymo::start();
    report(&server.url(), &["Down"]);
    let (_, of_firing) = post(&server.url(), "notifications/groups", &json!({}));
    let group = &of_firing["data"]["groups"][0];
    assert_eq!((&group["receiver"], &group["groupKey"]), (&json!("nobody"), &json!("{}:{}")), "{of_firing}");
    let alerts = json!({"alerts": [{"alertname": "x"}, {"alertname": "y"}]});
    let (status, planned) = post(&server.url(), "notifications/groups", &alerts);
    assert_eq!((status, planned["data"]["groups"][0]["alerts"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(post(&server.url(), "notifications/groups", &json!({"alerts": [{"": "x"}]})).0, 400);
}

#[test]
fn the_command_line_lists_silences_and_explains() {
    let server = Kymo::start();
    let url = server.url();
    assert_eq!(kymo(&url, &["list"]).0, Some(1), "there are none");
    report(&url, &["Down", "Slow"]);
    let name = fingerprint(&url, "Down");
    let (status, text) = kymo(&url, &["list", "team=db"]);
    assert!(status == Some(0) && text.contains(&name) && text.lines().count() == 3, "{text}");
    assert_eq!(kymo(&url, &["list", "team=\"web\""]).0, Some(1));
    let (status, text) = kymo(&url, &["silence", "alertname=Down", "--dry-run"]);
    assert!(status == Some(0) && text.contains(&name) && text.lines().count() == 2, "{text}");
    let (status, text) = kymo(&url, &["silence", "alertname=Down", "-d", "2h", "-c", "disks", "--json"]);
    let id =
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))["id"].clone();
    assert!(status == Some(0) && id.is_string(), "{text}");
    let (_, text) = kymo(&url, &["silence", "--list"]);
    assert!(text.contains(id.as_str().unwrap_or("?")) && text.contains("tester"), "{text}");
    let (status, text) = kymo(&url, &["timeline", &name]);
    assert!(status == Some(0) && text.contains("received") && text.contains("silence_set"), "{text}");
    let (status, text) = kymo(&url, &["why", "alertname=Down"]);
    assert!(status == Some(0) && text.contains(&name), "{text}");
    assert_eq!(kymo(&url, &["why", "alertname=Down", "--time", "yesterday"]).0, Some(1));
    assert_eq!(kymo(&url, &["timeline", "nonsense"]).0, Some(2));
    assert_eq!(kymo(&url, &["silence"]).0, Some(2));
    assert_eq!(kymo(&url, &["silence", "=~"]).0, Some(2));
}
