//! Histograms and summaries into samples: classic series, or native histograms.

use model::histogram::CUSTOM_BUCKETS_SCHEMA;
use model::{BucketSpan, CounterResetHint, FloatHistogram, STALE_NAN};

use super::{Converter, NO_TEMPORALITY, Sink, Times};
use crate::otlp::delta::{Explicit, Exponential, Total};
use crate::otlp::{Buckets, Point, Temporality};

/// Zero bucket of a client that does not say how wide it is.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Resolutions that native histograms have.
const SCALE_MIN: i32 = -4;
const SCALE_MAX: i32 = 8;
/// All doubles are between 2 to the power of minus and plus this.
const EXPONENT_MAX: i64 = 1_100;
/// What the labels of all buckets of a classic histogram may take.
const LABEL_BYTES_MAX: usize = 4 << 20;
/// Empty buckets that cost less than a new span would.
const GAP_MAX: usize = 2;

impl<S: Sink> Converter<'_, S> {
    pub(super) fn explicit(&mut self, point: &Point<'_>, temporality: Temporality) -> Result<(), String> {
        check_explicit(point)?;
        if temporality == Temporality::Unspecified {
            return Err(NO_TEMPORALITY.to_owned());
        }
        let is_native = self.settings.convert_histograms_to_nhcb;
        if !is_native {
            let label_bytes: usize = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
            if label_bytes.saturating_mul(point.bounds.len()) > LABEL_BYTES_MAX {
                return Err("too many buckets for labels of this length".to_owned());
            }
        }
        let times = Times::of(point);
        let mut of = Explicit::of(point);
        let (mut start_ms, mut zero_ms) = (times.start_ms, None);
        if temporality == Temporality::Delta && self.adds_up(point) {
            let Some((since_ms, is_first, Total::Explicit(total))) =
                self.add_delta(point, Total::Explicit(Box::new(of)))?
            else {
                return Ok(());
            };
            (of, start_ms) = (*total, since_ms);
            zero_ms = times.zero_ms(start_ms).filter(|_| is_first);
        }
        if is_native {
            let hint = hint(temporality, self.settings.native_delta_ingestion);
            let to_native = |of: &Explicit| custom_buckets(of, point.has_no_value(), hint);
            let histogram = to_native(&of);
            histogram.validate().map_err(|error| error.to_string())?;
            let zero = zero_ms.map(|zero_ms| (zero_ms, to_native(&emptied(of))));
            self.native(point, times, start_ms, histogram, zero);
        } else {
            self.classic(point, &of, times, start_ms, zero_ms);
        }
        Ok(())
    }

    pub(super) fn exponential(&mut self, point: &Point<'_>, temporality: Temporality) -> Result<(), String> {
        if temporality == Temporality::Unspecified {
            return Err(NO_TEMPORALITY.to_owned());
        }
        check_exponential(point)?;
        let times = Times::of(point);
        let mut of = Exponential::of(point);
        of.downscale(SCALE_MAX);
        if of.zero_threshold == 0.0 {
            of.zero_threshold = ZERO_THRESHOLD;
        }
        let (mut start_ms, mut zero_ms) = (times.start_ms, None);
        if temporality == Temporality::Delta && self.adds_up(point) {
            let Some((since_ms, is_first, Total::Exponential(total))) =
                self.add_delta(point, Total::Exponential(Box::new(of)))?
            else {
                return Ok(());
            };
            (of, start_ms) = (*total, since_ms);
            zero_ms = times.zero_ms(start_ms).filter(|_| is_first);
        }
        let hint = hint(temporality, self.settings.native_delta_ingestion);
        let histogram = exponential_buckets(&of, point.has_no_value(), hint);
        histogram.validate().map_err(|error| error.to_string())?;
        let zero = zero_ms.map(|zero_ms| {
            let empty = FloatHistogram {
                schema: histogram.schema,
                zero_threshold: histogram.zero_threshold,
                ..FloatHistogram::default()
            };
            (zero_ms, empty)
        });
        self.native(point, times, start_ms, histogram, zero);
        Ok(())
    }

    fn native(
        &mut self,
        point: &Point<'_>,
        times: Times,
        start_ms: i64,
        histogram: FloatHistogram,
        zero: Option<(i64, FloatHistogram)>,
    ) {
        self.series("");
        if let Some((zero_ms, zero)) = zero {
            self.sink.histogram(zero_ms, zero, start_ms);
        }
        self.sink.histogram(times.end_ms, histogram, start_ms);
        point.exemplars.iter().for_each(|example| self.exemplar(example, times.end_ms));
    }

    fn classic(
        &mut self,
        point: &Point<'_>,
        of: &Explicit,
        times: Times,
        start_ms: i64,
        zero_ms: Option<i64>,
    ) {
        let is_stale = point.has_no_value();
        let add = |this: &mut Self, value: f64| {
            if let Some(zero_ms) = zero_ms {
                this.sink.float(zero_ms, 0.0, start_ms);
            }
            this.sink.float(times.end_ms, if is_stale { STALE_NAN } else { value }, start_ms);
        };
        if let Some(sum) = of.sum {
            self.series("_sum");
            add(self, sum);
        }
        self.series("_count");
        add(self, of.count as f64);
        // By bucket; those of a bucket keep their order.
        let mut examples: Vec<_> = point
            .exemplars
            .iter()
            .map(|example| {
                let value = example.value.unwrap_or(0.0);
                (of.bounds.partition_point(|bound| *bound < value), example)
            })
            .collect();
        examples.sort_by_key(|(bucket, _)| *bucket);
        let mut examples = examples.into_iter().peekable();
        let mut cumulative = 0u64;
        for at in 0..=of.bounds.len() {
            let bound = of.bounds.get(at).copied().unwrap_or(f64::INFINITY);
            // The client's own count, should it differ.
            let is_last = at == of.bounds.len();
            cumulative = cumulative.saturating_add(of.counts.get(at).copied().unwrap_or(0));
            if bound == f64::INFINITY && !is_last {
                continue;
            }
            self.labels.set("le", &number_text(bound));
            self.series("_bucket");
            add(self, if is_last { of.count } else { cumulative } as f64);
            while let Some((_, example)) = examples.next_if(|(bucket, _)| *bucket <= at) {
                self.exemplar(example, times.end_ms);
            }
        }
    }

    pub(super) fn summary(&mut self, point: &Point<'_>) {
        let times = Times::of(point);
        let value = |value: f64| if point.has_no_value() { STALE_NAN } else { value };
        self.series("_sum");
        self.sink.float(times.end_ms, value(point.sum.unwrap_or(0.0)), times.start_ms);
        self.series("_count");
        self.sink.float(times.end_ms, value(point.count as f64), times.start_ms);
        for (quantile, at) in &point.quantiles {
            self.labels.set("quantile", &number_text(*quantile));
            self.series("");
            self.sink.float(times.end_ms, value(*at), times.start_ms);
        }
    }
}

fn emptied(mut of: Explicit) -> Explicit {
    of.counts.fill(0);
    Explicit { count: 0, sum: Some(0.0), ..of }
}

/// As Go writes numbers without an exponent.
fn number_text(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    }
}

/// Deltas that are stored as they come go up and down.
fn hint(temporality: Temporality, native_delta: bool) -> CounterResetHint {
    if temporality == Temporality::Delta && native_delta {
        CounterResetHint::Gauge
    } else {
        CounterResetHint::Unknown
    }
}

fn check_explicit(point: &Point<'_>) -> Result<(), String> {
    let (bounds, counts) = (point.bounds.len(), point.bucket_counts.len());
    if counts != 0 && counts != bounds + 1 {
        return Err(format!("{bounds} bounds need {} bucket counts, there are {counts}", bounds + 1));
    }
    let rising = point.bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !rising || point.bounds.iter().any(|bound| bound.is_nan()) {
        return Err("the bounds of the buckets do not rise".to_owned());
    }
    let total = point.bucket_counts.iter().try_fold(0u64, |total, count| total.checked_add(*count));
    if counts != 0 && total != Some(point.count) && !point.has_no_value() {
        return Err("the counts of the buckets do not add up to the count".to_owned());
    }
    Ok(())
}

fn check_exponential(point: &Point<'_>) -> Result<(), String> {
    if point.scale < SCALE_MIN {
        return Err(format!("scale {} is below {SCALE_MIN}, the coarsest there is", point.scale));
    }
    let threshold = point.zero_threshold;
    if !(threshold >= 0.0 && threshold.is_finite()) {
        return Err(format!("the zero threshold {threshold} is not a finite positive number"));
    }
    let mut total = Some(point.zero_count);
    for Buckets { offset, counts } in [&point.positive, &point.negative] {
        let limit = if point.scale < 0 { EXPONENT_MAX } else { EXPONENT_MAX << point.scale.min(40) };
        let (first, end) = (i64::from(*offset), i64::from(*offset) + counts.len() as i64);
        if !counts.is_empty() && (first < -limit || end > limit) {
            return Err("buckets lie beyond all numbers there are".to_owned());
        }
        total = counts.iter().fold(total, |total, count| total?.checked_add(*count));
    }
    if total != Some(point.count) && !point.has_no_value() {
        return Err("the counts of the buckets do not add up to the count".to_owned());
    }
    Ok(())
}

fn custom_buckets(of: &Explicit, is_stale: bool, hint: CounterResetHint) -> FloatHistogram {
    let (positive_spans, positive_buckets) = sparse(0, &of.counts);
    // The last bucket of a native histogram ends at infinity in any case.
    let finite = of.bounds.iter().copied().filter(|bound| bound.is_finite());
    let custom_values = finite.collect();
    if is_stale {
        return FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            sum: STALE_NAN,
            custom_values,
            ..FloatHistogram::default()
        };
    }
    FloatHistogram {
        counter_reset_hint: hint,
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: of.count as f64,
        sum: of.sum.unwrap_or(0.0),
        positive_spans,
        positive_buckets,
        custom_values,
        ..FloatHistogram::default()
    }
}

fn exponential_buckets(of: &Exponential, is_stale: bool, hint: CounterResetHint) -> FloatHistogram {
    if is_stale {
        return FloatHistogram { schema: of.scale, sum: STALE_NAN, ..FloatHistogram::default() };
    }
    // OpenTelemetry numbers buckets by their lower bounds, Prometheus by their upper ones.
    let (positive_spans, positive_buckets) =
        sparse(of.positive.offset.saturating_add(1), &of.positive.counts);
    let (negative_spans, negative_buckets) =
        sparse(of.negative.offset.saturating_add(1), &of.negative.counts);
    FloatHistogram {
        counter_reset_hint: hint,
        schema: of.scale,
        zero_threshold: of.zero_threshold,
        zero_count: of.zero_count as f64,
        count: of.count as f64,
        sum: of.sum.unwrap_or(0.0),
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values: Vec::new(),
    }
}

/// Spans over the buckets that hold something, with small gaps filled.
fn sparse(first_index: i32, counts: &[u64]) -> (Vec<BucketSpan>, Vec<f64>) {
    let (mut spans, mut buckets): (Vec<BucketSpan>, Vec<f64>) = (Vec::new(), Vec::new());
    // Behind the last bucket that was written.
    let mut end = 0;
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let gap = at - end;
        match spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                span.length += gap as u32 + 1;
                buckets.extend(std::iter::repeat_n(0.0, gap));
            }
            Some(_) => spans.push(BucketSpan { offset: gap as i32, length: 1 }),
            None => spans.push(BucketSpan { offset: first_index.saturating_add(at as i32), length: 1 }),
        }
        buckets.push(*count as f64);
        end = at + 1;
    }
    (spans, buckets)
}
