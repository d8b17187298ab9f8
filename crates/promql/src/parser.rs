//! Text to tree: what a query says, or why it says nothing, in Prometheus' words and at its positions.
//!
//! Map: `token` what tokens there are · `lexer` text to tokens · `literal` numbers and strings · `grammar` tokens
//! to tree (precedence climbing) · `aggregation` aggregations and lists of labels · `selector` names and matchers · `modifier` what may follow an expression:
//! ranges, `offset`, `@` · `duration` computed durations · `template` `WITH` and what it names · `check` types.
//!
//! All of the language is on, what Prometheus calls experimental included, and what Kymo adds: only where
//! Prometheus has a syntax error, so that nothing it accepts changes its meaning. Syntax errors end the parse; faults in
//! what a well-formed part means are collected, and types are checked only where there were none.
//!
//! Invariant: no text makes it panic, overflow the stack, or take more than linear time.

mod aggregation;
mod check;
mod duration;
mod grammar;
mod lexer;
mod literal;
mod modifier;
mod selector;
mod template;
#[cfg(test)]
mod tests;
mod token;

use model::Matcher;

use crate::ast::{Expr, VectorSelector};
use crate::error::ParseError;

/// How many levels a tree may have; a chain of operators such as `a or b or c` has one for each. More are refused:
/// evaluating a level takes up to 8 KiB of stack in an unoptimised build, and threads have 2 MiB.
pub const HEIGHT_MAX: usize = 250;

/// How deep parentheses, calls and signs may nest.
pub const NESTING_MAX: usize = 128;

/// Parses and type-checks a query.
///
/// # Errors
/// All faults found, first first, with Prometheus' texts and positions.
pub fn parse(query: &str) -> Result<Expr, Vec<ParseError>> {
    let mut parser = grammar::Parser::new(query);
    let parsed = parser.expression();
    let mut errors = parser.into_errors();
    match parsed {
        Ok(mut expr) if errors.is_empty() => {
            check::check(query, &mut expr, &mut errors);
            if errors.is_empty() { Ok(expr) } else { Err(errors) }
        }
        _ => Err(errors),
    }
}

/// Parses a series selector such as `up{job="x"}`, as `match[]` parameters have it.
///
/// That some matcher must not match the empty string is left to the caller, as Prometheus does.
///
/// # Errors
/// As [`parse`]; also for alternatives with `or`, which have several sets of matchers: see [`parse_selectors`].
pub fn parse_selector(text: &str) -> Result<VectorSelector, Vec<ParseError>> {
    let mut parser = grammar::Parser::new(text);
    let parsed = parser.only_selector();
    let errors = parser.into_errors();
    match parsed {
        Ok(selector) if errors.is_empty() && !selector.alternatives.is_empty() => {
            let message = "alternatives with \"or\" are not supported here".to_owned();
            Err(vec![ParseError::new(text, 0..text.len(), message)])
        }
        Ok(selector) if errors.is_empty() => Ok(selector),
        _ => Err(errors),
    }
}

/// Parses a series selector that may have alternatives, `up{job="x" or job="y"}`: a set of matchers for each.
///
/// # Errors
/// As [`parse`].
pub fn parse_selectors(text: &str) -> Result<Vec<Vec<Matcher>>, Vec<ParseError>> {
    let mut parser = grammar::Parser::new(text);
    let parsed = parser.only_selector();
    let errors = parser.into_errors();
    match parsed {
        Ok(selector) if errors.is_empty() => {
            Ok(std::iter::once(selector.matchers).chain(selector.alternatives).collect())
        }
        _ => Err(errors),
    }
}
