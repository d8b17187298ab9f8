//! `/api/v1/parse_query` and `/api/v1/format_query`: a query as a tree, and as tidy text.
//!
//! Prometheus builds the tree from maps, so the fields of every node are in order of their names.

use axum::response::Response;
use model::Matcher;
use model::number::{FloatFormat, format_float};
use promql::ast::{
    Aggregate, At, Binary, Call, Cardinality, Expr, ExprKind, Extended, Subquery, TimeModifiers, UnaryOp,
    ValueType, VectorMatching, VectorSelector,
};

use crate::error::ApiError;
use crate::json::{write_int, write_key, write_number, write_string_html, write_strings};
use crate::params::Params;
use crate::respond::success;

fn parse(params: &Params) -> Result<Expr, ApiError> {
    promql::parser::parse(params.get("query")).map_err(|faults| promql::QueryError::Parse(faults).into())
}

pub(crate) async fn parse_query(params: Params) -> Result<Response, ApiError> {
    let expr = parse(&params)?;
    Ok(success(|out| write_expr(out, &expr)))
}

fn write_text(out: &mut Vec<u8>, key: &str, value: &str) {
    write_key(out, key);
    write_string_html(out, value);
}

fn write_bool(out: &mut Vec<u8>, key: &str, value: bool) {
    write_key(out, key);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn write_number_field(out: &mut Vec<u8>, key: &str, value: i64) {
    write_key(out, key);
    write_int(out, value);
}

fn write_child(out: &mut Vec<u8>, key: &str, expr: Option<&Expr>) {
    write_key(out, key);
    match expr {
        Some(expr) => write_expr(out, expr),
        None => out.extend_from_slice(b"null"),
    }
}

/// The parser bounds the height of trees, so recursion is bounded too.
fn write_expr(out: &mut Vec<u8>, expr: &Expr) {
    out.push(b'{');
    match &expr.kind {
        ExprKind::Number(value) | ExprKind::Duration(value) => {
            write_text(out, "type", "numberLiteral");
            write_text(out, "val", &format_float(*value));
        }
        ExprKind::String(value) => {
            write_text(out, "type", "stringLiteral");
            write_text(out, "val", value);
        }
        ExprKind::VectorSelector(selector) => {
            write_selector(out, selector, None);
            write_text(out, "type", "vectorSelector");
        }
        ExprKind::MatrixSelector(matrix) => {
            write_selector(out, &matrix.selector, Some(matrix.range_ms));
            write_text(out, "type", "matrixSelector");
        }
        ExprKind::Subquery(subquery) => write_subquery(out, subquery),
        ExprKind::Unary(op, inner) => {
            write_child(out, "expr", Some(inner));
            write_text(out, "op", if *op == UnaryOp::Minus { "-" } else { "+" });
            write_text(out, "type", "unaryExpr");
        }
        ExprKind::Binary(binary) => write_binary(out, binary),
        ExprKind::Aggregate(aggregate) => write_aggregate(out, aggregate),
        ExprKind::Call(call) => write_call(out, call),
        ExprKind::Paren(inner) => {
            write_child(out, "expr", Some(inner));
            write_text(out, "type", "parenExpr");
        }
    }
    out.push(b'}');
}

fn write_selector(out: &mut Vec<u8>, selector: &VectorSelector, range_ms: Option<i64>) {
    write_bool(out, "anchored", selector.extended == Some(Extended::Anchored));
    write_key(out, "matchers");
    write_matchers(out, &selector.matchers);
    write_text(out, "name", selector.name.as_deref().unwrap_or(""));
    write_number_field(out, "offset", selector.time.offset_ms);
    if let Some(range_ms) = range_ms {
        write_number_field(out, "range", range_ms);
    }
    write_bool(out, "smoothed", selector.extended == Some(Extended::Smoothed));
    write_start_or_end(out, selector.time);
    write_at(out, selector.time);
}

fn write_matchers(out: &mut Vec<u8>, matchers: &[Matcher]) {
    out.push(b'[');
    for (at, matcher) in matchers.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
        write_text(out, "name", matcher.name());
        write_text(out, "type", matcher.op().as_str());
        write_text(out, "value", matcher.value());
        out.push(b'}');
    }
    out.push(b']');
}

fn write_start_or_end(out: &mut Vec<u8>, time: TimeModifiers) {
    match time.at {
        Some(At::Start) => write_text(out, "startOrEnd", "start"),
        Some(At::End) => write_text(out, "startOrEnd", "end"),
        Some(At::TimeMs(_)) | None => {
            write_key(out, "startOrEnd");
            out.extend_from_slice(b"null");
        }
    }
}

fn write_at(out: &mut Vec<u8>, time: TimeModifiers) {
    write_key(out, "timestamp");
    match time.at {
        Some(At::TimeMs(ms)) => write_int(out, ms),
        Some(At::Start | At::End) | None => out.extend_from_slice(b"null"),
    }
}

fn write_subquery(out: &mut Vec<u8>, subquery: &Subquery) {
    write_child(out, "expr", Some(&subquery.expr));
    write_number_field(out, "offset", subquery.time.offset_ms);
    write_number_field(out, "range", subquery.range_ms);
    write_start_or_end(out, subquery.time);
    write_number_field(out, "step", subquery.step_ms.unwrap_or(0));
    write_at(out, subquery.time);
    write_text(out, "type", "subquery");
}

fn write_binary(out: &mut Vec<u8>, binary: &Binary) {
    write_bool(out, "bool", binary.return_bool);
    write_child(out, "lhs", Some(&binary.lhs));
    write_key(out, "matching");
    match &binary.matching {
        Some(matching) => write_matching(out, matching),
        None => out.extend_from_slice(b"null"),
    }
    write_text(out, "op", binary.op.as_str());
    write_child(out, "rhs", Some(&binary.rhs));
    write_text(out, "type", "binaryExpr");
}

fn write_matching(out: &mut Vec<u8>, matching: &VectorMatching) {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    out.push(b'{');
    write_text(out, "card", card);
    write_key(out, "fillValues");
    out.push(b'{');
    for (key, value) in [("lhs", matching.fill.left), ("rhs", matching.fill.right)] {
        write_key(out, key);
        match value.filter(|value| value.is_finite()) {
            Some(value) => write_number(out, value, FloatFormat::Json),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    write_key(out, "include");
    write_strings(out, &matching.include);
    write_key(out, "labels");
    write_strings(out, &matching.labels);
    write_bool(out, "on", matching.on);
    out.push(b'}');
}

fn write_aggregate(out: &mut Vec<u8>, aggregate: &Aggregate) {
    write_child(out, "expr", Some(&aggregate.expr));
    write_key(out, "grouping");
    write_strings(out, &aggregate.grouping);
    write_text(out, "op", aggregate.op.as_str());
    write_child(out, "param", aggregate.param.as_ref());
    write_text(out, "type", "aggregation");
    write_bool(out, "without", aggregate.without);
}

fn write_call(out: &mut Vec<u8>, call: &Call) {
    write_key(out, "args");
    out.push(b'[');
    for (at, arg) in call.args.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_expr(out, arg);
    }
    out.push(b']');
    let signature = call.function;
    write_key(out, "func");
    out.push(b'{');
    write_key(out, "argTypes");
    write_strings(out, signature.args.iter().map(|t| ValueType::as_str(*t)));
    write_text(out, "name", signature.name);
    write_text(out, "returnType", signature.returns.as_str());
    write_number_field(out, "variadic", i64::from(signature.variadic));
    out.push(b'}');
    write_text(out, "type", "call");
}
