//! The way out: index, snapshot, and samples merged by time when they are read.
//!
//! A selection takes what it needs from the head first, then the list of blocks: what a flush moves in between is
//! seen twice, never missed. From then on nothing that happens to head or blocks changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use model::{Labels, Matcher, Metadata, TenantId};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use stdx::memory::Reservation;
use storage::{
    ChangeLog, Changes, Error, ErrorKind, Estimate, LabelRequest, Querier, QueryContext, ReadSources,
    SelectRequest, SeriesExemplars, SeriesSamples, SeriesSet,
};

use crate::block::Block;
use crate::block::format::ChunkRef;
use crate::block::reader::DecodeScratch;
use crate::engine::Tsdb;
use crate::head::series::{Series, SeriesSnapshot};
use crate::head::{Head, SHARDS, locate};
use crate::merge::Merger;
use crate::postings::{self, LabelIndex, resolve_any, resolve_mostly};
use crate::tombstones::{Tombstones, covers, holes};

impl Querier for Tsdb {
    fn select(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, Error> {
        context.cancel.check()?;
        let mut gatherer = Gatherer {
            request: *request,
            context,
            memory: context.budget.reserve_none(),
            taken_bytes: 0,
            found: Vec::new(),
            run_count: 0,
            chunks: Vec::new(),
            tombstones: Tombstones::default(),
        };
        let mut blocks = Vec::new();
        if let Some(tenant) = self.tenant(tenant)
            && request.start_ms <= request.end_ms
        {
            gatherer.take_head(&tenant.head)?;
            gatherer.tombstones = tenant.tombstones();
            let all = tenant.blocks();
            blocks
                .extend(all.iter().filter(|b| b.overlaps(request.start_ms, request.end_ms)).map(Arc::clone));
            for (at, block) in blocks.iter().enumerate() {
                gatherer.take_block(at as u32, block)?;
            }
        }
        Ok(Box::new(gatherer.finish(blocks)?))
    }

    fn label_names(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        let mut names = BTreeSet::new();
        self.visit_indexes(tenant, request, context, |index| {
            let max = limit_of(request);
            postings::names(index, resolve_any(index, request.matcher_sets)?.as_ref(), max, &mut names)
        })?;
        Ok(names.into_iter().take(limit_of(request)).collect())
    }

    fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        request: &LabelRequest<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        let mut values = BTreeSet::new();
        self.visit_indexes(tenant, request, context, |index| {
            let max = limit_of(request);
            postings::values(
                index,
                name,
                resolve_any(index, request.matcher_sets)?.as_ref(),
                max,
                &mut values,
            )
        })?;
        Ok(values.into_iter().take(limit_of(request)).collect())
    }

    fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, Error> {
        Ok(self.tenant(tenant).map(|tenant| tenant.extras.lock().metadata(metric)).unwrap_or_default())
    }

    fn exemplars(
        &self,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<SeriesExemplars>, Error> {
        let tenant = self.tenant(tenant);
        Ok(tenant.map(|t| t.extras.lock().exemplars(matcher_sets, start_ms, end_ms)).unwrap_or_default())
    }

    fn changes(&self, tenant: &TenantId, since: u64) -> Option<Changes> {
        Some(self.tenant(tenant).map_or_else(|| ChangeLog::default().since(0), |t| t.changes.since(since)))
    }

    fn estimate(
        &self,
        tenant: &TenantId,
        request: &SelectRequest<'_>,
        context: &QueryContext,
    ) -> Result<Estimate, Error> {
        let Some(tenant) = self.tenant(tenant).filter(|_| request.start_ms <= request.end_ms) else {
            return Ok(Estimate::default());
        };
        crate::estimate::estimate(&tenant, request, context)
    }

    fn estimate_at_hand(&self, tenant: &TenantId, request: &SelectRequest<'_>) -> Option<Estimate> {
        match self.tenant(tenant).filter(|_| request.start_ms <= request.end_ms) {
            Some(tenant) => crate::estimate::estimate_at_hand(&tenant, request),
            None => Some(Estimate::default()),
        }
    }
}

impl Tsdb {
    /// Calls `visit` with the index of the head, then of each block in the range.
    fn visit_indexes(
        &self,
        tenant: &TenantId,
        request: &LabelRequest<'_>,
        context: &QueryContext,
        mut visit: impl FnMut(&dyn LabelIndex) -> Result<(), Error>,
    ) -> Result<(), Error> {
        context.cancel.check()?;
        let Some(tenant) = self.tenant(tenant) else { return Ok(()) };
        if request.start_ms > request.end_ms {
            return Ok(());
        }
        visit(&*tenant.head.index.read())?;
        for block in tenant.blocks().iter().filter(|b| b.overlaps(request.start_ms, request.end_ms)) {
            context.cancel.check()?;
            visit(&**block)?;
        }
        Ok(())
    }
}

fn limit_of(request: &LabelRequest<'_>) -> usize {
    if request.limit == 0 { usize::MAX } else { request.limit }
}

/// Collects what is selected.
struct Gatherer<'a> {
    request: SelectRequest<'a>,
    context: &'a QueryContext,
    memory: Reservation,
    taken_bytes: usize,
    /// One run after the other, each sorted by labels: the head's, then each block's, by age.
    found: Vec<SelectedSeries>,
    run_count: usize,
    /// Of all series from blocks.
    chunks: Vec<BlockChunk>,
    tombstones: Tombstones,
}

#[derive(Debug, Clone, Copy)]
struct BlockChunk {
    block: u32,
    chunk: ChunkRef,
}

/// Memory is asked for in steps of this size.
const MEMORY_STEP_BYTES: usize = 64 << 10;

impl Gatherer<'_> {
    fn take_memory(&mut self, bytes: usize) -> Result<(), Error> {
        self.taken_bytes += bytes;
        if self.taken_bytes as u64 > self.memory.bytes() {
            self.memory.grow((bytes + MEMORY_STEP_BYTES) as u64)?;
        }
        Ok(())
    }

    fn take_head(&mut self, head: &Head) -> Result<(), Error> {
        let releases = head.releases();
        let selected = head_series(head, self.request.matchers, self.context)?;
        let numbers = &selected.numbers;
        // By shard, so that each lock is taken once; with the places, to keep the order.
        let mut by_shard: [Vec<(u32, u32)>; SHARDS] = Default::default();
        for (place, number) in (0..).zip(numbers.iter()) {
            let (shard, slot) = locate(*number);
            by_shard[shard].push((slot as u32, place));
        }
        self.take_memory(numbers.len() * size_of::<SelectedSeries>())?;
        let mut places: Vec<Option<SelectedSeries>> = Vec::new();
        places.resize_with(numbers.len(), || None);
        let (mut moved, mut buffer) = (false, String::new());
        for (shard, slots) in head.shards.iter().zip(by_shard) {
            if slots.is_empty() {
                continue;
            }
            self.context.cancel.check()?;
            let shard = shard.read();
            moved |= head.releases() != releases;
            let symbols = head.symbols();
            for (slot, place) in slots {
                let Some(Some(series)) = shard.slots.get(slot as usize) else { continue };
                let Some(head) = self.of_head(series) else {
                    continue;
                };
                let known = selected.labels.get(place as usize).filter(|_| !moved);
                let labels = known.map_or_else(|| shard.labels(series, &symbols, &mut buffer), Labels::clone);
                if !moved || model::matcher::matches_all(self.request.matchers, &labels) {
                    let bytes = head.size_bytes() + labels.packed().len() + size_of::<SelectedSeries>();
                    self.take_memory(bytes)?;
                    places[place as usize] = Some(SelectedSeries { labels, head, chunks: 0..0 });
                }
            }
        }
        self.found.extend(places.into_iter().flatten());
        if moved {
            self.found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        }
        self.run_count += usize::from(!self.found.is_empty());
        Ok(())
    }

    /// What the query needs of a series' samples in the head.
    fn of_head(&self, series: &Series) -> Option<HeadPart> {
        let SelectRequest { start_ms, end_ms, hints, .. } = self.request;
        if hints.latest_only
            && let Some((timestamp_ms, value)) = series.newest_float(start_ms, end_ms)
        {
            return Some(HeadPart::Newest(timestamp_ms, value));
        }
        Some(HeadPart::Samples(series.snapshot(start_ms, end_ms)?))
    }

    fn take_block(&mut self, at: u32, block: &Block) -> Result<(), Error> {
        self.context.cancel.check()?;
        let (numbers, unchecked) = match block.selections.get(0, self.request.matchers) {
            Some(known) => (known, Vec::new()),
            None => {
                let found = resolve_mostly(block, self.request.matchers)?;
                (Arc::new(found.series), found.unchecked)
            }
        };
        let (start_ms, end_ms) = (self.request.start_ms, self.request.end_ms);
        let age = block.meta().age;
        let before = self.found.len();
        let mut met = RoaringBitmap::new();
        block.visit_series(&numbers, |mut series| {
            if series.number.is_multiple_of(CHECK_EVERY) {
                self.context.cancel.check()?;
            }
            if !unchecked.is_empty() {
                if !unchecked.iter().all(|matcher| matcher.matches_labels(series.labels.as_ref())) {
                    return Ok(());
                }
                met.insert(series.number);
            }
            if !self.tombstones.is_empty() {
                // Of what is hidden as a whole, not even the labels are shown.
                let holes = holes(&self.tombstones, age, &series.labels);
                series.chunks.retain(|chunk| !covers(&holes, chunk.min_ms, chunk.max_ms));
            }
            let start = self.chunks.len() as u32;
            let overlapping = series.chunks.iter().filter(|c| c.min_ms <= end_ms && c.max_ms >= start_ms);
            self.chunks.extend(overlapping.map(|chunk| BlockChunk { block: at, chunk: *chunk }));
            let end = self.chunks.len() as u32;
            if end > start {
                let chunk_bytes = (end - start) as usize * size_of::<BlockChunk>();
                self.take_memory(series.labels.packed().len() + chunk_bytes + size_of::<SelectedSeries>())?;
                self.found.push(SelectedSeries {
                    labels: series.labels,
                    head: HeadPart::Nothing,
                    chunks: start..end,
                });
            }
            Ok(())
        })?;
        self.run_count += usize::from(self.found.len() > before);
        if !block.is_damaged() {
            let numbers = if unchecked.is_empty() { numbers } else { Arc::new(met) };
            let cost = numbers.serialized_size();
            block.selections.insert(0, self.request.matchers, numbers, cost);
        }
        Ok(())
    }

    /// Brings together what belongs to one series.
    fn finish(mut self, blocks: Vec<Arc<Block>>) -> Result<Selection, Error> {
        self.context.cancel.check()?;
        let series_max =
            if self.request.hints.series_max == 0 { usize::MAX } else { self.request.hints.series_max };
        if self.run_count > 1 {
            self.merge_runs()?;
        }
        self.found.truncate(series_max);
        Ok(Selection {
            series: self.found,
            chunks: self.chunks,
            blocks,
            tombstones: self.tombstones,
            start_ms: self.request.start_ms,
            end_ms: self.request.end_ms,
            cancel: self.context.cancel.clone(),
            scratches: Mutex::new(Vec::new()),
            memory: Mutex::new(self.memory),
        })
    }

    /// Of several runs one, with each series once, and its chunks together.
    fn merge_runs(&mut self) -> Result<(), Error> {
        self.take_memory(self.chunks.len() * size_of::<BlockChunk>())?;
        // Stable: what was found of one series stays in order of age. Runs that are sorted are found and merged.
        self.found.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut chunks: Vec<BlockChunk> = Vec::with_capacity(self.chunks.len());
        let mut merged: Vec<SelectedSeries> = Vec::with_capacity(self.found.len());
        for piece in std::mem::take(&mut self.found) {
            let from = chunks.len() as u32;
            chunks.extend_from_slice(&self.chunks[piece.chunks.start as usize..piece.chunks.end as usize]);
            let to = chunks.len() as u32;
            match merged.last_mut() {
                Some(last) if last.labels == piece.labels => {
                    last.chunks = if last.chunks.is_empty() { from..to } else { last.chunks.start..to };
                    if matches!(last.head, HeadPart::Nothing) {
                        last.head = piece.head;
                    }
                }
                _ => merged.push(SelectedSeries { chunks: from..to, ..piece }),
            }
        }
        (self.found, self.chunks) = (merged, chunks);
        Ok(())
    }
}

/// Whether to go on is asked once in so many series.
const CHECK_EVERY: u32 = 256;

/// The head's series that meet all matchers, sorted by labels.
pub(crate) fn head_series(
    head: &Head,
    matchers: &[Matcher],
    context: &QueryContext,
) -> Result<Arc<Selected>, Error> {
    let (version, found) = {
        let index = head.index.read();
        let version = index.version();
        if let Some(known) = head.selections.get(version, matchers) {
            return Ok(known);
        }
        (version, resolve_mostly(&*index, matchers)?)
    };
    let mut by_shard: [Vec<u32>; SHARDS] = Default::default();
    for number in &found.series {
        by_shard[locate(number).0].push(number);
    }
    let mut memory = context.budget.reserve(found.series.len() * (size_of::<(Labels, u32)>() + 4) as u64)?;
    let mut series: Vec<(Labels, u32)> = Vec::with_capacity(found.series.len() as usize);
    let (mut buffer, mut label_bytes) = (String::new(), 0);
    for (shard, numbers) in head.shards.iter().zip(by_shard) {
        context.cancel.check()?;
        let (shard, before) = (shard.read(), label_bytes);
        let symbols = head.symbols();
        for number in numbers {
            let Some(Some(one)) = shard.slots.get(locate(number).1) else { continue };
            let labels = shard.labels(one, &symbols, &mut buffer);
            if found.unchecked.iter().all(|matcher| matcher.matches_labels(labels.as_ref())) {
                label_bytes += labels.packed().len() + LABELS_BYTES;
                series.push((labels, number));
            }
        }
        memory.grow((label_bytes - before) as u64)?;
    }
    series.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let numbers: Box<[u32]> = series.iter().map(|(_, number)| *number).collect();
    // Labels are put together again each time if they are too many to be kept.
    let (labels, cost): (Box<[Labels]>, usize) = if label_bytes <= LABELS_KEPT_MAX {
        (series.into_iter().map(|(labels, _)| labels).collect(), label_bytes + numbers.len() * 4)
    } else {
        (Box::default(), numbers.len() * 4)
    };
    let selected = Arc::new(Selected { numbers, labels });
    // A number that was given to another series meanwhile is found out by whoever visits it, but must not be kept.
    if head.index.read().version() == version {
        head.selections.insert(version, matchers, Arc::clone(&selected), cost);
    }
    Ok(selected)
}

/// Series of the head that a selector found.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Sorted by labels.
    pub(crate) numbers: Box<[u32]>,
    /// Of the same series, or none.
    labels: Box<[Labels]>,
}

/// What labels cost besides their text: their handle, counters and what the allocator adds.
const LABELS_BYTES: usize = size_of::<Labels>() + 24;
/// Labels of a selection are kept if they are at most so many bytes.
const LABELS_KEPT_MAX: usize = 512 << 10;

struct SelectedSeries {
    labels: Labels,
    head: HeadPart,
    /// Places in the selection's chunks: of one block after the other, by age.
    chunks: Range<u32>,
}

/// What is taken of a series from the head.
enum HeadPart {
    Nothing,
    /// The newest sample in the head, and nobody wants older ones.
    Newest(i64, f64),
    Samples(SeriesSnapshot),
}

impl HeadPart {
    /// Bytes that are held for it alone.
    fn size_bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::Newest(..) => 0,
            Self::Samples(snapshot) => snapshot.size_bytes(),
        }
    }
}

/// Selected series; see [`SeriesSet`].
struct Selection {
    series: Vec<SelectedSeries>,
    chunks: Vec<BlockChunk>,
    blocks: Vec<Arc<Block>>,
    tombstones: Tombstones,
    start_ms: i64,
    end_ms: i64,
    cancel: stdx::cancel::Cancel,
    /// Buffers for decoding, one for each thread that reads at the same time.
    scratches: Mutex<Vec<DecodeScratch>>,
    /// Of all this, and of the buffers.
    memory: Mutex<Reservation>,
}

impl Selection {
    /// Adds what is in these chunks of blocks, then what is in the head.
    fn read_pieces(
        &self,
        series: &SelectedSeries,
        chunks: &[BlockChunk],
        scratch: &mut DecodeScratch,
        merger: &mut Merger<'_>,
    ) -> Result<(), Error> {
        for chunks in chunks.chunk_by(|a, b| a.block == b.block) {
            let block = &self.blocks[chunks[0].block as usize];
            if !self.tombstones.is_empty() {
                merger.set_holes(holes(&self.tombstones, block.meta().age, &series.labels));
            }
            chunks.iter().try_for_each(|place| block.read_chunk(&place.chunk, scratch, merger))?;
        }
        merger.set_holes(Vec::new());
        match &series.head {
            HeadPart::Nothing => Ok(()),
            HeadPart::Newest(timestamp_ms, value) => {
                merger.add_floats(&[*timestamp_ms], &[*value], &[]);
                Ok(())
            }
            HeadPart::Samples(head) => {
                head.read(merger).map_err(|e| Error::new(ErrorKind::Corrupt, format!("head chunk: {e}")))
            }
        }
    }
}

impl SeriesSet for Selection {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self.series[at].labels
    }

    fn read(&self, at: usize, into: &mut SeriesSamples) -> Result<(), Error> {
        self.cancel.check()?;
        let series = &self.series[at];
        let all_chunks = &self.chunks[series.chunks.start as usize..series.chunks.end as usize];
        let newest_ms =
            if let HeadPart::Newest(timestamp_ms, _) = series.head { timestamp_ms } else { i64::MIN };
        let needed = all_chunks.iter().any(|place| place.chunk.max_ms >= newest_ms);
        let chunks = if needed { all_chunks } else { &[] };
        let mut merger = Merger::new(into, self.start_ms, self.end_ms);
        if let (HeadPart::Newest(timestamp_ms, value), []) = (&series.head, chunks) {
            merger.add_floats(&[*timestamp_ms], &[*value], &[]);
            return Ok(());
        }
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let bytes_before = scratch.size_bytes();
        merger.lend(std::mem::take(&mut scratch.pieces));
        let result = self.read_pieces(series, chunks, &mut scratch, &mut merger);
        scratch.pieces = merger.give_back();
        let grown_bytes = scratch.size_bytes().saturating_sub(bytes_before);
        self.scratches.lock().push(scratch);
        if grown_bytes > 0 {
            self.memory.lock().grow(grown_bytes as u64)?;
        }
        result
    }

    fn sources(&self) -> ReadSources {
        let in_head = self.series.iter().filter(|series| !matches!(series.head, HeadPart::Nothing)).count();
        let mut sources = ReadSources {
            head_series_count: in_head as u64,
            block_count: self.blocks.len() as u64,
            chunk_count: self.chunks.len() as u64,
            ..ReadSources::default()
        };
        for scratch in self.scratches.lock().iter() {
            sources.frames_cached += scratch.frames_cached;
            sources.frames_read += scratch.frames_read;
        }
        sources
    }
}
