//! Native histograms from an exporter that speaks protobuf, asked for and queried through the real binary.

use kymo_tests::exporter::Exporter;
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};

/// A field with content behind its length, which must be short.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let len = u8::try_from(content.len()).ok().filter(|len| *len < 128).expect("short");
    [&[number << 3 | 2, len], content].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_bits().to_le_bytes()].concat()
}

/// `latency_seconds{path="/"}`: 2 observations in (1, 2], 4 in (2, 4], 2 in (4, 8], with an exemplar in 1970.
fn native_histogram() -> Vec<u8> {
    let span = [1 << 3, 2, 2 << 3, 3];
    let exemplar = [
        field(1, &[field(1, b"trace_id"), field(2, b"abc")].concat()),
        double(2, 3.0),
        field(3, &[1 << 3, 100]),
    ];
    let histogram = [
        vec![1 << 3, 8],
        double(2, 25.0),
        vec![5 << 3, 0],
        field(12, &span),
        // The differences +2, +2, -2 as sint64.
        field(13, &[4, 4, 3]),
        // The tag of field 16 takes two bytes.
        [&[0x82, 0x01, u8::try_from(exemplar.concat().len()).expect("short")][..], &exemplar.concat()]
            .concat(),
    ];
    let label = [field(1, b"path"), field(2, b"/")].concat();
    let metric = [field(1, &label), field(7, &histogram.concat())].concat();
    let family =
        [field(1, b"latency_seconds"), field(2, b"How long."), vec![3 << 3, 4], field(4, &metric)].concat();
    [&[u8::try_from(family.len()).expect("short")][..], &family].concat()
}

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

#[test]
fn a_native_histogram_is_scraped_queried_and_still_described_after_a_restart() {
    let exporter = Exporter::start(PROTOBUF, native_histogram());
    let mut kymo = Kymo::start_configured(&format!(
        "global: {{scrape_interval: 1s, scrape_native_histograms: true}}\nscrape_configs:\n  - job_name: app\n    static_configs: [{{targets: ['{}']}}]\n",
        exporter.address()
    ));
    kymo.wait_until("histogram_count(latency_seconds{job=\"app\",path=\"/\"})", 8.0);
    kymo.wait_until("histogram_sum(latency_seconds)", 25.0);
    kymo.wait_until("histogram_fraction(2, 4, latency_seconds)", 0.5);
    let head = exporter.requests()[0].to_lowercase();
    assert!(head.contains("accept: application/vnd.google.protobuf;"), "{head}");
    let asked = [("query", "latency_seconds"), ("start", "0"), ("end", "1000")];
    let check = |kymo: &Kymo| {
        let known =
            http::api(&kymo.url(), "/api/v1/metadata", &[("metric", "latency_seconds")]).expect("answered");
        assert_eq!(known["latency_seconds"][0]["type"], "histogram", "{known}");
        assert_eq!(known["latency_seconds"][0]["help"], "How long.", "{known}");
        let found = http::api(&kymo.url(), "/api/v1/query_exemplars", &asked).expect("answered");
        assert_eq!(found[0]["exemplars"][0]["labels"]["trace_id"], "abc", "{found}");
        assert_eq!(found[0]["exemplars"].as_array().map(Vec::len), Some(1), "{found}");
    };
    poll::until("two scrapes", || match exporter.requests().len() {
        0..3 => Err("too few".to_owned()),
        _ => Ok(()),
    });
    check(&kymo);
    // The target is gone afterwards: what is known then is what was kept.
    kymo.write_config("global: {scrape_interval: 1s}\n");
    kymo.restart();
    check(&kymo);
    kymo.crash_and_restart();
    check(&kymo);
}

#[test]
fn a_native_histogram_can_be_pushed_as_exporters_expose_it() {
    let kymo = Kymo::start();
    let url = format!("{}/api/v1/import/prometheus", kymo.url());
    let answer = http::post(&url, &[("content-type", PROTOBUF)], &native_histogram()).expect("answered");
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    assert_eq!(kymo.wait_for_value("histogram_count(latency_seconds{path=\"/\"})"), 8.0);
    let cut = &native_histogram()[..20];
    let answer = http::post(&url, &[("content-type", PROTOBUF)], cut).expect("answered");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("metric family number 1: the message is cut off"), "{}", answer.text());
}
