//! Why a query has no result.

use crate::ast::Span;

/// A fault in the text of a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: parse error: {message}", Place(self))]
pub struct ParseError {
    /// What is wrong, in Prometheus' words.
    pub message: String,
    /// Where, in bytes of the query.
    pub span: Span,
    /// Line of the start, from 1; 0 if the query is empty.
    pub line: usize,
    /// Column of the start, from 1, in bytes as Prometheus counts.
    pub column: usize,
}

impl ParseError {
    /// A fault at a place of `query`.
    pub fn new(query: &str, span: Span, message: String) -> Self {
        if query.is_empty() {
            return Self { message, span, line: 0, column: 0 };
        }
        let before = &query.as_bytes()[..span.start.min(query.len())];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        Self { message, span, line, column }
    }
}

struct Place<'a>(&'a ParseError);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.line {
            0 => f.write_str("unknown position"),
            line => write!(f, "{line}:{}", self.0.column),
        }
    }
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
