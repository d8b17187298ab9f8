//! The way out: index, snapshot, and samples merged by time when they are read.
//!
//! A selection takes what it needs from the head first, then the list of blocks: what a flush moves in between is
//! seen twice, never missed. From then on nothing that happens to head or blocks changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use model::{Labels, Matcher, Metadata, TenantId};
use parking_lot::Mutex;
use stdx::memory::Reservation;
use storage::{
    Error, ErrorKind, LabelRequest, Querier, QueryContext, SelectRequest, SeriesExemplars, SeriesSamples,
    SeriesSet,
};

use crate::block::Block;
use crate::block::format::ChunkRef;
use crate::block::reader::DecodeScratch;
use crate::engine::Tsdb;
use crate::head::series::SeriesSnapshot;
use crate::head::{Head, SHARDS, locate};
use crate::merge::Merger;
use crate::postings::{LabelIndex, resolve, resolve_any};
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
            index.names(resolve_any(index, request.matcher_sets)?.as_ref(), &mut names)
        })?;
        Ok(limited(names, request.limit))
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
            index.values(name, resolve_any(index, request.matcher_sets)?.as_ref(), &mut values)
        })?;
        Ok(limited(values, request.limit))
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

fn limited(sorted: BTreeSet<String>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    sorted.into_iter().take(limit).collect()
}

/// Collects what is selected.
struct Gatherer<'a> {
    request: SelectRequest<'a>,
    context: &'a QueryContext,
    memory: Reservation,
    taken_bytes: usize,
    found: Vec<(Labels, Source)>,
    /// Of all series from blocks.
    chunks: Vec<BlockChunk>,
    tombstones: Tombstones,
}

enum Source {
    Head(SeriesSnapshot),
    /// Place in `chunks`.
    Block(Range<u32>),
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
        let numbers = resolve(&*head.index.read(), self.request.matchers)?;
        // By shard, so that each lock is taken once.
        let mut by_shard: [Vec<u32>; SHARDS] = Default::default();
        for number in numbers {
            let (shard, slot) = locate(number);
            by_shard[shard].push(slot as u32);
        }
        for (shard, slots) in head.shards.iter().zip(by_shard) {
            if slots.is_empty() {
                continue;
            }
            let shard = shard.read();
            let moved = head.releases() != releases;
            for slot in slots {
                self.context.cancel.check()?;
                let Some(Some(series)) = shard.slots.get(slot as usize) else { continue };
                if moved && !model::matcher::matches_all(self.request.matchers, &series.labels) {
                    continue;
                }
                if let Some(snapshot) = series.snapshot(self.request.start_ms, self.request.end_ms) {
                    self.take_memory(snapshot.size_bytes() + size_of::<SelectedSeries>())?;
                    self.found.push((series.labels.clone(), Source::Head(snapshot)));
                }
            }
        }
        Ok(())
    }

    fn take_block(&mut self, at: u32, block: &Block) -> Result<(), Error> {
        self.context.cancel.check()?;
        let numbers = resolve(block, self.request.matchers)?;
        let (start_ms, end_ms) = (self.request.start_ms, self.request.end_ms);
        let age = block.meta().age;
        block.visit_series(&numbers, |mut series| {
            self.context.cancel.check()?;
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
                self.found.push((series.labels, Source::Block(start..end)));
            }
            Ok(())
        })
    }

    /// Brings together what belongs to one series.
    fn finish(mut self, blocks: Vec<Arc<Block>>) -> Result<Selection, Error> {
        self.context.cancel.check()?;
        // Stable: what was found of one series stays in order, the head first, then blocks by age.
        self.found.sort_by(|a, b| a.0.cmp(&b.0));
        let series_max =
            if self.request.hints.series_max == 0 { usize::MAX } else { self.request.hints.series_max };
        let mut series: Vec<SelectedSeries> = Vec::new();
        for (labels, source) in self.found {
            if series.last().is_none_or(|last| last.labels != labels) {
                if series.len() == series_max {
                    break;
                }
                series.push(SelectedSeries { labels, head: None, chunks: Vec::new() });
            }
            let last = series.last_mut().expect("just pushed");
            match source {
                Source::Head(snapshot) => last.head = Some(snapshot),
                Source::Block(range) => last.chunks.push(range),
            }
        }
        Ok(Selection {
            series,
            chunks: self.chunks,
            blocks,
            tombstones: self.tombstones,
            start_ms: self.request.start_ms,
            end_ms: self.request.end_ms,
            cancel: self.context.cancel.clone(),
            scratches: Mutex::new(Vec::new()),
            _memory: self.memory,
        })
    }
}

struct SelectedSeries {
    labels: Labels,
    head: Option<SeriesSnapshot>,
    /// Places in the selection's chunks, one range a block, blocks by age.
    chunks: Vec<Range<u32>>,
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
    _memory: Reservation,
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
        let mut merger = Merger::new(into, self.start_ms, self.end_ms);
        if !series.chunks.is_empty() {
            let mut scratch = self.scratches.lock().pop().unwrap_or_default();
            let result = series.chunks.iter().try_for_each(|range| {
                let chunks = &self.chunks[range.start as usize..range.end as usize];
                if let Some(first) = chunks.first()
                    && !self.tombstones.is_empty()
                {
                    let age = self.blocks[first.block as usize].meta().age;
                    merger.set_holes(holes(&self.tombstones, age, &series.labels));
                }
                chunks.iter().try_for_each(|BlockChunk { block, chunk }| {
                    self.blocks[*block as usize].read_chunk(chunk, &mut scratch, &mut merger)
                })
            });
            merger.set_holes(Vec::new());
            self.scratches.lock().push(scratch);
            result?;
        }
        if let Some(head) = &series.head {
            head.read(&mut merger).map_err(|e| Error::new(ErrorKind::Corrupt, format!("head chunk: {e}")))?;
        }
        Ok(())
    }
}
