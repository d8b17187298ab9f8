//! Functions on text that both libraries share: case, regular expressions.

use crate::library::{Room, TOO_LARGE};
use crate::value::Value;

/// Whether a regular expression matches anywhere.
pub(crate) fn matches(pattern: &str, text: &str) -> Result<Value, String> {
    let regex = model::matcher::compile_unanchored(pattern).map_err(|error| parse_fault(&error))?;
    Ok(Value::Bool(regex.is_match(text)))
}

fn parse_fault(error: &model::matcher::RegexError) -> String {
    format!("error parsing regexp: {}: `{}`", error.message, error.pattern)
}

/// Replaces all matches; `$1` and `${name}` stand for groups.
pub(crate) fn replace_all(pattern: &str, replacement: &str, text: &str, room: Room) -> Result<Value, String> {
    let regex = model::matcher::compile_unanchored(pattern).map_err(|error| {
        format!("regexp: Compile({}): {}", crate::format::backquote(pattern), parse_fault(&error))
    })?;
    let replacement = model::relabel::Expansion::new(replacement, &regex);
    let mut out = room.text();
    let mut end = 0;
    for captures in regex.captures_iter(text) {
        let whole = captures.get_match();
        out.push_str(&text[end..whole.start()]);
        replacement.expand_into(&captures, &mut |part| out.push_str(part));
        end = whole.end();
        if out.is_full() {
            return Err(TOO_LARGE.to_owned());
        }
    }
    out.push_str(&text[end..]);
    out.into_value()
}

/// Makes the first letter of each word a capital; the others small, or what they were.
///
/// A word is a run of letters, digits and underscores; a point, colon or apostrophe between two letters, and a point,
/// comma or apostrophe between two digits, does not end it (as Unicode finds words).
pub(crate) fn title(text: &str, keeps_rest: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut seen_cased = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or(' ');
        let joins = match c {
            '.' | '\'' | '\u{2019}' | '\u{2018}' => {
                (before.is_alphabetic() && after.is_alphabetic())
                    || (before.is_numeric() && after.is_numeric())
            }
            ':' | '\u{b7}' => before.is_alphabetic() && after.is_alphabetic(),
            ',' | ';' => before.is_numeric() && after.is_numeric(),
            c => c.is_alphanumeric() || c == '_' || is_mark(c),
        };
        if !joins {
            seen_cased = false;
        }
        let cased = c.is_uppercase() || c.is_lowercase();
        match (cased, seen_cased) {
            (true, false) => out.extend(c.to_uppercase()),
            (true, true) if !keeps_rest => out.extend(c.to_lowercase()),
            _ => out.push(c),
        }
        seen_cased |= cased;
        before = c;
    }
    out
}

/// Marks that combine with the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}' | '\u{200d}')
}
