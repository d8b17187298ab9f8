//! Tells of each query that has been evaluated, to whoever keeps a log of them.

use model::TenantId;

use super::{Class, Engine, Listed, Origin, When};
use crate::error::QueryError;
use crate::value::{QueryResult, QueryStats, Timings};

/// Takes note of queries that have ended. Called on the query's own thread, before its result is sent.
pub trait QueryLog: std::fmt::Debug + Send + Sync {
    /// Takes note of one. What goes wrong is its own business: the query is not concerned.
    fn log(&self, query: &FinishedQuery<'_>);
}

/// A query that has ended, well or badly. Those that nobody could evaluate, such as texts that are no PromQL, are not
/// among them.
#[derive(Debug, Clone, Copy)]
pub struct FinishedQuery<'a> {
    /// Its text.
    pub query: &'a str,
    /// Whose data it read.
    pub tenant: &'a TenantId,
    /// What it was for.
    pub class: Class,
    /// Where it came from.
    pub origin: &'a Origin,
    /// The first step.
    pub start_ms: i64,
    /// The last step asked for.
    pub end_ms: i64,
    /// Distance of steps; 0 for an instant query.
    pub step_ms: i64,
    /// What it cost. Of one that failed: the whole time, and the samples it had read.
    pub stats: &'a QueryStats,
    /// What it failed of.
    pub error: Option<&'a QueryError>,
}

impl Engine {
    pub(super) fn log(&self, listed: &Listed<'_>, when: When, result: &Result<QueryResult, QueryError>) {
        let log = self.log.read().clone();
        let Some(log) = log else { return };
        let error = result.as_ref().err();
        if matches!(error, Some(QueryError::Parse(_) | QueryError::BadRequest(_))) {
            return;
        }
        let until_failed;
        let stats = match result {
            Ok(result) => &result.stats,
            Err(_) => {
                until_failed = QueryStats {
                    timings: Timings {
                        exec_total_s: listed.arrived.elapsed().as_secs_f64(),
                        ..Timings::default()
                    },
                    total_queryable_samples: listed.progress.samples_read(),
                    memory_peak_bytes: listed.memory.peak_bytes(),
                    ..QueryStats::default()
                };
                &until_failed
            }
        };
        let times = when.times(0);
        log.log(&FinishedQuery {
            query: &listed.query,
            tenant: &listed.tenant,
            class: listed.class,
            origin: &listed.origin,
            start_ms: times.start_ms,
            end_ms: times.end_ms,
            step_ms: times.step_ms,
            stats,
            error,
        });
    }
}
