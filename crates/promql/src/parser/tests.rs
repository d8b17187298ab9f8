//! What parses, into what, and how the rest is refused.

mod any_text;
mod invalid;
mod tree;
mod valid;
