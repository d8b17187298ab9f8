//! Rules by API: Mimir's and Kymo's own, in force at once, versioned, there after a restart.

use kymo_tests::http::{self, Response};
use kymo_tests::poll;
use kymo_tests::server::Kymo;
use serde_json::{Value, json};

const CONFIG: &str = "global: {evaluation_interval: 1s}\n";

fn send(kymo: &Kymo, method: &str, path: &str, body: &str) -> Response {
    let url = format!("{}{path}", kymo.url());
    let headers = [("x-grafana-user", "ann")];
    http::send(method, &url, &headers, body.as_bytes()).expect("answered")
}

#[track_caller]
fn check(kymo: &Kymo, method: &str, path: &str, body: &str, status: u16) -> String {
    let response = send(kymo, method, path, body);
    assert_eq!(response.status, status, "{method} {path}: {}", response.text());
    response.text()
}

/// Names of rules by namespace and group, as they are evaluated.
fn in_force(kymo: &Kymo) -> Vec<String> {
    let answer = http::api(&kymo.url(), "/api/v1/rules", &[]).expect("answered");
    let mut names = Vec::new();
    for group in answer["groups"].as_array().expect("a list") {
        for rule in group["rules"].as_array().expect("a list") {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            names.push(format!("{}/{}/{}", text(&group["file"]), text(&group["name"]), text(&rule["name"])));
        }
    }
    names
}

#[test]
fn mimirs_api_changes_what_is_evaluated() {
    let mut kymo = Kymo::start_configured(CONFIG);
    check(&kymo, "GET", "/config/v1/rules", "", 404);
    let group = "name: g\ninterval: 1s\nrules:\n- record: api:one\n  expr: vector(1)\n  labels: {team: a}\n";
    let accepted = check(&kymo, "POST", "/config/v1/rules/team%2Fa", group, 202);
    assert!(accepted.contains("\"status\":\"success\""), "{accepted}");
    check(
        &kymo,
        "POST",
        "/prometheus/config/v1/rules/other",
        "name: h\nrules: [{alert: H, expr: vector(1)}]",
        202,
    );
    assert_eq!(in_force(&kymo), ["other/h/H", "team/a/g/api:one"]);
    kymo.wait_until("api:one", 1.0);
    let all = check(&kymo, "GET", "/config/v1/rules", "", 200);
    let own = "team/a:\n- name: g\n  interval: \"1s\"\n  rules:\n  - record: \"api:one\"\n    expr: \"vector(1)\"\n    labels:\n      team: a\n";
    assert!(all.starts_with("other:\n- name: h\n") && all.ends_with(own), "{all}");
    assert_eq!(check(&kymo, "GET", "/config/v1/rules/team%2Fa", "", 200), own);
    let one = check(&kymo, "GET", "/prometheus/config/v1/rules/team%2Fa/g", "", 200);
    assert!(one.starts_with("name: g\ninterval: \"1s\"\n"), "{one}");

    // What is wrong is refused as in a file, and changes nothing.
    let refused =
        check(&kymo, "POST", "/config/v1/rules/other", "name: h\nrules:\n- alert: H\n  expr: x =\n", 400);
    assert!(refused.contains("4:3: group \"h\", rule 1, \"H\": could not parse expression"), "{refused}");
    check(&kymo, "POST", "/config/v1/rules/other", "groups: []", 400);
    assert_eq!(in_force(&kymo).len(), 2);

    kymo.crash_and_restart();
    assert_eq!(in_force(&kymo), ["other/h/H", "team/a/g/api:one"]);
    // A reload of the configuration leaves them alone.
    check(&kymo, "POST", "/-/reload", "", 200);
    assert_eq!(in_force(&kymo).len(), 2);

    // A group ends what it has written since the start.
    poll::until("the rule to be evaluated again", || {
        let rules = http::api(&kymo.url(), "/api/v1/rules/evaluations", &[("rule", "api:one")])?;
        let evaluations = rules[0]["evaluations"].as_array().map_or(0, Vec::len);
        if evaluations > 0 { Ok(()) } else { Err(rules.to_string()) }
    });
    check(&kymo, "DELETE", "/config/v1/rules/team%2Fa/g", "", 202);
    check(&kymo, "DELETE", "/config/v1/rules/team%2Fa/g", "", 404);
    check(&kymo, "DELETE", "/config/v1/rules/other", "", 202);
    check(&kymo, "DELETE", "/config/v1/rules/other", "", 404);
    assert_eq!(in_force(&kymo), [""; 0]);
    kymo.wait_for_nothing("api:one");
}

#[test]
fn changes_are_versions_and_who_comes_second_is_told() {
    let mut kymo = Kymo::start_configured(CONFIG);
    let path = "/api/v1/rules/groups/n/g";
    let body = |expr: &str| json!({"name": "g", "rules": [{"record": "r", "expr": expr}]}).to_string();
    let data = |text: String| serde_json::from_str::<Value>(&text).expect("JSON")["data"].clone();
    check(&kymo, "GET", path, "", 404);
    assert_eq!(
        data(check(&kymo, "PUT", &format!("{path}?version=0"), &body("vector(1)"), 200))["version"],
        1
    );
    let second = check(&kymo, "PUT", &format!("{path}?version=0"), &body("vector(2)"), 409);
    assert!(second.contains("the group has version 1, not 0"), "{second}");
    assert_eq!(
        data(check(&kymo, "PUT", &format!("{path}?version=1"), &body("vector(3)"), 200))["version"],
        2
    );
    let now = data(check(&kymo, "GET", path, "", 200));
    assert_eq!((&now["version"], &now["changedBy"]), (&json!(2), &json!("ann")));
    assert_eq!(now["group"]["rules"][0]["expr"], "vector(3)");
    kymo.wait_until("r", 3.0);
    let before = data(check(&kymo, "GET", &format!("{path}?version=1"), "", 200));
    assert_eq!(before["group"]["rules"][0]["expr"], "vector(1)");
    check(&kymo, "GET", &format!("{path}?version=7"), "", 404);
    assert_eq!(data(check(&kymo, "GET", "/api/v1/rules/groups", "", 200)).as_array().map(Vec::len), Some(1));
    let wrong = check(&kymo, "PUT", "/api/v1/rules/groups/n/other", &body("vector(1)"), 400);
    assert!(wrong.contains("is called"), "{wrong}");

    check(&kymo, "DELETE", &format!("{path}?version=1"), "", 409);
    check(&kymo, "DELETE", &format!("{path}?version=2"), "", 200);
    kymo.restart();
    check(&kymo, "GET", path, "", 404);
    let versions = data(check(&kymo, "GET", &format!("{path}/versions"), "", 200));
    let versions: Vec<_> = versions
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (&one["version"], one["group"].is_null()))
        .collect();
    assert_eq!(versions, [(&json!(3), true), (&json!(2), false), (&json!(1), false)]);
}

#[test]
fn rules_of_other_tenants_are_refused() {
    let kymo = Kymo::start_configured(CONFIG);
    let ask = |method: &str| {
        let url = format!("{}/config/v1/rules/n", kymo.url());
        http::send(method, &url, &[("x-scope-orgid", "other")], b"name: g\nrules: []\n").expect("answered")
    };
    let refused = ask("POST");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("default tenant"), "{}", refused.text());
    assert_eq!(ask("GET").status, 404);
    poll::until("the server to be well", || http::get(&format!("{}/-/healthy", kymo.url())).map(|_| ()));
}
