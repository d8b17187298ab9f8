//! What is unwise in rule files that load: each with what to do instead.
//!
//! Findings are certain or nearly so: a lint that cries wolf is switched off. Not here: what makes a file unsound ([`crate::file`]).

use std::collections::BTreeMap;
use std::fmt;

use model::{MatchOp, Matcher};
use promql::ast::{AggregateOp, Binary, BinaryOp, Expr, ExprKind, VectorSelector};

use crate::file::{GroupSpec, RuleFile, RuleKind, RuleSpec};
use crate::rule::ALERT_NAME;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lint {
    /// Two rules of one name and labels: which result is stored is chance.
    DuplicateRules,
    /// An alert without `for` fires at the first bad scrape.
    MissingFor,
    /// Matchers that contradict one another, or can never hold.
    NeverMatches,
    /// Labels of a rule that replace what the query yields.
    LabelClash,
    /// An alert on how much a counter ever counted.
    CounterWithoutRate,
}

impl Lint {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::DuplicateRules,
        Self::MissingFor,
        Self::NeverMatches,
        Self::LabelClash,
        Self::CounterWithoutRate,
    ];

    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::DuplicateRules => "duplicate-rules",
            Self::MissingFor => "missing-for",
            Self::NeverMatches => "never-matches",
            Self::LabelClash => "label-clash",
            Self::CounterWithoutRate => "counter-without-rate",
        }
    }
}

/// Something unwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub lint: Lint,
    /// The line where the rule begins.
    pub line: usize,
    /// The rule's group.
    pub group: String,
    /// The rule.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Finding {
    /// `line 5, group "node", rule "Down": missing-for: …; fix: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, group, rule, message, fix, .. } = self;
        write!(f, "line {line}, group {group:?}, rule {rule:?}: {}: {message}; fix: {fix}", self.lint.name())
    }
}

/// Rules that a file has more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Their name.
    pub name: String,
    /// Their labels.
    pub labels: BTreeMap<String, String>,
}

/// Rules of a file that have a name and labels in common with another, each once, as promtool finds them.
pub fn duplicates(file: &RuleFile) -> Vec<Duplicate> {
    let mut rules: Vec<Duplicate> = Vec::new();
    for group in &file.groups {
        for rule in &group.rules {
            rules.push(Duplicate { name: rule.name.clone(), labels: with_group_labels(group, rule) });
        }
    }
    rules.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
    let twice = rules.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone());
    let mut duplicates: Vec<Duplicate> = twice.collect();
    duplicates.dedup();
    duplicates
}

fn with_group_labels(group: &GroupSpec, rule: &RuleSpec) -> BTreeMap<String, String> {
    let mut labels = group.labels.clone();
    labels.extend(rule.labels.clone());
    labels
}

/// Everything unwise in a file but duplicates, in order.
pub fn check(file: &RuleFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &file.groups {
        for rule in &group.rules {
            // A file that was read holds only queries that can be.
            let Ok(expr) = promql::parser::parse(&rule.expr) else { continue };
            let mut add = |lint: Lint, (message, fix): (String, String)| {
                let (group, rule_name) = (group.name.clone(), rule.name.clone());
                findings.push(Finding { lint, line: rule.line, group, rule: rule_name, message, fix });
            };
            if rule.kind == RuleKind::Alerting {
                missing_for(rule, &expr).into_iter().for_each(|found| add(Lint::MissingFor, found));
                counters(&expr).into_iter().for_each(|found| add(Lint::CounterWithoutRate, found));
            }
            contradictions(&expr).into_iter().for_each(|found| add(Lint::NeverMatches, found));
            clashes(group, rule, &expr).into_iter().for_each(|found| add(Lint::LabelClash, found));
        }
    }
    findings
}

fn selectors<'e>(expr: &'e Expr, mut visit: impl FnMut(&'e VectorSelector)) {
    expr.walk(&mut |expr| match &expr.kind {
        ExprKind::VectorSelector(selector) => visit(selector),
        ExprKind::MatrixSelector(matrix) => visit(&matrix.selector),
        _ => {}
    });
}

fn missing_for(rule: &RuleSpec, expr: &Expr) -> Option<(String, String)> {
    let mut reads_instants = false;
    expr.walk(&mut |expr| reads_instants |= matches!(expr.kind, ExprKind::VectorSelector(_)));
    // A query of ranges has its own patience; one of constants is meant to fire always.
    let has_patience = rule.for_ms > 0 || rule.absent_for_ms > 0;
    (!has_patience && reads_instants).then(|| {
        let message = "the alert has no `for`: one bad scrape makes it fire".to_owned();
        (message, "add `for: 5m`, or a longer time than two scrapes".to_owned())
    })
}

/// Counters whose level is compared with something.
fn counters(expr: &Expr) -> Vec<(String, String)> {
    let mut found = Vec::new();
    expr.walk(&mut |expr| {
        let ExprKind::Binary(binary) = &expr.kind else { return };
        if !binary.op.is_comparison() || is_about_none(binary) {
            return;
        }
        for side in [&binary.lhs, &binary.rhs] {
            if let Some(name) = counter_level(side) {
                let message = format!(
                    "{name} is a counter: what it ever counted only grows, so the alert would never end"
                );
                found.push((
                    message,
                    format!("compare how fast it grows: `rate({name}[5m])` or `increase({name}[1h])`"),
                ));
            }
        }
    });
    found
}

/// `== 0`: whether something never happened.
fn is_about_none(binary: &Binary) -> bool {
    binary.op == BinaryOp::Eql
        && [&binary.lhs, &binary.rhs].iter().any(|side| matches!(side.kind, ExprKind::Number(0.0)))
}

/// The counter whose level an expression is, if it is one: not how it changes, and not how many there are.
fn counter_level(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::VectorSelector(selector) => {
            selector.name.as_deref().filter(|name| name.ends_with("_total"))
        }
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => counter_level(inner),
        ExprKind::Aggregate(aggregate) => match aggregate.op {
            AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::TopK
            | AggregateOp::BottomK
            | AggregateOp::Quantile => counter_level(&aggregate.expr),
            _ => None,
        },
        _ => None,
    }
}

/// Selectors that no series can meet.
fn contradictions(expr: &Expr) -> Vec<(String, String)> {
    let mut found = Vec::new();
    selectors(expr, |selector| {
        if selector.alternatives.is_empty()
            && let Some((wanted, refuses)) = contradiction(&selector.matchers)
        {
            let message = format!("no series has both {wanted} and {refuses}");
            found.push((message, format!("remove one of both matchers of {:?}", wanted.name())));
        }
    });
    found
}

fn contradiction(matchers: &[Matcher]) -> Option<(&Matcher, &Matcher)> {
    matchers.iter().filter(|matcher| matcher.op() == MatchOp::Equal).find_map(|wanted| {
        let refuses = |other: &&Matcher| other.name() == wanted.name() && !other.matches(wanted.value());
        matchers.iter().find(refuses).map(|refuses| (wanted, refuses))
    })
}

/// Labels of a rule that its query has already, with other values.
fn clashes(group: &GroupSpec, rule: &RuleSpec, expr: &Expr) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in with_group_labels(group, rule) {
        if name == ALERT_NAME && rule.kind == RuleKind::Alerting {
            let message = format!("the label {ALERT_NAME} is always the rule's name");
            found.push((message, format!("remove the label {ALERT_NAME}")));
        } else if let Some(from) = yielded(expr, &name, &value) {
            let message =
                format!("the label {name} replaces that of the query, {from}: its series become one");
            found.push((message, format!("give the rule's label another name than {name:?}, or remove it")));
        }
    }
    found
}

/// Why a query yields a label whose values a rule's label would replace.
fn yielded(expr: &Expr, name: &str, value: &str) -> Option<String> {
    match &expr.kind {
        ExprKind::Paren(inner) => yielded(inner, name, value),
        ExprKind::Aggregate(aggregate) if !aggregate.without => {
            let by = aggregate.grouping.iter().any(|label| label == name);
            // A label that the rule takes from the query may stay.
            (by && !value.contains("{{")).then(|| format!("which groups by {name}"))
        }
        ExprKind::Binary(binary) if binary.op.is_comparison() => {
            let sides = [&binary.lhs, &binary.rhs];
            sides
                .into_iter()
                .find(|side| !matches!(side.kind, ExprKind::Number(_)))
                .and_then(|side| yielded(side, name, value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Options, parse};

    #[track_caller]
    fn check_rule(rule: &str, expected: &[(Lint, &str)]) {
        let text = format!("groups:\n  - name: g\n    rules:\n      - {rule}\n");
        let file = parse(text.as_bytes(), Options::default()).expect("a rule file");
        let found = check(&file);
        let found: Vec<(Lint, &str)> =
            found.iter().map(|finding| (finding.lint, finding.message.as_str())).collect();
        assert_eq!(found, expected, "{rule}");
    }

    #[test]
    fn alerts_on_instants_have_patience() {
        let message = "the alert has no `for`: one bad scrape makes it fire";
        check_rule("{alert: A, expr: up == 0}", &[(Lint::MissingFor, message)]);
        check_rule("{alert: A, expr: up == 0, for: 1m}", &[]);
        check_rule("{alert: A, expr: vector(1)}", &[]);
        check_rule("{alert: A, expr: 'rate(errors_total[5m]) > 1'}", &[]);
        check_rule("{record: a, expr: up}", &[]);
    }

    #[test]
    fn selectors_that_no_series_meets_are_found() {
        let found = |message| [(Lint::NeverMatches, message)];
        check_rule(
            r#"{record: a, expr: 'up{job="a",job="b"}'}"#,
            &found(r#"no series has both job="a" and job="b""#),
        );
        check_rule(
            r#"{record: a, expr: 'sum(rate(x{job="a",job=~"b.*"}[5m]))'}"#,
            &found(r#"no series has both job="a" and job=~"b.*""#),
        );
        check_rule(r#"{record: a, expr: 'up{job="a",job=~"a|b"}'}"#, &[]);
        check_rule(r#"{record: a, expr: 'up{job!="a",job!="b"}'}"#, &[]);
    }

    #[test]
    fn labels_that_replace_those_of_the_query_are_found() {
        let message = "the label job replaces that of the query, which groups by job: its series become one";
        let clash = [(Lint::LabelClash, message)];
        check_rule("{record: a, expr: sum by (job) (up), labels: {job: x}}", &clash);
        check_rule("{alert: A, expr: sum by (job) (up) > 1, for: 1m, labels: {job: x}}", &clash);
        check_rule(
            "{alert: A, expr: sum by (job) (up) > 1, for: 1m, labels: {job: '{{ $labels.job }}-x'}}",
            &[],
        );
        check_rule("{record: a, expr: sum without (job) (up), labels: {job: x}}", &[]);
        let message = "the label alertname is always the rule's name";
        check_rule("{alert: A, expr: vector(1), labels: {alertname: B}}", &[(Lint::LabelClash, message)]);
    }

    #[test]
    fn levels_of_counters_are_no_alerts() {
        let message =
            "errors_total is a counter: what it ever counted only grows, so the alert would never end";
        let found = [(Lint::CounterWithoutRate, message)];
        check_rule("{alert: A, for: 1m, expr: errors_total > 5}", &found);
        check_rule("{alert: A, for: 1m, expr: sum(errors_total) by (x) > 5}", &found);
        check_rule("{alert: A, for: 1m, expr: errors_total == 0}", &[]);
        check_rule("{alert: A, for: 1m, expr: count(errors_total) > 5}", &[]);
        check_rule("{alert: A, for: 1m, expr: 'rate(errors_total[5m]) > 5'}", &[]);
        check_rule("{alert: A, for: 1m, expr: '(errors_total - errors_total offset 5m) > 5'}", &[]);
    }

    #[test]
    fn rules_of_one_name_and_labels_are_duplicates() {
        let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: up}\n  - {record: a, expr: '1', labels: {x: y}}\n- name: h\n  labels: {x: y}\n  rules:\n  - {record: a, expr: '2'}\n  - {record: a, expr: '3'}\n";
        let file = parse(text.as_bytes(), Options::default()).expect("a rule file");
        let labels = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
        assert_eq!(duplicates(&file), [Duplicate { name: "a".to_owned(), labels }]);
    }
}
