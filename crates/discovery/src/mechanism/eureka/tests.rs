//! Against a server that answers as Eureka's REST API does.

use super::*;
use crate::testing::{Reply, Server, check_targets, settings, shared};

#[tokio::test]
async fn instances_and_their_metadata() {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/eureka.txt")).await;
    let settings: Settings = settings(&format!("server: '{}/eureka'", server.url));
    settings.check().expect("valid");
    let groups = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(&groups, recorded.targets("eureka"));
    assert_eq!(server.asked("/eureka/apps").len(), 1);
}

#[tokio::test]
async fn what_is_no_xml_is_a_failure() {
    let server = Server::start(|_| Reply::json("<applications><application>")).await;
    let settings: Settings = settings(&format!("server: '{}'", server.url));
    let error = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect_err("no XML");
    assert!(error.to_string().contains("cannot understand the answer"), "{error}");
}

#[test]
fn a_server_is_needed() {
    for (text, want) in [("{}", "empty or null eureka server"), ("server: foo", "invalid eureka server URL")]
    {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
