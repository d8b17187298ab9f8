//! What stands in storage's place in an agent: it collects and sends on, and has nothing to ask.

use std::collections::BTreeMap;

use api::{Compaction, StorageAdmin};
use model::{Matcher, Metadata, TenantId};
use storage::{
    Error, ErrorKind, Estimate, LabelRequest, Querier, QueryContext, SelectRequest, SeriesExemplars,
    SeriesSet,
};

/// Answers every question with where to ask it.
pub(super) struct NothingStored;

fn not_here<T>() -> Result<T, Error> {
    Err(Error::new(
        ErrorKind::Unavailable,
        "this is an agent, which stores nothing; ask the server that it sends to (remote_write in its configuration)",
    ))
}

impl Querier for NothingStored {
    fn select(
        &self,
        _: &TenantId,
        _: &SelectRequest<'_>,
        _: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        not_here()
    }

    fn label_names(
        &self,
        _: &TenantId,
        _: &LabelRequest<'_>,
        _: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        not_here()
    }

    fn label_values(
        &self,
        _: &TenantId,
        _: &str,
        _: &LabelRequest<'_>,
        _: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        not_here()
    }

    fn metadata(&self, _: &TenantId, _: Option<&str>) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        not_here()
    }

    fn exemplars(
        &self,
        _: &TenantId,
        _: &[Vec<Matcher>],
        _: i64,
        _: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        not_here()
    }

    fn estimate(&self, _: &TenantId, _: &SelectRequest<'_>, _: &QueryContext) -> Result<Estimate, Error> {
        not_here()
    }
}

impl StorageAdmin for NothingStored {
    fn delete_series(&self, _: &TenantId, _: &[Vec<Matcher>], _: i64, _: i64) -> Result<(), Error> {
        not_here()
    }

    fn clean_tombstones(&self) -> Result<(), Error> {
        not_here()
    }

    fn snapshot(&self, _: bool) -> Result<String, Error> {
        not_here()
    }

    fn compact(&self) -> Result<Compaction, Error> {
        not_here()
    }
}
