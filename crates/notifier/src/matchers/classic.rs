//! The older syntax: names of letters, digits and `_`; a value may stand without quotes and hold almost anything.

use model::{MatchOp, Matcher};

use super::MatcherError;

/// Reads matchers separated by commas, with or without braces around them.
pub(crate) fn parse(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    split(text).into_iter().map(parse_one).collect()
}

/// At commas outside quotes. What is empty at the end is no matcher.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

/// Reads one matcher.
pub(crate) fn parse_one(text: &str) -> Result<Matcher, MatcherError> {
    let bad = || MatcherError(format!("bad matcher format: {text}"));
    let rest = text.trim_start_matches(is_space);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let rest = rest.trim_start_matches(is_space);
    const OPERATORS: [(&str, MatchOp); 4] =
        [("=~", MatchOp::Regex), ("=", MatchOp::Equal), ("!=", MatchOp::NotEqual), ("!~", MatchOp::NotRegex)];
    let found = OPERATORS.iter().find_map(|(sign, op)| Some((*op, rest.strip_prefix(sign)?)));
    let (op, value) = found.ok_or_else(bad)?;
    let value = unescape(value.trim_matches(is_space))?;
    Ok(Matcher::new(op, name, &value)?)
}

/// What `\s` is in Go's expressions.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn unescape(raw: &str) -> Result<String, MatcherError> {
    let stray = || MatcherError(format!("matcher value contains unescaped double quote: {raw}"));
    let (text, mut wants_quote) = match raw.strip_prefix('"') {
        Some(rest) => (rest, true),
        None => (raw, false),
    };
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                None => value.push('\\'),
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
            },
            '"' if wants_quote && chars.as_str().is_empty() => wants_quote = false,
            '"' => return Err(stray()),
            c => value.push(c),
        }
    }
    if wants_quote { Err(stray()) } else { Ok(value) }
}
