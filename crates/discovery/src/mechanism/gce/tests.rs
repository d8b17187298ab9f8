//! Against a server that answers as Compute Engine and the metadata server do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

fn compute(ask: &Ask) -> Reply {
    match (ask.header("authorization"), ask.parameter("pageToken")) {
        ("Bearer tok1" | "Bearer tok2", "") => Reply::json(
            r#"{"kind": "compute#instanceList", "items": [{"id": "123", "name": "i1", "status": "RUNNING", "zone": "https://x/zones/z", "machineType": "https://x/n1",
              "networkInterfaces": [{"name": "nic0", "network": "https://x/net", "subnetwork": "https://x/sub", "networkIP": "10.0.0.1",
                "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "natIP": "34.1.1.1"}]}, {"name": "nic1", "networkIP": "10.1.0.1"}],
              "tags": {"items": ["http", "db"]}, "metadata": {"items": [{"key": "a-b", "value": "c"}]}, "labels": {"env": "prod"}},
              {"id": "5", "name": "without"}], "nextPageToken": "more"}"#,
        ),
        ("Bearer tok1" | "Bearer tok2", "more") => {
            Reply::json(r#"{"items": [{"id": "6", "networkInterfaces": [{"networkIP": "10.0.0.6"}]}]}"#)
        }
        _ => Reply::of(401, r#"{"error": {"message": "Request had invalid authentication credentials."}}"#),
    }
}

const WANT: &str = "__address__=10.0.0.1:80
    __meta_gce_instance_id=123
    __meta_gce_instance_name=i1
    __meta_gce_instance_status=RUNNING
    __meta_gce_interface_ipv4_nic0=10.0.0.1
    __meta_gce_interface_ipv4_nic1=10.1.0.1
    __meta_gce_label_env=prod
    __meta_gce_machine_type=https://x/n1
    __meta_gce_metadata_a_b=c
    __meta_gce_network=https://x/net
    __meta_gce_private_ip=10.0.0.1
    __meta_gce_project=p
    __meta_gce_public_ip=34.1.1.1
    __meta_gce_subnetwork=https://x/sub
    __meta_gce_tags=,http,db,
    __meta_gce_zone=https://x/zones/z

    __address__=10.0.0.6:80
    __meta_gce_instance_id=6
    __meta_gce_interface_ipv4_=10.0.0.6
    __meta_gce_private_ip=10.0.0.6
    __meta_gce_project=p";

#[tokio::test]
async fn instances_of_all_pages_with_a_token_of_the_machine_that_is_renewed() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&tokens);
    let server = Server::start(move |ask| {
        if ask.path.starts_with("/computeMetadata") {
            assert_eq!(ask.header("metadata-flavor"), "Google");
            let token = given.fetch_add(1, Ordering::SeqCst) + 1;
            // The first ends at once.
            let lasts = if token == 1 { 1 } else { 3600 };
            return Reply::json(format!(
                r#"{{"access_token": "tok{token}", "expires_in": {lasts}, "token_type": "Bearer"}}"#
            ));
        }
        compute(ask)
    })
    .await;
    let host = server.url.trim_start_matches("http://").to_owned();
    let shared = shared(&[("GCE_METADATA_HOST", &host), ("HOME", "/nowhere")]);
    let settings: Settings = settings("{project: p, zone: z, filter: 'status = RUNNING'}");
    settings.check().expect("valid");
    let mut source = Source::new(&settings, &shared).expect("a source");
    source.base = server.url.clone();
    let groups = source.refresh().await.expect("targets");
    assert_eq!(groups[0].source, "GCE_p_z");
    check_targets(&groups, WANT);
    source.refresh().await.expect("targets");
    assert_eq!(tokens.load(Ordering::SeqCst), 2, "renewed once, then kept");
    assert_eq!(server.asked("/projects/p/zones/z/instances")[0].parameter("filter"), "status = RUNNING");
}

#[tokio::test]
async fn a_file_of_a_user_gives_a_token_and_a_refused_one_is_asked_for_anew() {
    let server = Server::start(|ask| match ask.path.as_str() {
        "/token" if ask.form("refresh_token") == "r" => Reply::json(r#"{"access_token": "tok1"}"#),
        _ => compute(ask),
    })
    .await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("adc.json");
    let text = format!(
        r#"{{"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r", "token_uri": "{}/token"}}"#,
        server.url
    );
    #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
    std::fs::write(&path, text).expect("written");
    let path = path.to_string_lossy().into_owned();
    let shared = shared(&[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
    let mut source = Source::new(&settings("{project: p, zone: z}"), &shared).expect("a source");
    source.base = server.url.clone();
    source.token = Some(Token::new("revoked".to_owned(), None));
    let error = source.refresh().await.expect_err("refused");
    assert!(error.to_string().contains("401 Unauthorized"), "{error}");
    check_targets(&source.refresh().await.expect("targets"), WANT);
}

#[tokio::test]
async fn a_file_of_a_service_account_signs_for_a_token() {
    let server = Server::start(|ask| match ask.path.as_str() {
        "/token" => {
            assert_eq!(ask.form("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
            let (header, claims) = crate::jwt::testing::verified(&ask.form("assertion"));
            assert_eq!((&header["kid"], &claims["iss"]), (&"k1".into(), &"me@example".into()));
            assert!(claims["aud"].as_str().is_some_and(|audience| audience.ends_with("/token")));
            Reply::json(r#"{"access_token": "tok1", "expires_in": 3600}"#)
        }
        _ => compute(ask),
    })
    .await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("key.json");
    let file = serde_json::json!({
        "type": "service_account", "client_email": "me@example", "private_key_id": "k1",
        "private_key": crate::jwt::testing::KEY, "token_uri": format!("{}/token", server.url),
    });
    tokio::fs::write(&path, file.to_string()).await.expect("written");
    let path = path.to_string_lossy().into_owned();
    let shared = shared(&[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
    let mut source = Source::new(&settings("{project: p, zone: z}"), &shared).expect("a source");
    source.base = server.url.clone();
    check_targets(&source.refresh().await.expect("targets"), WANT);
}

#[test]
fn a_project_and_a_zone_are_needed() {
    for (text, want) in [("{}", "requires a project"), ("project: p", "requires a zone")] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
