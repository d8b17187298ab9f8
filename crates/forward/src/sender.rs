//! Sends what a lane's queue holds, one request at a time, for as long as it takes.
//!
//! Source: what the specification of remote write says of retries: 5xx and broken connections are tried again, other answers are
//! final; 429 is "later" if the settings say so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Request};
use tokio::task::spawn_blocking;

use crate::queue::Claim;
use crate::receiver::Shared;
use crate::request::{self, Body};
use crate::settings::Message;

/// How much of an error answer is shown.
const ANSWER_SHOWN_MAX: usize = 300;
/// Nobody is told to wait longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What an attempt came to.
enum Attempt {
    Taken,
    /// Never to be taken.
    Refused(String),
    /// To be tried again, not before so long.
    Failed {
        why: String,
        not_before: Option<Duration>,
    },
}

/// Runs a lane until the receiver is stopped.
pub(crate) async fn run(shared: Arc<Shared>, lane: usize) {
    while !shared.stop.is_cancelled() {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = something_to_send(&shared, lane) => {}
        }
        let claim = {
            let shared = Arc::clone(&shared);
            spawn_blocking(move || {
                let mut queue = shared.lanes[lane].queue.lock();
                let claim = queue.claim(shared.settings.samples_max);
                shared.report_lost(&mut queue);
                claim
            })
            .await
        };
        match claim {
            Ok(Ok(Some(claim))) => deliver(&shared, lane, claim).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::error!(receiver = %shared.settings.name, %error, "cannot read the queue of what is to be forwarded");
                pause(&shared, Duration::from_secs(1)).await;
            }
            Err(error) => {
                tracing::error!(receiver = %shared.settings.name, %error, "BUG: reading the queue panicked");
                return;
            }
        }
    }
}

/// Waits until a request is full, or has waited for long enough.
async fn something_to_send(shared: &Shared, lane: usize) {
    let lane = &shared.lanes[lane];
    loop {
        let ready = lane.ready.notified();
        let samples = lane.queue.lock().samples();
        let waited = shared.monotonic_ms() - lane.waiting_since_ms.load(Ordering::Relaxed);
        let left = i64::try_from(shared.settings.deadline_ms).unwrap_or(i64::MAX).saturating_sub(waited);
        if samples >= shared.settings.samples_max as u64 || samples > 0 && left <= 0 {
            return;
        }
        if samples == 0 {
            ready.await;
            continue;
        }
        let left = Duration::from_millis(left.unsigned_abs());
        tokio::select! {
            () = ready => {}
            () = tokio::time::sleep(left) => {}
        }
    }
}

async fn pause(shared: &Shared, time: Duration) {
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// Sends a claim until it is taken, refused, dropped to make room, or the receiver is stopped.
async fn deliver(shared: &Arc<Shared>, lane: usize, claim: Claim) {
    let settings = &shared.settings;
    let (mut backoff_ms, backoff_max_ms) = (settings.backoff_ms.0.max(1), settings.backoff_ms.1.max(1));
    let mut attempts = 0u32;
    let delivered = loop {
        let mut body = build(shared, &claim);
        // Whoever sends it holds on to it, without a copy.
        let bytes = Bytes::from(std::mem::take(&mut body.bytes));
        if bytes.is_empty() {
            count(shared, &body);
            break true;
        }
        let attempt = tokio::select! {
            () = shared.stop.cancelled() => break false,
            attempt = send(shared, bytes.clone()) => attempt,
        };
        match attempt {
            Attempt::Taken => {
                count(shared, &body);
                sent(shared, &claim, &body, bytes.len(), attempts);
                break true;
            }
            Attempt::Refused(why) => {
                count(shared, &body);
                shared.metrics.drop_samples(&settings.name, "refused", body.samples);
                tracing::error!(receiver = %settings.name, samples = body.samples, "refused for good: {why}");
                break true;
            }
            Attempt::Failed { why, not_before } => {
                shared.metrics.retries.with_label_values(&[settings.name.as_str()]).inc_by(body.samples);
                // The first failure is news; after that, every so often.
                if attempts.is_power_of_two() || attempts == 0 {
                    tracing::warn!(receiver = %settings.name, attempts = attempts + 1, "not delivered, will be tried again: {why}");
                }
                attempts = attempts.saturating_add(1);
                pause(shared, not_before.unwrap_or(Duration::from_millis(backoff_ms))).await;
                backoff_ms = (backoff_ms * 2).min(backoff_max_ms);
                if shared.stop.is_cancelled() || shared.lanes[lane].queue.lock().overtaken(&claim) {
                    break false;
                }
            }
        }
    };
    finish(shared, lane, claim, delivered).await;
}

fn build(shared: &Shared, claim: &Claim) -> Body {
    let settings = &shared.settings;
    let oldest_ms = match settings.age_max_ms {
        0 => i64::MIN,
        age => shared.clock.now_ms().saturating_sub(i64::try_from(age).unwrap_or(i64::MAX)),
    };
    let families = if settings.message == Message::V2 { shared.families() } else { Default::default() };
    request::build(&claim.payloads, claim.samples, settings.message, oldest_ms, &families)
}

/// Counts what of a claim will not arrive whatever the receiver says.
fn count(shared: &Shared, body: &Body) {
    shared.metrics.drop_samples(&shared.settings.name, "too_old", body.too_old);
    shared.metrics.drop_samples(&shared.settings.name, "damaged", body.damaged);
}

fn sent(shared: &Shared, claim: &Claim, body: &Body, bytes: usize, attempts: u32) {
    let name = [shared.settings.name.as_str()];
    shared.metrics.sent.with_label_values(&name).inc_by(body.samples);
    shared.metrics.sent_bytes.with_label_values(&name).inc_by(bytes as u64);
    shared.metrics.newest_sent.with_label_values(&name).set(claim.newest_ms as f64 / 1000.0);
    if attempts > 0 {
        tracing::info!(receiver = %shared.settings.name, attempts, "delivered again");
    }
}

async fn finish(shared: &Arc<Shared>, lane: usize, claim: Claim, delivered: bool) {
    let of_lane = Arc::clone(shared);
    let finished = spawn_blocking(move || {
        let lane = &of_lane.lanes[lane];
        let mut queue = lane.queue.lock();
        let done = queue.done(&claim, delivered);
        of_lane.report_lost(&mut queue);
        lane.waiting_since_ms.store(of_lane.monotonic_ms(), Ordering::Relaxed);
        drop(queue);
        of_lane.show_size();
        done
    })
    .await;
    match finished {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(receiver = %shared.settings.name, %error, "cannot tidy the queue; some samples may be sent twice");
        }
        Err(error) => {
            tracing::error!(receiver = %shared.settings.name, %error, "BUG: tidying the queue panicked");
        }
    }
}

async fn send(shared: &Shared, body: Bytes) -> Attempt {
    let settings = &shared.settings;
    let mut request = Request::new(Method::POST, settings.url.clone());
    *request.timeout_mut() = Some(Duration::from_millis(settings.timeout_ms));
    let headers = settings.message.headers();
    let fixed = headers.iter().map(|(name, value)| (*name, *value));
    for (name, value) in fixed.chain(settings.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()))) {
        match (reqwest::header::HeaderName::try_from(name), reqwest::header::HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                request.headers_mut().insert(name, value);
            }
            _ => return Attempt::Refused(format!("header {name} cannot be sent: its name or value is none")),
        }
    }
    *request.body_mut() = Some(body.into());
    let response = match execute(shared, request).await {
        Ok(response) => response,
        Err(why) => return Attempt::Failed { why, not_before: None },
    };
    let status = response.status();
    if status.is_success() {
        return Attempt::Taken;
    }
    let not_before = retry_after(&response);
    let text = response.text().await.unwrap_or_default();
    let why = format!("{} answered {status}: {}", settings.url, shortened(text.trim()));
    match status.as_u16() {
        429 if settings.retry_429 => Attempt::Failed { why, not_before },
        500..=599 => Attempt::Failed { why, not_before },
        _ => Attempt::Refused(why),
    }
}

/// Sends a request once; as a cloud's, again with fresh credentials if those that were kept are refused.
async fn execute(shared: &Shared, request: Request) -> Result<reqwest::Response, String> {
    let Some(signer) = &shared.signer else { return execute_once(shared, request).await };
    let again = request.try_clone();
    let mut request = request;
    signer.authorize(&mut request).await.map_err(|error| error.to_string())?;
    let response = execute_once(shared, request).await?;
    match again.filter(|_| matches!(response.status().as_u16(), 401 | 403)) {
        Some(mut again) => {
            signer.forget().await;
            signer.authorize(&mut again).await.map_err(|error| error.to_string())?;
            execute_once(shared, again).await
        }
        None => Ok(response),
    }
}

async fn execute_once(shared: &Shared, request: Request) -> Result<reqwest::Response, String> {
    let result = shared.client.execute(request).await;
    let code = result
        .as_ref()
        .map_or_else(|_| "error".to_owned(), |response| response.status().as_u16().to_string());
    shared.metrics.requests.with_label_values(&[shared.settings.name.as_str(), &code]).inc();
    result.map_err(|error| error.to_string())
}

/// Seconds of `Retry-After`.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(ANSWER_SHOWN_MAX).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// Sends what is known about families every so often, as remote write 1.0 has it.
pub(crate) async fn run_metadata(shared: Arc<Shared>) {
    let settings = &shared.settings;
    let Some(interval_ms) = settings.metadata_interval_ms.filter(|_| settings.message == Message::V1) else {
        return;
    };
    loop {
        pause(&shared, Duration::from_millis(interval_ms.max(1))).await;
        if shared.stop.is_cancelled() {
            return;
        }
        for body in request::metadata(&shared.families(), settings.metadata_families_max) {
            // What fails is said again with the next round.
            if let Attempt::Refused(why) | Attempt::Failed { why, .. } = send(&shared, body.into()).await {
                tracing::debug!(receiver = %settings.name, "metadata was not delivered: {why}");
                break;
            }
        }
    }
}
