//! `Request` put together: for forwarding and for tests.

use std::collections::HashMap;

use model::{Exemplar, FloatHistogram, Metadata};

use crate::protobuf::Writer;
use crate::remote_write::{METRIC_TYPES, encode_histogram};

/// Samples of one series. Starts are `UNKNOWN_START_MS` where nobody knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeriesContent<'a> {
    /// Timestamps in milliseconds, values, and when they began to count.
    pub floats: &'a [(i64, f64, i64)],
    /// Timestamps in milliseconds, values, and when they began to count.
    pub histograms: &'a [(i64, FloatHistogram, i64)],
    /// Exemplars; one without a timestamp is sent without.
    pub exemplars: &'a [Exemplar],
    /// What is known about the family.
    pub metadata: Option<&'a Metadata>,
    /// When all of them began to count, as the first release candidates say it.
    pub created_ms: i64,
}

/// Collects a request.
#[derive(Debug)]
pub struct Encoder {
    symbols: HashMap<String, u32>,
    symbol_fields: Writer,
    series_fields: Writer,
}

impl Default for Encoder {
    fn default() -> Self {
        let mut encoder =
            Self { symbols: HashMap::new(), symbol_fields: Writer::new(), series_fields: Writer::new() };
        // By specification the first symbol is the empty one.
        encoder.symbol("");
        encoder
    }
}

impl Encoder {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    fn symbol(&mut self, text: &str) -> u64 {
        if let Some(number) = self.symbols.get(text) {
            return u64::from(*number);
        }
        let number = self.symbols.len() as u32;
        self.symbols.insert(text.to_owned(), number);
        self.symbol_fields.bytes(4, text.as_bytes());
        u64::from(number)
    }

    fn refs<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u64> {
        pairs.into_iter().flat_map(|(name, value)| [self.symbol(name), self.symbol(value)]).collect()
    }

    /// Adds a series with its samples. Its labels need not be sorted, unique or sensible.
    pub fn series<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        content: SeriesContent<'_>,
    ) -> &mut Self {
        let refs = self.refs(pairs);
        self.series_of_refs(&refs, content)
    }

    /// As [`Self::series`], with references that need not point anywhere.
    pub fn series_of_refs(&mut self, refs: &[u64], content: SeriesContent<'_>) -> &mut Self {
        let (mut series, mut item) = (Writer::new(), Writer::new());
        series.varints(1, refs);
        for (timestamp_ms, value, start_ms) in content.floats {
            item.clear();
            item.double(1, *value);
            item.int64(2, *timestamp_ms);
            item.int64(3, *start_ms);
            series.bytes(2, item.as_bytes());
        }
        for (timestamp_ms, histogram, start_ms) in content.histograms {
            item.clear();
            encode_histogram(*timestamp_ms, histogram, &mut item);
            item.int64(17, *start_ms);
            series.bytes(3, item.as_bytes());
        }
        for exemplar in content.exemplars {
            let refs = self.refs(exemplar.labels.iter());
            item.clear();
            item.varints(1, &refs);
            item.double(2, exemplar.value);
            item.int64(3, exemplar.timestamp_ms.unwrap_or(0));
            series.bytes(4, item.as_bytes());
        }
        if let Some(metadata) = content.metadata {
            let (help, unit) = (self.symbol(&metadata.help), self.symbol(&metadata.unit));
            let number = METRIC_TYPES.iter().position(|known| *known == metadata.metric_type);
            item.clear();
            item.varint(1, number.unwrap_or(0) as u64);
            item.varint(3, help);
            item.varint(4, unit);
            series.bytes(5, item.as_bytes());
        }
        series.int64(6, content.created_ms);
        self.series_fields.bytes(5, series.as_bytes());
        self
    }

    /// How large the request is by now, not compressed.
    pub fn size_bytes(&self) -> usize {
        self.symbol_fields.as_bytes().len() + self.series_fields.as_bytes().len()
    }

    /// Whether no series was added.
    pub fn is_empty(&self) -> bool {
        self.series_fields.as_bytes().is_empty()
    }

    /// The request, not compressed.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.symbol_fields.as_bytes(), self.series_fields.as_bytes()].concat()
    }

    /// The body to send.
    ///
    /// # Panics
    /// If the request is larger than 4 GiB, which snappy cannot hold.
    pub fn compress(&self) -> Vec<u8> {
        snap::raw::Encoder::new()
            .compress_vec(&self.to_bytes())
            .expect("callers keep requests far below snappy's 4 GiB")
    }
}
