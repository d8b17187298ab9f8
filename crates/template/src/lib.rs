//! Go's text templates, as alert annotations and notifications use them.
//!
//! Why our own: what people have written for Prometheus and Alertmanager must come out the same, to the letter: the
//! language, the verbs of `printf`, the texts of errors. And a template is a program of a user that runs on the way of
//! an alert, so it is bounded in steps, depth and output, and no text makes it panic.
//! Map: [`Templates`] named templates and how they run · [`Value`], [`Object`] what they compute with · [`Library`]
//! functions they call · [`AlertTemplate`], [`Prometheus`] labels and annotations of alerts · [`Alertmanager`]
//! functions of notifications. Within: `lex`, `parse`, `tree` read · `exec`, `builtins`, `format` run · `html` escapes.
//! Deliberately not here: what is notified, and how a query is evaluated (a callback).
//! Known differences from Go: strings are UTF-8, numbers have no complex parts, and unsigned integers are not told
//! apart from signed ones.

mod alertmanager;
mod builtins;
#[cfg(test)]
mod docs;
mod error;
mod escape;
mod exec;
mod format;
#[cfg(test)]
mod golden;
mod html;
mod humanize;
mod json;
mod lex;
mod library;
mod literal;
mod network;
mod parse;
mod prometheus;
mod strings;
mod templates;
mod text;
mod time;
mod tree;
mod value;

pub use alertmanager::Alertmanager;
pub use error::{Error, ErrorKind};
pub use library::{Extended, Library, NoFunctions, Room, Signature, Type};
pub use prometheus::{AlertData, AlertTemplate, Prometheus, Sample, SampleValue};
pub use templates::{Limits, Templates};
pub use time::Time;
pub use value::{Field, List, Map, Object, Safe, Value, expect_count};

/// JSON of a value, as Go's `encoding/json` writes it: `toJson`, and the bodies of webhooks.
///
/// # Errors
/// If it is infinite, no number, or longer than `bytes_max`.
pub fn to_json(value: &Value, bytes_max: usize) -> Result<String, String> {
    json::write(value, bytes_max)
}

/// Nanoseconds as Go writes a span: `1h2m3.5s`.
pub fn format_duration(ns: i64) -> String {
    time::format_duration(ns)
}
