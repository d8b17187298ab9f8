//! Relabelling: rules that rewrite a label set, or drop whatever carries it.
//!
//! Used on targets, scraped series, alerts and remote writes alike. [`RelabelSettings`] is a rule as the
//! configuration file has it, with Prometheus' defaults; [`Rule`] is one that was checked, with its expression
//! and templates compiled. Actions, defaults and error texts are those of Prometheus 3 (`model/relabel`); label
//! names are UTF-8.

use std::borrow::Cow;

use regex::{Captures, Regex};
use serde::{Deserialize, Deserializer, Serialize};

use crate::labels::{LabelsBuilder, write_quoted};
use crate::matcher::{RegexError, compile_anchored};

mod template;

pub use template::Template as Expansion;
use template::Template;

const SEPARATOR: &str = ";";
const REGEX: &str = "(.*)";
const REPLACEMENT: &str = "$1";
const ACTION: &str = "replace";

/// One rule as the configuration file has it. A key without a value counts as the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelabelSettings {
    /// Labels whose values are joined to the rule's input; `None` if the key is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_labels: Option<Vec<String>>,
    /// Stands between the joined values.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub separator: String,
    /// What the input (or label name) is matched with, anchored at both ends.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "is_default_regex")]
    pub regex: String,
    /// For `hashmod`: what the hash is divided by.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// The label that is written; a template for `replace`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub target_label: String,
    /// The template of the written value, or for `labelmap` of the name.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub replacement: String,
    /// What is done, in any case of letters.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub action: String,
}

impl Default for RelabelSettings {
    fn default() -> Self {
        Self {
            source_labels: None,
            separator: SEPARATOR.to_owned(),
            regex: REGEX.to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: REPLACEMENT.to_owned(),
            action: ACTION.to_owned(),
        }
    }
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

fn is_default_regex(regex: &str) -> bool {
    regex == REGEX
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(modulus: &u64) -> bool {
    *modulus == 0
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sets a label to a template filled from the matched input; removes it if the result is empty.
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops if the target label differs from the input.
    KeepEqual,
    /// Drops if the target label equals the input.
    DropEqual,
    /// Sets a label to the input's MD5 modulo a number.
    HashMod,
    /// Copies the labels whose names match to the names a template yields.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Sets a label to the input in lower case.
    Lowercase,
    /// Sets a label to the input in upper case.
    Uppercase,
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// The word in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    fn parse(text: &str) -> Result<Self, RelabelError> {
        if text.is_empty() {
            return Err(RelabelError::NoAction);
        }
        let lower = text.to_lowercase();
        let found = Self::ALL.into_iter().find(|action| action.as_str() == lower);
        found.ok_or_else(|| RelabelError::UnknownAction(text.to_owned()))
    }

    fn writes_target(self) -> bool {
        matches!(self, Self::Replace | Self::HashMod | Self::Lowercase | Self::Uppercase) || self.compares()
    }

    fn compares(self) -> bool {
        matches!(self, Self::KeepEqual | Self::DropEqual)
    }
}

/// Why a rule cannot be used. Texts are Prometheus'.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RelabelError {
    /// `action:` without a value.
    #[error("relabel action cannot be empty")]
    NoAction,
    /// A word that is no action.
    #[error("unknown relabel action {}", quoted(.0))]
    UnknownAction(String),
    /// `hashmod` without `modulus`.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// An action that needs `target_label` and has none.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTargetLabel(&'static str),
    /// `replacement` where it means nothing.
    #[error("'replacement' can not be set for {0} action")]
    ReplacementNotAllowed(&'static str),
    /// `labelmap` whose template yields no name.
    #[error("{} is invalid 'replacement' for {} action", quoted(.0), .1)]
    InvalidReplacement(String, &'static str),
    /// `keepequal` and `dropequal` with more than they use.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(&'static str),
    /// `labeldrop` and `labelkeep` with more than they use.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(&'static str),
    /// `regex` is not one.
    #[error(transparent)]
    Regex(RegexError),
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    let _infallible = write_quoted(&mut out, text);
    out
}

/// A rule that was checked and compiled. Two rules are equal if their settings are.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RelabelSettings")]
pub struct Rule {
    settings: RelabelSettings,
    action: Action,
    regex: Regex,
    target: Template,
    replacement: Template,
    /// The rule sets a constant, whatever the input is.
    unconditional: bool,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Rule {}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.settings.serialize(serializer)
    }
}

impl TryFrom<RelabelSettings> for Rule {
    type Error = RelabelError;

    fn try_from(settings: RelabelSettings) -> Result<Self, RelabelError> {
        Self::new(settings)
    }
}

impl Rule {
    /// Checks and compiles a rule.
    ///
    /// # Errors
    /// Says what is wrong with it, in Prometheus' words.
    pub fn new(settings: RelabelSettings) -> Result<Self, RelabelError> {
        let regex = compile_anchored(&settings.regex).map_err(|error| {
            // Prometheus anchors before it parses, so where all is at fault, the anchors are named too.
            let whole = error.pattern == settings.regex;
            let pattern = if whole { format!("^(?s:{})$", settings.regex) } else { error.pattern };
            RelabelError::Regex(RegexError { pattern, message: error.message })
        })?;
        let action = check(&settings)?;
        let target = Template::new(&settings.target_label, &regex);
        let replacement = Template::new(&settings.replacement, &regex);
        let unconditional = settings.regex == REGEX
            && !settings.target_label.contains('$')
            && !settings.replacement.contains('$');
        Ok(Self {
            settings: RelabelSettings { action: action.as_str().to_owned(), ..settings },
            action,
            regex,
            target,
            replacement,
            unconditional,
        })
    }

    /// The rule as the configuration has it.
    pub fn settings(&self) -> &RelabelSettings {
        &self.settings
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.action
    }

    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let target = self.settings.target_label.as_str();
        match self.action {
            Action::Keep => self.regex.is_match(&self.input(labels)),
            Action::Drop => !self.regex.is_match(&self.input(labels)),
            Action::KeepEqual => labels.get(target).unwrap_or("") == self.input(labels),
            Action::DropEqual => labels.get(target).unwrap_or("") != self.input(labels),
            Action::Replace => {
                self.replace(labels);
                true
            }
            Action::HashMod => {
                let digest = md5::compute(self.input(labels).as_bytes());
                // The last eight bytes, as Prometheus has always taken them.
                let hash = digest.0[8..].iter().fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
                let bucket = (hash % self.settings.modulus.max(1)).to_string();
                labels.set(target, &bucket);
                true
            }
            Action::Lowercase => {
                let lower: String = self.input(labels).chars().map(lower).collect();
                labels.set(target, &lower);
                true
            }
            Action::Uppercase => {
                let upper: String = self.input(labels).chars().map(upper).collect();
                labels.set(target, &upper);
                true
            }
            Action::LabelMap => {
                self.map(labels);
                true
            }
            Action::LabelDrop => {
                labels.retain(|name, _| !self.regex.is_match(name));
                true
            }
            Action::LabelKeep => {
                labels.retain(|name, _| self.regex.is_match(name));
                true
            }
        }
    }

    /// The values of the source labels, joined.
    fn input<'a>(&self, labels: &'a LabelsBuilder) -> Cow<'a, str> {
        match self.settings.source_labels.as_deref() {
            None | Some([]) => Cow::Borrowed(""),
            Some([only]) => Cow::Borrowed(labels.get(only).unwrap_or("")),
            Some(several) => {
                let mut joined = String::new();
                for (i, name) in several.iter().enumerate() {
                    if i > 0 {
                        joined.push_str(&self.settings.separator);
                    }
                    joined.push_str(labels.get(name).unwrap_or(""));
                }
                Cow::Owned(joined)
            }
        }
    }

    fn replace(&self, labels: &mut LabelsBuilder) {
        if self.unconditional {
            labels.set(&self.settings.target_label, &self.settings.replacement);
            return;
        }
        let (target, value) = {
            let input = self.input(labels);
            let Some(captures) = self.regex.captures(&input) else { return };
            (self.target.expand(&captures), self.replacement.expand(&captures))
        };
        if !target.is_empty() {
            labels.set(&target, &value);
        }
    }

    fn map(&self, labels: &mut LabelsBuilder) {
        let mapped: Vec<(String, String)> = labels
            .iter()
            .filter_map(|(name, value)| {
                let captures: Captures<'_> = self.regex.captures(name)?;
                Some((self.replacement.expand(&captures), value.to_owned()))
            })
            .collect();
        for (name, value) in mapped.iter().filter(|(name, _)| !name.is_empty()) {
            labels.set(name, value);
        }
    }
}

/// Prometheus' checks, in its order, so that the same fault is named.
fn check(settings: &RelabelSettings) -> Result<Action, RelabelError> {
    let action = Action::parse(&settings.action)?;
    let word = action.as_str();
    let replacement_set = settings.replacement != REPLACEMENT;
    if action == Action::HashMod && settings.modulus == 0 {
        return Err(RelabelError::NoModulus);
    }
    if action.writes_target() && settings.target_label.is_empty() {
        return Err(RelabelError::NoTargetLabel(word));
    }
    let without_replacement = action.compares() || matches!(action, Action::Lowercase | Action::Uppercase);
    if without_replacement && replacement_set {
        return Err(RelabelError::ReplacementNotAllowed(word));
    }
    if action == Action::LabelMap && settings.replacement.is_empty() {
        return Err(RelabelError::InvalidReplacement(settings.replacement.clone(), word));
    }
    let others_set = settings.modulus != 0 || settings.separator != SEPARATOR || replacement_set;
    if action.compares() && (settings.regex != REGEX || others_set) {
        return Err(RelabelError::OnlySourceAndTarget(word));
    }
    let by_name = matches!(action, Action::LabelDrop | Action::LabelKeep);
    if by_name && (settings.source_labels.is_some() || !settings.target_label.is_empty() || others_set) {
        return Err(RelabelError::OnlyRegex(word));
    }
    Ok(action)
}

/// One character for one, as Go maps case; std's full mapping may yield several.
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// As [`lower`]; a character whose upper case is several (`ß`) stays.
fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// Applies rules in order. `false` means that the labels' owner is dropped; the labels are then unspecified.
pub fn apply(rules: &[Rule], labels: &mut LabelsBuilder) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

#[cfg(test)]
mod tests;
