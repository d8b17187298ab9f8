//! Against a server that answers as the Docker Engine API does, over TCP and over a Unix socket.

use super::*;
use crate::mechanism::Configured;
use crate::refresh::Refresh;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

const NETWORKS: &str = r#"[{"Id": "net1", "Name": "app", "Scope": "local", "Internal": false, "Ingress": false, "Labels": {"a.b": "c"}},
    {"Id": "net2", "Name": "back", "Scope": "swarm", "Internal": true, "Ingress": false, "Labels": null}]"#;

const CONTAINERS: &str = r#"[
    {"Id": "c1", "Names": ["/web"], "Labels": {"com.x": "y"}, "State": "running", "HostConfig": {"NetworkMode": "app"},
      "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}],
      "NetworkSettings": {"Networks": {"back": {"NetworkID": "net2", "IPAddress": "10.2.0.2"}, "app": {"NetworkID": "net1", "IPAddress": "10.1.0.2"},
        "aaa": null}}},
    {"Id": "c2", "Names": ["/host"], "Labels": {}, "HostConfig": {"NetworkMode": "host"}, "Ports": [],
      "NetworkSettings": {"Networks": {"host": {"NetworkID": "h", "IPAddress": ""}}}},
    {"Id": "c3", "Names": ["/sidecar"], "Labels": {}, "HostConfig": {"NetworkMode": "container:c1"}, "Ports": [{"PrivatePort": 9100, "Type": "tcp"}],
      "NetworkSettings": {"Networks": {}}},
    {"Id": "c4", "Names": null}]"#;

fn engine(ask: &Ask) -> Reply {
    match ask.path.as_str() {
        "/_ping" => Reply::json("OK").with("api-version", "1.43"),
        "/v1.43/containers/json" => Reply::json(CONTAINERS),
        "/v1.43/networks" => Reply::json(NETWORKS),
        "/v1.43/services" => Reply::json(SERVICES),
        "/v1.43/tasks" => Reply::json(TASKS),
        "/v1.43/nodes" => Reply::json(NODES),
        _ => Reply::of(404, r#"{"message": "page not found"}"#),
    }
}

const WEB: &str = "__meta_docker_container_id=c1
    __meta_docker_container_label_com_x=y
    __meta_docker_container_name=/web
    __meta_docker_container_network_mode=app";

#[tokio::test]
async fn containers_over_tcp_with_their_first_network() {
    let server = Server::start(engine).await;
    let settings: engine::Settings = settings(&format!(
        "{{host: '{}', filters: [{{name: label, values: [a, b]}}, {{name: status, values: [running]}}]}}",
        server.url.replace("http://", "tcp://")
    ));
    settings.check().expect("valid");
    let groups =
        engine::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    let network = "__meta_docker_network_id=net1
        __meta_docker_network_ingress=false
        __meta_docker_network_internal=false
        __meta_docker_network_ip=10.1.0.2
        __meta_docker_network_label_a_b=c
        __meta_docker_network_name=app
        __meta_docker_network_scope=local";
    let want = format!(
        "__address__=10.1.0.2:80
         {WEB}
         {network}
         __meta_docker_port_private=80
         __meta_docker_port_public=8080
         __meta_docker_port_public_ip=0.0.0.0

         __address__=localhost
         __meta_docker_container_id=c2
         __meta_docker_container_name=/host
         __meta_docker_container_network_mode=host

         __address__=10.1.0.2:9100
         __meta_docker_container_id=c3
         __meta_docker_container_name=/sidecar
         __meta_docker_container_network_mode=container:c1
         {network}
         __meta_docker_port_private=9100"
    );
    check_targets(&groups, &want);
    let ask = &server.asked("/v1.43/containers")[0];
    assert_eq!(ask.parameter("filters"), r#"{"label":{"a":true,"b":true},"status":{"running":true}}"#);
    assert!(!server.asked("/v1.43/networks")[0].query.contains_key("filters"));
}

#[tokio::test]
async fn containers_over_a_unix_socket_with_all_networks() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("docker.sock").to_string_lossy().into_owned();
    let server = Server::start_on_socket(&path, engine);
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

const SERVICES: &str = r#"[{"ID": "s1", "Spec": {"Name": "mon", "Labels": {"l": "v"}, "Mode": {"Replicated": {"Replicas": 1}},
      "TaskTemplate": {"ContainerSpec": {"Image": "i:1", "Hostname": "h"}}}, "UpdateStatus": {"State": "completed"},
      "Endpoint": {"Ports": [{"Name": "m", "Protocol": "tcp", "TargetPort": 9090, "PublishedPort": 30000, "PublishMode": "ingress"},
        {"Protocol": "udp", "PublishedPort": 30001}],
      "VirtualIPs": [{"NetworkID": "net1", "Addr": "10.0.0.4/24"}]}},
    {"ID": "s2", "Spec": {"Name": "bare", "Mode": {"Global": {}}, "TaskTemplate": {}}, "Endpoint": {"VirtualIPs": [{"NetworkID": "x", "Addr": "10.0.1.4/24"}]}}]"#;

const TASKS: &str = r#"[{"ID": "t1", "ServiceID": "s1", "NodeID": "n1", "Slot": 2, "DesiredState": "running",
      "Spec": {"ContainerSpec": {"Labels": {"c.l": "1"}}},
      "Status": {"State": "running", "ContainerStatus": {"ContainerID": "cid"},
        "PortStatus": {"Ports": [{"Protocol": "tcp", "PublishedPort": 9323, "PublishMode": "host"}]}},
      "NetworksAttachments": [{"Network": {"ID": "net1"}, "Addresses": ["10.0.0.9/24"]}]}]"#;

const NODES: &str = r#"[{"ID": "n1", "Spec": {"Role": "manager", "Availability": "active", "Labels": {"z": "1"}},
      "Description": {"Hostname": "master-1", "Platform": {"Architecture": "x86_64", "OS": "linux"}, "Engine": {"EngineVersion": "19.03.11"}},
      "Status": {"State": "ready", "Addr": "1.2.3.4"}, "ManagerStatus": {"Leader": true, "Reachability": "reachable", "Addr": "1.2.3.4:2377"}}]"#;

const NODE_LABELS: &str = "__meta_dockerswarm_node_address=1.2.3.4
    __meta_dockerswarm_node_availability=active";

async fn swarm(role: &str) -> (Vec<crate::TargetGroup>, Server) {
    let server = Server::start(engine).await;
    let text =
        format!("{{host: '{}', role: {role}, port: 81, filters: [{{name: f, values: [v]}}]}}", server.url);
    let settings: swarm::Settings = settings(&text);
    settings.check().expect("valid");
    let groups =
        swarm::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    (groups, server)
}

#[tokio::test]
async fn services_of_a_swarm() {
    let (groups, server) = swarm("services").await;
    check_targets(
        &groups,
        "__address__=10.0.0.4:30000
         __meta_dockerswarm_network_id=net1
         __meta_dockerswarm_network_ingress=false
         __meta_dockerswarm_network_internal=false
         __meta_dockerswarm_network_label_a_b=c
         __meta_dockerswarm_network_name=app
         __meta_dockerswarm_network_scope=local
         __meta_dockerswarm_service_endpoint_port_name=m
         __meta_dockerswarm_service_endpoint_port_publish_mode=ingress
         __meta_dockerswarm_service_id=s1
         __meta_dockerswarm_service_label_l=v
         __meta_dockerswarm_service_mode=replicated
         __meta_dockerswarm_service_name=mon
         __meta_dockerswarm_service_task_container_hostname=h
         __meta_dockerswarm_service_task_container_image=i:1
         __meta_dockerswarm_service_updating_status=completed

         __address__=10.0.1.4:81
         __meta_dockerswarm_service_id=s2
         __meta_dockerswarm_service_mode=global
         __meta_dockerswarm_service_name=bare",
    );
    assert_eq!(server.asked("/v1.43/services")[0].parameter("filters"), r#"{"f":{"v":true}}"#);
}

#[tokio::test]
async fn tasks_of_a_swarm() {
    let (groups, server) = swarm("tasks").await;
    let rest = "__meta_dockerswarm_service_id=s1
         __meta_dockerswarm_service_label_l=v
         __meta_dockerswarm_service_mode=replicated
         __meta_dockerswarm_service_name=mon
         __meta_dockerswarm_task_container_id=cid
         __meta_dockerswarm_task_desired_state=running
         __meta_dockerswarm_task_id=t1";
    let node = format!(
        "{NODE_LABELS}
         __meta_dockerswarm_node_hostname=master-1
         __meta_dockerswarm_node_id=n1
         __meta_dockerswarm_node_label_z=1
         __meta_dockerswarm_node_platform_architecture=x86_64
         __meta_dockerswarm_node_platform_os=linux
         __meta_dockerswarm_node_role=manager
         __meta_dockerswarm_node_status=ready"
    );
    let state = "__meta_dockerswarm_task_slot=2
         __meta_dockerswarm_task_state=running";
    check_targets(
        &groups,
        &format!(
            "__address__=1.2.3.4:9323
             __meta_dockerswarm_container_label_c_l=1
             {node}
             {rest}
             __meta_dockerswarm_task_port_publish_mode=host
             {state}

             __address__=10.0.0.9:30000
             __meta_dockerswarm_container_label_c_l=1
             __meta_dockerswarm_network_id=net1
             __meta_dockerswarm_network_ingress=false
             __meta_dockerswarm_network_internal=false
             __meta_dockerswarm_network_label_a_b=c
             __meta_dockerswarm_network_name=app
             __meta_dockerswarm_network_scope=local
             {node}
             {rest}
             __meta_dockerswarm_task_port_publish_mode=ingress
             {state}"
        ),
    );
    assert!(!server.asked("/v1.43/services")[0].query.contains_key("filters"), "filters are those of tasks");
}

#[tokio::test]
async fn nodes_of_a_swarm() {
    let (groups, _) = swarm("nodes").await;
    check_targets(
        &groups,
        &format!(
            "__address__=1.2.3.4:81
             {NODE_LABELS}
             __meta_dockerswarm_node_engine_version=19.03.11
             __meta_dockerswarm_node_hostname=master-1
             __meta_dockerswarm_node_id=n1
             __meta_dockerswarm_node_label_z=1
             __meta_dockerswarm_node_manager_address=1.2.3.4:2377
             __meta_dockerswarm_node_manager_leader=true
             __meta_dockerswarm_node_manager_reachability=reachable
             __meta_dockerswarm_node_platform_architecture=x86_64
             __meta_dockerswarm_node_platform_os=linux
             __meta_dockerswarm_node_role=manager
             __meta_dockerswarm_node_status=ready"
        ),
    );
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
