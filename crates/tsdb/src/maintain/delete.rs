//! Deletes: noted as tombstones, and worked off by rewriting the blocks that hold what they hide.
//!
//! What was written before [`Tsdb::delete_series`] was called is gone when it returns, and stays so after a
//! crash. What is written after it returned is there, also with the same times and values. See `tombstones` for how.

use std::sync::Arc;

use model::{Matcher, TenantId};
use storage::{Error, ErrorKind};

use crate::block::Block;
use crate::engine::Tsdb;
use crate::head::locate;
use crate::head::release::Flushed;
use crate::postings::resolve;
use crate::tenant::{BLOCK_SUFFIX, Tenant};
use crate::tombstones::{Tombstone, Tombstones};

/// Reading costs a little for each tombstone, so there is a bound.
const TOMBSTONES_MAX: usize = 1000;
/// From so many on, they are worked off at the next turn.
const TOMBSTONES_MANY: usize = 100;

impl Tsdb {
    /// Deletes the samples in a range, inclusive at both ends, of the tenant's series that meet all matchers of at least one set. Their
    /// space comes back with compactions, at the latest a block's span later, or by [`Self::clean_tombstones`].
    ///
    /// # Errors
    /// `Limit` if too many deletes wait to be worked off, `Unavailable` if the disk is full or fails. Nothing is deleted then.
    pub fn delete_series(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<(), Error> {
        self.check_running()?;
        let Some(tenant) = self.tenant(tenant) else { return Ok(()) };
        if start_ms > end_ms || matcher_sets.is_empty() {
            return Ok(());
        }
        if tenant.tombstones().len() + matcher_sets.len() > TOMBSTONES_MAX {
            self.compacting.wake();
            let message = format!(
                "{TOMBSTONES_MAX} deletes wait to be worked off: call /api/v1/admin/tsdb/clean_tombstones"
            );
            return Err(Error::new(ErrorKind::Limit, message));
        }
        // Blocks that others flush meanwhile would have greater ages than what is in them deserves.
        let _flush_turn = self.flush_turn.lock();
        // What is in blocks must not come back with the journal after a crash.
        if tenant.runs_ahead() || self.head_holds(&tenant, matcher_sets, start_ms, end_ms)? {
            let segment = self.journal.roll();
            self.flush_tenant(&tenant, Flushed::All, segment)
                .inspect_err(|_| self.metrics.flush_failures.inc())?;
            self.truncate_journal();
        }
        let before_age = tenant.next_block_id();
        let created_ms = self.deps.clock.now_ms();
        let change = |all: &mut Vec<Tombstone>| {
            for matchers in matcher_sets {
                // The same again reaches further.
                all.retain(|t| (t.start_ms, t.end_ms, &t.matchers) != (start_ms, end_ms, matchers));
                let (id, matchers) = (tenant.next_tombstone_id(), matchers.clone());
                all.push(Tombstone { id, matchers, start_ms, end_ms, before_age, created_ms });
            }
        };
        tenant.change_tombstones(&*self.deps.fs, change).map_err(|e| cannot_delete(&tenant, &e))?;
        tenant.changes.touch(start_ms);
        self.forget_newest(&tenant, matcher_sets)?;
        self.metrics.deletes.inc();
        self.publish_blocks();
        if tenant.tombstones().len() >= TOMBSTONES_MANY {
            self.compacting.wake();
        }
        Ok(())
    }

    /// Rewrites all blocks that hold deleted samples, of all tenants, and frees their space.
    ///
    /// # Errors
    /// `Unavailable` if the disk is full or fails, `Corrupt` if a block is damaged; what is deleted stays hidden then.
    pub fn clean_tombstones(&self) -> Result<(), Error> {
        self.check_running()?;
        self.all_tenants().iter().try_for_each(|tenant| self.clean_tenant(tenant))
    }

    /// As [`Self::clean_tombstones`], where it is time.
    pub(super) fn clean_due_tombstones(&self) -> Result<(), Error> {
        let due_ms = self.deps.clock.now_ms().saturating_sub(self.settings.block_span_ms);
        for tenant in self.all_tenants() {
            let tombstones = tenant.tombstones();
            if tombstones.len() >= TOMBSTONES_MANY || tombstones.iter().any(|t| t.created_ms < due_ms) {
                self.clean_tenant(&tenant)?;
            }
        }
        Ok(())
    }

    fn clean_tenant(&self, tenant: &Tenant) -> Result<(), Error> {
        let _one_at_a_time = self.compaction_turn.lock();
        let tombstones = tenant.tombstones();
        if tombstones.is_empty() {
            return Ok(());
        }
        // Rewriting a damaged block would lose what is set aside of it for good.
        for block in tenant.blocks().iter().filter(|block| !block.is_damaged()) {
            if hides_some(block, &tombstones)? {
                self.merge_blocks(tenant, &[Arc::clone(block)], block.meta().level)?;
            }
        }
        self.publish_blocks();
        self.drop_tombstones(tenant, &tombstones)
    }

    /// Forgets tombstones of which no block needs to know any more. To be called with the turn.
    pub(super) fn drop_tombstones(&self, tenant: &Tenant, worked_off: &Tombstones) -> Result<(), Error> {
        if worked_off.is_empty() {
            return Ok(());
        }
        // A damaged block cannot be rewritten, and a file that could not be deleted may come back at the next start.
        let blocks = tenant.blocks();
        let files = self.deps.fs.read_dir(&tenant.directory).map_err(|e| cannot_delete(tenant, &e))?;
        let strangers = files.iter().filter(|file| {
            let path = tenant.directory.join(&file.name);
            file.name.ends_with(BLOCK_SUFFIX) && !blocks.iter().any(|block| block.path() == path)
        });
        if blocks.iter().any(|block| block.is_damaged()) || strangers.count() > 0 {
            tracing::debug!(tenant = %tenant.id, "deletes stay noted, because some blocks cannot be rewritten");
            return Ok(());
        }
        self.deps.fs.sync_dir(&tenant.directory).map_err(|e| cannot_delete(tenant, &e))?;
        let gone = |t: &Tombstone| worked_off.iter().any(|other| other.id == t.id);
        tenant
            .change_tombstones(&*self.deps.fs, |all| all.retain(|t| !gone(t)))
            .map_err(|e| cannot_delete(tenant, &e))
    }

    /// Whether the head has samples that are to be deleted.
    fn head_holds(
        &self,
        tenant: &Tenant,
        sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<bool, Error> {
        for matchers in sets {
            let numbers = resolve(&*tenant.head.index.read(), matchers)?;
            for number in numbers {
                let (shard, slot) = locate(number);
                let shard = tenant.head.shards[shard].read();
                let range = shard.slots.get(slot).and_then(Option::as_ref).and_then(|s| s.range_ms());
                if range.is_some_and(|(min_ms, max_ms)| min_ms <= end_ms && max_ms >= start_ms) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Series remember their newest sample to know a duplicate, after flushes too.
    fn forget_newest(&self, tenant: &Tenant, sets: &[Vec<Matcher>]) -> Result<(), Error> {
        for matchers in sets {
            let numbers = resolve(&*tenant.head.index.read(), matchers)?;
            for number in numbers {
                let (shard, slot) = locate(number);
                let mut shard = tenant.head.shards[shard].write();
                if let Some(series) = shard.slots.get_mut(slot).and_then(Option::as_mut) {
                    series.forget_newest();
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check_running(&self) -> Result<(), Error> {
        if self.lock.lock().is_some() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "the engine is stopping"))
    }
}

/// Whether the block holds samples that are hidden.
pub(super) fn hides_some(block: &Block, tombstones: &[Tombstone]) -> Result<bool, Error> {
    let meta = block.meta();
    for tombstone in tombstones.iter().filter(|t| t.concerns(meta.age, meta.min_ms, meta.max_ms)) {
        let numbers = resolve(block, &tombstone.matchers)?;
        let mut found = false;
        block.visit_series(&numbers, |series| {
            found |= series.chunks.iter().any(|c| tombstone.concerns(meta.age, c.min_ms, c.max_ms));
            Ok(())
        })?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn cannot_delete(tenant: &Tenant, error: &std::io::Error) -> Error {
    let directory = tenant.directory.display();
    Error::new(ErrorKind::Unavailable, format!("deletes cannot be noted in {directory}: {error}"))
}
