//! One receiver: its lanes, what gathers before them, and the thread that writes it into their queues.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http_client::cloud::Signer;
use model::Metadata;
use parking_lot::{Condvar, Mutex};
use stdx::clock::Clock;
use storage::{CommitGroup, Error, ErrorKind, Rejected, WriteBatch};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::appender::Deps;
use crate::metrics::Metrics;
use crate::pending::{Compressor, LanePending, Pending, RecordPending};
use crate::queue::Queue;
use crate::request::Families;
use crate::sender;
use crate::settings::Settings;

/// Samples that may wait for the disk; a disk that is so slow loses what comes beyond.
const PENDING_SAMPLES_MAX: usize = 1_000_000;
/// How long samples gather that nobody waits for.
const PATIENT_LINGER: Duration = Duration::from_millis(500);
/// So many samples are written without waiting for more, even if nobody waits for them: they take memory.
const PATIENT_SAMPLES_MAX: usize = 50_000;
/// Families whose metadata is kept to be sent.
const FAMILIES_MAX: usize = 100_000;

/// One queue with one request at a time.
pub(crate) struct Lane {
    pub(crate) queue: Mutex<Queue>,
    /// Something may be ready to be sent.
    pub(crate) ready: Notify,
    /// Since when, on the monotonic clock, the oldest sample waits.
    pub(crate) waiting_since_ms: AtomicI64,
}

/// Shared by whoever writes, the thread that writes to disk, and the lanes' senders.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) client: http_client::Client,
    pub(crate) signer: Option<Signer>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) families: Mutex<Families>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
    linger: Duration,
    pending: Mutex<Pending>,
    /// Something is pending, or it is time to stop.
    gathered: Condvar,
    /// Held while it is counted and said how much waits.
    showing_size: Mutex<()>,
}

/// A receiver at work.
pub(crate) struct Receiver {
    pub(crate) shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

impl Receiver {
    /// Opens its queues below `folder` and starts sending.
    pub(crate) fn start(settings: Settings, deps: &Deps) -> io::Result<Self> {
        let folder = deps.folder.join(settings.folder());
        let client = http_client::Client::new(settings.http.clone()).map_err(io::Error::other)?;
        let signer = settings
            .cloud
            .clone()
            .map(|cloud| Signer::new(cloud, Arc::clone(&deps.environment), Arc::clone(&deps.clock)));
        let signer = signer.transpose().map_err(io::Error::other)?;
        let lanes = open_lanes(&settings, deps, &folder)?;
        let waiting: u64 = lanes.iter().map(|lane| lane.queue.lock().samples()).sum();
        tracing::info!(receiver = %settings.name, waiting, "forwarding; {}", settings.summary());
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending::new(lanes.len())),
            client,
            signer,
            lanes,
            families: Mutex::default(),
            metrics: deps.metrics.clone(),
            clock: Arc::clone(&deps.clock),
            stop: CancellationToken::new(),
            linger: deps.linger,
            gathered: Condvar::new(),
            showing_size: Mutex::default(),
            settings,
        });
        let writer = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("forward".to_owned())
                .spawn(move || shared.write_until_stopped())?
        };
        let mut senders: Vec<_> = (0..shared.lanes.len())
            .map(|lane| deps.runtime.spawn(sender::run(Arc::clone(&shared), lane)))
            .collect();
        senders.push(deps.runtime.spawn(sender::run_metadata(Arc::clone(&shared))));
        Ok(Self { shared, writer: Some(writer), senders })
    }

    /// Writes what is pending to disk and stops. What is in the queue stays there.
    pub(crate) async fn stop(mut self) {
        self.shared.stop.cancel();
        self.shared.gathered.notify_all();
        if let Some(writer) = self.writer.take()
            && tokio::task::spawn_blocking(move || writer.join()).await.is_ok_and(|joined| joined.is_err())
        {
            tracing::error!(receiver = %self.shared.settings.name, "BUG: the thread that fills the queue panicked");
        }
        for sender in self.senders.drain(..) {
            if let Err(error) = sender.await {
                tracing::error!(receiver = %self.shared.settings.name, %error, "BUG: a sender panicked");
            }
        }
        for lane in &self.shared.lanes {
            if let Err(error) = lane.queue.lock().save() {
                tracing::warn!(
                    receiver = %self.shared.settings.name, %error,
                    "cannot write down how far forwarding came; some samples will be sent twice"
                );
            }
        }
    }
}

/// The lanes of a queue: as many as the settings say, unless samples wait in another number of them.
fn open_lanes(settings: &Settings, deps: &Deps, folder: &Path) -> io::Result<Vec<Lane>> {
    let open = |count: usize| -> io::Result<Vec<Queue>> {
        let bytes_max = settings.queue_bytes_max / count as u64;
        (0..count)
            .map(|lane| Queue::open(Arc::clone(&deps.fs), &folder.join(format!("lane-{lane}")), bytes_max))
            .collect()
    };
    let wanted = settings.lanes.max(1);
    let known = match deps.fs.exists(folder) {
        true => deps.fs.read_dir(folder)?.iter().filter(|entry| entry.name.starts_with("lane-")).count(),
        false => 0,
    };
    let mut queues = open(known.max(wanted))?;
    if known > wanted && queues.iter().all(|queue| queue.samples() == 0) {
        queues.truncate(wanted);
        for lane in wanted..known {
            deps.fs.remove_dir_all(&folder.join(format!("lane-{lane}")))?;
        }
    }
    let lane =
        |queue| Lane { queue: Mutex::new(queue), ready: Notify::new(), waiting_since_ms: AtomicI64::new(0) };
    Ok(queues.into_iter().map(lane).collect())
}

impl Shared {
    /// Gathers a batch but for what was refused; says when it is in the queue.
    ///
    /// # Errors
    /// If the disk is so slow that too much waits for it.
    pub(crate) fn offer(&self, batch: &WriteBatch, refused: &[Rejected]) -> Result<Arc<CommitGroup>, Error> {
        self.learn(batch.metadata());
        let mut pending = self.pending.lock();
        let name = self.settings.name.as_str();
        if pending.samples > PENDING_SAMPLES_MAX {
            self.metrics.drop_samples(name, "slow_disk", batch.sample_count() as u64);
            let text = format!("the disk is too slow for the queue of receiver {name}; send again later");
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        let taken = pending.gather(&self.settings, batch, refused);
        self.metrics.queued.with_label_values(&[name]).inc_by(taken as u64);
        let group = Arc::clone(&pending.group);
        if taken == 0 && pending.samples == 0 {
            // Nothing of it is for this receiver, and nobody else waits: it is as good as written.
            group.complete(Ok(()));
            pending.group = CommitGroup::new();
        } else {
            pending.urgent |= !batch.is_patient();
            // Waking the thread costs as much as gathering a scrape: only if it has to do something.
            let began = pending.samples == taken;
            if began || !batch.is_patient() || pending.samples >= PATIENT_SAMPLES_MAX {
                self.gathered.notify_one();
            }
        }
        Ok(group)
    }

    fn learn(&self, metadata: &[(String, Metadata)]) {
        if metadata.is_empty() {
            return;
        }
        let mut families = self.families.lock();
        for (name, metadata) in metadata {
            let full = families.len() >= FAMILIES_MAX;
            match families.get_mut(name) {
                Some(known) if known == metadata => {}
                Some(known) => known.clone_from(metadata),
                None if full => {}
                None => {
                    families.insert(name.clone(), metadata.clone());
                }
            }
        }
    }

    fn write_until_stopped(&self) {
        let mut healthy = true;
        let mut compressor = Compressor::new();
        loop {
            let (lanes, group) = {
                let mut pending = self.pending.lock();
                while pending.samples == 0 && !self.stop.is_cancelled() {
                    self.gathered.wait(&mut pending);
                }
                if pending.samples == 0 {
                    return;
                }
                // Others may come meanwhile, and share the sync.
                let began = std::time::Instant::now();
                loop {
                    let (linger, enough) = match pending.urgent {
                        true => (self.linger, self.settings.samples_max),
                        false => (self.linger.max(PATIENT_LINGER), PATIENT_SAMPLES_MAX),
                    };
                    if pending.samples >= enough
                        || self.stop.is_cancelled()
                        || self.gathered.wait_until(&mut pending, began + linger).timed_out()
                    {
                        break;
                    }
                }
                pending.take()
            };
            let written = self.write(lanes, &mut compressor);
            match &written {
                Err(error) if healthy => tracing::error!(
                    receiver = %self.settings.name, %error,
                    "cannot write to the queue of what is to be forwarded; samples are lost until that is over"
                ),
                Ok(()) if !healthy => {
                    tracing::info!(receiver = %self.settings.name, "the queue of what is to be forwarded is written again");
                }
                _ => {}
            }
            healthy = written.is_ok();
            group.complete(written.map_err(|error| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("cannot write to the queue of {}: {error}", self.settings.name),
                )
            }));
        }
    }

    /// Writes to all lanes; the first fault is returned, after all others were tried.
    fn write(&self, pending: Vec<LanePending>, compressor: &mut Compressor) -> io::Result<()> {
        let mut result = Ok(());
        for (lane, pending) in self.lanes.iter().zip(pending) {
            let samples: u64 = pending.iter().map(|record| u64::from(record.samples)).sum();
            if samples == 0 {
                continue;
            }
            let written = self.write_lane(lane, &pending, compressor);
            self.pending.lock().reuse(pending);
            if let Err(error) = written {
                self.metrics.drop_samples(&self.settings.name, "disk", samples);
                result = Err(error);
            }
            lane.ready.notify_one();
        }
        self.show_size();
        result
    }

    fn write_lane(
        &self,
        lane: &Lane,
        records: &[RecordPending],
        compressor: &mut Compressor,
    ) -> io::Result<()> {
        for record in records {
            let payload = record.compress(compressor);
            let mut queue = lane.queue.lock();
            if queue.samples() == 0 {
                lane.waiting_since_ms.store(self.monotonic_ms(), Ordering::Relaxed);
            }
            let pushed = queue.push(record.samples, record.newest_ms, payload);
            self.report_lost(&mut queue);
            pushed?;
        }
        lane.queue.lock().sync()
    }

    /// Counts what the queue has lost.
    pub(crate) fn report_lost(&self, queue: &mut Queue) {
        let lost = queue.take_lost();
        self.metrics.drop_samples(&self.settings.name, "queue_full", lost.overflowed);
        self.metrics.drop_samples(&self.settings.name, "damaged", lost.damaged);
    }

    pub(crate) fn show_size(&self) {
        // One after the other: else who looked first could have the last word.
        let _showing = self.showing_size.lock();
        let (mut samples, mut bytes) = (0, 0);
        for lane in &self.lanes {
            let queue = lane.queue.lock();
            samples += queue.samples();
            bytes += queue.bytes();
        }
        let name = [self.settings.name.as_str()];
        self.metrics.queue_samples.with_label_values(&name).set(i64::try_from(samples).unwrap_or(i64::MAX));
        self.metrics.queue_bytes.with_label_values(&name).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    /// What is known about families now.
    pub(crate) fn families(&self) -> HashMap<String, Metadata> {
        self.families.lock().clone()
    }
}
