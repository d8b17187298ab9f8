//! Whatever is sent, the answer is a clear error with its status, and nothing else is harmed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use kymo_tests::exporter::Exporter;
use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};

#[track_caller]
fn check(kymo: &Kymo, path: &str, parameters: &[(&str, &str)], status: u16, kind: &str, part: &str) {
    let response = http::get_with(&kymo.url(), path, parameters).expect("answered");
    assert_eq!(response.status, status, "{path} {parameters:?}: {}", response.text());
    let answer = response.json();
    assert_eq!(answer["errorType"], kind, "{path} {parameters:?}: {answer}");
    let error = answer["error"].as_str().expect("a text");
    assert!(error.contains(part), "{path} {parameters:?}: {part:?} is missing in {error:?}");
}

#[test]
fn bad_parameters_get_prometheus_errors() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let query = "/api/v1/query";
    check(&kymo, query, &[], 400, "bad_data", "query");
    check(&kymo, query, &[("query", "sum(")], 400, "bad_data", "1:5: parse error");
    check(&kymo, query, &[("query", "up{a=~\"(\"}")], 400, "bad_data", "missing closing )");
    check(
        &kymo,
        query,
        &[("query", "up"), ("time", "yesterday")],
        400,
        "bad_data",
        "cannot parse \"yesterday\" to a valid timestamp",
    );
    check(&kymo, query, &[("query", "up"), ("time", "1e300")], 400, "bad_data", "timestamp");
    check(&kymo, query, &[("query", "up"), ("timeout", "-1")], 400, "bad_data", "timeout");
    check(&kymo, query, &[("query", "up"), ("limit", "-1")], 400, "bad_data", "limit");
    check(&kymo, query, &[("query", &"(".repeat(10_000))], 400, "bad_data", "parse error");
    let range = "/api/v1/query_range";
    let ask = |start: &'static str, end: &'static str, step: &'static str| {
        [("query", "up"), ("start", start), ("end", end), ("step", step)]
    };
    check(
        &kymo,
        range,
        &ask("0", "10", "0"),
        400,
        "bad_data",
        "zero or negative query resolution step widths are not accepted",
    );
    check(&kymo, range, &ask("0", "10", "-1"), 400, "bad_data", "step");
    check(&kymo, range, &ask("10", "0", "1"), 400, "bad_data", "end timestamp must not be before start time");
    check(
        &kymo,
        range,
        &ask("0", "11001", "1"),
        400,
        "bad_data",
        "exceeded maximum resolution of 11,000 points",
    );
    check(&kymo, range, &ask("NaN", "10", "1"), 400, "bad_data", "start");
    check(&kymo, range, &ask("0", "10", "1e-9"), 400, "bad_data", "step");
    check(&kymo, "/api/v1/series", &[], 400, "bad_data", "no match[] parameter provided");
    check(
        &kymo,
        "/api/v1/series",
        &[("match[]", "{}")],
        400,
        "bad_data",
        "must contain at least one non-empty matcher",
    );
    check(&kymo, "/api/v1/labels", &[("start", "x")], 400, "bad_data", "start");
    check(&kymo, "/api/v1/label/not-valid%21/values", &[("limit", "x")], 400, "bad_data", "limit");
    check(
        &kymo,
        query,
        &[("query", "label_replace(up, \"~~\", \"$1\", \"job\", \"(\")")],
        422,
        "execution",
        "invalid",
    );
    let federate = http::get(&format!("{}/federate?match[]=%7B", kymo.url())).expect("answered");
    assert_eq!(federate.status, 400, "{}", federate.text());
    let unknown = http::get(&format!("{}/api/v1/no_such_thing", kymo.url())).expect("answered");
    assert_eq!(unknown.status, 404);
    let tenant = http::post(&format!("{}/api/v1/query", kymo.url()), &[("X-Scope-OrgID", "../etc")], b"")
        .expect("answered");
    assert_eq!(tenant.status, 400, "{}", tenant.text());
}

#[test]
fn bad_writes_are_refused_and_good_ones_beside_them_are_kept() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let (url, now_ms) = (kymo.url(), push::now_ms());
    let write = format!("{url}/api/v1/write");
    for (what, body) in [
        ("not snappy", b"\xff\xff\xff\xffnot snappy".to_vec()),
        ("a bomb", vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]),
        ("not protobuf", snap::raw::Encoder::new().compress_vec(b"\x0a\xff\xff\xff").expect("compressed")),
    ] {
        let response = http::post(&write, &push::HEADERS, &body).expect("answered");
        assert_eq!(response.status, 400, "{what}: {}", response.text());
        assert!(!response.text().trim().is_empty(), "{what}: says why");
    }
    let good = Series::new(&[("__name__", "good"), ("x", "y")], &[(now_ms, 1.0)]);
    let bad = [
        Series { labels: vec![("x".into(), "no name".into())], samples: vec![(now_ms, 1.0)] },
        Series {
            labels: vec![
                ("__name__".into(), "twice".into()),
                ("a".into(), "1".into()),
                ("a".into(), "2".into()),
            ],
            samples: vec![(now_ms, 1.0)],
        },
        Series::new(&[("__name__", "future")], &[(now_ms + 86_400_000 * 365, 1.0)]),
        Series::new(&[("__name__", "never")], &[(i64::MAX, 1.0)]),
        Series::new(&[("__name__", "long"), ("label", &"x".repeat(100_000))], &[(now_ms, 1.0)]),
    ];
    for series in bad {
        let name = format!("{:?}", series.labels.first().map(|(n, v)| format!("{n}={v}")));
        let response = push::send(&url, &[series, good.clone()]).expect("answered");
        assert_eq!(response.status, 400, "{name}: {}", response.text());
        assert!(!response.text().trim().is_empty(), "{name}: says why");
        assert_eq!(http::single_value(&url, "good{x=\"y\"}"), Ok(1.0), "{name}: the good one is in");
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let series = Series::new(&[("__name__", "odd")], &[(now_ms, value)]);
        assert_eq!(push::send(&url, &[series]).expect("answered").status / 100, 2, "{value} is a value");
    }
    let stored = http::api(&url, "/api/v1/label/__name__/values", &[]).expect("answered");
    assert_eq!(stored, serde_json::json!(["good", "odd"]));
    let metrics = http::get(&format!("{url}/metrics")).expect("answered").text();
    assert!(metrics.contains("code=\"400\""), "errors are counted");
}

#[test]
fn oversized_and_endless_requests_end() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let address = kymo.url().replace("http://", "");
    let huge =
        format!("POST /api/v1/write HTTP/1.1\r\nHost: {address}\r\nContent-Length: 99999999999\r\n\r\n");
    let mut connection = TcpStream::connect(&address).expect("connected");
    connection.write_all(huge.as_bytes()).expect("sent");
    connection.set_read_timeout(Some(poll::PATIENCE)).expect("set");
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).expect("an answer before the body");
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));

    let mut garbage = TcpStream::connect(&address).expect("connected");
    garbage.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n").expect("sent");
    garbage.set_read_timeout(Some(poll::PATIENCE)).expect("set");
    // In order, or by a reset, if the server did not read all of it.
    let ended = garbage.read_to_end(&mut Vec::new());
    let timed_out =
        |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!ended.as_ref().is_err_and(timed_out), "the connection ends: {ended:?}");

    // Clients that never finish their request do not keep others out.
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut connection = TcpStream::connect(&address).expect("connected");
            connection.write_all(b"GET /api/v1/query?query=up HTTP/1.1\r\nHos").expect("sent");
            connection
        })
        .collect();
    poll::until("an answer beside 200 silent clients", || http::instant(&kymo.url(), "vector(1)"));
    drop(silent);
}

#[test]
fn a_bad_line_fails_the_scrape_with_its_number() {
    let exporter = Exporter::start("text/plain; version=0.0.4", "# HELP a Fine.\na 1\nb{x=\"y\" 2\nc 3\n");
    let kymo = Kymo::start_configured(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: bad\n    static_configs: [{{targets: ['{}']}}]\n",
        exporter.address()
    ));
    // On a slow machine, a scrape may also end by its timeout.
    poll::until("the scrape to fail for its third line", || {
        let targets = http::api(&kymo.url(), "/api/v1/targets", &[])?;
        let error = targets["activeTargets"][0]["lastError"].as_str().unwrap_or_default().to_owned();
        if error.contains("line 3") { Ok(()) } else { Err(targets.to_string()) }
    });
    assert_eq!(kymo.wait_for_value("up{job=\"bad\"}").to_bits(), 0f64.to_bits());
    assert_eq!(kymo.instant("a").as_array().map(Vec::len), Some(0), "nothing of a failed scrape is stored");
}
