//! Tokens that are kept until shortly before they end.

use std::time::Duration;

use http_client::Secret;
use http_client::header::{AUTHORIZATION, HeaderValue};
use http_client::{Request, Url};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use crate::fetch::Fault;

/// A token this near to its end is not used any more.
const ENDS_EARLY: Duration = Duration::from_secs(60);

/// What says who we are, for a time.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    text: Secret,
    ends: Option<Instant>,
}

impl Token {
    /// One that lasts so long; `None`: for ever.
    pub(crate) fn new(text: String, lasts: Option<Duration>) -> Self {
        Self { text: Secret::new(text), ends: lasts.map(|lasts| Instant::now() + lasts) }
    }

    /// Whether it can still be used.
    pub(crate) fn is_good(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() + ENDS_EARLY < ends)
    }

    /// What it is, to be sent where no header is.
    pub(crate) fn text(&self) -> &str {
        self.text.reveal()
    }

    /// Adds `Authorization: Bearer`.
    pub(crate) fn authorize(&self, request: &mut Request) -> Result<(), Fault> {
        set_secret(request, AUTHORIZATION.as_str(), &format!("Bearer {}", self.text.reveal()))
    }

    /// Adds it as a header of its own.
    pub(crate) fn set(&self, request: &mut Request, header: &'static str) -> Result<(), Fault> {
        set_secret(request, header, self.text.reveal())
    }
}

/// Adds a header whose value must not be shown.
pub(crate) fn set_secret(request: &mut Request, header: &str, value: &str) -> Result<(), Fault> {
    let wrong = || Fault::Other(format!("a secret cannot stand in the header {header}"));
    let name = http_client::header::HeaderName::from_bytes(header.as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

/// The usual answer of those who give tokens (RFC 6749).
#[derive(Debug, Deserialize)]
pub(crate) struct TokenAnswer {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<f64>,
}

impl From<TokenAnswer> for Token {
    fn from(answer: TokenAnswer) -> Self {
        let lasts = answer.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self::new(answer.access_token, lasts)
    }
}

/// Some write the number as a text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// Pairs as the body of a form.
pub(crate) fn form(pairs: &[(&str, &str)]) -> Result<String, Fault> {
    let mut url = Url::parse("http://form/").map_err(|error| Fault::Other(error.to_string()))?;
    url.query_pairs_mut().extend_pairs(pairs);
    Ok(url.query().unwrap_or("").to_owned())
}
