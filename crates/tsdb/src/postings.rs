//! From matchers to sets of series, and to names and values of labels, over any index: the head's or a block's.
//!
//! An index is sorted label names, for each its sorted values, and for each of those its postings: the series that
//! have it. What is asked of these is answered here, once for all indexes.

use std::collections::BTreeSet;

use chunk::Corrupt;
use model::{MatchOp, Matcher};
use roaring::RoaringBitmap;
use storage::Error;

/// An index of labels. Series are numbers that mean something to their owner only.
pub(crate) trait LabelIndex {
    /// All series.
    fn all(&self) -> Result<RoaringBitmap, Error>;
    /// How many series there are.
    fn series_count(&self) -> u64;
    /// Series that have the label.
    fn with_name(&self, name: &str) -> Result<RoaringBitmap, Error>;
    /// How many values the label has.
    fn value_count(&self, name: &str) -> Result<usize, Error>;
    /// Calls `visit` with each value of a label, in order, from the first that is not less than `from`; until it says `false`.
    fn visit_values(&self, name: &str, from: &str, visit: VisitValue<'_>) -> Result<(), Error>;
    /// Calls `visit` with each label name, in order, until it says `false`.
    fn each_name(&self, visit: &mut dyn FnMut(&str) -> Result<bool, Error>) -> Result<(), Error>;

    /// Series whose label has this value, which is not empty.
    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, Error> {
        let mut found = Union::default();
        self.visit_values(name, value, &mut |candidate, postings| {
            if candidate == value {
                postings.add_to(&mut found)?;
            }
            Ok(false)
        })?;
        Ok(found.finish())
    }

    /// Whether a series of `among` has the label.
    fn name_meets(&self, name: &str, among: &RoaringBitmap) -> Result<bool, Error> {
        let mut found = false;
        self.visit_values(name, "", &mut |_, postings| {
            found = postings.meets(among)?;
            Ok(!found)
        })?;
        Ok(found)
    }
}

/// Is given a value and its postings, and says whether to go on.
pub(crate) type VisitValue<'a> = &'a mut dyn FnMut(&str, &dyn Postings) -> Result<bool, Corrupt>;

/// The series that have one value of a label.
pub(crate) trait Postings {
    /// Adds them to a union.
    fn add_to(&self, union: &mut Union) -> Result<(), Corrupt>;
    /// Whether one of them is in `among`.
    fn meets(&self, among: &RoaringBitmap) -> Result<bool, Corrupt>;
}

/// Series whose label has a value that begins with `prefix` and for which `wanted` says yes.
fn union_where(
    index: &dyn LabelIndex,
    name: &str,
    prefix: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<RoaringBitmap, Error> {
    let mut found = Union::default();
    index.visit_values(name, prefix, &mut |value, postings| {
        if !value.starts_with(prefix) {
            return Ok(false);
        }
        if wanted(value) {
            postings.add_to(&mut found)?;
        }
        Ok(true)
    })?;
    Ok(found.finish())
}

/// Adds the names of labels that a series of `among` has; of all series if `None`. The first `max` in order are
/// enough.
pub(crate) fn names(
    index: &dyn LabelIndex,
    among: Option<&RoaringBitmap>,
    max: usize,
    into: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let mut left = max;
    index.each_name(&mut |name| {
        if left == 0 {
            return Ok(false);
        }
        let is_known = into.contains(name);
        if is_known || among.map_or(Ok(true), |among| index.name_meets(name, among))? {
            left -= 1;
            if !is_known {
                into.insert(name.to_owned());
            }
        }
        Ok(true)
    })
}

/// Adds the values of a label that a series of `among` has; of all series if `None`. The first `max` in order
/// are enough.
pub(crate) fn values(
    index: &dyn LabelIndex,
    name: &str,
    among: Option<&RoaringBitmap>,
    max: usize,
    into: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let mut left = max;
    index.visit_values(name, "", &mut |value, postings| {
        if left == 0 {
            return Ok(false);
        }
        let is_known = into.contains(value);
        if is_known || among.map_or(Ok(true), |among| postings.meets(among))? {
            left -= 1;
            if !is_known {
                into.insert(value.to_owned());
            }
        }
        Ok(true)
    })
}

/// What was found of a selector.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Series that meet all matchers but `unchecked`.
    pub(crate) series: RoaringBitmap,
    /// Matchers for which it is cheaper to look at the labels of each of `series` than at each value in the index.
    pub(crate) unchecked: Vec<&'a Matcher>,
}

/// The series that meet all matchers.
pub(crate) fn resolve(index: &dyn LabelIndex, matchers: &[Matcher]) -> Result<RoaringBitmap, Error> {
    find(index, matchers, |_, _| Ok(false)).map(|found| found.series)
}

/// As [`resolve`], for a caller that looks at the labels of what is found anyway.
pub(crate) fn resolve_mostly<'a>(
    index: &dyn LabelIndex,
    matchers: &'a [Matcher],
) -> Result<Found<'a>, Error> {
    // Looking a value up in a series' labels costs more than having it given.
    const LOOKUP_COST: u64 = 4;
    // So many series are added to a union in the time of one value that is looked at.
    const ADDED_PER_VALUE: u64 = 8;
    // Of so few, even when the label has few values: those may have many series each.
    const FEW: u64 = 1_000;
    find(index, matchers, |matcher, found| {
        if found.len() <= FEW {
            return Ok(true);
        }
        let index_cost = index.value_count(matcher.name())? as u64 + index.series_count() / ADDED_PER_VALUE;
        Ok(found.len() * LOOKUP_COST < index_cost)
    })
}

/// A matcher that the empty value meets also selects series without the label, so it takes away those whose value
/// does not meet it; any other picks those whose value does. What costs little comes first. `leave` says for one
/// that would look at many values, and what was found so far, whether it is left to the caller.
fn find<'a>(
    index: &dyn LabelIndex,
    matchers: &'a [Matcher],
    leave: impl Fn(&Matcher, &RoaringBitmap) -> Result<bool, Error>,
) -> Result<Found<'a>, Error> {
    let mut unchecked = Vec::new();
    let mut found: Option<RoaringBitmap> = None;
    let mut in_order: Vec<&Matcher> = matchers.iter().collect();
    in_order.sort_by_key(|m| (looks_at_many(m), m.matches_empty()));
    for matcher in in_order {
        if let Some(found) = &found {
            if found.is_empty() {
                break;
            }
            if looks_at_many(matcher) && leave(matcher, found)? {
                unchecked.push(matcher);
                continue;
            }
        }
        found = Some(match found {
            None if matcher.matches_empty() => index.all()? - take_away(index, matcher)?,
            Some(found) if matcher.matches_empty() => found - take_away(index, matcher)?,
            None => pick(index, matcher)?,
            Some(found) => found & pick(index, matcher)?,
        });
    }
    let series = match found {
        Some(found) => found,
        None => index.all()?,
    };
    Ok(Found { series, unchecked })
}

/// Whether a matcher has to be tried on all values, or on all that begin with something.
fn looks_at_many(matcher: &Matcher) -> bool {
    match matcher.op() {
        MatchOp::Equal => false,
        MatchOp::NotEqual => !matcher.matches_empty() && !matcher.value().is_empty(),
        MatchOp::Regex | MatchOp::NotRegex => {
            matcher.regex_literals().is_none() && !matches!(matcher.value(), ".*" | ".+")
        }
    }
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
        (MatchOp::Regex, None) => union_matching(index, matcher),
        (MatchOp::NotEqual, _) if matcher.value().is_empty() => index.with_name(matcher.name()),
        _ => union_where(index, matcher.name(), "", |value| matcher.matches(value)),
    }
}

fn take_away(index: &dyn LabelIndex, matcher: &Matcher) -> Result<RoaringBitmap, Error> {
    match (matcher.op(), matcher.regex_literals()) {
        (MatchOp::Regex, _) if matcher.value() == ".*" => Ok(RoaringBitmap::new()),
        (MatchOp::Equal, _) => index.with_name(matcher.name()),
        (MatchOp::NotRegex, _) if matcher.value() == ".+" => index.with_name(matcher.name()),
        (MatchOp::NotEqual, _) => index.equal(matcher.name(), matcher.value()),
        (MatchOp::NotRegex, Some(literals)) => union_of(index, matcher.name(), literals),
        (MatchOp::NotRegex, None) => union_matching(index, matcher),
        (MatchOp::Regex, _) => union_where(index, matcher.name(), "", |value| !matcher.matches(value)),
    }
}

fn union_of(index: &dyn LabelIndex, name: &str, values: &[String]) -> Result<RoaringBitmap, Error> {
    let mut found = RoaringBitmap::new();
    for value in values.iter().filter(|v| !v.is_empty()) {
        found |= index.equal(name, value)?;
    }
    Ok(found)
}

/// Series whose value the matcher's expression matches.
fn union_matching(index: &dyn LabelIndex, matcher: &Matcher) -> Result<RoaringBitmap, Error> {
    let (name, prefix) = (matcher.name(), matcher.regex_prefix());
    if matcher.regex_is_prefix() {
        return union_where(index, name, prefix, |_| true);
    }
    let negated = matcher.op() == MatchOp::NotRegex;
    union_where(index, name, prefix, |value| matcher.matches(value) != negated)
}

/// Collects the series of many values, most of which have few.
///
/// Adding one by one to a compressed set costs a search each; so they are set as plain bits, and compressed in the end.
#[derive(Debug, Default)]
pub(crate) struct Union {
    few: Vec<u32>,
    words: Vec<u64>,
    many: RoaringBitmap,
}

impl Union {
    /// Up to so many, sorting is cheaper than bits for all numbers below the greatest.
    const FEW_MAX: usize = 4096;

    #[inline]
    pub(crate) fn add(&mut self, series: u32) {
        if self.words.is_empty() {
            if self.few.len() < Self::FEW_MAX {
                self.few.push(series);
                return;
            }
            self.spread();
        }
        self.set(series);
    }

    /// Adds a set.
    pub(crate) fn add_all(&mut self, series: &RoaringBitmap) {
        self.many |= series;
    }

    #[inline]
    fn set(&mut self, series: u32) {
        let at = series as usize / 64;
        if at >= self.words.len() {
            self.words.resize((at + 1).next_power_of_two(), 0);
        }
        self.words[at] |= 1 << (series % 64);
    }

    #[cold]
    fn spread(&mut self) {
        for series in std::mem::take(&mut self.few) {
            self.set(series);
        }
    }

    pub(crate) fn finish(mut self) -> RoaringBitmap {
        if !self.words.is_empty() {
            let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
            return self.many | RoaringBitmap::from_lsb0_bytes(0, &bytes);
        }
        self.few.sort_unstable();
        self.few.dedup();
        match RoaringBitmap::from_sorted_iter(self.few.iter().copied()) {
            Ok(few) if self.many.is_empty() => few,
            Ok(few) => self.many | few,
            Err(_) => self.many | self.few.into_iter().collect::<RoaringBitmap>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_union_has_what_was_added(
            few in proptest::collection::vec(0u32..300_000, 0..20), from in 0u32..200_000, many in 0u32..6_000, step in 1u32..9,
        ) {
            let mut union = Union::default();
            few.iter().for_each(|series| union.add(*series));
            (0..many).for_each(|at| union.add(from + at * step));
            let set: RoaringBitmap = few.iter().map(|series| series + 1).collect();
            union.add_all(&set);
            let want: RoaringBitmap =
                few.iter().copied().chain(set.iter()).chain((0..many).map(|at| from + at * step)).collect();
            // Not `==`: to that, the same 4096 numbers as bits and as a list are two sets.
            prop_assert!(union.finish().iter().eq(want.iter()));
        }
    }
}
