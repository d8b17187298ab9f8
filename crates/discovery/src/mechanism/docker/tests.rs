//! Against a server that answers as the Docker Engine API does, over TCP and over a Unix socket.

use super::*;
use crate::mechanism::Configured;
use crate::refresh::Refresh;
use crate::testing::{Recorded, Server, check_targets, settings, shared};

const ENGINE: &str = include_str!("../../../testdata/docker.txt");

#[tokio::test]
async fn containers_over_tcp_with_their_first_network() {
    let (server, recorded) = Server::recorded(ENGINE).await;
    let settings: engine::Settings = settings(&format!(
        "{{host: '{}', filters: [{{name: label, values: [a, b]}}, {{name: status, values: [running]}}]}}",
        server.url.replace("http://", "tcp://")
    ));
    settings.check().expect("valid");
    let groups =
        engine::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(&groups, recorded.targets("docker"));
    let ask = &server.asked("/v1.43/containers")[0];
    assert_eq!(ask.parameter("filters"), r#"{"label":{"a":true,"b":true},"status":{"running":true}}"#);
    assert!(!server.asked("/v1.43/networks")[0].query.contains_key("filters"));
}

#[tokio::test]
async fn containers_over_a_unix_socket_with_all_networks() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("docker.sock").to_string_lossy().into_owned();
    let recorded = Recorded::parse(ENGINE);
    let server = Server::start_on_socket(&path, move |ask| ask.answered(&recorded));
    let settings: engine::Settings =
        settings(&format!("{{host: 'unix://{}', match_first_network: false}}", server.url));
    let groups =
        engine::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    let addresses: Vec<&str> = groups[0].targets.iter().filter_map(|t| t.get("__address__")).collect();
    assert_eq!(addresses, ["10.1.0.2:80", "10.2.0.2:80", "localhost", "10.1.0.2:9100", "10.2.0.2:9100"]);
    let gone: engine::Settings = crate::testing::settings("host: 'unix:///nowhere.sock'");
    let error =
        engine::Source::new(&gone, &shared(&[])).expect("a source").refresh().await.expect_err("no socket");
    assert!(error.to_string().contains("No such file"), "{error}");
}

async fn swarm(role: &str) -> (Vec<crate::TargetGroup>, Server, Recorded) {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/dockerswarm.txt")).await;
    let text =
        format!("{{host: '{}', role: {role}, port: 81, filters: [{{name: f, values: [v]}}]}}", server.url);
    let settings: swarm::Settings = settings(&text);
    settings.check().expect("valid");
    let groups =
        swarm::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    (groups, server, recorded)
}

#[tokio::test]
async fn services_tasks_and_nodes_of_a_swarm() {
    let (groups, server, recorded) = swarm("services").await;
    check_targets(&groups, recorded.targets("services"));
    assert_eq!(server.asked("/v1.43/services")[0].parameter("filters"), r#"{"f":{"v":true}}"#);
    let (groups, server, recorded) = swarm("tasks").await;
    check_targets(&groups, recorded.targets("dockerswarm"));
    assert!(!server.asked("/v1.43/services")[0].query.contains_key("filters"), "filters are those of tasks");
    let (groups, _, recorded) = swarm("nodes").await;
    check_targets(&groups, recorded.targets("nodes"));
}

#[test]
fn the_older_version_is_spoken() {
    assert_eq!(agreed("1.30"), (1, 30));
    assert_eq!(agreed("1.99"), VERSION_MAX);
    assert_eq!(agreed(""), VERSION_OLD);
}

#[test]
fn a_host_and_a_role_are_needed() {
    let error = settings::<engine::Settings>("{}").check().expect_err("no host");
    assert_eq!(error.message, "host missing");
    for (text, want) in [
        ("host: 'unix:///x'", "role missing (one of: tasks, services, nodes)"),
        ("{host: 'unix:///x', role: pods}", "invalid role pods, expected tasks, services, or nodes"),
    ] {
        let error = settings::<swarm::Settings>(text).check().expect_err(text);
        assert_eq!(error.message, want);
    }
}
