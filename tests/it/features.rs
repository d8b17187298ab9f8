//! Prometheus' features: switched on by the file or by the flag, seen in what is stored.

use kymo_tests::exporter::Exporter;
use kymo_tests::http;
use kymo_tests::server::Kymo;
use serde_json::Value;

const EXPOSED: &str = "# TYPE requests counter\nrequests_total 5\n# TYPE size_bytes gauge\n# UNIT size_bytes bytes\n\
    size_bytes 7\n# EOF\n";

/// Waits until a query yields one series, with this type and unit: where a scrape fails, on a slow machine, its series end until the next.
#[track_caller]
fn until_labels(kymo: &Kymo, query: &str, want: [Value; 2]) {
    kymo.wait_for_result(query, &format!("one series with {want:?}"), |found| {
        let found = found.as_array().map_or(&[][..], Vec::as_slice);
        let labels = |one: &Value| ["__type__", "__unit__"].map(|name| one["metric"][name].clone());
        found.iter().map(labels).eq([want.clone()])
    });
}

#[test]
fn type_and_unit_become_labels_where_the_file_asks_for_them() {
    let exporter = Exporter::start("application/openmetrics-text; version=1.0.0; charset=utf-8", EXPOSED);
    let plain = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: e\n    static_configs: [{{targets: ['{}']}}]\n",
        exporter.address()
    );
    let kymo = Kymo::start_configured(&plain);
    // It is off.
    until_labels(&kymo, "requests_total", [Value::Null, Value::Null]);

    kymo.write_config(&format!("promql: {{enable_features: [type-and-unit-labels]}}\n{plain}"));
    let response = http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    assert_eq!(response.status, 200, "{}", response.text());
    // The series without them have ended.
    until_labels(&kymo, "requests_total", ["counter".into(), Value::Null]);
    until_labels(&kymo, "size_bytes", ["gauge".into(), "bytes".into()]);
    until_labels(&kymo, "up", [Value::Null, Value::Null]);
    let features = http::api(&kymo.url(), "/api/v1/features", &[]).expect("answered");
    assert_eq!(features["scrape"]["type_and_unit_labels"], true, "{features}");
    // As the name: gone where a function makes something else of the metric.
    until_labels(&kymo, "size_bytes * 2", [Value::Null, Value::Null]);
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
