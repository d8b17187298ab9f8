//! Windows of several steps folded at the same time.
//!
//! Each addition waits for the one before it, so that one window alone leaves the processor idle most of the time. Within
//! a window nothing changes its place: the results are those of one window after the other.

use crate::kahan;

/// Folds the values of `N` windows, each on its own.
///
/// `add` is written without branches, so that a call for all lanes becomes vector instructions.
pub(super) trait Lanes<const N: usize> {
    /// The lanes before the first value.
    fn new() -> Self;

    /// Takes the next value of a lane, of which there were `before`.
    fn add(&mut self, lane: usize, value: f64, before: usize);
}

/// Calls `done` with the number of each window and the lane in which it was folded.
#[inline]
pub(super) fn fold<const N: usize, L: Lanes<N>>(
    windows: &[(u32, u32)],
    values: &[f64],
    mut done: impl FnMut(usize, &L, usize),
) {
    for (chunk, windows) in windows.chunks(N).enumerate() {
        let mut lanes = L::new();
        let together = match windows.len() == N {
            true => fold_together(&mut lanes, windows, values),
            false => 0,
        };
        for (lane, (from, to)) in windows.iter().enumerate() {
            let (from, to) = (*from as usize, *to as usize);
            for (at, value) in values[from..to].iter().enumerate().skip(together) {
                lanes.add(lane, *value, at);
            }
            done(chunk * N + lane, &lanes, lane);
        }
    }
}

/// Folds as many values as all of `N` windows have; returns how many that are.
#[inline]
fn fold_together<const N: usize, L: Lanes<N>>(
    lanes: &mut L,
    windows: &[(u32, u32)],
    values: &[f64],
) -> usize {
    let len_min = windows.iter().map(|(from, to)| to - from).min().unwrap_or(0) as usize;
    let first = windows[0].0;
    if windows.iter().zip(first..).all(|((from, _), neighbour)| *from == neighbour) {
        // Each window begins one sample after the one before it: their values lie side by side.
        for (at, row) in values[first as usize..].array_windows::<N>().take(len_min).enumerate() {
            for (lane, value) in row.iter().enumerate() {
                lanes.add(lane, *value, at);
            }
        }
        return len_min;
    }
    let columns: [&[f64]; N] = std::array::from_fn(|lane| &values[windows[lane].0 as usize..][..len_min]);
    for at in 0..len_min {
        for (lane, column) in columns.iter().enumerate() {
            lanes.add(lane, column[at], at);
        }
    }
    len_min
}

/// Plain sums.
pub(super) struct PlainSums<const N: usize>([f64; N]);

impl<const N: usize> PlainSums<N> {
    pub(super) fn get(&self, lane: usize) -> f64 {
        self.0[lane]
    }
}

impl<const N: usize> Lanes<N> for PlainSums<N> {
    fn new() -> Self {
        Self([0.0; N])
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, value: f64, _: usize) {
        self.0[lane] += value;
    }
}

/// Compensated sums.
pub(super) struct CompensatedSums<const N: usize> {
    sums: [f64; N],
    compensations: [f64; N],
}

impl<const N: usize> CompensatedSums<N> {
    /// Sum and compensation.
    pub(super) fn get(&self, lane: usize) -> (f64, f64) {
        (self.sums[lane], self.compensations[lane])
    }
}

impl<const N: usize> Lanes<N> for CompensatedSums<N> {
    fn new() -> Self {
        Self { sums: [0.0; N], compensations: [0.0; N] }
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, value: f64, _: usize) {
        (self.sums[lane], self.compensations[lane]) =
            kahan::add(value, self.sums[lane], self.compensations[lane]);
    }
}

/// Mean and squares of distances from it, by Welford's recurrence.
pub(super) struct Squares<const N: usize> {
    means: CompensatedSums<N>,
    squares: CompensatedSums<N>,
}

impl<const N: usize> Squares<N> {
    /// The sum of the squares.
    pub(super) fn get(&self, lane: usize) -> f64 {
        self.squares.sums[lane] + self.squares.compensations[lane]
    }
}

impl<const N: usize> Lanes<N> for Squares<N> {
    fn new() -> Self {
        Self { means: CompensatedSums::new(), squares: CompensatedSums::new() }
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, value: f64, before: usize) {
        let mean = |means: &CompensatedSums<N>| means.sums[lane] + means.compensations[lane];
        let delta = value - mean(&self.means);
        self.means.add(lane, delta / (before + 1) as f64, before);
        self.squares.add(lane, delta * (value - mean(&self.means)), before);
    }
}
