//! Samples as they are compared: by their bits, with their start timestamps, floats and histograms alike.

use std::sync::Arc;

use model::{FloatHistogram, UNKNOWN_START_MS};
use storage::{BatchSeries, SeriesSamples, WriteBatch};

/// What is kept of one sample, its time aside.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The value.
    pub value: Value,
    /// When its counter began.
    pub start_ms: i64,
}

/// A value of either kind.
#[derive(Debug, Clone)]
pub enum Value {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl Stored {
    /// A float of which nobody said when its counter began.
    pub fn float(value: f64) -> Self {
        Self { value: Value::Float(value), start_ms: UNKNOWN_START_MS }
    }

    /// Whether all bits agree.
    pub fn same(&self, other: &Self) -> bool {
        let same_value = match (&self.value, &other.value) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Histogram(a), Value::Histogram(b)) => a.same_bits(b),
            _ => false,
        };
        same_value && self.start_ms == other.start_ms
    }
}

/// Samples of a batch in the order in which they are written.
pub fn of_batch(batch: &WriteBatch) -> impl Iterator<Item = (BatchSeries, i64, Stored)> + '_ {
    let floats = batch.floats().enumerate().map(|(at, (series, timestamp_ms, value))| {
        let start_ms = batch.float_starts().get(at);
        (series, timestamp_ms, Stored { value: Value::Float(value), start_ms })
    });
    let histograms = batch.histograms().iter().map(|h| {
        let value = Value::Histogram(Arc::new(h.histogram.clone()));
        (h.series, h.timestamp_ms, Stored { value, start_ms: h.start_ms })
    });
    floats.chain(histograms)
}

/// Samples that were read.
pub fn of_series(samples: &SeriesSamples) -> impl Iterator<Item = (i64, Stored)> + '_ {
    let floats = &samples.floats;
    let float = |at: usize| {
        let stored = Stored { value: Value::Float(floats.values[at]), start_ms: floats.starts.get(at) };
        (floats.timestamps_ms[at], stored)
    };
    let histograms = &samples.histograms;
    let histogram = |at: usize| {
        let value = Value::Histogram(Arc::clone(&histograms.values[at]));
        (histograms.timestamps_ms[at], Stored { value, start_ms: histograms.starts.get(at) })
    };
    (0..floats.values.len()).map(float).chain((0..histograms.values.len()).map(histogram))
}
