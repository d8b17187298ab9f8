//! What Prometheus keeps on disk, and what it answers to remote read: any bytes are that or an error. The first byte chooses the reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Exemplar, FloatHistogram, Metadata};
use wire::prometheus_tsdb::chunk::{self, Encoding, Samples};
use wire::prometheus_tsdb::index::{Frame, FrameKind, Series, Symbols, Toc};
use wire::prometheus_tsdb::record::{self, Sample, Visitor};
use wire::prometheus_tsdb::tombstones::Tombstones;
use wire::prometheus_tsdb::wal::Segment;
use wire::remote_read::{FrameReader, read_chunked, read_samples};

struct Nothing;

impl Visitor for Nothing {
    fn series(&mut self, _: u64, _: &[(&str, &str)]) {}
    fn float(&mut self, _: Sample<f64>) {}
    fn histogram(&mut self, sample: Sample<FloatHistogram>) {
        let _ = sample.value.validate();
    }
    fn exemplar(&mut self, _: u64, _: Exemplar) {}
    fn metadata(&mut self, _: u64, _: Metadata) {}
    fn tombstone(&mut self, _: u64, _: i64, _: i64) {}
}

/// Appends the checksum that a reader wants, so that it looks further.
fn with_crc(content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    out.extend_from_slice(&crc32c::crc32c(content).to_be_bytes());
    out
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let mut samples = Samples::default();
    match choice % 10 {
        number @ 0..3 => {
            if let Some(encoding) = Encoding::from_number(u64::from(number) + 1) {
                let _ = chunk::decode(encoding, bytes, 0, &mut samples);
                for (_, histogram) in &samples.histograms {
                    let _ = histogram.validate();
                }
            }
        }
        3 => drop(Toc::read(&with_crc(bytes), 1 << 20)),
        4 => {
            let mut section = (bytes.len() as u32).to_be_bytes().to_vec();
            section.extend_from_slice(&with_crc(bytes));
            if let Ok(symbols) = Symbols::read(&section, 5) {
                let _ = symbols.get(0);
            }
        }
        5 => {
            let mut frame = vec![bytes.len() as u8 & 0x7f];
            frame.extend_from_slice(&with_crc(bytes));
            if let Ok(head) = Frame::read(&frame, 0, FrameKind::Series) {
                let _ = head.series(&frame, 0, &mut Series::default());
            }
        }
        6 => {
            let mut file = 0x0130_BA30u32.to_be_bytes().to_vec();
            file.push(1);
            file.extend_from_slice(&with_crc(bytes));
            let _ = Tombstones::read(&file);
        }
        7 => {
            let _ = record::decode(bytes, 0, &mut Nothing);
        }
        8 => {
            let _ = Segment::new().page(bytes, 0, |record, at| record::decode(record, at, &mut Nothing));
        }
        _ => {
            let mut frames = FrameReader::new();
            frames.push(bytes);
            let _ = frames.next_message();
            let _ = read_chunked(bytes, &mut samples, |_, _| {});
            let _ = read_samples(bytes, &mut samples, |_, _| {});
        }
    }
});
