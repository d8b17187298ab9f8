//! Instant and range queries, from URL to JSON.

use storage::{Appender, WriteBatch};

use crate::client::parse;
use crate::server::{NOW_MS, TestServer};

#[track_caller]
fn check(target: &str, want_data: &str) {
    let answer = TestServer::start().client.get(target);
    assert_eq!(answer.text(), format!("{{\"status\":\"success\",\"data\":{want_data}}}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
}

#[test]
fn instant_queries_yield_each_kind_of_value() {
    check(
        "/api/v1/query?query=1.5&time=1435781451.781",
        r#"{"resultType":"scalar","result":[1435781451.781,"1.5"]}"#,
    );
    check("/api/v1/query?query=\"<a>\"&time=2", r#"{"resultType":"string","result":[2,"\u003ca\u003e"]}"#);
    check(
        "/api/v1/query?query=up{job=\"<web>\"}",
        "{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"instance\":\"c&d\",\
         \"job\":\"<web>\"},\"value\":[1435781451.781,\"1\"]}]}",
    );
    check("/api/v1/query?query=nothing", r#"{"resultType":"vector","result":[]}"#);
    check(
        "/api/v1/query?query=requests_total[5m]",
        "{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"requests_total\",\
         \"http.status\":\"200\"},\"values\":[[1435781451.781,\"1e+21\"]]}]}",
    );
}

#[test]
fn range_queries_yield_a_point_for_each_step() {
    let target = "/api/v1/query_range?query=sum(up)&start=1435781440.5&end=2015-07-01T20:10:52Z&step=5.75s";
    check(
        &target.replace("5.75s", "5.75"),
        "{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1435781440.500,\"0\"],\
         [1435781446.250,\"0\"],[1435781452,\"3\"]]}]}",
    );
    let server = TestServer::start();
    assert_eq!(server.client.get(target).status, 400, "a duration has no fraction");
    let posted = server.client.post_form("/api/v1/query_range", "query=vector(1)&start=0&end=2&step=1");
    assert_eq!(
        posted.text(),
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\
         \"values\":[[0,\"1\"],[1,\"1\"],[2,\"1\"]]}]}}"
    );
    let most = server.client.get("/api/v1/query_range?query=vector(1)&start=0&end=11000&step=1");
    assert_eq!(most.status, 200, "11,000 steps are not too many: {}", most.text());
}

#[test]
fn parameters_change_the_answer() {
    let server = TestServer::start();
    let limited = server.client.get("/api/v1/query?query=up&limit=2");
    assert!(
        limited.text().ends_with(",\"warnings\":[\"results truncated due to limit\"]}"),
        "{}",
        limited.text()
    );
    assert_eq!(limited.text().matches("\"metric\"").count(), 2);
    let short = server.client.get("/api/v1/query?query=up&lookback_delta=1");
    assert_eq!(short.text(), r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#);
    let stats =
        server.client.get("/api/v1/query_range?query=up&start=1435781440&end=1435781450&step=5&stats=all");
    let json: serde_json::Value = serde_json::from_slice(&stats.body).expect("JSON");
    let samples = &json["data"]["stats"]["samples"];
    assert_eq!(samples["totalQueryableSamples"], 9, "{samples}");
    assert_eq!(samples["totalQueryableSamplesPerStep"].as_array().map(Vec::len), Some(3));
    assert!(json["data"]["stats"]["timings"]["execTotalTime"].as_f64().is_some_and(|s| s > 0.0));
}

#[test]
fn faults_of_a_query_have_their_type_and_status() {
    let server = TestServer::start();
    let check = |query: &str, want_status: u16, want_type: &str, want: &str| {
        let answer = server.client.post_form("/api/v1/query", query);
        let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, json["errorType"].as_str()),
            (want_status, Some(want_type)),
            "{}",
            answer.text()
        );
        assert!(json["error"].as_str().is_some_and(|e| e.contains(want)), "{}", answer.text());
    };
    check("query=up[", 400, "bad_data", "invalid parameter \"query\": 1:4: parse error: ");
    check("query=up * on (job) up", 422, "execution", "found duplicate series");
    check("query=up&timeout=0", 503, "timeout", "query timed out in");
}

#[test]
fn a_large_result_is_sent_in_pieces_and_is_whole() {
    let server = TestServer::start();
    let mut batch = WriteBatch::new();
    for at in 0..5_000 {
        let number = at.to_string();
        let labels = model::Labels::from_pairs([("__name__", "many"), ("number", number.as_str())]);
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, NOW_MS, f64::from(at));
    }
    server.storage.append(&model::TenantId::anonymous(), &batch).expect("memory takes everything");
    let target = "/api/v1/query?query=many";
    let answer = server.client.get(target);
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("whole JSON");
    assert_eq!(json["data"]["result"].as_array().map(Vec::len), Some(5_000));
    let series = server.client.get("/api/v1/series?match[]=many");
    let json: serde_json::Value = serde_json::from_slice(&series.body).expect("whole JSON");
    assert_eq!(json["data"].as_array().map(Vec::len), Some(5_000));
    let zstd = server.client.get_with(target, &[("accept-encoding", "zstd")]);
    assert_eq!(zstd::decode_all(zstd.body.as_slice()).expect("zstd"), answer.body);
    assert!(zstd.body.len() * 5 < answer.body.len());
}

#[test]
fn a_head_with_several_requests_is_answered_in_order() {
    use std::io::Write;
    let server = TestServer::start();
    let mut socket = server.client.connect();
    let one = "GET /api/v1/query?query=1&time=1 HTTP/1.1\r\nhost: x\r\n\r\n";
    let two = "GET /api/v1/query?query=2&time=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    socket.write_all(format!("{one}{two}").as_bytes()).expect("sent");
    let bytes = crate::client::until_closed(&mut socket);
    let at = bytes.windows(4).rposition(|w| w == b"HTTP").expect("a second answer");
    assert!(parse(&bytes[..at]).text().contains("[1,\"1\"]"));
    assert!(parse(&bytes[at..]).text().contains("[1,\"2\"]"));
}
