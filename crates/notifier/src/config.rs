//! Alertmanager's configuration file: read, checked and completed, every fault with its line and in Alertmanager's words.
//!
//! Map: [`values`] values with a syntax of their own · [`global`] defaults of all receivers · `file` the other
//! sections · `crate::receiver` the receivers, each kind with its settings beside its sender.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_client::InvalidSettings;
use yaml::Document;

use crate::inhibit::InhibitRule;
use crate::interval::TimeInterval;
use crate::receiver::Receiver;
use crate::route::Route;

pub(crate) mod file;
pub mod global;
pub mod values;

pub use global::Global;

/// A configuration, every value decided.
#[derive(Debug, Clone)]
pub struct Config {
    /// `global`.
    pub global: Arc<Global>,
    /// The routing tree.
    pub route: Arc<Route>,
    /// Which alerts mute which.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Who is told, in the file's order.
    pub receivers: Vec<Receiver>,
    /// Intervals by name.
    pub intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// Files of templates, found by the patterns of `templates`.
    pub template_files: Vec<PathBuf>,
    /// How many patterns `templates` holds.
    pub template_pattern_count: usize,
    /// The file again, secrets hidden.
    pub redacted: String,
}

/// What is used where there is no file: alerts are shown, nobody is told.
pub const WITHOUT_FILE: &str = "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n";

impl Config {
    /// Reads a configuration. Relative paths in it are relative to `directory`.
    ///
    /// # Errors
    /// The first fault, with its position.
    pub fn parse(bytes: &[u8], directory: &Path) -> Result<Self, yaml::Error> {
        let document = Document::parse_bytes(bytes)?;
        Self::from_document(&document, directory)
    }

    /// As [`Self::parse`], for configurations that nobody is told by: looks for no files on this machine.
    ///
    /// # Errors
    /// The first fault, with its position.
    pub fn parse_without_templates(bytes: &[u8]) -> Result<Self, yaml::Error> {
        let mut document = Document::parse_bytes(bytes)?;
        if let yaml::node::Value::Mapping(entries) = &mut document.root.value {
            entries.retain(|entry| entry.key != "templates");
        }
        Self::from_document(&document, Path::new(""))
    }

    /// The same from a tree.
    ///
    /// # Errors
    /// The first fault, with its position.
    pub fn from_document(document: &Document, directory: &Path) -> Result<Self, yaml::Error> {
        let mut file: file::File = document.read()?;
        let fault = |error: InvalidSettings| document.fault(&error.path, error.message);
        file.check_and_inherit().map_err(fault)?;
        let mut template_files = Vec::new();
        for (at, pattern) in file.templates.iter().enumerate() {
            let found = matching_files(directory, pattern);
            template_files
                .extend(found.map_err(|message| {
                    fault(InvalidSettings::at(["templates", &at.to_string()], message))
                })?);
        }
        for receiver in &mut file.receivers {
            receiver.set_directory(directory);
        }
        let route = file.route.as_ref().map(Route::root).unwrap_or_default();
        let intervals = file.mute_time_intervals.into_iter().chain(file.time_intervals);
        Ok(Self {
            route: Arc::new(route),
            inhibit_rules: file.inhibit_rules.iter().map(InhibitRule::new).collect(),
            receivers: file.receivers.into_iter().map(Receiver::new).collect(),
            intervals: intervals.map(|named| (named.name, named.time_intervals)).collect(),
            template_pattern_count: file.templates.len(),
            template_files,
            redacted: document.print_redacted(),
            global: Arc::new(file.global),
        })
    }

    /// What is used where there is no file.
    pub fn without_file() -> Self {
        Self::parse(WITHOUT_FILE.as_bytes(), Path::new("")).expect("BUG: our own configuration is at fault")
    }
}

/// Files of a pattern, sorted. A file that is not there is none, as with Alertmanager.
fn matching_files(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = directory.join(pattern);
    let text = pattern.to_str().ok_or("the path is not UTF-8")?;
    let paths = glob::glob(text).map_err(|error| format!("not a pattern of files: {error}"))?;
    paths.map(|found| found.map_err(|error| format!("cannot read: {error}"))).collect()
}

#[cfg(test)]
mod tests;
