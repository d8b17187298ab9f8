//! What is wrong with a request is said in Prometheus' words.

use std::io::Write;

use api::Settings;

use crate::client::{parse, until_closed};
use crate::server::{TestServer, settings};

#[track_caller]
fn check(target: &str, want_status: u16, want_type: &str, want_error: &str) {
    let answer = TestServer::start().client.get(target);
    let mut error = String::new();
    for c in want_error.chars() {
        match c {
            '"' => error.push_str("\\\""),
            '<' => error.push_str("\\u003c"),
            '>' => error.push_str("\\u003e"),
            c => error.push(c),
        }
    }
    let want = format!("{{\"status\":\"error\",\"errorType\":\"{want_type}\",\"error\":\"{error}\"}}");
    assert_eq!((answer.status, answer.text()), (want_status, want.as_str()), "{target}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[track_caller]
fn check_bad(target: &str, want_error: &str) {
    check(target, 400, "bad_data", want_error);
}

#[test]
fn times_and_durations() {
    let no_time =
        "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp";
    check_bad("/api/v1/query?query=1&time=x", no_time);
    check_bad(
        "/api/v1/query_range?query=1",
        "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
    );
    let range = "/api/v1/query_range?query=1&start=0";
    check_bad(
        &format!("{range}&end=x"),
        "invalid parameter \"end\": cannot parse \"x\" to a valid timestamp",
    );
    check_bad(
        &format!("{range}&end=-1"),
        "invalid parameter \"end\": end timestamp must not be before start time",
    );
    check_bad(&format!("{range}&end=1"), "invalid parameter \"step\": cannot parse \"\" to a valid duration");
    for step in ["0", "-1", "0.0001", "0s"] {
        check_bad(
            &format!("{range}&end=1&step={step}"),
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. \
             Try a positive integer",
        );
    }
    check_bad(
        &format!("{range}&end=11001&step=1"),
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX), \
         which asks for 11001, or raising query.max_points",
    );
    check_bad(
        "/api/v1/query?query=1&timeout=x",
        "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
    );
    check_bad(
        "/api/v1/query?query=1&timeout=-1",
        "invalid parameter \"timeout\": negative timeouts are not accepted",
    );
    check_bad(
        "/api/v1/query?query=1&lookback_delta=x",
        "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
    );
}

#[test]
fn limits() {
    check_bad(
        "/api/v1/query?query=1&limit=x",
        "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax",
    );
    check_bad("/api/v1/labels?limit=-1", "invalid parameter \"limit\": limit must be non-negative");
    check_bad("/api/v1/metadata?limit=x", "limit must be a number");
    check_bad("/api/v1/metadata?limit_per_metric=x", "limit_per_metric must be a number");
    check_bad("/api/v1/status/tsdb?limit=0", "limit must be a positive number");
}

#[test]
fn selectors() {
    check_bad("/api/v1/series", "no match[] parameter provided");
    check_bad(
        "/api/v1/series?match[]={a=%22%22}",
        "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
    );
    check_bad("/api/v1/labels?match[]={a=~%22.*%22}", "match[] must contain at least one non-empty matcher");
    let answer = TestServer::start().client.get("/api/v1/series?match[]=up{");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains(r#""error":"invalid parameter \"match[]\": 1:4: parse error:"#),
        "{}",
        answer.text()
    );
    check_bad(
        "/api/v1/query_exemplars?query=up&start=2&end=1",
        "end timestamp must not be before start timestamp",
    );
    check_bad("/api/v1/rules?type=x", "invalid parameter \"type\": not supported value \"x\"");
}

#[test]
fn queries() {
    let empty = "invalid parameter \"query\": unknown position: parse error: no expression found in input";
    check_bad("/api/v1/query", empty);
    check_bad("/api/v1/format_query", empty);
    check_bad("/api/v1/query_range?start=0&end=1&step=1&query=", empty);
}

#[test]
fn escapes_and_tenants() {
    check_bad("/api/v1/query?query=%zz", "error parsing form values: invalid URL escape \"%zz\"");
    let server = TestServer::start();
    for bad in ["..", "a/b", "ä", ""] {
        let answer = server.client.get_with("/api/v1/labels", &[("X-Scope-OrgID", bad)]);
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text());
        assert!(answer.text().contains("tenant id"), "{}", answer.text());
    }
    let twice = [("X-Scope-OrgID", "a"), ("X-Scope-OrgID", "b")];
    let answer = server.client.get_with("/api/v1/labels", &twice);
    assert!(answer.text().contains("given more than once"), "{}", answer.text());
}

#[test]
fn paths_and_methods() {
    check("/api/v1/nothing", 404, "not_found", "no such endpoint: GET /api/v1/nothing");
    check("/api/v9/status", 404, "not_found", "no such endpoint: GET /api/v9/status");
    let server = TestServer::start();
    let answer = server.client.request("DELETE", "/api/v1/query", &[], b"");
    assert_eq!(answer.status, 405);
    assert!(answer.text().contains("does not take DELETE"), "{}", answer.text());
    assert_eq!(server.client.get("/-/nothing").status, 404);
}

#[test]
fn a_large_form_is_refused() {
    let server = TestServer::start_with(Settings { form_bytes_max: 100, ..settings() });
    let answer = server.client.post_form("/api/v1/query", &format!("query={}", "1".repeat(200)));
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("larger than the limit of 100 bytes"), "{}", answer.text());
}

#[test]
fn who_sends_too_much_in_chunks_may_end_and_reads_why() {
    let server = TestServer::start_with(Settings { form_bytes_max: 100, ..settings() });
    let mut socket = server.client.connect();
    let head = "POST /api/v1/query HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).expect("sent");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "1".repeat(1 << 16));
    // More than fits the buffers of a connection that nobody reads.
    for _ in 0..60 {
        socket.write_all(chunk.as_bytes()).expect("the server reads on");
    }
    socket.write_all(b"0\r\n\r\n").expect("the server reads on");
    let answer = parse(&until_closed(&mut socket));
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("larger than the limit of 100 bytes"), "{}", answer.text());
}

#[test]
fn every_answer_is_counted_by_handler_and_code() {
    let server = TestServer::start();
    server.client.get("/api/v1/labels");
    server.client.get("/api/v1/labels?limit=x");
    server.client.get("/api/v1/nothing");
    let metrics = server.client.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for want in [
        "kymo_http_requests_total{code=\"200\",handler=\"/api/v1/labels\"} 1",
        "kymo_http_requests_total{code=\"400\",handler=\"/api/v1/labels\"} 1",
        "kymo_http_requests_total{code=\"404\",handler=\"other\"} 1",
        "kymo_http_request_duration_seconds_count{handler=\"/api/v1/labels\"} 2",
    ] {
        assert!(metrics.text().contains(want), "{want} in {}", metrics.text());
    }
}
