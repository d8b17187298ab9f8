//! How fast the engine takes samples of known series, flushes, and gives them back.

#![expect(clippy::print_stdout, reason = "the time of a flush is measured once, not by criterion")]

use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::{Labels, Matcher, TenantId};
use stdx::clock::ManualClock;
use storage::{
    Appender, Durability, LabelRequest, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples,
    WriteBatch,
};
use tsdb::{Deps, Settings, Tsdb};

const SERIES: usize = 20_000;
const START_MS: i64 = 1_760_000_000_000;
const STEP_MS: i64 = 1_000;

fn open(directory: &Path) -> Arc<Tsdb> {
    let settings = Settings { directory: directory.to_owned(), ..Settings::default() };
    Tsdb::open(settings, Deps { clock: ManualClock::at(START_MS), ..Deps::system() }).expect("opened")
}

fn labels() -> Vec<Labels> {
    (0..SERIES)
        .map(|i| {
            Labels::from_pairs([
                ("__name__", format!("http_request_duration_seconds_{}", i % 100)),
                ("instance", format!("10.0.{}.{}:9100", i / 100 % 16, i / 1600)),
                ("job", "api-server".to_owned()),
                ("namespace", "production".to_owned()),
                ("path", format!("/api/v1/items/{}", i % 37)),
                ("pod", format!("api-server-{:08x}", i / 100)),
            ])
        })
        .collect()
}

/// The scrape number `step` of all series.
fn fill(batch: &mut WriteBatch, labels: &[Labels], step: i64) {
    batch.clear();
    for (i, labels) in labels.iter().enumerate() {
        let value = match i % 4 {
            0 => 42.0,
            1 => (step * 17 + i as i64) as f64,
            2 => ((step * 7919 + i as i64) % 1000) as f64 / 100.0,
            _ => (step as f64 + i as f64).sqrt(),
        };
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, START_MS - 7_000_000 + step * STEP_MS + (i / 100 % 7) as i64, value);
    }
}

fn append(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let tsdb = open(directory.path());
    let (labels, tenant) = (labels(), TenantId::anonymous());
    let (mut batch, mut step) = (WriteBatch::new(), 0);
    let durable = std::cell::Cell::new(None::<Durability>);
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(20);
    group.bench_function("known series", |bencher| {
        bencher.iter_batched_ref(
            || {
                // Outside of the measurement, so that the disk is not what is measured.
                if let Some(durable) = durable.take() {
                    durable.wait().expect("durable");
                }
                step += 1;
                assert!(step < 7_000, "later samples would be in the future");
                fill(&mut batch, &labels, step);
                batch.clone()
            },
            |batch| durable.set(Some(tsdb.append(&tenant, batch).expect("written").durable)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    tsdb.stop().expect("stopped");
}

fn read(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut tsdb = open(directory.path());
    let (labels, tenant) = (labels(), TenantId::anonymous());
    let mut batch = WriteBatch::new();
    for step in 0..480 {
        fill(&mut batch, &labels, step);
        tsdb.append_durably(&tenant, &batch).expect("written");
    }
    let matchers = [Matcher::equal("__name__", "http_request_duration_seconds_1")];
    let count = SERIES / 100 * 480;
    let mut group = criterion.benchmark_group("select");
    group.throughput(Throughput::Elements(count as u64)).sample_size(20);
    for place in ["head", "block"] {
        group.bench_function(place, |bencher| {
            bencher.iter(|| {
                let request = SelectRequest {
                    matchers: &matchers,
                    start_ms: 0,
                    end_ms: i64::MAX,
                    hints: SelectHints::default(),
                };
                let set = tsdb.select(&tenant, &request, &QueryContext::unlimited()).expect("selected");
                let mut samples = SeriesSamples::default();
                let mut found = 0;
                for at in 0..set.len() {
                    set.read(at, &mut samples).expect("read");
                    found += samples.len();
                }
                assert_eq!(found, count);
            });
        });
        group.bench_function(format!("{place}, labels of all series"), |bencher| {
            bencher.iter(|| {
                let request = SelectRequest {
                    matchers: &[],
                    start_ms: 0,
                    end_ms: i64::MAX,
                    hints: SelectHints::default(),
                };
                let set = tsdb.select(&tenant, &request, &QueryContext::unlimited()).expect("selected");
                assert_eq!(set.len(), SERIES);
            });
        });
        if place == "head" {
            tsdb.abandon();
            let start = std::time::Instant::now();
            tsdb = open(directory.path());
            println!("replay of {} samples: {:?}", SERIES * 480, start.elapsed());
            let start = std::time::Instant::now();
            tsdb.flush().expect("flushed");
            println!("flush of {} samples: {:?}", SERIES * 480, start.elapsed());
        }
    }
    group.bench_function("label values", |bencher| {
        let sets = [matchers.to_vec()];
        let request = LabelRequest { matcher_sets: &sets, start_ms: 0, end_ms: i64::MAX, limit: 0 };
        bencher.iter(|| {
            let values = tsdb.label_values(&tenant, "instance", &request, &QueryContext::unlimited());
            assert_eq!(values.expect("answered").len(), 200);
        });
    });
    group.finish();
    tsdb.stop().expect("stopped");
}

criterion_group!(benches, append, read);
criterion_main!(benches);
