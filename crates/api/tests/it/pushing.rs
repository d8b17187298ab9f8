//! Remote write in, federation out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::Settings;
use model::{Exemplar, FloatHistogram, Labels, Metadata, MetricType, TenantId};
use storage::{Appended, Appender, Durability, Error, ErrorKind, RejectReason, Rejected, WriteBatch};
use wire::remote_write::encode::{Encoder, SeriesContent};

use crate::client::Answer;
use crate::server::{NOW_MS, TestServer, settings};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const SNAPPY: (&str, &str) = ("content-encoding", "snappy");

fn push(server: &TestServer, body: &[u8]) -> Answer {
    server.client.request("POST", "/api/v1/write", &[PROTOBUF, SNAPPY], body)
}

fn request(name: &str, floats: &[(i64, f64)]) -> Encoder {
    let mut encoder = Encoder::new();
    let labels = Labels::from_pairs([("__name__", name), ("job", "push")]);
    encoder.series(labels.as_ref(), SeriesContent { floats, ..SeriesContent::default() });
    encoder
}

#[test]
fn what_is_pushed_is_there_afterwards() {
    let server = TestServer::start();
    let mut encoder = request("pushed", &[(NOW_MS - 1_000, 1.5), (NOW_MS, 2.5)]);
    let labels = Labels::from_pairs([("__name__", "latency")]);
    let histogram = FloatHistogram { count: 3.0, sum: 1.5, zero_count: 3.0, ..FloatHistogram::default() };
    let exemplar =
        Exemplar { labels: Labels::from_pairs([("trace_id", "1")]), value: 2.0, timestamp_ms: Some(NOW_MS) };
    encoder.series(
        labels.as_ref(),
        SeriesContent {
            histograms: &[(NOW_MS, histogram)],
            exemplars: &[exemplar],
            ..SeriesContent::default()
        },
    );
    let metadata =
        Metadata { metric_type: MetricType::Gauge, unit: String::new(), help: "Pushed.".to_owned() };
    encoder.metadata("pushed", &metadata);
    let answer = push(&server, &encoder.compress());
    assert_eq!((answer.status, answer.text()), (204, ""));
    let series = server.client.get("/api/v1/series?match[]=pushed");
    assert_eq!(series.text(), r#"{"status":"success","data":[{"__name__":"pushed","job":"push"}]}"#);
    assert!(server.client.get("/api/v1/metadata?metric=pushed").text().contains("Pushed."));
    assert!(server.client.get("/api/v1/query_exemplars?query=latency").text().contains("trace_id"));
    assert_eq!(
        server.client.get("/federate?match[]={job=\"push\"}").text(),
        format!("# TYPE pushed untyped\npushed{{job=\"push\",instance=\"\",region=\"eu\"}} 2.5 {NOW_MS}\n")
    );
    assert!(
        server.client.get("/metrics").text().contains("kymo_push_samples_total{protocol=\"remote_write\"} 3")
    );
}

#[test]
fn a_push_goes_to_its_tenant() {
    let server = TestServer::start();
    let body = request("pushed", &[(NOW_MS, 1.0)]).compress();
    let headers = [PROTOBUF, SNAPPY, ("X-Scope-OrgID", "other")];
    assert_eq!(server.client.request("POST", "/api/v1/write", &headers, &body).status, 204);
    let target = "/api/v1/label/__name__/values";
    assert!(!server.client.get(target).text().contains("pushed"));
    assert!(server.client.get_with(target, &headers[2..]).text().contains("pushed"));
}

#[test]
fn sound_samples_are_written_and_the_others_named() {
    let server = TestServer::start();
    let mut encoder = request("sound", &[(NOW_MS, 1.0)]);
    let nameless = SeriesContent { floats: &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)], ..SeriesContent::default() };
    encoder.series_of_pairs([("job", "x")], nameless);
    let answer = push(&server, &encoder.compress());
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().starts_with("2 samples were refused, all others are written\n"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("the metric name is missing"), "{}", answer.text());
    assert!(server.client.get("/api/v1/series?match[]=sound").text().contains("sound"));
    assert!(
        server
            .client
            .get("/metrics")
            .text()
            .contains("kymo_push_samples_rejected_total{protocol=\"remote_write\",reason=\"invalid\"} 2")
    );
}

#[test]
fn who_pushes_is_told_with_the_last_fault() {
    let server = TestServer::start();
    let body = request("pushed", &[(NOW_MS, 1.0)]).compress();
    let headers = [PROTOBUF, SNAPPY, ("user-agent", "test/1")];
    assert_eq!(server.client.request("POST", "/api/v1/write", &headers, &body).status, 204);
    assert_eq!(server.client.request("POST", "/api/v1/write", &headers, b"nonsense").status, 400);
    let sources = server.client.get("/api/v1/status/push_sources");
    for part in [
        r#""protocol":"remote_write""#,
        r#""userAgent":"test/1""#,
        r#""address":"127.0.0.1""#,
        r#""requests":2"#,
        r#""samples":1"#,
        r#""errors":1"#,
        r#""lastError":"the body is not a snappy block"#,
    ] {
        assert!(sources.text().contains(part), "{part} is not in {}", sources.text());
    }
    let other = server.client.get_with("/api/v1/status/push_sources", &[("X-Scope-OrgID", "other")]);
    assert_eq!(other.text(), r#"{"status":"success","data":[]}"#);
}

#[test]
fn what_is_no_request_is_refused() {
    let server = TestServer::start_with(Settings { write_decompressed_bytes_max: 2_000, ..settings() });
    let check = |body: &[u8], want_status: u16, want_text: &str| {
        let answer = push(&server, body);
        assert_eq!(answer.status, want_status, "{}", answer.text());
        assert!(answer.text().contains(want_text), "{}", answer.text());
    };
    check(b"not snappy", 400, "not a snappy block");
    check(&snap::raw::Encoder::new().compress_vec(b"\xff\xff\xff").expect("small"), 400, "request");
    check(&snap::raw::Encoder::new().compress_vec(&[0; 3_000]).expect("small"), 413, "the limit is 2000");
    check(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00], 400, "the limit is 2000");
    let body = request("pushed", &[]).compress();
    let refused = |headers: &[(&str, &str)], want: &str| {
        let answer = server.client.request("POST", "/api/v1/write", headers, &body);
        assert_eq!((answer.status, answer.text().contains(want)), (415, true), "{}", answer.text());
    };
    refused(&[("content-type", "application/json")], "expected application/x-protobuf");
    let third = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
    refused(&[("content-type", third)], "io.prometheus.write.v3.Request protobuf message is not accepted");
    refused(&[PROTOBUF, ("content-encoding", "br")], "br encoding (compression) is not accepted");
    let oversize = TestServer::start_with(Settings { write_bytes_max: 10, ..settings() });
    assert_eq!(push(&oversize, &body).status, 413);
}

/// Refuses everything in one of three ways, or the first so many batches.
pub(crate) struct Refusing {
    kind: ErrorKind,
    left: AtomicUsize,
    then: Option<Arc<dyn Appender>>,
}

impl Refusing {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, left: AtomicUsize::new(usize::MAX), then: None }
    }

    pub(crate) fn then(kind: ErrorKind, batches: usize, then: Arc<dyn Appender>) -> Self {
        Self { kind, left: AtomicUsize::new(batches), then: Some(then) }
    }
}

impl Appender for Refusing {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let left = self.left.load(Ordering::SeqCst);
        match &self.then {
            Some(then) if left == 0 => return then.append(tenant, batch),
            _ => self.left.store(left - 1, Ordering::SeqCst),
        }
        if self.kind != ErrorKind::Rejected {
            return Err(Error::new(self.kind, "no room"));
        }
        let rejected = batch.floats().map(|(series, timestamp_ms, _)| Rejected {
            series,
            timestamp_ms,
            reason: RejectReason::SeriesLimit,
        });
        Ok(Appended {
            accepted_count: 0,
            duplicate_count: 0,
            created_series_count: 0,
            exemplar_count: 0,
            rejected: rejected.collect(),
            durable: Durability::done(),
        })
    }
}

fn push_to(kind: ErrorKind) -> Answer {
    let server = TestServer::start_closed(settings());
    server.open_with(Arc::new(Refusing::new(kind)), server.storage.clone());
    let samples: Vec<(i64, f64)> = (0..12).map(|i| (i, 0.0)).collect();
    push(&server, &request("pushed", &samples).compress())
}

#[test]
fn refusals_of_storage_tell_whether_to_send_again() {
    let unavailable = push_to(ErrorKind::Unavailable);
    assert_eq!((unavailable.status, unavailable.header("retry-after")), (503, Some("5")));
    let limit = push_to(ErrorKind::Limit);
    assert_eq!((limit.status, limit.text(), limit.header("retry-after")), (429, "no room\n", Some("5")));
    let rejected = push_to(ErrorKind::Rejected);
    assert_eq!(rejected.status, 400);
    let lines: Vec<&str> = rejected.text().lines().collect();
    assert_eq!((lines.len(), lines[0]), (12, "12 samples were refused, all others are written"));
    assert!(
        lines[1].contains("{__name__=\"pushed\", job=\"push\"} at 0: the limit of active series"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[11], "…");
}

#[test]
fn federation_is_sorted_by_name_and_adds_external_labels() {
    let server = TestServer::start();
    let answer = server.client.get("/federate?match[]={job=~%22.%2B%22}&match[]=requests_total&match[]=up");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
    );
    let second = NOW_MS - 1_781;
    assert_eq!(
        answer.text(),
        format!(
            "# TYPE requests_total untyped\n\
             requests_total{{http_status=\"200\",instance=\"\",job=\"never used\",region=\"eu\"}} 1e+21 {NOW_MS}\n\
             # TYPE up untyped\n\
             up{{instance=\"a:9100\",job=\"node\",region=\"eu\"}} 1 {second}\n\
             up{{instance=\"b:9100\",job=\"node\",region=\"eu\"}} 1 {second}\n\
             up{{instance=\"c&d\",job=\"<web>\",region=\"eu\"}} 1 {second}\n"
        )
    );
    let accept = [("accept", "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.9,*/*;q=0.1")];
    let answer = server.client.get_with("/federate?match[]=requests_total", &accept);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    );
    assert!(answer.text().contains("requests_total{\"http.status\"=\"200\","), "{}", answer.text());
    assert_eq!(server.client.get("/federate").text(), "");
    let bad = server.client.get("/federate?match[]=up{");
    assert_eq!(bad.status, 400);
    assert!(bad.text().starts_with("1:4: parse error:"), "{}", bad.text());
}
