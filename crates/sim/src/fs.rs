//! A file system in memory that breaks in every way that `stdx::fs` allows.
//!
//! Map: this file has the door: [`SimFs`], its faults and crashes · `files` the trait's operations · `state` files and
//! directories, what is visible and what is durable · `crash` what a crash leaves of the rest · `history` every
//! change in order, so that a crash can be tried after each of them from one run of the engine.
//!
//! What a crash does (see [`SimFs::after_crash`]): unsynced data is lost, kept, kept up to some point, or kept in
//! arbitrary pieces (sectors, some of them torn); unsynced names likewise. After a sync that failed, the unsynced
//! data looks fine until the crash and is then gone in part, whatever later syncs said.

mod crash;
mod files;
mod history;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Thread;

use parking_lot::{Mutex, MutexGuard};
use stdx::fs::Fs;
use stdx::rand::{Random, SeededRandom};

pub use history::{History, Replay};

use state::{Change, NodeId, State};

/// Kinds of operations that can be told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// Reading from a file.
    Read,
    /// Writing to a file or changing its length.
    Write,
    /// Syncing a file.
    Sync,
    /// Syncing a directory.
    SyncDir,
    /// Creating or opening a file, creating or listing a directory.
    Open,
    /// Renaming and linking.
    Rename,
    /// Removing files and directories.
    Remove,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// One operation fails, the next works.
    Once,
    /// All operations of the kind fail from then on.
    Forever,
}

/// The file system. Cloning gives another handle to the same files.
#[derive(Debug, Clone)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
    interrupt: Arc<Mutex<Option<Interrupt>>>,
}

/// Something to do in the middle of what a thread does.
struct Interrupt {
    thread: Thread,
    /// Operations of the thread that still come before.
    countdown: u64,
    act: Box<dyn FnOnce() + Send>,
}

impl Interrupt {
    /// Whether its operations count: those of the thread itself, and of one that does its work in the background.
    fn is_of(&self, thread: &Thread) -> bool {
        let background = || Some(thread.name()?.strip_suffix(":low")? == self.thread.name()?);
        self.thread.id() == thread.id() || background().unwrap_or(false)
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupt").field("countdown", &self.countdown).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Disk {
    state: State,
    random: SeededRandom,
    /// Changes so far; syncs count, reads do not.
    op_count: u64,
    /// The op count at which everything begins to fail.
    crash_at: Option<u64>,
    faults: Vec<Fault>,
    /// Operations of any kind that were tried so far, reads included.
    try_count: u64,
    /// The number of the one that fails.
    fails_at: Option<u64>,
    space_bytes: Option<u64>,
    /// The op count from which on there is no room.
    full_at: Option<u64>,
    locked: BTreeSet<NodeId>,
    history: Option<History>,
}

#[derive(Debug)]
struct Fault {
    kind: OpKind,
    /// Operations of the kind that still work.
    countdown: u64,
    lasting: Lasting,
}

impl SimFs {
    /// An empty file system. `seed` decides how much of a failing write happens.
    pub fn new(seed: u64) -> Self {
        Self::with_state(State::empty(), seed)
    }

    /// As [`Self::new`], and remembers every change for [`Self::history`].
    pub fn recording(seed: u64) -> Self {
        let fs = Self::new(seed);
        fs.record();
        fs
    }

    /// Remembers every change from now on for [`Self::history`], and counts operations from 0 again.
    pub fn record(&self) {
        let mut disk = self.disk.lock();
        disk.history = Some(History::starting_from(disk.state.clone()));
        disk.op_count = 0;
    }

    fn with_state(state: State, seed: u64) -> Self {
        let disk = Disk {
            state,
            random: SeededRandom::new(seed),
            op_count: 0,
            crash_at: None,
            faults: Vec::new(),
            try_count: 0,
            fails_at: None,
            space_bytes: None,
            full_at: None,
            locked: BTreeSet::new(),
            history: None,
        };
        Self { disk: Arc::new(Mutex::new(disk)), interrupt: Arc::default() }
    }

    /// This file system for those who know only the trait.
    pub fn shared(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// How many changes were made so far: writes, syncs, names. Reads do not count.
    pub fn op_count(&self) -> u64 {
        self.disk.lock().op_count
    }

    /// Lets `ops` more changes through; everything after them fails, as if the machine had stopped.
    pub fn crash_after(&self, ops: u64) {
        let mut disk = self.disk.lock();
        disk.crash_at = Some(disk.op_count + ops);
    }

    /// Whether [`Self::crash_after`] was called, be it that everything fails already or not yet.
    pub fn will_crash(&self) -> bool {
        self.disk.lock().crash_at.is_some()
    }

    /// Whether everything fails because of [`Self::crash_after`].
    pub fn is_crashed(&self) -> bool {
        self.disk.lock().is_crashed()
    }

    /// The files as a restarted machine finds them, if this one had stopped just now. `seed` decides what of the
    /// unsynced survived. This file system is not changed.
    pub fn after_crash(&self, seed: u64) -> Self {
        Self::with_state(self.disk.lock().state.after_crash(seed), seed)
    }

    /// Makes the `nth` operation of a kind from now (1 is the next) fail with an input/output error.
    pub fn fail(&self, kind: OpKind, nth: u64, lasting: Lasting) {
        assert!(nth > 0, "BUG: operations are counted from 1");
        self.disk.lock().faults.push(Fault { kind, countdown: nth - 1, lasting });
    }

    /// Makes the `nth` operation of any kind from now (1 is the next; reads count) fail with an input/output error.
    pub fn fail_any(&self, nth: u64) {
        assert!(nth > 0, "BUG: operations are counted from 1");
        let mut disk = self.disk.lock();
        disk.fails_at = Some(disk.try_count + nth);
    }

    /// How many operations were tried so far: changes, reads, and what failed.
    pub fn try_count(&self) -> u64 {
        self.disk.lock().try_count
    }

    /// Has `act` done by this thread, or one that does its work in the background, before their `nth` operation from now (1 is
    /// the next; a read counts), so that something else happens in the middle of what an engine does, at the same place in
    /// each run.
    pub fn interrupt(&self, nth: u64, act: impl FnOnce() + Send + 'static) {
        assert!(nth > 0, "BUG: operations are counted from 1");
        let thread = std::thread::current();
        *self.interrupt.lock() = Some(Interrupt { thread, countdown: nth - 1, act: Box::new(act) });
    }

    /// Takes back what [`Self::interrupt`] ordered. Answers whether it had not happened yet.
    pub fn forget_interrupt(&self) -> bool {
        self.interrupt.lock().take().is_some()
    }

    /// The disk, for an operation.
    fn enter(&self) -> MutexGuard<'_, Disk> {
        let due = {
            let mut interrupt = self.interrupt.lock();
            match interrupt.as_mut().filter(|i| i.is_of(&std::thread::current())) {
                Some(waiting) if waiting.countdown > 0 => {
                    waiting.countdown -= 1;
                    None
                }
                Some(_) => interrupt.take(),
                None => None,
            }
        };
        if let Some(interrupt) = due {
            (interrupt.act)();
        }
        self.disk.lock()
    }

    /// Takes back all that [`Self::fail`] and [`Self::fail_any`] ordered.
    pub fn heal(&self) {
        let mut disk = self.disk.lock();
        disk.faults.clear();
        disk.fails_at = None;
    }

    /// Lets `ops` more changes through; from then on there is no room for a byte more, until [`Self::limit_space`].
    pub fn fill_after(&self, ops: u64) {
        let mut disk = self.disk.lock();
        disk.full_at = Some(disk.op_count + ops);
    }

    /// Lets files hold no more than so many bytes together; a write beyond fails, after writing what fits.
    pub fn limit_space(&self, space_bytes: Option<u64>) {
        let mut disk = self.disk.lock();
        disk.space_bytes = space_bytes;
        disk.full_at = None;
    }

    /// Bytes in all files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.disk.lock().state.used_bytes()
    }

    /// All files with their lengths, sorted by path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.disk.lock().state.files()
    }

    /// Inverts one bit of a file, on disk too, as failing hardware does.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` if the file is shorter.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let file = disk.state.find_file(path)?;
        disk.state.flip_bit(file, bit)
    }

    /// Everything that was changed so far.
    ///
    /// # Panics
    /// If this file system was not recording.
    pub fn history(&self) -> History {
        self.disk.lock().history.clone().expect("BUG: this file system does not record; use SimFs::recording")
    }
}

impl Disk {
    fn is_crashed(&self) -> bool {
        self.crash_at.is_some_and(|at| self.op_count >= at)
    }

    /// Whether the operation may go on.
    fn admit(&mut self, kind: OpKind) -> io::Result<()> {
        if self.is_crashed() {
            return Err(io::Error::other("the simulated machine has stopped"));
        }
        self.try_count += 1;
        let mut fails = self.fails_at == Some(self.try_count);
        self.faults.retain_mut(|fault| {
            if fault.kind != kind {
                return true;
            }
            if fault.countdown > 0 {
                fault.countdown -= 1;
                return true;
            }
            fails = true;
            fault.lasting == Lasting::Forever
        });
        if fails { Err(io_error()) } else { Ok(()) }
    }

    fn change(&mut self, change: Change) {
        self.state.apply(&change);
        self.op_count += 1;
        if let Some(history) = &mut self.history {
            history.push(change);
        }
    }

    /// How much longer files may get.
    fn room_bytes(&self) -> u64 {
        if self.full_at.is_some_and(|at| self.op_count >= at) {
            return 0;
        }
        self.space_bytes.map_or(u64::MAX, |limit| limit.saturating_sub(self.state.used_bytes()))
    }

    fn write(&mut self, file: NodeId, data: &[u8], offset: u64) -> io::Result<()> {
        let outcome = self.admit(OpKind::Write);
        if outcome.is_err() && self.is_crashed() {
            return outcome;
        }
        let len = self.state.len(file);
        let room = self.room_bytes().saturating_add(len).saturating_sub(offset);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        let (written, outcome) = match outcome {
            Err(error) => (self.random.below(data.len() as u64 + 1) as usize, Err(error)),
            Ok(()) if fits < data.len() => (fits, Err(no_space())),
            Ok(()) => (data.len(), Ok(())),
        };
        let written = &data[..written.min(fits)];
        if !written.is_empty() {
            self.change(Change::Write { file, offset, data: written.into() });
        }
        outcome
    }

    fn sync(&mut self, file: NodeId) -> io::Result<()> {
        let outcome = self.admit(OpKind::Sync);
        if outcome.is_err() && self.is_crashed() {
            return outcome;
        }
        let seed = self.random.next_u64();
        self.change(if outcome.is_ok() { Change::Sync { file } } else { Change::FailedSync { file, seed } });
        outcome
    }
}

fn io_error() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}
