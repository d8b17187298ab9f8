//! The client: sends requests with what its settings add to them.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, NoProxy, Proxy, Request, Response, Url, redirect};

use crate::Settings;
use crate::credentials::{Credentials, read_secret};
use crate::direct::{self, Direct, Receive};
use crate::settings::{HeaderValues, Secret, TlsSettings};
use crate::tls::{self, Fingerprint};

/// What we call ourselves.
pub const USER_AGENT: &str = concat!("Kymo/", env!("CARGO_PKG_VERSION"));

/// How often files of certificates are looked at.
const TLS_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an unused connection is kept: longer than usual scrape intervals.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(300);
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS_MAX: usize = 10;

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of certificates or keys cannot be read.
    #[error("cannot read {key} {}: {source}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates or keys that cannot be used.
    #[error("{key}: {reason}")]
    Tls {
        /// The key that names them.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A proxy, header or other value that cannot be used.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

/// A request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A file that holds a secret or a header cannot be read.
    #[error("cannot read {key} {}: {source}", path.display())]
    File {
        /// The key that names it.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A secret that cannot stand in a header.
    #[error("{key} holds characters that cannot stand in a header")]
    Header {
        /// The key that names it.
        key: String,
    },
    /// No token was given to us.
    #[error("cannot fetch a token from {url}: {reason}")]
    Token {
        /// Where it was asked for.
        url: String,
        /// What came instead.
        reason: String,
    },
    /// One redirect led to the next.
    #[error("stopped after {REDIRECTS_MAX} redirects from {url}")]
    Redirects {
        /// What was asked for.
        url: String,
    },
    /// The peer could not be reached, or its answer is not HTTP.
    #[error("{}", root_cause(.0))]
    Http(#[from] reqwest::Error),
    /// As before, said by the system.
    #[error(transparent)]
    Io(std::io::Error),
    /// The answer is not as HTTP/1.1 has it.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Nothing, or not all, could be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError<E> {
    /// There is no answer, or only a part of it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The receiver did not want it.
    #[error("the answer is not wanted")]
    Refused(E),
}

impl RequestError {
    /// Whether it simply took too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Http(error) => error.is_timeout(),
            Self::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
            _ => false,
        }
    }
}

/// The innermost reason: "connection refused" rather than "error sending request for url".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Sends requests as its settings say. Cheap to share behind an `Arc`; connections are kept and reused.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    credentials: Credentials,
    transport: Transport,
    /// For what needs neither TLS nor a proxy.
    direct: Option<Direct>,
}

impl Client {
    /// Makes a client. No connection is opened yet.
    ///
    /// # Errors
    /// If certificates cannot be used, or a proxy or header is malformed.
    pub fn new(settings: Settings) -> Result<Self, BuildError> {
        Self::over(settings, None)
    }

    /// A client whose connections all go to a Unix socket, whatever the URLs say; proxies do not count.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn over_unix_socket(settings: Settings, path: impl Into<PathBuf>) -> Result<Self, BuildError> {
        Self::over(settings, Some(path.into()))
    }

    fn over(settings: Settings, unix_socket: Option<PathBuf>) -> Result<Self, BuildError> {
        let options = TransportOptions {
            tls: settings.tls_config.clone(),
            proxy_url: settings.proxy_url.clone(),
            no_proxy: settings.no_proxy.clone(),
            proxy_from_environment: settings.proxy_from_environment,
            proxy_connect_header: settings.proxy_connect_header.clone().into_iter().collect(),
            unix_socket,
        };
        let transport = Transport::new(options)?;
        let credentials = Credentials::new(&settings)?;
        let direct = transport.options.leads_straight().then(Direct::new);
        Ok(Self { settings, credentials, transport, direct })
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A `GET` to be completed and given to [`Client::execute`].
    pub fn get(&self, url: Url) -> Request {
        Request::new(Method::GET, url)
    }

    /// A `POST` of a form (`application/x-www-form-urlencoded`), for [`Client::execute`].
    pub fn post_form(&self, url: Url, form: String) -> Request {
        let mut request = Request::new(Method::POST, url);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(reqwest::header::CONTENT_TYPE, form_type);
        *request.body_mut() = Some(form.into());
        request
    }

    /// Adds credentials and headers, sends, and follows redirects if the settings say so. What the settings add goes
    /// to the host that was asked and to no other, nor from https to http; nor does an `Authorization` of the request.
    ///
    /// # Errors
    /// If a secret cannot be had, or the peer does not answer. Any HTTP status is an answer.
    pub async fn execute(&self, mut request: Request) -> Result<Response, RequestError> {
        let asked = request.url().clone();
        for _ in 0..=REDIRECTS_MAX {
            let again = if self.settings.follow_redirects { request.try_clone() } else { None };
            if is_trusted(&asked, request.url()) {
                self.add_headers(request.headers_mut()).await?;
            } else {
                for secret in [reqwest::header::AUTHORIZATION.as_str(), "x-amz-security-token"] {
                    request.headers_mut().remove(secret);
                }
            }
            let response = self.transport.current().execute(request).await?;
            let next = again.and_then(|again| redirected(again, &response));
            match next {
                Some(next) => request = next,
                None => return Ok(response),
            }
        }
        Err(RequestError::Redirects { url: asked.to_string() })
    }

    /// A `GET` whose answer is received piece by piece as it arrives, as cheaply as can be: for who asks many peers often.
    /// Otherwise as [`Self::execute`].
    ///
    /// # Errors
    /// As `execute`; or if the answer is cut off, or the receiver does not want it.
    pub async fn get_into<R: Receive>(
        &self,
        url: &Url,
        headers: &HeaderMap,
        receiver: &mut R,
    ) -> Result<(), ReceiveError<R::Error>> {
        let direct = self.direct.as_ref().filter(|_| Direct::speaks(url));
        let Some(direct) = direct else { return self.get_generally(url, headers, receiver).await };
        let mut all = Cow::Borrowed(headers);
        if !self.settings.http_headers.is_empty() || !self.credentials.are_none() {
            self.add_headers(all.to_mut()).await?;
        }
        match direct.get(url, &all, self.settings.follow_redirects, receiver).await {
            Ok(()) => Ok(()),
            // Wherever it leads.
            Err(direct::Failure::Redirect) => self.get_generally(url, headers, receiver).await,
            Err(direct::Failure::Io(error)) => Err(RequestError::Io(error).into()),
            Err(direct::Failure::Malformed(why)) => Err(RequestError::Malformed(why).into()),
            Err(direct::Failure::Refused(error)) => Err(ReceiveError::Refused(error)),
        }
    }

    async fn get_generally<R: Receive>(
        &self,
        url: &Url,
        headers: &HeaderMap,
        receiver: &mut R,
    ) -> Result<(), ReceiveError<R::Error>> {
        let mut request = self.get(url.clone());
        request.headers_mut().clone_from(headers);
        let mut response = self.execute(request).await?;
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let (encoding, content_type) =
            (text(reqwest::header::CONTENT_ENCODING), text(reqwest::header::CONTENT_TYPE));
        receiver.head(response.status(), encoding, content_type).map_err(ReceiveError::Refused)?;
        while let Some(piece) = response.chunk().await.map_err(RequestError::Http)? {
            receiver.data(&piece).map_err(ReceiveError::Refused)?;
        }
        Ok(())
    }

    async fn add_headers(&self, headers: &mut HeaderMap) -> Result<(), RequestError> {
        for (name, values) in &self.settings.http_headers {
            add_header(headers, name, values).await?;
        }
        if let Some(value) = self.credentials.header().await? {
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        Ok(())
    }
}

/// Whether a redirect may be given what is meant for the host that was asked.
fn is_trusted(asked: &Url, now: &Url) -> bool {
    asked.host_str() == now.host_str() && !(asked.scheme() == "https" && now.scheme() != "https")
}

/// The request that a redirect asks for; `None` if the response is no redirect.
fn redirected(mut request: Request, response: &Response) -> Option<Request> {
    let keeps_method = match response.status().as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return None,
    };
    let location = response.headers().get(reqwest::header::LOCATION)?.to_str().ok()?;
    let url = response.url().join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if !keeps_method && !matches!(*request.method(), Method::GET | Method::HEAD) {
        *request.method_mut() = Method::GET;
        *request.body_mut() = None;
        request.headers_mut().remove(reqwest::header::CONTENT_TYPE);
    }
    *request.url_mut() = url;
    Some(request)
}

async fn add_header(headers: &mut HeaderMap, name: &str, values: &HeaderValues) -> Result<(), RequestError> {
    let key = || format!("http_headers {name}");
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| RequestError::Header { key: key() })?;
    let shown = values.values.iter().cloned();
    let mut texts: Vec<String> = shown.chain(values.secrets.iter().map(|s| s.reveal().to_owned())).collect();
    for file in &values.files {
        texts.push(read_secret(&key(), file).await?);
    }
    headers.remove(&header);
    for text in texts {
        let value = HeaderValue::from_str(&text).map_err(|_| RequestError::Header { key: key() })?;
        headers.append(&header, value);
    }
    Ok(())
}

/// What decides how connections are made.
#[derive(Debug, Clone)]
pub(crate) struct TransportOptions {
    pub(crate) tls: TlsSettings,
    pub(crate) proxy_url: String,
    pub(crate) no_proxy: String,
    pub(crate) proxy_from_environment: bool,
    pub(crate) proxy_connect_header: Vec<(String, Vec<Secret>)>,
    pub(crate) unix_socket: Option<PathBuf>,
}

impl TransportOptions {
    /// Whether connections lead to whom the URL names.
    fn leads_straight(&self) -> bool {
        self.proxy_url.is_empty() && !self.proxy_from_environment && self.unix_socket.is_none()
    }
}

/// Connections; made anew when files of certificates change.
#[derive(Debug)]
pub(crate) struct Transport {
    options: TransportOptions,
    state: Mutex<TransportState>,
}

#[derive(Debug)]
struct TransportState {
    client: reqwest::Client,
    fingerprint: Fingerprint,
    checked: Instant,
}

impl Transport {
    pub(crate) fn new(options: TransportOptions) -> Result<Self, BuildError> {
        let fingerprint = Fingerprint::of(&options.tls);
        let client = build(&options)?;
        Ok(Self {
            options,
            state: Mutex::new(TransportState { client, fingerprint, checked: Instant::now() }),
        })
    }

    /// The client to use now. If new certificates cannot be used, the old ones are, and it is logged.
    pub(crate) fn current(&self) -> reqwest::Client {
        let mut state = self.state.lock();
        if self.options.tls.has_files() && state.checked.elapsed() >= TLS_CHECK_INTERVAL {
            state.checked = Instant::now();
            let fingerprint = Fingerprint::of(&self.options.tls);
            if fingerprint != state.fingerprint {
                match build(&self.options) {
                    Ok(client) => state.client = client,
                    Err(error) => {
                        tracing::warn!(%error, "certificates changed and cannot be used; the old ones are");
                    }
                }
                state.fingerprint = fingerprint;
            }
        }
        state.client.clone()
    }
}

fn build(options: &TransportOptions) -> Result<reqwest::Client, BuildError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls::client_config(&options.tls)?)
        .pool_idle_timeout(IDLE_MAX)
        .connect_timeout(CONNECT_TIMEOUT)
        .referer(false)
        .redirect(redirect::Policy::none());
    if !options.proxy_from_environment {
        builder = builder.no_proxy();
    }
    if !options.proxy_url.is_empty() {
        builder = builder.proxy(proxy(options)?);
    }
    if let Some(path) = &options.unix_socket {
        builder = builder.unix_socket(path.as_path());
    }
    builder.build().map_err(|error| BuildError::Client(root_cause(&error)))
}

fn proxy(options: &TransportOptions) -> Result<Proxy, BuildError> {
    let proxy = Proxy::all(&options.proxy_url).map_err(|error| BuildError::Client(root_cause(&error)))?;
    let mut headers = HeaderMap::new();
    for (name, values) in &options.proxy_connect_header {
        let malformed = || BuildError::Client(format!("proxy_connect_header {name} is malformed"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        for value in values {
            headers.append(&name, HeaderValue::from_str(value.reveal()).map_err(|_| malformed())?);
        }
    }
    Ok(proxy.no_proxy(NoProxy::from_string(&options.no_proxy)).headers(headers))
}

/// What a part of a client shares with its whole.
pub(crate) type SharedTransport = Arc<Transport>;

#[cfg(test)]
mod tests;
