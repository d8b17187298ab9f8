//! Getting an answer: over HTTP, or from a collector within this process.

use std::sync::Arc;
use std::time::Duration;

use http_client::header::{HeaderName, HeaderValue};
use http_client::{Receive, ReceiveError, StatusCode};
use model::time::format_duration_ms;

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
    let url = target.url.as_ref().map_err(|e| failed(e.to_string()))?;
    let mut receiving = Receiving { env, recipe, decoder: None, content_type: String::new() };
    match client.get_into(url, &headers, &mut receiving).await {
        Ok(()) => {}
        Err(ReceiveError::Request(error)) => return Err(failed(error.to_string())),
        Err(ReceiveError::Refused(error)) => return Err(error),
    }
    let Receiving { decoder, content_type, .. } = receiving;
    let decoder = decoder.ok_or_else(|| failed("BUG: an answer without a head".to_owned()))?;
    Ok(Answer { body: decoder.finish()?, content_type })
}

/// An answer on its way from the network into a body.
struct Receiving<'a> {
    env: &'a Env,
    recipe: &'a Recipe,
    /// Set once the head has come.
    decoder: Option<Decoder>,
    content_type: String,
}

impl Receive for Receiving<'_> {
    type Error = ScrapeError;

    fn head(&mut self, status: StatusCode, encoding: &str, content_type: &str) -> Result<(), ScrapeError> {
        if status != StatusCode::OK {
            return Err(ScrapeError::Status(status.to_string()));
        }
        content_type.clone_into(&mut self.content_type);
        let limit_bytes = self.recipe.job.body_size_limit_bytes;
        self.decoder = Some(Decoder::new(encoding, limit_bytes, self.env.buffers.take())?);
        Ok(())
    }

    fn data(&mut self, piece: &[u8]) -> Result<(), ScrapeError> {
        self.decoder.as_mut().map_or(Ok(()), |decoder| decoder.push(piece))
    }
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
