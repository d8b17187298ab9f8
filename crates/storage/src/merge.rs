//! Sorted columns of samples made one: by time, a later source winning where timestamps are equal.
//!
//! Engines hold a series in pieces that may overlap (head, out-of-order buffer, blocks). Pieces are given in
//! order of age of the write, oldest first, so that "the last write wins" falls out of the order.

use model::UNKNOWN_START_MS;

use crate::FloatColumn;

/// Merges `newer` into `into`; on equal timestamps the value of `newer` stays, with its start timestamp.
///
/// `newer_starts_ms` may end before the other columns: nothing is known of the rest. Linear in the overlap only:
/// columns that follow one another are appended.
pub fn merge_floats(
    into: &mut FloatColumn,
    newer_timestamps_ms: &[i64],
    newer_values: &[f64],
    newer_starts_ms: &[i64],
) {
    let follows = match (newer_timestamps_ms.first(), into.timestamps_ms.last()) {
        (Some(first), Some(last)) => last < first,
        _ => true,
    };
    if follows {
        into.starts.extend_at(into.timestamps_ms.len(), newer_starts_ms);
        into.timestamps_ms.extend_from_slice(newer_timestamps_ms);
        into.values.extend_from_slice(newer_values);
        return;
    }
    let keep = into.timestamps_ms.partition_point(|t| *t < newer_timestamps_ms[0]);
    let old_timestamps = into.timestamps_ms.split_off(keep);
    let old_values = into.values.split_off(keep);
    let old_starts = into.starts.split_off(keep);
    let newer_start_ms = |at: usize| newer_starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS);
    let (mut old, mut new) = (0, 0);
    while old < old_timestamps.len() && new < newer_timestamps_ms.len() {
        let (old_ms, new_ms) = (old_timestamps[old], newer_timestamps_ms[new]);
        if old_ms < new_ms {
            into.push_since(old_ms, old_values[old], old_starts.get(old));
            old += 1;
        } else {
            into.push_since(new_ms, newer_values[new], newer_start_ms(new));
            new += 1;
            old += usize::from(old_ms == new_ms);
        }
    }
    into.starts.extend_at(into.timestamps_ms.len(), old_starts.slice(old, old_timestamps.len()));
    into.timestamps_ms.extend_from_slice(&old_timestamps[old..]);
    into.values.extend_from_slice(&old_values[old..]);
    into.starts.extend_at(into.timestamps_ms.len(), newer_starts_ms.get(new..).unwrap_or_default());
    into.timestamps_ms.extend_from_slice(&newer_timestamps_ms[new..]);
    into.values.extend_from_slice(&newer_values[new..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn merging_is_what_a_map_would_do(pieces in proptest::collection::vec(
            proptest::collection::btree_map(0i64..60, (-5.0f64..5.0, 0i64..3), 0..20), 0..6)) {
            let mut merged = FloatColumn::default();
            let mut want = BTreeMap::new();
            for piece in pieces {
                let timestamps: Vec<i64> = piece.keys().copied().collect();
                let (values, starts): (Vec<f64>, Vec<i64>) = piece.values().copied().unzip();
                merge_floats(&mut merged, &timestamps, &values, &starts);
                want.extend(piece);
            }
            let got: Vec<(i64, (f64, i64))> = (0..merged.values.len())
                .map(|at| (merged.timestamps_ms[at], (merged.values[at], merged.starts.get(at))))
                .collect();
            prop_assert_eq!(got, want.into_iter().collect::<Vec<_>>());
        }
    }
}
