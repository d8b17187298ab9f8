//! Go's literals: numbers, characters and quoted strings.

/// A number as it was written, and what it can be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    pub(crate) text: String,
    /// Its value as an integer, if it is one (`1e3` is, too).
    pub(crate) int: Option<i64>,
    /// It is an integer, but only of Go's `uint64`.
    pub(crate) overflows: bool,
    pub(crate) float: Option<f64>,
}

impl Number {
    /// Whether the text alone, with no type asked for, makes it a float.
    pub(crate) fn is_float(&self) -> bool {
        let lower = self.text.to_ascii_lowercase();
        let hex = lower.trim_start_matches(['+', '-']).starts_with("0x");
        // In hexadecimal an `e` is a digit.
        self.float.is_some()
            && !self.text.starts_with('\'')
            && if hex { lower.contains('p') } else { lower.contains(['.', 'e', 'p']) }
    }
}

/// Reads a number.
///
/// # Errors
/// Go's words for what is wrong with it.
pub(crate) fn number(text: &str) -> Result<Number, String> {
    if text.ends_with('i') {
        return Err(format!("complex numbers are not supported: {text}"));
    }
    let int = parse_int(text);
    let whole = int.map(i128::from).or_else(|| parse_uint(text));
    if let Some(whole) = whole {
        let float = Some(whole as f64);
        return Ok(Number { text: text.to_owned(), int, overflows: int.is_none(), float });
    }
    let Some(float) = parse_float(text) else { return Err(format!("illegal number syntax: {text:?}")) };
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("integer overflow: {text:?}"));
    }
    let int = (float.fract() == 0.0 && (-9.2e18..9.2e18).contains(&float)).then_some(float as i64);
    Ok(Number { text: text.to_owned(), int, overflows: false, float: Some(float) })
}

/// Reads a character constant: its code point, as an integer.
///
/// # Errors
/// Go's words.
pub(crate) fn character(text: &str) -> Result<Number, String> {
    let malformed = || format!("malformed character constant: {text}");
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).ok_or_else(malformed)?;
    let (code, rest) = unescape(inner, '\'').ok_or_else(malformed)?;
    if !rest.is_empty() || inner.is_empty() {
        return Err(malformed());
    }
    Ok(Number { text: text.to_owned(), int: Some(code.into()), overflows: false, float: Some(code.into()) })
}

/// What a quoted or raw string means. `None` if it is none.
pub(crate) fn unquote(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`') {
        // Go drops carriage returns from raw strings.
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?;
    // Escapes name bytes (`\xff`), so the whole is UTF-8 only at the end.
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let is_byte = rest.starts_with("\\x") || rest.as_bytes().get(..2).is_some_and(octal_escape);
        let (code, after) = unescape(rest, '"')?;
        if is_byte {
            bytes.push(u8::try_from(code).ok()?);
        } else {
            bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = after;
    }
    Some(
        String::from_utf8(bytes)
            .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()),
    )
}

fn octal_escape(at: &[u8]) -> bool {
    at[0] == b'\\' && (b'0'..=b'7').contains(&at[1])
}

/// The first character, an escape or itself, and what follows it.
fn unescape(text: &str, quote: char) -> Option<(u32, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first == quote || first == '\n' {
        return None;
    }
    if first != '\\' {
        return Some((first.into(), chars.as_str()));
    }
    let kind = chars.next()?;
    let rest = chars.as_str();
    let digits = |count: usize, radix: u32, rest: &'_ str| {
        let digits = rest.get(..count)?;
        digits.chars().all(|c| c.is_digit(radix)).then_some(())?;
        u32::from_str_radix(digits, radix).ok()
    };
    let (code, used) = match kind {
        'a' => (7, 0),
        'b' => (8, 0),
        'f' => (12, 0),
        'n' => (10, 0),
        'r' => (13, 0),
        't' => (9, 0),
        'v' => (11, 0),
        '\\' => (92, 0),
        'x' => (digits(2, 16, rest)?, 2),
        'u' => (u32::from(char::from_u32(digits(4, 16, rest)?)?), 4),
        'U' => (u32::from(char::from_u32(digits(8, 16, rest)?)?), 8),
        '0'..='7' => (digits(3, 8, &text[1..]).filter(|code| *code < 256)?, 2),
        c if c == quote => (c.into(), 0),
        _ => return None,
    };
    Some((code, &rest[used..]))
}

/// Go's `ParseInt` with base 0: prefixes, underscores between digits, a leading 0 for octal.
fn parse_int(text: &str) -> Option<i64> {
    let magnitude = parse_magnitude(text)?;
    let signed = if text.starts_with('-') { -i128::from(magnitude) } else { i128::from(magnitude) };
    i64::try_from(signed).ok()
}

fn parse_uint(text: &str) -> Option<i128> {
    if text.starts_with(['+', '-']) { None } else { parse_magnitude(text).map(i128::from) }
}

fn parse_magnitude(text: &str) -> Option<u64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !underscores_are_right(&lower) {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()
}

/// An underscore stands between digits, or behind a prefix.
fn underscores_are_right(text: &str) -> bool {
    let bytes = text.as_bytes();
    let prefixed = bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'o' | b'b');
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').all(|(at, _)| {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        let before = at > 0 && (digit(bytes.get(at - 1)) || (prefixed && at == 2));
        before && digit(bytes.get(at + 1))
    })
}

fn parse_float(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    // Only hexadecimal floats may have underscores behind a prefix; both may have them between digits.
    if unsigned.contains('_') && (!unsigned.starts_with("0x") || !underscores_are_right(unsigned)) {
        return None;
    }
    if unsigned.starts_with("0x") && !unsigned.contains('p') {
        return None;
    }
    // A number begins with a digit or a point: `inf` and `nan` are none.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.').then_some(())?;
    let digits = lower.replace('_', "");
    let value = match unsigned.strip_prefix("0x") {
        Some(_) => parse_hex_float(&digits)?,
        None => model::number::parse_float(digits.as_bytes()).ok()?,
    };
    value.is_finite().then_some(value)
}

/// `0x1.8p-3`: exact as long as the digits are those of a float.
fn parse_hex_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).strip_prefix("0x")?;
    let (mantissa, exponent) = unsigned.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() < 10_000)?;
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let scaled = value * 2f64.powi(exponent - places);
    Some(if text.starts_with('-') { -scaled } else { scaled })
}
