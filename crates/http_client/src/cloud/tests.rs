//! Against servers that answer as those of clouds, and check what they are sent.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use parking_lot::Mutex as Lock;
use stdx::clock::ManualClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::settings::Secret;

/// Settings, the environment they are read in, and what the request for a token must have in it.
type Case<'a> = (Settings, &'a [(&'a str, &'a str)], &'a [&'a str]);

const CLIENT: &str = "00000000-0000-0000-0000-000000000001";

/// A server that gives tokens: what it was asked, and what it answers next; when that is used up, it fails.
struct Server {
    url: String,
    asked: Arc<Lock<Vec<String>>>,
    answers: Arc<Lock<VecDeque<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Self { url, asked: Arc::default(), answers: Arc::default() };
        let (asked, answers) = (Arc::clone(&server.asked), Arc::clone(&server.answers));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                while !is_complete(&text) {
                    let mut part = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut part).await else { break };
                    text.push_str(&String::from_utf8_lossy(&part[..count]));
                }
                asked.lock().push(text);
                let (status, body) = match answers.lock().pop_front() {
                    Some(body) => ("200 OK", body),
                    None => ("503 Busy", "later".to_owned()),
                };
                let head =
                    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}", body.len());
                let _gone = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
            }
        });
        server
    }

    fn will_answer(&self, token: &str, seconds: &str) {
        let answer =
            format!(r#"{{"token_type": "Bearer", "access_token": "{token}", "expires_in": {seconds}}}"#);
        self.answers.lock().push_back(answer);
    }

    fn asked_count(&self) -> usize {
        self.asked.lock().len()
    }

    /// Checks that the newest question has all of this; its form is decoded.
    #[track_caller]
    fn check_asked(&self, wanted: &[&str]) {
        let asked = self.asked.lock();
        let newest = asked.last().expect("a question");
        let (head, body) = newest.split_once("\r\n\r\n").expect("a head");
        let pairs: Vec<String> = url::form_urlencoded::parse(body.as_bytes())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let text = format!("{head}\n{}", pairs.join("\n"));
        for want in wanted {
            assert!(text.contains(want), "{want:?} is not in\n{text}");
        }
    }
}

fn is_complete(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let mut lengths =
        head.lines().filter_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= lengths.next().unwrap_or(0)
}

fn signer(settings: Settings, variables: &[(&str, &str)], clock: &Arc<ManualClock>) -> Signer {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment: Environment = Arc::new(move |name| variables.get(name).cloned());
    Signer::new(settings, environment, Arc::clone(clock) as Arc<dyn Clock>).expect("a signer")
}

fn azure(change: impl FnOnce(&mut azure::Settings)) -> Settings {
    let mut settings = azure::Settings::default();
    change(&mut settings);
    settings.check().expect("valid settings");
    Settings::Azure(settings)
}

fn application() -> azure::OAuth {
    azure::OAuth {
        client_id: CLIENT.to_owned(),
        client_secret: Secret::new("s&cret"),
        tenant_id: "dir.example".to_owned(),
    }
}

/// The `Authorization` of a request that was authorised.
async fn authorization(signer: &Signer) -> Result<String, AuthorizeError> {
    let mut request =
        Request::new(reqwest::Method::POST, reqwest::Url::parse("http://receiver/w").expect("a URL"));
    signer.authorize(&mut request).await?;
    Ok(request.headers()["authorization"].to_str().expect("text").to_owned())
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_used_until_then_if_that_fails() {
    let (server, clock) = (Server::start().await, ManualClock::at(1_000_000));
    let settings = azure(|settings| settings.oauth = Some(application()));
    let signer = signer(settings, &[("AZURE_AUTHORITY_HOST", &server.url)], &clock);
    let text = authorization(&signer).await.expect_err("nothing is given").to_string();
    assert!(
        text.starts_with("no token of Azure: ") && text.ends_with("answered 503 Service Unavailable: later"),
        "{text}"
    );
    server.will_answer("first", "3600");
    for _ in 0..3 {
        assert_eq!(authorization(&signer).await.expect("a token"), "Bearer first");
    }
    assert_eq!(server.asked_count(), 2);
    clock.advance_ms(3_300_000);
    // It cannot be renewed now, and is good for five minutes more; nobody is asked at each request.
    for _ in 0..3 {
        assert_eq!(authorization(&signer).await.expect("a token"), "Bearer first");
    }
    assert_eq!(server.asked_count(), 3);
    server.will_answer("second", "\"600\"");
    clock.advance_ms(10_000);
    assert_eq!(authorization(&signer).await.expect("a token"), "Bearer second");
    // Half of a short life.
    server.will_answer("third", "3600");
    clock.advance_ms(299_000);
    assert_eq!(authorization(&signer).await.expect("a token"), "Bearer second");
    clock.advance_ms(1_000);
    assert_eq!(authorization(&signer).await.expect("a token"), "Bearer third");
    clock.advance_ms(3_600_000);
    assert!(authorization(&signer).await.is_err(), "it has ended");
}

#[tokio::test]
async fn what_was_refused_is_forgotten() {
    let (server, clock) = (Server::start().await, ManualClock::at(0));
    let signer = signer(
        azure(|settings| settings.oauth = Some(application())),
        &[("AZURE_AUTHORITY_HOST", &server.url)],
        &clock,
    );
    server.will_answer("first", "3600");
    server.will_answer("second", "3600");
    assert_eq!(authorization(&signer).await.expect("a token"), "Bearer first");
    signer.forget().await;
    assert_eq!(authorization(&signer).await.expect("a token"), "Bearer second");
}

#[tokio::test]
async fn each_way_into_azure_asks_as_it_is_documented() {
    let (server, clock) = (Server::start().await, ManualClock::at(0));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token").display().to_string();
    #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
    std::fs::write(&file, "assertion\n").expect("written");
    let secret = "client_secret=s&cret";
    let form = "POST /dir.example/oauth2/v2.0/token HTTP/1.1";
    let identity = azure::WorkloadIdentity {
        client_id: CLIENT.to_owned(),
        tenant_id: "dir.example".to_owned(),
        token_file_path: file.clone(),
    };
    let machine = |id: &str| azure::ManagedIdentity { client_id: id.to_owned() };
    let public = "scope=https://monitor.azure.com//.default";
    let host = ("AZURE_AUTHORITY_HOST", server.url.as_str());
    let pod = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url.as_str());
    let app = [("IDENTITY_ENDPOINT", server.url.as_str()), ("IDENTITY_HEADER", "known")];
    let client = ("AZURE_CLIENT_ID", CLIENT);
    let of_environment =
        [host, ("AZURE_TENANT_ID", "dir.example"), client, ("AZURE_CLIENT_SECRET", "s&cret")];
    let of_pod = [host, ("AZURE_TENANT_ID", "dir.example"), client, ("AZURE_FEDERATED_TOKEN_FILE", &file)];
    let cases: [Case<'_>; 8] = [
        (
            azure(|s| s.oauth = Some(application())),
            &[host],
            &[form, secret, public, "grant_type=client_credentials"],
        ),
        (
            azure(|s| {
                s.cloud = Some("AzureChina".to_owned());
                s.oauth = Some(application());
            }),
            &[host],
            &[form, "scope=https://monitor.azure.cn//.default"],
        ),
        (
            azure(|s| {
                s.scope = "https://own.example/.default".to_owned();
                s.workload_identity = Some(identity);
            }),
            &[host],
            &[form, "client_assertion=assertion", "scope=https://own.example/.default"],
        ),
        (
            azure(|s| s.managed_identity = Some(machine(CLIENT))),
            &[pod],
            &[
                "GET /metadata/identity/oauth2/token?resource=https%3A%2F%2Fmonitor.azure.com%2F&client_id=",
                CLIENT,
                "metadata: true",
            ],
        ),
        (
            azure(|s| s.managed_identity = Some(machine(""))),
            &app,
            &["api-version=2019-08-01", "x-identity-header: known"],
        ),
        (azure(|s| s.sdk = Some(azure::Sdk::default())), &of_environment, &[form, secret]),
        (azure(|s| s.sdk = Some(azure::Sdk::default())), &of_pod, &[form, "client_assertion=assertion"]),
        (azure(|s| s.sdk = Some(azure::Sdk::default())), &[pod, client], &["GET /metadata/identity", CLIENT]),
    ];
    for (number, (settings, variables, wanted)) in cases.into_iter().enumerate() {
        server.will_answer(&number.to_string(), "3600");
        let signer = signer(settings, variables, &clock);
        assert_eq!(authorization(&signer).await.expect("a token"), format!("Bearer {number}"));
        server.check_asked(wanted);
    }
}

#[tokio::test]
async fn google_is_asked_with_a_file_or_as_the_machine() {
    let (server, clock) = (Server::start().await, ManualClock::at(1_700_000_000_000));
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name).display().to_string();
        #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
        std::fs::write(&path, text).expect("written");
        path
    };
    let key = include_str!("../../../discovery/testdata/rsa.key");
    let service = serde_json::json!({
        "type": "service_account", "client_email": "me@example", "private_key": key, "private_key_id": "k1",
        "token_uri": format!("{}/token", server.url),
    });
    let user = serde_json::json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": format!("{}/token", server.url),
    });
    let (service, user) = (file("service.json", service.to_string()), file("user.json", user.to_string()));
    let google = |path: &str| Settings::Google(google::Settings { credentials_file: path.to_owned() });
    let host = server.url.trim_start_matches("http://").to_owned();
    let by_variable = [("GOOGLE_APPLICATION_CREDENTIALS", user.as_str())];
    let cases: [Case<'_>; 3] = [
        (google(&user), &[], &["grant_type=refresh_token", "refresh_token=r", "client_secret=s"]),
        (google(""), &by_variable, &["refresh_token=r"]),
        (
            google(""),
            &[("GCE_METADATA_HOST", &host)],
            &[
                "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/monitoring.write",
                "metadata-flavor: Google",
            ],
        ),
    ];
    for (settings, variables, wanted) in cases {
        server.will_answer("t", "3600");
        assert_eq!(authorization(&signer(settings, variables, &clock)).await.expect("a token"), "Bearer t");
        server.check_asked(wanted);
    }
    server.will_answer("t", "3600");
    assert_eq!(authorization(&signer(google(&service), &[], &clock)).await.expect("a token"), "Bearer t");
    check_assertion(&server, key);
    let other = file("other.json", r#"{"type": "external_account"}"#.to_owned());
    let text =
        authorization(&signer(google(&other), &[], &clock)).await.expect_err("not supported").to_string();
    assert!(
        text.contains("other.json: credentials of type \"external_account\" are not supported"),
        "{text}"
    );
}

/// The newest question has a token that this key signed, and that says what Google wants to know.
fn check_assertion(server: &Server, key: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    let asked = server.asked.lock();
    let body = asked.last().and_then(|text| text.split_once("\r\n\r\n")).expect("a body").1.to_owned();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (text, signature) = form["assertion"].rsplit_once('.').expect("a signature");
    let der: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).expect("base64")).expect("a key");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref().to_vec());
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    public.verify(text.as_bytes(), &signature).expect("a good signature");
    let claims = text.split_once('.').expect("claims").1;
    let claims: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    let wanted = serde_json::json!({
        "iss": "me@example", "scope": "https://www.googleapis.com/auth/monitoring.write",
        "aud": format!("{}/token", server.url), "iat": 1_700_000_000, "exp": 1_700_003_600,
    });
    assert_eq!(claims, wanted);
}

#[tokio::test]
async fn aws_signs_for_the_service_that_was_named() {
    let clock = ManualClock::at(1_767_225_600_000);
    let settings = aws::Settings {
        region: "eu-west-1".to_owned(),
        access_key: "A".to_owned(),
        secret_key: Secret::new("B"),
        ..aws::Settings::default()
    };
    let signer = signer(Settings::Aws { settings, service: "aps".to_owned() }, &[], &clock);
    let header = authorization(&signer).await.expect("signed");
    assert!(
        header.starts_with("AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/aps/aws4_request, "),
        "{header}"
    );
}

#[test]
fn settings_of_azure_are_checked_in_prometheus_words() {
    let check = |change: fn(&mut azure::Settings), path: &str, want: &str| {
        let mut settings = azure::Settings::default();
        change(&mut settings);
        let fault = settings.check().expect_err(want);
        assert_eq!((fault.path.join("."), fault.message.as_str()), (path.to_owned(), want));
    };
    check(|s| s.cloud = Some("Moon".to_owned()), "cloud", "must provide a cloud in the Azure AD config");
    check(
        |_| {},
        "",
        "must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth or Azure SDK in the Azure AD config",
    );
    check(
        |s| {
            s.oauth = Some(application());
            s.sdk = Some(azure::Sdk::default());
        },
        "sdk",
        "cannot provide multiple authentication methods in the Azure AD config",
    );
    check(
        |s| s.managed_identity = Some(azure::ManagedIdentity { client_id: "me".to_owned() }),
        "managed_identity.client_id",
        "the provided Azure Managed Identity client_id is invalid",
    );
    check(
        |s| s.oauth = Some(azure::OAuth { client_secret: Secret::default(), ..application() }),
        "oauth.client_secret",
        "must provide an Azure OAuth client_secret in the Azure AD config",
    );
    check(
        |s| s.oauth = Some(azure::OAuth { tenant_id: "a b".to_owned(), ..application() }),
        "oauth.tenant_id",
        "the provided Azure OAuth tenant_id is invalid",
    );
    check(
        |s| {
            s.workload_identity =
                Some(azure::WorkloadIdentity { client_id: CLIENT.to_owned(), ..Default::default() });
        },
        "workload_identity.tenant_id",
        "must provide an Azure Workload Identity tenant_id in the Azure AD config",
    );
    check(
        |s| {
            s.oauth = Some(application());
            s.scope = "a;b".to_owned();
        },
        "scope",
        "the provided scope contains invalid characters",
    );
}
