//! Why a scrape fails, and why scraping cannot start.

use std::path::PathBuf;
use std::sync::Arc;

use wire::exposition::{ParseError, negotiation::UnsupportedContentType};

/// Scraping could not be started or reloaded; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client of a job cannot be made: a certificate or key file is missing or wrong.
    #[error("scrape job {job:?}: {source}")]
    Client {
        /// The job's name.
        job: String,
        /// Why.
        source: http_client::BuildError,
    },
    /// The file that failed scrapes are listed in cannot be opened.
    #[error("scrape job {job:?}: cannot open scrape_failure_log_file {}: {source}", path.display())]
    FailureLog {
        /// The job's name.
        job: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Metrics of the same names are registered already.
    #[error("cannot register scrape metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why one scrape failed, as the target's `lastError` shows it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("Get {url:?}: {reason}")]
    Fetch { url: String, reason: String },
    #[error("Get {url:?}: context deadline exceeded (scrape_timeout {timeout})")]
    Timeout { url: String, timeout: String },
    #[error("server returned HTTP status {0}")]
    Status(String),
    #[error("cannot decode the answer: {0}")]
    Encoding(String),
    #[error(transparent)]
    ContentType(#[from] UnsupportedContentType),
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("{place}: {reason}")]
    Series { place: String, reason: String },
    /// A limit of the configuration; `limit` is its key.
    #[error("{message}")]
    Limit { limit: &'static str, message: Arc<str> },
    #[error("answers of all targets together take too much memory: {0}")]
    Memory(#[from] stdx::memory::MemoryExceeded),
    #[error("storage took the samples and has not made them safe yet")]
    Unconfirmed,
    #[error("storage refused the samples: {0}")]
    Storage(#[from] storage::Error),
}

impl ScrapeError {
    pub(crate) fn limit(limit: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::Limit { limit, message: message.into() }
    }

    /// A word for metrics' labels.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Fetch { .. } => "fetch_failed",
            Self::Timeout { .. } => "timeout",
            Self::Status(_) => "status",
            Self::Encoding(_) => "encoding",
            Self::ContentType(_) => "content_type",
            Self::Parse(_) | Self::Series { .. } => "parse_error",
            Self::Limit { .. } => "limit",
            Self::Memory(_) => "memory",
            Self::Storage(_) | Self::Unconfirmed => "storage",
        }
    }
}
