//! The way out: series whose labels are known up front, and whose samples are decoded on demand.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Exemplar, FloatHistogram, Labels, Matcher, Metadata, TenantId, UNKNOWN_START_MS};
use stdx::cancel::Cancel;
use stdx::memory::Budget;

use crate::{Changes, Error, StartColumn};

/// Answers what is stored. Shared as `Arc<dyn Querier>`.
///
/// Time ranges are inclusive at both ends, in milliseconds. A tenant that does not exist has no series.
pub trait Querier: Send + Sync + 'static {
    /// The series that meet all matchers and may have samples in the range, each once, sorted by labels.
    ///
    /// A series without a sample in the range may be among them; reading it gives none. `matchers` may be
    /// empty (all series).
    ///
    /// # Errors
    /// `Limit` if it would exceed the memory of `context`; `Cancelled`, `TimedOut`, `Unavailable`, `Corrupt`.
    fn select(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error>;

    /// Names of labels, sorted, each once.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn label_names(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error>;

    /// Values of one label, sorted, each once.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error>;

    /// What is known about metric families: of `metric`, or of all. A family may have several, if exporters
    /// disagree.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, Error>;

    /// Exemplars in the range of the series that meet all matchers of at least one set.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn exemplars(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<SeriesExemplars>, Error>;

    /// What has changed in a tenant's samples since a version that it told before (0: since the beginning); `None` if it does
    /// not keep track, and then nobody may keep results. To be asked before [`Self::select`].
    fn changes(&self, tenant: &TenantId, since: u64) -> Option<Changes> {
        let _ = (tenant, since);
        None
    }

    /// How much a selection would find, from the index alone, without reading samples.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn estimate(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Estimate, Error>;

    /// As [`Self::estimate`], if both the answer and the samples are at hand: the series were found for another
    /// query and are still the same, and all samples in the range are in memory. `None` if anything had to be waited for or
    /// looked up: this returns at once.
    fn estimate_at_hand(&self, tenant: &TenantId, request: &SelectRequest<'_>) -> Option<Estimate> {
        let _ = (tenant, request);
        None
    }
}

/// How much a selection would find, roughly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Series; rather too few than too many.
    pub series_count: u64,
    /// Their samples.
    pub sample_count: u64,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct SelectRequest<'a> {
    /// All must be met.
    pub matchers: &'a [Matcher],
    /// Inclusive.
    pub start_ms: i64,
    /// Inclusive.
    pub end_ms: i64,
    /// What the samples are for; an engine may use or ignore it.
    pub hints: SelectHints<'a>,
}

/// What the samples are for. Never changes what is returned within the range, but for `latest_only`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelectHints<'a> {
    /// Distance of evaluation steps; 0 for an instant query.
    pub step_ms: i64,
    /// Width of the window in front of each step; 0 for an instant selector.
    pub window_ms: i64,
    /// The function or aggregation around the selector; empty if none. `series` means that only labels are
    /// wanted.
    pub function: &'a str,
    /// No more than this many series are wanted; 0 for all.
    pub series_max: usize,
    /// Of each series only the latest sample in the range is looked at: earlier ones may be left out.
    pub latest_only: bool,
}

/// What is asked for about labels.
#[derive(Debug, Clone, Copy)]
pub struct LabelRequest<'a> {
    /// Only of series that meet all matchers of at least one set; no set means all series.
    pub matcher_sets: &'a [Vec<Matcher>],
    /// Inclusive. An engine may answer for a somewhat larger range.
    pub start_ms: i64,
    /// Inclusive.
    pub end_ms: i64,
    /// No more than this many are wanted (the first in order); 0 for all.
    pub limit: usize,
}

/// What a query may use, and when it must stop.
#[derive(Debug, Clone)]
pub struct QueryContext {
    /// Memory is taken from here before it is used.
    pub budget: Arc<Budget>,
    /// Checked at least once per series.
    pub cancel: Cancel,
}

impl QueryContext {
    /// No limits; for tests and tools.
    pub fn unlimited() -> Self {
        Self { budget: Budget::unlimited(), cancel: Cancel::never() }
    }
}

/// Selected series. Labels can be looked at without reading samples, and samples be read in any order and
/// from several threads. A set is a snapshot: later writes do not change what it gives, flushes and
/// compactions do not disturb it.
pub trait SeriesSet: Send + Sync {
    /// How many series there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of series `at`, which must be below `len()`. Series are sorted by labels.
    fn labels(&self, at: usize) -> &Labels;

    /// Replaces the content of `into` by the samples of series `at` within the requested range.
    ///
    /// # Errors
    /// `Corrupt` if stored bytes cannot be read; `Cancelled` and `TimedOut`.
    fn read(&self, at: usize, into: &mut SeriesSamples) -> Result<(), Error>;

    /// Where the samples come from that were read so far; for explanations. An engine may leave it empty.
    fn sources(&self) -> ReadSources {
        ReadSources::default()
    }
}

/// Where samples come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadSources {
    /// Selected series that are, at least in part, in memory.
    pub head_series_count: u64,
    /// Blocks that overlap the range.
    pub block_count: u64,
    /// Chunks of blocks that are in the range.
    pub chunk_count: u64,
    /// Frames of blocks that were at hand.
    pub frames_cached: u64,
    /// Frames of blocks that were read from disk.
    pub frames_read: u64,
}

impl ReadSources {
    /// Adds those of another set.
    pub fn add(&mut self, other: &Self) {
        self.head_series_count += other.head_series_count;
        self.block_count += other.block_count;
        self.chunk_count += other.chunk_count;
        self.frames_cached += other.frames_cached;
        self.frames_read += other.frames_read;
    }
}

/// Samples of one series, in columns. Reused from series to series.
#[derive(Debug, Default, Clone)]
pub struct SeriesSamples {
    /// Floats, staleness markers among them.
    pub floats: FloatColumn,
    /// Native histograms. No timestamp occurs in both columns.
    pub histograms: HistogramColumn,
}

impl SeriesSamples {
    /// Empties both columns and keeps their allocations.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
    }

    /// Samples in both columns.
    pub fn len(&self) -> usize {
        self.floats.timestamps_ms.len() + self.histograms.timestamps_ms.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Float samples: two columns of equal length, timestamps strictly rising, and starts where there are any.
#[derive(Debug, Default, Clone)]
pub struct FloatColumn {
    /// Strictly rising.
    pub timestamps_ms: Vec<i64>,
    /// One for each timestamp.
    pub values: Vec<f64>,
    /// When the counter of each sample began.
    pub starts: StartColumn,
}

impl FloatColumn {
    /// Empties the columns and keeps their allocations.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.starts.clear();
    }

    /// Adds a sample, which must be later than the last.
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.push_since(timestamp_ms, value, UNKNOWN_START_MS);
    }

    /// Adds a sample, which must be later than the last, of a counter that began at `start_ms`.
    pub fn push_since(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        debug_assert!(
            self.timestamps_ms.last().is_none_or(|last| *last < timestamp_ms),
            "BUG: timestamps must rise"
        );
        self.starts.push_at(self.timestamps_ms.len(), start_ms);
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }
}

/// Native histogram samples: two columns of equal length, timestamps strictly rising, and starts where there are any.
#[derive(Debug, Default, Clone)]
pub struct HistogramColumn {
    /// Strictly rising.
    pub timestamps_ms: Vec<i64>,
    /// One for each timestamp. A staleness marker has `sum` = `STALE_NAN`.
    pub values: Vec<Arc<FloatHistogram>>,
    /// When each sample's histogram began to count.
    pub starts: StartColumn,
}

impl HistogramColumn {
    /// Empties the columns and keeps their allocations.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.starts.clear();
    }

    /// Adds a sample, which must be later than the last, of a histogram that began to count at `start_ms`.
    pub fn push_since(&mut self, timestamp_ms: i64, value: Arc<FloatHistogram>, start_ms: i64) {
        debug_assert!(
            self.timestamps_ms.last().is_none_or(|last| *last < timestamp_ms),
            "BUG: timestamps must rise"
        );
        self.starts.push_at(self.timestamps_ms.len(), start_ms);
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }
}

/// Exemplars of one series, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesExemplars {
    /// The series' labels.
    pub labels: Labels,
    /// Each with its timestamp set.
    pub exemplars: Vec<Exemplar>,
}
