//! Listeners of StatsD, Graphite and OpenTSDB lines, and text pushes: real sockets, the in-memory storage.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use api::{LineSettings, PushSettings, Settings, StatsdSettings};
use kymo_tests::ports::free_port;
use model::TenantId;

use crate::client::PATIENCE;
use crate::server::{TestServer, settings};

fn with_push(push: PushSettings) -> TestServer {
    TestServer::start_with(Settings { push, ..settings() })
}

/// Waits until a target's answer contains a text.
#[track_caller]
fn wait_for(server: &TestServer, target: &str, want: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = server.client.get(target);
        if answer.text().contains(want) {
            return;
        }
        assert!(Instant::now() < until, "{want} is not in {}", answer.text());
        std::thread::yield_now();
    }
}

#[test]
fn graphite_lines_come_by_tcp_and_udp() {
    let address = format!("127.0.0.1:{}", free_port());
    let tenant = TenantId::new("old").expect("a name");
    let graphite =
        LineSettings { listen_tcp: Some(address.clone()), listen_udp: Some(address.clone()), tenant };
    let server = with_push(PushSettings { graphite, ..PushSettings::default() });
    let mut socket = TcpStream::connect(&address).expect("it listens");
    socket.write_all(b"by.tcp;a=b 1 1435781400\nbad\nby.tcp.last 2 143578").expect("taken");
    socket.write_all(b"1400").expect("taken");
    drop(socket);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.send_to(b"by.udp 1\nby.udp.too 2", &address).expect("sent");
    let names = |name: &str| {
        let target = "/api/v1/label/__name__/values";
        let until = Instant::now() + PATIENCE;
        while !server.client.get_with(target, &[("X-Scope-OrgID", "old")]).text().contains(name) {
            assert!(Instant::now() < until, "{name} is not there");
        }
    };
    ["\"by.tcp\"", "\"by.tcp.last\"", "\"by.udp\"", "\"by.udp.too\""].into_iter().for_each(names);
    let rejected = "kymo_push_samples_rejected_total{protocol=\"graphite\",reason=\"invalid\"} 1";
    wait_for(&server, "/metrics", rejected);
    server.stop();
}

#[test]
fn opentsdb_lines_are_answered_only_when_they_are_wrong() {
    let address = format!("127.0.0.1:{}", free_port());
    let opentsdb = LineSettings { listen_tcp: Some(address.clone()), ..LineSettings::default() };
    let server = with_push(PushSettings { opentsdb, ..PushSettings::default() });
    let mut socket = TcpStream::connect(&address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(b"put sys.cpu 1435781400 1 host=a\nput x y z\nversion\nexit\n").expect("taken");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("closed after exit");
    assert!(answer.starts_with("put: the timestamp is not a number"), "{answer}");
    wait_for(&server, "/api/v1/label/__name__/values", "sys.cpu");
}

#[test]
fn a_line_without_end_ends_its_connection() {
    let address = format!("127.0.0.1:{}", free_port());
    let graphite = LineSettings { listen_tcp: Some(address.clone()), ..LineSettings::default() };
    let server = with_push(PushSettings { graphite, ..PushSettings::default() });
    let mut socket = TcpStream::connect(&address).expect("it listens");
    let _ = socket.write_all(&[b'a'; 200_000]);
    let rejected = "kymo_push_samples_rejected_total{protocol=\"graphite\",reason=\"too_long\"} 1";
    wait_for(&server, "/metrics", rejected);
}

#[test]
fn statsd_is_aggregated_from_every_kind_of_socket() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("statsd.sock");
    let address = format!("127.0.0.1:{}", free_port());
    let statsd = StatsdSettings {
        lines: LineSettings {
            listen_tcp: Some(address.clone()),
            listen_udp: Some(address.clone()),
            ..LineSettings::default()
        },
        listen_unix: Some(path.clone()),
        flush_interval: Duration::from_millis(50),
        ..StatsdSettings::default()
    };
    let server = with_push(PushSettings { statsd, ..PushSettings::default() });
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.send_to(b"hits:1|c|#a:b\nt:250|ms\n_e{1,1}:a|b", &address).expect("sent");
    TcpStream::connect(&address).expect("it listens").write_all(b"hits:2|c|#a:b\n").expect("taken");
    let unix = UnixDatagram::unbound().expect("a socket");
    unix.send_to(b"hits:4|c|#a:b", &path).expect("sent");
    wait_for(&server, "/api/v1/query?time=1435781460&query=hits", "\"7\"");
    wait_for(&server, "/api/v1/query?time=1435781460&query=histogram_sum(t)", "\"0.25\"");
    wait_for(&server, "/metrics", "kymo_push_items_ignored_total{kind=\"event\",protocol=\"statsd\"} 1");
    server.stop();
}

#[test]
fn text_pushes_are_grouped_and_ended() {
    let server = TestServer::start();
    let send = |method: &str, target: &str, body: &[u8]| server.client.request(method, target, &[], body);
    let answer = send("PUT", "/metrics/job/j/instance/i", b"# TYPE m counter\nm{x=\"1\"} 3\n");
    assert_eq!((answer.status, answer.text()), (200, ""));
    let query = |text: &str| {
        server.client.get(&format!("/api/v1/query?time=1435781460&query={text}")).text().to_owned()
    };
    assert!(
        query("m").contains(r#""metric":{"__name__":"m","instance":"i","job":"j","x":"1"}"#),
        "{}",
        query("m")
    );
    assert!(query("push_time_seconds").contains("1435781451.781"), "{}", query("push_time_seconds"));
    let refused = send("POST", "/metrics/job/j/instance/i", b"m 1 1435781451781\n");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("must not have timestamps"), "{}", refused.text());
    assert_eq!(send("POST", "/metrics/job/j/instance", b"m 1\n").status, 400);
    let groups = server.client.get("/api/v1/metrics");
    assert!(groups.text().contains(r#""last_push_successful":true"#), "{}", groups.text());
    assert!(groups.text().contains(r#""labels":{"instance":"i","job":"j"}"#), "{}", groups.text());
    assert_eq!(send("DELETE", "/metrics/job/j/instance/i", b"").status, 202);
    assert!(query("m").ends_with(r#""result":[]}}"#), "{}", query("m"));
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed() {
    let address = format!("127.0.0.1:{}", free_port());
    let graphite = LineSettings { listen_tcp: Some(address.clone()), ..LineSettings::default() };
    let push = PushSettings { graphite, ..PushSettings::default() };
    let idle_timeout = Duration::from_millis(300);
    let server = TestServer::start_with(Settings { push, idle_timeout, ..settings() });
    let mut socket = TcpStream::connect(&address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(b"whole 1\nhal").expect("taken");
    let mut answer = Vec::new();
    assert_eq!(socket.read_to_end(&mut answer).expect("closed by the server"), 0);
    wait_for(&server, "/api/v1/label/__name__/values", "\"whole\"");
    assert!(
        !server.client.get("/api/v1/label/__name__/values").text().contains("hal\""),
        "half a line is none"
    );
}
