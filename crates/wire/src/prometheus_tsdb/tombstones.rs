//! The file `tombstones` of a block: which samples are deleted and not yet gone.

use std::collections::HashMap;

use super::{Corrupt, Cursor, check_crc};

const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;

/// Deleted ranges of time by series, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tombstones {
    ranges: HashMap<u64, Vec<(i64, i64)>>,
}

impl Tombstones {
    /// Reads the whole file.
    ///
    /// # Errors
    /// If it is none, or damaged.
    pub fn read(file: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(file, 0);
        if cursor.u32()? != MAGIC {
            return Err(Corrupt::new(0, "this is no file of tombstones: other first bytes"));
        }
        let start = cursor.offset;
        match cursor.byte()? {
            VERSION => {}
            other => {
                let what = format!("tombstones of version {other}; only {VERSION} is known");
                return Err(Corrupt::new(start, what));
            }
        }
        // The checksum is of what is behind the version.
        let start = cursor.offset;
        let len = cursor.rest.len().checked_sub(4).ok_or_else(|| cursor.corrupt("the file is cut off"))?;
        let content = cursor.take(len)?;
        check_crc(content, cursor.u32()?, start)?;
        let mut content = Cursor::new(content, start);
        let mut tombstones = Self::default();
        while !content.is_empty() {
            let series = content.uvarint()?;
            tombstones.add(series, content.varint()?, content.varint()?);
        }
        Ok(tombstones)
    }

    /// Adds a range.
    pub fn add(&mut self, series: u64, min_ms: i64, max_ms: i64) {
        self.ranges.entry(series).or_default().push((min_ms, max_ms));
    }

    /// The deleted ranges of a series.
    pub fn of(&self, series: u64) -> &[(i64, i64)] {
        self.ranges.get(&series).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// Whether a time lies in one of the ranges.
pub fn covers(ranges: &[(i64, i64)], timestamp_ms: i64) -> bool {
    ranges.iter().any(|(min_ms, max_ms)| (*min_ms..=*max_ms).contains(&timestamp_ms))
}
