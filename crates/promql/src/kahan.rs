//! Compensated summation, in Neumaier's form, as Prometheus sums.
//!
//! Order and form are part of PromQL's answers to the last bit: do not "simplify" `sum + c` into one number.

/// Adds `value` to `sum` with compensation `c`; the total is `sum + c`.
///
/// An infinite sum loses its compensation, which would otherwise become NaN.
///
/// Written without branches, so that loops over slices become vector instructions.
#[inline]
pub(crate) fn add(value: f64, sum: f64, c: f64) -> (f64, f64) {
    let total = sum + value;
    let (large, small) = if sum.abs() >= value.abs() { (sum, value) } else { (value, sum) };
    let lost = (large - total) + small;
    (total, if total.is_infinite() { 0.0 } else { c + lost })
}

/// A sum and its compensation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    /// The rounded sum.
    pub(crate) sum: f64,
    /// What rounding lost.
    pub(crate) c: f64,
}

impl Sum {
    /// Adds one value.
    pub(crate) fn add(&mut self, value: f64) {
        (self.sum, self.c) = add(value, self.sum, self.c);
    }

    /// The total.
    pub(crate) fn total(self) -> f64 {
        self.sum + self.c
    }
}

/// The arithmetic mean, computed directly while the sum fits, then incrementally.
///
/// Direct computation is the more exact one, but its sum can overflow where the mean would not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    sum: f64,
    c: f64,
    count: f64,
    mean: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    pub(crate) fn of(first: f64) -> Self {
        Self { sum: first, c: 0.0, count: 1.0, mean: first, incremental: false }
    }

    /// Adds one value.
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, c) = add(value, self.sum, self.c);
            if !sum.is_infinite() {
                (self.sum, self.c) = (sum, c);
                return;
            }
            self.incremental = true;
            self.mean = self.sum / (self.count - 1.0);
            self.c /= self.count - 1.0;
        }
        let q = (self.count - 1.0) / self.count;
        (self.mean, self.c) = add(value / self.count, q * self.mean, q * self.c);
    }

    /// The mean of all values added.
    pub(crate) fn value(&self) -> f64 {
        if self.incremental { self.mean + self.c } else { self.sum / self.count + self.c / self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_survive_beside_large_ones() {
        let mut sum = Sum::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn a_mean_whose_sum_overflows_is_still_right() {
        let large = f64::MAX / 2.0;
        let mut mean = Mean::of(large);
        for _ in 0..3 {
            mean.add(large);
        }
        assert!((mean.value() / large - 1.0).abs() < 1e-15, "{}", mean.value());
    }

    proptest! {
        #[test]
        fn sums_are_those_of_exact_arithmetic(values in proptest::collection::vec(-1_000_000i64..1_000_000, 1..200)) {
            // Sixteenths are exact in binary, so an integer sum is the truth.
            let mut sum = Sum::default();
            let mut mean: Option<Mean> = None;
            for value in &values {
                let value = *value as f64 / 16.0;
                sum.add(value);
                match &mut mean {
                    None => mean = Some(Mean::of(value)),
                    Some(mean) => mean.add(value),
                }
            }
            let truth = values.iter().sum::<i64>() as f64 / 16.0;
            prop_assert_eq!(sum.total(), truth);
            let got = mean.expect("at least one value").value();
            prop_assert!((got - truth / values.len() as f64).abs() <= 1e-9 * got.abs().max(1.0));
        }
    }
}
