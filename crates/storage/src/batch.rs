//! What is written: samples in columns, with the label sets they belong to.
//!
//! A batch is built once per scrape or request and may be reused: [`WriteBatch::clear`] keeps the allocations,
//! so that the hot path allocates nothing per sample. Label sets live packed, one after the other, in one
//! string; a sample names its series by position.

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};

/// Position of a series in its batch.
pub type BatchSeries = u32;

/// Samples on their way into storage.
#[derive(Debug, Default, Clone)]
pub struct WriteBatch {
    labels: String,
    /// Where each series' packed labels end in `labels`.
    ends: Vec<usize>,
    float_series: Vec<BatchSeries>,
    float_timestamps_ms: Vec<i64>,
    float_values: Vec<f64>,
    histograms: Vec<BatchHistogram>,
    exemplars: Vec<BatchExemplar>,
    metadata: Vec<(String, Metadata)>,
}

/// A native histogram in a batch.
#[derive(Debug, Clone)]
pub struct BatchHistogram {
    /// Whose it is.
    pub series: BatchSeries,
    /// When.
    pub timestamp_ms: i64,
    /// The value.
    pub histogram: FloatHistogram,
}

/// An exemplar in a batch. `exemplar.timestamp_ms` must be set by whoever fills the batch.
#[derive(Debug, Clone)]
pub struct BatchExemplar {
    /// Whose it is.
    pub series: BatchSeries,
    /// What.
    pub exemplar: Exemplar,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the batch and keeps its allocations.
    pub fn clear(&mut self) {
        self.labels.clear();
        self.ends.clear();
        self.float_series.clear();
        self.float_timestamps_ms.clear();
        self.float_values.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
    }

    /// Adds a series; samples are then added under the returned position. A label set may be added twice.
    pub fn add_series(&mut self, labels: LabelsRef<'_>) -> BatchSeries {
        self.labels.push_str(labels.packed());
        self.end_series()
    }

    /// Adds a series whose packed labels `write` appends (see `model::labels::pack`), without a copy.
    pub fn add_series_with(&mut self, write: impl FnOnce(&mut String)) -> BatchSeries {
        write(&mut self.labels);
        self.end_series()
    }

    fn end_series(&mut self) -> BatchSeries {
        self.ends.push(self.labels.len());
        BatchSeries::try_from(self.ends.len() - 1).expect("body limits keep a batch far below 2^32 series")
    }

    /// Adds a float sample.
    pub fn add_float(&mut self, series: BatchSeries, timestamp_ms: i64, value: f64) {
        debug_assert!((series as usize) < self.ends.len(), "BUG: series is not in this batch");
        self.float_series.push(series);
        self.float_timestamps_ms.push(timestamp_ms);
        self.float_values.push(value);
    }

    /// Adds a native histogram sample. It must have passed `FloatHistogram::validate`.
    pub fn add_histogram(&mut self, series: BatchSeries, timestamp_ms: i64, histogram: FloatHistogram) {
        debug_assert!((series as usize) < self.ends.len(), "BUG: series is not in this batch");
        self.histograms.push(BatchHistogram { series, timestamp_ms, histogram });
    }

    /// Adds an exemplar; one without a timestamp gets `default_timestamp_ms`.
    pub fn add_exemplar(&mut self, series: BatchSeries, mut exemplar: Exemplar, default_timestamp_ms: i64) {
        exemplar.timestamp_ms.get_or_insert(default_timestamp_ms);
        self.exemplars.push(BatchExemplar { series, exemplar });
    }

    /// Adds what is known about a metric family.
    pub fn add_metadata(&mut self, metric: &str, metadata: Metadata) {
        self.metadata.push((metric.to_owned(), metadata));
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.ends.len()
    }

    /// Float and histogram samples.
    pub fn sample_count(&self) -> usize {
        self.float_series.len() + self.histograms.len()
    }

    /// Whether there is nothing to write at all.
    pub fn is_empty(&self) -> bool {
        self.sample_count() == 0 && self.exemplars.is_empty() && self.metadata.is_empty()
    }

    /// The labels of a series.
    pub fn series(&self, series: BatchSeries) -> LabelsRef<'_> {
        let at = series as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        LabelsRef::from_packed_trusted(&self.labels[start..self.ends[at]])
    }

    /// Float samples as three columns of equal length: series, timestamps, values.
    pub fn float_columns(&self) -> (&[BatchSeries], &[i64], &[f64]) {
        (&self.float_series, &self.float_timestamps_ms, &self.float_values)
    }

    /// Float samples one by one, in the order they were added.
    pub fn floats(&self) -> impl ExactSizeIterator<Item = (BatchSeries, i64, f64)> {
        (0..self.float_series.len())
            .map(|i| (self.float_series[i], self.float_timestamps_ms[i], self.float_values[i]))
    }

    /// Histogram samples in the order they were added.
    pub fn histograms(&self) -> &[BatchHistogram] {
        &self.histograms
    }

    /// Exemplars in the order they were added.
    pub fn exemplars(&self) -> &[BatchExemplar] {
        &self.exemplars
    }

    /// Metric families with what is known about them.
    pub fn metadata(&self) -> &[(String, Metadata)] {
        &self.metadata
    }

    /// Bytes held in buffers, for the accountant.
    pub fn size_bytes(&self) -> usize {
        self.labels.len()
            + self.ends.len() * 8
            + self.float_series.len() * 20
            + self.histograms.iter().map(|h| h.histogram.size_bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn a_batch_gives_back_what_was_added_and_can_be_reused() {
        let mut batch = WriteBatch::new();
        for round in 0..2 {
            batch.clear();
            assert!(batch.is_empty());
            let (a, b) = (
                Labels::from_pairs([("__name__", "a")]),
                Labels::from_pairs([("__name__", "b"), ("x", "y")]),
            );
            let first = batch.add_series(a.as_ref());
            let second = batch.add_series_with(|packed| packed.push_str(b.packed()));
            batch.add_float(second, 10, 1.5);
            batch.add_float(first, 10, f64::from(round));
            assert_eq!(batch.series(first).to_labels(), a);
            assert_eq!(batch.series(second).to_labels(), b);
            assert_eq!(batch.floats().collect::<Vec<_>>(), [(1, 10, 1.5), (0, 10, f64::from(round))]);
            assert_eq!((batch.series_count(), batch.sample_count()), (2, 2));
        }
    }
}
