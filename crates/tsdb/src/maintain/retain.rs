//! What is too old, or too much, goes: whole blocks, oldest first.

use std::collections::HashMap;
use std::sync::Arc;

use storage::Error;

use crate::block::Block;
use crate::engine::Tsdb;
use crate::tenant::Tenant;

impl Tsdb {
    /// Deletes blocks that are older than the retention, then the oldest ones until the rest fits.
    ///
    /// # Errors
    /// None at the moment: a file that cannot be deleted is reported and tried again at the next start.
    pub fn enforce_retention(&self) -> Result<(), Error> {
        let _one_at_a_time = self.compaction_turn.lock();
        let retention = *self.retention.read();
        let oldest_ms = self.deps.clock.now_ms().saturating_sub(retention.retention_ms);
        for tenant in self.all_tenants() {
            let old: Vec<Arc<Block>> =
                tenant.blocks().iter().filter(|b| b.meta().max_ms < oldest_ms).map(Arc::clone).collect();
            self.delete_blocks(&tenant, &old, "too_old");
        }
        if let Some(bytes_max) = retention.retention_bytes {
            self.enforce_size(bytes_max);
        }
        self.publish_blocks();
        Ok(())
    }

    fn enforce_size(&self, bytes_max: u64) {
        let mut all: Vec<(Arc<Tenant>, Arc<Block>)> = Vec::new();
        for tenant in self.all_tenants() {
            all.extend(tenant.blocks().iter().map(|block| (Arc::clone(&tenant), Arc::clone(block))));
        }
        let mut bytes = self.journal.bytes() + all.iter().map(|(_, b)| b.len_bytes()).sum::<u64>();
        all.sort_by_key(|(_, block)| block.meta().max_ms);
        for (tenant, block) in all {
            if bytes <= bytes_max {
                break;
            }
            bytes -= block.len_bytes();
            self.delete_blocks(&tenant, &[block], "too_much");
        }
    }

    fn delete_blocks(&self, tenant: &Tenant, blocks: &[Arc<Block>], reason: &str) {
        if blocks.is_empty() {
            return;
        }
        let ids: Vec<u64> = blocks.iter().map(|b| b.meta().id).collect();
        tenant.replace_blocks(&ids, Vec::new());
        let newest_ms = blocks.iter().map(|b| b.meta().max_ms).max().unwrap_or(i64::MIN);
        tenant.changes.lose(newest_ms.saturating_add(1));
        self.delete_files(tenant, blocks, reason);
    }

    /// Deletes files of blocks that nobody finds any more. Queries that hold them read on.
    pub(super) fn delete_files(&self, tenant: &Tenant, blocks: &[Arc<Block>], reason: &str) {
        let mut reasons: HashMap<String, String> = HashMap::new();
        for block in blocks {
            match self.deps.fs.remove_file(block.path()) {
                Ok(()) => self.metrics.blocks_deleted.with_label_values(&[reason]).inc(),
                Err(error) => {
                    reasons.insert(block.path().display().to_string(), error.to_string());
                }
            }
        }
        if let Err(error) = self.deps.fs.sync_dir(&tenant.directory) {
            reasons.insert(tenant.directory.display().to_string(), error.to_string());
        }
        for (path, error) in reasons {
            tracing::warn!(path, error, "cannot delete a block; it may come back at the next start");
        }
    }
}
