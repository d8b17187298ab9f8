//! Limits, retention, compaction, snapshots, and many threads at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Labels, MatchOp, Matcher, TenantId};
use stdx::cancel::Cancel;
use stdx::memory::Budget;
use storage::conformance::NEWEST_MS;
use storage::{
    Appender, ErrorKind, LabelRequest, Querier, QueryContext, RejectReason, SelectHints, SelectRequest,
    SeriesSamples, WriteBatch,
};
use tsdb::{Retention, TenantRetention};

use crate::testbed::{Testbed, series};

const T: i64 = NEWEST_MS - 3_600_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

#[test]
fn a_selector_asked_again_sees_what_came_since_in_order() {
    let bed = Testbed::new();
    let matchers = [
        Matcher::equal("__name__", "a"),
        Matcher::new(MatchOp::Regex, "i", "1.*").expect("valid"),
        Matcher::new(MatchOp::NotRegex, "i", ".*9").expect("valid"),
    ];
    let check = |want: &[&str]| {
        let request = SelectRequest {
            matchers: &matchers,
            start_ms: i64::MIN,
            end_ms: i64::MAX,
            hints: SelectHints::default(),
        };
        for _ in 0..2 {
            let set = bed.tsdb().select(&TenantId::anonymous(), &request, &QueryContext::unlimited());
            let set = set.expect("selected");
            let got: Vec<&str> = (0..set.len()).filter_map(|at| set.labels(at).get("i")).collect();
            assert_eq!(got, want);
        }
    };
    check(&[]);
    bed.write(&[(&series("a", "12"), T, 1.0), (&series("a", "19"), T, 1.0), (&series("b", "1"), T, 1.0)]);
    check(&["12"]);
    bed.write(&[(&series("a", "11"), T, 1.0), (&series("a", "2"), T, 1.0)]);
    check(&["11", "12"]);
    bed.tsdb().flush().expect("flushed");
    check(&["11", "12"]);
    bed.write(&[(&series("a", "10"), T, 1.0), (&series("a", "12"), T + 1, 2.0)]);
    check(&["10", "11", "12"]);
    bed.restart();
    check(&["10", "11", "12"]);
}

#[test]
fn an_estimate_is_at_hand_for_what_was_selected_before_and_is_in_memory() {
    let bed = Testbed::new();
    bed.write(&[(&series("a", "1"), T, 1.0), (&series("a", "2"), T, 1.0), (&series("a", "2"), T + 1, 2.0)]);
    let matchers = [Matcher::equal("__name__", "a")];
    let (anonymous, context) = (TenantId::anonymous(), QueryContext::unlimited());
    let hints = SelectHints::default();
    let request = SelectRequest { matchers: &matchers, start_ms: T, end_ms: T + HOUR, hints };
    let at_hand = || bed.tsdb().estimate_at_hand(&anonymous, &request);
    let select = || bed.tsdb().select(&anonymous, &request, &context).expect("selected").len();
    assert_eq!(at_hand(), None, "nobody has asked for it yet");
    assert_eq!(select(), 2);
    let known = at_hand().expect("known and in memory");
    assert_eq!((known.series_count, known.sample_count), (2, 3));
    assert_eq!(Some(known), bed.tsdb().estimate(&anonymous, &request, &context).ok());
    bed.write(&[(&series("a", "3"), T, 1.0)]);
    assert_eq!(at_hand(), None, "there are other series now");
    assert_eq!(select(), 3);
    assert!(at_hand().is_some());
    bed.tsdb().flush().expect("flushed");
    select();
    assert_eq!(at_hand(), None, "what is in a block may have to be read from a disk");
}

#[test]
fn samples_out_of_bounds_are_refused_each_with_its_reason() {
    let bed = Testbed::new();
    let a = series("a", "1");
    let appended = bed.write(&[
        (&a, NEWEST_MS - 15 * DAY - 1, 1.0),
        (&a, NEWEST_MS - 15 * DAY, 2.0),
        (&a, NEWEST_MS + 600_000, 3.0),
        (&a, NEWEST_MS + 600_001, 4.0),
        (&a, i64::MAX, 5.0),
        (&a, i64::MIN, 6.0),
    ]);
    let reasons: Vec<RejectReason> = appended.rejected.iter().map(|r| r.reason).collect();
    use RejectReason::{InvalidTimestamp, TooFarInFuture, TooOld};
    assert_eq!(reasons, [TooOld, TooFarInFuture, InvalidTimestamp, InvalidTimestamp]);
    assert_eq!((appended.accepted_count, bed.all()[&a].len()), (2, 2));
    assert_eq!(bed.metric("kymo_tsdb_samples_rejected_total"), 4.0);
}

#[test]
fn a_series_of_refused_samples_only_is_not_created() {
    let bed = Testbed::new();
    let appended = bed.write(&[(&series("a", "1"), NEWEST_MS + DAY, 1.0)]);
    assert_eq!((appended.created_series_count, appended.rejected.len()), (0, 1));
    assert_eq!(bed.tsdb().stats(&TenantId::anonymous(), 1).series_count, 0);
}

#[test]
fn at_the_limit_new_series_are_refused_and_old_ones_go_on() {
    let bed = Testbed::with(|settings| settings.series_per_tenant_max = 2);
    let (a, b, c) = (series("a", "1"), series("b", "1"), series("c", "1"));
    bed.write(&[(&a, T, 1.0), (&b, T, 1.0)]);
    let appended = bed.write(&[(&a, T + 1, 2.0), (&c, T + 1, 1.0), (&c, T + 2, 1.0), (&b, T + 1, 2.0)]);
    assert_eq!((appended.accepted_count, appended.rejected.len()), (2, 2));
    assert!(appended.rejected.iter().all(|r| r.series == 1 || r.series == 2));
    assert!(appended.rejected.iter().all(|r| r.reason == RejectReason::SeriesLimit));
    // Another tenant has a limit of its own.
    let mut batch = WriteBatch::new();
    let id = batch.add_series(c.as_ref());
    batch.add_float(id, T, 1.0);
    let red = TenantId::new("red").expect("valid");
    assert_eq!(bed.tsdb().append_durably(&red, &batch).expect("written").accepted_count, 1);
}

#[test]
fn labels_over_their_limits_are_refused() {
    let bed = Testbed::with(|settings| {
        (settings.labels_max, settings.label_name_bytes_max, settings.label_value_bytes_max) = (3, 10, 20);
    });
    let check = |labels: &Labels, accepted: bool| {
        let appended = bed.write(&[(labels, T, 1.0)]);
        assert_eq!(appended.accepted_count == 1, accepted, "{labels}");
        assert!(appended.rejected.iter().all(|r| r.reason == RejectReason::InvalidLabels));
    };
    check(&Labels::from_pairs([("__name__", "a"), ("b", "c"), ("d", "e")]), true);
    check(&Labels::from_pairs([("__name__", "a"), ("b", "c"), ("d", "e"), ("f", "g")]), false);
    check(&Labels::from_pairs([("__name__", "a"), ("a234567890x", "c")]), false);
    check(&Labels::from_pairs([("__name__", "a"), ("b", "123456789012345678901")]), false);
    check(&Labels::empty(), false);
}

fn keep(retention_ms: i64, retention_bytes: Option<u64>) -> Retention {
    Retention { retention_ms, retention_bytes, of_tenants: BTreeMap::new() }
}

#[test]
fn each_tenant_keeps_as_long_and_as_much_as_it_may() {
    let bed = Testbed::new();
    let tenants = ["long", "short", "small"].map(|name| TenantId::new(name).expect("valid"));
    let write = |tenant: &TenantId, days: i64| {
        let mut batch = WriteBatch::new();
        let series = batch.add_series(series("a", "1").as_ref());
        batch.add_float(series, NEWEST_MS - days * DAY, 1.0);
        bed.tsdb().append_durably(tenant, &batch).expect("written").rejected.len()
    };
    for days in [8, 5, 2, 1] {
        assert!(tenants.iter().all(|tenant| write(tenant, days) == 0));
        bed.tsdb().flush().expect("flushed");
    }
    let blocks_of = |tenant: &TenantId| bed.tsdb().stats(tenant, 0).blocks.len();
    let bytes = bed.tsdb().stats(&tenants[2], 0).blocks.iter().map(|block| block.bytes).sum::<u64>();
    let own = |retention_ms, retention_bytes| TenantRetention { retention_ms, retention_bytes };
    let of_tenants = [own(Some(20 * DAY), None), own(Some(3 * DAY), None), own(None, Some(bytes / 2))];
    let of_tenants = tenants.iter().cloned().zip(of_tenants).collect();
    bed.tsdb().reload(Retention { of_tenants, ..keep(6 * DAY, None) });
    bed.tsdb().enforce_retention().expect("enforced");
    assert_eq!(tenants.each_ref().map(blocks_of), [4, 2, 2]);
    assert_eq!(tenants.each_ref().map(|tenant| write(tenant, 10)), [0, 1, 1]);
    assert_eq!(tenants.each_ref().map(|tenant| write(tenant, 4)), [0, 1, 0]);
}

#[test]
fn blocks_older_than_the_retention_go_and_a_reload_changes_it() {
    let bed = Testbed::new();
    let a = series("a", "1");
    for days in [10, 5, 1] {
        bed.write(&[(&a, NEWEST_MS - days * DAY, days as f64)]);
    }
    bed.tsdb().flush().expect("flushed");
    bed.tsdb().enforce_retention().expect("enforced");
    assert_eq!(bed.all()[&a].len(), 3);
    bed.tsdb().reload(keep(6 * DAY, None));
    bed.tsdb().enforce_retention().expect("enforced");
    assert_eq!(bed.all()[&a], [(NEWEST_MS - 5 * DAY, 5.0), (NEWEST_MS - DAY, 1.0)]);
    assert_eq!(bed.files(".block").len(), 2);
    assert_eq!(bed.write(&[(&a, NEWEST_MS - 7 * DAY, 0.0)]).rejected[0].reason, RejectReason::TooOld);
    bed.clock.advance_ms(2 * DAY);
    bed.tsdb().enforce_retention().expect("enforced");
    assert_eq!(bed.all()[&a], [(NEWEST_MS - DAY, 1.0)]);
}

#[test]
fn the_oldest_blocks_go_until_the_rest_fits() {
    let bed = Testbed::new();
    let a = series("a", "1");
    for days in [4, 3, 2, 1] {
        bed.write(&[(&a, NEWEST_MS - days * DAY, days as f64)]);
        bed.tsdb().flush().expect("flushed");
    }
    let bytes = bed.bytes(".block");
    bed.tsdb().reload(keep(15 * DAY, Some(bytes / 2)));
    bed.tsdb().enforce_retention().expect("enforced");
    assert!(bed.bytes(".block") <= bytes / 2);
    assert_eq!(bed.all()[&a], [(NEWEST_MS - 2 * DAY, 2.0), (NEWEST_MS - DAY, 1.0)]);
}

#[test]
fn late_samples_that_cross_block_borders_replace_and_join_what_was_flushed_and_compacted() {
    let bed = Testbed::new();
    let a = series("a", "1");
    let start = NEWEST_MS - 30 * HOUR;
    let all: Vec<(&Labels, i64, f64)> = (0..1800).map(|m| (&a, start + m * 60_000, m as f64)).collect();
    for part in all.chunks(300) {
        bed.write(part);
        bed.tsdb().flush().expect("flushed");
    }
    let block_count = bed.files(".block").len();
    bed.tsdb().compact().expect("compacted");
    assert!(bed.files(".block").len() < block_count / 2, "{block_count} blocks became fewer");
    let late: Vec<(&Labels, i64, f64)> = (0..900).map(|m| (&a, start + m * 120_000 + 30_000, -1.0)).collect();
    let corrections: Vec<(&Labels, i64, f64)> = (0..180).map(|m| (&a, start + m * 600_000, -2.0)).collect();
    bed.write(&late);
    bed.write(&corrections);
    let want = bed.all();
    assert_eq!(want[&a].len(), 2700);
    assert_eq!(want[&a].iter().filter(|(_, v)| *v == -2.0).count(), 180);
    bed.tsdb().flush().expect("flushed");
    assert_eq!(bed.all(), want);
    bed.tsdb().compact().expect("compacted");
    assert_eq!(bed.all(), want);
    bed.restart();
    assert_eq!(bed.all(), want);
    let stats = bed.tsdb().stats(&TenantId::anonymous(), 1);
    assert!(stats.blocks.iter().any(|block| block.level == 2), "{:?}", stats.blocks);
}

#[test]
fn a_selection_outlives_flush_compaction_and_deletion() {
    let bed = Testbed::new();
    let a = series("a", "1");
    bed.write(&[(&a, T - 2 * HOUR, 1.0), (&a, T, 2.0)]);
    bed.tsdb().flush().expect("flushed");
    bed.write(&[(&a, T + 1, 3.0)]);
    let request =
        SelectRequest { matchers: &[], start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
    let tsdb = bed.tsdb();
    let set = tsdb.select(&TenantId::anonymous(), &request, &QueryContext::unlimited()).expect("selected");
    tsdb.flush().expect("flushed");
    tsdb.compact().expect("compacted");
    tsdb.reload(keep(1, None));
    tsdb.enforce_retention().expect("enforced");
    assert_eq!(bed.files(".block").len(), 0);
    let mut samples = SeriesSamples::default();
    set.read(0, &mut samples).expect("read");
    assert_eq!(samples.floats.values, [1.0, 2.0, 3.0]);
}

#[test]
fn a_query_stays_within_its_memory_and_stops_when_told() {
    let bed = Testbed::new();
    let labels: Vec<Labels> = (0..2_000).map(|i| series("a", &i.to_string())).collect();
    bed.write(&labels.iter().map(|labels| (labels, T, 1.0)).collect::<Vec<_>>());
    let request =
        SelectRequest { matchers: &[], start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
    let select = |context: &QueryContext| bed.tsdb().select(&TenantId::anonymous(), &request, context);
    for _ in 0..2 {
        let small = QueryContext { budget: Budget::root("query", 100_000), cancel: Cancel::never() };
        let error = select(&small).map(drop).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(small.budget.used_bytes(), 0);
        let cancelled = QueryContext::unlimited();
        let set = select(&cancelled).expect("selected");
        cancelled.cancel.cancel();
        assert_eq!(
            set.read(0, &mut SeriesSamples::default()).expect_err("told").kind(),
            ErrorKind::Cancelled
        );
        assert_eq!(select(&cancelled).map(drop).expect_err("told").kind(), ErrorKind::Cancelled);
        bed.tsdb().flush().expect("flushed");
    }
}

#[test]
fn a_full_head_flushes_itself_and_refuses_new_series_only() {
    let bed = Testbed::with(|settings| settings.head_bytes_max = 400_000);
    let mut refused = 0;
    for round in 0..40 {
        let labels: Vec<Labels> = (0..100).map(|i| series("a", &format!("{round}-{i}"))).collect();
        match bed.try_write(&labels.iter().map(|labels| (labels, NEWEST_MS, 1.0)).collect::<Vec<_>>()) {
            Ok(appended) => refused += appended.rejected.len(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        }
        bed.clock.advance_ms(1);
    }
    assert!(refused > 0, "40 times 100 series do not fit into 400 kB");
    let old = series("a", "0-1");
    bed.write(&[(&old, NEWEST_MS + 1, 2.0)]);
    // The engine flushes by itself; wait for it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while bed.files(".block").is_empty() {
        assert!(std::time::Instant::now() < deadline, "no flush");
        std::thread::yield_now();
    }
}

#[test]
fn label_questions_agree_before_and_after_a_flush() {
    let bed = Testbed::new();
    let all: Vec<Labels> = (0..600)
        .map(|i| {
            Labels::from_pairs([
                ("__name__", format!("m{}", i % 7)),
                ("i", i.to_string()),
                (["x", "y"][i % 2], "z".to_owned()),
            ])
        })
        .collect();
    bed.write(&all.iter().map(|labels| (labels, T, 1.0)).collect::<Vec<_>>());
    let tenant = TenantId::anonymous();
    let sets =
        [vec![Matcher::new(model::MatchOp::Regex, "i", "1.*").expect("valid"), Matcher::equal("x", "")]];
    let ask = || {
        let request = LabelRequest { matcher_sets: &sets, start_ms: T, end_ms: T, limit: 0 };
        let context = QueryContext::unlimited();
        let names = bed.tsdb().label_names(&tenant, &request, &context).expect("answered");
        let values = bed.tsdb().label_values(&tenant, "i", &request, &context).expect("answered");
        (names, values, bed.try_select(&sets[0], T, T).expect("selected").len())
    };
    let before = ask();
    let odd = (0..600).filter(|i| i % 2 == 1 && i.to_string().starts_with('1')).count();
    assert_eq!((before.0.len(), before.1.len(), before.2), (3, odd, odd));
    bed.restart();
    assert_eq!(ask(), before);
}

#[test]
fn stats_rank_names_values_and_pairs() {
    let bed = Testbed::new();
    let (a1, a2, b) = (series("a", "1"), series("a", "22"), series("b", "1"));
    bed.write(&[(&a1, T, 1.0), (&a2, T + 5, 1.0), (&b, T, 1.0)]);
    let stats = bed.tsdb().stats(&TenantId::anonymous(), 2);
    let pair = |name: &str, number| (name.to_owned(), number);
    assert_eq!((stats.series_count, stats.label_pair_count, stats.chunk_count), (3, 4, 3));
    assert_eq!((stats.min_time_ms, stats.max_time_ms), (Some(T), Some(T + 5)));
    assert_eq!(stats.series_count_by_metric, [pair("a", 2), pair("b", 1)]);
    assert_eq!(stats.value_count_by_label, [pair("__name__", 2), pair("i", 2)]);
    assert_eq!(stats.bytes_by_label, [pair("i", 3), pair("__name__", 2)]);
    assert_eq!(stats.series_count_by_pair, [pair("__name__=a", 2), pair("i=1", 2)]);
    assert!(stats.wal_bytes > 0 && stats.head_bytes > 0 && stats.blocks.is_empty());
    bed.tsdb().flush().expect("flushed");
    let stats = bed.tsdb().stats(&TenantId::anonymous(), 2);
    assert_eq!((stats.blocks.len(), stats.blocks[0].series_count, stats.blocks[0].sample_count), (1, 3, 3));
    assert_eq!(stats.min_time_ms, None);
}

#[test]
fn writers_readers_and_flushes_work_side_by_side() {
    let bed = Testbed::with(|settings| settings.wal_segment_bytes_max = 50_000);
    let done = AtomicBool::new(false);
    const ROUNDS: i64 = 60;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let bed = Arc::clone(&bed);
                scope.spawn(move || {
                    let labels: Vec<Labels> =
                        (0..50).map(|i| series("a", &format!("{writer}-{i}"))).collect();
                    for round in 0..ROUNDS {
                        let samples: Vec<(&Labels, i64, f64)> =
                            labels.iter().map(|labels| (labels, T + round * 1000, round as f64)).collect();
                        bed.write(&samples);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    let found = bed.all();
                    let count: usize = found.values().map(Vec::len).sum();
                    assert!(count >= most, "samples vanished: {count} after {most}");
                    most = count;
                    for samples in found.values() {
                        let whole = samples
                            .iter()
                            .enumerate()
                            .all(|(i, (t, v))| *t == T + i as i64 * 1000 && *v == i as f64);
                        assert!(whole, "a hole or a wrong value");
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                bed.tsdb().flush().expect("flushed");
                bed.tsdb().compact().expect("compacted");
            }
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
    });
    let want: usize = 150 * ROUNDS as usize;
    assert_eq!(bed.all().values().map(Vec::len).sum::<usize>(), want);
    bed.kill();
    bed.start();
    assert_eq!(bed.all().values().map(Vec::len).sum::<usize>(), want);
}

#[test]
fn after_a_flush_of_everything_idle_no_memory_is_left_on_the_account() {
    let bed = Testbed::with(|settings| settings.head_bytes_max = 64 << 20);
    let mut workload = sim::workload::Workload::new(sim::workload::Settings {
        series_count: 300,
        start_ms: T,
        late_share: 0.2,
        histogram_share: 0.3,
        ..sim::workload::Settings::default()
    });
    let mut batch = WriteBatch::new();
    for round in 0..200 {
        workload.next_batch(&mut batch);
        bed.tsdb().append_durably(&TenantId::anonymous(), &batch).expect("written");
        if round % 70 == 30 {
            bed.tsdb().flush().expect("flushed");
        }
        if round == 120 {
            bed.kill();
            bed.start();
        }
    }
    assert!(bed.tsdb().stats(&TenantId::anonymous(), 0).head_bytes > 100_000);
    bed.clock.advance_ms(DAY);
    bed.tsdb().flush().expect("flushed");
    let stats = bed.tsdb().stats(&TenantId::anonymous(), 10);
    assert_eq!(
        (stats.series_count, stats.label_pair_count, stats.chunk_count, stats.head_bytes),
        (0, 0, 0, 0)
    );
    assert_eq!((bed.metric("kymo_tsdb_head_series"), bed.metric("kymo_tsdb_head_chunks")), (0.0, 0.0));
    assert_eq!(bed.metric("kymo_tsdb_head_bytes"), 0.0);
}

#[test]
fn what_nobody_waits_for_becomes_durable_all_the_same() {
    let bed = Testbed::new();
    let (a, b) = (series("a", "1"), series("b", "1"));
    let append_patiently = |timestamp_ms| {
        let mut batch = WriteBatch::new();
        let id = batch.add_series(a.as_ref());
        batch.add_float(id, timestamp_ms, 1.0);
        batch.set_patient();
        bed.tsdb().append(&TenantId::anonymous(), &batch).expect("written")
    };
    // Beside a write that somebody waits for, and alone.
    let shared = append_patiently(T);
    bed.write(&[(&b, T, 2.0)]);
    shared.durable.wait().expect("durable");
    append_patiently(T + 1).durable.wait().expect("durable");
    bed.kill();
    bed.start();
    assert_eq!(bed.all()[&a], [(T, 1.0), (T + 1, 1.0)]);
    assert_eq!(bed.all()[&b], [(T, 2.0)]);
}
