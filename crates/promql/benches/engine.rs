//! What evaluation costs on one thread, without storage: samples are copied from columns that all series share.
//!
//! Windows of five minutes and of an hour show that the cost follows samples and steps, and not the width of the window.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Labels, TenantId};
use promql::{Engine, QueryOptions, Settings};
use sim::querier::Intercepted;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{Error, SelectRequest, SeriesSamples, SeriesSet};

const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 480;
const END_MS: i64 = SAMPLES * STEP_MS;
const HOUR_MS: i64 = 3_600_000;

/// Series by metric name. All have the same samples, a counter that starts again now and then; but for `f` and
/// `g`, which have decimal fractions.
struct Shared {
    metrics: BTreeMap<&'static str, Arc<[Labels]>>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
    fractions: Vec<f64>,
}

struct Set {
    series: Arc<[Labels]>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

impl SeriesSet for Set {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self.series[at]
    }

    fn read(&self, _: usize, into: &mut SeriesSamples) -> Result<(), Error> {
        into.clear();
        into.floats.timestamps_ms.extend_from_slice(&self.timestamps_ms);
        into.floats.values.extend_from_slice(&self.values);
        Ok(())
    }
}

impl Shared {
    fn select(&self, request: &SelectRequest<'_>) -> Set {
        let name = request.matchers.iter().find(|matcher| matcher.name() == "__name__");
        let name = name.expect("all queries name a metric").value();
        let values = if matches!(name, "f" | "g") { &self.fractions } else { &self.values };
        let from = self.timestamps_ms.partition_point(|t| *t < request.start_ms);
        let to = self.timestamps_ms.partition_point(|t| *t <= request.end_ms);
        Set {
            series: Arc::clone(&self.metrics[name]),
            timestamps_ms: self.timestamps_ms[from..to].to_vec(),
            values: values[from..to].to_vec(),
        }
    }
}

fn series(name: &str, count: usize, buckets: usize) -> Arc<[Labels]> {
    let one = |at: usize| {
        let (pod, bucket) = (at / buckets, at % buckets);
        let le = if bucket + 1 == buckets { "+Inf".to_owned() } else { (1 << bucket).to_string() };
        let mut pairs = vec![
            ("__name__", name.to_owned()),
            ("job", format!("job-{}", pod % 10)),
            ("pod", format!("pod-{pod:06}")),
        ];
        if buckets > 1 {
            pairs.push(("le", le));
        }
        Labels::from_pairs(pairs)
    };
    let mut all: Vec<Labels> = (0..count).map(one).collect();
    all.sort();
    all.into()
}

fn storage() -> Shared {
    let metrics = [
        ("x_total", 100_000, 1),
        ("a", 10_000, 1),
        ("b", 10_000, 1),
        ("f", 10_000, 1),
        ("d_bucket", 20_000, 10),
    ];
    Shared {
        metrics: metrics.into_iter().map(|(name, count, le)| (name, series(name, count, le))).collect(),
        timestamps_ms: (0..SAMPLES).map(|at| at * STEP_MS).collect(),
        values: (0..SAMPLES).map(|at| (at % 300) as f64 * 7.5).collect(),
        fractions: (0..SAMPLES).map(|at| (at * 7_919 % 1_000) as f64 / 1_000.0 + 0.1).collect(),
    }
}

fn queries(criterion: &mut Criterion) {
    let shared = storage();
    let storage = Intercepted::new(MemoryStorage::new(), move |request, _| {
        Some(Ok(Box::new(shared.select(request)) as Box<dyn SeriesSet>))
    });
    let settings = Settings { helper_threads_max: 0, ..Settings::default() };
    let engine = Engine::new(settings, Budget::unlimited());
    let options = QueryOptions::default();
    let tenant = TenantId::anonymous();
    let mut group = criterion.benchmark_group("range query of an hour, 15 s steps");
    group.sample_size(10).measurement_time(Duration::from_secs(6));
    for (name, series, query) in [
        ("rate sum, 5 m windows", 100_000, "sum by (job) (rate(x_total[5m]))"),
        ("rate sum, 1 h windows", 100_000, "sum by (job) (rate(x_total[1h]))"),
        ("max over 5 m", 10_000, "max(max_over_time(a[5m]))"),
        ("max over 1 h", 10_000, "max(max_over_time(a[1h]))"),
        ("sum of sums over 5 m", 10_000, "sum(sum_over_time(a[5m]))"),
        ("sum of sums over 1 h", 10_000, "sum(sum_over_time(a[1h]))"),
        ("sum of fractions over 5 m", 10_000, "sum(sum_over_time(f[5m]))"),
        ("sum of fractions over 1 h", 10_000, "sum(sum_over_time(f[1h]))"),
        ("mean of fractions over 5 m", 10_000, "sum(avg_over_time(f[5m]))"),
        ("mean of fractions over 1 h", 10_000, "sum(avg_over_time(f[1h]))"),
        ("stddev of fractions over 5 m", 1_000, "sum(stddev_over_time(g[5m]))"),
        ("stddev of fractions over 1 h", 1_000, "sum(stddev_over_time(g[1h]))"),
        ("quantile of fractions over 5 m", 1_000, "sum(quantile_over_time(0.9, g[5m]))"),
        ("quantile of fractions over 1 h", 1_000, "sum(quantile_over_time(0.9, g[1h]))"),
        ("mad of fractions over 1 h", 1_000, "sum(mad_over_time(g[1h]))"),
        ("join", 20_000, "sum(a * on (pod) group_left b)"),
        ("topk", 10_000, "topk(10, a)"),
        ("histogram quantile", 20_000, "histogram_quantile(0.9, sum by (le, job) (rate(d_bucket[5m])))"),
    ] {
        group.throughput(Throughput::Elements(series));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let start_ms = END_MS - HOUR_MS;
                let result = engine.range(&*storage, &tenant, query, start_ms, END_MS, STEP_MS, &options);
                black_box(result.expect("evaluated"));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
