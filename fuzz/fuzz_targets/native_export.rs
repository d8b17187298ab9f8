//! Kymo's own form of export: whatever the bytes and however they are cut into pieces, frames are handed out whole or damage is named, and their
//! messages are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata};
use wire::native::{Kind, MAGIC, Reader};
use wire::remote_write::{LabelHasher, RejectedSeries, Visitor};

struct Nothing;

impl Visitor for Nothing {
    fn series(&mut self, _: LabelsRef<'_>) {}
    fn float(&mut self, _: i64, _: f64) {}
    fn histogram(&mut self, _: i64, histogram: FloatHistogram) {
        assert!(histogram.validate().is_ok(), "histograms are validated");
    }
    fn exemplar(&mut self, _: Exemplar) {}
    fn metadata(&mut self, _: &str, _: Metadata) {}
    fn reject(&mut self, _: RejectedSeries) {}
}

impl wire::remote_write2::Visitor for Nothing {
    fn raw_series(&mut self, _: u128, _: std::ops::Range<usize>) {}
    fn series(&mut self, _: LabelsRef<'_>) {}
    fn float(&mut self, _: i64, _: f64, _: i64) {}
    fn histogram(&mut self, _: i64, histogram: FloatHistogram, _: i64) {
        assert!(histogram.validate().is_ok(), "histograms are validated");
    }
    fn exemplar(&mut self, _: Exemplar) {}
    fn metadata(&mut self, _: &str, _: Metadata) {}
    fn reject(&mut self, _: RejectedSeries) {}
}

/// A stream of frames whose checksums are right, made of the input: otherwise no mutation would get past them.
fn framed(input: &[u8]) -> Vec<u8> {
    let mut stream = MAGIC.to_vec();
    for part in input.chunks(64) {
        let (kind, payload) = part.split_first().map_or((0, part), |(kind, payload)| (kind % 4, payload));
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
        stream.extend((payload.len() as u32).to_le_bytes());
        stream.extend(crc.to_le_bytes());
        stream.push(kind);
        stream.extend_from_slice(payload);
    }
    stream
}

fn read(stream: &[u8], piece: usize) -> (u64, Option<String>) {
    let mut reader = Reader::new();
    let mut count = 0;
    let hasher = LabelHasher::new(|| 7);
    for piece in stream.chunks(piece) {
        reader.feed(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    count += 1;
                    assert_eq!(frame.number, count);
                    let Ok(message) = frame.message() else { continue };
                    // Refused or read, but never a panic.
                    let _ = match frame.kind {
                        Kind::Metadata => wire::remote_write::decode(&message, &mut Nothing).is_ok(),
                        _ => wire::remote_write2::decode(&message, &hasher, &mut Nothing).is_ok(),
                    };
                }
                Ok(None) => break,
                Err(damage) => return (count, Some(damage.to_string())),
            }
        }
    }
    (count, reader.finish().err().map(|damage| damage.to_string()))
}

fuzz_target!(|input: &[u8]| {
    for stream in [input, &framed(input)] {
        let whole = read(stream, stream.len().max(1));
        assert_eq!(read(stream, 13), whole, "where it is cut makes no difference");
    }
});
