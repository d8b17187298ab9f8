//! Numbers of a column in just as many bits as they need, for columns that are kept in memory and that nothing
//! compresses further; blocks have planes of bytes instead, which compress better.
//!
//! Layout: byte `0x80 | bits`, byte of trailing zero bits that all numbers were shifted by, varint count of numbers that
//! are wider, each with a varint of places skipped and a varint of the (shifted) number, its place among the others being
//! zero; then the numbers, lowest bits first, without a gap.

use crate::Corrupt;
use crate::varint::{Reader, write_u64};

/// Set in the byte that says how wide numbers are, if they are packed.
pub(crate) const PACKED: u8 = 0x80;

/// Writes numbers, which are changed on the way.
pub(crate) fn write(numbers: &mut [u64], out: &mut Vec<u8>) {
    let all = numbers.iter().fold(0, |all, number| all | number);
    let shift = if all == 0 { 0 } else { all.trailing_zeros() };
    let mut widths = [0usize; 65];
    for number in numbers.iter_mut() {
        *number >>= shift;
        widths[width(*number)] += 1;
    }
    let bits = best_bits(&widths, numbers.len());
    let outliers: usize = widths[bits + 1..].iter().sum();
    out.extend([PACKED | bits as u8, shift as u8]);
    write_u64(out, outliers as u64);
    if outliers > 0 {
        let mut next = 0;
        for (at, number) in numbers.iter_mut().enumerate().filter(|(_, n)| width(**n) > bits) {
            write_u64(out, (at - next) as u64);
            write_u64(out, *number);
            *number = 0;
            next = at + 1;
        }
    }
    pack(numbers, bits, out);
}

fn width(number: u64) -> usize {
    64 - number.leading_zeros() as usize
}

/// How many bits a number gets, so that all, and what is kept aside, take the fewest bytes.
fn best_bits(widths: &[usize; 65], count: usize) -> usize {
    let widest = widths.iter().rposition(|numbers| *numbers > 0).unwrap_or(0);
    let (mut best, mut cost_min, mut aside) = (widest, (count * widest).div_ceil(8), 0);
    for candidate in (0..widest).rev() {
        // The varint of its place, seldom more than a byte, and that of the number.
        aside += widths[candidate + 1] * (1 + (candidate + 1).div_ceil(7));
        let cost = (count * candidate).div_ceil(8) + aside;
        if cost < cost_min {
            (best, cost_min) = (candidate, cost);
        }
    }
    best
}

fn pack(numbers: &[u64], bits: usize, out: &mut Vec<u8>) {
    if bits == 0 {
        return;
    }
    let (mut word, mut filled) = (0u128, 0);
    for number in numbers {
        word |= u128::from(*number) << filled;
        filled += bits;
        if filled >= 64 {
            out.extend_from_slice(&(word as u64).to_le_bytes());
            word >>= 64;
            filled -= 64;
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8)]);
}

/// What is behind the number of bits; the numbers kept aside are for the caller to read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Packed<'a> {
    bytes: &'a [u8],
    bits: usize,
    shift: u32,
}

impl<'a> Packed<'a> {
    /// Reads the head: `first` is the byte with the bits.
    pub(crate) fn read(first: u8, reader: &mut Reader<'a>) -> Result<Self, Corrupt> {
        let (bits, shift) = (usize::from(first & !PACKED), u32::from(reader.u8()?));
        if bits > 64 || shift > 63 {
            return Err(Corrupt("numbers of more than 64 bits"));
        }
        Ok(Self { bytes: &[], bits, shift })
    }

    /// Reads `count` numbers, behind those that are kept aside.
    pub(crate) fn read_numbers(&mut self, count: usize, reader: &mut Reader<'a>) -> Result<(), Corrupt> {
        let bytes = count.checked_mul(self.bits).ok_or(Corrupt("too many numbers"))?.div_ceil(8);
        self.bytes = reader.take(bytes)?;
        Ok(())
    }

    /// As it was before it was shifted.
    pub(crate) fn restore(&self, number: u64) -> u64 {
        number << self.shift
    }

    /// Fills `out` with the numbers from `from` on.
    pub(crate) fn unpack(&self, from: usize, out: &mut [u64]) {
        let Self { bytes, bits, shift } = *self;
        if bits == 0 {
            return out.fill(0);
        }
        let mask = u64::MAX >> (64 - bits);
        for (at, out) in (from * bits..).step_by(bits).zip(out) {
            let (byte, skip) = (at / 8, at % 8);
            let number = match bytes.get(byte..).and_then(|rest| rest.first_chunk::<8>()) {
                // The eight bytes have all of it.
                Some(word) if bits <= 57 => u64::from_le_bytes(*word) >> skip,
                _ => near_end(bytes, byte, skip),
            };
            *out = (number & mask) << shift;
        }
    }
}

/// 64 bits from a place on, as many as there are.
#[cold]
fn near_end(bytes: &[u8], byte: usize, skip: usize) -> u64 {
    let mut word = [0; 16];
    let rest = bytes.get(byte..).unwrap_or(&[]);
    let len = rest.len().min(9);
    word[..len].copy_from_slice(&rest[..len]);
    (u128::from_le_bytes(word) >> skip) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(numbers: &[u64], bytes_max: usize) {
        let mut bytes = Vec::new();
        write(&mut numbers.to_vec(), &mut bytes);
        let mut reader = Reader::new(&bytes);
        let first = reader.u8().expect("written");
        let mut packed = Packed::read(first, &mut reader).expect("sound");
        let mut aside = vec![None; numbers.len()];
        let mut next = 0;
        for _ in 0..reader.u64().expect("a count") {
            next += reader.u64().expect("a place") as usize;
            aside[next] = Some(packed.restore(reader.u64().expect("a number")));
            next += 1;
        }
        packed.read_numbers(numbers.len(), &mut reader).expect("sound");
        assert!(reader.is_empty());
        let mut all = vec![0; numbers.len()];
        let middle = numbers.len() / 2;
        packed.unpack(middle, &mut all[middle..]);
        packed.unpack(0, &mut all[..middle]);
        let all: Vec<u64> = all.iter().zip(aside).map(|(number, aside)| aside.unwrap_or(*number)).collect();
        assert_eq!(all, numbers);
        assert!(bytes.len() <= bytes_max, "{} bytes", bytes.len());
    }

    #[test]
    fn numbers_take_the_bits_they_need_and_common_zeros_none() {
        check(&[], 3);
        check(&[0; 120], 3);
        let ten_bits: Vec<u64> = (0..120).map(|n| n * 7919 % 1024).collect();
        check(&ten_bits, 3 + 150);
        let pages: Vec<u64> = ten_bits.iter().map(|n| n * 4096).collect();
        check(&pages, 3 + 150);
        let mut few = vec![0; 120];
        (few[17], few[90]) = (u64::MAX, 3);
        check(&few, 40);
        check(&[u64::MAX; 9], 3 + 72);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in proptest::collection::vec((any::<u64>(), 0u32..64), 0..300), shift in 0u32..64) {
            let numbers: Vec<u64> = numbers.into_iter().map(|(number, by)| number >> by << shift).collect();
            check(&numbers, usize::MAX);
        }
    }
}
