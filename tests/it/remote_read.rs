//! Prometheus reads what Kymo stores, and answers from it as Kymo does.

use kymo_tests::peer::Peer;
use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};
use serde_json::Value;

const SERIES: usize = 300;
const SAMPLES: usize = 400;
const INTERVAL_MS: i64 = 1_000;
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Counters, gauges, infinities and staleness markers over the last minutes.
fn series(end_ms: i64) -> Vec<Series> {
    let value = |series: usize, at: usize| match (series % 4, at) {
        (0, _) => (series * 1_000 + at * 7) as f64,
        (1, _) => ((at * 7_919 + series) % 1_000) as f64 / 8.0 - 60.0,
        (2, 100) => f64::INFINITY,
        (2, 200) => f64::NAN,
        (3, at) if at >= 300 => f64::from_bits(STALE_BITS),
        _ => 0.1 * series as f64,
    };
    (0..SERIES)
        .map(|number| {
            let labels = [
                ("__name__", "read"),
                ("kind", &*(number % 4).to_string()),
                ("number", &*number.to_string()),
            ];
            let samples: Vec<(i64, f64)> = (0..SAMPLES)
                .map(|at| (end_ms - ((SAMPLES - at) as i64) * INTERVAL_MS, value(number, at)))
                // After the staleness marker nothing comes.
                .take(if number % 4 == 3 { 301 } else { SAMPLES })
                .collect();
            Series::new(&labels, &samples)
        })
        .collect()
}

fn kymo_with_data(external_labels: &str, end_ms: i64) -> Kymo {
    let kymo = Kymo::start_configured(&format!("global: {{scrape_interval: 1h{external_labels}}}\n"));
    for batch in series(end_ms).chunks(50) {
        let response = push::send(&kymo.url(), batch).expect("answered");
        assert_eq!(response.status / 100, 2, "{}", response.text());
    }
    kymo
}

/// Sorted by labels, so that results can be compared.
fn sorted(mut result: Value) -> Value {
    if let Some(list) = result.as_array_mut() {
        list.sort_by_key(|one| one["metric"].to_string());
    }
    result
}

#[test]
fn prometheus_answers_from_what_kymo_stores() {
    let end_ms = push::now_ms() - 5_000;
    let kymo = kymo_with_data("", end_ms);
    let prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1h}}\nremote_read:\n  - url: {}/api/v1/read\n    read_recent: true\n",
        kymo.url()
    ));
    let end = format!("{:.3}", end_ms as f64 / 1e3 + 0.5);
    let start = format!("{:.3}", end_ms as f64 / 1e3 - 299.5);
    for query in [
        "read",
        "read{kind=\"0\", number=~\"1.*\"}",
        "count by (kind) (read)",
        "sum by (kind) (changes(read{kind!~\"2|3\"}[1m]))",
        "max_over_time(read{kind=\"2\"}[5m])",
        "read{kind=\"3\"} offset 1m",
        "no_such_metric",
    ] {
        for (path, parameters) in [
            ("/api/v1/query", &[("query", query), ("time", &*end)][..]),
            (
                "/api/v1/query_range",
                &[("query", query), ("start", &*start), ("end", &*end), ("step", "10")][..],
            ),
        ] {
            let ours = http::api(&kymo.url(), path, parameters).expect("Kymo answers");
            let theirs = http::api(&prometheus.url(), path, parameters).expect("Prometheus answers");
            assert_eq!(sorted(ours["result"].clone()), sorted(theirs["result"].clone()), "{path} {query}");
        }
    }
    let labels = http::api(&prometheus.url(), "/api/v1/series", &[("match[]", "read{number=\"7\"}")]);
    assert_eq!(labels.expect("answered")[0]["number"], "7");
    let counted = http::get(&format!("{}/metrics", kymo.url())).expect("answered").text();
    let reads = counted.lines().find(|line| line.contains("/api/v1/read") && line.contains("code=\"200\""));
    assert!(reads.is_some(), "reads are counted");
}

#[test]
fn labels_that_everything_leaves_with_are_added_and_asked_for() {
    let kymo = kymo_with_data(", external_labels: {region: north}", push::now_ms());
    let prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1h, external_labels: {{region: north}}}}\nremote_read:\n  - url: {}/api/v1/read\n    read_recent: true\n",
        kymo.url()
    ));
    // Prometheus adds its own external labels to the matchers, and takes them out of the answer again.
    let found = poll::until("an answer", || http::single_value(&prometheus.url(), "count(read{kind=\"1\"})"));
    assert!((found - SERIES as f64 / 4.0).abs() < 0.5, "{found}");
}

/// A request by hand for all samples in one message, as older clients send it.
#[test]
fn samples_come_in_one_message_for_who_asks_so() {
    let end_ms = push::now_ms();
    let kymo = kymo_with_data(", external_labels: {region: north}", end_ms);
    // Query 1: from 0 to the far future, `number="0"`; no accepted response types.
    let mut query = vec![0x10];
    let mut end = (end_ms + 1_000).cast_unsigned();
    while end >= 0x80 {
        query.push((end & 0x7f) as u8 | 0x80);
        end >>= 7;
    }
    query.push(end as u8);
    query.extend_from_slice(&[0x1a, 11, 0x12, 6]);
    query.extend_from_slice(b"number");
    query.extend_from_slice(&[0x1a, 1]);
    query.push(b'0');
    let mut request = vec![0x0a, query.len() as u8];
    request.extend_from_slice(&query);
    let body = snap::raw::Encoder::new().compress_vec(&request).expect("compressed");
    let url = format!("{}/api/v1/read", kymo.url());
    let response = http::post(&url, &[("Content-Type", "application/x-protobuf")], &body).expect("answered");
    assert_eq!(
        (response.status, response.content_type.as_str()),
        (200, "application/x-protobuf"),
        "{}",
        response.text()
    );
    let message = snap::raw::Decoder::new().decompress_vec(&response.body).expect("a snappy block");
    let contains = |text: &[u8]| message.windows(text.len()).any(|part| part == text);
    assert!(contains(b"__name__") && contains(b"read") && contains(b"region") && contains(b"north"));
    // Each sample takes at least 16 bytes: tag and length, tag and value, tag and time.
    assert!(message.len() > SAMPLES * 16, "{} bytes", message.len());
}

#[test]
fn bad_requests_are_refused_in_plain_text() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let url = format!("{}/api/v1/read", kymo.url());
    let compressed = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).expect("compressed");
    for (what, body, part) in [
        ("no snappy", b"\xff\xff\xff\xffnonsense".to_vec(), "snappy"),
        ("no protobuf", compressed(b"\x0a\xff"), "not a prometheus.ReadRequest"),
        (
            "an unknown form of answer",
            compressed(b"\x10\x07"),
            "does not support any of the requested response types",
        ),
        ("a bad expression", compressed(b"\x0a\x0a\x1a\x08\x08\x02\x12\x01a\x1a\x01("), "matcher a"),
        ("a huge request", vec![0; 2 << 20], "larger than the limit"),
    ] {
        let response = http::post(&url, &[], &body).expect("answered");
        assert_eq!(response.status / 100, 4, "{what}: {}", response.text());
        assert!(response.text().contains(part), "{what}: {part:?} is missing in {}", response.text());
        assert!(response.content_type.starts_with("text/plain"), "{what}: {}", response.content_type);
    }
}
