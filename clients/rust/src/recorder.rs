//! Takes what programs and libraries measure through the `metrics` facade.
//!
//! ```
//! use kymo_client::{Registry, recorder::Recorder};
//!
//! let registry = Registry::new();
//! Recorder::new(registry.clone()).install().expect("no other recorder");
//! metrics::counter!("jobs.done", "queue" => "mail").increment(1);
//! assert!(registry.text().contains("jobs_done_total{queue=\"mail\"} 1\n"));
//! ```
//!
//! Names take the form that scrapers know (`jobs.done` is `jobs_done`). A name that two kinds of metric share, or that the
//! program registered itself, is measured but not shown for whoever came second; `kymo_client_facade_conflicts_total`
//! counts these.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::{
    CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, SetRecorderError, SharedString, Unit,
};
use parking_lot::Mutex;

use crate::counter::Counter;
use crate::family::{FamilyCore, Labels, Metric};
use crate::gauge::Gauge;
use crate::histogram::{Buckets, Histogram};
use crate::registry::Registry;
use crate::snapshot::Kind;

/// Records into a registry.
pub struct Recorder {
    registry: Registry,
    buckets: Buckets,
    conflicts: Counter,
    known: Box<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    help: HashMap<String, String>,
    counters: HashMap<String, Arc<FamilyCore<Counter>>>,
    gauges: HashMap<String, Arc<FamilyCore<Gauge>>>,
    histograms: HashMap<String, Arc<FamilyCore<Histogram>>>,
}

impl Recorder {
    /// A recorder with native histograms.
    pub fn new(registry: Registry) -> Self {
        let conflicts = registry
            .counter("kymo_client_facade_conflicts_total", "Metrics of the facade whose name was taken.")
            // Registered by another recorder of this registry: then both count in places of their own.
            .unwrap_or_else(|_| Counter::new());
        Self { registry, buckets: Buckets::native(), conflicts, known: Box::default() }
    }

    /// With these buckets in every histogram.
    #[must_use]
    pub fn with_buckets(mut self, buckets: Buckets) -> Self {
        self.buckets = buckets;
        self
    }

    /// Makes it the recorder of the program.
    ///
    /// # Errors
    /// If there is one already.
    pub fn install(self) -> Result<(), SetRecorderError<Self>> {
        metrics::set_global_recorder(self)
    }

    fn describe(&self, name: &str, description: SharedString) {
        self.known.lock().help.insert(sanitised(name), description.into_owned());
    }

    /// The metric of `key`, in the family of its name among `families`.
    fn metric<M: Metric>(
        &self,
        key: &Key,
        kind: Kind,
        families: impl FnOnce(&mut Known) -> &mut HashMap<String, Arc<FamilyCore<M>>>,
        make: impl Fn() -> M + Clone + Send + Sync + 'static,
    ) -> M {
        let name = sanitised(key.name());
        let mut known = self.known.lock();
        let help = known.help.get(&name).cloned().unwrap_or_default();
        let families = families(&mut known);
        let core = match families.get(&name) {
            Some(core) => Arc::clone(core),
            None => match self.registry.core(&name, &help, kind, make.clone()) {
                Ok(core) => Arc::clone(families.entry(name).or_insert(core)),
                Err(_) => {
                    self.conflicts.inc();
                    return make();
                }
            },
        };
        let labels: Labels = key.labels().map(|l| (sanitised_label(l.key()), l.value().into())).collect();
        core.get_or_make(labels)
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(name.as_str(), description);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(name.as_str(), description);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(name.as_str(), description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        let counter = self.metric(key, Kind::Counter, |known| &mut known.counters, Counter::new);
        metrics::Counter::from_arc(Arc::new(counter))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        let gauge = self.metric(key, Kind::Gauge, |known| &mut known.gauges, Gauge::new);
        metrics::Gauge::from_arc(Arc::new(gauge))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        let buckets = self.buckets.clone();
        let make = move || Histogram::new(&buckets);
        let histogram = self.metric(key, Kind::Histogram, |known| &mut known.histograms, make);
        metrics::Histogram::from_arc(Arc::new(histogram))
    }
}

impl CounterFn for Counter {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, value: u64) {
        self.raise_to(value);
    }
}

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        Gauge::set(self, value);
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        self.observe(value);
    }
}

/// A name that every scraper takes.
fn sanitised(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | ':') { c } else { '_' }),
    );
    out
}

fn sanitised_label(name: &str) -> Box<str> {
    let name = sanitised(name).replace(':', "_");
    // Both have a meaning of their own.
    if name == "le" || name.starts_with("__") { format!("label_{name}").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, describe_counter, gauge, histogram, with_local_recorder};

    use super::*;

    #[test]
    fn what_the_facade_measures_is_collected() {
        let registry = Registry::new();
        let recorder = Recorder::new(registry.clone()).with_buckets(Buckets::Classic(vec![1.0]));
        with_local_recorder(&recorder, || {
            describe_counter!("http.requests", "Requests.");
            counter!("http.requests", "code" => "200", "le" => "x").increment(2);
            counter!("http.requests", "code" => "500").absolute(7);
            gauge!("queue depth").increment(3.0);
            gauge!("queue depth").decrement(1.0);
            histogram!("took").record(0.5);
            // The name is taken by another kind.
            gauge!("took").set(1.0);
        });
        let text = registry.text();
        for line in [
            "# HELP http_requests_total Requests.\n",
            "http_requests_total{code=\"200\",label_le=\"x\"} 2\n",
            "http_requests_total{code=\"500\"} 7\n",
            "queue_depth 2\n",
            "took_bucket{le=\"1\"} 1\n",
            "kymo_client_facade_conflicts_total 1\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
