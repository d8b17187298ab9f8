//! Alertmanager's job, with real peers: amtool asks, a real Prometheus sends.

use std::collections::BTreeSet;
use std::process::Command;

use kymo_tests::peer::Peer;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, paths, poll};
use serde_json::{Value, json};

/// What Debian's Alertmanager 0.25 loads, too.
const CONFIG: &str = "\
route:
  receiver: default
  group_by: [alertname]
  routes:
  - matchers: ['team=\"db\"']
    receiver: db
    continue: true
  - match_re: {severity: 'page|critical'}
    receiver: pager
    group_by: ['...']
receivers:
- name: default
- name: db
- name: pager
inhibit_rules:
- source_matchers: ['severity=\"critical\"']
  target_matchers: ['severity=\"warning\"']
  equal: [cluster]
";

/// Kymo with an Alertmanager's file.
fn kymo(config: &str) -> (tempfile::TempDir, Kymo) {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("alertmanager.yml");
    write(&path, config);
    let kymo = Kymo::start_with(&["--alertmanager-config", path.to_str().expect("a readable path")]);
    (folder, kymo)
}

/// What amtool prints.
#[track_caller]
fn amtool(url: &str, arguments: &[&str]) -> String {
    let output = Command::new(paths::program("amtool"))
        .arg("--alertmanager.url")
        .arg(url)
        .args(arguments)
        .env("HOME", "/nonexistent")
        .output()
        .expect("amtool runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn get(url: &str, path: &str) -> Value {
    let response = http::get(&format!("{url}/api/v2{path}")).expect("answered");
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.json()
}

fn report(url: &str, alerts: &Value) {
    let headers = [("content-type", "application/json")];
    let body = alerts.to_string();
    let response = http::post(&format!("{url}/api/v2/alerts"), &headers, body.as_bytes()).expect("answered");
    assert_eq!(response.status, 200, "{}", response.text());
}

/// Alerts in each state.
fn alerts() -> Value {
    json!([
        {"labels": {"alertname": "Down", "severity": "critical", "cluster": "a", "team": "db"}, "annotations": {"summary": "it is down"}, "generatorURL": "http://prometheus/graph"},
        {"labels": {"alertname": "Slow", "severity": "warning", "cluster": "a", "empty": ""}},
        {"labels": {"alertname": "Slow", "severity": "warning", "cluster": "b"}, "startsAt": "2024-01-02T03:04:05.678Z", "endsAt": "2099-01-01T00:00:00Z"},
        {"labels": {"alertname": "Over"}, "startsAt": "2024-01-01T00:00:00Z", "endsAt": "2024-01-01T01:00:00Z"},
    ])
}

#[test]
fn amtool_works() {
    let (_folder, mut kymo) = kymo(CONFIG);
    for url in [kymo.url(), format!("{}/alertmanager", kymo.url())] {
        let id = amtool(
            &url,
            &[
                "silence",
                "add",
                "alertname=Slow",
                "cluster=~\"b|c\"",
                "-c",
                "maintenance",
                "-a",
                "me",
                "-d",
                "2h",
            ],
        );
        let id = id.trim();
        amtool(&url, &["alert", "add", "alertname=Slow", "cluster=b", "severity=warning"]);
        amtool(&url, &["alert", "add", "alertname=Fast", "cluster=b", "--annotation", "summary=hurry"]);
        let listed = amtool(&url, &["silence", "query", "-q"]);
        assert_eq!(listed.trim(), id);
        let found = |arguments: &[&str]| {
            let text = amtool(&url, arguments);
            let alerts: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let names = alerts.as_array().expect("a list").iter();
            names
                .map(|alert| alert["labels"]["alertname"].as_str().expect("a name").to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(found(&["-o", "json", "alert", "query"]), ["Fast".to_owned()].into());
        assert_eq!(found(&["-o", "json", "alert", "query", "--silenced"]), ["Slow".to_owned()].into());
        assert_eq!(found(&["-o", "json", "alert", "query", "summary=x"]), BTreeSet::new());
        assert_eq!(
            found(&["-o", "json", "alert", "query", "-a", "cluster=b", "alertname=~\"F.*\""]),
            ["Fast".to_owned()].into()
        );
        amtool(&url, &["silence", "expire", id]);
        assert_eq!(amtool(&url, &["silence", "query", "-q"]).trim(), "");
        assert_eq!(amtool(&url, &["silence", "query", "--expired", "-q"]).lines().next(), Some(id));
        let tree = amtool(&url, &["config", "routes", "show"]);
        assert!(
            tree.contains("receiver: default")
                && tree.contains("{team=\"db\"}  continue: true  receiver: db"),
            "{tree}"
        );
        let test = |labels: &[&str]| {
            amtool(&url, &[&["config", "routes", "test"], labels].concat()).trim().to_owned()
        };
        assert_eq!(test(&["team=db", "severity=page"]), "db,pager");
        assert_eq!(test(&["team=web"]), "default");
        assert!(amtool(&url, &["config", "show"]).contains("receiver: pager"));
        // The second round begins like the first.
        kymo.restart();
        for silence in get(&kymo.url(), "/silences").as_array().expect("a list") {
            assert_eq!(silence["status"]["state"], "expired", "{silence}");
        }
        kymo.process().kill();
        std::fs::remove_file(kymo.folder().join("data/catalog.sqlite")).expect("removed");
        let _ = std::fs::remove_file(kymo.folder().join("data/catalog.sqlite-wal"));
        let _ = std::fs::remove_file(kymo.folder().join("data/catalog.sqlite-shm"));
        kymo.start_again();
    }
}

#[test]
fn a_silence_that_was_acknowledged_survives_a_crash() {
    let (_folder, mut kymo) = kymo(CONFIG);
    let id = amtool(&kymo.url(), &["silence", "add", "alertname=Slow", "-c", "maintenance", "-a", "me"]);
    kymo.crash_and_restart();
    assert_eq!(amtool(&kymo.url(), &["silence", "query", "-q"]).trim(), id.trim());
}

#[test]
fn a_real_prometheus_sends_its_alerts() {
    let (folder, kymo) = kymo(CONFIG);
    let rules = folder.path().join("rules.yml");
    write(
        &rules,
        "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Always\n    expr: vector(1)\n    labels: {severity: page}\n    annotations: {summary: it fires}\n",
    );
    let target = kymo.url().replace("http://", "");
    let config = format!(
        "global: {{evaluation_interval: 1s, external_labels: {{dc: x}}}}\nrule_files: ['{}']\nalerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{target}']}}]\n",
        rules.display()
    );
    // Alerts that it had before it knew of Kymo are sent again after this time.
    let _prometheus = Peer::prometheus_with(&config, &["--rules.alert.resend-delay=1s"]);
    let alert = poll::until("the alert to arrive", || {
        let alerts = get(&kymo.url(), "/alerts?filter=alertname%3DAlways");
        alerts.get(0).cloned().ok_or_else(|| alerts.to_string())
    });
    assert_eq!(alert["labels"], json!({"alertname": "Always", "dc": "x", "severity": "page"}));
    assert_eq!(alert["annotations"], json!({"summary": "it fires"}));
    assert_eq!(
        (&alert["receivers"], &alert["status"]["state"]),
        (&json!([{"name": "pager"}]), &json!("active"))
    );
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_a_reload_changes_nothing() {
    let (folder, kymo) = kymo(CONFIG);
    let path = folder.path().join("alertmanager.yml");
    write(&path, &CONFIG.replace("receiver: pager\n", "receiver: nobody\n"));
    let answer = http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("alertmanager.yml:9:")
            && answer.text().contains("undefined receiver \"nobody\" used in route"),
        "{}",
        answer.text()
    );
    write(&path, &CONFIG.replace("name: db", "name: other").replace("receiver: db", "receiver: other"));
    let answer = http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        get(&kymo.url(), "/receivers"),
        json!([{"name": "default"}, {"name": "other"}, {"name": "pager"}])
    );
}

#[test]
fn without_a_file_alerts_are_shown_and_nobody_is_told() {
    let kymo = Kymo::start();
    report(&kymo.url(), &alerts());
    assert_eq!(get(&kymo.url(), "/alerts").as_array().map(Vec::len), Some(3));
    assert_eq!(get(&kymo.url(), "/status")["cluster"]["status"], "disabled");
}

#[test]
fn alerts_of_our_own_rules_are_told() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (rules, alertmanager) = (folder.path().join("rules.yml"), folder.path().join("alertmanager.yml"));
    write(&alertmanager, CONFIG);
    write(
        &rules,
        "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Always\n    expr: vector(1)\n    labels: {severity: page}\n",
    );
    let kymo = Kymo::start_configured(&format!(
        "global: {{external_labels: {{dc: x}}}}\nrule_files: ['{}']\nalertmanager: {{config_file: '{}'}}\n",
        rules.display(),
        alertmanager.display()
    ));
    let alert = poll::until("the alert to arrive", || {
        let alerts = get(&kymo.url(), "/alerts?filter=alertname%3DAlways");
        alerts.get(0).cloned().ok_or_else(|| alerts.to_string())
    });
    assert_eq!(alert["labels"], json!({"alertname": "Always", "dc": "x", "severity": "page"}));
    assert_eq!(alert["receivers"], json!([{"name": "pager"}]));
}
