//! All objects that are known, and the groups made of them.
//!
//! A group is made of one object and of those it refers to (a pod's node, an endpoint's pod and service). While it is
//! made, each look at another object is noted; when that object changes, the group is made anew. Many changes that
//! come together make each group once, and are published together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::objects::{Key, Kind, Object};
use super::reflector::{Event, Scope, Told};
use super::{Attach, Role, targets};
use crate::group::TargetGroup;
use crate::place::{Publisher, Shared};

/// Changes that come this close together are published together.
const SETTLE: Duration = Duration::from_secs(1);

/// The objects, and the looks at them.
#[derive(Debug, Default)]
pub(super) struct Objects {
    known: BTreeMap<(Kind, Key), Object>,
    /// What was looked at since the last reset, whether it was there or not.
    looked_at: HashSet<(Kind, Key)>,
}

impl Objects {
    /// Finds another object, and notes that it was looked for.
    pub(super) fn find(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        let key = (kind, Key::new(namespace, name));
        self.looked_at.insert(key.clone());
        self.known.get(&key)
    }

    #[cfg(test)]
    pub(super) fn insert(&mut self, kind: Kind, object: Object) {
        self.known.insert((kind, object.key()), object);
    }
}

/// See the module.
pub(super) struct Store {
    role: Role,
    attach: Attach,
    shared: Shared,
    publisher: Publisher,
    objects: Objects,
    groups: BTreeMap<Key, TargetGroup>,
    /// By object, the groups that looked at it.
    users: HashMap<(Kind, Key), BTreeSet<Key>>,
    /// By group, what it looked at.
    uses: HashMap<Key, HashSet<(Kind, Key)>>,
    /// Groups to be made anew.
    dirty: BTreeSet<Key>,
    /// Scopes that have not been listed yet.
    unlisted: Vec<Scope>,
    failing: Vec<(Scope, String)>,
}

impl Store {
    pub(super) fn new(
        role: Role,
        attach: Attach,
        scopes: Vec<Scope>,
        shared: Shared,
        publisher: Publisher,
    ) -> Self {
        Self {
            role,
            attach,
            shared,
            publisher,
            objects: Objects::default(),
            groups: BTreeMap::new(),
            users: HashMap::new(),
            uses: HashMap::new(),
            dirty: BTreeSet::new(),
            unlisted: scopes,
            failing: Vec::new(),
        }
    }

    /// Takes changes until nobody sends any.
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<Told>) {
        let mut publish_at: Option<Instant> = None;
        loop {
            let due = publish_at.filter(|_| self.unlisted.is_empty());
            tokio::select! {
                told = events.recv() => {
                    let Some((scope, event)) = told else { return };
                    let first = !self.unlisted.is_empty();
                    if self.take(&scope, event) {
                        // The first targets do not wait.
                        let settle = if first { Duration::ZERO } else { SETTLE };
                        publish_at.get_or_insert_with(|| Instant::now() + settle);
                    }
                }
                () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    publish_at = None;
                    self.publish();
                }
            }
        }
    }

    /// Whether there is anything to publish.
    fn take(&mut self, scope: &Scope, event: Event) -> bool {
        let kind = scope.kind;
        match event {
            Event::All(objects) => {
                self.unlisted.retain(|unlisted| unlisted != scope);
                self.recovered(scope);
                let keys: HashSet<Key> = objects.iter().map(Object::key).collect();
                let is_within = |key: &Key| scope.namespace.is_empty() || key.namespace == scope.namespace;
                let gone = self.objects.known.keys().filter(|(of, key)| *of == kind && is_within(key));
                let gone: Vec<Key> =
                    gone.filter(|(_, key)| !keys.contains(key)).map(|(_, key)| key.clone()).collect();
                gone.into_iter().for_each(|key| self.gone(kind, key));
                objects.into_iter().for_each(|object| self.changed(kind, object));
                return true;
            }
            Event::Changed(object) => self.changed(kind, object),
            Event::Gone(key) => self.gone(kind, key),
            Event::Works => self.recovered(scope),
            Event::Fails(reason) => {
                self.failing.retain(|(failing, _)| failing != scope);
                self.failing.push((scope.clone(), reason));
                self.report();
            }
        }
        !self.dirty.is_empty()
    }

    fn recovered(&mut self, scope: &Scope) {
        self.failing.retain(|(failing, _)| failing != scope);
        self.report();
    }

    fn report(&mut self) {
        match self.failing.first() {
            Some((_, reason)) => self.publisher.failed(reason),
            None => self.publisher.recovered(),
        }
    }

    fn changed(&mut self, kind: Kind, object: Object) {
        let key = (kind, object.key());
        let before = self.objects.known.get(&key);
        if before == Some(&object) {
            return;
        }
        self.count(kind, if before.is_some() { "update" } else { "add" });
        self.objects.known.insert(key.clone(), object);
        self.touched(key);
    }

    fn gone(&mut self, kind: Kind, key: Key) {
        let key = (kind, key);
        if self.objects.known.remove(&key).is_some() {
            self.count(kind, "delete");
            self.touched(key);
        }
    }

    fn count(&self, kind: Kind, event: &str) {
        let (_, plural) = kind.path();
        self.shared.metrics.kubernetes_events.with_label_values(&[plural, event]).inc();
    }

    fn touched(&mut self, key: (Kind, Key)) {
        self.dirty.extend(self.users.get(&key).into_iter().flatten().cloned());
        if key.0 == self.role.kind() {
            self.dirty.insert(key.1);
        }
    }

    fn publish(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            self.make(key);
        }
        self.publisher.set(self.groups.values().cloned().collect());
    }

    fn make(&mut self, key: Key) {
        for used in self.uses.remove(&key).into_iter().flatten() {
            if let Some(users) = self.users.get_mut(&used) {
                users.remove(&key);
                if users.is_empty() {
                    self.users.remove(&used);
                }
            }
        }
        let primary = (self.role.kind(), key.clone());
        // Taken out while it is looked at, so that the others can be noted.
        let Some(object) = self.objects.known.remove(&primary) else {
            self.groups.remove(&key);
            return;
        };
        self.objects.looked_at.clear();
        let group = targets::group(&object, self.attach, &mut self.objects);
        self.objects.known.insert(primary, object);
        match group {
            Some(group) => self.groups.insert(key.clone(), group),
            None => self.groups.remove(&key),
        };
        let uses = std::mem::take(&mut self.objects.looked_at);
        for used in &uses {
            self.users.entry(used.clone()).or_default().insert(key.clone());
        }
        self.uses.insert(key, uses);
    }
}
