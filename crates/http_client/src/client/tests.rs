//! Against servers of our own on local ports.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Client, RequestError};
use crate::Settings;

/// Requests as they came: first line and headers, names in lower case.
type Log = Arc<Mutex<Vec<String>>>;

/// Answers each request by its path; remembers it.
struct Server {
    address: String,
    log: Log,
}

impl Server {
    async fn start(tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let log = Log::default();
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let seen = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, acceptor) = (Arc::clone(&seen), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, seen).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, log }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).expect("a URL")
    }

    fn last(&self) -> String {
        self.log.lock().last().cloned().unwrap_or_default()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: Log) {
    let mut received = Vec::new();
    loop {
        let mut part = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut part).await else { return };
        received.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let path = head.split(' ').nth(1).unwrap_or("").to_owned();
        log.lock().push(format!("{head}\n{body}"));
        let answer = match path.as_str() {
            "/moved" => "HTTP/1.1 302 Found\r\nlocation: /here\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/round" => "HTTP/1.1 302 Found\r\nlocation: /round\r\ncontent-length: 0\r\n\r\n".to_owned(),
            path if path.starts_with("/to/") => {
                format!(
                    "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}\r\ncontent-length: 0\r\n\r\n",
                    &path[4..]
                )
            }
            "/token" if head.to_lowercase().contains("authorization: basic") => {
                answer("401 Unauthorized", "")
            }
            "/token" => {
                answer("200 OK", r#"{"access_token": "abc", "token_type": "bearer", "expires_in": 3600}"#)
            }
            _ => answer("200 OK", "fine"),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        received.clear();
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn settings(yaml: &str) -> Settings {
    let settings: Settings = yaml::from_str(yaml).expect(yaml);
    settings.check().expect(yaml);
    settings
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

async fn get(client: &Client, url: Url) -> Result<u16, RequestError> {
    Ok(client.execute(client.get(url)).await?.status().as_u16())
}

/// The headers that a client with these settings sends.
#[track_caller]
fn sends(server: &Server, want: &str) {
    let seen = server.last().to_lowercase();
    assert!(seen.contains(&want.to_lowercase()), "{want:?} is missing in:\n{seen}");
}

#[tokio::test]
async fn credentials_and_headers_are_sent_as_the_settings_say() {
    let server = Server::start(None).await;
    for (yaml, want) in [
        ("basic_auth: {username: me, password: secret}", "authorization: basic bwu6c2vjcmv0\r\n"),
        ("authorization: {credentials: abc}", "authorization: bearer abc\r\n"),
        ("authorization: {type: Token, credentials: abc}", "authorization: token abc\r\n"),
        ("bearer_token: abc", "authorization: bearer abc\r\n"),
        ("http_headers: {X-One: {values: [a], secrets: [b]}}", "x-one: a\r\nx-one: b\r\n"),
        ("{}", "user-agent: kymo/"),
    ] {
        let client = Client::new(settings(yaml)).expect(yaml);
        assert_eq!(get(&client, server.url("/")).await.expect(yaml), 200);
        sends(&server, want);
    }
}

#[tokio::test]
async fn a_rotated_secret_counts_from_the_next_request_on() {
    let server = Server::start(None).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    let rotate = |text: &str| stdx_write(&file, text);
    rotate("one\n");
    let client = Client::new(settings(&format!("authorization: {{credentials_file: {}}}", file.display())));
    let client = client.expect("a client");
    get(&client, server.url("/")).await.expect("an answer");
    sends(&server, "authorization: bearer one\r\n");
    rotate("two\n");
    get(&client, server.url("/")).await.expect("an answer");
    sends(&server, "authorization: bearer two\r\n");
    std::fs::remove_file(&file).expect("removed");
    let error = get(&client, server.url("/")).await.expect_err("no secret");
    assert!(error.to_string().starts_with("cannot read authorization credentials_file"), "{error}");
}

#[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
fn stdx_write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("written");
}

#[tokio::test]
async fn a_token_is_fetched_once_and_the_secret_goes_where_the_server_wants_it() {
    let server = Server::start(None).await;
    let yaml = format!(
        "oauth2: {{client_id: me, client_secret: s, token_url: '{}', scopes: [a, b], endpoint_params: {{p: q}}}}",
        server.url("/token")
    );
    let client = Client::new(settings(&yaml)).expect("a client");
    for _ in 0..2 {
        get(&client, server.url("/")).await.expect("an answer");
        sends(&server, "authorization: bearer abc\r\n");
    }
    let log = server.log.lock();
    let asked: Vec<&String> = log.iter().filter(|request| request.contains("/token")).collect();
    assert_eq!(asked.len(), 2, "once with the secret in the header, once in the body: {asked:?}");
    assert!(
        asked[1].ends_with("grant_type=client_credentials&scope=a+b&p=q&client_id=me&client_secret=s"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn redirects_are_followed_unless_that_is_off() {
    let server = Server::start(None).await;
    let follows = Client::new(settings("{}")).expect("a client");
    assert_eq!(get(&follows, server.url("/moved")).await.expect("an answer"), 200);
    let stays = Client::new(settings("follow_redirects: false")).expect("a client");
    assert_eq!(get(&stays, server.url("/moved")).await.expect("an answer"), 302);
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_credentials() {
    let (server, other) = (Server::start(None).await, Server::start(None).await);
    let client = Client::new(settings("{bearer_token: abc, http_headers: {X-Key: {secrets: [k]}}}"))
        .expect("a client");
    let port = other.address.rsplit(':').next().expect("a port");
    for (host, trusted) in [("127.0.0.1", true), ("localhost", false)] {
        let url = server.url(&format!("/to/{host}:{port}/x"));
        assert_eq!(get(&client, url).await.expect("an answer"), 200);
        sends(&server, "authorization: bearer abc\r\n");
        let seen = other.last().to_lowercase();
        assert!(seen.starts_with("get /x "), "{seen}");
        assert_eq!(seen.contains("bearer abc"), trusted, "{host}: {seen}");
        assert_eq!(seen.contains("x-key: k"), trusted, "{host}: {seen}");
    }
}

#[tokio::test]
async fn redirects_without_end_end() {
    let server = Server::start(None).await;
    let client = Client::new(settings("{}")).expect("a client");
    let error = get(&client, server.url("/round")).await.expect_err("a circle");
    assert!(error.to_string().starts_with("stopped after 10 redirects from http://"), "{error}");
}

#[tokio::test]
async fn requests_go_through_the_proxy_but_for_the_hosts_that_do_not() {
    let proxy = Server::start(None).await;
    let yaml = format!("{{proxy_url: 'http://{}', no_proxy: 'direct.test,127.0.0.1'}}", proxy.address);
    let client = Client::new(settings(&yaml)).expect("a client");
    let far = Url::parse("http://far.test/metrics").expect("a URL");
    assert_eq!(get(&client, far).await.expect("an answer"), 200);
    assert!(proxy.last().starts_with("GET http://far.test/metrics HTTP/1.1"), "{}", proxy.last());
    get(&client, proxy.url("/direct")).await.expect("an answer");
    assert!(proxy.last().starts_with("GET /direct HTTP/1.1"), "{}", proxy.last());
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_named_plainly() {
    // Held, so that nobody else gets it, but nobody listens there.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = Url::parse(&format!("http://{}/", socket.local_addr().expect("bound"))).expect("a URL");
    let error = get(&Client::new(settings("{}")).expect("a client"), url).await.expect_err("nobody listens");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

async fn tls_server() -> (Server, Url) {
    let certificate = |name| CertificateDer::from_pem_file(testdata(name)).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .expect("a verifier");
    let key = PrivateKeyDer::from_pem_file(testdata("server.key")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate("server.pem")], key)
        .expect("a configuration");
    let server = Server::start(Some(config)).await;
    let url = Url::parse(&format!("https://{}/", server.address)).expect("a URL");
    (server, url)
}

#[tokio::test]
async fn certificates_are_verified_as_the_settings_say() {
    let (_server, url) = tls_server().await;
    let ca = testdata("ca.pem");
    let (ca, cert, key) = (ca.display(), testdata("client.pem"), testdata("client.key"));
    let (cert, key) = (cert.display(), key.display());
    for (yaml, want) in [
        (format!("tls_config: {{ca_file: {ca}, server_name: kymo.test}}"), Ok(200)),
        (format!("tls_config: {{ca_file: {ca}, server_name: kymo.test, min_version: TLS13}}"), Ok(200)),
        (format!("tls_config: {{ca_file: {ca}, server_name: kymo.test, max_version: TLS12}}"), Ok(200)),
        ("tls_config: {insecure_skip_verify: true}".to_owned(), Ok(200)),
        (
            format!(
                "tls_config: {{ca_file: {ca}, server_name: kymo.test, cert_file: {cert}, key_file: {key}}}"
            ),
            Ok(200),
        ),
        (format!("tls_config: {{ca_file: {ca}, server_name: other.test}}"), Err("not valid for name")),
        (format!("tls_config: {{ca_file: {ca}}}"), Err("not valid for name")),
    ] {
        let client = Client::new(settings(&yaml)).expect(&yaml);
        match (get(&client, url.clone()).await, want) {
            (Ok(status), Ok(want)) => assert_eq!(status, want, "{yaml}"),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{yaml}: {error}"),
            (got, want) => panic!("{yaml}: got {got:?}, want {want:?}"),
        }
    }
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    for (yaml, want) in [
        ("tls_config: {ca_file: /no/such/file}", "cannot read ca_file /no/such/file: "),
        ("tls_config: {ca: nonsense}", "ca_file: no certificate in PEM"),
        ("tls_config: {cert: nonsense, key: nonsense}", "key_file: no private key in PEM"),
    ] {
        let error = Client::new(settings(yaml)).expect_err(yaml).to_string();
        assert!(error.starts_with(want), "{yaml}: {error}");
    }
}

#[test]
fn what_contradicts_itself_is_refused_in_prometheus_words() {
    for (yaml, want) in [
        (
            "{bearer_token: a, bearer_token_file: b}",
            "at most one of bearer_token & bearer_token_file must be configured",
        ),
        (
            "{bearer_token: a, basic_auth: {username: b}}",
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        ),
        (
            "{authorization: {credentials: a}, basic_auth: {username: b}}",
            "at most one of basic_auth, oauth2 & authorization must be configured",
        ),
        (
            "basic_auth: {password: a, password_file: b}",
            "at most one of basic_auth password & password_file must be configured",
        ),
        (
            "authorization: {credentials: a, credentials_file: b}",
            "at most one of authorization credentials & credentials_file must be configured",
        ),
        (
            "authorization: {type: Basic}",
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        ),
        ("oauth2: {client_id: a}", "oauth2 token_url must be configured"),
        ("no_proxy: a", "if no_proxy is configured, proxy_url must also be configured"),
        (
            "tls_config: {min_version: TLS13, max_version: TLS12}",
            "tls_config max_version must be greater than or equal to min_version if both are specified",
        ),
        ("http_headers: {Authorization: {}}", "setting header \"Authorization\" is not allowed"),
    ] {
        let settings: Settings = yaml::from_str(yaml).expect(yaml);
        let error = settings.check().expect_err(yaml);
        assert!(error.message.starts_with(want), "{yaml}: {error}");
        assert!(!error.path.is_empty(), "{yaml}: no path");
    }
}

#[test]
fn secrets_are_not_shown() {
    let settings =
        settings("{basic_auth: {username: me, password: hidden}, http_headers: {A: {secrets: [hidden]}}}");
    let shown = format!("{settings:?}");
    assert!(shown.contains("me") && shown.contains("<secret>") && !shown.contains("hidden"), "{shown}");
}
