//! The same request in both encodings, what it becomes, and requests that are wrong.

use std::fmt::Display;

use model::labels::LabelsBuilder;
use model::{Exemplar, FloatHistogram, Metadata, MetricType};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::convert::{Converter, Promote, Settings, Sink};
use super::delta::Accumulators;
use super::naming::{Naming, Strategy as Translation};
use super::*;
use crate::protobuf::{Writer, zigzag_encode};

const T: i64 = 1_760_000_000_000;

/// What a request became.
struct Seen {
    series: Vec<String>,
    floats: Vec<(String, i64, u64, i64)>,
    histograms: Vec<(String, i64, FloatHistogram, i64)>,
    exemplars: Vec<(String, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
    rejected: Vec<String>,
    deltas: Accumulators,
}

impl Seen {
    fn new() -> Self {
        Self {
            series: Vec::new(),
            floats: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
            rejected: Vec::new(),
            deltas: Accumulators::new(1 << 20),
        }
    }

    fn last(&self) -> String {
        self.series.last().expect("a series began").clone()
    }

    /// Float samples as `labels value @ milliseconds since T`.
    fn lines(&self) -> Vec<String> {
        let line = |(labels, at_ms, bits, start_ms): &(String, i64, u64, i64)| {
            let value = f64::from_bits(*bits);
            let value = if model::is_stale(value) { "stale".to_owned() } else { value.to_string() };
            let start = if *start_ms == 0 { String::new() } else { format!(" since {}", start_ms - T) };
            format!("{labels} {value} @ {}{start}", at_ms - T)
        };
        self.floats.iter().map(line).collect()
    }
}

impl Sink for Seen {
    fn has_room(&mut self) -> bool {
        true
    }
    fn begin_point(&mut self, _: bool) {}
    fn series(&mut self, labels: &LabelsBuilder) {
        self.series.push(labels.build().to_string());
    }
    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.floats.push((self.last(), timestamp_ms, value.to_bits(), start_ms));
    }
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64) {
        assert_eq!(histogram.validate(), Ok(()));
        self.histograms.push((self.last(), timestamp_ms, histogram, start_ms));
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        self.exemplars.push((self.last(), exemplar));
    }
    fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.metadata.push((family.to_owned(), metadata));
    }
    fn reject(&mut self, metric: &str, reason: &dyn Display) {
        self.rejected.push(format!("{metric}: {reason}"));
    }
    fn deltas(&mut self) -> (&mut Accumulators, i64) {
        (&mut self.deltas, T)
    }
    fn stream_key(&mut self, packed: &str) -> u128 {
        xxhash_rust::xxh3::xxh3_128(packed.as_bytes())
    }
}

fn convert(settings: &Settings, requests: &[Value]) -> Seen {
    let mut seen = Seen::new();
    for request in requests {
        let text = request.to_string();
        json::decode(text.as_bytes(), &mut Converter::new(settings, &mut seen)).expect("sound");
    }
    seen
}

fn ns(ms: i64) -> String {
    format!("{}000000", T + ms)
}

/// A request of one resource without attributes and one metric.
fn of_metric(metric: &Value) -> Value {
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
}

fn of_sum(temporality: u32, monotonic: bool, points: &Value) -> Value {
    of_metric(&json!({"name": "jobs", "sum": {
        "aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": points}}))
}

#[track_caller]
fn check(settings: &Settings, request: &Value, want: &[&str]) -> Seen {
    let seen = convert(settings, std::slice::from_ref(request));
    assert_eq!(seen.lines(), want);
    assert_eq!(seen.rejected, [""; 0]);
    seen
}

/// The example of the specification's repository (`examples/metrics.json`), shortened in nothing but words.
fn example() -> Value {
    json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
        "scopeMetrics": [{
            "scope": {"name": "my.library", "version": "1.0.0",
                      "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}]},
            "metrics": [
                {"name": "my.counter", "unit": "1", "description": "I am a Counter", "sum": {
                    "aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [
                        {"asDouble": 5, "startTimeUnixNano": ns(-10_000), "timeUnixNano": ns(0),
                         "attributes": [{"key": "my.counter.attr", "value": {"stringValue": "some value"}}]}]}},
                {"name": "my.gauge", "unit": "1", "description": "I am a Gauge", "gauge": {"dataPoints": [
                    {"asDouble": 10, "timeUnixNano": ns(0),
                     "attributes": [{"key": "my.gauge.attr", "value": {"stringValue": "some value"}}]}]}},
                {"name": "my.histogram", "unit": "1", "description": "I am a Histogram", "histogram": {
                    "aggregationTemporality": 1, "dataPoints": [
                        {"startTimeUnixNano": ns(-10_000), "timeUnixNano": ns(0), "count": "2", "sum": 2,
                         "bucketCounts": [1, 1], "explicitBounds": [1], "min": 0, "max": 2}]}},
                {"name": "my.exponential.histogram", "unit": "1", "exponentialHistogram": {
                    "aggregationTemporality": 1, "dataPoints": [
                        {"startTimeUnixNano": ns(-10_000), "timeUnixNano": ns(0), "count": "3", "sum": 10, "scale": 0,
                         "zeroCount": 1, "positive": {"offset": 1, "bucketCounts": ["0", "2"]},
                         "min": 0, "max": 5, "zeroThreshold": 0}]}},
            ],
        }],
    }]})
}

#[test]
fn the_example_of_the_specification_becomes_series() {
    let seen = check(
        &Settings::default(),
        &example(),
        &[
            r#"{__name__="my_counter_total", job="my.service", my_counter_attr="some value"} 0 @ -9999 since -10000"#,
            r#"{__name__="my_counter_total", job="my.service", my_counter_attr="some value"} 5 @ 0 since -10000"#,
            r#"{__name__="my_gauge_ratio", job="my.service", my_gauge_attr="some value"} 10 @ 0"#,
            r#"{__name__="my_histogram_sum", job="my.service"} 0 @ -9999 since -10000"#,
            r#"{__name__="my_histogram_sum", job="my.service"} 2 @ 0 since -10000"#,
            r#"{__name__="my_histogram_count", job="my.service"} 0 @ -9999 since -10000"#,
            r#"{__name__="my_histogram_count", job="my.service"} 2 @ 0 since -10000"#,
            r#"{__name__="my_histogram_bucket", job="my.service", le="1"} 0 @ -9999 since -10000"#,
            r#"{__name__="my_histogram_bucket", job="my.service", le="1"} 1 @ 0 since -10000"#,
            r#"{__name__="my_histogram_bucket", job="my.service", le="+Inf"} 0 @ -9999 since -10000"#,
            r#"{__name__="my_histogram_bucket", job="my.service", le="+Inf"} 2 @ 0 since -10000"#,
        ],
    );
    let [(_, -9_999, zero, _), (labels, 0, histogram, -10_000)] = &seen
        .histograms
        .iter()
        .map(|(labels, at_ms, histogram, start_ms)| {
            (labels.clone(), at_ms - T, histogram.clone(), start_ms - T)
        })
        .collect::<Vec<_>>()[..]
    else {
        panic!("a zero and a value: {:?}", seen.histograms)
    };
    assert_eq!(labels, r#"{__name__="my_exponential_histogram", job="my.service"}"#);
    assert_eq!((zero.count, histogram.count, histogram.sum, histogram.zero_count), (0.0, 3.0, 10.0, 1.0));
    // OpenTelemetry's bucket 2 is (4, 8], Prometheus' bucket 3 ends at 8.
    assert_eq!(histogram.positive_spans, [model::BucketSpan { offset: 3, length: 1 }]);
    assert_eq!((histogram.positive_buckets.as_slice(), histogram.schema), (&[2.0][..], 0));
    assert_eq!(seen.metadata[0].0, "my_counter_total");
    assert_eq!(seen.metadata[0].1.help, "I am a Counter");
    let types: Vec<MetricType> = seen.metadata.iter().map(|(_, metadata)| metadata.metric_type).collect();
    use MetricType::{Counter, Gauge, Histogram};
    assert_eq!(types, [Counter, Gauge, Histogram, Histogram]);
}

#[test]
fn the_four_strategies_name_as_they_say() {
    let request = |unit: &str| {
        of_metric(&json!({"name": "http.server.size", "unit": unit, "sum": {
            "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
                {"timeUnixNano": ns(0), "asInt": "7", "attributes": [{"key": "http.route", "value": {"stringValue": "/a"}}]}]}}))
    };
    for ((_, strategy), want) in Translation::ALL.into_iter().zip([
        r#"{__name__="http_server_size_bytes_total", http_route="/a"} 7 @ 0"#,
        r#"{__name__="http_server_size", http_route="/a"} 7 @ 0"#,
        r#"{__name__="http.server.size_bytes_total", "http.route"="/a"} 7 @ 0"#,
        r#"{__name__="http.server.size", "http.route"="/a"} 7 @ 0"#,
    ]) {
        let naming = Naming { strategy, ..Naming::default() };
        check(&Settings { naming, ..Settings::default() }, &request("By"), &[want]);
    }
    let settings = Settings { type_and_unit_labels: true, ..Settings::default() };
    check(
        &settings,
        &request("By"),
        &[
            r#"{__name__="http_server_size_bytes_total", __type__="counter", __unit__="bytes", http_route="/a"} 7 @ 0"#,
        ],
    );
}

fn of_resource(points: &[Value]) -> Value {
    let metrics: Vec<Value> =
        points.iter().map(|point| json!({"name": "m", "gauge": {"dataPoints": [point]}})).collect();
    json!({"resourceMetrics": [{
        "resource": {"attributes": [
            {"key": "service.namespace", "value": {"stringValue": "ns"}},
            {"key": "service.name", "value": {"stringValue": "svc"}},
            {"key": "service.instance.id", "value": {"stringValue": "i"}},
            {"key": "host.name", "value": {"stringValue": "h"}},
            {"key": "cpu.count", "value": {"intValue": "8"}},
        ]},
        "scopeMetrics": [{"scope": {"name": "lib", "version": "2", "attributes": [{"key": "x.y", "value": {"boolValue": true}}]},
                          "schemaUrl": "http://s", "metrics": metrics}],
    }]})
}

#[test]
fn resources_and_scopes_are_told_as_settings_say() {
    let point = json!({"timeUnixNano": ns(0), "asDouble": 1,
        "attributes": [{"key": "host.name", "value": {"stringValue": "own"}}, {"key": "job", "value": {"stringValue": "x"}}]});
    let request = of_resource(&[point]);
    let target =
        r#"{__name__="target_info", cpu_count="8", host_name="h", instance="i", job="ns/svc"} 1 @ 0"#;
    let own = r#"host_name="own", instance="i", job="ns/svc""#;
    let m = |labels: &str| format!("{{__name__=\"m\", {labels}}} 1 @ 0");
    check(&Settings::default(), &request, &[&m(own), target]);
    let promote = Promote::Only(vec!["cpu.count".to_owned(), "host.name".to_owned()]);
    let promoted = m(&format!("cpu_count=\"8\", {own}"));
    check(&Settings { promote, ..Settings::default() }, &request, &[&promoted, target]);
    let promote = Promote::AllBut(vec!["cpu.count".to_owned()]);
    let all_but =
        m(&format!("{own}, service_instance_id=\"i\", service_name=\"svc\", service_namespace=\"ns\""));
    check(&Settings { promote, ..Settings::default() }, &request, &[&all_but, target]);
    let scoped = format!(
        r#"{own}, otel_scope_name="lib", otel_scope_schema_url="http://s", otel_scope_version="2", otel_scope_x_y="true""#
    );
    check(
        &Settings { promote_scope_metadata: true, ..Settings::default() },
        &request,
        &[&m(&scoped), target],
    );
    let kept = r#"{__name__="target_info", cpu_count="8", host_name="h", instance="i", job="ns/svc", service_instance_id="i", service_name="svc", service_namespace="ns"} 1 @ 0"#;
    check(
        &Settings { keep_identifying_resource_attributes: true, ..Settings::default() },
        &request,
        &[&m(own), kept],
    );
}

#[test]
fn target_info_covers_the_time_of_all_points() {
    let at = |ms: i64| json!({"timeUnixNano": ns(ms), "asDouble": 1});
    let seen = convert(&Settings::default(), &[of_resource(&[at(400_000), at(0), at(10)])]);
    let times: Vec<i64> = seen
        .floats
        .iter()
        .filter(|(labels, ..)| labels.contains("target_info"))
        .map(|(_, at_ms, ..)| at_ms - T)
        .collect();
    assert_eq!(times, [0, 150_000, 300_000, 400_000]);
    let seen =
        convert(&Settings::default(), &[of_resource(&[json!({"timeUnixNano": "0", "asDouble": 1}), at(0)])]);
    assert!(seen.floats.len() < 1_100, "a point of 1970 does not make millions");
    let nameless = json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "h"}}]},
        "scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [at(0)]}}]}]}]});
    check(&Settings::default(), &nameless, &[r#"{__name__="m"} 1 @ 0"#]);
}

#[test]
fn attributes_that_become_the_same_label_are_joined() {
    let request = of_metric(
        &json!({"name": "m", "gauge": {"dataPoints": [{"timeUnixNano": ns(0), "asInt": -3, "attributes": [
        {"key": "a_b", "value": {"stringValue": "3"}}, {"key": "a.b", "value": {"stringValue": "1"}},
        {"key": "a-b", "value": {"doubleValue": 0.5}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "x"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"bytesValue": "aGkh"}}]}}},
        {"key": "none", "value": {}}]}]}}),
    );
    check(
        &Settings::default(),
        &request,
        &[r#"{__name__="m", a_b="0.5;1;3", list="[1,\"x\"]", map="{\"k\":\"aGkh\"}"} -3 @ 0"#],
    );
}

#[test]
fn sums_are_counters_or_gauges_and_say_since_when() {
    let point = |start: i64, end: i64, value: i64| json!([{"startTimeUnixNano": ns(start), "timeUnixNano": ns(end), "asInt": value.to_string()}]);
    let settings = Settings::default();
    check(&settings, &of_sum(2, true, &point(-50, 0, 4)), &[r#"{__name__="jobs_total"} 4 @ 0 since -50"#]);
    check(&settings, &of_sum(2, false, &point(-50, 0, -4)), &[r#"{__name__="jobs"} -4 @ 0 since -50"#]);
    check(&settings, &of_sum(2, true, &point(50, 0, 4)), &[r#"{__name__="jobs_total"} 4 @ 0"#]);
    // Deltas of what goes up and down have a total, too, but none that could be zero before.
    check(&settings, &of_sum(1, false, &point(-50, 0, -4)), &[r#"{__name__="jobs"} -4 @ 0 since -50"#]);
    let native = Settings { native_delta_ingestion: true, ..settings };
    let seen =
        check(&native, &of_sum(1, true, &point(-50, 0, 4)), &[r#"{__name__="jobs_total"} 4 @ 0 since -50"#]);
    assert_eq!(seen.metadata[0].1.metric_type, MetricType::Unknown);
    let nothing = json!([{"startTimeUnixNano": ns(-50), "timeUnixNano": ns(0), "flags": 1}]);
    check(
        &Settings::default(),
        &of_sum(1, true, &nothing),
        &[r#"{__name__="jobs_total"} stale @ 0 since -50"#],
    );
}

#[test]
fn deltas_of_histograms_add_up() {
    let explicit = |start: i64, end: i64, counts: [u64; 2]| {
        of_metric(&json!({"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [{
            "startTimeUnixNano": ns(start), "timeUnixNano": ns(end), "count": counts[0] + counts[1], "sum": 2.5,
            "explicitBounds": [1], "bucketCounts": counts}]}}))
    };
    let requests = [explicit(-20, -10, [1, 2]), explicit(-10, 0, [4, 0])];
    let seen = convert(&Settings::default(), &requests);
    let last = |suffix: &str| {
        let found = seen.lines().into_iter().rfind(|line| line.contains(suffix)).expect("a sample");
        found.rsplit("} ").next().expect("a value").to_owned()
    };
    assert_eq!(last("h_bucket\", le=\"1\""), "5 @ 0 since -20");
    assert_eq!(
        (last("h_count"), last("h_sum")),
        ("7 @ 0 since -20".to_owned(), "5 @ 0 since -20".to_owned())
    );
    let nhcb = Settings { convert_histograms_to_nhcb: true, ..Settings::default() };
    let seen = convert(&nhcb, &requests);
    assert!(seen.floats.is_empty() && seen.rejected.is_empty());
    let (labels, _, total, start_ms) = seen.histograms.last().expect("a total");
    assert_eq!((labels.as_str(), total.count, total.sum, *start_ms), (r#"{__name__="h"}"#, 7.0, 5.0, T - 20));
    assert_eq!(
        (total.positive_buckets.as_slice(), total.custom_values.as_slice()),
        (&[5.0, 2.0][..], &[1.0][..])
    );
    let exponential = |start: i64, end: i64, scale: i32, offset: i32| {
        of_metric(&json!({"name": "e", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [{
            "startTimeUnixNano": ns(start), "timeUnixNano": ns(end), "count": 2, "sum": 3, "scale": scale,
            "positive": {"offset": offset, "bucketCounts": [1, 1]}}]}}))
    };
    let seen = convert(&Settings::default(), &[exponential(-20, -10, 1, 2), exponential(-10, 0, 0, 2)]);
    let (_, _, total, _) = seen.histograms.last().expect("a total");
    // At scale 0: 1 + 1 observations of the first in bucket 1, one each of the second in 2 and 3.
    assert_eq!((total.schema, total.count), (0, 4.0));
    assert_eq!(total.positive_spans, [model::BucketSpan { offset: 2, length: 3 }]);
    assert_eq!(total.positive_buckets, [2.0, 1.0, 1.0]);
}

#[test]
fn exponential_buckets_are_found_where_prometheus_looks() {
    let of = |more: &Value| {
        let mut point = json!({"timeUnixNano": ns(0), "count": 6, "sum": 1.5});
        point.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let request = of_metric(&json!({"name": "e", "exponentialHistogram": {
            "aggregationTemporality": 2, "dataPoints": [point]}}));
        let mut seen = convert(&Settings::default(), &[request]);
        (seen.histograms.pop().map(|found| found.2), seen.rejected)
    };
    let (found, _) = of(&json!({"scale": 10, "zeroThreshold": 0.25, "zeroCount": 1,
        "positive": {"offset": -4, "bucketCounts": [1, 0, 1, 1]}, "negative": {"offset": 40, "bucketCounts": [2]}}));
    let found = found.expect("stored");
    assert_eq!((found.schema, found.zero_threshold, found.zero_count), (8, 0.25, 1.0));
    // Two steps coarser, four buckets are one: -4 to -1 is -1, and 40 is 10.
    assert_eq!(found.positive_spans, [model::BucketSpan { offset: 0, length: 1 }]);
    assert_eq!(found.positive_buckets, [3.0]);
    assert_eq!(found.negative_spans, [model::BucketSpan { offset: 11, length: 1 }]);
    let (found, _) = of(&json!({"positive": {"offset": 0, "bucketCounts": [1, 0, 0, 2, 0, 0, 0, 3, 0]}}));
    let found = found.expect("stored");
    assert_eq!(
        found.positive_spans,
        [model::BucketSpan { offset: 1, length: 4 }, model::BucketSpan { offset: 3, length: 1 }]
    );
    assert_eq!(found.positive_buckets, [1.0, 0.0, 0.0, 2.0, 3.0]);
    assert_eq!(found.zero_threshold, 1e-128);
    for (more, want) in [
        (json!({"scale": -5, "zeroCount": 6}), "scale -5 is below"),
        (json!({"zeroCount": 5}), "do not add up"),
        (json!({"zeroCount": 6, "zeroThreshold": "NaN"}), "zero threshold"),
        (json!({"positive": {"offset": 2_000_000_000, "bucketCounts": [6]}}), "beyond all numbers"),
    ] {
        let (found, rejected) = of(&more);
        assert!(found.is_none() && rejected[0].contains(want), "{rejected:?}");
    }
    let (found, _) = of(&json!({"flags": 1}));
    assert!(model::is_stale(found.expect("a marker").sum));
}

#[test]
fn exemplars_go_to_their_buckets() {
    let example = |value: f64, more: &str| {
        json!({"asDouble": value, "timeUnixNano": ns(-1), "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
               "filteredAttributes": [{"key": "user", "value": {"stringValue": more}}]})
    };
    let request = of_metric(&json!({"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [{
        "timeUnixNano": ns(0), "count": "3", "explicitBounds": [1, 2], "bucketCounts": ["1", "1", "1"],
        "exemplars": [example(9.0, "c"), example(1.0, "a"), example(1.5, &"long".repeat(40)), {"timeUnixNano": "1"}]}]}}));
    let seen = convert(&Settings::default(), &[request]);
    let found: Vec<(&str, f64, usize)> = seen
        .exemplars
        .iter()
        .map(|(labels, exemplar)| {
            (labels.split("le=").nth(1).expect("a bucket"), exemplar.value, exemplar.labels.len())
        })
        .collect();
    assert_eq!(found, [("\"1\"}", 1.0, 3), ("\"2\"}", 1.5, 2), ("\"+Inf\"}", 9.0, 3)]);
    assert_eq!(seen.exemplars[0].1.timestamp_ms, Some(T - 1));
    assert_eq!(seen.exemplars[0].1.labels.get("trace_id"), Some("5b8efff798038103d269b633813fc60c"));
    assert!(
        !seen.lines().iter().any(|line| line.contains("h_sum")),
        "a sum that was not recorded is not stored"
    );
}

#[test]
fn summaries_and_empty_histograms_are_series() {
    let summary = of_metric(
        &json!({"name": "s", "summary": {"dataPoints": [{"timeUnixNano": ns(0), "count": "2", "sum": 3,
        "quantileValues": [{"quantile": 0.5, "value": 1}, {"quantile": 1, "value": 2.5}]}]}}),
    );
    check(
        &Settings::default(),
        &summary,
        &[
            r#"{__name__="s_sum"} 3 @ 0"#,
            r#"{__name__="s_count"} 2 @ 0"#,
            r#"{__name__="s", quantile="0.5"} 1 @ 0"#,
            r#"{__name__="s", quantile="1"} 2.5 @ 0"#,
        ],
    );
    let empty = of_metric(
        &json!({"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": ns(0)}]}}),
    );
    check(
        &Settings::default(),
        &empty,
        &[r#"{__name__="h_count"} 0 @ 0"#, r#"{__name__="h_bucket", le="+Inf"} 0 @ 0"#],
    );
    let nhcb = Settings { convert_histograms_to_nhcb: true, ..Settings::default() };
    let seen = convert(&nhcb, &[empty]);
    assert_eq!((seen.histograms.len(), seen.rejected.len()), (1, 0));
}

#[test]
fn points_that_cannot_be_are_refused_alone() {
    let check = |metric: &Value, want: &str| {
        let good = json!({"name": "good", "gauge": {"dataPoints": [{"timeUnixNano": ns(0), "asDouble": 1}]}});
        let request = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric, good]}]}]});
        let seen = convert(&Settings::default(), &[request]);
        assert!(
            seen.rejected.len() == 1 && seen.rejected[0].contains(want),
            "{:?} lacks {want:?}",
            seen.rejected
        );
        assert_eq!(seen.lines(), [r#"{__name__="good"} 1 @ 0"#]);
    };
    let gauge = |point: &Value| json!({"name": "g", "gauge": {"dataPoints": [point]}});
    let attribute = |key: &str, value: &str| {
        gauge(&json!({"asInt": 1, "attributes": [{"key": key, "value": {"stringValue": value}}]}))
    };
    check(&gauge(&json!({"timeUnixNano": ns(0)})), "g: the data point has no value");
    check(&attribute("", "x"), "the attribute \"\" has no character");
    check(&attribute("ようこそ", "x"), "the attribute");
    check(&attribute("a", &"x".repeat(1_200_000)), "too long");
    check(&json!({"name": "@@", "gauge": {"dataPoints": [{"asInt": 1}]}}), "the metric name \"@@\"");
    check(&json!({"name": "s", "sum": {"dataPoints": [{"asInt": 1}]}}), "neither delta nor cumulative");
    let histogram = |point: &Value| json!({"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}});
    check(&histogram(&json!({"explicitBounds": [2, 1], "bucketCounts": [0, 0, 0]})), "do not rise");
    check(&histogram(&json!({"explicitBounds": ["NaN"], "bucketCounts": [0, 0]})), "do not rise");
    check(&histogram(&json!({"count": 5, "explicitBounds": [1], "bucketCounts": [1, 1]})), "do not add up");
    let many: Vec<Value> =
        (0..=REPEATED_MAX).map(|at| json!({"key": format!("k{at}"), "value": {}})).collect();
    check(&gauge(&json!({"asInt": 1, "attributes": many})), "more than 1000 items");
    let mut deep = json!({"stringValue": "x"});
    (0..40).for_each(|_| deep = json!({"arrayValue": {"values": [deep]}}));
    check(&gauge(&json!({"asInt": 1, "attributes": [{"key": "deep", "value": deep}]})), "too deep");
}

/// The same as [`example`] in protobuf.
#[expect(clippy::too_many_lines, reason = "one message, written out")]
fn example_in_protobuf() -> Vec<u8> {
    let message = |fill: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new();
        fill(&mut writer);
        writer.as_bytes().to_vec()
    };
    let pair = |key: &str, value: &str| {
        message(&|w| {
            w.string(1, key);
            w.bytes(2, &message(&|w| w.string(1, value)));
        })
    };
    let time = |ms: i64| ((T + ms) * 1_000_000).unsigned_abs();
    let timed = |w: &mut Writer| {
        w.fixed64(2, time(-10_000));
        w.fixed64(3, time(0));
    };
    let counter = message(&|w| {
        timed(w);
        w.double_always(4, 5.0);
        w.bytes(7, &pair("my.counter.attr", "some value"));
    });
    let gauge = message(&|w| {
        w.fixed64(3, time(0));
        w.double_always(4, 10.0);
        w.bytes(7, &pair("my.gauge.attr", "some value"));
    });
    let histogram = message(&|w| {
        timed(w);
        w.fixed64(4, 2);
        w.double(5, 2.0);
        w.bytes(6, &[1u64, 1].map(u64::to_le_bytes).concat());
        w.doubles(7, &[1.0]);
        w.double(12, 2.0);
    });
    let exponential = message(&|w| {
        timed(w);
        w.fixed64(4, 3);
        w.double(5, 10.0);
        w.varint(6, zigzag_encode(0));
        w.fixed64(7, 1);
        w.bytes(
            8,
            &message(&|w| {
                w.varint(1, zigzag_encode(1));
                w.varints(2, &[0, 2]);
            }),
        );
    });
    let metric = |name: &str, description: &str, field: u32, data: &dyn Fn(&mut Writer)| {
        message(&|w| {
            w.string(1, name);
            w.string(2, description);
            w.string(3, "1");
            w.bytes(field, &message(&data));
        })
    };
    let scope = message(&|w| {
        w.string(1, "my.library");
        w.string(2, "1.0.0");
        w.bytes(3, &pair("my.scope.attribute", "some scope attribute"));
    });
    let delta = |w: &mut Writer, point: &[u8]| {
        w.bytes(1, point);
        w.varint(2, 1);
    };
    let scope_metrics = message(&|w| {
        w.bytes(1, &scope);
        w.bytes(
            2,
            &metric("my.counter", "I am a Counter", 7, &|w| {
                delta(w, &counter);
                w.varint(3, 1);
            }),
        );
        w.bytes(2, &metric("my.gauge", "I am a Gauge", 5, &|w| w.bytes(1, &gauge)));
        w.bytes(2, &metric("my.histogram", "I am a Histogram", 9, &|w| delta(w, &histogram)));
        w.bytes(2, &metric("my.exponential.histogram", "", 10, &|w| delta(w, &exponential)));
    });
    message(&|w| {
        w.bytes(
            1,
            &message(&|w| {
                w.bytes(1, &message(&|w| w.bytes(1, &pair("service.name", "my.service"))));
                w.bytes(2, &scope_metrics);
            }),
        );
    })
}

/// Notes all that a visitor is told.
#[derive(Default)]
struct Noted(Vec<String>);

impl Visitor for Noted {
    fn resource(&mut self, attributes: &Attributes<'_>) {
        self.0.push(format!("{attributes:?}"));
    }
    fn scope(&mut self, scope: &Scope<'_>) {
        self.0.push(format!("{scope:?}"));
    }
    fn metric(&mut self, metric: &Metric<'_>) {
        self.0.push(format!("{metric:?}"));
    }
    fn point(&mut self, point: &Point<'_>) {
        self.0.push(format!("{point:?}"));
    }
    fn end_resource(&mut self) {
        self.0.push("end".to_owned());
    }
}

#[test]
fn both_encodings_say_the_same() {
    let (mut of_json, mut of_protobuf) = (Noted::default(), Noted::default());
    json::decode(example().to_string().as_bytes(), &mut of_json).expect("sound");
    protobuf::decode(&example_in_protobuf(), &mut of_protobuf).expect("sound");
    assert_eq!(of_json.0, of_protobuf.0);
    assert_eq!(of_json.0.len(), 2 + 4 * 2 + 1);
}

#[test]
fn json_is_read_in_any_order_and_with_either_names() {
    let camel = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"asInt":"1","timeUnixNano":"5"}],
        "aggregationTemporality":2,"isMonotonic":true}}]}],"resource":{"attributes":[{"key":"a","value":{"stringValue":"b"}}]}}]}"#;
    let snake = r#"{"unknown":[{}],"resource_metrics":[{"resource":{"attributes":[{"key":"a","value":{"string_value":"b"}}]},
        "scope_metrics":[{"scope":null,"metrics":[{"sum":{"data_points":[{"as_int":1,"time_unix_nano":5,"attributes":null}],
        "aggregation_temporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","is_monotonic":true},"name":"m"}]}]}]}"#;
    let noted = |text: &str| {
        let mut noted = Noted::default();
        json::decode(text.as_bytes(), &mut noted).expect("sound");
        noted.0
    };
    assert_eq!(noted(camel), noted(snake));
    assert_eq!(noted("{}"), [""; 0]);
    let bad =
        |text: &str| json::decode(text.as_bytes(), &mut Noted::default()).expect_err("refused").to_string();
    let point = |point: &str| {
        bad(&format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
        ))
    };
    assert!(point(r#"{"asInt":"x"}"#).contains("\"x\" is not a whole number"));
    assert!(point(r#"{"asInt":1.5}"#).contains("not a whole number"));
    assert!(point(r#"{"timeUnixNano":-1}"#).contains("out of range"));
    assert!(point(r#"{"asDouble":"much"}"#).contains("not a number"));
    assert!(point(r#"{"exemplars":{}}"#).contains("expected an array"));
}

#[test]
fn bytes_that_are_no_text_refuse_their_point() {
    let mut request = example_in_protobuf();
    let at = request.windows(10).position(|window| window == b"some value").expect("an attribute");
    request[at] = 0xff;
    let mut seen = Seen::new();
    protobuf::decode(&request, &mut Converter::new(&Settings::default(), &mut seen)).expect("sound");
    assert_eq!(seen.rejected, ["my_counter_total: a name or value is not valid UTF-8"]);
    assert_eq!(seen.lines().len(), 9);
}

proptest! {
    #[test]
    fn no_change_of_a_request_makes_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut request = example_in_protobuf();
        for (at, byte) in changes {
            let at = at.index(request.len());
            request[at] = byte;
        }
        let mut seen = Seen::new();
        let _ = protobuf::decode(&request, &mut Converter::new(&Settings::default(), &mut seen));
        let nhcb = Settings { convert_histograms_to_nhcb: true, ..Settings::default() };
        let _ = protobuf::decode(&request, &mut Converter::new(&nhcb, &mut seen));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
        let mut seen = Seen::new();
        let settings = Settings::default();
        let _ = protobuf::decode(&bytes, &mut Converter::new(&settings, &mut seen));
        let _ = json::decode(text.as_bytes(), &mut Converter::new(&settings, &mut seen));
    }
}
