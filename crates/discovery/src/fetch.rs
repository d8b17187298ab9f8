//! Asking servers over HTTP: bounded answers, statuses, JSON as Go reads it, pages, tokens that are kept.

use std::time::Duration;

use http_client::header::HeaderMap;
use http_client::{BuildError, Client, Request, RequestError, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The largest answer that is read.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How much of an error's answer is shown.
const SHOWN_CHARS_MAX: usize = 300;
/// More pages than any server has; a server that answers with the same page for ever is noticed.
pub(crate) const PAGES_MAX: usize = 10_000;

/// Why a mechanism has no targets to give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The client cannot be made.
    #[error("{0}")]
    Client(#[from] BuildError),
    /// No answer.
    #[error("cannot ask {url}: {source}")]
    Request { url: String, source: RequestError },
    /// An answer that is a refusal.
    #[error("{url} answered {status}{shown}")]
    Status { url: String, status: StatusCode, shown: String },
    /// An answer that is too long.
    #[error("the answer of {0} is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLarge(String),
    /// An answer that cannot be understood.
    #[error("cannot understand the answer of {url}: {reason}")]
    Syntax { url: String, reason: String },
    /// Credentials cannot be had.
    #[error("{0}")]
    Credentials(#[from] http_client::aws::CredentialsError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// The status of the answer, if there was one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for.
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads JSON as Go does: null is as if it were absent.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let syntax = |error: serde_json::Error| self.syntax(error.to_string());
        let mut value: Value = serde_json::from_slice(&self.body).map_err(syntax)?;
        drop_nulls(&mut value);
        serde_json::from_value(value).map_err(syntax)
    }

    /// Reads XML.
    pub(crate) fn xml<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let text = std::str::from_utf8(&self.body).map_err(|error| self.syntax(error.to_string()))?;
        quick_xml::de::from_str(text).map_err(|error| self.syntax(error.to_string()))
    }

    /// A header's value; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn syntax(&self, reason: String) -> Fault {
        Fault::Syntax { url: self.url.clone(), reason }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

/// Asks one server.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    timeout: Duration,
}

impl Api {
    /// Each request may take as long as `timeout`.
    pub(crate) fn new(settings: &http_client::Settings, timeout: Duration) -> Result<Self, Fault> {
        Ok(Self { client: Client::new(settings.clone())?, timeout })
    }

    /// One whose connections go to a Unix socket.
    pub(crate) fn over_unix_socket(path: &str, timeout: Duration) -> Result<Self, Fault> {
        let client = Client::over_unix_socket(http_client::Settings::default(), path)?;
        Ok(Self { client, timeout })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A `GET`, for [`Self::send`].
    pub(crate) fn get(&self, url: &str) -> Result<Request, Fault> {
        Ok(self.client.get(parse_url(url)?))
    }

    /// Sends, and reads the whole answer. A status other than 2xx is a fault.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Answer, Fault> {
        let url = shown_url(request.url());
        if request.timeout().is_none() {
            *request.timeout_mut() = Some(self.timeout);
        }
        let failed = |source| Fault::Request { url: url.clone(), source };
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| failed(error.into()))? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Fault::TooLarge(url));
            }
        }
        if !status.is_success() {
            return Err(Fault::Status { url, status, shown: shown_body(&body) });
        }
        Ok(Answer { url, headers, body })
    }

    /// Asks for JSON.
    pub(crate) async fn get_json<T: DeserializeOwned>(&self, url: &str) -> Result<T, Fault> {
        self.send(self.get(url)?).await?.json()
    }
}

/// Reads a URL that came from a configuration or an answer.
pub(crate) fn parse_url(url: &str) -> Result<Url, Fault> {
    Url::parse(url).map_err(|error| Fault::Other(format!("{url:?} is not a valid URL: {error}")))
}

/// A URL with parameters.
pub(crate) fn with_query<N: AsRef<str>, V: AsRef<str>>(
    url: &str,
    pairs: impl IntoIterator<Item = (N, V)>,
) -> Result<Url, Fault> {
    let mut url = parse_url(url)?;
    let mut query = url.query_pairs_mut();
    for (name, value) in pairs {
        query.append_pair(name.as_ref(), value.as_ref());
    }
    drop(query);
    if url.query() == Some("") {
        url.set_query(None);
    }
    Ok(url)
}

/// Where a request went, without what may be secret or differs from page to page.
pub(crate) fn shown_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

fn shown_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(SHOWN_CHARS_MAX).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
