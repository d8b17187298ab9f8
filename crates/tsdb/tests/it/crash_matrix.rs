//! One run of the engine, crashed after every single operation of its file system: nothing acknowledged may be
//! missing, nothing may be there that nobody wrote.

use std::sync::Arc;

use sim::fs::{Replay, SimFs};
use sim::oracle::Oracle;
use stdx::clock::ManualClock;
use tsdb::FsyncPolicy;

use crate::bench::{Bench, open, report};

/// Crashes tried at each operation.
const ROUNDS: u64 = 6;

/// Writes, flushes, compactions and restarts, recorded.
fn run(seed: u64, fsync: FsyncPolicy) -> Bench {
    let mut bench = Bench::with_fsync(SimFs::recording(seed), seed, 12, fsync);
    for turn in 0..48 {
        if turn % 3 == 0 {
            // Two batches under way at once.
            let first = bench.append().expect("appended");
            bench.write().expect("written");
            bench.settle(first).expect("durable");
        } else {
            bench.write().expect("written");
        }
        match turn {
            9 | 19 | 29 | 39 => bench.tsdb.flush().expect("flushed"),
            14 => bench.restart(false),
            24 => bench.restart(true),
            30 | 40 => bench.tsdb.compact().expect("compacted"),
            44 => bench.tsdb.enforce_retention().expect("nothing is too old"),
            _ => {}
        }
    }
    bench.tsdb.stop().expect("stopped");
    bench
}

/// What a crash at this point leaves is opened and judged.
fn check(replay: &Replay<'_>, seed: u64, clock: &Arc<ManualClock>, oracle: &Oracle) {
    let at = |fault: &str| {
        format!(
            "crash after operation {} ({}), seed {seed}: {fault}",
            replay.op_count(),
            replay.last_change()
        )
    };
    let fs = replay.after_crash(seed);
    let tsdb = open(&fs, clock).unwrap_or_else(|error| panic!("{}", at(&format!("does not open: {error}"))));
    if let Err(complaints) = oracle.check(&*tsdb, replay.op_count()) {
        panic!("{}", at(&complaints));
    }
    tsdb.abandon();
}

fn seed_of(op_count: u64, round: u64) -> u64 {
    op_count.wrapping_mul(31).wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_machine_stops() {
    let bench = run(1, FsyncPolicy::BeforeAck);
    let history = bench.fs.history();
    let mut replay = history.replay();
    let mut crash_count = 0;
    loop {
        for round in 0..ROUNDS {
            check(&replay, seed_of(replay.op_count(), round), &bench.clock, &bench.oracle);
            crash_count += 1;
        }
        if !replay.advance() {
            break;
        }
    }
    report(&format!(
        "{crash_count} crashes at {} operations, {} batches",
        history.len() + 1,
        bench.oracle.acknowledged_count()
    ));
    assert!(history.len() > 200, "the run has flushes, compactions and restarts in it");
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let bench = run(2, FsyncPolicy::BeforeAck);
    let history = bench.fs.history();
    let mut replay = history.replay();
    let mut crash_count = 0;
    while replay.advance() {
        if !replay.op_count().is_multiple_of(13) {
            continue;
        }
        let seed = seed_of(replay.op_count(), 7);
        let fs = replay.after_crash(seed);
        fs.record();
        open(&fs, &bench.clock).expect("opens").abandon();
        let recovery = fs.history();
        let mut during = recovery.replay();
        while during.advance() {
            let again = during.after_crash(seed_of(during.op_count(), seed));
            let tsdb = open(&again, &bench.clock).expect("opens after a crash during recovery");
            if let Err(complaints) = bench.oracle.check(&*tsdb, replay.op_count()) {
                panic!(
                    "crash after operation {} ({}), then after operation {} of the recovery ({}): {complaints}",
                    replay.op_count(),
                    replay.last_change(),
                    during.op_count(),
                    during.last_change()
                );
            }
            tsdb.abandon();
            crash_count += 1;
        }
    }
    report(&format!("{crash_count} crashes during recovery"));
    assert!(crash_count > 0);
}

#[test]
fn an_engine_that_does_not_sync_is_caught() {
    let bench = run(3, FsyncPolicy::Never);
    let history = bench.fs.history();
    let mut replay = history.replay();
    let mut caught_count = 0;
    while replay.advance() {
        let fs = replay.after_crash(seed_of(replay.op_count(), 0));
        let tsdb = open(&fs, &bench.clock).expect("opens");
        caught_count += usize::from(bench.oracle.check(&*tsdb, replay.op_count()).is_err());
        tsdb.abandon();
    }
    assert!(caught_count > 10, "the matrix bites: {caught_count}");
}
