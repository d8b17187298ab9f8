//! From matchers to sets of series, over any index: the head's or a block's.

use std::collections::BTreeSet;

use model::{MatchOp, Matcher};
use roaring::RoaringBitmap;
use storage::Error;

/// An index of labels. Series are numbers that mean something to their owner only.
pub(crate) trait LabelIndex {
    /// All series.
    fn all(&self) -> Result<RoaringBitmap, Error>;
    /// Series that have the label.
    fn with_name(&self, name: &str) -> Result<RoaringBitmap, Error>;
    /// Series whose label has this value, which is not empty.
    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, Error>;
    /// Series whose label has a value that begins with `prefix` and for which `wanted` says yes.
    fn union_where(
        &self,
        name: &str,
        prefix: &str,
        wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, Error>;
    /// Adds the names of labels that a series of `among` has; of all series if `None`.
    fn names(&self, among: Option<&RoaringBitmap>, into: &mut BTreeSet<String>) -> Result<(), Error>;
    /// Adds the values of a label that a series of `among` has; of all series if `None`.
    fn values(
        &self,
        name: &str,
        among: Option<&RoaringBitmap>,
        into: &mut BTreeSet<String>,
    ) -> Result<(), Error>;
}

/// The series that meet all matchers.
///
/// A matcher that the empty value meets also selects series without the label, so it takes away those whose value
/// does not meet it; any other picks those whose value does.
pub(crate) fn resolve(index: &dyn LabelIndex, matchers: &[Matcher]) -> Result<RoaringBitmap, Error> {
    let mut found: Option<RoaringBitmap> = None;
    for matcher in matchers.iter().filter(|m| !m.matches_empty()) {
        let picked = pick(index, matcher)?;
        found = Some(match found {
            Some(found) => found & picked,
            None => picked,
        });
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    let mut found = match found {
        Some(found) => found,
        None => index.all()?,
    };
    for matcher in matchers.iter().filter(|m| m.matches_empty()) {
        if found.is_empty() {
            break;
        }
        found -= take_away(index, matcher)?;
    }
    Ok(found)
}

/// The series that meet all matchers of at least one set; all if there is no set (`None`).
pub(crate) fn resolve_any(
    index: &dyn LabelIndex,
    sets: &[Vec<Matcher>],
) -> Result<Option<RoaringBitmap>, Error> {
    if sets.is_empty() {
        return Ok(None);
    }
    let mut found = RoaringBitmap::new();
    for matchers in sets {
        found |= resolve(index, matchers)?;
    }
    Ok(Some(found))
}

fn pick(index: &dyn LabelIndex, matcher: &Matcher) -> Result<RoaringBitmap, Error> {
    match (matcher.op(), matcher.regex_literals()) {
        (MatchOp::Equal, _) => index.equal(matcher.name(), matcher.value()),
        (MatchOp::Regex, Some(literals)) => union_of(index, matcher.name(), literals),
        (MatchOp::Regex, None) if matcher.value() == ".+" => index.with_name(matcher.name()),
        (MatchOp::Regex, None) => {
            index.union_where(matcher.name(), matcher.regex_prefix(), &mut |value| matcher.matches(value))
        }
        (MatchOp::NotEqual, _) if matcher.value().is_empty() => index.with_name(matcher.name()),
        _ => index.union_where(matcher.name(), "", &mut |value| matcher.matches(value)),
    }
}

fn take_away(index: &dyn LabelIndex, matcher: &Matcher) -> Result<RoaringBitmap, Error> {
    match (matcher.op(), matcher.regex_literals()) {
        (MatchOp::Regex, _) if matcher.value() == ".*" => Ok(RoaringBitmap::new()),
        (MatchOp::Equal, _) => index.with_name(matcher.name()),
        (MatchOp::NotRegex, _) if matcher.value() == ".+" => index.with_name(matcher.name()),
        (MatchOp::NotEqual, _) => index.equal(matcher.name(), matcher.value()),
        (MatchOp::NotRegex, Some(literals)) => union_of(index, matcher.name(), literals),
        (MatchOp::NotRegex, None) => {
            index.union_where(matcher.name(), matcher.regex_prefix(), &mut |value| !matcher.matches(value))
        }
        (MatchOp::Regex, _) => index.union_where(matcher.name(), "", &mut |value| !matcher.matches(value)),
    }
}

fn union_of(index: &dyn LabelIndex, name: &str, values: &[String]) -> Result<RoaringBitmap, Error> {
    let mut found = RoaringBitmap::new();
    for value in values.iter().filter(|v| !v.is_empty()) {
        found |= index.equal(name, value)?;
    }
    Ok(found)
}
