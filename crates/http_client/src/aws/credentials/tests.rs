//! Against a server that answers as AWS' services do.

use std::collections::BTreeMap;

use parking_lot::Mutex as Lock;
use stdx::clock::ManualClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// 2026-01-01T00:00:00Z
const NOW_MS: i64 = 1_767_225_600_000;

/// Requests as they came.
type Log = Arc<Lock<Vec<String>>>;

/// Answers by the path and the body of a request.
async fn serve(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let log = Log::default();
    let seen = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            loop {
                let mut part = [0; 4096];
                let Ok(count @ 1..) = stream.read(&mut part).await else { break };
                text.push_str(&String::from_utf8_lossy(&part[..count]));
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .to_lowercase()
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
            seen.lock().push(text.clone());
            let (status, body) =
                answer(&text).map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
            let head =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    (url, log)
}

fn provider(settings: Settings, variables: &[(&str, &str)], clock: &Arc<ManualClock>) -> Provider {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment: Environment = Arc::new(move |name| variables.get(name).cloned());
    Provider::new(settings, environment, Arc::clone(clock) as Arc<dyn Clock>).expect("a provider")
}

fn lent(id: &str, end: &str) -> String {
    format!(
        r#"{{"Code": "Success", "AccessKeyId": "{id}", "SecretAccessKey": "s", "Token": "t", "Expiration": "{end}"}}"#
    )
}

#[tokio::test]
async fn keys_come_from_the_configuration_then_the_environment_then_a_profile() {
    let clock = ManualClock::at(NOW_MS);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("credentials");
    #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
    std::fs::write(&file, "[default]\naws_access_key_id=P\naws_secret_access_key=p\n[b]\naws_access_key_id=B\naws_secret_access_key=b\n").expect("written");
    let file = file.to_string_lossy().into_owned();
    let environment =
        [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "e"), ("AWS_SHARED_CREDENTIALS_FILE", &file)];
    let own = Settings { access_key: "C".into(), secret_key: Secret::new("c"), ..Settings::default() };
    let of_profile = Settings { profile: "b".into(), ..Settings::default() };
    for (settings, variables, want) in [
        (own, &environment[..], "C"),
        (Settings::default(), &environment[..], "E"),
        (Settings::default(), &environment[2..], "P"),
        (of_profile, &environment[..], "B"),
    ] {
        let found = provider(settings, variables, &clock).current().await.expect(want);
        assert_eq!(found.access_key_id, want);
    }
    let absent = Settings { profile: "nobody".into(), ..Settings::default() };
    let error = provider(absent, &environment, &clock).current().await.expect_err("no such profile");
    assert!(error.to_string().contains("profile \"nobody\""), "{error}");
}

#[tokio::test]
async fn the_machines_role_is_asked_for_with_a_token_and_renewed_before_it_ends() {
    let (url, log) = serve(|request| {
        let line = request.lines().next().unwrap_or("");
        let has_token = request.to_lowercase().contains("x-aws-ec2-metadata-token: abc");
        match line.split(' ').nth(1).unwrap_or("") {
            "/latest/api/token" if line.starts_with("PUT") => Some("abc".to_owned()),
            "/latest/meta-data/placement/region" if has_token => Some("eu-west-1".to_owned()),
            "/latest/meta-data/iam/security-credentials/" if has_token => Some("role\n".to_owned()),
            "/latest/meta-data/iam/security-credentials/role" if has_token => {
                Some(lent("M", "2026-01-01T01:00:00Z"))
            }
            _ => None,
        }
    })
    .await;
    let clock = ManualClock::at(NOW_MS);
    let provider = provider(Settings::default(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)], &clock);
    assert_eq!(provider.region().await.expect("a region"), "eu-west-1");
    let found = provider.current().await.expect("credentials");
    assert_eq!((found.access_key_id.as_str(), found.expires_ms), ("M", Some(NOW_MS + 3_600_000)));
    let asked = log.lock().len();
    clock.advance_ms(54 * 60_000);
    provider.current().await.expect("credentials");
    assert_eq!(log.lock().len(), asked, "kept while they are good");
    clock.advance_ms(60_000);
    provider.current().await.expect("credentials");
    assert!(log.lock().len() > asked, "renewed five minutes before their end");
    let gone = [("AWS_EC2_METADATA_DISABLED", "true")];
    let none = super::tests::provider(Settings::default(), &gone, &clock).current().await;
    assert!(matches!(none, Err(CredentialsError::None)), "{none:?}");
}

#[tokio::test]
async fn a_role_is_assumed_with_the_keys_that_were_found() {
    let (url, log) = serve(|_| {
        Some(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
             <Arn>x</Arn></AssumedRoleUser><Credentials><AccessKeyId>R</AccessKeyId><SecretAccessKey>r</SecretAccessKey>\
             <SessionToken>t</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleResult>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>"
                .to_owned(),
        )
    })
    .await;
    let clock = ManualClock::at(NOW_MS);
    let settings = Settings {
        region: "eu-1".into(),
        access_key: "C".into(),
        secret_key: Secret::new("c"),
        role_arn: "arn:aws:iam::1:role/x".into(),
        external_id: "e x".into(),
        ..Settings::default()
    };
    let found =
        provider(settings, &[("AWS_ENDPOINT_URL_STS", &url)], &clock).current().await.expect("a role");
    assert_eq!(found.access_key_id, "R");
    assert_eq!(found.session_token, Some(Secret::new("t")));
    let request = log.lock()[0].clone();
    for want in [
        "Action=AssumeRole&",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx",
        "ExternalId=e+x",
        "Credential=C/20260101/eu-1/sts/",
    ] {
        assert!(request.contains(want), "{want:?} is missing in {request}");
    }
}

#[tokio::test]
async fn a_web_identity_and_a_container_lend_keys() {
    let (url, log) = serve(|request| {
        if request.starts_with("POST") {
            return Some(
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>W</AccessKeyId>\
                 <SecretAccessKey>w</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration>\
                 </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
                    .to_owned(),
            );
        }
        request.to_lowercase().contains("authorization: secret").then(|| lent("K", "2026-01-01T01:00:00Z"))
    })
    .await;
    let clock = ManualClock::at(NOW_MS);
    let file = tempfile::NamedTempFile::new().expect("a file");
    #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
    std::fs::write(file.path(), "jwt\n").expect("written");
    let file = file.path().to_string_lossy().into_owned();
    let eks = [
        ("AWS_REGION", "eu-1"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ("AWS_ROLE_ARN", "r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
    ];
    let found = provider(Settings::default(), &eks, &clock).current().await.expect("an identity");
    assert_eq!(found.access_key_id, "W");
    assert!(log.lock()[0].contains("WebIdentityToken=jwt"), "{:?}", log.lock());
    let ecs = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret"),
    ];
    let found = provider(Settings::default(), &ecs, &clock).current().await.expect("a container");
    assert_eq!(found.access_key_id, "K");
}
