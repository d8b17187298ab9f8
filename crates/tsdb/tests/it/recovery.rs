//! What is there after a restart or a kill, and what the journal keeps.

use std::collections::BTreeMap;

use model::{Labels, Matcher, Metadata, MetricType, TenantId};
use proptest::prelude::*;
use storage::conformance::NEWEST_MS;
use storage::{Appender, ErrorKind, Querier, WriteBatch};

use crate::testbed::{Testbed, exemplar, series};

const T: i64 = NEWEST_MS - 3_600_000;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let bed = Testbed::new();
    for i in 0..50 {
        bed.write(&[(&series("a", "1"), T + i * 1000, i as f64), (&series("a", &i.to_string()), T, 1.0)]);
    }
    let before = bed.all();
    bed.kill();
    bed.start();
    assert_eq!(bed.all(), before);
}

#[test]
fn stopping_leaves_nothing_to_replay() {
    let bed = Testbed::new();
    bed.write(&[(&series("a", "1"), T, 1.0)]);
    let before = bed.all();
    bed.restart();
    assert_eq!(bed.files(".wal").len(), 0);
    assert_eq!((bed.all(), bed.files(".block").len()), (before, 1));
    let error = {
        let tsdb = bed.tsdb();
        tsdb.stop().expect("stopped");
        tsdb.stop().expect("a second time is harmless");
        bed.try_write(&[(&series("a", "1"), T, 1.0)]).expect_err("stopped")
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn the_directory_has_one_owner_at_a_time() {
    let bed = Testbed::new();
    let error = bed.try_open().expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("in use by another process"), "{error}");
    bed.kill();
    bed.start();
}

#[test]
fn segments_are_small_self_contained_and_deleted_after_a_flush() {
    let bed = Testbed::with(|settings| settings.wal_segment_bytes_max = 500);
    let red = TenantId::new("red").expect("valid");
    for i in 0..100 {
        bed.write(&[(&series("a", "1"), T + i * 1000, i as f64)]);
        let mut batch = WriteBatch::new();
        let id = batch.add_series(series("r", "1").as_ref());
        batch.add_float(id, T + i * 1000, 0.5);
        bed.tsdb().append_durably(&red, &batch).expect("written");
    }
    let segments = bed.files(".wal");
    assert!(segments.len() > 3, "{segments:?}");
    // Each segment alone is enough for what it holds.
    bed.kill();
    std::fs::remove_file(&segments[0]).expect("removed");
    bed.start();
    assert_eq!(bed.metric("kymo_tsdb_wal_corruptions_total"), 0.0);
    let left = bed.all()[&series("a", "1")].clone();
    assert!(left.len() < 100 && left.len() > 30, "{}", left.len());
    assert_eq!(left.last(), Some(&(T + 99_000, 99.0)));
    bed.tsdb().flush().expect("flushed");
    assert_eq!(bed.files(".wal").len(), 0);
    assert_eq!(bed.all()[&series("a", "1")], left);
    bed.kill();
    bed.start();
    assert_eq!(bed.all()[&series("a", "1")], left);
}

#[test]
fn records_that_blocks_hold_are_not_replayed() {
    let bed = Testbed::new();
    bed.write(&[(&series("a", "1"), T, 1.0)]);
    let segment = bed.files(".wal").pop().expect("a segment");
    let kept = std::fs::read(&segment).expect("read");
    bed.tsdb().flush().expect("flushed");
    bed.kill();
    // As if the deletion had not become durable.
    #[expect(clippy::disallowed_methods, reason = "a test's file need not survive a crash")]
    std::fs::write(&segment, kept).expect("written");
    bed.start();
    assert_eq!(bed.tsdb().stats(&TenantId::anonymous(), 1).series_count, 0);
    assert_eq!(bed.all()[&series("a", "1")], [(T, 1.0)]);
    bed.tsdb().flush().expect("flushed");
    assert_eq!(bed.files(".wal").len(), 0);
}

#[test]
fn numbers_of_released_series_are_used_again_without_confusion() {
    let bed = Testbed::new();
    for round in 0..5i64 {
        let at = NEWEST_MS + round * 7_200_000;
        bed.clock.set_ms(at);
        let batch: Vec<Labels> = (0..40).map(|i| series("a", &format!("{round}-{i}"))).collect();
        let samples: Vec<(&Labels, i64, f64)> =
            batch.iter().map(|labels| (labels, at, round as f64)).collect();
        bed.write(&samples);
        if round % 2 == 0 {
            bed.tsdb().flush().expect("flushed");
        }
    }
    assert!(bed.metric("kymo_tsdb_head_series_removed_total") >= 40.0);
    assert!(bed.metric("kymo_tsdb_head_series") <= 120.0);
    let check = |found: BTreeMap<Labels, Vec<(i64, f64)>>| {
        assert_eq!(found.len(), 200);
        for (labels, samples) in found {
            let round = labels
                .get("i")
                .expect("set")
                .split('-')
                .next()
                .expect("a round")
                .parse::<i64>()
                .expect("a number");
            assert_eq!(samples, [(NEWEST_MS + round * 7_200_000, round as f64)]);
        }
    };
    check(bed.all());
    bed.kill();
    bed.start();
    check(bed.all());
    let one = [Matcher::equal("i", "4-7")];
    assert_eq!(bed.try_select(&one, i64::MIN, i64::MAX).expect("selected").len(), 1);
}

#[test]
fn exemplars_and_metadata_survive_kill_and_flush() {
    let bed = Testbed::new();
    let tenant = TenantId::anonymous();
    let metadata =
        Metadata { metric_type: MetricType::Gauge, unit: "bytes".to_owned(), help: "Much.".to_owned() };
    let mut batch = WriteBatch::new();
    let id = batch.add_series(series("a", "1").as_ref());
    batch.add_float(id, T, 1.0);
    batch.add_exemplar(id, exemplar("x", T), T);
    batch.add_metadata("a", metadata.clone());
    bed.tsdb().append_durably(&tenant, &batch).expect("written");
    let all = [vec![Matcher::equal("__name__", "a")]];
    let check = || {
        let found = bed.tsdb().exemplars(&tenant, &all, T, T).expect("answered");
        assert_eq!((found.len(), &found[0].exemplars), (1, &vec![exemplar("x", T)]));
        assert_eq!(
            bed.tsdb().metadata(&tenant, Some("a")).expect("answered")["a"],
            std::slice::from_ref(&metadata)
        );
    };
    check();
    bed.kill();
    bed.start();
    check();
    bed.tsdb().flush().expect("flushed");
    bed.kill();
    bed.start();
    check();
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, i64, f64)>),
    Flush,
    Compact,
    Restart,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    // Few timestamps, so that repeats, corrections and late samples are frequent; several block windows.
    let value = prop_oneof![(0i32..4).prop_map(f64::from), Just(0.25), Just(1e300)];
    let sample = (0u8..3, (0i64..40).prop_map(|t| T - t * 611_000), value);
    prop_oneof![
        6 => proptest::collection::vec(sample, 1..40).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_in_between_the_last_write_is_read(steps in proptest::collection::vec(step(), 1..25)) {
        let bed = Testbed::new();
        let mut want: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(samples) => {
                    let labels: Vec<Labels> = samples.iter().map(|(i, ..)| series("a", &i.to_string())).collect();
                    let all: Vec<(&Labels, i64, f64)> =
                        labels.iter().zip(&samples).map(|(labels, (_, t, v))| (labels, *t, *v)).collect();
                    prop_assert_eq!(bed.write(&all).accepted_count, all.len());
                    for (labels, t, v) in all {
                        want.entry(labels.clone()).or_default().insert(t, v);
                    }
                }
                Step::Flush => bed.tsdb().flush().expect("flushed"),
                Step::Compact => bed.tsdb().compact().expect("compacted"),
                Step::Restart => bed.restart(),
                Step::Kill => {
                    bed.kill();
                    bed.start();
                }
            }
            let want: BTreeMap<Labels, Vec<(i64, f64)>> =
                want.iter().map(|(l, s)| (l.clone(), s.iter().map(|(t, v)| (*t, *v)).collect())).collect();
            let all_ms: Vec<i64> = want.values().flatten().map(|(t, _)| *t).collect();
            let end_ms = all_ms.get(all_ms.len() / 2).copied().unwrap_or(0);
            for end_ms in [i64::MAX, end_ms] {
                let last = |samples: &[(i64, f64)]| samples.iter().rev().find(|(t, _)| *t <= end_ms).copied();
                let newest: BTreeMap<Labels, (i64, f64)> =
                    want.iter().filter_map(|(l, s)| Some((l.clone(), last(s)?))).collect();
                prop_assert_eq!(bed.newest(i64::MIN, end_ms), newest);
            }
            prop_assert_eq!(bed.all(), want);
        }
    }
}

#[test]
fn a_journal_much_larger_than_what_is_read_at_once_comes_back() {
    const SERIES: usize = 12_000;
    let bed = Testbed::new();
    let label = "x".repeat(400);
    let labels: Vec<Labels> = (0..SERIES).map(|i| series("a", &format!("{label}{i}"))).collect();
    let value = |i: usize, step: i64| (i as i64 * 7 + step) as f64;
    for step in 0..3 {
        let at_ms = NEWEST_MS - 60_000 + step * 15_000;
        let samples: Vec<(&Labels, i64, f64)> =
            labels.iter().enumerate().map(|(i, labels)| (labels, at_ms, value(i, step))).collect();
        bed.write(&samples);
        // A late one, and an overwritten one.
        bed.write(&[(&labels[5], NEWEST_MS - 90_000, step as f64), (&labels[6], at_ms, -1.0)]);
    }
    let before = bed.all();
    bed.kill();
    bed.start();
    assert_eq!(before.len(), SERIES);
    assert_eq!(bed.all(), before);
}
