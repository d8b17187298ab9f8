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
    labels: EncodedLabels,
    /// Of a series, what is neither labels nor floats.
    others: Writer,
    item: Writer,
}

/// Labels as a request has them: for who looks at them before it is decided which request they go into.
#[derive(Debug, Default)]
pub struct EncodedLabels(Writer);

impl EncodedLabels {
    /// Replaces them by these, which should be sorted and unique.
    pub fn set<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.0.clear();
        for (name, value) in pairs {
            label(&mut self.0, name, value);
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
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
        let mut labels = std::mem::take(&mut self.labels);
        labels.set(pairs);
        self.series_with(&labels, content);
        self.labels = labels;
        self
    }

    /// Adds a series whose labels were written before.
    pub fn series_with(&mut self, labels: &EncodedLabels, content: SeriesContent<'_>) -> &mut Self {
        self.others.clear();
        for exemplar in content.exemplars {
            self.item.clear();
            for (name, value) in &exemplar.labels {
                label(&mut self.item, name, value);
            }
            self.item.double(2, exemplar.value);
            self.item.int64(3, exemplar.timestamp_ms.unwrap_or(0));
            self.others.bytes(3, self.item.as_bytes());
        }
        for (timestamp_ms, value) in content.histograms {
            self.item.clear();
            histogram::encode(*timestamp_ms, value, &mut self.item);
            self.others.bytes(4, self.item.as_bytes());
        }
        let float_len = |(timestamp_ms, value): &(i64, f64)| {
            Writer::double_len(*value) + Writer::int64_len(*timestamp_ms)
        };
        let floats_len: usize = content.floats.iter().map(|float| Writer::bytes_len(float_len(float))).sum();
        let rest_len = floats_len + self.others.as_bytes().len();
        self.request.begin_bytes(1, labels.as_bytes().len() + rest_len);
        self.request.append(&labels.0);
        for float in content.floats {
            self.request.begin_bytes(2, float_len(float));
            self.request.double(1, float.1);
            self.request.int64(2, float.0);
        }
        self.request.append(&self.others);
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

    /// Compresses it into `buffer`, which is reused from request to request, and returns the body to send.
    ///
    /// # Panics
    /// If the request is larger than 4 GiB, which snappy cannot hold.
    pub fn compress_into<'b>(
        &self,
        compressor: &mut snap::raw::Encoder,
        buffer: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let request = self.request.as_bytes();
        let len_max = snap::raw::max_compress_len(request.len());
        if buffer.len() < len_max {
            buffer.resize(len_max, 0);
        }
        let len =
            compressor.compress(request, buffer).expect("callers keep requests far below snappy's 4 GiB");
        &buffer[..len]
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
    if into.short_pair(1, name, value) {
        return;
    }
    into.begin_bytes(1, Writer::string_len(name) + Writer::string_len(value));
    into.string(1, name);
    into.string(2, value);
}
