//! Getting an answer: over HTTP, or from a collector within this process.

use std::sync::Arc;
use std::time::Duration;

use model::time::format_duration_ms;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use url::Url;

use crate::body::{Body, Decoder};
use crate::collector::Collector;
use crate::env::Env;
use crate::error::ScrapeError;
use crate::ingest::Answer;
use crate::recipe::{Recipe, Source};
use crate::target::Target;

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// The answer of a target, within its timeout.
pub(crate) async fn fetch(env: &Env, recipe: &Recipe, target: &Target) -> Result<Answer, ScrapeError> {
    let limit = Duration::from_millis(target.spec.timeout_ms.unsigned_abs());
    let fetched = tokio::time::timeout(limit, async {
        match &recipe.source {
            Source::Http(client) => get(env, recipe, target, client).await,
            Source::BuiltIn { collector, .. } => {
                collect(env.buffers.take(), target, Arc::clone(collector)).await
            }
        }
    });
    fetched.await.unwrap_or_else(|_| {
        let timeout = format_duration_ms(target.spec.timeout_ms);
        Err(ScrapeError::Timeout { url: target.spec.url.clone(), timeout })
    })
}

async fn get(
    env: &Env,
    recipe: &Recipe,
    target: &Target,
    client: &http_client::Client,
) -> Result<Answer, ScrapeError> {
    let failed = |reason: String| ScrapeError::Fetch { url: target.spec.url.clone(), reason };
    let timeout_s = (target.spec.timeout_ms as f64 / 1e3).to_string();
    let mut headers = recipe.headers.clone();
    if let Ok(value) = HeaderValue::from_str(&timeout_s) {
        headers.insert(TIMEOUT_HEADER, value);
    }
    let url = Url::parse(&target.spec.url).map_err(|e| failed(e.to_string()))?;
    let mut request = client.get(url);
    *request.headers_mut() = headers;
    let mut response = client.execute(request).await.map_err(|e| failed(e.to_string()))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(ScrapeError::Status(response.status().to_string()));
    }
    let header =
        |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let (encoding, content_type) = (header(CONTENT_ENCODING), header(CONTENT_TYPE));
    let mut decoder = Decoder::new(&encoding, recipe.job.body_size_limit_bytes, env.buffers.take())?;
    while let Some(piece) = response.chunk().await.map_err(|e| failed(root_cause(&e)))? {
        decoder.push(&piece)?;
    }
    Ok(Answer { body: decoder.finish()?, content_type })
}

async fn collect(
    mut body: Body,
    target: &Target,
    collector: Arc<dyn Collector>,
) -> Result<Answer, ScrapeError> {
    // Collectors read files; that must not hold up the loops of other targets.
    let collected = tokio::task::spawn_blocking(move || {
        body.write_text(|text| collector.collect(text))?;
        Ok::<_, ScrapeError>(body)
    });
    let failed = |reason: String| ScrapeError::Fetch { url: target.spec.url.clone(), reason };
    let body = collected.await.map_err(|e| failed(e.to_string()))??;
    Ok(Answer { body, content_type: "text/plain; version=0.0.4".to_owned() })
}

/// The innermost reason; reqwest's own text says only that something failed.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
