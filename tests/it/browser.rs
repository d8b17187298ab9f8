//! Each page in a real browser: the specifications of `web/e2e` against the real binary.

use std::path::Path;
use std::process::Command;

use kymo_tests::paths;
use kymo_tests::peer::Peer;
use kymo_tests::ports::free_port;
use kymo_tests::server::{Kymo, write};

#[test]
fn every_page_works_in_a_real_browser() {
    let exporter = Peer::node_exporter();
    let folder = tempfile::tempdir().expect("temporary directory");
    let rules = folder.path().join("rules.yml");
    write(&rules, RULES);
    let routes = folder.path().join("alertmanager.yml");
    write(&routes, ROUTES);
    let kymo = Kymo::start_configured(&configuration(free_port(), &exporter.address(), &rules, &routes));
    // Enough that a graph of five minutes shows a line and not a dot.
    for job in ["node", "exporter"] {
        kymo.wait_for_value(&format!("count_over_time(node_load1{{job=\"{job}\"}}[1m]) >= 20"));
    }
    let output = Command::new("npm")
        .args(["run", "--silent", "e2e"])
        .current_dir(paths::root().join("web"))
        .env("KYMO_URL", kymo.url())
        .env("CI", "true")
        .output()
        .expect("npm starts");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    #[expect(clippy::print_stdout, reason = "the browser's report belongs into the output of the tests")]
    {
        println!("{said}");
    }
    assert!(output.status.success(), "the browser tests failed:\n{said}");
    assert!(said.contains("passed"), "no browser test ran:\n{said}");
}

/// What the specifications want to see: targets that are up, down, dropped and invalid, and pools without any. `{port}`
/// is the server's own.
fn configuration(statsd_port: u16, exporter: &str, rules: &Path, routes: &Path) -> String {
    let (rules, routes) = (rules.display(), routes.display());
    format!(
        "
push: {{statsd: {{listen_tcp: '127.0.0.1:{statsd_port}', flush_interval: 1s}}}}
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{rules}']
alertmanager: {{config_file: '{routes}'}}
host_collector: {{enabled: true}}
scrape_configs:
  - job_name: kymo
    static_configs: [{{targets: ['127.0.0.1:{{port}}']}}]
  - job_name: exporter
    static_configs: [{{targets: ['{exporter}', 'left-out:1', 'nameless:1']}}]
    relabel_configs:
      - {{source_labels: [__address__], regex: 'left-out:1', action: drop}}
      - {{source_labels: [__address__], regex: 'nameless:1', target_label: __address__, replacement: ''}}
      - {{target_label: zone, replacement: test}}
  - job_name: broken
    static_configs: [{{targets: ['127.0.0.1:1']}}]
  - job_name: all-left-out
    static_configs: [{{targets: ['unwanted:1', 'unwanted:2']}}]
    relabel_configs: [{{action: drop}}]
  - job_name: found-nothing
    file_sd_configs: [{{files: ['no-such-*.json']}}]
"
    )
}

/// Where alerts go: one route takes some of them, and nobody is told.
const ROUTES: &str = "
route:
  receiver: everybody
  group_by: [alertname]
  group_wait: 0s
  routes:
  - matchers: ['team=\"infra\"']
    receiver: infra
    group_by: ['...']
    mute_time_intervals: [never]
    routes:
    - matchers: ['severity=~\"critical|page\"']
      receiver: pager
      repeat_interval: 1h
receivers: [{name: everybody}, {name: infra}, {name: pager}]
time_intervals: [{name: never, time_intervals: [{years: ['1999']}]}]
";

/// Rules that fire, wait, fail, and are quiet.
const RULES: &str = r#"
groups:
  - name: e2e
    rules:
      - alert: TargetDown
        expr: up{job="broken"} == 0
        labels: {severity: critical, team: infra}
        annotations:
          summary: '{{ $labels.instance }} of {{ $labels.job }} is down'
          runbook_url: https://runbooks.invalid/target-down
      - alert: SlowToFire
        expr: up{job="kymo"} == 1
        for: 30d
        labels: {severity: warning}
      - alert: NeverFires
        expr: up > 1
        labels: {severity: warning}
      - record: job:up:sum
        expr: sum by (job) (up)
  - name: e2e-torn
    rules:
      - record: torn:many
        expr: up * on () up
"#;
