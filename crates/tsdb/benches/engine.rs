//! How fast the engine takes samples of known series, flushes, and gives them back.

#![expect(clippy::print_stdout, reason = "the time of a flush is measured once, not by criterion")]

use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::{Exemplar, FloatHistogram, Labels, LabelsRef, Matcher, Metadata, TenantId};
use stdx::clock::ManualClock;
use storage::{
    Appender, BatchSeries, Durability, InvalidLabels, LabelRequest, Querier, QueryContext, SelectHints,
    SelectRequest, SeriesKey, SeriesSamples, WriteBatch,
};
use tsdb::{Deps, Settings, Tsdb};
use wire::remote_write::encode::{Encoder, SeriesContent};
use wire::remote_write::{
    LabelHasher, RawVisitor, RejectedSeries, Visitor, decode, decode_raw, decompress, pack_raw_labels,
};

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

/// A request of remote write on its way into a batch, as the API fills it.
#[derive(Default)]
struct Push {
    batch: WriteBatch,
    series: BatchSeries,
}

impl Visitor for Push {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.series = self.batch.add_series(labels);
    }
    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.batch.add_float(self.series, timestamp_ms, value);
    }
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.batch.add_histogram(self.series, timestamp_ms, histogram);
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        self.batch.add_exemplar(self.series, exemplar, 0);
    }
    fn metadata(&mut self, metric: &str, metadata: Metadata) {
        self.batch.add_metadata(metric, metadata);
    }
    fn reject(&mut self, rejected: RejectedSeries) {
        panic!("{rejected}");
    }
}

impl RawVisitor for Push {
    fn raw_series(&mut self, hash: u128, labels: std::ops::Range<usize>) {
        self.series = self.batch.add_raw_series(SeriesKey::new(hash), labels);
    }
}

/// From the body of a request to the head, with labels decoded and with labels known by their hash.
fn push(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let tsdb = open(directory.path());
    let (labels, tenant) = (labels(), TenantId::anonymous());
    let hasher = LabelHasher::new(stdx::rand::os_seed);
    let (mut batch, mut push, mut step) = (WriteBatch::new(), Push::default(), 0);
    let durable = std::cell::Cell::new(None::<Durability>);
    let mut group = criterion.benchmark_group("push");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(20);
    for (name, raw) in [("labels decoded", false), ("labels by hash", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || {
                    if let Some(durable) = durable.take() {
                        durable.wait().expect("durable");
                    }
                    step += 1;
                    assert!(step < 7_000, "later samples would be in the future");
                    fill(&mut batch, &labels, step);
                    let mut encoder = Encoder::new();
                    for (series, timestamp_ms, value) in batch.floats() {
                        let floats = &[(timestamp_ms, value)];
                        encoder.series(
                            batch.series(series),
                            SeriesContent { floats, ..SeriesContent::default() },
                        );
                    }
                    encoder.compress()
                },
                |body| {
                    push.batch.clear();
                    let mut request = push.batch.take_raw_buffer();
                    decompress(body, usize::MAX, &mut request).expect("decompressed");
                    if raw {
                        decode_raw(&request, &hasher, &mut push).expect("decoded");
                    } else {
                        decode(&request, &mut push).expect("decoded");
                    }
                    push.batch.set_raw(request, |raw, packed| {
                        pack_raw_labels(raw, packed).map_err(|_| InvalidLabels)
                    });
                    durable.set(Some(tsdb.append(&tenant, &push.batch).expect("written").durable));
                },
                BatchSize::PerIteration,
            );
        });
    }
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

criterion_group!(benches, append, push, read);
criterion_main!(benches);
