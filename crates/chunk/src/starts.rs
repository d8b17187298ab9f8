//! Columns of start timestamps: when the counter of each sample began, or that nobody said.
//!
//! A counter runs for weeks, so a column is told in runs of equal starts: how many, whether they are known, and how
//! far from the known one before. Format: `docs/internals/chunk.md`.

use model::UNKNOWN_START_MS;

use crate::varint::{Reader, write_i64, write_u64};
use crate::{Corrupt, SAMPLES_MAX};

/// Appends a column: its length, then its runs.
pub fn encode(starts_ms: &[i64], out: &mut Vec<u8>) {
    write_u64(out, starts_ms.len() as u64);
    let mut last_ms = 0;
    for run in starts_ms.chunk_by(|a, b| a == b) {
        let known = run[0] != UNKNOWN_START_MS;
        write_u64(out, (run.len() as u64) << 1 | u64::from(known));
        if known {
            write_i64(out, run[0].wrapping_sub(last_ms));
            last_ms = run[0];
        }
    }
}

/// Reads a column of at most `count_max` starts and appends them to `into`.
///
/// # Errors
/// If the bytes are not such a column; `into` may then have some starts more.
pub fn decode(reader: &mut Reader<'_>, count_max: usize, into: &mut Vec<i64>) -> Result<(), Corrupt> {
    let mut left = reader.count(count_max.min(SAMPLES_MAX))?;
    let mut last_ms = 0i64;
    while left > 0 {
        let head = reader.u64()?;
        let len = usize::try_from(head >> 1).ok().filter(|len| (1..=left).contains(len));
        let len = len.ok_or(Corrupt("a run of start timestamps is empty or too long"))?;
        left -= len;
        let start_ms = if head & 1 == 0 {
            UNKNOWN_START_MS
        } else {
            last_ms = last_ms.wrapping_add(reader.i64()?);
            last_ms
        };
        into.resize(into.len() + len, start_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_counter_that_runs_costs_a_few_bytes() {
        let mut out = Vec::new();
        encode(&[1_760_000_000_000; 4000], &mut out);
        assert!(out.len() <= 10, "{}", out.len());
    }

    proptest! {
        #[test]
        fn columns_come_back(runs in proptest::collection::vec((prop_oneof![Just(0i64), any::<i64>(), 5i64..7], 1usize..5), 0..20)) {
            let starts: Vec<i64> = runs.iter().flat_map(|(s, n)| std::iter::repeat_n(*s, *n)).collect();
            let mut out = Vec::new();
            encode(&starts, &mut out);
            out.push(7);
            let mut reader = Reader::new(&out);
            let mut back = Vec::new();
            decode(&mut reader, starts.len(), &mut back).expect("sound");
            prop_assert_eq!(&back, &starts);
            prop_assert_eq!(reader.rest(), &[7]);
            if !starts.is_empty() {
                prop_assert!(decode(&mut Reader::new(&out), starts.len() - 1, &mut back).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let mut back = Vec::new();
            if decode(&mut Reader::new(&bytes), 1000, &mut back).is_ok() {
                prop_assert!(back.len() <= 1000);
            }
        }
    }
}
