//! One outside Alertmanager: alerts that wait for it, and the requests that take them there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http_client::{Client, Method, Request, Url, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::sink::SentAlert;

/// An Alertmanager that gets alerts.
pub(super) struct Target {
    shared: Arc<Shared>,
    client: Arc<Client>,
    url: Url,
    /// The URL as labels of metrics have it.
    name: String,
    timeout: Duration,
    queue: Mutex<VecDeque<Arc<SentAlert>>>,
    more: Notify,
    stop: CancellationToken,
}

impl Target {
    pub(super) fn start(
        shared: &Arc<Shared>,
        client: &Arc<Client>,
        url: &str,
        timeout: Duration,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, String> {
        let target = Arc::new(Self {
            shared: Arc::clone(shared),
            client: Arc::clone(client),
            url: Url::parse(url).map_err(|error| error.to_string())?,
            name: url.to_owned(),
            timeout,
            queue: Mutex::default(),
            more: Notify::new(),
            stop,
        });
        let (metrics, name) = (&shared.metrics, [url]);
        for counter in [&metrics.sent, &metrics.errors, &metrics.dropped] {
            counter.with_label_values(&name);
        }
        shared.tasks.spawn_on(Arc::clone(&target).run(), &shared.runtime);
        Ok(target)
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Puts alerts into the queue; the oldest make room if it is full.
    pub(super) fn add(&self, alerts: &[Arc<SentAlert>]) {
        let alerts_max = self.shared.queue.alerts_max;
        let mut queue = self.queue.lock();
        queue.extend(alerts.iter().map(Arc::clone));
        let excess = queue.len().saturating_sub(alerts_max);
        queue.drain(..excess);
        self.note_length(queue.len());
        drop(queue);
        if excess > 0 {
            self.shared.metrics.dropped.with_label_values(&[&self.name]).inc_by(excess as u64);
            tracing::warn!(
                alertmanager = self.name,
                dropped = excess,
                "alerts come faster than they are taken"
            );
        }
        self.more.notify_one();
    }

    fn note_length(&self, length: usize) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.shared.metrics.queue_length.with_label_values(&[&self.name]).set(length);
    }

    async fn run(self: Arc<Self>) {
        loop {
            let batch = self.take();
            if batch.is_empty() {
                if self.stop.is_cancelled() {
                    break;
                }
                tokio::select! {
                    () = self.more.notified() => {}
                    // What came at the same time is sent before the end.
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            let delivered = self.deliver(&batch).await;
            if !delivered && self.stop.is_cancelled() {
                let left = self.queue.lock().len();
                self.shared.metrics.dropped.with_label_values(&[&self.name]).inc_by(left as u64);
                break;
            }
        }
        if !self.shared.stop.is_cancelled() {
            self.shared.metrics.forget(&self.name);
        }
    }

    fn take(&self) -> Vec<Arc<SentAlert>> {
        let mut queue = self.queue.lock();
        let count = queue.len().min(self.shared.queue.batch_max);
        let batch = queue.drain(..count).collect();
        self.note_length(queue.len());
        batch
    }

    /// Sends a batch, once. Whether it was taken.
    async fn deliver(&self, batch: &[Arc<SentAlert>]) -> bool {
        let (metrics, name, count) = (&self.shared.metrics, [self.name.as_str()], batch.len() as u64);
        let timer = metrics.seconds.with_label_values(&name).start_timer();
        let result = tokio::time::timeout(self.timeout, self.post(batch)).await;
        timer.observe_duration();
        let error = match result {
            Ok(Ok(())) => {
                metrics.sent.with_label_values(&name).inc_by(count);
                return true;
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {} s", self.timeout.as_secs_f64()),
        };
        metrics.errors.with_label_values(&name).inc_by(count);
        metrics.dropped.with_label_values(&name).inc_by(count);
        tracing::error!(alertmanager = self.name, count, error, "alerts were not delivered");
        false
    }

    async fn post(&self, batch: &[Arc<SentAlert>]) -> Result<(), String> {
        let mut request = Request::new(Method::POST, self.url.clone());
        let json_type = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json_type);
        *request.body_mut() = Some(body(batch).to_string().into());
        let response = self.client.execute(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        // The connection can be used again only if the answer was read; it is short.
        let text = response.text().await.unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        let shown: String = text.trim().chars().take(200).collect();
        Err(format!("bad response status {status}: {shown}"))
    }
}

/// What `POST /api/v2/alerts` takes.
fn body(batch: &[Arc<SentAlert>]) -> Value {
    let time =
        |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string());
    let alert = |alert: &Arc<SentAlert>| {
        let labels: serde_json::Map<String, Value> =
            alert.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({
            "annotations": alert.annotations,
            "endsAt": time(alert.ends_at_ms),
            "startsAt": time(alert.starts_at_ms),
            "generatorURL": alert.generator_url,
            "labels": labels,
        })
    };
    batch.iter().map(alert).collect()
}
