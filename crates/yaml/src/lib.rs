//! YAML files that people write, read so that every fault names its line, its key and its remedy.
//!
//! Why not serde over a streaming parser: sections embed one another (`serde(flatten)` would lose all
//! positions), faults that are found late (two jobs with one name) need their line too, and the file must be
//! shown again with its secrets hidden. Therefore: text → [`Document`], a tree whose nodes know where they
//! stand → any serde type.
//!
//! Map: [`node`] the tree · [`parse`] text into a tree · [`de`] a tree into serde types · [`error`] faults ·
//! [`print`] a tree back into text, secrets hidden · [`suggest`] "did you mean".
//!
//! Conventions towards serde types, all as Go's YAML reads Prometheus' files:
//! - null is the empty value: `""`, 0, false, no elements, a struct of defaults, `None`.
//! - A plain number or boolean is text where text is wanted. Quoted text is never a number.
//! - A struct's field that is renamed to [`INLINE`] takes the keys that the struct does not know.
//! - A newtype struct named `Secret` marks its text as not to be shown.
//! - A key that comes twice, and (with `deny_unknown_fields`) one that nobody knows, is a fault.

pub mod de;
pub mod error;
pub mod node;
pub mod parse;
pub mod print;
pub mod suggest;

pub use error::Error;
pub use node::{Document, Mark, Node};

/// Name of a field that takes the keys which its struct does not know.
pub const INLINE: &str = "*";

/// Reads one document into a type.
///
/// # Errors
/// The first fault, with its position.
pub fn from_str<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    Document::parse(text)?.read()
}
