//! Against a server that answers as the Kubernetes API does: lists in pages, watches, bookmarks, 410 Gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{Ask, Reply, Server, discover, settings, shared, until, until_addresses};

mod access;
mod groups;

/// What sends the events of a watch of a path.
type Watch = (String, mpsc::Sender<String>);

/// A cluster: JSON of objects by path, and open watches by path.
#[derive(Clone, Default)]
struct Cluster {
    objects: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    watches: Arc<Mutex<Vec<Watch>>>,
    /// The answer to watches that come: a status other than 200.
    refused: Arc<Mutex<Option<u16>>>,
}

impl Cluster {
    fn answer(&self, ask: &Ask) -> Reply {
        if ask.parameter("watch") == "1" {
            if let Some(status) = *self.refused.lock() {
                return Reply::of(
                    status,
                    r#"{"kind": "Status", "message": "too old resource version", "code": 410}"#,
                );
            }
            let (sender, parts) = mpsc::channel(16);
            self.watches.lock().push((ask.path.clone(), sender));
            return Reply::parts(parts);
        }
        let objects = self.objects.lock();
        let Some(objects) = objects.get(&ask.path) else {
            return Reply::of(403, r#"{"kind": "Status", "message": "pods is forbidden", "code": 403}"#);
        };
        // Pages of one object.
        let at: usize = ask.parameter("continue").parse().unwrap_or(0);
        let item = objects.get(at).cloned().unwrap_or_default();
        let more = if at + 1 < objects.len() { (at + 1).to_string() } else { String::new() };
        Reply::json(format!(
            r#"{{"kind": "PodList", "metadata": {{"resourceVersion": "100", "continue": "{more}"}}, "items": [{item}]}}"#
        ))
    }

    fn set(&self, path: &str, objects: &[String]) {
        self.objects.lock().insert(path.to_owned(), objects.to_vec());
    }

    /// Waits for a watch on a path and takes it.
    async fn watch(&self, path: &str) -> mpsc::Sender<String> {
        let deadline = tokio::time::Instant::now() + crate::testing::PATIENCE;
        loop {
            let found = {
                let mut watches = self.watches.lock();
                let at = watches.iter().position(|(of, _)| of == path);
                at.map(|at| watches.remove(at).1)
            };
            if let Some(found) = found {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "a watch on {path} comes in time");
            tokio::task::yield_now().await;
        }
    }

    async fn start(&self) -> Server {
        let cluster = self.clone();
        Server::start(move |ask| cluster.answer(ask)).await
    }
}

fn pod(name: &str, ip: &str, version: u32) -> String {
    format!(
        r#"{{"metadata": {{"name": "{name}", "namespace": "default", "uid": "u", "resourceVersion": "{version}"}},
          "spec": {{"nodeName": "n1", "containers": [{{"name": "c", "image": "i", "ports": [{{"containerPort": 80}}]}}]}},
          "status": {{"podIP": "{ip}", "phase": "Running"}}}}"#
    )
    .replace('\n', " ")
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\": \"{kind}\", \"object\": {object}}}\n")
}

const PODS: &str = "/api/v1/pods";

fn pods_of(server: &Server) -> String {
    format!("kubernetes_sd_configs: [{{role: pod, api_server: '{}'}}]", server.url)
}

#[tokio::test]
async fn pods_are_listed_in_pages_and_then_watched() {
    let cluster = Cluster::default();
    cluster.set(PODS, &[pod("a", "10.0.0.1", 1), pod("b", "10.0.0.2", 2)]);
    let server = cluster.start().await;
    let shared = shared(&[]);
    let mut discovery = discover(&pods_of(&server), &shared);
    until_addresses(&mut discovery, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    let watch = cluster.watch(PODS).await;
    let send = async |text: String| watch.send(text).await.expect("the watch is open");
    send(event("ADDED", &pod("c", "10.0.0.3", 101))).await;
    until_addresses(&mut discovery, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).await;
    send(event("MODIFIED", &pod("c", "10.0.0.4", 102))).await;
    // An event may come in pieces.
    let deleted = event("DELETED", &pod("a", "10.0.0.1", 103));
    let (one, two) = deleted.split_at(20);
    send(one.to_owned()).await;
    send(two.to_owned()).await;
    until_addresses(&mut discovery, &["10.0.0.2:80", "10.0.0.4:80"]).await;
    send(event("BOOKMARK", r#"{"metadata": {"resourceVersion": "200"}}"#)).await;
    drop(watch);
    // The server ended the watch; it goes on from the bookmark, without a list.
    let _next = cluster.watch(PODS).await;
    let asked = server.asked(PODS);
    let (lists, watches): (Vec<&Ask>, Vec<&Ask>) =
        asked.iter().partition(|ask| ask.parameter("watch").is_empty());
    assert_eq!(lists.len(), 2, "one list of two pages");
    assert_eq!((lists[0].parameter("limit"), lists[1].parameter("continue")), ("500", "1"));
    let versions: Vec<&str> = watches.iter().map(|ask| ask.parameter("resourceVersion")).collect();
    assert_eq!(versions, ["100", "200"]);
    assert_eq!(watches[0].parameter("allowWatchBookmarks"), "true");
    let seconds: u64 = watches[0].parameter("timeoutSeconds").parse().expect("a number");
    assert!((300..600).contains(&seconds));
    let events = |event: &str| shared.metrics.kubernetes_events.with_label_values(&["pods", event]).get();
    assert_eq!((events("add"), events("update"), events("delete")), (3, 1, 1));
}

#[tokio::test]
async fn a_watch_that_is_too_old_makes_a_new_list() {
    let cluster = Cluster::default();
    cluster.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    let server = cluster.start().await;
    let mut discovery = discover(&pods_of(&server), &shared(&[]));
    until_addresses(&mut discovery, &["10.0.0.1:80"]).await;
    // Said within the watch.
    let watch = cluster.watch(PODS).await;
    cluster.set(PODS, &[pod("b", "10.0.0.2", 2)]);
    let gone =
        r#"{"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410}"#;
    watch.send(event("ERROR", gone)).await.expect("the watch is open");
    until_addresses(&mut discovery, &["10.0.0.2:80"]).await;
    // Said in answer to it.
    let watch = cluster.watch(PODS).await;
    cluster.set(PODS, &[pod("c", "10.0.0.3", 3)]);
    *cluster.refused.lock() = Some(410);
    drop(watch);
    let snapshot = until_addresses(&mut discovery, &["10.0.0.3:80"]).await;
    *cluster.refused.lock() = None;
    assert_eq!(snapshot.failures().count(), 0, "nothing is wrong");
}

#[tokio::test]
async fn a_server_that_is_gone_keeps_its_last_targets_and_it_is_said() {
    let cluster = Cluster::default();
    cluster.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    let server = cluster.start().await;
    let mut discovery = discover(&pods_of(&server), &shared(&[]));
    until_addresses(&mut discovery, &["10.0.0.1:80"]).await;
    let watch = cluster.watch(PODS).await;
    *cluster.refused.lock() = Some(500);
    drop(watch);
    let snapshot = until(&mut discovery, "a failure", |s| s.failures().count() > 0).await;
    let failure = snapshot.failures().next().unwrap_or("").to_owned();
    assert!(failure.contains("500 Internal Server Error: too old resource version"), "{failure}");
    assert_eq!(crate::testing::addresses(&snapshot), ["10.0.0.1:80"]);
    *cluster.refused.lock() = None;
    until(&mut discovery, "no failure", |s| s.failures().count() == 0).await;
    let watch = cluster.watch(PODS).await;
    watch.send(event("DELETED", &pod("a", "10.0.0.1", 103))).await.expect("the watch is open");
    until_addresses(&mut discovery, &[]).await;
}

#[tokio::test]
async fn without_permission_nothing_is_published_and_it_is_said() {
    let server = Cluster::default().start().await;
    let mut discovery = discover(&pods_of(&server), &shared(&[]));
    let snapshot = until(&mut discovery, "a failure", |s| s.failures().count() > 0).await;
    assert!(snapshot.failures().any(|f| f.contains("403 Forbidden: pods is forbidden")));
    assert!(!snapshot.is_complete());
}

#[tokio::test]
async fn selectors_and_namespaces_limit_what_is_asked_for() {
    let cluster = Cluster::default();
    for namespace in ["one", "two"] {
        for kind in ["pods", "services", "endpoints"] {
            cluster.set(&format!("/api/v1/namespaces/{namespace}/{kind}"), &[]);
        }
    }
    cluster.set("/api/v1/nodes", &[]);
    let server = cluster.start().await;
    let text = format!(
        "kubernetes_sd_configs: [{{role: endpoints, api_server: '{}', namespaces: {{names: [one, two]}},
           attach_metadata: {{node: true}},
           selectors: [{{role: pod, label: 'a=b', field: 'spec.nodeName=n1'}}, {{role: service, label: 'c'}}]}}]",
        server.url
    );
    let mut discovery = discover(&text, &shared(&[]));
    until_addresses(&mut discovery, &[]).await;
    let pods = &server.asked("/api/v1/namespaces/one/pods")[0];
    assert_eq!(
        (pods.parameter("labelSelector"), pods.parameter("fieldSelector")),
        ("a=b", "spec.nodeName=n1")
    );
    let services = &server.asked("/api/v1/namespaces/two/services")[0];
    assert_eq!(services.parameter("labelSelector"), "c");
    assert!(!server.asked("/api/v1/namespaces/two/endpoints")[0].query.contains_key("labelSelector"));
    assert!(!server.asked("/api/v1/nodes").is_empty(), "nodes are in no namespace");
}

#[tokio::test]
async fn a_change_of_a_service_or_a_node_changes_the_targets_that_show_it() {
    let cluster = Cluster::default();
    let node = |zone: &str| {
        format!(r#"{{"metadata": {{"name": "n1", "resourceVersion": "7", "labels": {{"zone": "{zone}"}}}}}}"#)
    };
    let service = |tier: &str| {
        format!(
            r#"{{"metadata": {{"name": "web", "namespace": "default", "resourceVersion": "8", "labels": {{"tier": "{tier}"}}}}}}"#
        )
    };
    let endpoints = r#"{"metadata": {"name": "web", "namespace": "default"}, "subsets": [{"addresses":
        [{"ip": "10.0.0.1", "nodeName": "n1"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]}"#;
    cluster.set("/api/v1/endpoints", &[endpoints.to_owned()]);
    cluster.set("/api/v1/services", &[]);
    cluster.set(PODS, &[]);
    cluster.set("/api/v1/nodes", &[node("a")]);
    let server = cluster.start().await;
    let text = format!(
        "kubernetes_sd_configs: [{{role: endpoints, api_server: '{}', attach_metadata: {{node: true}}}}]",
        server.url
    );
    let mut discovery = discover(&text, &shared(&[]));
    let has = |name: &'static str, value: &'static str| {
        move |snapshot: &crate::Snapshot| {
            snapshot.groups().any(|group| {
                group.labels.get(name) == Some(value)
                    || group.targets.iter().any(|target| target.get(name) == Some(value))
            })
        }
    };
    until(&mut discovery, "zone a", has("__meta_kubernetes_node_label_zone", "a")).await;
    let nodes = cluster.watch("/api/v1/nodes").await;
    nodes.send(event("MODIFIED", &node("b"))).await.expect("open");
    until(&mut discovery, "zone b", has("__meta_kubernetes_node_label_zone", "b")).await;
    let services = cluster.watch("/api/v1/services").await;
    services.send(event("ADDED", &service("front"))).await.expect("open");
    until(&mut discovery, "a service", has("__meta_kubernetes_service_label_tier", "front")).await;
}

#[test]
fn contradictions_are_refused_in_prometheus_words() {
    for (text, want) in [
        ("{}", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)"),
        ("role: pot", "unknown Kubernetes SD role \"pot\""),
        (
            "{role: pod, api_server: 'http://x', namespaces: {own_namespace: true}}",
            "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
        ),
        (
            "{role: pod, kubeconfig_file: a, bearer_token: b}",
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
        ),
        ("{role: pod, bearer_token: b}", "please provide the 'api_server' URL explicitly"),
        ("{role: node, selectors: [{role: pod, label: a}]}", "node role supports only node selectors"),
        ("{role: pod, selectors: [{role: pod}, {role: pod}]}", "duplicated selector role: pod"),
    ] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
