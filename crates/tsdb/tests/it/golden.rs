//! Blocks and segments of the journal of each format version that was ever written stay readable, bit for bit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{BucketSpan, FloatHistogram, Labels, STALE_NAN, TenantId, UNKNOWN_START_MS};
use storage::conformance::NEWEST_MS;
use storage::{Appender, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples, WriteBatch};

use crate::testbed::{Testbed, series};

const SAMPLES: i64 = 300;
const START_MS: i64 = NEWEST_MS - 3_100_000;

/// One series for each way values are encoded, by name.
fn value(encoding: &str, at: i64) -> f64 {
    let noise = (at.wrapping_mul(7919) + 13) % 1000;
    match encoding {
        "constant" => 42.5,
        "constant_that_ends" if at == SAMPLES - 1 => f64::from_bits(STALE_NAN.to_bits()),
        "constant_that_ends" => -1.0,
        "whole" => (noise * noise) as f64,
        "delta" => (1_000_000 + at * 37 + noise % 5) as f64,
        "delta_of_delta" => (at * at * 1000 + noise % 3) as f64,
        "decimal" => (2000 + noise) as f64 / 100.0,
        "outliers" if at % 50 == 3 => 1e12,
        "outliers" => (at % 7) as f64,
        "xor" => 1.0 + (at as f64) / 3.0,
        _ => f64::from_bits((at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2),
    }
}

const ENCODINGS: [&str; 9] = [
    "constant",
    "constant_that_ends",
    "whole",
    "delta",
    "delta_of_delta",
    "decimal",
    "outliers",
    "xor",
    "raw",
];

fn timestamp_ms(at: i64) -> i64 {
    START_MS + at * 10_000 + at * at % 11
}

fn histogram(at: i64) -> FloatHistogram {
    FloatHistogram {
        schema: 2,
        zero_threshold: 1e-6,
        count: (at * 3) as f64,
        sum: at as f64 * 1.5,
        positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
        positive_buckets: vec![at as f64, (at * 2) as f64],
        ..FloatHistogram::default()
    }
}

/// When the counter of a sample began: most say nothing, one starts now and then.
fn start_ms(name: &str, at: i64) -> i64 {
    if name == "delta" && at % 50 > 9 { timestamp_ms(at / 50 * 50) - 1 } else { UNKNOWN_START_MS }
}

/// Timestamps, start timestamps, and bits of floats or histograms of each series.
type Content = BTreeMap<Labels, (Vec<(i64, i64, u64)>, Vec<(i64, i64, FloatHistogram)>)>;

fn content() -> Content {
    let float = |name: &str, at: i64| (timestamp_ms(at), start_ms(name, at), value(name, at).to_bits());
    let floats = |name: &str| (0..SAMPLES).map(|at| float(name, at)).collect();
    let mut content: Content =
        ENCODINGS.iter().map(|name| (series(name, "x"), (floats(name), Vec::new()))).collect();
    let histograms = (0..40).map(|at| (timestamp_ms(at), START_MS - 7, histogram(at))).collect();
    content.insert(series("histogram", "x"), (Vec::new(), histograms));
    content
}

fn read(bed: &Testbed) -> Content {
    let request =
        SelectRequest { matchers: &[], start_ms: i64::MIN, end_ms: i64::MAX, hints: SelectHints::default() };
    let set =
        bed.tsdb().select(&TenantId::anonymous(), &request, &QueryContext::unlimited()).expect("selected");
    let mut samples = SeriesSamples::default();
    let mut content = Content::new();
    for at in 0..set.len() {
        set.read(at, &mut samples).expect("read");
        let SeriesSamples { floats, histograms } = &samples;
        let float = |at| (floats.timestamps_ms[at], floats.starts.get(at), floats.values[at].to_bits());
        let floats = (0..floats.values.len()).map(float).collect();
        let value = |at: usize| FloatHistogram::clone(&histograms.values[at]);
        let histogram = |at| (histograms.timestamps_ms[at], histograms.starts.get(at), value(at));
        let histograms = (0..histograms.values.len()).map(histogram).collect();
        content.insert(set.labels(at).clone(), (floats, histograms));
    }
    content
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Starts an engine on each golden file of a kind, put where `place` says, and compares.
#[track_caller]
fn check_all(extension: &str, place: &str) {
    let mut count = 0;
    for entry in std::fs::read_dir(golden()).expect("listed") {
        let path = entry.expect("listed").path();
        if path.extension().is_none_or(|found| found != extension) {
            continue;
        }
        let bed = Testbed::new();
        bed.kill();
        let to = bed.settings.directory.join(place);
        std::fs::create_dir_all(to.parent().expect("in a directory")).expect("created");
        std::fs::copy(&path, to).expect("copied");
        bed.start();
        assert!(read(&bed) == content(), "{}", path.display());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn blocks_of_every_version_are_read() {
    check_all("block", "tenants/anonymous/000000000001.block");
}

#[test]
fn segments_of_every_version_are_read() {
    check_all("wal", "wal/000000000001.wal");
}

/// Writes [`content`] in two batches; the second one defines no series.
fn write_content(bed: &Testbed) {
    let mut batch = WriteBatch::new();
    for is_first in [true, false] {
        batch.clear();
        for (labels, (floats, histograms)) in content() {
            let number = batch.add_series(labels.as_ref());
            for (timestamp_ms, start_ms, bits) in floats {
                if (timestamp_ms < START_MS + 1_000_000) == is_first {
                    batch.add_float_since(number, timestamp_ms, f64::from_bits(bits), start_ms);
                }
            }
            for (timestamp_ms, start_ms, histogram) in histograms {
                if (timestamp_ms < START_MS + 100_000) == is_first {
                    batch.add_histogram_since(number, timestamp_ms, histogram, start_ms);
                }
            }
        }
        let appended = bed.tsdb().append_durably(&TenantId::anonymous(), &batch).expect("written");
        assert_eq!(appended.rejected, []);
    }
    assert_eq!(read(bed), content());
}

/// Keeps the file if there is none of its version yet.
#[track_caller]
fn keep(files: &[PathBuf], extension: &str) {
    let [file] = files else { panic!("one file was expected: {files:?}") };
    let magic = std::fs::read(file).expect("read")[..8].to_vec();
    let path = golden().join(String::from_utf8(magic).expect("text")).with_extension(extension);
    if !path.exists() {
        std::fs::copy(file, &path).expect("copied");
        panic!("a new version of the format: {} was made, and is to be committed", path.display());
    }
}

#[test]
fn the_version_that_is_written_has_a_golden_block() {
    let bed = Testbed::new();
    write_content(&bed);
    bed.tsdb().flush().expect("flushed");
    assert_eq!(read(&bed), content());
    keep(&bed.files(".block"), "block");
}

#[test]
fn the_version_that_is_written_has_a_golden_segment() {
    let bed = Testbed::new();
    write_content(&bed);
    keep(&bed.files(".wal"), "wal");
}
