//! What a record of the write-ahead log says.
//!
//! Series come with a number, by which all later records name them. Newer versions of the records of samples carry start timestamps. Records that
//! only Prometheus itself needs (markers of mapped chunks, the time of a checkpoint) and types of the future are passed over.

use model::{
    BucketSpan, CounterResetHint, Exemplar, FloatHistogram, Labels, Metadata, MetricType, UNKNOWN_START_MS,
};

use super::{Corrupt, Cursor};

/// A sample of a series that is known by its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<V> {
    /// Number of the series.
    pub series: u64,
    /// When.
    pub timestamp_ms: i64,
    /// When its counter began; [`UNKNOWN_START_MS`] if that is not recorded.
    pub start_ms: i64,
    /// What.
    pub value: V,
}

/// Takes what a record says.
pub trait Visitor {
    /// A series and its number. Labels are neither sorted nor checked.
    fn series(&mut self, number: u64, labels: &[(&str, &str)]);
    /// A float.
    fn float(&mut self, sample: Sample<f64>);
    /// A native histogram, not validated.
    fn histogram(&mut self, sample: Sample<FloatHistogram>);
    /// An exemplar; its time is set.
    fn exemplar(&mut self, series: u64, exemplar: Exemplar);
    /// What is known about a series' metric.
    fn metadata(&mut self, series: u64, metadata: Metadata);
    /// Samples of a series up to here are deleted; both ends are included.
    fn tombstone(&mut self, series: u64, min_ms: i64, max_ms: i64);
}

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const TOMBSTONES: u8 = 3;
const EXEMPLARS: u8 = 4;
const METADATA: u8 = 6;
const HISTOGRAMS: u8 = 7;
const FLOAT_HISTOGRAMS: u8 = 8;
const CUSTOM_HISTOGRAMS: u8 = 9;
const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
const SAMPLES_WITH_STARTS: u8 = 11;
const HISTOGRAMS_WITH_STARTS: u8 = 12;
const FLOAT_HISTOGRAMS_WITH_STARTS: u8 = 13;

/// Whether a record holds deletions, so that who looks only for them need not decode the others.
pub fn holds_tombstones(record: &[u8]) -> bool {
    record.first() == Some(&TOMBSTONES)
}

/// Hands what a record says to `visitor`. Faults are placed at `offset`, where the record begins: it may have been compressed.
///
/// # Errors
/// If the record is damaged; what stands before the fault was handed on.
pub fn decode(record: &[u8], offset: u64, visitor: &mut impl Visitor) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(record, 0);
    let decoded = cursor.byte().and_then(|kind| decode_kind(kind, &mut cursor, visitor));
    decoded.map_err(|fault| {
        Corrupt::new(offset, format!("a record is damaged ({} of its content {})", fault.what, fault.offset))
    })
}

fn decode_kind(kind: u8, cursor: &mut Cursor<'_>, visitor: &mut impl Visitor) -> Result<(), Corrupt> {
    match kind {
        SERIES => series(cursor, visitor),
        SAMPLES => samples(cursor, Starts::Absent, Cursor::f64, |sample| visitor.float(sample)),
        SAMPLES_WITH_STARTS => samples(cursor, Starts::Present, Cursor::f64, |sample| visitor.float(sample)),
        HISTOGRAMS | CUSTOM_HISTOGRAMS => {
            samples(cursor, Starts::Absent, |c| histogram(c, &Integers), |sample| visitor.histogram(sample))
        }
        HISTOGRAMS_WITH_STARTS => {
            samples(cursor, Starts::Present, |c| histogram(c, &Integers), |sample| visitor.histogram(sample))
        }
        FLOAT_HISTOGRAMS | CUSTOM_FLOAT_HISTOGRAMS => {
            samples(cursor, Starts::Absent, |c| histogram(c, &Floats), |sample| visitor.histogram(sample))
        }
        FLOAT_HISTOGRAMS_WITH_STARTS => {
            samples(cursor, Starts::Present, |c| histogram(c, &Floats), |sample| visitor.histogram(sample))
        }
        EXEMPLARS => samples(cursor, Starts::Absent, exemplar, |sample| {
            let Sample { series, timestamp_ms, value, .. } = sample;
            visitor.exemplar(series, Exemplar { timestamp_ms: Some(timestamp_ms), ..value });
        }),
        METADATA => metadata(cursor, visitor),
        TOMBSTONES => {
            while !cursor.is_empty() {
                let series = cursor.u64()?;
                visitor.tombstone(series, cursor.varint()?, cursor.varint()?);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn series(cursor: &mut Cursor<'_>, visitor: &mut impl Visitor) -> Result<(), Corrupt> {
    let mut labels = Vec::new();
    while !cursor.is_empty() {
        let number = cursor.u64()?;
        labels.clear();
        for _ in 0..cursor.count(2)? {
            labels.push((cursor.text()?, cursor.text()?));
        }
        visitor.series(number, &labels);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Starts {
    Absent,
    Present,
}

/// Records of samples differ in what a sample is. The older ones name series and time by their distance from the first; the newer ones the
/// series by its distance from the one before.
fn samples<'a, V>(
    cursor: &mut Cursor<'a>,
    starts: Starts,
    mut value: impl FnMut(&mut Cursor<'a>) -> Result<V, Corrupt>,
    mut take: impl FnMut(Sample<V>),
) -> Result<(), Corrupt> {
    if cursor.is_empty() {
        return Ok(());
    }
    if starts == Starts::Absent {
        let (first, first_ms) = (cursor.u64()?, cursor.u64()?.cast_signed());
        while !cursor.is_empty() {
            let series = first.wrapping_add(cursor.varint()?.cast_unsigned());
            let timestamp_ms = first_ms.wrapping_add(cursor.varint()?);
            take(Sample { series, timestamp_ms, start_ms: UNKNOWN_START_MS, value: value(cursor)? });
        }
        return Ok(());
    }
    let mut series = cursor.varint()?.cast_unsigned();
    let (first_ms, first_start_ms) = (cursor.varint()?, cursor.varint()?);
    let (mut timestamp_ms, mut start_ms) = (first_ms, first_start_ms);
    loop {
        take(Sample { series, timestamp_ms, start_ms, value: value(cursor)? });
        if cursor.is_empty() {
            return Ok(());
        }
        series = series.wrapping_add(cursor.varint()?.cast_unsigned());
        timestamp_ms = first_ms.wrapping_add(cursor.varint()?);
        start_ms = match cursor.byte()? {
            0 => UNKNOWN_START_MS,
            1 => start_ms,
            _ => first_start_ms.wrapping_add(cursor.varint()?),
        };
    }
}

/// Counts of buckets as they are written.
trait Counts {
    fn one(&self, cursor: &mut Cursor<'_>) -> Result<f64, Corrupt>;
    fn buckets(&self, cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Corrupt>;
}

struct Integers;
struct Floats;

impl Counts for Integers {
    fn one(&self, cursor: &mut Cursor<'_>) -> Result<f64, Corrupt> {
        cursor.uvarint().map(|count| count as f64)
    }

    /// Each as the difference to the one before.
    fn buckets(&self, cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Corrupt> {
        let mut sum = 0i64;
        let count = cursor.count(1)?;
        let next = |_| {
            sum = sum.wrapping_add(cursor.varint()?);
            Ok(sum as f64)
        };
        (0..count).map(next).collect()
    }
}

impl Counts for Floats {
    fn one(&self, cursor: &mut Cursor<'_>) -> Result<f64, Corrupt> {
        cursor.f64()
    }

    fn buckets(&self, cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Corrupt> {
        floats(cursor)
    }
}

fn floats(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Corrupt> {
    let count = cursor.count(8)?;
    (0..count).map(|_| cursor.f64()).collect()
}

fn histogram(cursor: &mut Cursor<'_>, counts: &impl Counts) -> Result<FloatHistogram, Corrupt> {
    let counter_reset_hint = match cursor.byte()? {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    let schema = i32::try_from(cursor.varint()?).map_err(|_| cursor.corrupt("the schema is no schema"))?;
    let zero_threshold = cursor.f64()?;
    let (zero_count, count) = (counts.one(cursor)?, counts.one(cursor)?);
    let sum = cursor.f64()?;
    let (positive_spans, negative_spans) = (spans(cursor)?, spans(cursor)?);
    let (positive_buckets, negative_buckets) = (counts.buckets(cursor)?, counts.buckets(cursor)?);
    let has_custom = schema == model::histogram::CUSTOM_BUCKETS_SCHEMA;
    let custom_values = if has_custom { floats(cursor)? } else { Vec::new() };
    Ok(FloatHistogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        count,
        zero_count,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values,
    })
}

fn spans(cursor: &mut Cursor<'_>) -> Result<Vec<BucketSpan>, Corrupt> {
    let count = cursor.count(2)?;
    let span = |_| {
        let wrong = || Corrupt::new(0, "a span of buckets is out of range");
        let offset = i32::try_from(cursor.varint()?).map_err(|_| wrong())?;
        let length = u32::try_from(cursor.uvarint()?).map_err(|_| wrong())?;
        Ok(BucketSpan { offset, length })
    };
    (0..count).map(span).collect()
}

fn exemplar(cursor: &mut Cursor<'_>) -> Result<Exemplar, Corrupt> {
    let value = cursor.f64()?;
    let mut labels = Vec::new();
    for _ in 0..cursor.count(2)? {
        labels.push((cursor.text()?, cursor.text()?));
    }
    Ok(Exemplar { labels: Labels::from_pairs(labels), value, timestamp_ms: None })
}

fn metadata(cursor: &mut Cursor<'_>, visitor: &mut impl Visitor) -> Result<(), Corrupt> {
    while !cursor.is_empty() {
        let series = cursor.uvarint()?;
        let metric_type = match cursor.byte()? {
            1 => MetricType::Counter,
            2 => MetricType::Gauge,
            3 => MetricType::Histogram,
            4 => MetricType::GaugeHistogram,
            5 => MetricType::Summary,
            6 => MetricType::Info,
            7 => MetricType::StateSet,
            _ => MetricType::Unknown,
        };
        let mut metadata = Metadata { metric_type, ..Metadata::default() };
        for _ in 0..cursor.count(2)? {
            match (cursor.text()?, cursor.text()?) {
                ("UNIT", unit) => unit.clone_into(&mut metadata.unit),
                ("HELP", help) => help.clone_into(&mut metadata.help),
                _ => {}
            }
        }
        visitor.metadata(series, metadata);
    }
    Ok(())
}
