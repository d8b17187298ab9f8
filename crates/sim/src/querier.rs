//! Storage that does something else than it should now and then: a double for tests and benches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Matcher, Metadata, TenantId};
use storage::{
    Changes, Error, Estimate, LabelRequest, Querier, QueryContext, SelectRequest, SeriesExemplars, SeriesSet,
};

/// Longer than any test waits.
const ENDLESS: Duration = Duration::from_secs(20);

type Select =
    dyn Fn(&SelectRequest<'_>, &QueryContext) -> Option<Result<Box<dyn SeriesSet>, Error>> + Send + Sync;

/// A querier in front of another one, with selections of its own.
pub struct Intercepted {
    inner: Arc<dyn Querier>,
    select: Box<Select>,
}

impl Intercepted {
    /// Asks `select` first, and `inner` for what it gives `None`, and for all else.
    pub fn new(
        inner: Arc<dyn Querier>,
        select: impl Fn(&SelectRequest<'_>, &QueryContext) -> Option<Result<Box<dyn SeriesSet>, Error>>
        + Send
        + Sync
        + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { inner, select: Box::new(select) })
    }

    /// Selections of series of which a label is `endless` end when they are told to stop, or after [`ENDLESS`].
    pub fn endless(inner: Arc<dyn Querier>) -> Arc<Self> {
        Self::new(inner, |request, context| {
            let is_endless = request.matchers.iter().any(|matcher| matcher.value() == "endless");
            let end = Instant::now() + ENDLESS;
            while is_endless && Instant::now() < end {
                if let Err(stopped) = context.cancel.check() {
                    return Some(Err(stopped.into()));
                }
                std::thread::yield_now();
            }
            None
        })
    }
}

impl Querier for Intercepted {
    fn select(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        (self.select)(request, context).unwrap_or_else(|| self.inner.select(tenant, request, context))
    }

    fn label_names(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.inner.label_names(tenant, request, context)
    }

    fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.inner.label_values(tenant, name, request, context)
    }

    fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        self.inner.metadata(tenant, metric)
    }

    fn exemplars(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        self.inner.exemplars(tenant, matcher_sets, start_ms, end_ms)
    }

    fn changes(&self, tenant: &TenantId, since: u64) -> Option<Changes> {
        self.inner.changes(tenant, since)
    }

    fn estimate(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Estimate, Error> {
        self.inner.estimate(tenant, request, context)
    }
}
