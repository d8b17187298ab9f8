//! Counts the samples a query looks at, as Prometheus' query statistics have it.

use super::column::{Column, histogram_samples};
use super::window::spans::Spans;

/// Samples looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct SampleStats {
    total: u64,
    per_step: Option<Vec<u64>>,
}

impl SampleStats {
    /// Counts for `steps` steps, each on its own if `per_step`.
    pub(crate) fn new(steps: usize, per_step: bool) -> Self {
        Self { total: 0, per_step: per_step.then(|| vec![0; steps]) }
    }

    /// Adds samples looked at in one step.
    pub(crate) fn add(&mut self, step: usize, samples: u64) {
        self.total += samples;
        if let Some(of_step) = self.per_step.as_mut().and_then(|per_step| per_step.get_mut(step)) {
            *of_step += samples;
        }
    }

    /// Whether each step is counted on its own.
    pub(crate) fn is_per_step(&self) -> bool {
        self.per_step.is_some()
    }

    /// Adds the samples that the windows of all steps see.
    pub(crate) fn add_spans(&mut self, spans: &Spans) {
        self.total += spans.sample_count();
        for (of_step, (from, to)) in self.per_step.iter_mut().flatten().zip(spans.steps()) {
            *of_step += u64::from(to - from);
        }
    }

    /// Adds what was counted elsewhere for the same steps, which is forgotten there.
    pub(crate) fn merge(&mut self, other: &mut Self) {
        self.total += std::mem::take(&mut other.total);
        let theirs = other.per_step.iter_mut().flatten();
        for (of_step, theirs) in self.per_step.iter_mut().flatten().zip(theirs) {
            *of_step += std::mem::take(theirs);
        }
    }

    /// Adds the samples of an instant selector's series: one for each step, and for histograms their size.
    pub(crate) fn add_column(&mut self, column: &Column) {
        if self.per_step.is_none() {
            self.total += column.sample_count();
            return;
        }
        for step in column.present.ones() {
            self.add(step, column.histogram(step).map_or(1, |histogram| histogram_samples(histogram)));
        }
    }

    /// Sets the counts aside, while a part on another grid is evaluated.
    pub(crate) fn begin(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Sets the counts aside, while those of a part on the same grid are counted on their own.
    pub(crate) fn begin_shared(&mut self) -> Self {
        let per_step = self.per_step.as_ref().map(|per_step| vec![0; per_step.len()]);
        std::mem::replace(self, Self { total: 0, per_step })
    }

    /// Ends a part that was evaluated once instead of at each of `steps`: it counts in each of them.
    pub(crate) fn end_fixed(&mut self, before: Self, steps: usize) {
        let once = self.total;
        *self = before;
        self.total += once * steps as u64;
        for of_step in self.per_step.iter_mut().flatten() {
            *of_step += once;
        }
    }

    /// Ends the inside of a subquery, whose samples are counted by the function that looks at its result.
    pub(crate) fn end_subquery(&mut self, before: Self) {
        *self = before;
    }

    /// The total, and the counts of steps if they were asked for.
    pub(crate) fn finish(self) -> (u64, Option<Vec<u64>>) {
        (self.total, self.per_step)
    }
}
