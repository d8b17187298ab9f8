//! Blocks to fewer blocks: those of one window become one, then those of three windows, then of twelve
//! (2 h → 6 h → 1 d).
//!
//! Windows of a level divide those of the next, and a block lies in one window of its level; so among blocks
//! of one window, whatever overlaps is merged together or is older than all of them, and the age of the newest input
//! is the right age of the result.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use roaring::RoaringBitmap;
use storage::{Error, ErrorKind, SeriesSamples};

use super::background;
use crate::block::format::{Meta, SERIES_PER_FRAME};
use crate::block::reader::{BlockSeries, DecodeScratch};
use crate::block::{Block, BlockWriter};
use crate::engine::Tsdb;
use crate::merge::Merger;
use crate::tenant::Tenant;
use crate::tombstones::holes;

/// Width of the windows of each level, in block spans.
pub(super) const LEVEL_SPANS: [i64; 3] = [1, 3, 12];
pub(super) const TOP_LEVEL: u8 = 2;
/// So many blocks are merged even if their window is still open, or one of them is much larger than the others.
const COUNT_MAX: usize = 8;
/// So many blocks of a tenant at most hold samples of one time, one more after the last flush before the end. Compactions that keep up leave fewer than
/// [`COUNT_MAX`].
const OVERLAPPING_MAX: usize = 32;
/// Else the smaller blocks together must be at least this fraction of the largest, or merging would mostly copy.
const SMALLER_DIVISOR: u64 = 10;

/// Blocks that should become one.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Their ids.
    ids: Vec<u64>,
    level: u8,
}

/// What planning needs to know of a block.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u64,
    level: u8,
    min_ms: i64,
    max_ms: i64,
    bytes: u64,
}

/// The next thing to do, if there is any.
fn plan(candidates: &[Candidate], span_ms: i64, now_ms: i64) -> Option<Plan> {
    for (level, spans) in (0u8..).zip(LEVEL_SPANS) {
        let width_ms = span_ms * spans;
        let mut windows: BTreeMap<i64, Vec<Candidate>> = BTreeMap::new();
        for block in candidates.iter().filter(|b| b.level <= level) {
            let window = block.min_ms.div_euclid(width_ms);
            if window == block.max_ms.div_euclid(width_ms) {
                windows.entry(window).or_default().push(*block);
            }
        }
        for (window, blocks) in windows {
            let closed = (window + 1) * width_ms + span_ms / super::GRACE_DIVISOR <= now_ms;
            let largest = blocks.iter().map(|b| b.bytes).max().unwrap_or(0);
            let smaller = blocks.iter().map(|b| b.bytes).sum::<u64>() - largest;
            let worthwhile = closed && blocks.len() > 1 && smaller >= largest / SMALLER_DIVISOR;
            if worthwhile || blocks.len() >= COUNT_MAX {
                return Some(Plan { ids: blocks.iter().map(|b| b.id).collect(), level });
            }
        }
    }
    None
}

impl Tsdb {
    /// Merges blocks until there is nothing worth merging.
    ///
    /// # Errors
    /// `Unavailable` if the disk is full or fails, `Corrupt` if a block is damaged; the blocks stay then.
    pub fn compact(&self) -> Result<(), Error> {
        self.all_tenants().iter().try_for_each(|tenant| self.compact_blocks(tenant))
    }

    fn compact_blocks(&self, tenant: &Tenant) -> Result<(), Error> {
        loop {
            let _one_at_a_time = self.compaction_turn.lock();
            let blocks = tenant.blocks();
            let candidates: Vec<Candidate> =
                blocks.iter().filter(|b| !b.is_damaged()).map(|b| candidate(b)).collect();
            let now_ms = self.deps.clock.now_ms();
            let Some(plan) = plan(&candidates, self.settings.block_span_ms, now_ms) else { return Ok(()) };
            let inputs: Vec<Arc<Block>> =
                blocks.iter().filter(|b| plan.ids.contains(&b.meta().id)).map(Arc::clone).collect();
            let timer = self.metrics.compaction_seconds.start_timer();
            self.merge_blocks(tenant, &inputs, plan.level)
                .inspect_err(|_| self.metrics.compaction_failures.inc())?;
            timer.observe_duration();
            self.metrics.compactions.inc();
            self.publish_blocks();
        }
    }

    /// Makes sure that one more block over any time is not one too many: whoever flushes faster than compactions follow waits
    /// for them here.
    ///
    /// # Errors
    /// As [`Self::compact`]; `Unavailable` if compactions do not help.
    pub(super) fn make_room_for_a_block(&self, tenant: &Tenant) -> Result<(), Error> {
        let is_full = || {
            let blocks = tenant.blocks();
            let sound = blocks.iter().filter(|block| !block.is_damaged());
            overlapping(sound.map(|block| (block.meta().min_ms, block.meta().max_ms))) >= OVERLAPPING_MAX
        };
        // The last flush before the end must not fail.
        if !is_full() || self.compacting.is_stopping() {
            return Ok(());
        }
        self.compact_blocks(tenant)?;
        if is_full() {
            let message = format!("{OVERLAPPING_MAX} blocks overlap, and compacting did not help");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }

    /// Makes one block of several, without what was deleted, in a thread of low priority. `inputs` are sorted by age. To be called
    /// with the turn.
    pub(super) fn merge_blocks(
        &self,
        tenant: &Tenant,
        inputs: &[Arc<Block>],
        level: u8,
    ) -> Result<(), Error> {
        background::run(|| self.merge_blocks_here(tenant, inputs, level)).unwrap_or_else(|e| {
            Err(Error::new(ErrorKind::Unavailable, format!("cannot start a thread to merge blocks: {e}")))
        })
    }

    fn merge_blocks_here(&self, tenant: &Tenant, inputs: &[Arc<Block>], level: u8) -> Result<(), Error> {
        let unavailable = |e: std::io::Error| {
            let directory = tenant.directory.display();
            Error::new(ErrorKind::Unavailable, format!("blocks of {directory} cannot be merged: {e}"))
        };
        let (id, path) = tenant.next_block(&*self.deps.fs);
        let ids: Vec<u64> = inputs.iter().map(|b| b.meta().id).collect();
        let newest = |of: fn(&Meta) -> u64| inputs.iter().map(|b| of(b.meta())).max().unwrap_or(0);
        let (age, journal_before) = (newest(|m| m.age), newest(|m| m.journal_before));
        let meta = Meta { id, age, level, journal_before, replaces: ids.clone(), ..Meta::default() };
        let mut writer =
            BlockWriter::create(&*self.deps.fs, &path, meta, &self.deps.budget).map_err(unavailable)?;
        let tombstones = tenant.tombstones();
        let oldest_ms = self.oldest_kept_ms(&tenant.id);
        let _memory = self.deps.budget.reserve_anyway(inputs.len() as u64 * CURSOR_BYTES);
        let mut cursors: Vec<Cursor<'_>> = inputs.iter().map(|block| Cursor::new(block)).collect();
        let mut samples = SeriesSamples::default();
        loop {
            if self.compacting.is_stopping() {
                return Err(Error::new(ErrorKind::Unavailable, "the engine is stopping"));
            }
            let mut least: Option<&model::Labels> = None;
            for cursor in &mut cursors {
                if let Some(series) = cursor.peek()? {
                    least = Some(least.map_or(&series.labels, |least| least.min(&series.labels)));
                }
            }
            let Some(labels) = least.cloned() else { break };
            let mut merger = Merger::new(&mut samples, oldest_ms, i64::MAX);
            for cursor in &mut cursors {
                if !tombstones.is_empty() {
                    merger.set_holes(holes(&tombstones, cursor.block.meta().age, &labels));
                }
                cursor.read_if(&labels, &mut merger)?;
            }
            writer.add(labels.as_ref(), &samples).map_err(unavailable)?;
        }
        let new = if writer.is_empty() {
            Vec::new()
        } else {
            let path = writer.finish().map_err(unavailable)?;
            vec![Arc::new(Block::open(&self.block_env, &path).map_err(unavailable)?)]
        };
        tenant.replace_blocks(&ids, new);
        if inputs.iter().any(|block| block.meta().min_ms < oldest_ms) {
            tenant.changes.lose(oldest_ms);
        }
        self.delete_files(tenant, inputs, "compacted");
        Ok(())
    }
}

/// The most ranges, inclusive at both ends, that have a time in common.
fn overlapping(ranges: impl Iterator<Item = (i64, i64)>) -> usize {
    let mut edges: Vec<(i64, i32)> =
        ranges.flat_map(|(min_ms, max_ms)| [(min_ms, 1), (max_ms.saturating_add(1), -1)]).collect();
    edges.sort_unstable();
    let (mut open, mut most) = (0, 0);
    for (_, step) in edges {
        open += step;
        most = most.max(open);
    }
    usize::try_from(most).unwrap_or(0)
}

fn candidate(block: &Block) -> Candidate {
    let meta = block.meta();
    Candidate {
        id: meta.id,
        level: meta.level,
        min_ms: meta.min_ms,
        max_ms: meta.max_ms,
        bytes: block.len_bytes(),
    }
}

/// Walks through the series of a block, one frame at a time.
struct Cursor<'a> {
    block: &'a Block,
    next: u32,
    buffer: VecDeque<BlockSeries>,
    /// Its own, because series of several blocks are read by turns.
    scratch: DecodeScratch,
}

/// Series that are decoded at once: those of one frame, which is read once then.
const BATCH: u32 = SERIES_PER_FRAME;
/// What a cursor takes, about: the series of a frame, a frame of each kind of column, and decoded timestamps.
const CURSOR_BYTES: u64 = 1 << 20;

impl<'a> Cursor<'a> {
    fn new(block: &'a Block) -> Self {
        Self { block, next: 0, buffer: VecDeque::new(), scratch: DecodeScratch::passing() }
    }

    fn peek(&mut self) -> Result<Option<&BlockSeries>, Error> {
        let count = u32::try_from(self.block.meta().series_count).unwrap_or(u32::MAX);
        while self.buffer.is_empty() && self.next < count {
            let end = self.next.saturating_add(BATCH).min(count);
            let mut wanted = RoaringBitmap::new();
            wanted.insert_range(self.next..end);
            self.next = end;
            let buffer = &mut self.buffer;
            self.block.visit_series_once(&wanted, |series| {
                buffer.push_back(series);
                Ok(())
            })?;
        }
        Ok(self.buffer.front())
    }

    /// Reads and passes the next series if it has these labels.
    fn read_if(&mut self, labels: &model::Labels, merger: &mut Merger<'_>) -> Result<(), Error> {
        if self.buffer.front().is_none_or(|series| series.labels != *labels) {
            return Ok(());
        }
        let Some(series) = self.buffer.pop_front() else { return Ok(()) };
        let scratch = &mut self.scratch;
        series.chunks.iter().try_for_each(|chunk| self.block.read_chunk(chunk, scratch, merger))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Blocks as (level, first hour, last hour, bytes), ids counted from 1.
    #[track_caller]
    fn check(blocks: &[(u8, i64, i64, u64)], now_hours: i64, want: Option<(&[u64], u8)>) {
        let candidates: Vec<Candidate> = (1..)
            .zip(blocks)
            .map(|(id, (level, first, last, bytes))| Candidate {
                id,
                level: *level,
                min_ms: first * HOUR,
                max_ms: last * HOUR + HOUR - 1,
                bytes: *bytes,
            })
            .collect();
        let want = want.map(|(ids, level)| Plan { ids: ids.to_vec(), level });
        assert_eq!(plan(&candidates, 2 * HOUR, now_hours * HOUR), want);
    }

    #[test]
    fn blocks_of_a_closed_window_are_merged_level_by_level() {
        check(&[(0, 0, 1, 100), (0, 0, 0, 10)], 3, Some((&[1, 2], 0)));
        check(&[(0, 0, 1, 100), (0, 0, 0, 10)], 1, None);
        check(&[(0, 0, 1, 100), (0, 2, 3, 100), (0, 4, 5, 100)], 7, Some((&[1, 2, 3], 1)));
        check(&[(0, 0, 1, 100), (0, 2, 3, 100)], 5, None);
        check(&[(1, 0, 5, 300), (1, 6, 11, 300), (0, 12, 13, 100)], 25, Some((&[1, 2, 3], 2)));
        check(&[(2, 0, 23, 1000), (2, 24, 47, 1000)], 100, None);
    }

    #[test]
    fn overlapping_blocks_are_counted() {
        assert_eq!(overlapping([].into_iter()), 0);
        assert_eq!(overlapping([(0, 1), (2, 3), (4, i64::MAX)].into_iter()), 1);
        assert_eq!(overlapping([(0, 2), (2, 3), (1, 5), (9, 9)].into_iter()), 3);
    }

    /// Whatever is flushed in whatever order, what compactions leave of a day are fewer than [`COUNT_MAX`] blocks.
    #[test]
    fn few_blocks_are_left_of_a_day() {
        let random = stdx::rand::SeededRandom::new(7);
        let below = |bound: i64| stdx::rand::Random::below(&random, bound.unsigned_abs()) as i64;
        let mut blocks: Vec<Candidate> = Vec::new();
        for id in 1..2000 {
            let hour = below(24);
            let min_ms = hour * HOUR + below(HOUR / 2);
            blocks.push(Candidate {
                id,
                level: 0,
                min_ms,
                max_ms: min_ms + below(HOUR / 2),
                bytes: 1 + below(9999).unsigned_abs(),
            });
            while let Some(plan) = plan(&blocks, 2 * HOUR, 24 * HOUR) {
                let (gone, kept): (Vec<Candidate>, Vec<Candidate>) =
                    blocks.into_iter().partition(|b| plan.ids.contains(&b.id));
                let first = gone.first().expect("a plan has inputs");
                let merged = Candidate {
                    id: first.id,
                    level: plan.level,
                    min_ms: gone.iter().map(|b| b.min_ms).min().expect("not empty"),
                    max_ms: gone.iter().map(|b| b.max_ms).max().expect("not empty"),
                    bytes: gone.iter().map(|b| b.bytes).sum(),
                };
                blocks = kept;
                blocks.push(merged);
            }
            assert!(blocks.len() < COUNT_MAX, "{blocks:?}");
        }
    }

    #[test]
    fn little_that_came_late_waits_until_it_is_worth_a_merge() {
        check(&[(2, 0, 23, 1000), (0, 4, 5, 10)], 100, None);
        check(&[(2, 0, 23, 1000), (0, 4, 5, 100)], 100, Some((&[1, 2], 2)));
        check(&[(2, 0, 23, 1000), (0, 4, 4, 10), (0, 5, 5, 10)], 100, Some((&[2, 3], 0)));
        let mut many = vec![(2, 0, 23, 1000)];
        many.extend((0..7).map(|at| (1, at * 3, at * 3, 1)));
        check(&many[..7], 100, Some((&[2, 3], 1)));
        many.iter_mut().skip(1).for_each(|block| block.0 = 2);
        check(&many[..7], 100, None);
        check(&many, 100, Some((&[1, 2, 3, 4, 5, 6, 7, 8], 2)));
    }
}
