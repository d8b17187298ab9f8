//! Aggregations, and the lists of labels that they and operators take.

use super::grammar::{Arguments, Parsed, Parser};
use super::literal;
use super::token::{Token, TokenKind as T, quoted};
use crate::ast::{Aggregate, AggregateOp, Expr, ExprKind};

/// `by (…)` or `without (…)`.
#[derive(Default)]
struct Grouping {
    without: bool,
    labels: Vec<String>,
    /// End of the closing parenthesis.
    end: usize,
}

impl Parser<'_> {
    pub(crate) fn aggregate(&mut self, op: AggregateOp, name: Token) -> Parsed<Expr> {
        let outer = std::mem::replace(&mut self.in_aggregation, true);
        let grouping = self.aggregate_grouping()?;
        let args = self.arguments()?;
        self.in_aggregation = outer;
        self.grow()?;
        self.finish_aggregate(op, name, grouping, args)
    }

    /// What may follow an aggregation's arguments, and the node.
    fn finish_aggregate(
        &mut self,
        op: AggregateOp,
        name: Token,
        mut grouping: Option<Grouping>,
        args: Arguments,
    ) -> Parsed<Expr> {
        let mut span = name.start..args.end;
        if grouping.is_none() {
            grouping = self.aggregate_grouping()?;
            match &grouping {
                Some(grouping) => span.end = grouping.end,
                // Only then must Prometheus see what follows before it has the aggregation.
                None => self.note_lexer_error(),
            }
        }
        let grouping = grouping.unwrap_or_default();
        let got = args.exprs.len();
        let wanted = if op.has_param() { 2 } else { 1 };
        let mut exprs = args.exprs.into_iter();
        let param = if op.has_param() { exprs.next() } else { None };
        match exprs.next() {
            Some(expr) if got == wanted => {
                let aggregate =
                    Aggregate { op, expr, param, grouping: grouping.labels, without: grouping.without };
                return Ok(Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span });
            }
            _ if got == 0 => {
                self.fault(span.clone(), "no arguments for aggregate expression provided".to_owned());
            }
            _ => {
                let what = "wrong number of arguments for aggregate expression provided";
                self.fault(span.clone(), format!("{what}, expected {wanted}, got {got}"));
            }
        }
        Ok(Expr { kind: ExprKind::Number(0.0), span })
    }

    /// `by (…)` or `without (…)`, if it comes next.
    fn aggregate_grouping(&mut self) -> Parsed<Option<Grouping>> {
        if !matches!(self.next.kind, T::By | T::Without) {
            return Ok(None);
        }
        let without = self.take().kind == T::Without;
        let (labels, end) = self.grouping_labels_and_end()?;
        Ok(Some(Grouping { without, labels, end }))
    }

    pub(crate) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        Ok(self.grouping_labels_and_end()?.0)
    }

    /// `(a, "b.c")`; a comma may stand behind the last.
    fn grouping_labels_and_end(&mut self) -> Parsed<(Vec<String>, usize)> {
        const CONTEXT: &str = "grouping opts";
        if self.take_if(T::LeftParen).is_none() {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        loop {
            if let Some(end) = self.take_if(T::RightParen) {
                return Ok((labels, end.end));
            }
            let label = match self.next.kind {
                T::String => literal::unquote(self.next.text(self.query)),
                kind if kind.is_grouping_label() => self.next.text(self.query).to_owned(),
                _ => return Err(self.unexpected(CONTEXT, "label")),
            };
            let token = self.take();
            if label.is_empty() {
                self.fault(token.span(), format!("invalid label name for grouping: {}", quoted(&label)));
            }
            labels.push(label);
            if self.take_if(T::Comma).is_none() && self.next.kind != T::RightParen {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
    }
}
