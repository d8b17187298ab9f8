//! Faults of a file: where, what, and what to do.

use std::fmt;

use crate::node::Mark;
use crate::suggest;

/// A fault of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where it stands.
    pub mark: Option<Mark>,
    /// The keys down to it, `scrape_configs[0].job_name`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty if the message says it all.
    pub remedy: String,
    unknown_key: Option<String>,
}

impl Error {
    /// A fault at a position.
    pub fn at(mark: Mark, message: impl Into<String>) -> Self {
        Self { mark: Some(mark), ..Self::new(message) }
    }

    /// A fault whose position somebody above will add.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            mark: None,
            path: String::new(),
            message: message.into(),
            remedy: String::new(),
            unknown_key: None,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    pub(crate) fn or_at(mut self, mark: Mark) -> Self {
        self.mark.get_or_insert(mark);
        self
    }

    pub(crate) fn within_key(mut self, key: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{joint}{}", self.path);
        self
    }

    pub(crate) fn within_index(mut self, index: usize) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{joint}{}", self.path);
        self
    }

    /// Adds "did you mean" once, where all keys that would have been allowed are known.
    pub(crate) fn suggest_among(mut self, fields: &[&str], also: &[&[&str]]) -> Self {
        if let Some(key) = self.unknown_key.take() {
            let all = || also.iter().copied().chain([fields]).flatten().copied();
            let known = || all().filter(|key| *key != crate::INLINE);
            self.remedy = match suggest::closest(&key, known()) {
                Some(near) => format!("did you mean {near:?}?"),
                None if known().count() <= 12 => {
                    format!("allowed here: {}", known().collect::<Vec<_>>().join(", "))
                }
                None => "remove it, or check its indentation".to_owned(),
            };
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mark) = self.mark {
            write!(f, "line {}, column {}: ", mark.line, mark.column)?;
        }
        f.write_str(&self.text())
    }
}

impl Error {
    /// The fault without its position: path, message, remedy.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.path.is_empty() {
            text.push_str(&self.path);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        if !self.remedy.is_empty() {
            text.push_str("; ");
            text.push_str(&self.remedy);
        }
        text
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(format!("expected {expected}, found {unexpected}"))
    }

    fn invalid_value(unexpected: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(format!("expected {expected}, found {unexpected}"))
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Self { unknown_key: Some(field.to_owned()), ..Self::new(format!("unknown key {field:?}")) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::new(format!("unknown value {variant:?}"));
        error.with_remedy(format!("use one of: {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("key {field:?} is missing"))
    }
}
