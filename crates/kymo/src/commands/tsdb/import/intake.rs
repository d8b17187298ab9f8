//! What readers find, on its way into a sink: filtered, batched, counted.

use std::io::Write;

use model::{Exemplar, FloatHistogram, Labels, LabelsRef, Matcher, Metadata};
use storage::{BatchSeries, WriteBatch};

use super::resume::Resume;
use super::sink::{Refusal, Sink};
use crate::output::progress::Progress;

/// Samples that are written at one time.
const BATCH_SAMPLES: usize = 50_000;
/// Bytes of a batch, if its samples are large.
const BATCH_BYTES: usize = 8 << 20;
/// Faults that are told one by one.
const FAULTS_SHOWN_MAX: u64 = 20;

/// What of a source is wanted.
#[derive(Debug)]
pub(super) struct Filter {
    /// Series must meet one of these; all do if there is none.
    selectors: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
}

impl Filter {
    /// Both ends of the range are included.
    pub(super) fn new(selectors: Vec<Vec<Matcher>>, (start_ms, end_ms): (i64, i64)) -> Self {
        Self { selectors, start_ms, end_ms }
    }

    pub(super) fn wants(&self, labels: &Labels) -> bool {
        self.selectors.is_empty()
            || self.selectors.iter().any(|matchers| model::matcher::matches_all(matchers, labels))
    }

    /// Whether some of a time is wanted.
    pub(super) fn wants_some_of(&self, min_ms: i64, max_ms: i64) -> bool {
        min_ms <= self.end_ms && max_ms >= self.start_ms
    }

    fn wants_time(&self, timestamp_ms: i64) -> bool {
        (self.start_ms..=self.end_ms).contains(&timestamp_ms)
    }

    /// The selectors, for those who can ask for no more than these.
    pub(super) fn selectors(&self) -> &[Vec<Matcher>] {
        &self.selectors
    }
}

/// What became of an import.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) sample_count: u64,
    pub(super) refused_count: u64,
    pub(super) fault_count: u64,
}

/// A series in the batch of now. Once the batch is written, it must be named again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    batch: u64,
    series: BatchSeries,
}

/// Takes what readers find.
pub(super) struct Intake {
    sink: Sink,
    filter: Filter,
    resume: Option<Resume>,
    progress: Progress,
    batch: WriteBatch,
    /// Counted from 1, so that no [`Place`] that was never given is of this one.
    batch_number: u64,
    counts: Counts,
}

impl Intake {
    pub(super) fn new(sink: Sink, filter: Filter, resume: Option<Resume>) -> Self {
        let progress = Progress::new("importing", 0);
        let batch = WriteBatch::new();
        Self { sink, filter, resume, progress, batch, batch_number: 1, counts: Counts::default() }
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What the bar counts to: bytes if `unit` is empty.
    pub(super) fn expect(&mut self, total: u64, unit: &'static str) {
        self.progress = Progress::counting("importing", total, unit).with_lines();
    }

    pub(super) fn advance(&mut self, more: u64) {
        self.progress.add(more);
    }

    /// Where the series is in the batch of now; `known` is where it was when it was asked for last.
    pub(super) fn place(&mut self, known: Place, labels: LabelsRef<'_>) -> Place {
        if known.batch == self.batch_number {
            return known;
        }
        Place { batch: self.batch_number, series: self.batch.add_series(labels) }
    }

    /// A sample; outside the wanted time it is passed over.
    pub(super) fn float(&mut self, place: Place, timestamp_ms: i64, value: f64, start_ms: i64) {
        debug_assert_eq!(place.batch, self.batch_number, "BUG: the series is of another batch");
        if self.filter.wants_time(timestamp_ms) {
            self.batch.add_float_since(place.series, timestamp_ms, value, start_ms);
        }
    }

    /// As [`Self::float`]. One that contradicts itself is refused.
    pub(super) fn histogram(
        &mut self,
        place: Place,
        timestamp_ms: i64,
        histogram: FloatHistogram,
        start_ms: i64,
    ) {
        debug_assert_eq!(place.batch, self.batch_number, "BUG: the series is of another batch");
        if !self.filter.wants_time(timestamp_ms) {
            return;
        }
        match histogram.validate() {
            Ok(()) => self.batch.add_histogram_since(place.series, timestamp_ms, histogram, start_ms),
            Err(error) => {
                let labels = self.batch.series(place.series).to_labels();
                self.refused(&Refusal { count: 1, text: format!("{labels} at {timestamp_ms}: {error}") });
            }
        }
    }

    pub(super) fn exemplar(&mut self, place: Place, exemplar: Exemplar, default_ms: i64) {
        if self.filter.wants_time(exemplar.timestamp_ms.unwrap_or(default_ms)) {
            self.batch.add_exemplar(place.series, exemplar, default_ms);
        }
    }

    pub(super) fn metadata(&mut self, metric: &str, metadata: Metadata) {
        self.batch.add_metadata(metric, metadata);
    }

    /// Something of the source is damaged or makes no sense; the rest goes on.
    pub(super) fn fault(&mut self, text: &str) {
        self.counts.fault_count += 1;
        if self.counts.fault_count <= FAULTS_SHOWN_MAX {
            self.progress.say(text);
        }
    }

    /// Something that whoever watches should know, and that is no fault.
    pub(super) fn remark(&mut self, text: &str) {
        self.progress.say(text);
    }

    fn refused(&mut self, refusal: &Refusal) {
        if self.counts.refused_count < FAULTS_SHOWN_MAX {
            self.progress.say(&format!("refused: {}", refusal.text));
        }
        self.counts.refused_count += refusal.count;
    }

    /// Whether an earlier attempt has written the whole unit.
    pub(super) fn is_done(&self, unit: &str) -> bool {
        self.resume.as_ref().is_some_and(|resume| resume.is_done(unit))
    }

    /// How many items of a unit an earlier attempt has written.
    pub(super) fn position(&self, unit: &str) -> u64 {
        self.resume.as_ref().map_or(0, |resume| resume.position(unit))
    }

    /// Writes the batch if it is large. To be called within an item; places are not valid any more then.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn relieve(&mut self) -> anyhow::Result<bool> {
        let is_large = self.batch.sample_count() >= BATCH_SAMPLES || self.batch.size_bytes() >= BATCH_BYTES;
        if is_large {
            self.flush()?;
        }
        Ok(is_large)
    }

    /// So many items of a unit are read.
    ///
    /// # Errors
    /// As [`Self::relieve`].
    pub(super) fn reached(&mut self, unit: &str, position: u64) -> anyhow::Result<()> {
        if self.relieve()?
            && let Some(resume) = &mut self.resume
        {
            resume.reached(unit, position)?;
        }
        Ok(())
    }

    /// A unit is read to its end.
    ///
    /// # Errors
    /// As [`Self::relieve`].
    pub(super) fn done(&mut self, unit: &str) -> anyhow::Result<()> {
        self.flush()?;
        self.resume.as_mut().map_or(Ok(()), |resume| resume.done(unit))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.batch_number += 1;
        if !self.batch.is_empty() {
            let written = self.sink.write(&self.batch)?;
            self.counts.sample_count += written.sample_count;
            if let Some(refusal) = &written.refused {
                self.refused(refusal);
            }
        }
        self.batch.clear();
        Ok(())
    }

    /// Writes what is left and closes the sink.
    ///
    /// # Errors
    /// If something cannot be written.
    pub(super) fn finish(mut self, is_complete: bool) -> anyhow::Result<Counts> {
        self.flush()?;
        self.sink.close()?;
        if let Some(resume) = &mut self.resume {
            if is_complete { resume.remove()? } else { resume.save()? }
        }
        let unseen = self.counts.fault_count.saturating_sub(FAULTS_SHOWN_MAX);
        if unseen > 0 {
            // Nobody is harmed if it cannot be shown.
            let _ = writeln!(std::io::stderr(), "and {unseen} more faults");
        }
        Ok(self.counts)
    }
}
