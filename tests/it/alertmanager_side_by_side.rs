//! Kymo's notifier beside Debian's Alertmanager: the same file, the same alerts and silences to both; answers of API v2, refusals of bad requests, and
//! what their webhooks are told must be the same, but for times, names of silences and addresses.

use std::collections::BTreeMap;

use kymo_tests::inbox::{Inbox, Letter};
use kymo_tests::peer::Peer;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

/// `{hook}` is where webhooks go.
const CONFIG: &str = "\
route:
  receiver: default
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 1h
  routes:
  - matchers: ['team=\"db\"']
    receiver: db
    group_by: [cluster]
    continue: true
  - matchers: ['severity=~\"page|critical\"']
    receiver: pager
    group_by: ['...']
inhibit_rules:
- source_matchers: ['severity=\"critical\"']
  target_matchers: ['severity=\"warning\"']
  equal: [cluster]
receivers:
- name: default
  webhook_configs:
  - url: http://{hook}/default
- name: db
  webhook_configs:
  - url: http://{hook}/db
    send_resolved: false
  - url: http://{hook}/db-short
    max_alerts: 1
- name: pager
  webhook_configs:
  - url: http://{hook}/pager
";

/// Both servers, and who is told by each.
struct Both {
    kymo: Kymo,
    alertmanager: Peer,
    inboxes: [Inbox; 2],
    _folder: TempDir,
}

impl Both {
    fn start() -> Self {
        let inboxes = [Inbox::start(), Inbox::start()];
        let [ours, theirs] =
            [&inboxes[0], &inboxes[1]].map(|inbox| CONFIG.replace("{hook}", inbox.address()));
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("alertmanager.yml");
        write(&path, &ours);
        let kymo = Kymo::start_with(&["--alertmanager-config", path.to_str().expect("a readable path")]);
        Self { kymo, alertmanager: Peer::alertmanager(&theirs), inboxes, _folder: folder }
    }

    fn urls(&self) -> [String; 2] {
        [self.kymo.url(), self.alertmanager.url()]
    }

    /// The same request to both; both statuses and bodies.
    fn post(&self, path: &str, body: &str) -> [http::Response; 2] {
        let headers = [("content-type", "application/json")];
        self.urls().map(|url| {
            http::post(&format!("{url}/api/v2{path}"), &headers, body.as_bytes()).expect("answered")
        })
    }

    fn report(&self, alerts: &Value) {
        let statuses = self.post("/alerts", &alerts.to_string()).map(|response| response.status);
        assert_eq!(statuses, [200, 200], "{alerts}");
    }

    /// Waits until both answer the same.
    #[track_caller]
    fn same(&self, path: &str) -> Value {
        poll::until(&format!("the same answer to {path}"), || {
            let ask = |url: String| -> Result<Value, String> {
                let answer = http::get(&format!("{url}/api/v2{path}"))?;
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                Ok(json!({"status": answer.status, "body": comparable(&body, &names(&url)?)}))
            };
            let [ours, theirs] = self.urls().map(ask);
            let (ours, theirs) = (ours?, theirs?);
            if ours == theirs { Ok(ours["body"].clone()) } else { Err(format!("\n{ours:#}\n{theirs:#}")) }
        })
    }

    /// What webhooks were told of each group, in order, normalised.
    fn told(&self) -> [BTreeMap<String, Vec<Value>>; 2] {
        [&self.inboxes[0], &self.inboxes[1]].map(|inbox| {
            let mut by_group: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for Letter { path, body } in inbox.letters() {
                let group = format!("{path} {}", body["groupKey"].as_str().unwrap_or_default());
                by_group.entry(group).or_default().push(comparable(&body, &BTreeMap::new()));
            }
            by_group
        })
    }

    /// Waits until both have told their webhooks the same, and something of these groups so often.
    #[track_caller]
    fn same_told(&self, wanted: &[(&str, usize)]) {
        poll::until("webhooks to be told the same", || {
            let [ours, theirs] = self.told();
            let is_enough = wanted.iter().all(|(group, count)| {
                let of = |told: &BTreeMap<String, Vec<Value>>| {
                    told.iter()
                        .filter(|(key, _)| key.starts_with(group))
                        .map(|(_, told)| told.len())
                        .sum::<usize>()
                };
                of(&ours) >= *count && of(&theirs) >= *count
            });
            if is_enough && ours == theirs { Ok(()) } else { Err(format!("\n{ours:#?}\n{theirs:#?}")) }
        });
    }
}

/// Names of silences, by which both call the same differently: by their comments.
fn names(url: &str) -> Result<BTreeMap<String, String>, String> {
    let answer = http::get(&format!("{url}/api/v2/silences"))?;
    let silences: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let silences = silences.as_array().ok_or("no list")?.iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(silences.map(|silence| (text(&silence["id"]), text(&silence["comment"]))).collect())
}

/// Without what must differ: when something was heard, where the server is, names that it gave; and `mutedBy`, which newer versions than
/// Debian's have.
fn comparable(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| comparable(item, names)).collect();
            // Their order is by name or by time of arrival, which are not the same.
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "updatedAt" | "externalURL" | "mutedBy"));
            let kept = kept.map(|(key, value)| {
                // What begins or ends now; other times are those that the test names.
                let named = ["2099", "0001", "2024"];
                let is_near = matches!(key.as_str(), "startsAt" | "endsAt")
                    && value.as_str().is_some_and(|at| !named.iter().any(|year| at.starts_with(year)));
                (key.clone(), if is_near { json!("now") } else { comparable(value, names) })
            });
            Value::Object(kept.collect())
        }
        Value::String(text) => Value::String(names.get(text).unwrap_or(text).clone()),
        other => other.clone(),
    }
}

const SINCE: &str = "2024-01-02T03:04:05.678Z";
const LATE: &str = "2099-01-01T00:00:00.000Z";

fn alert(labels: &Value) -> Value {
    json!({"labels": labels, "annotations": {"summary": "it is"}, "startsAt": SINCE, "endsAt": LATE, "generatorURL": "http://prometheus/graph?g0.expr=up"})
}

fn alerts() -> Value {
    let all = [
        json!({"alertname": "Down", "severity": "critical", "cluster": "a", "team": "db"}),
        json!({"alertname": "Slow", "severity": "warning", "cluster": "a", "team": "db"}),
        json!({"alertname": "Slow", "severity": "warning", "cluster": "b", "empty": ""}),
        json!({"alertname": "Slow", "severity": "warning", "cluster": "c"}),
        json!({"alertname": "Dark", "team": "night", "severity": "page"}),
        json!({"alertname": "Ünïcode", "text": "a \"quoted\" \\ <b>&amp;</b>"}),
    ];
    all.iter().map(alert).collect()
}

fn silence(comment: &str, matchers: &Value) -> Value {
    json!({"matchers": matchers, "startsAt": SINCE, "endsAt": LATE, "createdBy": "me", "comment": comment})
}

#[test]
fn alerts_groups_and_webhooks_are_those_of_alertmanager() {
    let both = Both::start();
    both.report(&alerts());
    for path in [
        "/alerts",
        "/alerts?filter=alertname%3DSlow",
        "/alerts?filter=alertname%3D~%22S.*%22&filter=cluster!%3Da",
        "/alerts?inhibited=false",
        "/alerts?active=false",
        "/alerts?silenced=false&unprocessed=false",
        "/alerts?receiver=pag.*",
        "/alerts?receiver=pag",
        "/alerts/groups",
        "/alerts/groups?receiver=db",
        "/alerts/groups?filter=severity%3Dwarning&inhibited=false",
        "/receivers",
        "/silences",
    ] {
        both.same(path);
    }
    both.same_told(&[("/default", 2), ("/db ", 1), ("/db-short", 1), ("/pager", 1)]);
    // Some end, one with a named end in the past, and one comes.
    let over = |labels: Value| {
        let mut over = alert(&labels);
        over["endsAt"] = json!("2024-01-03T00:00:00.000Z");
        over
    };
    both.report(&json!([
        over(json!({"alertname": "Down", "severity": "critical", "cluster": "a", "team": "db"})),
        over(json!({"alertname": "Slow", "severity": "warning", "cluster": "b"})),
        alert(&json!({"alertname": "Slow", "severity": "warning", "cluster": "d"})),
    ]));
    both.same_told(&[("/default", 3), ("/pager", 2), ("/db-short", 2)]);
    both.same("/alerts");
    both.same("/alerts/groups");
}

#[test]
fn silences_are_those_of_alertmanager() {
    let both = Both::start();
    both.report(&alerts());
    let equal = |name: &str, value: &str, is_regex: bool, is_equal: bool| json!({"name": name, "value": value, "isRegex": is_regex, "isEqual": is_equal});
    for (comment, matchers) in [
        ("slow ones", json!([equal("alertname", "Slow", false, true), equal("cluster", "a|b", true, true)])),
        ("not a", json!([equal("cluster", "a", false, false), equal("severity", "warn.*", true, true)])),
        ("without isEqual", json!([{"name": "team", "value": "night", "isRegex": false}])),
    ] {
        let statuses =
            both.post("/silences", &silence(comment, &matchers).to_string()).map(|response| response.status);
        assert_eq!(statuses, [200, 200], "{comment}");
    }
    for path in [
        "/silences",
        "/silences?filter=alertname%3DSlow",
        "/silences?filter=team%3D~%22night%22",
        "/silences?filter=team%3Dnight",
        "/silences?filter=cluster%3D~%22a%7Cb%22",
        "/alerts",
        "/alerts?silenced=false",
        "/alerts/groups?silenced=false",
    ] {
        both.same(path);
    }
    // One is ended, one is changed.
    for url in both.urls() {
        let names = names(&url).expect("listed");
        let id =
            |comment: &str| names.iter().find(|(_, name)| *name == comment).expect("it is there").0.clone();
        let mut changed = silence(
            "not a",
            &json!([equal("cluster", "a", false, false), equal("severity", "warn.*", true, true)]),
        );
        (changed["id"], changed["createdBy"]) = (json!(id("not a")), json!("somebody else"));
        let headers = [("content-type", "application/json")];
        let answer = http::post(&format!("{url}/api/v2/silences"), &headers, changed.to_string().as_bytes());
        assert_eq!(answer.expect("answered").status, 200);
        let ended = http::delete(&format!("{url}/api/v2/silence/{}", id("slow ones"))).expect("answered");
        assert_eq!(ended.status, 200, "{}", ended.text());
    }
    let silences = both.same("/silences");
    let states: Vec<&str> = silences
        .as_array()
        .expect("a list")
        .iter()
        .map(|silence| silence["status"]["state"].as_str().expect("a state"))
        .collect();
    assert!(states.contains(&"expired") && states.contains(&"active"), "{silences:#}");
    both.same("/alerts");
}

/// What nobody should post.
fn bad_posts() -> Vec<(&'static str, String)> {
    let matcher = json!([{"name": "a", "value": "b", "isRegex": false, "isEqual": true}]);
    let silence_with = |key: &str, value: Value| {
        let mut silence = silence("x", &matcher);
        silence[key] = value;
        silence.to_string()
    };
    let without = |key: &str| {
        let mut silence = silence("x", &matcher);
        silence.as_object_mut().expect("an object").remove(key);
        silence.to_string()
    };
    vec![
        ("/alerts", "nonsense".to_owned()),
        ("/alerts", "{}".to_owned()),
        ("/alerts", "[{}]".to_owned()),
        ("/alerts", json!([{"labels": {}}]).to_string()),
        ("/alerts", json!([{"labels": {"a": ""}}]).to_string()),
        ("/alerts", json!([{"labels": {"a": 1}}]).to_string()),
        ("/alerts", json!([{"labels": {"a": "b"}, "startsAt": "yesterday"}]).to_string()),
        ("/alerts", json!([{"labels": {"a": "b"}, "startsAt": LATE, "endsAt": SINCE}]).to_string()),
        ("/alerts", "[]".to_owned()),
        ("/alerts", String::new()),
        ("/silences", "nonsense".to_owned()),
        ("/silences", "{}".to_owned()),
        ("/silences", silence_with("matchers", json!([]))),
        ("/silences", silence_with("matchers", json!([{"name": "a", "value": "(", "isRegex": true}]))),
        ("/silences", silence_with("matchers", json!([{"name": "a", "value": ".*", "isRegex": true}]))),
        ("/silences", silence_with("matchers", json!([{"name": "a", "value": "", "isRegex": false}]))),
        ("/silences", silence_with("matchers", json!([{"name": "", "value": "b", "isRegex": false}]))),
        ("/silences", silence_with("matchers", json!([{"name": "a", "isRegex": false}]))),
        ("/silences", silence_with("endsAt", json!("2024-01-01T00:00:00Z"))),
        ("/silences", silence_with("endsAt", json!("never"))),
        ("/silences", silence_with("id", json!("00000000-0000-4000-8000-000000000000"))),
        ("/silences", without("matchers")),
        ("/silences", without("startsAt")),
        ("/silences", without("endsAt")),
        ("/silences", without("createdBy")),
        ("/silences", without("comment")),
    ]
}

#[test]
fn bad_requests_are_refused_as_by_alertmanager() {
    let both = Both::start();
    let mut differences = Vec::new();
    for (path, body) in &bad_posts() {
        let [ours, theirs] = both.post(path, body);
        if ours.status != theirs.status {
            let (own, other) = (ours.text(), theirs.text());
            differences
                .push(format!("POST {path} {body}: {} {own} | {} {other}", ours.status, theirs.status));
        }
    }
    for path in [
        "/alerts?filter=a",
        "/alerts?filter=%7B",
        "/alerts?filter=a%3D~%22(%22",
        "/alerts?receiver=(",
        "/alerts/groups?filter=a",
        "/alerts/groups?receiver=(",
        "/silences?filter=a",
        "/silence/00000000-0000-4000-8000-000000000000",
        "/silence/nonsense",
    ] {
        let [ours, theirs] =
            both.urls().map(|url| http::get(&format!("{url}/api/v2{path}")).expect("answered"));
        if ours.status != theirs.status {
            let (own, other) = (ours.text(), theirs.text());
            differences.push(format!("GET {path}: {} {own} | {} {other}", ours.status, theirs.status));
        }
    }
    let delete = |id: &str| {
        both.urls().map(|url| http::delete(&format!("{url}/api/v2/silence/{id}")).expect("answered").status)
    };
    assert_eq!(delete("nonsense"), [422, 422]);
    // Newer versions than Debian's say 404, too.
    assert_eq!(delete("00000000-0000-4000-8000-000000000000")[0], 404);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn status_has_the_fields_of_alertmanagers() {
    let both = Both::start();
    let [ours, theirs] =
        both.urls().map(|url| http::get(&format!("{url}/api/v2/status")).expect("answered").json());
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    };
    for part in ["", "/cluster", "/config", "/versionInfo"] {
        let (ours, theirs) =
            (ours.pointer(part).expect("it is there"), theirs.pointer(part).expect("it is there"));
        assert_eq!(keys(ours), keys(theirs), "{part}");
    }
    assert_eq!(ours["cluster"]["status"], theirs["cluster"]["status"]);
}
