//! Head to blocks: everything that is in the head at one moment becomes one block for each window of time it
//! touches; then the journal's segments from before go. Series that stopped are written and released between such flushes.
//!
//! Writes and queries go on, and shall not notice: what a lock of the head is needed for is done in slices with pauses in
//! between, by the thread that flushes; sorting, encoding and what touches the disk are done by one of low priority, without locks
//! (see `background` and [`write`]).

mod write;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use storage::{Error, ErrorKind};

use super::background;
use crate::block::Block;
use crate::block::format::Meta;
use crate::engine::Tsdb;
use crate::head::chunks::HeadChunk;
use crate::head::release::Flushed;
use crate::head::series::Tally;
use crate::tenant::{EXTRAS_FILE, Tenant};

/// What a series takes while all are sorted: its number, twice, and those of its labels.
const SORTING_BYTES: usize = 64;

/// So many released series are brought back by a replay without much ado.
const RELEASED_MIN: usize = 100_000;

impl Tsdb {
    /// Writes all samples in memory into blocks, and deletes the journal up to here.
    ///
    /// # Errors
    /// `Unavailable` if the disk is full or fails; everything stays in memory and in the journal then.
    pub fn flush(&self) -> Result<(), Error> {
        let _one_at_a_time = self.flush_turn.lock();
        let timer = self.metrics.flush_seconds.start_timer();
        // All entries so far are in segments below this one, and, because an entry is applied under the lock under which it
        // was written, in whatever a shard holds when it is frozen after this.
        let segment = self.journal.roll();
        let tenants = self.all_tenants();
        let mut result = Ok(());
        for tenant in &tenants {
            if let Err(error) = self.flush_tenant(tenant, Flushed::All, segment) {
                self.metrics.flush_failures.inc();
                result = Err(error);
            }
        }
        self.truncate_journal();
        self.memory.flushed();
        self.publish_blocks();
        self.metrics.flushes.inc();
        timer.observe_duration();
        result
    }

    /// Deletes segments of the journal whose records are in blocks.
    pub(super) fn truncate_journal(&self) {
        let tenants = self.all_tenants();
        let covered: HashMap<u32, u64> = tenants.iter().map(|t| (t.number, t.journal_before())).collect();
        self.journal.truncate(|tenant, segment| covered.get(&tenant).is_some_and(|before| *before > segment));
    }

    /// Writes series that stopped into blocks and releases them, if they are many or have waited for long: without this, pods
    /// that come and go would fill the head until its window ends. To be called about once a minute: whoever had no sample
    /// between five calls has stopped, or between two after a staleness marker.
    ///
    /// The journal keeps their samples until the next flush of all, because those of others are beside them. So that a
    /// replay does not bring back more than there is, that comes once more series were released than there are.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn release_stopped(&self) -> Result<(), Error> {
        let now = self.deps.clock.monotonic();
        let mut needs_flush = false;
        for tenant in self.all_tenants() {
            let look = tenant.head.look(|| self.pause());
            if !tenant.should_release(look, now) {
                continue;
            }
            let _one_at_a_time = self.flush_turn.lock();
            self.flush_tenant(&tenant, Flushed::Stopped, tenant.journal_before())
                .inspect_err(|_| self.metrics.flush_failures.inc())?;
            needs_flush |= tenant.released_since_flush() > tenant.head.series_count().max(RELEASED_MIN);
        }
        if needs_flush { self.flush() } else { Ok(()) }
    }

    /// Writes what is in a tenant's head into blocks. If it is all of it, its entries so far are in segments below `segment`.
    /// To be called with the turn.
    pub(super) fn flush_tenant(&self, tenant: &Tenant, which: Flushed, segment: u64) -> Result<(), Error> {
        self.make_room_for_a_block(tenant)?;
        let mut tally = Tally::default();
        let mut windows = Windows::new(self.settings.block_span_ms);
        // What is on its way out is sorted by its labels first. A flush is never refused: it is what frees memory.
        let sorting_bytes = (tenant.head.series_count() * SORTING_BYTES) as u64;
        let _memory = self.deps.budget.reserve_anyway(sorting_bytes);
        // Whoever writes a duplicate from here on says so again.
        let ran_ahead = tenant.take_runs_ahead();
        let series = tenant.head.freeze(which, &mut tally, |chunk| windows.add(chunk), || self.pause());
        // Written since the segment was ended, and frozen already: such samples will be in blocks and in the journal.
        let runs_ahead = which == Flushed::Stopped || self.journal.has_records(tenant.number, segment);
        self.metrics.head_chunks.add(tally.chunk_count);
        self.memory.change(tally.bytes);
        drop(tally);
        let ranks = tenant.head.ranks(|| self.pause());
        let written = background::run(|| series.sorted(&ranks)).and_then(|series| {
            let frozen = Frozen { series, windows: windows.found };
            self.write_tenant(tenant, &frozen, segment)
        });
        match written {
            Ok(blocks) => {
                // Readers look at the head first, then at the blocks: in between they see both, never neither.
                tenant.replace_blocks(&[], blocks);
                tenant.set_journal_before(segment);
                if runs_ahead {
                    tenant.set_runs_ahead();
                }
                self.forget_flushed(tenant, which);
                Ok(())
            }
            Err(error) => {
                tenant.head.not_flushed(|| self.pause());
                if ran_ahead {
                    tenant.set_runs_ahead();
                }
                let directory = tenant.directory.display();
                Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("the head cannot be flushed to {directory}: {error}"),
                ))
            }
        }
    }

    /// Frees what is in blocks now, and releases series.
    fn forget_flushed(&self, tenant: &Tenant, which: Flushed) {
        // Whatever has missed a few scrapes makes room; should it come back, it is made anew. With two-hour windows
        // these are five and ten minutes.
        let patience = if self.memory.is_full() { 24 } else { 12 };
        let idle_ms = self.settings.block_span_ms / patience;
        let idle_before_ms = match which {
            Flushed::All => self.deps.clock.now_ms().saturating_sub(idle_ms),
            Flushed::Stopped => i64::MIN,
        };
        let released = tenant.head.flushed(idle_before_ms, || self.pause());
        tenant.note_release(which, released.series_count, self.deps.clock.monotonic());
        self.memory.change(-(released.bytes as i64));
        self.metrics.head_chunks.sub(released.chunk_count as i64);
        self.metrics.head_series.sub(released.series_count as i64);
        self.metrics.head_series_removed.inc_by(released.series_count as u64);
    }

    /// Called between slices of work, when no lock is held that a write or a query needs.
    fn pause(&self) {
        #[cfg(test)]
        if let Some(meanwhile) = self.meanwhile.get() {
            (meanwhile.0)(self);
        }
        std::thread::yield_now();
    }

    fn write_tenant(
        &self,
        tenant: &Tenant,
        frozen: &Frozen,
        segment: u64,
    ) -> std::io::Result<Vec<Arc<Block>>> {
        let fs = &*self.deps.fs;
        let dirty = tenant.extras.lock().dirty;
        if dirty || !frozen.series.is_empty() {
            tenant.make_directory(fs)?;
        }
        if dirty {
            let file = {
                let mut extras = tenant.extras.lock();
                extras.dirty = false;
                extras.encode()
            };
            let written =
                file.and_then(|file| stdx::fs::write_atomic(fs, &tenant.directory.join(EXTRAS_FILE), &file));
            if let Err(error) = written {
                tenant.extras.lock().dirty = true;
                return Err(error);
            }
        }
        let windows = &frozen.windows;
        let mut blocks = Vec::new();
        for (at, window) in windows.iter().enumerate() {
            // A block that says "the journal is covered" comes last: a crash before it replays everything.
            let journal_before = if at + 1 == windows.len() { segment } else { tenant.journal_before() };
            let (id, path) = tenant.next_block(fs);
            let meta = Meta { id, age: id, journal_before, ..Meta::default() };
            let wanted = self.wanted(&frozen.series, *window);
            match self.write_window(&tenant.head, &wanted, meta, &path) {
                Ok(block) => blocks.extend(block.map(Arc::new)),
                Err(error) => {
                    // Once it has its name, the failed block may be found after a crash and say that the journal is
                    // covered: those before it must be there then. Left behind, they hold what will be written
                    // again, which harms nobody.
                    if !fs.exists(&path) {
                        for block in blocks {
                            let _ = fs.remove_file(block.path());
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(blocks)
    }

    pub(crate) fn publish_blocks(&self) {
        let (mut count, mut bytes) = (0, 0);
        for tenant in self.all_tenants() {
            let blocks = tenant.blocks();
            count += blocks.len();
            bytes += blocks.iter().map(|b| b.len_bytes()).sum::<u64>();
        }
        self.metrics.blocks.set(count as i64);
        self.metrics.blocks_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// What is on its way into blocks.
struct Frozen {
    /// Numbers, sorted by labels.
    series: Vec<u32>,
    windows: BTreeSet<i64>,
}

/// The windows of time in which there are samples. A chunk may span years with little in it, so the windows are not
/// counted through: its timestamps are read.
struct Windows {
    span_ms: i64,
    found: BTreeSet<i64>,
    /// The window that was found last.
    last: i64,
    timestamps_ms: Vec<i64>,
}

impl Windows {
    fn new(span_ms: i64) -> Self {
        Self { span_ms, found: BTreeSet::new(), last: i64::MIN, timestamps_ms: Vec::new() }
    }

    fn add(&mut self, chunk: &HeadChunk) {
        let (first, last) =
            (chunk.min_ms().div_euclid(self.span_ms), chunk.max_ms().div_euclid(self.span_ms));
        if (first, last) == (self.last, self.last) {
            return;
        }
        self.last = last;
        // Its first and last sample are in these.
        self.found.extend([first, last]);
        if last - first > 1 {
            self.timestamps_ms.clear();
            // What cannot be read is reported when the chunk is written.
            let _ = chunk.read_times(&mut self.timestamps_ms);
            self.found.extend(self.timestamps_ms.iter().map(|t| t.div_euclid(self.span_ms)));
        }
    }
}

#[cfg(test)]
mod tests;
