//! Start timestamps: when the cumulative counter behind a sample began to count.
//!
//! A column beside a column of samples that costs nothing where nobody says when a counter began: unknown starts
//! at its end are not stored, so a column of samples without any has an empty one, and whoever adds samples
//! without starts need not know that there is such a column.

use model::UNKNOWN_START_MS;

/// Start timestamps of a column of samples, by the places of the samples. They need not rise.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct StartColumn {
    /// Ends with a known one; unknown ones are [`UNKNOWN_START_MS`].
    starts_ms: Vec<i64>,
}

impl StartColumn {
    /// The start of the sample at a place, [`UNKNOWN_START_MS`] if there is none.
    #[inline]
    pub fn get(&self, at: usize) -> i64 {
        self.starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS)
    }

    /// Whether no sample has a start.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.starts_ms.is_empty()
    }

    /// Starts up to the last known one; samples behind it have none.
    pub fn as_slice(&self) -> &[i64] {
        &self.starts_ms
    }

    /// The starts of a range of places, as [`Self::as_slice`].
    pub fn slice(&self, from: usize, to: usize) -> &[i64] {
        let end = to.min(self.starts_ms.len());
        &self.starts_ms[from.min(end)..end]
    }

    /// Empties the column and keeps its allocation.
    pub fn clear(&mut self) {
        self.starts_ms.clear();
    }

    /// Adds the start of the sample at `at`, which is behind all that were added.
    #[inline]
    pub fn push_at(&mut self, at: usize, start_ms: i64) {
        debug_assert!(at >= self.starts_ms.len(), "BUG: starts are added in order");
        if start_ms != UNKNOWN_START_MS {
            self.starts_ms.resize(at, UNKNOWN_START_MS);
            self.starts_ms.push(start_ms);
        }
    }

    /// Adds the starts of samples from `at` on, behind all that were added.
    pub fn extend_at(&mut self, at: usize, starts_ms: &[i64]) {
        for (place, start_ms) in (at..).zip(starts_ms) {
            self.push_at(place, *start_ms);
        }
    }

    /// Cuts off the starts from `at` on and returns them.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let tail = Self { starts_ms: self.starts_ms.split_off(at.min(self.starts_ms.len())) };
        self.trim();
        tail
    }

    /// Keeps the starts of the samples whose flag is set.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.starts_ms.retain(|_| keep.next().is_none_or(|keep| *keep));
        self.trim();
    }

    fn trim(&mut self) {
        let known = self.starts_ms.iter().rposition(|start_ms| *start_ms != UNKNOWN_START_MS);
        self.starts_ms.truncate(known.map_or(0, |at| at + 1));
    }

    /// Bytes held, for the accountant.
    pub fn size_bytes(&self) -> usize {
        self.starts_ms.len() * size_of::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_column_that_ends_where_nothing_is_known(
            starts in proptest::collection::vec(0i64..3, 0..12),
            flags in proptest::collection::vec(any::<bool>(), 12), cut in 0usize..14) {
            let mut column = StartColumn::default();
            for (at, start_ms) in starts.iter().enumerate() {
                column.push_at(at, *start_ms);
            }
            let of = |column: &StartColumn| (0..14).map(|at| column.get(at)).collect::<Vec<_>>();
            let padded = |mut starts: Vec<i64>| { starts.resize(14, UNKNOWN_START_MS); starts };
            prop_assert_eq!(of(&column), padded(starts.clone()));
            prop_assert_eq!(column.is_empty(), starts.iter().all(|s| *s == UNKNOWN_START_MS));

            let mut kept = column.clone();
            kept.retain(&flags);
            let want = starts.iter().zip(&flags).filter(|(_, keep)| **keep).map(|(s, _)| *s).collect();
            prop_assert_eq!(of(&kept), padded(want));
            prop_assert!(kept.as_slice().last() != Some(&UNKNOWN_START_MS));

            let tail = column.split_off(cut);
            prop_assert!(column.as_slice().last() != Some(&UNKNOWN_START_MS));
            column.extend_at(cut, tail.as_slice());
            prop_assert_eq!(of(&column), padded(starts));
        }
    }
}
