//! The tree as JSON, in the shape of Prometheus' `/api/v1/parse_query`, for the UI.

use model::Matcher;
use model::number::format_float;
use serde_json::{Value, json};

use crate::ast::{
    At, Call, Cardinality, Expr, ExprKind, Extended, TimeModifiers, UnaryOp, ValueType, VectorMatching,
    VectorSelector,
};

/// The tree as JSON.
pub fn to_json(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(value) | ExprKind::Duration(value) => {
            json!({"type": "numberLiteral", "val": format_float(*value)})
        }
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text}),
        ExprKind::VectorSelector(selector) => selector_json(selector, None),
        ExprKind::MatrixSelector(matrix) => selector_json(&matrix.selector, Some(matrix.range_ms)),
        ExprKind::Subquery(subquery) => json!({
            "type": "subquery",
            "expr": to_json(&subquery.expr),
            "range": subquery.range_ms,
            "offset": subquery.time.offset_ms,
            "step": subquery.step_ms.unwrap_or(0),
            "timestamp": timestamp(&subquery.time),
            "startOrEnd": start_or_end(&subquery.time),
        }),
        ExprKind::Unary(op, inner) => {
            let op = if *op == UnaryOp::Minus { "-" } else { "+" };
            json!({"type": "unaryExpr", "op": op, "expr": to_json(inner)})
        }
        ExprKind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": to_json(&binary.lhs),
            "rhs": to_json(&binary.rhs),
            "matching": binary.matching.as_ref().map(matching_json),
            "bool": binary.return_bool,
        }),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": to_json(&aggregate.expr),
            "param": aggregate.param.as_ref().map(to_json),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        ExprKind::Call(call) => call_json(call),
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": to_json(inner)}),
    }
}

fn selector_json(selector: &VectorSelector, range_ms: Option<i64>) -> Value {
    let mut value = json!({
        "type": "vectorSelector",
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": selector.time.offset_ms,
        "matchers": selector.matchers.iter().map(matcher_json).collect::<Vec<_>>(),
        "timestamp": timestamp(&selector.time),
        "startOrEnd": start_or_end(&selector.time),
        "anchored": selector.extended == Some(Extended::Anchored),
        "smoothed": selector.extended == Some(Extended::Smoothed),
    });
    if !selector.alternatives.is_empty() {
        let sets = selector.alternatives.iter();
        value["alternatives"] =
            sets.map(|matchers| matchers.iter().map(matcher_json).collect::<Vec<_>>()).collect();
    }
    if let Some(range_ms) = range_ms {
        value["type"] = json!("matrixSelector");
        value["range"] = json!(range_ms);
    }
    value
}

fn matcher_json(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "value": matcher.value(), "type": matcher.op().as_str()})
}

fn matching_json(matching: &VectorMatching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill.left, "rhs": matching.fill.right},
    })
}

fn call_json(call: &Call) -> Value {
    let function = call.function;
    json!({
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": function.args.iter().map(|arg: &ValueType| arg.as_str()).collect::<Vec<_>>(),
            "variadic": function.variadic,
            "returnType": function.returns.as_str(),
        },
        "args": call.args.iter().map(to_json).collect::<Vec<_>>(),
    })
}

fn timestamp(time: &TimeModifiers) -> Option<i64> {
    match time.at {
        Some(At::TimeMs(at_ms)) => Some(at_ms),
        _ => None,
    }
}

fn start_or_end(time: &TimeModifiers) -> Option<&'static str> {
    match time.at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, want: Value) {
        assert_eq!(to_json(&crate::parser::parse(query).expect(query)), want);
    }

    #[test]
    fn selectors_name_their_matchers_and_times() {
        let matchers = json!([
            {"name": "a", "value": "b.*", "type": "=~"},
            {"name": "__name__", "value": "up", "type": "="},
        ]);
        check(
            "up{a=~\"b.*\"}[5m] @ 1.5 offset -1m",
            json!({"type": "matrixSelector", "name": "up", "range": 300_000, "offset": -60_000, "matchers": matchers,
                "timestamp": 1_500, "startOrEnd": null, "anchored": false, "smoothed": false}),
        );
        let quoted = json!([{"name": "__name__", "value": "a.b", "type": "="}]);
        check(
            "{\"a.b\"} @ end()",
            json!({"type": "vectorSelector", "name": "", "offset": 0, "matchers": quoted,
                "timestamp": null, "startOrEnd": "end", "anchored": false, "smoothed": false}),
        );
    }

    #[test]
    fn operations_name_their_matching_only_between_vectors() {
        let one = json!({"type": "numberLiteral", "val": "1"});
        let minute = json!({"type": "numberLiteral", "val": "60"});
        check(
            "1 < bool 1m",
            json!({"type": "binaryExpr", "op": "<", "lhs": one, "rhs": minute, "matching": null, "bool": true}),
        );
        let got = to_json(&crate::parser::parse("a * on (x) group_left (y) b").expect("valid"));
        assert_eq!(
            got["matching"],
            json!({"card": "many-to-one", "labels": ["x"], "on": true, "include": ["y"],
                "fillValues": {"lhs": null, "rhs": null}})
        );
    }

    #[test]
    fn calls_carry_their_signature() {
        let string = json!({"type": "stringLiteral", "val": "a"});
        let got =
            to_json(&crate::parser::parse("count_values without (b) (\"a\", round(-(x)))").expect("valid"));
        assert_eq!(
            (&got["param"], &got["grouping"], &got["without"]),
            (&string, &json!(["b"]), &json!(true))
        );
        let call = &got["expr"];
        assert_eq!(
            call["func"],
            json!({"name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector"})
        );
        assert_eq!(call["args"][0]["type"], "unaryExpr");
        assert_eq!(call["args"][0]["expr"]["type"], "parenExpr");
    }

    #[test]
    fn subqueries_say_zero_for_the_default_step() {
        let got = to_json(&crate::parser::parse("x[1h:] offset 1m").expect("valid"));
        assert_eq!(
            (&got["type"], &got["range"], &got["step"], &got["offset"]),
            (&json!("subquery"), &json!(3_600_000), &json!(0), &json!(60_000))
        );
    }
}
