//! Which floats of a series each step sees, found once for all series that share their timestamps.
//!
//! The series of a target are scraped together, so the next series most often has the timestamps of the last one:
//! comparing two columns of timestamps is far cheaper than searching one again for each step.

use crate::eval::column::Bits;
use crate::eval::grid::Grid;
use crate::plan::Window;

/// The samples in front of each step, as positions in a column.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    timestamps_ms: Vec<i64>,
    /// Of each step: the first sample, and the one behind the last.
    steps: Vec<(u32, u32)>,
    sample_count: u64,
    len_max: u64,
}

impl Spans {
    /// Takes on a series' timestamps. Returns whether anything changed since the last series; `grid` and `window` never
    /// do.
    pub(crate) fn update(&mut self, timestamps_ms: &[i64], grid: &Grid, window: &Window) -> bool {
        if !self.steps.is_empty() && self.timestamps_ms == timestamps_ms {
            return false;
        }
        self.timestamps_ms.clear();
        self.timestamps_ms.extend_from_slice(timestamps_ms);
        self.steps.clear();
        (self.sample_count, self.len_max) = (0, 0);
        let mut at = 0..0;
        for step in 0..grid.count {
            let end_ms = window.shift.apply(grid.time_ms(step));
            at = super::advance(timestamps_ms, at, end_ms.saturating_sub(window.range_ms), end_ms);
            self.sample_count += at.len() as u64;
            self.len_max = self.len_max.max(at.len() as u64);
            self.steps.push((at.start as u32, at.end as u32));
        }
        true
    }

    /// The samples of each step, in order: the first, and the one behind the last. Neither ever goes back.
    pub(crate) fn steps(&self) -> &[(u32, u32)] {
        &self.steps
    }

    /// When the samples were taken.
    pub(crate) fn timestamps_ms(&self) -> &[i64] {
        &self.timestamps_ms
    }

    /// Samples of all steps, one that several see counted by each.
    pub(crate) fn sample_count(&self) -> u64 {
        self.sample_count
    }

    /// Samples of the step that sees most.
    pub(crate) fn len_max(&self) -> u64 {
        self.len_max
    }

    /// The steps that see at least `len_min` samples.
    pub(crate) fn with_at_least(&self, len_min: u32, into: &mut Bits) {
        into.reset(self.steps.len());
        for (step, (from, to)) in self.steps.iter().enumerate() {
            if to - from >= len_min {
                into.set(step);
            }
        }
    }
}
