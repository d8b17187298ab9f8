//! `range_…` and `running_…`: what the samples of a series over the whole query come to, and what those up to each
//! step come to. Native histograms are left out.

use crate::eval::column::Column;
use crate::eval::functions::numbers::{linear_regression, quantile};
use crate::kahan::Sum;

use super::SeriesFunction;

/// The function of a name, and whether its values still are those of the metric.
pub(super) fn resolve(name: &str) -> Option<(SeriesFunction, bool)> {
    let function: (SeriesFunction, bool) = match name {
        "range_avg" => (|column, _, scratch| spread(column, scratch, mean), false),
        "range_first" => (|column, _, scratch| spread(column, scratch, |values| values[0]), false),
        "range_last" => (|column, _, scratch| spread(column, scratch, |v| v[v.len() - 1]), false),
        "range_max" => (|column, _, scratch| spread(column, scratch, |v| fold(v, f64::max)), false),
        "range_min" => (|column, _, scratch| spread(column, scratch, |v| fold(v, f64::min)), false),
        "range_median" => (|column, _, scratch| spread(column, scratch, |v| quantile(0.5, v)), false),
        "range_quantile" => (range_quantile, false),
        "range_stddev" => (|column, _, scratch| spread(column, scratch, |v| variance(v).sqrt()), false),
        "range_stdvar" => (|column, _, scratch| spread(column, scratch, variance), false),
        "range_sum" => (|column, _, scratch| spread(column, scratch, |v| sum(v)), false),
        "range_mad" => (|column, _, scratch| spread(column, scratch, mad), false),
        "range_zscore" => (range_zscore, false),
        "range_normalize" => (range_normalize, false),
        "range_linear_regression" => (range_linear_regression, false),
        "range_trim_outliers" => (range_trim_outliers, true),
        "range_trim_spikes" => (range_trim_spikes, true),
        "range_trim_zscore" => (range_trim_zscore, true),
        "running_avg" => (|column, _, _| running(column, |mean, new, n| mean + (new - mean) / n), false),
        "running_max" => (|column, _, _| running(column, |max, new, _| max.max(new)), false),
        "running_min" => (|column, _, _| running(column, |min, new, _| min.min(new)), false),
        "running_sum" => (|column, _, _| running(column, |sum, new, _| sum + new), false),
        _ => return None,
    };
    Some(function)
}

/// Copies the floats of a column out of it; whether there are any.
fn gather(column: &mut Column, into: &mut Vec<f64>) -> bool {
    column.drop_histograms();
    into.clear();
    into.extend(column.present.ones().map(|at| column.values[at]));
    !into.is_empty()
}

/// Sets all samples to one number computed from them.
fn spread(column: &mut Column, scratch: &mut Vec<f64>, compute: fn(&mut [f64]) -> f64) {
    if gather(column, scratch) {
        let value = compute(scratch);
        column.values.fill(value);
    }
}

fn fold(values: &[f64], choose: fn(f64, f64) -> f64) -> f64 {
    values.iter().copied().fold(f64::NAN, choose)
}

fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.total()
}

fn mean(values: &mut [f64]) -> f64 {
    sum(values) / values.len() as f64
}

fn variance(values: &mut [f64]) -> f64 {
    let mean = mean(values);
    let mut squares = Sum::default();
    values.iter().for_each(|value| squares.add((value - mean) * (value - mean)));
    squares.total() / values.len() as f64
}

/// The median of distances from the median.
fn mad(values: &mut [f64]) -> f64 {
    let median = quantile(0.5, values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    quantile(0.5, values)
}

fn range_quantile(column: &mut Column, q: f64, scratch: &mut Vec<f64>) {
    if gather(column, scratch) {
        let value = quantile(q, scratch);
        column.values.fill(value);
    }
}

fn range_zscore(column: &mut Column, _: f64, scratch: &mut Vec<f64>) {
    if gather(column, scratch) {
        let (mean, deviation) = (mean(scratch), variance(scratch).sqrt());
        column.values.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
    }
}

/// To 0 for the smallest and 1 for the largest sample.
fn range_normalize(column: &mut Column, _: f64, scratch: &mut Vec<f64>) {
    if gather(column, scratch) {
        let (min, max) = (fold(scratch, f64::min), fold(scratch, f64::max));
        column.values.iter_mut().for_each(|value| *value = (*value - min) / (max - min));
    }
}

/// The line that fits the samples best, at the steps that have one.
fn range_linear_regression(column: &mut Column, _: f64, scratch: &mut Vec<f64>) {
    if !gather(column, scratch) {
        return;
    }
    // A step is taken for a second: the line is the same.
    let times: Vec<i64> = column.present.ones().map(|at| at as i64 * 1000).collect();
    let (slope, start) =
        if scratch.len() == 1 { (0.0, scratch[0]) } else { linear_regression(&times, scratch, 0) };
    for (at, value) in column.values.iter_mut().enumerate() {
        *value = start + slope * at as f64;
    }
}

/// Takes away the samples that `is_outlier` says so of.
fn trim(column: &mut Column, is_outlier: impl Fn(f64) -> bool) {
    for at in 0..column.len() {
        if column.present.get(at) && is_outlier(column.values[at]) {
            column.clear(at);
        }
    }
}

/// Without samples further from the median than `k` times the median distance.
fn range_trim_outliers(column: &mut Column, k: f64, scratch: &mut Vec<f64>) {
    if gather(column, scratch) {
        let median = quantile(0.5, scratch);
        let distance_max = k * mad(scratch);
        trim(column, |value| (value - median).abs() > distance_max);
    }
}

/// Without the share `phi` of samples that are largest and smallest, half of it on either side.
fn range_trim_spikes(column: &mut Column, phi: f64, scratch: &mut Vec<f64>) {
    if gather(column, scratch) {
        let (min, max) = (quantile(phi / 2.0, scratch), quantile(1.0 - phi / 2.0, scratch));
        trim(column, |value| value > max || value < min);
    }
}

/// Without samples more than `z` standard deviations away from the mean.
fn range_trim_zscore(column: &mut Column, z: f64, scratch: &mut Vec<f64>) {
    if gather(column, scratch) {
        let (mean, deviation) = (mean(scratch), variance(scratch).sqrt());
        trim(column, |value| (value - mean).abs() / deviation > z.abs());
    }
}

/// Folds samples from step to step; a gap after the first sample has what was there before it.
fn running(column: &mut Column, step: fn(f64, f64, f64) -> f64) {
    column.drop_histograms();
    let mut before: Option<f64> = None;
    let mut count = 0.0;
    for at in 0..column.len() {
        let value = match (before, column.present.get(at)) {
            (None, false) => continue,
            (None, true) => column.values[at],
            (Some(before), false) => before,
            (Some(before), true) => step(before, column.values[at], count + 1.0),
        };
        count += f64::from(u8::from(column.present.get(at)));
        column.set(at, value);
        before = Some(value);
    }
}
