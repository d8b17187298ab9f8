//! Text to tree.

use crate::ast::Expr;
use crate::error::ParseError;
use crate::ast::VectorSelector;

/// Parses and type-checks a query.
///
/// # Errors
/// All faults found, first first, with Prometheus' texts and positions.
pub fn parse(query: &str) -> Result<Expr, Vec<ParseError>> {
    let _ = query;
    Err(Vec::new())
}

/// Parses a series selector such as `up{job="x"}`, as `match[]` parameters have it.
///
/// # Errors
/// As [`parse`].
pub fn parse_selector(text: &str) -> Result<VectorSelector, Vec<ParseError>> {
    let _ = text;
    Err(Vec::new())
}
