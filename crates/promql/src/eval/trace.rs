//! What each part of a plan does while it is evaluated, for those who ask for it. Without that, nothing is measured.
//!
//! Parts push series to one another, so the time that a part's consumer takes is taken off: a part's time is its own and that
//! of the parts below it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use storage::{ReadSources, SeriesSamples, SeriesSet};

use crate::plan::{Node, Select};

/// What a part has done, all its evaluations together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// How often it was evaluated.
    pub evaluation_count: u64,
    /// Series it gave.
    pub series_count: u64,
    /// Their samples: one for each step that has one.
    pub sample_count: u64,
    /// Time, that of the parts below it included.
    pub took: Duration,
}

/// What a selector has read from storage.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Series it selected.
    pub selected_count: u64,
    /// Series it read.
    pub series_count: u64,
    /// Samples it read.
    pub sample_count: u64,
    /// Their size once decoded.
    pub bytes: u64,
    /// Time of selecting and decoding, on all threads together.
    pub took: Duration,
    /// Where it came from.
    pub sources: ReadSources,
}

/// Gathers what the parts of one plan do. A part is known by its address, which does not change while the plan lives.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    nodes: Mutex<HashMap<usize, Measured>>,
    reads: Mutex<HashMap<usize, Arc<ReadCount>>>,
}

/// Counts of one selector, added to from several threads.
#[derive(Debug, Default)]
pub(crate) struct ReadCount {
    selected: AtomicU64,
    series: AtomicU64,
    samples: AtomicU64,
    bytes: AtomicU64,
    nanos: AtomicU64,
    sources: Mutex<ReadSources>,
}

fn address<T>(part: &T) -> usize {
    std::ptr::from_ref(part).addr()
}

impl Trace {
    pub(crate) fn add(&self, node: &Node, took: Duration, series_count: u64, sample_count: u64) {
        let mut nodes = self.nodes.lock();
        let measured = nodes.entry(address(node)).or_default();
        measured.evaluation_count += 1;
        measured.series_count += series_count;
        measured.sample_count += sample_count;
        measured.took += took;
    }

    pub(crate) fn of(&self, node: &Node) -> Option<Measured> {
        self.nodes.lock().get(&address(node)).copied()
    }

    /// A selection was made.
    pub(crate) fn select(&self, select: &Select, series_count: u64, took: Duration) -> Arc<ReadCount> {
        let count = Arc::clone(self.reads.lock().entry(address(select)).or_default());
        count.selected.fetch_add(series_count, Relaxed);
        count.add_time(took);
        count
    }

    pub(crate) fn reading(&self, select: &Select) -> Option<Reading> {
        let reads = self.reads.lock();
        let count = reads.get(&address(select))?;
        Some(Reading {
            selected_count: count.selected.load(Relaxed),
            series_count: count.series.load(Relaxed),
            sample_count: count.samples.load(Relaxed),
            bytes: count.bytes.load(Relaxed),
            took: Duration::from_nanos(count.nanos.load(Relaxed)),
            sources: *count.sources.lock(),
        })
    }
}

impl ReadCount {
    /// A series was read.
    pub(crate) fn read(&self, samples: &SeriesSamples, started: Instant) {
        self.series.fetch_add(1, Relaxed);
        self.samples.fetch_add(samples.len() as u64, Relaxed);
        let histograms: usize = samples.histograms.values.iter().map(|h| 16 + h.size_bytes()).sum();
        self.bytes.fetch_add((samples.floats.values.len() * 16 + histograms) as u64, Relaxed);
        self.add_time(started.elapsed());
    }

    /// All is read that will be.
    pub(crate) fn end(&self, set: &dyn SeriesSet) {
        self.sources.lock().add(&set.sources());
    }

    fn add_time(&self, took: Duration) {
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}
