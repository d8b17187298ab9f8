//! Quantiles and regressions over plain numbers.

use std::cmp::Ordering;

use crate::annotations::general;
use crate::kahan::Sum;

/// NaN before all numbers, as PromQL sorts values; the negative zero before the other, so that equal windows are sorted
/// equally.
pub(crate) fn nan_first(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.total_cmp(b),
    }
}

/// The value below which a share `q` of the values lies, interpolated between neighbours. Sorts the values.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    values.sort_unstable_by(nan_first);
    quantile_of_sorted(q, values)
}

/// [`quantile`] of values that [`nan_first`] has sorted.
pub(crate) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let (lower, upper, weight) = ranks(q, values.len());
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Between which of `len` sorted values the quantile lies, and the weight of the upper one.
pub(crate) fn ranks(q: f64, len: usize) -> (usize, usize, f64) {
    let last = len - 1;
    let rank = q * last as f64;
    let lower = rank.floor().max(0.0) as usize;
    (lower, (lower + 1).min(last), rank - rank.floor())
}

/// The text of the warning about a quantile outside 0 to 1.
pub(crate) fn invalid_quantile(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", general(q))
}

/// Least squares: slope per second, and value at `intercept_ms`.
pub(crate) fn linear_regression(timestamps_ms: &[i64], values: &[f64], intercept_ms: i64) -> (f64, f64) {
    let (mut sum_x, mut sum_y, mut sum_xy, mut sum_x2) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    let first = values[0];
    for (timestamp_ms, y) in timestamps_ms.iter().zip(values) {
        let x = (timestamp_ms - intercept_ms) as f64 / 1000.0;
        sum_x.add(x);
        sum_y.add(*y);
        sum_xy.add(x * y);
        sum_x2.add(x * x);
    }
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let (sum_x, sum_y, sum_xy, sum_x2) = (sum_x.total(), sum_y.total(), sum_xy.total(), sum_x2.total());
    let covariance = sum_xy - sum_x * sum_y / n;
    let variance = sum_x2 - sum_x * sum_x / n;
    let slope = covariance / variance;
    (slope, sum_y / n - slope * sum_x / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_and_nan_is_the_smallest() {
        let check = |q: f64, values: &[f64], want: f64| {
            let got = quantile(q, &mut values.to_vec());
            assert!(got == want || (got.is_nan() && want.is_nan()), "{q} of {values:?}: {got}, not {want}");
        };
        check(0.5, &[3.0, 1.0, 2.0], 2.0);
        check(0.8, &[1.0, 0.0], 0.8);
        check(1.0, &[4.0, f64::NAN], 4.0);
        check(0.0, &[4.0, f64::NAN], f64::NAN);
        check(0.5, &[], f64::NAN);
        check(-0.1, &[1.0], f64::NEG_INFINITY);
        check(1.1, &[1.0], f64::INFINITY);
    }

    #[test]
    fn a_line_is_found_again() {
        let (slope, value) = linear_regression(&[0, 1_000, 3_000], &[1.0, 3.0, 7.0], 10_000);
        assert!((slope - 2.0).abs() < 1e-12 && (value - 21.0).abs() < 1e-12);
        assert_eq!(linear_regression(&[0, 1_000], &[5.0, 5.0], 0), (0.0, 5.0));
    }
}
