//! What all pools and loops of a process share.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use model::{Labels, LabelsBuilder, TenantId};
use parking_lot::{Mutex, RwLock};
use stdx::clock::Clock;
use stdx::memory::Reservation;
use storage::{Appender, WriteBatch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Buffers;
use crate::cache::SeriesAt;
use crate::metrics::Metrics;
use crate::pool::{PoolId, PoolView};
use crate::shapes::Shapes;
use crate::target::Target;

/// See the module.
pub(crate) struct Env {
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) tenant: TenantId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) discovery: discovery::Shared,
    /// Stands for this machine where `localhost` would mean another, and is the `instance` of built-in targets.
    pub(crate) host_name: String,
    /// Spreads targets over their interval, differently on each server.
    pub(crate) seed: u64,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) scratches: Scratches,
    /// Labels that targets share.
    pub(crate) shapes: Arc<Shapes>,
    /// Active targets by the labels of their series, so that a target that went away does not end the series of
    /// one that took its place.
    pub(crate) active: Active,
    pub(crate) views: RwLock<BTreeMap<PoolId, Arc<PoolView>>>,
    /// Cancelled to stop everything at once.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Where the loops of targets run.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// Scratch space of one scrape between its answer and its batch. Used by one thread at a time, so there are
/// never more than threads.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) batch: WriteBatch,
    pub(crate) labels: LabelsBuilder,
    pub(crate) other: LabelsBuilder,
    /// For each series of the batch, where it is in the target's cache.
    pub(crate) cached_at: Vec<SeriesAt>,
    /// Memory of what is in the batch.
    pub(crate) held: Option<Reservation>,
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.cached_at.clear();
        self.held = None;
    }
}

/// Scratch spaces, used again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratches(Mutex<Vec<Scratch>>);

/// A scratch space that grew beyond this is given back to the system.
const SCRATCH_BYTES_MAX: usize = 16 << 20;
/// Scratch spaces that are kept.
const SCRATCHES_MAX: usize = 16;

impl Scratches {
    pub(crate) fn take(&self) -> Scratch {
        self.0.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut scratch: Scratch) {
        if scratch.batch.size_bytes() > SCRATCH_BYTES_MAX {
            return;
        }
        scratch.clear();
        let mut free = self.0.lock();
        if free.len() < SCRATCHES_MAX {
            free.push(scratch);
        }
    }
}

/// Active targets by their labels.
#[derive(Debug, Default)]
pub(crate) struct Active(Mutex<HashMap<Labels, Vec<Arc<Target>>>>);

impl Active {
    pub(crate) fn add(&self, target: &Arc<Target>) {
        self.0.lock().entry(target.spec.labels.clone()).or_default().push(Arc::clone(target));
    }

    pub(crate) fn remove(&self, target: &Arc<Target>) {
        let mut active = self.0.lock();
        if let Some(same) = active.get_mut(&target.spec.labels) {
            same.retain(|other| !Arc::ptr_eq(other, target));
            if same.is_empty() {
                active.remove(&target.spec.labels);
            }
        }
    }

    /// Active targets with these labels.
    pub(crate) fn with(&self, labels: &Labels) -> Vec<Arc<Target>> {
        self.0.lock().get(labels).cloned().unwrap_or_default()
    }
}
