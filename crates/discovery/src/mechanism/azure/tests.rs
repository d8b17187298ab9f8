//! Against a server that answers as Azure's Resource Manager, its login and the machine's own service do.

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

const GROUP: &str = "/subscriptions/SUB/resourceGroups/rg1/providers";

fn answer(ask: &Ask, base: &str) -> Reply {
    let machine = |name: &str, more: &str| {
        format!(
            r#"{{"id": "{GROUP}/Microsoft.Compute/virtualMachines/{name}", "name": "{name}", "type": "x", "location": "westeurope",
              "tags": {{"env.a": "prod"}}, {more} "properties": {{"osProfile": {{"computerName": "c-{name}"}}, "hardwareProfile": {{"vmSize": "Standard_D2"}},
                "storageProfile": {{"osDisk": {{"osType": "Linux"}}}},
                "networkProfile": {{"networkInterfaces": [{{"id": "{GROUP}/Microsoft.Network/networkInterfaces/nic-{name}"}}]}}}}}}"#
        )
    };
    let nic = |private: &str, public: &str| {
        Reply::json(format!(
            r#"{{"properties": {{"primary": true, "ipConfigurations": [{{"properties": {{"privateIPAddress": "{private}", "publicIPAddress": {public}}}}}]}}}}"#
        ))
    };
    let compute = "/subscriptions/SUB/providers/Microsoft.Compute";
    match ask.path.strip_prefix(compute).unwrap_or(&ask.path) {
        "/TENANT/oauth2/v2.0/token" => match ask.form("client_secret").as_str() {
            "s" => Reply::json(r#"{"token_type": "Bearer", "expires_in": 3599, "access_token": "tok"}"#),
            _ if ask.form("client_assertion") == "jwt" => {
                Reply::json(r#"{"expires_in": 3599, "access_token": "tok"}"#)
            }
            _ => Reply::of(401, r#"{"error": "invalid_client"}"#),
        },
        "/metadata/identity/oauth2/token" => {
            assert_eq!(ask.header("metadata"), "true");
            Reply::json(r#"{"access_token": "tok", "expires_in": "86399", "token_type": "Bearer"}"#)
        }
        _ if ask.header("authorization") != "Bearer tok" => Reply::of(401, "no token"),
        "/virtualMachines" if ask.parameter("skip").is_empty() => {
            let next = format!("{base}{compute}/virtualMachines?skip=1");
            Reply::json(format!(r#"{{"value": [{}], "nextLink": "{next}"}}"#, machine("vm1", "")))
        }
        "/virtualMachines" => {
            Reply::json(format!(r#"{{"value": [{}, {}]}}"#, machine("off", ""), machine("gone", "")))
        }
        "/virtualMachineScaleSets" => Reply::json(format!(
            r#"{{"value": [{{"id": "{GROUP}/Microsoft.Compute/virtualMachineScaleSets/set", "name": "set"}}]}}"#
        )),
        path => match path.strip_prefix(GROUP).unwrap_or("") {
            "/Microsoft.Compute/virtualMachineScaleSets/set/virtualMachines" => {
                Reply::json(format!(r#"{{"value": [{}]}}"#, machine("member", "\"instanceId\": \"7\",")))
            }
            "/Microsoft.Network/networkInterfaces/nic-vm1" => {
                nic("10.0.0.4", r#"{"properties": {"ipAddress": "20.1.1.1"}}"#)
            }
            "/Microsoft.Network/networkInterfaces/nic-off" => {
                Reply::json(r#"{"properties": {"ipConfigurations": []}}"#)
            }
            "/Microsoft.Compute/virtualMachineScaleSets/set/virtualMachines/7/networkInterfaces/nic-member" => {
                nic("10.0.0.5", "null")
            }
            _ => Reply::not_found(),
        },
    }
}

async fn server() -> Server {
    let base = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let own = std::sync::Arc::clone(&base);
    let server = Server::start(move |ask| answer(ask, own.get().map_or("", String::as_str))).await;
    base.set(server.url.clone()).expect("set once");
    server
}

fn source(text: &str, server: &Server, variables: &[(&str, &str)]) -> Source {
    let settings: Settings = settings(text);
    settings.check().expect("valid");
    let mut source = Source::new(&settings, &shared(variables)).expect("a source");
    source.cloud.authority.clone_from(&server.url);
    source.cloud.api.clone_from(&server.url);
    source
}

const OAUTH: &str = "{subscription_id: SUB, tenant_id: TENANT, client_id: C, client_secret: s, port: 9100}";

fn want(tenant: &str) -> String {
    let target = |name: &str, ip: &str, set: &str, public: &str| {
        format!(
            "__address__={ip}:9100
             __meta_azure_machine_computer_name=c-{name}
             __meta_azure_machine_id={GROUP}/Microsoft.Compute/virtualMachines/{name}
             __meta_azure_machine_location=westeurope
             __meta_azure_machine_name={name}
             __meta_azure_machine_os_type=Linux
             __meta_azure_machine_private_ip={ip}
             {public}__meta_azure_machine_resource_group=rg1
             {set}__meta_azure_machine_size=Standard_D2
             __meta_azure_machine_tag_env_a=prod
             __meta_azure_subscription_id=SUB{tenant}"
        )
    };
    let public = "__meta_azure_machine_public_ip=20.1.1.1\n";
    let set = "__meta_azure_machine_scale_set=set\n";
    format!("{}\n\n{}", target("vm1", "10.0.0.4", "", public), target("member", "10.0.0.5", set, ""))
}

#[tokio::test]
async fn machines_of_all_pages_and_scale_sets_with_their_interfaces() {
    let server = server().await;
    let mut source = source(OAUTH, &server, &[]);
    let all = want("\n__meta_azure_tenant_id=TENANT");
    check_targets(&source.refresh().await.expect("targets"), &all);
    check_targets(&source.refresh().await.expect("targets"), &all);
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
    let server = server().await;
    let mut machine = source(
        "{subscription_id: SUB, authentication_method: ManagedIdentity, client_id: own, port: 9100}",
        &server,
        &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url)],
    );
    check_targets(&machine.refresh().await.expect("targets"), &want(""));
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
        check_targets(&source(&text, &server, &variables).refresh().await.expect(method), &want(""));
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
