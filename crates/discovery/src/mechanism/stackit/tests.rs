//! Against a server that answers as STACKIT's API and its service of tokens do.

use super::*;
use crate::testing::{self, Ask, Recorded, Reply, check_targets, settings, shared};

fn answer(ask: &Ask, recorded: &Recorded) -> Reply {
    match ask.path.as_str() {
        "/token" => {
            let (header, claims) = jwt::testing::verified(&ask.form("assertion"));
            assert_eq!((&header["alg"], &header["kid"]), (&"RS512".into(), &"k1".into()));
            assert_eq!(
                (&claims["iss"], &claims["sub"], &claims["aud"]),
                (&"i".into(), &"s".into(), &"a".into())
            );
            Reply::json(r#"{"access_token": "tok", "expires_in": 3600}"#)
        }
        _ => ask.answered(recorded),
    }
}

#[tokio::test]
async fn servers_with_a_token_that_a_key_signed_for() {
    let recorded = Recorded::parse(include_str!("../../../testdata/stackit.txt"));
    let own = recorded.clone();
    let server = testing::Server::start(move |ask| answer(ask, &own)).await;
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
    let text =
        format!("{{project: ID, endpoint: '{}', credentials_file_path: '{}'}}", server.url, file.display());
    let settings: Settings = settings(&text);
    settings.check().unwrap();
    let mut source = Source::new(&settings, &shared(&[])).unwrap();
    source.tokens = format!("{}/token", server.url);
    let want = recorded.targets("stackit");
    check_targets(&source.refresh().await.unwrap(), want);
    check_targets(&source.refresh().await.unwrap(), want);
    assert_eq!(server.asked("/token").len(), 1, "the token is kept");
}

#[test]
fn an_endpoint_or_a_region_is_needed() {
    let fault = settings::<Settings>("{region: ''}").check().expect_err("neither");
    assert_eq!(fault.message, "endpoint or region missing");
}
