//! How far a query is: what it has selected, and what of that it has read. Counted where series come out of storage, so that
//! no operator needs to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use model::Labels;
use storage::{Error, ReadSources, SeriesSamples, SeriesSet};

use super::trace::ReadCount;

/// Counters of one query, read by others while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    series_selected: AtomicU64,
    series_read: AtomicU64,
    samples_read: AtomicU64,
}

impl Progress {
    /// Adds series that are going to be read; returns how many there are in all.
    pub(crate) fn select(&self, series: u64) -> u64 {
        self.series_selected.fetch_add(series, Relaxed) + series
    }

    pub(crate) fn series_selected(&self) -> u64 {
        self.series_selected.load(Relaxed)
    }

    pub(crate) fn series_read(&self) -> u64 {
        self.series_read.load(Relaxed)
    }

    pub(crate) fn samples_read(&self) -> u64 {
        self.samples_read.load(Relaxed)
    }

    fn read(&self, samples: u64) {
        self.series_read.fetch_add(1, Relaxed);
        self.samples_read.fetch_add(samples, Relaxed);
    }
}

/// Selected series, each read counted.
pub(crate) struct Counted {
    set: Box<dyn SeriesSet>,
    progress: Arc<Progress>,
    /// If the query is traced.
    read: Option<Arc<ReadCount>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(read) = &self.read {
            read.end(&*self.set);
        }
    }
}

impl Counted {
    pub(crate) fn over(
        set: Box<dyn SeriesSet>,
        progress: Arc<Progress>,
        read: Option<Arc<ReadCount>>,
    ) -> Box<dyn SeriesSet> {
        Box::new(Self { set, progress, read })
    }
}

impl SeriesSet for Counted {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        self.set.labels(at)
    }

    fn read(&self, at: usize, into: &mut SeriesSamples) -> Result<(), Error> {
        let started = self.read.as_ref().map(|_| Instant::now());
        self.set.read(at, into)?;
        if let Some((read, started)) = self.read.as_ref().zip(started) {
            read.read(into, started);
        }
        self.progress.read(into.len() as u64);
        Ok(())
    }

    fn sources(&self) -> ReadSources {
        self.set.sources()
    }
}
