//! Against a server that answers as Azure's Resource Manager, its login and the machine's own service do.

use super::*;
use crate::testing::{Recorded, Server, check_targets, settings, shared};

const GROUP: &str = "/subscriptions/SUB/resourceGroups/rg1/providers";

async fn server() -> (Server, Recorded) {
    Server::recorded(include_str!("../../../testdata/azure.txt")).await
}

fn source(text: &str, server: &Server, variables: &[(&str, &str)]) -> Source {
    let settings: Settings = settings(text);
    settings.check().expect("valid");
    let mut source = Source::new(&settings, &shared(variables)).expect("a source");
    source.cloud.authority.clone_from(&server.url);
    source.cloud.api.clone_from(&server.url);
    source
}

const OAUTH: &str =
    "{subscription_id: SUB, tenant_id: TENANT, client_id: C, client_secret: SECRET, port: 9100}";

#[tokio::test]
async fn machines_of_all_pages_and_scale_sets_with_their_interfaces() {
    let (server, recorded) = server().await;
    let mut source = source(OAUTH, &server, &[]);
    let all = recorded.targets("azure");
    check_targets(&source.refresh().await.expect("targets"), all);
    check_targets(&source.refresh().await.expect("targets"), all);
    assert_eq!(server.asked("/TENANT").len(), 1, "the token is kept");
    let nic = format!("{GROUP}/Microsoft.Network/networkInterfaces/nic-vm1");
    let asked = server.asked(&nic);
    assert_eq!(asked.len(), 1, "interfaces are remembered");
    assert_eq!(asked[0].parameter("$expand"), "IPConfigurations/PublicIPAddress");
    assert!(server.asked("/TENANT")[0].form("scope").ends_with("/.default"));
    // A token that is not good any more is asked for anew.
    source.token = Some(Token::new("old".to_owned(), Some(Duration::from_secs(30))));
    source.refresh().await.expect("targets");
    assert_eq!(server.asked("/TENANT").len(), 2);
    source.token = Some(Token::new("revoked".to_owned(), None));
    let error = source.refresh().await.expect_err("refused");
    assert!(error.to_string().contains("401 Unauthorized: no token"), "{error}");
    source.refresh().await.expect("with a new token");
}

#[tokio::test]
async fn identities_of_the_machine_and_of_the_workload() {
    let (server, recorded) = server().await;
    let mut machine = source(
        "{subscription_id: SUB, authentication_method: ManagedIdentity, client_id: own, port: 9100}",
        &server,
        &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url)],
    );
    check_targets(&machine.refresh().await.expect("targets"), recorded.targets("without tenant"));
    assert_eq!(server.asked("/metadata")[0].parameter("client_id"), "own");
    let file = tempfile::NamedTempFile::new().expect("a file");
    #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
    std::fs::write(file.path(), "jwt\n").expect("written");
    let path = file.path().to_string_lossy().into_owned();
    let variables = [
        ("AZURE_FEDERATED_TOKEN_FILE", path.as_str()),
        ("AZURE_TENANT_ID", "TENANT"),
        ("AZURE_CLIENT_ID", "C"),
        ("AZURE_AUTHORITY_HOST", &server.url),
    ];
    for method in ["WorkloadIdentity", "SDK"] {
        let text = format!("{{subscription_id: SUB, authentication_method: {method}, port: 9100}}");
        check_targets(
            &source(&text, &server, &variables).refresh().await.expect(method),
            recorded.targets("without tenant"),
        );
    }
    let error = source("{subscription_id: SUB, authentication_method: WorkloadIdentity}", &server, &[])
        .refresh()
        .await;
    assert!(error.expect_err("no file").to_string().contains("AZURE_FEDERATED_TOKEN_FILE"));
}

#[test]
fn what_is_missing_is_said_in_prometheus_words() {
    for (text, want) in [
        ("{}", "azure SD configuration requires a subscription_id"),
        ("subscription_id: a", "azure SD configuration requires a tenant_id"),
        ("{subscription_id: a, tenant_id: b}", "azure SD configuration requires a client_id"),
        (
            "{subscription_id: a, tenant_id: b, client_id: c}",
            "azure SD configuration requires a client_secret",
        ),
        ("{subscription_id: a, authentication_method: invalid}", "unknown authentication_type \"invalid\""),
    ] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
