//! `stats=all`: the same words in the same order as a real Prometheus, and the same counts of samples.

use kymo_tests::http;
use kymo_tests::peer::Peer;
use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;

const MINUTE_MS: i64 = 60_000;

/// Float series a minute apart, one of which ends in the middle.
fn series(start_ms: i64) -> Vec<Series> {
    let samples = |minutes: i64| -> Vec<(i64, f64)> {
        (0..minutes).map(|at| (start_ms + at * MINUTE_MS, at as f64 * 1.5)).collect()
    };
    let one = |name: &str, i: &str, minutes| Series::new(&[("__name__", name), ("i", i)], &samples(minutes));
    vec![one("x_total", "1", 60), one("x_total", "2", 60), one("x_total", "3", 30), one("y", "1", 60)]
}

const QUERIES: &[&str] = &[
    "x_total",
    "x_total{i=\"9\"}",
    "1 + 1",
    "vector(1)",
    "sum(x_total)",
    "sum by (i) (x_total) / on (i) y",
    "x_total and y or y unless x_total",
    "rate(x_total[5m])",
    "rate(x_total[5m] offset 7m)",
    "sum(rate(x_total[5m])) + sum(rate(x_total[5m]))",
    "quantile_over_time(0.5, x_total[7m])",
    "stddev_over_time(x_total[10m])",
    "absent_over_time(x_total[10m])",
    "topk(1, x_total)",
    "absent(x_total)",
    "timestamp(x_total)",
    "label_replace(x_total, \"j\", \"$1\", \"i\", \"(.*)\")",
];

/// The statistics as they were sent, numbers of no interest blanked, and the counts of samples.
fn stats(url: &str, path: &str) -> (String, String) {
    let text = http::get(&format!("{url}{path}&stats=all")).expect("answered").text();
    let (_, stats) = text.split_once("\"stats\":").unwrap_or_else(|| panic!("no statistics: {text}"));
    let (timings, samples) = stats.split_once("\"samples\":").expect("samples");
    let (samples, peak) = samples.split_once(",\"peakSamples\":").expect("a peak");
    let shape: String = timings.chars().filter(|c| !(c.is_ascii_digit() || ".e-+".contains(*c))).collect();
    let end: String = peak.chars().filter(|c| !c.is_ascii_digit()).collect();
    (shape + &end, samples.to_owned())
}

#[test]
fn statistics_are_those_of_prometheus() {
    let kymo = Kymo::start_with(&[]);
    let prometheus = Peer::prometheus_with("", &["--enable-feature=promql-per-step-stats"]);
    let start_ms = push::now_ms() / MINUTE_MS * MINUTE_MS - 90 * MINUTE_MS;
    for url in [kymo.url(), prometheus.url()] {
        let answer = push::send(&url, &series(start_ms)).expect("answered");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    // No step is a multiple of a minute: windows of Prometheus before 3 have a sample that lies on their left end.
    let (start_s, end_s) = (start_ms / 1_000 + 607, start_ms / 1_000 + 3_000);
    let mut different = Vec::new();
    for query in QUERIES {
        let query = http::escape(query);
        for path in [
            format!("/api/v1/query?query={query}&time={end_s}.5"),
            format!("/api/v1/query_range?query={query}&start={start_s}&end={end_s}&step=130"),
            format!("/api/v1/query_range?query={query}&start={start_s}.25&end={end_s}&step=17.5"),
        ] {
            let (ours, theirs) = (stats(&kymo.url(), &path), stats(&prometheus.url(), &path));
            if ours != theirs {
                different.push(format!("{path}\n  kymo       {ours:?}\n  prometheus {theirs:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
