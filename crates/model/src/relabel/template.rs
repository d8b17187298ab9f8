//! Templates as Go's `Regexp.Expand` reads them: `$1`, `$name`, `${1}`, `${name}`, `$$`.
//!
//! A name is the longest run of letters, digits and underscores; one that no group has yields nothing. A dollar
//! sign that begins neither is itself. Compiled once, because rules run for every new series.

use regex::{Captures, Regex};

/// A replacement for matches of one expression.
#[derive(Debug, Clone)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Group(usize),
}

impl Template {
    /// Reads a template for the groups of `regex`. Every text is one.
    pub fn new(text: &str, regex: &Regex) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
            } else if let Some((name, after)) = take_name(after) {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.extend(group(name, regex).map(Part::Group));
                rest = after;
            } else {
                literal.push('$');
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Self(parts)
    }

    /// The replacement of one match.
    pub fn expand(&self, captures: &Captures<'_>) -> String {
        let mut out = String::new();
        self.expand_into(captures, &mut |part| out.push_str(part));
        out
    }

    /// The same, part by part, for whoever must not let it grow.
    pub fn expand_into(&self, captures: &Captures<'_>, push: &mut dyn FnMut(&str)) {
        for part in &self.0 {
            push(match part {
                Part::Literal(text) => text,
                Part::Group(group) => captures.get(*group).map_or("", |found| found.as_str()),
            });
        }
    }
}

/// `name…` or `{name}…` behind a dollar sign: the name and what follows.
fn take_name(text: &str) -> Option<(&str, &str)> {
    let (name, after) = match text.strip_prefix('{') {
        Some(braced) => {
            let (name, after) = split_word(braced);
            (name, after.strip_prefix('}')?)
        }
        None => split_word(text),
    };
    (!name.is_empty()).then_some((name, after))
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

fn group(name: &str, regex: &Regex) -> Option<usize> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    match name.parse::<usize>() {
        Ok(number) if is_number => Some(number).filter(|number| *number < regex.captures_len()),
        _ => regex.capture_names().position(|candidate| candidate == Some(name)),
    }
}
