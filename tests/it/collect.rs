//! The snippets of `docs/user/collect.md` about pulling and about what goes from server to server, each as it stands there, against
//! what it collects from. And none is forgotten.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use kymo_tests::exporters::{Postgres, Redis};
use kymo_tests::peer::Peer;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{docs, http, paths, poll, push};

/// Snippets of jobs whose targets are exporters.
const PULL: [&str; 6] =
    ["pull-jobs", "pull-formats", "pull-histograms", "pull-names", "pull-limits", "pull-relabelling"];

/// What the other tests of this file run.
const OTHERS: [&str; 13] = [
    "pull-credentials",
    "pull-files",
    "pull-files-of-a-team",
    "pull-federation",
    "host-collector",
    "remote-write",
    "forward",
    "agent",
    "export",
    "federate",
    "import-file",
    "import-prometheus",
    "import-remote-read",
];

/// A snippet, with addresses replaced.
#[track_caller]
fn snippet(name: &str, replaced: &[(&str, &str)]) -> String {
    let mut text = docs::snippet("collect.md", name);
    for (there, here) in replaced {
        assert!(text.contains(there), "{name}: {there:?} is not in\n{text}");
        text = text.replace(there, here);
    }
    text
}

/// Runs a snippet of shell in a folder, with `kymo` to be found.
#[track_caller]
fn shell(name: &str, folder: &Path, kymo: &Kymo, replaced: &[(&str, &str)]) {
    let binary = paths::kymo_binary();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euc", &snippet(name, replaced)])
        .current_dir(folder)
        .env("KYMO", kymo.url())
        .env("NOW", (push::now_ms() / 1_000).to_string())
        .env("PATH", format!("{}:{path}", binary.parent().expect("in a folder").display()))
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {}: {said}", output.status);
}

/// A Kymo that scrapes a node_exporter each second as job `node`.
fn collecting(exporter: &Peer) -> Kymo {
    let kymo = Kymo::start_configured(&format!(
        "scrape_configs: [{{job_name: node, scrape_interval: 1s, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address()
    ));
    kymo.wait_for_value("node_load1{job=\"node\"} >= 0");
    kymo
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_snippet_about_pulling_scrapes_its_targets() {
    let (node, etcd, blackbox) = (Peer::node_exporter(), Peer::etcd(), Peer::blackbox_exporter());
    let (redis, postgres) = (Redis::start(), Postgres::start(&[]));
    let stand_in = [
        ("localhost:9100", node.address()),
        ("localhost:2379", etcd.address()),
        ("localhost:9115", blackbox.address()),
        ("localhost:9121", redis.exporter.address()),
        ("localhost:9187", postgres.exporter.address()),
    ];
    for snippet in PULL.map(|name| docs::snippet("collect.md", name)) {
        let config = stand_in.iter().fold(snippet.clone(), |text, (there, here)| text.replace(there, here));
        let kymo = Kymo::start_configured(&format!("# interval: for the test\n{config}"));
        let pools = http::api(&kymo.url(), "/api/v1/scrape_pools", &[]).expect("answered");
        let pools: Vec<&str> = pools["scrapePools"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|pool| pool.as_str())
            .collect();
        let jobs: Vec<&&str> = pools.iter().filter(|pool| **pool != "kymo").collect();
        assert!(!jobs.is_empty(), "{snippet}");
        for job in jobs {
            kymo.wait_for_value(&format!("min(up{{job=\"{job}\"}}) == 1"));
        }
    }
}

#[test]
fn targets_behind_tls_and_a_password_are_scraped() {
    let folder = tempfile::tempdir().expect("a folder");
    let testdata = paths::root().join("tests/testdata");
    // The hash is that of "secret".
    let config = format!(
        "tls_server_config: {{cert_file: '{0}/server.pem', key_file: '{0}/server.key'}}\nbasic_auth_users: {{kymo: '$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW'}}\n",
        testdata.display()
    );
    let path = folder.path().join("web.yml");
    write(&path, &config);
    let exporter = Peer::node_exporter_behind(&path);
    let address = exporter.address().replace("127.0.0.1", "localhost");
    let password = folder.path().join("password");
    write(&password, "secret\n");
    let kymo = Kymo::start_configured(&snippet(
        "pull-credentials",
        &[
            ("localhost:9100", &address),
            ("ca_file: ca.pem", &format!("ca_file: '{}/ca.pem'", testdata.display())),
            ("password_file: password", &format!("password_file: '{}'", password.display())),
        ],
    ));
    kymo.wait_for_value("up{job=\"node\"} == 1");
}

#[test]
fn jobs_may_stand_in_files_of_their_own() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured(&snippet("pull-files", &[]));
    let folder = kymo.folder().join("jobs");
    std::fs::create_dir(&folder).expect("a folder");
    let job = snippet("pull-files-of-a-team", &[("localhost:9100", &exporter.address())]);
    write(&folder.join("team-a.yml"), &job);
    let reloaded = http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    kymo.wait_for_value("up{job=\"node\"} == 1");
}

#[test]
fn what_another_server_has_comes_by_federation() {
    let exporter = Peer::node_exporter();
    let other = collecting(&exporter);
    let address = other.url().replace("http://", "");
    let kymo = Kymo::start_configured(&snippet("pull-federation", &[("prometheus.example:9090", &address)]));
    kymo.wait_for_value("node_load1{job=\"node\"} >= 0");
    let folder = tempfile::tempdir().expect("a folder");
    shell("federate", folder.path(), &other, &[]);
    let text = read(&folder.path().join("federated.prom"));
    assert!(text.contains("# TYPE node_load1 ") && text.contains("node_load1{"), "{text}");
}

#[test]
fn this_machine_is_watched_without_an_exporter() {
    let kymo = Kymo::start_configured(&snippet("host-collector", &[]));
    kymo.wait_for_value("node_load1{job=\"node\"} >= 0");
}

#[test]
fn prometheus_writes_what_it_collects() {
    let kymo = Kymo::start();
    let receiver = snippet("remote-write", &[("http://localhost:9090", &kymo.url())]);
    let _prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: prometheus\n    static_configs: [{{targets: ['127.0.0.1:{{port}}']}}]\n{receiver}"
    ));
    kymo.wait_for_value("prometheus_build_info{job=\"prometheus\"} == 1");
}

#[test]
fn a_server_and_an_agent_send_on() {
    let central = Kymo::start();
    let url = central.url();
    let replaced = [("http://central.example:9090", url.as_str())];
    let sender = Kymo::start_configured(&snippet("forward", &replaced));
    let body = br#"[{"metric": "debug_sent", "value": 1}, {"metric": "sent", "value": 2}]"#;
    let pushed = http::post(&format!("{}/api/v1/import/json", sender.url()), &[], body).expect("answered");
    assert_eq!(pushed.status, 204, "{}", pushed.text());
    assert_eq!(central.wait_for_value("sent{site=\"oslo\"}"), 2.0);
    assert_eq!(central.instant("debug_sent").as_array().map(Vec::len), Some(0));
    let _agent = Kymo::start_agent(&snippet("agent", &replaced));
    central.wait_for_value("node_load1{job=\"node\"} >= 0");
}

#[test]
fn series_are_taken_out() {
    let exporter = Peer::node_exporter();
    let kymo = collecting(&exporter);
    let folder = tempfile::tempdir().expect("a folder");
    shell("export", folder.path(), &kymo, &[]);
    let lines = read(&folder.path().join("node.jsonl"));
    assert!(lines.lines().any(|line| line.contains("\"__name__\":\"node_load1\"")), "{lines}");
    let table = read(&folder.path().join("load.csv"));
    assert!(table.lines().any(|line| line.starts_with("node,")), "{table}");
}

#[test]
fn series_are_brought_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let now_s = push::now_ms() / 1_000;
    write(
        &folder.join("history.om"),
        &format!("# TYPE visits counter\nvisits_total 7 {}\n# EOF\n", now_s - 60),
    );
    shell("import-file", folder, &kymo, &[]);
    assert_eq!(kymo.wait_for_value("visits_total"), 7.0);

    let exporter = Peer::node_exporter();
    let mut prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: node, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address()
    ));
    poll::until("scrapes in Prometheus", || {
        http::single_value(&prometheus.url(), "count_over_time(node_load1[1m]) >= 3")
    });
    let url = prometheus.url();
    shell("import-remote-read", folder, &kymo, &[("http://prometheus.example:9090", &url)]);
    kymo.wait_for_value("count_over_time(node_load1{job=\"node\"}[5m]) >= 2");
    prometheus.kill();
    let data = prometheus.folder().join("data").to_string_lossy().into_owned();
    let other = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    shell("import-prometheus", folder, &other, &[("/var/lib/prometheus/metrics2", &data)]);
    other.wait_for_value("count_over_time(node_load1{job=\"node\"}[5m]) >= 2");
}

#[test]
fn every_snippet_is_run() {
    let mut run: BTreeSet<&str> = PULL.into_iter().chain(OTHERS).collect();
    run.extend(super::pushes::SNIPPETS);
    run.extend(super::otlp::SNIPPETS);
    run.insert(super::client_crate::SNIPPET);
    for block in docs::blocks("collect.md") {
        let line = block.line;
        let name =
            block.name.unwrap_or_else(|| panic!("collect.md:{line}: a block without test=NAME is not run"));
        assert!(run.remove(&*name), "collect.md:{line}: nothing runs {name:?}, or it is there twice");
    }
    assert!(run.is_empty(), "collect.md has no blocks {run:?}");
}
