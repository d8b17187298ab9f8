//! Evaluates queries. THIS IS THE DOOR that `api`, `kymo` and later `rules` use; the signatures are agreed.

use std::sync::Arc;
use std::time::Duration;

use model::TenantId;
use stdx::cancel::Cancel;
use stdx::memory::Budget;
use storage::Querier;

use crate::error::QueryError;
use crate::value::QueryResult;

/// Limits and defaults of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far an instant selector looks back for a sample. Default 5 min.
    pub lookback_ms: i64,
    /// The most samples a query may hold in memory at a time. Default 50 million, as Prometheus.
    pub samples_max: u64,
    /// Longest run of a query. Default 2 min.
    pub timeout: Duration,
    /// Default step of subqueries (Prometheus: the global evaluation interval). Default 1 min.
    pub subquery_step_ms: i64,
    /// Queries that run at the same time; others wait. Default 20.
    pub concurrent_max: usize,
}

/// What may differ from query to query.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Instead of the engine's lookback.
    pub lookback_ms: Option<i64>,
    /// Fill `QueryStats::total_queryable_samples_per_step`.
    pub per_step_stats: bool,
    /// Stops the query when its client is gone; carries the deadline of the `timeout` parameter.
    pub cancel: Cancel,
}

/// Evaluates queries against a [`Querier`]. Shared as `Arc<Engine>`; synchronous, call it on a blocking thread.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    budget: Arc<Budget>,
}

impl Engine {
    /// An engine whose queries take memory from `budget`.
    pub fn new(settings: Settings, budget: Arc<Budget>) -> Self {
        Self { settings, budget }
    }

    /// Evaluates `query` at one time.
    ///
    /// # Errors
    /// Says what is wrong with the query, or what it ran into.
    pub fn instant(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let _ = (querier, tenant, query, time_ms, options, &self.settings, &self.budget);
        Err(QueryError::Execution("not written yet".to_owned()))
    }

    /// Evaluates `query` at `start_ms`, `start_ms + step_ms`, … up to `end_ms` (inclusive).
    ///
    /// # Errors
    /// Says what is wrong with the query, or what it ran into.
    #[expect(clippy::too_many_arguments, reason = "a range is three numbers, and a struct of them would be longer")]
    pub fn range(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let _ = (querier, tenant, query, start_ms, end_ms, step_ms, options);
        Err(QueryError::Execution("not written yet".to_owned()))
    }
}
