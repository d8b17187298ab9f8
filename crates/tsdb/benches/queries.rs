//! How fast series are selected among a million, and samples of ten thousand series scanned; from the head and
//! from a block, also one of which nothing is in memory.

#![expect(clippy::print_stdout, reason = "how much is read is no time, and not for criterion")]

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::{Labels, MatchOp, Matcher, TenantId};
use stdx::clock::ManualClock;
use storage::{
    Appender, LabelRequest, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples, WriteBatch,
};
use tsdb::{Deps, Settings, Tsdb};

const START_MS: i64 = 1_760_000_000_000;
const NAMES: usize = 100;

fn open(directory: &Path) -> Arc<Tsdb> {
    let settings = Settings { directory: directory.to_owned(), ..Settings::default() };
    Tsdb::open(settings, Deps { clock: ManualClock::at(START_MS), ..Deps::system() }).expect("opened")
}

/// A hundred metrics of each instance; a tenth of the instances in each job, a tenth under each letter.
fn labels(at: usize) -> Labels {
    let (name, instance) = (at % NAMES, at / NAMES);
    let letter = char::from(b'a' + (instance / 10 % 10) as u8);
    Labels::from_pairs([
        ("__name__", format!("http_requests_{name}_total")),
        ("cluster", "production".to_owned()),
        ("instance", format!("{letter}-host-{instance:06}:9100")),
        ("job", format!("job-{}", instance % 10)),
        ("pod", format!("{letter}-pod-{:08x}", instance.wrapping_mul(2_654_435_761))),
    ])
}

fn fill(tsdb: &Tsdb, series_count: usize, steps: i64) {
    let mut batch = WriteBatch::new();
    let series: Vec<Labels> = (0..series_count).map(labels).collect();
    for step in 0..steps {
        for part in series.chunks(50_000) {
            batch.clear();
            for (at, labels) in part.iter().enumerate() {
                let value = match at % 4 {
                    0 => 42.0,
                    1 => (step * 17 + at as i64) as f64,
                    2 => ((step * 7919 + at as i64) % 1000) as f64 / 100.0,
                    _ => (step * (at % 50) as i64) as f64,
                };
                let number = batch.add_series(labels.as_ref());
                batch.add_float(
                    number,
                    START_MS - 3_700_000 + step * 15_000 + (at / NAMES % 7) as i64,
                    value,
                );
            }
            tsdb.append_durably(&TenantId::anonymous(), &batch).expect("written");
        }
    }
}

fn select(tsdb: &Tsdb, matchers: &[Matcher]) -> Box<dyn storage::SeriesSet> {
    let request = SelectRequest { matchers, start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
    tsdb.select(&TenantId::anonymous(), &request, &QueryContext::unlimited()).expect("selected")
}

fn regex(name: &str, pattern: &str) -> Matcher {
    Matcher::new(MatchOp::Regex, name, pattern).expect("valid")
}

fn selection(criterion: &mut Criterion) {
    const SERIES: usize = 1_000_000;
    let directory = tempfile::tempdir().expect("temporary directory");
    let tsdb = open(directory.path());
    fill(&tsdb, SERIES, 1);
    let mut group = criterion.benchmark_group("select of a million");
    group.sample_size(10);
    let questions: [(&str, Vec<Matcher>, usize); 5] = [
        (
            "10",
            vec![
                Matcher::equal("instance", "d-host-001230:9100"),
                regex("__name__", "http_requests_1._total"),
            ],
            10,
        ),
        ("a job, a prefix", vec![Matcher::equal("job", "job-3"), regex("instance", "a.*")], 10_000),
        ("an expression", vec![regex("__name__", "http_requests_7_total"), regex("pod", ".*[0-9]f")], 0),
        (
            "all but",
            vec![
                Matcher::equal("__name__", "http_requests_7_total"),
                Matcher::new(MatchOp::NotRegex, "instance", "[a-i].*").expect("valid"),
            ],
            1000,
        ),
        ("a name", vec![Matcher::equal("__name__", "http_requests_7_total")], SERIES / NAMES),
    ];
    for place in ["head", "block"] {
        for (name, matchers, count) in &questions {
            group.bench_function(format!("{place}: {name}"), |bencher| {
                let asked = Cell::new(0);
                bencher.iter(|| {
                    // Another question each time, so that nothing is answered from what was kept.
                    asked.set(asked.get() + 1);
                    let mut matchers = matchers.clone();
                    matchers.push(Matcher::not_equal("nothing", &asked.get().to_string()));
                    let set = select(&tsdb, &matchers);
                    assert!(set.len() == *count || *count == 0, "{} series", set.len());
                });
            });
            group.bench_function(format!("{place}: {name}, again"), |bencher| {
                bencher.iter(|| assert!(!select(&tsdb, matchers).is_empty()));
            });
        }
        let sets = [vec![Matcher::equal("job", "job-3")]];
        let request = LabelRequest { matcher_sets: &sets, start_ms: 0, end_ms: i64::MAX, limit: 100 };
        group.bench_function(format!("{place}: 100 values of a label"), |bencher| {
            bencher.iter(|| {
                let values = tsdb.label_values(
                    &TenantId::anonymous(),
                    "instance",
                    &request,
                    &QueryContext::unlimited(),
                );
                assert_eq!(values.expect("answered").len(), 100);
            });
        });
        tsdb.flush().expect("flushed");
    }
    group.finish();
    tsdb.stop().expect("stopped");
}

/// What this process has read from files so far.
fn read_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("there is such a line");
    line.parse().expect("a number")
}

/// The first question to a block of a million series, of which nothing is in memory.
fn cold(criterion: &mut Criterion) {
    const SERIES: usize = 1_000_000;
    let directory = tempfile::tempdir().expect("temporary directory");
    let tsdb = open(directory.path());
    fill(&tsdb, SERIES, 1);
    tsdb.stop().expect("stopped");
    drop(tsdb);
    let mut group = criterion.benchmark_group("first question to a block of a million");
    group.sample_size(10);
    let one = vec![
        Matcher::equal("instance", "d-host-001230:9100"),
        Matcher::equal("__name__", "http_requests_7_total"),
    ];
    for (name, matchers, count) in [
        ("1", one, 1),
        ("a job, a prefix", vec![Matcher::equal("job", "job-3"), regex("instance", "a.*")], 10_000),
    ] {
        let read = Cell::new(0);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || open(directory.path()),
                |tsdb| {
                    let before = read_bytes();
                    assert_eq!(select(&tsdb, &matchers).len(), count);
                    read.set(read_bytes() - before);
                    tsdb
                },
                BatchSize::PerIteration,
            );
        });
        println!("{name}: {} KB read", read.get() / 1024);
    }
    group.finish();
}

fn scan(criterion: &mut Criterion) {
    const SERIES: usize = 10_000;
    const STEPS: i64 = 240;
    let directory = tempfile::tempdir().expect("temporary directory");
    let tsdb = open(directory.path());
    fill(&tsdb, SERIES, STEPS);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(SERIES as u64 * STEPS as u64)).sample_size(10);
    for place in ["head", "block"] {
        group.bench_function(place, |bencher| {
            bencher.iter(|| {
                let set = select(&tsdb, &[regex("__name__", "http_.*")]);
                let (mut samples, mut found) = (SeriesSamples::default(), 0);
                for at in 0..set.len() {
                    set.read(at, &mut samples).expect("read");
                    found += samples.len();
                }
                assert_eq!(found, SERIES * STEPS as usize);
            });
        });
        group.bench_function(format!("{place}: the newest"), |bencher| {
            let matchers = [regex("__name__", "http_.*")];
            let hints = SelectHints { latest_only: true, ..SelectHints::default() };
            let request = SelectRequest { matchers: &matchers, start_ms: 0, end_ms: i64::MAX, hints };
            bencher.iter(|| {
                let context = QueryContext::unlimited();
                let set = tsdb.select(&TenantId::anonymous(), &request, &context).expect("selected");
                let (mut samples, mut found) = (SeriesSamples::default(), 0);
                for at in 0..set.len() {
                    set.read(at, &mut samples).expect("read");
                    found += usize::from(!samples.is_empty());
                }
                assert_eq!(found, SERIES);
            });
        });
        tsdb.flush().expect("flushed");
    }
    group.finish();
    tsdb.stop().expect("stopped");
}

criterion_group!(benches, scan, cold, selection);
criterion_main!(benches);
