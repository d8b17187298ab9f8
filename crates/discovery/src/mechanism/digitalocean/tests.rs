//! Against a server that answers as DigitalOcean's API does.

use super::*;
use crate::testing::{Server, check_targets, settings, shared};

#[tokio::test]
async fn droplets_of_all_pages() {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/digitalocean.txt")).await;
    let settings: Settings = settings("{bearer_token: TOKEN, port: 9100}");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    check_targets(&source.refresh().await.expect("targets"), recorded.targets("digitalocean"));
    assert_eq!(server.asked("/v2/droplets").len(), 2);
}

#[tokio::test]
async fn a_wrong_token_is_a_failure() {
    let (server, _) = Server::recorded(include_str!("../../../testdata/digitalocean.txt")).await;
    let mut source = Source::new(&settings("bearer_token: other"), &shared(&[])).expect("a source");
    source.base = server.url.clone();
    let error = source.refresh().await.expect_err("refused");
    assert!(error.to_string().contains("Unable to authenticate you"), "{error}");
}

#[tokio::test]
async fn clusters_of_databases_of_all_pages() {
    let text = include_str!("../../../testdata/digitalocean-databases.txt");
    let (server, recorded) = Server::recorded(text).await;
    let settings: Settings = settings("{role: databases, authorization: {credentials: TOKEN}, port: 9273}");
    settings.check().expect("valid");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    check_targets(&source.refresh().await.expect("targets"), recorded.targets("digitalocean-databases"));
}

#[test]
fn roles_are_known() {
    let error = settings::<Settings>("role: buckets").check().expect_err("unknown");
    assert!(error.message.contains("use droplets or databases"), "{error}");
}
