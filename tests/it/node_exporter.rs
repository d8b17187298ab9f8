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
    // The machine may change between what the exporter shows here and what it showed to the scrape.
    let exposed = poll::until("all names of the exporter", || {
        let exposed = http::get(&format!("{}/metrics", exporter.url()))?.text();
        let lines = exposed.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split(['{', ' ']).next()).filter(|name| !name.is_empty());
        let wanted: BTreeSet<&str> = names.chain(OWN_SERIES).collect();
        let found = http::instant(&kymo.url(), "group by (__name__) ({job=\"node\",zone=\"test\"})")?;
        let found = found.as_array().ok_or("no vector")?;
        let stored: BTreeSet<&str> =
            found.iter().filter_map(|series| series["metric"]["__name__"].as_str()).collect();
        let differences: Vec<_> = stored.symmetric_difference(&wanted).collect();
        if differences.is_empty() { Ok(()) } else { Err(format!("{differences:?}")) }?;
        Ok(exposed)
    });
    for stable in ["node_boot_time_seconds", "node_memory_MemTotal_bytes", "node_filefd_maximum"] {
        let line = exposed.lines().find(|line| line.starts_with(&format!("{stable} "))).expect("exposed");
        let want: f64 = line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number");
        kymo.wait_until(stable, want);
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
    // In the same answer as the 0: a vanished series must not be looked back at.
    assert_eq!(load.as_array().map(Vec::len), Some(0), "{load}");
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
    // What the machine has, as devices and mounts, may change between two scrapes.
    poll::until("only what node_exporter has, too", || {
        let (built_in, real) = (shape("node"), shape("real"));
        let is_strange = |name: &str, labels: &BTreeSet<BTreeSet<String>>| {
            !is_extra(name) && !real.get(name).is_some_and(|wanted| labels.is_subset(wanted))
        };
        let strange: Vec<String> = built_in
            .iter()
            .filter(|(name, labels)| is_strange(name, labels))
            .map(|(name, labels)| format!("{name}: {labels:?} instead of {:?}", real.get(name)))
            .collect();
        if strange.is_empty() && built_in.len() > 120 {
            Ok(())
        } else {
            Err(format!("{strange:#?} of {}", built_in.len()))
        }
    });
    for (query, tolerance) in [
        ("node_memory_MemTotal_bytes{job=\"JOB\"}", 0.0),
        ("node_boot_time_seconds{job=\"JOB\"}", 1.0),
        ("count(node_cpu_seconds_total{job=\"JOB\"})", 0.0),
    ] {
        poll::until(&format!("the same {query}"), || {
            let value = |job: &str| http::single_value(&kymo.url(), &query.replace("JOB", job));
            let (ours, theirs) = (value("node")?, value("real")?);
            if (ours - theirs).abs() <= tolerance {
                Ok(())
            } else {
                Err(format!("{ours} instead of {theirs}"))
            }
        });
    }
}
