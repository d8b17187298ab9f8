//! Columns of timestamps: the first, the first distance, then changes of the distance, as varints.
//!
//! Scrapes come at almost regular times, so most bytes are zero or small, and what is left the general
//! compression of a page takes. Series of one target share one column (see the block format).

use crate::varint::{Reader, write_i64};
use crate::{Corrupt, SAMPLES_MAX};

/// Appends the encoded column. Its length must be remembered elsewhere.
pub fn encode(timestamps_ms: &[i64], out: &mut Vec<u8>) {
    let (mut last_ms, mut last_delta_ms) = (0i64, 0i64);
    for timestamp_ms in timestamps_ms {
        let delta_ms = timestamp_ms.wrapping_sub(last_ms);
        write_i64(out, delta_ms.wrapping_sub(last_delta_ms));
        // The first timestamp is no distance to build on.
        last_delta_ms = if last_ms == 0 && last_delta_ms == 0 { 0 } else { delta_ms };
        last_ms = *timestamp_ms;
    }
}

/// Replaces `into` by `count` decoded timestamps.
///
/// # Errors
/// If the bytes are not such a column.
pub fn decode(bytes: &[u8], count: usize, into: &mut Vec<i64>) -> Result<(), Corrupt> {
    into.clear();
    if count > SAMPLES_MAX || count > bytes.len() {
        return Err(Corrupt("a column of timestamps is too short for its count"));
    }
    into.reserve(count);
    let mut reader = Reader::new(bytes);
    let (mut last_ms, mut last_delta_ms) = (0i64, 0i64);
    for _ in 0..count {
        let delta_ms = last_delta_ms.wrapping_add(reader.i64()?);
        let timestamp_ms = last_ms.wrapping_add(delta_ms);
        last_delta_ms = if last_ms == 0 && last_delta_ms == 0 { 0 } else { delta_ms };
        last_ms = timestamp_ms;
        into.push(timestamp_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(timestamps_ms: &[i64], bytes_max: usize) {
        let mut bytes = Vec::new();
        encode(timestamps_ms, &mut bytes);
        let mut decoded = vec![7];
        decode(&bytes, timestamps_ms.len(), &mut decoded).expect("sound");
        assert_eq!(decoded, timestamps_ms);
        assert!(bytes.len() <= bytes_max, "{} bytes", bytes.len());
    }

    #[test]
    fn regular_timestamps_cost_a_byte() {
        let regular: Vec<i64> = (0..480).map(|i| 1_760_000_000_000 + i * 15_000).collect();
        check(&regular, 490);
        check(&[], 0);
    }

    proptest! {
        #[test]
        fn any_timestamps_come_back(timestamps_ms in proptest::collection::vec(any::<i64>(), 0..200)) {
            check(&timestamps_ms, usize::MAX);
        }

        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..200) {
            let mut into = Vec::new();
            let decoded = decode(&bytes, count, &mut into);
            prop_assert!(decoded.is_err() || into.len() == count);
        }
    }
}
