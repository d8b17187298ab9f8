//! Clients that are slow, silent, many, or gone.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use api::Settings;
use model::{Matcher, Metadata, TenantId};
use parking_lot::Mutex;
use storage::{
    Error, Estimate, LabelRequest, Querier, QueryContext, SelectRequest, SeriesExemplars, SeriesSet,
};

use crate::client::{PATIENCE, parse, until_closed};
use crate::server::{TestServer, settings};

const SHORT: Duration = Duration::from_millis(50);

#[track_caller]
fn check_timed_out(server: &TestServer, phase: &str) {
    let text = server.client.get("/metrics");
    let want = format!("kymo_http_connections_timed_out_total{{phase=\"{phase}\"}} 1");
    assert!(text.text().contains(&want), "{want} in {}", text.text());
}

#[test]
fn a_head_that_trickles_is_cut_off() {
    let server = TestServer::start_with(Settings { header_timeout: SHORT, ..settings() });
    let mut socket = server.client.connect();
    socket.write_all(b"GET / HTTP/1.1\r\nhost:").expect("sent");
    assert_eq!(until_closed(&mut socket), b"");
    check_timed_out(&server, "head");
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_timeout_only() {
    let server = TestServer::start_with(Settings { idle_timeout: SHORT, ..settings() });
    let mut socket = server.client.connect();
    assert_eq!(until_closed(&mut socket), b"");
    // Between requests, too. A slow machine may take longer than that to send the first.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut socket = server.client.connect();
        let _ = socket.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = until_closed(&mut socket);
        if String::from_utf8_lossy(&answer).contains("200 OK") {
            return;
        }
        assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn a_connection_is_kept_for_more_requests() {
    let server = TestServer::start();
    let mut socket = server.client.connect();
    for _ in 0..3 {
        socket.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"Kymo is Healthy.\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("an answer");
            bytes.push(byte[0]);
        }
    }
}

#[test]
fn a_body_that_stalls_is_refused() {
    let server = TestServer::start_with(Settings { stall_timeout: SHORT, ..settings() });
    let mut socket = server.client.connect();
    let head = "POST /api/v1/query HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nquery=";
    socket.write_all(head.as_bytes()).expect("sent");
    let answer = parse(&until_closed(&mut socket));
    assert_eq!(answer.status, 408);
    assert!(answer.text().contains("the body did not arrive in time"), "{}", answer.text());
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = TestServer::start_with(Settings { header_bytes_max: 8 << 10, ..settings() });
    let answer = server.client.get(&format!("/api/v1/query?query={}", "1".repeat(20_000)));
    assert!(answer.status == 431 || answer.status == 414, "{}", answer.status);
}

#[test]
fn connections_above_the_limit_wait_for_a_place() {
    let server = TestServer::start_with(Settings { connections_max: 1, ..settings() });
    let holding = server.client.connect();
    let mut waiting = server.client.connect();
    waiting.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    waiting.set_read_timeout(Some(SHORT)).expect("a timeout can be set");
    assert!(waiting.read(&mut [0]).is_err(), "no place yet");
    drop(holding);
    waiting.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    assert_eq!(parse(&until_closed(&mut waiting)).status, 200);
}

/// Waits in every look-up until it is told to stop, and reports both.
struct Endless {
    events: Mutex<Sender<&'static str>>,
}

impl Endless {
    fn new() -> (Arc<Self>, Receiver<&'static str>) {
        let (sender, receiver) = channel();
        (Arc::new(Self { events: Mutex::new(sender) }), receiver)
    }

    fn wait<T>(&self, context: &QueryContext) -> Result<T, Error> {
        self.events.lock().send("began").expect("the test listens");
        loop {
            if let Err(stopped) = context.cancel.check() {
                self.events.lock().send("stopped").expect("the test listens");
                return Err(stopped.into());
            }
            std::thread::yield_now();
        }
    }
}

impl Querier for Endless {
    fn select(
        &self,
        _: &TenantId,
        _: &SelectRequest<'_>,
        c: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        self.wait(c)
    }

    fn estimate(&self, _: &TenantId, _: &SelectRequest<'_>, _: &QueryContext) -> Result<Estimate, Error> {
        Ok(Estimate::default())
    }

    fn label_names(
        &self,
        _: &TenantId,
        _: &LabelRequest<'_>,
        c: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.wait(c)
    }

    fn label_values(
        &self,
        _: &TenantId,
        _: &str,
        _: &LabelRequest<'_>,
        _: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        panic!("a fault of the engine")
    }

    fn metadata(
        &self,
        _: &TenantId,
        _: Option<&str>,
    ) -> Result<std::collections::BTreeMap<String, Vec<Metadata>>, Error> {
        Err(Error::new(storage::ErrorKind::Unavailable, "the disk is gone"))
    }

    fn exemplars(
        &self,
        _: &TenantId,
        _: &[Vec<Matcher>],
        _: i64,
        _: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        Err(Error::new(storage::ErrorKind::Limit, "out of memory"))
    }
}

fn start_endless(settings: Settings) -> (TestServer, Receiver<&'static str>) {
    let server = TestServer::start_closed(settings);
    let (querier, events) = Endless::new();
    server.open_with(server.storage.clone(), querier);
    (server, events)
}

#[test]
fn work_stops_when_its_client_is_gone() {
    let (server, events) = start_endless(settings());
    let mut socket = server.client.connect();
    socket.write_all(b"GET /api/v1/labels HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    assert_eq!(events.recv_timeout(PATIENCE), Ok("began"));
    drop(socket);
    assert_eq!(events.recv_timeout(PATIENCE), Ok("stopped"));
    let want = "kymo_http_requests_total{code=\"499\",handler=\"/api/v1/labels\"} 1";
    let deadline = Instant::now() + PATIENCE;
    while !server.client.get("/metrics").text().contains(want) {
        assert!(Instant::now() < deadline, "the request must be counted as 499");
    }
}

#[test]
fn work_stops_when_its_time_is_over() {
    let (server, events) = start_endless(settings());
    let answer = server.client.get("/api/v1/labels?timeout=1s");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.text(), r#"{"status":"error","errorType":"timeout","error":"timed out"}"#);
    assert_eq!(events.recv_timeout(PATIENCE), Ok("began"));
}

#[test]
fn a_panic_is_one_requests_fault_only() {
    let (server, _events) = start_endless(settings());
    let answer = server.client.get("/api/v1/label/job/values");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("\"errorType\":\"internal\""), "{}", answer.text());
    assert_eq!(server.client.get("/-/healthy").status, 200);
    assert!(server.client.get("/metrics").text().contains("kymo_http_panics_total 1"));
}

#[test]
fn failures_of_storage_have_their_status() {
    let (server, _events) = start_endless(settings());
    let answer = server.client.get("/api/v1/metadata");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert!(answer.text().contains("the disk is gone"), "{}", answer.text());
    let answer = server.client.get("/api/v1/query_exemplars?query=up");
    assert_eq!(answer.status, 422);
}

#[test]
fn stopping_cuts_off_what_does_not_end_in_time() {
    let (server, events) = start_endless(Settings { drain_timeout: SHORT, ..settings() });
    let mut socket = server.client.connect();
    socket.write_all(b"GET /api/v1/labels HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    assert_eq!(events.recv_timeout(PATIENCE), Ok("began"));
    server.stop();
    assert_eq!(events.recv_timeout(PATIENCE), Ok("stopped"));
    assert_eq!(until_closed(&mut socket), b"");
}
