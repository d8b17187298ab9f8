//! Groups: alerts of one route with the same values wait together, and are told together.
//!
//! Pure: alerts and times in, flushes out. Timers run on monotonic time, so that a clock that is set neither delays nor
//! hurries anybody; alerts' own times are those of the wall clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::Labels;

use crate::alert::{Alert, Fingerprint};
use crate::matchers;
use crate::route::{Route, RouteOptions};
use crate::timeline::Place;

/// More groups are not made; alerts that would need one are counted and left out.
const GROUPS_MAX: usize = 100_000;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since the epoch.
    pub(crate) wall_ms: i64,
    /// Since some fixed point; never goes back.
    pub(crate) monotonic_ms: i64,
}

/// Names a group for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(u64);

/// Alerts that are told together.
#[derive(Debug)]
struct Group {
    route: usize,
    options: Arc<RouteOptions>,
    key: Arc<str>,
    place: Arc<Place>,
    labels: Labels,
    alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    due_ms: i64,
    was_flushed: bool,
    in_flight: bool,
}

/// A group that is to be told now.
#[derive(Debug, Clone)]
pub(crate) struct Flush {
    pub(crate) id: GroupId,
    pub(crate) options: Arc<RouteOptions>,
    pub(crate) key: Arc<str>,
    /// As the timeline names it.
    pub(crate) place: Arc<Place>,
    pub(crate) labels: Labels,
    /// In Alertmanager's order.
    pub(crate) alerts: Vec<Arc<Alert>>,
    pub(crate) now: Now,
}

/// A group that has taken an alert in.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) place: Arc<Place>,
    /// How long until it is told.
    pub(crate) wait_ms: i64,
}

/// A group as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct GroupView {
    pub(crate) options: Arc<RouteOptions>,
    pub(crate) labels: Labels,
    pub(crate) alerts: Vec<Arc<Alert>>,
}

/// All groups.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    route: Arc<Route>,
    groups: BTreeMap<GroupId, Group>,
    ids: HashMap<(usize, Labels), GroupId>,
    /// Groups that are not in flight, by when they are due.
    due: BTreeSet<(i64, GroupId)>,
    next_id: u64,
}

impl Dispatcher {
    pub(crate) fn new(route: Arc<Route>) -> Self {
        Self { route, groups: BTreeMap::new(), ids: HashMap::new(), due: BTreeSet::new(), next_id: 0 }
    }

    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Takes an alert into its groups. Returns them, and for how many there was no room.
    pub(crate) fn insert(&mut self, alert: &Arc<Alert>, now: Now) -> (Vec<Placed>, usize) {
        let route = Arc::clone(&self.route);
        let nodes = route.find(&alert.labels);
        let placed: Vec<Placed> = nodes.iter().filter_map(|node| self.insert_at(node, alert, now)).collect();
        let without_room = nodes.len() - placed.len();
        (placed, without_room)
    }

    fn insert_at(&mut self, node: &Route, alert: &Arc<Alert>, now: Now) -> Option<Placed> {
        let labels = node.group_labels(&alert.labels);
        let id = match self.ids.get(&(node.index, labels.clone())) {
            Some(id) => *id,
            // One that is over makes a group, too: before a restart somebody may have been told that it fires.
            None if self.groups.len() >= GROUPS_MAX => return None,
            None => self.add_group(node, labels, now),
        };
        let group = self.groups.get_mut(&id)?;
        group.alerts.insert(alert.fingerprint(), Arc::clone(alert));
        // It has waited elsewhere: after a restart, or at whoever sent it.
        let has_waited = alert.starts_at_ms.saturating_add(group.options.group_wait_ms) < now.wall_ms;
        if !group.was_flushed && has_waited && !group.in_flight {
            self.due.remove(&(group.due_ms, id));
            group.due_ms = now.monotonic_ms;
            self.due.insert((group.due_ms, id));
        }
        Some(Placed {
            place: Arc::clone(&group.place),
            wait_ms: group.due_ms.saturating_sub(now.monotonic_ms),
        })
    }

    fn add_group(&mut self, node: &Route, labels: Labels, now: Now) -> GroupId {
        let id = GroupId(self.next_id);
        self.next_id += 1;
        let due_ms = now.monotonic_ms.saturating_add(node.options.group_wait_ms);
        let key = format!("{}:{}", node.key, matchers::format_labels(&labels));
        self.ids.insert((node.index, labels.clone()), id);
        self.due.insert((due_ms, id));
        let group = Group {
            route: node.index,
            options: Arc::clone(&node.options),
            place: Arc::new(Place { group_key: key.clone(), receiver: node.options.receiver.to_string() }),
            key: key.into(),
            labels,
            alerts: BTreeMap::new(),
            due_ms,
            was_flushed: false,
            in_flight: false,
        };
        self.groups.insert(id, group);
        id
    }

    /// When the next group is due, on the monotonic clock.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Groups that are due; each is in flight until [`Self::done`] says how it went.
    pub(crate) fn take_due(&mut self, now: Now) -> Vec<Flush> {
        let mut flushes = Vec::new();
        while let Some((due_ms, id)) = self.due.first().copied()
            && due_ms <= now.monotonic_ms
        {
            self.due.remove(&(due_ms, id));
            let Some(group) = self.groups.get_mut(&id) else { continue };
            group.in_flight = true;
            group.was_flushed = true;
            group.due_ms = now.monotonic_ms.saturating_add(group.options.group_interval_ms);
            let mut alerts: Vec<Arc<Alert>> = group.alerts.values().cloned().collect();
            alerts.sort_by(|a, b| order(&a.labels, &b.labels));
            flushes.push(Flush {
                id,
                options: Arc::clone(&group.options),
                key: Arc::clone(&group.key),
                place: Arc::clone(&group.place),
                labels: group.labels.clone(),
                alerts,
                now,
            });
        }
        flushes
    }

    /// A flush has ended. If everybody was told, alerts that were over then are forgotten, unless they changed since.
    pub(crate) fn done(&mut self, flush: &Flush, all_told: bool) {
        let Some(group) = self.groups.get_mut(&flush.id) else { return };
        group.in_flight = false;
        self.due.insert((group.due_ms, flush.id));
        if !all_told {
            return;
        }
        for told in flush.alerts.iter().filter(|alert| alert.is_resolved_at(flush.now.wall_ms)) {
            let fingerprint = told.fingerprint();
            let unchanged =
                group.alerts.get(&fingerprint).is_some_and(|now| now.updated_at_ms == told.updated_at_ms);
            if unchanged {
                group.alerts.remove(&fingerprint);
            }
        }
    }

    /// Forgets groups without alerts.
    pub(crate) fn remove_empty(&mut self) {
        let empty: Vec<GroupId> = self
            .groups
            .iter()
            .filter(|(_, group)| group.alerts.is_empty() && !group.in_flight)
            .map(|(id, _)| *id)
            .collect();
        for id in empty {
            if let Some(group) = self.groups.remove(&id) {
                self.due.remove(&(group.due_ms, id));
                self.ids.remove(&(group.route, group.labels));
            }
        }
    }

    /// All groups, by their labels and receivers.
    pub(crate) fn groups(&self) -> Vec<GroupView> {
        let view = |group: &Group| GroupView {
            options: Arc::clone(&group.options),
            labels: group.labels.clone(),
            alerts: group.alerts.values().cloned().collect(),
        };
        let mut groups: Vec<GroupView> = self.groups.values().map(view).collect();
        groups.sort_by(|a, b| {
            before(&a.labels, &b.labels).then_with(|| a.options.receiver.cmp(&b.options.receiver))
        });
        groups
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }
}

/// Alerts in a notification: by job, by instance, then by labels.
fn order(a: &Labels, b: &Labels) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    for name in ["job", "instance"] {
        let by_label = match (a.get(name), b.get(name)) {
            (None, None) => Equal,
            (None, Some(_)) => Greater,
            (Some(_), None) => Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        if by_label != Equal {
            return by_label;
        }
    }
    before(a, b)
}

/// Fewer labels first, then by names and values.
fn before(a: &Labels, b: &Labels) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().cmp(b.iter()))
}

#[cfg(test)]
mod tests;
