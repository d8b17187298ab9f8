//! How the engine starts: locks the directory, opens blocks, replays the journal.
//!
//! Layout of the directory: `lock`; `wal/NUMBER.wal`; `tenants/NAME/NUMBER.block` and `tenants/NAME/extras`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use model::TenantId;
use parking_lot::RwLockWriteGuard;
use storage::{Error, ErrorKind};

use crate::append::hash_labels;
use crate::block::Block;
use crate::block::cache::FrameCache;
use crate::block::reader::BlockEnv;
use crate::engine::{Parts, Tsdb};
use crate::extras::Extras;
use crate::head::memory::HeadMemory;
use crate::head::series::{Series, Tally};
use crate::head::{SeriesLimits, Shard, locate, series_bytes, series_number, shard_of};
use crate::journal::record::{Entry, Samples, read_entry};
use crate::journal::{Journal, JournalConfig, Segment, segment};
use crate::metrics::Metrics;
use crate::settings::{Deps, Settings};
use crate::tenant::{BLOCK_SUFFIX, EXTRAS_FILE, Tenant};
use crate::tombstones::{TOMBSTONES_FILE, TombstoneFile};

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
        let lock = fs.lock(&directory.join("lock")).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => {
                let path = directory.display();
                Error::new(
                    ErrorKind::Unavailable,
                    format!("data directory {path} is in use by another process"),
                )
            }
            _ => at(&directory)(e),
        })?;
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
        });
        let mut opener =
            Opener { deps: &deps, settings: &settings, env: &block_env, tenants: HashMap::new() };
        opener.open_tenants(&tenants).map_err(at(&tenants))?;
        let memory = HeadMemory::new(&deps.budget, settings.head_bytes_max, metrics.head_bytes.clone());
        let (segments, first) = opener.replay(&wal, &memory).map_err(at(&wal))?;
        let tenants = opener.tenants;
        let config = JournalConfig {
            fs,
            clock: Arc::clone(&deps.clock),
            metrics: Arc::clone(&metrics),
            directory: wal,
            segment_bytes_max: settings.wal_segment_bytes_max,
            queue_bytes_max: settings.wal_queue_bytes_max,
            fsync: settings.fsync,
        };
        let journal = Journal::start(config, segments, first)?;
        metrics.tenants.set(tenants.len() as i64);
        let next_tenant = tenants.len() as u32;
        let parts = Parts { settings, deps, metrics, block_env, journal, memory, tenants, next_tenant, lock };
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

struct Opener<'a> {
    deps: &'a Deps,
    settings: &'a Settings,
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
                let tenant = Tenant::new(id.clone(), number, path, blocks, extras);
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

    /// Replays all segments. Returns them, and the number of the first new one.
    fn replay(&mut self, directory: &Path, memory: &HeadMemory) -> io::Result<(BTreeMap<u64, Segment>, u64)> {
        let fs = &*self.deps.fs;
        let start = self.deps.clock.monotonic();
        let listed = segment::list(fs, directory)?;
        let progress = &self.deps.replay_progress;
        progress.begin(listed.len() as u64);
        let last = listed.keys().next_back().copied();
        let mut segments = BTreeMap::new();
        for (number, len) in &listed {
            let path = segment::path(directory, *number);
            let mut replay = Replay::new(self, *number, memory);
            let damage = segment::read(fs, &path, Some(*number) == last, |entries| replay.frame(entries))?;
            let corruption_count = damage.corruption_count + replay.corruption_count;
            let mut segment = Segment { bytes: *len, tenants: replay.tenants_seen() };
            if corruption_count > 0 {
                self.env.metrics.wal_corruptions.inc_by(corruption_count);
                tracing::error!(segment = %path.display(), places = corruption_count, "journal is damaged; skipped");
            }
            if let Some(at) = damage.torn_at {
                self.env.metrics.wal_truncated_tails.inc();
                tracing::warn!(segment = %path.display(), at, "the torn end of the journal is cut");
                cut(fs, &path, at)?;
                segment.bytes = at;
            }
            segments.insert(*number, segment);
            progress.advance();
        }
        let took = self.deps.clock.monotonic().saturating_sub(start);
        self.env.metrics.wal_replay_seconds.set(took.as_secs_f64());
        let after_blocks = self.tenants.values().map(|t| t.journal_before()).max().unwrap_or(0);
        Ok((segments, last.map_or(1, |last| last + 1).max(after_blocks)))
    }
}

/// Cuts a segment, so that its end is not taken for damage once it is not the last one any more.
fn cut(fs: &dyn stdx::fs::Fs, path: &Path, at: u64) -> io::Result<()> {
    let file = fs.open_write(path)?;
    file.set_len(at)?;
    file.sync()
}

/// Applies the entries of one segment to the heads.
struct Replay<'a, 'b> {
    opener: &'a mut Opener<'b>,
    segment: u64,
    memory: &'a HeadMemory,
    /// What the segment calls its tenants; `None` if blocks hold all of its records.
    tenants: HashMap<u32, (Arc<Tenant>, bool)>,
    /// What the segment calls its series, and what we call them.
    series: hashbrown::HashMap<(u32, u32), u32>,
    corruption_count: u64,
}

impl<'a, 'b> Replay<'a, 'b> {
    fn new(opener: &'a mut Opener<'b>, segment: u64, memory: &'a HeadMemory) -> Self {
        Self {
            opener,
            segment,
            memory,
            tenants: HashMap::new(),
            series: hashbrown::HashMap::new(),
            corruption_count: 0,
        }
    }

    fn tenants_seen(&self) -> HashSet<u32> {
        self.tenants.values().map(|(tenant, _)| tenant.number).collect()
    }

    fn frame(&mut self, mut entries: &[u8]) {
        while let Some(entry) = read_entry(&mut entries) {
            match entry {
                Ok(entry) => self.entry(entry),
                Err(_) => self.corruption_count += 1,
            }
        }
    }

    fn entry(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Tenant { number, name } => {
                let Ok(id) = TenantId::new(name) else {
                    self.corruption_count += 1;
                    return;
                };
                let next = self.opener.tenants.len() as u32;
                let directory = tenant_directory(&self.opener.settings.directory, &id);
                let tenant = self.opener.tenants.entry(id.clone()).or_insert_with(|| {
                    Arc::new(Tenant::new(id, next, directory, Vec::new(), Extras::default()))
                });
                let covered = tenant.journal_before() > self.segment;
                self.tenants.insert(number, (Arc::clone(tenant), covered));
            }
            Entry::Samples { tenant, samples } => {
                if let Some(known) = self.known(tenant) {
                    self.samples(tenant, &known, &samples);
                }
            }
            Entry::Exemplars { tenant, exemplars } => {
                if let Some(known) = self.known(tenant) {
                    let count_max = self.opener.settings.exemplars_per_tenant_max;
                    let mut extras = known.extras.lock();
                    for (series, exemplar) in exemplars {
                        extras.add_exemplar(series, exemplar, count_max);
                    }
                }
            }
            Entry::Metadata { tenant, metadata } => {
                if let Some(known) = self.known(tenant) {
                    let families_max = self.opener.settings.metadata_per_tenant_max;
                    let mut extras = known.extras.lock();
                    for (metric, metadata) in metadata {
                        extras.add_metadata(&metric, metadata, families_max);
                    }
                }
            }
        }
    }

    /// The tenant of an entry; `None` if its definition was lost, or blocks hold the entry.
    fn known(&mut self, number: u32) -> Option<Arc<Tenant>> {
        match self.tenants.get(&number) {
            Some((_, true)) => None,
            Some((tenant, false)) => Some(Arc::clone(tenant)),
            None => {
                self.corruption_count += 1;
                None
            }
        }
    }

    fn samples(&mut self, tenant_number: u32, tenant: &Tenant, samples: &Samples<'_>) {
        let mut tally = Tally::default();
        let head = &tenant.head;
        for (number, labels) in &samples.defined {
            let hash = hash_labels(labels.packed());
            let shard_number = shard_of(hash);
            let mut shard = head.shards[shard_number].write();
            let slot = head.find(&shard, hash, *labels).or_else(|| {
                tally.bytes += series_bytes(labels.packed()) as i64;
                self.opener.env.metrics.head_series.inc();
                head.create(&mut shard, shard_number, hash, *labels, &SeriesLimits::NONE).ok()
            });
            if let Some(slot) = slot {
                self.series.insert((tenant_number, *number), series_number(shard_number, slot));
            }
        }
        let mut lost = false;
        // All series of an entry are of one shard, so that one lock serves the whole entry.
        let mut open: Option<(usize, RwLockWriteGuard<'_, Shard>)> = None;
        let known = &self.series;
        let mut apply = |number: u32, write: &mut dyn FnMut(&mut Series)| {
            let Some((shard, slot)) = known.get(&(tenant_number, number)).map(|ours| locate(*ours)) else {
                lost = true;
                return;
            };
            if open.as_ref().is_none_or(|(at, _)| *at != shard) {
                drop(open.take());
                open = Some((shard, head.shards[shard].write()));
            }
            if let Some((_, shard)) = &mut open {
                write(shard.slots[slot].as_mut().expect("nothing is released during a replay"));
            }
        };
        for ((number, timestamp_ms), value) in
            samples.series.iter().zip(&samples.timestamps_ms).zip(&samples.values)
        {
            apply(*number, &mut |series| series.append_float(*timestamp_ms, *value, &mut tally));
        }
        for (number, timestamp_ms, histogram) in &samples.histograms {
            apply(*number, &mut |series| {
                series.append_histogram(*timestamp_ms, Arc::clone(histogram), &mut tally);
            });
        }
        drop(open);
        self.corruption_count += u64::from(lost);
        self.opener.env.metrics.head_chunks.add(tally.chunk_count);
        self.memory.change(tally.bytes);
    }
}
