//! Sorted columns of samples made one: by time, a later source winning where timestamps are equal.
//!
//! Engines hold a series in pieces that may overlap (head, out-of-order buffer, blocks). Pieces are given in
//! order of age of the write, oldest first, so that "the last write wins" falls out of the order.

use crate::FloatColumn;

/// Merges `newer` into `into`; on equal timestamps the value of `newer` stays.
///
/// Linear in the overlap only: columns that follow one another are appended.
pub fn merge_floats(into: &mut FloatColumn, newer_timestamps_ms: &[i64], newer_values: &[f64]) {
    let (Some(first), Some(last)) = (newer_timestamps_ms.first(), into.timestamps_ms.last()) else {
        into.timestamps_ms.extend_from_slice(newer_timestamps_ms);
        into.values.extend_from_slice(newer_values);
        return;
    };
    if last < first {
        into.timestamps_ms.extend_from_slice(newer_timestamps_ms);
        into.values.extend_from_slice(newer_values);
        return;
    }
    let keep = into.timestamps_ms.partition_point(|t| t < first);
    let old_timestamps = into.timestamps_ms.split_off(keep);
    let old_values = into.values.split_off(keep);
    let (mut old, mut new) = (0, 0);
    while old < old_timestamps.len() && new < newer_timestamps_ms.len() {
        let (old_ms, new_ms) = (old_timestamps[old], newer_timestamps_ms[new]);
        if old_ms < new_ms {
            into.push(old_ms, old_values[old]);
            old += 1;
        } else {
            into.push(new_ms, newer_values[new]);
            new += 1;
            old += usize::from(old_ms == new_ms);
        }
    }
    into.timestamps_ms.extend_from_slice(&old_timestamps[old..]);
    into.values.extend_from_slice(&old_values[old..]);
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
            proptest::collection::btree_map(0i64..60, -5.0f64..5.0, 0..20), 0..6)) {
            let mut merged = FloatColumn::default();
            let mut want = BTreeMap::new();
            for piece in pieces {
                let (timestamps, values): (Vec<i64>, Vec<f64>) = piece.iter().map(|(t, v)| (*t, *v)).unzip();
                merge_floats(&mut merged, &timestamps, &values);
                want.extend(piece);
            }
            let got: Vec<(i64, f64)> = merged.timestamps_ms.into_iter().zip(merged.values).collect();
            prop_assert_eq!(got, want.into_iter().collect::<Vec<_>>());
        }
    }
}
