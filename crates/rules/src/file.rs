//! Rule files: what people write, read and checked as Prometheus 3.14 does.
//!
//! A file holds `groups`; a PrometheusRule manifest of Kubernetes (`kind: PrometheusRule`) is one whose groups stand under `spec`.
//! Every fault knows its line. Map: here the types and the reading · `check` what a type cannot say.

use std::collections::BTreeMap;
use std::fmt;

use model::time::DurationMs;
use serde::Deserialize;
use yaml::node::{Node, Value};
use yaml::{Document, Mark};

use crate::missing::{Flapping, Missing, OnMissing};

mod check;

/// What may stand in a rule file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleFile {
    /// Groups in order; no name comes twice.
    pub groups: Vec<GroupSpec>,
}

/// A group as the file has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupSpec {
    /// Unique in its file.
    pub name: String,
    /// Time between evaluations; `None`: the global interval.
    pub interval_ms: Option<i64>,
    /// How far in the past rules are evaluated; `None`: the global offset.
    pub query_offset_ms: Option<i64>,
    /// Most series (or alerts) of one rule; 0 or less: no limit.
    pub limit: i64,
    /// Labels that each rule has unless it says otherwise.
    pub labels: BTreeMap<String, String>,
    /// In order of evaluation.
    pub rules: Vec<RuleSpec>,
}

/// A rule as the file has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleSpec {
    /// The series that it writes, or the alert that it raises.
    pub name: String,
    /// Which of both.
    pub kind: RuleKind,
    /// The query, as written.
    pub expr: String,
    /// How long an alert must be there before it fires.
    pub for_ms: i64,
    /// How long it goes on firing after it was there last.
    pub keep_firing_for_ms: i64,
    /// What becomes of alerts whose data is missing. Kymo's own.
    pub missing: Missing,
    /// The alert is that a series of the selector was not there for so long; 0: it is not. Kymo's own.
    pub absent_for_ms: i64,
    /// When an alert comes and goes too often. Kymo's own.
    pub flapping: Option<Flapping>,
    /// Labels of series or alerts; of alerts: templates.
    pub labels: BTreeMap<String, String>,
    /// What else is said about an alert: templates.
    pub annotations: BTreeMap<String, String>,
    /// The line where the rule begins, from 1.
    pub line: usize,
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// Its result is stored under a new name.
    #[default]
    Recording,
    /// Its result is alerts.
    Alerting,
}

/// How strictly files are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Keys that nobody knows are no fault.
    pub ignore_unknown_keys: bool,
    /// Names of labels and series are those of Prometheus 2 (`metric_name_validation_scheme: legacy`).
    pub legacy_names: bool,
}

/// A fault of a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub mark: Option<Mark>,
    /// What is wrong, in Prometheus' words where it has some: group, number and name of the rule among them.
    pub message: String,
}

impl fmt::Display for Fault {
    /// `12:9: group "node", rule 3, "Down": field 'expr' must be set in rule`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mark) = self.mark {
            write!(f, "{}:{}: ", mark.line, mark.column)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<yaml::Error> for Fault {
    fn from(error: yaml::Error) -> Self {
        Self { mark: error.mark, message: error.text() }
    }
}

/// Reads a rule file and checks it.
///
/// # Errors
/// All faults, at least one. A fault of its form hides those behind it.
pub fn parse(bytes: &[u8], options: Options) -> Result<RuleFile, Vec<Fault>> {
    let read = || -> Result<(Document, Vec<RawGroup>, bool), yaml::Error> {
        let mut document = Document::parse_bytes(bytes)?;
        let is_manifest = is_manifest(&document);
        if options.ignore_unknown_keys {
            drop_unknown_keys(&mut document.root);
        }
        let groups = match is_manifest {
            true => document.read::<Manifest>()?.spec.groups,
            false => document.read::<Groups>()?.groups,
        };
        Ok((document, groups, is_manifest))
    };
    let (document, groups, is_manifest) = read().map_err(|error| vec![error.into()])?;
    let mut faults = Vec::new();
    let base: &[&str] = if is_manifest { &["spec", "groups"] } else { &["groups"] };
    check::Checker { document: &document, base, options, faults: &mut faults }.groups(&groups);
    if !faults.is_empty() {
        return Err(faults);
    }
    let line_of = |group: usize, rule: usize| {
        let base = if is_manifest { document.root.get("spec") } else { Some(&document.root) };
        let groups = base.and_then(|node| node.get("groups"))?.items();
        let rule = groups.get(group)?.get("rules")?.items().get(rule)?;
        Some(rule.mark.line)
    };
    let groups = groups.into_iter().enumerate();
    Ok(RuleFile {
        groups: groups.map(|(at, group)| group.spec(|rule| line_of(at, rule).unwrap_or_default())).collect(),
    })
}

/// Whether it is a manifest of the Prometheus operator.
fn is_manifest(document: &Document) -> bool {
    let kind = document.root.get("kind").and_then(|kind| kind.read::<String>().ok());
    document.root.get("apiVersion").is_some() && kind.as_deref() == Some("PrometheusRule")
}

const GROUP_KEYS: &[&str] = &["name", "interval", "query_offset", "limit", "labels", "rules"];
const RULE_KEYS: &[&str] = &[
    "record",
    "alert",
    "expr",
    "for",
    "keep_firing_for",
    "on_missing",
    "missing_tolerance",
    "absent_for",
    "flapping",
    "labels",
    "annotations",
];

/// Removes what nobody would read, so that only wrong values are faults.
fn drop_unknown_keys(root: &mut Node) {
    fn each(node: &mut Node, key: &str, known: &[&str], below: &dyn Fn(&mut Node)) {
        let Value::Mapping(entries) = &mut node.value else { return };
        let list = entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value.value);
        let Some(Value::Sequence(items)) = list else { return };
        for item in items {
            if let Value::Mapping(entries) = &mut item.value {
                entries.retain(|entry| known.contains(&entry.key.as_str()));
            }
            below(item);
        }
    }
    if let Value::Mapping(entries) = &mut root.value {
        entries.retain(|entry| ["groups", "apiVersion", "kind", "spec"].contains(&entry.key.as_str()));
    }
    each(root, "groups", GROUP_KEYS, &|group| each(group, "rules", RULE_KEYS, &|_| ()));
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Groups {
    groups: Vec<RawGroup>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    spec: Groups,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawGroup {
    name: String,
    interval: DurationMs,
    query_offset: Option<DurationMs>,
    limit: i64,
    labels: BTreeMap<String, String>,
    rules: Vec<RawRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRule {
    record: String,
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    hold: DurationMs,
    keep_firing_for: DurationMs,
    on_missing: Option<OnMissing>,
    missing_tolerance: u32,
    absent_for: DurationMs,
    flapping: Option<RawFlapping>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlapping {
    times: u32,
    within: DurationMs,
    hold: DurationMs,
}

impl RawGroup {
    fn spec(self, line_of: impl Fn(usize) -> usize) -> GroupSpec {
        let rules = self.rules.into_iter().enumerate();
        GroupSpec {
            name: self.name,
            interval_ms: Some(self.interval.0).filter(|interval| *interval > 0),
            query_offset_ms: self.query_offset.map(|offset| offset.0),
            limit: self.limit,
            labels: self.labels,
            rules: rules.map(|(at, rule)| rule.spec(line_of(at))).collect(),
        }
    }
}

impl RawRule {
    fn spec(self, line: usize) -> RuleSpec {
        let (name, kind) = match self.alert.is_empty() {
            true => (self.record, RuleKind::Recording),
            false => (self.alert, RuleKind::Alerting),
        };
        RuleSpec {
            name,
            kind,
            expr: self.expr,
            for_ms: self.hold.0,
            keep_firing_for_ms: self.keep_firing_for.0,
            missing: Missing {
                on_missing: self.on_missing.unwrap_or_default(),
                tolerance: self.missing_tolerance,
            },
            absent_for_ms: self.absent_for.0,
            flapping: self.flapping.map(|flapping| Flapping {
                times: flapping.times,
                within_ms: flapping.within.0,
                hold_ms: flapping.hold.0,
            }),
            labels: self.labels,
            annotations: self.annotations,
            line,
        }
    }
}

#[cfg(test)]
mod tests;
