//! What is written as Prometheus writes it is read; nothing else makes a reader panic.

use std::sync::Arc;

use model::{BucketSpan, CounterResetHint, Exemplar, FloatHistogram, Labels, Metadata, STALE_NAN};
use proptest::prelude::*;

use super::chunk::{self, Encoding, Samples};
use super::index::{self, Frame, FrameKind, Series, Symbols, Toc};
use super::record::{self, Sample, Visitor};
use super::tombstones::{Tombstones, covers};
use super::wal::{PAGE_BYTES, Segment};
use crate::protobuf::zigzag_encode;
use crate::remote_read::{ChunkFrames, FrameReader, read_chunked};

fn uvarint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint(out: &mut Vec<u8>, number: i64) {
    uvarint(out, zigzag_encode(number));
}

fn text(out: &mut Vec<u8>, text: &str) {
    uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn with_crc(content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    out.extend_from_slice(&crc32c::crc32c(content).to_be_bytes());
    out
}

/// What a server sends and a client reads: chunks there are those of blocks.
fn round_trip(floats: (&[i64], &[f64]), histograms: (&[i64], &[Arc<FloatHistogram>])) -> Samples {
    let labels = Labels::from_pairs([("__name__", "a"), ("b", "ü")]);
    let mut sent = Vec::new();
    ChunkFrames::new().series(0, &labels, floats, histograms, &mut sent);
    let (mut frames, mut all, mut samples) = (FrameReader::new(), Samples::default(), Samples::default());
    for piece in sent.chunks(7) {
        frames.push(piece);
        while let Some(message) = frames.next_message().expect("sound") {
            let read = read_chunked(&message, &mut samples, |read, samples| {
                assert_eq!(read, &labels);
                all.floats.append(&mut samples.floats);
                all.histograms.append(&mut samples.histograms);
            });
            read.expect("sound");
        }
    }
    assert!(!frames.is_within_message());
    all
}

proptest! {
    #[test]
    fn floats_come_back_to_the_bit(
        start in -1i64 << 40..1 << 41, steps in prop::collection::vec(1i64..1 << 33, 0..300),
        bits in prop::collection::vec(prop_oneof![any::<u64>(), (0u32..50).prop_map(|v| f64::from(v).to_bits())], 301),
    ) {
        let mut times = vec![start];
        times.extend(steps.iter().scan(start, |time, step| { *time += step; Some(*time) }));
        let values: Vec<f64> = bits[..times.len()].iter().map(|bits| f64::from_bits(*bits)).collect();
        let got = round_trip((&times, &values), (&[], &[]));
        let got: Vec<(i64, u64)> = got.floats.iter().map(|(time, value)| (*time, value.to_bits())).collect();
        prop_assert_eq!(got, times.into_iter().zip(bits).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, offset: u32) {
        let offset = u64::from(offset);
        let mut samples = Samples::default();
        for encoding in [Encoding::Xor, Encoding::Histogram, Encoding::FloatHistogram] {
            drop(chunk::decode(encoding, &bytes, offset, &mut samples));
        }
        drop(Toc::read(&bytes, offset));
        drop(Symbols::read(&bytes, offset));
        drop(Tombstones::read(&bytes));
        drop(index::check_header(&bytes));
        for kind in [FrameKind::Series, FrameKind::Chunk] {
            if let Ok(frame) = Frame::read(&bytes, offset, kind) {
                drop(frame.chunk(&bytes, offset));
                drop(frame.series(&bytes, offset, &mut Series::default()));
            }
        }
        drop(Segment::new().page(&bytes, offset, |_, _| Ok(())));
        for kind in 0..15 {
            let mut record = vec![kind];
            record.extend_from_slice(&bytes);
            drop(record::decode(&record, 0, &mut Seen::default()));
        }
        let mut frames = FrameReader::new();
        frames.push(&bytes);
        drop(frames.next_message());
        drop(read_chunked(&bytes, &mut samples, |_, _| {}));
        drop(crate::remote_read::read_samples(&bytes, &mut samples, |_, _| {}));
    }

    #[test]
    fn records_are_put_together_from_pages(
        lens in prop::collection::vec(prop_oneof![0usize..200, 30_000usize..100_000], 1..12), compression in 0u8..3,
    ) {
        let records: Vec<Vec<u8>> =
            lens.iter().enumerate().map(|(at, len)| vec![at as u8; *len]).collect();
        let segment = segment(&records, compression);
        let (mut reader, mut got) = (Segment::new(), Vec::new());
        for (at, page) in segment.chunks(PAGE_BYTES).enumerate() {
            let read = reader.page(page, (at * PAGE_BYTES) as u64, |record, _| { got.push(record.to_vec()); Ok(()) });
            prop_assert_eq!(read, Ok(()));
        }
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(got, records);
    }
}

/// As Prometheus' writer lays records out.
fn segment(records: &[Vec<u8>], compression: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let (data, flag) = match compression {
            1 => (snap::raw::Encoder::new().compress_vec(record).expect("compressed"), 8),
            2 => (zstd::bulk::compress(record, 1).expect("compressed"), 16),
            _ => (record.clone(), 0),
        };
        let (mut rest, mut is_first) = (data.as_slice(), true);
        loop {
            let mut free = PAGE_BYTES - out.len() % PAGE_BYTES;
            if free < 7 + usize::from(!rest.is_empty()) {
                out.resize(out.len() + free, 0);
                free = PAGE_BYTES;
            }
            let (part, after) = rest.split_at(rest.len().min(free - 7));
            let kind = match (is_first, after.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            out.push(kind | flag);
            out.extend_from_slice(&(part.len() as u16).to_be_bytes());
            out.extend_from_slice(&crc32c::crc32c(part).to_be_bytes());
            out.extend_from_slice(part);
            (rest, is_first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

#[test]
fn a_segment_that_was_being_written_ends_with_its_last_whole_record() {
    let whole = segment(&[b"first".to_vec(), vec![7; 50_000]], 0);
    for cut in [20, PAGE_BYTES, PAGE_BYTES + 100] {
        let (mut reader, mut count, mut fault) = (Segment::new(), 0, None);
        for (at, page) in whole[..cut].chunks(PAGE_BYTES).enumerate() {
            let read = reader.page(page, (at * PAGE_BYTES) as u64, |_, _| {
                count += 1;
                Ok(())
            });
            fault = fault.or(read.err());
        }
        let fault = fault.or(reader.finish().err()).expect("something is missing");
        assert!(fault.what.contains("cut off"), "{fault}");
        assert_eq!(count, 1);
    }
    let mut damaged = whole;
    damaged[9] ^= 1;
    let fault = Segment::new().page(&damaged[..PAGE_BYTES], 65_536, |_, _| Ok(())).expect_err("damaged");
    assert!(fault.to_string().contains("the checksum is") && fault.offset == 65_536, "{fault}");
}

fn histogram(count: f64, buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: CounterResetHint::Unknown,
        schema: 2,
        zero_threshold: 2f64.powi(-128),
        zero_count: 1.0,
        count,
        sum: count * 1.5,
        positive_spans: vec![BucketSpan { offset: -3, length: 2 }, BucketSpan { offset: 4, length: 1 }],
        negative_spans: vec![BucketSpan { offset: 700, length: 1 }],
        positive_buckets: buckets.to_vec(),
        negative_buckets: vec![2.0],
        custom_values: Vec::new(),
    }
}

#[test]
fn float_histograms_come_back() {
    let all: Vec<Arc<FloatHistogram>> = [(7.0, [1.0, 1.0, 2.0]), (9.5, [2.0, 2.5, 2.0])]
        .iter()
        .map(|(count, buckets)| Arc::new(histogram(*count, buckets)))
        .chain([Arc::new(FloatHistogram { sum: STALE_NAN, ..FloatHistogram::default() })])
        .collect();
    let times = [1_700_000_000_123, 1_700_000_015_124, 1_700_000_030_000];
    let got = round_trip((&[], &[]), (&times, &all)).histograms;
    assert_eq!(got.len(), 3);
    assert_eq!(got[0], (times[0], all[0].as_ref().clone()));
    let second = FloatHistogram { counter_reset_hint: CounterResetHint::NotReset, ..all[1].as_ref().clone() };
    assert_eq!(got[1], (times[1], second));
    assert!(got[2].1.same_bits(&all[2]), "{:?}", got[2]);
}

/// Bits as Prometheus writes them, highest first.
#[derive(Default)]
struct BitText(String);

impl BitText {
    fn add(mut self, bits: &str) -> Self {
        self.0.extend(bits.chars().filter(|c| *c != ' '));
        self
    }

    fn f64(self, value: f64) -> Self {
        let bits = format!("{:064b}", value.to_bits());
        self.add(&bits)
    }

    fn bytes(mut self) -> Vec<u8> {
        while !self.0.len().is_multiple_of(8) {
            self.0.push('0');
        }
        self.0
            .as_bytes()
            .chunks(8)
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')))
            .collect()
    }
}

#[test]
fn integer_histograms_are_read_as_the_format_describes_them() {
    // Three samples; a counter reset before them; zero threshold 0; schema 1; one positive span of two buckets; no others.
    let bits = BitText::default()
        .add("00000000 00000011 10000000 00000000")
        .add("10 001")
        .add("10 001 10 010 0")
        .add("0")
        // Time 4, count 3, zero count 1, sum 2.5, buckets 1 and 1+0.
        .add("10 100 10 011 10 001")
        .f64(2.5)
        .add("10 001 0")
        // 15 later (six bits), count +2, zero count +0, the same sum, first bucket +1, second -1 to it.
        .add("110 001111 10 010 0 0 10 001 10 111")
        // The same distances again, but for the sum: a staleness marker, which has no buckets.
        .add("0 0 0 11 00001 000000");
    // The difference with 64 significant bits cannot have a leading zero: written as 63 bits instead.
    let difference = 2.5f64.to_bits() ^ STALE_NAN.to_bits();
    let (leading, trailing) = (difference.leading_zeros(), difference.trailing_zeros());
    let count = 64 - leading - trailing;
    let mut bits = bits;
    bits.0.truncate(bits.0.len() - 11);
    let bytes = bits
        .add(&format!("{leading:05b}"))
        .add(&format!("{:06b}", count & 63))
        .add(&format!("{:0width$b}", difference >> trailing, width = count as usize))
        .bytes();
    let mut samples = Samples::default();
    chunk::decode(Encoding::Histogram, &bytes, 0, &mut samples).expect("sound");
    let first = FloatHistogram {
        counter_reset_hint: CounterResetHint::Reset,
        schema: 1,
        count: 3.0,
        zero_count: 1.0,
        sum: 2.5,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 1.0],
        ..FloatHistogram::default()
    };
    let second = FloatHistogram {
        counter_reset_hint: CounterResetHint::NotReset,
        count: 5.0,
        positive_buckets: vec![2.0, 1.0],
        ..first.clone()
    };
    assert_eq!(samples.histograms[..2], [(4, first), (19, second)]);
    let (time, marker) = &samples.histograms[2];
    assert!(*time == 34 && model::is_stale(marker.sum) && marker.positive_buckets.is_empty(), "{marker:?}");
}

#[test]
fn a_series_of_an_index_is_read() {
    let mut content = Vec::new();
    uvarint(&mut content, 1);
    uvarint(&mut content, 0);
    uvarint(&mut content, 2);
    uvarint(&mut content, 2);
    varint(&mut content, -5);
    uvarint(&mut content, 10);
    uvarint(&mut content, 1 << 32 | 8);
    uvarint(&mut content, 3);
    uvarint(&mut content, 4);
    varint(&mut content, 100);
    let mut frame = Vec::new();
    uvarint(&mut frame, content.len() as u64);
    frame.extend_from_slice(&with_crc(&content));
    let head = Frame::read(&frame, 16, FrameKind::Series).expect("a length");
    assert_eq!(head.bytes, frame.len());
    let mut series = Series::default();
    head.series(&frame, 16, &mut series).expect("sound");
    assert_eq!(series.labels, [(0, 2)]);
    let chunks: Vec<(i64, i64, u32, u64)> =
        series.chunks.iter().map(|c| (c.min_ms, c.max_ms, c.segment(), c.offset())).collect();
    assert_eq!(chunks, [(-5, 5, 1, 8), (8, 12, 1, 108)]);
    frame[3] ^= 1;
    let fault = head.series(&frame, 16, &mut series).expect_err("damaged").to_string();
    assert!(fault.contains("checksum") && fault.contains("offset 16"), "{fault}");
}

#[test]
fn symbols_and_the_table_of_contents_are_read() {
    let mut content = 3u32.to_be_bytes().to_vec();
    ["", "a", "ü"].iter().for_each(|symbol| text(&mut content, symbol));
    let mut section = (content.len() as u32).to_be_bytes().to_vec();
    section.extend_from_slice(&with_crc(&content));
    let symbols = Symbols::read(&section, 5).expect("sound");
    let all: Vec<Option<&str>> = (0..4).map(|number| symbols.get(number)).collect();
    assert_eq!(all, [Some(""), Some("a"), Some("ü"), None]);
    let places: Vec<u8> = [5u64, 160, 0, 0, 400, 500].iter().flat_map(|place| place.to_be_bytes()).collect();
    let toc = Toc::read(&with_crc(&places), 1_000).expect("sound");
    assert_eq!(toc, Toc { symbols: 5, series: 160, series_end: 400 });
    assert!(Toc::read(&with_crc(&places), 100).is_err(), "places beyond the file");
}

#[test]
fn tombstones_are_read() {
    let mut content = Vec::new();
    for (series, min_ms, max_ms) in [(7u64, -5i64, 5i64), (7, 10, 10), (9, 0, 1)] {
        uvarint(&mut content, series);
        varint(&mut content, min_ms);
        varint(&mut content, max_ms);
    }
    let mut file = 0x0130_BA30u32.to_be_bytes().to_vec();
    file.push(1);
    file.extend_from_slice(&with_crc(&content));
    let read = Tombstones::read(&file).expect("sound");
    let deleted = |series, at| covers(read.of(series), at);
    assert!(deleted(7, -5) && deleted(7, 5) && deleted(7, 10) && deleted(9, 1));
    assert!(!deleted(7, 6) && !deleted(8, 0) && !deleted(9, 2));
}

/// What a record said, as text.
#[derive(Default)]
struct Seen(Vec<String>);

impl Visitor for Seen {
    fn series(&mut self, number: u64, labels: &[(&str, &str)]) {
        self.0.push(format!("series {number} {labels:?}"));
    }
    fn float(&mut self, sample: Sample<f64>) {
        let Sample { series, timestamp_ms, start_ms, value } = sample;
        self.0.push(format!("float {series} {value}@{timestamp_ms} since {start_ms}"));
    }
    fn histogram(&mut self, sample: Sample<FloatHistogram>) {
        let (series, at, h) = (sample.series, sample.timestamp_ms, sample.value);
        self.0.push(format!(
            "histogram {series} {at} {} {:?} {:?}",
            h.count, h.positive_buckets, h.custom_values
        ));
    }
    fn exemplar(&mut self, series: u64, exemplar: Exemplar) {
        self.0.push(format!(
            "exemplar {series} {}@{:?} {}",
            exemplar.value, exemplar.timestamp_ms, exemplar.labels
        ));
    }
    fn metadata(&mut self, series: u64, metadata: Metadata) {
        let Metadata { metric_type, unit, help } = metadata;
        self.0.push(format!("metadata {series} {metric_type:?} {unit:?} {help:?}"));
    }
    fn tombstone(&mut self, series: u64, min_ms: i64, max_ms: i64) {
        self.0.push(format!("deleted {series} {min_ms}..{max_ms}"));
    }
}

#[track_caller]
fn check(record: &[u8], want: &[&str]) {
    let mut seen = Seen::default();
    record::decode(record, 0, &mut seen).expect("sound");
    assert_eq!(seen.0, want);
    let cut = record::decode(&record[..record.len() - 1], 9, &mut Seen::default()).expect_err("cut off");
    assert_eq!(cut.offset, 9);
}

#[test]
fn records_say_what_prometheus_wrote() {
    let mut series = vec![1];
    series.extend_from_slice(&5u64.to_be_bytes());
    uvarint(&mut series, 2);
    ["__name__", "up", "job", "ü"].iter().for_each(|part| text(&mut series, part));
    check(&series, &[r#"series 5 [("__name__", "up"), ("job", "ü")]"#]);

    let base = |kind: u8| {
        let mut record = vec![kind];
        record.extend_from_slice(&5u64.to_be_bytes());
        record.extend_from_slice(&1_000i64.to_be_bytes());
        record
    };
    let mut floats = base(2);
    for (series, time, value) in [(0, 0, 1.5f64), (-2, 15, -0.0)] {
        varint(&mut floats, series);
        varint(&mut floats, time);
        floats.extend_from_slice(&value.to_be_bytes());
    }
    check(&floats, &["float 5 1.5@1000 since 0", "float 3 -0@1015 since 0"]);

    let mut starts = vec![11];
    [5i64, 1_000, 900].iter().for_each(|number| varint(&mut starts, *number));
    starts.extend_from_slice(&1f64.to_be_bytes());
    for (marker, start) in [(1u8, None), (2, Some(7i64)), (0, None)] {
        varint(&mut starts, 1);
        varint(&mut starts, 10);
        starts.push(marker);
        start.iter().for_each(|start| varint(&mut starts, *start));
        starts.extend_from_slice(&2f64.to_be_bytes());
    }
    let want = [
        "float 5 1@1000 since 900",
        "float 6 2@1010 since 900",
        "float 7 2@1010 since 907",
        "float 8 2@1010 since 0",
    ];
    check(&starts, &want);

    let mut deleted = vec![3];
    deleted.extend_from_slice(&5u64.to_be_bytes());
    varint(&mut deleted, -1);
    varint(&mut deleted, 70);
    check(&deleted, &["deleted 5 -1..70"]);

    let mut metadata = vec![6];
    uvarint(&mut metadata, 5);
    metadata.push(1);
    uvarint(&mut metadata, 2);
    ["UNIT", "s", "HELP", "seconds"].iter().for_each(|part| text(&mut metadata, part));
    check(&metadata, &[r#"metadata 5 Counter "s" "seconds""#]);

    let mut exemplar = base(4);
    varint(&mut exemplar, 1);
    varint(&mut exemplar, 2);
    exemplar.extend_from_slice(&0.25f64.to_be_bytes());
    uvarint(&mut exemplar, 1);
    ["id", "x"].iter().for_each(|part| text(&mut exemplar, part));
    check(&exemplar, &[r#"exemplar 6 0.25@Some(1002) {id="x"}"#]);
}

#[test]
fn records_of_histograms_are_read() {
    let mut record = vec![9];
    record.extend_from_slice(&5u64.to_be_bytes());
    record.extend_from_slice(&1_000i64.to_be_bytes());
    varint(&mut record, 0);
    varint(&mut record, 0);
    record.push(0);
    varint(&mut record, -53);
    record.extend_from_slice(&0f64.to_be_bytes());
    uvarint(&mut record, 0);
    uvarint(&mut record, 4);
    record.extend_from_slice(&6.5f64.to_be_bytes());
    uvarint(&mut record, 1);
    varint(&mut record, 0);
    uvarint(&mut record, 2);
    uvarint(&mut record, 0);
    uvarint(&mut record, 2);
    varint(&mut record, 3);
    varint(&mut record, -2);
    uvarint(&mut record, 0);
    uvarint(&mut record, 1);
    record.extend_from_slice(&0.5f64.to_be_bytes());
    check(&record, &["histogram 5 1000 4 [3.0, 1.0] [0.5]"]);

    let mut record = vec![8];
    record.extend_from_slice(&5u64.to_be_bytes());
    record.extend_from_slice(&1_000i64.to_be_bytes());
    varint(&mut record, 0);
    varint(&mut record, 0);
    record.push(3);
    varint(&mut record, 0);
    [0f64, 0.0, 2.5, 1.0].iter().for_each(|number| record.extend_from_slice(&number.to_be_bytes()));
    uvarint(&mut record, 1);
    varint(&mut record, 0);
    uvarint(&mut record, 1);
    uvarint(&mut record, 0);
    uvarint(&mut record, 1);
    record.extend_from_slice(&2.5f64.to_be_bytes());
    uvarint(&mut record, 0);
    check(&record, &["histogram 5 1000 2.5 [2.5] []"]);
}

#[test]
fn a_count_that_nothing_follows_is_no_reason_to_allocate() {
    let mut record = vec![1];
    record.extend_from_slice(&5u64.to_be_bytes());
    uvarint(&mut record, u64::MAX);
    let fault = record::decode(&record, 77, &mut Seen::default()).expect_err("nothing follows");
    assert!(fault.to_string().contains("items are announced") && fault.offset == 77, "{fault}");
}
