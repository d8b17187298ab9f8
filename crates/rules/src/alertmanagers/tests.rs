//! Alerts on their way to servers of the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Instant;

use discovery::settings::StaticGroup;
use model::relabel::RelabelSettings;
use serde_json::Value;

use super::*;

/// A server that takes requests one by one, each answered with a status.
struct Peer {
    address: String,
    requests: mpsc::Receiver<(String, Value)>,
}

impl Peer {
    fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let sender = sender.clone();
                std::thread::spawn(move || while answer(&stream, status, &sender).is_some() {});
            }
        });
        Self { address, requests }
    }

    fn next(&self) -> (String, Value) {
        self.requests.recv_timeout(Duration::from_secs(60)).expect("a request")
    }
}

/// Reads a request and answers it; `None` when the connection is closed.
fn answer(mut stream: &TcpStream, status: &str, sender: &mpsc::Sender<(String, Value)>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // Before the answer, so that who has seen the answer finds it here.
    sender.send((first.trim_end().to_owned(), serde_json::from_slice(&body).ok()?)).ok()?;
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()
}

fn alert(name: &str) -> Arc<SentAlert> {
    Arc::new(SentAlert {
        labels: Labels::from_pairs([("alertname", name), ("own", "1")]),
        annotations: BTreeMap::from([("summary".to_owned(), "it is".to_owned())]),
        starts_at_ms: 1_500,
        ends_at_ms: 61_500,
        is_resolved: false,
        generator_url: "http://kymo.example/graph".to_owned(),
        file: "f".into(),
        group: "g".into(),
    })
}

fn rule(settings: RelabelSettings) -> Rule {
    Rule::new(settings).expect("sound")
}

fn set(addresses: &[&str]) -> SetSettings {
    let targets = addresses.iter().map(|address| (*address).to_owned()).collect();
    let mut section = Section::default();
    section.discovery.static_configs = vec![StaticGroup { targets, labels: BTreeMap::new() }];
    SetSettings {
        scheme: "http".to_owned(),
        path_prefix: "/".to_owned(),
        timeout: Duration::from_secs(30),
        relabel: Vec::new(),
        alert_relabel: Vec::new(),
        section,
    }
}

struct Running {
    alertmanagers: Alertmanagers,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    fn start(settings: Settings, queue: QueueSettings) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let registry = prometheus::Registry::new();
        let alertmanagers = runtime.block_on(async {
            let discovery = discovery::Shared::register(&registry).expect("registered");
            Alertmanagers::new(&registry, discovery, queue).expect("registered")
        });
        alertmanagers.reload(Prepared::new(settings).expect("clients"));
        Self { alertmanagers, runtime }
    }

    /// Waits until discovery has found so many.
    #[track_caller]
    fn wait_for(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.alertmanagers.active().len() != count {
            assert!(Instant::now() < deadline, "found {:?}", self.alertmanagers.active());
            std::thread::yield_now();
        }
    }

    fn send(&self, alerts: &[Arc<SentAlert>]) {
        self.alertmanagers.send(&TenantId::anonymous(), alerts);
    }

    fn stop(self) {
        self.runtime.block_on(self.alertmanagers.stop());
    }
}

#[test]
fn alerts_arrive_with_external_labels_and_relabelled() {
    let peer = Peer::start("200 OK");
    let drop_two = rule(RelabelSettings {
        source_labels: Some(vec!["alertname".to_owned()]),
        regex: "two".to_owned(),
        action: "drop".to_owned(),
        ..RelabelSettings::default()
    });
    let prefixed = SetSettings { path_prefix: "/am/".to_owned(), ..set(&[&peer.address]) };
    let running = Running::start(
        Settings {
            external_labels: Labels::from_pairs([("region", "eu"), ("own", "other")]),
            alert_relabel: vec![drop_two],
            sets: vec![prefixed],
        },
        QueueSettings::default(),
    );
    running.wait_for(1);
    assert_eq!(running.alertmanagers.active(), [format!("http://{}/am/api/v2/alerts", peer.address)]);
    running.send(&[alert("one"), alert("two")]);
    let (line, body) = peer.next();
    assert_eq!(line, "POST /am/api/v2/alerts HTTP/1.1");
    let expected = serde_json::json!([{
        "annotations": {"summary": "it is"},
        "startsAt": "1970-01-01T00:00:01.5Z",
        "endsAt": "1970-01-01T00:01:01.5Z",
        "generatorURL": "http://kymo.example/graph",
        "labels": {"alertname": "one", "own": "1", "region": "eu"},
    }]);
    assert_eq!(body, expected);
    running.stop();
}

#[test]
fn each_set_has_rules_of_its_own_for_targets_and_for_alerts() {
    let (first, second) = (Peer::start("200 OK"), Peer::start("200 OK"));
    let to_second = rule(RelabelSettings {
        target_label: "to".to_owned(),
        replacement: "second".to_owned(),
        ..RelabelSettings::default()
    });
    let drop_first = rule(RelabelSettings {
        source_labels: Some(vec!["__address__".to_owned()]),
        regex: first.address.clone(),
        action: "drop".to_owned(),
        ..RelabelSettings::default()
    });
    let other = SetSettings {
        alert_relabel: vec![to_second],
        relabel: vec![drop_first],
        ..set(&[&first.address, &second.address])
    };
    let settings = Settings { sets: vec![set(&[&first.address]), other], ..Settings::default() };
    let running = Running::start(settings, QueueSettings::default());
    running.wait_for(2);
    assert_eq!(running.alertmanagers.dropped(), [format!("http://{}/api/v2/alerts", first.address)]);
    running.send(&[alert("one")]);
    assert_eq!(first.next().1[0]["labels"]["to"], Value::Null);
    assert_eq!(second.next().1[0]["labels"]["to"], "second");
    running.stop();
}

#[test]
fn batches_are_bounded_and_what_waits_is_sent_before_the_end() {
    let peer = Peer::start("200 OK");
    let queue = QueueSettings { alerts_max: 100, batch_max: 2 };
    let running =
        Running::start(Settings { sets: vec![set(&[&peer.address])], ..Settings::default() }, queue);
    running.wait_for(1);
    running.send(&[alert("a"), alert("b"), alert("c"), alert("d"), alert("e")]);
    running.stop();
    let mut names = Vec::new();
    while let Ok((_, body)) = peer.requests.try_recv() {
        let batch = body.as_array().expect("a list").clone();
        assert!(batch.len() <= 2, "{batch:?}");
        names
            .extend(batch.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap_or("").to_owned()));
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_full_queue_loses_the_oldest_and_counts_them() {
    // Nobody answers there, so the first batch stays under way.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("bound").to_string();
    let queue = QueueSettings { alerts_max: 3, batch_max: 1 };
    let short = SetSettings { timeout: Duration::from_millis(50), ..set(&[&address]) };
    let running = Running::start(Settings { sets: vec![short], ..Settings::default() }, queue);
    running.wait_for(1);
    running.send(&(0..10).map(|at| alert(&at.to_string())).collect::<Vec<_>>());
    let url = format!("http://{address}/api/v2/alerts");
    let metrics = running.alertmanagers.shared.metrics.clone();
    assert!(metrics.dropped.with_label_values(&[&url]).get() >= 7);
    running.stop();
    let (dropped, errors) =
        (metrics.dropped.with_label_values(&[&url]), metrics.errors.with_label_values(&[&url]));
    assert_eq!((dropped.get(), metrics.sent.with_label_values(&[&url]).get()), (10, 0));
    assert!(errors.get() >= 1);
}

#[test]
fn what_is_refused_is_counted_and_a_reload_keeps_what_is_unchanged() {
    let peer = Peer::start("400 Bad Request");
    let settings = Settings { sets: vec![set(&[&peer.address])], ..Settings::default() };
    let running = Running::start(settings.clone(), QueueSettings::default());
    running.wait_for(1);
    running.alertmanagers.reload(Prepared::new(settings).expect("clients"));
    assert_eq!(running.alertmanagers.active().len(), 1, "at once, without discovery");
    running.send(&[alert("a")]);
    peer.next();
    let url = running.alertmanagers.active().remove(0);
    let metrics = running.alertmanagers.shared.metrics.clone();
    let plan = Arc::clone(&running.alertmanagers.plan);
    running.stop();
    assert_eq!(metrics.errors.with_label_values(&[&url]).get(), 1);
    assert_eq!(plan.read().sets.len(), 1);
}
