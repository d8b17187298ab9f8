//! Samples to write: label sets and values shaped like those of real machines, with churn, lateness, repeats and
//! corrections. The same settings give the same batches.

use model::{
    BucketSpan, CounterResetHint, Exemplar, FloatHistogram, Labels, Metadata, MetricType, STALE_NAN,
    UNKNOWN_START_MS,
};
use stdx::rand::{Random, SeededRandom};
use storage::WriteBatch;

/// What the samples are like. Shares are per sample or series and step, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Decides everything.
    pub seed: u64,
    /// Series at a time.
    pub series_count: usize,
    /// Time of the first batch.
    pub start_ms: i64,
    /// Time between batches.
    pub interval_ms: i64,
    /// Most that a batch's time is off.
    pub jitter_ms: i64,
    /// Series that end (with a staleness marker) and make room for a new one.
    pub churn_share: f64,
    /// Samples that come with a much older one.
    pub late_share: f64,
    /// How much older, at most.
    pub late_ms_max: i64,
    /// Samples that are sent twice.
    pub repeat_share: f64,
    /// Samples that are sent again with another value.
    pub correction_share: f64,
    /// Series that are native histograms.
    pub histogram_share: f64,
    /// Counters and histograms that say when they began.
    pub started_share: f64,
    /// Number of the first series: workloads with numbers far apart have no series in common.
    pub first_series: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            series_count: 50,
            start_ms: 1_760_000_000_000,
            interval_ms: 15_000,
            jitter_ms: 5,
            churn_share: 0.01,
            late_share: 0.02,
            late_ms_max: 1_800_000,
            repeat_share: 0.01,
            correction_share: 0.01,
            histogram_share: 0.1,
            started_share: 0.3,
            first_series: 0,
        }
    }
}

/// Makes batches.
#[derive(Debug)]
pub struct Workload {
    settings: Settings,
    random: SeededRandom,
    now_ms: i64,
    series: Vec<Series>,
    /// Number of the next series; never used again.
    next: u64,
}

#[derive(Debug)]
struct Series {
    labels: Labels,
    shape: Shape,
    value: f64,
    histogram: FloatHistogram,
    /// Whether it says when it began.
    is_started: bool,
    /// When it did, if it says so.
    start_ms: i64,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Constant,
    /// Whole numbers that rise, with a rare restart at zero.
    Counter,
    /// A counter that rarely moves.
    SlowCounter,
    /// Few decimals around a level, like a temperature.
    Decimal,
    /// Bytes: large whole numbers up and down.
    Bytes,
    /// All 64 bits used.
    Noise,
    /// Zeros, infinities, NaN, extremes.
    Special,
    Histogram,
}

const FLOAT_SHAPES: [Shape; 7] = [
    Shape::Constant,
    Shape::Counter,
    Shape::SlowCounter,
    Shape::Decimal,
    Shape::Bytes,
    Shape::Noise,
    Shape::Special,
];

const SPECIAL: [f64; 9] = [
    0.0,
    -0.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    model::sample::NORMAL_NAN,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
    9_007_199_254_740_993.0,
];

impl Workload {
    /// A workload before its first batch.
    pub fn new(settings: Settings) -> Self {
        let random = SeededRandom::new(settings.seed);
        let (now_ms, next) = (settings.start_ms, settings.first_series);
        let mut workload = Self { now_ms, settings, random, series: Vec::new(), next };
        for _ in 0..workload.settings.series_count {
            let series = workload.make_series();
            workload.series.push(series);
        }
        workload
    }

    /// Time of the next batch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Goes on from another time.
    pub fn set_now_ms(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Replaces the content of `batch` by the next samples.
    pub fn next_batch(&mut self, batch: &mut WriteBatch) {
        batch.clear();
        for at in 0..self.series.len() {
            if self.chance(self.settings.churn_share) {
                let id = batch.add_series(self.series[at].labels.as_ref());
                batch.add_float(id, self.now_ms, STALE_NAN);
                self.series[at] = self.make_series();
            }
            self.add_samples(at, batch);
        }
        if self.chance(0.1) {
            let metric_type = [MetricType::Counter, MetricType::Gauge][self.below(2)];
            let help = format!("What is known since {}.", self.now_ms);
            batch.add_metadata(
                &metric_name(self.random.below(10)),
                Metadata { metric_type, unit: String::new(), help },
            );
        }
        self.now_ms += self.settings.interval_ms;
    }

    fn add_samples(&mut self, at: usize, batch: &mut WriteBatch) {
        let jitter_ms = self.settings.jitter_ms;
        let off_ms = self.random.below(jitter_ms.unsigned_abs() * 2 + 1).cast_signed() - jitter_ms;
        let timestamp_ms = self.now_ms + off_ms;
        let id = batch.add_series(self.series[at].labels.as_ref());
        if matches!(self.series[at].shape, Shape::Histogram) {
            let histogram = self.next_histogram(at);
            batch.add_histogram_since(id, timestamp_ms, histogram, self.series[at].start_ms);
            return;
        }
        let value = self.next_value(at);
        let start_ms = self.series[at].start_ms;
        batch.add_float_since(id, timestamp_ms, value, start_ms);
        if self.chance(self.settings.repeat_share) {
            batch.add_float_since(id, timestamp_ms, value, start_ms);
        }
        if self.chance(self.settings.correction_share) {
            batch.add_float(id, timestamp_ms, value + 1.0);
        }
        if self.chance(self.settings.late_share) {
            let late_ms = self.random.below(self.settings.late_ms_max.unsigned_abs().max(1)).cast_signed();
            batch.add_float_since(id, timestamp_ms - late_ms, value / 2.0, start_ms);
        }
        if self.chance(0.01) {
            let labels = Labels::from_pairs([("trace_id", format!("{:016x}", self.random.next_u64()))]);
            batch.add_exemplar(id, Exemplar { labels, value, timestamp_ms: None }, timestamp_ms);
        }
    }

    fn make_series(&mut self) -> Series {
        let number = self.next;
        self.next += 1;
        let shape = if self.chance(self.settings.histogram_share) {
            Shape::Histogram
        } else {
            FLOAT_SHAPES[self.below(FLOAT_SHAPES.len())]
        };
        // A few targets with many metrics each, one label of high cardinality, one odd one.
        let mut pairs = vec![
            ("__name__", metric_name(number % 10)),
            ("instance", format!("10.0.0.{}:9100", number % 7)),
            ("job", ["node", "api", "db"][(number % 3) as usize].to_owned()),
            ("id", format!("{number:06}")),
        ];
        if self.chance(0.1) {
            pairs.push(("odd label", "ü \"quoted\"\n".to_owned()));
        }
        let value = (self.random.below(1_000_000) as f64) / 100.0;
        let counts = matches!(shape, Shape::Counter | Shape::SlowCounter | Shape::Histogram);
        let is_started = counts && self.chance(self.settings.started_share);
        let start_ms = if is_started { self.now_ms - 1_000 } else { UNKNOWN_START_MS };
        let (labels, histogram) = (Labels::from_pairs(pairs), FloatHistogram::default());
        Series { labels, shape, value, histogram, is_started, start_ms }
    }

    fn next_value(&mut self, at: usize) -> f64 {
        let shape = self.series[at].shape;
        let value = self.series[at].value;
        let next = match shape {
            Shape::Constant | Shape::Histogram => value,
            Shape::Counter if self.chance(0.005) => {
                self.begin_again(at);
                0.0
            }
            Shape::Counter => value.round() + self.random.below(1_000) as f64,
            Shape::SlowCounter if self.chance(0.05) => value.round() + 1.0,
            Shape::SlowCounter => value.round(),
            Shape::Decimal => ((value + self.random.unit_f64() - 0.5) * 100.0).round() / 100.0,
            Shape::Bytes => (value * 4096.0).round() + 4096.0 * self.random.below(64) as f64,
            Shape::Noise => f64::from_bits(self.random.next_u64() & !(1 << 62)),
            Shape::Special => SPECIAL[self.below(SPECIAL.len())],
        };
        if !matches!(shape, Shape::Bytes) {
            self.series[at].value = next;
        }
        next
    }

    fn begin_again(&mut self, at: usize) {
        if self.series[at].is_started {
            self.series[at].start_ms = self.now_ms - 1;
        }
    }

    fn next_histogram(&mut self, at: usize) -> FloatHistogram {
        let starts_again = self.chance(0.02) || self.series[at].histogram.positive_buckets.is_empty();
        let added: Vec<f64> = (0..4).map(|_| self.random.below(20) as f64).collect();
        if starts_again {
            self.begin_again(at);
        }
        let histogram = &mut self.series[at].histogram;
        if starts_again {
            *histogram = FloatHistogram {
                schema: 2,
                zero_threshold: 1e-9,
                positive_spans: vec![
                    BucketSpan { offset: -2, length: 3 },
                    BucketSpan { offset: 5, length: 1 },
                ],
                positive_buckets: vec![0.0; 4],
                counter_reset_hint: CounterResetHint::Unknown,
                ..FloatHistogram::default()
            };
        }
        for (bucket, count) in histogram.positive_buckets.iter_mut().zip(&added) {
            *bucket += count;
        }
        histogram.count = histogram.positive_buckets.iter().sum();
        histogram.sum += added.iter().sum::<f64>() * 1.25;
        histogram.clone()
    }

    fn chance(&self, share: f64) -> bool {
        self.random.unit_f64() < share
    }

    fn below(&self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }
}

fn metric_name(number: u64) -> String {
    const STEMS: [&str; 5] = ["http_requests", "node_cpu", "memory", "disk_io", "queue"];
    const ENDS: [&str; 2] = ["total", "bytes"];
    format!("{}_{}", STEMS[(number % 5) as usize], ENDS[(number / 5 % 2) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Appender, memory::MemoryStorage};

    #[test]
    fn the_same_seed_gives_the_same_batches_and_they_are_sound() {
        let mut left = Workload::new(Settings::default());
        let mut right = Workload::new(Settings::default());
        let (mut a, mut b) = (WriteBatch::new(), WriteBatch::new());
        for _ in 0..50 {
            left.next_batch(&mut a);
            right.next_batch(&mut b);
            let bits =
                |batch: &WriteBatch| batch.floats().map(|(s, t, v)| (s, t, v.to_bits())).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b));
            assert!(a.histograms().iter().all(|h| h.histogram.validate().is_ok()));
            assert!(a.sample_count() >= 50);
            let appended = MemoryStorage::new().append(&model::TenantId::anonymous(), &a).expect("written");
            assert_eq!(appended.rejected, []);
        }
        assert!(left.next > 60, "series come and go");
        assert!(!a.is_empty() && left.now_ms() == 1_760_000_000_000 + 50 * 15_000);
    }
}
