//! What went wrong in storage, and what the caller should do about it.

use stdx::cancel::Stopped;
use stdx::memory::MemoryExceeded;

/// What the caller should do about it. A new variant needs a new reaction, not a new cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong. Drop and count it; retrying cannot help.
    Rejected,
    /// Disk or peer is unavailable, or the engine is behind. Retry with backoff.
    Unavailable,
    /// A limit was reached (memory, samples, series). Ask for less, or raise the named setting.
    Limit,
    /// Stored bytes fail their checksum or cannot be decoded. Tell an operator.
    Corrupt,
    /// The work was told to stop before it was done.
    Cancelled,
    /// The work did not end within its time.
    TimedOut,
}

/// A failure of a storage engine.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error with a text that says what was wrong, where, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// How the caller should react.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<MemoryExceeded> for Error {
    fn from(exceeded: MemoryExceeded) -> Self {
        let setting = exceeded.setting;
        let remedy = if setting.starts_with("--") {
            format!("start the server with a higher {setting}")
        } else {
            format!("raise {setting}")
        };
        Self::new(ErrorKind::Limit, format!("{exceeded}; ask for less, or {remedy}"))
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::new(ErrorKind::Cancelled, "cancelled"),
            Stopped::TimedOut => Self::new(ErrorKind::TimedOut, "timed out"),
        }
    }
}
