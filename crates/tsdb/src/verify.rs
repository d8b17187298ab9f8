//! Checks a data directory or a snapshot without changing it: every checksum, every sample.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use stdx::fs::Fs;
use stdx::memory::Budget;
use storage::Error;

use crate::block::Block;
use crate::block::cache::FrameCache;
use crate::block::reader::BlockEnv;
use crate::extras::Extras;
use crate::journal::record::{self, Samples};
use crate::journal::segment;
use crate::metrics::Metrics;
use crate::tenant::{BLOCK_SUFFIX, EXTRAS_FILE};
use crate::tombstones::{TOMBSTONES_FILE, TombstoneFile};

/// Memory for frames that are needed again.
const CACHE_BYTES: u64 = 64 << 20;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Files that were read.
    pub file_count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Series in all blocks, those in several counted each time.
    pub series_count: u64,
    /// Samples in blocks.
    pub block_sample_count: u64,
    /// Samples in the journal.
    pub journal_sample_count: u64,
    /// What is damaged.
    pub faults: Vec<Fault>,
    /// What is unusual and harmless, such as the torn end that a crash leaves.
    pub remarks: Vec<Fault>,
}

/// A file, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// In words.
    pub what: String,
}

/// A directory that is being checked.
#[derive(Debug)]
pub struct Verifier {
    fs: Arc<dyn Fs>,
    env: Arc<BlockEnv>,
    /// Files and their sizes.
    files: Vec<(PathBuf, u64)>,
}

impl Verifier {
    /// Lists the files of the engine below `directory`.
    ///
    /// # Errors
    /// As the file system says.
    pub fn new(fs: Arc<dyn Fs>, directory: &Path) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::register(&prometheus::Registry::new())?);
        let budget = Budget::unlimited();
        let cache = FrameCache::new(&budget, CACHE_BYTES, Arc::clone(&metrics));
        let env = BlockEnv { fs: Arc::clone(&fs), cache, metrics, next_key: AtomicU64::new(0), budget };
        let mut verifier = Self { fs, env: Arc::new(env), files: Vec::new() };
        verifier.list(directory).map_err(|error| {
            let path = directory.display();
            Error::new(storage::ErrorKind::Unavailable, format!("data directory {path}: {error}"))
        })?;
        Ok(verifier)
    }

    fn list(&mut self, directory: &Path) -> io::Result<()> {
        let wal = directory.join("wal");
        if self.fs.exists(&wal) {
            for (number, len) in segment::list(&*self.fs, &wal)? {
                self.files.push((segment::path(&wal, number), len));
            }
        }
        let tenants = directory.join("tenants");
        if !self.fs.exists(&tenants) {
            return Ok(());
        }
        for tenant in self.fs.read_dir(&tenants)?.iter().filter(|entry| entry.is_dir) {
            let directory = tenants.join(&tenant.name);
            for entry in self.fs.read_dir(&directory)? {
                let ours = entry.name.ends_with(BLOCK_SUFFIX)
                    || [EXTRAS_FILE, TOMBSTONES_FILE].contains(&entry.name.as_str());
                if !entry.is_dir && ours {
                    self.files.push((directory.join(&entry.name), entry.len));
                }
            }
        }
        Ok(())
    }

    /// Bytes there are to read.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|(_, len)| len).sum()
    }

    /// Reads everything. `progress` is called with the bytes of each file that is done.
    pub fn run(self, mut progress: impl FnMut(u64)) -> Verification {
        let mut found = Verification::default();
        let last =
            self.files.iter().filter(|(path, _)| is_segment(path)).map(|(path, _)| path).max().cloned();
        for (path, len) in &self.files {
            found.file_count += 1;
            found.bytes += len;
            if is_segment(path) {
                self.segment(path, Some(path) == last.as_ref(), &mut found);
            } else if path.to_string_lossy().ends_with(BLOCK_SUFFIX) {
                self.block(path, &mut found);
            } else {
                self.small_file(path, &mut found);
            }
            progress(*len);
        }
        found
    }

    fn block(&self, path: &Path, found: &mut Verification) {
        let block = match Block::open(&self.env, path) {
            Ok(block) => block,
            Err(error) => return found.fault(path, format!("cannot be opened: {error}")),
        };
        let report = block.verify();
        found.series_count += report.series_count;
        found.block_sample_count += report.sample_count;
        report.faults.into_iter().for_each(|what| found.fault(path, what));
    }

    fn segment(&self, path: &Path, last: bool, found: &mut Verification) {
        let (mut sample_count, mut bad_count) = (0, 0u64);
        let mut samples = Samples::default();
        let damage = segment::read(&*self.fs, path, last, &mut Vec::new(), |frame, _, _| {
            let mut entries = &frame[..];
            while let Some(entry) = record::next_entry(&mut entries) {
                let read = entry.and_then(|entry| {
                    let is_samples = entry.kind == record::SAMPLES;
                    let read = record::check(&entry, &mut samples);
                    sample_count += if is_samples && read.is_ok() { samples.count() } else { 0 };
                    read
                });
                bad_count += u64::from(read.is_err());
            }
            frame.clear();
        });
        found.journal_sample_count += sample_count;
        match damage {
            Err(error) => found.fault(path, format!("cannot be read: {error}")),
            Ok(damage) => {
                let count = damage.corruption_count + bad_count;
                if count > 0 {
                    found.fault(path, format!("{count} damaged places; entries there are lost"));
                }
                if let Some(at) = damage.torn_at {
                    let what =
                        format!("ends torn at byte {at}, as after a crash; what was acknowledged is before");
                    found.remarks.push(Fault { path: path.to_owned(), what });
                }
            }
        }
    }

    fn small_file(&self, path: &Path, found: &mut Verification) {
        let decoded = stdx::fs::read(&*self.fs, path).map_err(|e| e.to_string()).and_then(|file| {
            let is_extras = path.file_name().is_some_and(|name| name == EXTRAS_FILE);
            let decoded = if is_extras {
                Extras::decode(&file).map(drop)
            } else {
                TombstoneFile::decode(&file).map(drop)
            };
            decoded.map_err(|e| e.to_string())
        });
        if let Err(what) = decoded {
            found.fault(path, what);
        }
    }
}

impl Verification {
    fn fault(&mut self, path: &Path, what: String) {
        self.faults.push(Fault { path: path.to_owned(), what });
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wal")
}
