//! Instant selectors: the latest sample of each series at each step, if it is recent and no staleness marker.

use std::sync::Arc;
use std::time::Instant;

use model::{Labels, is_stale};
use storage::{SelectHints, SelectRequest, SeriesSamples, SeriesSet};

use crate::ast::Extended;
use crate::error::QueryError;
use crate::plan::Select;

use super::column::{Bits, Cell, Column, Series};
use super::grid::{Grid, Shift};
use super::ledger::{Charge, Ledger};
use super::progress::Counted;
use super::window::{find_resets, samples_guess};
use super::{Evaluator, Sink, parallel, storage_error};

/// Samples of one series after the other, with their memory charged.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    pub(crate) samples: SeriesSamples,
    charge: Option<Charge>,
    charged_bytes: u64,
}

impl ReadBuffer {
    /// Reads a series.
    pub(crate) fn read(&mut self, set: &dyn SeriesSet, at: usize, ledger: &Ledger) -> Result<(), QueryError> {
        set.read(at, &mut self.samples).map_err(storage_error)?;
        self.settle(ledger)
    }

    /// Charges what the buffer has grown to.
    pub(crate) fn settle(&mut self, ledger: &Ledger) -> Result<(), QueryError> {
        let floats = self.samples.floats.values.capacity() * 16;
        let content: usize = self.samples.histograms.values.iter().map(|h| h.size_bytes()).sum();
        let histograms = self.samples.histograms.values.capacity() * 16 + content;
        let bytes = (floats + histograms) as u64;
        if bytes > self.charged_bytes {
            self.charge = None;
            self.charge = Some(ledger.take(0, bytes)?);
            self.charged_bytes = bytes;
        }
        Ok(())
    }
}

impl Evaluator<'_> {
    pub(crate) fn stream_select(
        &mut self,
        select: &Select,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        self.select_latest(select, grid, false, sink)
    }

    /// `timestamp()` of a selector: when the latest sample was taken.
    pub(crate) fn stream_timestamps(
        &mut self,
        select: &Select,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        self.select_latest(select, grid, true, sink)
    }

    /// The latest sample of each series at each step, or its time.
    fn select_latest(
        &mut self,
        select: &Select,
        grid: &Grid,
        times: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let lookback_ms = self.lookback_ms;
        let set = self.select_instant(select, grid, 0)?;
        // Of one step, storage decodes no more than it must.
        let samples_guess = if grid.count == 1 { 8 } else { samples_guess(lookback_ms, grid) };
        let split = self.split(set.len(), grid, samples_guess)?;
        let (check, ledger) = (self.checker(), self.ledger.clone());
        let shift = &select.shift;
        parallel::in_order(
            split.helper_count(),
            split.batch_count(),
            |number, batch: &mut SelectBatch| {
                batch.count = 0;
                for at in split.series_of(number) {
                    check.check_at(at)?;
                    batch.buffer.read(set.as_ref(), at, &ledger)?;
                    if batch.buffer.samples.is_empty() {
                        continue;
                    }
                    if select.counts_only {
                        find_resets(&mut batch.buffer.samples);
                    }
                    batch.pick(at, grid, shift, lookback_ms, times);
                }
                Ok(())
            },
            |_, batch| {
                for (at, series) in &mut batch.series[..batch.count] {
                    series.labels = set.labels(*at).clone();
                    series.drop_name = times;
                    self.ledger.pass(series.column.sample_count())?;
                    self.stats.add_column(&series.column);
                    sink(series)?;
                }
                Ok(())
            },
        )
    }

    /// When the latest sample of each series was taken, in milliseconds, as [`Self::stream_info`] needs it.
    ///
    /// # Errors
    /// If a sample is no float.
    pub(crate) fn stream_sample_times(
        &mut self,
        select: &Select,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let mut had_histograms = false;
        self.for_each_selected(select, grid, sink, |samples, lookback_ms, series, _| {
            pick_latest(samples, grid, &select.shift, lookback_ms, |step, timestamp_ms, cell| {
                had_histograms |= matches!(cell, Cell::Histogram(_));
                series.column.set(step, timestamp_ms as f64);
            });
        })?;
        if had_histograms {
            return Err(QueryError::Execution("info sample should be float".to_owned()));
        }
        Ok(())
    }

    pub(super) fn for_each_selected(
        &mut self,
        select: &Select,
        grid: &Grid,
        sink: &mut Sink<'_>,
        mut fill: impl FnMut(&mut SeriesSamples, i64, &mut Series, &Labels),
    ) -> Result<(), QueryError> {
        let lookback_ms = self.lookback_ms;
        let after_ms = if select.extended == Some(Extended::Smoothed) { lookback_ms } else { 0 };
        let set = self.select_instant(select, grid, after_ms)?;
        let mut buffer = ReadBuffer::default();
        let mut series = Series::default();
        for at in 0..set.len() {
            self.check_at(at)?;
            buffer.read(set.as_ref(), at, &self.ledger)?;
            if buffer.samples.is_empty() {
                continue;
            }
            if select.counts_only {
                find_resets(&mut buffer.samples);
            }
            series.drop_name = false;
            series.charge = None;
            series.column.reset(grid.count);
            fill(&mut buffer.samples, lookback_ms, &mut series, set.labels(at));
            if !series.column.present.any() {
                continue;
            }
            series.labels = set.labels(at).clone();
            self.ledger.pass(series.column.sample_count())?;
            self.stats.add_column(&series.column);
            sink(&mut series)?;
        }
        Ok(())
    }

    /// Asks storage for what an instant selector looks at.
    fn select_instant(
        &self,
        select: &Select,
        grid: &Grid,
        after_ms: i64,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        // Samples exactly as old as the lookback are too old, hence the millisecond.
        let start_ms = select.shift.apply(grid.start_ms).saturating_sub(self.lookback_ms - 1);
        let end_ms = select.shift.apply(grid.end_ms()).saturating_add(after_ms);
        self.select(select, grid, 0, start_ms, end_ms)
    }

    /// Asks storage for series.
    pub(crate) fn select(
        &self,
        select: &Select,
        grid: &Grid,
        window_ms: i64,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let step_ms = if grid.count > 1 { grid.step_ms } else { 0 };
        // Whether a histogram's counter started again is seen by the one before it.
        let latest_only =
            grid.count == 1 && window_ms == 0 && select.extended.is_none() && !select.counts_only;
        let hints = SelectHints { step_ms, window_ms, function: select.hint, series_max: 0, latest_only };
        let request = SelectRequest { matchers: &select.matchers, start_ms, end_ms, hints };
        let started = self.trace.as_ref().map(|_| Instant::now());
        let set = if select.alternatives.is_empty() {
            self.querier.select(self.tenant, &request, &self.context).map_err(storage_error)?
        } else {
            self.select_alternatives(&select.alternatives, &request)?
        };
        let selected = self.progress.select(set.len() as u64);
        if selected > self.series_max {
            let what = "the query selects too many series";
            return Err(QueryError::limit(what, "max_series", self.series_max, selected));
        }
        let read = self.trace.as_ref().zip(started);
        let read = read.map(|(trace, started)| trace.select(select, set.len() as u64, started.elapsed()));
        Ok(Counted::over(set, Arc::clone(&self.progress), read))
    }
}

/// Results of some series, and what is used to compute them.
#[derive(Debug, Default)]
struct SelectBatch {
    buffer: ReadBuffer,
    picks: Picks,
    /// Those behind the first `count` are there to be used again. With their numbers.
    series: Vec<(usize, Series)>,
    count: usize,
}

impl SelectBatch {
    /// Adds the result of the series in the buffer, if it has any.
    fn pick(&mut self, at: usize, grid: &Grid, shift: &Shift, lookback_ms: i64, times: bool) {
        if self.count == self.series.len() {
            self.series.push((0, Series::default()));
        }
        let (number, series) = &mut self.series[self.count];
        *number = at;
        series.charge = None;
        let (samples, column) = (&self.buffer.samples, &mut series.column);
        column.reset(grid.count);
        let floats = &samples.floats;
        if samples.histograms.values.is_empty() && !times {
            self.picks.update(&floats.timestamps_ms, grid, shift, lookback_ms);
            self.picks.fill(&floats.values, column);
        } else {
            pick_latest(samples, grid, shift, lookback_ms, |step, timestamp_ms, cell| match cell {
                _ if times => column.set(step, timestamp_ms as f64 / 1000.0),
                Cell::Float(value) => column.set(step, value),
                Cell::Histogram(histogram) => column.set_histogram(step, histogram.clone()),
            });
        }
        self.count += usize::from(column.present.any());
    }
}

/// Which of a series' floats is the latest at each step: the same for all series that share their timestamps.
#[derive(Debug, Default)]
struct Picks {
    timestamps_ms: Vec<i64>,
    /// Positions; any where `present` says that there is none.
    at: Vec<u32>,
    present: Bits,
}

impl Picks {
    fn update(&mut self, timestamps_ms: &[i64], grid: &Grid, shift: &Shift, lookback_ms: i64) {
        if !self.at.is_empty() && self.timestamps_ms == timestamps_ms {
            return;
        }
        self.timestamps_ms.clear();
        self.timestamps_ms.extend_from_slice(timestamps_ms);
        self.present.reset(grid.count);
        self.at.clear();
        let mut seen = 0;
        for step in 0..grid.count {
            let time_ms = shift.apply(grid.time_ms(step));
            while timestamps_ms.get(seen).is_some_and(|timestamp_ms| *timestamp_ms <= time_ms) {
                seen += 1;
            }
            let at = seen.saturating_sub(1);
            self.at.push(at as u32);
            if seen > 0 && timestamps_ms[at] > time_ms.saturating_sub(lookback_ms) {
                self.present.set(step);
            }
        }
    }

    /// Fills a column; staleness markers leave a cell empty. There must be values.
    fn fill(&self, values: &[f64], column: &mut Column) {
        let mut any_stale = false;
        for (at, value) in self.at.iter().zip(&mut column.values) {
            *value = values[*at as usize];
            any_stale |= is_stale(*value);
        }
        column.present.copy_from(&self.present);
        if any_stale {
            for step in self.present.ones().filter(|step| is_stale(values[self.at[*step] as usize])) {
                column.present.clear(step);
            }
        }
    }
}

/// Finds the latest sample at each step. Steps whose sample is too old or a staleness marker are left out.
pub(crate) fn pick_latest(
    samples: &SeriesSamples,
    grid: &Grid,
    shift: &Shift,
    lookback_ms: i64,
    mut picked: impl FnMut(usize, i64, Cell<'_>),
) {
    let (float_ms, floats) = (&samples.floats.timestamps_ms, &samples.floats.values);
    let (histogram_ms, histograms) = (&samples.histograms.timestamps_ms, &samples.histograms.values);
    // How many samples of each kind are not after the step.
    let (mut floats_seen, mut histograms_seen) = (0, 0);
    for step in 0..grid.count {
        let time_ms = shift.apply(grid.time_ms(step));
        while floats_seen < float_ms.len() && float_ms[floats_seen] <= time_ms {
            floats_seen += 1;
        }
        while histograms_seen < histogram_ms.len() && histogram_ms[histograms_seen] <= time_ms {
            histograms_seen += 1;
        }
        let float = floats_seen.checked_sub(1).map(|at| (float_ms[at], at));
        let histogram = histograms_seen.checked_sub(1).map(|at| (histogram_ms[at], at));
        let oldest_ms = time_ms.saturating_sub(lookback_ms);
        let float_is_later = match (float, histogram) {
            (Some((float_ms, _)), Some((histogram_ms, _))) => float_ms > histogram_ms,
            (float, _) => float.is_some(),
        };
        let Some((timestamp_ms, at)) = (if float_is_later { float } else { histogram }) else { continue };
        if timestamp_ms <= oldest_ms {
            continue;
        }
        if float_is_later && !is_stale(floats[at]) {
            picked(step, timestamp_ms, Cell::Float(floats[at]));
        } else if !float_is_later && !is_stale(histograms[at].sum) {
            picked(step, timestamp_ms, Cell::Histogram(&histograms[at]));
        }
    }
}
