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

/// Appends `count` decoded timestamps to `into`.
///
/// # Errors
/// If the bytes are not such a column; `into` may then have some timestamps more.
pub fn decode(bytes: &[u8], count: usize, into: &mut Vec<i64>) -> Result<(), Corrupt> {
    if count > SAMPLES_MAX || count > bytes.len() {
        return Err(Corrupt("a column of timestamps is too short for its count"));
    }
    let start = into.len();
    into.resize(start + count, 0);
    let into = &mut into[start..];
    let mut reader = Reader::new(bytes);
    let mut state = State { last_ms: 0, last_delta_ms: 0 };
    let mut at = 0;
    while at < count {
        let rest = reader.rest();
        if let (Some(few), Some(into)) = (rest.first_chunk::<FEW>(), into[at..].first_chunk_mut::<FEW>())
            && state.last_delta_ms != 0
            && state.decode_few(few, into)
        {
            reader.take(FEW)?;
            at += FEW;
            continue;
        }
        into[at] = state.decode_one(reader.i64()?);
        at += 1;
    }
    Ok(())
}

/// Timestamps that are decoded at once.
const FEW: usize = 8;

#[derive(Debug, Clone, Copy)]
struct State {
    last_ms: i64,
    last_delta_ms: i64,
}

impl State {
    #[inline]
    fn decode_one(&mut self, change_ms: i64) -> i64 {
        let delta_ms = self.last_delta_ms.wrapping_add(change_ms);
        let timestamp_ms = self.last_ms.wrapping_add(delta_ms);
        self.last_delta_ms = if self.last_ms == 0 && self.last_delta_ms == 0 { 0 } else { delta_ms };
        self.last_ms = timestamp_ms;
        timestamp_ms
    }

    /// The usual case without a branch for each: changes of one byte each. Answers `false`, and changes nothing, if this is
    /// another.
    #[inline]
    fn decode_few(&mut self, bytes: &[u8; FEW], into: &mut [i64; FEW]) -> bool {
        const LONGER: u64 = 0x8080_8080_8080_8080;
        let word = u64::from_le_bytes(*bytes);
        if word == 0 {
            for (at, into) in (1..).zip(into.iter_mut()) {
                *into = self.last_ms.wrapping_add(self.last_delta_ms.wrapping_mul(at));
            }
            self.last_ms = into[FEW - 1];
            return true;
        }
        if word & LONGER != 0 {
            return false;
        }
        let (mut last_ms, mut delta_ms, mut stands_still) = (self.last_ms, self.last_delta_ms, false);
        for (byte, into) in bytes.iter().zip(into.iter_mut()) {
            let change_ms = i64::from((byte >> 1) as i8 ^ -((byte & 1) as i8));
            delta_ms = delta_ms.wrapping_add(change_ms);
            stands_still |= delta_ms == 0;
            last_ms = last_ms.wrapping_add(delta_ms);
            *into = last_ms;
        }
        if stands_still {
            // A distance of zero has a meaning of its own, which `decode_one` knows.
            return false;
        }
        (self.last_ms, self.last_delta_ms) = (last_ms, delta_ms);
        true
    }
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
        assert_eq!((decoded[0], &decoded[1..]), (7, timestamps_ms));
        assert!(bytes.len() <= bytes_max, "{} bytes", bytes.len());
    }

    #[test]
    fn regular_timestamps_cost_a_byte() {
        let regular: Vec<i64> = (0..480).map(|i| 1_760_000_000_000 + i * 15_000).collect();
        check(&regular, 490);
        check(&[], 0);
    }

    #[test]
    fn timestamps_around_zero_and_jitter_come_back() {
        check(&[0; 40], 50);
        check(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3], 30);
        check(&(-20..20).collect::<Vec<i64>>(), 50);
        let jitter: Vec<i64> = (0..100).map(|i| 1_760_000_000_000 + i * 15_000 + i * i * 7 % 40).collect();
        check(&jitter, 210);
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
