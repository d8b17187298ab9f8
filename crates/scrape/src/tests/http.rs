//! Over HTTP: what is asked, what is understood, what is refused.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use storage::memory::MemoryStorage;

use super::exporter::{Exporter, Reply};
use super::pools::{Server, active};
use super::{eventually, job, series, values};
use crate::settings::{Job, ScrapeProtocol};
use crate::status::Health;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn quick(address: &str, change: impl FnOnce(&mut Job)) -> Job {
    job(address, |job| {
        job.interval_ms = 100;
        job.timeout_ms = 100;
        change(job);
    })
}

/// Scrapes an exporter until it worked.
async fn check_works(reply: Reply, change: impl FnOnce(&mut Job)) -> (Arc<MemoryStorage>, Exporter) {
    let exporter = Exporter::start(reply).await;
    let server = Server::start(vec![quick(&exporter.address, |job| {
        job.interval_ms = 1_000;
        job.timeout_ms = 1_000;
        change(job);
    })])
    .await;
    eventually("a scrape works", || active(&server).health == Health::Up).await;
    server.handle.stop().await;
    (server.storage, exporter)
}

/// Scrapes an exporter until it failed with an error that contains `want`.
async fn check_fails(reply: Reply, change: impl FnOnce(&mut Job), want: &str) {
    let exporter = Exporter::start(reply).await;
    let server = Server::start(vec![quick(&exporter.address, change)]).await;
    // On a busy machine a short timeout may come first.
    eventually(want, || active(&server).last_error.contains(want)).await;
    assert_eq!(active(&server).health, Health::Down);
    eventually("the failure is stored", || !values(&server.storage, "up").is_empty()).await;
    assert!(values(&server.storage, "up").iter().all(|value| *value == Some(0.0)));
    assert_eq!(series(&server.storage, "a").len(), 0);
    server.handle.stop().await;
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).expect("in memory");
    encoder.finish().expect("in memory")
}

fn encoded(encoding: &str, body: Vec<u8>) -> Reply {
    let headers = vec![("content-type", TEXT.to_owned()), ("content-encoding", encoding.to_owned())];
    Reply::Whole("200 OK", headers, body)
}

#[tokio::test]
async fn the_request_says_who_asks_for_what() {
    let (_, exporter) = check_works(Reply::text(TEXT, "a 1\n"), |job| {
        job.params = BTreeMap::from([("collect[]".into(), vec!["cpu".into(), "disk".into()])]);
        job.http = http_client::Settings {
            basic_auth: Some(http_client::settings::BasicAuth {
                username: "me".into(),
                password: http_client::Secret::new("secret"),
                ..Default::default()
            }),
            ..Default::default()
        };
    })
    .await;
    let request = exporter.requests().remove(0);
    assert!(
        request.starts_with("get /metrics?collect%5b%5d=cpu&collect%5b%5d=disk http/1.1\r\n"),
        "{request}"
    );
    for header in [
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,",
        "accept-encoding: zstd, gzip;q=0.9\r\n",
        "x-prometheus-scrape-timeout-seconds: 1\r\n",
        concat!("user-agent: kymo/", env!("CARGO_PKG_VERSION")),
        "authorization: basic bwu6c2vjcmv0\r\n",
        &format!("host: {}\r\n", exporter.address),
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_scrapes() {
    let exporter = Exporter::start(Reply::text(TEXT, "a 1\n")).await;
    let server = Server::start(vec![quick(&exporter.address, |job| job.timeout_ms = 100)]).await;
    // A timeout, on a busy machine, costs a connection.
    eventually("connections are used again", || exporter.requests().len() >= exporter.connection_count() + 4)
        .await;
    server.handle.stop().await;
}

#[tokio::test]
async fn compressed_answers_are_understood() {
    let text = b"a{x=\"y\"} 1\n".as_slice();
    let zstd = zstd::encode_all(text, 3).expect("in memory");
    for reply in [encoded("gzip", gzip(text)), encoded("zstd", zstd), Reply::text(TEXT, text)] {
        let (storage, _) = check_works(reply, |_| {}).await;
        let (labels, samples) = series(&storage, "a").remove(0);
        assert_eq!((labels.get("x"), labels.get("job"), samples[0].1), (Some("y"), Some("j"), Some(1.0)));
    }
    check_fails(encoded("gzip", b"this is no gzip".to_vec()), |_| {}, "cannot decode the answer").await;
    check_fails(encoded("br", text.to_vec()), |_| {}, "unknown Content-Encoding").await;
}

#[tokio::test]
async fn openmetrics_brings_exemplars() {
    let text = "# TYPE a counter\na_total 1 # {trace_id=\"abc\"} 0.5\n# EOF\n";
    let (storage, _) = check_works(Reply::text(OPEN_METRICS, text), |_| {}).await;
    let matchers = vec![vec![model::Matcher::equal("__name__", "a_total")]];
    let tenant = model::TenantId::anonymous();
    let found = storage::Querier::exemplars(&*storage, &tenant, &matchers, 0, i64::MAX).expect("found");
    let exemplar = &found[0].exemplars[0];
    assert_eq!((exemplar.labels.get("trace_id"), exemplar.value), (Some("abc"), 0.5));
    check_fails(Reply::text(OPEN_METRICS, "a 1\n"), |_| {}, "# EOF").await;
}

#[tokio::test]
async fn an_answer_of_another_type_needs_a_fallback() {
    check_fails(Reply::text("text/html", "a 1\n"), |_| {}, "unsupported Content-Type \"text/html\"").await;
    check_fails(Reply::Whole("200 OK", vec![], b"a 1\n".to_vec()), |_| {}, "blank Content-Type").await;
    let fallback = |job: &mut Job| job.fallback_protocol = Some(ScrapeProtocol::PrometheusText0_0_4);
    let (storage, _) = check_works(Reply::text("text/html", "a 1\n"), fallback).await;
    assert_eq!(values(&storage, "a")[0], Some(1.0));
}

#[tokio::test]
async fn answers_that_are_no_metrics_fail_with_their_reason() {
    let status = Reply::Whole("503 Service Unavailable", vec![], b"later".to_vec());
    check_fails(status, |_| {}, "server returned HTTP status 503 Service Unavailable").await;
    check_fails(Reply::text(TEXT, "a 1\n<html>\n"), |_| {}, "line 2, column 1").await;
    check_fails(Reply::Cut, |_| {}, "Get \"http://127.0.0.1").await;
    check_fails(Reply::Silence, |_| {}, "context deadline exceeded (scrape_timeout 100ms)").await;
}

#[tokio::test]
async fn endless_and_exploding_answers_are_stopped_by_the_size_limit() {
    let patient = |job: &mut Job| {
        (job.interval_ms, job.timeout_ms) = (2_000, 2_000);
        job.body_size_limit_bytes = 1 << 20;
    };
    let want = "body size limit exceeded (limit: 1048576 bytes)";
    check_fails(Reply::Endless, patient, want).await;
    check_fails(encoded("gzip", gzip(&vec![b'\n'; 32 << 20])), patient, want).await;
}

#[tokio::test]
async fn a_target_that_refuses_connections_is_down() {
    // Held, so that nobody else gets it, but nobody listens there.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("bound").to_string();
    let server = Server::start(vec![quick(&address, |_| {})]).await;
    let refused = || {
        let target = active(&server);
        target.health == Health::Down && target.last_error.to_lowercase().contains("connection refused")
    };
    eventually("a scrape is refused", refused).await;
    server.handle.stop().await;
}

#[tokio::test]
async fn failed_scrapes_are_listed_in_their_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("failures.json");
    let listed = path.to_string_lossy().into_owned();
    let status = Reply::Whole("404 Not Found", vec![], vec![]);
    check_fails(status, |job| job.failure_log_file = listed, "404 Not Found").await;
    // The last line may be half written.
    let whole = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.rsplit_once('\n').map_or(String::new(), |(whole, _)| whole.to_owned())
    };
    eventually("a line is written", || whole().contains("404 Not Found\"")).await;
    let text = whole();
    let line = text.lines().find(|line| line.contains("404 Not Found")).expect("just seen");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["msg"], "server returned HTTP status 404 Not Found");
    assert_eq!(line["job_name"], "j");
    assert!(
        line["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
        "{line}"
    );
    assert!(line["target"].as_str().is_some_and(|target| target.ends_with("/metrics")), "{line}");
}

#[tokio::test]
async fn the_file_of_failed_scrapes_is_opened_anew_on_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, moved) = (directory.path().join("failures.json"), directory.path().join("old.json"));
    let exporter = Exporter::start(Reply::Whole("404 Not Found", vec![], vec![])).await;
    let job = quick(&exporter.address, |job| job.failure_log_file = path.to_string_lossy().into_owned());
    let server = Server::start(vec![job.clone()]).await;
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    eventually("a line is written", || read(&path).contains("404 Not Found")).await;
    std::fs::rename(&path, &moved).expect("moved");
    let settings = crate::Settings { jobs: vec![job], ..Default::default() };
    server.handle.reload(settings).await.expect("reloaded");
    eventually("a line in the new file", || read(&path).contains("404 Not Found")).await;
    server.handle.stop().await;
    assert!(read(&moved).ends_with('\n'));
}

#[tokio::test]
async fn redirects_are_followed_if_allowed() {
    let to = Exporter::start(Reply::text(TEXT, "a 1\n")).await;
    let there = vec![("location", format!("http://{}/metrics", to.address))];
    let reply = Reply::Whole("302 Found", there, vec![]);
    let (storage, _) = check_works(reply.clone(), |_| {}).await;
    assert_eq!(values(&storage, "a")[0], Some(1.0));
    let stay = |job: &mut Job| job.http.follow_redirects = false;
    check_fails(reply, stay, "server returned HTTP status 302 Found").await;
}
