//! A small in-memory engine: the reference that tests and the PromQL script runner use, and the oracle of
//! the simulator. Simple on purpose; it keeps every promise of the seam except durability.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::matcher::matches_all;
use model::{Exemplar, FloatHistogram, Labels, LabelsRef, METRIC_NAME, Matcher, Metadata, TenantId};
use parking_lot::RwLock;

use crate::{
    Appended, Appender, ChangeLog, Changes, Durability, Error, Estimate, LabelRequest, Querier, QueryContext,
    RejectReason, Rejected, SelectRequest, SeriesExemplars, SeriesSamples, SeriesSet, WriteBatch,
};

/// Holds everything in maps.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    tenants: RwLock<BTreeMap<TenantId, Tenant>>,
}

#[derive(Debug, Default)]
struct Tenant {
    series: BTreeMap<Labels, Series>,
    metadata: BTreeMap<String, Vec<Metadata>>,
    changes: ChangeLog,
}

#[derive(Debug, Default, Clone)]
struct Series {
    samples: BTreeMap<i64, Sample>,
    exemplars: Vec<Exemplar>,
}

/// A value and when its counter began.
#[derive(Debug, Clone)]
struct Sample {
    value: Value,
    start_ms: i64,
}

#[derive(Debug, Clone)]
enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Sample {
    fn same(&self, other: &Self) -> bool {
        let same_value = match (&self.value, &other.value) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Histogram(a), Value::Histogram(b)) => a.same_bits(b),
            _ => false,
        };
        same_value && self.start_ms == other.start_ms
    }
}

impl MemoryStorage {
    /// Without any series.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.tenants.write().clear();
    }
}

impl Appender for MemoryStorage {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let mut tenants = self.tenants.write();
        let tenant = tenants.entry(tenant.clone()).or_default();
        let mut appended = Appended {
            accepted_count: 0,
            duplicate_count: 0,
            created_series_count: 0,
            exemplar_count: 0,
            rejected: Vec::new(),
            durable: Durability::done(),
        };
        let starts = batch.float_starts();
        let floats = batch.floats().enumerate().map(|(at, (series, t, v))| {
            (series, t, Sample { value: Value::Float(v), start_ms: starts.get(at) })
        });
        let histograms = batch.histograms().iter().map(|h| {
            let value = Value::Histogram(Arc::new(h.histogram.clone()));
            (h.series, h.timestamp_ms, Sample { value, start_ms: h.start_ms })
        });
        let mut packed = String::new();
        let mut oldest_ms = i64::MAX;
        for (series, timestamp_ms, sample) in floats.chain(histograms) {
            let labels =
                batch.labels(series).decode(&mut packed).ok().filter(|l| l.get(METRIC_NAME).is_some());
            let Some(labels) = labels.map(LabelsRef::to_labels) else {
                appended.rejected.push(Rejected {
                    series,
                    timestamp_ms,
                    reason: RejectReason::InvalidLabels,
                });
                continue;
            };
            let entry = tenant.series.entry(labels).or_insert_with(|| {
                appended.created_series_count += 1;
                Series::default()
            });
            appended.accepted_count += 1;
            oldest_ms = oldest_ms.min(timestamp_ms);
            match entry.samples.insert(timestamp_ms, sample.clone()) {
                Some(before) if before.same(&sample) => appended.duplicate_count += 1,
                _ => {}
            }
        }
        for item in batch.exemplars() {
            let labels = batch.labels(item.series).decode(&mut packed).map(LabelsRef::to_labels);
            if let Ok(labels) = labels
                && let Some(series) = tenant.series.get_mut(&labels)
            {
                appended.exemplar_count += 1;
                if !series.exemplars.contains(&item.exemplar) {
                    series.exemplars.push(item.exemplar.clone());
                    series.exemplars.sort_by_key(|e| e.timestamp_ms);
                }
            }
        }
        for (metric, metadata) in batch.metadata() {
            let known = tenant.metadata.entry(metric.clone()).or_default();
            if !known.contains(metadata) {
                known.push(metadata.clone());
            }
        }
        if appended.accepted_count > 0 {
            tenant.changes.touch(oldest_ms);
        }
        Ok(appended)
    }
}

impl Querier for MemoryStorage {
    fn select(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        context.cancel.check()?;
        let tenants = self.tenants.read();
        let mut series = Vec::new();
        for (labels, found) in tenants.get(tenant).into_iter().flat_map(|t| &t.series) {
            if !matches_all(request.matchers, labels) || request.start_ms > request.end_ms {
                continue;
            }
            let samples: BTreeMap<i64, Sample> = found
                .samples
                .range(request.start_ms..=request.end_ms)
                .map(|(t, v)| (*t, v.clone()))
                .collect();
            if !samples.is_empty() {
                series.push((labels.clone(), samples));
            }
            if request.hints.series_max > 0 && series.len() == request.hints.series_max {
                break;
            }
        }
        Ok(Box::new(Selected { series }))
    }

    fn estimate(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Estimate, Error> {
        let set = self.select(tenant, request, context)?;
        let mut samples = SeriesSamples::default();
        let mut estimate = Estimate { series_count: set.len() as u64, sample_count: 0 };
        for at in 0..set.len() {
            set.read(at, &mut samples)?;
            estimate.sample_count += samples.len() as u64;
        }
        Ok(estimate)
    }

    fn estimate_at_hand(&self, tenant: &TenantId, request: &SelectRequest<'_>) -> Option<Estimate> {
        self.estimate(tenant, request, &QueryContext::unlimited()).ok()
    }

    fn label_names(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        context.cancel.check()?;
        let mut names = BTreeSet::new();
        self.for_each_series(tenant, request, |labels| {
            names.extend(labels.iter().map(|(name, _)| name.to_owned()));
        });
        Ok(limited(names, request.limit))
    }

    fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        context.cancel.check()?;
        let mut values = BTreeSet::new();
        self.for_each_series(tenant, request, |labels| values.extend(labels.get(name).map(str::to_owned)));
        Ok(limited(values, request.limit))
    }

    fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        let tenants = self.tenants.read();
        let all = tenants.get(tenant).map(|t| t.metadata.clone()).unwrap_or_default();
        Ok(match metric {
            None => all,
            Some(metric) => all.into_iter().filter(|(name, _)| name == metric).collect(),
        })
    }

    fn exemplars(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        let tenants = self.tenants.read();
        let mut found = Vec::new();
        for (labels, series) in tenants.get(tenant).into_iter().flat_map(|t| &t.series) {
            if !matcher_sets.iter().any(|matchers| matches_all(matchers, labels)) {
                continue;
            }
            let inside = |e: &&Exemplar| e.timestamp_ms.is_some_and(|t| (start_ms..=end_ms).contains(&t));
            let exemplars: Vec<Exemplar> = series.exemplars.iter().filter(inside).cloned().collect();
            if !exemplars.is_empty() {
                found.push(SeriesExemplars { labels: labels.clone(), exemplars });
            }
        }
        Ok(found)
    }

    fn changes(&self, tenant: &TenantId, since: u64) -> Option<Changes> {
        let tenants = self.tenants.read();
        Some(tenants.get(tenant).map_or_else(|| ChangeLog::default().since(0), |t| t.changes.since(since)))
    }
}

impl MemoryStorage {
    fn for_each_series(&self, tenant: &TenantId, request: &LabelRequest<'_>, mut visit: impl FnMut(&Labels)) {
        let tenants = self.tenants.read();
        for (labels, series) in tenants.get(tenant).into_iter().flat_map(|t| &t.series) {
            let wanted = request.matcher_sets.is_empty()
                || request.matcher_sets.iter().any(|matchers| matches_all(matchers, labels));
            let in_range = request.start_ms <= request.end_ms
                && series.samples.range(request.start_ms..=request.end_ms).next().is_some();
            if wanted && in_range {
                visit(labels);
            }
        }
    }
}

fn limited(sorted: BTreeSet<String>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    sorted.into_iter().take(limit).collect()
}

#[derive(Debug)]
struct Selected {
    series: Vec<(Labels, BTreeMap<i64, Sample>)>,
}

impl SeriesSet for Selected {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self.series[at].0
    }

    fn read(&self, at: usize, into: &mut SeriesSamples) -> Result<(), Error> {
        into.clear();
        for (timestamp_ms, sample) in &self.series[at].1 {
            match &sample.value {
                Value::Float(value) => into.floats.push_since(*timestamp_ms, *value, sample.start_ms),
                Value::Histogram(histogram) => {
                    into.histograms.push_since(*timestamp_ms, Arc::clone(histogram), sample.start_ms);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_conforms() {
        let make = || {
            let storage = MemoryStorage::new();
            crate::conformance::Engine {
                appender: storage.clone(),
                querier: storage,
                settle: Box::new(|| {}),
            }
        };
        crate::conformance::run(&make);
    }
}
