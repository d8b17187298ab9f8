//! Tokens: fetched when they are needed, kept, and renewed before they end.
//!
//! A token is renewed when five minutes or half its life is left, whichever is less. If that fails it is used to its end, and
//! asked for again at most every ten seconds.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Deserializer};
use stdx::clock::Clock;
use tokio::sync::Mutex;

use super::{AuthorizeError, azure, google};
use crate::settings::Secret;

/// How long before its end a token is renewed, at most.
const RENEWED_EARLY: Duration = Duration::from_secs(300);
/// The pause after a renewal that failed, while the old token can be used.
const PAUSE: Duration = Duration::from_secs(10);

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum Source {
    Azure(azure::Source),
    Google(google::Source),
}

impl Source {
    fn cloud(&self) -> &'static str {
        match self {
            Self::Azure(_) => "Azure",
            Self::Google(_) => "Google",
        }
    }

    async fn fetch(&self) -> Result<Answer, String> {
        match self {
            Self::Azure(source) => source.fetch().await,
            Self::Google(source) => source.fetch().await,
        }
    }
}

/// The usual answer of those who give tokens (RFC 6749).
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    access_token: Secret,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<f64>,
}

impl Answer {
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let answer: Self =
            serde_json::from_slice(body).map_err(|error| format!("the answer is no token: {error}"))?;
        if answer.access_token.is_empty() { Err("the token is empty".to_owned()) } else { Ok(answer) }
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

/// Times on the monotonic clock.
#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renewed_at: Duration,
    ends_at: Duration,
}

/// The newest token, and where the next comes from.
pub(super) struct Tokens {
    source: Source,
    clock: Arc<dyn Clock>,
    /// Held while a token is fetched, so that many requests fetch one token.
    newest: Mutex<Option<Token>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(source: Source, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, newest: Mutex::new(None) }
    }

    pub(super) async fn authorize(&self, request: &mut Request) -> Result<(), AuthorizeError> {
        let header = self.current().await;
        let fault = |reason| AuthorizeError::Token { cloud: self.source.cloud(), reason };
        request.headers_mut().insert(AUTHORIZATION, header.map_err(fault)?);
        Ok(())
    }

    pub(super) async fn forget(&self) {
        self.newest.lock().await.take();
    }

    async fn current(&self) -> Result<HeaderValue, String> {
        let mut newest = self.newest.lock().await;
        let now = self.clock.monotonic();
        if let Some(good) = newest.as_ref().filter(|token| now < token.renewed_at) {
            return Ok(good.header.clone());
        }
        match self.source.fetch().await.and_then(|answer| self.token(&answer)) {
            Ok(token) => Ok(newest.insert(token).header.clone()),
            Err(reason) => match newest.as_mut().filter(|token| now < token.ends_at) {
                Some(old) => {
                    let cloud = self.source.cloud();
                    tracing::warn!(%reason, "the token of {cloud} ends soon and cannot be renewed");
                    old.renewed_at = now + PAUSE;
                    Ok(old.header.clone())
                }
                None => Err(reason),
            },
        }
    }

    fn token(&self, answer: &Answer) -> Result<Token, String> {
        let text = format!("Bearer {}", answer.access_token.reveal());
        let mut header =
            HeaderValue::from_str(&text).map_err(|_| "the token cannot stand in a header".to_owned())?;
        header.set_sensitive(true);
        // Who does not say how long a token is good gives it for an hour.
        let life = answer.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let life = life.unwrap_or(Duration::from_secs(3_600));
        let ends_at = self.clock.monotonic().saturating_add(life);
        Ok(Token { header, ends_at, renewed_at: ends_at.saturating_sub(RENEWED_EARLY.min(life / 2)) })
    }
}
