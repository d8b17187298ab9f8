//! Asking a running server.

use anyhow::{Context, anyhow, bail};
use http_client::{Client, Settings};
use serde_json::Value;
use url::Url;

/// How much is shown of an answer that is not an API's, such as a page for people.
const ANSWER_SHOWN_CHARS_MAX: usize = 200;

/// The API of a server.
pub(crate) struct ApiClient {
    client: Client,
    base: Url,
    tenant: Option<String>,
    timeout: std::time::Duration,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for.
    pub(crate) data: Value,
    /// What the server wants to be known about it.
    pub(crate) warnings: Vec<String>,
}

impl ApiClient {
    /// A client of the server at `url`.
    pub(crate) fn new(url: &str, tenant: Option<&str>, timeout: std::time::Duration) -> anyhow::Result<Self> {
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let mut base = Url::parse(&with_scheme).with_context(|| format!("{url:?} is not a URL"))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = Client::new(Settings::default())?;
        Ok(Self { client, base, tenant: tenant.map(str::to_owned), timeout })
    }

    /// Asks `path` (below `/api/v1/`), and blocks until the answer is there.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Answer> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(parameters);
        self.ask(self.client.get(url))
    }

    /// As [`Self::get`], for paths that take a form: a query may be longer than a URL can be.
    pub(crate) fn post(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Answer> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(parameters);
        self.ask(self.client.post_form(self.url(path)?, form.finish()))
    }

    /// As [`Self::get`], with a body of JSON to `POST`.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let mut request = http_client::Request::new(http_client::Method::POST, self.url(path)?);
        let json = http_client::header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(http_client::header::CONTENT_TYPE, json);
        *request.body_mut() = Some(body.to_string().into());
        self.ask(request)
    }

    /// As [`Self::get`], to `DELETE`.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(http_client::Request::new(http_client::Method::DELETE, self.url(path)?))
    }

    /// As [`Self::get`], for what answers without an envelope, as Alertmanager's API does: a fault is a text there.
    pub(crate) fn get_bare(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Value> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(parameters);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, answer) = runtime.block_on(self.fetch(self.client.get(url)))?;
        if !status.is_success() {
            bail!("{} (status {status})", answer.as_str().map_or_else(|| answer.to_string(), str::to_owned));
        }
        Ok(answer)
    }

    /// As [`Self::post_json`], and blocks until the answer is there; `progress` hears now and then which part of the work is done, from 0 to 1.
    pub(crate) fn post_json_watched(
        &self,
        path: &str,
        body: &Value,
        progress: &mut dyn FnMut(f64),
    ) -> anyhow::Result<Answer> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().append_pair("progress", "1");
        let mut request = http_client::Request::new(http_client::Method::POST, url);
        let json = http_client::header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(http_client::header::CONTENT_TYPE, json);
        *request.body_mut() = Some(serde_json::to_vec(body)?.into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut response = self.send(request).await?;
            let status = response.status();
            let mut line = Vec::new();
            while let Some(piece) = response.chunk().await.context("the answer ended too early")? {
                line.extend_from_slice(&piece);
                while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                    let told = serde_json::from_slice::<Value>(&line[..end]).ok();
                    let Some(part) = told.and_then(|told| told["progress"].as_f64()) else { break };
                    progress(part);
                    line.drain(..=end);
                }
            }
            let (status, answer) = self.read(status, &line)?;
            Self::told(status, &answer)
        })
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.base.join("api/v1/").and_then(|base| base.join(path))?)
    }

    fn ask(&self, request: http_client::Request) -> anyhow::Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.answer(request))
    }

    async fn answer(&self, request: http_client::Request) -> anyhow::Result<Answer> {
        let (status, answer) = self.fetch(request).await?;
        Self::told(status, &answer)
    }

    /// What an answer in the API's envelope says.
    fn told(status: http_client::StatusCode, answer: &Value) -> anyhow::Result<Answer> {
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        if text("status") != "success" {
            bail!("{} ({}, status {status})", text("error"), text("errorType"));
        }
        let list = |key: &str| {
            let list = answer[key].as_array().cloned().unwrap_or_default();
            list.into_iter().filter_map(|text| text.as_str().map(str::to_owned))
        };
        let warnings = list("warnings").chain(list("infos")).collect();
        Ok(Answer { data: answer["data"].clone(), warnings })
    }

    /// The status of an answer, and its JSON.
    async fn fetch(&self, request: http_client::Request) -> anyhow::Result<(http_client::StatusCode, Value)> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.bytes().await.context("the answer ended too early")?;
        self.read(status, &body)
    }

    async fn send(&self, mut request: http_client::Request) -> anyhow::Result<http_client::Response> {
        *request.timeout_mut() = Some(self.timeout);
        if let Some(tenant) = &self.tenant {
            let value = tenant.parse().context("the tenant's name cannot stand in a header")?;
            request.headers_mut().insert(model::tenant::TENANT_HEADER, value);
        }
        // The error names its root cause; the causes above that say the same in more words.
        let unreachable = |error: http_client::RequestError| match error.is_timeout() {
            true => anyhow!("{} has not answered within {:?}", self.base, self.timeout),
            false => anyhow!("cannot ask {}: {error}; is the server running? is this its URL?", self.base),
        };
        self.client.execute(request).await.map_err(unreachable)
    }

    /// The JSON of an answer.
    fn read(
        &self,
        status: http_client::StatusCode,
        body: &[u8],
    ) -> anyhow::Result<(http_client::StatusCode, Value)> {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            let said: String =
                String::from_utf8_lossy(body).trim().chars().take(ANSWER_SHOWN_CHARS_MAX).collect();
            bail!("{} answered {status}, but not as Kymo does; is this its URL? It said: {said}", self.base);
        };
        Ok((status, answer))
    }
}
