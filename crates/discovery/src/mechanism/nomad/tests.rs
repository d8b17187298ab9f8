//! Against a server that answers as Nomad's HTTP API does.

use super::*;
use crate::testing::{Reply, Server, check_targets, settings, shared};

#[tokio::test]
async fn instances_of_all_services() {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/nomad.txt")).await;
    let settings: Settings = settings(&format!("{{server: '{}', region: global}}", server.url));
    let groups = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(&groups, recorded.targets("nomad"));
    let ask = &server.asked("/v1/services")[0];
    assert_eq!((ask.parameter("namespace"), ask.parameter("region")), ("default", "global"));
    assert!(ask.query.contains_key("stale"));
}

#[tokio::test]
async fn a_refusal_is_a_failure() {
    let server = Server::start(|_| Reply::of(403, "Permission denied")).await;
    let settings: Settings = settings(&format!("server: '{}'", server.url));
    let error = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect_err("refused");
    assert!(error.to_string().ends_with("answered 403 Forbidden: Permission denied"), "{error}");
}
