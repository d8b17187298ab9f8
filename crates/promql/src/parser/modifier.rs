//! What may follow an expression: `[5m]`, `[1h:5m]`, `offset 5m`, `@ 1600000000`, `anchored`, `smoothed`.

use super::grammar::{Parsed, Parser};
use super::token::TokenKind as T;
use crate::ast::duration::DurationKind;
use crate::ast::duration::seconds_to_ms;
use crate::ast::{
    At, DurationExpr, Expr, ExprKind, Extended, MatrixSelector, Subquery, TimeModifiers, VectorSelector,
};

const DURATION: &str = "number, duration, step(), or range()";

/// What of a selector or subquery its modifiers change.
struct Shifted<'e> {
    time: &'e mut TimeModifiers,
    offset_expr: &'e mut Option<Box<DurationExpr>>,
}

impl Parser<'_> {
    /// What stands between operators, and everything that follows it.
    pub(crate) fn with_modifiers(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        while matches!(self.next.kind, T::LeftBracket | T::Offset | T::At | T::Anchored | T::Smoothed) {
            expr = self.modified(expr)?;
        }
        Ok(expr)
    }

    fn modified(&mut self, expr: Expr) -> Parsed<Expr> {
        match self.next.kind {
            T::LeftBracket => self.range_or_subquery(expr),
            T::Offset => self.offset(expr),
            T::At => self.at(expr),
            T::Anchored => Ok(self.extended(expr, Extended::Anchored)),
            _ => Ok(self.extended(expr, Extended::Smoothed)),
        }
    }

    fn range_or_subquery(&mut self, expr: Expr) -> Parsed<Expr> {
        let start = self.take().start;
        let range = self.duration_expr(&("subquery or range selector", DURATION))?;
        self.note_lexer_error();
        let (range_ms, range_expr) = self.positive(range);
        match self.next.kind {
            T::RightBracket => {
                let end = self.take().end;
                Ok(self.matrix(expr, start..end, range_ms, range_expr))
            }
            T::Colon => {
                self.take();
                self.subquery(expr, range_ms, range_expr)
            }
            _ => Err(self.unexpected("subquery or range", "\":\" or \"]\"")),
        }
    }

    fn matrix(
        &mut self,
        expr: Expr,
        brackets: std::ops::Range<usize>,
        range_ms: i64,
        range_expr: Option<Box<DurationExpr>>,
    ) -> Expr {
        let span = expr.span.start..brackets.end;
        let fault = match &expr.kind {
            ExprKind::VectorSelector(selector) => match selector.time {
                TimeModifiers { offset_ms, .. } if offset_ms != 0 || selector.offset_expr.is_some() => {
                    "no offset modifiers allowed before range"
                }
                TimeModifiers { at: Some(_), .. } => "no @ modifiers allowed before range",
                _ => "",
            },
            _ => "ranges only allowed for vector selectors",
        };
        if !fault.is_empty() {
            self.fault(brackets, fault.to_owned());
        }
        match expr.kind {
            ExprKind::VectorSelector(selector) => {
                let matrix = MatrixSelector { selector, selector_span: expr.span, range_ms, range_expr };
                Expr { kind: ExprKind::MatrixSelector(matrix), span }
            }
            kind => Expr { kind, span },
        }
    }

    /// The rest of a subquery, whose colon was taken.
    fn subquery(&mut self, expr: Expr, range_ms: i64, range_expr: Option<Box<DurationExpr>>) -> Parsed<Expr> {
        let context = "subquery selector";
        let (mut step_ms, mut step_expr) = (None, None);
        if self.next.kind != T::RightBracket {
            let step = self.duration_expr(&(context, "number, duration, step(), range(), or \"]\""))?;
            self.note_lexer_error();
            let (ms, expr) = self.positive(step);
            (step_ms, step_expr) = ((ms != 0).then_some(ms), expr);
        }
        let Some(end) = self.take_if(T::RightBracket) else {
            return Err(self.unexpected(context, "\"]\""));
        };
        self.grow()?;
        let span = expr.span.start..end.end;
        let time = TimeModifiers::default();
        let subquery = Subquery { expr, range_ms, step_ms, time, range_expr, step_expr, offset_expr: None };
        Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span })
    }

    /// A duration's milliseconds, and its tree if it must be computed.
    fn positive(&mut self, duration: DurationExpr) -> (i64, Option<Box<DurationExpr>>) {
        if let DurationKind::Number(seconds) | DurationKind::Duration(seconds) = duration.kind {
            if seconds <= 0.0 {
                self.fault(duration.span.clone(), "duration must be greater than 0".to_owned());
            }
            return (seconds_to_ms(seconds).unwrap_or_default(), None);
        }
        (duration.constant_ms().filter(|ms| *ms > 0).unwrap_or_default(), Some(Box::new(duration)))
    }

    fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.take();
        let offset = self.offset_duration(&("offset", DURATION))?;
        let end = offset.span.end;
        let (offset_ms, offset_expr) = match offset.kind {
            DurationKind::Number(seconds) | DurationKind::Duration(seconds) => {
                (seconds_to_ms(seconds).unwrap_or_default(), None)
            }
            _ => (offset.constant_ms().unwrap_or_default(), Some(Box::new(offset))),
        };
        let span = expr.span.clone();
        let fault = match shifted(&mut expr) {
            Some(Shifted { time, offset_expr, .. }) if time.offset_ms != 0 || offset_expr.is_some() => {
                "offset may not be set multiple times"
            }
            Some(shifted) => {
                shifted.time.offset_ms = offset_ms;
                *shifted.offset_expr = offset_expr;
                ""
            }
            None => {
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"
            }
        };
        if !fault.is_empty() {
            self.fault(span, fault.to_owned());
        }
        expr.span.end = end;
        Ok(expr)
    }

    fn at(&mut self, mut expr: Expr) -> Parsed<Expr> {
        const CONTEXT: (&str, &str) = ("@", "timestamp");
        self.take();
        let span = expr.span.clone();
        let (at, end) = match self.next.kind {
            kind @ (T::Start | T::End) => {
                self.take();
                if self.take_if(T::LeftParen).is_none() {
                    return Err(self.unexpected(CONTEXT.0, CONTEXT.1));
                }
                let Some(end) = self.take_if(T::RightParen) else {
                    return Err(self.unexpected(CONTEXT.0, CONTEXT.1));
                };
                (if kind == T::Start { At::Start } else { At::End }, end.end)
            }
            _ => {
                let (seconds, end) = match self.signed_number()? {
                    Some(found) => found,
                    None => return Err(self.unexpected(CONTEXT.0, CONTEXT.1)),
                };
                if !timestamp_fits(seconds) {
                    let message = format!("timestamp out of bounds for @ modifier: {}", fixed_six(seconds));
                    self.fault(span.clone(), message);
                }
                #[expect(clippy::cast_possible_truncation, reason = "saturates, and bounds were checked")]
                let at_ms = (seconds * 1e3).round() as i64;
                (At::TimeMs(at_ms), end)
            }
        };
        let fault = match shifted(&mut expr) {
            Some(shifted) if shifted.time.at.is_some() => "@ <timestamp> may not be set multiple times",
            Some(shifted) => {
                shifted.time.at = Some(at);
                ""
            }
            None => {
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"
            }
        };
        if !fault.is_empty() {
            self.fault(span, fault.to_owned());
        }
        expr.span.end = end;
        Ok(expr)
    }

    fn extended(&mut self, mut expr: Expr, extended: Extended) -> Expr {
        let word = match extended {
            Extended::Anchored => "anchored",
            Extended::Smoothed => "smoothed",
        };
        self.take();
        let span = expr.span.clone();
        let fault = match &mut expr.kind {
            ExprKind::VectorSelector(selector)
            | ExprKind::MatrixSelector(MatrixSelector { selector, .. }) => extend(selector, extended),
            ExprKind::Subquery(_) => format!("{word} modifier is not supported for subqueries"),
            _ => format!("{word} modifier not implemented"),
        };
        if !fault.is_empty() {
            self.fault(span, fault);
        }
        expr
    }
}

fn extend(selector: &mut VectorSelector, extended: Extended) -> String {
    if selector.extended.is_some_and(|other| other != extended) {
        return "anchored and smoothed modifiers cannot be used together".to_owned();
    }
    selector.extended = Some(extended);
    String::new()
}

/// What `offset` and `@` change; `None` if nothing of the kind stands in front of them.
fn shifted(expr: &mut Expr) -> Option<Shifted<'_>> {
    match &mut expr.kind {
        ExprKind::VectorSelector(selector) | ExprKind::MatrixSelector(MatrixSelector { selector, .. }) => {
            Some(Shifted { time: &mut selector.time, offset_expr: &mut selector.offset_expr })
        }
        ExprKind::Subquery(subquery) => {
            Some(Shifted { time: &mut subquery.time, offset_expr: &mut subquery.offset_expr })
        }
        _ => None,
    }
}

/// Prometheus' bounds, which are those of milliseconds applied to seconds.
#[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
fn timestamp_fits(seconds: f64) -> bool {
    seconds.is_finite() && seconds < i64::MAX as f64 && seconds > i64::MIN as f64
}

/// Go's `%f`.
fn fixed_six(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { model::number::format_float(value) }
}
