//! Strings: padding, quoting, hexadecimal.

use super::Flags;
use crate::text::Text;

pub(super) fn knows(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'q' | 'x' | 'X')
}

pub(super) fn show(out: &mut Text, text: &str, flags: Flags, verb: char) {
    let cut = truncate(text, flags.precision);
    match verb {
        'q' => pad(out, &quoted(cut, flags), flags),
        'x' | 'X' => hex(out, text, flags, verb == 'X'),
        'v' if flags.source => pad(out, &quote(cut), flags),
        _ => pad(out, cut, flags),
    }
}

/// As many characters as the precision says.
fn truncate(text: &str, precision: Option<usize>) -> &str {
    match precision.and_then(|count| text.char_indices().nth(count)) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// Writes `text` as wide as the flags say, counted in characters.
pub(super) fn pad(out: &mut Text, text: &str, flags: Flags) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if flags.minus {
        out.push_str(text);
        out.fill(' ', missing);
    } else {
        out.fill(if flags.zero { '0' } else { ' ' }, missing);
        out.push_str(text);
    }
}

fn quoted(text: &str, flags: Flags) -> String {
    if flags.sharp && can_backquote(text) {
        return format!("`{text}`");
    }
    quote_as(text, '"', flags.plus)
}

/// In backquotes where that is possible, otherwise quoted.
pub(crate) fn backquote(text: &str) -> String {
    if can_backquote(text) { format!("`{text}`") } else { quote(text) }
}

fn can_backquote(text: &str) -> bool {
    !text.chars().any(|c| c == '`' || c == '\u{feff}' || c == '\u{7f}' || (c < ' ' && c != '\t'))
}

/// Go's `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    quote_as(text, '"', false)
}

pub(super) fn quote_as(text: &str, mark: char, only_ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            c if c.is_ascii_graphic() || c == ' ' || (!only_ascii && is_print(c)) => out.push(c),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(mark);
    out
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() || c == ' ';
    }
    // The standard library knows what it would have to escape; behind another character, marks are not among that.
    let mut buf = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut buf[1..]).len();
    std::str::from_utf8(&buf[..length]).is_ok_and(|text| !text.escape_debug().any(|c| c == '\\'))
}

fn hex(out: &mut Text, text: &str, flags: Flags, upper: bool) {
    let bytes = &text.as_bytes()[..flags.precision.map_or(text.len(), |count| count.min(text.len()))];
    if bytes.is_empty() {
        return pad(out, "", flags);
    }
    let mut digits = Text::new(out.room());
    for (at, byte) in bytes.iter().enumerate() {
        if flags.space && at > 0 {
            digits.push(' ');
        }
        if flags.sharp && (at == 0 || flags.space) {
            digits.push_str(if upper { "0X" } else { "0x" });
        }
        digits.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    }
    if digits.is_full() {
        // More than fits: let the outer text say so.
        out.fill(' ', usize::MAX);
    } else {
        pad(out, digits.as_str(), flags);
    }
}
