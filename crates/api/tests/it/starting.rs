//! Before storage is open, and the switches of the process.

use std::sync::atomic::Ordering;

use api::Settings;

use crate::server::{TestServer, settings};

#[test]
fn until_storage_is_open_the_api_is_unavailable_and_tells_the_replay() {
    let server = TestServer::start_closed(settings());
    for target in ["/-/ready", "/api/v1/query?query=1", "/api/v1/targets", "/api/v1/status/tsdb", "/federate"]
    {
        let answer = server.client.get(target);
        assert_eq!((answer.status, answer.text()), (503, "Service Unavailable"), "{target}");
        assert_eq!(answer.header("x-prometheus-stopping"), Some("false"));
    }
    assert_eq!(server.client.get("/-/healthy").status, 200);
    assert_eq!(server.client.get("/metrics").status, 200);
    let replay = server.client.get("/api/v1/status/walreplay");
    assert_eq!(replay.text(), r#"{"status":"success","data":{"min":3,"max":9,"current":5}}"#);
    assert!(server.client.get("/api/v1/status/kymo").text().contains("\"ready\":false"));
    server.open();
    assert_eq!(server.client.get("/-/ready").text(), "Kymo is Ready.\n");
    assert_eq!(server.client.get("/api/v1/labels").status, 200);
    let head = server.client.request("HEAD", "/-/ready", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    server.stop();
}

#[test]
fn reload_tells_what_is_wrong_and_quit_is_off_by_default() {
    let server = TestServer::start();
    for method in ["POST", "PUT"] {
        assert_eq!(server.client.request(method, "/-/reload", &[], b"").status, 200);
    }
    *server.control.fault.lock() = Some("line 3: unknown key".to_owned());
    let answer = server.client.request("POST", "/-/reload", &[], b"");
    assert_eq!((answer.status, answer.text()), (500, "failed to reload config: line 3: unknown key\n"));
    assert_eq!(server.control.reloads.load(Ordering::SeqCst), 3);
    assert_eq!(server.client.get("/-/reload").status, 405);
    let answer = server.client.request("POST", "/-/quit", &[], b"");
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("SIGTERM"), "a refusal names the remedy: {}", answer.text());
    assert_eq!(server.control.quits.load(Ordering::SeqCst), 0);

    let server = TestServer::start_with(Settings { allow_quit: true, allow_reload: false, ..settings() });
    assert_eq!(server.client.request("PUT", "/-/quit", &[], b"").status, 200);
    assert_eq!(server.control.quits.load(Ordering::SeqCst), 1);
    assert_eq!(server.client.request("POST", "/-/reload", &[], b"").status, 403);
}

#[test]
fn an_address_that_is_taken_is_named_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("bound").to_string();
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let error = runtime.block_on(crate::server::try_start(Settings { listen: listen.clone(), ..settings() }));
    let text = error.err().expect("the port is taken").to_string();
    assert!(text.contains(&listen) && text.contains("--listen"), "{text}");
}
