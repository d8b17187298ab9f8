//! `WriteRequest` put together: for forwarding and for tests.

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};

use super::decode::METRIC_TYPES;
use super::histogram;
use crate::protobuf::Writer;

/// Samples of one series.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeriesContent<'a> {
    /// Timestamps in milliseconds, and values.
    pub floats: &'a [(i64, f64)],
    /// Timestamps in milliseconds, and values.
    pub histograms: &'a [(i64, FloatHistogram)],
    /// Exemplars; one without a timestamp is sent as measured at 0.
    pub exemplars: &'a [Exemplar],
}

/// Collects a request. Reusable: [`Encoder::clear`] keeps the allocations.
#[derive(Debug, Default)]
pub struct Encoder {
    request: Writer,
    series: Writer,
    item: Writer,
}

impl Encoder {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the request and keeps its allocations.
    pub fn clear(&mut self) {
        self.request.clear();
    }

    /// Adds a series with its samples.
    pub fn series(&mut self, labels: LabelsRef<'_>, content: SeriesContent<'_>) -> &mut Self {
        self.series_of_pairs(labels.iter(), content)
    }

    /// Adds a series whose labels need not be sorted, unique or sensible; for tests of those who receive it.
    pub fn series_of_pairs<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        content: SeriesContent<'_>,
    ) -> &mut Self {
        self.series.clear();
        for (name, value) in pairs {
            label(&mut self.series, name, value);
        }
        for (timestamp_ms, value) in content.floats {
            self.item.clear();
            self.item.double(1, *value);
            self.item.int64(2, *timestamp_ms);
            self.series.bytes(2, self.item.as_bytes());
        }
        for exemplar in content.exemplars {
            self.item.clear();
            for (name, value) in &exemplar.labels {
                label(&mut self.item, name, value);
            }
            self.item.double(2, exemplar.value);
            self.item.int64(3, exemplar.timestamp_ms.unwrap_or(0));
            self.series.bytes(3, self.item.as_bytes());
        }
        for (timestamp_ms, value) in content.histograms {
            self.item.clear();
            histogram::encode(*timestamp_ms, value, &mut self.item);
            self.series.bytes(4, self.item.as_bytes());
        }
        self.request.bytes(1, self.series.as_bytes());
        self
    }

    /// Adds what is known about a metric family.
    pub fn metadata(&mut self, metric: &str, metadata: &Metadata) -> &mut Self {
        self.item.clear();
        let number = METRIC_TYPES.iter().position(|known| *known == metadata.metric_type);
        self.item.varint(1, number.unwrap_or(0) as u64);
        self.item.string(2, metric);
        self.item.string(4, &metadata.help);
        self.item.string(5, &metadata.unit);
        self.request.bytes(3, self.item.as_bytes());
        self
    }

    /// The request, not compressed.
    pub fn as_bytes(&self) -> &[u8] {
        self.request.as_bytes()
    }

    /// The body to send.
    ///
    /// # Panics
    /// If the request is larger than 4 GiB, which snappy cannot hold.
    pub fn compress(&self) -> Vec<u8> {
        snap::raw::Encoder::new()
            .compress_vec(self.request.as_bytes())
            .expect("callers keep requests far below snappy's 4 GiB")
    }
}

fn label(into: &mut Writer, name: &str, value: &str) {
    into.begin_bytes(1, Writer::string_len(name) + Writer::string_len(value));
    into.string(1, name);
    into.string(2, value);
}
