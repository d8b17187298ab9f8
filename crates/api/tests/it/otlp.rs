//! OTLP over HTTP: what is stored, and what the client is told.

use std::sync::Arc;

use serde_json::{Value, json};
use storage::ErrorKind;
use wire::protobuf::Writer;

use crate::client::Answer;
use crate::pushing::Refusing;
use crate::server::{NOW_MS, TestServer, settings};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn ns(ms: i64) -> String {
    format!("{ms}000000")
}

fn request(metrics: &Value) -> String {
    json!({"resourceMetrics": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "service.instance.id", "value": {"stringValue": "one"}},
            {"key": "host.name", "value": {"stringValue": "h1"}},
        ]},
        "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": metrics}],
    }]})
    .to_string()
}

fn push(server: &TestServer, metrics: &Value) -> Answer {
    server.client.request("POST", "/api/v1/otlp/v1/metrics", &[JSON], request(metrics).as_bytes())
}

fn gauge(name: &str, points: &Value) -> Value {
    json!({"name": name, "gauge": {"dataPoints": points}})
}

/// The value of the only series of a query.
fn value(server: &TestServer, query: &str) -> String {
    let answer = server.client.get(&format!("/api/v1/query?query={}", query.replace('+', "%2B")));
    let tree: Value = serde_json::from_str(answer.text()).expect("JSON");
    let result = tree["data"]["result"].as_array().expect("a vector").clone();
    assert_eq!(result.len(), 1, "{query}: {tree}");
    result[0]["value"][1].as_str().expect("a value").to_owned()
}

#[test]
fn metrics_become_series_and_the_resource_target_info() {
    let server = TestServer::start();
    let metrics = json!([
        {"name": "requests.count", "unit": "{request}", "description": "How many.", "sum": {
            "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}],
                "startTimeUnixNano": ns(NOW_MS - 60_000), "timeUnixNano": ns(NOW_MS), "asInt": "5",
                "exemplars": [{"timeUnixNano": ns(NOW_MS), "asDouble": 2.5,
                    "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174"}],
            }],
        }},
        {"name": "latency", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{
            "timeUnixNano": ns(NOW_MS), "count": "3", "sum": 4.5, "explicitBounds": [0.5, 1], "bucketCounts": ["1", "1", "1"],
        }]}},
    ]);
    let answer = push(&server, &metrics);
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let labels = "{job=\"shop\",instance=\"one\",http_method=\"GET\"}";
    assert_eq!(value(&server, &format!("requests_count_total{labels}")), "5");
    assert_eq!(value(&server, "latency_seconds_bucket{le=\"1\"}"), "2");
    assert_eq!(value(&server, "latency_seconds_bucket{le=\"+Inf\"}"), "3");
    assert_eq!(value(&server, "latency_seconds_sum"), "4.5");
    assert_eq!(value(&server, "target_info{host_name=\"h1\",job=\"shop\",instance=\"one\"}"), "1");
    assert!(server.client.get("/api/v1/metadata?metric=requests_count_total").text().contains("How many."));
    let exemplars = server.client.get("/api/v1/query_exemplars?query=requests_count_total");
    assert!(exemplars.text().contains("5b8efff798038103d269b633813fc60c"), "{}", exemplars.text());
    assert!(server.client.get("/api/v1/status/push_sources").text().contains(r#""protocol":"otlp""#));
}

#[test]
fn refused_points_are_counted_and_named_and_the_others_stay() {
    let server = TestServer::start();
    let metrics = json!([
        gauge("good", &json!([{"timeUnixNano": ns(NOW_MS), "asDouble": 1.5}])),
        gauge("empty", &json!([{"timeUnixNano": ns(NOW_MS)}])),
        {"name": "odd", "sum": {"dataPoints": [{"timeUnixNano": ns(NOW_MS), "asInt": 1}]}},
        {"name": "torn", "histogram": {"aggregationTemporality": 2, "dataPoints": [
            {"timeUnixNano": ns(NOW_MS), "count": 1, "explicitBounds": [1], "bucketCounts": [1]}]}},
    ]);
    let answer = push(&server, &metrics);
    let tree: Value = serde_json::from_str(answer.text()).expect("JSON");
    assert_eq!((answer.status, &tree["partialSuccess"]["rejectedDataPoints"]), (200, &json!("3")));
    let message = tree["partialSuccess"]["errorMessage"].as_str().expect("a message");
    for part in
        ["empty: the data point has no value", "odd: the aggregation temporality", "torn: 1 bounds need 2"]
    {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert_eq!(value(&server, "good"), "1.5");
}

#[test]
fn a_request_that_is_none_is_refused_in_its_own_encoding() {
    let server = TestServer::start_with(api::Settings { write_decompressed_bytes_max: 2_000, ..settings() });
    let check = |headers: &[(&str, &str)], body: &[u8], want_status: u16, want_text: &str| {
        let answer = server.client.request("POST", "/v1/metrics", headers, body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, want_status, "{text}");
        assert!(text.contains(want_text), "{want_text:?} is not in {text}");
        answer.header("content-type").map(str::to_owned)
    };
    assert_eq!(check(&[JSON], b"{", 400, r#"{"code":3,"message":"not an OTLP"#).as_deref(), Some(JSON.1));
    check(&[JSON], b"{\"resourceMetrics\": 5}", 400, "expected an array");
    check(&[JSON], b"\xff", 400, "not valid UTF-8");
    check(&[JSON], b"{\"resourceMetrics\": [{\"resource\": \"x\"}]}", 400, "code");
    assert_eq!(check(&[PROTOBUF], b"\x0a\x05", 400, "\x08\x03\x12").as_deref(), Some(PROTOBUF.1));
    check(&[PROTOBUF], b"\x0a\x02\x12\x05", 400, "resource metrics: the message is cut off");
    check(&[("content-type", "text/plain")], b"", 415, "application/json");
    check(&[JSON, ("content-encoding", "br")], b"{}", 415, "is not known");
    check(&[JSON, ("content-encoding", "gzip")], b"{}", 400, "gzip");
    check(&[JSON], &[b' '; 3_000], 413, "2000");
    let closed = TestServer::start_closed(settings());
    assert_eq!(closed.client.request("POST", "/otlp/v1/metrics", &[JSON], b"{}").status, 503);
}

fn delta(start_ms: i64, end_ms: i64, count: u64) -> Value {
    json!([{"name": "jobs", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [
        {"startTimeUnixNano": ns(start_ms), "timeUnixNano": ns(end_ms), "asInt": count}]}}])
}

#[test]
fn deltas_are_added_up_even_if_they_are_sent_twice() {
    let server = TestServer::start();
    let at = |second: i64| NOW_MS - 60_000 + second * 1_000;
    assert_eq!(push(&server, &delta(at(0), at(10), 5)).text(), "{}");
    assert_eq!(push(&server, &delta(at(10), at(20), 2)).text(), "{}");
    assert_eq!(value(&server, "jobs_total"), "7");
    assert_eq!(push(&server, &delta(at(10), at(20), 2)).text(), "{}", "a duplicate is no fault");
    assert_eq!(value(&server, "jobs_total"), "7");
    let late = push(&server, &delta(at(5), at(15), 1));
    assert!(late.text().contains("ends before one that was counted"), "{}", late.text());
    assert_eq!(value(&server, "jobs_total"), "7");
    assert_eq!(value(&server, "min_over_time(jobs_total[2m])"), "0", "it begins with a zero");
}

#[test]
fn a_delta_that_storage_could_not_take_counts_when_it_is_sent_again() {
    let server = TestServer::start_closed(settings());
    let fault = Arc::new(Refusing::then(ErrorKind::Unavailable, 1, server.storage.clone()));
    server.open_with(fault, Arc::clone(&server.storage) as Arc<dyn storage::Querier>);
    let refused = push(&server, &delta(NOW_MS - 1_000, NOW_MS, 5));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.text());
    assert_eq!(push(&server, &delta(NOW_MS - 1_000, NOW_MS, 5)).text(), "{}");
    assert_eq!(value(&server, "jobs_total"), "5");
}

#[test]
fn points_that_storage_refuses_are_counted_once_each() {
    let server = TestServer::start_closed(settings());
    let fault = Arc::new(Refusing::new(ErrorKind::Rejected));
    server.open_with(fault, Arc::clone(&server.storage) as Arc<dyn storage::Querier>);
    let metrics = json!([{"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": ns(NOW_MS), "count": 1, "sum": 1, "explicitBounds": [1], "bucketCounts": [1, 0]},
        {"timeUnixNano": ns(NOW_MS - 1), "count": 1, "sum": 1, "explicitBounds": [1], "bucketCounts": [1, 0]},
    ]}}]);
    let answer = push(&server, &metrics);
    let tree: Value = serde_json::from_str(answer.text()).expect("JSON");
    assert_eq!(tree["partialSuccess"]["rejectedDataPoints"], "2", "not five samples each, nor target_info");
}

#[test]
fn compressed_protobuf_is_understood() {
    use std::io::Write as _;
    let server = TestServer::start();
    let nest = |field: u32, inner: &Writer| {
        let mut outer = Writer::new();
        outer.bytes(field, inner.as_bytes());
        outer
    };
    let mut point = Writer::new();
    point.fixed64(3, (NOW_MS * 1_000_000).unsigned_abs());
    point.double_always(4, 3.25);
    let mut metric = Writer::new();
    metric.string(1, "level");
    metric.bytes(5, nest(1, &point).as_bytes());
    let request = nest(1, &nest(2, &nest(2, &metric)));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(request.as_bytes()).expect("compressed");
    let gzip = gzip.finish().expect("compressed");
    let zstd = zstd::encode_all(request.as_bytes(), 1).expect("compressed");
    for (encoding, body) in [("gzip", gzip), ("zstd", zstd)] {
        let headers = [PROTOBUF, ("content-encoding", encoding)];
        let answer = server.client.request("POST", "/v1/metrics", &headers, &body);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{encoding}");
    }
    assert_eq!(value(&server, "level"), "3.25");
}
