//! Names metrics and collects them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::counter::Counter;
use crate::encode::{Format, encode};
use crate::family::{Collect, Family, FamilyCore, Metric};
use crate::gauge::Gauge;
use crate::histogram::{Buckets, Histogram};
use crate::snapshot::{FamilySnapshot, Kind, SeriesSnapshot, Value};

/// Why a metric cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Its name is none.
    #[error("{0:?} is no name of a metric: letters, digits, `_` and `:`, and no digit in front")]
    Name(String),
    /// A label's name is none.
    #[error(
        "{0:?} is no name of a label of yours: letters, digits and `_`, no digit in front, not `le`, nor `__` in front"
    )]
    Label(String),
    /// The name is taken.
    #[error("a metric {0:?} is registered already: keep it and clone it, or choose another name")]
    Taken(String),
}

/// Names metrics and collects them. A clone is the same registry.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    families: RwLock<BTreeMap<String, Arc<dyn Collect>>>,
    refused: Arc<AtomicU64>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter. Its name ends in `_total`; if it does not, that is added.
    ///
    /// # Errors
    /// If the name is none or taken, as for all others.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, RegisterError> {
        Ok(self.counter_family(name, help, [])?.with([]))
    }

    /// A gauge.
    ///
    /// # Errors
    /// If the name is none or taken.
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, RegisterError> {
        Ok(self.gauge_family(name, help, [])?.with([]))
    }

    /// A histogram.
    ///
    /// # Errors
    /// If the name is none or taken.
    pub fn histogram(&self, name: &str, help: &str, buckets: Buckets) -> Result<Histogram, RegisterError> {
        Ok(self.histogram_family(name, help, [], buckets)?.with([]))
    }

    /// A counter for each label set.
    ///
    /// # Errors
    /// If a name is none, or taken.
    pub fn counter_family<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> Result<Family<Counter, N>, RegisterError> {
        self.family(name, help, labels, Kind::Counter, Counter::new)
    }

    /// A gauge for each label set.
    ///
    /// # Errors
    /// If a name is none, or taken.
    pub fn gauge_family<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> Result<Family<Gauge, N>, RegisterError> {
        self.family(name, help, labels, Kind::Gauge, Gauge::new)
    }

    /// A histogram for each label set.
    ///
    /// # Errors
    /// If a name is none, or taken.
    pub fn histogram_family<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        buckets: Buckets,
    ) -> Result<Family<Histogram, N>, RegisterError> {
        self.family(name, help, labels, Kind::Histogram, move || Histogram::new(&buckets))
    }

    fn family<M: Metric, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        kind: Kind,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Family<M, N>, RegisterError> {
        for label in labels {
            if !is_label_name(label) {
                return Err(RegisterError::Label(label.to_owned()));
            }
        }
        Ok(Family::new(self.core(name, help, kind, make)?, labels))
    }

    /// A family whose series may have any labels.
    pub(crate) fn core<M: Metric>(
        &self,
        name: &str,
        help: &str,
        kind: Kind,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Arc<FamilyCore<M>>, RegisterError> {
        if !is_metric_name(name) {
            return Err(RegisterError::Name(name.to_owned()));
        }
        let name = if kind == Kind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let mut families = self.0.families.write();
        if families.contains_key(name) || name == REFUSED {
            return Err(RegisterError::Taken(name.to_owned()));
        }
        let core = Arc::new(FamilyCore::new(name.to_owned(), help, kind, Arc::clone(&self.0.refused), make));
        let collected: Arc<dyn Collect> = Arc::clone(&core) as Arc<dyn Collect>;
        families.insert(name.to_owned(), collected);
        Ok(core)
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> String {
        // The text format is UTF-8 by construction.
        String::from_utf8(self.encode(Format::Text)).expect("text is UTF-8")
    }

    /// Everything, in the format that was asked for (see [`Format::negotiate`]), for a server of your own.
    pub fn encode(&self, format: Format) -> Vec<u8> {
        encode(&self.collect(), format)
    }

    fn collect(&self) -> Vec<FamilySnapshot> {
        let families: Vec<_> = self.0.families.read().values().cloned().collect();
        let mut collected: Vec<_> = families.iter().map(|family| family.collect()).collect();
        let refused = self.0.refused.load(Ordering::Relaxed);
        if refused > 0 {
            collected.push(FamilySnapshot {
                name: REFUSED.to_owned(),
                help: "How often a label set beyond the bound of its family was asked for.".to_owned(),
                kind: Kind::Counter,
                series: vec![SeriesSnapshot {
                    labels: Vec::new(),
                    value: Value::Counter { value: refused as f64, created_ms: 0, exemplar: None },
                }],
            });
        }
        collected
    }
}

/// The metric of the library itself, without `_total`.
const REFUSED: &str = "kymo_client_label_sets_refused";

pub(crate) fn is_metric_name(name: &str) -> bool {
    is_name(name, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

pub(crate) fn is_label_name(name: &str) -> bool {
    is_name(name, |c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with("__") && name != "le"
}

fn is_name(name: &str, belongs: impl Fn(char) -> bool) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(belongs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_taken_once() {
        let registry = Registry::new();
        for bad in ["", "9lives", "a-b", "ü"] {
            assert_eq!(registry.gauge(bad, "").err(), Some(RegisterError::Name(bad.to_owned())));
        }
        for bad in ["", "a:b", "le", "__name__"] {
            assert_eq!(
                registry.gauge_family("a", "", [bad]).err(),
                Some(RegisterError::Label(bad.to_owned()))
            );
        }
        registry.counter("jobs", "").expect("a counter");
        assert_eq!(registry.counter("jobs_total", "").err(), Some(RegisterError::Taken("jobs".to_owned())));
    }
}
