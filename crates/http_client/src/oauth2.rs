//! OAuth 2 client credentials (RFC 6749, section 4.4): tokens, fetched and kept until shortly before they expire.

use std::time::{Duration, Instant};

use reqwest::{Method, Request, Response, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::client::{BuildError, RequestError, SharedTransport, Transport, TransportOptions};
use crate::credentials::text_or_file;
use crate::settings::{OAuth2, Secret};

/// A token this near to its end is not used any more.
const EXPIRES_EARLY: Duration = Duration::from_secs(10);
/// Longest wait for a token.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer of a token endpoint.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Fetches tokens and keeps the newest.
#[derive(Debug)]
pub(crate) struct Tokens {
    settings: OAuth2,
    transport: SharedTransport,
    /// Held while a token is fetched, so that many requests fetch one token.
    newest: Mutex<Option<Token>>,
}

#[derive(Debug, Clone)]
struct Token {
    text: Secret,
    expires: Option<Instant>,
    /// A token of another secret must not be used once the secret was rotated.
    client_secret: String,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<f64>,
}

impl Tokens {
    pub(crate) fn new(settings: OAuth2) -> Result<Self, BuildError> {
        let options = TransportOptions {
            tls: settings.tls_config.clone(),
            proxy_url: settings.proxy_url.clone(),
            no_proxy: settings.no_proxy.clone(),
            proxy_from_environment: settings.proxy_from_environment,
            proxy_connect_header: settings.proxy_connect_header.clone().into_iter().collect(),
            unix_socket: None,
        };
        let transport = SharedTransport::new(Transport::new(options)?);
        Ok(Self { settings, transport, newest: Mutex::new(None) })
    }

    /// A token that can be used now.
    pub(crate) async fn current(&self) -> Result<Secret, RequestError> {
        let settings = &self.settings;
        let key = "oauth2 client_secret_file";
        let client_secret = text_or_file(key, &settings.client_secret, &settings.client_secret_file).await?;
        let mut newest = self.newest.lock().await;
        if let Some(token) = newest.as_ref()
            && token.client_secret == client_secret
            && token.expires.is_none_or(|expires| Instant::now() + EXPIRES_EARLY < expires)
        {
            return Ok(token.text.clone());
        }
        let token = self.fetch(client_secret).await?;
        Ok(newest.insert(token).text.clone())
    }

    async fn fetch(&self, client_secret: String) -> Result<Token, RequestError> {
        // Servers differ in where they want the secret. As Go's client: in the header first, then in the body.
        let mut answer = self.ask(&client_secret, true).await?;
        if answer.status().is_client_error() {
            answer = self.ask(&client_secret, false).await?;
        }
        let fault = |reason: String| RequestError::Token { url: self.settings.token_url.clone(), reason };
        let status = answer.status();
        if !status.is_success() {
            return Err(fault(format!("the answer has status {status}")));
        }
        let body = read_bounded(answer).await?.ok_or_else(|| fault("the answer is too long".to_owned()))?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| fault(format!("the answer is no token: {error}")))?;
        let lifetime = answer.expires_in.filter(|seconds| *seconds > 0.0);
        let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let expires = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        Ok(Token { text: Secret::new(answer.access_token), expires, client_secret })
    }

    async fn ask(&self, client_secret: &str, in_header: bool) -> Result<Response, RequestError> {
        let settings = &self.settings;
        let fault = |reason: String| RequestError::Token { url: settings.token_url.clone(), reason };
        let url = Url::parse(&settings.token_url).map_err(|error| fault(error.to_string()))?;
        let form = self.form(client_secret, in_header);
        let client = self.transport.current();
        let mut builder = client
            .request(Method::POST, url)
            .timeout(TIMEOUT)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form);
        if in_header {
            let encode =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            builder = builder.basic_auth(encode(&settings.client_id), Some(encode(client_secret)));
        }
        let request: Request = builder.build()?;
        Ok(client.execute(request).await?)
    }

    /// The request's body. Apart from `ask`, because a form under construction cannot wait in an async function
    /// that moves between threads.
    fn form(&self, client_secret: &str, in_header: bool) -> String {
        let settings = &self.settings;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", &settings.grant_type);
        if !settings.scopes.is_empty() {
            form.append_pair("scope", &settings.scopes.join(" "));
        }
        form.extend_pairs(&settings.endpoint_params);
        if !in_header {
            form.append_pair("client_id", &settings.client_id).append_pair("client_secret", client_secret);
        }
        form.finish()
    }
}

/// The body; `None` if it is longer than a token can be.
async fn read_bounded(mut answer: Response) -> Result<Option<Vec<u8>>, RequestError> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(body))
}
