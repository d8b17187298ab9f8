//! Prometheus' own command-line tool works against Kymo.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use kymo_tests::peer::Peer;
use kymo_tests::server::Kymo;
use kymo_tests::{http, paths, poll};

fn promtool(arguments: &[&str], input: Option<&str>) -> Output {
    let mut child = Command::new(paths::program("promtool"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.unwrap_or("").as_bytes()).expect("taken");
    drop(stdin);
    child.wait_with_output().expect("promtool ends")
}

#[track_caller]
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn promtool_queries_and_lints() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ['{}']}}]\n",
        exporter.address()
    ));
    kymo.wait_for_value("count_over_time(node_load1[1m]) > 3");
    let url = kymo.url();
    // A single scrape may fail on a slow machine.
    let until_said = |query: &str, want: &str| {
        poll::until(want, || {
            let said = said(&promtool(&["query", "instant", &url, query], None));
            if said.starts_with(want) { Ok(()) } else { Err(said) }
        });
    };
    until_said("up", &format!("up{{instance=\"{}\", job=\"node\"}} => 1 @[", exporter.address()));
    until_said("scalar(up) + 1", "scalar: 2 @[");
    let range = said(&promtool(&["query", "range", "--step=1s", &url, "up"], None));
    assert!(range.lines().filter(|line| line.starts_with("1 @[")).count() >= 3, "{range}");
    let series = said(&promtool(&["query", "series", "--match=node_uname_info", &url], None));
    assert!(series.contains("nodename=") && series.contains("__name__=\"node_uname_info\""), "{series}");
    let labels = said(&promtool(&["query", "labels", &url, "job"], None));
    assert_eq!(labels.trim(), "node");
    let wrong = promtool(&["query", "instant", &url, "sum(up"], None);
    assert!(!wrong.status.success());
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(message.contains("parse error: unclosed left parenthesis"), "{message}");

    let metrics = http::get(&format!("{url}/metrics")).expect("answered").text();
    let lint = promtool(&["check", "metrics"], Some(&metrics));
    let complaints = String::from_utf8_lossy(&lint.stderr).into_owned();
    assert!(lint.status.success(), "{complaints}");
    assert!(complaints.trim().is_empty(), "{complaints}");
    let federated = http::get_with(&url, "/federate", &[("match[]", "{job=\"node\"}")]).expect("answered");
    let broken = promtool(&["check", "metrics"], Some(&federated.text()));
    let complaints = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(!complaints.contains("error while linting"), "federation is well-formed: {complaints}");
}
