//! Start timestamps come back with their samples, whatever became of those in the meantime.

use std::collections::BTreeMap;

use model::{FloatHistogram, TenantId, UNKNOWN_START_MS};

use super::{Bench, NEWEST_MS, OLDEST_MS, T, series};
use crate::{SelectHints, SelectRequest, SeriesSamples, WriteBatch};

/// Timestamp, value, start.
type Started = (i64, f64, i64);

/// Writes samples of one series; as histograms, whose sum is the value, if so told.
fn write(bench: &Bench, as_histograms: bool, samples: &[Started]) -> usize {
    let mut batch = WriteBatch::new();
    let a = batch.add_series(series(&[("__name__", "a")]).as_ref());
    for (timestamp_ms, value, start_ms) in samples {
        if as_histograms {
            batch.add_histogram_since(a, *timestamp_ms, histogram(*value), *start_ms);
        } else {
            batch.add_float_since(a, *timestamp_ms, *value, *start_ms);
        }
    }
    bench.engine.appender.append_durably(&TenantId::anonymous(), &batch).expect("written").duplicate_count
}

fn histogram(sum: f64) -> FloatHistogram {
    FloatHistogram { sum, ..FloatHistogram::default() }
}

fn read(bench: &Bench, start_ms: i64, end_ms: i64) -> Vec<Started> {
    let request = SelectRequest { matchers: &[], start_ms, end_ms, hints: SelectHints::default() };
    let set =
        bench.engine.querier.select(&TenantId::anonymous(), &request, &bench.context).expect("selected");
    let mut found = BTreeMap::new();
    let mut samples = SeriesSamples::default();
    for at in 0..set.len() {
        set.read(at, &mut samples).expect("read");
        let floats = &samples.floats;
        for (at, (timestamp_ms, value)) in floats.timestamps_ms.iter().zip(&floats.values).enumerate() {
            found.insert(*timestamp_ms, (*value, floats.starts.get(at)));
        }
        let histograms = &samples.histograms;
        for (at, (timestamp_ms, value)) in histograms.timestamps_ms.iter().zip(&histograms.values).enumerate()
        {
            found.insert(*timestamp_ms, (value.sum, histograms.starts.get(at)));
        }
    }
    found.into_iter().map(|(t, (v, start_ms))| (t, v, start_ms)).collect()
}

#[track_caller]
fn check(bench: &Bench, start_ms: i64, end_ms: i64, want: &[Started]) {
    assert_eq!(read(bench, start_ms, end_ms), want, "before settling");
    (bench.engine.settle)();
    assert_eq!(read(bench, start_ms, end_ms), want, "after settling");
}

/// A counter that starts twice, samples without a start before and between.
const SAMPLES: [Started; 6] = [
    (T, 1.0, UNKNOWN_START_MS),
    (T + 1_000, 2.0, T - 5_000),
    (T + 2_000, 3.0, T - 5_000),
    (T + 3_000, 1.0, T + 2_500),
    (T + 4_000, 2.0, UNKNOWN_START_MS),
    (T + 5_000, 3.0, T + 2_500),
];

pub(super) fn kept(bench: &Bench) {
    assert_eq!(write(bench, false, &SAMPLES), 0);
    check(bench, OLDEST_MS, NEWEST_MS, &SAMPLES);
    check(bench, T + 2_000, T + 4_000, &SAMPLES[2..5]);
    // The next samples say nothing again.
    write(bench, false, &[(T + 6_000, 4.0, UNKNOWN_START_MS)]);
    let mut all = SAMPLES.to_vec();
    all.push((T + 6_000, 4.0, UNKNOWN_START_MS));
    check(bench, OLDEST_MS, NEWEST_MS, &all);
}

pub(super) fn kept_of_histograms(bench: &Bench) {
    assert_eq!(write(bench, true, &SAMPLES[..4]), 0);
    check(bench, OLDEST_MS, NEWEST_MS, &SAMPLES[..4]);
    write(bench, false, &SAMPLES[4..5]);
    write(bench, true, &SAMPLES[5..]);
    check(bench, OLDEST_MS, NEWEST_MS, &SAMPLES);
}

/// One start a sample, as deltas have it, many samples in any order, among them some without.
pub(super) fn kept_in_any_order(bench: &Bench) {
    let samples: Vec<Started> = (0..700)
        .map(|i| {
            let t = OLDEST_MS + i * 20_000;
            (t, i as f64, if i % 13 == 0 { UNKNOWN_START_MS } else { t - 20_000 - i % 3 })
        })
        .collect();
    let mut shuffled = samples.clone();
    shuffled.sort_by_key(|(t, _, _)| (t / 20_000 * 7919) % 700);
    for (round, chunk) in shuffled.chunks(130).enumerate() {
        write(bench, round == 3, chunk);
        if round % 2 == 0 {
            (bench.engine.settle)();
        }
    }
    check(bench, OLDEST_MS, NEWEST_MS, &samples);
}

/// A start belongs to its sample: with another one it is another write, and it goes when its sample is replaced.
pub(super) fn last_write_wins(bench: &Bench) {
    assert_eq!(write(bench, false, &[(T, 1.0, T - 10), (T + 1, 2.0, T - 10)]), 0);
    assert_eq!(write(bench, false, &[(T, 1.0, T - 10), (T + 1, 2.0, T - 10)]), 2);
    assert_eq!(write(bench, false, &[(T + 1, 2.0, T - 5)]), 0);
    check(bench, OLDEST_MS, NEWEST_MS, &[(T, 1.0, T - 10), (T + 1, 2.0, T - 5)]);
    assert_eq!(write(bench, false, &[(T, 1.0, UNKNOWN_START_MS)]), 0);
    check(bench, OLDEST_MS, NEWEST_MS, &[(T, 1.0, UNKNOWN_START_MS), (T + 1, 2.0, T - 5)]);
    write(bench, true, &[(T, 7.0, T - 3), (T + 1, 7.0, UNKNOWN_START_MS)]);
    check(bench, OLDEST_MS, NEWEST_MS, &[(T, 7.0, T - 3), (T + 1, 7.0, UNKNOWN_START_MS)]);
}
