//! Which queries run, and the means to end one, over HTTP.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use sim::querier::Intercepted;
use storage::Appender;

use crate::client::PATIENCE;
use crate::server::{TestServer, settings};

fn start(settings: api::Settings) -> TestServer {
    let server = TestServer::start_closed(settings);
    let storage = Arc::clone(&server.storage);
    server.open_with(Arc::clone(&storage) as Arc<dyn Appender>, Intercepted::endless(storage));
    server
}

fn data(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> Value {
    let answer = server.client.get_with(target, headers);
    let mut answer: Value = serde_json::from_str(answer.text()).expect("JSON");
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"].take()
}

/// The one query that runs.
fn the_active(server: &TestServer) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let active = data(server, "/api/v1/status/active_queries", &[]);
        if active[0]["state"] == "running" {
            return active[0].clone();
        }
        assert!(Instant::now() < end, "no query runs: {active}");
    }
}

#[test]
fn a_query_is_seen_and_killed() {
    let server = start(settings());
    let grafana = [
        ("X-Dashboard-Uid", "abc"),
        ("X-Panel-Id", "4"),
        ("X-Grafana-User", "ann"),
        ("User-Agent", "Grafana"),
    ];
    std::thread::scope(|scope| {
        let target = "/api/v1/query_range?query=sum(up)%2bendless&start=0&end=60&step=15";
        let asked = scope.spawn(|| server.client.get_with(target, &grafana));
        let active = the_active(&server);
        assert_eq!(active["query"], "sum(up)+endless");
        assert_eq!((&active["class"], &active["user"]), (&"dashboard".into(), &"ann".into()));
        assert_eq!(active["source"], "dashboard abc, panel 4 from 127.0.0.1");
        assert_eq!(active["range"], serde_json::json!({"start": 0, "end": 60, "step": 15}));
        assert_eq!((&active["tenant"], &active["kind"]), (&"anonymous".into(), &"range".into()));
        let other = data(&server, "/api/v1/status/active_queries", &[("X-Scope-OrgID", "other")]);
        assert_eq!(other, serde_json::json!([]), "not of another tenant");
        let path = format!("/api/v1/status/active_queries/{}", active["id"]);
        let refused = server.client.request("DELETE", &path, &[("X-Scope-OrgID", "other")], b"");
        assert_eq!(refused.status, 404, "{}", refused.text());
        let killed = server.client.request("DELETE", &path, &[], b"");
        assert_eq!(killed.status, 200, "{}", killed.text());
        let answer = asked.join().expect("no panic");
        let want = format!(
            "{{\"status\":\"error\",\"errorType\":\"canceled\",\"error\":\"query {} was killed\"}}",
            active["id"]
        );
        assert_eq!((answer.status, answer.text()), (499, want.as_str()));
        assert_eq!(server.client.request("DELETE", &path, &[], b"").status, 404, "it is gone");
    });
    let top = data(&server, "/api/v1/status/top_queries?by=count&limit=1", &[]);
    assert_eq!((&top[0]["query"], &top[0]["errors"]), (&"sum(up)+endless".into(), &1.into()));
    for (target, status) in [
        ("/api/v1/status/top_queries?by=colour", 400),
        ("/api/v1/status/active_queries?all_tenants=1", 403),
        ("/api/v1/status/active_queries?all_tenants=perhaps", 400),
        ("/api/v1/query?query=1&class=urgent", 400),
    ] {
        assert_eq!(server.client.get(target).status, status, "{target}");
    }
    let bad = server.client.request("DELETE", "/api/v1/status/active_queries/x", &[], b"");
    assert_eq!(bad.status, 400, "{}", bad.text());
}

#[test]
fn with_the_admin_api_queries_of_all_tenants_are_seen() {
    let server = start(api::Settings { allow_admin: true, ..settings() });
    std::thread::scope(|scope| {
        let target = "/api/v1/query?query=endless&class=batch";
        let asked = scope.spawn(|| server.client.get_with(target, &[("X-Scope-OrgID", "red")]));
        let end = Instant::now() + PATIENCE;
        let active = loop {
            let active = data(&server, "/api/v1/status/active_queries?all_tenants=1", &[]);
            if active[0]["state"] == "running" {
                break active[0].clone();
            }
            assert!(Instant::now() < end, "no query runs");
        };
        assert_eq!((&active["tenant"], &active["class"]), (&"red".into(), &"batch".into()));
        let path = format!("/api/v1/status/active_queries/{}?all_tenants=1", active["id"]);
        assert_eq!(server.client.request("DELETE", &path, &[], b"").status, 200);
        assert_eq!(asked.join().expect("no panic").status, 499);
    });
}

#[test]
fn a_client_that_goes_away_ends_its_query() {
    let server = start(settings());
    let mut socket = server.client.connect();
    std::io::Write::write_all(&mut socket, b"GET /api/v1/query?query=endless HTTP/1.1\r\nhost: kymo\r\n\r\n")
        .expect("sent");
    the_active(&server);
    drop(socket);
    let end = Instant::now() + PATIENCE;
    while data(&server, "/api/v1/status/active_queries", &[]) != serde_json::json!([]) {
        assert!(Instant::now() < end, "it still runs");
    }
}

#[test]
fn too_much_is_refused_with_the_limit_and_its_setting() {
    let server = start(settings());
    let check = |target: &str, status: u16, want: &str| {
        let answer = server.client.get(target);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(want), "{}", answer.text());
    };
    check(
        "/api/v1/query_range?query=up&start=0&end=11001&step=1",
        400,
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX), \
         which asks for 11001, or raising query.max_points",
    );
    let longer = format!("query={}1", "1%2b".repeat(200_000));
    let answer = server.client.post_form("/api/v1/query", &longer);
    assert_eq!(answer.status, 422, "{}", answer.text());
    let want = "the expression has too many bytes: 400001, and the limit is 262144; ask for less, or raise \
                query.max_expression_length";
    assert!(answer.text().contains(want), "{}", answer.text());
}
