//! `rule_files`: the files that patterns name, read and checked. One that is not sound refuses the whole configuration.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_client::InvalidSettings;
use model::Labels;
use rules::file::{Fault, Options, RuleFile, parse};
use rules::{Defaults, External, Settings};
use scrape::settings::{Global, ValidationScheme};
use yaml::Document;

use super::{ConfigError, matching_files};

/// Why rules cannot be had.
pub(super) enum LoadError {
    /// A pattern is none.
    Pattern(InvalidSettings),
    /// A file cannot be read, or is not sound.
    File { path: PathBuf, fault: Fault },
}

impl LoadError {
    /// The error with its place, which is in the rule file if there is one.
    pub(super) fn into_config_error(self, config: &Path, document: &Document) -> ConfigError {
        match self {
            Self::Pattern(error) => ConfigError::new(config, document.fault(&error.path, error.message)),
            Self::File { path, fault } => {
                let mut error = yaml::Error::new(fault.message);
                error.mark = fault.mark;
                ConfigError::new(&path, error)
            }
        }
    }
}

/// Reads all files of all patterns, each once.
pub(super) fn load(
    directory: &Path,
    patterns: &[String],
    global: &Global,
    external_labels: &Labels,
    repair_missed_ms: i64,
) -> Result<Settings, LoadError> {
    let options =
        Options { legacy_names: global.validation() == ValidationScheme::Legacy, ..Options::default() };
    let mut files: BTreeMap<PathBuf, Arc<RuleFile>> = BTreeMap::new();
    for (at, pattern) in patterns.iter().enumerate() {
        let found = matching_files(directory, pattern).map_err(|message| {
            LoadError::Pattern(InvalidSettings::at(["rule_files", &at.to_string()], message))
        })?;
        for path in found {
            if let Entry::Vacant(place) = files.entry(path) {
                let file = read(place.key(), options)?;
                place.insert(Arc::new(file));
            }
        }
    }
    Ok(Settings {
        files: files.into_iter().map(|(path, file)| (path.to_string_lossy().into_owned(), file)).collect(),
        defaults: Defaults {
            interval_ms: global.evaluation_interval_ms(),
            query_offset_ms: global.rule_query_offset.0,
            repair_missed_ms,
            external: Arc::new(External { labels: external_labels.clone(), url: String::new() }),
        },
    })
}

fn read(path: &Path, options: Options) -> Result<RuleFile, LoadError> {
    let fault = |fault: Fault| LoadError::File { path: path.to_owned(), fault };
    let bytes = std::fs::read(path)
        .map_err(|error| fault(Fault { mark: None, message: format!("cannot read the file: {error}") }))?;
    parse(&bytes, options).map_err(|mut faults| {
        // There is at least one; the first is the one to mend first.
        fault(faults.swap_remove(0))
    })
}
