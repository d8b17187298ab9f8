//! What can go wrong with a template, in Go's words.

/// Why a template was not read or did not run. Its text is Go's: `template: NAME:1:3: executing "NAME" at <.x>: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What the caller should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is no template. It will not become one: refuse it where it was configured.
    Syntax,
    /// It failed with this data. It may work with other data.
    Execution,
    /// It wanted more steps, output or depth than [`Limits`](crate::Limits) grant.
    Limit,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same with something said before it.
    pub(crate) fn within(self, before: &str) -> Self {
        Self { kind: self.kind, message: format!("{before}: {}", self.message) }
    }
}
