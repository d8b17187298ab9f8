//! Deletes: what is gone, what stays, what may be written again; through flushes, compactions, restarts and crashes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::{FloatHistogram, Labels, MatchOp, Matcher, TenantId};
use sim::fs::SimFs;
use stdx::clock::ManualClock;
use storage::conformance::NEWEST_MS;
use storage::{
    Appender, LabelRequest, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples, WriteBatch,
};

use tsdb::Tsdb;

use crate::bench::{open, report};
use crate::testbed::{Testbed, series};

const T: i64 = NEWEST_MS - 3_600_000;

fn delete(bed: &Testbed, metric: &str, start_ms: i64, end_ms: i64) {
    let matchers = vec![Matcher::equal("__name__", metric)];
    bed.tsdb().delete_series(&TenantId::anonymous(), &[matchers], start_ms, end_ms).expect("deleted");
}

/// Times that are there of a series.
fn times(bed: &Testbed, labels: &Labels) -> Vec<i64> {
    bed.all().get(labels).map(|samples| samples.iter().map(|(t, _)| t - T).collect()).unwrap_or_default()
}

fn write(bed: &Testbed, labels: &Labels, range: std::ops::Range<i64>, value: f64) {
    let samples: Vec<(&Labels, i64, f64)> = range.map(|t| (labels, T + t, value)).collect();
    bed.write(&samples);
}

type Event = fn(&Testbed);
/// All that is stored.
type Stored = BTreeMap<Labels, Vec<(i64, f64)>>;

/// What may happen to a store between two looks at it. None of it changes an answer.
const EVENTS: [(&str, Event); 6] = [
    ("nothing", |_| {}),
    ("a flush", |bed| bed.tsdb().flush().expect("flushed")),
    ("a restart", Testbed::restart),
    ("a crash", |bed| {
        bed.kill();
        bed.start();
    }),
    ("cleaning", |bed| bed.tsdb().clean_tombstones().expect("cleaned")),
    ("a full compaction", |bed| {
        bed.tsdb().compact_all().expect("compacted");
    }),
];

#[test]
fn what_matches_within_the_range_is_gone_and_stays_gone() {
    for (before, happens_before) in EVENTS {
        for (after, happens_after) in EVENTS {
            let bed = Testbed::new();
            let (a, b) = (series("a", "1"), series("b", "1"));
            write(&bed, &a, 0..5, 1.0);
            write(&bed, &b, 0..5, 1.0);
            happens_before(&bed);
            write(&bed, &a, 5..10, 1.0);
            delete(&bed, "a", T + 2, T + 7);
            for round in ["at once", after] {
                assert_eq!(times(&bed, &a), [0, 1, 8, 9], "{before}, delete, {round}");
                assert_eq!(times(&bed, &b), [0, 1, 2, 3, 4], "{before}, delete, {round}");
                happens_after(&bed);
            }
            assert_eq!(times(&bed, &a), [0, 1, 8, 9], "{before}, delete, {after} twice");
        }
    }
}

#[test]
fn what_is_written_after_a_delete_is_there_even_if_it_is_the_same() {
    for (event, happens) in EVENTS {
        let bed = Testbed::new();
        let a = series("a", "1");
        write(&bed, &a, 0..10, 1.0);
        delete(&bed, "a", i64::MIN, i64::MAX);
        assert_eq!(times(&bed, &a), [0i64; 0], "{event}");
        happens(&bed);
        // The newest of all, with the same value: not a duplicate of what is gone.
        write(&bed, &a, 9..10, 1.0);
        write(&bed, &a, 3..5, 2.0);
        happens(&bed);
        assert_eq!(times(&bed, &a), [3, 4, 9], "{event}");
        happens(&bed);
        delete(&bed, "a", T + 4, T + 4);
        write(&bed, &a, 0..1, 1.0);
        happens(&bed);
        happens(&bed);
        assert_eq!(times(&bed, &a), [0, 3, 9], "{event}");
    }
}

#[test]
fn series_without_samples_are_not_listed_and_tenants_are_apart() {
    let bed = Testbed::new();
    let (a, b) = (series("a", "1"), series("b", "2"));
    write(&bed, &a, 0..3, 1.0);
    write(&bed, &b, 0..3, 1.0);
    let red = TenantId::new("red").expect("valid");
    let mut batch = WriteBatch::new();
    let id = batch.add_series(a.as_ref());
    batch.add_float(id, T, 1.0);
    bed.tsdb().append_durably(&red, &batch).expect("written");
    delete(&bed, "a", T, T + 2);
    let listed = |tenant: &TenantId| {
        let hints = SelectHints { function: "series", ..SelectHints::default() };
        let request = SelectRequest { matchers: &[], start_ms: T, end_ms: T + 9, hints };
        let set = bed.tsdb().select(tenant, &request, &QueryContext::unlimited()).expect("selected");
        (0..set.len()).map(|at| set.labels(at).clone()).collect::<Vec<Labels>>()
    };
    assert_eq!(listed(&TenantId::anonymous()), [b]);
    assert_eq!(listed(&red), [a]);
    bed.tsdb().clean_tombstones().expect("cleaned");
    bed.restart();
    let request = LabelRequest { matcher_sets: &[], start_ms: T, end_ms: T + 9, limit: 0 };
    let values = bed.tsdb().label_values(&TenantId::anonymous(), "i", &request, &QueryContext::unlimited());
    assert_eq!(values.expect("listed"), ["2"], "after cleaning, labels of what is gone are gone");
}

#[test]
fn what_was_sent_twice_does_not_come_back_with_the_journal() {
    let bed = Testbed::new();
    let a = series("a", "1");
    write(&bed, &a, 0..3, 1.0);
    bed.tsdb().flush().expect("flushed");
    // The block has it, so the head does not take it again; the journal does.
    write(&bed, &a, 2..3, 1.0);
    delete(&bed, "a", i64::MIN, i64::MAX);
    assert_eq!(times(&bed, &a), [0i64; 0]);
    bed.kill();
    bed.start();
    assert_eq!(times(&bed, &a), [0i64; 0], "after a crash");
}

#[test]
fn native_histograms_are_deleted_too() {
    let bed = Testbed::new();
    let labels = series("h", "1");
    let mut batch = WriteBatch::new();
    let id = batch.add_series(labels.as_ref());
    for t in 0..6 {
        batch.add_histogram(
            id,
            T + t,
            FloatHistogram { count: 1.0, zero_count: 1.0, ..FloatHistogram::default() },
        );
    }
    bed.tsdb().append_durably(&TenantId::anonymous(), &batch).expect("written");
    delete(&bed, "h", T + 1, T + 3);
    for _ in 0..2 {
        let request = SelectRequest {
            matchers: &[],
            start_ms: i64::MIN,
            end_ms: i64::MAX,
            hints: SelectHints::default(),
        };
        let tsdb = bed.tsdb();
        let set =
            tsdb.select(&TenantId::anonymous(), &request, &QueryContext::unlimited()).expect("selected");
        let mut samples = SeriesSamples::default();
        set.read(0, &mut samples).expect("read");
        assert_eq!(samples.histograms.timestamps_ms, [T, T + 4, T + 5]);
        tsdb.compact_all().expect("compacted");
    }
}

#[test]
fn cleaning_gives_space_back() {
    let bed = Testbed::new();
    for i in 0..50 {
        let samples: Vec<i64> = (0..500).collect();
        let labels = series(if i == 0 { "kept" } else { "gone" }, &i.to_string());
        let samples: Vec<(&Labels, i64, f64)> =
            samples.iter().map(|t| (&labels, T + t * 10, ((t * 7919 + i) % 10_007) as f64 / 3.0)).collect();
        bed.write(&samples);
    }
    bed.tsdb().flush().expect("flushed");
    let before = bed.bytes(".block");
    delete(&bed, "gone", i64::MIN, i64::MAX);
    bed.tsdb().clean_tombstones().expect("cleaned");
    let after = bed.bytes(".block");
    assert!(after * 10 < before, "{before} -> {after}");
    assert_eq!(bed.all().len(), 1);
    delete(&bed, "kept", i64::MIN, i64::MAX);
    bed.tsdb().clean_tombstones().expect("cleaned");
    assert_eq!(bed.files(".block"), Vec::<std::path::PathBuf>::new());
    // Without a block, the numbers of blocks and of the journal go on where they were.
    bed.restart();
    let a = series("kept", "0");
    write(&bed, &a, 0..3, 1.0);
    bed.kill();
    bed.start();
    bed.tsdb().flush().expect("flushed");
    bed.restart();
    assert_eq!(times(&bed, &a), [0, 1, 2]);
}

/// Damage costs what it covers, and no delete makes it worse or comes undone by it.
#[test]
fn a_damaged_block_is_not_rewritten_and_what_is_deleted_stays_hidden() {
    let bed = Testbed::new();
    let (a, b) = (series("a", "1"), series("b", "1"));
    write(&bed, &a, 0..500, 1.5);
    write(&bed, &b, 0..500, 2.5);
    bed.tsdb().flush().expect("flushed");
    let path = bed.files(".block").pop().expect("a block");
    let mut bytes = stdx::fs::read(&*bed.fs, &path).expect("read");
    // The first frame of values follows the magic.
    bytes[9] ^= 1;
    bed.kill();
    stdx::fs::write_atomic(&*bed.fs, &path, &bytes).expect("written");
    bed.start();
    assert!(bed.try_select(&[], i64::MIN, i64::MAX).is_err(), "damage is told once");
    delete(&bed, "a", i64::MIN, i64::MAX);
    let cleaned = bed.tsdb().clean_tombstones();
    assert!(cleaned.is_ok() && bed.fs.exists(&path), "{cleaned:?}");
    bed.restart();
    let hidden = vec![Matcher::equal("__name__", "a")];
    assert_eq!(bed.try_select(&hidden, i64::MIN, i64::MAX).expect("selected").len(), 0);
}

#[test]
fn a_query_that_has_begun_sees_what_it_saw() {
    let bed = Testbed::new();
    let a = series("a", "1");
    write(&bed, &a, 0..3, 1.0);
    bed.tsdb().flush().expect("flushed");
    let request = SelectRequest { matchers: &[], start_ms: T, end_ms: T + 9, hints: SelectHints::default() };
    let set =
        bed.tsdb().select(&TenantId::anonymous(), &request, &QueryContext::unlimited()).expect("selected");
    delete(&bed, "a", i64::MIN, i64::MAX);
    bed.tsdb().clean_tombstones().expect("cleaned");
    let mut samples = SeriesSamples::default();
    set.read(0, &mut samples).expect("read");
    assert_eq!(samples.len(), 3);
    assert!(bed.all().is_empty());
}

#[test]
fn too_many_deletes_are_refused_until_they_are_worked_off() {
    let bed = Testbed::new();
    let tsdb = bed.tsdb();
    let sets: Vec<Vec<Matcher>> = (0..1001)
        .map(|i| vec![Matcher::new(MatchOp::Regex, "i", &format!("{i}.+")).expect("valid")])
        .collect();
    let tenant = TenantId::anonymous();
    write(&bed, &series("a", "1"), 0..3, 1.0);
    let error = tsdb.delete_series(&tenant, &sets, 0, i64::MAX).expect_err("too many");
    assert_eq!(error.kind(), storage::ErrorKind::Limit);
    tsdb.delete_series(&tenant, &sets[..99], 0, i64::MAX).expect("deleted");
    tsdb.clean_tombstones().expect("cleaned");
    assert_eq!(times(&bed, &series("a", "1")), [0, 1, 2]);
}

/// Everything that is written, deleted and written again, crashed after each operation: what was acknowledged holds.
#[test]
fn a_crash_at_any_point_neither_undoes_a_delete_nor_widens_it() {
    let fs = SimFs::recording(11);
    let bed = Testbed::on(Arc::new(fs.clone()), None, "/data".into(), |_| {});
    let (a, b) = (series("a", "1"), series("b", "1"));
    // Operations done when a step was acknowledged, and what is there from then on until the next one begins.
    let mut steps: Vec<(u64, Stored)> = Vec::new();
    type Step = fn(&Testbed, &Labels, &Labels);
    let script: [Step; 11] = [
        |bed, a, _| write(bed, a, 0..6, 1.0),
        |bed, _, b| write(bed, b, 0..6, 1.0),
        |bed, _, _| bed.tsdb().flush().expect("flushed"),
        |bed, a, _| write(bed, a, 6..9, 1.0),
        |bed, _, _| delete(bed, "a", T + 2, T + 6),
        |bed, a, _| write(bed, a, 3..4, 2.0),
        |bed, _, _| delete(bed, "b", i64::MIN, i64::MAX),
        |bed, _, _| bed.tsdb().clean_tombstones().expect("cleaned"),
        |bed, _, b| write(bed, b, 5..6, 1.0),
        |bed, _, _| bed.restart(),
        |bed, _, _| {
            bed.tsdb().compact_all().expect("compacted");
        },
    ];
    for step in script {
        step(&bed, &a, &b);
        steps.push((fs.history().len() as u64, bed.all()));
    }
    bed.kill();
    let history = fs.history();
    let mut replay = history.replay();
    let mut crash_count = 0;
    loop {
        let done = steps.partition_point(|(op_count, _)| *op_count <= replay.op_count());
        let crashed = replay.after_crash(replay.op_count().wrapping_mul(31));
        let after = Testbed::on(Arc::new(crashed), None, "/data".into(), |_| {});
        let found = after.all();
        let before = if done == 0 { BTreeMap::new() } else { steps[done - 1].1.clone() };
        let next = steps.get(done).map(|(_, state)| state.clone());
        // A write under way may be there in part.
        let is_between = |state: &Stored| {
            let has = |all: &Stored, labels: &Labels, sample: &(i64, f64)| {
                all.get(labels).is_some_and(|samples| samples.contains(sample))
            };
            let all = |x: &Stored, y: &Stored| {
                x.iter().all(|(labels, samples)| samples.iter().all(|s| has(y, labels, s)))
            };
            (all(&before, &found) && all(&found, state)) || (all(state, &found) && all(&found, &before))
        };
        assert!(
            found == before || next.as_ref().is_some_and(is_between),
            "crash after operation {} ({}), step {done}: {found:?}\nneither {before:?}\nnor {next:?}",
            replay.op_count(),
            replay.last_change()
        );
        after.kill();
        crash_count += 1;
        if !replay.advance() {
            break;
        }
    }
    report(&format!("{crash_count} crashes around deletes"));
    assert!(crash_count > 50);
}

#[test]
fn flushes_wait_for_compactions_before_too_many_blocks_overlap() {
    let bed = Testbed::new();
    let a = series("a", "1");
    for t in 0..80 {
        write(&bed, &a, t..t + 2, t as f64);
        bed.tsdb().flush().expect("flushed");
        let blocks = bed.tsdb().stats(&TenantId::anonymous(), 0).blocks;
        let most = (0..81)
            .map(|at| blocks.iter().filter(|b| (b.min_time_ms..=b.max_time_ms).contains(&(T + at))).count());
        assert!(most.max().unwrap_or(0) <= 32 && blocks.len() <= 82);
    }
    bed.tsdb().compact().expect("compacted");
    assert!(bed.tsdb().stats(&TenantId::anonymous(), 0).blocks.len() < 8);
    assert_eq!(times(&bed, &a).len(), 81);
}

#[test]
fn what_was_written_while_a_flush_ran_stays_deleted_too() {
    let (fs, clock) = (SimFs::new(1), ManualClock::at(NEWEST_MS));
    stdx::fs::create_dir_durably(&fs, Path::new("/var/kymo")).expect("made");
    let tsdb = open(&fs, &clock).expect("opened");
    let [first, second] = ["first", "second"].map(|name| TenantId::new(name).expect("valid"));
    let write = |tsdb: &Tsdb, tenant: &TenantId, t: i64| {
        let mut batch = WriteBatch::new();
        let series = batch.add_series(series("a", "1").as_ref());
        batch.add_float(series, T + t, 1.0);
        tsdb.append_durably(tenant, &batch).expect("written");
    };
    write(&tsdb, &first, 1);
    write(&tsdb, &second, 1);
    // The flush has ended the journal's segment for all, and takes the second tenant's head later.
    let (writer, tenant) = (Arc::clone(&tsdb), second.clone());
    fs.interrupt(1, move || write(&writer, &tenant, 2));
    tsdb.flush().expect("flushed");
    tsdb.delete_series(&second, &[vec![Matcher::equal("__name__", "a")]], T, T + 9).expect("deleted");
    tsdb.abandon();
    let tsdb = open(&fs, &clock).expect("opened again");
    let request = SelectRequest { matchers: &[], start_ms: T, end_ms: T + 9, hints: SelectHints::default() };
    let mut samples = SeriesSamples::default();
    for (tenant, count) in [(first, 1), (second, 0)] {
        let set = tsdb.select(&tenant, &request, &QueryContext::unlimited()).expect("selected");
        let count_of = |at| {
            set.read(at, &mut samples).expect("read");
            samples.len()
        };
        assert_eq!((0..set.len()).map(count_of).sum::<usize>(), count, "{tenant}");
    }
    tsdb.abandon();
}
