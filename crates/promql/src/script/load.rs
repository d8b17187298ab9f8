//! Samples of a script into storage.

use model::{CounterResetHint, FloatHistogram, TenantId, UNKNOWN_START_MS, is_stale};
use storage::memory::MemoryStorage;
use storage::{Appender, WriteBatch};

use crate::histogram_math;

use super::classic;
use super::command::Load;
use super::points::{Point, SeriesPoints};

pub(super) fn load(load: &Load, storage: &MemoryStorage, tenant: &TenantId) -> Result<(), String> {
    let mut batch = WriteBatch::new();
    let native = if load.with_native { classic::to_native(&load.series) } else { Vec::new() };
    for series in load.series.iter().chain(&native).filter(|series| !series.start_timestamps) {
        let starts = load.series.iter().find(|other| other.start_timestamps && other.labels == series.labels);
        add(series, starts, load.interval_ms, &mut batch);
    }
    let appended = storage.append(tenant, &batch).map_err(|error| error.to_string())?;
    match appended.rejected.first() {
        Some(rejected) => Err(rejected.reason.message().to_owned()),
        None => Ok(()),
    }
}

/// When the counter of a point began: `offset` from the time of the point.
fn start_of(starts: Option<&SeriesPoints>, at: usize, timestamp_ms: i64) -> i64 {
    match starts.and_then(|starts| starts.points.get(at)) {
        Some(Point::Float(offset_ms)) => timestamp_ms + *offset_ms as i64,
        _ => UNKNOWN_START_MS,
    }
}

fn add(series: &SeriesPoints, starts: Option<&SeriesPoints>, interval_ms: i64, batch: &mut WriteBatch) {
    let number = batch.add_series(series.labels.as_ref());
    let mut before = None;
    for (at, point) in series.points.iter().enumerate() {
        let timestamp_ms = at as i64 * interval_ms;
        let start_ms = start_of(starts, at, timestamp_ms);
        add_point(point, &mut before, |sample| match sample {
            Sample::Float(value) => batch.add_float_since(number, timestamp_ms, value, start_ms),
            Sample::Histogram(histogram) => {
                batch.add_histogram_since(number, timestamp_ms, histogram, start_ms);
            }
        });
    }
}

/// A point as it is stored.
pub(super) enum Sample {
    Float(f64),
    Histogram(FloatHistogram),
}

/// Hands on what a point is stored as; `before` is the histogram that the point before it was, if it was one.
pub(super) fn add_point(point: &Point, before: &mut Option<FloatHistogram>, add: impl FnOnce(Sample)) {
    match point {
        Point::None => {}
        // A marker ends a series of histograms as a histogram.
        Point::Float(value) if is_stale(*value) && before.is_some() => {
            let stale = FloatHistogram { sum: *value, ..FloatHistogram::default() };
            add(Sample::Histogram(stale.clone()));
            *before = Some(stale);
        }
        Point::Float(value) => {
            add(Sample::Float(*value));
            *before = None;
        }
        Point::Histogram(histogram) => {
            let mut stored = FloatHistogram::clone(histogram);
            stored.counter_reset_hint = stored_hint(histogram, before.as_ref());
            add(Sample::Histogram(stored));
            *before = Some(FloatHistogram::clone(histogram));
        }
    }
}

/// What storage knows about resets of a histogram when it has stored it after `before`: in one run of counters,
/// all but the first did not start again; of the first of a run nothing is known.
fn stored_hint(histogram: &FloatHistogram, before: Option<&FloatHistogram>) -> CounterResetHint {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    match (histogram.counter_reset_hint, before) {
        (Gauge, _) => Gauge,
        (Reset, _) => Reset,
        (_, Some(before)) if before.counter_reset_hint != Gauge && !is_stale(before.sum) => {
            let unhinted = FloatHistogram { counter_reset_hint: Unknown, ..histogram.clone() };
            let same_layout = histogram.schema == before.schema
                && histogram.zero_threshold == before.zero_threshold
                && histogram.custom_values == before.custom_values;
            let goes_on = same_layout && !histogram_math::detect_reset(&unhinted, before);
            if goes_on { NotReset } else { Unknown }
        }
        _ => Unknown,
    }
}
