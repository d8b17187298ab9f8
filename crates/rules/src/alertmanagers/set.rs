//! The Alertmanagers of one element of `alertmanagers`, as discovery and relabelling yield them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use discovery::group::ADDRESS_LABEL;
use discovery::{Snapshot, TargetGroup};
use http_client::{Client, Url};
use model::{Labels, LabelsBuilder, relabel};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::target::Target;
use super::{SetSettings, Shared};
use crate::sink::SentAlert;

const SCHEME_LABEL: &str = "__scheme__";
const PATH_LABEL: &str = "__alerts_path__";
const API_PATH: &str = "api/v2/alerts";

/// Alertmanagers that share their settings.
pub(super) struct Set {
    settings: SetSettings,
    client: Arc<Client>,
    shared: Arc<Shared>,
    found: RwLock<Found>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Found {
    /// By URL.
    targets: BTreeMap<String, Arc<Target>>,
    dropped: BTreeSet<String>,
}

impl Set {
    /// Begins to follow discovery.
    pub(super) fn start(shared: &Arc<Shared>, settings: SetSettings, client: Arc<Client>) -> Arc<Self> {
        let stop = shared.stop.child_token();
        let shared = Arc::clone(shared);
        let set = Arc::new(Self { settings, client, shared, found: RwLock::default(), stop });
        set.shared.tasks.spawn_on(Arc::clone(&set).follow(), &set.shared.runtime);
        set
    }

    pub(super) fn settings(&self) -> &SetSettings {
        &self.settings
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn send(&self, alerts: &[Arc<SentAlert>]) {
        for target in self.found.read().targets.values() {
            target.add(alerts);
        }
    }

    pub(super) fn active(&self) -> Vec<String> {
        self.found.read().targets.keys().cloned().collect()
    }

    pub(super) fn dropped(&self) -> Vec<String> {
        self.found.read().dropped.iter().cloned().collect()
    }

    async fn follow(self: Arc<Self>) {
        let mut discovery = discovery::start(&self.settings.section.discovery, &self.shared.discovery);
        loop {
            self.sync(&discovery.current());
            tokio::select! {
                () = discovery.changed() => {}
                () = self.stop.cancelled() => break,
            }
        }
        // Each sends what it has, and ends by itself.
        let gone = std::mem::take(&mut self.found.write().targets);
        self.shared.metrics.discovered.sub(i64::try_from(gone.len()).unwrap_or(i64::MAX));
    }

    /// Makes the targets be those that discovery yields now. Those that stay keep their queues.
    fn sync(&self, snapshot: &Snapshot) {
        let (mut urls, mut dropped) = (BTreeSet::new(), BTreeSet::new());
        for group in snapshot.groups() {
            for labels in &group.targets {
                match self.url(group, labels) {
                    Ok((url, true)) => drop(urls.insert(url)),
                    Ok((url, false)) => drop(dropped.insert(url)),
                    Err(error) => {
                        tracing::error!(
                            group = group.source,
                            error,
                            "a discovered Alertmanager cannot be used"
                        );
                    }
                }
            }
        }
        let mut found = self.found.write();
        found.dropped = dropped;
        let before = found.targets.len();
        found.targets.retain(|url, target| {
            let stays = urls.contains(url);
            if !stays {
                target.stop();
            }
            stays
        });
        for url in urls {
            let Entry::Vacant(place) = found.targets.entry(url) else { continue };
            let (url, stop) = (place.key(), self.stop.child_token());
            match Target::start(&self.shared, &self.client, url, self.settings.timeout, stop) {
                Ok(target) => {
                    place.insert(target);
                }
                Err(error) => tracing::error!(url, error, "a discovered Alertmanager cannot be used"),
            }
        }
        let change = found.targets.len() as i64 - before as i64;
        self.shared.metrics.discovered.add(change);
    }

    /// The URL of a discovered Alertmanager, and whether it is to get alerts.
    fn url(&self, group: &TargetGroup, own: &Labels) -> Result<(String, bool), String> {
        let mut builder = LabelsBuilder::new();
        builder.set(SCHEME_LABEL, &self.settings.scheme);
        builder.set(PATH_LABEL, &path(&self.settings.path_prefix));
        for (name, value) in group.labels.iter().chain(own) {
            builder.set(name, value);
        }
        let before = builder.build();
        let keep = relabel::apply(&self.settings.relabel, &mut builder);
        let labels = if keep { builder.build() } else { before };
        let get = |name: &str| labels.get(name).unwrap_or_default();
        let address = get(ADDRESS_LABEL);
        if address.is_empty() || address.contains('/') {
            return Err(format!("{address:?} is not a valid hostname"));
        }
        let url = format!("{}://{address}{}", get(SCHEME_LABEL), get(PATH_LABEL));
        Url::parse(&url).map_err(|error| format!("{url}: {error}"))?;
        Ok((url, keep))
    }
}

/// Where alerts are taken, below a prefix.
fn path(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => format!("/{API_PATH}"),
        prefix => format!("/{prefix}/{API_PATH}"),
    }
}
