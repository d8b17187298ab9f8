//! How fast each encoding is decoded, in samples a second.

use std::hint::black_box;

use chunk::floats::{self, FloatEncoder};
use chunk::stream::{StreamEncoder, decode_range};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// What one column of a block has after two hours of scrapes every 15 s.
const SAMPLES: usize = 480;

/// Numbers that look random and are the same in each run.
fn noise(at: usize) -> u64 {
    (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        >> 7
}

fn columns() -> [(&'static str, Vec<f64>); 8] {
    let column = |of: fn(usize) -> f64| (0..SAMPLES).map(of).collect::<Vec<f64>>();
    let mut sum = 0;
    let counter = (0..SAMPLES).map(|i| {
        sum += noise(i) % 120;
        (1_000_000 + sum) as f64
    });
    [
        ("constant", column(|_| 42.5)),
        ("whole numbers", column(|i| (noise(i) % 50_000) as f64)),
        ("integer delta", counter.collect()),
        ("delta of delta", column(|i| (7_000_000 + i * 4_000) as f64 + (noise(i) % 8) as f64)),
        ("scaled decimal", column(|i| (2_000 + noise(i) % 900) as f64 / 100.0)),
        ("rarely changing", column(|i| (i / 100) as f64)),
        ("xor", column(|i| 1.0 + (i as f64 / 1e9).sin())),
        ("raw", column(|i| f64::from_bits(0x3ff0_0000_0000_0000 ^ (noise(i) << 11)))),
    ]
}

fn timestamps(jitter_ms: u64) -> Vec<i64> {
    (0..SAMPLES)
        .map(|i| 1_760_000_000_000 + i as i64 * 15_000 + (noise(i) % (jitter_ms + 1)) as i64)
        .collect()
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let mut values = Vec::with_capacity(SAMPLES);
    for (name, column) in columns() {
        let mut bytes = Vec::new();
        FloatEncoder::default().encode(&column, &mut bytes);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                values.clear();
                floats::decode(black_box(&bytes), SAMPLES, &mut values).expect("sound");
                black_box(values.last());
            });
        });
    }
    let mut decoded_ms = Vec::with_capacity(SAMPLES);
    for (name, jitter_ms) in [("regular timestamps", 0), ("timestamps with jitter", 12)] {
        let mut bytes = Vec::new();
        chunk::timestamps::encode(&timestamps(jitter_ms), &mut bytes);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                decoded_ms.clear();
                chunk::timestamps::decode(black_box(&bytes), SAMPLES, &mut decoded_ms).expect("sound");
                black_box(decoded_ms.last());
            });
        });
    }
    for (name, column) in columns() {
        let (mut stream, mut last) = (StreamEncoder::default(), (0, 0.0));
        for (timestamp_ms, value) in timestamps(12).into_iter().zip(&column) {
            assert!(stream.push(last, timestamp_ms, *value), "{name} is too large");
            last = (timestamp_ms, *value);
        }
        group.bench_function(format!("head: {name}"), |bencher| {
            bencher.iter(|| {
                values.clear();
                decoded_ms.clear();
                let bytes = black_box(stream.bytes());
                decode_range(bytes, i64::MIN, i64::MAX, &mut decoded_ms, &mut values).expect("sound");
                black_box((decoded_ms.last(), values.last()));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
