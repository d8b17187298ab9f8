//! The notification log's way to disk: entries are gathered and written together, off the path of those who tell.
//!
//! What is not yet written when the process dies is told once more: delivery is at least once. Whoever is about to tell news waits until that is
//! written.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::log::{LogEntry, LogKey};
use crate::store::Store;

/// Entries that wait; whoever adds more waits, too.
const WAITING_MAX: usize = 1024;
/// Entries that are written together.
const BATCH_MAX: usize = 256;

/// An entry, and who waits until it is written.
struct Write {
    key: LogKey,
    entry: LogEntry,
    done: Option<oneshot::Sender<()>>,
}

pub(super) struct LogWriter {
    sender: Mutex<Option<mpsc::Sender<Write>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl LogWriter {
    pub(super) fn start(store: Arc<dyn Store>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(write(store, receiver));
        Self { sender: Mutex::new(Some(sender)), task: Mutex::new(Some(task)) }
    }

    /// Writes an entry some time soon.
    pub(super) async fn put(&self, key: LogKey, entry: LogEntry) {
        self.send(Write { key, entry, done: None }).await;
    }

    /// Writes an entry and waits for it. One that could not be written is reported, and no reason to tell nobody.
    pub(super) async fn put_durably(&self, key: LogKey, entry: LogEntry) {
        let (done, is_done) = oneshot::channel();
        self.send(Write { key, entry, done: Some(done) }).await;
        // An error is the writer's end; it has said why.
        let _ = is_done.await;
    }

    async fn send(&self, write: Write) {
        let sender = self.sender.lock().clone();
        // After the end nothing is told any more.
        let Some(sender) = sender else { return };
        // At once, if there is room: whoever waits may be cancelled.
        let lost = match sender.try_send(write) {
            Ok(()) => false,
            Err(TrySendError::Full(waiting)) => sender.send(waiting).await.is_err(),
            Err(TrySendError::Closed(_)) => true,
        };
        if lost {
            tracing::error!("BUG: the notification log's writer has ended");
        }
    }

    /// Waits until everything is written.
    pub(super) async fn stop(&self) {
        self.sender.lock().take();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "writing the notification log panicked");
        }
    }
}

async fn write(store: Arc<dyn Store>, mut receiver: mpsc::Receiver<Write>) {
    loop {
        let mut writes = Vec::new();
        if receiver.recv_many(&mut writes, BATCH_MAX).await == 0 {
            return;
        }
        let mut waiting = Vec::new();
        let batch = writes.into_iter().map(|write| {
            waiting.extend(write.done);
            (write.key, write.entry)
        });
        let batch = Vec::from_iter(batch);
        let (count, store) = (batch.len(), Arc::clone(&store));
        match spawn_blocking(move || store.save_log(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, count, "the notification log could not be written; after a restart these are told again");
            }
            Err(error) => tracing::error!(%error, "writing the notification log panicked"),
        }
        for done in waiting {
            // Whoever waited may have been cancelled.
            let _ = done.send(());
        }
    }
}
