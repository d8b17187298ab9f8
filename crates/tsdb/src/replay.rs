//! Replays the journal at start, on all cores.
//!
//! Map: this file reads · [`window`] gathers what was read and deals it · [`apply`] puts it into the heads.
//!
//! One thread reads segments: checksums, decompression, tenants, exemplars and metadata. Entries of samples are gathered
//! into windows of many frames, and a window is dealt by shard to appliers, one for each core. What a shard wrote
//! is applied by one thread in the order of the journal, so that the last write wins as it did before; but within
//! a window all samples of one series go in at once, because what costs time is to fetch a series into the processor's
//! caches. The head's index is built once at the end, from series in order of their numbers: far cheaper than to add each
//! as it comes.
//!
//! Invariants: shard and number of a series go together, in every process that wrote a segment: the shard follows
//! from the labels. Memory beside the head is two windows and what an applier gathers, a small part of the head. Why not a
//! snapshot: `docs/decisions/restart.md`.

mod apply;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use model::TenantId;

use self::apply::Applier;
use self::window::{Dealer, Piece};
use crate::extras::Extras;
use crate::head::memory::HeadMemory;
use crate::head::{SHARDS, locate};
use crate::journal::record::{self, RawEntry};
use crate::journal::{Segment, segment};
use crate::metrics::Metrics;
use crate::open::{cut, tenant_directory};
use crate::settings::{Deps, Settings};
use crate::tenant::Tenant;

/// How often the log says how far the replay is.
const LOG_PERIOD: Duration = Duration::from_secs(2);

/// What a replay needs.
pub(crate) struct Replay<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) settings: &'a Settings,
    pub(crate) metrics: &'a Metrics,
    pub(crate) memory: &'a HeadMemory,
    /// Those of the blocks; others are added as they are found.
    pub(crate) tenants: &'a mut HashMap<TenantId, Arc<Tenant>>,
}

impl Replay<'_> {
    /// Replays all segments. Returns them, and the number of the first new one.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn run(mut self, directory: &Path) -> io::Result<(BTreeMap<u64, Segment>, u64)> {
        let start = self.deps.clock.monotonic();
        let listed = segment::list(&*self.deps.fs, directory)?;
        let total_bytes: u64 = listed.values().sum();
        self.deps.replay_progress.begin(total_bytes);
        let next = listed.keys().next_back().map_or(1, |last| last + 1);
        let segments = if listed.is_empty() { BTreeMap::new() } else { self.apply(directory, listed)? };
        self.deps.replay_progress.reach(total_bytes);
        let took = self.deps.clock.monotonic().saturating_sub(start);
        self.metrics.wal_replay_seconds.set(took.as_secs_f64());
        if !segments.is_empty() {
            let series_count: usize = self.tenants.values().map(|tenant| tenant.head.series_count()).sum();
            let (segments, milliseconds) = (segments.len(), took.as_millis() as u64);
            tracing::info!(
                segments,
                bytes = total_bytes,
                series_count,
                milliseconds,
                "the journal was replayed"
            );
        }
        let after_blocks = self.tenants.values().map(|t| t.journal_before()).max().unwrap_or(0);
        Ok((segments, next.max(after_blocks)))
    }

    fn apply(&mut self, directory: &Path, listed: BTreeMap<u64, u64>) -> io::Result<BTreeMap<u64, Segment>> {
        let thread_count = std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS);
        let (metrics, memory) = (self.metrics, self.memory);
        let mut lost: BTreeMap<u64, u64> = BTreeMap::new();
        let segments = std::thread::scope(|scope| {
            let mut queues = Vec::new();
            let mut threads = Vec::new();
            for _ in 0..thread_count {
                // Nothing waits in it: one window is applied while the next one is read.
                let (queue, work) = sync_channel(0);
                let applier = Applier::new(metrics, memory);
                let thread = std::thread::Builder::new().name("tsdb-replay".to_owned());
                threads.push(thread.spawn_scoped(scope, move || applier.run(&work))?);
                queues.push(queue);
            }
            let segments = self.read(directory, listed, &mut Dealer::new(queues));
            for thread in threads {
                let found =
                    thread.join().map_err(|_| io::Error::other("BUG: a thread of the replay panicked"))?;
                for (segment, count) in found {
                    *lost.entry(segment).or_default() += count;
                }
            }
            segments
        })?;
        for (number, count) in lost {
            self.report_corruption(&segment::path(directory, number), count);
        }
        for tenant in self.tenants.values() {
            tenant.head.index_all(thread_count);
        }
        Ok(segments)
    }

    fn report_corruption(&self, path: &Path, count: u64) {
        self.metrics.wal_corruptions.inc_by(count);
        tracing::error!(segment = %path.display(), places = count, "journal is damaged; skipped");
    }

    fn read(
        &mut self,
        directory: &Path,
        listed: BTreeMap<u64, u64>,
        dealer: &mut Dealer,
    ) -> io::Result<BTreeMap<u64, Segment>> {
        let deps = self.deps;
        let last = listed.keys().next_back().copied();
        let mut segments = BTreeMap::new();
        let mut window = Vec::new();
        let mut progress = Progress { deps, before_bytes: 0, said_at: deps.clock.monotonic() };
        for (number, bytes) in listed {
            let path = segment::path(directory, number);
            let memory = self.memory;
            let mut reader =
                SegmentReader { replay: self, dealer, number, tenants: HashMap::new(), corruption_count: 0 };
            let visit = |window: &mut Vec<u8>, start: usize, at: u64| {
                reader.frame(window, start);
                if window.len() >= window::bytes_max(memory) {
                    reader.dealer.send(number, window);
                    progress.reach(at);
                }
            };
            let damage = segment::read(&*deps.fs, &path, Some(number) == last, &mut window, visit)?;
            // Numbers mean something within their segment only, and so does a window.
            reader.dealer.send(number, &mut window);
            progress.end_segment(bytes);
            let tenants: HashSet<u32> = reader.tenants.values().map(|(tenant, _)| tenant.number).collect();
            let mut segment = Segment { bytes, tenants };
            let corruption_count = damage.corruption_count + reader.corruption_count;
            if corruption_count > 0 {
                self.report_corruption(&path, corruption_count);
            }
            if let Some(at) = damage.torn_at {
                self.metrics.wal_truncated_tails.inc();
                tracing::warn!(segment = %path.display(), at, "the torn end of the journal is cut");
                cut(&*deps.fs, &path, at)?;
                segment.bytes = at;
            }
            segments.insert(number, segment);
        }
        Ok(segments)
    }
}

/// Says how far the replay is.
struct Progress<'a> {
    deps: &'a Deps,
    /// Of the segments that are done.
    before_bytes: u64,
    /// When the log was told.
    said_at: Duration,
}

impl Progress<'_> {
    /// So much of the segment at hand is done.
    fn reach(&mut self, bytes: u64) {
        let (done, total) = (self.before_bytes + bytes, self.deps.replay_progress.bytes_total());
        self.deps.replay_progress.reach(done);
        let now = self.deps.clock.monotonic();
        if now.saturating_sub(self.said_at) >= LOG_PERIOD {
            self.said_at = now;
            let percent = done * 100 / total.max(1);
            tracing::info!(percent, bytes = done, of = total, "replaying the journal");
        }
    }

    fn end_segment(&mut self, bytes: u64) {
        self.reach(bytes);
        self.before_bytes += bytes;
    }
}

/// Takes the entries of one segment apart.
struct SegmentReader<'a, 'b> {
    replay: &'a mut Replay<'b>,
    dealer: &'a mut Dealer,
    number: u64,
    /// What the segment calls its tenants, and whether blocks hold all of their records in it.
    tenants: HashMap<u32, (Arc<Tenant>, bool)>,
    corruption_count: u64,
}

impl SegmentReader<'_, '_> {
    /// Takes the entries of a frame, from `start` to the end of `window`.
    fn frame(&mut self, window: &[u8], start: usize) {
        let mut rest = &window[start..];
        while let Some(entry) = record::next_entry(&mut rest) {
            let end = window.len() - rest.len();
            if entry.and_then(|entry| self.entry(&entry, end)).is_err() {
                self.corruption_count += 1;
            }
        }
    }

    /// `end` is where the entry ends in its window.
    fn entry(&mut self, entry: &RawEntry<'_>, end: usize) -> Result<(), chunk::Corrupt> {
        if entry.kind == record::TENANT {
            return self.define_tenant(entry);
        }
        let tenant = match self.tenants.get(&entry.tenant) {
            Some((_, true)) => return Ok(()),
            Some((tenant, false)) => tenant,
            None => return Err(chunk::Corrupt("the tenant's definition was lost")),
        };
        let settings = self.replay.settings;
        match entry.kind {
            record::SAMPLES => {
                if let Some(series) = record::any_series(entry.body)? {
                    let body = end - entry.body.len()..end;
                    let piece = Piece { tenant: Arc::clone(tenant), number: entry.tenant, body };
                    self.dealer.add(locate(series).0, piece);
                }
            }
            record::EXEMPLARS => {
                let exemplars = record::read_exemplars(entry.body)?;
                let mut extras = tenant.extras.lock();
                for (series, exemplar) in exemplars {
                    extras.add_exemplar(series, exemplar, settings.exemplars_per_tenant_max);
                }
            }
            record::METADATA => {
                let metadata = record::read_metadata_list(entry.body)?;
                let mut extras = tenant.extras.lock();
                for (metric, metadata) in metadata {
                    extras.add_metadata(&metric, metadata, settings.metadata_per_tenant_max);
                }
            }
            _ => return Err(chunk::Corrupt("an entry of unknown kind")),
        }
        Ok(())
    }

    fn define_tenant(&mut self, entry: &RawEntry<'_>) -> Result<(), chunk::Corrupt> {
        let name = record::read_tenant(entry.body)?;
        let id = TenantId::new(name).map_err(|_| chunk::Corrupt("not the name of a tenant"))?;
        let next = self.replay.tenants.len() as u32;
        let directory = tenant_directory(&self.replay.settings.directory, &id);
        let budget = &self.replay.deps.budget;
        let tenant = self.replay.tenants.entry(id.clone()).or_insert_with(|| {
            Arc::new(Tenant::new(budget, id, next, directory, Vec::new(), Extras::default()))
        });
        let covered = tenant.journal_before() > self.number;
        self.tenants.insert(entry.tenant, (Arc::clone(tenant), covered));
        Ok(())
    }
}
