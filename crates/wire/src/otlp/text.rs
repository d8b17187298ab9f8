//! Values of attributes as text, as OpenTelemetry's own libraries write them into labels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A value of an attribute that is not simply text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AnyValue<'a> {
    Empty,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Cow<'a, [u8]>),
    List(Vec<AnyValue<'a>>),
    Map(BTreeMap<String, AnyValue<'a>>),
}

impl<'a> AnyValue<'a> {
    /// Text as it is, everything else as JSON; but bytes without quotes.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        let mut text = String::new();
        match self {
            Self::Empty => {}
            Self::Text(text) => return text,
            Self::Bytes(bytes) => write_base64(&mut text, &bytes),
            Self::Double(number) => write_double(&mut text, number),
            other => other.write_json(&mut text),
        }
        Cow::Owned(text)
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::Text(text) => write_quoted(out, text),
            Self::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Self::Int(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Self::Double(number) if number.is_finite() => write_double(out, *number),
            // JSON has no word for these.
            Self::Double(_) => out.push_str("null"),
            Self::Bytes(bytes) => {
                out.push('"');
                write_base64(out, bytes);
                out.push('"');
            }
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(items) => {
                out.push('{');
                for (at, (key, value)) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    write_quoted(out, key);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// As JavaScript writes numbers: very large and very small ones with an exponent.
fn write_double(out: &mut String, number: f64) {
    let size = number.abs();
    let _ = if number.is_nan() {
        write!(out, "NaN")
    } else if number.is_infinite() {
        write!(out, "{}Inf", if number > 0.0 { '+' } else { '-' })
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        write!(out, "{digits}e{sign}{exponent}")
    } else {
        write!(out, "{number}")
    };
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn write_base64(out: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let of = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for digit in 0..4 {
            let known = digit <= group.len();
            out.push(if known { char::from(BASE64[(bits >> (18 - 6 * digit)) as usize & 63]) } else { '=' });
        }
    }
}

/// Bytes of base64 text, standard or URL-safe, padded or not; `None` if it is none.
pub(super) fn read_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for at in 0..4 {
            let digit = match group.get(at) {
                None => 0,
                Some(b'-') => 62,
                Some(b'_') => 63,
                Some(digit) => BASE64.iter().position(|known| known == digit)?,
            };
            bits = bits << 6 | digit as u32;
        }
        if group.len() == 1 {
            return None;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

/// Appends hexadecimal digits.
pub(super) fn write_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_written_as_json_but_for_plain_ones() {
        let check = |value: AnyValue<'_>, want: &str| assert_eq!(value.into_text(), want);
        check(AnyValue::Text("a\"b".into()), "a\"b");
        check(AnyValue::Bool(true), "true");
        check(AnyValue::Int(-5), "-5");
        check(AnyValue::Empty, "");
        check(AnyValue::Bytes(Cow::Borrowed(b"hi!")), "aGkh");
        for (number, want) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (f64::INFINITY, "+Inf"),
            (-0.0, "-0"),
        ] {
            check(AnyValue::Double(number), want);
        }
        let map = BTreeMap::from([
            ("b".to_owned(), AnyValue::List(vec![AnyValue::Int(1), AnyValue::Text("x\n".into())])),
            ("a".to_owned(), AnyValue::Double(f64::NAN)),
            ("c".to_owned(), AnyValue::Bytes(Cow::Borrowed(b"\x00"))),
        ]);
        check(AnyValue::Map(map), r#"{"a":null,"b":[1,"x\n"],"c":"AA=="}"#);
    }

    proptest! {
        #[test]
        fn base64_there_and_back(bytes: Vec<u8>) {
            let mut text = String::new();
            write_base64(&mut text, &bytes);
            prop_assert_eq!(read_base64(&text), Some(bytes));
        }

        #[test]
        fn any_text_is_read_as_base64_or_refused(text in ".*") {
            let _ = read_base64(&text);
        }
    }
}
