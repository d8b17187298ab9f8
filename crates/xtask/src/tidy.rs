//! What no compiler checks.
//!
//! Map: [`floors`] a crate imports only from floors below · [`rust`] module docs, sizes of files and
//! functions · [`documents`] paths named in Markdown exist · [`texts`] words that have no place here.

mod documents;
mod floors;
mod rust;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many files were looked at.
    pub(crate) files: usize,
    /// What must be mended before it can land.
    pub(crate) faults: Vec<String>,
    /// What should be mended soon.
    pub(crate) warnings: Vec<String>,
}

/// Looks at the whole repository.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn check(root: &Path) -> Result<Report> {
    let mut report = Report::default();
    floors::check(root, &mut report)?;
    for path in files(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        report.files += 1;
        texts::check(&name, &text, &mut report);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => rust::check(&name, &text, &mut report),
            Some("md") => documents::check(root, &name, &text, &mut report),
            _ => {}
        }
    }
    Ok(report)
}

/// Directories that hold what others or a build made.
const LEFT_OUT: [&str; 10] = [
    ".git",
    "target",
    "node_modules",
    "dist",
    "data",
    "corpus",
    "artifacts",
    "seeds",
    "test-results",
    "playwright-report",
];

fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries =
            fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            if kind.is_dir() && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
