//! How values are spread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cell::{StripedSum, now_ms};
use crate::exemplar::Latest;
use crate::native::NativeBuckets;
use crate::snapshot::{ClassicBucket, HistogramSnapshot, Value};

/// Into which buckets a histogram sorts what it observes.
#[derive(Debug, Clone, PartialEq)]
pub enum Buckets {
    /// Classic: these upper bounds, and +Inf. Sorted and made unique; what is not finite is left out.
    Classic(Vec<f64>),
    /// Native: buckets that grow by 2^(2^-schema) each and exist once something falls into them. When more than
    /// `buckets_max` exist, neighbours are merged two by two.
    Native {
        /// -4 to 8; at 3, a bucket is 9 % wide.
        schema: i8,
        /// How many buckets there may be: 4 to 1024.
        buckets_max: u16,
    },
}

impl Buckets {
    /// What Prometheus' libraries take for seconds: 5 ms to 10 s.
    pub fn classic() -> Self {
        Self::Classic(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
    }

    /// Native buckets that are right within 5 %, at most 160.
    pub fn native() -> Self {
        Self::Native { schema: 3, buckets_max: 160 }
    }
}

/// `count` bounds from `start`, each `width` after the one before.
pub fn linear_bounds(start: f64, width: f64, count: usize) -> Vec<f64> {
    (0..count).map(|at| start + width * at as f64).collect()
}

/// `count` bounds from `start`, each `factor` times the one before.
pub fn exponential_bounds(start: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(start), |bound| Some(bound * factor)).take(count).collect()
}

/// Observes values and says how they are spread. A clone observes into the same buckets.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sum: StripedSum,
    created_ms: u64,
    sort: Sort,
}

#[derive(Debug)]
enum Sort {
    Classic { bounds: Box<[f64]>, buckets: Box<[Bucket]> },
    Native { buckets: Box<NativeBuckets>, exemplar: Latest },
}

#[derive(Debug, Default)]
struct Bucket {
    count: AtomicU64,
    exemplar: Latest,
}

impl Histogram {
    pub(crate) fn new(buckets: &Buckets) -> Self {
        let sort = match buckets {
            Buckets::Classic(bounds) => {
                let mut bounds: Vec<f64> = bounds.iter().copied().filter(|bound| bound.is_finite()).collect();
                bounds.sort_by(f64::total_cmp);
                bounds.dedup();
                let buckets = (0..=bounds.len()).map(|_| Bucket::default()).collect();
                Sort::Classic { bounds: bounds.into(), buckets }
            }
            Buckets::Native { schema, buckets_max } => Sort::Native {
                buckets: Box::new(NativeBuckets::new((*schema).into(), (*buckets_max).into())),
                exemplar: Latest::default(),
            },
        };
        Self(Arc::new(Inner { sum: StripedSum::default(), created_ms: now_ms(), sort }))
    }

    /// Observes `value`. NaN counts, but falls into no bucket below +Inf.
    pub fn observe(&self, value: f64) {
        match &self.0.sort {
            Sort::Classic { bounds, buckets } => {
                buckets[place(bounds, value)].count.fetch_add(1, Ordering::Relaxed);
            }
            Sort::Native { buckets, .. } => buckets.observe(value),
        }
        self.0.sum.add(value);
    }

    /// Observes `value`, of which the labels (`trace_id`, say; 128 characters at most) name the event.
    pub fn observe_with_exemplar(&self, value: f64, labels: &[(&str, &str)]) {
        self.observe(value);
        match &self.0.sort {
            Sort::Classic { bounds, buckets } => buckets[place(bounds, value)].exemplar.offer(labels, value),
            Sort::Native { exemplar, .. } => exemplar.offer(labels, value),
        }
    }

    /// How many values were observed.
    pub fn count(&self) -> u64 {
        match &self.0.sort {
            Sort::Classic { buckets, .. } => buckets.iter().map(|b| b.count.load(Ordering::Relaxed)).sum(),
            Sort::Native { buckets, .. } => buckets.count(),
        }
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.0.sum.get()
    }

    pub(crate) fn value(&self) -> Value {
        let (count, buckets, native) = match &self.0.sort {
            Sort::Classic { bounds, buckets } => {
                let buckets: Vec<_> = buckets
                    .iter()
                    .enumerate()
                    .map(|(at, bucket)| ClassicBucket {
                        upper_bound: bounds.get(at).copied().unwrap_or(f64::INFINITY),
                        count: bucket.count.load(Ordering::Relaxed),
                        exemplar: bucket.exemplar.get(),
                    })
                    .collect();
                // Counted from the buckets, so that the parts of one scrape agree.
                (buckets.iter().map(|bucket| bucket.count).sum(), buckets, None)
            }
            Sort::Native { buckets, exemplar } => {
                let (count, native) = buckets.snapshot();
                let all = ClassicBucket { upper_bound: f64::INFINITY, count, exemplar: exemplar.get() };
                (count, vec![all], Some(native))
            }
        };
        Value::Histogram(HistogramSnapshot {
            count,
            sum: self.sum(),
            created_ms: self.0.created_ms,
            buckets,
            native,
        })
    }
}

/// The first bucket whose bound is not below `value`; NaN goes to the last.
fn place(bounds: &[f64], value: f64) -> usize {
    if value.is_nan() {
        return bounds.len();
    }
    // Few bounds are walked through faster than they are halved: the processor guesses right.
    if bounds.len() <= 16 {
        return bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
    }
    bounds.partition_point(|bound| *bound < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histogram: &Histogram) -> Vec<(f64, u64)> {
        let Value::Histogram(seen) = histogram.value() else { panic!("a histogram") };
        seen.buckets.iter().map(|bucket| (bucket.upper_bound, bucket.count)).collect()
    }

    #[test]
    fn a_value_is_in_the_first_bucket_that_does_not_end_below_it() {
        let histogram = Histogram::new(&Buckets::Classic(vec![2.0, 1.0, f64::INFINITY, 1.0, f64::NAN]));
        for value in [-1.0, 1.0, 1.5, 2.0, 2.5, f64::NAN, f64::INFINITY] {
            histogram.observe(value);
        }
        assert_eq!(counts(&histogram), [(1.0, 2), (2.0, 2), (f64::INFINITY, 3)]);
        assert_eq!(histogram.count(), 7);
        assert!(histogram.sum().is_nan());
    }

    #[test]
    fn many_bounds_are_searched_as_few_are() {
        let bounds = linear_bounds(0.0, 1.0, 40);
        for value in [-0.5, 0.0, 0.5, 38.5, 39.0, 39.5] {
            let want = bounds.iter().position(|bound| value <= *bound).unwrap_or(40);
            assert_eq!(place(&bounds, value), want, "{value}");
        }
        assert_eq!(place(&bounds, f64::NAN), 40);
    }

    #[test]
    fn bounds_are_made() {
        assert_eq!(linear_bounds(1.0, 0.5, 3), [1.0, 1.5, 2.0]);
        assert_eq!(exponential_bounds(1.0, 4.0, 3), [1.0, 4.0, 16.0]);
    }

    #[test]
    fn a_bucket_keeps_its_latest_exemplar() {
        let histogram = Histogram::new(&Buckets::Classic(vec![1.0]));
        histogram.observe_with_exemplar(0.5, &[("trace_id", "a")]);
        histogram.observe_with_exemplar(7.0, &[("trace_id", "b")]);
        let Value::Histogram(seen) = histogram.value() else { panic!("a histogram") };
        let traces: Vec<_> =
            seen.buckets.iter().map(|b| b.exemplar.as_ref().expect("one").labels[0].1.clone()).collect();
        assert_eq!(traces, ["a", "b"]);
    }
}
