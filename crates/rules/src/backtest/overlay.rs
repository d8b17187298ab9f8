//! What the rules of a backtest write, in front of what is stored: from the first evaluation on it hides stored series of the same
//! names, which an older version of the rules may have written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::matcher::{fixed_metric_name, matches_all};
use model::{FloatHistogram, Labels, LabelsRef, METRIC_NAME, Matcher, Metadata, TenantId};
use parking_lot::{Mutex, RwLock};
use stdx::memory::{Budget, Reservation};
use storage::{
    Appended, Appender, Durability, Error, ErrorKind, Estimate, LabelRequest, Querier, QueryContext,
    SelectRequest, SeriesExemplars, SeriesSamples, SeriesSet, WriteBatch,
};

/// A timestamp and a value, with what vectors keep in reserve.
const SAMPLE_BYTES: u64 = 32;
/// A series without its samples, roughly.
const SERIES_BYTES: u64 = 512;

/// Samples of a series, in order of time.
#[derive(Debug, Default, Clone)]
struct Column {
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// Series of one metric.
type Series = BTreeMap<Labels, Arc<Column>>;

/// Stored series, and in front of them those that rules of a backtest write.
pub(super) struct Overlay {
    base: Arc<dyn Querier>,
    /// Metrics that the rules write.
    names: BTreeSet<String>,
    /// From when on.
    from_ms: i64,
    written: RwLock<BTreeMap<String, Series>>,
    memory: Mutex<Reservation>,
}

impl Overlay {
    pub(super) fn new(
        base: Arc<dyn Querier>,
        names: BTreeSet<String>,
        from_ms: i64,
        budget: &Arc<Budget>,
    ) -> Self {
        let memory = Mutex::new(budget.reserve_none());
        Self { base, names, from_ms, written: RwLock::default(), memory }
    }

    /// Adds samples to a series, later than those that it has.
    pub(super) fn extend(
        &self,
        labels: &Labels,
        floats: impl IntoIterator<Item = (i64, f64)>,
        histograms: impl IntoIterator<Item = (i64, Arc<FloatHistogram>)>,
    ) -> Result<(), Error> {
        let name = labels.get(METRIC_NAME).unwrap_or_default();
        let mut written = self.written.write();
        let series = written.entry(name.to_owned()).or_default();
        let mut bytes = if series.contains_key(labels) { 0 } else { SERIES_BYTES };
        let column = Arc::make_mut(series.entry(labels.clone()).or_default());
        let before = column.floats.len() + column.histograms.len();
        floats.into_iter().for_each(|(time_ms, value)| push(&mut column.floats, time_ms, value));
        histograms.into_iter().for_each(|(time_ms, value)| push(&mut column.histograms, time_ms, value));
        let more = (column.floats.len() + column.histograms.len()).saturating_sub(before);
        bytes += more as u64 * SAMPLE_BYTES;
        Ok(self.memory.lock().grow(bytes)?)
    }

    /// Series that the rules wrote.
    fn own(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<(Labels, Arc<Column>)> {
        let written = self.written.read();
        let name = fixed_metric_name(matchers);
        let metrics = written.iter().filter(|(metric, _)| name.is_none_or(|name| name == metric.as_str()));
        let mut found: Vec<(Labels, Arc<Column>)> = metrics
            .flat_map(|(_, series)| series)
            .filter(|(labels, column)| matches_all(matchers, labels) && column.touches(start_ms, end_ms))
            .map(|(labels, column)| (labels.clone(), Arc::clone(column)))
            .collect();
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn is_hidden(&self, labels: LabelsRef<'_>) -> bool {
        labels.get(METRIC_NAME).is_some_and(|name| self.names.contains(name))
    }
}

impl Column {
    fn touches(&self, start_ms: i64, end_ms: i64) -> bool {
        !within(&self.floats, start_ms, end_ms).is_empty()
            || !within(&self.histograms, start_ms, end_ms).is_empty()
    }
}

/// Adds a sample to a column. Of two at one time the last counts, as everywhere; none comes later than one behind it.
fn push<T>(column: &mut Vec<(i64, T)>, time_ms: i64, value: T) {
    match column.last_mut() {
        Some(last) if last.0 == time_ms => last.1 = value,
        Some(last) if last.0 > time_ms => {}
        _ => column.push((time_ms, value)),
    }
}

/// The part of a column in a range, inclusive.
fn within<T>(column: &[(i64, T)], start_ms: i64, end_ms: i64) -> &[(i64, T)] {
    let first = column.partition_point(|(time_ms, _)| *time_ms < start_ms);
    let end = column.partition_point(|(time_ms, _)| *time_ms <= end_ms);
    column.get(first..end).unwrap_or_default()
}

/// Whose samples a series has: at which place of the stored ones, and those of the rules.
type Sources = (Labels, Option<usize>, Option<Arc<Column>>);

struct Merged {
    base: Box<dyn SeriesSet>,
    series: Vec<Sources>,
    /// Of hidden series, stored samples end before this.
    hidden: BTreeSet<usize>,
    from_ms: i64,
    start_ms: i64,
    end_ms: i64,
}

impl SeriesSet for Merged {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self.series[at].0
    }

    fn read(&self, at: usize, into: &mut SeriesSamples) -> Result<(), Error> {
        let (_, base, own) = &self.series[at];
        into.clear();
        if let Some(base) = base {
            self.base.read(*base, into)?;
        }
        if base.is_some_and(|base| self.hidden.contains(&base)) {
            cut(into, self.from_ms);
        }
        let Some(own) = own else { return Ok(()) };
        for (time_ms, value) in within(&own.floats, self.start_ms, self.end_ms) {
            into.floats.push(*time_ms, *value);
        }
        let floats = into.floats.timestamps_ms.clone();
        let histograms = within(&own.histograms, self.start_ms, self.end_ms).iter();
        // No time is in both columns.
        for (time_ms, value) in histograms.filter(|(time_ms, _)| floats.binary_search(time_ms).is_err()) {
            into.histograms.push_since(*time_ms, Arc::clone(value), model::UNKNOWN_START_MS);
        }
        Ok(())
    }
}

/// Leaves only what is earlier.
fn cut(samples: &mut SeriesSamples, before_ms: i64) {
    let all = std::mem::take(samples);
    for (at, time_ms) in
        all.floats.timestamps_ms.iter().enumerate().filter(|(_, time_ms)| **time_ms < before_ms)
    {
        samples.floats.push_since(*time_ms, all.floats.values[at], all.floats.starts.get(at));
    }
    let histograms = all.histograms.timestamps_ms.iter().enumerate();
    for (at, time_ms) in histograms.filter(|(_, time_ms)| **time_ms < before_ms) {
        let value = Arc::clone(&all.histograms.values[at]);
        samples.histograms.push_since(*time_ms, value, all.histograms.starts.get(at));
    }
}

impl Querier for Overlay {
    fn select(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        if fixed_metric_name(request.matchers).is_some_and(|name| !self.names.contains(name)) {
            return self.base.select(tenant, request, context);
        }
        // The latest of all samples may be one that is hidden.
        let mut stored = *request;
        stored.hints.latest_only = false;
        let base = self.base.select(tenant, &stored, context)?;
        let mut own = self.own(request.matchers, request.start_ms, request.end_ms).into_iter().peekable();
        let mut merged = Merged {
            series: Vec::with_capacity(base.len()),
            hidden: BTreeSet::new(),
            from_ms: self.from_ms,
            start_ms: request.start_ms,
            end_ms: request.end_ms,
            base,
        };
        for at in 0..merged.base.len() {
            let labels = merged.base.labels(at).clone();
            while let Some((labels, column)) = own.next_if(|(own, _)| *own < labels) {
                merged.series.push((labels, None, Some(column)));
            }
            if self.is_hidden(labels.as_ref()) {
                merged.hidden.insert(at);
            }
            let same = own.next_if(|(own, _)| *own == labels).map(|(_, column)| column);
            merged.series.push((labels, Some(at), same));
        }
        merged.series.extend(own.map(|(labels, column)| (labels, None, Some(column))));
        Ok(Box::new(merged))
    }

    fn label_names(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.base.label_names(tenant, request, context)
    }

    fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.base.label_values(tenant, name, request, context)
    }

    fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        self.base.metadata(tenant, metric)
    }

    fn exemplars(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        self.base.exemplars(tenant, matcher_sets, start_ms, end_ms)
    }

    fn estimate(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Estimate, Error> {
        self.base.estimate(tenant, request, context)
    }
}

/// Of groups that are evaluated step by step: batches come in order of time.
impl Appender for Overlay {
    fn append(&self, _: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let mut packed = String::new();
        let mut labels = |series| {
            let decoded = batch.labels(series).decode(&mut packed).map(LabelsRef::to_labels);
            decoded.map_err(|_| Error::new(ErrorKind::Rejected, "a rule yields labels that are none"))
        };
        for (series, time_ms, value) in batch.floats() {
            self.extend(&labels(series)?, [(time_ms, value)], [])?;
        }
        for histogram in batch.histograms() {
            let value = Arc::new(histogram.histogram.clone());
            self.extend(&labels(histogram.series)?, [], [(histogram.timestamp_ms, value)])?;
        }
        Ok(Appended {
            accepted_count: batch.sample_count(),
            duplicate_count: 0,
            created_series_count: 0,
            exemplar_count: 0,
            rejected: Vec::new(),
            durable: Durability::done(),
        })
    }
}
