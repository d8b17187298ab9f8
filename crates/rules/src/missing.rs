//! Data that is missing: what a rule does when the series that an alert came from yields nothing, instead of something that is fine.
//!
//! Kymo's own keys of alerting rules, which Prometheus' files do not have: `on_missing`, `missing_tolerance`, `absent_for`, `flapping`. An
//! alert's data is *missing* when the rule's query without its outermost comparison yields no element with the labels that the alert came from.

use std::collections::{BTreeMap, BTreeSet};

use model::Labels;
use model::time::format_duration_ms;
use promql::ast::{Expr, ExprKind, TimeModifiers, ValueType};
use promql::value::VectorSample;
use serde::Deserialize;

/// A series that was seen so long ago is not expected any more.
pub(crate) const KNOWN_MS: i64 = 86_400_000;
/// More series are not expected of one rule.
const KNOWN_MAX: usize = 100_000;

/// What becomes of alerts whose data is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// They are over, as if all were well. Prometheus' way.
    #[default]
    Resolve,
    /// They stay as they are.
    Keep,
    /// Missing data is a reason for an alert, of every series that was there within a day.
    Alert,
}

/// Alerts that come and go: when they do it too often, and how long they are held then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// An alert flaps if it began to fire so often …
    pub times: u32,
    /// … within this time.
    pub within_ms: i64,
    /// While it flaps it goes on firing until its condition was gone for so long.
    pub hold_ms: i64,
}

/// How a rule treats missing data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missing {
    /// What becomes of alerts.
    pub on_missing: OnMissing,
    /// But for so many evaluations in a row nothing becomes of them.
    pub tolerance: u32,
}

impl Missing {
    /// Whether it must be known what is missing.
    pub(crate) fn is_set(self) -> bool {
        self != Self::default()
    }
}

/// The query of everything that could be an alert: a rule's query without its outermost comparison with a number.
///
/// # Errors
/// If there is none, in words for whoever wrote the rule.
pub(crate) fn presence_query(expr: &Expr) -> Result<String, &'static str> {
    match &expr.kind {
        ExprKind::Paren(inner) => presence_query(inner),
        ExprKind::Binary(binary) if binary.op.is_comparison() && !binary.return_bool => {
            match (binary.lhs.value_type(), binary.rhs.value_type()) {
                (ValueType::Vector, ValueType::Scalar) => Ok(binary.lhs.to_string()),
                (ValueType::Scalar, ValueType::Vector) => Ok(binary.rhs.to_string()),
                _ => Err(
                    "the expression compares with a vector; missing data is known only where it compares with a number",
                ),
            }
        }
        _ => Err("the expression must be a comparison with a number, such as 'x > 5'"),
    }
}

/// The query of series of a selector that were there within a day and are not since `absent_ms`; each with its last value.
///
/// # Errors
/// If it is no plain selector.
pub(crate) fn absence_query(expr: &Expr, absent_ms: i64) -> Result<String, &'static str> {
    match &expr.kind {
        ExprKind::Paren(inner) => absence_query(inner, absent_ms),
        ExprKind::VectorSelector(selector)
            if selector.time == TimeModifiers::default()
                && selector.offset_expr.is_none()
                && selector.extended.is_none() =>
        {
            let (day, absent) = (format_duration_ms(KNOWN_MS), format_duration_ms(absent_ms));
            Ok(format!("last_over_time({expr}[{day}]) unless last_over_time({expr}[{absent}])"))
        }
        _ => Err("the expression must be a selector without offset or @, such as 'up{job=\"node\"}'"),
    }
}

/// What is there, and what is expected because it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(BTreeMap<Labels, Seen>);

/// A series that was there.
#[derive(Debug, Clone)]
struct Seen {
    last: VectorSample,
    seen_ms: i64,
    /// For how many evaluations it has been missing.
    missing_count: u32,
}

/// What an evaluation found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presence {
    /// Labels of what is there.
    pub(crate) there: BTreeSet<Labels>,
    /// The last samples of what is expected and not there, and for how many evaluations it has not been.
    pub(crate) missing: Vec<(VectorSample, u32)>,
}

impl Known {
    /// Whether nothing was seen yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was there before the start.
    pub(crate) fn remember(&mut self, samples: Vec<VectorSample>, time_ms: i64) {
        for last in samples.into_iter().take(KNOWN_MAX) {
            self.0.insert(last.labels.clone(), Seen { last, seen_ms: time_ms, missing_count: 0 });
        }
    }

    /// What is there now, and what is not any more.
    pub(crate) fn update(&mut self, samples: Vec<VectorSample>, time_ms: i64, expects: bool) -> Presence {
        let there: BTreeSet<Labels> = samples.iter().map(|sample| sample.labels.clone()).collect();
        if !expects {
            return Presence { there, missing: Vec::new() };
        }
        for last in samples {
            if self.0.len() < KNOWN_MAX || self.0.contains_key(&last.labels) {
                self.0.insert(last.labels.clone(), Seen { last, seen_ms: time_ms, missing_count: 0 });
            }
        }
        self.0.retain(|_, seen| time_ms - seen.seen_ms <= KNOWN_MS);
        let missing = self.0.iter_mut().filter(|(labels, _)| !there.contains(*labels));
        let missing = missing.map(|(_, seen)| {
            seen.missing_count = seen.missing_count.saturating_add(1);
            (seen.last.clone(), seen.missing_count)
        });
        let missing = missing.collect();
        Presence { there, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expr(text: &str) -> Expr {
        promql::parser::parse(text).expect("an expression")
    }

    #[test]
    fn a_rule_without_its_comparison_says_what_is_there() {
        let check = |text: &str, expected: Result<&str, ()>| {
            let found = presence_query(&expr(text));
            assert_eq!(found.as_deref().map_err(|_| ()), expected, "{text}");
        };
        check("up == 0", Ok("up"));
        check("(rate(x[5m]) > 3 * 4)", Ok("rate(x[5m])"));
        check("10 < sum by (a) (x)", Ok("sum by (a) (x)"));
        check("a > b", Err(()));
        check("a > bool 1", Err(()));
        check("absent(a)", Err(()));
        check("a > 1 and b > 1", Err(()));
    }

    #[test]
    fn absence_is_what_was_there_within_a_day() {
        let found = absence_query(&expr("up{job=\"node\"}"), 600_000);
        let expected = "last_over_time(up{job=\"node\"}[1d]) unless last_over_time(up{job=\"node\"}[10m])";
        assert_eq!(found, Ok(expected.to_owned()));
        for text in ["up offset 5m", "up @ 5", "sum(up)", "up > 0"] {
            assert!(absence_query(&expr(text), 1).is_err(), "{text}");
        }
    }
}
