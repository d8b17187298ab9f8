//! Real clients of other systems push into the real binary; stored values are checked by query. And what the documentation says to do.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use kymo_tests::ports::free_port;
use kymo_tests::process::Process;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{docs, http, paths, poll, push};

/// A Kymo with all listeners on, and their ports.
struct Listening {
    kymo: Kymo,
    statsd: u16,
    graphite: u16,
    opentsdb: u16,
    zabbix: u16,
}

fn listening() -> Listening {
    let [statsd, graphite, opentsdb, zabbix] = [(); 4].map(|()| free_port());
    let config = format!(
        "global: {{scrape_interval: 1h}}\npush:\n  statsd: {{listen_udp: '127.0.0.1:{statsd}', listen_tcp: '127.0.0.1:{statsd}', \
         flush_interval: 200ms}}\n  graphite: {{listen_udp: '127.0.0.1:{graphite}', listen_tcp: '127.0.0.1:{graphite}'}}\n  \
         opentsdb: {{listen_tcp: '127.0.0.1:{opentsdb}'}}\n  zabbix: {{listen_tcp: '127.0.0.1:{zabbix}'}}\n  pushgateway: {{interval: 1s}}\n"
    );
    Listening { kymo: Kymo::start_configured(&config), statsd, graphite, opentsdb, zabbix }
}

/// Runs one of the clients of `tests/python/push_clients.py`.
#[track_caller]
fn client(arguments: &[&str]) {
    let output = Command::new(paths::python())
        .arg(paths::root().join("tests/python/push_clients.py"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
}

#[track_caller]
fn check(kymo: &Kymo, query: &str, want: f64) {
    kymo.wait_until(query, want);
}

#[test]
fn prometheus_client_pushes_as_to_the_pushgateway() {
    let mut kymo = Kymo::start_configured("push: {pushgateway: {interval: 1s}}\n");
    client(&["pushgateway", &kymo.url()]);
    let of = r#"job="batch/night",shard="1""#;
    check(&kymo, &format!("batch_gauge{{{of},kind=\"a\"}}"), 1.0);
    check(&kymo, &format!("batch_runs_total{{{of}}}"), 3.0);
    check(&kymo, &format!("batch_seconds_bucket{{{of},le=\"5.0\"}}"), 1.0);
    check(&kymo, &format!("batch_seconds_sum{{{of}}}"), 2.0);
    check(&kymo, &format!("added_gauge{{{of}}}"), 2.0);
    check(&kymo, "second_gauge", 2.0);
    // They may have been samples for a moment.
    kymo.wait_for_nothing("first_gauge");
    kymo.wait_for_nothing("gone_gauge");
    let pushed_s = kymo.wait_for_value(&format!("push_time_seconds{{{of}}}"));
    let now_s = push::now_ms() as f64 / 1000.0;
    assert!(now_s - 300.0 < pushed_s && pushed_s <= now_s, "{pushed_s} {now_s}");
    // The groups are samples again at each interval, after a crash, too.
    kymo.crash_and_restart();
    let restarted_s = push::now_ms() as f64 / 1000.0;
    poll::until("the groups to be samples again", || {
        let at_s = http::single_value(&kymo.url(), &format!("timestamp(batch_gauge{{{of}}})"))?;
        if at_s > restarted_s { Ok(()) } else { Err(format!("{at_s} is before {restarted_s}")) }
    });
    let groups = http::get(&format!("{}/api/v1/metrics", kymo.url())).expect("answered").json();
    assert_eq!(groups["data"].as_array().map(Vec::len), Some(2), "{groups}");
    assert_eq!(groups["data"][0]["batch_gauge"]["type"], "GAUGE", "{groups}");
}

#[test]
fn influxdb_client_writes_and_is_told_of_bad_lines() {
    let kymo = Kymo::start();
    client(&["influx", &kymo.url()]);
    let of = r#"city="São Paulo, SP",db="lab""#;
    check(&kymo, &format!("{{\"client weather_temperature\",{of}}}"), 21.5);
    check(&kymo, &format!("{{\"client weather_humidity\",{of}}}"), 80.0);
    check(&kymo, &format!("{{\"client weather_raining\",{of}}}"), 0.0);
    check(&kymo, r#"client_line_v{a="b",db="lab"}"#, 1.0);
    check(&kymo, r#"sound_v{x="y"}"#, 2.0);
    kymo.wait_for_nothing(r#"{"client weather_sky"}"#);
}

#[test]
fn statsd_and_dogstatsd_clients_are_aggregated() {
    let Listening { kymo, statsd, .. } = listening();
    let port = statsd.to_string();
    client(&["statsd", &kymo.url(), &port]);
    check(&kymo, "shop_orders", 3.0);
    check(&kymo, "shop_queue", 5.0);
    check(&kymo, "histogram_sum(shop_checkout)", 0.25);
    check(&kymo, "by_tcp", 1.0);
    check(&kymo, "max_over_time(shop_users[10m])", 2.0);
    client(&["dogstatsd", &kymo.url(), &port]);
    check(&kymo, r#"dog_orders{env="test",shop="oslo",paid="true"}"#, 2.0);
    check(&kymo, r#"dog_queue{env="test"}"#, 4.0);
    check(&kymo, "histogram_count(dog_size)", 1.0);
    check(&kymo, "histogram_sum(dog_size2)", 20.0);
    let sources = http::get(&format!("{}/api/v1/status/push_sources", kymo.url())).expect("answered").text();
    assert!(sources.contains(r#""protocol":"statsd""#), "{sources}");
}

#[test]
fn datadog_client_sends_series() {
    let kymo = Kymo::start();
    client(&["datadog", &kymo.url()]);
    check(&kymo, r#"dd_load{env="test",up="true",host="web01"}"#, 2.0);
    check(&kymo, "count_over_time(dd_load[10m])", 2.0);
    check(&kymo, r#"dd_hits{host="web01"}"#, 5.0);
    let validated = http::get(&format!("{}/datadog/api/v1/validate", kymo.url())).expect("answered");
    assert_eq!((validated.status, validated.text().as_str()), (200, r#"{"valid":true}"#));
}

#[test]
fn collectd_sends_by_write_graphite() {
    let Listening { kymo, graphite, .. } = listening();
    let folder = kymo.folder().join("collectd");
    std::fs::create_dir_all(&folder).expect("a folder");
    let port = format!("\"{graphite}\"");
    let config = format!(
        "Hostname \"box\"\nFQDNLookup false\nInterval 1\nBaseDir \"{0}\"\nPIDFile \"{0}/pid\"\nTypesDB \"/usr/share/collectd/types.db\"\n{1}",
        folder.display(),
        docs::snippet("collect.md", "collectd").replace("\"2003\"", &port)
    );
    let path = folder.join("collectd.conf");
    write(&path, &config);
    let mut command = Command::new(program("collectd"));
    command.arg("-f").arg("-C").arg(&path);
    let _collectd = Process::start(command, &folder.join("log"));
    let load = kymo.wait_for_value(r#"{"box.load.load.shortterm"}"#);
    assert!(load >= 0.0, "{load}");
}

/// Many values with times, from a file; some are no numbers.
#[test]
fn zabbix_sender_is_told_what_was_written() {
    let Listening { kymo, zabbix, .. } = listening();
    let now_s = push::now_ms() / 1_000;
    let mut values: String =
        (0..600).map(|at| format!("db01 numbers[{}] {} {at}\n", at % 3, now_s - 600 + at)).collect();
    values.push_str(&format!("db01 greeting {now_s} hello\n"));
    let path = kymo.folder().join("values");
    write(&path, &values);
    let output = Command::new(paths::program("zabbix_sender"))
        .args(["-z", "127.0.0.1", "-p", &zabbix.to_string(), "-T", "-vv", "-i"])
        .arg(&path)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("sent: 601; skipped: 0; total: 601"), "{said}");
    assert_eq!(output.status.code(), Some(2), "some failed: {said}");
    check(&kymo, "sum(count_over_time(numbers{host=\"db01\"}[15m]))", 600.0);
    check(&kymo, "max(timestamp(numbers))", (now_s - 1) as f64);
    check(&kymo, "max_over_time(numbers{param1=\"2\"}[15m])", 599.0);
    kymo.wait_for_nothing("greeting");
}

/// Daemons lie where only root's path leads.
fn program(name: &str) -> std::path::PathBuf {
    let daemon = Path::new("/usr/sbin").join(name);
    if daemon.exists() { daemon } else { paths::program(name) }
}

#[test]
fn a_flood_on_one_protocol_does_not_starve_another() {
    let Listening { kymo, graphite, opentsdb, .. } = listening();
    // Clients that never finish hold every slot of one protocol over HTTP.
    let unfinished: Vec<TcpStream> = (0..80)
        .map(|_| {
            let address = kymo.url().replace("http://", "");
            let mut socket = TcpStream::connect(address).expect("it listens");
            let head = "POST /write HTTP/1.1\r\nhost: kymo\r\ncontent-length: 1000\r\n\r\na v=1\n";
            socket.write_all(head.as_bytes()).expect("taken");
            socket
        })
        .collect();
    poll::until("the slots to be taken", || {
        match http::post(&format!("{}/write", kymo.url()), &[], b"a v=1")?.status {
            429 => Ok(()),
            status => Err(format!("answered {status}")),
        }
    });
    let body = br#"{"metric":"by_json","value":1}"#;
    let json = http::post(&format!("{}/api/v1/import/json", kymo.url()), &[], body).expect("answered");
    assert_eq!(json.status, 204, "{}", json.text());
    drop(unfinished);
    // A flood of datagrams, and a line by another protocol beside it.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let datagram: String = (0..100).map(|at| format!("flood.{at} 1\n")).collect();
    for _ in 0..2_000 {
        // What the system has no room for is its business.
        let _ = socket.send_to(datagram.as_bytes(), ("127.0.0.1", graphite));
    }
    let mut telnet = TcpStream::connect(("127.0.0.1", opentsdb)).expect("it listens");
    telnet.write_all(format!("put by_telnet {} 4 a=b\n", push::now_ms()).as_bytes()).expect("taken");
    check(&kymo, "by_telnet", 4.0);
    check(&kymo, "by_json", 1.0);
    poll::until("some of the flood to be written", || http::single_value(&kymo.url(), r#"{"flood.0"}"#));
}

/// Snippets of `docs/user/collect.md` about pushing: what runs each, and what is stored then.
const PUSHED: [(&str, Runner, &str, Option<f64>); 17] = [
    ("json", Runner::Shell, r#"room_temperature_celsius{room="kitchen"}"#, Some(21.5)),
    ("json_lines", Runner::Shell, r#"imported{job="archive"}"#, Some(2.5)),
    ("csv", Runner::Shell, r#"price{symbol="GOOG"}"#, Some(171.5)),
    ("prometheus", Runner::Shell, r#"backup_bytes{disk="a",job="backup"}"#, Some(1.5e9)),
    ("influx", Runner::Shell, r#"weather_temperature{city="Oslo",db="lab"}"#, Some(4.5)),
    ("influx-python", Runner::Python, r#"weather_temperature{city="Bergen",db="lab"}"#, Some(6.5)),
    ("opentsdb", Runner::Shell, r#"{"sys.cpu.nice",host="web01"}"#, Some(18.0)),
    ("opentsdb_telnet", Runner::Shell, r#"{"sys.disk.free",host="web01"}"#, Some(42.5)),
    (
        "pushgateway",
        Runner::Shell,
        r#"backup_last_success_timestamp_seconds{job="backup",instance="db01"}"#,
        // The time.
        None,
    ),
    ("pushgateway-python", Runner::Python, r#"backup_size_bytes{job="backup",instance="db02"}"#, Some(1.5e9)),
    ("statsd", Runner::Shell, r#"checkout_orders{shop="oslo"}"#, Some(1.0)),
    ("statsd-python", Runner::Python, r#"checkout_refunds{shop="oslo"}"#, Some(1.0)),
    ("graphite", Runner::Shell, r#"{"servers.web01.requests",dc="eu"}"#, Some(12.0)),
    ("graphite_http", Runner::Shell, r#"{"servers.web01.load",dc="eu"}"#, Some(1.5)),
    (
        "zabbix",
        Runner::Shell,
        r#"{"net.if.in",host="web01",param1="eth0",param2="bytes"}"#,
        Some(1_048_576.0),
    ),
    ("datadog", Runner::Shell, r#"app_latency{env="prod",host="web01"}"#, Some(0.25)),
    ("datadog-python", Runner::Python, r#"app_users{env="prod",host="web01"}"#, Some(17.0)),
];

/// All snippets that this file runs.
pub(crate) const SNIPPETS: [&str; PUSHED.len() + 1] = {
    let mut names = ["collectd"; PUSHED.len() + 1];
    let mut at = 0;
    while at < PUSHED.len() {
        names[at] = PUSHED[at].0;
        at += 1;
    }
    names
};

/// What a snippet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Shell,
    Python,
}

#[test]
fn what_the_documentation_shows_works() {
    let listening = listening();
    let kymo = &listening.kymo;
    let now_s = push::now_ms() / 1000;
    for (name, runner, query, want) in PUSHED {
        let snippet = docs::snippet("collect.md", name)
            .replace("http://localhost:9090", &kymo.url())
            .replace("port=8125", &format!("port={}", listening.statsd));
        let (program, option) = match runner {
            Runner::Shell => ("bash".into(), "-euc"),
            Runner::Python => (paths::python(), "-c"),
        };
        let output = Command::new(program)
            .args([option, &snippet])
            .env("KYMO", kymo.url())
            .env("NOW", now_s.to_string())
            .env("STATSD_PORT", listening.statsd.to_string())
            .env("GRAPHITE_PORT", listening.graphite.to_string())
            .env("OPENTSDB_PORT", listening.opentsdb.to_string())
            .env("ZABBIX_PORT", listening.zabbix.to_string())
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {}: {said}", output.status);
        check(kymo, query, want.unwrap_or(now_s as f64));
    }
}

#[test]
fn datagrams_that_the_kernel_drops_are_counted() {
    let port = free_port();
    let mut kymo = Kymo::start_configured(&format!(
        "push: {{statsd: {{listen_udp: '127.0.0.1:{port}', udp_buffer: 8KiB, flush_interval: 100ms}}}}\n"
    ));
    let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("an address");
    let count = 5_000;
    // While it stands still, nobody reads.
    kymo.process().signal(rustix::process::Signal::STOP);
    for _ in 0..count {
        client.send_to(b"burst:1|c", ("127.0.0.1", port)).expect("sent");
    }
    kymo.process().signal(rustix::process::Signal::CONT);
    let lost_line = "kymo_push_samples_dropped_total{protocol=\"statsd\",reason=\"kernel_buffer_full\"}";
    poll::until("every datagram to be read, or counted as lost", || {
        let lost = kymo.metric(lost_line);
        let read = http::single_value(&kymo.url(), "burst").unwrap_or(0.0);
        if lost > 0.0 && read + lost == f64::from(count) {
            Ok(())
        } else {
            Err(format!("{read} read, {lost} lost"))
        }
    });
    let sources = http::get(&format!("{}/api/v1/status/push_sources", kymo.url())).expect("answered").text();
    assert!(sources.contains("kernel buffer full"), "{sources}");
}
