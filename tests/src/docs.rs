//! Snippets of the documentation, so that tests run what people copy.

use crate::paths;

/// The code block of `docs/user/FILE` that begins with a fence and `test=NAME`.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn snippet(file: &str, name: &str) -> String {
    let path = paths::root().join("docs/user").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mark = format!(" test={name}");
    let is_fence = |line: &&str| line.starts_with("```");
    let mut lines = text.lines().skip_while(|line| !(is_fence(line) && line.ends_with(&mark))).skip(1);
    let block: Vec<&str> = lines.by_ref().take_while(|line| !is_fence(line)).collect();
    assert!(!block.is_empty(), "{} has no code block {name:?}", path.display());
    block.join("\n") + "\n"
}
