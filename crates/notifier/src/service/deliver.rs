//! Telling receivers: each integration by itself, again and again until it works, is refused for good, or the group's next
//! turn has come.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use stdx::rand::Random;
use tokio::sync::Semaphore;

use super::{Inner, Running};
use crate::config::Config;
use crate::core::Telling;
use crate::dispatch::Flush;
use crate::receiver::{Notification, SendError};
use crate::text::Data;
use crate::timeline::{Event, Told, What};

/// One try may take no longer; a receiver that hangs is tried again.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// Even with the shortest interval a receiver has this long.
const TRYING_MIN: Duration = Duration::from_secs(10);
/// Requests to one receiver at the same time. One that hangs keeps nobody else waiting.
const LANE_WIDTH: usize = 16;
/// How many failures are remembered.
const FAILURES_MAX: usize = 1_000;

/// A notification that was given up.
#[derive(Debug, Clone)]
pub struct FailedNotification {
    /// When, in ms since the epoch.
    pub at_ms: i64,
    /// Who was not told.
    pub receiver: String,
    /// By which kind of integration.
    pub integration: String,
    /// About which group.
    pub group_key: String,
    /// Of how many alerts.
    pub alert_count: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub error: String,
}

/// The newest failures.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<VecDeque<FailedNotification>>);

impl Failures {
    fn put(&self, failure: FailedNotification) {
        let mut failures = self.0.lock();
        failures.truncate(FAILURES_MAX - 1);
        failures.push_front(failure);
    }

    pub(super) fn list(&self) -> Vec<FailedNotification> {
        self.0.lock().iter().cloned().collect()
    }
}

/// How many requests each receiver may have at the same time.
pub(super) struct Lanes(HashMap<String, Semaphore>);

impl Lanes {
    pub(super) fn new(config: &Config) -> Self {
        let lane =
            |receiver: &crate::receiver::Receiver| (receiver.name().to_owned(), Semaphore::new(LANE_WIDTH));
        Self(config.receivers.iter().map(lane).collect())
    }
}

/// Waits between tries: half a second at first, half again as long each time, a minute at most; give or take half.
struct Backoff<'a> {
    next: Duration,
    random: &'a dyn Random,
}

impl<'a> Backoff<'a> {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(60);

    fn new(random: &'a dyn Random) -> Self {
        Self { next: Self::FIRST, random }
    }

    fn wait(&mut self) -> Duration {
        let wait = self.next.mul_f64(0.5 + self.random.unit_f64());
        self.next = self.next.mul_f64(1.5).min(Self::LONGEST);
        wait
    }
}

/// Tells a group that is due to everybody who needs to know.
pub(super) async fn flush(inner: Arc<Inner>, running: Running, generation: u64, flush: Flush) {
    let tellings = inner.core.lock().tellings(&flush);
    let all = tellings.iter().map(|telling| tell(&inner, &running, &flush, telling));
    let told = tokio::select! {
        told = join_all(all) => told,
        // Another configuration takes over; what was told is written down.
        () = running.stop.cancelled() => return,
    };
    inner.core.lock().done(generation, &flush, told.into_iter().all(|told| told));
    inner.wake.notify_one();
}

/// Tells one integration. Whether it knows now.
async fn tell(inner: &Inner, running: &Running, flush: &Flush, telling: &Telling) -> bool {
    if !telling.alerts.is_empty() {
        let kind = telling.integration.kind();
        inner.metrics.due(kind);
        // Durable first: a crash between the telling and its record must not leave anybody with an alert of which we know nothing.
        let intent = inner.core.lock().intent(telling, flush);
        if let Some(intent) = intent {
            inner.writer.put_durably(telling.key.clone(), intent).await;
        }
        let tried = try_until_told(inner, running, flush, telling).await;
        let (attempt, took) = match &tried {
            Ok(tried) => *tried,
            Err((_, attempts)) => (*attempts, Duration::ZERO),
        };
        let told = told(flush, telling, attempt, took);
        let what = match &tried {
            Ok(_) => What::Delivered { told },
            Err((error, _)) => What::GivenUp { told, error: error.to_string() },
        };
        record(inner, telling, what);
        if let Err((error, attempts)) = tried {
            inner.metrics.given_up(kind);
            let (receiver, group) = (&telling.key.receiver, &telling.key.group_key);
            tracing::error!(receiver, integration = kind, group, attempts, %error, "a notification was given up");
            inner.failures.put(FailedNotification {
                at_ms: inner.clock.now_ms(),
                receiver: receiver.clone(),
                integration: kind.to_owned(),
                group_key: group.clone(),
                alert_count: telling.alerts.len(),
                attempts,
                error: error.to_string(),
            });
            return false;
        }
    }
    // The moment of the flush, as Alertmanager has it: repeats are counted from there.
    let entry = inner.core.lock().told(telling, flush, flush.now.wall_ms);
    if let Some(entry) = entry {
        inner.writer.put(telling.key.clone(), entry).await;
    }
    true
}

fn told(flush: &Flush, telling: &Telling, attempt: u32, took: Duration) -> Told {
    Told {
        place: (*flush.place).clone(),
        integration: telling.key.integration.clone(),
        index: telling.key.index,
        attempt,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        alerts: telling.alerts.len(),
    }
}

/// Tells the timeline of every alert that was told.
fn record(inner: &Inner, telling: &Telling, what: What) {
    let (at_ms, what) = (inner.clock.now_ms(), Arc::new(what));
    for alert in &telling.alerts {
        inner.queue.put(Event::of(at_ms, alert, &what));
    }
}

/// How many tries it took, and how long the last one; or why it failed last, and how often.
async fn try_until_told(
    inner: &Inner,
    running: &Running,
    flush: &Flush,
    telling: &Telling,
) -> Result<(u32, Duration), (SendError, u32)> {
    let started = inner.clock.monotonic();
    let interval = Duration::from_millis(flush.options.group_interval_ms.unsigned_abs());
    let deadline = started + interval.max(TRYING_MIN);
    let mut backoff = Backoff::new(&*inner.random);
    let mut attempts = 0;
    let mut said = String::new();
    loop {
        attempts += 1;
        let begun = inner.clock.monotonic();
        let left = deadline.saturating_sub(begun);
        let error = match tokio::time::timeout(left, attempt(inner, running, flush, telling)).await {
            Ok(Ok(())) => return Ok((attempts, inner.clock.monotonic().saturating_sub(begun))),
            Ok(Err(error)) => error,
            Err(_) => SendError::passing("no time is left for another try"),
        };
        let took = inner.clock.monotonic().saturating_sub(begun);
        let wait = error.after.unwrap_or_default().max(backoff.wait());
        if error.message != said {
            said.clone_from(&error.message);
            let told = told(flush, telling, attempts, took);
            record(
                inner,
                telling,
                What::AttemptFailed { told, error: error.to_string(), retry: error.retry },
            );
        }
        if !error.retry || inner.clock.monotonic() + wait >= deadline {
            return Err((error, attempts));
        }
        let receiver = &telling.key.receiver;
        let kind = telling.integration.kind();
        tracing::warn!(receiver, integration = kind, attempts, %error, "a notification failed; it is tried again");
        tokio::time::sleep(wait).await;
    }
}

/// Tells once.
async fn attempt(
    inner: &Inner,
    running: &Running,
    flush: &Flush,
    telling: &Telling,
) -> Result<(), SendError> {
    let lane = running.lanes.0.get(&telling.key.receiver);
    let _place = match lane {
        Some(lane) => lane.acquire().await.ok(),
        None => None,
    };
    let labels = flush.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let now_ms = flush.now.wall_ms;
    let data = Data::new(&telling.key.receiver, labels, &telling.alerts, &inner.external_url, now_ms);
    let notification = Notification {
        group_key: &flush.key,
        alerts: &telling.alerts,
        data,
        texts: &running.texts,
        clock: &inner.clock,
        now_ms,
    };
    let started = inner.clock.monotonic();
    let sending = telling.integration.send(&notification);
    let result = tokio::time::timeout(ATTEMPT_MAX, sending).await;
    let elapsed = inner.clock.monotonic().saturating_sub(started);
    inner.metrics.attempt(telling.integration.kind(), elapsed.as_secs_f64());
    tracing::debug!(
        receiver = telling.key.receiver,
        integration = telling.integration.kind(),
        reason = ?telling.reason,
        alerts = telling.alerts.len(),
        "told"
    );
    result.unwrap_or_else(|_| Err(SendError::passing("the receiver did not answer within 30s")))
}
