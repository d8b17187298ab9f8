//! Which groups can be evaluated as columns, in which order, and which must go step by step.

use std::collections::BTreeSet;

use crate::file::RuleKind;
use crate::group::Group;
use crate::order::{self, ALERTS, ALERTS_FOR_STATE};
use crate::rule::Rule;

/// What is evaluated together.
#[derive(Debug, PartialEq)]
pub(super) enum Unit {
    /// A group, rule by rule as range queries.
    Columns {
        /// Which.
        group: usize,
        /// Of each of its rules, whether others read what it writes.
        read: Vec<bool>,
    },
    /// Groups, evaluation by evaluation.
    Steps(Vec<usize>),
}

/// Metrics that rules write.
pub(super) fn written(groups: &[Group]) -> BTreeSet<String> {
    let rules = groups.iter().flat_map(Group::rules);
    rules.flat_map(|rule| order::writes(rule).into_iter().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// What a rule reads that others may write; `None`: it could be anything.
fn reads(rule: &Rule) -> Option<Vec<&str>> {
    order::names(&rule.expr)
}

fn records(rule: &Rule) -> Option<&str> {
    (rule.kind() == RuleKind::Recording).then(|| rule.name())
}

/// All groups, so that who writes comes before who reads.
pub(super) fn units(groups: &[Group]) -> Vec<Unit> {
    let recorded: BTreeSet<&str> = groups.iter().flat_map(Group::rules).filter_map(records).collect();
    let mut left: Vec<usize> = (0..groups.len()).collect();
    let mut units = Vec::new();
    while !left.is_empty() {
        let is_free = |group: &usize| {
            let others = left.iter().filter(|other| *other != group);
            !others.into_iter().any(|other| feeds(&groups[*other], &groups[*group]))
        };
        match left.iter().position(is_free) {
            Some(at) => {
                let group = left.remove(at);
                units.push(unit(groups, group, &recorded));
            }
            // Each waits for another: only time tells.
            None => units.push(Unit::Steps(std::mem::take(&mut left))),
        }
    }
    units
}

/// Whether a group reads what another records.
fn feeds(writer: &Group, reader: &Group) -> bool {
    let records: BTreeSet<&str> = writer.rules().iter().filter_map(records).collect();
    !records.is_empty()
        && reader
            .rules()
            .iter()
            .any(|rule| reads(rule).is_none_or(|names| names.iter().any(|name| records.contains(name))))
}

fn unit(groups: &[Group], group: usize, recorded: &BTreeSet<&str>) -> Unit {
    let rules = groups[group].rules();
    if groups[group].limit() > 0 || (0..rules.len()).any(|at| needs_steps(rules, at, recorded)) {
        return Unit::Steps(vec![group]);
    }
    let all = || groups.iter().flat_map(Group::rules);
    let is_read = |rule: &Rule| {
        let Some(name) = records(rule) else { return false };
        all().any(|other| reads(other).is_none_or(|names| names.contains(&name)))
    };
    Unit::Columns { group, read: rules.iter().map(is_read).collect() }
}

fn needs_steps(rules: &[Rule], at: usize, recorded: &BTreeSet<&str>) -> bool {
    let rule = &rules[at];
    // They mean the range of a query, which is another one in the server.
    let of_range = ["start()", "end()", "step()", "range()"];
    if of_range.iter().any(|text| rule.query.contains(text)) {
        return true;
    }
    if rule.alerting.iter().flat_map(|alerting| &alerting.labels).any(|(_, text)| text.may_query()) {
        return true;
    }
    match reads(rule) {
        None => !recorded.is_empty(),
        Some(names) => {
            let later: BTreeSet<&str> = rules[at..].iter().filter_map(records).collect();
            names.iter().any(|name| later.contains(name) || [ALERTS, ALERTS_FOR_STATE].contains(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::tests::group;

    #[track_caller]
    fn check(groups: &[&str], expected: &[Unit]) {
        let groups: Vec<Group> = groups.iter().map(|rules| group(rules)).collect();
        assert_eq!(units(&groups), expected);
    }

    fn columns(group: usize, read: &[bool]) -> Unit {
        Unit::Columns { group, read: read.to_vec() }
    }

    #[test]
    fn who_writes_comes_before_who_reads() {
        check(
            &["{alert: A, expr: a > 1}, {record: b, expr: x}", "{record: a, expr: y}"],
            &[columns(1, &[true]), columns(0, &[false, false])],
        );
        check(
            &["{record: a, expr: x}, {record: b, expr: a + 1}, {alert: C, expr: b > 1}"],
            &[columns(0, &[true, true, false])],
        );
    }

    #[test]
    fn what_depends_on_the_evaluation_before_goes_step_by_step() {
        check(&["{record: b, expr: a}, {record: a, expr: x}"], &[Unit::Steps(vec![0])]);
        check(&["{record: a, expr: 'a offset 1m + 1'}"], &[Unit::Steps(vec![0])]);
        check(&["{record: a, expr: b}", "{record: b, expr: a}"], &[Unit::Steps(vec![0, 1])]);
        check(&["{alert: A, expr: ALERTS}"], &[Unit::Steps(vec![0])]);
        check(&["{alert: A, expr: 'x @ end()'}"], &[Unit::Steps(vec![0])]);
        check(
            &["{alert: A, expr: x, labels: {a: '{{ query \"y\" | first | value }}'}}"],
            &[Unit::Steps(vec![0])],
        );
    }

    #[test]
    fn annotations_do_not_matter() {
        check(
            &["{alert: A, expr: x, annotations: {a: '{{ query \"y\" | first | value }}'}}"],
            &[columns(0, &[false])],
        );
    }
}
