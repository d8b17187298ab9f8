//! Tree to text: one canonical line, as Prometheus writes a query (`Display`), and the split and indented form of
//! `/api/v1/format_query` ([`format_query`]).
//!
//! What is printed parses to the same tree again.

mod pretty;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter, Write};

use model::labels::{write_label_name, write_quoted};
use model::number::{FloatFormat, format_float, write_float};
use model::time::format_duration_ms;
use model::{METRIC_NAME, MatchOp};

use crate::ast::duration::DurationKind;
use crate::ast::{
    Aggregate, At, Binary, Cardinality, DurationExpr, Expr, ExprKind, Extended, MatrixSelector, Subquery,
    TimeModifiers, UnaryOp, VectorMatching, VectorSelector,
};

pub use pretty::format_query;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(value) => f.write_str(&format_float(*value)),
            ExprKind::Duration(seconds) => write_duration(f, *seconds),
            ExprKind::String(text) => write_quoted(f, text),
            ExprKind::VectorSelector(selector) => selector.fmt(f),
            ExprKind::MatrixSelector(matrix) => matrix.fmt(f),
            ExprKind::Subquery(subquery) => write!(f, "{}{}", subquery.expr, SubqueryTimes(subquery)),
            ExprKind::Unary(op, inner) => write!(f, "{}{inner}", sign(*op)),
            ExprKind::Binary(binary) => write!(f, "{} {} {}", binary.lhs, Operator(binary), binary.rhs),
            ExprKind::Aggregate(aggregate) => {
                write!(f, "{}(", AggregateHead(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{arg}")?;
                }
                f.write_char(')')
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_name_and_matchers(f, self)?;
        write_at(f, &self.time)?;
        write_extended(f, self.extended)?;
        write_offset(f, &self.time, self.offset_expr.as_deref())
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_name_and_matchers(f, &self.selector)?;
        f.write_char('[')?;
        write_width(f, self.range_ms, self.range_expr.as_deref())?;
        f.write_char(']')?;
        write_extended(f, self.selector.extended)?;
        write_at(f, &self.selector.time)?;
        write_offset(f, &self.selector.time, self.selector.offset_expr.as_deref())
    }
}

/// What stands behind a subquery's expression.
struct SubqueryTimes<'a>(&'a Subquery);

impl Display for SubqueryTimes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let subquery = self.0;
        f.write_char('[')?;
        write_width(f, subquery.range_ms, subquery.range_expr.as_deref())?;
        f.write_char(':')?;
        if let Some(step) = &subquery.step_expr {
            step.fmt(f)?;
        } else if let Some(step_ms) = subquery.step_ms {
            f.write_str(&format_duration_ms(step_ms))?;
        }
        f.write_char(']')?;
        write_at(f, &subquery.time)?;
        write_offset(f, &subquery.time, subquery.offset_expr.as_deref())
    }
}

/// An operator with its modifiers.
struct Operator<'a>(&'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        match &self.0.matching {
            Some(matching) => write_matching(f, matching),
            None => Ok(()),
        }
    }
}

fn write_matching(f: &mut Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(f, &matching.labels)?;
        f.write_char(')')?;
    }
    if let Some(group) = group {
        write!(f, " {group} (")?;
        write_labels(f, &matching.include)?;
        f.write_char(')')?;
    }
    match (matching.fill.left, matching.fill.right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => write_fill(f, "fill", left),
        (left, right) => {
            left.map_or(Ok(()), |left| write_fill(f, "fill_left", left))?;
            right.map_or(Ok(()), |right| write_fill(f, "fill_right", right))
        }
    }
}

fn write_fill(f: &mut Formatter<'_>, word: &str, value: f64) -> fmt::Result {
    write!(f, " {word} (")?;
    // Go's `%v`.
    let fixed = value == 0.0 || (1e-4..1e21).contains(&value.abs());
    write_float(f, value, if fixed { FloatFormat::Fixed } else { FloatFormat::Exponent })?;
    f.write_char(')')
}

/// An aggregation up to its opening parenthesis.
struct AggregateHead<'a>(&'a Aggregate);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let aggregate = self.0;
        f.write_str(aggregate.op.as_str())?;
        if aggregate.without || !aggregate.grouping.is_empty() {
            f.write_str(if aggregate.without { " without (" } else { " by (" })?;
            write_labels(f, &aggregate.grouping)?;
            f.write_str(") ")?;
        }
        Ok(())
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationKind::Number(seconds) => f.write_str(&format_float(*seconds)),
            DurationKind::Duration(seconds) => write_duration(f, *seconds),
            DurationKind::Step => f.write_str("step()"),
            DurationKind::Range => f.write_str("range()"),
            DurationKind::Negative(inner) => write!(f, "-{inner}"),
            DurationKind::Paren(inner) => write!(f, "({inner})"),
            DurationKind::Min(sides) => write!(f, "min_of({}, {})", sides[0], sides[1]),
            DurationKind::Max(sides) => write!(f, "max_of({}, {})", sides[0], sides[1]),
            DurationKind::Binary(op, sides) => write!(f, "{} {} {}", sides[0], op.as_str(), sides[1]),
        }
    }
}

fn sign(op: UnaryOp) -> char {
    match op {
        UnaryOp::Plus => '+',
        UnaryOp::Minus => '-',
    }
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write_label_name(f, label)?;
    }
    Ok(())
}

/// The name, and the matchers other than that of the name, sorted as text.
fn write_name_and_matchers(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let is_name = |m: &&model::Matcher| {
        m.name() == METRIC_NAME && m.op() == MatchOp::Equal && m.value() == name && !name.is_empty()
    };
    let text_of = |matchers: &[model::Matcher]| {
        let mut texts: Vec<String> =
            matchers.iter().filter(|m| !is_name(m)).map(ToString::to_string).collect();
        texts.sort_unstable();
        texts.join(",")
    };
    let text = text_of(&selector.matchers);
    if text.is_empty() && selector.alternatives.is_empty() {
        // Only `info` takes a selector of nothing; Prometheus prints it as nothing, which cannot be read again.
        return if name.is_empty() { f.write_str("{}") } else { Ok(()) };
    }
    write!(f, "{{{text}")?;
    for matchers in &selector.alternatives {
        write!(f, " or {}", text_of(matchers))?;
    }
    f.write_char('}')
}

fn write_extended(f: &mut Formatter<'_>, extended: Option<Extended>) -> fmt::Result {
    match extended {
        Some(Extended::Anchored) => f.write_str(" anchored"),
        Some(Extended::Smoothed) => f.write_str(" smoothed"),
        None => Ok(()),
    }
}

fn write_at(f: &mut Formatter<'_>, time: &TimeModifiers) -> fmt::Result {
    match time.at {
        #[expect(clippy::cast_precision_loss, reason = "as Prometheus prints it")]
        Some(At::TimeMs(at_ms)) => write!(f, " @ {:.3}", at_ms as f64 / 1e3),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        None => Ok(()),
    }
}

fn write_offset(f: &mut Formatter<'_>, time: &TimeModifiers, expr: Option<&DurationExpr>) -> fmt::Result {
    match expr {
        Some(expr) => write!(f, " offset {expr}"),
        None if time.offset_ms != 0 => write!(f, " offset {}", format_duration_ms(time.offset_ms)),
        None => Ok(()),
    }
}

fn write_width(f: &mut Formatter<'_>, width_ms: i64, expr: Option<&DurationExpr>) -> fmt::Result {
    match expr {
        Some(expr) => expr.fmt(f),
        None => f.write_str(&format_duration_ms(width_ms)),
    }
}

fn write_duration(f: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
    #[expect(clippy::cast_possible_truncation, reason = "read from a duration, which fits")]
    f.write_str(&format_duration_ms((seconds * 1e3).round() as i64))
}
