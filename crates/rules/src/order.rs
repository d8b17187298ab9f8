//! Which rules of a group may be evaluated at the same time.
//!
//! A rule sees what those before it wrote at the same evaluation, and not yet what those behind it will write. So two rules of which
//! one reads what the other writes keep their order, in whichever order they stand; all others do not care. A rule that could read
//! anything (a selector without a name, a template that queries) keeps its order towards every other.
//! The result is levels: rules of one level run at the same time, levels one after the other.

use std::collections::HashMap;

use model::matcher::fixed_metric_name;
use promql::ast::{Expr, ExprKind};

use crate::file::RuleKind;
use crate::rule::Rule;

/// The series that tell of alerts' states.
pub(crate) const ALERTS: &str = "ALERTS";
/// The series that tell since when alerts are there.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// The first level at which somebody may touch what others have touched.
#[derive(Default)]
struct Floors<'r> {
    /// By metric: behind those that write it.
    behind_writers: HashMap<&'r str, usize>,
    /// By metric: behind those that read it.
    behind_readers: HashMap<&'r str, usize>,
    /// Behind those that may read anything.
    behind_readers_of_all: usize,
    /// Behind everybody.
    behind_all: usize,
    /// Behind rules of the same kind and name.
    behind_same: HashMap<(RuleKind, &'r str), usize>,
}

fn raise<K: std::hash::Hash + Eq>(floors: &mut HashMap<K, usize>, key: K, to: usize) {
    let floor = floors.entry(key).or_default();
    *floor = to.max(*floor);
}

/// Levels of rules, each by its place; within a level in order of the file.
pub(crate) fn levels(rules: &[Rule]) -> Vec<Vec<usize>> {
    let mut floors = Floors::default();
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let (reads, writes) = (reads(rule), writes(rule));
        let of = |floors: &HashMap<&str, usize>, name: &str| floors.get(name).copied().unwrap_or(0);
        let behind_what_it_reads = match &reads {
            None => floors.behind_all,
            Some(names) => names.iter().map(|name| of(&floors.behind_writers, name)).max().unwrap_or(0),
        };
        let behind_its_readers =
            writes.iter().map(|name| of(&floors.behind_readers, name)).max().unwrap_or(0);
        let same = (rule.kind(), rule.name());
        let level = behind_what_it_reads
            .max(behind_its_readers)
            .max(floors.behind_readers_of_all)
            .max(floors.behind_same.get(&same).copied().unwrap_or(0));
        let behind = level + 1;
        match reads {
            None => floors.behind_readers_of_all = floors.behind_readers_of_all.max(behind),
            Some(names) => names.into_iter().for_each(|name| raise(&mut floors.behind_readers, name, behind)),
        }
        writes.into_iter().for_each(|name| raise(&mut floors.behind_writers, name, behind));
        raise(&mut floors.behind_same, same, behind);
        floors.behind_all = floors.behind_all.max(behind);
        if level == levels.len() {
            levels.push(Vec::new());
        }
        levels[level].push(at);
    }
    levels
}

/// Of each rule, the others that may write the same series.
pub(crate) fn siblings(rules: &[Rule]) -> Vec<Vec<usize>> {
    let mut same: HashMap<(RuleKind, &str), Vec<usize>> = HashMap::new();
    for (at, rule) in rules.iter().enumerate() {
        same.entry((rule.kind(), rule.name())).or_default().push(at);
    }
    let others = |(at, rule): (usize, &Rule)| {
        let all = &same[&(rule.kind(), rule.name())];
        all.iter().copied().filter(|other| *other != at).collect()
    };
    rules.iter().enumerate().map(others).collect()
}

/// Names of metrics.
pub(crate) fn writes(rule: &Rule) -> Vec<&str> {
    match rule.kind() {
        RuleKind::Recording => vec![rule.name()],
        RuleKind::Alerting => vec![ALERTS, ALERTS_FOR_STATE],
    }
}

/// Names of metrics; `None`: it could be any.
fn reads(rule: &Rule) -> Option<Vec<&str>> {
    let alerting = rule.alerting.iter();
    let mut texts = alerting.flat_map(|alerting| alerting.labels.iter().chain(&alerting.annotations));
    if texts.any(|(_, text)| text.may_query()) { None } else { names(&rule.expr) }
}

/// Names of the metrics that an expression selects; `None`: it could be any.
pub(crate) fn names(expr: &Expr) -> Option<Vec<&str>> {
    let mut names = Some(Vec::new());
    expr.walk(&mut |expr| {
        let selector = match &expr.kind {
            ExprKind::VectorSelector(selector) => selector,
            ExprKind::MatrixSelector(matrix) => &matrix.selector,
            _ => return,
        };
        for matchers in [&selector.matchers].into_iter().chain(&selector.alternatives) {
            match (fixed_metric_name(matchers), &mut names) {
                (Some(name), Some(names)) => names.push(name),
                _ => names = None,
            }
        }
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Options, parse};

    #[track_caller]
    fn check(rules: &[&str], expected: &[&[usize]]) {
        let text = format!("groups: [{{name: g, rules: [{}]}}]", rules.join(", "));
        let file = parse(text.as_bytes(), Options::default()).expect("sound");
        let group = &file.groups[0];
        let rules: Vec<Rule> =
            group.rules.iter().map(|rule| Rule::new(group, rule, true).expect("sound")).collect();
        assert_eq!(levels(&rules), expected);
    }

    #[test]
    fn rules_that_share_nothing_run_together() {
        check(&["{record: a, expr: x}", "{record: b, expr: y}", "{alert: C, expr: x > 1}"], &[&[0, 1, 2]]);
    }

    #[test]
    fn who_reads_and_who_writes_keep_their_order() {
        check(
            &["{record: a, expr: x}", "{record: b, expr: a}", "{record: c, expr: 'b[5m:]'}"],
            &[&[0], &[1], &[2]],
        );
        check(&["{record: b, expr: a}", "{record: a, expr: x}", "{alert: C, expr: z}"], &[&[0, 2], &[1]]);
        check(&["{record: a, expr: x}", "{record: a, expr: y}"], &[&[0], &[1]]);
    }

    #[test]
    fn who_may_read_anything_is_alone() {
        check(
            &["{record: a, expr: x}", "{record: b, expr: 'count({job=\"j\"})'}", "{record: c, expr: y}"],
            &[&[0], &[1], &[2]],
        );
        check(
            &["{alert: A, expr: x}", "{alert: B, expr: y}", "{record: c, expr: count(ALERTS)}"],
            &[&[0, 1], &[2]],
        );
        let queries = "{alert: B, expr: y, annotations: {a: '{{ query \"z\" | first | value }}'}}";
        check(&["{record: a, expr: x}", queries, "{record: z, expr: y}"], &[&[0], &[1], &[2]]);
    }
}
