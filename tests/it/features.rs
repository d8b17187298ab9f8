//! Prometheus' features: switched on by the file or by the flag, seen in what is stored.

use std::io::{Read, Write};

use kymo_tests::http;
use kymo_tests::server::Kymo;
use serde_json::Value;

/// Answers every request with this text; its address.
fn exporter(content_type: &'static str, body: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let mut request = [0; 4096];
            if connection.read(&mut request).is_err() || connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    address
}

const EXPOSED: &str = "# TYPE requests counter\nrequests_total 5\n# TYPE size_bytes gauge\n# UNIT size_bytes bytes\n\
    size_bytes 7\n# EOF\n";

/// Type and unit of the series that a query yields.
fn labels(kymo: &Kymo, query: &str) -> Vec<[Value; 2]> {
    let found = kymo.instant(query);
    let found = found.as_array().expect("a vector");
    found.iter().map(|one| ["__type__", "__unit__"].map(|name| one["metric"][name].clone())).collect()
}

#[test]
fn type_and_unit_become_labels_where_the_file_asks_for_them() {
    let address = exporter("application/openmetrics-text; version=1.0.0; charset=utf-8", EXPOSED);
    let plain = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: e\n    static_configs: [{{targets: ['{address}']}}]\n"
    );
    let kymo = Kymo::start_configured(&plain);
    kymo.wait_for_value("requests_total");
    assert_eq!(labels(&kymo, "requests_total"), [[Value::Null, Value::Null]], "it is off");

    kymo.write_config(&format!("promql: {{enable_features: [type-and-unit-labels]}}\n{plain}"));
    let response = http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    assert_eq!(response.status, 200, "{}", response.text());
    kymo.wait_for_value("requests_total{__type__=\"counter\"}");
    kymo.wait_for_value("size_bytes{__type__=\"gauge\",__unit__=\"bytes\"}");
    assert_eq!(
        labels(&kymo, "requests_total"),
        [["counter".into(), Value::Null]],
        "the old series has ended"
    );
    assert_eq!(labels(&kymo, "up"), [[Value::Null, Value::Null]]);
    let features = http::api(&kymo.url(), "/api/v1/features", &[]).expect("answered");
    assert_eq!(features["scrape"]["type_and_unit_labels"], true, "{features}");
    // As the name: gone where a function makes something else of the metric.
    assert_eq!(labels(&kymo, "size_bytes * 2"), [[Value::Null, Value::Null]]);
}

#[test]
fn the_flag_does_the_same_and_an_unknown_feature_is_only_warned_of() {
    let mut kymo = Kymo::start_with(&["--enable-feature", "type-and-unit-labels,no-such-feature,old-ui"]);
    kymo.wait_for_value("process_resident_memory_bytes{job=\"kymo\",__type__=\"gauge\"}");
    kymo.wait_for_value("node_boot_time_seconds{__type__=\"gauge\"}");
    let log = kymo.process().log();
    for said in ["unknown feature \"no-such-feature\"", "feature \"old-ui\" does nothing here"] {
        assert!(log.contains(said), "{said:?} is missing in {log}");
    }
    assert!(!log.contains("type-and-unit-labels\""), "{log}");
}
