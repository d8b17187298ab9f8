//! Against a server that answers as ECS and EC2 do.

use super::*;
use crate::testing::{Server, check_targets, settings, shared};

#[tokio::test]
async fn tasks_with_a_network_of_their_own_or_of_their_machine() {
    let (server, recorded) = Server::recorded(include_str!("../../../../testdata/ecs.txt")).await;
    let text = format!(
        "{{role: ecs, region: eu-central-1, access_key: A, secret_key: s, endpoint: '{}'}}",
        server.url
    );
    let settings: Settings = settings(&text);
    let shared = shared(&[("AWS_ENDPOINT_URL_EC2", &server.url)]);
    let mut source = Source::new(&settings, &shared).unwrap();
    check_targets(&source.refresh().await.unwrap(), recorded.targets("ecs"));
    assert!(server.asked("/")[0].header("authorization").contains("/eu-central-1/ecs/aws4_request"));
}
