//! Asking a running server.

use anyhow::{Context, bail};
use http_client::{Client, Settings};
use serde_json::Value;
use url::Url;

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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.ask(path, parameters))
    }

    async fn ask(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Answer> {
        let mut url = self.base.join("api/v1/").and_then(|base| base.join(path))?;
        url.query_pairs_mut().extend_pairs(parameters);
        let mut request = self.client.get(url);
        *request.timeout_mut() = Some(self.timeout);
        if let Some(tenant) = &self.tenant {
            let value = tenant.parse().context("the tenant's name cannot stand in a header")?;
            request.headers_mut().insert(model::tenant::TENANT_HEADER, value);
        }
        let unreachable =
            || format!("cannot ask {}; is the server running? --url names another one", self.base);
        let response = self.client.execute(request).await.with_context(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.context("the answer ended too early")?;
        let Ok(answer) = serde_json::from_slice::<Value>(&body) else {
            bail!("{} answered {status}: {}", self.base, String::from_utf8_lossy(&body).trim());
        };
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
}
