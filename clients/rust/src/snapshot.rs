//! What a scrape sees: the numbers of one moment, ready to be written.

use crate::exemplar::Exemplar;

/// Which kind of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric with all of its series.
#[derive(Debug)]
pub(crate) struct FamilySnapshot {
    /// Without the suffix of samples (`_total`, `_bucket`).
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<SeriesSnapshot>,
}

/// One series: one label set.
#[derive(Debug)]
pub(crate) struct SeriesSnapshot {
    /// In the order in which they were given.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: Value,
}

/// The value of a series.
#[derive(Debug)]
pub(crate) enum Value {
    Counter { value: f64, created_ms: u64, exemplar: Option<Exemplar> },
    Gauge(f64),
    Histogram(HistogramSnapshot),
}

/// A histogram of either kind.
#[derive(Debug)]
pub(crate) struct HistogramSnapshot {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) created_ms: u64,
    /// Upper bounds and counts of what is in the bucket alone; the last bound is +Inf. A native histogram has that one.
    pub(crate) buckets: Vec<ClassicBucket>,
    pub(crate) native: Option<NativeSnapshot>,
}

#[derive(Debug)]
pub(crate) struct ClassicBucket {
    pub(crate) upper_bound: f64,
    pub(crate) count: u64,
    pub(crate) exemplar: Option<Exemplar>,
}

/// The sparse buckets of a native histogram, by index, rising.
#[derive(Debug, PartialEq)]
pub(crate) struct NativeSnapshot {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    pub(crate) negative: Vec<(i32, u64)>,
    pub(crate) positive: Vec<(i32, u64)>,
}
