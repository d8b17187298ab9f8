//! Samples of one series appended one by one, compressed as they come: what the head keeps in memory.
//!
//! Byte-aligned on purpose: one to three bytes for the usual sample, and several times faster than a bit
//! stream. Each sample is a varint `zigzag(delta of delta of the timestamp) << 2 | kind`, followed by what the
//! kind needs: nothing (value as before), a zigzag varint (difference of two whole numbers), the
//! non-zero bytes of the XOR with the value before, or a varint (difference of two decimals).

use crate::varint::{Reader, unzigzag, zigzag};
use crate::{Corrupt, TIMESTAMP_MS_ABS_MAX};

const SAME: u64 = 0;
const WHOLE: u64 = 1;
const XOR: u64 = 2;
const DECIMAL: u64 = 3;
/// Largest magnitude up to which every whole number is a float.
const WHOLE_MAX: u64 = 1 << 53;

/// Powers of ten that decimals are multiplied with. Eight, so that which one is three bits.
const POWERS: [f64; 8] = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
/// Decimals times their power are whole numbers up to here.
const DECIMAL_MAX: f64 = (1u64 << 51) as f64;
/// Of a stream in which a value is no decimal: the next ones will not be either, so nobody tries.
const NO_DECIMALS: u8 = 15;
/// The bits of [`StreamEncoder::last`] that are the delta; above is the power of the last decimal.
const DELTA_BITS: u32 = 28;

/// An encoder's buffer grows by so many bytes, and by an eighth; doubling would waste up to half of the head's memory.
const GROW_BYTES: usize = 24;
/// The first buffer of an encoder: what an allocator rounds to anyway.
const FIRST_BYTES: usize = 40;
/// An encoder takes no more than so many bytes.
const STREAM_BYTES_MAX: usize = u16::MAX as usize;

/// Encodes samples in order of time. Small, because a head has one for each series: the sample before the next is
/// the owner's to remember, who needs it anyway.
#[derive(Debug, Default, Clone)]
pub struct StreamEncoder {
    buffer: Box<[u8]>,
    len: u16,
    count: u16,
    /// The last delta, up to three days, and [`State::power`] above it.
    last: u32,
}

/// What an encoder knows of the sample before the next.
#[derive(Debug, Clone, Copy)]
struct State {
    delta_ms: u32,
    /// The power of ten of the decimals so far, as a place in [`POWERS`], or [`NO_DECIMALS`].
    power: u8,
}

impl State {
    fn from_bits(bits: u32) -> Self {
        Self { delta_ms: bits & ((1 << DELTA_BITS) - 1), power: (bits >> DELTA_BITS) as u8 }
    }

    fn to_bits(self) -> u32 {
        self.delta_ms | u32::from(self.power) << DELTA_BITS
    }
}

impl StreamEncoder {
    /// Adds a sample, which must be later than the last, and within [`TIMESTAMP_MS_ABS_MAX`]. `last` is the sample that
    /// was added before; it does not matter for the first.
    ///
    /// Answers `false`, and adds nothing, if it does not fit: too much later than the last, or too many bytes.
    #[inline]
    #[must_use]
    pub fn push(&mut self, last: (i64, f64), timestamp_ms: i64, value: f64) -> bool {
        debug_assert!(
            timestamp_ms.abs() <= TIMESTAMP_MS_ABS_MAX,
            "BUG: timestamps are checked on their way in"
        );
        let before = (self.count > 0).then_some((last.0, last.1, State::from_bits(self.last)));
        let len = usize::from(self.len);
        let encoded = match self.buffer[len..].first_chunk_mut::<SAMPLE_BYTES_MAX>() {
            Some(room) => encode(room, before, timestamp_ms, value),
            None => self.push_tight(before, timestamp_ms, value),
        };
        let Some((sample_bytes, state)) = encoded else { return false };
        self.last = state.to_bits();
        self.len += sample_bytes as u16;
        self.count += 1;
        true
    }

    /// Writes a sample near the end of the buffer, which grows only if the sample does not fit: most are much smaller than
    /// they may be, and there are millions of buffers.
    #[inline(never)]
    fn push_tight(
        &mut self,
        before: Option<(i64, f64, State)>,
        timestamp_ms: i64,
        value: f64,
    ) -> Option<(usize, State)> {
        let mut sample = [0; SAMPLE_BYTES_MAX];
        let encoded = encode(&mut sample, before, timestamp_ms, value)?;
        let len = usize::from(self.len);
        let end = len + encoded.0;
        if end > self.buffer.len() && !self.grow(end) {
            return None;
        }
        self.buffer[len..end].copy_from_slice(&sample[..encoded.0]);
        Some(encoded)
    }

    /// Makes room for `end` bytes and some more, if there may be so many.
    fn grow(&mut self, end: usize) -> bool {
        let want = match self.buffer.len() {
            0 => FIRST_BYTES,
            // A multiple of 16 and 8 more, because allocators keep 8 bytes of each 16 for themselves.
            _ => ((end + GROW_BYTES + end / 8) | 15) - 7,
        };
        if want > STREAM_BYTES_MAX || self.count == u16::MAX {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.buffer).into_vec();
        buffer.reserve_exact(want - buffer.len());
        buffer.resize(want, 0);
        self.buffer = buffer.into_boxed_slice();
        true
    }

    /// What was encoded so far.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..usize::from(self.len)]
    }

    /// Bytes allocated, for the accountant.
    pub fn capacity_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// How many samples there are.
    pub fn count(&self) -> u32 {
        u32::from(self.count)
    }

    /// Time of the first sample; 0 without one.
    pub fn first_ms(&self) -> i64 {
        first_ms(self.bytes()).ok().flatten().unwrap_or(0)
    }

    /// Starts anew, and frees the buffer.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Writes a sample that comes after `before` (time, value, and what is known of it). Answers its bytes, and what the next one
/// shall know; `None` if it comes too much later.
#[inline]
fn encode(
    room: &mut [u8; SAMPLE_BYTES_MAX],
    before: Option<(i64, f64, State)>,
    timestamp_ms: i64,
    value: f64,
) -> Option<(usize, State)> {
    let mut out = Sample { bytes: room, len: 0 };
    let bits = value.to_bits();
    let Some((last_ms, last_value, mut state)) = before else {
        out.put_u64(zigzag(timestamp_ms));
        out.put(&bits.to_le_bytes());
        return Some((out.len, State { delta_ms: 0, power: 0 }));
    };
    debug_assert!(timestamp_ms > last_ms, "BUG: samples of a stream must rise in time");
    let delta_ms =
        u32::try_from(timestamp_ms - last_ms).ok().filter(|delta_ms| delta_ms >> DELTA_BITS == 0)?;
    let time = zigzag(i64::from(delta_ms) - i64::from(state.delta_ms)) << 2;
    state.delta_ms = delta_ms;
    let last_bits = last_value.to_bits();
    if bits == last_bits {
        out.put_u64(time | SAME);
    } else if let (Some(now), Some(last)) = (whole(bits), whole(last_bits)) {
        out.put_u64(time | WHOLE);
        out.put_u64(zigzag(now - last));
    } else if let Some((difference, power)) = decimal(value, last_value, state.power) {
        state.power = power;
        out.put_u64(time | DECIMAL);
        out.put_u64(zigzag(difference) << 3 | u64::from(power));
    } else {
        state.power = NO_DECIMALS;
        out.put_u64(time | XOR);
        out.put_xor(bits ^ last_bits);
    }
    Some((out.len, state))
}

/// The difference between two decimals, times a power of ten, the `least` or a larger one. The last value need not be
/// one: both sides round it in the same way.
#[inline]
fn decimal(value: f64, last: f64, least: u8) -> Option<(i64, u8)> {
    for power in least..POWERS.len() as u8 {
        let scaled = to_scaled(value, power)?;
        if from_scaled(scaled, power).to_bits() == value.to_bits() {
            return Some((scaled - to_scaled(last, power)?, power));
        }
    }
    None
}

/// A value times a power of ten, as a whole number. `None` if that is too large, or the value no number.
#[inline]
fn to_scaled(value: f64, power: u8) -> Option<i64> {
    // Adding this to what is smaller leaves no room for fractions, which is rounding without a call.
    const ROUND: f64 = (3u64 << 51) as f64;
    let scaled = value * POWERS[usize::from(power & 7)];
    (scaled.abs() <= DECIMAL_MAX).then_some(((scaled + ROUND) - ROUND) as i64)
}

#[inline]
fn from_scaled(scaled: i64, power: u8) -> f64 {
    // A quotient of two exact floats is rounded correctly, so this is the same on every machine.
    scaled as f64 / POWERS[usize::from(power & 7)]
}

/// The value after `last`, from what stands for a decimal.
#[inline]
fn after_decimal(last: f64, code: u64) -> Result<f64, Corrupt> {
    Decimal::UNKNOWN.next(last, code).map(|next| next.value())
}

/// The last decimal that was decoded: its whole number need not be found again from its value, which takes as long as all
/// else of a sample.
#[derive(Clone, Copy)]
struct Decimal {
    scaled: i64,
    /// A place in [`POWERS`], or [`NO_DECIMALS`] if the last value was something else.
    power: u8,
}

impl Decimal {
    const UNKNOWN: Self = Self { scaled: 0, power: NO_DECIMALS };

    /// The decimal after `last`, from what stands for it.
    #[inline]
    fn next(self, last: f64, code: u64) -> Result<Self, Corrupt> {
        let power = code as u8 & 7;
        // Dividing and multiplying again is off by less than a quarter here, so that rounding gives the same number.
        let is_known = self.power == power && self.scaled.unsigned_abs() <= DECIMAL_MAX as u64 / 2;
        let before = if is_known { Some(self.scaled) } else { to_scaled(last, power) };
        let before = before.ok_or(Corrupt("a difference from no decimal"))?;
        Ok(Self { scaled: before.wrapping_add(unzigzag(code >> 3)), power })
    }

    #[inline]
    fn value(self) -> f64 {
        from_scaled(self.scaled, self.power)
    }
}

/// A sample that is being written.
struct Sample<'a> {
    bytes: &'a mut [u8; SAMPLE_BYTES_MAX],
    len: usize,
}

impl Sample<'_> {
    #[inline]
    fn put_u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes[self.len] = value as u8 | 0x80;
            self.len += 1;
            value >>= 7;
        }
        self.bytes[self.len] = value as u8;
        self.len += 1;
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn put_xor(&mut self, xor: u64) {
        let trailing = xor.trailing_zeros() / 8;
        let len = 8 - trailing - xor.leading_zeros() / 8;
        self.put(&[(trailing << 4 | len) as u8]);
        self.put(&(xor >> (trailing * 8)).to_le_bytes()[..len as usize]);
    }
}

/// The value as a whole number, if it is one that floats hold exactly; -0.0 is not.
fn whole(bits: u64) -> Option<i64> {
    let value = f64::from_bits(bits);
    let number = value as i64;
    ((number as f64).to_bits() == bits && number.unsigned_abs() <= WHOLE_MAX).then_some(number)
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

/// Time of the first sample of what [`StreamEncoder::bytes`] gave; `None` if there is no sample.
///
/// # Errors
/// If the bytes are no such stream.
pub fn first_ms(bytes: &[u8]) -> Result<Option<i64>, Corrupt> {
    if bytes.is_empty() { Ok(None) } else { Reader::new(bytes).i64().map(Some) }
}

/// Samples that are decoded before they are added to columns.
const BLOCK: usize = 64;
/// No sample takes more bytes.
const SAMPLE_BYTES_MAX: usize = 20;

/// Appends the samples between `start_ms` and `end_ms` (inclusive) of what [`StreamEncoder::bytes`] gave to two
/// columns. Several times faster than [`StreamDecoder`].
///
/// # Errors
/// If the bytes are no such stream; the columns may then have some samples more.
pub fn decode_range(
    bytes: &[u8],
    start_ms: i64,
    end_ms: i64,
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(bytes);
    let mut cursor = Cursor::start(&mut reader)?;
    let (mut block_ms, mut block) = ([0; BLOCK], [0.0; BLOCK]);
    (block_ms[0], block[0]) = (cursor.last_ms, cursor.last);
    let mut filled = 1;
    loop {
        while filled < BLOCK {
            let taken = cursor.steps_near(reader.rest(), &mut filled, &mut block_ms, &mut block)?;
            reader.take(taken)?;
            if filled == BLOCK || reader.is_empty() {
                break;
            }
            cursor.step(&mut reader)?;
            (block_ms[filled], block[filled]) = (cursor.last_ms, cursor.last);
            filled += 1;
        }
        let (mut from, mut to) = (0, filled);
        if filled > 0 && (block_ms[0] < start_ms || block_ms[filled - 1] > end_ms) {
            from = block_ms[..filled].partition_point(|t| *t < start_ms);
            to = block_ms[..filled].partition_point(|t| *t <= end_ms).max(from);
        }
        timestamps_ms.extend_from_slice(&block_ms[from..to]);
        values.extend_from_slice(&block[from..to]);
        if filled < BLOCK || block_ms[filled - 1] > end_ms {
            return Ok(());
        }
        filled = 0;
    }
}

/// Where decoding is.
struct Cursor {
    last_ms: i64,
    last_delta_ms: i64,
    last: f64,
    /// The last value as a whole number, once it was needed.
    whole: Option<i64>,
    decimal: Decimal,
}

impl Cursor {
    fn start(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let last_ms = reader.i64()?;
        let last = f64::from_bits(reader.fixed_u64()?);
        Ok(Self { last_ms, last_delta_ms: 0, last, whole: None, decimal: Decimal::UNKNOWN })
    }

    /// Reads one sample of any kind.
    fn step(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let head = reader.u64()?;
        self.last_delta_ms = self.last_delta_ms.wrapping_add(unzigzag(head >> 2));
        self.last_ms = self.last_ms.wrapping_add(self.last_delta_ms);
        match head & 3 {
            SAME => Ok(()),
            WHOLE => {
                let now = whole_before(self.whole, self.last)?.wrapping_add(reader.i64()?);
                (self.whole, self.last) = (Some(now), now as f64);
                self.decimal = Decimal::UNKNOWN;
                Ok(())
            }
            XOR => {
                self.last = f64::from_bits(self.last.to_bits() ^ read_xor(reader)?);
                (self.whole, self.decimal) = (None, Decimal::UNKNOWN);
                Ok(())
            }
            _ => {
                self.decimal = self.decimal.next(self.last, reader.u64()?)?;
                (self.whole, self.last) = (None, self.decimal.value());
                Ok(())
            }
        }
    }

    /// Reads samples from `filled` on, up to a full block, to the first that is of an unusual length or may reach behind
    /// the end. Answers how many bytes they took.
    ///
    /// All state is in local variables, so that it stays in registers: this is where most of a query's time goes.
    fn steps_near(
        &mut self,
        bytes: &[u8],
        filled: &mut usize,
        block_ms: &mut [i64; BLOCK],
        block: &mut [f64; BLOCK],
    ) -> Result<usize, Corrupt> {
        let Self { mut last_ms, mut last_delta_ms, mut last, mut whole, mut decimal } = *self;
        let (mut at, mut count) = (0, *filled);
        while count < BLOCK {
            let Some(near) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SAMPLE_BYTES_MAX>()) else {
                break;
            };
            let [word, behind] =
                [0, 2].map(|from| u64::from_le_bytes(std::array::from_fn(|n| near[from + n])));
            let head = word & 0xff;
            let mut len = 1;
            if head >= 0x80 {
                break;
            }
            match head & 3 {
                SAME => {}
                WHOLE => {
                    let Some((difference, taken)) = near_varint(word >> 8) else { break };
                    let now = whole_before(whole, last)?.wrapping_add(unzigzag(difference));
                    (whole, last, decimal) = (Some(now), now as f64, Decimal::UNKNOWN);
                    len += taken;
                }
                XOR => {
                    let (trailing, significant) = ((word >> 12 & 15) as u32, (word >> 8 & 15) as u32);
                    if trailing + significant > 8 {
                        return Err(Corrupt("a value has more than eight bytes"));
                    }
                    let xor = behind & u64::MAX.checked_shr(64 - 8 * significant).unwrap_or(0);
                    last = f64::from_bits(last.to_bits() ^ xor.checked_shl(8 * trailing).unwrap_or(0));
                    (whole, decimal) = (None, Decimal::UNKNOWN);
                    len += 1 + significant as usize;
                }
                _ => {
                    let Some((code, taken)) = near_varint(word >> 8) else { break };
                    decimal = decimal.next(last, code)?;
                    (whole, last) = (None, decimal.value());
                    len += taken;
                }
            }
            if head >= 4 {
                last_delta_ms = last_delta_ms.wrapping_add(unzigzag(head >> 2));
            }
            last_ms = last_ms.wrapping_add(last_delta_ms);
            at += len;
            (block_ms[count], block[count]) = (last_ms, last);
            count += 1;
        }
        *self = Self { last_ms, last_delta_ms, last, whole, decimal };
        *filled = count;
        Ok(at)
    }
}

/// A varint of at most four bytes and its length, from the first seven bytes of a word.
#[inline]
fn near_varint(word: u64) -> Option<(u64, usize)> {
    if word & 0x80 == 0 {
        return Some((word & 0x7f, 1));
    }
    // The highest bit of the byte that ends it.
    let end = (!word & 0x0080_8080_8080_8080).trailing_zeros();
    if end > 31 {
        return None;
    }
    let bytes = word & ((2 << end) - 1);
    let value = bytes & 0x7f | bytes >> 1 & 0x3f80 | bytes >> 2 & 0x1f_c000 | bytes >> 3 & 0x0fe0_0000;
    Some((value, end as usize / 8 + 1))
}

/// The number that a difference is added to.
#[inline]
fn whole_before(known: Option<i64>, last: f64) -> Result<i64, Corrupt> {
    known.or_else(|| whole(last.to_bits())).ok_or(Corrupt("a difference from no whole number"))
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
                _ => {
                    let last = f64::from_bits(self.last_bits);
                    self.last_bits = after_decimal(last, self.reader.u64()?)?.to_bits();
                }
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
        let mut last = (0, 0.0);
        for sample in samples {
            assert!(encoder.push(last, sample.0, sample.1), "{sample:?} after {last:?}");
            last = *sample;
        }
        let bits =
            |samples: &[(i64, f64)]| samples.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        let decoded: Vec<(i64, f64)> =
            StreamDecoder::new(encoder.bytes()).map(|s| s.expect("sound")).collect();
        assert_eq!(bits(&decoded), bits(samples));
        check_ranges(encoder.bytes(), samples);
        assert_eq!(encoder.count() as usize, samples.len());
        assert!(encoder.bytes().len() <= bytes_max, "{} bytes, at most {bytes_max}", encoder.bytes().len());
    }

    /// All of it, and what lies between samples a third and two thirds of the way.
    #[track_caller]
    fn check_ranges(bytes: &[u8], samples: &[(i64, f64)]) {
        let at = |at: usize| samples.get(at).map_or(0, |(t, _)| *t);
        for (start_ms, end_ms) in
            [(i64::MIN, i64::MAX), (at(samples.len() / 3), at(samples.len() * 2 / 3)), (1, 0)]
        {
            let (mut timestamps_ms, mut values) = (vec![1], vec![2.0]);
            decode_range(bytes, start_ms, end_ms, &mut timestamps_ms, &mut values).expect("sound");
            let got: Vec<(i64, u64)> =
                timestamps_ms[1..].iter().copied().zip(values[1..].iter().map(|v| v.to_bits())).collect();
            let inside = samples.iter().filter(|(t, _)| (start_ms..=end_ms).contains(t));
            assert_eq!(got, inside.map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>());
        }
        assert_eq!(first_ms(bytes), Ok(samples.first().map(|(t, _)| *t)));
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
    fn decimals_cost_what_their_difference_costs() {
        let seconds = |i: i32| f64::from(100_000 + i * 40 + i * 7919 % 13) / 100.0;
        check(&every_15s((0..240).map(seconds)), 3 * 240 + 24);
        let gauge = |i: i32| f64::from(1500 + i * 7919 % 10) / 1000.0;
        check(&every_15s((0..240).map(gauge)), 3 * 240 + 24);
        let no_decimals = (0..240).map(|i| f64::from(i).sqrt());
        check(&every_15s(no_decimals), 10 * 240 + 24);
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
            (-100_000i64..100_000, 0i32..12).prop_map(|(v, e)| v as f64 / 10f64.powi(e)),
            Just(0.25),
            Just(STALE_NAN)
        ]
    }

    proptest! {
        #[test]
        fn a_sample_that_is_too_much_later_does_not_fit(gap in (1i64 << 28) - 2..(1 << 28) + 2, start in -1i64 << 50..1 << 50) {
            let mut encoder = StreamEncoder::default();
            prop_assert!(encoder.push((0, 0.0), start, 1.0));
            let before = encoder.bytes().to_vec();
            let fits = encoder.push((start, 1.0), start + gap, 2.0);
            prop_assert_eq!(fits, gap < 1 << 28);
            prop_assert_eq!(encoder.bytes() == before, !fits);
        }

        #[test]
        fn any_samples_come_back(steps in proptest::collection::vec((1i64..1 << 28, value()), 0..200), start in -1i64 << 50..1 << 50) {
            let mut at = start;
            let samples: Vec<(i64, f64)> = steps.into_iter().map(|(step, v)| { at += step; (at, v) }).collect();
            check(&samples, usize::MAX);
        }

        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let decoded = StreamDecoder::new(&bytes).count();
            prop_assert!(decoded <= bytes.len());
            let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
            let whole = decode_range(&bytes, i64::MIN, i64::MAX, &mut timestamps_ms, &mut values);
            prop_assert!(whole.is_err() || timestamps_ms.len() == decoded);
        }
    }
}
