//! The tree of a document: what stands where.

use std::cell::Cell;

use serde::de::DeserializeOwned;

use crate::Error;
use crate::de::NodeDeserializer;

/// A position in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its content; null if there is none.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// What it is.
    pub value: Value,
    /// Set when a type that hides itself was read from it.
    pub(crate) secret: Cell<bool>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Value {
    /// A single value. Plain ones mean numbers, booleans or null where they look like one.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in order; no key twice.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub mark: Mark,
    /// The value.
    pub value: Node,
}

impl Document {
    /// Reads the tree into a type.
    ///
    /// # Errors
    /// The first fault, with its position.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.root.read()
    }

    /// A fault at `path`, found after reading. Indices of lists are numbers. What is not there (a key that
    /// is missing) is reported where it should stand.
    pub fn fault<S: AsRef<str>>(&self, path: &[S], message: impl Into<String>) -> Error {
        let mut node = &self.root;
        let mut mark = node.mark;
        let mut text = String::new();
        for segment in path {
            let segment = segment.as_ref();
            match &node.value {
                Value::Sequence(items) => {
                    let found = segment.parse::<usize>().ok().and_then(|index| items.get(index));
                    let Some(item) = found else { break };
                    text.push_str(&format!("[{segment}]"));
                    (node, mark) = (item, item.mark);
                }
                Value::Mapping(entries) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(segment);
                    let Some(entry) = entries.iter().find(|entry| entry.key == segment) else { break };
                    (node, mark) = (&entry.value, entry.mark);
                }
                Value::Scalar { .. } => break,
            }
        }
        let mut error = Error::at(mark, message);
        error.path = text;
        error
    }
}

impl Node {
    pub(crate) fn new(mark: Mark, value: Value) -> Self {
        Self { mark, value, secret: Cell::new(false) }
    }

    /// Reads this part of the tree into a type.
    ///
    /// # Errors
    /// The first fault, with its position.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(NodeDeserializer::new(self)).map_err(|error| error.or_at(self.mark))
    }

    /// Whether it is written as nothing: an empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The value of a key; `None` if there is no such key or this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Mapping(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }

    /// The elements of a list; none if this is not one.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }
}
