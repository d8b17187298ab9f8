//! The points in time an expression is evaluated at.

/// `count` points, `step_ms` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first point.
    pub(crate) start_ms: i64,
    /// Distance of points, positive.
    pub(crate) step_ms: i64,
    /// How many there are; may be 0 in a subquery whose window holds no point.
    pub(crate) count: usize,
}

impl Grid {
    /// One point.
    pub(crate) fn instant(time_ms: i64) -> Self {
        Self { start_ms: time_ms, step_ms: 1, count: 1 }
    }

    /// `start_ms`, `start_ms + step_ms`, … up to `end_ms` (inclusive).
    pub(crate) fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        let span_ms = end_ms.saturating_sub(start_ms);
        let count =
            if span_ms < 0 { 0 } else { usize::try_from(span_ms / step_ms).unwrap_or(usize::MAX - 1) + 1 };
        Self { start_ms, step_ms, count }
    }

    /// The time of point `at`.
    pub(crate) fn time_ms(&self, at: usize) -> i64 {
        self.start_ms + at as i64 * self.step_ms
    }

    /// The last point; the first if there is none.
    pub(crate) fn end_ms(&self) -> i64 {
        self.time_ms(self.count.saturating_sub(1))
    }

    /// The first point alone.
    pub(crate) fn first(&self) -> Self {
        Self { count: self.count.min(1), ..*self }
    }
}

/// Which time a selector looks at, given the time of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shift {
    /// `@`: instead of the time of evaluation.
    pub(crate) at_ms: Option<i64>,
    /// `offset`: positive looks back.
    pub(crate) offset_ms: i64,
}

impl Shift {
    /// The time looked at when evaluating at `time_ms`.
    pub(crate) fn apply(&self, time_ms: i64) -> i64 {
        self.at_ms.unwrap_or(time_ms).saturating_sub(self.offset_ms)
    }
}
