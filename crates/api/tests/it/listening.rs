//! Listeners of StatsD, Graphite and OpenTSDB lines and of Zabbix' frames, and text pushes: real sockets, the in-memory storage.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::{LineSettings, PushSettings, PushgatewaySettings, Settings, StatsdSettings};
use kymo_tests::ports::free_port;
use model::TenantId;
use parking_lot::{Condvar, Mutex};
use storage::memory::MemoryStorage;
use storage::{Appended, Appender, WriteBatch};

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
    let graphite = LineSettings {
        listen_tcp: Some(address.clone()),
        listen_udp: Some(address.clone()),
        tenant,
        ..LineSettings::default()
    };
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

/// A frame: its flags, its data, and how long they claim to be.
fn frame(flags: u8, data: &[u8], plain_bytes: u32) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("short");
    [&b"ZBXD"[..], &[flags], &length.to_le_bytes(), &plain_bytes.to_le_bytes(), data].concat()
}

/// The text of the next answer.
fn framed_answer(socket: &mut TcpStream) -> String {
    let mut header = [0; 13];
    socket.read_exact(&mut header).expect("an answer");
    assert_eq!(&header[..5], b"ZBXD\x01");
    let mut text = vec![0; u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize];
    socket.read_exact(&mut text).expect("all of it");
    String::from_utf8(text).expect("text")
}

#[test]
fn zabbix_frames_are_answered_with_how_many_were_written() {
    let address = format!("127.0.0.1:{}", free_port());
    let zabbix = LineSettings { listen_tcp: Some(address.clone()), ..LineSettings::default() };
    let server = with_push(PushSettings { zabbix, ..PushSettings::default() });
    let connect = || {
        let socket = TcpStream::connect(&address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    };
    let mut socket = connect();
    let data = br#"{"request":"sender data","data":[{"host":"web01","key":"load[all,avg1]","value":"1.5","clock":1435781430},
        {"host":"web01","key":"version","value":"not a number"}]}"#;
    let whole = frame(1, data, 0);
    // In pieces, and then compressed, on the same connection.
    for piece in whole.chunks(7) {
        socket.write_all(piece).expect("taken");
    }
    let answer = framed_answer(&mut socket);
    assert!(answer.contains(r#""response":"success""#), "{answer}");
    assert!(answer.contains("processed: 1; failed: 1; total: 2; seconds spent: "), "{answer}");
    let data = br#"{"request":"sender data","data":[{"host":"web02","key":"up","value":7}]}"#;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("compressed");
    let compressed = encoder.finish().expect("compressed");
    socket.write_all(&frame(3, &compressed, u32::try_from(data.len()).expect("short"))).expect("taken");
    let answer = framed_answer(&mut socket);
    assert!(answer.contains("processed: 1; failed: 0; total: 1;"), "{answer}");
    let query = |text: &str| {
        server.client.get(&format!("/api/v1/query?time=1435781451.781&query={text}")).text().to_owned()
    };
    let found = query("load");
    assert!(
        found.contains(r#"{"__name__":"load","host":"web01","param1":"all","param2":"avg1"}"#),
        "{found}"
    );
    assert!(found.contains(r#","1.5"]"#), "{found}");
    assert!(query("up").contains(r#""host":"web02""#), "{}", query("up"));
    let rejected = "kymo_push_samples_rejected_total{protocol=\"zabbix\",reason=\"invalid\"} 1";
    wait_for(&server, "/metrics", rejected);
    for (sent, want) in [
        (
            frame(1, br#"{"request":"active checks","host":"h"}"#, 0),
            "only the request \\\"sender data\\\" is taken",
        ),
        (frame(1, b"nonsense", 0), "not JSON"),
        (frame(3, b"not zlib", 8), "not sound deflate"),
        (frame(3, b"", u32::MAX), "send less at a time"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "does not begin with ZBXD"),
    ] {
        let mut socket = connect();
        socket.write_all(&sent).expect("taken");
        let answer = framed_answer(&mut socket);
        assert!(answer.contains(r#""response":"failed""#) && answer.contains(want), "{answer}");
        // Closed; what the server had not read makes that a reset.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    wait_for(&server, "/api/v1/status/push_sources", r#""protocol":"zabbix""#);
    // One that never finishes holds nothing up when the server stops.
    connect().write_all(&whole[..20]).expect("taken");
    server.stop();
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

/// Storage that hangs until it is told to go on.
struct Hanging {
    storage: Arc<MemoryStorage>,
    goes_on: Mutex<bool>,
    changed: Condvar,
}

impl Hanging {
    fn go_on(&self) {
        *self.goes_on.lock() = true;
        self.changed.notify_all();
    }
}

impl Appender for Hanging {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, storage::Error> {
        let mut goes_on = self.goes_on.lock();
        while !*goes_on {
            self.changed.wait(&mut goes_on);
        }
        drop(goes_on);
        self.storage.append(tenant, batch)
    }
}

/// A server whose storage hangs.
fn hanging(push: PushSettings) -> (TestServer, Arc<Hanging>) {
    let server = TestServer::start_closed(Settings { push, ..settings() });
    let storage = Arc::clone(&server.storage);
    let hanging = Arc::new(Hanging { storage, goes_on: Mutex::default(), changed: Condvar::new() });
    server.open_with(Arc::clone(&hanging) as _, Arc::clone(&server.storage) as _);
    (server, hanging)
}

/// The sum of a metric over all reasons, as `/metrics` has it.
fn sum(server: &TestServer, metric: &str) -> f64 {
    let text = server.client.get("/metrics").text().to_owned();
    let lines = text.lines().filter(|line| line.starts_with(metric));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn who_sends_is_not_held_up_while_storage_hangs() {
    let address = format!("127.0.0.1:{}", free_port());
    let graphite = LineSettings {
        listen_tcp: Some(address.clone()),
        listen_udp: Some(address.clone()),
        ..LineSettings::default()
    };
    let (server, storage) = hanging(PushSettings { graphite, ..PushSettings::default() });
    let dropped = "kymo_push_samples_dropped_total{protocol=\"graphite\"";
    // What one address sends is handed over when another does: each datagram takes a place of the queue.
    let senders = ["127.0.0.1:0", "127.0.0.2:0"].map(|from| UdpSocket::bind(from).expect("an address"));
    let mut sent = 0;
    let until = Instant::now() + PATIENCE;
    let full = "kymo_push_samples_dropped_total{protocol=\"graphite\",reason=\"queue_full\"";
    while sum(&server, full) < 100.0 {
        for _ in 0..50 {
            for sender in &senders {
                sender.send_to(format!("by.udp.n{sent} 1").as_bytes(), &address).expect("sent");
                sent += 1;
            }
        }
        assert!(Instant::now() < until, "nothing is dropped after {sent} datagrams");
    }
    // Far more than the system's own buffers of a connection hold.
    let mut client = TcpStream::connect(&address).expect("it listens");
    client.set_write_timeout(Some(PATIENCE)).expect("set");
    let lines = "by.tcp 1 1435781400\n".repeat(50_000);
    let lines_sent = 20 * 50_000;
    for _ in 0..20 {
        client.write_all(lines.as_bytes()).expect("taken, and thrown away");
    }
    drop(client);
    // All of it has been read before storage goes on.
    let until = Instant::now() + PATIENCE;
    while sum(&server, dropped) < f64::from(lines_sent) {
        assert!(Instant::now() < until, "{} of {lines_sent} are dropped", sum(&server, dropped));
        std::thread::yield_now();
    }
    let sources = server.client.get("/api/v1/status/push_sources").text().to_owned();
    assert!(sources.contains("items were dropped: queue full"), "{sources}");
    storage.go_on();
    let until = Instant::now() + PATIENCE;
    let taken = || sum(&server, "kymo_push_samples_total{protocol=\"graphite\"}") + sum(&server, dropped);
    while taken() < f64::from(sent + lines_sent) {
        assert!(Instant::now() < until, "{} of {} are accounted for", taken(), sent + lines_sent);
        std::thread::yield_now();
    }
    assert_eq!(
        taken(),
        f64::from(sent + lines_sent),
        "each is written or counted as dropped, and none is both"
    );
    server.stop();
}

#[test]
fn statsd_goes_on_adding_up_while_storage_hangs() {
    let address = format!("127.0.0.1:{}", free_port());
    let lines = LineSettings { listen_tcp: Some(address.clone()), ..LineSettings::default() };
    let flush_interval = Duration::from_millis(50);
    let statsd = StatsdSettings { lines, flush_interval, ..StatsdSettings::default() };
    let (server, storage) = hanging(PushSettings { statsd, ..PushSettings::default() });
    let mut client = TcpStream::connect(&address).expect("it listens");
    client.set_write_timeout(Some(PATIENCE)).expect("set");
    let count = 500_000;
    for _ in 0..count / 10_000 {
        client.write_all("orders:1|c\n".repeat(10_000).as_bytes()).expect("taken");
    }
    storage.go_on();
    drop(client);
    wait_for(&server, "/api/v1/query?query=orders&time=1435781451.781", &format!("\"{count}\""));
    server.stop();
}

/// Storage that refuses everything until it is told otherwise.
struct Refusing {
    storage: Arc<MemoryStorage>,
    accepts: AtomicBool,
}

impl Appender for Refusing {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, storage::Error> {
        if self.accepts.load(Ordering::Relaxed) {
            return self.storage.append(tenant, batch);
        }
        Err(storage::Error::new(storage::ErrorKind::Unavailable, "the disk is full"))
    }
}

#[test]
fn a_push_that_was_added_up_is_not_asked_for_again() {
    let pushgateway = PushgatewaySettings { interval: Duration::from_millis(50), ttl: None };
    let push = PushSettings { pushgateway, ..PushSettings::default() };
    let server = TestServer::start_closed(Settings { push, ..settings() });
    let storage = Arc::clone(&server.storage);
    let refusing = Arc::new(Refusing { storage, accepts: AtomicBool::new(false) });
    server.open_with(Arc::clone(&refusing) as _, Arc::clone(&server.storage) as _);
    let body = b"# TYPE done counter\ndone 2\n";
    // A client sends again what was answered 503, and nothing else.
    let push = |target: &str| {
        let answers = (0..3).map(|_| server.client.request("POST", target, &[], body).status);
        answers.take_while(|status| *status != 200).count()
    };
    assert_eq!(push("/metrics/job/plain"), 3, "what is replaced may be pushed again");
    assert_eq!(push("/metrics/job/summed?sum_counters=1"), 0);
    assert_eq!(push("/metrics/job/summed?sum_counters=1"), 0);
    refusing.accepts.store(true, Ordering::Relaxed);
    let query = "/api/v1/query?time=1435781451.781&query=done%7Bjob%3D%22summed%22%7D";
    wait_for(&server, query, "\"4\"");
    server.stop();
}
