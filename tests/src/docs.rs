//! Snippets of the documentation, so that tests run what people copy.

use crate::paths;

/// The code block of `docs/user/FILE` that follows the line `<!-- test: NAME -->`.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn snippet(file: &str, name: &str) -> String {
    let path = paths::root().join("docs/user").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mark = format!("<!-- test: {name} -->");
    let (_, behind) = text.split_once(&mark).unwrap_or_else(|| panic!("{} has no {mark}", path.display()));
    let mut lines = behind.lines().skip_while(|line| !line.starts_with("```")).skip(1);
    let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
    assert!(!block.is_empty(), "{mark} has no code block behind it");
    block.join("\n") + "\n"
}
