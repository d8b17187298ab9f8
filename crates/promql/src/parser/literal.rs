//! What numbers and strings in a query mean, with Go's rules, which Prometheus inherits.

/// Reads a number as Go's `strconv` does: an integer with its prefix (`0x1f`, `017`), or else a float.
///
/// # Errors
/// Go's words for what is wrong.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    if let Some(factor) = unit_factor(&text[unit..]) {
        return number(&text[..unit]).map(|value| value * factor);
    }
    if let Some(integer) = integer(text) {
        #[expect(clippy::cast_precision_loss, reason = "PromQL numbers are floats; so does Prometheus")]
        return Ok(integer as f64);
    }
    let error = |what: &str| format!("strconv.ParseFloat: parsing {}: {what}", super::token::quoted(text));
    if !underscores_are_well_placed(text) {
        return Err(error("invalid syntax"));
    }
    match text.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_infinite() && !text.eq_ignore_ascii_case("inf") => {
            Err(error("value out of range"))
        }
        Ok(value) => Ok(value),
        Err(_) => Err(error("invalid syntax")),
    }
}

/// What a number is multiplied with for one of Kymo's units: `Ki` is 1,024, `M` a million. `None` for all other
/// texts. `m` is no unit: it means minutes.
pub(crate) fn unit_factor(unit: &str) -> Option<f64> {
    Some(match unit.strip_suffix('B').unwrap_or(unit) {
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "ki" | "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

fn integer(text: &str) -> Option<i64> {
    if !underscores_are_well_placed(text) {
        return None;
    }
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // A sign is the grammar's matter.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

/// Underscores may stand only between digits, or between a prefix and a digit.
fn underscores_are_well_placed(text: &str) -> bool {
    #[derive(PartialEq)]
    enum Saw {
        Digit,
        Underscore,
        Other,
    }
    if !text.contains('_') {
        return true;
    }
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let (mut saw, rest) = if hex { (Saw::Digit, &text[2..]) } else { (Saw::Other, text) };
    for b in rest.bytes() {
        saw = match b {
            b'0'..=b'9' => Saw::Digit,
            b'a'..=b'f' | b'A'..=b'F' if hex => Saw::Digit,
            b'_' if saw == Saw::Digit => Saw::Underscore,
            b'_' => return false,
            _ if saw == Saw::Underscore => return false,
            _ => Saw::Other,
        };
    }
    saw != Saw::Underscore
}

/// What a string token means. The lexer has checked its escapes.
///
/// Bytes given as `\xff` or `\377` that do not make UTF-8 become U+FFFD: our strings are text.
pub(crate) fn unquote(token: &str) -> String {
    let inner = &token[1..token.len() - 1];
    if token.starts_with('`') || !inner.contains('\\') {
        return inner.to_owned();
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut bytes);
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Appends what the escape sequence at the start of `text` (without its backslash) means; returns what follows.
fn unescape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let mut chars = text.chars();
    let Some(c) = chars.next() else { return "" };
    let (skip, digits, radix) = match c {
        '0'..='7' => (0, 3, 8),
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        c => {
            let plain = match c {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                other => other,
            };
            bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
            return chars.as_str();
        }
    };
    let Some(value) = text.get(skip..skip + digits).and_then(|d| u32::from_str_radix(d, radix).ok()) else {
        return chars.as_str();
    };
    match (c, u8::try_from(value)) {
        ('u' | 'U', _) | (_, Err(_)) => {
            let c = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        (_, Ok(byte)) => bytes.push(byte),
    }
    &text[skip + digits..]
}
