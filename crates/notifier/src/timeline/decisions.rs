//! What was decided last about each alert in each of its groups, so that only changes become events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::Labels;

use super::{Event, Place, What};
use crate::alert::{Alert, Fingerprint};
use crate::service::history::Queue;

/// A decision, as far as another one differs from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Waits,
    Muted(Vec<String>),
    Inhibited(Fingerprint),
    Silenced(Vec<String>),
    Notified,
    Unchanged,
    Nobody,
    Acknowledged(String),
}

/// Decides which decisions are new, and hands those on.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    last: HashMap<Fingerprint, BTreeMap<Arc<Place>, Decision>>,
    queue: Arc<Queue>,
}

impl Decisions {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { last: HashMap::new(), queue }
    }

    /// Something happened, whatever was before.
    pub(crate) fn record(&self, at_ms: i64, alert: &Alert, what: &Arc<What>) {
        self.queue.put(Event::of(at_ms, alert, what));
    }

    /// As [`Self::record`], of an alert that may not be there.
    pub(crate) fn record_of(&self, at_ms: i64, labels: Labels, what: Arc<What>) {
        self.queue.put(Event::new(at_ms, labels, what));
    }

    /// Something was decided; an event if it is not what was decided last.
    pub(crate) fn decide(
        &mut self,
        at_ms: i64,
        alert: &Alert,
        place: &Arc<Place>,
        decision: Decision,
        what: impl FnOnce() -> Arc<What>,
    ) {
        let of_alert = self.last.entry(alert.fingerprint()).or_default();
        // Each notification is one of its own.
        if decision != Decision::Notified && of_alert.get(place) == Some(&decision) {
            return;
        }
        of_alert.insert(Arc::clone(place), decision);
        self.queue.put(Event::of(at_ms, alert, &what()));
    }

    /// Whether an alert is known to be in a group.
    pub(crate) fn is_placed(&self, fingerprint: Fingerprint, place: &Place) -> bool {
        self.last.get(&fingerprint).is_some_and(|places| places.contains_key(place))
    }

    /// It begins anew.
    pub(crate) fn forget(&mut self, fingerprint: Fingerprint) {
        self.last.remove(&fingerprint);
    }

    /// Forgets alerts that are not there any more.
    pub(crate) fn retain(&mut self, is_there: impl Fn(Fingerprint) -> bool) {
        self.last.retain(|fingerprint, _| is_there(*fingerprint));
    }
}
