//! Rules tried on what is stored: `kymo rules backtest` and `kymo rules backfill` against a real server.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, paths, push};
use serde_json::{Value, json};
use tempfile::TempDir;

const MINUTE: i64 = 60_000;
/// 2024-01-01T00:00:00Z.
const START: i64 = 1_704_067_200_000;
const HOURS: i64 = 12;

/// A server with half a day of a load that is high in the third hour, and again in the tenth; on one host for only five minutes.
fn loaded() -> Kymo {
    let kymo = Kymo::start_with(&["--retention", "100y"]);
    let load = |host: &str, minute: i64| match (host, minute) {
        ("a", 120..180 | 540..600) | ("b", 300..305) => 95.0 + (minute % 5) as f64,
        _ => 10.0,
    };
    let series: Vec<push::Series> = ["a", "b"]
        .map(|host| {
            let samples: Vec<(i64, f64)> =
                (0..HOURS * 60).map(|minute| (START + minute * MINUTE, load(host, minute))).collect();
            push::Series::new(&[("__name__", "load"), ("host", host)], &samples)
        })
        .into();
    let sent = push::send(&kymo.url(), &series).expect("sent");
    assert_eq!(sent.status / 100, 2, "{}", sent.text());
    kymo
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        write(&path, text);
        path
    }

    /// Runs `kymo rules …` here.
    fn rules(&self, arguments: &[&str], url: &str) -> Output {
        let mut command = Command::new(paths::kymo_binary());
        command.arg("rules").args(arguments).args(["--url", url]).current_dir(self.0.path());
        command.output().expect("kymo starts")
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const FROM_TO: [&str; 4] = ["--from", "2024-01-01T00:00:00Z", "--to", "2024-01-01T11:59:00Z"];

fn rule(hold: &str) -> String {
    format!(
        "groups: [{{name: g, rules: [{{record: 'load:max', expr: max by (host) (load)}}, \
         {{alert: Busy, expr: 'load:max > 90', for: {hold}, labels: {{severity: page}}}}]}}]"
    )
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

const ALERTMANAGER: &str = "\
route: {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 30m}
receivers: [{name: team, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]
";

#[test]
fn a_backtest_tells_alerts_and_pages_of_the_past() {
    let (kymo, folder) = (loaded(), Folder::new());
    folder.file("new.yml", &rule("10m"));
    folder.file("old.yml", &rule("2m"));
    folder.file("am.yml", ALERTMANAGER);
    let arguments =
        [&["backtest", "new.yml", "--json", "--alertmanager-config", "am.yml"][..], &FROM_TO].concat();
    let answer = json_of(&folder.rules(&arguments, &kymo.url()));
    let times = |alert: &Value| {
        ["pendingAt", "firedAt", "resolvedAt"]
            .map(|key| alert[key].as_str().unwrap_or("-")[11..16].to_owned())
    };
    let alerts: Vec<[String; 3]> = answer["alerts"].as_array().expect("a list").iter().map(times).collect();
    assert_eq!(alerts, [["02:00", "02:10", "03:00"], ["09:00", "09:10", "10:00"]]);
    assert_eq!(answer["alerts"][0]["labels"], json!({"alertname": "Busy", "host": "a", "severity": "page"}));
    assert_eq!(answer["alerts"][0]["peak"], "99");
    let busy = &answer["rules"][1]["alerting"];
    assert_eq!((&busy["alerts"], &busy["pendingOnly"], &busy["flaps"]), (&json!(2), &json!(1), &json!(0)));
    assert_eq!(busy["timeToFire"], json!({"p50": 600, "max": 600}));
    // Each is told, repeated once after half an hour, and resolved.
    assert_eq!(answer["pages"]["total"], 4);
    assert_eq!(
        answer["pages"]["receivers"],
        json!([{"receiver": "team", "pages": 4, "repeats": 2, "resolved": 2}])
    );
    assert_eq!(answer["pages"]["days"], json!([{"day": "2024-01-01", "pages": 4}]));

    let check = |more: &[&str], code: i32, want: &str| {
        let arguments =
            [&["backtest", "new.yml", "--alertmanager-config", "am.yml"][..], &FROM_TO, more].concat();
        let output = folder.rules(&arguments, &kymo.url());
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(want), "{want}: {}", text(&output));
    };
    check(&["--max-pages", "4"], 0, "Pages: 4");
    check(&["--max-pages", "3"], 1, "4 pages are more than --max-pages 3");
    check(&["--compare", "old.yml"], 0, "1 alerts only in old, 0 only in new, 2 moved, 0 the same");
    check(&["--step", "5m"], 0, "g/Busy");

    folder.file("bad.yml", "groups: [{name: g, rules: [{alert: A, expr: 'x ='}]}]");
    let output = folder.rules(&[&["backtest", "bad.yml"][..], &FROM_TO].concat(), &kymo.url());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("bad.yml:1:"), "{}", text(&output));
}

#[test]
fn the_api_takes_rules_as_text_and_says_what_is_wrong() {
    let kymo = loaded();
    let ask = |body: Value| {
        let body = body.to_string();
        let url = format!("{}/api/v1/rules/backtest", kymo.url());
        http::post(&url, &[("content-type", "application/json")], body.as_bytes()).expect("answered")
    };
    let range = |groups: &str| json!({"groups": groups, "from": START / 1_000, "to": START / 1_000 + 7_800});
    let answer = ask(range(&rule("1m"))).json();
    assert_eq!(
        (&answer["status"], &answer["data"]["alertCount"]),
        (&json!("success"), &json!(1)),
        "{answer}"
    );
    // Nobody is configured, so everybody counts.
    assert_eq!(answer["data"]["pages"]["receivers"][0]["receiver"], "nobody");
    let refused = |body: Value, want: &str| {
        let response = ask(body);
        assert_eq!(response.status, 400, "{}", response.text());
        assert!(response.text().contains(want), "{want}: {}", response.text());
    };
    refused(range("groups: [{name: g, rules: [{alert: A}]}]"), "field 'expr' must be set in rule");
    refused(json!({"groups": "groups: []", "from": 5, "to": 5}), "later than the start");
    refused(json!({"groups": "groups: []", "from": 5}), "missing field `to`");
    let mut with_routes = range(&rule("1m"));
    with_routes["alertmanager"] = json!("route: {receiver: x}");
    refused(with_routes, "alertmanager");
}

#[test]
fn a_backfill_writes_what_a_rule_would_have_written() {
    let (kymo, folder) = (loaded(), Folder::new());
    folder.file(
        "new.yml",
        "groups: [{name: g, rules: [{record: 'load:busy', expr: load > 90}, {alert: A, expr: x}, \
         {record: 'load:busy:count', expr: 'count(load:busy)'}]}]",
    );
    let samples = |metric: &str| {
        let at = [("time", "2024-01-01T11:59:00Z")];
        let query = format!("sum(count_over_time({metric}[12h]))");
        let answer = http::api(&kymo.url(), "/api/v1/query", &[("query", &query), at[0]]).expect("answered");
        answer["result"][0]["value"][1].as_str().unwrap_or("0").to_owned()
    };
    let arguments = [&["backfill", "new.yml"][..], &FROM_TO].concat();
    // The same again changes nothing.
    for _ in 0..2 {
        let output = folder.rules(&arguments, &kymo.url());
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("samples of 2 rules are written"), "{}", text(&output));
        assert_eq!(samples("load:busy"), "125");
        assert_eq!(samples("load:busy:count"), "125");
    }
    // Where a series ends there is nothing, not the last value for five minutes more.
    let at = |time: &str| {
        http::api(&kymo.url(), "/api/v1/query", &[("query", "load:busy"), ("time", time)]).expect("answered")
    };
    assert_eq!(at("2024-01-01T02:59:00Z")["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(at("2024-01-01T03:00:00Z")["result"].as_array().map(Vec::len), Some(0));
    let left: Vec<_> = std::fs::read_dir(folder.0.path()).expect("listed").collect();
    assert_eq!(left.len(), 1, "the state of a backfill that is done is gone");
}

#[test]
fn a_backfill_that_failed_can_be_run_again() {
    let (mut kymo, folder) = (loaded(), Folder::new());
    folder.file("new.yml", "groups: [{name: g, rules: [{record: r, expr: load}]}]");
    let arguments = [&["backfill", "new.yml", "--state", "state.json"][..], &FROM_TO].concat();
    let url = kymo.url();
    kymo.stop();
    let output = folder.rules(&arguments, &url);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("the same command goes on here"), "{}", text(&output));
    kymo.start_again();
    let output = folder.rules(&arguments, &kymo.url());
    assert!(output.status.success(), "{}", text(&output));
    assert!(!folder.0.path().join("state.json").exists());
}

/// What gzip makes of it.
fn unpacked(packed: &[u8]) -> Output {
    let mut gzip = Command::new("gzip");
    gzip.arg("-dcf").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut gzip = gzip.spawn().expect("gzip starts");
    gzip.stdin.take().expect("piped").write_all(packed).expect("taken");
    gzip.wait_with_output().expect("gzip ends")
}

/// What browsers and `curl --compressed` ask for, of answers that are sent piece by piece.
#[test]
fn answers_in_pieces_are_compressed_to_their_end() {
    let kymo = loaded();
    let gzip = ("Accept-Encoding", "gzip");
    let asked = json!({"groups": rule("5m"), "from": START / 1000, "to": START / 1000 + HOURS * 3600});
    let backtest = format!("{}/api/v1/rules/backtest?progress=1", kymo.url());
    let headers = [gzip, ("Content-Type", "application/json")];
    let report = http::post(&backtest, &headers, asked.to_string().as_bytes()).expect("answered");
    let query = format!("match[]=load&start={}&end={}", START / 1000, START / 1000 + HOURS * 3600);
    let export = format!("{}/api/v1/export?{}", kymo.url(), query.replace("[]", "%5B%5D"));
    let exported = http::send("GET", &export, &[gzip], b"").expect("answered");
    for (name, answer, holds) in [("report", report, "Busy"), ("export", exported, "\"load\"")] {
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let unpacked = unpacked(&answer.body);
        assert!(unpacked.status.success(), "{name} ends early: {}", text(&unpacked));
        assert!(text(&unpacked).contains(holds), "{name}: {}", text(&unpacked));
    }
}
