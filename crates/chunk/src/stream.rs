//! Samples of one series appended one by one, compressed as they come: what the head keeps in memory.
//!
//! Byte-aligned on purpose: one to three bytes for the usual sample, and several times faster than a bit
//! stream. Each sample is a varint `zigzag(delta of delta of the timestamp) << 2 | kind`, followed by what the
//! kind needs: nothing (value as before), a zigzag varint (difference of two whole numbers), or the
//! non-zero bytes of the XOR with the value before.

use crate::varint::{Reader, unzigzag, write_i64, write_u64, zigzag};
use crate::{Corrupt, TIMESTAMP_MS_ABS_MAX};

const SAME: u64 = 0;
const WHOLE: u64 = 1;
const XOR: u64 = 2;
/// Largest magnitude up to which every whole number is a float.
const WHOLE_MAX: u64 = 1 << 53;

/// How much an encoder's buffer grows at once; doubling would waste up to half of the head's memory.
const GROW_BYTES: usize = 48;

/// Encodes samples in order of time.
#[derive(Debug, Default, Clone)]
pub struct StreamEncoder {
    bytes: Vec<u8>,
    first_ms: i64,
    last_ms: i64,
    last_delta_ms: i64,
    last_bits: u64,
    count: u32,
}

impl StreamEncoder {
    /// Adds a sample, which must be later than the last, and within [`TIMESTAMP_MS_ABS_MAX`].
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        debug_assert!(
            timestamp_ms.abs() <= TIMESTAMP_MS_ABS_MAX,
            "BUG: timestamps are checked on their way in"
        );
        if self.bytes.capacity() - self.bytes.len() < 20 {
            self.bytes.reserve_exact(GROW_BYTES + self.bytes.len() / 4);
        }
        let bits = value.to_bits();
        if self.count == 0 {
            self.first_ms = timestamp_ms;
            write_i64(&mut self.bytes, timestamp_ms);
            self.bytes.extend_from_slice(&bits.to_le_bytes());
        } else {
            debug_assert!(timestamp_ms > self.last_ms, "BUG: samples of a stream must rise in time");
            let delta_ms = timestamp_ms - self.last_ms;
            let time = zigzag(delta_ms - self.last_delta_ms) << 2;
            self.last_delta_ms = delta_ms;
            if bits == self.last_bits {
                write_u64(&mut self.bytes, time | SAME);
            } else if let (Some(now), Some(before)) = (whole(bits), whole(self.last_bits)) {
                write_u64(&mut self.bytes, time | WHOLE);
                write_i64(&mut self.bytes, now - before);
            } else {
                write_u64(&mut self.bytes, time | XOR);
                write_xor(&mut self.bytes, bits ^ self.last_bits);
            }
        }
        self.last_ms = timestamp_ms;
        self.last_bits = bits;
        self.count += 1;
    }

    /// What was encoded so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes allocated, for the accountant.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many samples there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Time of the first sample; 0 without one.
    pub fn first_ms(&self) -> i64 {
        self.first_ms
    }

    /// Time of the last sample; 0 without one.
    pub fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Takes what was encoded and starts anew.
    pub fn take(&mut self) -> Box<[u8]> {
        let bytes = std::mem::take(&mut self.bytes).into_boxed_slice();
        *self = Self::default();
        bytes
    }
}

/// The value as a whole number, if it is one that floats hold exactly; -0.0 is not.
fn whole(bits: u64) -> Option<i64> {
    let value = f64::from_bits(bits);
    let number = value as i64;
    ((number as f64).to_bits() == bits && number.unsigned_abs() <= WHOLE_MAX).then_some(number)
}

fn write_xor(out: &mut Vec<u8>, xor: u64) {
    let trailing = xor.trailing_zeros() / 8;
    let len = 8 - trailing - xor.leading_zeros() / 8;
    out.push((trailing << 4 | len) as u8);
    out.extend_from_slice(&(xor >> (trailing * 8)).to_le_bytes()[..len as usize]);
}

fn read_xor(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    let head = reader.u8()?;
    let (trailing, len) = (u32::from(head >> 4), usize::from(head & 15));
    if len > 8 || trailing as usize + len > 8 {
        return Err(Corrupt("a value has more than eight bytes"));
    }
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(reader.take(len)?);
    Ok(u64::from_le_bytes(bytes).checked_shl(trailing * 8).unwrap_or(0))
}

/// Decodes the samples of a [`StreamEncoder`]. After an error there are no more samples.
#[derive(Debug, Clone)]
pub struct StreamDecoder<'a> {
    reader: Reader<'a>,
    last_ms: i64,
    last_delta_ms: i64,
    last_bits: u64,
    started: bool,
}

impl<'a> StreamDecoder<'a> {
    /// From what [`StreamEncoder::bytes`] gave.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), last_ms: 0, last_delta_ms: 0, last_bits: 0, started: false }
    }

    fn read(&mut self) -> Result<(i64, f64), Corrupt> {
        if self.started {
            let head = self.reader.u64()?;
            let delta_ms = self.last_delta_ms.wrapping_add(unzigzag(head >> 2));
            self.last_delta_ms = delta_ms;
            self.last_ms = self.last_ms.wrapping_add(delta_ms);
            match head & 3 {
                SAME => {}
                WHOLE => {
                    let before = whole(self.last_bits).ok_or(Corrupt("a difference from no whole number"))?;
                    self.last_bits = (before.wrapping_add(self.reader.i64()?) as f64).to_bits();
                }
                XOR => self.last_bits ^= read_xor(&mut self.reader)?,
                _ => return Err(Corrupt("a sample of unknown kind")),
            }
        } else {
            self.started = true;
            self.last_ms = self.reader.i64()?;
            self.last_bits = self.reader.fixed_u64()?;
        }
        Ok((self.last_ms, f64::from_bits(self.last_bits)))
    }
}

impl Iterator for StreamDecoder<'_> {
    type Item = Result<(i64, f64), Corrupt>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let sample = self.read();
        if sample.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE_NAN;
    use proptest::prelude::*;

    /// The only place here that touches the encoder.
    #[track_caller]
    fn check(samples: &[(i64, f64)], bytes_max: usize) {
        let mut encoder = StreamEncoder::default();
        for (timestamp_ms, value) in samples {
            encoder.push(*timestamp_ms, *value);
        }
        let bits =
            |samples: &[(i64, f64)]| samples.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        let decoded: Vec<(i64, f64)> =
            StreamDecoder::new(encoder.bytes()).map(|s| s.expect("sound")).collect();
        assert_eq!(bits(&decoded), bits(samples));
        assert_eq!(encoder.count() as usize, samples.len());
        assert!(encoder.bytes().len() <= bytes_max, "{} bytes, at most {bytes_max}", encoder.bytes().len());
    }

    fn every_15s(values: impl IntoIterator<Item = f64>) -> Vec<(i64, f64)> {
        (0..).map(|i| 1_760_000_000_000 + i * 15_000).zip(values).collect()
    }

    #[test]
    fn a_constant_series_costs_a_byte_a_sample() {
        check(&every_15s([42.0; 240]), 240 + 24);
    }

    #[test]
    fn a_counter_costs_two_bytes_a_sample() {
        check(&every_15s((0..240).map(|i| 1e6 + f64::from(i) * 31.0)), 2 * 240 + 24);
    }

    #[test]
    fn odd_values_survive_bit_for_bit() {
        let odd = [
            0.0,
            -0.0,
            STALE_NAN,
            f64::NAN,
            f64::INFINITY,
            1.0,
            f64::MIN_POSITIVE,
            -1e300,
            0.1,
            2f64.powi(53),
        ];
        check(&every_15s(odd), 200);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i32..1000).prop_map(f64::from),
            Just(0.25),
            Just(STALE_NAN)
        ]
    }

    proptest! {
        #[test]
        fn any_samples_come_back(steps in proptest::collection::vec((1i64..1 << 40, value()), 0..200), start in -1i64 << 50..1 << 50) {
            let mut at = start;
            let samples: Vec<(i64, f64)> = steps.into_iter().map(|(step, v)| { at += step; (at, v) }).collect();
            check(&samples, usize::MAX);
        }

        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let decoded = StreamDecoder::new(&bytes).count();
            prop_assert!(decoded <= bytes.len());
        }
    }
}
