//! Columns of floats, each in the encoding that suits it best, found by trial.
//!
//! - *constant*: one value.
//! - *decimal*: every value is a whole number divided by the same power of ten (most of what people export);
//!   the whole numbers are stored as they are, as differences, or as differences of differences.
//! - *xor*: each value XORed with the one before; *raw*: as they are.
//!
//! Numbers are written in planes: all lowest bytes, then all second bytes, and so on, so that the general
//! compression of a page finds like beside like. A few that need more bytes than the others are kept aside.
//! Values that are no numbers (staleness markers, NaN, infinities, -0.0) are kept aside with their
//! positions, so that one at the end of a series does not spoil the encoding of the rest.

use crate::packed::{self, PACKED, Packed};
use crate::varint::{Reader, unzigzag, write_i64, write_u64, zigzag};
use crate::{Corrupt, SAMPLES_MAX};

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const XOR: u8 = 2;
const RAW: u8 = 3;
/// Set in the first byte if values were kept aside.
const ASIDE: u8 = 0x80;

/// How the whole numbers of a decimal column are stored.
const PLAIN: u8 = 0;
const DELTA: u8 = 1;
const DELTA2: u8 = 2;
/// As [`DELTA`], but less the least difference, which comes first: a counter that rises needs no sign. In memory only.
const RISE: u8 = 3;

/// Largest power of ten that is tried. All up to 22 are exact floats.
const EXPONENT_MAX: usize = 17;
const WHOLE_MAX: f64 = (1u64 << 53) as f64;
const POWERS: [f64; EXPONENT_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

/// Encodes columns; keeps its buffers from column to column.
#[derive(Debug, Default)]
pub struct FloatEncoder {
    plain: Vec<f64>,
    aside: Vec<(usize, u64)>,
    whole: Vec<i64>,
    numbers: Vec<u64>,
    trial: Vec<u64>,
    /// Numbers are packed to bits instead of written in planes.
    packs: bool,
}

impl FloatEncoder {
    /// Encodes for memory: numbers take the bits they need, because nothing compresses them further. [`decode`] reads both.
    pub fn packing() -> Self {
        Self { packs: true, ..Self::default() }
    }

    /// Appends the encoded column. Its length must be remembered elsewhere, and be at most [`SAMPLES_MAX`].
    pub fn encode(&mut self, values: &[f64], out: &mut Vec<u8>) {
        assert!(values.len() <= SAMPLES_MAX, "BUG: a column is cut into chunks before it is encoded");
        if values.is_empty() {
            return;
        }
        self.set_aside(values);
        let flag = if self.aside.is_empty() { 0 } else { ASIDE };
        let first = self.plain[0].to_bits();
        if self.plain.iter().all(|v| v.to_bits() == first) {
            out.push(CONSTANT | flag);
            self.write_aside(out);
            out.extend_from_slice(&first.to_le_bytes());
        } else if let Some(exponent) = self.find_decimal() {
            out.push(DECIMAL | flag);
            self.write_aside(out);
            out.push(exponent);
            self.write_whole(out);
        } else {
            self.write_bits(flag, out);
        }
    }

    /// Moves what is no number to `aside`; its place takes the number before it, or the first one.
    fn set_aside(&mut self, values: &[f64]) {
        let ordinary = |v: &f64| v.is_finite() && (*v != 0.0 || v.is_sign_positive());
        self.plain.clear();
        self.aside.clear();
        let mut last = values.iter().copied().find(|v| ordinary(v)).unwrap_or(0.0);
        for (at, value) in values.iter().enumerate() {
            if ordinary(value) {
                last = *value;
            } else {
                self.aside.push((at, value.to_bits()));
            }
            self.plain.push(last);
        }
    }

    fn write_aside(&self, out: &mut Vec<u8>) {
        if self.aside.is_empty() {
            return;
        }
        write_u64(out, self.aside.len() as u64);
        let mut next = 0;
        for (at, bits) in &self.aside {
            write_u64(out, (at - next) as u64);
            out.extend_from_slice(&bits.to_le_bytes());
            next = at + 1;
        }
    }

    /// Fills `whole` with whole numbers that, divided by ten to the returned exponent, give exactly the values.
    fn find_decimal(&mut self) -> Option<u8> {
        let mut exponent = 0;
        for value in &self.plain {
            while to_whole(*value, exponent).is_none() {
                exponent += 1;
                // Beyond 2^53 a larger exponent only makes it worse.
                if exponent > EXPONENT_MAX || (value * POWERS[exponent]).abs() > WHOLE_MAX {
                    return None;
                }
            }
        }
        self.whole.clear();
        for value in &self.plain {
            self.whole.push(to_whole(*value, exponent)?);
        }
        Some(exponent as u8)
    }

    /// Writes `whole` in whichever of the three ways needs the fewest bits.
    fn write_whole(&mut self, out: &mut Vec<u8>) {
        let least = self.whole.iter().copied().min().expect("a column has values");
        self.numbers.clear();
        self.numbers.extend(self.whole.iter().map(|v| (v - least) as u64));
        let (mut best, mut best_bits) = (PLAIN, bit_count(&self.numbers));
        for transform in [DELTA, DELTA2] {
            self.trial.clear();
            let (mut last, mut last_delta) = (self.whole[0], 0);
            for value in &self.whole[1..] {
                let delta = value - last;
                self.trial.push(zigzag(delta - last_delta));
                last = *value;
                last_delta = if transform == DELTA2 { delta } else { 0 };
            }
            let bits = bit_count(&self.trial);
            if bits < best_bits {
                (best, best_bits) = (transform, bits);
                std::mem::swap(&mut self.numbers, &mut self.trial);
            }
        }
        let mut least_delta = 0;
        if self.packs && self.whole.len() > 1 {
            let deltas = self.whole.iter().zip(&self.whole[1..]).map(|(last, now)| now - last);
            least_delta = deltas.clone().min().expect("there are two values");
            self.trial.clear();
            self.trial.extend(deltas.map(|delta| (delta - least_delta) as u64));
            if bit_count(&self.trial) < best_bits {
                best = RISE;
                std::mem::swap(&mut self.numbers, &mut self.trial);
            }
        }
        out.push(best);
        write_i64(out, if best == PLAIN { least } else { self.whole[0] });
        if best == RISE {
            write_i64(out, least_delta);
        }
        write_numbers(self.packs, &mut self.numbers, out);
    }

    fn write_bits(&mut self, flag: u8, out: &mut Vec<u8>) {
        self.numbers.clear();
        self.trial.clear();
        let mut last = 0;
        for value in &self.plain {
            self.numbers.push(value.to_bits());
            self.trial.push(value.to_bits() ^ last);
            last = value.to_bits();
        }
        let xor = bit_count(&self.trial) < bit_count(&self.numbers);
        out.push(if xor { XOR } else { RAW } | flag);
        self.write_aside(out);
        write_numbers(self.packs, if xor { &mut self.trial } else { &mut self.numbers }, out);
    }
}

fn write_numbers(packs: bool, numbers: &mut [u64], out: &mut Vec<u8>) {
    if packs { packed::write(numbers, out) } else { write_planes(numbers, out) }
}

/// The whole number that divided by ten to `exponent` is exactly `value`. A quotient of two exact floats is
/// rounded correctly, so decoding gives the same bits on every machine.
#[inline]
fn to_whole(value: f64, exponent: usize) -> Option<i64> {
    let scaled = (value * POWERS[exponent]).round_ties_even();
    if scaled.abs() > WHOLE_MAX || (scaled / POWERS[exponent]).to_bits() != value.to_bits() {
        return None;
    }
    Some(scaled as i64)
}

fn bit_count(numbers: &[u64]) -> u64 {
    numbers.iter().map(|n| u64::from(64 - n.leading_zeros())).sum()
}

/// What a number that is kept aside costs at least, in the choice of a width, in bytes.
const OUTLIER_BYTES_MIN: usize = 6;

/// What a number kept aside takes, in bytes: its place, and seven bits a byte.
fn outlier_bytes(width: usize) -> usize {
    (1 + (width * 8).div_ceil(7)).max(OUTLIER_BYTES_MIN)
}

/// Writes a width, the numbers that do not fit it, and one plane of bytes for each byte of the width.
fn write_planes(numbers: &mut [u64], out: &mut Vec<u8>) {
    let mut widths = [0usize; 9];
    for number in numbers.iter() {
        widths[byte_width(*number)] += 1;
    }
    let mut outliers_cost = 0;
    let (mut width, mut cost_min) = (8, numbers.len() * 8);
    for candidate in (0..8).rev() {
        outliers_cost += widths[candidate + 1] * outlier_bytes(candidate + 1);
        let cost = numbers.len() * candidate + outliers_cost;
        if cost < cost_min {
            (width, cost_min) = (candidate, cost);
        }
    }
    let outliers: usize = widths[width + 1..].iter().sum();
    out.push(width as u8);
    write_u64(out, outliers as u64);
    if outliers > 0 {
        let mut next = 0;
        for (at, number) in numbers.iter_mut().enumerate().filter(|(_, n)| byte_width(**n) > width) {
            write_u64(out, (at - next) as u64);
            write_u64(out, *number);
            *number = 0;
            next = at + 1;
        }
    }
    for plane in 0..width {
        out.extend(numbers.iter().map(|n| (n >> (plane * 8)) as u8));
    }
}

fn byte_width(number: u64) -> usize {
    (64 - number.leading_zeros() as usize).div_ceil(8)
}

/// Numbers that are unpacked at once; fits the nearest cache with room to spare.
const BLOCK: usize = 128;

/// Numbers in planes, or packed, unpacked block by block.
struct Planes<'a> {
    /// One plane for each byte of the width.
    planes: [&'a [u8]; 8],
    width: usize,
    /// There are no planes then.
    packed: Option<Packed<'a>>,
    count: usize,
    outliers: Reader<'a>,
    outliers_left: usize,
    /// Place of the next number kept aside; `usize::MAX` without one.
    next_outlier: usize,
}

impl<'a> Planes<'a> {
    fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self, Corrupt> {
        let first = reader.u8()?;
        let mut packed = if first & PACKED == 0 { None } else { Some(Packed::read(first, reader)?) };
        let width = if packed.is_some() { 0 } else { usize::from(first) };
        if width > 8 {
            return Err(Corrupt("numbers of more than eight bytes"));
        }
        let outlier_count = reader.count(count)?;
        let outliers = *reader;
        for _ in 0..outlier_count {
            reader.u64()?;
            reader.u64()?;
        }
        let mut planes: [&[u8]; 8] = [&[]; 8];
        for plane in &mut planes[..width] {
            *plane = reader.take(count)?;
        }
        if let Some(packed) = &mut packed {
            packed.read_numbers(count, reader)?;
        }
        let (outliers_left, next_outlier) = (outlier_count, usize::MAX);
        let mut all = Self { planes, width, packed, count, outliers, outliers_left, next_outlier };
        all.find_outlier(0)?;
        Ok(all)
    }

    /// Finds the place of the next number kept aside, at `from` or later.
    fn find_outlier(&mut self, from: usize) -> Result<(), Corrupt> {
        if self.outliers_left == 0 {
            self.next_outlier = usize::MAX;
            return Ok(());
        }
        self.outliers_left -= 1;
        self.next_outlier = from.saturating_add(self.outliers.count(self.count)?);
        if self.next_outlier >= self.count {
            return Err(Corrupt("a number kept aside has no place"));
        }
        Ok(())
    }

    /// Fills `out` with the numbers from `from` on. Blocks must be asked for in order.
    #[inline]
    fn fill(&mut self, from: usize, out: &mut [u64]) -> Result<(), Corrupt> {
        match self.width {
            0 => match &self.packed {
                None => out.fill(0),
                Some(packed) => packed.unpack(from, out),
            },
            1 => self.unpack::<1>(from, out),
            2 => self.unpack::<2>(from, out),
            _ => self.unpack_wide(from, out),
        }
        while self.next_outlier < from + out.len() {
            let at = self.next_outlier;
            // Places only rise, so this one is in this block.
            let number = self.outliers.u64()?;
            out[at - from] = self.packed.map_or(number, |packed| packed.restore(number));
            self.find_outlier(at + 1)?;
        }
        Ok(())
    }

    /// Without a branch or a check inside, so that it becomes vector instructions.
    #[inline]
    fn unpack<const WIDTH: usize>(&self, from: usize, out: &mut [u64]) {
        let planes: [&[u8]; WIDTH] = std::array::from_fn(|plane| &self.planes[plane][from..from + out.len()]);
        for (at, out) in out.iter_mut().enumerate() {
            let mut number = 0;
            for (byte, plane) in planes.iter().enumerate() {
                number |= u64::from(plane[at]) << (byte * 8);
            }
            *out = number;
        }
    }

    /// Two planes become one of words of two bytes, two of those one of four bytes, and so on: passes without a branch, which
    /// are vectorised on any machine.
    fn unpack_wide(&self, from: usize, out: &mut [u64]) {
        const NOTHING: [u8; BLOCK] = [0; BLOCK];
        let len = out.len().min(BLOCK);
        let plane = |number: usize| {
            if number < self.width { &self.planes[number][from..from + len] } else { &NOTHING[..len] }
        };
        let mut pairs = [[0u16; BLOCK]; 4];
        for (number, pair) in pairs.iter_mut().enumerate().take(self.width.div_ceil(2)) {
            let planes = plane(number * 2).iter().zip(plane(number * 2 + 1));
            for (word, (low, high)) in pair.iter_mut().zip(planes) {
                *word = u16::from(*low) | u16::from(*high) << 8;
            }
        }
        let mut quads = [[0u32; BLOCK]; 2];
        for (quad, pairs) in quads.iter_mut().zip(pairs.chunks_exact(2)).take(self.width.div_ceil(4)) {
            for (word, (low, high)) in quad.iter_mut().zip(pairs[0].iter().zip(&pairs[1])).take(len) {
                *word = u32::from(*low) | u32::from(*high) << 16;
            }
        }
        for (word, (low, high)) in out.iter_mut().zip(quads[0].iter().zip(&quads[1])) {
            *word = u64::from(*low) | u64::from(*high) << 32;
        }
    }

    /// Calls `each` with one block of numbers after the other, and the values they become.
    #[inline]
    fn decode(
        mut self,
        into: &mut [f64],
        mut each: impl FnMut(&mut [u64], &mut [f64]),
    ) -> Result<(), Corrupt> {
        let mut block = [0; BLOCK];
        for (number, into) in into.chunks_mut(BLOCK).enumerate() {
            let block = &mut block[..into.len()];
            self.fill(number * BLOCK, block)?;
            each(block, into);
        }
        Ok(())
    }
}

/// Appends `count` decoded values to `into`, from the front of `bytes`.
///
/// # Errors
/// If the bytes are not such a column; `into` may then have some values more.
pub fn decode(bytes: &[u8], count: usize, into: &mut Vec<f64>) -> Result<(), Corrupt> {
    if count == 0 {
        return Ok(());
    }
    if count > SAMPLES_MAX {
        return Err(Corrupt("a column of floats has too many values"));
    }
    let start = into.len();
    let mut reader = Reader::new(bytes);
    let head = reader.u8()?;
    let mut aside = reader;
    let aside_count = if head & ASIDE == 0 { 0 } else { reader.count(count)? };
    for _ in 0..aside_count {
        reader.u64()?;
        reader.fixed_u64()?;
    }
    if head & !ASIDE == CONSTANT {
        into.resize(start + count, f64::from_bits(reader.fixed_u64()?));
    } else {
        into.resize(start + count, 0.0);
        decode_planes(head & !ASIDE, &mut reader, &mut into[start..])?;
    }
    if aside_count > 0 {
        aside.u64()?;
        let mut next = 0usize;
        for _ in 0..aside_count {
            let at = next.saturating_add(aside.count(count)?);
            let place = into[start..].get_mut(at).ok_or(Corrupt("a value kept aside has no place"))?;
            *place = f64::from_bits(aside.fixed_u64()?);
            next = at + 1;
        }
    }
    Ok(())
}

/// Decodes what is behind the head of a column that is not constant.
fn decode_planes(encoding: u8, reader: &mut Reader<'_>, into: &mut [f64]) -> Result<(), Corrupt> {
    match encoding {
        DECIMAL => decode_decimal(reader, into),
        XOR => {
            let mut last = 0;
            Planes::read(reader, into.len())?.decode(into, |block, into| {
                for (number, into) in block.iter().zip(into) {
                    last ^= number;
                    *into = f64::from_bits(last);
                }
            })
        }
        RAW => Planes::read(reader, into.len())?.decode(into, |block, into| {
            for (number, into) in block.iter().zip(into) {
                *into = f64::from_bits(*number);
            }
        }),
        _ => Err(Corrupt("a column of floats in an unknown encoding")),
    }
}

fn decode_decimal(reader: &mut Reader<'_>, into: &mut [f64]) -> Result<(), Corrupt> {
    let exponent = usize::from(reader.u8()?);
    let divisor = *POWERS.get(exponent).ok_or(Corrupt("a power of ten is too large"))?;
    let transform = reader.u8()?;
    let mut last = reader.i64()?;
    if transform == PLAIN {
        return Planes::read(reader, into.len())?.decode(into, |block, into| {
            for number in &mut *block {
                *number = last.wrapping_add(*number as i64) as u64;
            }
            to_floats(block, divisor, into);
        });
    }
    let least_delta = if transform == RISE { reader.i64()? } else { 0 };
    let Some((first, rest)) = into.split_first_mut() else { return Ok(()) };
    *first = last as f64 / divisor;
    let planes = Planes::read(reader, rest.len())?;
    match transform {
        DELTA => planes.decode(rest, |block, into| {
            unzigzag_all(block);
            for number in &mut *block {
                last = last.wrapping_add(*number as i64);
                *number = last as u64;
            }
            to_floats(block, divisor, into);
        }),
        RISE => planes.decode(rest, |block, into| {
            for number in &mut *block {
                last = last.wrapping_add(least_delta).wrapping_add(*number as i64);
                *number = last as u64;
            }
            to_floats(block, divisor, into);
        }),
        DELTA2 => {
            let mut delta = 0i64;
            planes.decode(rest, |block, into| {
                unzigzag_all(block);
                for number in &mut *block {
                    delta = delta.wrapping_add(*number as i64);
                    last = last.wrapping_add(delta);
                    *number = last as u64;
                }
                to_floats(block, divisor, into);
            })
        }
        _ => Err(Corrupt("whole numbers in an unknown encoding")),
    }
}

/// In a pass of its own, because it can be done for several numbers at once and the sums cannot.
#[inline]
fn unzigzag_all(block: &mut [u64]) {
    for number in block {
        *number = unzigzag(*number) as u64;
    }
}

/// As [`unzigzag_all`].
#[inline]
fn to_floats(block: &[u64], divisor: f64, into: &mut [f64]) {
    let pairs = block.iter().zip(into);
    if divisor == 1.0 {
        pairs.for_each(|(number, into)| *into = *number as i64 as f64);
    } else {
        pairs.for_each(|(number, into)| *into = *number as i64 as f64 / divisor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE_NAN;
    use proptest::prelude::*;

    /// The only place here that touches the encoder.
    #[track_caller]
    fn check(values: &[f64], bytes_max: usize) {
        let mut bytes = Vec::new();
        FloatEncoder::default().encode(values, &mut bytes);
        assert!(bytes.len() <= bytes_max, "{} bytes, at most {bytes_max}", bytes.len());
        // What follows a column in its page must not disturb it.
        bytes.push(0xa5);
        let mut decoded = vec![1.0];
        decode(&bytes, values.len(), &mut decoded).expect("sound");
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&decoded[1..]), bits(values));
        let mut packed = Vec::new();
        FloatEncoder::packing().encode(values, &mut packed);
        // A place kept aside may cost a byte more, and there are two bytes of head.
        assert!(packed.len() <= bytes.len() + 2 + values.len() / 8, "{} bytes packed", packed.len());
        packed.push(0xa5);
        decoded.clear();
        decode(&packed, values.len(), &mut decoded).expect("sound");
        assert_eq!(bits(&decoded), bits(values));
    }

    #[test]
    fn packed_columns_take_the_bits_they_need() {
        let check = |values: &[f64], bytes_max: usize| {
            let mut bytes = Vec::new();
            FloatEncoder::packing().encode(values, &mut bytes);
            assert!(bytes.len() <= bytes_max, "{} bytes, at most {bytes_max}", bytes.len());
        };
        let counter: Vec<f64> = (0..120).map(|i| f64::from(i * 1000 + i * 7919 % 50) / 100.0).collect();
        check(&counter, 15 + 120 * 7 / 8);
        let bytes: Vec<f64> = (0..120).map(|i| f64::from(50_000 + i * 7919 % 200) * 4096.0).collect();
        check(&bytes, 15 + 120);
    }

    #[test]
    fn constant_columns_cost_nine_bytes_and_a_marker_at_the_end_nearly_nothing() {
        check(&[42.5; 480], 9);
        check(&[STALE_NAN; 3], 60);
        let mut ends = vec![42.5; 480];
        ends.push(STALE_NAN);
        check(&ends, 24);
    }

    #[test]
    fn counters_and_decimals_cost_a_byte_or_less() {
        let counter: Vec<f64> = (0..480).map(|i| 1e9 + f64::from(i * 100 + i * 7919 % 50)).collect();
        check(&counter, 500);
        let steady: Vec<f64> = (0..480).map(|i| 123.25 + f64::from(i) * 0.5).collect();
        check(&steady, 20);
        let seldom: Vec<f64> = (0..480).map(|i| f64::from(i / 100)).collect();
        check(&seldom, 30);
        let gauge: Vec<f64> = (0..480).map(|i| f64::from(2000 + i * 7919 % 200) / 100.0).collect();
        check(&gauge, 500);
    }

    #[test]
    fn noise_costs_eight_bytes_and_no_more() {
        let noise = |i: u64| {
            (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        let values: Vec<f64> = (0..480).map(|i| f64::from_bits(noise(i) >> 2)).collect();
        check(&values, 480 * 8 + 20);
    }

    #[test]
    fn odd_values_survive_bit_for_bit() {
        check(&[], 0);
        check(&[-0.0], 30);
        check(
            &[0.0, -0.0, STALE_NAN, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0, f64::from_bits(1)],
            200,
        );
        check(&[f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e300, 1e-300, 0.1, 0.2, 0.1 + 0.2], 200);
        check(&[9_007_199_254_740_992.0, -9_007_199_254_740_992.0, 9_007_199_254_740_991.0], 60);
        check(&[1e22, 1e21, 123_456_789_012_345_680.0], 60);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1_000_000i64..1_000_000).prop_map(|v| v as f64),
            (-1_000_000i64..1_000_000, 0i32..12).prop_map(|(v, e)| v as f64 / 10f64.powi(e)),
            Just(0.0),
            Just(-0.0),
            Just(STALE_NAN),
        ]
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in proptest::collection::vec(value(), 0..200)) {
            check(&values, usize::MAX);
        }

        #[test]
        fn whole_numbers_and_decimals_come_back(start: i32, steps in proptest::collection::vec(-1000i64..1000, 0..200), e in 0i32..10) {
            let mut at = i64::from(start);
            let values: Vec<f64> = steps.into_iter().map(|s| { at += s; at as f64 / 10f64.powi(e) }).collect();
            check(&values, usize::MAX);
        }

        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..200) {
            let mut into = Vec::new();
            let decoded = decode(&bytes, count, &mut into);
            prop_assert!(decoded.is_err() || into.len() == count);
        }
    }
}
