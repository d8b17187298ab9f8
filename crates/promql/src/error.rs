//! Why a query has no result.

use crate::ast::Span;
use crate::engine::Class;

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
    /// It would cost more than one query may. The text names the limit, its setting and the cost met.
    #[error("{0}")]
    Limit(String),
    /// Too much is asked at a time, and this query is not important enough.
    #[error(
        "too many queries: {running} run and {waiting} wait, and this one is of class {}; try again in {retry_after_s} s, \
         or raise query.max_concurrency or query.max_waiting",
        class.as_str()
    )]
    Overloaded {
        /// Its class.
        class: Class,
        /// Queries that run.
        running: usize,
        /// Queries that wait.
        waiting: usize,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// An operator ended it.
    #[error("query {0} was killed")]
    Killed(u64),
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

impl QueryError {
    /// A limit was met: what it is of, the setting that raises it, what it is, and the cost met.
    pub(crate) fn limit(what: &str, setting: &str, limit: u64, met: u64) -> Self {
        Self::Limit(format!(
            "{what}: {met}, and the limit is {limit}; ask for less, or raise query.{setting}"
        ))
    }

    pub(crate) fn too_long(met: usize, limit: usize) -> Self {
        Self::limit("the expression has too many bytes", "max_expression_length", limit as u64, met as u64)
    }
}
