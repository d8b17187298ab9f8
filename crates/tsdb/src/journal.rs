//! The journal (write-ahead log): makes a write durable before it is acknowledged.
//!
//! Why: the head lives in memory; after a crash it is rebuilt from here.
//! Map: [`record`] what an entry means · [`segment`] frames on disk, written and read back · [`commit`] the thread
//! that turns many waiting entries into one write and one sync.
//!
//! Appenders encode straight into the buffer that the thread writes next, under one lock that is held for the
//! time of a copy only. A shard of the head holds its own lock meanwhile, so for each series the order in the
//! journal is the order in the head, and a replay ends with the same last write.
//!
//! Invariants: segments are self-contained (a series and a tenant are defined in each segment before they are
//! used), so that any segment can be deleted or lost without harm to the others, and no checkpoint is needed.
//! Records are never rewritten. A torn end of the last segment is cut; any other damage is counted, reported and
//! skipped. A file whose sync failed is given up, and a new segment begun.
//! Format: `docs/internals/wal.md`. Deliberately not here: which samples are accepted (see `head`).

pub(crate) mod commit;
pub(crate) mod record;
pub(crate) mod segment;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, MutexGuard};
use stdx::clock::Clock;
use stdx::fs::Fs;
use storage::{CommitGroup, Durability, Error, ErrorKind};

use crate::maintain::Schedule;
use crate::metrics::Metrics;
use crate::settings::FsyncPolicy;

/// Definitions of series may be this fraction of a segment that is ended.
const DEFINITION_DIVISOR: u64 = 4;

/// What the journal needs to know and have.
#[derive(Debug, Clone)]
pub(crate) struct JournalConfig {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) directory: PathBuf,
    pub(crate) segment_bytes_max: u64,
    pub(crate) queue_bytes_max: usize,
    pub(crate) fsync: FsyncPolicy,
    /// Who flushes the head when records were lost.
    pub(crate) flushing: Arc<Schedule>,
}

/// A segment on disk, and whose records it holds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Segment {
    pub(crate) bytes: u64,
    /// Numbers of the tenants that have records here.
    pub(crate) tenants: HashSet<u32>,
}

/// The journal of all tenants.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    config: JournalConfig,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug)]
struct Queue {
    /// Where entries that are encoded now will be.
    segment: u64,
    /// Encoded bytes of that segment so far.
    segment_bytes: u64,
    /// How many of them define series.
    definition_bytes: u64,
    segments: BTreeMap<u64, Segment>,
    /// Waiting to be written, oldest first. Only the last one grows.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    /// Segment of what the thread is writing at the moment.
    in_flight: Option<u64>,
    /// Batches that have begun and may have more entries to come: a commit waits a moment for them.
    writer_count: usize,
    /// How often entries were lost because a write or sync failed.
    failures: u64,
    /// Why nothing can be written at the moment.
    broken: Option<String>,
    /// Somebody wants to write although the journal is broken: time to try again.
    nudged: bool,
    stopping: bool,
    /// The thread waits for work.
    idle: bool,
    /// The thread has work that nobody waits for, and waits for more.
    lingering: bool,
    /// Takes what is encoded while the journal is broken.
    discard: Vec<u8>,
    /// An empty buffer for reuse.
    spare: Vec<u8>,
}

#[derive(Debug)]
struct Pending {
    segment: u64,
    bytes: Vec<u8>,
    /// How many of them define series.
    definition_bytes: usize,
    group: Arc<CommitGroup>,
    batch_count: u32,
    /// Somebody waits for it.
    urgent: bool,
}

/// Follows one batch through the journal. The thread is woken when the batch ends, not for each of its entries.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    /// Something was written: the journal counts with more until this is dropped.
    begun: bool,
    /// Somebody waits for the batch.
    urgent: bool,
    failures: u64,
    lost: bool,
    group: Option<Arc<CommitGroup>>,
}

impl Ticket {
    /// Nobody waits for the batch: it may be made safe together with others that come a moment later.
    pub(crate) fn be_patient(&mut self) {
        self.urgent = false;
    }

    /// Resolves when all entries of the batch are safe.
    pub(crate) fn durability(mut self) -> Durability {
        match self.group.take() {
            _ if self.lost => {
                let failed = CommitGroup::new();
                failed.complete(Err(unavailable("part of the write was lost with a failed sync")));
                Durability::of(failed)
            }
            Some(group) => Durability::of(group),
            None => Durability::done(),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let wanted = {
            let mut queue = self.shared.queue.lock();
            queue.writer_count -= 1;
            let idle = std::mem::replace(&mut queue.idle, false);
            let lingers_too_long =
                queue.lingering && (self.urgent || queue.pending_bytes >= commit::WAIT_BYTES_MAX);
            queue.lingering &= !lingers_too_long;
            idle || lingers_too_long
        };
        if wanted {
            self.shared.wake.notify_one();
        }
    }
}

fn unavailable(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("journal cannot be written: {why}; retry later"))
}

/// An entry that is being encoded; the journal is locked until [`EntryGuard::finish`].
pub(crate) struct EntryGuard<'a> {
    queue: MutexGuard<'a, Queue>,
    start: usize,
}

impl EntryGuard<'_> {
    /// The segment the entry will be in. What it refers to must be defined there.
    pub(crate) fn segment(&self) -> u64 {
        self.queue.segment
    }

    /// Where the entry is encoded to.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.queue.out()
    }

    /// Says that what was encoded since the entry was at `start` defines series.
    pub(crate) fn count_definitions(&mut self, start: usize) {
        let len = self.queue.out().len() - start;
        if self.queue.broken.is_none() {
            self.queue.definition_bytes += len as u64;
            let pending = self.queue.pending.back_mut().expect("an entry was begun here");
            pending.definition_bytes += len;
        }
    }

    /// Ends the entry and lets others write.
    pub(crate) fn finish(mut self, ticket: &mut Ticket) {
        let queue = &mut *self.queue;
        queue.writer_count += usize::from(!std::mem::replace(&mut ticket.begun, true));
        ticket.lost |= queue.failures != ticket.failures || queue.broken.is_some();
        let start = self.start;
        let out = queue.out();
        record::end_entry(out, start);
        let len = out.len() - start;
        if queue.broken.is_some() {
            queue.discard.clear();
            return;
        }
        queue.segment_bytes += len as u64;
        queue.pending_bytes += len;
        let pending = queue.pending.back_mut().expect("an entry was begun here");
        if ticket.group.as_ref().is_none_or(|group| !Arc::ptr_eq(group, &pending.group)) {
            pending.batch_count += 1;
            pending.urgent |= ticket.urgent;
            ticket.group = Some(Arc::clone(&pending.group));
        }
    }
}

impl Queue {
    fn out(&mut self) -> &mut Vec<u8> {
        match self.pending.back_mut() {
            Some(pending) if self.broken.is_none() => &mut pending.bytes,
            _ => &mut self.discard,
        }
    }

    /// Whether there is something to write, and nobody waits for it.
    fn may_linger(&self) -> bool {
        let Some(next) = self.pending.front() else { return false };
        !next.urgent
            && self.pending.len() == 1
            && self.pending_bytes < commit::WAIT_BYTES_MAX
            && self.broken.is_none()
            && !self.stopping
    }

    fn next_segment(&mut self) {
        self.segment += 1;
        self.segment_bytes = 0;
        self.definition_bytes = 0;
    }

    /// Definitions are repeated in each segment, so a segment grows until they are a small part of it.
    fn is_full(&self, bytes_max: u64) -> bool {
        self.segment_bytes - self.definition_bytes
            >= bytes_max.max(self.definition_bytes * DEFINITION_DIVISOR)
    }
}

impl Journal {
    /// A journal that writes from segment `first` on, beside `old` ones; and its thread.
    ///
    /// # Errors
    /// `Unavailable` if the thread cannot be started.
    pub(crate) fn start(
        config: JournalConfig,
        old: BTreeMap<u64, Segment>,
        first: u64,
    ) -> Result<Self, Error> {
        let queue = Queue {
            segment: first,
            segment_bytes: 0,
            definition_bytes: 0,
            segments: old,
            pending: VecDeque::new(),
            pending_bytes: 0,
            in_flight: None,
            writer_count: 0,
            failures: 0,
            broken: None,
            nudged: false,
            stopping: false,
            idle: false,
            lingering: false,
            discard: Vec::new(),
            spare: Vec::new(),
        };
        let shared = Arc::new(Shared { config, queue: Mutex::new(queue), wake: Condvar::new() });
        shared.publish(&shared.queue.lock());
        let committer = commit::Committer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("tsdb-journal".to_owned())
            .spawn(move || committer.run())
            .map_err(|e| {
                Error::new(ErrorKind::Unavailable, format!("cannot start the journal's thread: {e}"))
            })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Begins a batch.
    ///
    /// # Errors
    /// `Unavailable` if the journal is behind, broken or stopped. Asking wakes it up to try again.
    pub(crate) fn begin(&self) -> Result<Ticket, Error> {
        let mut queue = self.shared.queue.lock();
        if queue.stopping {
            return Err(unavailable("the engine is stopping"));
        }
        if let Some(why) = &queue.broken {
            let error = unavailable(why);
            queue.nudged = true;
            self.shared.wake.notify_one();
            return Err(error);
        }
        if queue.pending_bytes > self.shared.config.queue_bytes_max {
            return Err(unavailable("the disk is slower than the writes"));
        }
        let shared = Arc::clone(&self.shared);
        Ok(Ticket { shared, begun: false, urgent: true, failures: queue.failures, lost: false, group: None })
    }

    /// Begins an entry of `tenant` and defines the tenant if the segment does not know it yet.
    pub(crate) fn entry(&self, tenant: u32, tenant_name: &str, kind: u8) -> EntryGuard<'_> {
        let mut queue = self.shared.queue.lock();
        if queue.is_full(self.shared.config.segment_bytes_max) {
            queue.next_segment();
        }
        let segment = queue.segment;
        if queue.broken.is_none() && queue.pending.back().is_none_or(|last| last.segment != segment) {
            let bytes = std::mem::take(&mut queue.spare);
            let group = CommitGroup::new();
            queue.pending.push_back(Pending {
                segment,
                bytes,
                definition_bytes: 0,
                group,
                batch_count: 0,
                urgent: false,
            });
        }
        let start = queue.out().len();
        if queue.broken.is_none() && queue.segments.entry(segment).or_default().tenants.insert(tenant) {
            record::write_tenant(queue.out(), tenant, tenant_name);
        }
        let entry_start = queue.out().len();
        record::begin_entry(queue.out(), kind);
        chunk::varint::write_u64(queue.out(), u64::from(tenant));
        let extra = (entry_start - start) as u64;
        queue.segment_bytes += extra;
        EntryGuard { queue, start: entry_start }
    }

    /// Whether there are records of a tenant in the segment `from` or a later one.
    pub(crate) fn has_records(&self, tenant: u32, from: u64) -> bool {
        self.shared.queue.lock().segments.range(from..).any(|(_, segment)| segment.tenants.contains(&tenant))
    }

    /// Ends the current segment, if it holds anything. Returns the segment where later entries will be: all
    /// entries so far are in segments below it.
    pub(crate) fn roll(&self) -> u64 {
        let mut queue = self.shared.queue.lock();
        if queue.segment_bytes > 0 {
            queue.next_segment();
        }
        queue.segment
    }

    /// Deletes closed segments of which `covered(tenant, segment)` holds for all tenants in them. A segment that cannot be deleted
    /// stays and is tried again next time.
    pub(crate) fn truncate(&self, covered: impl Fn(u32, u64) -> bool) {
        let deletable: Vec<u64> = {
            let queue = self.shared.queue.lock();
            let busy = queue.pending.front().map(|p| p.segment).into_iter().chain(queue.in_flight).min();
            let open = busy.map_or(queue.segment, |busy| busy.min(queue.segment));
            queue
                .segments
                .iter()
                .filter(|(number, segment)| {
                    **number < open && segment.tenants.iter().all(|t| covered(*t, **number))
                })
                .map(|(number, _)| *number)
                .collect()
        };
        for number in &deletable {
            let path = segment::path(&self.shared.config.directory, *number);
            match self.shared.config.fs.remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot delete a segment of the journal");
                }
                _ => {
                    self.shared.queue.lock().segments.remove(number);
                }
            }
        }
        if !deletable.is_empty()
            && let Err(error) = self.shared.config.fs.sync_dir(&self.shared.config.directory)
        {
            tracing::warn!(%error, "cannot sync the journal's directory; deleted segments may come back");
        }
        self.shared.publish(&self.shared.queue.lock());
    }

    /// Bytes of all segments on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.queue.lock().segments.values().map(|s| s.bytes).sum()
    }

    /// Waits until the thread has nothing to do.
    pub(crate) fn quiesce(&self) {
        let is_idle = |queue: &Queue| {
            let waits = queue.idle && queue.pending.is_empty() && queue.writer_count == 0 && !queue.nudged;
            waits || queue.stopping
        };
        while !is_idle(&self.shared.queue.lock()) {
            std::thread::yield_now();
        }
    }

    /// Writes what is waiting and ends the thread. Later writes are refused.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl Shared {
    fn publish(&self, queue: &Queue) {
        let bytes: u64 = queue.segments.values().map(|s| s.bytes).sum();
        self.config.metrics.wal_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.config.metrics.wal_segments.set(queue.segments.len() as i64);
    }

    fn directory(&self) -> &Path {
        &self.config.directory
    }
}
