//! Replays the journal at start, on all cores.
//!
//! One thread reads segments: checksums, decompression, tenants, exemplars and metadata. Samples are dealt by shard
//! to appliers, one for each core, through bounded queues. What a shard wrote is applied by one thread in the
//! order of the journal, so that the last write wins as it did before. The head's index is built once at the
//! end, from series in order of their numbers: far cheaper than to add each as it comes.
//!
//! Invariants: shard and number of a series go together, in every process that wrote a segment: the shard follows
//! from the labels. Memory beside the head is a few frames. Why not a snapshot: `docs/decisions/restart.md`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use model::TenantId;

use crate::append::hash_labels;
use crate::extras::Extras;
use crate::head::memory::HeadMemory;
use crate::head::series::Tally;
use crate::head::{SHARDS, locate, series_number, shard_of};
use crate::journal::record::{self, Definitions, RawEntry, Samples};
use crate::journal::{Segment, segment};
use crate::metrics::Metrics;
use crate::open::{cut, tenant_directory};
use crate::settings::{Deps, Settings};
use crate::tenant::Tenant;

/// Frames that may wait for each applier.
const QUEUE_MAX: usize = 4;
/// A series may have a number this much larger than all that its segment has defined so far; more is damage.
const NUMBER_GAP_MAX: usize = 1 << 20;

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
        self.deps.replay_progress.begin(listed.len() as u64);
        let next = listed.keys().next_back().map_or(1, |last| last + 1);
        let segments = if listed.is_empty() { BTreeMap::new() } else { self.apply(directory, listed)? };
        let took = self.deps.clock.monotonic().saturating_sub(start);
        self.metrics.wal_replay_seconds.set(took.as_secs_f64());
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
                let (queue, work) = sync_channel(QUEUE_MAX);
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
        for (number, bytes) in listed {
            let path = segment::path(directory, number);
            let mut reader =
                SegmentReader { replay: self, dealer, number, tenants: HashMap::new(), corruption_count: 0 };
            let damage =
                segment::read(&*deps.fs, &path, Some(number) == last, |entries| reader.frame(entries))?;
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
            deps.replay_progress.advance();
        }
        Ok(segments)
    }
}

/// Samples of one frame for one applier.
struct Work {
    segment: u64,
    frame: Arc<Vec<u8>>,
    entries: Vec<Piece>,
}

/// The body of an entry of samples.
struct Piece {
    tenant: Arc<Tenant>,
    /// What the segment calls the tenant.
    number: u32,
    body: Range<usize>,
}

/// Deals entries to appliers.
struct Dealer {
    queues: Vec<SyncSender<Work>>,
    pieces: Vec<Vec<Piece>>,
}

impl Dealer {
    fn new(queues: Vec<SyncSender<Work>>) -> Self {
        let pieces = queues.iter().map(|_| Vec::new()).collect();
        Self { queues, pieces }
    }

    fn add(&mut self, shard: usize, piece: Piece) {
        let at = shard % self.pieces.len();
        self.pieces[at].push(piece);
    }

    /// Hands out what was added of a frame.
    fn send(&mut self, segment: u64, frame: Vec<u8>) {
        let frame = Arc::new(frame);
        for (queue, pieces) in self.queues.iter().zip(&mut self.pieces) {
            if !pieces.is_empty() {
                let work = Work { segment, frame: Arc::clone(&frame), entries: std::mem::take(pieces) };
                // Its thread ends early only in a panic, which is noticed when it is joined.
                let _ = queue.send(work);
            }
        }
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
    fn frame(&mut self, frame: Vec<u8>) {
        let mut rest = &frame[..];
        while let Some(entry) = record::next_entry(&mut rest) {
            let end = frame.len() - rest.len();
            if entry.and_then(|entry| self.entry(&entry, end)).is_err() {
                self.corruption_count += 1;
            }
        }
        self.dealer.send(self.number, frame);
    }

    /// `end` is where the entry ends in its frame.
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
        let tenant = self
            .replay
            .tenants
            .entry(id.clone())
            .or_insert_with(|| Arc::new(Tenant::new(id, next, directory, Vec::new(), Extras::default())));
        let covered = tenant.journal_before() > self.number;
        self.tenants.insert(entry.tenant, (Arc::clone(tenant), covered));
        Ok(())
    }
}

/// What a segment calls series of one tenant, and what we call them: by shard, then by slot.
type Known = [Vec<u32>; SHARDS];

/// No series of ours.
const UNKNOWN: u32 = u32::MAX;

/// Applies samples to the heads.
struct Applier<'a> {
    metrics: &'a Metrics,
    memory: &'a HeadMemory,
    segment: u64,
    /// By what the segment calls the tenant.
    known: HashMap<u32, Known>,
    samples: Samples,
    lost: BTreeMap<u64, u64>,
}

impl<'a> Applier<'a> {
    fn new(metrics: &'a Metrics, memory: &'a HeadMemory) -> Self {
        let samples = Samples::default();
        Self { metrics, memory, segment: 0, known: HashMap::new(), samples, lost: BTreeMap::new() }
    }

    /// Works until the queue is closed. Returns by segment how many entries were damaged or spoke of series whose
    /// definition was lost.
    fn run(mut self, queue: &Receiver<Work>) -> BTreeMap<u64, u64> {
        for work in queue {
            if self.segment != work.segment {
                self.segment = work.segment;
                // Numbers mean something within their segment only.
                self.known.clear();
            }
            let mut tally = Tally::default();
            for piece in &work.entries {
                if !self.entry(piece, &work.frame[piece.body.clone()], &mut tally) {
                    *self.lost.entry(work.segment).or_default() += 1;
                }
            }
            self.metrics.head_chunks.add(tally.chunk_count);
            self.memory.change(tally.bytes);
        }
        self.lost
    }

    /// Whether all of it could be applied.
    fn entry(&mut self, piece: &Piece, body: &[u8], tally: &mut Tally) -> bool {
        let known = self.known.entry(piece.number).or_default();
        let Ok(defined) = record::read_samples(body, &mut self.samples) else { return false };
        let defined = define(known, &piece.tenant, &defined, self.metrics, tally);
        defined & apply(known, &piece.tenant, &self.samples, tally)
    }
}

fn define(
    known: &mut Known,
    tenant: &Tenant,
    defined: &Definitions<'_>,
    metrics: &Metrics,
    tally: &mut Tally,
) -> bool {
    let head = &tenant.head;
    let mut sound = true;
    for (number, labels) in defined {
        let hash = hash_labels(labels.packed());
        let shard_number = shard_of(hash);
        let mut shard = head.shards[shard_number].write();
        let slot = head.find(&shard, hash, *labels).or_else(|| {
            let slot = head.insert(&mut shard, hash, *labels)?;
            tally.bytes += shard.take_new_bytes();
            metrics.head_series.inc();
            Some(slot)
        });
        let (at, theirs) = locate(*number);
        let known = &mut known[at];
        match slot {
            Some(slot) if theirs < known.len() + NUMBER_GAP_MAX => {
                if known.len() <= theirs {
                    known.resize(theirs + 1, UNKNOWN);
                }
                known[theirs] = series_number(shard_number, slot);
            }
            _ => sound = false,
        }
    }
    sound
}

fn apply(known: &Known, tenant: &Tenant, samples: &Samples, tally: &mut Tally) -> bool {
    let ours = |number: u32| {
        let (shard, slot) = locate(number);
        known[shard].get(slot).copied().filter(|ours| *ours != UNKNOWN).map(locate)
    };
    let mut sound = true;
    // All series of an entry are of one shard, so that one lock serves the whole entry.
    let mut open = None;
    let mut series_of = |number: u32, write: &mut dyn FnMut(&mut crate::head::series::Series)| {
        let Some((shard, slot)) = ours(number) else {
            sound = false;
            return;
        };
        if open.as_ref().is_none_or(|(at, _)| *at != shard) {
            drop(open.take());
            open = Some((shard, tenant.head.shards[shard].write()));
        }
        if let Some((_, shard)) = &mut open {
            write(shard.slots[slot].as_mut().expect("nothing is released during a replay"));
        }
    };
    let floats = samples.series.iter().zip(&samples.timestamps_ms).zip(&samples.values);
    for (place, ((number, timestamp_ms), value)) in floats.enumerate() {
        let start_ms = samples.starts.get(place);
        series_of(*number, &mut |series| series.append_float(*timestamp_ms, *value, start_ms, tally));
    }
    for (place, (number, timestamp_ms, histogram)) in samples.histograms.iter().enumerate() {
        let start_ms = samples.histogram_starts.get(place);
        series_of(*number, &mut |series| {
            series.append_histogram(*timestamp_ms, Arc::clone(histogram), start_ms, tally);
        });
    }
    sound
}
