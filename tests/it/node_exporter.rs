//! A real node_exporter is scraped, and the built-in host collector is like it.

use std::collections::{BTreeMap, BTreeSet};

use kymo_tests::peer::Peer;
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};

fn config(exporter: &Peer) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs:\n      - targets: ['{}']\n        labels: {{zone: test}}\n",
        exporter.address()
    )
}

/// Series that a scrape adds of itself.
const OWN_SERIES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

#[test]
fn every_series_of_the_exporter_is_stored_with_its_value() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured(&config(&exporter));
    poll::until("a scrape", || match http::single_value(&kymo.url(), "up{job=\"node\",zone=\"test\"}")? {
        up if up > 0.0 => Ok(()),
        _ => Err("down".to_owned()),
    });
    let exposed = http::get(&format!("{}/metrics", exporter.url())).expect("answered").text();
    let exposed_names: BTreeSet<&str> = exposed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .filter(|name| !name.is_empty())
        .collect();
    let stored = http::api(&kymo.url(), "/api/v1/label/__name__/values", &[("match[]", "{job=\"node\"}")])
        .expect("answered");
    let stored: BTreeSet<&str> =
        stored.as_array().expect("a list").iter().filter_map(|name| name.as_str()).collect();
    let wanted: BTreeSet<&str> = exposed_names.iter().copied().chain(OWN_SERIES).collect();
    assert_eq!(stored, wanted);
    for stable in ["node_boot_time_seconds", "node_memory_MemTotal_bytes", "node_filefd_maximum"] {
        let line = exposed.lines().find(|line| line.starts_with(&format!("{stable} "))).expect("exposed");
        let want: f64 = line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number");
        let got = http::single_value(&kymo.url(), stable).expect("stored");
        assert!((got - want).abs() < f64::EPSILON, "{stable}: {got} instead of {want}");
    }
    let metadata = http::api(&kymo.url(), "/api/v1/metadata", &[("metric", "node_load1")]).expect("answered");
    assert_eq!(metadata["node_load1"][0]["type"], "gauge", "{metadata}");
    assert_eq!(metadata["node_load1"][0]["help"], "1m load average.", "{metadata}");
}

#[test]
fn when_the_exporter_is_gone_its_series_end_and_up_is_zero() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured(&config(&exporter));
    kymo.wait_for_value("node_load1");
    drop(exporter);
    poll::until("up to be 0", || match http::single_value(&kymo.url(), "up")? {
        up if up < 0.5 => Ok(()),
        _ => Err("still up".to_owned()),
    });
    let load = kymo.instant("node_load1");
    assert_eq!(
        load.as_array().map(Vec::len),
        Some(0),
        "a vanished series must not be looked back at: {load}"
    );
    // The samples of a scrape are there a moment before its outcome is.
    poll::until("the target to be down", || {
        let targets = http::api(&kymo.url(), "/api/v1/targets", &[("state", "active")])?;
        let target = &targets["activeTargets"][0];
        let error = target["lastError"].as_str().unwrap_or_default();
        if target["health"] == "down" && error.contains("refused") { Ok(()) } else { Err(target.to_string()) }
    });
}

/// Shown by newer versions of node_exporter than Debian's.
const NEWER: [&str; 6] = [
    "node_netstat_TcpExt_TCPOFOQueue",
    "node_netstat_TcpExt_TCPRcvQDrop",
    "node_softnet_backlog_len",
    "node_softnet_cpu_collision_total",
    "node_softnet_flow_limit_count_total",
    "node_softnet_received_rps_total",
];

/// What the built-in collector has beyond the default set of Debian's node_exporter.
fn is_extra(name: &str) -> bool {
    name.starts_with("node_processes_") || name.starts_with("node_scrape_collector_") || NEWER.contains(&name)
}

#[test]
fn the_built_in_collector_uses_names_and_labels_of_node_exporter() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured(&format!(
        "host_collector: {{enabled: true}}\n{}",
        config(&exporter).replace("job_name: node", "job_name: real")
    ));
    kymo.wait_for_value("node_load1{job=\"real\"}");
    kymo.wait_for_value("node_load1{job=\"node\"}");
    let shape = |job: &str| -> BTreeMap<String, BTreeSet<BTreeSet<String>>> {
        let series = http::api(
            &kymo.url(),
            "/api/v1/series",
            &[("match[]", &format!("{{job=\"{job}\",__name__=~\"node_.*\"}}"))],
        )
        .expect("answered");
        let mut shapes: BTreeMap<String, BTreeSet<BTreeSet<String>>> = BTreeMap::new();
        for labels in series.as_array().expect("a list") {
            let labels = labels.as_object().expect("labels");
            let name = labels["__name__"].as_str().expect("a name").to_owned();
            let own = ["__name__", "job", "instance", "zone"];
            let names = labels.keys().filter(|key| !own.contains(&key.as_str())).cloned().collect();
            shapes.entry(name).or_default().insert(names);
        }
        shapes
    };
    let (built_in, real) = (shape("node"), shape("real"));
    assert!(built_in.len() > 120, "only {} names", built_in.len());
    let mut strange = Vec::new();
    for (name, labels) in &built_in {
        match real.get(name) {
            _ if is_extra(name) => {}
            Some(wanted) if labels.is_subset(wanted) => {}
            other => strange.push(format!("{name}: {labels:?} instead of {other:?}")),
        }
    }
    assert!(strange.is_empty(), "not as node_exporter has it: {strange:#?}");
    for (query, tolerance) in [
        ("node_memory_MemTotal_bytes", 0.0),
        ("node_boot_time_seconds", 1.0),
        ("count(node_cpu_seconds_total)", 0.0),
    ] {
        let value = |job: &str| {
            let query = query
                .replace("_bytes", "_bytes{job=\"J\"}")
                .replace("boot_time_seconds", "boot_time_seconds{job=\"J\"}");
            let query = query.replace("cpu_seconds_total", "cpu_seconds_total{job=\"J\"}").replace('J', job);
            http::single_value(&kymo.url(), &query).expect("stored")
        };
        let (ours, theirs) = (value("node"), value("real"));
        assert!((ours - theirs).abs() <= tolerance, "{query}: {ours} instead of {theirs}");
    }
}
