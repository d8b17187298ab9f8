//! What is too old, or too much, goes: whole blocks, oldest first.

use std::collections::HashMap;
use std::sync::Arc;

use storage::Error;

use crate::block::Block;
use crate::engine::Tsdb;
use crate::tenant::Tenant;

impl Tsdb {
    /// Deletes blocks that are older than the retention, then the oldest ones of each tenant that takes more than it may, then
    /// the oldest ones of all until the rest fits.
    ///
    /// # Errors
    /// None at the moment: a file that cannot be deleted is reported and tried again at the next start.
    pub fn enforce_retention(&self) -> Result<(), Error> {
        let _one_at_a_time = self.compaction_turn.lock();
        let retention = self.retention.read().clone();
        let tenants = self.all_tenants();
        for tenant in &tenants {
            let oldest_ms = self.oldest_kept_ms(&tenant.id);
            let old: Vec<Arc<Block>> =
                tenant.blocks().iter().filter(|b| b.meta().max_ms < oldest_ms).map(Arc::clone).collect();
            self.delete_blocks(tenant, &old, "too_old");
            if let Some(bytes_max) = retention.bytes_of(&tenant.id) {
                self.enforce_size(std::slice::from_ref(tenant), 0, bytes_max, "too_much_of_tenant");
            }
        }
        if let Some(bytes_max) = retention.retention_bytes {
            self.enforce_size(&tenants, self.journal.bytes(), bytes_max, "too_much");
        }
        self.publish_blocks();
        Ok(())
    }

    /// Deletes the oldest blocks until the rest and `other_bytes` fit.
    fn enforce_size(&self, tenants: &[Arc<Tenant>], other_bytes: u64, bytes_max: u64, reason: &str) {
        let mut all: Vec<(&Tenant, Arc<Block>)> = Vec::new();
        for tenant in tenants {
            all.extend(tenant.blocks().iter().map(|block| (&**tenant, Arc::clone(block))));
        }
        let mut bytes = other_bytes + all.iter().map(|(_, b)| b.len_bytes()).sum::<u64>();
        all.sort_by_key(|(_, block)| block.meta().max_ms);
        for (tenant, block) in all {
            if bytes <= bytes_max {
                break;
            }
            bytes -= block.len_bytes();
            self.delete_blocks(tenant, &[block], reason);
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
