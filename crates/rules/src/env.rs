//! What all groups are evaluated with, and the one way in which they query.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Labels, TenantId};
use promql::value::{SampleValue, Value, VectorSample};
use promql::{AskedBy, Class, Engine, Origin, QueryError, QueryOptions};
use stdx::cancel::Cancel;
use stdx::clock::Clock;
use storage::{Appender, Querier};

use crate::metrics::Metrics;
use crate::sink::AlertSink;

/// What groups are evaluated with.
pub struct Env {
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// Answers what is stored.
    pub querier: Arc<dyn Querier>,
    /// Takes results in.
    pub appender: Arc<dyn Appender>,
    /// Whose rules, series and alerts these are.
    pub tenant: TenantId,
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Who gets the alerts.
    pub sink: Arc<dyn AlertSink>,
    /// What is counted.
    pub metrics: Metrics,
    /// How alerts are repeated, and taken up again after a restart.
    pub timing: Timing,
    /// Stops queries, and with them evaluations.
    pub cancel: Cancel,
    /// Threads that may help a group with rules that do not depend on one another.
    pub helpers: Helpers,
    /// Whether this is a rehearsal: its queries wait behind those of others, and what fails is only counted.
    pub is_rehearsal: bool,
}

/// How alerts are repeated, and taken up again after a restart. The defaults are Prometheus'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `--rules.alert.resend-delay`: a firing alert is sent again after this time. Default 1 min.
    pub resend_delay_ms: i64,
    /// `--rules.alert.for-outage-tolerance`: what was pending is looked up after an outage no longer than this. Default 1 h.
    pub outage_tolerance_ms: i64,
    /// `--rules.alert.for-grace-period`: an alert that was pending before an outage does not fire sooner than this after it; alerts with
    /// a shorter `for` begin anew. Default 10 min.
    pub for_grace_period_ms: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { resend_delay_ms: 60_000, outage_tolerance_ms: 3_600_000, for_grace_period_ms: 600_000 }
    }
}

/// What alerts say about the server they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct External {
    /// `global.external_labels`.
    pub labels: Labels,
    /// Where people reach this server, without a slash at the end.
    pub url: String,
}

/// A query that gave no usable result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluationError {
    #[error("{0}")]
    Query(#[from] QueryError),
    #[error("rule result is not a vector or scalar")]
    NotAVector,
    #[error("vector contains metrics with the same labelset after applying rule labels")]
    SameSeries,
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    SameAlert,
    #[error("exceeded limit of {limit} with {count} series")]
    TooManySeries { limit: i64, count: usize },
    #[error(transparent)]
    TooManyAlerts(#[from] crate::alert::TooMany),
    #[error("cannot store the result: {0}")]
    Append(#[from] storage::Error),
    #[error("{count} of {of} samples were refused, the first because it is {reason}")]
    Rejected { count: usize, of: usize, reason: &'static str },
    #[error("the evaluation panicked; the log has more")]
    Panicked,
}

impl EvaluationError {
    /// Whether somebody stopped it, so that nothing is wrong with it.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Query(QueryError::Cancelled(_)))
    }
}

impl Env {
    /// The result of a query at a time, with scalars as series without labels.
    pub(crate) fn query(
        &self,
        (file, group): (&str, &str),
        query: &str,
        time_ms: i64,
    ) -> Result<Vec<VectorSample>, EvaluationError> {
        let asked_by = AskedBy::RuleGroup { file: file.to_owned(), name: group.to_owned() };
        let options = QueryOptions {
            class: if self.is_rehearsal { Class::Batch } else { Class::Alert },
            no_cache: self.is_rehearsal,
            origin: Origin { asked_by, source: format!("rule group {group}"), ..Origin::default() },
            cancel: self.cancel.clone(),
            ..QueryOptions::default()
        };
        let result = self.engine.instant(&*self.querier, &self.tenant, query, time_ms, &options)?;
        match result.value {
            Value::Vector(samples) => Ok(samples),
            Value::Scalar { timestamp_ms, value } => {
                let value = SampleValue::Float(value);
                Ok(vec![VectorSample { labels: Labels::empty(), timestamp_ms, value }])
            }
            Value::String { .. } | Value::Matrix(_) => Err(EvaluationError::NotAVector),
        }
    }
}

/// How many threads may help, all groups together.
#[derive(Debug)]
pub struct Helpers(AtomicUsize);

impl Helpers {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    /// As many as are free, up to `wanted`; they are given back when the result is dropped.
    pub(crate) fn take(&self, wanted: usize) -> Taken<'_> {
        let mut taken = 0;
        // Between the two calls nobody sees a wrong number: the closure says what is taken.
        let _always = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
            taken = wanted.min(free);
            Some(free - taken)
        });
        Taken { helpers: self, count: taken }
    }
}

/// Threads that were promised to somebody.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    helpers: &'a Helpers,
    pub(crate) count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.helpers.0.fetch_add(self.count, Ordering::Relaxed);
    }
}
