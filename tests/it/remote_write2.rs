//! Remote write 2.0 into the real binary, by a small encoder of the tests' own, so that Kymo's decoder is not tested by Kymo's encoder.
//!
//! Source: the remote write 2.0 specification, `io/prometheus/write/v2/types.proto`.

use kymo_tests::server::Kymo;
use kymo_tests::{http, push};

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn message(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut out);
    out
}

/// A request: its symbols, and its series as messages.
fn request(symbols: &[&str], series: &[Vec<u8>]) -> Vec<u8> {
    message(|out| {
        symbols.iter().for_each(|symbol| bytes(out, 4, symbol.as_bytes()));
        series.iter().for_each(|series| bytes(out, 5, series));
    })
}

/// Status and the three headers of what was written, and the text.
fn send(kymo: &Kymo, request: &[u8]) -> (u16, String) {
    let body = snap::raw::Encoder::new().compress_vec(request).expect("compressed");
    let headers = [
        ("Content-Encoding", "snappy"),
        ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        ("X-Prometheus-Remote-Write-Version", "2.0.0"),
    ];
    let answer = http::post(&format!("{}/api/v1/write", kymo.url()), &headers, &body).expect("answered");
    (answer.status, answer.text())
}

fn counter(refs: &[u8], at_ms: u64, value: f64, start_ms: u64) -> Vec<u8> {
    message(|out| {
        bytes(out, 1, refs);
        bytes(
            out,
            2,
            &message(|out| {
                double(out, 1, value);
                number(out, 2, at_ms);
                number(out, 3, start_ms);
            }),
        );
        bytes(
            out,
            4,
            &message(|out| {
                bytes(out, 1, &[7, 8]);
                double(out, 2, 2.5);
                number(out, 3, at_ms);
            }),
        );
        bytes(
            out,
            5,
            &message(|out| {
                number(out, 1, 1);
                number(out, 3, 9);
            }),
        );
    })
}

/// Three observations in buckets up to 1 and 2, one in the zero bucket; integer counts as differences.
fn histogram(refs: &[u8], at_ms: u64, start_ms: u64) -> Vec<u8> {
    message(|out| {
        bytes(out, 1, refs);
        bytes(
            out,
            3,
            &message(|out| {
                number(out, 1, 4);
                double(out, 3, 4.5);
                double(out, 5, 0.001);
                number(out, 6, 1);
                bytes(out, 11, &message(|out| number(out, 2, 2)));
                bytes(out, 12, &[2, 2]);
                number(out, 15, at_ms);
                number(out, 17, start_ms);
            }),
        );
    })
}

#[test]
fn what_a_sender_of_version_two_sends_is_there_after_a_crash() {
    let mut kymo = Kymo::start_with(&["--enable-feature", "use-start-timestamps"]);
    let now_ms = push::now_ms().unsigned_abs();
    let start_ms = now_ms - 60_000;
    let symbols =
        ["", "__name__", "sent_total", "job", "v2", "__name__", "size", "trace_id", "abc", "How many."];
    for round in 0..3u64 {
        // The same series under other numbers each time.
        let mut symbols = symbols.to_vec();
        let padding: Vec<String> = (0..round).map(|at| format!("other{at}")).collect();
        symbols.extend(padding.iter().map(String::as_str));
        symbols.extend(["__name__", "sent_total"]);
        let end = u8::try_from(symbols.len()).expect("few");
        let refs = if round == 0 { [1, 2, 3, 4] } else { [end - 2, end - 1, 3, 4] };
        let at_ms = now_ms - 2_000 + round * 1_000;
        let series =
            [counter(&refs, at_ms, 5.0 + round as f64, start_ms), histogram(&[5, 6, 3, 4], at_ms, start_ms)];
        assert_eq!(send(&kymo, &request(&symbols, &series)), (204, String::new()));
    }
    for round in 0..2 {
        for (query, want) in [
            ("sent_total{job=\"v2\"}", 7.0),
            ("count_over_time(sent_total[5m])", 3.0),
            ("start_timestamp(sent_total)", start_ms as f64 / 1000.0),
            ("start_timestamp(size)", start_ms as f64 / 1000.0),
            ("timestamp(sent_total)", now_ms as f64 / 1000.0),
            ("histogram_count(size{job=\"v2\"})", 4.0),
            ("histogram_sum(size)", 4.5),
            ("histogram_fraction(0, 1, size) > bool 0.3", 1.0),
            ("count({job=\"v2\"})", 2.0),
        ] {
            assert_eq!(kymo.wait_for_value(query), want, "{query}, round {round}");
        }
        let found = http::api(&kymo.url(), "/api/v1/query_exemplars", &[("query", "sent_total")]);
        let found = found.expect("exemplars");
        assert_eq!(found[0]["exemplars"][0]["labels"]["trace_id"], "abc", "{found}");
        let metadata = http::api(&kymo.url(), "/api/v1/metadata", &[("metric", "sent_total")]);
        assert_eq!(metadata.expect("metadata")["sent_total"][0]["help"], "How many.");
        kymo.crash_and_restart();
    }
}

#[test]
fn bad_items_are_named_and_the_good_ones_are_in() {
    let kymo = Kymo::start();
    let now_ms = push::now_ms().unsigned_abs();
    let long = "x".repeat(70_000);
    let symbols = ["", "__name__", "good", "bad\u{0}", "a", "b", &long, "trace_id", "abc", "How many."];
    let series = [
        counter(&[1, 2], now_ms, 1.0, 0),
        counter(&[1, 2, 4], now_ms, 1.0, 0),
        counter(&[1, 2, 4, 99], now_ms, 1.0, 0),
        counter(&[4, 5], now_ms, 1.0, 0),
        counter(&[1, 2, 4, 5, 4, 2], now_ms, 1.0, 0),
        counter(&[1, 2, 4, 6], now_ms, 1.0, 0),
        counter(&[1, 2, 5, 5], u64::MAX >> 1, 1.0, 0),
        counter(&[1, 2, 5, 4], 1, 1.0, 0),
    ];
    let (status, text) = send(&kymo, &request(&symbols, &series));
    assert_eq!(status, 400, "{text}");
    for part in [
        "7 samples were refused, all others are written",
        "3 references",
        "reference 99 of 10 symbols",
        "the metric name is missing",
        "label name \"a\" is not unique",
        "exceed a limit",
        "out of range",
        "too old",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(kymo.wait_for_value("count({__name__=\"good\"})"), 1.0);
    for body in [&b"\xff\xff"[..], b"\x2a\x10", b"\x22\x10abc"] {
        assert_eq!(send(&kymo, body).0, 400);
    }
    assert_eq!(kymo.wait_for_value("good"), 1.0);
}
