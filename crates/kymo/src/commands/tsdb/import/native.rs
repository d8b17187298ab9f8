//! Kymo's own exports ([`wire::native`]), frame by frame.

use std::io::Read;
use std::ops::Range;

use anyhow::Context;
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata, UNKNOWN_START_MS};
use wire::native::{Frame, Kind, Reader};
use wire::remote_write::{self, LabelHasher, RejectedSeries};
use wire::remote_write2::{self, decode_refs};

use super::intake::{Intake, Place};

/// Read at one time.
const PIECE_BYTES: usize = 1 << 20;

pub(super) fn import(mut source: impl Read, name: &str, intake: &mut Intake) -> anyhow::Result<()> {
    let (mut reader, mut piece) = (Reader::new(), vec![0; PIECE_BYTES]);
    let written = intake.position(name);
    loop {
        let len = source.read(&mut piece).with_context(|| format!("cannot read {name}"))?;
        if len == 0 {
            break;
        }
        reader.feed(&piece[..len]);
        while let Some(frame) = reader.next_frame().with_context(|| name.to_owned())? {
            if frame.number > written {
                take(&frame, intake)
                    .with_context(|| format!("{name}: frame {}, at byte {}", frame.number, frame.offset))?;
                intake.reached(name, frame.number)?;
            }
        }
        intake.advance(len as u64);
    }
    reader.finish().with_context(|| name.to_owned())?;
    intake.done(name)
}

fn take(frame: &Frame, intake: &mut Intake) -> anyhow::Result<()> {
    let mut message = frame.message()?;
    let mut found = Found::default();
    if frame.kind == Kind::Metadata {
        remote_write::decode(&message, &mut found)?;
    } else {
        // Nothing is looked up by these hashes.
        let hasher = LabelHasher::new(|| 0x9e37_79b9_7f4a_7c15);
        let symbols = remote_write2::decode(&message, &hasher, &mut found)?;
        symbols.append_to(&mut message);
    }
    let mut packed = String::new();
    for series in std::mem::take(&mut found.series) {
        packed.clear();
        match &series.labels {
            FoundLabels::Packed(labels) => packed.push_str(labels),
            FoundLabels::Refs(refs) => {
                if decode_refs(&message[refs.clone()], &message, &mut packed).is_err() {
                    intake.fault("a series has labels that cannot be");
                    continue;
                }
            }
        }
        let labels = LabelsRef::from_packed_trusted(&packed);
        if intake.filter().wants(&labels.to_labels()) {
            series.write(labels, intake)?;
        }
    }
    for (family, metadata) in found.metadata {
        intake.metadata(&family, metadata);
    }
    for text in found.faults {
        intake.fault(&text);
    }
    Ok(())
}

/// What a message holds.
#[derive(Default)]
struct Found {
    series: Vec<FoundSeries>,
    metadata: Vec<(String, Metadata)>,
    faults: Vec<String>,
}

struct FoundSeries {
    labels: FoundLabels,
    floats: Vec<(i64, f64, i64)>,
    histograms: Vec<(i64, FloatHistogram, i64)>,
    exemplars: Vec<Exemplar>,
}

enum FoundLabels {
    Packed(String),
    Refs(Range<usize>),
}

impl FoundSeries {
    fn write(self, labels: LabelsRef<'_>, intake: &mut Intake) -> anyhow::Result<()> {
        let mut place = Place::default();
        for (timestamp_ms, value, start_ms) in self.floats {
            place = intake.place(place, labels);
            intake.float(place, timestamp_ms, value, start_ms);
        }
        intake.relieve()?;
        for (timestamp_ms, histogram, start_ms) in self.histograms {
            place = intake.place(place, labels);
            intake.histogram(place, timestamp_ms, histogram, start_ms);
        }
        intake.relieve()?;
        for exemplar in self.exemplars {
            place = intake.place(place, labels);
            intake.exemplar(place, exemplar, 0);
        }
        Ok(())
    }
}

impl Found {
    fn begin(&mut self, labels: FoundLabels) {
        let (floats, histograms, exemplars) = (Vec::new(), Vec::new(), Vec::new());
        self.series.push(FoundSeries { labels, floats, histograms, exemplars });
    }

    fn add(&mut self, add: impl FnOnce(&mut FoundSeries)) {
        if let Some(series) = self.series.last_mut() {
            add(series);
        }
    }
}

impl remote_write::Visitor for Found {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.begin(FoundLabels::Packed(labels.packed().to_owned()));
    }

    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.add(|series| series.floats.push((timestamp_ms, value, UNKNOWN_START_MS)));
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.add(|series| series.histograms.push((timestamp_ms, histogram, UNKNOWN_START_MS)));
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.add(|series| series.exemplars.push(exemplar));
    }

    fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.metadata.push((family.to_owned(), metadata));
    }

    fn reject(&mut self, rejected: RejectedSeries) {
        self.faults.push(rejected.to_string());
    }
}

impl remote_write2::Visitor for Found {
    fn raw_series(&mut self, _: u128, refs: Range<usize>) {
        self.begin(FoundLabels::Refs(refs));
    }

    fn series(&mut self, labels: LabelsRef<'_>) {
        self.begin(FoundLabels::Packed(labels.packed().to_owned()));
    }

    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.add(|series| series.floats.push((timestamp_ms, value, start_ms)));
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64) {
        self.add(|series| series.histograms.push((timestamp_ms, histogram, start_ms)));
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.add(|series| series.exemplars.push(exemplar));
    }

    fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.metadata.push((family.to_owned(), metadata));
    }

    fn reject(&mut self, rejected: RejectedSeries) {
        self.faults.push(rejected.to_string());
    }
}
