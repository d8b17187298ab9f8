//! Ways to encode a column of floats, each as simple as it can be and still be fair: what others do, and what Kymo does.
//!
//! Those that want whole numbers write a column as its raw bits where it has none, after a byte that says so.

use chunk::floats::{self, FloatEncoder};
use chunk::varint::{Reader, write_i64};

/// One of them.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// Appends the encoded column.
    pub(crate) encode: fn(&[f64], &mut Vec<u8>),
    /// Appends so many values from the front of bytes that `encode` wrote.
    pub(crate) decode: fn(&[u8], usize, &mut Vec<f64>),
}

pub(crate) const CANDIDATES: &[Candidate] = &[
    Candidate { name: "raw", encode: write_raw, decode: read_raw },
    Candidate { name: "Gorilla XOR", encode: write_gorilla, decode: read_gorilla },
    Candidate {
        name: "integer delta, varints",
        encode: |values, out| write_whole(values, 0, 1, out),
        decode: |bytes, count, into| read_whole(bytes, count, 1, into),
    },
    Candidate {
        name: "integer delta of delta, varints",
        encode: |values, out| write_whole(values, 0, 2, out),
        decode: |bytes, count, into| read_whole(bytes, count, 2, into),
    },
    Candidate {
        name: "scaled decimal, delta, varints",
        encode: |values, out| write_whole(values, EXPONENT_MAX, 1, out),
        decode: |bytes, count, into| read_whole(bytes, count, 1, into),
    },
    Candidate { name: "ALP-like: scaled decimal, packed bits", encode: write_packed, decode: read_packed },
    Candidate {
        name: "best of all, in planes (Kymo)",
        encode: |values, out| FloatEncoder::default().encode(values, out),
        decode: |bytes, count, into| floats::decode(bytes, count, into).expect("what was encoded"),
    },
];

fn write_raw(values: &[f64], out: &mut Vec<u8>) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn read_raw(bytes: &[u8], count: usize, into: &mut Vec<f64>) {
    let words = bytes.as_chunks::<8>().0;
    into.extend(words[..count].iter().map(|word| f64::from_le_bytes(*word)));
}

/// Bits, lowest first.
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u128,
    held_count: u32,
}

impl BitWriter<'_> {
    fn push(&mut self, bits: u64, count: u32) {
        self.held |= u128::from(bits) << self.held_count;
        self.held_count += count;
        while self.held_count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.held_count -= 8;
        }
    }

    fn finish(self) {
        if self.held_count > 0 {
            self.out.push(self.held as u8);
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        if count == 0 {
            return 0;
        }
        let from = self.at / 8;
        let window = if let Some(window) = self.bytes.get(from..from + 16) {
            window.try_into().expect("16 bytes")
        } else {
            let mut window = [0; 16];
            let rest = &self.bytes[from..];
            window[..rest.len()].copy_from_slice(rest);
            window
        };
        let bits = (u128::from_le_bytes(window) >> (self.at % 8)) as u64;
        self.at += count as usize;
        bits & (u64::MAX >> (64 - count))
    }
}

/// As in the paper: a bit if the value is the one before; otherwise its XOR with that, in the window of bits that the last one had
/// or in a new one.
fn write_gorilla(values: &[f64], out: &mut Vec<u8>) {
    let mut writer = BitWriter { out, held: 0, held_count: 0 };
    let (mut last, mut leading, mut len) = (values[0].to_bits(), 0, 0);
    writer.push(last, 64);
    for value in &values[1..] {
        let xor = value.to_bits() ^ last;
        last = value.to_bits();
        if xor == 0 {
            writer.push(0, 1);
            continue;
        }
        let fits = len > 0 && xor.leading_zeros() >= leading && xor.trailing_zeros() >= 64 - leading - len;
        if fits {
            writer.push(0b01, 2);
        } else {
            leading = xor.leading_zeros().min(31);
            len = 64 - leading - xor.trailing_zeros();
            writer.push(0b11, 2);
            writer.push(u64::from(leading), 5);
            writer.push(u64::from(len - 1), 6);
        }
        writer.push(xor >> (64 - leading - len), len);
    }
    writer.finish();
}

fn read_gorilla(bytes: &[u8], count: usize, into: &mut Vec<f64>) {
    let mut reader = BitReader { bytes, at: 0 };
    let (mut last, mut leading, mut len) = (reader.take(64), 0, 0);
    into.push(f64::from_bits(last));
    for _ in 1..count {
        if reader.take(1) == 1 {
            if reader.take(1) == 1 {
                leading = reader.take(5) as u32;
                len = reader.take(6) as u32 + 1;
            }
            last ^= reader.take(len) << (64 - leading - len);
        }
        into.push(f64::from_bits(last));
    }
}

const EXPONENT_MAX: usize = 17;
const WHOLE_MAX: f64 = (1u64 << 53) as f64;
/// In place of an exponent: raw bits follow.
const RAW: u8 = 255;

fn power(exponent: usize) -> f64 {
    10f64.powi(exponent as i32)
}

fn to_whole(value: f64, exponent: usize) -> Option<i64> {
    let scaled = (value * power(exponent)).round_ties_even();
    let is_same = (scaled / power(exponent)).to_bits() == value.to_bits();
    (scaled.abs() <= WHOLE_MAX && is_same).then_some(scaled as i64)
}

/// Whole numbers that, divided by the least power of ten that does, are all values.
fn all_whole(values: &[f64], exponent_max: usize) -> Option<(u8, Vec<i64>)> {
    let mut exponent = 0;
    for value in values {
        while to_whole(*value, exponent).is_none() {
            exponent += 1;
            if exponent > exponent_max || (value * power(exponent)).abs() > WHOLE_MAX {
                return None;
            }
        }
    }
    let whole = values.iter().map(|value| to_whole(*value, exponent)).collect::<Option<_>>()?;
    Some((exponent as u8, whole))
}

/// Differences (of differences, with an order of 2) as varints.
fn write_whole(values: &[f64], exponent_max: usize, order: usize, out: &mut Vec<u8>) {
    let Some((exponent, whole)) = all_whole(values, exponent_max) else {
        out.push(RAW);
        return write_raw(values, out);
    };
    out.push(exponent);
    let (mut last, mut last_delta) = (0, 0);
    for number in whole {
        let delta = number - last;
        write_i64(out, delta - last_delta);
        last = number;
        last_delta = if order == 2 { delta } else { 0 };
    }
}

fn read_whole(bytes: &[u8], count: usize, order: usize, into: &mut Vec<f64>) {
    if bytes[0] == RAW {
        return read_raw(&bytes[1..], count, into);
    }
    let divisor = power(usize::from(bytes[0]));
    let mut reader = Reader::new(&bytes[1..]);
    let (mut last, mut last_delta) = (0, 0);
    for _ in 0..count {
        let delta = reader.i64().expect("what was encoded") + last_delta;
        last += delta;
        last_delta = if order == 2 { delta } else { 0 };
        into.push(last as f64 / divisor);
    }
}

/// What ALP comes down to for decimal data: one exponent, differences to the least number in as few bits as hold them, and what does
/// not fit kept aside. (ALP packs so that vector instructions unpack; that is not done here.)
fn write_packed(values: &[f64], out: &mut Vec<u8>) {
    let whole_with = |exponent: usize| -> Vec<Option<i64>> {
        values.iter().map(|value| to_whole(*value, exponent)).collect()
    };
    let bits_of = |whole: &[Option<i64>]| {
        let least = whole.iter().flatten().min().copied().unwrap_or(0);
        let most = whole.iter().flatten().max().copied().unwrap_or(0);
        (least, 64 - ((most - least) as u64).leading_zeros())
    };
    let cost = |exponent: &usize| {
        let whole = whole_with(*exponent);
        let aside = whole.iter().filter(|number| number.is_none()).count();
        bits_of(&whole).1 as usize * whole.len() + aside * 80
    };
    let exponent = (0..=EXPONENT_MAX).min_by_key(cost).unwrap_or(0);
    let whole = whole_with(exponent);
    let (least, width) = bits_of(&whole);
    let aside: Vec<usize> = (0..values.len()).filter(|at| whole[*at].is_none()).collect();
    out.extend_from_slice(&[exponent as u8, width as u8]);
    write_i64(out, least);
    write_i64(out, aside.len() as i64);
    for at in aside {
        out.extend_from_slice(&(at as u16).to_le_bytes());
        out.extend_from_slice(&values[at].to_le_bytes());
    }
    let mut writer = BitWriter { out, held: 0, held_count: 0 };
    whole.iter().for_each(|number| writer.push((number.unwrap_or(least) - least) as u64, width));
    writer.finish();
}

fn read_packed(bytes: &[u8], count: usize, into: &mut Vec<f64>) {
    let (divisor, width) = (power(usize::from(bytes[0])), u32::from(bytes[1]));
    let mut reader = Reader::new(&bytes[2..]);
    let least = reader.i64().expect("what was encoded");
    let aside_count = reader.i64().expect("what was encoded") as usize;
    let aside = reader.take(aside_count * 10).expect("what was encoded");
    let start = into.len();
    let mut bits = BitReader { bytes: reader.rest(), at: 0 };
    into.extend((0..count).map(|_| (least + bits.take(width) as i64) as f64 / divisor));
    for item in aside.as_chunks::<10>().0 {
        let at = usize::from(u16::from_le_bytes([item[0], item[1]]));
        into[start + at] = f64::from_le_bytes(item[2..].try_into().expect("8 bytes"));
    }
}
