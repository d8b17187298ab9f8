//! `file_sd_configs`: targets in JSON or YAML files, read again when they change.
//!
//! Directories of the patterns are watched; since a watch may fail or miss (network file systems, directories
//! made later), everything is also read at the refresh interval. A file that cannot be read or understood keeps
//! its last good targets, is logged once per error, and counted; a file that is gone takes its targets with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Notify;

use crate::place::Publisher;
use crate::settings::FileSd;
use crate::{Shared, TargetGroup};

/// A larger file is refused; it would be tens of millions of targets.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Writers touch a file several times in a row; reading waits for them.
const SETTLE: Duration = Duration::from_millis(100);
/// The path of the file a target came from.
const FILEPATH_LABEL: &str = "__meta_filepath";

/// Why a file has no targets to give.
#[derive(Debug, PartialEq, thiserror::Error)]
enum FileError {
    #[error("cannot read: {0}")]
    Read(String),
    #[error("larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("not a list of target groups: {0}")]
    Syntax(String),
    #[error("nil target group item found (index {0})")]
    NilGroup(usize),
    #[error("{0:?} is not a valid label name")]
    LabelName(String),
}

/// Reads and watches until it is aborted.
pub(crate) async fn run(settings: FileSd, shared: Shared, mut publisher: Publisher) {
    let wake = Arc::new(Notify::new());
    let refresh = Duration::from_millis(u64::try_from(settings.refresh_interval.0).unwrap_or(0).max(1_000));
    let mut files =
        Files { patterns: settings.files, shared, wake: Arc::clone(&wake), known: BTreeMap::new() };
    loop {
        // Directories and files may be slow (NFS), and must not hold up the loops of targets.
        let read = tokio::task::spawn_blocking(move || {
            let groups = files.refresh();
            (files, groups)
        });
        let Ok((returned, groups)) = read.await else {
            return; // The runtime is shutting down.
        };
        files = returned;
        publisher.publish(groups);
        tokio::select! {
            () = tokio::time::sleep(refresh) => {}
            () = wake.notified() => tokio::time::sleep(SETTLE).await,
        }
    }
}

/// The files of one section and what is known about each.
struct Files {
    patterns: Vec<String>,
    shared: Shared,
    wake: Arc<Notify>,
    known: BTreeMap<PathBuf, Known>,
}

#[derive(Default)]
struct Known {
    groups: Vec<TargetGroup>,
    error: Option<FileError>,
}

impl Files {
    /// Reads all files, and says what all of them together yield.
    fn refresh(&mut self) -> Vec<TargetGroup> {
        // Watched first, so that a change while reading is noticed.
        self.watch();
        let paths: BTreeSet<PathBuf> = self.patterns.iter().flat_map(|pattern| matching(pattern)).collect();
        let (known, metrics) = (&mut self.known, &self.shared.metrics);
        known.retain(|path, known| {
            let keep = paths.contains(path);
            if !keep && known.error.is_some() {
                metrics.files_failing.dec();
            }
            keep
        });
        for path in paths {
            self.read(path);
        }
        self.known.values().flat_map(|known| known.groups.iter().cloned()).collect()
    }

    fn read(&mut self, path: PathBuf) {
        let result = read_groups(&path);
        let word = if result.is_ok() { "ok" } else { "failed" };
        self.shared.metrics.file_reads.with_label_values(&[word]).inc();
        let known = self.known.entry(path.clone()).or_default();
        let failed_before = known.error.is_some();
        match result {
            Ok(groups) => *known = Known { groups, error: None },
            Err(error) => {
                if known.error.as_ref() != Some(&error) {
                    tracing::warn!(file = %path.display(), %error, "target file is bad; its last good targets stay");
                }
                known.error = Some(error);
            }
        }
        match (failed_before, known.error.is_some()) {
            (false, true) => self.shared.metrics.files_failing.inc(),
            (true, false) => self.shared.metrics.files_failing.dec(),
            _ => {}
        }
    }

    /// Watches the directories of the patterns; one that is missing is tried again at the next refresh.
    fn watch(&self) {
        for pattern in &self.patterns {
            let directory = match Path::new(pattern).parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            if let Err(error) = self.shared.directories.watch(directory, &self.wake) {
                self.shared.metrics.watch_errors.inc();
                tracing::debug!(directory = %directory.display(), %error, "cannot watch target files");
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let failing = self.known.values().filter(|known| known.error.is_some()).count();
        self.shared.metrics.files_failing.sub(i64::try_from(failing).unwrap_or(i64::MAX));
    }
}

fn matching(pattern: &str) -> Vec<PathBuf> {
    match glob::glob(pattern) {
        Ok(paths) => paths.filter_map(Result::ok).collect(),
        Err(error) => {
            tracing::warn!(pattern, %error, "pattern of target files is not valid");
            Vec::new()
        }
    }
}

fn read_groups(path: &Path) -> Result<Vec<TargetGroup>, FileError> {
    let unreadable = |error: std::io::Error| FileError::Read(error.to_string());
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    parse_groups(&text, is_json, &path.to_string_lossy())
}

/// A group as files have it; an absent or null part is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileGroup {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

fn parse_groups(text: &str, is_json: bool, path: &str) -> Result<Vec<TargetGroup>, FileError> {
    let syntax = |error: String| FileError::Syntax(error);
    let groups: Option<Vec<Option<FileGroup>>> = if is_json {
        serde_json::from_str(text).map_err(|e| syntax(e.to_string()))?
    } else {
        yaml::from_str(text).map_err(|e| syntax(e.to_string()))?
    };
    let mut found = Vec::new();
    for (i, group) in groups.unwrap_or_default().into_iter().enumerate() {
        let group = group.ok_or(FileError::NilGroup(i))?;
        let mut labels = group.labels.unwrap_or_default();
        if let Some(bad) = labels.keys().find(|name| name.is_empty()) {
            return Err(FileError::LabelName(bad.clone()));
        }
        labels.insert(FILEPATH_LABEL.to_owned(), path.to_owned());
        let targets = group.targets.unwrap_or_default();
        found.push(TargetGroup::of_addresses(format!("{path}:{i}"), targets, &labels));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
