//! The bytes of a block: frames, then a directory that says where they are, then a trailer that finds the directory.

use chunk::Corrupt;
use chunk::varint::{Reader, write_bytes, write_i64, write_u64};

/// First and last bytes of every block.
pub(super) const MAGIC: &[u8; 8] = b"KYMOBLK1";
/// Offset of the directory, its stored and raw lengths, its CRC32C, a spare word, the magic.
pub(super) const TRAILER_BYTES: usize = 8 + 4 + 4 + 4 + 4 + 8;

/// Most samples of one chunk; longer columns are cut.
pub(super) const CHUNK_SAMPLES_MAX: usize = 4096;
/// Frames of columns are ended at about this size before compression.
pub(super) const COLUMN_FRAME_BYTES: usize = 128 << 10;
/// Series described by one frame.
pub(crate) const SERIES_PER_FRAME: u32 = 512;
/// No frame is larger after decompression.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 30;

/// What a frame holds. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FrameKind {
    /// Columns of float values.
    Values = 0,
    /// Columns of timestamps, shared by series.
    Times = 1,
    /// Columns of native histograms.
    Histograms = 2,
    /// Series: their labels and chunks.
    Series = 3,
    /// All label names and values, in order of first use.
    Symbols = 4,
    /// Values of one label name, and the series of each value.
    Label = 5,
    /// Columns of start timestamps.
    Starts = 6,
}

impl FrameKind {
    pub(super) const ALL: [Self; 7] =
        [Self::Values, Self::Times, Self::Histograms, Self::Series, Self::Symbols, Self::Label, Self::Starts];

    /// A word for messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Times => "times",
            Self::Histograms => "histograms",
            Self::Series => "series",
            Self::Symbols => "symbols",
            Self::Label => "label",
            Self::Starts => "starts",
        }
    }
}

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameInfo {
    pub(super) offset: u64,
    pub(super) stored_bytes: u32,
    /// 0 if it is not compressed.
    pub(super) raw_bytes: u32,
    pub(super) crc: u32,
}

/// What is known about a block without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Meta {
    /// Unique within its tenant; later blocks have greater ones.
    pub(crate) id: u64,
    /// Among blocks that overlap, the greater one holds the later write.
    pub(crate) age: u64,
    /// 0 for a flushed block, more for compacted ones.
    pub(crate) level: u8,
    /// Inclusive.
    pub(crate) min_ms: i64,
    /// Inclusive.
    pub(crate) max_ms: i64,
    pub(crate) series_count: u64,
    pub(crate) sample_count: u64,
    pub(crate) chunk_count: u64,
    /// Records of the tenant in journal segments below this one are in blocks.
    pub(crate) journal_before: u64,
    /// Blocks that this one replaces.
    pub(crate) replaces: Vec<u64>,
}

/// The directory of a block.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) meta: Meta,
    /// By kind.
    pub(super) frames: [Vec<FrameInfo>; FrameKind::ALL.len()],
    /// Label names, sorted; the place of a name is the number of its frame.
    pub(super) names: Vec<Box<str>>,
}

impl Directory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let meta = &self.meta;
        for number in [meta.id, meta.age, u64::from(meta.level)] {
            write_u64(&mut out, number);
        }
        write_i64(&mut out, meta.min_ms);
        write_i64(&mut out, meta.max_ms);
        for number in [meta.series_count, meta.sample_count, meta.chunk_count, meta.journal_before] {
            write_u64(&mut out, number);
        }
        write_u64(&mut out, meta.replaces.len() as u64);
        meta.replaces.iter().for_each(|id| write_u64(&mut out, *id));
        for frames in &self.frames {
            write_u64(&mut out, frames.len() as u64);
            for frame in frames {
                write_u64(&mut out, frame.offset);
                write_u64(&mut out, u64::from(frame.stored_bytes));
                write_u64(&mut out, u64::from(frame.raw_bytes));
                out.extend_from_slice(&frame.crc.to_le_bytes());
            }
        }
        write_u64(&mut out, self.names.len() as u64);
        self.names.iter().for_each(|name| write_bytes(&mut out, name.as_bytes()));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let mut meta = Meta {
            id: reader.u64()?,
            age: reader.u64()?,
            level: u8::try_from(reader.u64()?).map_err(|_| Corrupt("a level is out of range"))?,
            min_ms: reader.i64()?,
            max_ms: reader.i64()?,
            series_count: reader.u64()?,
            sample_count: reader.u64()?,
            chunk_count: reader.u64()?,
            journal_before: reader.u64()?,
            replaces: Vec::new(),
        };
        for _ in 0..reader.count(bytes.len())? {
            meta.replaces.push(reader.u64()?);
        }
        let mut directory = Self { meta, ..Self::default() };
        for frames in &mut directory.frames {
            for _ in 0..reader.count(bytes.len())? {
                let (offset, stored_bytes, raw_bytes) = (reader.u64()?, reader.u32()?, reader.u32()?);
                let crc = u32::from_le_bytes(reader.take(4)?.try_into().expect("four bytes were taken"));
                frames.push(FrameInfo { offset, stored_bytes, raw_bytes, crc });
            }
        }
        for _ in 0..reader.count(bytes.len())? {
            directory.names.push(Box::from(reader.text()?));
        }
        Ok(directory)
    }
}

/// Samples of one series in one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    /// [`FrameKind::Values`] or [`FrameKind::Histograms`].
    pub(crate) kind: FrameKind,
    /// Inclusive.
    pub(crate) min_ms: i64,
    /// Inclusive.
    pub(crate) max_ms: i64,
    pub(crate) count: u32,
    pub(super) times: Place,
    pub(super) values: Place,
    /// Of the start timestamps, if any sample has one.
    pub(super) starts: Option<Place>,
}

/// A place in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) frame: u32,
    pub(super) offset: u32,
}

/// A series as its frame describes it: pairs of symbols, and chunks.
pub(super) fn write_series(out: &mut Vec<u8>, labels: &[(u32, u32)], chunks: &[ChunkRef]) {
    write_u64(out, labels.len() as u64);
    for (name, value) in labels {
        write_u64(out, u64::from(*name));
        write_u64(out, u64::from(*value));
    }
    write_u64(out, chunks.len() as u64);
    for chunk in chunks {
        let histograms = u64::from(chunk.kind == FrameKind::Histograms);
        let has_starts = u64::from(chunk.starts.is_some());
        write_u64(out, u64::from(chunk.count) << 2 | has_starts << 1 | histograms);
        write_i64(out, chunk.min_ms);
        write_i64(out, chunk.max_ms - chunk.min_ms);
        for place in [chunk.times, chunk.values].into_iter().chain(chunk.starts) {
            write_u64(out, u64::from(place.frame));
            write_u64(out, u64::from(place.offset));
        }
    }
}

/// The inverse of [`write_series`]; calls `label` for each pair of symbols and `chunk` for each chunk.
pub(super) fn read_series(
    bytes: &[u8],
    mut label: impl FnMut(u32, u32) -> Result<(), Corrupt>,
    mut chunk: impl FnMut(ChunkRef),
) -> Result<(), Corrupt> {
    let mut reader = Reader::new(bytes);
    for _ in 0..reader.count(bytes.len())? {
        label(reader.u32()?, reader.u32()?)?;
    }
    for _ in 0..reader.count(bytes.len())? {
        let head = reader.u64()?;
        let kind = if head & 1 == 0 { FrameKind::Values } else { FrameKind::Histograms };
        let count = u32::try_from(head >> 2).map_err(|_| Corrupt("a chunk has too many samples"))?;
        let min_ms = reader.i64()?;
        let max_ms = min_ms.wrapping_add(reader.i64()?);
        let mut place = || Ok(Place { frame: reader.u32()?, offset: reader.u32()? });
        let (times, values) = (place()?, place()?);
        let starts = if head & 2 == 0 { None } else { Some(place()?) };
        chunk(ChunkRef { kind, min_ms, max_ms, count, times, values, starts });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_directory_comes_back() {
        let frame = FrameInfo { offset: 1 << 40, stored_bytes: 7, raw_bytes: 0, crc: 0xdead_beef };
        let meta = Meta {
            id: 9,
            age: 7,
            level: 2,
            min_ms: -5,
            max_ms: i64::MAX,
            replaces: vec![3, 7],
            ..Meta::default()
        };
        let mut directory =
            Directory { meta, names: vec![Box::from("__name__"), Box::from("ü")], ..Directory::default() };
        directory.frames[FrameKind::Label as usize] = vec![frame, frame];
        let back = Directory::decode(&directory.encode()).expect("sound");
        assert_eq!((back.meta, back.frames, back.names), (directory.meta, directory.frames, directory.names));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let directory = Directory::decode(&bytes);
            let mut label_count = 0;
            let count_label = |_, _| {
                label_count += 1;
                Ok(())
            };
            let series = read_series(&bytes, count_label, |_| {});
            prop_assert!(label_count <= bytes.len());
            prop_assert!((directory.is_err() && series.is_err()) || !bytes.is_empty());
        }
    }
}
