//! What is stored: counters with resets, gauges, gaps, staleness, NaN and infinities, classic histograms.
//!
//! Samples come about every 15 s, never on a whole second: windows and steps are of whole seconds, so that no sample lies on
//! the edge of a window. Values are multiples of 1/1024 and below 2^20, so that sums are exact in any order.

use kymo_tests::push::Series;
use kymo_tests::random::Random;

/// Time of the first samples, in seconds. A multiple of an hour.
pub(super) const START_S: i64 = 1_700_002_800;
/// How long samples go on, in seconds.
pub(super) const SPAN_S: i64 = 3_600;

const INTERVAL_MS: i64 = 15_000;
/// Prometheus takes nothing older than an hour before the newest, so all series are sent in slices of this length.
const SLICE_MS: i64 = 900_000;
/// Marks a series as gone; the payload is Prometheus'.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// How the samples of a series come about.
#[derive(Clone, Copy)]
enum Shape {
    /// Rises by up to so many 1024ths, and sometimes halves.
    Counter { rise: i64 },
    /// Anything between plus and minus a thousand.
    Gauge,
    /// A small whole number.
    Small,
    /// A gauge with gaps, some of which a staleness marker begins.
    Gappy,
    /// A sample every few minutes.
    Sparse,
    /// NaN, infinities and numbers.
    Odd,
    /// Always 1.
    One,
}

struct Source {
    labels: Vec<(&'static str, String)>,
    shape: Shape,
}

fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    let mut add = |name: &str, labels: &[(&'static str, &str)], shape| {
        let mut own = vec![("__name__", name.to_owned())];
        own.extend(labels.iter().map(|(label, value)| (*label, (*value).to_owned())));
        all.push(Source { labels: own, shape });
    };
    for (job, instance) in [("api", "a:80"), ("api", "b:80"), ("web", "a:80"), ("web", "c:80")] {
        let base = [("job", job), ("instance", instance)];
        let with = |label, value| [base[0], base[1], (label, value)];
        for code in ["200", "404", "500"] {
            add("requests_total", &with("code", code), Shape::Counter { rise: 4_000 });
        }
        for mode in ["user", "idle"] {
            add("cpu_seconds_total", &with("mode", mode), Shape::Counter { rise: 15 * 1024 });
            add("memory_bytes", &with("mode", mode), Shape::Gauge);
        }
        for zone in ["z0", "z1"] {
            add("temperature", &with("zone", zone), Shape::Gappy);
        }
        add("queue_length", &base, Shape::Small);
        add("build_info", &with("version", if job == "api" { "1.2" } else { "1.3" }), Shape::One);
    }
    for kind in ["nan", "inf", "mixed"] {
        add("odd", &[("kind", kind)], Shape::Odd);
    }
    for job in ["api", "web"] {
        add("sparse", &[("job", job)], Shape::Sparse);
    }
    all
}

/// What to send, in order; each batch holds all series over a slice of time.
pub(super) fn batches() -> Vec<Vec<Series>> {
    let mut all: Vec<Series> = Vec::new();
    for (at, source) in sources().into_iter().enumerate() {
        let labels: Vec<(&str, &str)> = source.labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
        all.push(Series::new(&labels, &samples(source.shape, &mut Random::new(at as u64 + 1))));
    }
    for (at, (job, instance)) in [("api", "a:80"), ("api", "b:80"), ("web", "c:80")].into_iter().enumerate() {
        all.extend(histogram(job, instance, &mut Random::new(1_000 + at as u64)));
    }
    let (start_ms, slices) = (START_S * 1_000, SPAN_S * 1_000 / SLICE_MS);
    (0..slices)
        .map(|slice| {
            let (from, to) = (start_ms + slice * SLICE_MS, start_ms + (slice + 1) * SLICE_MS);
            let part = |series: &Series| Series {
                labels: series.labels.clone(),
                samples: series.samples.iter().filter(|(t, _)| *t >= from && *t < to).copied().collect(),
            };
            all.iter().map(part).filter(|series| !series.samples.is_empty()).collect()
        })
        .collect()
}

/// Times of scrapes: jittered, never on a whole second.
fn times(random: &mut Random) -> Vec<i64> {
    (0..SPAN_S * 1_000 / INTERVAL_MS)
        .map(|scrape| {
            START_S * 1_000 + scrape * INTERVAL_MS + random.between(1, 3) * 1_000 + random.between(1, 999)
        })
        .collect()
}

fn samples(shape: Shape, random: &mut Random) -> Vec<(i64, f64)> {
    let times = times(random);
    let dyadic = |number: i64| number as f64 / 1_024.0;
    let mut count = random.between(100, 200) * 1_024 * 1_024;
    let mut missing = 0;
    let mut samples = Vec::new();
    for time in times {
        let value = match shape {
            Shape::Counter { rise } => {
                if random.one_in(60) {
                    count /= 2;
                }
                count += random.between(0, rise);
                dyadic(count)
            }
            Shape::Gauge => dyadic(random.between(-1_024_000, 1_024_000)),
            Shape::Small => random.between(0, 5) as f64,
            Shape::One => 1.0,
            Shape::Odd => match random.below(8) {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::NEG_INFINITY,
                _ => dyadic(random.between(-10_240, 10_240)),
            },
            Shape::Gappy if missing > 0 => {
                missing -= 1;
                continue;
            }
            Shape::Gappy if random.one_in(25) => {
                missing = random.between(1, 40);
                if random.one_in(2) {
                    continue;
                }
                f64::from_bits(STALE_BITS)
            }
            Shape::Gappy => dyadic(random.between(-1_024_000, 1_024_000)),
            Shape::Sparse if !random.one_in(20) => continue,
            Shape::Sparse => dyadic(random.between(-1_024_000, 1_024_000)),
        };
        samples.push((time, value));
    }
    samples
}

/// Buckets, count and sum of a classic histogram, all scraped at the same times. Counts begin high, as those of a process
/// that has run for long: rates of counters near zero are a documented difference.
fn histogram(job: &str, instance: &str, random: &mut Random) -> Vec<Series> {
    const BOUNDS: [&str; 6] = ["0.05", "0.1", "0.5", "1", "5", "+Inf"];
    let mut columns = vec![Vec::new(); BOUNDS.len() + 2];
    let mut observed = [20_000i64; BOUNDS.len()];
    let mut sum = 1_024 * 50_000;
    for time in times(random) {
        for count in &mut observed {
            *count += random.between(0, 9);
        }
        sum += random.between(0, 30_000);
        let mut cumulative = 0;
        for (column, count) in columns.iter_mut().zip(&observed) {
            cumulative += count;
            column.push((time, cumulative as f64));
        }
        columns[BOUNDS.len()].push((time, cumulative as f64));
        columns[BOUNDS.len() + 1].push((time, sum as f64 / 1_024.0));
    }
    let base = [("job", job), ("instance", instance)];
    let mut all = Vec::new();
    for (at, samples) in columns.iter().enumerate() {
        let series = match BOUNDS.get(at) {
            Some(bound) => Series::new(
                &[("__name__", "latency_seconds_bucket"), base[0], base[1], ("le", bound)],
                samples,
            ),
            None => {
                let name = if at == BOUNDS.len() { "latency_seconds_count" } else { "latency_seconds_sum" };
                Series::new(&[("__name__", name), base[0], base[1]], samples)
            }
        };
        all.push(series);
    }
    all
}
