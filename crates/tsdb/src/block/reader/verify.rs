//! Reads everything of a block: each frame, each series, each sample.

use chunk::Corrupt;
use roaring::RoaringBitmap;
use storage::{Error, SeriesSamples};

use super::{Block, DecodeScratch, ReadError};
use crate::block::format::FrameKind;
use crate::merge::Merger;
use crate::postings::LabelIndex as _;

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct BlockReport {
    pub(crate) series_count: u64,
    pub(crate) sample_count: u64,
    /// In words, each naming the part.
    pub(crate) faults: Vec<String>,
}

impl Block {
    /// Checks every checksum, decodes everything, and compares it with what the directory says.
    pub(crate) fn verify(&self) -> BlockReport {
        let mut report = BlockReport::default();
        for kind in FrameKind::ALL {
            for (number, info) in self.directory.frames[kind as usize].iter().enumerate() {
                let fault = match self.read(info) {
                    Ok(_) => continue,
                    Err(ReadError::Corrupt(Corrupt(why))) => why.to_owned(),
                    Err(ReadError::Io(error)) => error.to_string(),
                };
                report.faults.push(format!("{} frame {number}: {fault}", kind.as_str()));
                // Known from here on, so that decoding does not complain again.
                self.set_aside.lock().insert((kind, number as u32));
            }
        }
        let sound = report.faults.is_empty();
        self.verify_indexes(&mut report);
        self.verify_series(&mut report);
        let meta = self.meta();
        for (what, found, said) in [
            ("series", report.series_count, meta.series_count),
            ("samples", report.sample_count, meta.sample_count),
        ] {
            if sound && found != said {
                report.faults.push(format!("holds {found} {what}, its directory says {said}"));
            }
        }
        report
    }

    fn verify_indexes(&self, report: &mut BlockReport) {
        if let Err(error) = self.symbols() {
            report.faults.push(error.to_string());
        }
        for name in self.label_names() {
            if let Err(error) = self.with_name(name) {
                report.faults.push(error.to_string());
            }
        }
    }

    fn verify_series(&self, report: &mut BlockReport) {
        let count = u32::try_from(self.meta().series_count).unwrap_or(u32::MAX);
        let (mut samples, mut scratch) = (SeriesSamples::default(), DecodeScratch::default());
        let mut next = 0;
        while next < count {
            // A batch of its own for each frame of series: what is damaged costs no other.
            let end = next.saturating_add(crate::block::format::SERIES_PER_FRAME).min(count);
            let mut batch = RoaringBitmap::new();
            batch.insert_range(next..end);
            next = end;
            let mut faults: Vec<Error> = Vec::new();
            let visited = self.visit_series(&batch, |series| {
                report.series_count += 1;
                let mut merger = Merger::new(&mut samples, i64::MIN, i64::MAX);
                for chunk in &series.chunks {
                    faults.extend(self.read_chunk(chunk, &mut scratch, &mut merger).err());
                }
                report.sample_count += samples.len() as u64;
                Ok(())
            });
            faults.extend(visited.err());
            report.faults.extend(faults.iter().map(Error::to_string));
        }
    }
}
