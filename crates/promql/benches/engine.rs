//! What evaluation costs on one thread, without storage: samples are copied from columns that all series share.
//!
//! `rate sum` shows that the cost follows samples and steps, and not the width of the window.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Labels, Matcher, Metadata, TenantId};
use promql::{Engine, QueryOptions, Settings};
use stdx::memory::Budget;
use storage::{
    Error, Estimate, LabelRequest, Querier, QueryContext, SelectRequest, SeriesExemplars, SeriesSamples,
    SeriesSet,
};

const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 480;
const END_MS: i64 = SAMPLES * STEP_MS;
const HOUR_MS: i64 = 3_600_000;

/// Series by metric name, all with the same samples: a counter that starts again now and then.
struct Shared {
    metrics: BTreeMap<&'static str, Arc<[Labels]>>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
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

impl Querier for Shared {
    fn select(
        &self,
        _: &TenantId,
        request: &SelectRequest<'_>,
        _: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        let name = request.matchers.iter().find(|matcher| matcher.name() == "__name__");
        let series = name.and_then(|name| self.metrics.get(name.value())).expect("a known metric");
        let from = self.timestamps_ms.partition_point(|t| *t < request.start_ms);
        let to = self.timestamps_ms.partition_point(|t| *t <= request.end_ms);
        Ok(Box::new(Set {
            series: Arc::clone(series),
            timestamps_ms: self.timestamps_ms[from..to].to_vec(),
            values: self.values[from..to].to_vec(),
        }))
    }

    fn estimate(&self, _: &TenantId, _: &SelectRequest<'_>, _: &QueryContext) -> Result<Estimate, Error> {
        Ok(Estimate::default())
    }

    fn label_names(
        &self,
        _: &TenantId,
        _: &LabelRequest<'_>,
        _: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &TenantId,
        _: &str,
        _: &LabelRequest<'_>,
        _: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn metadata(&self, _: &TenantId, _: Option<&str>) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        Ok(BTreeMap::new())
    }

    fn exemplars(
        &self,
        _: &TenantId,
        _: &[Vec<Matcher>],
        _: i64,
        _: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        Ok(Vec::new())
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
    let metrics = [("x_total", 100_000, 1), ("a", 10_000, 1), ("b", 10_000, 1), ("d_bucket", 20_000, 10)];
    Shared {
        metrics: metrics.into_iter().map(|(name, count, le)| (name, series(name, count, le))).collect(),
        timestamps_ms: (0..SAMPLES).map(|at| at * STEP_MS).collect(),
        values: (0..SAMPLES).map(|at| (at % 300) as f64 * 7.5).collect(),
    }
}

fn queries(criterion: &mut Criterion) {
    let storage = storage();
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
        ("join", 20_000, "sum(a * on (pod) group_left b)"),
        ("topk", 10_000, "topk(10, a)"),
        ("histogram quantile", 20_000, "histogram_quantile(0.9, sum by (le, job) (rate(d_bucket[5m])))"),
    ] {
        group.throughput(Throughput::Elements(series));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let start_ms = END_MS - HOUR_MS;
                let result = engine.range(&storage, &tenant, query, start_ms, END_MS, STEP_MS, &options);
                black_box(result.expect("evaluated"));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
