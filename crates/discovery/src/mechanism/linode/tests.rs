//! Against a server that answers as Linode's API does.

use super::*;
use crate::testing::{Server, check_targets, settings, shared};

#[tokio::test]
async fn instances_with_their_addresses() {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/linode.txt")).await;
    let settings: Settings = settings("{authorization: {credentials: TOKEN}, region: eu-central}");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = format!("{}/v4", server.url);
    check_targets(&source.refresh().await.expect("targets"), recorded.targets("linode"));
    let asked = server.asked("/v4/linode/instances");
    assert_eq!(asked.len(), 2, "all pages");
    assert_eq!(asked[0].header("x-filter"), r#"{"region":"eu-central"}"#);
}
