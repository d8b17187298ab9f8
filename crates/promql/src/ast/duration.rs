//! Durations that are computed: `[5m + step()]`, `offset -max(step(), 1m)`.
//!
//! Their value depends on the query's step and range, so the parser keeps them as trees, and
//! [`resolve_durations`] puts numbers in their place before a query is planned.

use super::{BinaryOp, Expr, ExprKind, Span};

/// A duration in seconds that must be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// What it is.
    pub kind: DurationKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of computed durations.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// `300`: seconds.
    Number(f64),
    /// `5m`: its seconds.
    Duration(f64),
    /// `step()`: the query's step.
    Step,
    /// `range()`: from the query's start to its end.
    Range,
    /// `-x`.
    Negative(Box<DurationExpr>),
    /// `(x)`.
    Paren(Box<DurationExpr>),
    /// `min(a, b)`.
    Min(Box<[DurationExpr; 2]>),
    /// `max(a, b)`.
    Max(Box<[DurationExpr; 2]>),
    /// `a + b` with one of `+ - * / % ^`.
    Binary(BinaryOp, Box<[DurationExpr; 2]>),
}

/// A computed duration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DurationFault {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl DurationExpr {
    /// The value in seconds.
    ///
    /// # Errors
    /// On a division by zero.
    pub fn seconds(&self, step_ms: i64, range_ms: i64) -> Result<f64, DurationFault> {
        let both = |sides: &[Self; 2]| -> Result<(f64, f64), DurationFault> {
            Ok((sides[0].seconds(step_ms, range_ms)?, sides[1].seconds(step_ms, range_ms)?))
        };
        Ok(match &self.kind {
            DurationKind::Number(seconds) | DurationKind::Duration(seconds) => *seconds,
            DurationKind::Step => seconds_of(step_ms),
            DurationKind::Range => seconds_of(range_ms),
            DurationKind::Negative(inner) => -inner.seconds(step_ms, range_ms)?,
            DurationKind::Paren(inner) => inner.seconds(step_ms, range_ms)?,
            DurationKind::Min(sides) => {
                let (a, b) = both(sides)?;
                a.min(b)
            }
            DurationKind::Max(sides) => {
                let (a, b) = both(sides)?;
                a.max(b)
            }
            DurationKind::Binary(op, sides) => {
                let (a, b) = both(sides)?;
                self.apply(*op, a, b)?
            }
        })
    }

    fn apply(&self, op: BinaryOp, a: f64, b: f64) -> Result<f64, DurationFault> {
        let fault =
            |message: &str| Err(DurationFault { message: message.to_owned(), span: self.span.clone() });
        Ok(match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div if b == 0.0 => return fault("division by zero"),
            BinaryOp::Div => a / b,
            BinaryOp::Mod if b == 0.0 => return fault("modulo by zero"),
            BinaryOp::Mod => a % b,
            BinaryOp::Pow => a.powf(b),
            other => return fault(&format!("unexpected duration expression operator {:?}", other.as_str())),
        })
    }

    /// The value in milliseconds, if it depends on nothing.
    pub(crate) fn constant_ms(&self) -> Option<i64> {
        if self.is_constant() { seconds_to_ms(self.seconds(0, 0).ok()?) } else { None }
    }

    fn is_constant(&self) -> bool {
        match &self.kind {
            DurationKind::Number(_) | DurationKind::Duration(_) => true,
            DurationKind::Step | DurationKind::Range => false,
            DurationKind::Negative(inner) | DurationKind::Paren(inner) => inner.is_constant(),
            DurationKind::Min(sides) | DurationKind::Max(sides) | DurationKind::Binary(_, sides) => {
                sides.iter().all(Self::is_constant)
            }
        }
    }

    /// The value in milliseconds; `positive`: it must be greater than zero.
    fn milliseconds(&self, step_ms: i64, range_ms: i64, positive: bool) -> Result<i64, DurationFault> {
        let seconds = self.seconds(step_ms, range_ms)?;
        let fault = |message: String| Err(DurationFault { message, span: self.span.clone() });
        if positive && seconds <= 0.0 {
            return fault("duration must be greater than 0".to_owned());
        }
        match seconds_to_ms(seconds) {
            Some(ms) => Ok(ms),
            None => fault("duration is out of range".to_owned()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 ms")]
fn seconds_of(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// Seconds to the nearest millisecond; `None` beyond Prometheus' 64 bits of nanoseconds, or for what is no number.
#[expect(clippy::cast_possible_truncation, reason = "checked against the bounds")]
pub(crate) fn seconds_to_ms(seconds: f64) -> Option<i64> {
    (seconds.abs() <= SECONDS_MAX).then(|| (seconds * 1e3).round() as i64)
}

/// The longest duration in seconds: 2^63 nanoseconds.
pub(crate) const SECONDS_MAX: f64 = 9_223_372_036.854_775;

/// Computes all durations of a tree that depend on the query's step and range, and sets `range_ms`, `step_ms`
/// and `offset_ms` from them. For an instant query both are 0.
///
/// # Errors
/// If one is not positive where it must be, divides by zero, or is out of range.
pub fn resolve_durations(expr: &mut Expr, step_ms: i64, range_ms: i64) -> Result<(), DurationFault> {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) => {}
        ExprKind::VectorSelector(selector) => {
            if let Some(offset) = &selector.offset_expr {
                selector.time.offset_ms = offset.milliseconds(step_ms, range_ms, false)?;
            }
        }
        ExprKind::MatrixSelector(matrix) => {
            if let Some(offset) = &matrix.selector.offset_expr {
                matrix.selector.time.offset_ms = offset.milliseconds(step_ms, range_ms, false)?;
            }
            if let Some(range) = &matrix.range_expr {
                matrix.range_ms = range.milliseconds(step_ms, range_ms, true)?;
            }
        }
        ExprKind::Subquery(subquery) => {
            if let Some(offset) = &subquery.offset_expr {
                subquery.time.offset_ms = offset.milliseconds(step_ms, range_ms, false)?;
            }
            if let Some(range) = &subquery.range_expr {
                subquery.range_ms = range.milliseconds(step_ms, range_ms, true)?;
            }
            if let Some(step) = &subquery.step_expr {
                subquery.step_ms = Some(step.milliseconds(step_ms, range_ms, true)?);
            }
            resolve_durations(&mut subquery.expr, step_ms, range_ms)?;
        }
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => resolve_durations(inner, step_ms, range_ms)?,
        ExprKind::Binary(binary) => {
            resolve_durations(&mut binary.lhs, step_ms, range_ms)?;
            resolve_durations(&mut binary.rhs, step_ms, range_ms)?;
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                resolve_durations(param, step_ms, range_ms)?;
            }
            resolve_durations(&mut aggregate.expr, step_ms, range_ms)?;
        }
        ExprKind::Call(call) => {
            for arg in &mut call.args {
                resolve_durations(arg, step_ms, range_ms)?;
            }
        }
    }
    Ok(())
}
