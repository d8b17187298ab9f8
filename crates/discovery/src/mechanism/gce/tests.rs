//! Against a server that answers as Compute Engine and the metadata server do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testing::{Ask, Recorded, Reply, Server, check_targets, settings, shared};

const GCE: &str = include_str!("../../../testdata/gce.txt");
const SECTION: &str = "{project: shop, zone: europe-west1-b, filter: 'labels.env=prod'}";

fn compute(ask: &Ask) -> Reply {
    match ask.answered(&Recorded::parse(GCE)) {
        Reply { status: 404, .. } => {
            Reply::of(401, r#"{"error": {"message": "Request had invalid authentication credentials."}}"#)
        }
        reply => reply,
    }
}

#[track_caller]
fn check(groups: &[TargetGroup]) {
    check_targets(groups, Recorded::parse(GCE).targets("gce"));
}

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
                r#"{{"access_token": "tok1", "expires_in": {lasts}, "token_type": "Bearer"}}"#
            ));
        }
        compute(ask)
    })
    .await;
    let host = server.url.trim_start_matches("http://").to_owned();
    let shared = shared(&[("GCE_METADATA_HOST", &host), ("HOME", "/nowhere")]);
    let settings: Settings = settings(SECTION);
    settings.check().expect("valid");
    let mut source = Source::new(&settings, &shared).expect("a source");
    source.base = format!("{}/compute/v1", server.url);
    let groups = source.refresh().await.expect("targets");
    assert_eq!(groups[0].source, "GCE_shop_europe-west1-b");
    check(&groups);
    source.refresh().await.expect("targets");
    assert_eq!(tokens.load(Ordering::SeqCst), 2, "renewed once, then kept");
    assert_eq!(server.asked("/compute/")[0].parameter("filter"), "labels.env=prod");
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
    let mut source = Source::new(&settings(SECTION), &shared).expect("a source");
    source.base = format!("{}/compute/v1", server.url);
    source.token = Some(Token::new("revoked".to_owned(), None));
    let error = source.refresh().await.expect_err("refused");
    assert!(error.to_string().contains("401 Unauthorized"), "{error}");
    check(&source.refresh().await.expect("targets"));
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
    let mut source = Source::new(&settings(SECTION), &shared).expect("a source");
    source.base = format!("{}/compute/v1", server.url);
    check(&source.refresh().await.expect("targets"));
}

#[test]
fn a_project_and_a_zone_are_needed() {
    for (text, want) in [("{}", "requires a project"), ("project: p", "requires a zone")] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
