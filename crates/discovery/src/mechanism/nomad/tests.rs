//! Against a server that answers as Nomad's HTTP API does.

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

fn answer(ask: &Ask) -> Reply {
    match ask.path.as_str() {
        "/v1/services" => Reply::json(
            r#"[{"Namespace": "default", "Services": [{"ServiceName": "redis", "Tags": ["db"]}, {"ServiceName": "web"}]}]"#,
        ),
        "/v1/service/redis" => Reply::json(
            r#"[{"ID": "_nomad-task-1", "ServiceName": "redis", "Namespace": "default", "NodeID": "n1", "Datacenter": "dc1",
                "JobID": "j", "AllocID": "a", "Tags": ["db", "cache"], "Address": "127.0.0.1", "Port": 30456,
                "CreateIndex": 226, "ModifyIndex": 226}]"#,
        ),
        "/v1/service/web" => Reply::json(r#"[{"Address": "::1", "Port": 80, "Tags": null}]"#),
        _ => Reply::of(500, "no such service"),
    }
}

#[tokio::test]
async fn instances_of_all_services() {
    let server = Server::start(answer).await;
    let settings: Settings = settings(&format!("{{server: '{}', region: eu}}", server.url));
    let groups = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(
        &groups,
        "__address__=127.0.0.1:30456
         __meta_nomad_address=127.0.0.1
         __meta_nomad_dc=dc1
         __meta_nomad_namespace=default
         __meta_nomad_node_id=n1
         __meta_nomad_service=redis
         __meta_nomad_service_address=127.0.0.1
         __meta_nomad_service_id=_nomad-task-1
         __meta_nomad_service_port=30456
         __meta_nomad_tags=,db,cache,

         __address__=[::1]:80
         __meta_nomad_address=::1
         __meta_nomad_service_address=::1
         __meta_nomad_service_port=80",
    );
    let ask = &server.asked("/v1/services")[0];
    assert_eq!((ask.parameter("namespace"), ask.parameter("region")), ("default", "eu"));
    assert!(ask.query.contains_key("stale"));
}

#[tokio::test]
async fn a_refusal_is_a_failure() {
    let server = Server::start(|_| Reply::of(403, "Permission denied")).await;
    let settings: Settings = settings(&format!("server: '{}'", server.url));
    let error = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect_err("refused");
    assert!(error.to_string().ends_with("answered 403 Forbidden: Permission denied"), "{error}");
}
