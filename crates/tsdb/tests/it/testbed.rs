//! An engine in a temporary directory that can be restarted and killed, with short ways to write and read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Exemplar, Labels, Matcher, Metadata, TenantId};
use parking_lot::RwLock;
use stdx::clock::ManualClock;
use stdx::fs::{Fs, RealFs};
use stdx::memory::Budget;
use storage::conformance::NEWEST_MS;
use storage::{
    Appended, Appender, Error, Estimate, LabelRequest, Querier, QueryContext, SelectHints, SelectRequest,
    SeriesExemplars, SeriesSamples, SeriesSet, WriteBatch,
};
use tsdb::{Deps, Settings, Tsdb};

/// See the module.
pub(crate) struct Testbed {
    /// Kept for its `Drop`; `None` if the file system is not the machine's.
    _directory: Option<tempfile::TempDir>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) fs: Arc<dyn Fs>,
    /// Of the engine.
    pub(crate) budget: Arc<Budget>,
    tsdb: RwLock<Option<Arc<Tsdb>>>,
    pub(crate) registry: RwLock<prometheus::Registry>,
}

impl Testbed {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Arc<Self> {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("data");
        Self::on(RealFs::shared(), Some(directory), path, change)
    }

    pub(crate) fn with_budget(budget: Arc<Budget>) -> Arc<Self> {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("data");
        Self::of(RealFs::shared(), Some(directory), path, budget, |_| {})
    }

    pub(crate) fn on(
        fs: Arc<dyn Fs>,
        directory: Option<tempfile::TempDir>,
        path: PathBuf,
        change: impl FnOnce(&mut Settings),
    ) -> Arc<Self> {
        Self::of(fs, directory, path, Budget::unlimited(), change)
    }

    fn of(
        fs: Arc<dyn Fs>,
        directory: Option<tempfile::TempDir>,
        path: PathBuf,
        budget: Arc<Budget>,
        change: impl FnOnce(&mut Settings),
    ) -> Arc<Self> {
        let mut settings = Settings { directory: path, ..Settings::default() };
        change(&mut settings);
        let bed = Arc::new(Self {
            _directory: directory,
            settings,
            clock: ManualClock::at(NEWEST_MS),
            fs,
            budget,
            tsdb: RwLock::new(None),
            registry: RwLock::new(prometheus::Registry::new()),
        });
        bed.start();
        bed
    }

    pub(crate) fn try_open(&self) -> Result<Arc<Tsdb>, Error> {
        let registry = prometheus::Registry::new();
        *self.registry.write() = registry.clone();
        let deps = Deps {
            fs: Arc::clone(&self.fs),
            clock: self.clock.clone(),
            budget: Arc::clone(&self.budget),
            registry,
            replay_progress: Arc::default(),
        };
        Tsdb::open(self.settings.clone(), deps)
    }

    pub(crate) fn start(&self) {
        let tsdb = self.try_open().expect("opened");
        *self.tsdb.write() = Some(tsdb);
    }

    /// Ends the engine in order and opens it again.
    pub(crate) fn restart(&self) {
        let tsdb = self.tsdb.write().take().expect("running");
        tsdb.stop().expect("stopped");
        drop(tsdb);
        self.start();
    }

    /// Ends the engine without a flush.
    pub(crate) fn kill(&self) {
        self.tsdb.write().take().expect("running").abandon();
    }

    pub(crate) fn tsdb(&self) -> Arc<Tsdb> {
        Arc::clone(self.tsdb.read().as_ref().expect("running"))
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.read().gather();
        let family = families.iter().find(|f| f.name() == name).unwrap_or_else(|| panic!("no metric {name}"));
        let value = |m: &prometheus::proto::Metric| m.get_counter().get_value() + m.get_gauge().get_value();
        family.get_metric().iter().map(value).sum()
    }

    pub(crate) fn try_write(&self, samples: &[(&Labels, i64, f64)]) -> Result<Appended, Error> {
        let mut batch = WriteBatch::new();
        for (labels, timestamp_ms, value) in samples {
            let series = batch.add_series(labels.as_ref());
            batch.add_float(series, *timestamp_ms, *value);
        }
        self.tsdb().append_durably(&TenantId::anonymous(), &batch)
    }

    pub(crate) fn write(&self, samples: &[(&Labels, i64, f64)]) -> Appended {
        self.try_write(samples).expect("written")
    }

    /// All samples of all series.
    pub(crate) fn all(&self) -> BTreeMap<Labels, Vec<(i64, f64)>> {
        self.try_select(&[], i64::MIN, i64::MAX).expect("selected")
    }

    /// The newest float of each series in the range, asked for alone.
    pub(crate) fn newest(&self, start_ms: i64, end_ms: i64) -> BTreeMap<Labels, (i64, f64)> {
        let hints = SelectHints { latest_only: true, ..SelectHints::default() };
        let request = SelectRequest { matchers: &[], start_ms, end_ms, hints };
        let context = QueryContext::unlimited();
        let set = self.tsdb().select(&TenantId::anonymous(), &request, &context).expect("selected");
        let mut samples = SeriesSamples::default();
        let mut newest = |at| {
            set.read(at, &mut samples).expect("read");
            let last =
                samples.floats.timestamps_ms.last().copied().zip(samples.floats.values.last().copied());
            last.map(|last| (set.labels(at).clone(), last))
        };
        (0..set.len()).filter_map(&mut newest).collect()
    }

    pub(crate) fn try_select(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeMap<Labels, Vec<(i64, f64)>>, Error> {
        let request = SelectRequest { matchers, start_ms, end_ms, hints: SelectHints::default() };
        let set = self.tsdb().select(&TenantId::anonymous(), &request, &QueryContext::unlimited())?;
        let mut found = BTreeMap::new();
        let mut samples = SeriesSamples::default();
        for at in 0..set.len() {
            set.read(at, &mut samples)?;
            let floats =
                samples.floats.timestamps_ms.iter().copied().zip(samples.floats.values.iter().copied());
            found.insert(set.labels(at).clone(), floats.collect());
        }
        found.retain(|_, samples: &mut Vec<(i64, f64)>| !samples.is_empty());
        Ok(found)
    }

    /// Files below the data directory whose names end with `suffix`, sorted.
    pub(crate) fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&*self.fs, &self.settings.directory, suffix, &mut found);
        found
    }

    pub(crate) fn bytes(&self, suffix: &str) -> u64 {
        self.files(suffix)
            .iter()
            .map(|path| self.fs.open_read(path).expect("opened").len().expect("known"))
            .sum()
    }
}

fn collect(fs: &dyn Fs, directory: &Path, suffix: &str, into: &mut Vec<PathBuf>) {
    for entry in fs.read_dir(directory).expect("listed") {
        let path = directory.join(&entry.name);
        if entry.is_dir {
            collect(fs, &path, suffix, into);
        } else if entry.name.ends_with(suffix) {
            into.push(path);
        }
    }
}

/// A series with this metric name and a label.
pub(crate) fn series(name: &str, value: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("i", value)])
}

/// The running engine, also after a restart.
pub(crate) struct Running(pub(crate) Arc<Testbed>);

impl Appender for Running {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        self.0.tsdb().append(tenant, batch)
    }
}

impl Querier for Running {
    fn select(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        self.0.tsdb().select(tenant, request, context)
    }

    fn estimate(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Estimate, Error> {
        self.0.tsdb().estimate(tenant, request, context)
    }

    fn label_names(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.0.tsdb().label_names(tenant, request, context)
    }

    fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        self.0.tsdb().label_values(tenant, name, request, context)
    }

    fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        self.0.tsdb().metadata(tenant, metric)
    }

    fn exemplars(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        self.0.tsdb().exemplars(tenant, matcher_sets, start_ms, end_ms)
    }
}

/// For tests of exemplars.
pub(crate) fn exemplar(id: &str, timestamp_ms: i64) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", id)]), value: 1.5, timestamp_ms: Some(timestamp_ms) }
}
