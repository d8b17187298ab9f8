//! The answer in one message: `ReadResponse`, as a snappy block.

use model::{FloatHistogram, Labels};

use super::write_labels;
use crate::protobuf::Writer;
use crate::remote_write::encode_histogram;

/// Puts the message together, query by query and series by series.
#[derive(Debug, Default)]
pub struct SamplesResponse {
    response: Writer,
    /// The query that is being answered.
    result: Writer,
    series: Writer,
    item: Writer,
}

impl SamplesResponse {
    /// An answer to no query yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a series of the current query.
    pub fn begin_series(&mut self, labels: &Labels) {
        self.series.clear();
        write_labels(&mut self.series, &mut self.item, labels);
    }

    /// A sample of the current series.
    pub fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.item.clear();
        self.item.double(1, value);
        self.item.int64(2, timestamp_ms);
        self.series.bytes(2, self.item.as_bytes());
    }

    /// A native histogram of the current series.
    pub fn histogram(&mut self, timestamp_ms: i64, value: &FloatHistogram) {
        self.item.clear();
        encode_histogram(timestamp_ms, value, &mut self.item);
        self.series.bytes(4, self.item.as_bytes());
    }

    /// Ends the current series.
    pub fn end_series(&mut self) {
        self.result.bytes(1, self.series.as_bytes());
    }

    /// Ends the current query; one without series is answered, too.
    pub fn end_query(&mut self) {
        self.response.bytes(1, self.result.as_bytes());
        self.result.clear();
    }

    /// Bytes it holds so far.
    pub fn size_bytes(&self) -> usize {
        self.response.as_bytes().len() + self.result.as_bytes().len() + self.series.as_bytes().len()
    }

    /// The body to send.
    ///
    /// # Errors
    /// If it is larger than the 4 GiB that snappy can hold.
    pub fn compress(&self) -> Result<Vec<u8>, String> {
        snap::raw::Encoder::new().compress_vec(self.response.as_bytes()).map_err(|error| error.to_string())
    }
}
