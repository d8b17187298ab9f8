//! Labels to series within a block.

use std::io;
use std::sync::Arc;

use chunk::Corrupt;
use chunk::varint::{Reader, write_u64};
use roaring::RoaringBitmap;
use storage::Error;

use super::format::FrameKind;
use super::reader::Block;
use crate::postings::{LabelIndex, Postings, Union, VisitValue};

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

/// Postings as they lie in their frame.
struct PostingsBytes<'a>(&'a [u8]);

impl Postings for PostingsBytes<'_> {
    fn add_to(&self, union: &mut Union) -> Result<(), Corrupt> {
        read_postings(self.0, union)
    }

    fn meets(&self, among: &RoaringBitmap) -> Result<bool, Corrupt> {
        postings_meet(self.0, among)
    }
}

impl LabelIndex for Block {
    fn all(&self) -> Result<RoaringBitmap, Error> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..u32::try_from(self.meta().series_count).unwrap_or(u32::MAX));
        Ok(all)
    }

    fn series_count(&self) -> u64 {
        self.meta().series_count
    }

    fn with_name(&self, name: &str) -> Result<RoaringBitmap, Error> {
        let mut found = Union::default();
        self.visit_values(name, "", &mut |_, postings| postings.add_to(&mut found).map(|()| true))?;
        Ok(found.finish())
    }

    fn value_count(&self, name: &str) -> Result<usize, Error> {
        Ok(self.label(name)?.map_or(0, |label| label.values.len()))
    }

    fn visit_values(&self, name: &str, from: &str, visit: VisitValue<'_>) -> Result<(), Error> {
        let Some(label) = self.label(name)? else { return Ok(()) };
        let Some(symbols) = self.symbols()? else { return Ok(()) };
        let mut walk = || {
            let first = if from.is_empty() { 0 } else { label.lower_bound(&symbols, from)? };
            for (symbol, start, end) in &label.values[first..] {
                let postings = PostingsBytes(&label.raw[*start as usize..*end as usize]);
                if !visit(symbols.get(*symbol)?, &postings)? {
                    break;
                }
            }
            Ok(())
        };
        let frame = || self.label_frame_number(name).unwrap_or(0);
        walk().map_err(|corrupt| self.corrupt(FrameKind::Label, frame(), corrupt))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str) -> Result<bool, Error>) -> Result<(), Error> {
        for name in self.label_names() {
            if !visit(name)? {
                break;
            }
        }
        Ok(())
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
