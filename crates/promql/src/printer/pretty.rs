//! The form for reading: what is longer than a line is split at its operators, arguments and parentheses.

use std::fmt::{self, Write};

use super::{AggregateHead, Operator, SubqueryTimes, sign};
use crate::ast::{Expr, ExprKind};

/// What fits on one line, in bytes, its indentation not counted.
const LINE_BYTES_MAX: usize = 100;

const INDENT: &str = "  ";

/// Formats a query as Prometheus' `/api/v1/format_query` does.
pub fn format_query(expr: &Expr) -> String {
    let mut out = String::new();
    pretty(&mut out, expr, 0);
    out
}

fn pretty(out: &mut String, expr: &Expr, level: usize) {
    if let ExprKind::Subquery(subquery) = &expr.kind {
        if needs_split(expr) {
            pretty(out, &subquery.expr, level);
            push(out, &SubqueryTimes(subquery));
        } else {
            // Prometheus does not indent it either.
            push(out, expr);
        }
        return;
    }
    if let ExprKind::Unary(op, inner) = &expr.kind {
        indent(out, level);
        out.push(sign(*op));
        let start = out.len();
        pretty(out, inner, level);
        // The operand's own indentation goes: the sign stands in front of it.
        let spaces = out[start..].len() - out[start..].trim_start().len();
        out.drain(start..start + spaces);
        return;
    }
    let splits = matches!(
        expr.kind,
        ExprKind::Aggregate(_) | ExprKind::Binary(_) | ExprKind::Call(_) | ExprKind::Paren(_)
    );
    // The sides of a split operation indent themselves.
    if !matches!(expr.kind, ExprKind::Binary(_)) || !needs_split(expr) {
        indent(out, level);
    }
    if !splits || !needs_split(expr) {
        push(out, expr);
        return;
    }
    match &expr.kind {
        ExprKind::Aggregate(aggregate) => {
            push(out, &AggregateHead(aggregate));
            out.push_str("(\n");
            if let Some(param) = &aggregate.param {
                pretty(out, param, level + 1);
                out.push_str(",\n");
            }
            pretty(out, &aggregate.expr, level + 1);
            close(out, level);
        }
        ExprKind::Binary(binary) => {
            pretty(out, &binary.lhs, level + 1);
            out.push('\n');
            indent(out, level);
            push(out, &Operator(binary));
            out.push('\n');
            pretty(out, &binary.rhs, level + 1);
        }
        ExprKind::Call(call) => {
            out.push_str(call.function.name);
            out.push_str("(\n");
            for (at, arg) in call.args.iter().enumerate() {
                if at > 0 {
                    out.push_str(",\n");
                }
                pretty(out, arg, level + 1);
            }
            close(out, level);
        }
        ExprKind::Paren(inner) => {
            out.push_str("(\n");
            pretty(out, inner, level + 1);
            close(out, level);
        }
        _ => {}
    }
}

fn close(out: &mut String, level: usize) {
    out.push('\n');
    indent(out, level);
    out.push(')');
}

fn indent(out: &mut String, level: usize) {
    for _ in 0..level {
        out.push_str(INDENT);
    }
}

fn push(out: &mut String, part: &dyn fmt::Display) {
    write!(out, "{part}").expect("a String takes everything");
}

/// Whether an expression is longer than a line. Prints no more of it than a line.
fn needs_split(expr: &Expr) -> bool {
    write!(Line { left: LINE_BYTES_MAX }, "{expr}").is_err()
}

/// Takes one line's bytes and refuses more.
struct Line {
    left: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}
