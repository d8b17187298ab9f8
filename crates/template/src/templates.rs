//! A set of named templates that may call one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::exec::Run;
use crate::html::Writer;
use crate::library::Library;
use crate::tree::{self, Tree};
use crate::value::Value;
use crate::{builtins, parse};

/// What one run of a template may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes, evaluations, turns of ranges, and elements of lists that functions make.
    pub steps_max: u64,
    /// Bytes of the output, and of each text on the way to it.
    pub bytes_max: usize,
}

/// Room for a notification of some thousand alerts.
impl Default for Limits {
    fn default() -> Self {
        Self { steps_max: 2_000_000, bytes_max: 8 << 20 }
    }
}

/// Named templates. Cloning shares them, so that one may be added for a while.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    trees: BTreeMap<Arc<str>, Arc<Tree>>,
    limits: Limits,
}

impl Templates {
    /// An empty set.
    pub fn new(limits: Limits) -> Self {
        Self { trees: BTreeMap::new(), limits }
    }

    /// Reads a text and adds it as the template `name`, and those that it defines. As in Go, a later template takes
    /// the place of an earlier one of its name, unless it says nothing.
    ///
    /// # Errors
    /// If the text is no template or uses a function that `library` does not have. Nothing is added then.
    pub fn add(&mut self, name: &str, text: &str, library: &dyn Library) -> Result<(), Error> {
        let knows = |name: &str| {
            matches!(name, "and" | "or")
                || builtins::signature(name).is_some()
                || library.signature(name).is_some()
        };
        for tree in parse::parse(name, text, &knows)? {
            if tree::is_empty(&tree.root) && self.trees.contains_key(&tree.name) {
                continue;
            }
            self.trees.insert(tree.name.clone(), Arc::new(tree));
        }
        Ok(())
    }

    /// Whether there is a template of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.trees.contains_key(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.trees.keys().map(|name| &**name)
    }

    /// Runs a template; its output is plain text.
    ///
    /// # Errors
    /// If there is none of that name, or it fails with this data.
    pub fn text(&self, name: &str, data: &Value, library: &dyn Library) -> Result<String, Error> {
        self.run(name, data, library, Writer::plain(self.limits.bytes_max))
    }

    /// Runs a template; its output is HTML, in which values are escaped for the place where they stand.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn html(&self, name: &str, data: &Value, library: &dyn Library) -> Result<String, Error> {
        self.run(name, data, library, Writer::html(self.limits.bytes_max))
    }

    /// Reads a text that may use the templates of this set, and runs it: a field of a notification. Output is plain text.
    ///
    /// # Errors
    /// If it is no template, or fails with this data.
    pub fn expand_text(&self, text: &str, data: &Value, library: &dyn Library) -> Result<String, Error> {
        self.with(text, library)?.text("", data, library)
    }

    /// The same, as HTML.
    ///
    /// # Errors
    /// As [`expand_text`](Self::expand_text).
    pub fn expand_html(&self, text: &str, data: &Value, library: &dyn Library) -> Result<String, Error> {
        self.with(text, library)?.html("", data, library)
    }

    fn with(&self, text: &str, library: &dyn Library) -> Result<Self, Error> {
        let mut set = self.clone();
        set.trees.remove("");
        set.add("", text, library)?;
        Ok(set)
    }

    fn run(&self, name: &str, data: &Value, library: &dyn Library, out: Writer) -> Result<String, Error> {
        let Some(tree) = self.tree(name) else {
            let name = crate::format::quote(name);
            return Err(Error::new(ErrorKind::Execution, format!("template: no template {name} in the set")));
        };
        Run::run(self, tree, library, data, out)
    }

    pub(crate) fn tree(&self, name: &str) -> Option<&Tree> {
        self.trees.get(name).map(|tree| &**tree)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

#[cfg(test)]
mod tests;
