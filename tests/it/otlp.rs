//! OpenTelemetry's own SDK pushes, by HTTP and gRPC, totals and deltas; and what the documentation says to do.

use std::path::Path;
use std::process::{Command, Stdio};

use kymo_tests::ports::free_port;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{docs, http, paths, poll, push};
use serde_json::Value;

/// Snippets of `docs/user/collect.md` that this file runs.
pub(crate) const SNIPPETS: [&str; 5] =
    ["otlp-python-http", "otlp-python-grpc", "otlp-curl", "otlp-config", "vmagent-scrape"];

/// Runs a script with the clients of `tests/python/requirements.txt`.
#[track_caller]
fn python(script: &Path, arguments: &[&str]) {
    let output = Command::new(paths::python())
        .arg(script)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("Failed to export"), "{}: {said}", output.status);
}

/// A Kymo that takes gRPC on a port of its own; `more` are arguments of `serve`.
fn start(more: &[&str]) -> (Kymo, String) {
    let grpc = format!("127.0.0.1:{}", free_port());
    let usual = ["--otlp-grpc-listen", &grpc, "--enable-feature", "use-start-timestamps"];
    let kymo = Kymo::start_with(&[&usual, more].concat());
    (kymo, grpc)
}

#[track_caller]
fn check(kymo: &Kymo, query: &str, want: f64) {
    kymo.wait_until(query, want);
}

/// What `tests/python/otlp_push.py` measured, by query.
fn check_pushed(kymo: &Kymo) {
    let of = r#"job="eu/shop",instance="one""#;
    check(kymo, &format!("http_requests_total{{{of},http_route=\"/a\"}}"), 12.0);
    check(kymo, &format!("queue_length{{{of}}}"), 0.0);
    check(kymo, "room_temperature_celsius", 27.0);
    check(kymo, "latency_seconds_bucket{le=\"0.5\"}", 2.0);
    check(kymo, "latency_seconds_bucket{le=\"1\"}", 2.0);
    check(kymo, "latency_seconds_bucket{le=\"+Inf\"}", 4.0);
    check(kymo, "latency_seconds_count", 4.0);
    check(kymo, "latency_seconds_sum", 12.5);
    check(kymo, "histogram_count(size_bytes)", 2.0);
    check(kymo, "histogram_sum(size_bytes)", 1200.0);
    check(kymo, "histogram_fraction(450, 800, size_bytes) > bool 0.9", 1.0);
    check(kymo, &format!("target_info{{{of},host_name=\"h1\",telemetry_sdk_language=\"python\"}}"), 1.0);
    let now_s = push::now_ms() as f64 / 1000.0;
    let at_s = kymo.wait_for_value("timestamp(http_requests_total)");
    let start_s = kymo.wait_for_value("start_timestamp(http_requests_total)");
    assert!(start_s < at_s && at_s <= now_s && now_s - start_s < 300.0, "{start_s} {at_s} {now_s}");
    let metadata = http::api(&kymo.url(), "/api/v1/metadata", &[]).expect("metadata");
    for (family, kind) in [
        ("http_requests_total", "counter"),
        ("queue_length", "gauge"),
        ("room_temperature_celsius", "gauge"),
        ("latency_seconds", "histogram"),
        ("size_bytes", "histogram"),
    ] {
        assert_eq!(metadata[family][0]["type"], kind, "{family}: {metadata}");
    }
    assert_eq!(metadata["http_requests_total"][0]["help"], "Requests that came.");
    for metric in ["http_requests_total", "latency_seconds_bucket"] {
        let parameters = [("query", metric)];
        let found = http::api(&kymo.url(), "/api/v1/query_exemplars", &parameters).expect("exemplars");
        let labels = &found[0]["exemplars"][0]["labels"];
        assert_eq!(labels["trace_id"], "5b8efff798038103d269b633813fc60c", "{metric}: {found}");
        assert_eq!(labels["span_id"], "eee19b7ec3c1b174", "{metric}: {found}");
    }
}

fn push_by(protocol: &str, temporality: &str) -> Kymo {
    let (mut kymo, grpc) = start(&[]);
    let endpoint = match protocol {
        "grpc" => format!("http://{grpc}"),
        _ => format!("{}/api/v1/otlp/v1/metrics", kymo.url()),
    };
    python(&paths::root().join("tests/python/otlp_push.py"), &[protocol, &endpoint, temporality]);
    check_pushed(&kymo);
    let sources = http::get(&format!("{}/api/v1/status/push_sources", kymo.url())).expect("answered").text();
    assert!(sources.contains(r#""protocol":"otlp""#) && sources.contains("OTel"), "{sources}");
    kymo.crash_and_restart();
    check_pushed(&kymo);
    kymo
}

#[test]
fn the_sdk_pushes_totals_by_http() {
    push_by("http", "cumulative");
}

#[test]
fn the_sdk_pushes_totals_by_grpc() {
    push_by("grpc", "cumulative");
}

#[test]
fn the_sdk_pushes_deltas_by_http_and_they_are_added_up() {
    let kymo = push_by("http", "delta");
    check(&kymo, "min_over_time(http_requests_total[5m])", 0.0);
    check(&kymo, "increase_exact(http_requests_total[5m])", 12.0);
}

#[test]
fn the_sdk_pushes_deltas_by_grpc_and_they_are_added_up() {
    push_by("grpc", "delta");
}

#[test]
fn deltas_stay_deltas_where_the_feature_says_so() {
    let (kymo, grpc) = start(&["--enable-feature", "otlp-native-delta-ingestion"]);
    let script = paths::root().join("tests/python/otlp_push.py");
    python(&script, &["grpc", &format!("http://{grpc}"), "delta"]);
    check(&kymo, "http_requests_total", 7.0);
    check(&kymo, "sum_over_time(http_requests_total[5m])", 12.0);
    let metadata = http::api(&kymo.url(), "/api/v1/metadata", &[("metric", "http_requests_total")]);
    assert_eq!(metadata.expect("metadata")["http_requests_total"][0]["type"], "unknown");
}

#[test]
fn the_configuration_says_how_things_are_named_and_can_be_changed() {
    let config = |otlp: &str| format!("global: {{scrape_interval: 1h}}\notlp: {{{otlp}}}\n");
    let kymo = Kymo::start_configured(&config(
        "translation_strategy: NoTranslation, convert_histograms_to_nhcb: true",
    ));
    let endpoint = format!("{}/v1/metrics", kymo.url());
    let script = paths::root().join("tests/python/otlp_push.py");
    python(&script, &["http", &endpoint, "cumulative"]);
    check(&kymo, r#"{"http.requests","http.route"="/a"}"#, 12.0);
    check(&kymo, "histogram_count(latency)", 4.0);
    check(&kymo, "histogram_fraction(0.1, 0.5, latency)", 0.5);
    kymo.write_config(&config(
        "promote_resource_attributes: [host.name], keep_identifying_resource_attributes: true",
    ));
    let reloaded = http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    python(&script, &["http", &endpoint, "cumulative"]);
    check(&kymo, r#"http_requests_total{host_name="h1"}"#, 12.0);
    check(&kymo, r#"target_info{service_name="shop"}"#, 1.0);
}

#[test]
fn bad_points_are_named_and_the_good_ones_are_in() {
    let kymo = Kymo::start();
    let now_ns = format!("{}000000", push::now_ms());
    let point = |time_ns: &str, attributes: Value| serde_json::json!({"timeUnixNano": time_ns, "asDouble": 1, "attributes": attributes});
    let attribute = |key: &str, value: &str| serde_json::json!({"key": key, "value": {"stringValue": value}});
    let many: Vec<Value> = (0..100).map(|at| attribute(&format!("k{at}"), "v")).collect();
    let points = [
        point(
            &now_ns,
            serde_json::json!([attribute("good", "1"), attribute("twice", "a"), attribute("twice", "b")]),
        ),
        point("0", serde_json::json!([attribute("a", "old")])),
        point("18446744073709551615", serde_json::json!([attribute("a", "future")])),
        point(&now_ns, serde_json::json!([attribute("long", &"x".repeat(5_000))])),
        point(&now_ns, Value::from(many)),
    ];
    let request = serde_json::json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m", "gauge": {"dataPoints": points}}]}]}]});
    let url = format!("{}/v1/metrics", kymo.url());
    let answer = http::post(&url, &[("Content-Type", "application/json")], request.to_string().as_bytes());
    let told = answer.expect("answered").json();
    assert_eq!(told["partialSuccess"]["rejectedDataPoints"], "4", "{told}");
    let message = told["partialSuccess"]["errorMessage"].as_str().expect("a message");
    for part in ["too old", "too far in the future", "exceed a limit"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    check(&kymo, r#"m{good="1",twice="a;b"}"#, 1.0);
    check(&kymo, "count(m)", 1.0);
}

#[test]
fn bad_calls_of_grpc_are_answered_and_the_port_lives_on() {
    use std::io::{ErrorKind, Read, Write};
    let (kymo, grpc) = start(&[]);
    // What is no HTTP/2, and a preface with nothing behind it.
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x05junk"]
    {
        let mut socket = std::net::TcpStream::connect(&grpc).expect("it listens");
        socket.set_read_timeout(Some(poll::PATIENCE)).expect("a timeout");
        // The server may have closed before all is said: then there is nothing left to send or to shut.
        let _ = socket.write_all(bytes).and_then(|()| socket.shutdown(std::net::Shutdown::Write));
        let ended = socket.read_to_end(&mut Vec::new());
        // The connection ends, in order or by a reset, before the time-out.
        assert!(
            !ended
                .as_ref()
                .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "{ended:?}"
        );
    }
    let folder = kymo.folder().join("bad_grpc.py");
    write(&folder, BAD_CALLS);
    python(&folder, &[&grpc]);
    python(
        &paths::root().join("tests/python/otlp_push.py"),
        &["grpc", &format!("http://{grpc}"), "cumulative"],
    );
    check_pushed(&kymo);
}

const BAD_CALLS: &str = r#"
import sys
import grpc

channel = grpc.insecure_channel(sys.argv[1])
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

def check(path, body, want, metadata=()):
    call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
    try:
        answer = call(body, metadata=metadata, timeout=180)
        got = (grpc.StatusCode.OK, answer)
    except grpc.RpcError as error:
        got = (error.code(), error.details())
    assert got[0] == want, (path, body[:20], got)
    return got[1]

assert check(EXPORT, b"", grpc.StatusCode.OK) == b""
assert "cut off" in check(EXPORT, b"\x0a\x05", grpc.StatusCode.INVALID_ARGUMENT)
check(EXPORT, b"\xff" * 100, grpc.StatusCode.INVALID_ARGUMENT)
assert "tenant id" in check(EXPORT, b"", grpc.StatusCode.INVALID_ARGUMENT, (("x-scope-orgid", "a/b"),))
check("/opentelemetry.proto.collector.trace.v1.TraceService/Export", b"", grpc.StatusCode.UNIMPLEMENTED)
check(EXPORT, b"\x0a\x00" * (40 << 19), grpc.StatusCode.RESOURCE_EXHAUSTED)
assert check(EXPORT, b"", grpc.StatusCode.OK, (("x-scope-orgid", "other"),)) == b""
"#;

#[test]
fn a_taken_port_is_told_and_only_matters_if_it_was_asked_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = Command::new(paths::kymo_binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--otlp-grpc-listen", &address, "--data"])
        .arg(tempfile::tempdir().expect("temporary directory").path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--otlp-grpc-listen"), "{said}");
    // The usual port may be free or taken here; the server starts in both cases.
    let _taken_now = std::net::TcpListener::bind("127.0.0.1:4317");
    check(&Kymo::start_with(&["--otlp-grpc-listen", "off"]), "vector(1)", 1.0);
    check(&Kymo::start(), "vector(1)", 1.0);
}

#[test]
fn what_the_documentation_shows_works() {
    let (kymo, grpc) = start(&[]);
    let folder = kymo.folder().to_owned();
    let ours =
        |text: String| text.replace("http://localhost:9090", &kymo.url()).replace("localhost:4317", &grpc);
    for name in ["otlp-python-http", "otlp-python-grpc"] {
        let script = folder.join(format!("{name}.py"));
        write(&script, &ours(docs::snippet("collect.md", name)));
        python(&script, &[]);
    }
    check(&kymo, r#"orders_total{job="shop-http"}"#, 1.0);
    check(&kymo, r#"orders_total{job="shop-grpc"}"#, 1.0);
    let output = Command::new("bash")
        .args(["-euc", &ours(docs::snippet("collect.md", "otlp-curl"))])
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.trim() == "{}", "{said}");
    check(&kymo, r#"room_temperature_celsius{job="thermometer",room="kitchen"}"#, 21.5);
    let otlp = docs::snippet("collect.md", "otlp-config");
    let configured = Kymo::start_configured(&otlp);
    let shown: Value = http::api(&configured.url(), "/api/v1/status/config", &[]).expect("answered");
    assert!(shown["yaml"].as_str().is_some_and(|yaml| yaml.contains("promote_resource_attributes")));
}

/// vmagent, as Debian ships it, sends on what it scrapes.
#[test]
fn vmagent_writes_what_it_scrapes() {
    let kymo = Kymo::start();
    let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
    let config = docs::snippet("collect.md", "vmagent-scrape").replace("localhost:9090", &kymo.url()[7..]);
    write(&folder.path().join("scrape.yml"), &config);
    let mut command = Command::new(paths::program("vmagent"));
    command
        .arg(format!("-promscrape.config={}", folder.path().join("scrape.yml").display()))
        .arg(format!("-remoteWrite.url={}/api/v1/write", kymo.url()))
        .arg(format!("-remoteWrite.tmpDataPath={}", folder.path().join("queue").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .current_dir(folder.path());
    let _vmagent = kymo_tests::process::Process::start(command, &folder.path().join("log"));
    check(&kymo, r#"up{job="by-vmagent"}"#, 1.0);
    poll::until("samples of vmagent", || {
        let up = http::single_value(&kymo.url(), r#"count_over_time(up{job="by-vmagent"}[5m])"#)?;
        if up >= 2.0 { Ok(()) } else { Err(format!("{up} samples")) }
    });
    let sources = http::get(&format!("{}/api/v1/status/push_sources", kymo.url())).expect("answered").text();
    assert!(sources.contains("vmagent") && sources.contains(r#""protocol":"remote_write""#), "{sources}");
}
