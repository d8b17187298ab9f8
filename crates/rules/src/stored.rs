//! Rules that came by API: a group as text in both directions, and who keeps them.
//!
//! A group is checked as one of a file is, with the same words. Its namespace stands where others have their file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::TenantId;
use model::time::format_duration_ms;
use yaml::{Document, Mark};

use crate::file::{Fault, GroupSpec, Options, RuleKind, RuleSpec, parse};

/// A group as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredGroup {
    /// Where others have their file.
    pub namespace: String,
    /// The group's name.
    pub name: String,
    /// Counts changes of this group, from 1.
    pub version: i64,
    /// When it was changed, in ms since the epoch.
    pub changed_at_ms: i64,
    /// Who changed it.
    pub changed_by: String,
    /// What it says; `None`: with this version it was deleted.
    pub spec: Option<GroupSpec>,
}

/// A change that is wanted.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where others have their file.
    pub namespace: String,
    /// The group's name.
    pub name: String,
    /// What it shall say; `None`: it shall be deleted.
    pub spec: Option<GroupSpec>,
    /// The version that is to be changed, 0 if there must be none; `None`: whichever it is.
    pub expected: Option<i64>,
    /// Who wants it.
    pub by: String,
}

/// Rules by API cannot be had, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// There is no such group.
    #[error("group does not exist")]
    Missing,
    /// Somebody else was first.
    #[error("the group has version {found}, not {expected}; look at what it says now, and try again")]
    Conflict {
        /// What it has; 0 if there is none.
        found: i64,
        /// What was expected.
        expected: i64,
    },
    /// It is not for this tenant, or there are too many.
    #[error("{0}")]
    Refused(String),
    /// It cannot be read or written.
    #[error("{0}")]
    Store(String),
}

/// Keeps rules that came by API, and puts them in force. Calls block.
pub trait StoredRules: Send + Sync + 'static {
    /// All groups, by namespace and name.
    ///
    /// # Errors
    /// If they cannot be read.
    fn groups(&self, tenant: &TenantId) -> Result<Vec<StoredGroup>, StoredError>;

    /// What a group said, the newest first.
    ///
    /// # Errors
    /// `Missing`, or if it cannot be read.
    fn versions(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<StoredGroup>, StoredError>;

    /// Changes a group: once this returns, the change is on disk and in force. The new version.
    ///
    /// # Errors
    /// If it cannot be; nothing has changed then.
    fn change(&self, tenant: &TenantId, change: Change) -> Result<i64, StoredError>;

    /// Deletes all groups of a namespace. How many there were.
    ///
    /// # Errors
    /// `Missing` if there were none, or if it cannot be written.
    fn delete_namespace(&self, tenant: &TenantId, namespace: &str, by: &str) -> Result<usize, StoredError>;
}

/// No rules by API, and no place for them.
#[derive(Debug, Clone, Copy)]
pub struct NoStoredRules;

impl StoredRules for NoStoredRules {
    fn groups(&self, _: &TenantId) -> Result<Vec<StoredGroup>, StoredError> {
        Ok(Vec::new())
    }

    fn versions(&self, _: &TenantId, _: &str, _: &str) -> Result<Vec<StoredGroup>, StoredError> {
        Err(StoredError::Missing)
    }

    fn change(&self, _: &TenantId, _: Change) -> Result<i64, StoredError> {
        Err(StoredError::Refused("an agent evaluates no rules".to_owned()))
    }

    fn delete_namespace(&self, _: &TenantId, _: &str, _: &str) -> Result<usize, StoredError> {
        Err(StoredError::Missing)
    }
}

/// Reads a group on its own, as YAML or JSON.
///
/// # Errors
/// All faults, as those of a file.
pub fn parse_group(text: &str) -> Result<GroupSpec, Vec<Fault>> {
    let text = text.strip_prefix("---\n").unwrap_or(text);
    let mut file = String::from("groups:\n-\n");
    for line in text.lines() {
        let _infallible = writeln!(file, "  {line}");
    }
    let back = |fault: Fault| Fault {
        mark: fault.mark.map(|mark| Mark {
            line: mark.line.saturating_sub(2).max(1),
            column: mark.column.saturating_sub(2).max(1),
        }),
        message: fault.message,
    };
    let parsed = parse(file.as_bytes(), Options::default());
    let mut groups = parsed.map_err(|faults| faults.into_iter().map(back).collect::<Vec<_>>())?.groups;
    if groups.len() == 1 {
        return Ok(groups.remove(0));
    }
    Err(vec![Fault { mark: None, message: "one group is expected, with a name and rules".to_owned() }])
}

/// Appends `"key": value` to an object that was begun.
fn field(out: &mut String, key: &str, value: &str) {
    if !out.ends_with('{') {
        out.push_str(", ");
    }
    let _infallible = write!(out, "{}: {value}", quoted(key));
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn texts(texts: &BTreeMap<String, String>) -> String {
    let mut out = String::from("{");
    for (name, text) in texts {
        field(&mut out, name, &quoted(text));
    }
    out.push('}');
    out
}

/// A group as JSON, in a file's order of keys, without what is not said.
pub fn group_json(group: &GroupSpec) -> String {
    let duration = |ms: i64| quoted(&format_duration_ms(ms));
    let mut out = String::from("{");
    field(&mut out, "name", &quoted(&group.name));
    if let Some(interval_ms) = group.interval_ms {
        field(&mut out, "interval", &duration(interval_ms));
    }
    if let Some(offset_ms) = group.query_offset_ms {
        field(&mut out, "query_offset", &duration(offset_ms));
    }
    if group.limit != 0 {
        field(&mut out, "limit", &group.limit.to_string());
    }
    if !group.labels.is_empty() {
        field(&mut out, "labels", &texts(&group.labels));
    }
    let rules: Vec<String> = group.rules.iter().map(rule_json).collect();
    field(&mut out, "rules", &format!("[{}]", rules.join(", ")));
    out.push('}');
    out
}

fn rule_json(rule: &RuleSpec) -> String {
    let mut out = String::from("{");
    let kind = if rule.kind == RuleKind::Alerting { "alert" } else { "record" };
    field(&mut out, kind, &quoted(&rule.name));
    field(&mut out, "expr", &quoted(&rule.expr));
    for (key, ms) in [("for", rule.for_ms), ("keep_firing_for", rule.keep_firing_for_ms)] {
        if ms != 0 {
            field(&mut out, key, &quoted(&format_duration_ms(ms)));
        }
    }
    for (key, map) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
        if !map.is_empty() {
            field(&mut out, key, &texts(map));
        }
    }
    out.push('}');
    out
}

/// A group as YAML.
pub fn group_yaml(group: &GroupSpec) -> String {
    yaml_of(&group_json(group))
}

/// Groups by namespace, as YAML.
pub fn namespaces_yaml(groups: &[StoredGroup]) -> String {
    let mut namespaces: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for group in groups {
        if let Some(spec) = &group.spec {
            namespaces.entry(&group.namespace).or_default().push(group_json(spec));
        }
    }
    let mut out = String::from("{");
    for (namespace, groups) in namespaces {
        field(&mut out, namespace, &format!("[{}]", groups.join(", ")));
    }
    out.push('}');
    yaml_of(&out)
}

/// JSON is YAML; this is how people write it.
fn yaml_of(json: &str) -> String {
    Document::parse(json).map_or_else(|_| json.to_owned(), |document| document.print_redacted())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "\
name: g
interval: 30s
query_offset: 5s
limit: 7
labels: {team: a}
rules:
- record: r:x
  expr: |
    sum by (job) (x)
      / 2
- alert: A
  expr: r:x > 1
  for: 5m
  keep_firing_for: 1m
  labels: {severity: \"page: now\"}
  annotations: {summary: '{{ $value }} \"quoted\" \\ ünicode'}
";

    fn without_lines(mut group: GroupSpec) -> GroupSpec {
        group.rules.iter_mut().for_each(|rule| rule.line = 0);
        group
    }

    #[test]
    fn a_group_survives_both_forms() {
        let group = parse_group(GROUP).expect("sound");
        for text in [group_yaml(&group), group_json(&group), format!("---\n{GROUP}")] {
            let again = parse_group(&text).unwrap_or_else(|faults| panic!("{}: {text}", faults[0]));
            assert_eq!(without_lines(again), without_lines(group.clone()), "{text}");
        }
        assert!(
            group_yaml(&group).starts_with("name: g\ninterval: \"30s\"\nquery_offset: \"5s\"\n"),
            "{}",
            group_yaml(&group)
        );
    }

    #[test]
    fn namespaces_are_a_map_of_lists() {
        let stored = |namespace: &str| StoredGroup {
            namespace: namespace.to_owned(),
            name: "g".to_owned(),
            version: 1,
            changed_at_ms: 0,
            changed_by: String::new(),
            spec: Some(parse_group("name: g\nrules: []").expect("sound")),
        };
        let text = namespaces_yaml(&[stored("a"), stored("b/c")]);
        assert_eq!(text, "a:\n- name: g\n  rules: []\nb/c:\n- name: g\n  rules: []\n");
    }

    #[test]
    fn faults_are_those_of_files() {
        let check = |text: &str, want: &str| {
            let faults = parse_group(text).expect_err("a fault");
            assert!(faults[0].to_string().contains(want), "{}", faults[0]);
        };
        check(
            "name: g\nrules:\n- alert: A\n  expr: x =",
            "4:3: group \"g\", rule 1, \"A\": could not parse expression",
        );
        check("rules: []", "Groupname must not be empty");
        check("name: g\nruls: []", "ruls");
        check("", "name");
    }
}
