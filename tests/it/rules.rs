//! Rules and alerts: as Prometheus answers them, to a real Alertmanager, through reloads and restarts.

use std::path::{Path, PathBuf};

use kymo_tests::peer::Peer;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a rule file, for servers that are not there yet.
struct Rules {
    folder: TempDir,
}

impl Rules {
    fn new(text: &str) -> Self {
        let rules = Self { folder: tempfile::tempdir().expect("temporary directory") };
        rules.replace(text);
        rules
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("rules.yml")
    }

    fn replace(&self, text: &str) {
        write(&self.path(), text);
    }

    /// A configuration that names it.
    fn config(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "global:\n  evaluation_interval: 1s\n  external_labels: {{region: eu}}\n{more}rule_files: ['{folder}/*.yml']\n"
        )
    }
}

const ALL: &str = r#"
groups:
- name: second
  interval: 2s
  rules:
  - alert: Other
    expr: vector(2)
- name: first
  limit: 10
  rules:
  - record: r:one
    expr: vector(1)
    labels: {team: a}
  - record: r:two
    expr: sum(r:one)+1
  - alert: Fires
    expr: vector(7) > 1
    labels: {severity: page, shown: '{{ $value }}'}
    annotations:
      summary: '{{ $value | humanize }} <&> "{{ $labels.severity }}" in {{ $externalLabels.region }}'
      asked: '{{ query "vector(5)" | first | value | printf "%.2f" }}'
      failed: '{{ query "vector(5) > 6" | first | value }}'
  - alert: Waits
    expr: r:two{team!="x"}
    for: 1h
    keep_firing_for: 5m
  - alert: Never
    expr: vector(1) < 0
  - record: r:same
    expr: vector(0) or label_replace(vector(0), "test", "x", "", "")
    labels: {test: y}
"#;

/// What does not depend on when and how fast rules were evaluated, nor on the version.
fn comparable(mut answer: Value) -> Value {
    for group in answer["groups"].as_array_mut().into_iter().flatten() {
        strip(group);
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            strip(rule);
            // Prometheus 3 writes empty labels, too.
            if rule["type"] == "recording" && rule["labels"] == json!({}) {
                rule.as_object_mut().expect("an object").remove("labels");
            }
            for alert in rule["alerts"].as_array_mut().into_iter().flatten() {
                strip(alert);
            }
        }
    }
    // Prometheus 3 leaves out groups of which no rule is wanted.
    if let Some(groups) = answer["groups"].as_array_mut() {
        groups.retain(|group| group["rules"].as_array().is_some_and(|rules| !rules.is_empty()));
    }
    for alert in answer["alerts"].as_array_mut().into_iter().flatten() {
        strip(alert);
    }
    if let Some(alerts) = answer["alerts"].as_array_mut() {
        alerts.sort_by_key(ToString::to_string);
    }
    answer
}

fn strip(of: &mut Value) {
    let fields = of.as_object_mut().expect("an object");
    for (key, is_sound) in [
        ("evaluationTime", Value::is_number as fn(&Value) -> bool),
        ("lastEvaluation", Value::is_string),
        ("activeAt", Value::is_string),
    ] {
        if let Some(value) = fields.remove(key) {
            assert!(is_sound(&value), "{key}: {value}");
        }
    }
}

#[test]
fn rules_and_alerts_are_listed_as_prometheus_lists_them() {
    let rules = Rules::new(ALL);
    let config = rules.config("");
    let kymo = Kymo::start_configured(&config);
    let prometheus = Peer::prometheus(&config);
    for path in ["/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/rules?type=record", "/api/v1/alerts"] {
        poll::until(&format!("the same answer to {path}"), || {
            let ask = |url: &str| http::api(url, path.split('?').next().unwrap_or(path), &parameters(path));
            let (ours, theirs) = (comparable(ask(&kymo.url())?), comparable(ask(&prometheus.url())?));
            if ours.to_string().contains("unknown") || ours != theirs {
                return Err(format!("\n{ours:#}\n{theirs:#}"));
            }
            Ok(())
        });
    }
    let names = |parameters: &[(&str, &str)]| -> Vec<String> {
        let answer = http::api(&kymo.url(), "/api/v1/rules", parameters).expect("answered");
        let groups = answer["groups"].as_array().expect("a list").clone();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("a list").clone());
        rules.map(|rule| rule["name"].as_str().expect("a name").to_owned()).collect()
    };
    let file = rules.path().display().to_string();
    assert_eq!(names(&[("rule_name[]", "Fires"), ("rule_name[]", "Other")]), ["Fires", "Other"]);
    assert_eq!(names(&[("rule_group[]", "second"), ("file[]", &file)]), ["Other"]);
    assert_eq!(names(&[("file[]", "another")]), [""; 0]);
    assert_eq!(names(&[("match[]", "{team=\"a\"}"), ("match[]", "{severity=~\"p.*\"}")]), ["r:one", "Fires"]);
    let page = |token: &str| {
        let more = [("group_limit", "1"), ("exclude_alerts", "true"), ("group_next_token", token)];
        let more = if token.is_empty() { &more[..2] } else { &more[..] };
        http::api(&kymo.url(), "/api/v1/rules", more).expect("answered")
    };
    let first = page("");
    assert_eq!((first["groups"][0]["name"].as_str(), first["groups"][1].is_null()), (Some("first"), true));
    assert!(first["groups"][0]["rules"][2]["alerts"].is_null(), "{first}");
    let last = page(first["groupNextToken"].as_str().expect("a token"));
    assert_eq!(
        (last["groups"][0]["name"].as_str(), last["groupNextToken"].is_null()),
        (Some("second"), true)
    );
    let other = http::get(&format!("{}/api/v1/rules?group_limit=0", kymo.url())).expect("answered");
    assert!(
        other.status == 400 && other.text().contains("group_limit needs to be greater than 0"),
        "{}",
        other.text()
    );
}

fn parameters(path: &str) -> Vec<(&str, &str)> {
    path.split_once('?').and_then(|(_, query)| query.split_once('=')).into_iter().collect()
}

const ALERT: &str = r#"
groups:
- name: g
  rules:
  - alert: Down
    expr: vector(7) > 1
    labels: {severity: page, dropped: x}
    annotations: {summary: 'it is {{ $value }}'}
"#;

#[test]
fn alerts_reach_an_alertmanager_and_end_there() {
    let alertmanager = Peer::alertmanager("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
    let rules = Rules::new(ALERT);
    let alerting = format!(
        "alerting:\n  alert_relabel_configs: [{{action: labeldrop, regex: dropped}}]\n  alertmanagers:\n  \
         - static_configs: [{{targets: ['{}']}}]\n",
        alertmanager.address()
    );
    let folder = tempfile::tempdir().expect("temporary directory");
    let config = folder.path().join("kymo.yml");
    write(&config, &rules.config(&alerting));
    let config = config.display().to_string();
    let kymo = Kymo::start_with(&["--config", &config, "--external-url", "http://kymo.example/"]);
    let known = |kymo: &Kymo| http::api(&kymo.url(), "/api/v1/alertmanagers", &[]);
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    poll::until("the Alertmanager to be known", || match known(&kymo)? {
        known if known["activeAlertmanagers"] == json!([{"url": url}]) => Ok(()),
        other => Err(other.to_string()),
    });
    let active = || -> Result<Vec<Value>, String> {
        let answer = http::get(&format!("{}/api/v2/alerts", alertmanager.url()))?;
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
    };
    let alert = poll::until("the alert in the Alertmanager", || active()?.pop().ok_or("none".to_owned()));
    assert_eq!(alert["labels"], json!({"alertname": "Down", "severity": "page", "region": "eu"}));
    assert_eq!(alert["annotations"], json!({"summary": "it is 7"}));
    assert_eq!(alert["generatorURL"], "http://kymo.example/graph?g0.expr=vector%287%29+%3E+1&g0.tab=1");
    rules.replace(&ALERT.replace("> 1", "> 9"));
    assert_eq!(http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered").status, 200);
    poll::until("the alert to end", || match active()? {
        none if none.is_empty() => Ok(()),
        some => Err(format!("{some:?}")),
    });
    // The Alertmanager has them before Kymo has its answer.
    poll::until("both to be counted as sent", || {
        let metrics = http::get(&format!("{}/metrics", kymo.url()))?.text();
        let counted = metrics.lines().find(|line| line.starts_with("kymo_alertmanager_alerts_sent_total{"));
        match counted.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()) {
            Some(sent) if sent >= 2.0 => Ok(()),
            sent => Err(format!("{sent:?}")),
        }
    });
}

#[test]
fn a_bad_rule_file_changes_nothing_and_says_where_it_is_wrong() {
    let rules = Rules::new("groups: [{name: g, rules: [{record: r, expr: vector(1)}]}]");
    let kymo = Kymo::start_configured(&rules.config(""));
    kymo.wait_until("r", 1.0);
    let reload = || http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    rules.replace("groups:\n- name: g\n  rules:\n  - record: r\n    expr: vector(2\n");
    let refused = reload();
    let text = refused.text();
    assert!(
        refused.status != 200 && text.contains("rules.yml:5:5: group \"g\", rule 1, \"r\": could not parse"),
        "{text}"
    );
    let listed = http::api(&kymo.url(), "/api/v1/rules", &[]).expect("answered");
    assert_eq!(listed["groups"][0]["rules"][0]["query"], "vector(1)");
    rules.replace("groups: [{name: h, rules: [{record: s, expr: vector(2)}]}]");
    assert_eq!(reload().status, 200);
    kymo.wait_until("s", 2.0);
    // Two intervals after it went, what the old group wrote ends.
    kymo.wait_for_nothing("r");
}

fn logged(log: &Path, query: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(log).map_err(|error| error.to_string())?;
    // The last line may be half written.
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find(|line| line["params"]["query"] == query).ok_or(text.clone())
}

#[test]
fn queries_of_rules_are_logged_with_their_group() {
    let rules = Rules::new(ALERT);
    let kymo = Kymo::start_configured(&rules.config("  query_log_file: queries.log\n"));
    let log = kymo.folder().join("queries.log");
    let line = poll::until("the rule's query in the log", || logged(&log, "vector(7) > 1"));
    assert_eq!(line["ruleGroup"], json!({"file": rules.path().display().to_string(), "name": "g"}));
    assert_eq!(line["class"], "alert");
}

#[test]
fn a_restart_does_not_forget_for_how_long_an_alert_was_pending() {
    let rules = Rules::new(
        "groups: [{name: g, rules: [{alert: Slow, expr: vector(1), for: 1h}, {record: now, expr: vector(time())}]}]",
    );
    let mut kymo = Kymo::start_configured(&rules.config(""));
    kymo.wait_for_value("timestamp(ALERTS_FOR_STATE) - ALERTS_FOR_STATE >= 5");
    let stopped = http::single_value(&kymo.url(), "vector(time())").expect("a number").ceil();
    kymo.crash_and_restart();
    let since =
        kymo.wait_for_value(&format!("ALERTS_FOR_STATE and (timestamp(ALERTS_FOR_STATE) > {stopped})"));
    let first = kymo.wait_for_value(&format!("min_over_time((now > {stopped})[10m:1s])"));
    // Without memory it would be there since the first evaluation after the restart.
    assert!(since <= first - 2.0, "since {since}, first evaluated {first}");
    let alerts = http::api(&kymo.url(), "/api/v1/alerts", &[]).expect("answered");
    assert_eq!(alerts["alerts"][0]["state"], "pending", "{alerts}");
}
