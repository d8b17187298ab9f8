//! One metric for several label sets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::counter::Counter;
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::snapshot::{FamilySnapshot, Kind, SeriesSnapshot, Value};

/// The value of every label of the series that counts what is beyond a family's bound.
pub const OTHER: &str = "other";

/// How many label sets a family has unless told otherwise.
pub(crate) const LABEL_SETS_MAX: usize = 1_000;

pub(crate) type Labels = Box<[(Box<str>, Box<str>)]>;

/// What a family holds one of for each label set.
pub(crate) trait Metric: Clone + Send + Sync + 'static {
    fn read(&self) -> Value;
}

impl Metric for Counter {
    fn read(&self) -> Value {
        self.value()
    }
}

impl Metric for Gauge {
    fn read(&self) -> Value {
        self.value()
    }
}

impl Metric for Histogram {
    fn read(&self) -> Value {
        self.value()
    }
}

/// A named metric with all of its series, whichever their labels.
pub(crate) struct FamilyCore<M> {
    pub(crate) name: String,
    pub(crate) help: RwLock<String>,
    pub(crate) kind: Kind,
    make: Box<dyn Fn() -> M + Send + Sync>,
    series: RwLock<HashMap<Labels, M>>,
    label_sets_max: AtomicUsize,
    /// How often a label set was asked for beyond the bound; shared by all families of a registry.
    refused: Arc<AtomicU64>,
}

impl<M: Metric> FamilyCore<M> {
    pub(crate) fn new(
        name: String,
        help: &str,
        kind: Kind,
        refused: Arc<AtomicU64>,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            help: RwLock::new(help.to_owned()),
            kind,
            make: Box::new(make),
            series: RwLock::default(),
            label_sets_max: AtomicUsize::new(LABEL_SETS_MAX),
            refused,
        }
    }

    /// The metric of these labels; beyond the bound, the one for all others.
    pub(crate) fn get_or_make(&self, labels: Labels) -> M {
        if let Some(metric) = self.series.read().get(&labels) {
            return metric.clone();
        }
        let mut series = self.series.write();
        // The one for all others does not count.
        if series.len() < self.label_sets_max.load(Ordering::Relaxed) || series.contains_key(&labels) {
            return series.entry(labels).or_insert_with(|| (self.make)()).clone();
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let other = labels.into_iter().map(|(name, _)| (name, OTHER.into())).collect();
        series.entry(other).or_insert_with(|| (self.make)()).clone()
    }

    fn remove(&self, labels: &Labels) -> bool {
        self.series.write().remove(labels).is_some()
    }
}

/// What a registry collects from a family, whatever is in it.
pub(crate) trait Collect: Send + Sync {
    fn collect(&self) -> FamilySnapshot;
}

impl<M: Metric> Collect for FamilyCore<M> {
    fn collect(&self) -> FamilySnapshot {
        let owned = |(name, value): &(Box<str>, Box<str>)| (name.to_string(), value.to_string());
        // Metrics are cloned (a count up each) and read after the lock is gone.
        let held: Vec<_> =
            self.series.read().iter().map(|(labels, metric)| (labels.clone(), metric.clone())).collect();
        let mut series: Vec<_> = held
            .into_iter()
            .map(|(labels, metric)| SeriesSnapshot {
                labels: labels.iter().map(owned).collect(),
                value: metric.read(),
            })
            .collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        FamilySnapshot { name: self.name.clone(), help: self.help.read().clone(), kind: self.kind, series }
    }
}

/// One metric for several label sets, with `N` labels.
///
/// There are at most 1,000 label sets ([`Family::limit`]): what comes beyond is counted together, in the series whose labels
/// all have the value [`OTHER`], and `kymo_client_label_sets_refused_total` counts how often that happened. So a label
/// that takes user names or addresses by mistake costs a series, not the monitoring.
pub struct Family<M, const N: usize> {
    core: Arc<FamilyCore<M>>,
    names: [Box<str>; N],
}

impl<M, const N: usize> Clone for Family<M, N> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), names: self.names.clone() }
    }
}

#[expect(private_bounds, reason = "nobody else can make metrics")]
impl<M: Metric, const N: usize> Family<M, N> {
    pub(crate) fn new(core: Arc<FamilyCore<M>>, names: [&str; N]) -> Self {
        Self { core, names: names.map(Box::from) }
    }

    /// The metric of these label values, in the order of the family's label names. Takes a read lock and looks it up:
    /// on hot paths, look up once and keep what is returned.
    pub fn with(&self, values: [&str; N]) -> M {
        self.core.get_or_make(self.labels(values))
    }

    /// Forgets a label set, and whether there was one. Who still holds the metric may use it; nobody collects it.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.core.remove(&self.labels(values))
    }

    /// Changes how many label sets there may be. What is there stays.
    #[must_use]
    pub fn limit(self, label_sets_max: usize) -> Self {
        self.core.label_sets_max.store(label_sets_max, Ordering::Relaxed);
        self
    }

    fn labels(&self, values: [&str; N]) -> Labels {
        self.names.iter().cloned().zip(values.map(Box::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn label_sets_beyond_the_bound_are_counted_together() {
        let registry = Registry::new();
        let family = registry.counter_family("calls_total", "Calls.", ["user"]).expect("a family").limit(2);
        for user in ["a", "b", "c", "d", "a"] {
            family.with([user]).inc();
        }
        let text = registry.text();
        for line in [
            "calls_total{user=\"a\"} 2\n",
            "calls_total{user=\"b\"} 1\n",
            "calls_total{user=\"other\"} 2\n",
            "kymo_client_label_sets_refused_total 2\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn what_is_removed_is_not_collected() {
        let registry = Registry::new();
        let family = registry.gauge_family("depth", "Depth.", ["queue"]).expect("a family");
        family.with(["a"]).set(1.0);
        assert!(family.remove(["a"]));
        assert!(!family.remove(["a"]));
        assert!(!registry.text().contains("queue"));
    }
}
