//! The answer in frames: each a length, a checksum and a `ChunkedReadResponse` with chunks of one series.

use std::sync::Arc;

use model::{FloatHistogram, Labels};

use super::bits::BitWriter;
use super::{histogram_chunk, write_labels, xor};
use crate::protobuf::Writer;

/// Samples of a chunk, as Prometheus cuts them.
const CHUNK_SAMPLES_MAX: usize = 120;
/// A frame is ended when it holds this much, as Prometheus' default says.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Encodings, as `prometheus.Chunk.Encoding` numbers them.
const XOR: u64 = 1;
const FLOAT_HISTOGRAM: u64 = 3;

/// Encodes series into frames. Reused from series to series.
#[derive(Debug, Default)]
pub struct ChunkFrames {
    bits: BitWriter,
    labels: Writer,
    series: Writer,
    item: Writer,
}

impl ChunkFrames {
    /// Ready for the first series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the frames of one series to `out`; none if it has no samples.
    ///
    /// Columns are of equal length in pairs, in rising order of time, and share no time.
    pub fn series(
        &mut self,
        query_index: usize,
        labels: &Labels,
        (float_times_ms, floats): (&[i64], &[f64]),
        (histogram_times_ms, histograms): (&[i64], &[Arc<FloatHistogram>]),
        out: &mut Vec<u8>,
    ) {
        self.labels.clear();
        write_labels(&mut self.labels, &mut self.item, labels);
        self.series.clear();
        self.series.append(&self.labels);
        let (mut float, mut histogram) = (0, 0);
        loop {
            let float_ms = float_times_ms.get(float).copied();
            let histogram_ms = histogram_times_ms.get(histogram).copied();
            // Chunks must follow in time: one of floats ends where the next histogram stands, and the other way round.
            match (float_ms, histogram_ms) {
                (None, None) => break,
                (Some(at), other) if other.is_none_or(|other| at < other) => {
                    let times = run(&float_times_ms[float..], other, CHUNK_SAMPLES_MAX);
                    xor::encode(times, &floats[float..][..times.len()], &mut self.bits);
                    float += times.len();
                    self.chunk(XOR, times);
                }
                _ => {
                    let times = run(&histogram_times_ms[histogram..], float_ms, CHUNK_SAMPLES_MAX);
                    let len = histogram_chunk::run_len(&histograms[histogram..], times.len());
                    histogram_chunk::encode(&times[..len], &histograms[histogram..][..len], &mut self.bits);
                    histogram += len;
                    self.chunk(FLOAT_HISTOGRAM, &times[..len]);
                }
            }
            if self.series.as_bytes().len() >= FRAME_BYTES_MAX {
                self.frame(query_index, out);
            }
        }
        if self.series.as_bytes().len() > self.labels.as_bytes().len() {
            self.frame(query_index, out);
        }
    }

    fn chunk(&mut self, encoding: u64, times_ms: &[i64]) {
        self.item.clear();
        self.item.int64(1, times_ms[0]);
        self.item.int64(2, times_ms[times_ms.len() - 1]);
        self.item.varint(3, encoding);
        self.item.bytes(4, self.bits.bytes());
        self.series.bytes(2, self.item.as_bytes());
    }

    fn frame(&mut self, query_index: usize, out: &mut Vec<u8>) {
        self.item.clear();
        self.item.bytes(1, self.series.as_bytes());
        self.item.varint(2, query_index as u64);
        let message = self.item.as_bytes();
        let mut len = message.len();
        while len >= 0x80 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
        out.extend_from_slice(message);
        self.series.clear();
        self.series.append(&self.labels);
    }
}

/// The first times, at most `max` of them, that lie before `end_ms`.
fn run(times_ms: &[i64], end_ms: Option<i64>, max: usize) -> &[i64] {
    let all = &times_ms[..times_ms.len().min(max)];
    let len = end_ms.map_or(all.len(), |end_ms| all.partition_point(|at| *at < end_ms));
    &all[..len]
}
