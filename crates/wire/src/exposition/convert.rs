//! Classic histograms put together as native ones with custom buckets (`convert_classic_histograms_to_nhcb`).
//!
//! Source: Prometheus' `textparse.NHCBParser` and `util/convertnhcb`: buckets may come in any order, one without
//! `+Inf` is completed by the count, and what contradicts itself becomes no histogram.

use model::MetricType;
use model::histogram::{BucketSpan, CUSTOM_BUCKETS_SCHEMA, FloatHistogram};
use model::number::parse_float;
use model::sample::NORMAL_NAN;

use super::cursor::{Cursor, unescape};
use super::labels;
use super::start::{self, StartTimestamps};
use super::{Entry, HistogramSeries, RawExemplar, Series, SeriesId};

/// A classic histogram while its series come.
#[derive(Debug, Clone, Default)]
pub(super) struct Classic {
    /// Upper bounds, rising, each with the count up to it.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    /// Something contradicts something else.
    broken: bool,
}

impl Classic {
    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.broken) = (None, 0.0, false);
    }

    pub(super) fn set_count(&mut self, count: f64) {
        self.broken |= count.is_nan() || count < 0.0;
        self.count = Some(count);
    }

    pub(super) fn set_sum(&mut self, sum: f64) {
        self.sum = if sum.is_nan() { NORMAL_NAN } else { sum };
    }

    /// A bucket that has `count` observations up to `le`. A second one of the same bound is ignored.
    pub(super) fn set_bucket(&mut self, le: f64, count: f64) {
        self.broken |= count.is_nan() || count < 0.0;
        let at = match self.buckets.last() {
            Some((last, _)) if *last >= le => self.buckets.partition_point(|(bound, _)| *bound < le),
            _ => self.buckets.len(),
        };
        if self.buckets.get(at).is_some_and(|(bound, _)| *bound == le) {
            return;
        }
        let falls = at > 0 && count < self.buckets[at - 1].1;
        let rises = self.buckets.get(at).is_some_and(|(_, next)| count > *next);
        self.broken |= falls || rises;
        self.buckets.insert(at, (le, count));
    }

    /// The histogram; `None` if the series contradict each other. What was gathered is forgotten.
    pub(super) fn take(&mut self) -> Option<FloatHistogram> {
        let histogram = self.convert();
        self.clear();
        histogram.filter(|histogram| histogram.validate().is_ok())
    }

    fn convert(&mut self) -> Option<FloatHistogram> {
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
        if last.is_none_or(|(le, _)| le < f64::INFINITY) {
            self.set_bucket(f64::INFINITY, count);
        }
        let (_, all) = *self.buckets.last()?;
        if self.broken || all.to_bits() != count.to_bits() {
            return None;
        }
        let below = self.buckets.iter().scan(0.0, |before, (_, upto)| {
            let own = upto - *before;
            *before = *upto;
            Some(own)
        });
        let bounds = self.buckets.iter().map(|(le, _)| *le);
        Some(FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![BucketSpan { offset: 0, length: u32::try_from(self.buckets.len()).ok()? }],
            positive_buckets: below.collect(),
            custom_values: bounds.take(self.buckets.len() - 1).collect(),
            ..FloatHistogram::default()
        })
    }
}

/// Gathers the classic histograms of a text.
#[derive(Debug, Clone, Default)]
pub(super) struct Collector<'a> {
    classic: Classic,
    /// Family and labels without `le` of what is being gathered, and what it was first called.
    key: String,
    first: Option<&'a str>,
    timestamp_ms: Option<i64>,
    start_ms: Option<i64>,
    exemplars: Vec<RawExemplar<'a>>,
    scratch: String,
    pub(super) broken_count: u64,
}

impl<'a> Collector<'a> {
    /// Whether a series is part of a classic histogram of `family`.
    pub(super) fn wants(series: &Series<'a>, family: &str) -> bool {
        if series.metric_type != MetricType::Histogram {
            return false;
        }
        let name = unescape(start::metric_name(series.id.as_text()));
        match name.strip_prefix(family) {
            Some("_bucket") => bound_of(series).is_some(),
            Some("_count" | "_sum") => true,
            _ => false,
        }
    }

    /// Whether a series that is wanted belongs to the histogram that is being gathered, or to a new one.
    pub(super) fn continues(&mut self, series: &Series<'a>) -> bool {
        start::write_key(series, start::family_of(series), &mut self.scratch);
        self.first.is_none() || self.scratch == self.key
    }

    /// Adds a series that continues.
    pub(super) fn add(&mut self, series: &Series<'a>, starts: &mut StartTimestamps, after: &Cursor<'a>) {
        if self.first.is_none() {
            self.first = Some(series.id.as_text());
            std::mem::swap(&mut self.key, &mut self.scratch);
            self.start_ms = starts.of(series, after);
        }
        self.timestamp_ms = series.timestamp_ms;
        self.exemplars.extend(series.exemplar);
        let name = start::metric_name(series.id.as_text());
        if name.ends_with("_count") {
            self.classic.set_count(series.value);
        } else if name.ends_with("_sum") {
            self.classic.set_sum(series.value);
        } else if let Some(le) = bound_of(series) {
            self.classic.set_bucket(le, series.value);
        }
    }

    /// The histogram that is complete now, if any.
    pub(super) fn finish(&mut self) -> Option<Entry<'a>> {
        let first = self.first.take()?;
        let exemplars = std::mem::take(&mut self.exemplars);
        let Some(histogram) = self.classic.take() else {
            self.broken_count += 1;
            return None;
        };
        Some(Entry::Histogram(Box::new(HistogramSeries {
            id: SeriesId::text_histogram(first),
            histogram,
            timestamp_ms: self.timestamp_ms,
            start_ms: self.start_ms.take(),
            exemplars,
            metric_type: MetricType::Histogram,
        })))
    }
}

/// The `le` of a bucket.
fn bound_of(series: &Series<'_>) -> Option<f64> {
    let le = labels::value_of(series.id.as_text(), "le")?;
    parse_float(le.as_bytes()).ok().filter(|bound| !bound.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(buckets: &[(f64, f64)], count: Option<f64>, want: Option<(&[f64], &[f64])>) {
        let mut classic = Classic::default();
        for (le, upto) in buckets {
            classic.set_bucket(*le, *upto);
        }
        if let Some(count) = count {
            classic.set_count(count);
        }
        classic.set_sum(5.0);
        let got = classic.take();
        let got = got.as_ref().map(|h| (h.custom_values.as_slice(), h.positive_buckets.as_slice()));
        assert_eq!(got, want, "{buckets:?} {count:?}");
    }

    #[test]
    fn buckets_become_custom_ones() {
        let inf = f64::INFINITY;
        check(&[(1.0, 2.0), (2.0, 5.0), (inf, 6.0)], Some(6.0), Some((&[1.0, 2.0], &[2.0, 3.0, 1.0])));
        check(&[(2.0, 5.0), (inf, 6.0), (1.0, 2.0)], None, Some((&[1.0, 2.0], &[2.0, 3.0, 1.0])));
        check(&[(1.0, 2.0)], Some(6.0), Some((&[1.0], &[2.0, 4.0])));
        check(&[(1.0, 2.0)], None, Some((&[1.0], &[2.0, 0.0])));
        check(&[(1.0, 2.0), (1.0, 9.0), (inf, 2.0)], None, Some((&[1.0], &[2.0, 0.0])));
        check(&[], Some(3.0), Some((&[], &[3.0])));
        check(&[(0.5, 1.25), (inf, 2.5)], Some(2.5), Some((&[0.5], &[1.25, 1.25])));
    }

    #[test]
    fn contradictions_become_nothing() {
        let inf = f64::INFINITY;
        check(&[(1.0, 2.0), (2.0, 1.0), (inf, 6.0)], None, None);
        check(&[(2.0, 1.0), (1.0, 2.0)], None, None);
        check(&[(1.0, 2.0), (inf, 6.0)], Some(7.0), None);
        check(&[(1.0, -1.0), (inf, 6.0)], Some(6.0), None);
        check(&[(1.0, f64::NAN)], Some(6.0), None);
        check(&[(1.0, 2.0)], Some(1.0), None);
    }
}
