//! Requests of both versions into batches.

use std::ops::Range;

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};
use storage::{BatchSeries, InvalidLabels, SeriesKey, WriteBatch};
use wire::remote_write::{self, RawVisitor, RejectedSeries, pack_raw_labels, refuse_raw};
use wire::remote_write2::{self, decode_refs, refuse_refs};

use crate::error::ApiError;
use crate::push::{Filling, Refusals};

/// A request of 1.0.
pub(crate) fn fill(filling: &mut Filling<'_>) -> Result<(), ApiError> {
    let request = std::mem::take(&mut filling.body);
    let hasher = filling.label_hasher;
    filling.explain_raw(|raw| refuse_raw(raw.bytes));
    let (batch, refusals) = filling.parts();
    let mut fill = Fill { batch, series: 0, refusals };
    remote_write::decode_raw(&request, hasher, &mut fill)
        .map_err(|error| ApiError::bad_data(error.to_string()))?;
    batch.set_raw(request, |raw, packed| pack_raw_labels(raw, packed).map_err(|_| InvalidLabels));
    Ok(())
}

/// A request of 2.0.
pub(crate) fn fill2(filling: &mut Filling<'_>) -> Result<(), ApiError> {
    let mut request = std::mem::take(&mut filling.body);
    let hasher = filling.label_hasher;
    filling.explain_raw(|raw| refuse_refs(raw.bytes, raw.all));
    let (batch, refusals) = filling.parts();
    let mut fill = Fill { batch, series: 0, refusals };
    let symbols = remote_write2::decode(&request, hasher, &mut fill)
        .map_err(|error| ApiError::bad_data(error.to_string()))?;
    symbols.append_to(&mut request);
    batch
        .set_raw_within(request, |raw, all, packed| decode_refs(raw, all, packed).map_err(|_| InvalidLabels));
    Ok(())
}

/// Fills a batch with what a request holds.
struct Fill<'a> {
    batch: &'a mut WriteBatch,
    series: BatchSeries,
    refusals: &'a mut Refusals,
}

impl Fill<'_> {
    fn add_exemplar(&mut self, exemplar: Exemplar) {
        let timestamp_ms = exemplar.timestamp_ms.unwrap_or_default();
        self.batch.add_exemplar(self.series, exemplar, timestamp_ms);
    }

    fn note(&mut self, rejected: &RejectedSeries) {
        self.refusals.add("invalid", rejected.sample_count.max(1), || rejected.to_string());
    }
}

impl remote_write::Visitor for Fill<'_> {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.series = self.batch.add_series(labels);
    }

    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.batch.add_float(self.series, timestamp_ms, value);
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.batch.add_histogram(self.series, timestamp_ms, histogram);
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.add_exemplar(exemplar);
    }

    fn metadata(&mut self, metric: &str, metadata: Metadata) {
        self.batch.add_metadata(metric, metadata);
    }

    fn reject(&mut self, rejected: RejectedSeries) {
        self.note(&rejected);
    }
}

impl RawVisitor for Fill<'_> {
    fn raw_series(&mut self, hash: u128, labels: Range<usize>) {
        self.series = self.batch.add_raw_series(SeriesKey::new(hash), labels);
    }
}

impl remote_write2::Visitor for Fill<'_> {
    fn raw_series(&mut self, hash: u128, refs: Range<usize>) {
        self.series = self.batch.add_raw_series(SeriesKey::new(hash), refs);
    }

    fn series(&mut self, labels: LabelsRef<'_>) {
        self.series = self.batch.add_series(labels);
    }

    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.batch.add_float_since(self.series, timestamp_ms, value, start_ms);
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64) {
        self.batch.add_histogram_since(self.series, timestamp_ms, histogram, start_ms);
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.add_exemplar(exemplar);
    }

    fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.batch.add_metadata(family, metadata);
    }

    fn reject(&mut self, rejected: RejectedSeries) {
        self.note(&rejected);
    }
}
