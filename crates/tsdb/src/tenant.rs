//! One tenant's data: head, blocks, exemplars and metadata.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::TenantId;
use parking_lot::{Mutex, RwLock};
use stdx::fs::Fs;
use stdx::memory::Budget;
use storage::ChangeLog;

use crate::block::Block;
use crate::extras::Extras;
use crate::head::Head;
use crate::head::release::{Flushed, Look};
use crate::tombstones::{TOMBSTONES_FILE, Tombstone, TombstoneFile, Tombstones};

/// One tenant's data.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    /// Names the tenant within this process and its journal segments.
    pub(crate) number: u32,
    pub(crate) directory: PathBuf,
    pub(crate) head: Head,
    pub(crate) extras: Mutex<Extras>,
    /// What queries may see otherwise than before.
    pub(crate) changes: ChangeLog,
    /// Sorted by age. Replaced as a whole, so that a query keeps what it took.
    blocks: RwLock<Arc<Vec<Arc<Block>>>>,
    /// Deletes that are not worked off. Readers take them before the blocks, because cleaning replaces blocks first.
    tombstones: RwLock<Tombstones>,
    /// Held by whoever changes `tombstones`.
    tombstones_turn: Mutex<()>,
    next_tombstone_id: AtomicU64,
    next_block_id: AtomicU64,
    /// Records in journal segments below this one are in blocks.
    journal_before: AtomicU64,
    /// Whether blocks may hold samples of later segments, too, while the head does not.
    runs_ahead: AtomicBool,
    releases: Mutex<Releases>,
    /// Whether the directory was synced in its parent by this process. That it is there proves nothing.
    is_directory_durable: AtomicBool,
}

/// When series were released, and how many since the last flush of all.
#[derive(Debug, Default)]
struct Releases {
    /// On the monotonic clock.
    at: Duration,
    count: usize,
}

/// Each release makes a small block. So they wait until they are this fraction of all series and so many, or for so long.
const MANY_DIVISOR: usize = 20;
const MANY_MIN: usize = 1_000;
const RELEASE_PERIOD: Duration = Duration::from_secs(600);

/// Name of the file with exemplars and metadata.
pub(crate) const EXTRAS_FILE: &str = "extras";
/// What block files end with.
pub(crate) const BLOCK_SUFFIX: &str = ".block";

impl Tenant {
    /// A tenant with `blocks`, whose directory exists.
    pub(crate) fn new(
        budget: &Arc<Budget>,
        id: TenantId,
        number: u32,
        directory: PathBuf,
        mut blocks: Vec<Arc<Block>>,
        extras: Extras,
    ) -> Self {
        blocks.sort_by_key(|block| block.meta().age);
        let next_block_id = blocks.iter().map(|b| b.meta().id + 1).max().unwrap_or(1);
        let journal_before = blocks.iter().map(|b| b.meta().journal_before).max().unwrap_or(0);
        Self {
            id,
            number,
            directory,
            head: Head::new(budget),
            extras: Mutex::new(extras),
            changes: ChangeLog::default(),
            blocks: RwLock::new(Arc::new(blocks)),
            tombstones: RwLock::default(),
            tombstones_turn: Mutex::new(()),
            next_tombstone_id: AtomicU64::new(1),
            next_block_id: AtomicU64::new(next_block_id),
            journal_before: AtomicU64::new(journal_before),
            runs_ahead: AtomicBool::new(false),
            releases: Mutex::default(),
            is_directory_durable: AtomicBool::new(false),
        }
    }

    /// Whether to write and release series that stopped: soon if they are many, or after a while.
    pub(crate) fn should_release(&self, look: Look, now: Duration) -> bool {
        let waited = now.saturating_sub(self.releases.lock().at);
        let are_many = look.stopped_count >= (look.series_count / MANY_DIVISOR).max(MANY_MIN);
        look.stopped_count > 0 && (are_many || waited >= RELEASE_PERIOD)
    }

    /// Series that left the head while the journal kept their samples.
    pub(crate) fn released_since_flush(&self) -> usize {
        self.releases.lock().count
    }

    /// Notes that a flush released `count` series.
    pub(crate) fn note_release(&self, which: Flushed, count: usize, now: Duration) {
        let mut releases = self.releases.lock();
        releases.at = now;
        releases.count = if which == Flushed::All { 0 } else { releases.count + count };
    }

    /// Makes the directory, if need be, and its name durable.
    pub(crate) fn make_directory(&self, fs: &dyn Fs) -> std::io::Result<()> {
        if !self.is_directory_durable.load(Ordering::Acquire) || !fs.exists(&self.directory) {
            if let Some(data) = self.directory.ancestors().nth(2) {
                crate::open::check_data_directory(fs, data)?;
            }
            fs.create_dir_all(&self.directory)?;
            fs.sync_dir(self.directory.parent().unwrap_or_else(|| Path::new(".")))?;
            self.is_directory_durable.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The blocks there are now, by age.
    pub(crate) fn blocks(&self) -> Arc<Vec<Arc<Block>>> {
        Arc::clone(&self.blocks.read())
    }

    /// Takes away blocks with an id in `gone` and adds `new` ones, at once for all who ask.
    pub(crate) fn replace_blocks(&self, gone: &[u64], new: Vec<Arc<Block>>) {
        let mut blocks = self.blocks.write();
        let mut next: Vec<Arc<Block>> =
            blocks.iter().filter(|b| !gone.contains(&b.meta().id)).map(Arc::clone).chain(new).collect();
        next.sort_by_key(|block| block.meta().age);
        *blocks = Arc::new(next);
    }

    /// What the file of tombstones said. Called before anybody else sees the tenant.
    pub(crate) fn restore_tombstones(&self, file: TombstoneFile) {
        self.next_block_id.fetch_max(file.next_block_id, Ordering::AcqRel);
        self.set_journal_before(file.journal_before);
        let next_id = file.tombstones.iter().map(|t| t.id + 1).max().unwrap_or(1);
        self.next_tombstone_id.fetch_max(next_id, Ordering::AcqRel);
        *self.tombstones.write() = Arc::new(file.tombstones);
    }

    /// Deletes that are not worked off.
    pub(crate) fn tombstones(&self) -> Tombstones {
        Arc::clone(&self.tombstones.read())
    }

    pub(crate) fn next_tombstone_id(&self) -> u64 {
        self.next_tombstone_id.fetch_add(1, Ordering::AcqRel)
    }

    /// No block has this number or a greater one.
    pub(crate) fn next_block_id(&self) -> u64 {
        self.next_block_id.load(Ordering::Acquire)
    }

    /// Changes the list of tombstones: durably first, then for readers.
    ///
    /// # Errors
    /// As the file system says; nothing has changed then.
    pub(crate) fn change_tombstones(
        &self,
        fs: &dyn Fs,
        change: impl FnOnce(&mut Vec<Tombstone>),
    ) -> std::io::Result<()> {
        let _one_at_a_time = self.tombstones_turn.lock();
        let mut tombstones = Vec::clone(&self.tombstones());
        change(&mut tombstones);
        let file = TombstoneFile {
            journal_before: self.journal_before(),
            next_block_id: self.next_block_id(),
            tombstones,
        };
        self.make_directory(fs)?;
        stdx::fs::write_atomic(fs, &self.directory.join(TOMBSTONES_FILE), &file.encode())?;
        *self.tombstones.write() = Arc::new(file.tombstones);
        Ok(())
    }

    /// An id that no block of the tenant ever had, and the path for it. Ids of files that could not be opened are
    /// skipped too, so that nothing is overwritten.
    pub(crate) fn next_block(&self, fs: &dyn Fs) -> (u64, PathBuf) {
        loop {
            let id = self.next_block_id.fetch_add(1, Ordering::Relaxed);
            let path = block_path(&self.directory, id);
            if !fs.exists(&path) {
                return (id, path);
            }
        }
    }

    pub(crate) fn journal_before(&self) -> u64 {
        self.journal_before.load(Ordering::Acquire)
    }

    /// Whether blocks may hold samples that the journal would bring back after a crash.
    pub(crate) fn runs_ahead(&self) -> bool {
        self.runs_ahead.load(Ordering::Acquire)
    }

    /// Says so. Not needed after a replay, when such samples are in the head, too.
    pub(crate) fn set_runs_ahead(&self) {
        self.runs_ahead.store(true, Ordering::Release);
    }

    /// Forgets it when a flush begins that will cover the journal so far; answers what was known. To be called with the turn to flush.
    pub(crate) fn take_runs_ahead(&self) -> bool {
        self.runs_ahead.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn set_journal_before(&self, segment: u64) {
        self.journal_before.fetch_max(segment, Ordering::AcqRel);
    }
}

fn block_path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:012}{BLOCK_SUFFIX}"))
}
