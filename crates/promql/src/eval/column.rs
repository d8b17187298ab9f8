//! A series' result: one cell for each step of the grid, and which of them are filled.
//!
//! A cell holds a float, a native histogram, or nothing. Whether it is filled is a bit beside it, never a
//! special number: NaN is an ordinary value.

use std::sync::Arc;

use model::{FloatHistogram, Labels};

use super::ledger::Charge;

/// One bit for each step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    /// `count` bits, none set.
    pub(crate) fn none(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)], count }
    }

    /// Clears all and takes a new length; keeps the allocation.
    pub(crate) fn reset(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count.div_ceil(64), 0);
        self.count = count;
    }

    /// Takes over the bits of another set, of any length; keeps the allocation.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.words.clone_from(&other.words);
        self.count = other.count;
    }

    /// Sets all bits.
    pub(crate) fn fill(&mut self) {
        self.words.fill(u64::MAX);
        if let Some(last) = self.words.last_mut()
            && !self.count.is_multiple_of(64)
        {
            *last = (1 << (self.count % 64)) - 1;
        }
    }

    pub(crate) fn get(&self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    pub(crate) fn set(&mut self, at: usize) {
        self.words[at / 64] |= 1 << (at % 64);
    }

    pub(crate) fn clear(&mut self, at: usize) {
        self.words[at / 64] &= !(1 << (at % 64));
    }

    pub(crate) fn any(&self) -> bool {
        self.words.iter().any(|word| *word != 0)
    }

    pub(crate) fn all(&self) -> bool {
        self.count_ones() == self.count
    }

    pub(crate) fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.zip(other, |a, b| a | b);
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        self.zip(other, |a, b| a & b);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.zip(other, |a, b| a & !b);
    }

    fn zip(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        debug_assert_eq!(self.count, other.count, "BUG: columns of different grids");
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word = combine(*word, *other);
        }
    }

    /// The first bit set in both.
    pub(crate) fn first_common(&self, other: &Self) -> Option<usize> {
        let at = self.words.iter().zip(&other.words).position(|(a, b)| a & b != 0)?;
        Some(at * 64 + (self.words[at] & other.words[at]).trailing_zeros() as usize)
    }

    /// The first bit set.
    pub(crate) fn first(&self) -> Option<usize> {
        self.first_common(self)
    }

    /// Positions of set bits, rising.
    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

/// What a cell holds.
#[derive(Debug, Clone)]
pub(crate) enum Cell<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// One cell for each step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    /// Floats; meaningless where the cell is empty or a histogram.
    pub(crate) values: Vec<f64>,
    /// Which cells are filled, with a float or a histogram.
    pub(crate) present: Bits,
    /// Empty as long as no cell is a histogram, which is the rule.
    histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl Column {
    /// `count` empty cells.
    pub(crate) fn empty(count: usize) -> Self {
        Self { values: vec![0.0; count], present: Bits::none(count), histograms: Vec::new() }
    }

    /// `count` cells of the same value, filled where `present` says so.
    pub(crate) fn constant(value: f64, present: Bits) -> Self {
        Self { values: vec![value; present.count], present, histograms: Vec::new() }
    }

    /// Empties all cells and takes a new length; keeps the allocations.
    pub(crate) fn reset(&mut self, count: usize) {
        self.values.clear();
        self.values.resize(count, 0.0);
        self.present.reset(count);
        self.histograms.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn set(&mut self, at: usize, value: f64) {
        self.values[at] = value;
        self.present.set(at);
        if let Some(histogram) = self.histograms.get_mut(at) {
            *histogram = None;
        }
    }

    pub(crate) fn set_histogram(&mut self, at: usize, histogram: Arc<FloatHistogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.values.len(), None);
        }
        self.histograms[at] = Some(histogram);
        self.present.set(at);
    }

    /// Empties a cell.
    pub(crate) fn clear(&mut self, at: usize) {
        self.present.clear(at);
        if let Some(histogram) = self.histograms.get_mut(at) {
            *histogram = None;
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<Cell<'_>> {
        if !self.present.get(at) {
            return None;
        }
        Some(match self.histogram(at) {
            Some(histogram) => Cell::Histogram(histogram),
            None => Cell::Float(self.values[at]),
        })
    }

    pub(crate) fn histogram(&self, at: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(at).and_then(Option::as_ref)
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Copies a cell of another column.
    pub(crate) fn copy_cell(&mut self, at: usize, from: &Self, from_at: usize) {
        match from.get(from_at) {
            None => self.clear(at),
            Some(Cell::Float(value)) => self.set(at, value),
            Some(Cell::Histogram(histogram)) => self.set_histogram(at, Arc::clone(histogram)),
        }
    }

    /// Empties the cells that hold a histogram. Returns whether there were any.
    pub(crate) fn drop_histograms(&mut self) -> bool {
        let mut dropped = false;
        for (at, histogram) in self.histograms.iter().enumerate() {
            if histogram.is_some() {
                dropped = true;
                self.present.clear(at);
            }
        }
        self.histograms.clear();
        dropped
    }

    /// Becomes a copy of another column; keeps the allocations.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.values.clone_from(&other.values);
        self.present.copy_from(&other.present);
        self.histograms.clone_from(&other.histograms);
    }

    /// Takes over the filled cells of `other`; the two must have none in common.
    pub(crate) fn absorb(&mut self, other: &Self) {
        for at in other.present.ones() {
            self.copy_cell(at, other, at);
        }
    }

    /// What Prometheus counts as samples: 1 for a float, and for a histogram its size in units of a float sample.
    pub(crate) fn sample_count(&self) -> u64 {
        let floats = self.present.count_ones() as u64;
        let histograms = self.histograms.iter().flatten().map(|h| histogram_samples(h) - 1).sum::<u64>();
        floats + histograms
    }

    /// Bytes held, those of histograms included.
    pub(crate) fn size_bytes(&self) -> u64 {
        let columns =
            self.values.capacity() * 8 + self.present.words.capacity() * 8 + self.histograms.capacity() * 8;
        columns as u64 + self.histogram_bytes()
    }

    /// Bytes of the histograms alone.
    pub(crate) fn histogram_bytes(&self) -> u64 {
        self.histograms.iter().flatten().map(|h| h.size_bytes() as u64).sum()
    }
}

/// A histogram's size in units of a float sample (16 bytes).
pub(crate) fn histogram_samples(histogram: &FloatHistogram) -> u64 {
    (histogram.size_bytes() as u64 / 16).max(1)
}

/// A series with its result.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// Labels, the name included even if it is to be dropped.
    pub(crate) labels: Labels,
    /// Whether name, type and unit are dropped from the labels in the end. Delayed, so that `label_replace` and
    /// `by (__name__)` can still see them.
    pub(crate) drop_name: bool,
    /// One cell for each step.
    pub(crate) column: Column,
    /// Memory and samples it holds; `None` while it is only passing through.
    pub(crate) charge: Option<Charge>,
}

impl Series {
    /// What an allocation takes beside its content.
    pub(crate) const ALLOCATION_BYTES: usize = 16;

    /// Becomes a copy of another series, but for its charge.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.labels = other.labels.clone();
        self.drop_name = other.drop_name;
        self.column.copy_from(&other.column);
    }

    /// Bytes of a series that is kept: itself in a list that grows by doubling, its columns, and its labels, which are
    /// made anew or outlive the selection they came from.
    pub(crate) fn size_bytes(&self) -> u64 {
        let labels = self.labels.packed().len() + 2 * Self::ALLOCATION_BYTES;
        let itself = size_of::<Self>() + size_of::<Self>() / 2 + 3 * Self::ALLOCATION_BYTES;
        self.column.size_bytes() + (itself + labels) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_a_set(count in 1usize..200, a in proptest::collection::btree_set(0usize..200, 0..60),
                          b in proptest::collection::btree_set(0usize..200, 0..60)) {
            let make = |set: &std::collections::BTreeSet<usize>| {
                let mut bits = Bits::none(count);
                set.iter().filter(|at| **at < count).for_each(|at| bits.set(*at));
                bits
            };
            let (a_bits, b_bits) = (make(&a), make(&b));
            let a: std::collections::BTreeSet<usize> = a.into_iter().filter(|at| *at < count).collect();
            let b: std::collections::BTreeSet<usize> = b.into_iter().filter(|at| *at < count).collect();
            prop_assert_eq!(a_bits.ones().collect::<Vec<_>>(), a.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(a_bits.count_ones(), a.len());
            prop_assert_eq!(a_bits.first_common(&b_bits), a.intersection(&b).next().copied());
            let combined = |combine: fn(&mut Bits, &Bits)| {
                let mut bits = a_bits.clone();
                combine(&mut bits, &b_bits);
                bits.ones().collect::<Vec<_>>()
            };
            prop_assert_eq!(combined(Bits::union), a.union(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(combined(Bits::intersect), a.intersection(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(combined(Bits::subtract), a.difference(&b).copied().collect::<Vec<_>>());
            let mut full = Bits::none(count);
            full.fill();
            prop_assert!(full.all() && full.count_ones() == count);
        }
    }
}
