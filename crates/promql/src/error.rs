//! Why a query has no result.

use crate::ast::Span;

/// A fault in the text of a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// What is wrong, in Prometheus' words.
    pub message: String,
    /// Where, in bytes of the query.
    pub span: Span,
    /// Line of the start, from 1.
    pub line: usize,
    /// Column of the start in characters, from 1.
    pub column: usize,
}

/// A query that cannot be answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The text is wrong; several faults, first first.
    #[error("{}", .0.first().map_or_else(String::new, ToString::to_string))]
    Parse(Vec<ParseError>),
    /// The parameters do not fit together (step of zero, end before start, too many points).
    #[error("{0}")]
    BadRequest(String),
    /// It cannot be evaluated (Prometheus' `execution` errors).
    #[error("{0}")]
    Execution(String),
    /// It ran into its time limit.
    #[error("query timed out in {0}")]
    TimedOut(String),
    /// Somebody stopped it.
    #[error("query was canceled in {0}")]
    Cancelled(String),
    /// Storage failed.
    #[error("{0}")]
    Storage(#[from] storage::Error),
}
