//! The binary finds targets in a Kubernetes cluster and a Consul catalog, played by servers of our own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};
use serde_json::Value;

/// The longest that a query of Consul is held back.
const HELD_BACK_MAX: Duration = Duration::from_secs(5);

/// What both servers play: one machine that also exposes metrics.
#[derive(Default)]
struct World {
    /// JSON of pods.
    pods: Mutex<Vec<String>>,
    /// Open watches on pods.
    watches: Mutex<Vec<mpsc::Sender<String>>>,
    /// Consul's index and its services.
    catalog: Mutex<(u64, BTreeMap<String, u16>)>,
    changed: Condvar,
    consul_is_broken: Mutex<bool>,
}

enum Answer {
    Whole(u16, String, String),
    /// Lines as they come.
    Watch(mpsc::Receiver<String>),
}

fn json(body: String) -> Answer {
    Answer::Whole(200, String::new(), body)
}

fn serve(world: &Arc<World>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let world = Arc::clone(world);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let world = Arc::clone(&world);
            std::thread::spawn(move || talk(stream, &world));
        }
    });
    port
}

/// Answers requests until the peer goes.
fn talk(stream: TcpStream, world: &World) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let target = first.split(' ').nth(1).unwrap_or("").to_owned();
        let written = match world.answer(&target) {
            Answer::Whole(status, head, body) => {
                let length = body.len();
                out.write_all(
                    format!("HTTP/1.1 {status} X\r\n{head}content-length: {length}\r\n\r\n{body}").as_bytes(),
                )
            }
            Answer::Watch(events) => {
                let head = out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                head.and_then(|()| {
                    events.iter().try_for_each(|event| {
                        out.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
                    })
                })
            }
        };
        if written.is_err() {
            return;
        }
    }
}

impl World {
    fn answer(&self, target: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/metrics" => {
                Answer::Whole(200, "content-type: text/plain\r\n".to_owned(), "a_metric 1\n".to_owned())
            }
            "/api/v1/pods" if query.contains("watch=1") => {
                let (sender, receiver) = mpsc::channel();
                self.watches.lock().expect("watches").push(sender);
                Answer::Watch(receiver)
            }
            "/api/v1/pods" => {
                let pods = self.pods.lock().expect("pods").join(",");
                json(format!(r#"{{"metadata": {{"resourceVersion": "1"}}, "items": [{pods}]}}"#))
            }
            "/v1/agent/self" => json(r#"{"Config": {"Datacenter": "dc1"}}"#.to_owned()),
            _ => self.consul(path, query),
        }
    }

    fn consul(&self, path: &str, query: &str) -> Answer {
        let index: u64 =
            query.split('&').find_map(|pair| pair.strip_prefix("index=")?.parse().ok()).unwrap_or(0);
        let catalog = self.catalog.lock().expect("the catalog");
        let held = self.changed.wait_timeout_while(catalog, HELD_BACK_MAX, |catalog| {
            catalog.0 <= index && !*self.consul_is_broken.lock().expect("a flag")
        });
        let catalog = held.expect("the catalog").0;
        if *self.consul_is_broken.lock().expect("a flag") {
            return Answer::Whole(500, String::new(), "No cluster leader".to_owned());
        }
        let body = match path.strip_prefix("/v1/health/service/") {
            None => {
                let services: Vec<String> = catalog.1.keys().map(|name| format!("\"{name}\": []")).collect();
                format!("{{{}}}", services.join(","))
            }
            Some(name) => catalog.1.get(name).map_or("[]".to_owned(), |port| {
                format!(
                    r#"[{{"Node": {{"Node": "n", "Address": "127.0.0.1"}}, "Service": {{"ID": "x", "Port": {port}, "Tags": ["t"]}}, "Checks": []}}]"#
                )
            }),
        };
        Answer::Whole(200, format!("x-consul-index: {}\r\n", catalog.0), body)
    }

    fn set_services(&self, services: &[(&str, u16)]) {
        let mut catalog = self.catalog.lock().expect("the catalog");
        catalog.0 += 1;
        catalog.1 = services.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        self.changed.notify_all();
    }

    fn break_consul(&self) {
        let _catalog = self.catalog.lock().expect("the catalog");
        *self.consul_is_broken.lock().expect("a flag") = true;
        self.changed.notify_all();
    }

    fn send(&self, kind: &str, pod: &str) {
        let event = format!("{{\"type\": \"{kind}\", \"object\": {pod}}}\n");
        poll::until("a watch", || {
            let watches = self.watches.lock().expect("watches");
            watches.last().ok_or("no watch yet")?.send(event.clone()).map_err(|error| error.to_string())
        });
    }
}

fn pod(name: &str, port: u16) -> String {
    format!(
        r#"{{"metadata": {{"name": "{name}", "namespace": "shop", "labels": {{"app": "{name}"}}, "resourceVersion": "2"}}, "spec": {{"nodeName": "n1", "containers": [{{"name": "c", "image": "i", "ports": [{{"name": "http", "containerPort": {port}, "protocol": "TCP"}}]}}]}}, "status": {{"podIP": "127.0.0.1", "phase": "Running"}}}}"#
    )
}

fn config(port: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: pods\n  kubernetes_sd_configs: [{{role: pod, api_server: 'http://127.0.0.1:{port}'}}]\n  \
           relabel_configs:\n  - {{source_labels: [__meta_kubernetes_pod_label_app], target_label: app}}\n\
         - job_name: services\n  consul_sd_configs: [{{server: '127.0.0.1:{port}', refresh_interval: 1s}}]\n  \
           relabel_configs:\n  - {{source_labels: [__meta_consul_service], target_label: service}}\n"
    )
}

/// Active targets of a job, as `/api/v1/targets` shows them.
fn targets(kymo: &Kymo, job: &str) -> Result<Vec<Value>, String> {
    let targets = http::api(&kymo.url(), "/api/v1/targets", &[("scrapePool", job), ("state", "active")])?;
    targets["activeTargets"].as_array().cloned().ok_or("no list".to_owned())
}

fn until_labels(kymo: &Kymo, job: &str, label: &str, want: &[&str]) {
    poll::until(&format!("targets of {job} with {label} {want:?}"), || {
        let mut found: Vec<String> = targets(kymo, job)?
            .iter()
            .map(|t| t["labels"][label].as_str().unwrap_or("").to_owned())
            .collect();
        found.sort();
        if found == want { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn pods_and_services_come_and_go_as_kubernetes_and_consul_tell() {
    let world = Arc::new(World::default());
    let port = serve(&world);
    let other = serve(&world);
    world.pods.lock().expect("pods").push(pod("web", port));
    world.set_services(&[("db", port)]);
    let kymo = Kymo::start_configured(&config(port));
    kymo.wait_for_value("a_metric{job=\"pods\",app=\"web\"}");
    kymo.wait_for_value("a_metric{job=\"services\",service=\"db\"}");
    let discovered = targets(&kymo, "pods").expect("targets")[0]["discoveredLabels"].clone();
    for (name, want) in [
        ("__meta_kubernetes_namespace", "shop"),
        ("__meta_kubernetes_pod_name", "web"),
        ("__meta_kubernetes_pod_container_port_name", "http"),
        ("__meta_kubernetes_pod_node_name", "n1"),
    ] {
        assert_eq!(discovered[name], want, "{discovered}");
    }
    let discovered = targets(&kymo, "services").expect("targets")[0]["discoveredLabels"].clone();
    for (name, want) in
        [("__meta_consul_dc", "dc1"), ("__meta_consul_tags", ",t,"), ("__meta_consul_health", "passing")]
    {
        assert_eq!(discovered[name], want, "{discovered}");
    }

    world.send("ADDED", &pod("api", other));
    until_labels(&kymo, "pods", "app", &["api", "web"]);
    kymo.wait_for_value("a_metric{app=\"api\"}");
    world.send("DELETED", &pod("web", port));
    until_labels(&kymo, "pods", "app", &["api"]);

    world.set_services(&[("cache", other), ("db", port)]);
    until_labels(&kymo, "services", "service", &["cache", "db"]);
    world.set_services(&[("cache", other)]);
    until_labels(&kymo, "services", "service", &["cache"]);

    world.break_consul();
    poll::until("a warning", || {
        let answer = http::get_with(&kymo.url(), "/api/v1/targets", &[])?.json();
        match answer["warnings"][0].as_str() {
            Some(warning)
                if warning.contains("services: consul_sd_configs:")
                    && warning.contains("No cluster leader") =>
            {
                Ok(())
            }
            _ => Err(answer["warnings"].to_string()),
        }
    });
    until_labels(&kymo, "services", "service", &["cache"]);
    kymo.wait_for_value("a_metric{service=\"cache\"}");
    poll::until("the failure to be counted", || {
        let metrics = http::get(&format!("{}/metrics", kymo.url()))?.text();
        let failing = metrics.contains("kymo_discovery_failing{mechanism=\"consul\"} 1");
        if failing { Ok(()) } else { Err(metrics) }
    });
}
