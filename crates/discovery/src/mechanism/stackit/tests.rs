//! Against a server that answers as STACKIT's API and its service of tokens do.

use super::*;
use crate::testing::{self, Ask, Reply, check_targets, settings, shared};

fn answer(ask: &Ask) -> Reply {
    match (ask.path.as_str(), ask.header("authorization")) {
        ("/token", _) => {
            let (header, claims) = jwt::testing::verified(&ask.form("assertion"));
            assert_eq!((&header["alg"], &header["kid"]), (&"RS512".into(), &"k1".into()));
            assert_eq!(
                (&claims["iss"], &claims["sub"], &claims["aud"]),
                (&"i".into(), &"s".into(), &"a".into())
            );
            Reply::json(r#"{"access_token": "tok", "expires_in": 3600}"#)
        }
        ("/v1/projects/P/servers", "Bearer tok") => Reply::json(
            r#"{"items": [
                {"id": "b4176700", "name": "runner", "availabilityZone": "eu01-3", "status": "INACTIVE", "powerStatus": "STOPPED",
                 "machineType": "t1.1", "labels": {"provisionSTACKITServerAgent": "true", "stackit.project/id": "P", "n": 1},
                 "nics": [{"ipv4": "10.0.0.153", "networkName": "my-net", "publicIp": "192.0.2.1"}, {"ipv4": "10.1.0.1", "networkName": "two"}]},
                {"id": "private", "nics": [{"ipv4": "10.0.0.154", "networkName": "my-net", "publicIp": null}]},
                {"id": "none", "nics": []}]}"#,
        ),
        _ => Reply::of(401, "no token"),
    }
}

#[tokio::test]
async fn servers_with_a_token_that_a_key_signed_for() {
    let server = testing::Server::start(answer).await;
    let directory = tempfile::tempdir().unwrap();
    let (key, private) = (directory.path().join("key.json"), directory.path().join("private.pem"));
    let text = r#"{"id": "x", "credentials": {"kid": "k1", "iss": "i", "sub": "s", "aud": "a"}}"#;
    tokio::fs::write(&key, text).await.unwrap();
    tokio::fs::write(&private, jwt::testing::KEY).await.unwrap();
    let file = directory.path().join("credentials.json");
    let credentials = json!({
        "STACKIT_SERVICE_ACCOUNT_KEY_PATH": key.to_string_lossy(), "STACKIT_PRIVATE_KEY_PATH": private.to_string_lossy(),
    });
    tokio::fs::write(&file, credentials.to_string()).await.unwrap();
    let text = format!(
        "{{project: P, endpoint: '{}', credentials_file_path: '{}', port: 9100}}",
        server.url,
        file.display()
    );
    let settings: Settings = settings(&text);
    settings.check().unwrap();
    let mut source = Source::new(&settings, &shared(&[])).unwrap();
    source.tokens = format!("{}/token", server.url);
    let want = "
        __address__=192.0.2.1:9100
        __meta_stackit_availability_zone=eu01-3
        __meta_stackit_id=b4176700
        __meta_stackit_label_provisionSTACKITServerAgent=true
        __meta_stackit_label_stackit_project_id=P
        __meta_stackit_labelpresent_provisionSTACKITServerAgent=true
        __meta_stackit_labelpresent_stackit_project_id=true
        __meta_stackit_name=runner
        __meta_stackit_power_status=STOPPED
        __meta_stackit_private_ipv4_my_net=10.0.0.153
        __meta_stackit_private_ipv4_two=10.1.0.1
        __meta_stackit_project=P
        __meta_stackit_public_ipv4=192.0.2.1
        __meta_stackit_status=INACTIVE
        __meta_stackit_type=t1.1

        __address__=10.0.0.154:9100
        __meta_stackit_id=private
        __meta_stackit_private_ipv4_my_net=10.0.0.154
        __meta_stackit_project=P";
    check_targets(&source.refresh().await.unwrap(), want);
    check_targets(&source.refresh().await.unwrap(), want);
    assert_eq!(server.asked("/token").len(), 1, "the token is kept");
}

#[test]
fn an_endpoint_or_a_region_is_needed() {
    let fault = settings::<Settings>("{region: ''}").check().expect_err("neither");
    assert_eq!(fault.message, "endpoint or region missing");
}
