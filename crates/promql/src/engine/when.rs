//! When a query is evaluated, and what it means then: its plan.

use model::{MatchOp, Matcher};

use super::kept::{Kept, regexes_worth_keeping};
use super::{Limits, RangeTimes, Settings};
use crate::ast::{self, Expr, ExprKind, ValueType};
use crate::error::{ParseError, QueryError};
use crate::eval::grid::Grid;
use crate::parser;
use crate::plan::{self, Node, QueryTimes};

/// When a query is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `Engine::instant` and `Engine::range`")]
pub enum When {
    Instant { time_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

impl When {
    pub(super) fn grid(self) -> Result<Grid, QueryError> {
        match self {
            Self::Instant { time_ms } => Ok(Grid::instant(time_ms)),
            Self::Range { step_ms, .. } if step_ms <= 0 => Err(QueryError::BadRequest(
                "zero or negative query resolution step widths are not accepted. Try a positive integer"
                    .to_owned(),
            )),
            Self::Range { start_ms, end_ms, .. } if end_ms < start_ms => {
                Err(QueryError::BadRequest("end timestamp must not be before start time".to_owned()))
            }
            Self::Range { start_ms, end_ms, step_ms } => Ok(Grid::range(start_ms, end_ms, step_ms)),
        }
    }

    pub(super) fn is_range(self) -> bool {
        matches!(self, Self::Range { start_ms, end_ms, .. } if start_ms != end_ms)
    }

    /// `None` for an instant query.
    pub(super) fn range_times(self) -> Option<RangeTimes> {
        match self {
            Self::Instant { .. } => None,
            Self::Range { start_ms, end_ms, step_ms } => Some(RangeTimes { start_ms, end_ms, step_ms }),
        }
    }

    pub(super) fn times(self, subquery_step_ms: i64) -> QueryTimes {
        match self {
            Self::Instant { time_ms } => {
                QueryTimes { start_ms: time_ms, end_ms: time_ms, step_ms: 0, subquery_step_ms }
            }
            Self::Range { start_ms, end_ms, step_ms } => {
                QueryTimes { start_ms, end_ms, step_ms, subquery_step_ms }
            }
        }
    }
}

/// Refuses what is nested too deeply.
///
/// # Errors
/// Names the limit.
pub(super) fn check_height(plan: &Node, limits: &Limits) -> Result<(), QueryError> {
    let height = plan.height();
    if height > limits.nesting_max {
        let what = "the expression has too many levels";
        return Err(QueryError::limit(what, "max_nesting", limits.nesting_max as u64, height as u64));
    }
    Ok(())
}

/// Reads a query and checks what can be checked before it runs.
pub(super) fn plan_of(
    kept: &Kept<Expr>,
    query: &str,
    when: When,
    settings: &Settings,
) -> Result<(Expr, Node), QueryError> {
    let parsed = kept.get_or_make(query, || parser::parse(query), regexes_of);
    let mut expr = parsed.map_err(QueryError::Parse)?;
    let times = when.times(settings.subquery_step_ms);
    ast::resolve_durations(&mut expr, times.step_ms, times.end_ms - times.start_ms)
        .map_err(|fault| QueryError::Parse(vec![ParseError::new(query, fault.span, fault.message)]))?;
    let plan = plan::build(&expr, &times)?;
    let fits = matches!(plan.value_type, ValueType::Scalar | ValueType::Vector);
    if when.range_times().is_some() && !fits {
        let got = plan.value_type.documented();
        let text =
            format!("invalid expression type \"{got}\" for range query, must be Scalar or instant Vector");
        return Err(QueryError::BadRequest(text));
    }
    Ok((expr, plan))
}

/// How many regular expressions a query has; 0 if they should not be kept.
fn regexes_of(expr: &Expr) -> usize {
    let is_regex = |matcher: &&Matcher| matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex);
    let mut patterns: Vec<&str> = Vec::new();
    expr.walk(&mut |part| {
        let selector = match &part.kind {
            ExprKind::VectorSelector(selector) => selector,
            ExprKind::MatrixSelector(matrix) => &matrix.selector,
            _ => return,
        };
        let matchers = selector.alternatives.iter().chain([&selector.matchers]).flatten();
        patterns.extend(matchers.filter(is_regex).map(Matcher::value));
    });
    regexes_worth_keeping(&patterns)
}
