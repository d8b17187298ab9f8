//! Labels to series within a block.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use chunk::Corrupt;
use chunk::varint::{Reader, write_u64};
use roaring::RoaringBitmap;
use storage::Error;

use super::format::FrameKind;
use super::reader::Block;
use crate::postings::{LabelIndex, Union};

/// From so many series on, a bitmap is written instead of a list.
const BITMAP_MIN: u64 = 256;

/// Writes a set of series: a count and gaps, or 0 and a bitmap with runs.
pub(super) fn write_postings(out: &mut Vec<u8>, mut series: RoaringBitmap) -> io::Result<()> {
    if series.len() >= BITMAP_MIN {
        series.optimize();
        write_u64(out, 0);
        return series.serialize_into(out);
    }
    write_u64(out, series.len());
    let mut next = 0;
    for number in series {
        write_u64(out, u64::from(number - next));
        next = number + 1;
    }
    Ok(())
}

fn read_postings(bytes: &[u8], into: &mut Union) -> Result<(), Corrupt> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(BITMAP_MIN as usize)?;
    if count == 0 {
        into.add_all(&read_bitmap(reader.rest())?);
        return Ok(());
    }
    let mut next = 0u32;
    for _ in 0..count {
        let number = next.checked_add(reader.u32()?).filter(|number| *number < SERIES_MAX);
        let number = number.ok_or(Corrupt("a series is out of range"))?;
        into.add(number);
        next = number + 1;
    }
    Ok(())
}

/// No block has more series: bounds what damaged bytes can make us allocate.
const SERIES_MAX: u32 = 1 << 30;

fn read_bitmap(bytes: &[u8]) -> Result<RoaringBitmap, Corrupt> {
    RoaringBitmap::deserialize_from(bytes).map_err(|_| Corrupt("a bitmap is damaged"))
}

/// Whether a series of the set is in `among`; stops at the first.
fn postings_meet(bytes: &[u8], among: &RoaringBitmap) -> Result<bool, Corrupt> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(BITMAP_MIN as usize)?;
    if count == 0 {
        return Ok(!read_bitmap(reader.rest())?.is_disjoint(among));
    }
    let mut next = 0u32;
    for _ in 0..count {
        let number = next.checked_add(reader.u32()?).ok_or(Corrupt("a series is out of range"))?;
        if among.contains(number) {
            return Ok(true);
        }
        next = number.wrapping_add(1);
    }
    Ok(false)
}

/// All label names and values of a block, in order of first use.
#[derive(Debug)]
pub(crate) struct Symbols {
    raw: Arc<Vec<u8>>,
    /// Where each text begins and ends.
    ranges: Vec<(u32, u32)>,
}

impl Symbols {
    pub(super) fn parse(raw: Arc<Vec<u8>>) -> Result<Self, Corrupt> {
        let mut ranges = Vec::new();
        let mut reader = Reader::new(&raw);
        while !reader.is_empty() {
            let text = reader.text()?;
            let end = raw.len() - reader.rest().len();
            ranges.push(((end - text.len()) as u32, end as u32));
        }
        Ok(Self { raw, ranges })
    }

    pub(super) fn get(&self, symbol: u32) -> Result<&str, Corrupt> {
        let (start, end) = *self.ranges.get(symbol as usize).ok_or(Corrupt("a symbol is out of range"))?;
        std::str::from_utf8(&self.raw[start as usize..end as usize])
            .map_err(|_| Corrupt("a symbol is not utf-8"))
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.raw.len() + self.ranges.len() * 8
    }
}

/// Values of one label, sorted by text, each with where its series are.
#[derive(Debug)]
pub(crate) struct LabelFrame {
    raw: Arc<Vec<u8>>,
    /// Symbol, start and end of the postings.
    values: Vec<(u32, u32, u32)>,
}

impl LabelFrame {
    pub(super) fn parse(raw: Arc<Vec<u8>>) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(&raw);
        let count = reader.count(raw.len())?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let symbol = reader.u32()?;
            let postings = reader.bytes()?;
            let end = raw.len() - reader.rest().len();
            values.push((symbol, (end - postings.len()) as u32, end as u32));
        }
        Ok(Self { raw, values })
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.raw.len() + self.values.len() * 12
    }

    fn add_to(&self, at: usize, into: &mut Union) -> Result<(), Corrupt> {
        let (_, start, end) = self.values[at];
        read_postings(&self.raw[start as usize..end as usize], into)
    }

    fn meets(&self, at: usize, among: &RoaringBitmap) -> Result<bool, Corrupt> {
        let (_, start, end) = self.values[at];
        postings_meet(&self.raw[start as usize..end as usize], among)
    }

    /// Place of the first value that is not less than `value`.
    fn lower_bound(&self, symbols: &Symbols, value: &str) -> Result<usize, Corrupt> {
        let (mut low, mut high) = (0, self.values.len());
        while low < high {
            let middle = low.midpoint(high);
            if symbols.get(self.values[middle].0)? < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

impl Block {
    fn corrupt_label(&self, name: &str, corrupt: Corrupt) -> Error {
        let frame = self.label_frame_number(name).unwrap_or(0);
        self.corrupt(FrameKind::Label, frame, corrupt)
    }

    /// Calls `visit` with each value from the first that is not less than `from`, until it says `false`.
    fn visit_values(
        &self,
        name: &str,
        from: &str,
        mut visit: impl FnMut(&LabelFrame, usize, &str) -> Result<bool, Corrupt>,
    ) -> Result<(), Error> {
        let Some(label) = self.label(name)? else { return Ok(()) };
        let Some(symbols) = self.symbols()? else { return Ok(()) };
        let mut walk = || {
            for at in label.lower_bound(&symbols, from)?..label.values.len() {
                if !visit(&label, at, symbols.get(label.values[at].0)?)? {
                    break;
                }
            }
            Ok(())
        };
        walk().map_err(|e| self.corrupt_label(name, e))
    }
}

impl LabelIndex for Block {
    fn all(&self) -> Result<RoaringBitmap, Error> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..u32::try_from(self.meta().series_count).unwrap_or(u32::MAX));
        Ok(all)
    }

    fn with_name(&self, name: &str) -> Result<RoaringBitmap, Error> {
        self.union_where(name, "", &mut |_| true)
    }

    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, Error> {
        let mut found = Union::default();
        self.visit_values(name, value, |label, at, candidate| {
            if candidate == value {
                label.add_to(at, &mut found)?;
            }
            Ok(false)
        })?;
        Ok(found.finish())
    }

    fn value_count(&self, name: &str) -> Result<usize, Error> {
        Ok(self.label(name)?.map_or(0, |label| label.values.len()))
    }

    fn union_where(
        &self,
        name: &str,
        prefix: &str,
        wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, Error> {
        let mut found = Union::default();
        self.visit_values(name, prefix, |label, at, value| {
            if !value.starts_with(prefix) {
                return Ok(false);
            }
            if wanted(value) {
                label.add_to(at, &mut found)?;
            }
            Ok(true)
        })?;
        Ok(found.finish())
    }

    fn names(
        &self,
        among: Option<&RoaringBitmap>,
        max: usize,
        into: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut left = max;
        for name in self.label_names() {
            if left == 0 {
                break;
            }
            if into.contains(name) {
                left -= 1;
                continue;
            }
            let wanted = match among {
                None => true,
                Some(among) => {
                    let mut found = false;
                    self.visit_values(name, "", |label, at, _| {
                        found = label.meets(at, among)?;
                        Ok(!found)
                    })?;
                    found
                }
            };
            if wanted {
                left -= 1;
                into.insert(name.to_owned());
            }
        }
        Ok(())
    }

    fn values(
        &self,
        name: &str,
        among: Option<&RoaringBitmap>,
        max: usize,
        into: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut left = max;
        self.visit_values(name, "", |label, at, value| {
            if left == 0 {
                return Ok(false);
            }
            if into.contains(value) {
                left -= 1;
                return Ok(true);
            }
            let wanted = match among {
                None => true,
                Some(among) => label.meets(at, among)?,
            };
            if wanted {
                left -= 1;
                into.insert(value.to_owned());
            }
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn postings_come_back(series in proptest::collection::btree_set(0u32..5_000, 1..600)) {
            let set: RoaringBitmap = series.iter().copied().collect();
            let mut bytes = Vec::new();
            write_postings(&mut bytes, set.clone()).expect("written to memory");
            let mut back = Union::default();
            read_postings(&bytes, &mut back).expect("sound");
            prop_assert_eq!(&back.finish(), &set);
            let last: RoaringBitmap = set.max().into_iter().collect();
            prop_assert!(postings_meet(&bytes, &last).expect("sound"));
            prop_assert!(!postings_meet(&bytes, &RoaringBitmap::from([5_000])).expect("sound"));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut into = Union::default();
            let decoded = read_postings(&bytes, &mut into);
            prop_assert!(decoded.is_err() || !bytes.is_empty());
            let raw = Arc::new(bytes);
            if let (Ok(symbols), Ok(label)) = (Symbols::parse(Arc::clone(&raw)), LabelFrame::parse(raw)) {
                let found = label.lower_bound(&symbols, "m");
                prop_assert!(found.is_err() || found.is_ok_and(|at| at <= label.values.len()));
            }
        }
    }
}
