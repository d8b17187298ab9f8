//! Requests are read as Prometheus writes them; chunks can be read back as Prometheus reads them.

use std::sync::Arc;

use model::{BucketSpan, CounterResetHint, FloatHistogram, Labels, STALE_NAN};
use proptest::prelude::*;

use super::bits::BitWriter;
use super::{ChunkFrames, ResponseType, decode, histogram_chunk, xor};
use crate::protobuf::{Reader, Value, Writer, zigzag_decode};

fn request(matchers: &[(u64, &str, &str)], accepted: &[u64]) -> Vec<u8> {
    let (mut query, mut item, mut request) = (Writer::new(), Writer::new(), Writer::new());
    query.int64(1, 1_000);
    query.int64(2, -5);
    for (kind, name, value) in matchers {
        item.clear();
        item.varint(1, *kind);
        item.string(2, name);
        item.string(3, value);
        query.bytes(3, item.as_bytes());
    }
    item.clear();
    item.int64(1, 15_000);
    item.string(2, "rate");
    item.int64(7, 60_000);
    query.bytes(4, item.as_bytes());
    request.bytes(1, query.as_bytes());
    accepted.iter().for_each(|number| request.varint_always(2, *number));
    request.as_bytes().to_vec()
}

#[test]
fn a_request_is_read() {
    let body = request(&[(0, "__name__", "up"), (1, "a", "b"), (2, "c", "d.*"), (3, "e", "f|g")], &[7, 1, 0]);
    let asked = decode(&body).expect("sound");
    assert_eq!(asked.response_type, ResponseType::StreamedXorChunks, "the first that is known");
    let query = &asked.queries[0];
    assert_eq!((query.start_ms, query.end_ms), (1_000, -5));
    let matchers: Vec<String> = query.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(matchers, ["__name__=\"up\"", "a!=\"b\"", "c=~\"d.*\"", "e!~\"f|g\""]);
    let hints = &query.hints;
    assert_eq!((hints.step_ms, hints.function.as_str(), hints.window_ms), (15_000, "rate", 60_000));
    assert_eq!(decode(&request(&[], &[])).expect("sound").response_type, ResponseType::Samples);
}

#[test]
fn a_bad_request_says_what_is_wrong() {
    let refused = |body: &[u8]| decode(body).expect_err("refused").to_string();
    assert!(refused(&request(&[(4, "a", "b")], &[])).contains("unknown label matcher type 4"));
    assert!(refused(&request(&[(2, "a", "(")], &[])).contains("matcher a: "));
    assert!(
        refused(&request(&[], &[2, 9]))
            .contains("does not support any of the requested response types: [2, 9]")
    );
    assert!(refused(b"\x0a\xff").contains("not a prometheus.ReadRequest"));
}

/// Reads what a `BitWriter` wrote, by Prometheus' description of its chunks.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: u32) -> u64 {
        let mut value = 0;
        for _ in 0..count {
            let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
            value = value << 1 | u64::from(bit);
            self.at += 1;
        }
        value
    }

    fn signed(&mut self, count: u32) -> i64 {
        let value = self.read(count);
        if count > 0 && count < 64 && value > 1 << (count - 1) {
            value as i64 - (1 << count)
        } else {
            value as i64
        }
    }

    fn ones(&mut self, max: u32) -> u32 {
        let mut ones = 0;
        while ones < max && self.read(1) == 1 {
            ones += 1;
        }
        ones
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.read(8);
            value |= (byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }

    fn varbit_size(&mut self) -> u32 {
        [0, 3, 6, 9, 12, 18, 25, 56, 64][self.ones(8) as usize]
    }

    fn varbit(&mut self) -> i64 {
        let size = self.varbit_size();
        self.signed(size)
    }

    fn varbit_unsigned(&mut self) -> u64 {
        let size = self.varbit_size();
        self.read(size)
    }

    fn xor(&mut self, last: f64, window: &mut (u32, u32)) -> f64 {
        if self.read(1) == 0 {
            return last;
        }
        if self.read(1) == 1 {
            let leading = self.read(5) as u32;
            let count = match self.read(6) as u32 {
                0 => 64,
                count => count,
            };
            *window = (leading, 64 - leading - count);
        }
        let count = 64 - window.0 - window.1;
        f64::from_bits(last.to_bits() ^ (self.read(count) << window.1))
    }

    fn times_difference(&mut self) -> i64 {
        match self.ones(4) {
            0 => 0,
            1 => self.signed(14),
            2 => self.signed(17),
            3 => self.signed(20),
            _ => self.signed(64),
        }
    }

    fn xor_chunk(&mut self) -> Vec<(i64, u64)> {
        let count = self.read(16);
        let mut time = zigzag_decode(self.varint());
        let mut value = f64::from_bits(self.read(64));
        let (mut samples, mut window, mut delta) = (vec![(time, value.to_bits())], (0, 0), 0i64);
        for at in 1..count {
            delta = if at == 1 { self.varint() as i64 } else { delta.wrapping_add(self.times_difference()) };
            time = time.wrapping_add(delta);
            value = self.xor(value, &mut window);
            samples.push((time, value.to_bits()));
        }
        samples
    }

    fn spans(&mut self) -> Vec<BucketSpan> {
        let count = self.varbit_unsigned();
        (0..count)
            .map(|_| {
                let length = self.varbit_unsigned() as u32;
                BucketSpan { length, offset: self.varbit() as i32 }
            })
            .collect()
    }

    fn histogram_chunk(&mut self) -> Vec<(i64, FloatHistogram)> {
        let count = self.read(16);
        let flag = self.read(8);
        let zero_threshold = match self.read(8) {
            0 => 0.0,
            255 => f64::from_bits(self.read(64)),
            exponent => 0.5 * 2f64.powi(exponent as i32 - 243),
        };
        let schema = self.varbit() as i32;
        let (positive_spans, negative_spans) = (self.spans(), self.spans());
        let mut custom_values = Vec::new();
        if schema == -53 {
            for _ in 0..self.varbit_unsigned() {
                assert_eq!(self.varbit_unsigned(), 0);
                custom_values.push(f64::from_bits(self.read(64)));
            }
        }
        let len = |spans: &[BucketSpan]| spans.iter().map(|span| span.length as usize).sum::<usize>();
        let (positive, negative) = (len(&positive_spans), len(&negative_spans));
        let mut numbers = vec![(0.0, (0, 0)); 3 + positive + negative];
        let (mut time, mut delta, mut all) = (0i64, 0i64, Vec::new());
        for at in 0..count {
            if at == 0 {
                time = self.varbit();
            } else {
                delta += self.varbit();
                time += delta;
            }
            for (value, window) in &mut numbers {
                *value = if at == 0 { f64::from_bits(self.read(64)) } else { self.xor(*value, window) };
            }
            let values: Vec<f64> = numbers.iter().map(|(value, _)| *value).collect();
            let counter_reset_hint = match (flag >> 6, at) {
                (3, _) => CounterResetHint::Gauge,
                (2, 0) => CounterResetHint::Reset,
                (1, 0) => CounterResetHint::NotReset,
                (_, 0) => CounterResetHint::Unknown,
                _ => CounterResetHint::NotReset,
            };
            let histogram = FloatHistogram {
                counter_reset_hint,
                schema,
                zero_threshold,
                count: values[0],
                zero_count: values[1],
                sum: values[2],
                positive_spans: positive_spans.clone(),
                negative_spans: negative_spans.clone(),
                positive_buckets: values[3..3 + positive].to_vec(),
                negative_buckets: values[3 + positive..].to_vec(),
                custom_values: custom_values.clone(),
            };
            all.push((time, histogram));
        }
        all
    }
}

proptest! {
    #[test]
    fn floats_of_a_chunk_can_be_read(
        start: i64, steps in proptest::collection::vec(prop_oneof![Just(15_000i64), 1i64..40_000, 1i64..1 << 40], 0..119),
        bits in proptest::collection::vec(prop_oneof![any::<u64>(), (0u32..50).prop_map(|v| f64::from(v).to_bits())], 120),
    ) {
        let start = start / 4;
        let mut times = vec![start];
        times.extend(steps.iter().scan(start, |time, step| { *time += step; Some(*time) }));
        let values: Vec<f64> = bits[..times.len()].iter().map(|bits| f64::from_bits(*bits)).collect();
        let mut out = BitWriter::default();
        xor::encode(&times, &values, &mut out);
        let want: Vec<(i64, u64)> = times.iter().copied().zip(bits).collect();
        prop_assert_eq!(Bits { bytes: out.bytes(), at: 0 }.xor_chunk(), want);
    }

    #[test]
    fn numbers_of_few_bits_can_be_read(number: i64, shift in 0u32..64, unsigned: u64) {
        let (number, unsigned) = (number >> shift, unsigned >> shift);
        let mut out = BitWriter::default();
        out.write_varbit(number);
        out.write_varbit_unsigned(unsigned);
        let mut bits = Bits { bytes: out.bytes(), at: 0 };
        prop_assert_eq!((bits.varbit(), bits.varbit_unsigned()), (number, unsigned));
    }
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
fn histograms_of_a_chunk_can_be_read() {
    let all: Vec<Arc<FloatHistogram>> =
        [(7.0, [1.0, 1.0, 2.0]), (9.0, [2.0, 2.0, 2.0]), (13.5, [2.5, 3.0, 5.0])]
            .iter()
            .map(|(count, buckets)| Arc::new(histogram(*count, buckets)))
            .collect();
    let times = [1_700_000_000_123, 1_700_000_015_124, 1_700_000_030_000];
    assert_eq!(histogram_chunk::run_len(&all, 100), 3);
    let mut out = BitWriter::default();
    histogram_chunk::encode(&times, &all, &mut out);
    let got = Bits { bytes: out.bytes(), at: 0 }.histogram_chunk();
    assert_eq!(got.len(), 3);
    for (at, (time, read)) in got.into_iter().enumerate() {
        assert_eq!(time, times[at]);
        let hint = if at == 0 { CounterResetHint::Unknown } else { CounterResetHint::NotReset };
        assert_eq!(read, FloatHistogram { counter_reset_hint: hint, ..all[at].as_ref().clone() });
    }
}

#[test]
fn custom_buckets_and_odd_thresholds_can_be_read() {
    let custom = FloatHistogram {
        schema: -53,
        zero_threshold: 0.0,
        custom_values: vec![0.1, 2.5, 1e100],
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
        ..histogram(5.0, &[1.0, 2.0, 2.0])
    };
    for one in [custom, FloatHistogram { zero_threshold: 0.3, ..histogram(1.0, &[0.0, 0.0, 0.0]) }] {
        let mut out = BitWriter::default();
        histogram_chunk::encode(&[5], &[Arc::new(one.clone())], &mut out);
        assert_eq!(Bits { bytes: out.bytes(), at: 0 }.histogram_chunk(), [(5, one)]);
    }
}

#[test]
fn a_chunk_of_histograms_ends_where_a_reader_would_be_misled() {
    let base = histogram(7.0, &[1.0, 1.0, 2.0]);
    let runs =
        |next: FloatHistogram| histogram_chunk::run_len(&[Arc::new(base.clone()), Arc::new(next)], 100);
    assert_eq!(runs(base.clone()), 2);
    assert_eq!(runs(FloatHistogram { count: 6.0, ..base.clone() }), 1, "a reset that nobody marked");
    assert_eq!(runs(FloatHistogram { positive_buckets: vec![1.0, 0.0, 9.0], ..base.clone() }), 1);
    assert_eq!(runs(FloatHistogram { counter_reset_hint: CounterResetHint::Reset, ..base.clone() }), 1);
    assert_eq!(runs(FloatHistogram { schema: 1, ..base.clone() }), 1);
    assert_eq!(runs(FloatHistogram { sum: STALE_NAN, ..base.clone() }), 1, "a staleness marker stands alone");
    assert_eq!(runs(FloatHistogram { counter_reset_hint: CounterResetHint::Gauge, ..base.clone() }), 1);
}

/// The chunks of all frames: encoding, first and last time.
fn chunks_of(mut frames: &[u8]) -> Vec<(u64, i64, i64)> {
    let mut chunks = Vec::new();
    while !frames.is_empty() {
        let mut head = Reader::new(frames);
        let len = head.varint().expect("a length") as usize;
        let rest = &frames[frames.len() - head.len()..];
        let (checksum, rest) = rest.split_at(4);
        let (message, after) = rest.split_at(len);
        assert_eq!(checksum, crc32c::crc32c(message).to_be_bytes());
        frames = after;
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next_field().expect("sound") {
            let Value::Bytes(series) = value else {
                assert_eq!((field, value), (2, Value::Varint(3)), "the query's number");
                continue;
            };
            let mut reader = Reader::new(series);
            while let Some((field, value)) = reader.next_field().expect("sound") {
                let mut chunk = Reader::new(value.bytes(field).expect("a message"));
                if field == 1 {
                    continue;
                }
                let mut numbers = [0; 4];
                while let Some((field, value)) = chunk.next_field().expect("sound") {
                    if let Value::Varint(number) = value {
                        numbers[field as usize] = number;
                    }
                }
                chunks.push((numbers[3], numbers[1] as i64, numbers[2] as i64));
            }
        }
    }
    chunks
}

#[test]
fn chunks_of_a_series_follow_in_time() {
    let times: Vec<i64> = (0..250).map(|at| at * 10).collect();
    let values = vec![1.0; 250];
    let histogram = Arc::new(histogram(7.0, &[1.0, 1.0, 2.0]));
    let histograms = [Arc::clone(&histogram), histogram];
    let mut out = Vec::new();
    let labels = Labels::from_pairs([("__name__", "a")]);
    let mut encoder = ChunkFrames::new();
    encoder.series(3, &labels, (&times, &values), (&[1_205, 1_206], &histograms), &mut out);
    assert_eq!(
        chunks_of(&out),
        [(1, 0, 1_190), (1, 1_200, 1_200), (3, 1_205, 1_206), (1, 1_210, 2_400), (1, 2_410, 2_490)]
    );
    let before = out.len();
    encoder.series(3, &labels, (&[], &[]), (&[], &[]), &mut out);
    assert_eq!(out.len(), before, "a series without samples is not told of");
}
