//! What must hold of rule files beyond their types, in Prometheus' words and order.

use std::collections::BTreeSet;

use model::METRIC_NAME;
use model::labels::{is_legacy_label_name, is_legacy_metric_name, write_quoted};
use promql::QueryError;
use yaml::Document;

use super::{Fault, Options, RawGroup, RawRule};
use crate::missing::{KNOWN_MS, OnMissing, absence_query, presence_query};
use crate::text::Text;

/// Looks at all groups of a file and keeps what is wrong.
pub(super) struct Checker<'a> {
    pub(super) document: &'a Document,
    /// The keys down to the list of groups.
    pub(super) base: &'a [&'a str],
    pub(super) options: Options,
    pub(super) faults: &'a mut Vec<Fault>,
}

/// The rule that is looked at.
#[derive(Clone, Copy)]
struct At<'r> {
    group_at: usize,
    group: &'r str,
    rule_at: usize,
    rule: &'r str,
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    let _infallible = write_quoted(&mut out, text);
    out
}

impl Checker<'_> {
    pub(super) fn groups(&mut self, groups: &[RawGroup]) {
        let mut names = BTreeSet::new();
        for (at, group) in groups.iter().enumerate() {
            if group.name.is_empty() {
                self.group_fault(at, &[], "Groupname must not be empty".to_owned());
            }
            if !names.insert(group.name.as_str()) {
                let text = format!("groupname: \"{}\" is repeated in the same file", group.name);
                self.group_fault(at, &[], text);
            }
            for name in group.labels.keys() {
                if !self.is_label_name(name) || name == METRIC_NAME {
                    self.group_fault(at, &["labels", name], format!("invalid label name: {name}"));
                }
            }
            for (rule_at, rule) in group.rules.iter().enumerate() {
                let name = if rule.alert.is_empty() { &rule.record } else { &rule.alert };
                let at = At { group_at: at, group: &group.name, rule_at, rule: name };
                self.names_and_expression(at, rule);
                if !rule.record.is_empty() {
                    self.recording(at, rule);
                }
                self.missing(at, rule);
                self.labels_and_annotations(at, rule);
            }
        }
    }

    fn is_label_name(&self, name: &str) -> bool {
        if self.options.legacy_names { is_legacy_label_name(name) } else { !name.is_empty() }
    }

    fn names_and_expression(&mut self, at: At<'_>, rule: &RawRule) {
        match (rule.record.is_empty(), rule.alert.is_empty()) {
            (false, false) => self.fault(at, &["alert"], "only one of 'record' and 'alert' must be set"),
            (true, true) => self.fault(at, &[], "one of 'record' or 'alert' must be set"),
            _ => {}
        }
        if rule.expr.is_empty() {
            self.fault(at, &["expr"], "field 'expr' must be set in rule");
        } else if let Err(faults) = promql::parser::parse(&rule.expr) {
            let text = format!("could not parse expression: {}", QueryError::Parse(faults));
            self.fault(at, &["expr"], &text);
        }
    }

    fn recording(&mut self, at: At<'_>, rule: &RawRule) {
        let wrong = [
            ("annotations", !rule.annotations.is_empty()),
            ("for", rule.hold.0 != 0),
            ("keep_firing_for", rule.keep_firing_for.0 != 0),
            ("on_missing", rule.on_missing.is_some()),
            ("missing_tolerance", rule.missing_tolerance != 0),
            ("absent_for", rule.absent_for.0 != 0),
            ("flapping", rule.flapping.is_some()),
        ];
        for (key, is_set) in wrong {
            if is_set {
                self.fault(at, &[key], &format!("invalid field '{key}' in recording rule"));
            }
        }
        let name = &rule.record;
        if self.options.legacy_names && !is_legacy_metric_name(name) {
            self.fault(at, &["record"], &format!("invalid recording rule name: {name}"));
        }
        if name.contains(['{', '}']) {
            let text = format!("braces present in the recording rule name; should it be in expr?: {name}");
            self.fault(at, &["record"], &text);
        }
    }

    /// Kymo's own keys.
    fn missing(&mut self, at: At<'_>, rule: &RawRule) {
        let Ok(expr) = promql::parser::parse(&rule.expr) else { return };
        let asks_on_missing = rule.on_missing.is_some_and(|on_missing| on_missing != OnMissing::Resolve);
        for (key, is_set) in
            [("on_missing", asks_on_missing), ("missing_tolerance", rule.missing_tolerance != 0)]
        {
            if !is_set {
                continue;
            }
            if rule.absent_for.0 != 0 {
                self.fault(at, &[key], &format!("only one of '{key}' and 'absent_for' must be set"));
            } else if let Err(why) = presence_query(&expr) {
                self.fault(at, &[key], &format!("'{key}' cannot be honoured: {why}"));
            }
        }
        if rule.absent_for.0 != 0 {
            if let Err(why) = absence_query(&expr, rule.absent_for.0) {
                self.fault(at, &["absent_for"], &format!("'absent_for' cannot be honoured: {why}"));
            } else if rule.absent_for.0 >= KNOWN_MS {
                self.fault(at, &["absent_for"], "'absent_for' must be less than a day");
            }
        }
        if let Some(flapping) = &rule.flapping
            && (flapping.times < 2 || flapping.within.0 <= 0 || flapping.hold.0 <= 0)
        {
            let text = "'flapping' needs 'times' of at least 2, and 'within' and 'hold' of more than 0";
            self.fault(at, &["flapping"], text);
        }
    }

    fn labels_and_annotations(&mut self, at: At<'_>, rule: &RawRule) {
        for name in rule.labels.keys() {
            if !self.is_label_name(name) || name == METRIC_NAME {
                self.fault(at, &["labels", name], &format!("invalid label name: {name}"));
            }
        }
        for name in rule.annotations.keys() {
            if !self.is_label_name(name) {
                self.fault(at, &["annotations", name], &format!("invalid annotation name: {name}"));
            }
        }
        if rule.alert.is_empty() {
            return;
        }
        for (word, key, texts) in
            [("label", "labels", &rule.labels), ("annotation", "annotations", &rule.annotations)]
        {
            for (name, text) in texts {
                if let Err(error) = Text::parse(&rule.alert, text) {
                    self.fault(at, &[key, name], &format!("{word} {}: {error}", quoted(name)));
                }
            }
        }
    }

    fn group_fault(&mut self, group_at: usize, path: &[&str], message: String) {
        self.add(&[&group_at.to_string()], path, message);
    }

    fn fault(&mut self, at: At<'_>, path: &[&str], message: &str) {
        let number = at.rule_at + 1;
        let message = format!("group {}, rule {number}, {}: {message}", quoted(at.group), quoted(at.rule));
        self.add(&[&at.group_at.to_string(), "rules", &at.rule_at.to_string()], path, message);
    }

    fn add(&mut self, place: &[&str], path: &[&str], message: String) {
        let path: Vec<&str> = self.base.iter().chain(place).chain(path).copied().collect();
        let mark = self.document.fault(&path, "").mark;
        self.faults.push(Fault { mark, message });
    }
}
