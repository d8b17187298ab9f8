//! Disks that are full, fail now and then, or flip bits: the engine refuses, reports and goes on, loses nothing
//! that it acknowledged, and never invents a sample.

use model::{Labels, TenantId};
use sim::fs::{Lasting, OpKind, SimFs};
use stdx::clock::ManualClock;
use stdx::rand::{Random, SeededRandom};
use storage::{Appender, ErrorKind, Querier, WriteBatch};
use tsdb::Settings;

use crate::bench::{Bench, open, open_with, report, settings};

/// Some writes and maintenance; what fails, fails.
fn run_through(bench: &mut Bench, turns: usize) -> usize {
    let mut failure_count = 0;
    for turn in 0..turns {
        if let Err(error) = bench.write() {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            failure_count += 1;
        }
        let maintained = match turn % 7 {
            3 => bench.tsdb.flush(),
            6 => bench.tsdb.compact(),
            _ => Ok(()),
        };
        failure_count += usize::from(maintained.is_err());
    }
    failure_count
}

/// Nothing acknowledged is missing: now, after a crash, and after a stop in order.
#[track_caller]
fn check_all(bench: &mut Bench, case: &str) {
    let judge = |bench: &Bench, tsdb: &dyn Querier, when: &str| {
        if let Err(complaints) = bench.oracle.check(tsdb, u64::MAX) {
            panic!("{case}, {when}: {complaints}");
        }
    };
    judge(bench, &*bench.tsdb, "running");
    for seed in 0..3 {
        let fs = bench.fs.after_crash(seed);
        let tsdb = open(&fs, &bench.clock).expect("opens after a crash");
        judge(bench, &*tsdb, "after a crash");
        tsdb.abandon();
    }
    bench.restart(true);
    judge(bench, &*bench.tsdb, "after a restart");
    bench.tsdb.abandon();
}

#[test]
fn a_full_disk_refuses_writes_and_recovers_when_there_is_room() {
    let mut refusals = 0;
    for limit in (2_000..40_000).step_by(1_900) {
        let mut bench = Bench::new(SimFs::new(limit), limit, 12);
        bench.fs.limit_space(Some(limit));
        refusals += run_through(&mut bench, 20);
        if let Err(complaints) = bench.oracle.check(&*bench.tsdb, u64::MAX) {
            panic!("full at {limit} bytes: {complaints}");
        }
        bench.fs.limit_space(None);
        write_until_accepted(&mut bench);
        assert_eq!(run_through(&mut bench, 8), 0, "room was made at {limit} bytes");
        check_all(&mut bench, &format!("full at {limit} bytes"));
    }
    assert!(refusals > 50, "{refusals} refusals");
}

/// After a failure the journal recovers in the background.
fn write_until_accepted(bench: &mut Bench) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while let Err(error) = bench.write() {
        assert!(std::time::Instant::now() < deadline, "still refused: {error}");
        std::thread::yield_now();
    }
}

#[test]
fn each_failing_operation_costs_at_most_what_was_not_acknowledged() {
    let kinds = [
        OpKind::Write,
        OpKind::Sync,
        OpKind::SyncDir,
        OpKind::Open,
        OpKind::Rename,
        OpKind::Remove,
        OpKind::Read,
    ];
    let (mut run_count, mut failure_count) = (0, 0);
    for kind in kinds {
        for nth in 1..=30 {
            let case = format!("{kind:?} number {nth} fails");
            let mut bench = Bench::new(SimFs::new(nth), 3, 8);
            bench.fs.fail(kind, nth, Lasting::Once);
            failure_count += run_through(&mut bench, 16);
            bench.fs.heal();
            write_until_accepted(&mut bench);
            check_all(&mut bench, &case);
            run_count += 1;
        }
    }
    report(&format!("{run_count} runs, {failure_count} operations of the engine failed"));
    assert!(failure_count > 20);
}

#[test]
fn a_disk_that_fails_for_good_and_is_healed_loses_nothing() {
    for kind in [OpKind::Write, OpKind::Sync, OpKind::SyncDir, OpKind::Open, OpKind::Rename] {
        for nth in [1, 5, 12] {
            let mut bench = Bench::new(SimFs::new(nth), 4, 8);
            run_through(&mut bench, 4);
            bench.fs.fail(kind, nth, Lasting::Forever);
            run_through(&mut bench, 16);
            bench.fs.heal();
            write_until_accepted(&mut bench);
            check_all(&mut bench, &format!("{kind:?} fails from number {nth} on"));
        }
    }
}

#[test]
fn samples_years_apart_cost_no_window_in_between() {
    const YEAR_MS: i64 = 365 * 86_400_000;
    let fs = SimFs::new(1);
    let clock = ManualClock::at(100 * YEAR_MS);
    let settings = Settings { retention_ms: 90 * YEAR_MS, ..settings() };
    let tsdb = open_with(settings, &fs, &clock).expect("opens");
    let mut batch = WriteBatch::new();
    let series = batch.add_series(Labels::from_pairs([("__name__", "a")]).as_ref());
    for year in [20, 60, 99] {
        batch.add_float(series, year * YEAR_MS, 1.0);
    }
    let appended = tsdb.append_durably(&TenantId::anonymous(), &batch).expect("written");
    assert_eq!(appended.rejected, []);
    let before = fs.op_count();
    tsdb.flush().expect("flushed");
    assert_eq!(
        fs.files().iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "block")).count(),
        3
    );
    assert!(fs.op_count() - before < 200, "{} operations", fs.op_count() - before);
    tsdb.abandon();
}

#[test]
fn flipped_bits_are_noticed_and_never_become_samples() {
    let mut bench = Bench::new(SimFs::new(1), 5, 12);
    run_through(&mut bench, 40);
    bench.tsdb.abandon();
    let tsdb = open(&bench.fs, &bench.clock).expect("opens");
    let whole = bench.oracle.check(&*tsdb, u64::MAX).expect("sound").required_count;
    tsdb.abandon();
    let random = SeededRandom::new(5);
    let disk = bench.fs.after_crash(1);
    let files = disk.files();
    let (mut flip_count, mut lost_count) = (0, 0);
    for (path, len) in files.iter().filter(|(_, len)| *len > 0) {
        for _ in 0..60 {
            let bit = random.below(len * 8);
            let fs = disk.after_crash(1);
            fs.flip_bit(path, bit).expect("flipped");
            let case = format!("bit {bit} of {}", path.display());
            let tsdb =
                open(&fs, &bench.clock).unwrap_or_else(|error| panic!("{case}: does not open: {error}"));
            match bench.oracle.check_no_lies(&*tsdb) {
                Ok(checked) => {
                    lost_count += usize::from(checked.required_count + checked.extra_count < whole);
                }
                Err(complaints) => panic!("{case}: {complaints}"),
            }
            tsdb.abandon();
            flip_count += 1;
        }
    }
    report(&format!("{flip_count} flipped bits in {} files, samples were lost by {lost_count}", files.len()));
    assert!(flip_count > 200 && lost_count > flip_count / 2, "flips hit what matters");
}
