//! Who we are to a cloud: what Prometheus calls `sigv4`, `azuread` and `google_iam`.
//!
//! Map: here the one of the three that a configuration names, and requests authorised by it · [`azure`] and [`google`] settings, and
//! where tokens come from · `tokens` tokens kept until they must be renewed. AWS signs each request instead: [`crate::aws`].

pub mod azure;
pub mod google;

mod tokens;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Request;
use stdx::clock::Clock;

use crate::aws::{self, Environment};
use crate::client::{BuildError, Client};

/// The largest answer of those who give tokens.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Which cloud, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Requests are signed for a service (`aps` is Amazon's Prometheus).
    Aws {
        /// Who signs.
        settings: aws::Settings,
        /// For whom.
        service: String,
    },
    /// Requests carry a token of Entra ID.
    Azure(azure::Settings),
    /// Requests carry a token of Google's IAM.
    Google(google::Settings),
}

/// A request cannot be authorised now; it may be tried again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthorizeError {
    /// No keys of AWS.
    #[error(transparent)]
    Aws(#[from] aws::CredentialsError),
    /// No token.
    #[error("no token of {cloud}: {reason}")]
    Token {
        /// Whose.
        cloud: &'static str,
        /// What happened.
        reason: String,
    },
}

/// Authorises requests; keeps keys and tokens while they are good. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Signer(Kind);

#[derive(Debug)]
enum Kind {
    Aws { provider: Box<aws::Provider>, service: String },
    Token(Box<tokens::Tokens>),
}

impl Signer {
    /// Nothing is asked for yet. `environment` is where some of what is not in the settings stands.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(
        settings: Settings,
        environment: Environment,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        Ok(Self(match settings {
            Settings::Aws { settings, service } => {
                let provider = aws::Provider::new(settings, environment, clock)?;
                Kind::Aws { provider: Box::new(provider), service }
            }
            Settings::Azure(settings) => {
                let source = azure::Source::new(settings, environment)?;
                Kind::Token(Box::new(tokens::Tokens::new(tokens::Source::Azure(source), clock)))
            }
            Settings::Google(settings) => {
                let source = google::Source::new(settings, environment, Arc::clone(&clock))?;
                Kind::Token(Box::new(tokens::Tokens::new(tokens::Source::Google(source), clock)))
            }
        }))
    }

    /// Adds what shows who we are to a request whose URL, body and headers are complete.
    ///
    /// # Errors
    /// If there are no keys or no token now.
    pub async fn authorize(&self, request: &mut Request) -> Result<(), AuthorizeError> {
        match &self.0 {
            Kind::Aws { provider, service } => Ok(provider.sign(request, service).await?),
            Kind::Token(tokens) => tokens.authorize(request).await,
        }
    }

    /// What was kept was refused: the next request fetches anew. Keys that stand in the configuration stay what they are.
    pub async fn forget(&self) {
        match &self.0 {
            Kind::Aws { provider, .. } => provider.forget().await,
            Kind::Token(tokens) => tokens.forget().await,
        }
    }
}

/// Sends a request for a token, and reads the answer.
async fn fetch(client: &Client, mut request: Request, timeout: Duration) -> Result<Vec<u8>, String> {
    *request.timeout_mut() = Some(timeout);
    let place = request.url().clone();
    let mut response = client.execute(request).await.map_err(|error| format!("{place}: {error}"))?;
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| format!("{place}: {error}"))? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer of {place} is too long"));
        }
    }
    if response.status().is_success() {
        return Ok(body);
    }
    let shown: String = String::from_utf8_lossy(&body).chars().take(300).collect();
    Err(format!("{place} answered {}: {shown}", response.status()))
}

/// Pairs as the body of a form.
fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests;
