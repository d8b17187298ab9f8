//! A real Prometheus writes into Kymo and federates from it; both answer the same queries alike.

use std::collections::{BTreeMap, BTreeSet};

use kymo_tests::peer::Peer;
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};
use serde_json::Value;

/// Queries over what node_exporter and Prometheus expose. `@` and ranges are relative to the asked time.
const QUERIES: [&str; 62] = [
    "up",
    "node_load1",
    "node_memory_MemTotal_bytes",
    "node_cpu_seconds_total{mode=\"idle\"}",
    "rate(node_cpu_seconds_total[10s])",
    "irate(node_cpu_seconds_total[10s])",
    "increase(node_context_switches_total[10s])",
    "sum by (mode) (rate(node_cpu_seconds_total[10s]))",
    "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[10s])))",
    "sum without (cpu) (node_cpu_seconds_total)",
    "avg(node_load1)",
    "min by (job) (up)",
    "max by (job) (scrape_duration_seconds)",
    "count by (job) ({job=~\".+\"})",
    "count_values(\"value\", up)",
    "stddev(node_cpu_seconds_total)",
    "stdvar(node_cpu_seconds_total)",
    "quantile(0.9, node_cpu_seconds_total)",
    "topk(3, node_cpu_seconds_total)",
    "bottomk(3, node_cpu_seconds_total)",
    "group by (mode) (node_cpu_seconds_total)",
    "node_filesystem_avail_bytes / node_filesystem_size_bytes",
    "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "node_load1 > 0",
    "node_load1 >= bool 1000",
    "up == 1 and on (job) node_load1",
    "up unless on (job) node_load1",
    "up or node_load1",
    "node_load1 * on (instance) group_left (nodename) node_uname_info",
    "-node_load5 ^ 2 % 3",
    "node_load1 offset 3s",
    "rate(node_cpu_seconds_total{mode=\"user\"}[10s] offset 2s)",
    "avg_over_time(node_load1[10s])",
    "min_over_time(node_memory_MemFree_bytes[10s])",
    "max_over_time(node_memory_MemFree_bytes[10s])",
    "sum_over_time(up[10s])",
    "count_over_time(up[10s])",
    "last_over_time(node_load15[10s])",
    "present_over_time(up[10s])",
    "quantile_over_time(0.5, node_memory_MemFree_bytes[10s])",
    "stddev_over_time(node_memory_MemFree_bytes[10s])",
    "delta(node_memory_MemFree_bytes[10s])",
    "idelta(node_memory_MemFree_bytes[10s])",
    "deriv(node_memory_MemFree_bytes[10s])",
    "predict_linear(node_memory_MemFree_bytes[10s], 60)",
    "changes(node_memory_MemFree_bytes[10s])",
    "resets(node_context_switches_total[10s])",
    "max_over_time(sum by (mode) (rate(node_cpu_seconds_total[5s]))[10s:1s])",
    // Without `rate`: these counters are young, and 3.x and 2.42 extrapolate to their beginning differently.
    "histogram_quantile(0.9, sum by (le) (prometheus_http_request_duration_seconds_bucket))",
    "histogram_quantile(0.5, prometheus_http_request_duration_seconds_bucket)",
    "absent(no_such_metric{job=\"x\"})",
    "absent_over_time(up[10s])",
    "label_replace(up, \"host\", \"$1\", \"instance\", \"(.*):.*\")",
    "label_join(up, \"both\", \"-\", \"job\", \"instance\")",
    "sort_desc(node_cpu_seconds_total{cpu=\"0\"})",
    "round(node_load1, 0.1)",
    "clamp(node_load1, 0.1, 0.2)",
    "ceil(node_load1) + floor(node_load5) + sqrt(abs(node_load15))",
    "timestamp(node_load1)",
    "scalar(count(up)) + vector(1)",
    "{__name__=~\"node_network_.*_bytes_total\", device!~\"veth.*\"}",
    "hour(node_time_seconds) + day_of_week(node_time_seconds)",
];

/// Values differ by summation order at most: Prometheus 3 sums with compensation, Debian's 2.42 does not.
const TOLERANCE: f64 = 1e-9;

fn same_number(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
        _ => false,
    }
}

/// A result as a map from labels to its samples' times and values.
fn samples(result: &Value) -> BTreeMap<String, Vec<(String, String)>> {
    let pair = |sample: &Value| (sample[0].to_string(), sample[1].as_str().unwrap_or_default().to_owned());
    let Some(list) = result.as_array() else { return BTreeMap::new() };
    if list.first().is_some_and(Value::is_number) {
        return BTreeMap::from([(String::new(), vec![pair(result)])]);
    }
    list.iter()
        .map(|series| {
            let values = match series.get("values") {
                Some(values) => values.as_array().into_iter().flatten().map(pair).collect(),
                None => vec![pair(&series["value"])],
            };
            (series["metric"].to_string(), values)
        })
        .collect()
}

fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    let (ours, theirs) = (samples(ours), samples(theirs));
    if !ours.keys().eq(theirs.keys()) {
        return Some(format!("label sets {:?} instead of {:?}", ours.keys(), theirs.keys()));
    }
    for (labels, values) in &ours {
        let wanted = &theirs[labels];
        let same = values.len() == wanted.len()
            && values.iter().zip(wanted).all(|(a, b)| a.0 == b.0 && same_number(&a.1, &b.1));
        if !same {
            return Some(format!("{labels}: {values:?} instead of {wanted:?}"));
        }
    }
    None
}

fn prometheus_writing_to(kymo: &Kymo, exporter: &Peer) -> Peer {
    Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ['{}']}}]\n  - job_name: prometheus\n    static_configs: [{{targets: ['127.0.0.1:{{port}}']}}]\nremote_write:\n  - url: {}/api/v1/write\n    queue_config: {{batch_send_deadline: 200ms, max_shards: 1}}\n    metadata_config: {{send: true, send_interval: 1s}}\n",
        exporter.address(),
        kymo.url()
    ))
}

/// Milliseconds of the second at which anything was scraped lately.
fn scrape_phases(prometheus: &Peer) -> BTreeSet<i64> {
    let scrapes = http::instant(&prometheus.url(), "up[2m]").expect("answered");
    let samples = scrapes.as_array().into_iter().flatten().flat_map(|series| series["values"].as_array());
    let seconds = samples.flatten().filter_map(|sample| sample[0].as_f64());
    seconds.map(|at| ((at * 1e3).round() as i64).rem_euclid(1_000)).collect()
}

#[test]
fn what_prometheus_writes_is_answered_as_prometheus_answers() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let prometheus = prometheus_writing_to(&kymo, &exporter);
    // A time between two scrapes, when 15 have been made and all that stands before it has arrived.
    let newest = poll::until("15 scrapes in Prometheus", || {
        http::single_value(&prometheus.url(), "max(timestamp(count_over_time(node_load1[1m]) >= 15))")
    });
    let phases = scrape_phases(&prometheus);
    // Windows of 2.42 have their left end in them, those of 3.x do not: no scrape may lie on one.
    let newest_ms = (newest * 1e3).round() as i64;
    let at_ms =
        (newest_ms - 2_500..newest_ms - 1_500).rev().find(|at| !phases.contains(&at.rem_euclid(1_000)));
    let at = at_ms.expect("not every millisecond has a scrape") as f64 / 1e3;
    let queries = QUERIES.iter().copied().filter(|query| {
        // Steps of subqueries are on full seconds.
        !(query.contains(":1s]") && phases.contains(&0))
    });
    poll::until("all of it in Kymo", || {
        for job in ["node", "prometheus"] {
            let arrived = http::single_value(&kymo.url(), &format!("max(timestamp(up{{job=\"{job}\"}}))"))?;
            if arrived <= at + 0.5 {
                return Err(format!("{job}: {arrived}, waiting for {at}"));
            }
        }
        Ok(())
    });
    let mut differences = Vec::new();
    for query in queries {
        let (time, start) = (format!("{at:.3}"), format!("{:.3}", at - 8.0));
        let instant = [("query", query), ("time", &time)];
        let range = [("query", query), ("start", &start), ("end", &time), ("step", "1")];
        for (path, parameters) in [("/api/v1/query", &instant[..]), ("/api/v1/query_range", &range[..])] {
            let ours = http::api(&kymo.url(), path, parameters);
            let theirs = http::api(&prometheus.url(), path, parameters);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours["resultType"], theirs["resultType"], "{query}");
                    if let Some(difference) = difference(&ours["result"], &theirs["result"]) {
                        differences.push(format!("{path} {query}: {difference}"));
                    }
                }
                (ours, theirs) => differences.push(format!("{path} {query}: {ours:?} instead of {theirs:?}")),
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    poll::until("metadata, which is sent beside the samples", || {
        let metric = "prometheus_http_requests_total";
        let types = http::api(&kymo.url(), "/api/v1/metadata", &[("metric", metric)])?;
        if types[metric][0]["type"] == "counter" { Ok(()) } else { Err(types.to_string()) }
    });
}

#[test]
fn prometheus_federates_from_kymo() {
    let exporter = Peer::node_exporter();
    let kymo = Kymo::start_configured(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ['{}']}}]\n",
        exporter.address()
    ));
    kymo.wait_for_value("node_load1");
    let address = kymo.url().replace("http://", "");
    let prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: federate\n    honor_labels: true\n    metrics_path: /federate\n    params: {{'match[]': ['{{job=\"node\"}}']}}\n    static_configs: [{{targets: ['{address}']}}]\n",
    ));
    poll::until("a federated scrape", || {
        match http::single_value(&prometheus.url(), "up{job=\"federate\"}")? {
            up if up > 0.0 => Ok(()),
            _ => Err(http::api(&prometheus.url(), "/api/v1/targets", &[])?.to_string()),
        }
    });
    let count = "count({job=\"node\"})";
    poll::until("all series to be federated", || {
        let ours = http::single_value(&kymo.url(), count)?;
        let theirs = http::single_value(&prometheus.url(), count)?;
        if (ours - theirs).abs() < 0.5 { Ok(()) } else { Err(format!("{theirs} of {ours}")) }
    });
    let (query, tolerance) = ("node_memory_MemTotal_bytes{job=\"node\"}", 0.5);
    poll::until("the same value", || {
        let (ours, theirs) =
            (http::single_value(&kymo.url(), query)?, http::single_value(&prometheus.url(), query)?);
        if (ours - theirs).abs() < tolerance { Ok(()) } else { Err(format!("{theirs} instead of {ours}")) }
    });
}
