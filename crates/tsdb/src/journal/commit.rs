//! The journal's thread: group commit. While one sync runs, the next group fills. Batches that are half written when
//! the sync is done are waited for, so that each waits for one sync, not for two.

use std::sync::Arc;
use std::time::Duration;

use storage::CommitGroup;

use super::segment::SegmentWriter;
use super::{Pending, Shared, unavailable};
use crate::open::{check_data_directory, create_durably, deleted};
use crate::settings::FsyncPolicy;

/// How long a commit waits for batches that are being written; then it goes without them.
const PATIENCE: Duration = Duration::from_micros(500);
/// From the begin of a commit that several batches shared to that of the next one, at least: so that many writers share a
/// sync. Who writes alone does not wait.
const PACE: Duration = Duration::from_millis(2);
/// How long batches that nobody waits for gather: what is scraped comes hundreds of times a second, and a sync costs as much as
/// a scrape.
const LINGER: Duration = Duration::from_millis(100);
/// With so much to write, a commit waits for nobody.
pub(super) const WAIT_BYTES_MAX: usize = 4 << 20;

pub(super) struct Committer {
    shared: Arc<Shared>,
    writer: Option<SegmentWriter>,
    /// When the next commit may begin, in monotonic time.
    next_at: Duration,
}

/// Of which so much defines series, a commit is worth compressing.
const COMPRESS_DIVISOR: usize = 8;

impl Committer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, writer: None, next_at: Duration::ZERO }
    }

    /// Works until the journal is stopped and nothing waits.
    pub(super) fn run(mut self) {
        while let Some(work) = self.next_work() {
            match work {
                Work::Write(pending) => self.write(pending),
                Work::Recover => self.recover(),
            }
        }
    }

    fn next_work(&self) -> Option<Work> {
        let mut queue = self.shared.queue.lock();
        let (mut waited, mut paced, mut lingered) = (false, false, false);
        loop {
            if queue.broken.is_some() && queue.nudged && !queue.stopping {
                queue.nudged = false;
                return Some(Work::Recover);
            }
            if !lingered && queue.may_linger() {
                queue.lingering = true;
                lingered = self.shared.wake.wait_for(&mut queue, LINGER).timed_out();
                queue.lingering = false;
                continue;
            }
            if !paced && !queue.pending.is_empty() && !queue.stopping {
                paced = true;
                let early = self.next_at.saturating_sub(self.shared.config.clock.monotonic());
                if !early.is_zero() && queue.pending_bytes < WAIT_BYTES_MAX {
                    // Not `idle`: nobody need wake it up.
                    self.shared.wake.wait_for(&mut queue, early.min(PACE));
                    continue;
                }
            }
            let worth_waiting = queue.writer_count > 0 && queue.pending_bytes < WAIT_BYTES_MAX;
            if worth_waiting && !waited && !queue.pending.is_empty() && !queue.stopping {
                waited = true;
                queue.idle = true;
                self.shared.wake.wait_for(&mut queue, PATIENCE);
                queue.idle = false;
                continue;
            }
            if let Some(pending) = queue.pending.pop_front() {
                queue.pending_bytes -= pending.bytes.len().min(queue.pending_bytes);
                queue.in_flight = Some(pending.segment);
                return Some(Work::Write(pending));
            }
            if queue.stopping {
                return None;
            }
            queue.idle = true;
            self.shared.wake.wait(&mut queue);
            queue.idle = false;
        }
    }

    fn write(&mut self, mut pending: Pending) {
        self.next_at = if pending.batch_count > 1 {
            self.shared.config.clock.monotonic() + PACE
        } else {
            Duration::ZERO
        };
        match self.try_write(&pending) {
            Ok(file_bytes) => {
                self.shared.config.metrics.wal_commit_batches.observe(f64::from(pending.batch_count));
                let mut queue = self.shared.queue.lock();
                queue.in_flight = None;
                queue.segments.entry(pending.segment).or_default().bytes = file_bytes;
                pending.bytes.clear();
                queue.spare = pending.bytes;
                self.shared.publish(&queue);
                drop(queue);
                pending.group.complete(Ok(()));
            }
            Err(error) => self.fail(&pending, &error),
        }
    }

    fn try_write(&mut self, pending: &Pending) -> std::io::Result<u64> {
        let config = &self.shared.config;
        if self.writer.as_ref().is_none_or(|w| w.number() != pending.segment) {
            self.writer = None;
            self.writer = Some(SegmentWriter::create(&*config.fs, self.shared.directory(), pending.segment)?);
        }
        let writer = self.writer.as_mut().expect("a writer was just made");
        let compress = pending.definition_bytes * COMPRESS_DIVISOR > pending.bytes.len();
        let written = writer.write(&pending.bytes, compress)?;
        config.metrics.wal_written_bytes.inc_by(written);
        if config.fsync == FsyncPolicy::BeforeAck {
            let start = config.clock.monotonic();
            writer.sync()?;
            let took = config.clock.monotonic().saturating_sub(start);
            config.metrics.wal_fsync_seconds.observe(took.as_secs_f64());
        }
        // Writing works on in a file that was deleted, or whose directory was moved: no restart would find it.
        let path = super::segment::path(self.shared.directory(), pending.segment);
        if !config.fs.exists(&path) {
            return Err(deleted(&path));
        }
        Ok(writer.len())
    }

    /// Gives up the file (nothing is known about what a failed sync left of it), tells all who wait for this
    /// segment, and begins the next one.
    fn fail(&mut self, failed: &Pending, error: &std::io::Error) {
        let config = &self.shared.config;
        config.metrics.wal_failures.inc();
        tracing::error!(segment = failed.segment, %error, "the journal could not be written; writes are refused");
        if error.kind() == std::io::ErrorKind::NotFound {
            // Somebody deleted records that were acknowledged: now only the head has what they say.
            config.flushing.request_flush();
        }
        let why = error.to_string();
        let mut groups: Vec<Arc<CommitGroup>> = vec![Arc::clone(&failed.group)];
        {
            let mut queue = self.shared.queue.lock();
            queue.failures += 1;
            queue.in_flight = None;
            groups.extend(queue.pending.drain(..).map(|pending| pending.group));
            queue.pending_bytes = 0;
            queue.broken = Some(why.clone());
            queue.next_segment();
        }
        let kept =
            self.writer.take().map_or(0, |writer| writer.give_up(&*config.fs, self.shared.directory()));
        {
            let mut queue = self.shared.queue.lock();
            if kept == 0 {
                queue.segments.remove(&failed.segment);
            } else {
                queue.segments.entry(failed.segment).or_default().bytes = kept;
            }
            // Segments that were begun in memory only.
            queue.segments.retain(|number, segment| *number <= failed.segment || segment.bytes > 0);
            self.shared.publish(&queue);
        }
        for group in groups {
            group.complete(Err(unavailable(&why)));
        }
        self.recover();
    }

    /// A journal that was deleted can begin anew. A data directory that was not what it was cannot: somebody else may use what
    /// is there now.
    fn restore_directory(&self) -> std::io::Result<()> {
        let (fs, directory) = (&*self.shared.config.fs, self.shared.directory());
        check_data_directory(fs, directory.parent().unwrap_or(directory))?;
        if fs.exists(directory) { Ok(()) } else { create_durably(fs, directory) }
    }

    /// Begins a new segment; if that works, so will writing again.
    fn recover(&mut self) {
        let number = self.shared.queue.lock().segment + 1;
        let made = self
            .restore_directory()
            .and_then(|()| SegmentWriter::create(&*self.shared.config.fs, self.shared.directory(), number))
            .and_then(|mut writer| writer.sync().map(|()| writer));
        let mut queue = self.shared.queue.lock();
        match made {
            Ok(writer) => {
                // A number of its own: entries that were discarded meanwhile believe in the one before.
                queue.next_segment();
                debug_assert_eq!(
                    queue.segment, number,
                    "BUG: only this thread ends segments while the journal is broken"
                );
                queue.broken = None;
                queue.segments.entry(number).or_default().bytes = writer.len();
                self.writer = Some(writer);
                self.shared.publish(&queue);
                tracing::info!(segment = number, "the journal can be written again");
            }
            Err(error) => {
                queue.broken = Some(error.to_string());
            }
        }
    }
}

enum Work {
    Write(Pending),
    Recover,
}
