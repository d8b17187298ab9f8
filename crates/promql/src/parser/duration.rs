//! Durations within brackets and behind `offset`.
//!
//! Within brackets there is full arithmetic. Behind `offset` only one operand is taken, so that in
//! `foo offset 5m + 1` the rest adds to `foo`.

use super::grammar::{POW, Parsed, Parser, Stop};
use super::token::{Token, TokenKind as T};
use crate::ast::duration::{DurationKind, SECONDS_MAX};
use crate::ast::{BinaryOp, DurationExpr};

/// Context and expectation that word syntax errors.
type Context = (&'static str, &'static str);

/// Binding strength of a sign: that of `*`.
const SIGN: u8 = 7;

fn precedence(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(6),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(SIGN),
        BinaryOp::Pow => Some(POW),
        _ => None,
    }
}

impl Parser<'_> {
    /// A duration with arithmetic.
    pub(crate) fn duration_expr(&mut self, context: &Context) -> Parsed<DurationExpr> {
        self.duration_binary(context, 0)
    }

    fn duration_binary(&mut self, context: &Context, precedence_min: u8) -> Parsed<DurationExpr> {
        let mut lhs = self.nested(|p| p.duration_unary(context))?;
        let mut terms = 0;
        while let T::Op(op) = self.next.kind
            && let Some(strength) = precedence(op)
            && strength >= precedence_min
        {
            let operator = self.take();
            let minimum = if op == BinaryOp::Pow { strength } else { strength + 1 };
            let rhs = self.nested(|p| p.duration_binary(context, minimum))?;
            terms += 1;
            if terms > super::NESTING_MAX {
                self.fault(operator.span(), "duration expression has too many operators in a row".to_owned());
                return Err(Stop);
            }
            lhs = self.duration_operation(op, operator, lhs, rhs);
        }
        Ok(lhs)
    }

    fn duration_operation(
        &mut self,
        op: BinaryOp,
        at: Token,
        lhs: DurationExpr,
        rhs: DurationExpr,
    ) -> DurationExpr {
        let span = lhs.span.start..rhs.span.end;
        if matches!(rhs.kind, DurationKind::Number(0.0) | DurationKind::Duration(0.0)) {
            match op {
                BinaryOp::Div => self.fault(at.span(), "division by zero".to_owned()),
                BinaryOp::Mod => self.fault(at.span(), "modulo by zero".to_owned()),
                _ => {}
            }
        }
        DurationExpr { kind: DurationKind::Binary(op, Box::new([lhs, rhs])), span }
    }

    fn duration_unary(&mut self, context: &Context) -> Parsed<DurationExpr> {
        match self.next.kind {
            T::Op(BinaryOp::Add | BinaryOp::Sub) => {
                let sign = self.take();
                let operand = self.duration_binary(context, SIGN + 1)?;
                Ok(self.signed(sign, operand))
            }
            _ => self.duration_primary(context),
        }
    }

    /// One operand behind `offset`, with its sign.
    pub(crate) fn offset_duration(&mut self, context: &Context) -> Parsed<DurationExpr> {
        match self.next.kind {
            T::Op(BinaryOp::Add | BinaryOp::Sub) => {
                let sign = self.take();
                let operand = self.duration_primary(context)?;
                Ok(self.signed(sign, operand))
            }
            _ => self.duration_primary(context),
        }
    }

    fn signed(&mut self, sign: Token, mut operand: DurationExpr) -> DurationExpr {
        let negative = sign.kind == T::Op(BinaryOp::Sub);
        match &mut operand.kind {
            DurationKind::Number(seconds) | DurationKind::Duration(seconds) => {
                if negative {
                    *seconds = -*seconds;
                }
                operand.span.start = sign.start;
                operand
            }
            _ if negative => {
                let span = sign.start..operand.span.end;
                DurationExpr { kind: DurationKind::Negative(Box::new(operand)), span }
            }
            _ => operand,
        }
    }

    fn duration_primary(&mut self, context: &Context) -> Parsed<DurationExpr> {
        let start = self.next.start;
        match self.next.kind {
            T::Number | T::Duration => {
                let is_duration = self.next.kind == T::Duration;
                let (mut seconds, span) = self.number();
                // What is no number is refused as well.
                if !matches!(seconds.abs(), 0.0..=SECONDS_MAX) {
                    self.fault(span.clone(), "duration out of range".to_owned());
                    seconds = 0.0;
                }
                let kind =
                    if is_duration { DurationKind::Duration(seconds) } else { DurationKind::Number(seconds) };
                Ok(DurationExpr { kind, span })
            }
            kind @ (T::Step | T::Range) => {
                self.take();
                self.duration_token(context, T::LeftParen)?;
                let end = self.duration_token(context, T::RightParen)?.end;
                let kind = if kind == T::Step { DurationKind::Step } else { DurationKind::Range };
                Ok(DurationExpr { kind, span: start..end })
            }
            kind @ (T::MinOf | T::MaxOf) => {
                self.take();
                self.duration_token(context, T::LeftParen)?;
                let first = self.duration_expr(context)?;
                self.duration_token(context, T::Comma)?;
                let second = self.duration_expr(context)?;
                let end = self.duration_token(context, T::RightParen)?.end;
                let both = Box::new([first, second]);
                let kind = if kind == T::MinOf { DurationKind::Min(both) } else { DurationKind::Max(both) };
                Ok(DurationExpr { kind, span: start..end })
            }
            T::LeftParen => {
                self.take();
                let inner = self.duration_expr(context)?;
                let end = self.duration_token(context, T::RightParen)?.end;
                Ok(DurationExpr { kind: DurationKind::Paren(Box::new(inner)), span: start..end })
            }
            _ => Err(self.unexpected(context.0, context.1)),
        }
    }

    fn duration_token(&mut self, context: &Context, kind: T) -> Parsed<Token> {
        match self.take_if(kind) {
            Some(token) => Ok(token),
            None => Err(self.unexpected(context.0, context.1)),
        }
    }
}
