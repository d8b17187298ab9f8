//! Against a server that answers as Consul's HTTP API does, blocking queries included.

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, discover, settings, shared, until, until_addresses};

/// What the imitation holds: an index, and for each service its name, tags and port.
type Held = (u64, Vec<(&'static str, &'static str, u16)>);

/// Answers when its index is beyond that of the query, as Consul does.
async fn answer(ask: Ask, mut held: watch::Receiver<Held>) -> Reply {
    if ask.path == "/v1/agent/self" {
        return Reply::json(r#"{"Config": {"Datacenter": "dc1", "NodeName": "n"}, "Stats": {}}"#);
    }
    let index: u64 = ask.parameter("index").parse().unwrap_or(0);
    if held.wait_for(|(now, _)| *now > index).await.is_err() {
        return Reply::of(500, "gone");
    }
    let (now, services) = held.borrow().clone();
    let body = match ask.path.strip_prefix("/v1/health/service/") {
        None => {
            let services = services.iter().map(|(name, tags, _)| format!("\"{name}\": [{tags}]"));
            format!("{{{}}}", services.collect::<Vec<_>>().join(","))
        }
        Some(name) => match services.iter().find(|(known, ..)| *known == name) {
            Some((name, tags, port)) => format!("[{}]", entry(name, tags, *port)),
            None => "[]".to_owned(),
        },
    };
    Reply::json(body).with("x-consul-index", now.to_string())
}

fn entry(name: &str, tags: &str, port: u16) -> String {
    format!(
        r#"{{"Node": {{"ID": "1", "Node": "node1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {{"rack-1": "2304"}},
            "TaggedAddresses": {{"lan": "10.0.0.1", "wan": "1.1.1.1"}}}},
          "Service": {{"ID": "{name}-1", "Service": "{name}", "Tags": [{tags}], "Address": "", "Port": {port},
            "Meta": {{"version": "1.0.0"}}, "Namespace": "ns1", "Partition": "part1", "Weights": null}},
          "Checks": [{{"Node": "node1", "CheckID": "serfHealth", "Status": "passing"}},
            {{"Node": "node1", "CheckID": "service:x", "Status": "warning"}}]}}"#
    )
}

#[tokio::test]
async fn services_come_change_and_go_as_consul_tells() {
    let (change, held) = watch::channel((1, vec![("web", "\"prod\", \"v1\"", 80)]));
    let server = Server::start_async(move |ask| answer(ask, held.clone())).await;
    let host = server.url.strip_prefix("http://").expect("an address");
    let mut discovery = discover(
        &format!("consul_sd_configs: [{{server: '{host}', refresh_interval: 1s, token: t}}]"),
        &shared(&[]),
    );
    let snapshot = until_addresses(&mut discovery, &["10.0.0.1:80"]).await;
    check_targets(
        snapshot.groups(),
        "__address__=10.0.0.1:80
         __meta_consul_address=10.0.0.1
         __meta_consul_dc=dc1
         __meta_consul_health=warning
         __meta_consul_metadata_rack_1=2304
         __meta_consul_namespace=ns1
         __meta_consul_node=node1
         __meta_consul_partition=part1
         __meta_consul_service=web
         __meta_consul_service_id=web-1
         __meta_consul_service_metadata_version=1.0.0
         __meta_consul_service_port=80
         __meta_consul_tagged_address_lan=10.0.0.1
         __meta_consul_tagged_address_wan=1.1.1.1
         __meta_consul_tags=,prod,v1,",
    );
    change.send_replace((2, vec![("web", "", 81), ("db", "", 5432)]));
    until_addresses(&mut discovery, &["10.0.0.1:5432", "10.0.0.1:81"]).await;
    change.send_replace((3, vec![("db", "", 5432)]));
    until_addresses(&mut discovery, &["10.0.0.1:5432"]).await;
    change.send_replace((9, vec![("db", "", 5433)]));
    until_addresses(&mut discovery, &["10.0.0.1:5433"]).await;
    let asked = server.asked("/v1/catalog/services");
    assert_eq!(asked[0].header("x-consul-token"), "t");
    assert!(asked[0].query.contains_key("stale") && !asked[0].query.contains_key("index"), "{:?}", asked[0]);
    assert_eq!((asked[1].parameter("index"), asked[1].parameter("wait")), ("1", "120000ms"));
}

#[tokio::test]
async fn only_wanted_services_are_watched_and_filters_go_to_consul() {
    let (_change, held) =
        watch::channel((5, vec![("web", "\"prod\"", 80), ("api", "\"test\"", 81), ("db", "\"prod\"", 82)]));
    let server = Server::start_async(move |ask| answer(ask, held.clone())).await;
    let host = server.url.strip_prefix("http://").expect("an address");
    let mut discovery = discover(
        &format!(
            "consul_sd_configs: [{{server: '{host}', path_prefix: '', services: [web, api], tags: [prod], allow_stale: false,
               datacenter: east, namespace: n, partition: p, filter: 'a == b', health_filter: 'c == d',
               node_meta: {{rack: 1}}, username: u, password: s}}]"
        ),
        &shared(&[]),
    );
    until_addresses(&mut discovery, &["10.0.0.1:80"]).await;
    let services = &server.asked("/v1/catalog/services")[0];
    let health = &server.asked("/v1/health/service/")[0];
    for (ask, filter) in [(services, "a == b"), (health, "c == d")] {
        for (name, want) in
            [("dc", "east"), ("ns", "n"), ("partition", "p"), ("node-meta", "rack:1"), ("filter", filter)]
        {
            assert_eq!(ask.parameter(name), want, "{ask:?}");
        }
        assert!(!ask.query.contains_key("stale"));
        assert_eq!(ask.header("authorization"), "Basic dTpz");
    }
    assert_eq!(health.parameter("tag"), "prod");
    assert_eq!(server.asked("/v1/health/service/").len(), 1, "the others have not the tag or not the name");
    assert!(server.asked("/v1/agent").is_empty(), "the data center is known");
}

#[tokio::test]
async fn named_services_need_no_catalog_and_a_failure_keeps_their_targets() {
    let (change, held) = watch::channel((1, vec![("web", "", 80)]));
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&broken);
    let server = Server::start_async(move |ask| {
        let (held, flag) = (held.clone(), Arc::clone(&flag));
        async move {
            let reply = answer(ask, held).await;
            if flag.load(std::sync::atomic::Ordering::SeqCst) {
                Reply::of(500, "No cluster leader")
            } else {
                reply
            }
        }
    })
    .await;
    let shared = shared(&[]);
    let mut discovery = discover(
        &format!(
            "consul_sd_configs: [{{server: '{}', services: [web, none], refresh_interval: 1s}}]",
            server.url
        ),
        &shared,
    );
    until_addresses(&mut discovery, &["10.0.0.1:80"]).await;
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    change.send_replace((2, vec![("web", "", 81)]));
    let snapshot = until(&mut discovery, "a failure", |s| s.failures().count() > 0).await;
    let failure = snapshot.failures().next().unwrap_or("").to_owned();
    assert!(failure.contains("No cluster leader"), "{failure}");
    assert_eq!(crate::testing::addresses(&snapshot), ["10.0.0.1:80"]);
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    until_addresses(&mut discovery, &["10.0.0.1:81"]).await;
    until(&mut discovery, "no failure", |s| s.failures().count() == 0).await;
    assert!(server.asked("/v1/catalog").is_empty());
}

#[test]
fn health_is_that_of_the_worst_check() {
    let check = |checks: &[(&str, &str)], want: &str| {
        let checks: Vec<Check> = checks
            .iter()
            .map(|(id, status)| Check { check_id: (*id).to_owned(), status: (*status).to_owned() })
            .collect();
        assert_eq!(aggregated(&checks), want);
    };
    check(&[], "passing");
    check(&[("a", "passing"), ("b", "critical"), ("c", "warning")], "critical");
    check(&[("a", "passing"), ("_node_maintenance", "critical")], "maintenance");
    check(&[("a", "unheard of")], "");
}

#[test]
fn contradictions_are_refused() {
    for (text, want) in [
        ("server: ''", "consul SD configuration requires a server address"),
        ("{username: u, basic_auth: {username: u}}", "username and password and basic auth"),
        ("{token: t, authorization: {credentials: x}}", "at most one of consul SD token"),
        ("{bearer_token: a, bearer_token_file: b}", "at most one of bearer_token"),
    ] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
