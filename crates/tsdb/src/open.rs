//! How the engine starts: locks the directory, opens blocks, has the journal replayed.
//!
//! Layout of the directory: `lock`; `wal/NUMBER.wal`; `tenants/NAME/NUMBER.block` and `tenants/NAME/extras`.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use model::TenantId;
use storage::{Error, ErrorKind};

use crate::block::Block;
use crate::block::cache::FrameCache;
use crate::block::reader::BlockEnv;
use crate::engine::{Parts, Tsdb};
use crate::extras::Extras;
use crate::head::memory::HeadMemory;
use crate::journal::{Journal, JournalConfig};
use crate::metrics::Metrics;
use crate::replay::Replay;
use crate::settings::{Deps, Settings};
use crate::tenant::{BLOCK_SUFFIX, EXTRAS_FILE, Tenant};
use crate::tombstones::{TOMBSTONES_FILE, TombstoneFile};

/// Name of the file that is locked.
pub(crate) const LOCK_FILE: &str = "lock";

/// Where a tenant's blocks are.
pub(crate) fn tenant_directory(directory: &Path, tenant: &TenantId) -> PathBuf {
    directory.join("tenants").join(tenant.as_str())
}

impl Tsdb {
    /// Opens the engine in `settings.directory`, which is made if it is missing. Replays the journal, which may take a while;
    /// `deps.replay_progress` shows how far it is.
    ///
    /// # Errors
    /// `Unavailable` if another process uses the directory, or the disk cannot be read or written.
    pub fn open(settings: Settings, deps: Deps) -> Result<Arc<Self>, Error> {
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |e: io::Error| Error::new(ErrorKind::Unavailable, format!("data directory {path}: {e}"))
        };
        let fs = Arc::clone(&deps.fs);
        let directory = settings.directory.clone();
        let (wal, tenants) = (directory.join("wal"), directory.join("tenants"));
        for path in [&wal, &tenants] {
            create_durably(&*fs, path).map_err(at(path))?;
        }
        let lock = lock(&*fs, &directory)?;
        let metrics = Arc::new(Metrics::register(&deps.registry)?);
        let block_env = Arc::new(BlockEnv {
            fs: Arc::clone(&fs),
            cache: FrameCache::new(
                &deps.budget,
                settings.cache_bytes_max.min(deps.budget.limit_bytes() / 8),
                Arc::clone(&metrics),
            ),
            metrics: Arc::clone(&metrics),
            next_key: AtomicU64::new(0),
            budget: Arc::clone(&deps.budget),
        });
        let mut opener = Opener { deps: &deps, env: &block_env, tenants: HashMap::new() };
        opener.open_tenants(&tenants).map_err(at(&tenants))?;
        let memory = HeadMemory::new(&deps.budget, settings.head_bytes_max, metrics.head_bytes.clone());
        let mut tenants = opener.tenants;
        let replay = Replay {
            deps: &deps,
            settings: &settings,
            metrics: &metrics,
            memory: &memory,
            tenants: &mut tenants,
        };
        let (segments, first) = replay.run(&wal).map_err(at(&wal))?;
        let flushing = Arc::default();
        let config = JournalConfig {
            fs,
            clock: Arc::clone(&deps.clock),
            metrics: Arc::clone(&metrics),
            directory: wal,
            segment_bytes_max: settings.wal_segment_bytes_max,
            queue_bytes_max: settings.wal_queue_bytes_max,
            fsync: settings.fsync,
            flushing: Arc::clone(&flushing),
        };
        let journal = Journal::start(config, segments, first)?;
        metrics.tenants.set(tenants.len() as i64);
        let next_tenant = tenants.len() as u32;
        let parts = Parts {
            settings,
            deps,
            metrics,
            block_env,
            journal,
            flushing,
            memory,
            tenants,
            next_tenant,
            lock,
        };
        let tsdb = Self::assemble(parts);
        tsdb.publish_blocks();
        tsdb.start_maintenance()?;
        Ok(tsdb)
    }
}

/// Creates a directory and its missing parents, and makes all their names durable. Names that were there before may have been made
/// by a process that died before it synced them, so they are synced too; where that is not allowed, they are
/// somebody else's.
pub(crate) fn create_durably(fs: &dyn stdx::fs::Fs, path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !fs.exists(p)).count();
    fs.create_dir_all(path)?;
    for (at, made) in path.ancestors().enumerate() {
        let Some(parent) = made.parent() else { break };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match fs.sync_dir(parent) {
            Err(error) if at < missing => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Takes the data directory for this process.
fn lock(fs: &dyn stdx::fs::Fs, directory: &Path) -> Result<Box<dyn stdx::fs::FileLock>, Error> {
    let path = directory.display();
    fs.lock(&directory.join(LOCK_FILE)).map_err(|e| {
        let message = match e.kind() {
            io::ErrorKind::WouldBlock => format!(
                "data directory {path} is in use by another process; stop that, or use another directory"
            ),
            _ => format!("data directory {path}: {e}"),
        };
        Error::new(ErrorKind::Unavailable, message)
    })
}

/// Whether the data directory is the one that was opened: its lock is in it. If somebody deleted or replaced it, somebody else may
/// use what is there now, and nothing must be written to it.
pub(crate) fn check_data_directory(fs: &dyn stdx::fs::Fs, data: &Path) -> io::Result<()> {
    if fs.exists(&data.join(LOCK_FILE)) {
        return Ok(());
    }
    let error = deleted(data);
    Err(io::Error::new(error.kind(), format!("{error}; put it back, or restart the server")))
}

/// Somebody deleted what is ours.
pub(crate) fn deleted(path: &Path) -> io::Error {
    let message = format!("{} was deleted or moved while the server runs", path.display());
    io::Error::new(io::ErrorKind::NotFound, message)
}

struct Opener<'a> {
    deps: &'a Deps,
    env: &'a Arc<BlockEnv>,
    tenants: HashMap<TenantId, Arc<Tenant>>,
}

impl Opener<'_> {
    fn open_tenants(&mut self, directory: &Path) -> io::Result<()> {
        for entry in self.deps.fs.read_dir(directory)? {
            let Ok(id) = TenantId::new(&entry.name) else { continue };
            if entry.is_dir {
                let path = directory.join(&entry.name);
                let blocks = self.open_blocks(&path)?;
                let extras = self.open_extras(&path)?;
                let number = self.tenants.len() as u32;
                let tombstones = self.open_tombstones(&path)?;
                let tenant = Tenant::new(&self.deps.budget, id.clone(), number, path, blocks, extras);
                tenant.restore_tombstones(tombstones);
                self.tenants.insert(id, Arc::new(tenant));
            }
        }
        Ok(())
    }

    /// Opens the blocks of a tenant; deletes temporary files and blocks that another one replaces. A block that cannot be
    /// opened because it is damaged stays where it is, is counted and reported, and not used.
    fn open_blocks(&self, directory: &Path) -> io::Result<Vec<Arc<Block>>> {
        let fs = &*self.deps.fs;
        let mut blocks: Vec<Block> = Vec::new();
        let mut deleted = false;
        for entry in fs.read_dir(directory)? {
            let path = directory.join(&entry.name);
            if entry.name.ends_with(".tmp") {
                fs.remove_file(&path)?;
                deleted = true;
            } else if entry.name.ends_with(BLOCK_SUFFIX) {
                match Block::open(self.env, &path) {
                    Ok(block) => blocks.push(block),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        self.env.metrics.block_corruptions.inc();
                        tracing::error!(block = %path.display(), %error, "a damaged block is not used");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let replaced: HashSet<u64> = blocks.iter().flat_map(|b| b.meta().replaces.iter().copied()).collect();
        let (gone, kept): (Vec<Block>, Vec<Block>) =
            blocks.into_iter().partition(|b| replaced.contains(&b.meta().id));
        for block in &gone {
            fs.remove_file(block.path())?;
            deleted = true;
        }
        if deleted {
            fs.sync_dir(directory)?;
        }
        Ok(kept.into_iter().map(Arc::new).collect())
    }

    fn open_extras(&self, directory: &Path) -> io::Result<Extras> {
        let path = directory.join(EXTRAS_FILE);
        let file = match stdx::fs::read(&*self.deps.fs, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Extras::default()),
            file => file?,
        };
        Ok(Extras::decode(&file).unwrap_or_else(|error| {
            self.env.metrics.block_corruptions.inc();
            tracing::error!(file = %path.display(), %error, "exemplars and metadata are damaged and start anew");
            Extras::default()
        }))
    }

    /// The deletes that are not worked off. A damaged list is set aside: the server must start.
    fn open_tombstones(&self, directory: &Path) -> io::Result<TombstoneFile> {
        let path = directory.join(TOMBSTONES_FILE);
        let file = match stdx::fs::read(&*self.deps.fs, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TombstoneFile::default()),
            file => file?,
        };
        TombstoneFile::decode(&file).or_else(|error| {
            self.env.metrics.block_corruptions.inc();
            let aside = path.with_extension("damaged");
            tracing::error!(file = %path.display(), aside = %aside.display(), %error,
                "the list of deletes is damaged and set aside; what was deleted lately may be visible again");
            self.deps.fs.rename(&path, &aside)?;
            Ok(TombstoneFile::default())
        })
    }
}

/// Cuts a segment, so that its end is not taken for damage once it is not the last one any more.
pub(crate) fn cut(fs: &dyn stdx::fs::Fs, path: &Path, at: u64) -> io::Result<()> {
    let file = fs.open_write(path)?;
    file.set_len(at)?;
    file.sync()
}
