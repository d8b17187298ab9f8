//! `/api/v1/export/native` of one server into `/api/v1/import/native` of another, and through the command line: floats, staleness markers, native
//! histograms, start timestamps, exemplars and metadata are the same on both sides.

use std::process::Command;

use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use kymo_tests::{http, paths};
use serde_json::json;

const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;
const CONFIG: &str = "global: {scrape_interval: 1h}\n";

/// A server with every kind of sample.
fn kymo_with_everything(now_ms: i64) -> Kymo {
    let kymo = Kymo::start_configured(CONFIG);
    let floats: Vec<Series> = (0..200)
        .map(|number| {
            let labels = [("__name__", "floats"), ("number", &*number.to_string()), ("text", "a,\"b\" ü")];
            let value = |at: i64| match at % 7 {
                0 => f64::NAN,
                1 => f64::from_bits(STALE_BITS),
                2 => f64::NEG_INFINITY,
                _ => 0.1 * at as f64 + f64::from(number),
            };
            let samples: Vec<_> = (0..300).map(|at| (now_ms - (400 - at) * 1_000, value(at))).collect();
            Series::new(&labels, &samples)
        })
        .collect();
    assert_eq!(push::send(&kymo.url(), &floats).expect("answered").status, 204);
    // Starts by JSON lines; histograms, exemplars and metadata as exporters show them.
    let line = json!({
        "metric": {"__name__": "begun_total", "job": "a"}, "values": [1, 2, 3],
        "timestamps": [now_ms - 3_000, now_ms - 2_000, now_ms - 1_000],
        "startTimestamps": [0, now_ms - 9_000, now_ms - 9_000],
    });
    let taken = http::post(&format!("{}/api/v1/import", kymo.url()), &[], line.to_string().as_bytes());
    assert_eq!(taken.expect("answered").status, 204);
    let text = format!(
        "# TYPE latency histogram\n# HELP latency how long it takes\n\
         latency_bucket{{le=\"1.0\"}} 2 {time} # {{trace_id=\"abc\"}} 0.5 {time}\n\
         latency_bucket{{le=\"+Inf\"}} 3 {time}\nlatency_count 3 {time}\nlatency_sum 4.5 {time}\n# EOF\n",
        time = (now_ms - 5_000) as f64 / 1e3
    );
    let open = [("Content-Type", "application/openmetrics-text")];
    let taken = http::post(&format!("{}/api/v1/import/prometheus", kymo.url()), &open, text.as_bytes())
        .expect("answered");
    assert_eq!(taken.status, 204, "{}", taken.text());
    push_native_histograms(&kymo, now_ms);
    kymo
}

/// By OTLP, whose exponential histograms become native ones, each with its start and an exemplar.
fn push_native_histograms(kymo: &Kymo, now_ms: i64) {
    let ns = |ms: i64| (i128::from(ms) * 1_000_000).to_string();
    let point = |at: i64| {
        json!({
            "startTimeUnixNano": ns(now_ms - 60_000), "timeUnixNano": ns(now_ms - 10_000 + at * 1_000),
            "count": (10 + at).to_string(), "sum": 20.5, "scale": 2, "zeroCount": "1",
            "positive": {"offset": 3, "bucketCounts": ["4", (5 + at).to_string()]},
            "exemplars": [{"timeUnixNano": ns(now_ms - 10_000 + at * 1_000), "asDouble": 2.0, "spanId": "0102030405060708", "traceId": "0102030405060708090a0b0c0d0e0f10"}],
        })
    };
    let points: Vec<_> = (0..8).map(point).collect();
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{
        "name": "sizes", "description": "how large", "unit": "By",
        "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": points},
    }]}]}]});
    let json_type = [("Content-Type", "application/json")];
    let url = format!("{}/api/v1/otlp/v1/metrics", kymo.url());
    let taken = http::post(&url, &json_type, body.to_string().as_bytes()).expect("answered");
    assert_eq!(taken.status, 200, "{}", taken.text());
}

/// Exemplars and metadata, as the API tells them.
fn told(kymo: &Kymo, now_ms: i64) -> [serde_json::Value; 2] {
    let (start, end) = (((now_ms - 600_000) / 1_000).to_string(), (now_ms / 1_000 + 60).to_string());
    let parameters = [("query", "{__name__=~\".+\"}"), ("start", &*start), ("end", &end)];
    let exemplars = http::api(&kymo.url(), "/api/v1/query_exemplars", &parameters).expect("exemplars");
    let metadata = http::api(&kymo.url(), "/api/v1/metadata", &[]).expect("metadata");
    [exemplars, metadata]
}

/// Every sample with all its digits and its start, of a server that is stopped for it.
fn dump(kymo: &mut Kymo) -> Vec<String> {
    assert!(kymo.process().terminate(std::time::Duration::from_secs(60)).success());
    run(&["tsdb", "dump", &data(kymo), "--match", EXPORTED]).lines().map(str::to_owned).collect()
}

const EXPORTED: &str = "{__name__=~\".+\"}";

fn data(kymo: &Kymo) -> String {
    kymo.folder().join("data").display().to_string()
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(paths::kymo_binary()).args(arguments).output().expect("started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

fn export(kymo: &Kymo) -> Vec<u8> {
    let exported =
        http::get_with(&kymo.url(), "/api/v1/export/native", &[("match[]", EXPORTED), ("match[]", "floats")]);
    let exported = exported.expect("answered");
    assert_eq!(exported.status, 200, "{}", exported.text());
    assert_eq!(exported.content_type, "application/vnd.kymo.export");
    exported.body
}

fn import(kymo: &Kymo, body: &[u8]) -> http::Response {
    http::post(&format!("{}/api/v1/import/native", kymo.url()), &[], body).expect("answered")
}

#[test]
fn everything_of_a_server_is_in_the_other() {
    let now_ms = push::now_ms();
    let mut kymo = kymo_with_everything(now_ms);
    let body = export(&kymo);
    let mut other = Kymo::start_configured(CONFIG);
    for _ in 0..2 {
        let taken = import(&other, &body);
        assert_eq!(taken.status, 204, "{}", taken.text());
    }
    let told_here = told(&kymo, now_ms);
    assert_eq!(told(&other, now_ms), told_here);
    let exemplars = told_here[0].to_string();
    assert!(exemplars.contains("trace_id") && exemplars.contains("\"abc\""), "{exemplars}");
    assert!(told_here[1].to_string().contains("how long it takes"), "{}", told_here[1]);
    let want = dump(&mut kymo);
    assert_eq!(want.iter().filter(|line| line.contains("__name__=\"floats\"")).count(), 200 * 300);
    assert_eq!(want.iter().filter(|line| line.contains(" st@")).count(), 2 + 8, "starts");
    assert_eq!(want.iter().filter(|line| line.contains("\"schema\":2")).count(), 8, "native histograms");
    assert!(dump(&mut other) == want, "other samples than were exported");
    // Folders by the command line: out of the one, into a new one, which a server then opens.
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, fresh) = (path("all.kymo"), path("fresh"));
    let said = run(&["tsdb", "export", &data(&kymo), &file, "--format", "native", "--match", EXPORTED]);
    assert!(said.starts_with(&format!("{} samples written", want.len())), "{said}");
    let state = path("state");
    run(&["tsdb", "import", &fresh, &file, "--state", &state]);
    let again: Vec<String> =
        run(&["tsdb", "dump", &fresh, "--match", EXPORTED]).lines().map(str::to_owned).collect();
    assert!(again == want, "other samples than were exported to the file");
    let opened = Kymo::start_with(&[]);
    let taken = import(&opened, &std::fs::read(&file).expect("read"));
    assert_eq!(taken.status, 204, "{}", taken.text());
    assert_eq!(opened.wait_for_value("count(last_over_time(begun_total[1h]))"), 1.0);
}

#[test]
fn damage_is_named_and_what_stands_before_it_is_in() {
    let now_ms = push::now_ms();
    let kymo = kymo_with_everything(now_ms);
    let body = export(&kymo);
    let other = Kymo::start_configured(CONFIG);
    let check = |body: &[u8], status: u16, part: &str| {
        let taken = import(&other, body);
        assert!(taken.status == status && taken.text().contains(part), "{} {}", taken.status, taken.text());
    };
    check(b"", 400, "this is no native export of Kymo");
    check(b"{\"metric\":{}}", 400, "this is no native export of Kymo");
    check(b"KYMOEXP7", 400, "this native export is of version 7; this Kymo reads version 1");
    let mut damaged = body.clone();
    let last = damaged.len() - 20;
    damaged[last] ^= 1;
    check(&damaged, 400, "its checksum is wrong");
    check(&damaged, 400, "samples before that are written");
    check(&body[..body.len() - 1], 400, "the export is cut off here, before its end");
    let gzip = [("Content-Encoding", "gzip")];
    let url = format!("{}/api/v1/import/native", other.url());
    assert_eq!(http::post(&url, &gzip, &body).expect("answered").status, 415);
    // What stood before the damage is there.
    let at = format!("{:.3}", now_ms as f64 / 1e3);
    let count = http::api(
        &other.url(),
        "/api/v1/query",
        &[("query", "count(count_over_time(floats[1h]))"), ("time", &at)],
    );
    assert_eq!(count.expect("answered")["result"][0]["value"][1], "200");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.kymo");
    #[expect(clippy::disallowed_methods, reason = "a fixture needs no crash guarantee")]
    std::fs::write(&path, &damaged).expect("written");
    let fresh = folder.path().join("fresh");
    let output = Command::new(paths::kymo_binary())
        .args(["tsdb", "import"])
        .args([&fresh, &path])
        .current_dir(folder.path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("its checksum is wrong"), "{said}");
}
