//! Floats as text, to the last character as Go and Prometheus write them, and as Prometheus reads them.
//!
//! Why: answers are compared byte for byte with Prometheus', `le` and `quantile` labels are made from floats,
//! and templates print them. Go's `strconv` chooses the shortest digits that read back as the same float and, of two
//! that are as near, those that end even. `ryu` does the same; the standard library takes the other of the two now and
//! then (955784425388886.25), so it is not asked. What is left is the layout: where the exponent starts, how it is
//! written, special values.

use std::fmt::{self, Write};

/// Which of Go's layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatFormat {
    /// `strconv.FormatFloat(v, 'f', -1, 64)`: never an exponent. What `count_values` makes labels of.
    Fixed,
    /// `strconv.FormatFloat(v, 'g', -1, 64)`: an exponent below 1e-4 and from 1e+06 on. Exposition text.
    General,
    /// `strconv.FormatFloat(v, 'e', -1, 64)`: always an exponent.
    Exponent,
    /// What Prometheus' HTTP API writes between quotes: fixed, but with an exponent below 1e-6 and from 1e+21
    /// on.
    Json,
    /// OpenMetrics' canonical form, which `le` and `quantile` labels take on their way in: general, and with
    /// `.0` where neither a point nor an exponent would show that it is a float.
    OpenMetrics,
}

/// `strconv.FormatFloat(value, 'f', -1, 64)`; `NaN`, `+Inf`, `-Inf` for what is no number.
pub fn format_float(value: f64) -> String {
    format_float_as(value, FloatFormat::Fixed)
}

/// The text of `value` in one of Go's layouts.
pub fn format_float_as(value: f64, format: FloatFormat) -> String {
    let mut text = String::with_capacity(24);
    write_float(&mut text, value, format).expect("a String takes everything");
    text
}

/// Writes `value` in one of Go's layouts, without allocating.
///
/// # Errors
/// As the writer.
pub fn write_float(out: &mut impl Write, value: f64, format: FloatFormat) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("NaN");
    }
    if value.is_infinite() {
        return out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    match format {
        FloatFormat::Fixed => write_fixed(out, value),
        FloatFormat::Exponent => Decimal::of(value).write_exponent(out),
        FloatFormat::Json => {
            let magnitude = value.abs();
            if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
                Decimal::of(value).write_exponent(out)
            } else {
                write_fixed(out, value)
            }
        }
        FloatFormat::General => {
            let decimal = Decimal::of(value);
            if decimal.needs_exponent() { decimal.write_exponent(out) } else { write_fixed(out, value) }
        }
        FloatFormat::OpenMetrics => {
            let decimal = Decimal::of(value);
            if decimal.needs_exponent() {
                return decimal.write_exponent(out);
            }
            if value == 0.0 {
                // Minus zero loses its sign, as in Prometheus.
                return out.write_str("0.0");
            }
            write_fixed(out, value)?;
            if value.fract() == 0.0 { out.write_str(".0") } else { Ok(()) }
        }
    }
}

/// The shortest digits of a finite float without an exponent. Large answers are mostly floats, and most of those need no
/// exponent in `ryu`'s layout either.
fn write_fixed(out: &mut impl Write, value: f64) -> fmt::Result {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    if text.bytes().any(|b| b == b'e') {
        return Decimal::of(value).write_fixed(out);
    }
    out.write_str(text.strip_suffix(".0").unwrap_or(text))
}

/// The shortest digits of a finite float: `0.ddd`, without the point, times ten to the `point`.
struct Decimal {
    negative: bool,
    /// Without zeros at either end; of zero, a single one.
    digits: [u8; 17],
    len: usize,
    /// How many digits stand before the point; none or fewer for what is below a tenth.
    point: i32,
}

impl Decimal {
    fn of(value: f64) -> Self {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value).as_bytes();
        let mut decimal = Self { negative: value.is_sign_negative(), digits: [b'0'; 17], len: 0, point: 0 };
        let mut after_point = false;
        for (at, &byte) in text.iter().enumerate() {
            match byte {
                b'e' => {
                    let exponent =
                        std::str::from_utf8(&text[at + 1..]).ok().and_then(|e| e.parse::<i32>().ok());
                    decimal.point += exponent.expect("BUG: an exponent is a number");
                    break;
                }
                b'.' => after_point = true,
                b'-' => {}
                // A zero in front is no digit, but behind the point it moves it.
                b'0' if decimal.len == 0 => decimal.point -= i32::from(after_point),
                digit => {
                    // `ryu` fills large whole numbers, and those without a fraction, with zeros that are cut off below.
                    if let Some(place) = decimal.digits.get_mut(decimal.len) {
                        *place = digit;
                        decimal.len += 1;
                    }
                    decimal.point += i32::from(!after_point);
                }
            }
        }
        while decimal.len > 0 && decimal.digits[decimal.len - 1] == b'0' {
            decimal.len -= 1;
        }
        if decimal.len == 0 {
            (decimal.len, decimal.point) = (1, 1);
        }
        decimal
    }

    fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).expect("digits are ASCII")
    }

    /// `strconv`'s rule for `'g'` with the shortest digits: six, however many there are. (`fmt`'s `%v` has 21.)
    fn needs_exponent(&self) -> bool {
        !(-4..6).contains(&(self.point - 1))
    }

    fn write_sign(&self, out: &mut impl Write) -> fmt::Result {
        if self.negative { out.write_char('-') } else { Ok(()) }
    }

    fn write_exponent(&self, out: &mut impl Write) -> fmt::Result {
        self.write_sign(out)?;
        let (first, rest) = self.digits().split_at(1);
        out.write_str(first)?;
        if !rest.is_empty() {
            write!(out, ".{rest}")?;
        }
        let exponent = self.point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", exponent.unsigned_abs())
    }

    fn write_fixed(&self, out: &mut impl Write) -> fmt::Result {
        self.write_sign(out)?;
        let (digits, point) = (self.digits(), self.point);
        let Ok(whole) = usize::try_from(point) else {
            return write!(out, "0.{:0<zeros$}{digits}", "", zeros = point.unsigned_abs() as usize);
        };
        if whole == 0 {
            return write!(out, "0.{digits}");
        }
        match digits.split_at_checked(whole) {
            Some((whole, fraction)) if !fraction.is_empty() => write!(out, "{whole}.{fraction}"),
            _ => write!(out, "{digits:0<whole$}"),
        }
    }
}

/// Text that Go's `strconv.ParseFloat` would not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseFloatError {
    /// Not a number at all.
    #[error("invalid syntax")]
    Syntax,
    /// Finite as written, but larger than any float.
    #[error("value out of range")]
    Range,
}

/// Reads a float as Prometheus reads exposition text: Go's `strconv.ParseFloat` in the version before
/// hexadecimal floats and underscores (`p`, `P` and `_` are refused). Takes `inf`, `infinity` and `nan` in any
/// case, the first two with a sign.
///
/// # Errors
/// Says whether it is no number or too large a number.
pub fn parse_float(text: &[u8]) -> Result<f64, ParseFloatError> {
    // Almost all samples are small whole numbers: they need no general parser, and are exact below 2^53.
    if let Some(value) = parse_small_whole(text) {
        return Ok(value);
    }
    let text = std::str::from_utf8(text).map_err(|_| ParseFloatError::Syntax)?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value: f64 = text.parse().map_err(|_| ParseFloatError::Syntax)?;
    if value.is_infinite() && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(ParseFloatError::Range);
    }
    // Go knows no signed NaN; Rust does.
    if value.is_nan() && unsigned.len() != text.len() {
        return Err(ParseFloatError::Syntax);
    }
    Ok(value)
}

fn parse_small_whole(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut whole: u64 = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        whole = whole * 10 + u64::from(digit);
    }
    Some(whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: f64, fixed: &str, general: &str, json: &str, open_metrics: &str) {
        let texts = [FloatFormat::Fixed, FloatFormat::General, FloatFormat::Json, FloatFormat::OpenMetrics]
            .map(|format| format_float_as(value, format));
        assert_eq!(texts, [fixed, general, json, open_metrics].map(str::to_owned), "{value:e}");
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        check(0.0, "0", "0", "0", "0.0");
        check(-0.0, "-0", "-0", "-0", "0.0");
        check(1.0, "1", "1", "1", "1.0");
        check(-2.5, "-2.5", "-2.5", "-2.5", "-2.5");
        check(
            0.1 + 0.2,
            "0.30000000000000004",
            "0.30000000000000004",
            "0.30000000000000004",
            "0.30000000000000004",
        );
        check(100_000.0, "100000", "100000", "100000", "100000.0");
        check(999_999.5, "999999.5", "999999.5", "999999.5", "999999.5");
        check(1e6, "1000000", "1e+06", "1000000", "1e+06");
        check(123_456_789.0, "123456789", "1.23456789e+08", "123456789", "1.23456789e+08");
        check(0.0001, "0.0001", "0.0001", "0.0001", "0.0001");
        check(0.00001, "0.00001", "1e-05", "0.00001", "1e-05");
        check(1e-6, "0.000001", "1e-06", "0.000001", "1e-06");
        check(-1e-7, "-0.0000001", "-1e-07", "-1e-07", "-1e-07");
        check(1e21, "1000000000000000000000", "1e+21", "1e+21", "1e+21");
        check(
            999_999_999_999_999_900_000.0,
            "999999999999999900000",
            "9.999999999999999e+20",
            "999999999999999900000",
            "9.999999999999999e+20",
        );
        check(1.5e300, &format!("15{}", "0".repeat(299)), "1.5e+300", "1.5e+300", "1.5e+300");
        check(5e-324, &format!("0.{}5", "0".repeat(323)), "5e-324", "5e-324", "5e-324");
        check(f64::NAN, "NaN", "NaN", "NaN", "NaN");
        check(crate::STALE_NAN, "NaN", "NaN", "NaN", "NaN");
        check(f64::INFINITY, "+Inf", "+Inf", "+Inf", "+Inf");
        check(f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf", "-Inf");
        assert_eq!(format_float_as(1.0, FloatFormat::Exponent), "1e+00");
        assert_eq!(format_float_as(-123.0, FloatFormat::Exponent), "-1.23e+02");
        assert_eq!(format_float_as(f64::MAX, FloatFormat::General), "1.7976931348623157e+308");
        assert_eq!(format_float_as(f64::MIN_POSITIVE, FloatFormat::General), "2.2250738585072014e-308");
    }

    #[test]
    fn of_two_texts_that_are_as_near_the_even_one_is_written() {
        check(
            -(955_784_425_388_886.0 + 0.25),
            "-955784425388886.2",
            "-9.557844253888862e+14",
            "-955784425388886.2",
            "-9.557844253888862e+14",
        );
    }

    /// The last digit that is not a zero.
    fn last_digit(fixed: &str) -> u32 {
        fixed.trim_end_matches('0').chars().last().and_then(|c| c.to_digit(10)).unwrap_or(0)
    }

    #[test]
    fn floats_are_read_as_prometheus_reads_them() {
        let ok: &[(&str, f64)] = &[
            ("1", 1.0),
            ("+1", 1.0),
            ("-0", -0.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("1e-999", 0.0),
            ("123456789012345", 123_456_789_012_345.0),
            ("12345678901234567890", 12_345_678_901_234_567_890.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
        ];
        for (text, want) in ok {
            assert_eq!(parse_float(text.as_bytes()).map(f64::to_bits), Ok(want.to_bits()), "{text}");
        }
        assert!(parse_float(b"nAn").expect("a value").is_nan());
        for bad in [
            "", "+", ".", "e3", "1e", "0x1p3", "0x10", "1_000", "+NaN", "-nan", "infi", "1 ", " 1", "1,5",
            "١",
        ] {
            assert_eq!(parse_float(bad.as_bytes()), Err(ParseFloatError::Syntax), "{bad:?}");
        }
        for large in ["1e309", "-1e999", "+2e308"] {
            assert_eq!(parse_float(large.as_bytes()), Err(ParseFloatError::Range), "{large:?}");
        }
    }

    proptest! {
        #[test]
        fn digits_are_as_few_as_the_standard_librarys_and_as_near(bits in any::<u64>(), mantissa in -10_000_000i64..10_000_000, places in 0i32..12) {
            for value in [f64::from_bits(bits), mantissa as f64 / 10f64.powi(places), mantissa as f64] {
                if !value.is_finite() {
                    continue;
                }
                let (fixed, exponent) = (format_float(value), format_float_as(value, FloatFormat::Exponent));
                prop_assert_eq!(fixed.parse::<f64>(), Ok(value));
                prop_assert_eq!(exponent.parse::<f64>(), Ok(value));
                // Where two texts are as near, the two libraries differ in the last digit, by one.
                let theirs = format!("{value}");
                prop_assert_eq!(fixed.len(), theirs.len());
                if fixed != theirs {
                    let (ours, theirs) = (last_digit(&fixed), last_digit(&theirs));
                    prop_assert!(ours % 2 == 0 && ours.abs_diff(theirs) == 1, "{} {}", fixed, value);
                }
            }
        }

        #[test]
        fn what_is_written_reads_back_as_the_same_float(bits: u64) {
            let value = f64::from_bits(bits);
            for format in [FloatFormat::Fixed, FloatFormat::General, FloatFormat::Exponent, FloatFormat::Json, FloatFormat::OpenMetrics] {
                let back = parse_float(format_float_as(value, format).as_bytes()).expect("a float");
                let lost_sign = format == FloatFormat::OpenMetrics && value == 0.0;
                prop_assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan() || lost_sign && back == value);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(text in "[-+0-9.eEinfatyINFpx_]{0,12}") {
            if let Ok(value) = parse_float(text.as_bytes()) && !value.is_nan() {
                prop_assert_eq!(Ok(value), text.parse::<f64>());
            }
        }
    }
}
