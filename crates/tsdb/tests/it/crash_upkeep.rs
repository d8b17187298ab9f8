//! Deletes, their cleaning, compactions of what is deleted, snapshots, retention: one run of them all, crashed after every
//! single operation of its file system (now and then with a bit flipped besides); and run again with each operation failing,
//! and with the disk full from each operation on.
//!
//! Nothing acknowledged may be missing, nothing deleted may come back, and a snapshot that was acknowledged is whole.

use std::path::PathBuf;

use model::Matcher;
use sim::fs::{Replay, SimFs};
use sim::oracle::Oracle;
use sim::workload::Settings as WorkloadSettings;
use stdx::clock::ManualClock;
use stdx::rand::{Random, SeededRandom};
use storage::{Error, ErrorKind};
use tsdb::Settings;

use crate::bench::{Bench, open_with, report, settings};

/// Crashes tried at each operation.
const ROUNDS: u64 = 4;
const MINUTE_MS: i64 = 60_000;
const ALWAYS_MS: (i64, i64) = (i64::MIN, i64::MAX);
const STEPS: usize = 40;

/// A snapshot that was taken.
struct Snapshot {
    directory: PathBuf,
    begun_at: u64,
    taken_at: u64,
}

struct Run {
    bench: Bench,
    snapshots: Vec<Snapshot>,
}

impl Run {
    fn new(fs: SimFs, seed: u64) -> Self {
        let workload = WorkloadSettings {
            seed,
            series_count: 8,
            churn_share: 0.03,
            late_ms_max: 4 * MINUTE_MS,
            ..WorkloadSettings::default()
        };
        let settings = Settings { retention_ms: 20 * MINUTE_MS, ..settings() };
        Self { bench: Bench::with(fs, workload, settings), snapshots: Vec::new() }
    }

    /// The work of a step, after its batch.
    fn step(&mut self, step: usize) -> Result<(), Error> {
        let now_ms = self.bench.now_ms();
        let job = |value| [Matcher::equal("job", value)];
        let bench = &mut self.bench;
        match step {
            4 | 10 | 20 | 29 => bench.tsdb.flush(),
            // Of the head and of blocks, some series at any time.
            6 => bench.delete(0, &job("node"), ALWAYS_MS),
            8 | 16 | 27 | 37 => self.snapshot(),
            11 => bench.delete(0, &[], (now_ms - 2 * MINUTE_MS, now_ms - MINUTE_MS)),
            12 | 18 | 34 => bench.tsdb.clean_tombstones(),
            13 => bench.delete(1, &[Matcher::equal("instance", "10.0.0.3:9100")], ALWAYS_MS),
            14 => self.restart(false),
            15 => bench.delete(0, &job("db"), (now_ms - 3 * MINUTE_MS, now_ms)),
            17 => self.restart(true),
            21 => bench.delete(1, &[], (now_ms - 4 * MINUTE_MS, now_ms - MINUTE_MS)),
            22 | 31 => bench.tsdb.compact(),
            23 => bench.delete(0, &job("api"), (now_ms - 5 * MINUTE_MS, now_ms - MINUTE_MS)),
            24 | 38 => bench.tsdb.compact_all().map(|_| ()),
            25 => bench.delete(0, &job("node"), ALWAYS_MS),
            // What was written so far is too old now.
            28 => {
                bench.pass_time(18 * MINUTE_MS);
                Ok(())
            }
            30 => bench.delete(0, &job("db"), ALWAYS_MS),
            32 => {
                bench.pass_time(5 * MINUTE_MS);
                bench.tsdb.enforce_retention()
            }
            33 => bench.delete(0, &job("api"), (now_ms - 40 * MINUTE_MS, now_ms - MINUTE_MS)),
            35 => bench.delete(1, &job("node"), ALWAYS_MS),
            _ => Ok(()),
        }
    }

    fn snapshot(&mut self) -> Result<(), Error> {
        let begun_at = self.bench.fs.op_count();
        let name = self.bench.tsdb.snapshot(false)?;
        let directory = self.bench.settings.directory.join("snapshots").join(name);
        self.snapshots.push(Snapshot { directory, begun_at, taken_at: self.bench.fs.op_count() });
        Ok(())
    }

    /// Ends the engine and opens it again; where the disk fails, on one that works.
    fn restart(&mut self, in_order: bool) -> Result<(), Error> {
        let bench = &mut self.bench;
        let stopped = if in_order { bench.tsdb.stop() } else { Ok(()) };
        bench.tsdb.abandon();
        bench.tsdb = open_with(bench.settings.clone(), &bench.fs, &bench.clock).or_else(|_| {
            bench.fs.heal();
            bench.fs.limit_space(None);
            open_with(bench.settings.clone(), &bench.fs, &bench.clock)
        })?;
        stopped
    }

    /// All steps. What fails may only fail because of the disk; answers how often.
    fn run_through(&mut self) -> usize {
        let mut failure_count = 0;
        for step in 0..STEPS {
            for outcome in [self.bench.write(), self.step(step)] {
                if let Err(error) = outcome {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "step {step}: {error}");
                    failure_count += 1;
                }
            }
        }
        failure_count
    }

    /// What a crash at this point leaves is opened and judged.
    fn check(&self, replay: &Replay<'_>, seed: u64) -> Result<(), String> {
        let bench = &self.bench;
        let fs = replay.after_crash(seed);
        let clock = ManualClock::at(bench.now_ms_at(replay.op_count()));
        let tsdb = open_with(bench.settings.clone(), &fs, &clock)
            .map_err(|error| format!("does not open: {error}"))?;
        let checked = bench.oracle.check(&*tsdb, replay.op_count());
        tsdb.abandon();
        checked.map(|_| ())
    }

    /// Snapshots that were taken before a crash at this point are there; what looks finished is whole.
    fn check_snapshots(&self, replay: &Replay<'_>, seed: u64) -> Result<usize, String> {
        let mut whole_count = 0;
        let fs = replay.after_crash(seed);
        for snapshot in &self.snapshots {
            if !stdx::fs::Fs::exists(&fs, &snapshot.directory.join("snapshot")) {
                if snapshot.taken_at <= replay.op_count() {
                    return Err(format!("snapshot {} is gone", snapshot.directory.display()));
                }
                continue;
            }
            check_snapshot(&self.bench, snapshot, &fs)?;
            whole_count += 1;
        }
        Ok(whole_count)
    }

    /// Opens what a crash leaves after one of its bits was flipped.
    fn check_flipped(&self, replay: &Replay<'_>, seed: u64) -> Result<(), String> {
        let random = SeededRandom::new(seed);
        let fs = replay.after_crash(seed);
        let files: Vec<(PathBuf, u64)> = fs.files().into_iter().filter(|(_, len)| *len > 0).collect();
        let Some((path, len)) = files.get(random.below(files.len().max(1) as u64) as usize) else {
            return Ok(());
        };
        let bit = random.below(len * 8);
        fs.flip_bit(path, bit).expect("flipped");
        let complain = |fault: String| format!("bit {bit} of {}: {fault}", path.display());
        let clock = ManualClock::at(self.bench.now_ms_at(replay.op_count()));
        let tsdb = open_with(self.bench.settings.clone(), &fs, &clock)
            .map_err(|error| complain(format!("does not open: {error}")))?;
        let checked = self.bench.oracle.check_no_lies(&*tsdb);
        tsdb.abandon();
        checked.map(|_| ()).map_err(complain)
    }
}

fn check_snapshot(bench: &Bench, snapshot: &Snapshot, fs: &SimFs) -> Result<(), String> {
    let complain = |fault: String| format!("snapshot {}: {fault}", snapshot.directory.display());
    let settings = Settings { directory: snapshot.directory.clone(), ..bench.settings.clone() };
    let clock = ManualClock::at(bench.now_ms_at(snapshot.begun_at));
    let tsdb =
        open_with(settings, fs, &clock).map_err(|error| complain(format!("does not open: {error}")))?;
    let checked = bench.oracle.check(&*tsdb, snapshot.begun_at);
    tsdb.abandon();
    checked.map(|_| ()).map_err(complain)
}

fn seed_of(op_count: u64, round: u64) -> u64 {
    op_count.wrapping_mul(37).wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn nothing_deleted_comes_back_and_no_snapshot_is_lost_wherever_the_machine_stops() {
    let mut run = Run::new(SimFs::recording(1), 1);
    assert_eq!(run.run_through(), 0, "nothing fails on a disk that works");
    run.bench.tsdb.stop().expect("stopped");
    assert_eq!(run.snapshots.len(), 4);
    let history = run.bench.fs.history();
    let mut replay = history.replay();
    let (mut crash_count, mut flip_count, mut snapshot_count) = (0, 0, 0);
    loop {
        let judge = |seed: u64, outcome: Result<(), String>| {
            if let Err(fault) = outcome {
                let (op_count, change) = (replay.op_count(), replay.last_change());
                panic!("crash after operation {op_count} ({change}), seed {seed}: {fault}");
            }
        };
        for round in 0..ROUNDS {
            let seed = seed_of(replay.op_count(), round);
            judge(seed, run.check(&replay, seed));
            crash_count += 1;
        }
        let seed = seed_of(replay.op_count(), ROUNDS);
        judge(seed, run.check_snapshots(&replay, seed).map(|count| snapshot_count += count));
        judge(seed, run.check_flipped(&replay, seed));
        flip_count += 1;
        if !replay.advance() {
            break;
        }
    }
    report(&format!(
        "{crash_count} crashes at {} operations, {flip_count} more with a flipped bit, {} batches, {} deletes, \
         {snapshot_count} snapshots opened",
        history.len() + 1,
        run.bench.oracle.acknowledged_count(),
        run.bench.oracle.acknowledged_delete_count(),
    ));
    assert!(run.bench.oracle.acknowledged_delete_count() >= 10 && snapshot_count > 100);
}

/// Nothing is missing or back on a disk that works again: now, after a crash, and after a restart.
fn check_healed(run: &mut Run, number: u64, case: &str) {
    let judge = |oracle: &Oracle, tsdb: &tsdb::Tsdb, when: &str| {
        if let Err(complaints) = oracle.check(tsdb, u64::MAX) {
            panic!("{case}, {when}: {complaints}");
        }
    };
    run.bench.fs.heal();
    run.bench.fs.limit_space(None);
    // The first refused write makes the journal try again, in the background.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while let Err(error) = run.bench.write() {
        assert!(std::time::Instant::now() < deadline, "{case}: still refused: {error}");
        std::thread::yield_now();
    }
    judge(&run.bench.oracle, &run.bench.tsdb, "running");
    let fs = run.bench.fs.after_crash(seed_of(run.bench.fs.op_count(), 1));
    let tsdb = open_with(run.bench.settings.clone(), &fs, &run.bench.clock).expect("opens after a crash");
    judge(&run.bench.oracle, &tsdb, "after a crash");
    tsdb.abandon();
    // One of them, another in each run.
    if let Some(snapshot) = run.snapshots.get(number as usize % run.snapshots.len().max(1)) {
        check_snapshot(&run.bench, snapshot, &run.bench.fs).unwrap_or_else(|fault| panic!("{case}: {fault}"));
    }
    run.bench.restart(true);
    judge(&run.bench.oracle, &run.bench.tsdb, "after a restart");
    run.bench.tsdb.abandon();
}

#[test]
fn each_operation_may_fail_and_costs_at_most_what_was_not_acknowledged() {
    let mut whole = Run::new(SimFs::new(1), 1);
    let before = whole.bench.fs.try_count();
    whole.run_through();
    let op_count = whole.bench.fs.try_count() - before;
    whole.bench.tsdb.abandon();
    let (mut run_count, mut failure_count) = (0, 0);
    for nth in 1..=op_count {
        let mut run = Run::new(SimFs::new(nth), 1);
        run.bench.fs.fail_any(nth);
        failure_count += run.run_through();
        check_healed(&mut run, nth, &format!("operation {nth} fails"));
        run_count += 1;
    }
    report(&format!(
        "{run_count} runs, each with another of {op_count} operations failing: {failure_count} errors"
    ));
    assert!(failure_count > 100);
}

#[test]
fn the_disk_may_be_full_from_any_operation_on() {
    let mut whole = Run::new(SimFs::new(1), 1);
    let before = whole.bench.fs.op_count();
    whole.run_through();
    let op_count = whole.bench.fs.op_count() - before;
    whole.bench.tsdb.abandon();
    let (mut run_count, mut failure_count) = (0, 0);
    for ops in 0..op_count {
        let mut run = Run::new(SimFs::new(ops), 1);
        run.bench.fs.fill_after(ops);
        failure_count += run.run_through();
        check_healed(&mut run, ops, &format!("the disk is full after operation {ops}"));
        run_count += 1;
    }
    report(&format!(
        "{run_count} runs, the disk full after each of {op_count} operations: {failure_count} errors"
    ));
    assert!(failure_count > 100);
}
