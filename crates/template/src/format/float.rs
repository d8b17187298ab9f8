//! Floats: `%e`, `%f`, `%g` with a precision or the fewest digits that read back the same, and hexadecimal.

use super::{Flags, integer, text};
use crate::text::Text;

/// No float has more digits that are not zero: 2^-1074 ends at the 1,074th.
const DIGITS_MAX: usize = 1_080;

pub(super) fn knows(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E')
}

pub(super) fn show(out: &mut Text, value: f64, flags: Flags, verb: char) {
    if !value.is_finite() {
        // An infinity has a sign only if asked, and never leading zeros.
        let word = if value.is_nan() { "NaN" } else { "Inf" };
        let sign = match integer::sign(value < 0.0, flags) {
            "" if value.is_infinite() => "+",
            sign => sign,
        };
        return text::pad(out, &format!("{sign}{word}"), Flags { zero: false, ..flags });
    }
    if flags.precision.is_some_and(|precision| precision > out.room()) {
        // So many digits do not fit.
        return out.fill('0', usize::MAX);
    }
    let sign = integer::sign(value.is_sign_negative(), flags);
    let precision = flags.precision;
    let magnitude = value.abs();
    let digits = match verb {
        'e' | 'E' => exponential(magnitude, Some(precision.unwrap_or(6))),
        'f' | 'F' => fixed(magnitude, precision.unwrap_or(6)),
        'x' | 'X' => hexadecimal(magnitude, precision),
        'b' => binary(magnitude),
        _ => general(magnitude, precision, flags.sharp),
    };
    let digits = if verb.is_uppercase() { digits.to_uppercase() } else { digits };
    let missing = flags.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
    match (flags.minus, flags.zero) {
        (true, _) => {
            out.push_str(sign);
            out.push_str(&digits);
            out.fill(' ', missing);
        }
        (false, true) => {
            out.push_str(sign);
            out.fill('0', missing);
            out.push_str(&digits);
        }
        (false, false) => {
            out.fill(' ', missing);
            out.push_str(sign);
            out.push_str(&digits);
        }
    }
}

/// `1.5e+06`. Without a precision, the fewest digits.
fn exponential(value: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => {
            let exact = precision.min(DIGITS_MAX);
            let text = format!("{value:.exact$e}");
            match (text.split_once('e'), precision - exact) {
                (Some((mantissa, exponent)), more @ 1..) => {
                    format!("{mantissa}{}e{exponent}", "0".repeat(more))
                }
                _ => text,
            }
        }
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>2}")
}

fn fixed(value: f64, precision: usize) -> String {
    let exact = precision.min(DIGITS_MAX);
    format!("{value:.exact$}{}", "0".repeat(precision - exact))
}

/// The shorter of both, as Go chooses.
fn general(value: f64, precision: Option<usize>, keeps_zeros: bool) -> String {
    let wanted = precision.map(|precision| precision.max(1));
    let text = match wanted {
        Some(digits) => format!("{value:.*e}", (digits - 1).min(DIGITS_MAX)),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits = mantissa.replace('.', "");
    if keeps_zeros {
        let least = wanted.unwrap_or(6);
        digits.extend(std::iter::repeat_n('0', least.saturating_sub(digits.len())));
    } else {
        digits.truncate(digits.trim_end_matches('0').len().max(1));
    }
    // From which exponent on it is written as one.
    let from = wanted.map_or(6, |wanted| wanted as i32);
    if exponent < -4 || exponent >= from {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs());
    }
    place_point(&digits, exponent)
}

/// Digits with the point behind the first, moved by the exponent.
fn place_point(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
    }
    let before = exponent as usize + 1;
    if digits.len() <= before {
        return format!("{digits}{}", "0".repeat(before - digits.len()));
    }
    format!("{}.{}", &digits[..before], &digits[before..])
}

/// `0x1.8p+01`.
fn hexadecimal(value: f64, precision: Option<usize>) -> String {
    if value == 0.0 {
        let zeros = precision.map_or(String::new(), |precision| "0".repeat(precision.min(DIGITS_MAX)));
        let point = if zeros.is_empty() { "" } else { "." };
        return format!("0x0{point}{zeros}p+00");
    }
    let (mut mantissa, mut exponent) = split(value);
    // One bit before the point, the others in 13 hexadecimal digits behind it.
    let shift = mantissa.leading_zeros() - 11;
    mantissa <<= shift;
    exponent += 52 - shift as i32;
    if let Some(precision) = precision.filter(|precision| *precision < 13) {
        let dropped = 4 * (13 - precision as u32);
        let (kept, rest, half) = (mantissa >> dropped, mantissa & ((1 << dropped) - 1), 1 << (dropped - 1));
        let up = rest > half || (rest == half && kept & 1 == 1);
        mantissa = (kept + u64::from(up)) << dropped;
        if mantissa >> 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    match precision {
        None => digits.truncate(digits.trim_end_matches('0').len()),
        Some(precision) => {
            let more = precision.min(DIGITS_MAX).saturating_sub(13);
            digits.truncate(precision.min(13));
            digits.extend(std::iter::repeat_n('0', more));
        }
    }
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x1{point}{digits}p{sign}{:02}", exponent.unsigned_abs())
}

/// `4503599627370496p-52`.
fn binary(value: f64) -> String {
    let (mantissa, exponent) = split(value);
    format!("{mantissa}p{exponent:+}")
}

/// A float as an integer times a power of two.
fn split(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52) & 0x7ff {
        0 => (fraction, -1074),
        biased => (fraction | 1 << 52, biased as i32 - 1075),
    }
}
