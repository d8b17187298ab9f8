//! Samples out of chunks: floats by XOR, native histograms with integer or float counts.
//!
//! Blocks, streamed remote read and the head's chunks share these encodings. A histogram's counter reset hint follows from its place: whoever
//! wrote the chunk began a new one at each reset, so that only the first sample of a chunk may be one.

use model::{BucketSpan, CounterResetHint, FloatHistogram, is_stale};

use super::Corrupt;

/// How a chunk is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Floats.
    Xor,
    /// Native histograms with integer counts.
    Histogram,
    /// Native histograms with float counts.
    FloatHistogram,
}

impl Encoding {
    /// By Prometheus' number; `None` for encodings we do not know.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Xor),
            2 => Some(Self::Histogram),
            3 => Some(Self::FloatHistogram),
            _ => None,
        }
    }
}

/// Samples of a series, with their times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// Floats.
    pub floats: Vec<(i64, f64)>,
    /// Native histograms, not validated.
    pub histograms: Vec<(i64, FloatHistogram)>,
}

impl Samples {
    /// Removes everything and keeps the allocations.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Appends the samples of the chunk `data`, which begins at `offset` of its file.
///
/// # Errors
/// If it is no such chunk. Samples before the fault have been appended then.
pub fn decode(encoding: Encoding, data: &[u8], offset: u64, into: &mut Samples) -> Result<(), Corrupt> {
    let mut bits = Bits { bytes: data, at: 0, offset };
    match encoding {
        Encoding::Xor => floats(&mut bits, &mut into.floats),
        Encoding::Histogram => histograms(&mut bits, Counts::Integers, &mut into.histograms),
        Encoding::FloatHistogram => histograms(&mut bits, Counts::Floats, &mut into.histograms),
    }
}

/// Bits in Prometheus' order: the highest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
    offset: u64,
}

impl Bits<'_> {
    fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt::new(self.offset + (self.at / 8) as u64, what)
    }

    fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// At most 64.
    fn read(&mut self, count: u32) -> Result<u64, Corrupt> {
        if self.left() < count as usize {
            return Err(self.corrupt("the chunk is cut off"));
        }
        let (mut value, mut left) = (0u64, count);
        while left > 0 {
            let free = 8 - (self.at % 8) as u32;
            let now = free.min(left);
            let part = u64::from(self.bytes[self.at / 8]) >> (free - now) & ((1 << now) - 1);
            value = value << now | part;
            self.at += now as usize;
            left -= now;
        }
        Ok(value)
    }

    fn bit(&mut self) -> Result<bool, Corrupt> {
        self.read(1).map(|bit| bit == 1)
    }

    fn f64(&mut self) -> Result<f64, Corrupt> {
        self.read(64).map(f64::from_bits)
    }

    /// Of `count` bits, from `-2^(count-1) + 1` to `2^(count-1)`.
    fn signed(&mut self, count: u32) -> Result<i64, Corrupt> {
        let value = self.read(count)?;
        if count < 64 && count > 0 && value > 1 << (count - 1) {
            return Ok(value.cast_signed() - (1 << count));
        }
        Ok(value.cast_signed())
    }

    /// How many ones come before a zero, at most `max`.
    fn ones(&mut self, max: u32) -> Result<u32, Corrupt> {
        let mut ones = 0;
        while ones < max && self.bit()? {
            ones += 1;
        }
        Ok(ones)
    }

    /// As protobuf's, at any bit.
    fn uvarint(&mut self) -> Result<u64, Corrupt> {
        let mut number = 0u64;
        for at in 0..10 {
            let byte = self.read(8)?;
            if at == 9 && byte > 1 {
                break;
            }
            number |= (byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.corrupt("a number has more than 64 bits"))
    }

    fn varbit_bits(&mut self) -> Result<u32, Corrupt> {
        const SIZES: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];
        Ok(SIZES[self.ones(8)? as usize])
    }

    fn varbit(&mut self) -> Result<i64, Corrupt> {
        let bits = self.varbit_bits()?;
        self.signed(bits)
    }

    fn varbit_unsigned(&mut self) -> Result<u64, Corrupt> {
        let bits = self.varbit_bits()?;
        self.read(bits)
    }

    /// The difference of two intervals between floats.
    fn interval_change(&mut self) -> Result<i64, Corrupt> {
        match self.ones(4)? {
            0 => Ok(0),
            1 => self.signed(14),
            2 => self.signed(17),
            3 => self.signed(20),
            _ => self.signed(64),
        }
    }

    /// How many items are announced, each of which takes at least a bit.
    fn count(&mut self) -> Result<usize, Corrupt> {
        let count = self.varbit_unsigned()?;
        let left = self.left();
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= left)
            .ok_or_else(|| self.corrupt("more items are announced than the chunk can hold"))
    }
}

/// A number that is written as the difference to the one before.
#[derive(Clone, Copy, Default)]
struct Xor {
    bits: u64,
    leading: u32,
    trailing: u32,
}

impl Xor {
    fn first(bits: &mut Bits<'_>) -> Result<Self, Corrupt> {
        Ok(Self { bits: bits.read(64)?, ..Self::default() })
    }

    fn next(&mut self, bits: &mut Bits<'_>) -> Result<f64, Corrupt> {
        if !bits.bit()? {
            return Ok(self.value());
        }
        if bits.bit()? {
            let leading = bits.read(5)? as u32;
            // 64 does not fit six bits and is written as 0, which never occurs.
            let count = match bits.read(6)? as u32 {
                0 => 64,
                count => count,
            };
            if leading + count > 64 {
                return Err(bits.corrupt("a value has more than 64 bits"));
            }
            (self.leading, self.trailing) = (leading, 64 - leading - count);
        }
        self.bits ^= bits.read(64 - self.leading - self.trailing)? << self.trailing;
        Ok(self.value())
    }

    fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

fn floats(bits: &mut Bits<'_>, into: &mut Vec<(i64, f64)>) -> Result<(), Corrupt> {
    let count = bits.read(16)? as usize;
    if count == 0 {
        return Ok(());
    }
    let mut time_ms = crate::protobuf::zigzag_decode(bits.uvarint()?);
    let mut value = Xor::first(bits)?;
    into.push((time_ms, value.value()));
    let mut interval_ms = 0i64;
    for at in 1..count {
        interval_ms = match at {
            1 => bits.uvarint()?.cast_signed(),
            _ => interval_ms.wrapping_add(bits.interval_change()?),
        };
        time_ms = time_ms.wrapping_add(interval_ms);
        into.push((time_ms, value.next(bits)?));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Integers,
    Floats,
}

/// What all histograms of a chunk share.
struct Layout {
    schema: i32,
    zero_threshold: f64,
    positive_spans: Vec<BucketSpan>,
    negative_spans: Vec<BucketSpan>,
    custom_values: Vec<f64>,
    positive_count: usize,
    negative_count: usize,
}

impl Layout {
    fn read(bits: &mut Bits<'_>) -> Result<Self, Corrupt> {
        let zero_threshold = match bits.read(8)? {
            0 => 0.0,
            255 => bits.f64()?,
            exponent => 0.5 * 2f64.powi(exponent as i32 - 243),
        };
        let schema = i32::try_from(bits.varbit()?).map_err(|_| bits.corrupt("the schema is no schema"))?;
        let (positive_spans, positive_count) = spans(bits)?;
        let (negative_spans, negative_count) = spans(bits)?;
        let mut custom_values = Vec::new();
        if schema == model::histogram::CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..bits.count()? {
                custom_values.push(match bits.varbit_unsigned()? {
                    0 => bits.f64()?,
                    thousandths => (thousandths - 1) as f64 / 1000.0,
                });
            }
        }
        Ok(Self {
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            custom_values,
            positive_count,
            negative_count,
        })
    }

    fn bucket_count(&self) -> usize {
        self.positive_count + self.negative_count
    }

    fn histogram(&self, numbers: Numbers, hint: CounterResetHint) -> FloatHistogram {
        let Numbers { count, zero_count, sum, mut buckets } = numbers;
        if is_stale(sum) {
            // A marker has nothing but its mark.
            return FloatHistogram { sum, ..FloatHistogram::default() };
        }
        let negative_buckets = buckets.split_off(self.positive_count.min(buckets.len()));
        FloatHistogram {
            counter_reset_hint: hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            count,
            zero_count,
            sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: buckets,
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }
}

fn spans(bits: &mut Bits<'_>) -> Result<(Vec<BucketSpan>, usize), Corrupt> {
    let count = bits.count()?;
    let (mut spans, mut buckets) = (Vec::new(), 0usize);
    for _ in 0..count {
        let length = u32::try_from(bits.varbit_unsigned()?);
        let length = length.map_err(|_| bits.corrupt("a span of buckets is too long"))?;
        let offset = i32::try_from(bits.varbit()?);
        let offset = offset.map_err(|_| bits.corrupt("a span of buckets is out of range"))?;
        buckets = buckets.saturating_add(length as usize);
        spans.push(BucketSpan { offset, length });
    }
    // Each bucket takes at least a bit of the first sample.
    if buckets > bits.left() {
        return Err(bits.corrupt("more buckets are announced than the chunk can hold"));
    }
    Ok((spans, buckets))
}

/// The numbers of one histogram; buckets are absolute counts, the positive ones first.
struct Numbers {
    count: f64,
    zero_count: f64,
    sum: f64,
    buckets: Vec<f64>,
}

fn histograms(
    bits: &mut Bits<'_>,
    counts: Counts,
    into: &mut Vec<(i64, FloatHistogram)>,
) -> Result<(), Corrupt> {
    let total = bits.read(16)? as usize;
    let flags = bits.read(8)?;
    if total == 0 {
        return Ok(());
    }
    let layout = Layout::read(bits)?;
    let mut time = Whole { value: bits.varbit()?, change: 0 };
    let mut decoder = match counts {
        Counts::Integers => Decoder::Integers(Integers::first(bits, &layout)?),
        Counts::Floats => Decoder::Floats(Floats::first(bits, &layout)?),
    };
    for at in 0..total {
        if at > 0 {
            time.next(bits)?;
        }
        let numbers = match &mut decoder {
            Decoder::Integers(integers) => integers.numbers(bits, at, &layout)?,
            Decoder::Floats(floats) => floats.numbers(bits, at)?,
        };
        let hint = match (flags >> 6, at) {
            (3, _) => CounterResetHint::Gauge,
            (2, 0) => CounterResetHint::Reset,
            // "No reset" of a chunk is about the chunk before it, which may not be the one that comes before it here.
            (_, 0) => CounterResetHint::Unknown,
            _ => CounterResetHint::NotReset,
        };
        into.push((time.value, layout.histogram(numbers, hint)));
    }
    Ok(())
}

enum Decoder {
    Integers(Integers),
    Floats(Floats),
}

/// A whole number that is written as the difference of two differences.
#[derive(Clone, Copy, Default)]
struct Whole {
    value: i64,
    change: i64,
}

impl Whole {
    fn next(&mut self, bits: &mut Bits<'_>) -> Result<i64, Corrupt> {
        self.change = self.change.wrapping_add(bits.varbit()?);
        self.value = self.value.wrapping_add(self.change);
        Ok(self.value)
    }
}

/// State of a chunk with integer counts.
struct Integers {
    count: Whole,
    zero_count: Whole,
    sum: Xor,
    /// Each the difference to the bucket before.
    buckets: Vec<Whole>,
}

impl Integers {
    fn first(bits: &mut Bits<'_>, layout: &Layout) -> Result<Self, Corrupt> {
        let whole = |value: u64| Whole { value: value.cast_signed(), change: 0 };
        let count = whole(bits.varbit_unsigned()?);
        let zero_count = whole(bits.varbit_unsigned()?);
        let sum = Xor::first(bits)?;
        let buckets = (0..layout.bucket_count()).map(|_| Ok(Whole { value: bits.varbit()?, change: 0 }));
        Ok(Self { count, zero_count, sum, buckets: buckets.collect::<Result<_, Corrupt>>()? })
    }

    fn numbers(&mut self, bits: &mut Bits<'_>, at: usize, layout: &Layout) -> Result<Numbers, Corrupt> {
        if at > 0 {
            self.count.next(bits)?;
            self.zero_count.next(bits)?;
            self.sum.next(bits)?;
            // A staleness marker has no buckets.
            if !is_stale(self.sum.value()) {
                for bucket in &mut self.buckets {
                    bucket.next(bits)?;
                }
            }
        }
        let mut sum = 0i64;
        let absolute = self.buckets.iter().enumerate().map(|(at, bucket)| {
            if at == layout.positive_count {
                sum = 0;
            }
            sum = sum.wrapping_add(bucket.value);
            sum as f64
        });
        Ok(Numbers {
            count: self.count.value.cast_unsigned() as f64,
            zero_count: self.zero_count.value.cast_unsigned() as f64,
            sum: self.sum.value(),
            buckets: absolute.collect(),
        })
    }
}

/// State of a chunk with float counts.
struct Floats {
    count: Xor,
    zero_count: Xor,
    sum: Xor,
    buckets: Vec<Xor>,
}

impl Floats {
    fn first(bits: &mut Bits<'_>, layout: &Layout) -> Result<Self, Corrupt> {
        let (count, zero_count, sum) = (Xor::first(bits)?, Xor::first(bits)?, Xor::first(bits)?);
        // A float takes 64 bits, not one.
        if layout.bucket_count() > bits.left() / 64 {
            return Err(bits.corrupt("more buckets are announced than the chunk can hold"));
        }
        let buckets = (0..layout.bucket_count()).map(|_| Xor::first(bits));
        Ok(Self { count, zero_count, sum, buckets: buckets.collect::<Result<_, Corrupt>>()? })
    }

    fn numbers(&mut self, bits: &mut Bits<'_>, at: usize) -> Result<Numbers, Corrupt> {
        if at > 0 {
            self.count.next(bits)?;
            self.zero_count.next(bits)?;
            self.sum.next(bits)?;
            if !is_stale(self.sum.value()) {
                for bucket in &mut self.buckets {
                    bucket.next(bits)?;
                }
            }
        }
        Ok(Numbers {
            count: self.count.value(),
            zero_count: self.zero_count.value(),
            sum: self.sum.value(),
            buckets: self.buckets.iter().map(|bucket| bucket.value()).collect(),
        })
    }
}
