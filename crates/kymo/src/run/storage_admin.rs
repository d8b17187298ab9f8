//! What operators do to stored data, between the API and the engine.

use std::sync::Arc;

use api::{Compaction, StorageAdmin};
use model::{Matcher, TenantId};
use storage::Error;
use tsdb::Tsdb;

/// The engine, as the API sees it.
pub(super) struct Admin(pub(super) Arc<Tsdb>);

impl StorageAdmin for Admin {
    fn delete_series(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<(), Error> {
        tracing::info!(%tenant, ?matcher_sets, start_ms, end_ms, "series are deleted");
        self.0.delete_series(tenant, matcher_sets, start_ms, end_ms)
    }

    fn clean_tombstones(&self) -> Result<(), Error> {
        self.0.clean_tombstones()
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, Error> {
        self.0.snapshot(skip_head)
    }

    fn compact(&self) -> Result<Compaction, Error> {
        let done = self.0.compact_all()?;
        tracing::info!(
            blocks_before = done.block_count.0,
            blocks_after = done.block_count.1,
            bytes_before = done.block_bytes.0,
            bytes_after = done.block_bytes.1,
            "everything is compacted"
        );
        Ok(Compaction {
            block_count: done.block_count,
            block_bytes: done.block_bytes,
            journal_bytes: done.journal_bytes,
            sample_count: done.sample_count,
            took: done.took,
        })
    }
}
