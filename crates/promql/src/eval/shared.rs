//! Results of parts that stand in a query more than once: kept at the first place, repeated at the others.
//!
//! What is kept has a bound and is taken from the query's memory. Where it does not fit, the part is evaluated anew
//! each time, as if it stood there once: sharing saves time, and never fails a query that could be answered without.
//! What was said about the part and what it looked at is repeated too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::plan::{Node, Shared};

use super::column::Series;
use super::grid::Grid;
use super::ledger::Ledger;
use super::stats::SampleStats;
use super::{Evaluator, Sink};

/// The most bytes of shared results that a query keeps at a time.
const BYTES_MAX: u64 = 16 << 20;
/// And no more than this part of the memory it may hold.
const MEMORY_SHARE: u64 = 8;

/// Results that a query keeps for other places of the same part.
#[derive(Debug, Default)]
pub(crate) struct SharedResults {
    recordings: HashMap<usize, Recording>,
    bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Recording {
    grid: Grid,
    /// Where the part stands that was evaluated.
    start: usize,
    /// How many places have not had it yet.
    places_left: usize,
    series: Kept,
    annotations: Annotations,
    stats: SampleStats,
}

/// Series with their memory charged, within a bound for all of a query.
#[derive(Debug)]
struct Kept {
    series: Vec<Series>,
    bytes: u64,
    bytes_of_all: Arc<AtomicU64>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.bytes_of_all.fetch_sub(self.bytes, Relaxed);
    }
}

impl Kept {
    /// Keeps a copy; `false` if there is no room for it.
    fn push(&mut self, series: &Series, ledger: &Ledger, bytes_max: u64) -> bool {
        let bytes = series.size_bytes();
        if self.bytes_of_all.load(Relaxed) + bytes > bytes_max {
            return false;
        }
        let Ok(charge) = ledger.take(0, bytes) else { return false };
        self.bytes_of_all.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        let mut copy = Series { charge: Some(charge), ..Series::default() };
        copy.copy_from(series);
        self.series.push(copy);
        true
    }
}

impl SharedResults {
    /// Forgets what nobody asked for, and gives back its memory.
    pub(crate) fn clear(&mut self) {
        self.recordings.clear();
    }
}

impl Evaluator<'_> {
    /// Evaluates a part that stands in the query more than once, or repeats its result.
    pub(super) fn stream_shared(
        &mut self,
        shared: Shared,
        node: &Node,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        if let Some(recording) = self.shared.recordings.remove(&shared.id) {
            // What was counted once for all steps cannot be told to each.
            if recording.grid == *grid && (recording.stats.is_per_step() || !self.stats.is_per_step()) {
                return self.repeat(shared, recording, node, sink);
            }
        }
        self.record(shared, node, grid, sink)
    }

    fn record(
        &mut self,
        shared: Shared,
        node: &Node,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let bytes_max = BYTES_MAX.min(self.context.budget.limit_bytes() / MEMORY_SHARE);
        let ledger = self.ledger.clone();
        let bytes_of_all = Arc::clone(&self.shared.bytes);
        let mut kept = Some(Kept { series: Vec::new(), bytes: 0, bytes_of_all });
        let annotations_before = std::mem::take(&mut self.annotations);
        let stats_before = self.stats.begin_shared();
        let result = self.stream_settled(node, grid, &mut |series| {
            kept = kept.take().and_then(|mut kept| kept.push(series, &ledger, bytes_max).then_some(kept));
            sink(series)
        });
        let annotations = std::mem::replace(&mut self.annotations, annotations_before);
        let stats = std::mem::replace(&mut self.stats, stats_before);
        self.annotations.absorb(annotations.clone());
        self.stats.merge(&mut stats.clone());
        result?;
        if let Some(series) = kept {
            let places_left = shared.places - 1;
            let (start, grid) = (node.span.start, *grid);
            let recording = Recording { grid, start, places_left, series, annotations, stats };
            self.shared.recordings.insert(shared.id, recording);
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        shared: Shared,
        mut recording: Recording,
        node: &Node,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        self.annotations.absorb(recording.annotations.moved(recording.start, node.span.start));
        self.stats.merge(&mut recording.stats.clone());
        recording.places_left -= 1;
        if recording.places_left == 0 {
            // Nobody comes after this: the series themselves, whose memory their new owner takes.
            for (at, mut series) in std::mem::take(&mut recording.series.series).into_iter().enumerate() {
                self.check_at(at)?;
                series.charge = None;
                sink(&mut series)?;
            }
            return Ok(());
        }
        let mut passing = Series::default();
        for (at, series) in recording.series.series.iter().enumerate() {
            self.check_at(at)?;
            passing.copy_from(series);
            passing.charge = None;
            sink(&mut passing)?;
        }
        self.shared.recordings.insert(shared.id, recording);
        Ok(())
    }
}
