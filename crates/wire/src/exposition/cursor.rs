//! A place in the input, and what both formats read the same way.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr_iter, memchr2};
use model::number::parse_float;
use model::sample::NORMAL_NAN;

/// Where and why an answer breaks the rules of its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What was wrong, with the text in question.
    pub message: String,
}

/// A place in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In text; both counted from 1, columns in characters.
    Text {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// In protobuf.
    Family {
        /// Counted from 1.
        number: usize,
        /// Its name, as far as it is known.
        name: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { line, column } => write!(f, "line {line}, column {column}"),
            Self::Family { number, name } if name.is_empty() => write!(f, "metric family number {number}"),
            Self::Family { number, name } => write!(f, "metric family number {number} ({name})"),
        }
    }
}

/// A fault whose line is not counted yet: counting lines costs, and only errors need them.
#[derive(Debug)]
pub(super) struct Fault {
    /// Offset of the first wrong byte.
    at: usize,
    /// Offset where the entry began.
    entry_start: usize,
    message: Cow<'static, str>,
}

/// At most this much of the offending text is shown.
const SHOWN_MAX: usize = 120;

impl Fault {
    pub(super) fn locate(self, cursor: &Cursor<'_>) -> ParseError {
        let input = cursor.input;
        let at = self.at.min(input.len());
        let line = memchr_iter(b'\n', &input[..at]).count() + 1;
        let line_start = memchr::memrchr(b'\n', &input[..at]).map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&input[line_start..at]).chars().count() + 1;
        let entry_start = self.entry_start.min(at);
        let line_end = memchr(b'\n', &input[at..]).map_or(input.len(), |newline| at + newline);
        let mut shown = String::from_utf8_lossy(&input[entry_start..line_end]).into_owned();
        if shown.len() > SHOWN_MAX {
            shown.truncate(shown.floor_char_boundary(SHOWN_MAX));
            shown.push('…');
        }
        ParseError {
            place: Place::Text { line, column },
            message: format!("{} while parsing {shown:?}", self.message),
        }
    }
}

/// A place in the input. Reading past the end gives a newline, so that a missing last newline needs no care
/// where it is allowed; [`Cursor::is_at_end`] tells the difference.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
    pub(super) entry_start: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, entry_start: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.input.get(self.at).copied().unwrap_or(b'\n')
    }

    /// Consumes `byte` if it is next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.input.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Consumes `text` if it is next.
    pub(super) fn take_text(&mut self, text: &[u8]) -> bool {
        let is_next = self.input[self.at.min(self.input.len())..].starts_with(text);
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.input.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Consumes bytes while `wanted` says yes, and returns them.
    #[inline]
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.input.get(self.at).is_some_and(|byte| wanted(*byte)) {
            self.at += 1;
        }
        &self.input[start..self.at]
    }

    /// Everything up to the end of the line, without the newline, which is not consumed.
    pub(super) fn take_line(&mut self) -> &'a [u8] {
        let rest = &self.input[self.at.min(self.input.len())..];
        let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
        self.at += line.len();
        line
    }

    /// Consumes the newline at the end of a line; the end of the input counts as one.
    pub(super) fn take_newline(&mut self) -> bool {
        self.take(b'\n') || self.is_at_end()
    }

    pub(super) fn fault(&self, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { at: self.at, entry_start: self.entry_start, message: message.into() }
    }

    pub(super) fn fault_at(&self, at: usize, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { at, entry_start: self.entry_start, message: message.into() }
    }

    /// What stands at the cursor, for messages.
    pub(super) fn found(&self) -> String {
        match self.input.get(self.at) {
            None => "the end of the text".to_owned(),
            Some(b'\n') => "the end of the line".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(*byte)),
            Some(b' ') => "a space".to_owned(),
            Some(b'\t') => "a tab".to_owned(),
            Some(_) => {
                let rest = &self.input[self.at..self.input.len().min(self.at + 4)];
                match String::from_utf8_lossy(rest).chars().next() {
                    Some(c) if c != char::REPLACEMENT_CHARACTER => format!("{c:?}"),
                    _ => format!("the byte 0x{:02x}", rest[0]),
                }
            }
        }
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`; empty if something else is next.
    #[inline]
    pub(super) fn take_metric_name(&mut self) -> &'a [u8] {
        if self.peek().is_ascii_digit() {
            return &[];
        }
        self.take_while(|byte| NAME_BYTES[usize::from(byte)] != 0)
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`; empty if something else is next.
    #[inline]
    pub(super) fn take_label_name(&mut self) -> &'a [u8] {
        if self.peek().is_ascii_digit() {
            return &[];
        }
        self.take_while(|byte| NAME_BYTES[usize::from(byte)] == IN_EVERY_NAME)
    }

    /// A string in double quotes, which must be next; returns what is between them, escapes unresolved.
    ///
    /// A backslash protects any character but a newline. `allow` says what else may occur.
    pub(super) fn take_quoted(&mut self, what: &'static str, allow: Allow) -> Result<&'a str, Fault> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            let rest = &self.input[at.min(self.input.len())..];
            let Some(offset) = memchr2(b'"', b'\\', rest) else {
                return Err(self.fault(format!("the closing quote of the {what} is missing")));
            };
            if rest[offset] == b'"' {
                at += offset;
                break;
            }
            if matches!(rest.get(offset + 1), None | Some(b'\n')) {
                return Err(
                    self.fault_at(at + offset, format!("a backslash at the end of a line in the {what}"))
                );
            }
            at += offset + 2;
        }
        let inside = &self.input[start..at];
        if !allow.newline
            && let Some(newline) = memchr(b'\n', inside)
        {
            return Err(
                self.fault_at(start + newline, format!("a line break in the {what}; write it as \\n"))
            );
        }
        if !allow.nul
            && let Some(nul) = memchr(0, inside)
        {
            return Err(self.fault_at(start + nul, format!("a NUL byte in the {what}")));
        }
        let inside = std::str::from_utf8(inside).map_err(|error| {
            self.fault_at(start + error.valid_up_to(), format!("the {what} is not valid UTF-8"))
        })?;
        self.at = at + 1;
        Ok(inside)
    }

    /// A value or timestamp out of `text`, which ends at the cursor.
    pub(super) fn float(&self, text: &[u8], what: &'static str) -> Result<f64, Fault> {
        match parse_float(text) {
            Ok(value) if value.is_nan() => Ok(NORMAL_NAN),
            Ok(value) => Ok(value),
            Err(error) => {
                let shown = String::from_utf8_lossy(&text[..text.len().min(SHOWN_MAX)]);
                let hint = if text.ends_with(b"\r") { "; lines must end with \\n, not \\r\\n" } else { "" };
                Err(self.fault_at(
                    self.at - text.len(),
                    format!("{what} {shown:?} is not a number: {error}{hint}"),
                ))
            }
        }
    }

    /// Bytes of the input as text.
    pub(super) fn utf8(&self, start: usize, end: usize, what: &'static str) -> Result<&'a str, Fault> {
        std::str::from_utf8(&self.input[start..end])
            .map_err(|error| self.fault_at(start + error.valid_up_to(), format!("{what} is not valid UTF-8")))
    }
}

const IN_EVERY_NAME: u8 = 1;
const IN_METRIC_NAMES: u8 = 2;

/// Which bytes names may consist of: one look-up a byte instead of four comparisons.
const NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() || byte == b'_' as usize {
            table[byte] = IN_EVERY_NAME;
        } else if byte == b':' as usize {
            table[byte] = IN_METRIC_NAMES;
        }
        byte += 1;
    }
    table
};

/// What may occur unescaped in a quoted string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allow {
    pub(super) newline: bool,
    pub(super) nul: bool,
}

/// Resolves `\\`, `\n` and `\"`; any other backslash stands for itself.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    unescape_with(text, true)
}

/// As [`unescape`]; Prometheus' help texts do not know `\"`.
pub(super) fn unescape_with(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(&text[..first]);
    let mut chars = text[first..].chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let mut after = chars.clone();
        match after.next() {
            Some('\\') => plain.push('\\'),
            Some('n') => plain.push('\n'),
            Some('"') if quotes => plain.push('"'),
            _ => {
                plain.push('\\');
                continue;
            }
        }
        chars = after;
    }
    Cow::Owned(plain)
}
