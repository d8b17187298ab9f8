//! Remote write 2.0: what is stored, and what the sender is told.

use api::Settings;
use model::{BucketSpan, Exemplar, FloatHistogram, Labels, Metadata, MetricType};
use wire::protobuf::Writer;
use wire::remote_write2::encode::{Encoder, SeriesContent};

use crate::client::Answer;
use crate::server::{NOW_MS, TestServer, settings};

const HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "2.0.0"),
];

fn push(server: &TestServer, encoder: &Encoder) -> Answer {
    server.client.request("POST", "/api/v1/write", &HEADERS, &encoder.compress())
}

fn written(answer: &Answer) -> [Option<&str>; 3] {
    ["samples", "histograms", "exemplars"]
        .map(|kind| answer.header(&format!("x-prometheus-remote-write-{kind}-written")))
}

fn histogram() -> FloatHistogram {
    FloatHistogram {
        count: 3.0,
        sum: 1.5,
        positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
        positive_buckets: vec![3.0],
        ..FloatHistogram::default()
    }
}

#[test]
fn what_is_pushed_is_there_afterwards_and_counted_in_the_answer() {
    let server = TestServer::start();
    let exemplar = |value| Exemplar {
        labels: Labels::from_pairs([("trace_id", "abc")]),
        value,
        timestamp_ms: Some(NOW_MS),
    };
    let metadata =
        Metadata { metric_type: MetricType::Counter, unit: String::new(), help: "Second.".to_owned() };
    for round in 0..2 {
        let mut encoder = Encoder::new();
        if round == 1 {
            // The same labels under other numbers.
            encoder.series([("__name__", "other"), ("job", "pushed_total")], SeriesContent::default());
        }
        encoder.series(
            [("__name__", "pushed_total"), ("job", "v2")],
            SeriesContent {
                floats: &[(NOW_MS - 1_000, 1.5, NOW_MS - 60_000), (NOW_MS + round, 2.5, NOW_MS - 60_000)],
                exemplars: &[exemplar(1.0), exemplar(2.0)],
                metadata: Some(&metadata),
                ..SeriesContent::default()
            },
        );
        encoder.series(
            [("__name__", "size"), ("job", "v2")],
            SeriesContent { histograms: &[(NOW_MS, histogram(), 0)], ..SeriesContent::default() },
        );
        let answer = push(&server, &encoder);
        assert_eq!((answer.status, answer.text()), (204, ""));
        assert_eq!(written(&answer), [Some("2"), Some("1"), Some("2")]);
    }
    let series = server.client.get("/api/v1/series?match[]={job=\"v2\"}");
    assert_eq!(
        series.text(),
        r#"{"status":"success","data":[{"__name__":"pushed_total","job":"v2"},{"__name__":"size","job":"v2"}]}"#
    );
    let count = server.client.get("/api/v1/query?query=histogram_count(size)");
    assert!(count.text().contains("\"3\""), "{}", count.text());
    assert!(server.client.get("/api/v1/metadata?metric=pushed_total").text().contains("Second."));
    assert!(server.client.get("/api/v1/query_exemplars?query=pushed_total").text().contains("abc"));
    let sources = server.client.get("/api/v1/status/push_sources");
    assert!(sources.text().contains(r#""protocol":"remote_write2""#), "{}", sources.text());
}

#[test]
fn of_a_partial_write_the_sender_learns_what_was_written() {
    let server = TestServer::start();
    let floats = &[(NOW_MS, 1.0, 0)][..];
    let content = SeriesContent { floats, ..SeriesContent::default() };
    let mut encoder = Encoder::new();
    encoder
        .series([("__name__", "good")], content)
        .series([("job", "nameless")], content)
        .series_of_refs(&[1, 99], content)
        .series([("__name__", "twice"), ("a", "1"), ("a", "2")], content)
        .series(
            [("__name__", "b"), ("__name__", "c")],
            SeriesContent { histograms: &[(NOW_MS, histogram(), 0)], ..SeriesContent::default() },
        );
    let answer = push(&server, &encoder);
    assert_eq!(answer.status, 400);
    assert_eq!(written(&answer), [Some("1"), Some("0"), Some("0")]);
    for part in
        ["4 samples were refused", "the metric name is missing", "reference 99 of", "\"a\" is not unique"]
    {
        assert!(answer.text().contains(part), "{part:?} is not in {}", answer.text());
    }
    assert!(server.client.get("/api/v1/query?query=good").text().contains("\"1\""));
}

#[test]
fn what_is_no_request_is_refused_with_nothing_written() {
    let server = TestServer::start_with(Settings { write_decompressed_bytes_max: 2_000, ..settings() });
    let check = |body: &[u8], want_status: u16, want_text: &str| {
        let answer = server.client.request("POST", "/api/v1/write", &HEADERS, body);
        assert_eq!(answer.status, want_status, "{}", answer.text());
        assert!(answer.text().contains(want_text), "{}", answer.text());
        assert_eq!(written(&answer), [Some("0"); 3]);
    };
    let compressed = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).expect("small");
    check(b"not snappy", 400, "not a snappy block");
    check(&compressed(b"\x2a\x05\x0a"), 400, "cut off");
    check(&compressed(&[0; 3_000]), 413, "the limit is 2000");
    let mut sample = Writer::new();
    sample.varint_always(2, 1);
    let mut cut = sample.as_bytes().to_vec();
    cut.pop();
    let (mut series, mut request) = (Writer::new(), Writer::new());
    series.bytes(2, &cut);
    request.bytes(5, series.as_bytes());
    check(&compressed(request.as_bytes()), 400, "time series number 1");
    let long = "x".repeat(1_200_000);
    let large = TestServer::start();
    let mut encoder = Encoder::new();
    let content = SeriesContent { floats: &[(NOW_MS, 1.0, 0)], ..SeriesContent::default() };
    encoder.series([("__name__", "a"), ("b", &long)], content);
    let answer = push(&large, &encoder);
    assert_eq!((answer.status, answer.text().contains("too long")), (400, true), "{}", answer.text());
}

#[test]
fn both_versions_come_in_zstd_as_well_and_vmagent_may_ask() {
    let server = TestServer::start();
    let mut encoder = Encoder::new();
    encoder.series(
        [("__name__", "packed")],
        SeriesContent { floats: &[(NOW_MS, 7.0, 0)], ..SeriesContent::default() },
    );
    let body = zstd::encode_all(encoder.to_bytes().as_slice(), 1).expect("compressed");
    let headers = [HEADERS[0], ("content-encoding", "zstd")];
    assert_eq!(server.client.request("POST", "/api/v1/write", &headers, &body).status, 204);
    assert!(server.client.get("/api/v1/query?query=packed").text().contains("\"7\""));
    let asked = server.client.get("/api/v1/write?get_vm_proto_version=1");
    assert_eq!((asked.status, asked.text()), (200, "1"));
    assert_eq!(server.client.get("/api/v1/write").status, 405);
}
