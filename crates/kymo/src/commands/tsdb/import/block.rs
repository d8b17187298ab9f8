//! A block of Prometheus: its series one after the other, and of each its chunks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use model::{LabelsBuilder, UNKNOWN_START_MS};
use wire::prometheus_tsdb::Corrupt;
use wire::prometheus_tsdb::chunk::{self, Encoding, Samples};
use wire::prometheus_tsdb::index::{
    self, CHUNKS_HEADER_BYTES, ChunkPlace, FRAME_HEAD_BYTES, Frame, FrameKind, HEADER_BYTES,
    SERIES_ALIGNMENT, Series, Symbols, TOC_BYTES, Toc,
};
use wire::prometheus_tsdb::tombstones::{Tombstones, covers};

use super::intake::{Intake, Place};
use super::window::Window;

/// A block whose index was opened.
pub(super) struct Block {
    path: PathBuf,
    index: Window,
    toc: Toc,
    symbols: Symbols,
    tombstones: Tombstones,
    chunks: HashMap<u32, Window>,
    samples: Samples,
}

impl Block {
    /// Reads what is needed throughout: where sections are, names, deletions.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut index = Window::open(path.join("index"))?;
        let header = index::check_header(index.up_to(0, HEADER_BYTES)?);
        header.map_err(|fault| index.fault(fault))?;
        let (len, toc_at) = (index.len(), index.len().saturating_sub(TOC_BYTES as u64));
        let toc = Toc::read(index.up_to(toc_at, TOC_BYTES)?, len).map_err(|fault| index.fault(fault))?;
        let mut length = [0; 4];
        length.copy_from_slice(index.get(toc.symbols, 4)?);
        let section_bytes = Symbols::section_bytes(length) as usize;
        let symbols = Symbols::read(index.get(toc.symbols, section_bytes)?, toc.symbols);
        let symbols = symbols.map_err(|fault| index.fault(fault))?;
        let tombstones = tombstones(&path.join("tombstones"))?;
        Ok(Self {
            path: path.to_owned(),
            index,
            toc,
            symbols,
            tombstones,
            chunks: HashMap::new(),
            samples: Samples::default(),
        })
    }

    /// Hands all series to `intake`. A damaged chunk is named and left out; a damaged index ends it.
    pub(super) fn import(&mut self, unit: &str, intake: &mut Intake) -> anyhow::Result<()> {
        let (mut at, end) = (self.toc.series.next_multiple_of(SERIES_ALIGNMENT), self.toc.series_end);
        let (mut number, written) = (0u64, intake.position(unit));
        let (mut series, mut builder) = (Series::default(), LabelsBuilder::new());
        while at < end {
            let head = self.index.up_to(at, FRAME_HEAD_BYTES.min((end - at) as usize))?;
            // Between sections there may be zeros; a series is never empty.
            if head[0] == 0 {
                break;
            }
            let frame = Frame::read(head, at, FrameKind::Series).map_err(|fault| self.index.fault(fault))?;
            let read = frame.series(self.index.get(at, frame.bytes)?, at, &mut series);
            read.map_err(|fault| self.index.fault(fault))?;
            intake.advance(frame.bytes as u64);
            number += 1;
            if number > written {
                self.series(at, &series, &mut builder, intake)?;
                intake.reached(unit, number)?;
            }
            at = (at + frame.bytes as u64).next_multiple_of(SERIES_ALIGNMENT);
        }
        Ok(())
    }

    fn series(
        &mut self,
        at: u64,
        series: &Series,
        builder: &mut LabelsBuilder,
        intake: &mut Intake,
    ) -> anyhow::Result<()> {
        builder.clear();
        for (name, value) in &series.labels {
            let (Some(name), Some(value)) = (self.symbols.get(*name), self.symbols.get(*value)) else {
                let path = self.index.path().display();
                intake
                    .fault(&format!("{path}: the series at offset {at} names a symbol that does not exist"));
                return Ok(());
            };
            builder.set(name, value);
        }
        let labels = builder.build();
        if !intake.filter().wants(&labels) {
            return Ok(());
        }
        let deleted = self.tombstones.of(at / SERIES_ALIGNMENT).to_vec();
        let mut place = Place::default();
        for chunk in &series.chunks {
            if !intake.filter().wants_some_of(chunk.min_ms, chunk.max_ms) {
                continue;
            }
            match self.read(*chunk) {
                Ok(bytes) => intake.advance(bytes),
                Err(error) => {
                    intake.fault(&format!("a chunk of {labels} is left out: {error:#}"));
                    continue;
                }
            }
            place = intake.place(place, labels.as_ref());
            for (timestamp_ms, value) in self.samples.floats.drain(..) {
                if !covers(&deleted, timestamp_ms) {
                    intake.float(place, timestamp_ms, value, UNKNOWN_START_MS);
                }
            }
            for (timestamp_ms, value) in self.samples.histograms.drain(..) {
                if !covers(&deleted, timestamp_ms) {
                    intake.histogram(place, timestamp_ms, value, UNKNOWN_START_MS);
                }
            }
            intake.relieve()?;
        }
        Ok(())
    }

    /// Reads a chunk into `samples`, and says how many bytes it takes.
    fn read(&mut self, place: ChunkPlace) -> anyhow::Result<u64> {
        self.samples.clear();
        let segment = place.segment();
        if !self.chunks.contains_key(&segment) {
            // One file is read at a time; those before it are not needed again as a rule.
            self.chunks.clear();
            let name = format!("{:06}", u64::from(segment) + 1);
            let mut file = Window::open(self.path.join("chunks").join(name))?;
            let header = index::check_chunks_header(file.up_to(0, CHUNKS_HEADER_BYTES)?);
            header.map_err(|fault| file.fault(fault))?;
            self.chunks.insert(segment, file);
        }
        let file = self.chunks.get_mut(&segment).context("the file was opened above")?;
        let at = place.offset();
        let frame = Frame::read(file.up_to(at, FRAME_HEAD_BYTES)?, at, FrameKind::Chunk);
        let frame = frame.map_err(|fault| file.fault(fault))?;
        let chunk = frame.chunk(file.get(at, frame.bytes)?, at);
        let decoded = chunk.and_then(|(number, data, data_at)| {
            let encoding = Encoding::from_number(u64::from(number)).ok_or_else(|| Corrupt {
                offset: at,
                what: format!("encoding {number} of chunks is not known").into(),
            })?;
            chunk::decode(encoding, data, data_at, &mut self.samples)
        });
        if let Err(fault) = decoded {
            self.samples.clear();
            return Err(file.fault(fault));
        }
        Ok(frame.bytes as u64)
    }
}

/// A block without deletions has an empty file, or none.
fn tombstones(path: &Path) -> anyhow::Result<Tombstones> {
    match std::fs::read(path) {
        Ok(bytes) => Tombstones::read(&bytes)
            .map_err(|fault| anyhow::Error::new(fault).context(path.display().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Tombstones::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
