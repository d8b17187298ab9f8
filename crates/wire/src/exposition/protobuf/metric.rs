//! One `Metric` as samples, one after the other.

use model::sample::NORMAL_NAN;
use model::{FloatHistogram, MetricType};

use super::histogram::{self, Buckets};
use super::{Family, Fault, Name, Part};
use crate::exposition::convert::Classic;
use crate::exposition::{Entry, HistogramSeries, Options, RawExemplar, Series, SeriesId};
use crate::protobuf::{ProtobufError, Reader};

/// Which sample comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Whole,
    Native,
    Converted,
    Count,
    Sum,
    /// Buckets or quantiles.
    Parts,
    /// The bucket that the exporter left out.
    Infinity,
    Done,
}

/// A metric while its samples are yielded.
#[derive(Debug, Clone)]
pub(super) struct Metric<'a> {
    labels: &'a [u8],
    /// The message with the value; empty if there is none, which is zero.
    message: &'a [u8],
    timestamp_ms: Option<i64>,
    pub(super) start_ms: Option<i64>,
    stage: Stage,
    /// It was not yet decided which stages there are.
    fresh: bool,
    parts: Reader<'a>,
    count: f64,
    sum: f64,
    /// The largest bound of the buckets so far.
    bound: f64,
    /// It could not be converted.
    pub(super) is_broken: bool,
}

impl<'a> Metric<'a> {
    pub(super) fn new(message: &'a [u8], family: &Family<'a>) -> Result<Self, ProtobufError> {
        let (mut labels_start, mut labels_end) = (0, 0);
        let mut content: &[u8] = &[];
        let mut timestamp_ms = 0;
        let mut reader = Reader::new(message);
        loop {
            let before = message.len() - reader.len();
            let Some((field, value)) = reader.next_field()? else { break };
            match field {
                1 => {
                    value.bytes(field)?;
                    if labels_end == 0 {
                        labels_start = before;
                    }
                    labels_end = message.len() - reader.len();
                }
                6 => timestamp_ms = value.int64(field)?,
                field if field == family.value_field => content = value.bytes(field)?,
                _ => {}
            }
        }
        Ok(Self {
            labels: &message[labels_start..labels_end],
            message: content,
            timestamp_ms: (timestamp_ms != 0).then_some(timestamp_ms),
            start_ms: None,
            stage: Stage::Whole,
            fresh: true,
            parts: Reader::new(content),
            count: 0.0,
            sum: 0.0,
            bound: f64::NEG_INFINITY,
            is_broken: false,
        })
    }

    /// The next sample; `None` after the last.
    pub(super) fn next_entry(
        &mut self,
        family: &Family<'a>,
        options: Options,
    ) -> Result<Option<Entry<'a>>, Fault> {
        loop {
            match (family.metric_type, self.stage) {
                (_, Stage::Done) => return Ok(None),
                (MetricType::Summary, _) => return self.summary(family),
                (MetricType::Histogram | MetricType::GaugeHistogram, _) => {
                    if let Some(entry) = self.histogram(family, options)? {
                        return Ok(Some(entry));
                    }
                }
                _ => return self.whole(family).map(Some),
            }
        }
    }

    fn series(&self, family: &Family<'a>, part: Part, value: f64) -> Series<'a> {
        Series {
            id: SeriesId::protobuf(self.name(family, part)),
            value: plain(value),
            timestamp_ms: self.timestamp_ms,
            exemplar: None,
            metric_type: family.metric_type,
        }
    }

    fn name(&self, family: &Family<'a>, part: Part) -> Name<'a> {
        Name { family: family.name, family_hash: family.hash, labels: self.labels, part }
    }

    /// Counters, gauges and untyped metrics have their value in field 1; counters an exemplar and a start as well.
    fn whole(&mut self, family: &Family<'a>) -> Result<Entry<'a>, Fault> {
        self.stage = Stage::Done;
        let mut series = self.series(family, Part::Whole, 0.0);
        let is_counter = family.metric_type == MetricType::Counter;
        let mut reader = Reader::new(self.message);
        while let Some((field, value)) = reader.next_field()? {
            match field {
                1 => series.value = plain(value.double(field)?),
                2 if is_counter => series.exemplar = Some(exemplar(value.bytes(field)?)?),
                3 if is_counter => self.start_ms = Some(timestamp(value.bytes(field)?)?),
                _ => {}
            }
        }
        Ok(Entry::Series(series))
    }

    fn summary(&mut self, family: &Family<'a>) -> Result<Option<Entry<'a>>, Fault> {
        if self.fresh {
            self.fresh = false;
            self.stage = Stage::Count;
            let mut reader = Reader::new(self.message);
            while let Some((field, value)) = reader.next_field()? {
                match field {
                    1 => self.count = value.varint(field)? as f64,
                    2 => self.sum = value.double(field)?,
                    4 => self.start_ms = Some(timestamp(value.bytes(field)?)?),
                    _ => {}
                }
            }
        }
        let series = match self.stage {
            Stage::Count => {
                self.stage = Stage::Sum;
                self.series(family, Part::Count, self.count)
            }
            Stage::Sum => {
                self.stage = Stage::Parts;
                self.series(family, Part::Sum, self.sum)
            }
            _ => match next_message(&mut self.parts, 3)? {
                Some(message) => {
                    let (quantile, value) = quantile(message)?;
                    self.series(family, Part::Quantile(quantile), value)
                }
                None => {
                    self.stage = Stage::Done;
                    return Ok(None);
                }
            },
        };
        Ok(Some(Entry::Series(series)))
    }

    /// `None`: another stage has begun.
    fn histogram(&mut self, family: &Family<'a>, options: Options) -> Result<Option<Entry<'a>>, Fault> {
        if self.fresh {
            self.fresh = false;
            let summary = histogram::summarise(self.message)?;
            (self.count, self.sum) = (summary.count, summary.sum);
            self.start_ms = summary.start_ms;
            let can_convert = family.metric_type == MetricType::Histogram;
            self.stage = if summary.is_native && options.native_histograms {
                Stage::Native
            } else if options.convert_classic && can_convert {
                Stage::Converted
            } else {
                Stage::Count
            };
        }
        let series = match self.stage {
            Stage::Native => return self.native(family, options).map(Some),
            Stage::Converted => return self.converted(family, options),
            Stage::Count => {
                self.stage = Stage::Sum;
                self.series(family, Part::Count, self.count)
            }
            Stage::Sum => {
                self.stage = Stage::Parts;
                self.series(family, Part::Sum, self.sum)
            }
            Stage::Parts => match next_message(&mut self.parts, 3)? {
                Some(message) => {
                    let bucket = histogram::bucket(message)?;
                    self.bound = self.bound.max(bucket.bound);
                    let mut series = self.series(family, Part::Bucket(bucket.bound), bucket.count);
                    series.exemplar = bucket.exemplar.map(exemplar).transpose()?;
                    series
                }
                None => {
                    let is_complete = self.bound.is_infinite() && self.bound > 0.0;
                    self.stage = if is_complete { Stage::Done } else { Stage::Infinity };
                    return Ok(None);
                }
            },
            _ => {
                self.stage = Stage::Done;
                self.series(family, Part::Bucket(f64::INFINITY), self.count)
            }
        };
        Ok(Some(Entry::Series(series)))
    }

    fn native(&mut self, family: &Family<'a>, options: Options) -> Result<Entry<'a>, Fault> {
        let mut exemplars = Vec::new();
        let (mut own, mut of_buckets) = (Reader::new(self.message), Buckets::new(self.message));
        while let Some(message) = next_message(&mut own, 16)? {
            exemplars.push(exemplar(message)?);
            histogram::check_count(exemplars.len(), "exemplars")?;
        }
        if exemplars.is_empty() {
            while let Some(bucket) = of_buckets.next()? {
                exemplars.extend(bucket.exemplar.map(exemplar).transpose()?);
                histogram::check_count(exemplars.len(), "exemplars")?;
            }
        }
        // Without a time of its own nobody could tell an exemplar from the same one scraped again.
        exemplars.retain(|exemplar| exemplar.timestamp_ms.is_some());
        let has_buckets = Buckets::new(self.message).next()?.is_some();
        self.stage = if options.always_classic && has_buckets { Stage::Count } else { Stage::Done };
        let is_gauge = family.metric_type == MetricType::GaugeHistogram;
        let mut histogram = histogram::native(self.message, is_gauge)?;
        histogram.sum = plain(histogram.sum);
        Ok(self.histogram_entry(family, histogram, exemplars))
    }

    /// `None` if the buckets contradict each other: the histogram is lost, and counted.
    fn converted(&mut self, family: &Family<'a>, options: Options) -> Result<Option<Entry<'a>>, Fault> {
        self.stage = if options.always_classic { Stage::Count } else { Stage::Done };
        let mut classic = Classic::default();
        let mut exemplars = Vec::new();
        let (mut buckets, mut count) = (Buckets::new(self.message), 0);
        while let Some(bucket) = buckets.next()? {
            count += 1;
            histogram::check_count(count, "buckets")?;
            classic.set_bucket(bucket.bound, bucket.count);
            exemplars.extend(bucket.exemplar.map(exemplar).transpose()?);
        }
        exemplars.retain(|exemplar| exemplar.timestamp_ms.is_some());
        classic.set_count(self.count);
        classic.set_sum(self.sum);
        let Some(histogram) = classic.take() else {
            self.is_broken = true;
            return Ok(None);
        };
        Ok(Some(self.histogram_entry(family, histogram, exemplars)))
    }

    fn histogram_entry(
        &self,
        family: &Family<'a>,
        histogram: FloatHistogram,
        exemplars: Vec<RawExemplar<'a>>,
    ) -> Entry<'a> {
        Entry::Histogram(Box::new(HistogramSeries {
            id: SeriesId::protobuf(self.name(family, Part::Histogram)),
            histogram,
            timestamp_ms: self.timestamp_ms,
            start_ms: self.start_ms,
            exemplars,
            metric_type: family.metric_type,
        }))
    }
}

/// Every NaN an exporter sends is the ordinary one: a staleness marker is not for it to write.
fn plain(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}

/// The next field of this number.
fn next_message<'a>(reader: &mut Reader<'a>, wanted: u32) -> Result<Option<&'a [u8]>, ProtobufError> {
    while let Some((field, value)) = reader.next_field()? {
        if field == wanted {
            return value.bytes(field).map(Some);
        }
    }
    Ok(None)
}

fn quantile(message: &[u8]) -> Result<(f64, f64), ProtobufError> {
    let (mut quantile, mut number) = (0.0, 0.0);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => quantile = value.double(field)?,
            2 => number = value.double(field)?,
            _ => {}
        }
    }
    Ok((quantile, number))
}

fn exemplar(message: &[u8]) -> Result<RawExemplar<'_>, ProtobufError> {
    let (mut number, mut timestamp_ms) = (0.0, None);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            2 => number = value.double(field)?,
            3 => timestamp_ms = Some(timestamp(value.bytes(field)?)?),
            _ => {}
        }
    }
    Ok(RawExemplar::protobuf(message, number, timestamp_ms))
}

/// A `google.protobuf.Timestamp` in milliseconds.
pub(super) fn timestamp(message: &[u8]) -> Result<i64, ProtobufError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => seconds = value.int64(field)?,
            2 => nanos = i64::from(value.int64(field)? as i32),
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}
