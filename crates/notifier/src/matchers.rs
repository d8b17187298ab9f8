//! Conditions on alerts as people write them in configurations, silences and queries: `severity=~"warn|crit"`.
//!
//! Two syntaxes, as Alertmanager has them: [`utf8`] knows any label name, quoted where needed; [`classic`] is the older one,
//! more lenient about values. [`parse`] takes what either takes, the older meaning where they differ, so that no
//! existing file changes its meaning.

use std::fmt::Write as _;

use model::labels::write_quoted;
use model::matcher::RegexError;
use model::{MatchOp, Matcher};

pub(crate) mod classic;
pub(crate) mod utf8;

/// Text that is no list of matchers, in Alertmanager's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MatcherError(pub(crate) String);

impl From<RegexError> for MatcherError {
    fn from(error: RegexError) -> Self {
        Self(error.to_string())
    }
}

/// Reads `a=b`, `{a="b",c!~"d"}`, `{}`.
///
/// # Errors
/// If neither syntax takes it.
pub fn parse(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    prefer_classic(utf8::parse(text), classic::parse(text))
}

/// Reads exactly one matcher.
///
/// # Errors
/// If neither syntax takes it, or there are none or several.
pub fn parse_one(text: &str) -> Result<Matcher, MatcherError> {
    let one = utf8::parse(text).and_then(|matchers| match <[Matcher; 1]>::try_from(matchers) {
        Ok([matcher]) => Ok(matcher),
        Err(none) if none.is_empty() => Err(MatcherError("no matchers".to_owned())),
        Err(many) => Err(MatcherError(format!("expected 1 matcher, found {}", many.len()))),
    });
    prefer_classic(one, classic::parse_one(text))
}

fn prefer_classic<T>(
    utf8: Result<T, MatcherError>,
    classic: Result<T, MatcherError>,
) -> Result<T, MatcherError> {
    match (utf8, classic) {
        (_, Ok(classic)) => Ok(classic),
        (Ok(utf8), Err(_)) => Ok(utf8),
        (Err(_), Err(classic)) => Err(classic),
    }
}

/// A matcher as Alertmanager prints it: `name="value"`, the name quoted if it needs to be.
pub fn write_matcher(out: &mut String, matcher: &Matcher) {
    let quote_name = matcher.name().is_empty() || matcher.name().chars().any(utf8::is_reserved);
    if quote_name {
        write_quoted(out, matcher.name()).expect("a String takes everything");
    } else {
        out.push_str(matcher.name());
    }
    out.push_str(matcher.op().as_str());
    write_quoted(out, matcher.value()).expect("a String takes everything");
}

/// `{a="b",c!="d"}`.
pub fn format(matchers: &[Matcher]) -> String {
    let mut out = String::from("{");
    for (i, matcher) in matchers.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_matcher(&mut out, matcher);
    }
    out.push('}');
    out
}

/// By name, value and operator, as Alertmanager sorts what a file says.
pub(crate) fn sort(matchers: &mut [Matcher]) {
    let rank = |op: MatchOp| match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    };
    matchers.sort_by(|a, b| {
        a.name().cmp(b.name()).then_with(|| a.value().cmp(b.value())).then(rank(a.op()).cmp(&rank(b.op())))
    });
}

/// Labels as Alertmanager prints them in a group's key: `{a="b", c="d"}`.
pub(crate) fn format_labels(labels: &model::Labels) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(out, "{comma}{name}=").expect("a String takes everything");
        write_quoted(&mut out, value).expect("a String takes everything");
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests;
