//! The configuration loader: what files become, and what their faults say.

use std::path::Path;

/// Writes a file of a test.
pub(crate) fn write(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a fixture needs no crash guarantee")]
    std::fs::write(path, text).expect("written");
}
