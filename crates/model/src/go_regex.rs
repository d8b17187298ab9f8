//! Regular expressions as Go reads them, rewritten for the `regex` crate.
//!
//! Why: the two dialects look alike and differ where it hurts silently. In Go `\d`, `\w`, `\s` and `\b` know ASCII
//! only, `x{` and `[[]` are literal, `&&` within a class is two ampersands, `\<` is a `<`, `a**` and `(?x)` are
//! errors. Rewriting also yields Go's own words for what is wrong, with the part of the expression at fault.
//!
//! Groups are kept one to one, so their numbers and names stay what they were. Known difference: `\B` is Unicode's.
//! Source: Go's `regexp/syntax` documentation, with the flags Prometheus sets (Perl, dot matches newline).

use std::fmt::Write;

use crate::matcher::RegexError;

/// Go's limit of repetitions, of their product when nested too.
const REPEAT_MAX: u32 = 1_000;

/// How deep groups may nest; the `regex` crate would refuse 250.
const DEPTH_MAX: usize = 200;

/// Rewrites an expression.
///
/// # Errors
/// If Go refuses it, in Go's words.
pub(crate) fn translate(pattern: &str) -> Result<String, RegexError> {
    let mut translator = Translator {
        pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 8),
        groups: Vec::new(),
        repeatable: None,
        repeats: 1,
        repetition: None,
        flags_from: None,
        names: Vec::new(),
    };
    translator.run()?;
    Ok(translator.out)
}

/// An open group: what it means to the repetitions around it.
struct Group {
    /// The most repetitions of anything within.
    repeats: u32,
}

struct Translator<'a> {
    pattern: &'a str,
    rest: &'a str,
    out: String,
    groups: Vec<Group>,
    /// The product of repetitions within what a repetition would apply to; `None` if there is nothing to repeat.
    repeatable: Option<u32>,
    /// The most repetitions of anything in the current group so far.
    repeats: u32,
    /// The repetition that was read last, if nothing followed it yet.
    repetition: Option<&'a str>,
    /// Where in `out` the flags begin, if only flags followed what a repetition would apply to: it goes before them.
    flags_from: Option<usize>,
    names: Vec<&'a str>,
}

fn fault<T>(message: &str, part: &str) -> Result<T, RegexError> {
    Err(RegexError { pattern: part.to_owned(), message: message.to_owned() })
}

impl<'a> Translator<'a> {
    fn run(&mut self) -> Result<(), RegexError> {
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let last_repetition = self.repetition.take();
            match c {
                '(' if before.starts_with("(?") => self.perl_group()?,
                '(' => {
                    self.rest = &before[1..];
                    self.open("(")?;
                }
                ')' => self.close()?,
                '|' => {
                    self.skip(1);
                    self.out.push('|');
                    self.set_repeatable(None);
                }
                '*' | '+' | '?' => {
                    self.skip(1);
                    self.repeat(before, last_repetition, None)?;
                }
                '{' => match counted(before) {
                    Some((length, min, max)) => {
                        self.skip(length);
                        self.repeat(before, last_repetition, Some((min, max)))?;
                    }
                    None => self.literal(c),
                },
                '^' | '$' | '.' => {
                    self.skip(1);
                    self.atom(|out| out.push(c));
                }
                '[' => self.class()?,
                '\\' => self.escape()?,
                c => self.literal(c),
            }
        }
        if self.groups.is_empty() { Ok(()) } else { fault("missing closing )", self.pattern) }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Writes something that a repetition may follow.
    fn atom(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.out);
        self.set_repeatable(Some(1));
    }

    fn set_repeatable(&mut self, repeatable: Option<u32>) {
        self.repeatable = repeatable;
        self.flags_from = None;
    }

    fn literal(&mut self, c: char) {
        self.skip(c.len_utf8());
        self.atom(|out| push_literal(out, c));
    }

    fn open(&mut self, opening: &str) -> Result<(), RegexError> {
        if self.groups.len() == DEPTH_MAX {
            return fault("expression nests too deeply", self.pattern);
        }
        self.out.push_str(opening);
        self.groups.push(Group { repeats: std::mem::replace(&mut self.repeats, 1) });
        self.set_repeatable(None);
        Ok(())
    }

    fn close(&mut self) -> Result<(), RegexError> {
        let Some(group) = self.groups.pop() else { return fault("unexpected )", self.pattern) };
        self.skip(1);
        self.out.push(')');
        self.set_repeatable(Some(self.repeats));
        self.repeats = self.repeats.max(group.repeats);
        Ok(())
    }

    /// A repetition whose sign was skipped; `before` begins with it.
    fn repeat(
        &mut self,
        before: &'a str,
        last: Option<&'a str>,
        counts: Option<(u32, Option<u32>)>,
    ) -> Result<(), RegexError> {
        let sign = &before[..before.len() - self.rest.len()];
        if self.rest.starts_with('?') {
            self.skip(1);
        }
        let written = &before[..before.len() - self.rest.len()];
        if let Some((min, max)) = counts
            && (min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min))
        {
            return fault("invalid repeat count", sign);
        }
        let Some(inner) = self.repeatable else {
            return fault("missing argument to repetition operator", written);
        };
        if let Some(last) = last {
            let both = &self.pattern[self.pattern.len() - last.len()..self.pattern.len() - self.rest.len()];
            return fault("invalid nested repetition operator", both);
        }
        let times = counts.map_or(1, |(min, max)| max.unwrap_or(min).max(min).max(1));
        let product = inner.saturating_mul(times);
        if times > 1 && product > REPEAT_MAX {
            return fault("invalid repeat count", sign);
        }
        let at = self.flags_from.take().unwrap_or(self.out.len());
        self.out.insert_str(at, written);
        self.repeatable = Some(product);
        self.repeats = self.repeats.max(product);
        self.repetition = Some(before);
        Ok(())
    }

    /// `(?:…`, `(?i)`, `(?i:…`, `(?P<name>…`.
    fn perl_group(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let name = before.strip_prefix("(?P<").or_else(|| before.strip_prefix("(?<"));
        if let Some(name) = name.filter(|name| !before.starts_with("(?<") || !name.starts_with(['=', '!'])) {
            let Some(end) = name.find('>') else { return fault("invalid named capture", before) };
            let rest = &name[end + 1..];
            let capture = &before[..before.len() - rest.len()];
            let name = &name[..end];
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return fault("invalid named capture", capture);
            }
            if self.names.contains(&name) {
                return fault("duplicate capture group name", name);
            }
            self.names.push(name);
            self.rest = rest;
            // The crate wants names to begin with a letter; Go does not.
            let opening = if name.starts_with(|c: char| c.is_ascii_digit()) {
                "(".to_owned()
            } else {
                format!("(?P<{name}>")
            };
            return self.open(&opening);
        }
        self.flags()
    }

    fn flags(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let (mut negative, mut any_after) = (false, false);
        for (at, c) in before.char_indices().skip(2) {
            match c {
                'i' | 'm' | 's' | 'U' => any_after = true,
                '-' if !negative => (negative, any_after) = (true, false),
                ':' | ')' if !negative || any_after => {
                    let written = &before[..=at];
                    self.rest = &before[at + 1..];
                    if c == ':' {
                        return self.open(written);
                    }
                    // `(?)` means nothing, and the crate does not know it.
                    if written != "(?)" {
                        self.flags_from.get_or_insert(self.out.len());
                        self.out.push_str(written);
                    }
                    return Ok(());
                }
                c => return fault("invalid or unsupported Perl syntax", &before[..at + c.len_utf8()]),
            }
        }
        fault("missing closing )", self.pattern)
    }

    /// A backslash outside of classes.
    fn escape(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let mut chars = before[1..].chars();
        match chars.next() {
            Some('A') => self.escaped_atom(2, r"\A"),
            Some('z') => self.escaped_atom(2, r"\z"),
            Some('b') => self.escaped_atom(2, r"(?-u:\b)"),
            Some('B') => self.escaped_atom(2, r"\B"),
            Some('C') => return fault("invalid escape sequence", r"\C"),
            Some('Q') => {
                let quoted = &before[2..];
                let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                for c in text.chars() {
                    self.atom(|out| push_literal(out, c));
                }
                self.rest = rest;
            }
            Some('p' | 'P') => {
                let (class, rest) = unicode_class(before)?;
                self.rest = rest;
                self.atom(|out| out.push_str(&class));
            }
            Some(c) if perl_class(c).is_some() => {
                let (negated, ranges) = perl_class(c).unwrap_or_default();
                self.skip(2);
                self.atom(|out| push_class(out, negated, ranges));
            }
            _ => {
                let (c, rest) = escaped_char(before)?;
                self.rest = rest;
                self.atom(|out| push_literal(out, c));
            }
        }
        Ok(())
    }

    fn escaped_atom(&mut self, length: usize, written: &str) {
        self.skip(length);
        self.atom(|out| out.push_str(written));
    }

    /// `[…]`.
    fn class(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let mut rest = &before[1..];
        self.out.push('[');
        if let Some(after) = rest.strip_prefix('^') {
            rest = after;
            self.out.push('^');
        }
        let mut first = true;
        while first || !rest.starts_with(']') {
            first = false;
            rest = self.class_item(before, rest)?;
        }
        self.out.push(']');
        self.rest = &rest[1..];
        self.set_repeatable(Some(1));
        Ok(())
    }

    /// One item of the class that begins with `whole`; returns what follows it.
    fn class_item(&mut self, whole: &'a str, item: &'a str) -> Result<&'a str, RegexError> {
        if let Some(named) = item.strip_prefix("[:")
            && let Some(end) = named.find(":]")
        {
            let rest = &named[end + 2..];
            let written = &item[..item.len() - rest.len()];
            let name = named[..end].strip_prefix('^').unwrap_or(&named[..end]);
            if !POSIX_CLASSES.contains(&name) {
                return fault("invalid character class range", written);
            }
            self.out.push_str(written);
            return Ok(rest);
        }
        let escaped = item.strip_prefix('\\').and_then(|after| after.chars().next());
        if let Some('p' | 'P') = escaped {
            let (class, rest) = unicode_class(item)?;
            self.out.push_str(&class);
            return Ok(rest);
        }
        if let Some((negated, ranges)) = escaped.and_then(perl_class) {
            push_class(&mut self.out, negated, ranges);
            return Ok(&item[2..]);
        }
        let (low, mut rest) = class_char(whole, item)?;
        let mut high = low;
        if rest.starts_with('-') && rest.len() >= 2 && !rest.starts_with("-]") {
            (high, rest) = class_char(whole, &rest[1..])?;
            if high < low {
                return fault("invalid character class range", &item[..item.len() - rest.len()]);
            }
        }
        push_class_char(&mut self.out, low);
        if high != low {
            self.out.push('-');
            push_class_char(&mut self.out, high);
        }
        Ok(rest)
    }
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// `{n}`, `{n,}`, `{n,m}` at the start of `text`: its length and counts. `None` if it is none, and so literal.
fn counted(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let end = text.find('}')?;
    let inner = &text[1..end];
    let (min, max) = match inner.split_once(',') {
        None => (count(inner)?, Some(count(inner)?)),
        Some((min, "")) => (count(min)?, None),
        Some((min, max)) => (count(min)?, Some(count(max)?)),
    };
    Some((end + 1, min, max))
}

/// A decimal number without leading zeros; a very large one becomes one that is refused later.
fn count(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    (plain && !text.is_empty()).then(|| text.parse().unwrap_or(u32::MAX))
}

/// `\d`, `\s`, `\w` and their opposites: whether negated, and the ranges. ASCII only.
fn perl_class(c: char) -> Option<(bool, &'static str)> {
    Some(match c {
        'd' => (false, "0-9"),
        'D' => (true, "0-9"),
        's' => (false, r"\t\n\x0c\r\x20"),
        'S' => (true, r"\t\n\x0c\r\x20"),
        'w' => (false, "0-9A-Za-z_"),
        'W' => (true, "0-9A-Za-z_"),
        _ => return None,
    })
}

fn push_class(out: &mut String, negated: bool, ranges: &str) {
    out.push_str(if negated { "[^" } else { "[" });
    out.push_str(ranges);
    out.push(']');
}

/// `\pN`, `\p{Greek}`, `\P{^Greek}` at the start of `text`, rewritten, and what follows.
fn unicode_class(text: &str) -> Result<(String, &str), RegexError> {
    let mut negated = text[1..].starts_with('P');
    let after = &text[2..];
    let (name, rest) = match after.strip_prefix('{') {
        Some(braced) => match braced.find('}') {
            Some(end) => (&braced[..end], &braced[end + 1..]),
            None => return fault("invalid character class range", text),
        },
        None => match after.chars().next() {
            Some(c) => after.split_at(c.len_utf8()),
            None => return fault("invalid character class range", text),
        },
    };
    let bare = match name.strip_prefix('^') {
        Some(bare) => {
            negated = !negated;
            bare
        }
        None => name,
    };
    let class = format!("\\{}{{{bare}}}", if negated { 'P' } else { 'p' });
    let known = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && regex_syntax::ParserBuilder::new().build().parse(&class).is_ok();
    if !known {
        return fault("invalid character class range", &text[..text.len() - rest.len()]);
    }
    Ok((class, rest))
}

/// One character of the class that begins with `whole`, and what follows it.
fn class_char<'a>(whole: &'a str, text: &'a str) -> Result<(char, &'a str), RegexError> {
    match text.chars().next() {
        None => fault("missing closing ]", whole),
        Some('\\') => escaped_char(text),
        Some(c) => Ok((c, &text[c.len_utf8()..])),
    }
}

/// The character that an escape sequence means, and what follows it.
fn escaped_char(text: &str) -> Result<(char, &str), RegexError> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else { return fault("trailing backslash at end of expression", "") };
    let after = chars.as_str();
    let invalid = |rest: &str| fault("invalid escape sequence", &text[..text.len() - rest.len()]);
    let plain = match c {
        'a' => '\u{7}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        // A single digit other than 0 would be a reference back, which there are none of.
        '1'..='7' if !after.starts_with(|c: char| ('0'..='7').contains(&c)) => return invalid(after),
        '0'..='7' => {
            let digits = text[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            let value = u32::from_str_radix(&text[1..=digits], 8).unwrap_or_default();
            return Ok((char::from_u32(value).unwrap_or_default(), &text[1 + digits..]));
        }
        'x' => return hexadecimal(text),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        _ => return invalid(after),
    };
    Ok((plain, after))
}

/// `\x41`, `\x{10FFFF}` at the start of `text`.
fn hexadecimal(text: &str) -> Result<(char, &str), RegexError> {
    let after = &text[2..];
    let (digits, rest) = match after.strip_prefix('{') {
        Some(braced) => match braced.find('}') {
            Some(end) => (&braced[..end], &braced[end + 1..]),
            None => return fault("invalid escape sequence", text),
        },
        None => match after
            .char_indices()
            .nth(2)
            .map(|(at, _)| at)
            .or((after.chars().count() == 2).then_some(after.len()))
        {
            Some(two) => after.split_at(two),
            None => return fault("invalid escape sequence", text),
        },
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match u32::from_str_radix(digits, 16).ok().filter(|_| plain).and_then(char::from_u32) {
        Some(c) => Ok((c, rest)),
        None => fault("invalid escape sequence", &text[..text.len() - rest.len()]),
    }
}

/// A character that stands for itself.
fn push_literal(out: &mut String, c: char) {
    if regex_syntax::is_meta_character(c) {
        out.push('\\');
    }
    out.push(c);
}

/// A character within a class; written as a number wherever it might mean something.
fn push_class_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        write!(out, "\\x{:02x}", u32::from(c)).expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests;
