//! Snippets of the documentation, so that tests run what people copy.

use crate::paths;

/// A code block.
#[derive(Debug, Clone)]
pub struct Block {
    /// In which line of its file it begins.
    pub line: usize,
    /// What it is called behind `test=`, if it is.
    pub name: Option<String>,
    /// What stands in it.
    pub text: String,
}

/// All code blocks of `docs/user/FILE`, in order. A block's fence says in which language it is, and `test=NAME`.
///
/// # Panics
/// If there is no such file, or a block does not end.
pub fn blocks(file: &str) -> Vec<Block> {
    let path = paths::root().join("docs/user").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (line, content) in (1..).zip(text.lines()) {
        match (&mut open, content.strip_prefix("```")) {
            (None, Some(fence)) => {
                let name = fence.split_whitespace().find_map(|word| word.strip_prefix("test="));
                open = Some(Block { line, name: name.map(str::to_owned), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.push_str(&format!("{content}\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: the block {open:?} does not end", path.display());
    blocks
}

/// The code block of `docs/user/FILE` that is called `test=NAME`.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn snippet(file: &str, name: &str) -> String {
    let block = blocks(file).into_iter().find(|block| block.name.as_deref() == Some(name));
    block.unwrap_or_else(|| panic!("docs/user/{file} has no code block {name:?}")).text
}
