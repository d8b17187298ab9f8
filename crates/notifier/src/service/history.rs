//! The timeline's way to disk: events wait in a bounded queue and are written together, off the path of those who tell people.
//!
//! Whoever adds an event never waits. What finds no room is counted, and the log says so. Who reads waits until what was there when
//! he asked is written.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::store::Store;
use crate::timeline::{Event, KeptEvent};

/// Events that wait; more are dropped and counted.
const WAITING_MAX: usize = 1 << 15;
/// Events that are written together.
const BATCH_MAX: usize = 1024;

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    readers: Vec<oneshot::Sender<()>>,
    /// Since it was said last.
    dropped: u64,
    is_closed: bool,
}

/// Where events wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// What is written next.
struct Batch {
    events: Vec<Event>,
    /// Who waits for these.
    readers: Vec<oneshot::Sender<()>>,
    dropped: u64,
    is_last: bool,
}

impl Queue {
    /// One that keeps nothing.
    pub(crate) fn of_nobody() -> Self {
        Self { waiting: Mutex::new(Waiting { is_closed: true, ..Waiting::default() }), wake: Notify::new() }
    }

    pub(crate) fn put(&self, event: Event) {
        {
            let mut waiting = self.waiting.lock();
            if waiting.events.len() >= WAITING_MAX || waiting.is_closed {
                waiting.dropped += 1;
                return;
            }
            waiting.events.push_back(event);
        }
        self.wake.notify_one();
    }

    fn take(&self) -> Batch {
        let mut waiting = self.waiting.lock();
        let count = waiting.events.len().min(BATCH_MAX);
        let events = waiting.events.drain(..count).collect();
        let is_empty = waiting.events.is_empty();
        let readers = if is_empty { std::mem::take(&mut waiting.readers) } else { Vec::new() };
        let dropped = std::mem::take(&mut waiting.dropped);
        Batch { events, readers, dropped, is_last: waiting.is_closed && is_empty }
    }

    /// Returns when what is there now is written, or cannot be.
    pub(super) async fn written(&self) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.is_closed {
                return;
            }
            waiting.readers.push(sender);
        }
        self.wake.notify_one();
        // An error says that the writer has ended; then all is written.
        let _ = receiver.await;
    }

    #[cfg(test)]
    pub(crate) fn drain(&self) -> Vec<Event> {
        self.waiting.lock().events.drain(..).collect()
    }
}

/// Writes what waits.
pub(super) struct HistoryWriter {
    queue: Arc<Queue>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl HistoryWriter {
    pub(super) fn start(queue: Arc<Queue>, store: Arc<dyn Store>, metrics: HistoryMetrics) -> Self {
        let task = tokio::spawn(write(Arc::clone(&queue), store, metrics));
        Self { queue, task: Mutex::new(Some(task)) }
    }

    /// Waits until everything is written.
    pub(super) async fn stop(&self) {
        self.queue.waiting.lock().is_closed = true;
        self.queue.wake.notify_one();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "writing the timeline of alerts panicked");
        }
    }
}

/// What is counted of it.
#[derive(Clone)]
pub(super) struct HistoryMetrics {
    pub(super) recorded: prometheus::IntCounter,
    pub(super) dropped: prometheus::IntCounter,
}

impl HistoryMetrics {
    pub(super) fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        let recorded = prometheus::IntCounter::new(
            "kymo_notifier_timeline_events_total",
            "Events of alerts that were written to the timeline.",
        )?;
        let dropped = prometheus::IntCounter::new(
            "kymo_notifier_timeline_events_dropped_total",
            "Events of alerts that are missing in the timeline: too many came at once, or they could not be written.",
        )?;
        registry.register(Box::new(recorded.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self { recorded, dropped })
    }
}

async fn write(queue: Arc<Queue>, store: Arc<dyn Store>, metrics: HistoryMetrics) {
    loop {
        let batch = queue.take();
        if batch.dropped > 0 {
            metrics.dropped.inc_by(batch.dropped);
            tracing::warn!(
                count = batch.dropped,
                "events of alerts are missing in the timeline: too many came at once"
            );
        }
        let count = batch.events.len();
        if count > 0 {
            let store = Arc::clone(&store);
            let events = batch.events;
            match spawn_blocking(move || save(&*store, &events)).await {
                Ok(Ok(())) => metrics.recorded.inc_by(count as u64),
                Ok(Err(error)) => {
                    metrics.dropped.inc_by(count as u64);
                    tracing::error!(error, count, "the timeline of alerts could not be written");
                }
                Err(error) => tracing::error!(%error, "writing the timeline of alerts panicked"),
            }
        }
        for reader in batch.readers {
            // Who does not wait any more has gone.
            let _ = reader.send(());
        }
        if batch.is_last {
            return;
        }
        if count == 0 {
            queue.wake.notified().await;
        }
    }
}

fn save(store: &dyn Store, events: &[Event]) -> Result<(), String> {
    let kept = events.iter().map(KeptEvent::of).collect::<Result<Vec<_>, _>>();
    store.save_events(&kept.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}
