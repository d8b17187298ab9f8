//! Pieces of one series made one: floats and histograms, oldest write first, the last write winning.

use std::sync::Arc;

use chunk::stream::decode_range;
use model::{FloatHistogram, UNKNOWN_START_MS};
use storage::merge::merge_floats;
use storage::{FloatColumn, HistogramColumn, SeriesSamples};

use crate::tombstones::Hole;

/// Adds pieces to the samples of one series, cut to a range.
pub(crate) struct Merger<'a> {
    into: &'a mut SeriesSamples,
    start_ms: i64,
    end_ms: i64,
    /// What is left out of the next pieces: sorted, disjoint.
    holes: Vec<Hole>,
    scratch: FloatColumn,
}

impl<'a> Merger<'a> {
    /// Begins with nothing. The range is inclusive.
    pub(crate) fn new(into: &'a mut SeriesSamples, start_ms: i64, end_ms: i64) -> Self {
        into.clear();
        Self { into, start_ms, end_ms, holes: Vec::new(), scratch: FloatColumn::default() }
    }

    /// Takes room for pieces that cannot be decoded in place, so that not every series allocates it anew.
    pub(crate) fn lend(&mut self, scratch: FloatColumn) {
        self.scratch = scratch;
    }

    /// Gives that room back.
    pub(crate) fn give_back(&mut self) -> FloatColumn {
        std::mem::take(&mut self.scratch)
    }

    /// From now on, what is in `holes` is left out. They are sorted and disjoint.
    pub(crate) fn set_holes(&mut self, holes: Vec<Hole>) {
        self.holes = holes;
    }

    /// Calls `add` with each range that is asked for and not a hole.
    fn each_range(&mut self, mut add: impl FnMut(&mut Self, i64, i64)) {
        let holes = std::mem::take(&mut self.holes);
        let mut start_ms = Some(self.start_ms);
        for (hole_start_ms, hole_end_ms) in &holes {
            let Some(from_ms) = start_ms else { break };
            if *hole_start_ms > from_ms {
                add(self, from_ms, self.end_ms.min(hole_start_ms - 1));
            }
            start_ms = hole_end_ms.checked_add(1).map(|after_ms| after_ms.max(from_ms));
        }
        if let Some(from_ms) = start_ms.filter(|from_ms| *from_ms <= self.end_ms) {
            add(self, from_ms, self.end_ms);
        }
        self.holes = holes;
    }

    /// Adds floats, whose timestamps rise strictly. `starts_ms` may end early: nothing is known of the rest.
    pub(crate) fn add_floats(&mut self, timestamps_ms: &[i64], values: &[f64], starts_ms: &[i64]) {
        let piece = (timestamps_ms, values, starts_ms);
        if self.holes.is_empty() {
            return self.add_floats_of(piece, self.start_ms, self.end_ms);
        }
        self.each_range(|merger, from_ms, to_ms| merger.add_floats_of(piece, from_ms, to_ms));
    }

    fn add_floats_of(&mut self, piece: Piece<'_, f64>, start_ms: i64, end_ms: i64) {
        let (timestamps_ms, values, starts_ms) = cut(piece, start_ms, end_ms);
        if timestamps_ms.is_empty() {
            return;
        }
        drop_histograms_at(&mut self.into.histograms, timestamps_ms);
        merge_floats(&mut self.into.floats, timestamps_ms, values, starts_ms);
    }

    /// Adds what a stream encoder wrote. `starts_ms` may end early.
    ///
    /// # Errors
    /// If the bytes are no such stream.
    pub(crate) fn add_stream(&mut self, bytes: &[u8], starts_ms: &[i64]) -> Result<(), chunk::Corrupt> {
        let Some(first_ms) = chunk::stream::first_ms(bytes)? else { return Ok(()) };
        let floats = &mut self.into.floats;
        // The usual case: the piece follows all before it, and can be decoded in place.
        let follows = floats.timestamps_ms.last().is_none_or(|last| *last < first_ms);
        let plain = starts_ms.is_empty() && self.holes.is_empty();
        if follows && plain && self.into.histograms.timestamps_ms.is_empty() {
            let (timestamps_ms, values) = (&mut floats.timestamps_ms, &mut floats.values);
            return decode_range(bytes, self.start_ms, self.end_ms, timestamps_ms, values);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let (timestamps_ms, values) = (&mut scratch.timestamps_ms, &mut scratch.values);
        // Starts are found by their places in the whole piece.
        let range = if starts_ms.is_empty() { (self.start_ms, self.end_ms) } else { (i64::MIN, i64::MAX) };
        decode_range(bytes, range.0, range.1, timestamps_ms, values)?;
        self.add_floats(&scratch.timestamps_ms, &scratch.values, starts_ms);
        self.scratch = scratch;
        Ok(())
    }

    /// Adds columns whose timestamps are within `min_max_ms` and rise strictly, and which `decode` appends. `starts_ms` may end
    /// early.
    ///
    /// # Errors
    /// As `decode`.
    pub(crate) fn add_column(
        &mut self,
        (min_ms, max_ms): (i64, i64),
        decode: impl FnOnce(&mut Vec<i64>, &mut Vec<f64>) -> Result<(), chunk::Corrupt>,
        starts_ms: &[i64],
    ) -> Result<(), chunk::Corrupt> {
        if min_ms > self.end_ms || max_ms < self.start_ms {
            return Ok(());
        }
        let floats = &mut self.into.floats;
        let follows = floats.timestamps_ms.last().is_none_or(|last| *last < min_ms);
        let plain = starts_ms.is_empty() && self.holes.is_empty();
        let whole = min_ms >= self.start_ms && max_ms <= self.end_ms;
        if follows && plain && whole && self.into.histograms.timestamps_ms.is_empty() {
            return decode(&mut floats.timestamps_ms, &mut floats.values);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        decode(&mut scratch.timestamps_ms, &mut scratch.values)?;
        self.add_floats(&scratch.timestamps_ms, &scratch.values, starts_ms);
        self.scratch = scratch;
        Ok(())
    }

    /// Adds histograms, whose timestamps rise strictly. `starts_ms` may end early.
    pub(crate) fn add_histograms(
        &mut self,
        timestamps_ms: &[i64],
        values: &[Arc<FloatHistogram>],
        starts_ms: &[i64],
    ) {
        let piece = (timestamps_ms, values, starts_ms);
        if self.holes.is_empty() {
            return self.add_histograms_of(piece, self.start_ms, self.end_ms);
        }
        self.each_range(|merger, from_ms, to_ms| merger.add_histograms_of(piece, from_ms, to_ms));
    }

    fn add_histograms_of(&mut self, piece: Piece<'_, Arc<FloatHistogram>>, start_ms: i64, end_ms: i64) {
        let (timestamps_ms, values, starts_ms) = cut(piece, start_ms, end_ms);
        if timestamps_ms.is_empty() {
            return;
        }
        drop_floats_at(&mut self.into.floats, timestamps_ms);
        let column = &mut self.into.histograms;
        let keep = column.timestamps_ms.partition_point(|t| *t < timestamps_ms[0]);
        let old_starts = column.starts.split_off(keep);
        let old: Vec<(i64, Arc<FloatHistogram>, i64)> = column
            .timestamps_ms
            .drain(keep..)
            .zip(column.values.drain(keep..))
            .enumerate()
            .map(|(at, (timestamp_ms, value))| (timestamp_ms, value, old_starts.get(at)))
            .collect();
        let mut old = old.into_iter().peekable();
        for (at, (timestamp_ms, value)) in timestamps_ms.iter().zip(values).enumerate() {
            while let Some((old_ms, old_value, old_start_ms)) = old.next_if(|(t, _, _)| t <= timestamp_ms) {
                if old_ms < *timestamp_ms {
                    column.push_since(old_ms, old_value, old_start_ms);
                }
            }
            let start_ms = starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS);
            column.push_since(*timestamp_ms, Arc::clone(value), start_ms);
        }
        for (old_ms, old_value, old_start_ms) in old {
            column.push_since(old_ms, old_value, old_start_ms);
        }
    }
}

/// Timestamps, values, and start timestamps, which may end early.
type Piece<'a, T> = (&'a [i64], &'a [T], &'a [i64]);

/// The part of a piece within a range, inclusive at both ends.
fn cut<'a, T>((timestamps_ms, values, starts_ms): Piece<'a, T>, start_ms: i64, end_ms: i64) -> Piece<'a, T> {
    let from = timestamps_ms.partition_point(|t| *t < start_ms);
    let to = timestamps_ms.partition_point(|t| *t <= end_ms).max(from);
    let known = to.min(starts_ms.len());
    (&timestamps_ms[from..to], &values[from..to], &starts_ms[from.min(known)..known])
}

/// Both columns' entries at any of `gone`, which is sorted, go.
fn drop_histograms_at(column: &mut HistogramColumn, gone: &[i64]) {
    if column.timestamps_ms.is_empty() {
        return;
    }
    let keep: Vec<bool> = column.timestamps_ms.iter().map(|t| gone.binary_search(t).is_err()).collect();
    retain(&mut column.timestamps_ms, &keep);
    retain(&mut column.values, &keep);
    column.starts.retain(&keep);
}

fn drop_floats_at(column: &mut FloatColumn, gone: &[i64]) {
    if column.timestamps_ms.is_empty() {
        return;
    }
    let keep: Vec<bool> = column.timestamps_ms.iter().map(|t| gone.binary_search(t).is_err()).collect();
    retain(&mut column.timestamps_ms, &keep);
    retain(&mut column.values, &keep);
    column.starts.retain(&keep);
}

fn retain<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    items.retain(|_| *keep.next().expect("one flag for each item"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn pieces_of_both_kinds_merge_as_a_map_would(pieces in proptest::collection::vec(
            (any::<bool>(), proptest::collection::btree_map(0i64..50, (0u32..9, 0i64..3), 0..15), proptest::option::of((0i64..50, 0i64..9))), 0..6), start in 0i64..20, end in 20i64..60) {
            let mut samples = SeriesSamples::default();
            let mut merger = Merger::new(&mut samples, start, end);
            let mut want: BTreeMap<i64, (bool, (u32, i64))> = BTreeMap::new();
            for (floats, piece, hole) in &pieces {
                let hole = hole.map(|(from, width)| (from, from + width));
                merger.set_holes(hole.into_iter().collect());
                let timestamps_ms: Vec<i64> = piece.keys().copied().collect();
                let starts: Vec<i64> = piece.values().map(|(_, start)| *start).collect();
                if *floats {
                    let values: Vec<f64> = piece.values().map(|(v, _)| f64::from(*v)).collect();
                    merger.add_floats(&timestamps_ms, &values, &starts);
                } else {
                    let histogram = |(v, _): &(u32, i64)| Arc::new(FloatHistogram { sum: f64::from(*v), ..FloatHistogram::default() });
                    let values: Vec<Arc<FloatHistogram>> = piece.values().map(histogram).collect();
                    merger.add_histograms(&timestamps_ms, &values, &starts);
                }
                let visible = |t: i64| hole.is_none_or(|(from, to)| !(from..=to).contains(&t));
                want.extend(piece.iter().filter(|(t, _)| visible(**t)).map(|(t, v)| (*t, (*floats, *v))));
            }
            want.retain(|t, _| (start..=end).contains(t));
            let mut got: BTreeMap<i64, (bool, (u32, i64))> = BTreeMap::new();
            let (floats, histograms) = (&samples.floats, &samples.histograms);
            for (at, (t, v)) in floats.timestamps_ms.iter().zip(&floats.values).enumerate() {
                prop_assert!(got.insert(*t, (true, (*v as u32, floats.starts.get(at)))).is_none());
            }
            for (at, (t, h)) in histograms.timestamps_ms.iter().zip(&histograms.values).enumerate() {
                prop_assert!(got.insert(*t, (false, (h.sum as u32, histograms.starts.get(at)))).is_none());
            }
            prop_assert!(samples.floats.timestamps_ms.is_sorted() && samples.histograms.timestamps_ms.is_sorted());
            prop_assert_eq!(got, want);
        }
    }
}
