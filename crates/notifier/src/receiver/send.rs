//! Requests to receivers, their answers, and which failures are worth another try.

use std::time::Duration;

use http_client::{Client, Method, Request, Secret, Url, header};
use serde::Serialize;

use crate::config::values::SecretUrl;

/// More of an answer is of no use to anybody.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of an answer stands in a message.
const SHOWN_BYTES_MAX: usize = 512;

/// A receiver was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SendError {
    /// Why. Holds no secrets.
    pub(crate) message: String,
    /// Whether another try may succeed.
    pub(crate) retry: bool,
    /// How long the receiver wants to be left alone.
    pub(crate) after: Option<Duration>,
}

impl SendError {
    /// The same would happen again.
    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: false, after: None }
    }

    /// It may pass.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: true, after: None }
    }

    /// Says to whom it happened.
    pub(crate) fn within(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

/// An answer whose status is a success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) is_json: bool,
    pub(crate) body: Vec<u8>,
}

/// A `POST` of JSON.
pub(crate) fn post_json(url: Url, body: &impl Serialize) -> Result<Request, SendError> {
    with_json(Method::POST, url, body)
}

/// A request that carries JSON.
pub(crate) fn with_json(method: Method, url: Url, body: &impl Serialize) -> Result<Request, SendError> {
    let body = serde_json::to_vec(body)
        .map_err(|error| SendError::lasting(format!("cannot write the message as JSON: {error}")))?;
    let mut request = Request::new(method, url);
    let json = header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    *request.body_mut() = Some(body.into());
    Ok(request)
}

/// Sets a header that nobody may see.
pub(crate) fn set_secret_header(
    request: &mut Request,
    name: &'static str,
    value: &str,
) -> Result<(), SendError> {
    let mut value = header::HeaderValue::from_str(value)
        .map_err(|_| SendError::lasting(format!("the secret for {name} cannot stand in a header")))?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::HeaderName::from_static(name), value);
    Ok(())
}

/// Sends a request; an answer that is no success is an error. Too many requests and the server's own faults may
/// pass; everything else that it says is final.
pub(crate) async fn send(client: &Client, request: Request) -> Result<Answer, SendError> {
    let response = client.execute(request).await.map_err(|error| SendError::passing(error.to_string()))?;
    let status = response.status();
    let seconds = response.headers().get(header::RETRY_AFTER);
    let after = seconds.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json =
        kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.starts_with("application/json"));
    let body = read(response).await.map_err(|error| SendError::passing(error.to_string()));
    if status.is_success() {
        return Ok(Answer { is_json, body: body? });
    }
    let body = body.unwrap_or_default();
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).trim().to_owned();
    let colon = if shown.is_empty() { "" } else { ": " };
    Err(SendError {
        message: format!("unexpected status code {}{colon}{shown}", status.as_u16()),
        retry: status.is_server_error() || status.as_u16() == 429,
        after,
    })
}

/// The body, as far as it is of use.
async fn read(mut response: http_client::Response) -> Result<Vec<u8>, http_client::RequestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_BYTES_MAX {
            body.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    Ok(body)
}

/// The secret itself, or what its file holds now.
pub(crate) async fn secret_or_file(key: &str, secret: &Secret, file: &str) -> Result<String, SendError> {
    if file.is_empty() || !secret.is_empty() {
        return Ok(secret.reveal().to_owned());
    }
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(SendError::lasting(format!("read {key}: {file}: {error}"))),
    }
}

/// The URL itself, or the one that its file holds now.
pub(crate) async fn url_or_file(key: &str, url: Option<&SecretUrl>, file: &str) -> Result<Url, SendError> {
    if let Some(url) = url.and_then(SecretUrl::url) {
        return Ok(url.clone());
    }
    if file.is_empty() {
        return Err(SendError::lasting("there is no URL"));
    }
    let text = secret_or_file(key, &Secret::default(), file).await?;
    Url::parse(&text).map_err(|_| SendError::lasting(format!("{key} {file} does not hold a URL")))
}

/// At most so many characters; what is cut is marked.
pub(crate) fn truncate(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) if chars_max == 0 => String::new(),
        Some(_) => {
            let mut short: String = text.chars().take(chars_max - 1).collect();
            short.push('…');
            short
        }
    }
}

/// At most so many bytes; what is cut is marked.
pub(crate) fn truncate_bytes(text: &str, bytes_max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    if bytes_max < MARK.len() {
        return String::new();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(bytes_max - MARK.len())])
}

/// Serde's `skip_serializing_if` for texts that say nothing.
pub(crate) fn is_empty(text: &str) -> bool {
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_marked() {
        assert_eq!(truncate("äöü", 3), "äöü");
        assert_eq!(truncate("äöüx", 3), "äö…");
        assert_eq!(truncate("abc", 0), "");
        assert_eq!(truncate_bytes("abcdef", 6), "abcdef");
        assert_eq!(truncate_bytes("äöüx", 6), "ä…");
        assert_eq!(truncate_bytes("abc", 2), "");
    }
}
