//! `label_replace` and `label_join`: new labels for the same samples.

use model::{LabelsBuilder, METRIC_NAME};

use crate::engine::kept::regexes_worth_keeping;
use crate::error::QueryError;
use crate::eval::column::Series;
use crate::eval::grid::Grid;
use crate::eval::merge::merge_same_labels;
use crate::eval::{Evaluator, Sink};
use crate::plan::{Call, text_of};

impl Evaluator<'_> {
    pub(super) fn stream_label_replace(
        &mut self,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let [destination, replacement, source, pattern] = [1, 2, 3, 4].map(|at| text_of(&call.args[at]));
        let invalid =
            || QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"));
        let compile = || model::matcher::compile_anchored(&pattern).map_err(|_| invalid());
        let regex = self.patterns.get_or_make(&pattern, compile, |_| regexes_worth_keeping(&[&*pattern]))?;
        check_label_name(&destination, "destination", "label_replace")?;
        let replacement = Replacement::parse(&replacement);
        let mut series = self.collect(&call.args[0], grid)?;
        let mut builder = LabelsBuilder::new();
        let mut value = String::new();
        for (at, one) in series.iter_mut().enumerate() {
            self.check_at(at)?;
            let captures = regex.captures(one.labels.get(&source).unwrap_or(""));
            if let Some(captures) = captures {
                replacement.expand(&captures, &mut value);
                relabel(one, &destination, &value, &mut builder)?;
            }
        }
        emit(series, sink)
    }

    pub(super) fn stream_label_join(
        &mut self,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let (destination, separator) = (text_of(&call.args[1]), text_of(&call.args[2]));
        let sources: Vec<_> = call.args[3..].iter().map(text_of).collect();
        for source in &sources {
            check_label_name(source, "source", "label_join")?;
        }
        check_label_name(&destination, "destination", "label_join")?;
        let mut series = self.collect(&call.args[0], grid)?;
        let mut builder = LabelsBuilder::new();
        let mut value = String::new();
        for (at, one) in series.iter_mut().enumerate() {
            self.check_at(at)?;
            value.clear();
            for (at, source) in sources.iter().enumerate() {
                if value.len() > VALUE_BYTES_MAX {
                    break;
                }
                if at > 0 {
                    value.push_str(&separator);
                }
                value.push_str(one.labels.get(source).unwrap_or(""));
            }
            relabel(one, &destination, &value, &mut builder)?;
        }
        emit(series, sink)
    }
}

/// The longest value that a query may give a label. Values that are made of values grow exponentially.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Gives a series a label, of which the memory is charged.
///
/// # Errors
/// If the value is longer than allowed, or it would be more memory than the query may hold.
pub(super) fn relabel(
    series: &mut Series,
    name: &str,
    value: &str,
    builder: &mut LabelsBuilder,
) -> Result<(), QueryError> {
    if value.len() > VALUE_BYTES_MAX {
        let text = format!("a value of label {name} would be longer than {VALUE_BYTES_MAX} bytes");
        return Err(QueryError::Execution(text));
    }
    if let Some(charge) = &mut series.charge {
        charge.grow(value.len() as u64)?;
    }
    builder.reset_to(series.labels.as_ref());
    builder.set(name, value);
    series.labels = builder.build();
    // A name that was given on purpose is not dropped any more.
    if name == METRIC_NAME {
        series.drop_name = false;
    }
    Ok(())
}

pub(super) fn emit(series: Vec<Series>, sink: &mut Sink<'_>) -> Result<(), QueryError> {
    for mut one in merge_same_labels(series)? {
        sink(&mut one)?;
    }
    Ok(())
}

pub(super) fn check_label_name(name: &str, which: &str, function: &str) -> Result<(), QueryError> {
    // U+FFFD is what is left of bytes that are no UTF-8.
    if name.is_empty() || name.contains('\u{fffd}') {
        return Err(QueryError::Execution(format!("invalid {which} label name in {function}(): {name}")));
    }
    Ok(())
}

/// A replacement with `$1`, `$name` and `${name}`, read as Go's `regexp.Expand` reads it.
#[derive(Debug)]
struct Replacement(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
    Named(String),
}

impl Replacement {
    fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            push_text(&mut parts, &rest[..at]);
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix('$') {
                push_text(&mut parts, "$");
                rest = after;
                continue;
            }
            let Some((name, after)) = group_name(after) else {
                push_text(&mut parts, "$");
                rest = after;
                continue;
            };
            parts.push(name.parse().map_or_else(|_| Part::Named(name.to_owned()), Part::Group));
            rest = after;
        }
        push_text(&mut parts, rest);
        Self(parts)
    }

    fn expand(&self, captures: &regex::Captures<'_>, into: &mut String) {
        into.clear();
        for part in &self.0 {
            let text = match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Group(group) => captures.get(*group).map(|found| found.as_str()),
                Part::Named(name) => captures.name(name).map(|found| found.as_str()),
            };
            into.push_str(text.unwrap_or(""));
            if into.len() > VALUE_BYTES_MAX {
                // Far too long already; whoever asked refuses it.
                return;
            }
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// The name after a `$`, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    if let Some(braced) = text.strip_prefix('{') {
        let (name, after) = braced.split_once('}')?;
        return (!name.is_empty() && name.chars().all(is_name)).then_some((name, after));
    }
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn replacements_read_as_go_reads_them() {
        let check = |text: &str, want: &str| {
            let regex = model::matcher::compile_anchored("(?P<first>a+)(b+)").expect("valid");
            let captures = regex.captures("aab").expect("matches");
            let mut got = String::new();
            Replacement::parse(text).expand(&captures, &mut got);
            assert_eq!(got, want, "{text:?}");
        };
        check("x-$1-$2", "x-aa-b");
        check("${first}x", "aax");
        check("$first", "aa");
        // The longest name counts: there is no group `1x`.
        check("$1x", "");
        check("$$1", "$1");
        check("$", "$");
        check("${}", "${}");
        check("$7", "");
    }

    #[test]
    fn a_name_given_on_purpose_stays() {
        let mut series = Series { drop_name: true, ..Series::default() };
        relabel(&mut series, "a", "1", &mut LabelsBuilder::new()).expect("short");
        assert!(series.drop_name);
        relabel(&mut series, METRIC_NAME, "m", &mut LabelsBuilder::new()).expect("short");
        assert!(!series.drop_name);
        assert_eq!(series.labels, Labels::from_pairs([("__name__", "m"), ("a", "1")]));
    }
}
