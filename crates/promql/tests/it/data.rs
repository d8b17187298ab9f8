//! Storage filled for tests, and an engine to ask it.

use std::sync::Arc;

use model::{Labels, TenantId};
use promql::{Engine, QueryError, QueryOptions, QueryResult, Settings};
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{Appender, WriteBatch};

/// Storage with these samples, for the anonymous tenant.
pub(crate) fn storage_of(rows: &[(Labels, Vec<(i64, f64)>)]) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    let mut batch = WriteBatch::new();
    for (labels, samples) in rows {
        let series = batch.add_series(labels.as_ref());
        for (timestamp_ms, value) in samples {
            batch.add_float(series, *timestamp_ms, *value);
        }
    }
    storage.append(&TenantId::anonymous(), &batch).expect("the reference takes everything");
    storage
}

/// An engine and what it is asked about.
pub(crate) struct Asked {
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) engine: Engine,
    pub(crate) options: QueryOptions,
}

impl Asked {
    pub(crate) fn new(storage: Arc<MemoryStorage>, settings: Settings, budget: Arc<Budget>) -> Self {
        Self { storage, engine: Engine::new(settings, budget), options: QueryOptions::default() }
    }

    pub(crate) fn instant(&self, query: &str, time_ms: i64) -> Result<QueryResult, QueryError> {
        self.engine.instant(self.storage.as_ref(), &TenantId::anonymous(), query, time_ms, &self.options)
    }

    pub(crate) fn range(
        &self,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<QueryResult, QueryError> {
        let tenant = TenantId::anonymous();
        self.engine.range(self.storage.as_ref(), &tenant, query, start_ms, end_ms, step_ms, &self.options)
    }
}
