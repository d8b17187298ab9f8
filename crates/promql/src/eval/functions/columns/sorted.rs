//! Functions of a window's sorted values: it is kept sorted while it moves.

use crate::eval::column::Column;
use crate::eval::functions::numbers::{self, nan_first};
use crate::eval::window::spans::Spans;

use super::ColumnState;

/// The values of a window, sorted by [`nan_first`].
#[derive(Debug, Default)]
pub(super) struct SortedWindow {
    values: Vec<f64>,
    /// For functions that sort something else.
    scratch: Vec<f64>,
}

/// A function of a window's sorted values, at each step that has any.
#[inline]
pub(super) fn each_window(
    state: &mut ColumnState,
    spans: &Spans,
    values: &[f64],
    column: &mut Column,
    mut of_sorted: impl FnMut(&[f64]) -> f64,
) {
    state.sorted.values.clear();
    let mut inside = (0, 0);
    for (step, (from, to)) in spans.steps().iter().enumerate() {
        if to <= from {
            continue;
        }
        state.sorted.move_to(values, inside, (*from as usize, *to as usize));
        inside = (*from as usize, *to as usize);
        column.set(step, of_sorted(&state.sorted.values));
    }
}

impl SortedWindow {
    /// Takes on the window `to`, where it was `from`.
    fn move_to(&mut self, values: &[f64], from: (usize, usize), to: (usize, usize)) {
        let (gone, new) = (from.0..to.0.min(from.1), from.1.max(to.0)..to.1);
        // Sorting costs each value a few comparisons, moving each that comes or goes a search and half of the window.
        if gone.len() + new.len() > (to.1 - to.0) / 8 + 1 {
            self.values.clear();
            self.values.extend_from_slice(&values[to.0..to.1]);
            self.values.sort_unstable_by(nan_first);
            return;
        }
        let both = gone.len().min(new.len());
        for (old, new) in values[gone.clone()].iter().zip(&values[new.clone()]) {
            self.replace(*old, *new);
        }
        for old in &values[gone.start + both..gone.end] {
            self.values.remove(self.place_of(*old));
        }
        for new in &values[new.start + both..new.end] {
            self.values.insert(self.place_of(*new), *new);
        }
    }

    /// Where the first of its equals is, or would be.
    fn place_of(&self, value: f64) -> usize {
        self.values.partition_point(|other| nan_first(other, &value).is_lt())
    }

    fn replace(&mut self, old: f64, new: f64) {
        let (from, to) = (self.place_of(old), self.place_of(new));
        if to > from {
            self.values.copy_within(from + 1..to, from);
            self.values[to - 1] = new;
        } else {
            self.values.copy_within(to..from, to + 1);
            self.values[to] = new;
        }
    }
}

/// The median of the distances from the median.
pub(super) fn median_distances(state: &mut ColumnState, spans: &Spans, values: &[f64], column: &mut Column) {
    let mut scratch = std::mem::take(&mut state.sorted.scratch);
    each_window(state, spans, values, column, |window| median_distance(window, &mut scratch));
    state.sorted.scratch = scratch;
}

fn median_distance(window: &[f64], scratch: &mut Vec<f64>) -> f64 {
    let median = numbers::quantile_of_sorted(0.5, window);
    let (first, last) = (window[0], window[window.len() - 1]);
    if !(first.is_finite() && last.is_finite() && median.is_finite()) {
        scratch.clear();
        scratch.extend(window.iter().map(|value| (value - median).abs()));
        return numbers::quantile(0.5, scratch);
    }
    // Distances grow from the median to either side.
    let split = window.partition_point(|value| *value < median);
    let left = |at: usize| (window[split - 1 - at] - median).abs();
    let right = |at: usize| (window[split + at] - median).abs();
    let (lower, upper, weight) = numbers::ranks(0.5, window.len());
    let [lower, upper] = [lower, upper].map(|rank| nth(rank, (left, split), (right, window.len() - split)));
    lower * (1.0 - weight) + upper * weight
}

/// The value of a rank among two sorted lists, each with its length.
fn nth(
    rank: usize,
    (left, left_len): (impl Fn(usize) -> f64, usize),
    (right, right_len): (impl Fn(usize) -> f64, usize),
) -> f64 {
    // How many of the values up to the rank are left ones.
    let (mut low, mut high) = ((rank + 1).saturating_sub(right_len), (rank + 1).min(left_len));
    while low < high {
        let middle = usize::midpoint(low, high);
        if left(middle) < right(rank - middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let largest_left = if low > 0 { left(low - 1) } else { f64::NEG_INFINITY };
    let largest_right = if low <= rank { right(rank - low) } else { f64::NEG_INFINITY };
    largest_left.max(largest_right)
}
