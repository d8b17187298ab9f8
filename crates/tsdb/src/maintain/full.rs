//! Everything at once, when an operator asks: flush, compact to the widest windows, work off deletes, cut the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use storage::Error;

use super::compact::{LEVEL_SPANS, TOP_LEVEL};
use super::delete::hides_some;
use crate::block::Block;
use crate::engine::Tsdb;
use crate::tenant::Tenant;

/// What a full compaction did. Sizes are of all tenants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Blocks before and after.
    pub block_count: (u64, u64),
    /// Bytes of all blocks before and after.
    pub block_bytes: (u64, u64),
    /// Bytes of the journal before and after.
    pub journal_bytes: (u64, u64),
    /// Samples in blocks afterwards.
    pub sample_count: u64,
    /// How long it took.
    pub took: Duration,
}

impl Tsdb {
    /// Flushes the head, makes one block of each widest window (12 spans: a day), leaves out what is deleted or too old, and cuts the
    /// journal. Writes and queries go on meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the disk is full or fails, `Corrupt` if a block is damaged; everything stays readable.
    pub fn compact_all(&self) -> Result<Compacted, Error> {
        self.check_running()?;
        let start = self.deps.clock.monotonic();
        let (before, journal_before) = (self.block_totals(), self.journal.bytes());
        self.flush()?;
        self.enforce_retention()?;
        for tenant in self.all_tenants() {
            self.compact_tenant(&tenant).inspect_err(|_| self.metrics.compaction_failures.inc())?;
        }
        self.publish_blocks();
        stdx::memory::give_back_free();
        let after = self.block_totals();
        Ok(Compacted {
            block_count: (before.0, after.0),
            block_bytes: (before.1, after.1),
            journal_bytes: (journal_before, self.journal.bytes()),
            sample_count: after.2,
            took: self.deps.clock.monotonic().saturating_sub(start),
        })
    }

    fn compact_tenant(&self, tenant: &Tenant) -> Result<(), Error> {
        let _one_at_a_time = self.compaction_turn.lock();
        let width_ms = self.settings.block_span_ms * LEVEL_SPANS[usize::from(TOP_LEVEL)];
        let tombstones = tenant.tombstones();
        let window = |block: &Block| block.meta().min_ms.div_euclid(width_ms);
        let windows: BTreeSet<i64> = tenant.blocks().iter().map(|block| window(block)).collect();
        for at in windows {
            let blocks = tenant.blocks();
            let inputs: Vec<Arc<Block>> = blocks
                .iter()
                .filter(|b| window(b) == at && b.meta().max_ms.div_euclid(width_ms) == at && !b.is_damaged())
                .map(Arc::clone)
                .collect();
            let is_done = match inputs.as_slice() {
                [] => true,
                [only] => only.meta().level == TOP_LEVEL && !hides_some(only, &tombstones)?,
                _ => false,
            };
            if !is_done {
                self.merge_blocks(tenant, &inputs, TOP_LEVEL)?;
                self.metrics.compactions.inc();
            }
        }
        self.drop_tombstones(tenant, &tombstones)
    }

    /// Number, bytes and samples of all blocks.
    fn block_totals(&self) -> (u64, u64, u64) {
        let mut totals = (0, 0, 0);
        for tenant in self.all_tenants() {
            for block in tenant.blocks().iter() {
                totals.0 += 1;
                totals.1 += block.len_bytes();
                totals.2 += block.meta().sample_count;
            }
        }
        totals
    }
}
