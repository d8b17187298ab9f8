//! Prometheus' write-ahead logs: of the head (`wal`), and of samples that came out of order (`wbl`).
//!
//! The newest checkpoint holds what is still needed of older segments; it is read first. Deletions come after what they delete, so that they
//! are looked for in a first pass. Where a segment is damaged, its rest is left out, as is usual behind a crash.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use model::{Exemplar, FloatHistogram, Labels, Metadata};
use wire::prometheus_tsdb::Corrupt;
use wire::prometheus_tsdb::record::{self, Sample, Visitor};
use wire::prometheus_tsdb::tombstones::{Tombstones, covers};
use wire::prometheus_tsdb::wal::{PAGE_BYTES, Segment};

use super::data_directory::entries;
use super::intake::{Intake, Place};

/// What the bar and the file of progress call it.
const UNIT: &str = "write-ahead log";

/// Segments in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Logs {
    segments: Vec<(PathBuf, u64)>,
    /// The last segment of a log may end anywhere: that one was being written.
    last: Vec<PathBuf>,
}

impl Logs {
    /// Those of a data folder, if there are any.
    pub(super) fn find(directory: &Path) -> anyhow::Result<Self> {
        let mut logs = Self::default();
        for log in ["wal", "wbl"] {
            let log = directory.join(log);
            if log.is_dir() {
                logs.add(&log)?;
            }
        }
        Ok(logs)
    }

    fn add(&mut self, log: &Path) -> anyhow::Result<()> {
        let number = |name: &str| name.parse::<u64>().ok().filter(|_| name.len() >= 8);
        let (mut segments, mut checkpoint) = (Vec::new(), None);
        for entry in entries(log)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(number) = number(&name) {
                segments.push((number, entry.path()));
            } else if let Some(number) = name.strip_prefix("checkpoint.").and_then(number) {
                checkpoint = checkpoint.max(Some((number, entry.path())));
            }
        }
        segments.sort();
        if let Some((last, path)) = checkpoint {
            segments.retain(|(number, _)| *number > last);
            for entry in entries(&path)? {
                self.push(entry.path())?;
            }
        }
        for (_, path) in segments {
            self.push(path)?;
        }
        self.last.extend(self.segments.last().map(|(path, _)| path.clone()));
        Ok(())
    }

    fn push(&mut self, path: PathBuf) -> anyhow::Result<()> {
        let len = path.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
        self.segments.push((path, len));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Hands everything to `intake`.
    pub(super) fn import(&self, intake: &mut Intake) -> anyhow::Result<()> {
        if self.segments.is_empty() || intake.is_done(UNIT) {
            return Ok(());
        }
        let mut tombstones = Deletions::default();
        for (path, _) in &self.segments {
            // What is damaged is told in the second pass.
            read(path, |record, at| {
                if record::holds_tombstones(record) {
                    record::decode(record, at, &mut tombstones).ok();
                }
                Ok(())
            })?;
        }
        let written = intake.position(UNIT);
        let mut import = Import {
            intake,
            tombstones: tombstones.0,
            series: HashMap::new(),
            number: 0,
            written,
            unknown_count: 0,
            failed: None,
        };
        for (path, bytes) in &self.segments {
            let cut = read(path, |record, at| import.record(record, at))?;
            if let Some(error) = import.failed.take() {
                return Err(error);
            }
            if let Some(fault) = cut {
                let text = format!("{}: {fault}; the rest of this segment is left out", path.display());
                // A crash leaves the last segment so, and nothing that was acknowledged is lost by it.
                if self.last.contains(path) {
                    import.intake.remark(&text);
                } else {
                    import.intake.fault(&text);
                }
            }
            import.intake.advance(*bytes);
        }
        if import.unknown_count > 0 {
            let count = import.unknown_count;
            import.intake.fault(&format!(
                "{count} samples of the write-ahead log are of series that it does not name"
            ));
        }
        intake.done(UNIT)
    }
}

/// Hands the records of a segment to `take`; the fault, if there is one, behind which nothing was read.
fn read(
    path: &Path,
    mut take: impl FnMut(&[u8], u64) -> Result<(), Corrupt>,
) -> anyhow::Result<Option<Corrupt>> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = BufReader::with_capacity(8 * PAGE_BYTES, File::open(path).with_context(cannot)?);
    let (mut segment, mut page, mut offset) = (Segment::new(), Vec::with_capacity(PAGE_BYTES), 0u64);
    loop {
        page.clear();
        let len = file.by_ref().take(PAGE_BYTES as u64).read_to_end(&mut page).with_context(cannot)?;
        if len == 0 {
            return Ok(segment.finish().err());
        }
        if let Err(fault) = segment.page(&page, offset, &mut take) {
            return Ok(Some(fault));
        }
        offset += len as u64;
    }
}

/// Collects deletions.
#[derive(Default)]
struct Deletions(Tombstones);

impl Visitor for Deletions {
    fn series(&mut self, _: u64, _: &[(&str, &str)]) {}
    fn float(&mut self, _: Sample<f64>) {}
    fn histogram(&mut self, _: Sample<FloatHistogram>) {}
    fn exemplar(&mut self, _: u64, _: Exemplar) {}
    fn metadata(&mut self, _: u64, _: Metadata) {}
    fn tombstone(&mut self, series: u64, min_ms: i64, max_ms: i64) {
        self.0.add(series, min_ms, max_ms);
    }
}

struct Known {
    /// `None` if nobody wants it.
    labels: Option<Labels>,
    place: Place,
}

struct Import<'a> {
    intake: &'a mut Intake,
    tombstones: Tombstones,
    series: HashMap<u64, Known>,
    /// Of the record, counted from 1.
    number: u64,
    /// Records that an earlier attempt wrote: only their series are needed.
    written: u64,
    /// Samples whose series is not known.
    unknown_count: u64,
    /// Why nothing more can be written.
    failed: Option<anyhow::Error>,
}

impl Import<'_> {
    fn record(&mut self, record: &[u8], at: u64) -> Result<(), Corrupt> {
        self.number += 1;
        record::decode(record, at, self)?;
        if let Err(error) = self.intake.reached(UNIT, self.number) {
            self.failed = Some(error);
            // Ends the reading; the error that counts is told.
            return Err(Corrupt { offset: at, what: "writing failed".into() });
        }
        Ok(())
    }

    /// Where the series is in the batch, if the sample is wanted.
    fn place(&mut self, series: u64, timestamp_ms: i64) -> Option<Place> {
        if self.number <= self.written {
            return None;
        }
        let Some(known) = self.series.get_mut(&series) else {
            self.unknown_count += 1;
            return None;
        };
        let labels = known.labels.as_ref()?;
        if covers(self.tombstones.of(series), timestamp_ms) {
            return None;
        }
        known.place = self.intake.place(known.place, labels.as_ref());
        Some(known.place)
    }
}

impl Visitor for Import<'_> {
    fn series(&mut self, number: u64, labels: &[(&str, &str)]) {
        let labels = Labels::from_pairs(labels.iter().copied());
        let labels = self.intake.filter().wants(&labels).then_some(labels);
        self.series.insert(number, Known { labels, place: Place::default() });
    }

    fn float(&mut self, sample: Sample<f64>) {
        if let Some(place) = self.place(sample.series, sample.timestamp_ms) {
            self.intake.float(place, sample.timestamp_ms, sample.value, sample.start_ms);
        }
    }

    fn histogram(&mut self, sample: Sample<FloatHistogram>) {
        if let Some(place) = self.place(sample.series, sample.timestamp_ms) {
            self.intake.histogram(place, sample.timestamp_ms, sample.value, sample.start_ms);
        }
    }

    fn exemplar(&mut self, series: u64, exemplar: Exemplar) {
        let timestamp_ms = exemplar.timestamp_ms.unwrap_or(0);
        if let Some(place) = self.place(series, timestamp_ms) {
            self.intake.exemplar(place, exemplar, timestamp_ms);
        }
    }

    fn metadata(&mut self, series: u64, metadata: Metadata) {
        let labels = self.series.get(&series).and_then(|known| known.labels.as_ref());
        if let Some(labels) = labels.filter(|_| self.number > self.written) {
            self.intake.metadata(labels.metric_name(), metadata);
        }
    }

    fn tombstone(&mut self, _: u64, _: i64, _: i64) {}
}
