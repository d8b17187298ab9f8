//! Head to blocks: everything that is in the head at one moment becomes one block for each window of time it
//! touches; then the journal's segments from before go.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use storage::{Error, ErrorKind, SeriesSamples};

use crate::block::format::Meta;
use crate::block::{Block, BlockWriter};
use crate::engine::Tsdb;
use crate::head::FrozenSeries;
use crate::head::series::Tally;
use crate::merge::Merger;
use crate::tenant::{EXTRAS_FILE, Tenant};

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
            if let Err(error) = self.flush_tenant(tenant, segment) {
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

    /// Writes what is in a tenant's head into blocks; all of its entries are in segments below `segment`. To be called
    /// with the turn.
    pub(super) fn flush_tenant(&self, tenant: &Tenant, segment: u64) -> Result<(), Error> {
        self.make_room_for_a_block(tenant)?;
        let mut tally = Tally::default();
        let frozen = tenant.head.freeze(&mut tally);
        // Written since the segment was ended, and frozen already: such samples will be in blocks and in the journal.
        let runs_ahead = self.journal.has_records(tenant.number, segment);
        self.metrics.head_chunks.add(tally.chunk_count);
        self.memory.change(tally.bytes);
        let written = self.write_tenant(tenant, &frozen, segment);
        match written {
            Ok(blocks) => {
                // Readers look at the head first, then at the blocks: in between they see both, never neither.
                tenant.replace_blocks(&[], blocks);
                tenant.set_journal_before(segment);
                tenant.set_runs_ahead(runs_ahead);
                // Whatever has missed a few scrapes makes room; should it come back, it is made anew. With two-hour windows
                // these are five and ten minutes.
                let patience = if self.memory.is_full() { 24 } else { 12 };
                let idle_ms = self.settings.block_span_ms / patience;
                let idle_before_ms = self.deps.clock.now_ms().saturating_sub(idle_ms);
                drop(frozen);
                let released = tenant.head.flushed(idle_before_ms);
                self.memory.change(-(released.bytes as i64));
                self.metrics.head_chunks.sub(released.chunk_count as i64);
                self.metrics.head_series.sub(released.series_count as i64);
                self.metrics.head_series_removed.inc_by(released.series_count as u64);
                Ok(())
            }
            Err(error) => {
                tenant.head.not_flushed();
                let directory = tenant.directory.display();
                Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("the head cannot be flushed to {directory}: {error}"),
                ))
            }
        }
    }

    fn write_tenant(
        &self,
        tenant: &Tenant,
        frozen: &[FrozenSeries],
        segment: u64,
    ) -> std::io::Result<Vec<Arc<Block>>> {
        let fs = &*self.deps.fs;
        let dirty = tenant.extras.lock().dirty;
        if dirty || !frozen.is_empty() {
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
        let windows = windows(frozen, self.settings.block_span_ms)?;
        let mut blocks = Vec::new();
        for (at, window) in windows.iter().enumerate() {
            // A block that says "the journal is covered" comes last: a crash before it replays everything.
            let journal_before = if at + 1 == windows.len() { segment } else { tenant.journal_before() };
            let (id, path) = tenant.next_block(fs);
            let meta = Meta { id, age: id, journal_before, ..Meta::default() };
            match self.write_window(frozen, *window, meta, &path) {
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

    fn write_window(
        &self,
        frozen: &[FrozenSeries],
        window: i64,
        meta: Meta,
        path: &Path,
    ) -> std::io::Result<Option<Block>> {
        let span_ms = self.settings.block_span_ms;
        let (start_ms, end_ms) = (window * span_ms, window * span_ms + (span_ms - 1));
        let fs = &*self.deps.fs;
        let mut writer = BlockWriter::create(fs, path, meta)?;
        let mut samples = SeriesSamples::default();
        for series in frozen {
            let mut merger = Merger::new(&mut samples, start_ms, end_ms);
            for chunk in series.chunks.iter().filter(|c| c.min_ms <= end_ms && c.max_ms >= start_ms) {
                chunk
                    .read(&mut merger)
                    .map_err(|e| std::io::Error::other(format!("BUG: head chunk: {e}")))?;
            }
            writer.add(series.labels.as_ref(), &samples)?;
        }
        if writer.is_empty() {
            return Ok(None);
        }
        let path = writer.finish()?;
        Block::open(&self.block_env, &path).map(Some)
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

/// The windows of time in which there are samples. A chunk may span years with little in it, so the windows are not
/// counted through: its timestamps are read.
fn windows(frozen: &[FrozenSeries], span_ms: i64) -> std::io::Result<BTreeSet<i64>> {
    let mut windows = BTreeSet::new();
    let mut samples = SeriesSamples::default();
    for chunk in frozen.iter().flat_map(|series| &series.chunks) {
        let (first, last) = (chunk.min_ms.div_euclid(span_ms), chunk.max_ms.div_euclid(span_ms));
        if last - first <= 1 {
            // Its first and last sample are in them.
            windows.extend([first, last]);
            continue;
        }
        let mut merger = Merger::new(&mut samples, chunk.min_ms, chunk.max_ms);
        chunk.read(&mut merger).map_err(|e| std::io::Error::other(format!("BUG: head chunk: {e}")))?;
        let times = samples.floats.timestamps_ms.iter().chain(&samples.histograms.timestamps_ms);
        windows.extend(times.map(|timestamp_ms| timestamp_ms.div_euclid(span_ms)));
    }
    Ok(windows)
}
