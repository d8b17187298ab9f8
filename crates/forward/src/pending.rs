//! Samples on their way into the queue: gathered for a moment, so that one sync of the disk serves many batches.

use std::ops::Range;
use std::sync::Arc;

use model::labels::LabelsBuilder;
use model::{Exemplar, FloatHistogram, LabelsRef, relabel};
use storage::{BatchLabels, BatchSeries, CommitGroup, RejectReason, Rejected, WriteBatch};
use wire::remote_write::encode::EncodedLabels;
use wire::{remote_write, remote_write2};
use xxhash_rust::xxh3::xxh3_64;

use crate::settings::{Message, Settings};

/// Requests of which the memory is kept for others, at most.
const SPARE_MAX: usize = 8;
/// The memory of larger ones is given back.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// What goes into a record with the next write.
pub(crate) struct RecordPending {
    encoder: Encoder,
    pub(crate) samples: u32,
    pub(crate) newest_ms: i64,
}

/// What goes into one lane with the next write: records that are full, and one that is not.
pub(crate) type LanePending = Vec<RecordPending>;

/// A request in the receiver's own words, so that records need not be taken apart to be sent.
enum Encoder {
    V1(remote_write::encode::Encoder),
    V2(remote_write2::encode::Encoder),
}

impl RecordPending {
    fn new(message: Message, spare: &mut Vec<remote_write::encode::Encoder>) -> Self {
        let encoder = match message {
            Message::V1 => Encoder::V1(spare.pop().unwrap_or_default()),
            Message::V2 => Encoder::V2(remote_write2::encode::Encoder::new()),
        };
        Self { encoder, samples: 0, newest_ms: i64::MIN }
    }

    /// The payload of the record.
    pub(crate) fn compress<'b>(&self, compressor: &'b mut Compressor) -> &'b [u8] {
        if compressor.buffer.len() > SPARE_BYTES_MAX {
            compressor.buffer = Vec::new();
        }
        match &self.encoder {
            Encoder::V1(encoder) => encoder.compress_into(&mut compressor.snappy, &mut compressor.buffer),
            Encoder::V2(encoder) => {
                compressor.buffer = encoder.compress();
                &compressor.buffer
            }
        }
    }

    /// Adds what `scratch` holds of a series. For 1.0, its labels are in there encoded, too.
    fn add(&mut self, labels: LabelsRef<'_>, scratch: &mut Scratch) {
        match &mut self.encoder {
            Encoder::V1(encoder) => {
                scratch.plain_floats.clear();
                scratch.plain_floats.extend(scratch.floats.iter().map(|(at, value, _)| (*at, *value)));
                scratch.plain_histograms.clear();
                let histograms = scratch.histograms.iter().map(|(at, histogram, _)| (*at, histogram.clone()));
                scratch.plain_histograms.extend(histograms);
                let content = remote_write::encode::SeriesContent {
                    floats: &scratch.plain_floats,
                    histograms: &scratch.plain_histograms,
                    exemplars: &scratch.exemplars,
                };
                encoder.series_with(&scratch.encoded, content);
            }
            Encoder::V2(encoder) => {
                let content = remote_write2::encode::SeriesContent {
                    floats: &scratch.floats,
                    histograms: &scratch.histograms,
                    exemplars: &scratch.exemplars,
                    ..remote_write2::encode::SeriesContent::default()
                };
                encoder.series(labels.iter(), content);
            }
        }
        let times = scratch.floats.iter().map(|s| s.0).chain(scratch.histograms.iter().map(|s| s.0));
        self.newest_ms = times.fold(self.newest_ms, i64::max);
        self.samples = self.samples.saturating_add((scratch.floats.len() + scratch.histograms.len()) as u32);
    }
}

/// Memory for compressing, reused from record to record.
pub(crate) struct Compressor {
    snappy: snap::raw::Encoder,
    buffer: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        Self { snappy: snap::raw::Encoder::new(), buffer: Vec::new() }
    }
}

/// What waits for the next write to disk.
pub(crate) struct Pending {
    pub(crate) lanes: Vec<LanePending>,
    pub(crate) samples: usize,
    /// Somebody waits for that write.
    pub(crate) urgent: bool,
    /// Completed by that write.
    pub(crate) group: Arc<CommitGroup>,
    scratch: Scratch,
    spare: Vec<remote_write::encode::Encoder>,
}

/// Reused from batch to batch.
#[derive(Default)]
struct Scratch {
    by_series: Vec<u32>,
    floats: Vec<(i64, f64, i64)>,
    histograms: Vec<(i64, FloatHistogram, i64)>,
    plain_floats: Vec<(i64, f64)>,
    plain_histograms: Vec<(i64, FloatHistogram)>,
    exemplars: Vec<Exemplar>,
    decoded: String,
    relabelled: String,
    encoded: EncodedLabels,
    builder: LabelsBuilder,
}

impl Pending {
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|_| LanePending::default()).collect(),
            samples: 0,
            urgent: false,
            group: CommitGroup::new(),
            scratch: Scratch::default(),
            spare: Vec::new(),
        }
    }

    /// Takes records back that were written, for their memory.
    pub(crate) fn reuse(&mut self, records: LanePending) {
        for record in records {
            if let Encoder::V1(mut encoder) = record.encoder
                && self.spare.len() < SPARE_MAX
                && encoder.as_bytes().len() <= SPARE_BYTES_MAX
            {
                encoder.clear();
                self.spare.push(encoder);
            }
        }
    }

    /// Hands over what was gathered, to be written.
    pub(crate) fn take(&mut self) -> (Vec<LanePending>, Arc<CommitGroup>) {
        (self.samples, self.urgent) = (0, false);
        let empty = (0..self.lanes.len()).map(|_| LanePending::default()).collect();
        (std::mem::replace(&mut self.lanes, empty), std::mem::replace(&mut self.group, CommitGroup::new()))
    }

    /// Gathers a batch but for what was refused. Returns how many samples were taken.
    pub(crate) fn gather(&mut self, settings: &Settings, batch: &WriteBatch, refused: &[Rejected]) -> usize {
        let before = self.samples;
        let refused = Refused::new(refused);
        let mut scratch = std::mem::take(&mut self.scratch);
        let (series, timestamps_ms, values) = batch.float_columns();
        let starts = batch.float_starts();
        // Most batches hold the samples of a series together already; sorting what is sorted is cheap.
        scratch.by_series.clear();
        scratch.by_series.extend(0..series.len() as u32);
        scratch.by_series.sort_by_key(|at| series[*at as usize]);
        let order = std::mem::take(&mut scratch.by_series);
        let (mut histograms, mut exemplars) =
            (Cursor::new(batch.histograms().len()), Cursor::new(batch.exemplars().len()));
        histograms.sort(|at| batch.histograms()[at].series);
        exemplars.sort(|at| batch.exemplars()[at].series);
        let mut floats = order.chunk_by(|a, b| series[*a as usize] == series[*b as usize]).peekable();
        loop {
            let next_float = floats.peek().map(|run| series[run[0] as usize]);
            let next = [next_float, histograms.next(), exemplars.next()].into_iter().flatten().min();
            let Some(number) = next else { break };
            scratch.floats.clear();
            if next_float == Some(number) {
                let run = floats.next().unwrap_or_default();
                scratch.floats.extend(
                    run.iter()
                        .map(|at| *at as usize)
                        .filter(|at| !refused.holds(number, timestamps_ms[*at]))
                        .map(|at| (timestamps_ms[at], values[at], starts.get(at))),
                );
            }
            scratch.histograms.clear();
            for at in histograms.take(number) {
                let sample = &batch.histograms()[*at as usize];
                if settings.send_native_histograms && !refused.holds(number, sample.timestamp_ms) {
                    scratch.histograms.push((sample.timestamp_ms, sample.histogram.clone(), sample.start_ms));
                }
            }
            scratch.exemplars.clear();
            for at in exemplars.take(number) {
                if settings.send_exemplars {
                    scratch.exemplars.push(batch.exemplars()[*at as usize].exemplar.clone());
                }
            }
            self.add(settings, batch, number, &mut scratch);
        }
        scratch.by_series = order;
        self.scratch = scratch;
        self.samples - before
    }

    /// Adds what `scratch` holds of a series.
    fn add(&mut self, settings: &Settings, batch: &WriteBatch, number: BatchSeries, scratch: &mut Scratch) {
        let samples = scratch.floats.len() + scratch.histograms.len();
        if samples + scratch.exemplars.len() == 0 {
            return;
        }
        let relabels = !(settings.relabel.is_empty() && settings.external_labels.is_empty());
        let mut packed = std::mem::take(&mut scratch.relabelled);
        if write_labels(settings, batch.labels(number), relabels, &mut packed, scratch).is_some() {
            // By what is sent, so that a series keeps its lane whatever batch it comes in.
            let lane = match (self.lanes.len(), settings.message) {
                (1, _) => 0,
                (_, Message::V1) => xxh3_64(scratch.encoded.as_bytes()),
                (_, Message::V2) => xxh3_64(packed.as_bytes()),
            };
            let lane = (lane % self.lanes.len() as u64) as usize;
            let lane = &mut self.lanes[lane];
            if lane.last().is_none_or(|record| record.samples as usize >= settings.samples_max) {
                lane.push(RecordPending::new(settings.message, &mut self.spare));
            }
            if let Some(record) = lane.last_mut() {
                record.add(LabelsRef::from_packed_trusted(&packed), scratch);
            }
            self.samples += samples;
        }
        scratch.relabelled = packed;
    }
}

/// Makes the labels that are sent, in the form that the message needs: encoded for 1.0, and packed for 2.0. `None`: nothing is sent.
fn write_labels(
    settings: &Settings,
    labels: BatchLabels<'_>,
    relabels: bool,
    packed: &mut String,
    scratch: &mut Scratch,
) -> Option<()> {
    let encodes = settings.message == Message::V1;
    packed.clear();
    // Most of what an agent sends is scraped, and goes from both parts of its labels straight into the request.
    if !relabels
        && encodes
        && let BatchLabels::Raw(raw) = labels
        && let Some(parts) = raw.parts()
    {
        scratch.encoded.set(parts.iter());
        return Some(());
    }
    // Labels that cannot be read have been refused by storage; an agent leaves them out here.
    let labels = labels.decode(&mut scratch.decoded).ok()?;
    if relabels {
        scratch.builder.reset_to(labels);
        for (name, value) in settings.external_labels.iter() {
            if scratch.builder.get(name).is_none() {
                scratch.builder.set(name, value);
            }
        }
        if !relabel::apply(&settings.relabel, &mut scratch.builder) {
            return None;
        }
        scratch.builder.pack_into(packed);
    } else if encodes {
        scratch.encoded.set(labels.iter());
        return Some(());
    } else {
        packed.push_str(labels.packed());
    }
    if encodes {
        scratch.encoded.set(LabelsRef::from_packed_trusted(packed).iter());
    }
    Some(())
}

/// Positions in a list, in the order of the series they belong to, taken series by series.
struct Cursor {
    order: Vec<u32>,
    series: Vec<BatchSeries>,
    at: usize,
}

impl Cursor {
    fn new(len: usize) -> Self {
        Self { order: (0..len as u32).collect(), series: Vec::with_capacity(len), at: 0 }
    }

    fn sort(&mut self, series: impl Fn(usize) -> BatchSeries) {
        self.order.sort_by_key(|at| series(*at as usize));
        self.series.extend(self.order.iter().map(|at| series(*at as usize)));
    }

    /// The series of the next position.
    fn next(&self) -> Option<BatchSeries> {
        self.series.get(self.at).copied()
    }

    /// All positions of `number`, if it is the next.
    fn take(&mut self, number: BatchSeries) -> &[u32] {
        let from = self.at;
        while self.next() == Some(number) {
            self.at += 1;
        }
        let range: Range<usize> = from..self.at;
        &self.order[range]
    }
}

/// Samples that storage refused, which nobody else shall get either.
struct Refused<'a>(&'a [Rejected]);

impl<'a> Refused<'a> {
    fn new(refused: &'a [Rejected]) -> Self {
        Self(refused)
    }

    fn holds(&self, series: BatchSeries, timestamp_ms: i64) -> bool {
        // Refusals are rare and few, so they are searched one by one; a series without sound labels is refused whole.
        self.0.iter().any(|refused| {
            refused.series == series
                && (refused.timestamp_ms == timestamp_ms || refused.reason == RejectReason::InvalidLabels)
        })
    }
}
