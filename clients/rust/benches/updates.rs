//! What an update costs, alone and while another thread updates the same metric.
//!
//! `cargo bench -p kymo-client --features metrics`. The bar: under 50 ns.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use kymo_client::{Buckets, Registry};

/// Runs `update` alone, then while a second thread does the same.
fn measure(c: &mut Criterion, name: &str, update: impl Fn() + Sync) {
    c.bench_function(name, |b| b.iter(&update));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                update();
            }
        });
        c.bench_function(&format!("{name}, contended"), |b| b.iter(&update));
        stop.store(true, Ordering::Relaxed);
    });
}

fn updates(c: &mut Criterion) {
    let registry = Registry::new();
    let counter = registry.counter("counter", "").expect("free");
    let gauge = registry.gauge("gauge", "").expect("free");
    let classic = registry.histogram("classic", "", Buckets::classic()).expect("free");
    let native = registry.histogram("native", "", Buckets::native()).expect("free");
    let family = registry.counter_family("family", "", ["method", "code"]).expect("free");
    measure(c, "counter", || counter.inc());
    measure(c, "gauge", || gauge.set(black_box(3.0)));
    measure(c, "gauge, added to", || gauge.add(black_box(3.0)));
    measure(c, "classic histogram", || classic.observe(black_box(0.07)));
    measure(c, "native histogram", || native.observe(black_box(0.07)));
    measure(c, "looked up in a family", || family.with(["GET", "200"]).inc());
}

fn facade(c: &mut Criterion) {
    let recorder = kymo_client::recorder::Recorder::new(Registry::new());
    metrics::with_local_recorder(&recorder, || {
        let counter = metrics::counter!("kept");
        let histogram = metrics::histogram!("kept_histogram");
        c.bench_function("counter of the facade, kept", |b| b.iter(|| counter.increment(1)));
        c.bench_function("histogram of the facade, kept", |b| b.iter(|| histogram.record(black_box(0.07))));
    });
}

criterion_group!(benches, updates, facade);
criterion_main!(benches);
