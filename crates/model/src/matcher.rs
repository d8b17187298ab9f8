//! Label matchers: `name="value"`, `!=`, `=~`, `!~`, with Prometheus' meaning.
//!
//! Regular expressions are anchored at both ends, and a dot matches a newline. A label that is absent has the
//! empty value, so `{a=""}`, `{a!="x"}` and `{a=~".*"}` select series without the label too.

use std::fmt;
use std::sync::Arc;

use crate::labels::{write_label_name, write_quoted};
use crate::{Labels, LabelsRef, METRIC_NAME, go_regex};

/// The most memory one compiled expression may take; a larger one is refused.
const REGEX_BYTES_MAX: usize = 10 << 20;

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("error parsing regexp: {message}: `{pattern}`")]
pub struct RegexError {
    /// The part of the expression that is at fault; all of it where no part is.
    pub pattern: String,
    /// What is wrong with it, in Go's words.
    pub message: String,
}

/// One condition on one label. Cheap to clone.
#[derive(Clone)]
pub struct Matcher {
    op: MatchOp,
    name: Arc<str>,
    value: Arc<str>,
    regex: Option<Arc<CompiledRegex>>,
}

#[derive(Debug)]
struct CompiledRegex {
    regex: regex::Regex,
    /// If the expression is only alternatives of literals (`a|b|c`), these, sorted.
    literals: Option<Vec<String>>,
    /// What every match begins with; may be empty.
    prefix: String,
    /// Whether everything that begins with the prefix is a match (`a.*`).
    is_prefix: bool,
}

impl Matcher {
    /// A condition.
    ///
    /// # Errors
    /// If the operator is one of the two for regular expressions and `value` is not one.
    pub fn new(op: MatchOp, name: &str, value: &str) -> Result<Self, RegexError> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(CompiledRegex::new(value)?)),
        };
        Ok(Self { op, name: Arc::from(name), value: Arc::from(value), regex })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { op: MatchOp::Equal, name: Arc::from(name), value: Arc::from(value), regex: None }
    }

    /// `name!="value"`, which cannot fail.
    pub fn not_equal(name: &str, value: &str) -> Self {
        Self { op: MatchOp::NotEqual, name: Arc::from(name), value: Arc::from(value), regex: None }
    }

    /// The operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value or expression as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a value meets the condition. An absent label has the empty value.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => value == &*self.value,
            MatchOp::NotEqual => value != &*self.value,
            MatchOp::Regex => self.regex_matches(value),
            MatchOp::NotRegex => !self.regex_matches(value),
        }
    }

    fn regex_matches(&self, value: &str) -> bool {
        let regex =
            self.regex.as_ref().expect("the constructor compiles an expression for both regex operators");
        match &regex.literals {
            Some(literals) => literals.binary_search_by(|l| l.as_str().cmp(value)).is_ok(),
            None => {
                value.starts_with(regex.prefix.as_str()) && (regex.is_prefix || regex.regex.is_match(value))
            }
        }
    }

    /// Whether series without the label meet the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// Whether a label set meets the condition.
    pub fn matches_labels(&self, labels: LabelsRef<'_>) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// For `=~` and `!~` over plain alternatives such as `a|b`: the alternatives, sorted.
    pub fn regex_literals(&self) -> Option<&[String]> {
        self.regex.as_ref()?.literals.as_deref()
    }

    /// For `=~` and `!~`: what every match of the expression begins with; empty if there is no such text.
    pub fn regex_prefix(&self) -> &str {
        self.regex.as_ref().map_or("", |regex| &regex.prefix)
    }

    /// For `=~` and `!~`: whether everything that begins with [`Self::regex_prefix`] is a match, as for `a.*`.
    pub fn regex_is_prefix(&self) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_prefix)
    }

    /// For `=~` and `!~`: the anchored pattern in the `regex` crate's syntax, for building an automaton.
    pub fn anchored_pattern(&self) -> Option<&str> {
        self.regex.as_ref().map(|regex| regex.regex.as_str())
    }
}

/// Whether a label set meets all conditions.
pub fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels.as_ref()))
}

impl CompiledRegex {
    fn new(pattern: &str) -> Result<Self, RegexError> {
        let translated = go_regex::translate(pattern)?;
        let regex = build_anchored(pattern, &translated)?;
        let hir = regex_syntax::ParserBuilder::new().dot_matches_new_line(true).build().parse(&translated);
        let (literals, prefix, is_prefix) = match hir {
            Ok(hir) => (literal_alternatives(&hir), literal_prefix(&hir), is_literal_prefix(&hir)),
            Err(_) => (None, String::new(), false),
        };
        Ok(Self { regex, literals, prefix, is_prefix })
    }
}

/// Compiles an expression as Prometheus does everywhere: Go's syntax, anchored at both ends, dot matches newline.
///
/// # Errors
/// Says what is wrong with the expression, or that it is too large.
pub fn compile_anchored(pattern: &str) -> Result<regex::Regex, RegexError> {
    build_anchored(pattern, &go_regex::translate(pattern)?)
}

/// Compiles an expression as Go's `regexp` does by itself: it may match anywhere, and dot matches no newline.
///
/// # Errors
/// Says what is wrong with the expression, or that it is too large.
pub fn compile_unanchored(pattern: &str) -> Result<regex::Regex, RegexError> {
    build(pattern, &go_regex::translate(pattern)?)
}

fn build_anchored(pattern: &str, translated: &str) -> Result<regex::Regex, RegexError> {
    build(pattern, &format!("^(?s:{translated})$"))
}

fn build(pattern: &str, translated: &str) -> Result<regex::Regex, RegexError> {
    let error = |message: String| RegexError { pattern: pattern.to_owned(), message };
    regex::RegexBuilder::new(translated).size_limit(REGEX_BYTES_MAX).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => error("expression too large".to_owned()),
        other => error(other.to_string()),
    })
}

/// How many alternatives are kept as literals; beyond, the automaton is the better way.
const LITERALS_MAX: usize = 1_000;

/// All strings the expression matches, if these are few enough to list.
fn literal_alternatives(hir: &regex_syntax::hir::Hir) -> Option<Vec<String>> {
    let mut literals = expand(hir)?;
    literals.sort_unstable();
    literals.dedup();
    Some(literals)
}

fn expand(hir: &regex_syntax::hir::Hir) -> Option<Vec<String>> {
    use regex_syntax::hir::{Class, HirKind};
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![String::from_utf8(literal.0.to_vec()).ok()?]),
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
            if count > 32 {
                return None;
            }
            Some(class.ranges().iter().flat_map(|r| r.start()..=r.end()).map(String::from).collect())
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expand(part)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let tails = expand(part)?;
                if all.len() * tails.len() > LITERALS_MAX {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}")))
                    .collect();
            }
            Some(all)
        }
        _ => None,
    }
}

fn literal_prefix(hir: &regex_syntax::hir::Hir) -> String {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(capture) => literal_prefix(&capture.sub),
        HirKind::Concat(parts) => {
            let mut prefix = String::new();
            for part in parts {
                prefix.push_str(&literal_prefix(part));
                if !matches!(part.kind(), HirKind::Literal(_)) {
                    break;
                }
            }
            prefix
        }
        _ => String::new(),
    }
}

/// Whether an expression is a literal followed by anything, or anything.
fn is_literal_prefix(hir: &regex_syntax::hir::Hir) -> bool {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Capture(capture) => is_literal_prefix(&capture.sub),
        HirKind::Concat(parts) => {
            let [first, rest] = parts.as_slice() else { return false };
            matches!(first.kind(), HirKind::Literal(_)) && is_anything(rest)
        }
        _ => is_anything(hir),
    }
}

/// Whether an expression is `.*`, where the dot is any character.
fn is_anything(hir: &regex_syntax::hir::Hir) -> bool {
    use regex_syntax::hir::{Class, HirKind};
    match hir.kind() {
        HirKind::Capture(capture) => is_anything(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max.is_none() => {
            match repetition.sub.kind() {
                HirKind::Class(Class::Unicode(class)) => {
                    let all = |range: &regex_syntax::hir::ClassUnicodeRange| {
                        range.start() == '\0' && range.end() == char::MAX
                    };
                    class.ranges().first().is_some_and(all)
                }
                _ => false,
            }
        }
        _ => false,
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.op, &self.name, &self.value).hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_label_name(f, &self.name)?;
        f.write_str(self.op.as_str())?;
        write_quoted(f, &self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The metric name a selector fixes with `__name__="…"`, if it does.
pub fn fixed_metric_name(matchers: &[Matcher]) -> Option<&str> {
    matchers
        .iter()
        .find(|m| m.op == MatchOp::Equal && m.name() == METRIC_NAME && !m.value().is_empty())
        .map(Matcher::value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: MatchOp, pattern: &str, yes: &[&str], no: &[&str]) {
        let matcher = Matcher::new(op, "a", pattern).expect("valid");
        for value in yes {
            assert!(matcher.matches(value), "{matcher} should match {value:?}");
        }
        for value in no {
            assert!(!matcher.matches(value), "{matcher} should not match {value:?}");
        }
    }

    #[test]
    fn values_are_compared_as_prometheus_does() {
        check(MatchOp::Equal, "x", &["x"], &["", "xx"]);
        check(MatchOp::NotEqual, "x", &["", "xx"], &["x"]);
        check(MatchOp::Regex, "a|b", &["a", "b"], &["", "ab", "ba"]);
        check(MatchOp::Regex, "fo+.*", &["fo", "foo\nbar"], &["xfo", "f"]);
        check(MatchOp::Regex, "", &[""], &["a"]);
        check(MatchOp::Regex, "(?i:GET|post)", &["get", "POST"], &["put"]);
        check(MatchOp::Regex, "a[bc](d|e)", &["abd", "ace"], &["abde", "ad"]);
        check(MatchOp::NotRegex, "a.*", &["", "b"], &["a", "ab"]);
        check(MatchOp::Regex, "5..", &["500", "5é1"], &["50", "5000"]);
    }

    #[test]
    fn literal_alternatives_and_prefixes_are_found() {
        let literals =
            |p| Matcher::new(MatchOp::Regex, "a", p).expect("valid").regex_literals().map(<[String]>::to_vec);
        assert_eq!(literals("b|a|a"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(literals("x(1|2)"), Some(vec!["x1".to_owned(), "x2".to_owned()]));
        assert_eq!(literals("x.*"), None);
        let prefix = |p| Matcher::new(MatchOp::Regex, "a", p).expect("valid").regex_prefix().to_owned();
        assert_eq!(
            (prefix("10[.]0.*").as_str(), prefix("web-.*|db").as_str(), prefix("a?b").as_str()),
            ("10.0", "", "")
        );
        let is_prefix = |p| Matcher::new(MatchOp::Regex, "a", p).expect("valid").regex_is_prefix();
        for yes in ["a.*", ".*", "10[.]0.*", "(web-.*)", "web-(.*)"] {
            assert!(is_prefix(yes), "{yes}");
        }
        for no in ["a.+", "a.*b", "(?-s:a.*)", "a[^b]*", "web-.*|db", "(?i:a.*)", "a"] {
            assert!(!is_prefix(no), "{no}");
        }
    }

    #[test]
    fn bad_expressions_are_refused_with_their_text() {
        for (bad, part) in [("a)(b", "a)(b"), ("x*[", "["), ("(?=x)", "(?="), ("a{100000000}", "{100000000}")]
        {
            let error = Matcher::new(MatchOp::Regex, "a", bad).expect_err(bad);
            assert!(error.to_string().ends_with(&format!(": `{part}`")), "{error}");
        }
    }
}
