//! Against a server that answers as Marathon's REST API does.

use super::*;
use crate::testing::{Reply, Server, check_targets, settings, shared};

#[track_caller]
fn check(app: &str, want: &str) {
    let app: App = serde_json::from_str(app).expect("an app");
    check_targets(&[group(&app)], want);
}

#[test]
fn ports_of_the_host_with_labels_of_their_mappings() {
    check(
        r#"{"id": "/test", "labels": {"a-b": "c"}, "container": {"docker": {"image": "repo/image:tag"},
            "portMappings": [{"labels": {"prometheus": "yes"}, "hostPort": 0, "containerPort": 8080}, {"hostPort": 31001}]},
          "tasks": [{"id": "task-1", "host": "mesos1", "ports": [31000, 32000]}]}"#,
        "__address__=mesos1:31000
         __meta_marathon_app=/test
         __meta_marathon_app_label_a_b=c
         __meta_marathon_image=repo/image:tag
         __meta_marathon_port_index=0
         __meta_marathon_port_mapping_label_prometheus=yes
         __meta_marathon_task=task-1

         __address__=mesos1:31001
         __meta_marathon_app=/test
         __meta_marathon_app_label_a_b=c
         __meta_marathon_image=repo/image:tag
         __meta_marathon_port_index=1
         __meta_marathon_task=task-1",
    );
}

#[test]
fn ports_of_a_container_network_old_mappings_definitions_and_tasks() {
    check(
        r#"{"id": "a", "networks": [{"mode": "container", "name": "n"}], "container": {"portMappings": [{"containerPort": 8080}]},
          "tasks": [{"id": "t", "host": "h", "ports": [31000], "ipAddresses": [{"ipAddress": "1.2.3.4", "protocol": "IPv4"}]}]}"#,
        "__address__=1.2.3.4:8080\n__meta_marathon_app=a\n__meta_marathon_port_index=0\n__meta_marathon_task=t",
    );
    check(
        r#"{"id": "a", "container": {"docker": {"portMappings": [{"hostPort": 0}]}}, "tasks": [{"id": "t", "host": "h", "ports": [31000]}]}"#,
        "__address__=h:31000\n__meta_marathon_app=a\n__meta_marathon_port_index=0\n__meta_marathon_task=t",
    );
    let definitions = |required: bool| {
        format!(
            r#"{{"id": "a", "requirePorts": {required}, "portDefinitions": [{{"port": 1234, "labels": {{"x": "y"}}}}],
              "tasks": [{{"id": "t", "host": "h", "ports": [31000]}}]}}"#
        )
    };
    for (required, port) in [(true, 1234), (false, 31000)] {
        let want = format!(
            "__address__=h:{port}\n__meta_marathon_app=a\n__meta_marathon_port_definition_label_x=y\n\
             __meta_marathon_port_index=0\n__meta_marathon_task=t"
        );
        check(&definitions(required), &want);
    }
    check(
        r#"{"id": "a", "tasks": [{"id": "t", "host": "h", "ports": [5, 6]}]}"#,
        "__address__=h:5\n__meta_marathon_app=a\n__meta_marathon_port_index=0\n__meta_marathon_task=t\n\n\
         __address__=h:6\n__meta_marathon_app=a\n__meta_marathon_port_index=1\n__meta_marathon_task=t",
    );
    check(r#"{"id": "a", "tasks": [{"id": "t", "host": "h"}]}"#, "");
}

#[tokio::test]
async fn the_token_goes_as_dc_os_wants_it() {
    let server = Server::start(|_| Reply::json(r#"{"apps": [{"id": "a", "tasks": null}]}"#)).await;
    let settings: Settings = settings(&format!("{{servers: ['{}'], auth_token: abc}}", server.url));
    settings.check().expect("valid");
    let groups = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("groups");
    assert_eq!(groups.len(), 1);
    let ask = &server.asked("/v2/apps/")[0];
    assert_eq!((ask.header("authorization"), ask.parameter("embed")), ("token=abc", "apps.tasks"));
}

#[test]
fn contradictions_are_refused() {
    for (text, want) in [
        ("{}", "marathon_sd: must contain at least one Marathon server"),
        ("{servers: [a], auth_token: a, auth_token_file: b}", "at most one of auth_token & auth_token_file"),
        ("{servers: [a], auth_token: a, basic_auth: {username: u}}", "at most one of basic_auth, auth_token"),
        (
            "{servers: [a], auth_token: a, bearer_token: b}",
            "at most one of bearer_token, bearer_token_file, auth_token",
        ),
    ] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
