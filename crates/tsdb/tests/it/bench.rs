//! An engine on a simulated disk, with an oracle beside it.

use std::path::PathBuf;
use std::sync::Arc;

use model::{Matcher, TenantId};
use sim::fs::SimFs;
use sim::oracle::{Oracle, Ticket};
use sim::workload::{Settings as WorkloadSettings, Workload};
use stdx::clock::ManualClock;
use storage::{Appended, Appender, Error, WriteBatch};
use tsdb::{Deps, FsyncPolicy, Settings, Tsdb};

/// Small enough that segments, blocks and compactions all happen within a few batches.
pub(crate) fn settings() -> Settings {
    Settings {
        directory: PathBuf::from("/var/kymo"),
        block_span_ms: 300_000,
        wal_segment_bytes_max: 8 << 10,
        ..Settings::default()
    }
}

pub(crate) fn open(fs: &SimFs, clock: &Arc<ManualClock>) -> Result<Arc<Tsdb>, Error> {
    open_with(settings(), fs, clock)
}

pub(crate) fn open_with(
    settings: Settings,
    fs: &SimFs,
    clock: &Arc<ManualClock>,
) -> Result<Arc<Tsdb>, Error> {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    Tsdb::open(settings, Deps { fs: fs.shared(), clock, ..Deps::system() })
}

pub(crate) struct Bench {
    pub(crate) fs: SimFs,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) tsdb: Arc<Tsdb>,
    pub(crate) oracle: Oracle,
    pub(crate) settings: Settings,
    workload: Workload,
    batch: WriteBatch,
    pub(crate) tenants: [TenantId; 2],
    batch_count: usize,
    /// Op counts at which the clock was set, and to what.
    times_ms: Vec<(u64, i64)>,
}

impl Bench {
    pub(crate) fn new(fs: SimFs, seed: u64, series_count: usize) -> Self {
        Self::with_fsync(fs, seed, series_count, FsyncPolicy::BeforeAck)
    }

    pub(crate) fn with_fsync(fs: SimFs, seed: u64, series_count: usize, fsync: FsyncPolicy) -> Self {
        let workload = WorkloadSettings { seed, series_count, ..WorkloadSettings::default() };
        Self::with(fs, workload, Settings { fsync, ..settings() })
    }

    pub(crate) fn with(fs: SimFs, workload: WorkloadSettings, settings: Settings) -> Self {
        let workload = Workload::new(workload);
        let clock = ManualClock::at(workload.now_ms());
        stdx::fs::create_dir_durably(&fs, &settings.directory).expect("made");
        let tsdb = open_with(settings.clone(), &fs, &clock).expect("an empty disk can be opened");
        let tenants = [TenantId::anonymous(), TenantId::new("other").expect("valid")];
        Self {
            fs,
            times_ms: vec![(0, workload.now_ms())],
            clock,
            tsdb,
            oracle: Oracle::new(),
            settings,
            workload,
            batch: WriteBatch::new(),
            tenants,
            batch_count: 0,
        }
    }

    /// What time it is after the last batch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.workload.now_ms()
    }

    /// What time it was after so many operations.
    pub(crate) fn now_ms_at(&self, op_count: u64) -> i64 {
        let at = self.times_ms.partition_point(|(at, _)| *at <= op_count);
        self.times_ms[at.saturating_sub(1)].1
    }

    /// It is later now.
    pub(crate) fn pass_time(&mut self, by_ms: i64) {
        self.workload.set_now_ms(self.workload.now_ms() + by_ms);
        self.set_clock();
    }

    fn set_clock(&mut self) {
        let (op_count, now_ms) = (self.fs.op_count(), self.workload.now_ms());
        self.clock.set_ms(now_ms);
        self.times_ms.push((op_count, now_ms));
        self.oracle.may_expire(now_ms - self.settings.retention_ms, op_count);
    }

    /// Deletes samples, in a range that is inclusive at both ends.
    pub(crate) fn delete(
        &mut self,
        tenant: usize,
        matchers: &[Matcher],
        range_ms: (i64, i64),
    ) -> Result<(), Error> {
        let tenant = &self.tenants[tenant];
        let ticket = self.oracle.submit_delete(tenant, matchers, range_ms, self.fs.op_count());
        self.tsdb.delete_series(tenant, &[matchers.to_vec()], range_ms.0, range_ms.1)?;
        self.oracle.acknowledge_delete(ticket, self.fs.op_count());
        Ok(())
    }

    /// Hands in the next batch, and does not wait.
    pub(crate) fn append(&mut self) -> Result<(Ticket, Appended), Error> {
        self.workload.next_batch(&mut self.batch);
        self.set_clock();
        // Most batches are of one tenant.
        let tenant = &self.tenants[usize::from(self.batch_count % 4 == 3)];
        self.batch_count += 1;
        let ticket = self.oracle.submit(tenant, &self.batch, self.fs.op_count());
        self.tsdb.append(tenant, &self.batch).map(|appended| (ticket, appended))
    }

    /// Waits until a batch is durable.
    pub(crate) fn settle(&mut self, (ticket, mut appended): (Ticket, Appended)) -> Result<(), Error> {
        std::mem::replace(&mut appended.durable, storage::Durability::done()).wait()?;
        self.oracle.acknowledge(ticket, &appended, self.fs.op_count());
        Ok(())
    }

    /// Writes the next batch durably.
    pub(crate) fn write(&mut self) -> Result<(), Error> {
        let written = self.append()?;
        self.settle(written)
    }

    /// Ends the engine in order (or not), and opens it again.
    pub(crate) fn restart(&mut self, in_order: bool) {
        if in_order {
            self.tsdb.stop().expect("stopped");
        } else {
            self.tsdb.abandon();
        }
        self.tsdb = open_with(self.settings.clone(), &self.fs, &self.clock).expect("opened again");
    }
}

/// How much was tried: a matrix that tried nothing would pass too, so its size must be seen. Not by `println!`, which is
/// shown of tests that fail only.
pub(crate) fn report(text: &str) {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{text}").expect("written");
}
