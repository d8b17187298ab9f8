//! The scripts of our own cover the language: every function, operator, aggregation and modifier.

use std::collections::BTreeSet;
use std::path::Path;

use promql::ast::{AggregateOp, At, BinaryOp, Cardinality, Expr, ExprKind, Extended, VectorSelector};
use promql::{functions, parser};

/// The queries of our scripts that are not expected to fail to parse.
fn queries() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of scripts is there").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a script can be read");
        for line in text.lines().filter(|line| line.starts_with("eval")) {
            let words = if line.contains(" instant at ") { 4 } else { 8 };
            let query = line.splitn(words + 1, ' ').last().unwrap_or_default();
            queries.push(query.to_owned());
        }
    }
    queries
}

/// Names of all parts of an expression.
fn note(expr: &Expr, seen: &mut BTreeSet<String>) {
    expr.walk(&mut |part| match &part.kind {
        ExprKind::Call(call) => {
            seen.insert(format!("{}()", call.function.name));
        }
        ExprKind::Binary(binary) => {
            seen.insert(binary.op.as_str().to_owned());
            if binary.return_bool {
                seen.insert("bool".to_owned());
            }
            let Some(matching) = &binary.matching else { return };
            if matching.on || !matching.labels.is_empty() {
                seen.insert(if matching.on { "on" } else { "ignoring" }.to_owned());
            }
            let grouped = match matching.cardinality {
                Cardinality::ManyToOne => "group_left",
                Cardinality::OneToMany => "group_right",
                _ => "",
            };
            seen.insert(grouped.to_owned());
            match (matching.fill.left, matching.fill.right) {
                (Some(_), Some(_)) => seen.insert("fill".to_owned()),
                (Some(_), None) => seen.insert("fill_left".to_owned()),
                (None, Some(_)) => seen.insert("fill_right".to_owned()),
                (None, None) => false,
            };
        }
        ExprKind::Aggregate(aggregate) => {
            seen.insert(format!("{}()", aggregate.op.as_str()));
            if !aggregate.grouping.is_empty() {
                seen.insert(if aggregate.without { "without" } else { "by" }.to_owned());
            }
        }
        ExprKind::VectorSelector(selector) => note_selector(selector, seen),
        ExprKind::MatrixSelector(matrix) => {
            seen.insert("[range]".to_owned());
            note_selector(&matrix.selector, seen);
            if matrix.range_expr.is_some() {
                seen.insert("[computed]".to_owned());
            }
        }
        ExprKind::Subquery(subquery) => {
            seen.insert("[subquery]".to_owned());
            if subquery.time.offset_ms != 0 {
                seen.insert("[subquery] offset".to_owned());
            }
        }
        ExprKind::Unary(..) => {
            seen.insert("sign".to_owned());
        }
        ExprKind::Duration(_) => {
            seen.insert("duration".to_owned());
        }
        _ => {}
    });
}

fn note_selector(selector: &VectorSelector, seen: &mut BTreeSet<String>) {
    for matcher in &selector.matchers {
        seen.insert(format!("matcher {}", matcher.op().as_str()));
    }
    if !selector.alternatives.is_empty() {
        seen.insert("alternatives".to_owned());
    }
    if selector.time.offset_ms != 0 {
        seen.insert("offset".to_owned());
    }
    match selector.time.at {
        Some(At::TimeMs(_)) => seen.insert("@".to_owned()),
        Some(At::Start) => seen.insert("@ start()".to_owned()),
        Some(At::End) => seen.insert("@ end()".to_owned()),
        None => false,
    };
    match selector.extended {
        Some(Extended::Anchored) => seen.insert("anchored".to_owned()),
        Some(Extended::Smoothed) => seen.insert("smoothed".to_owned()),
        None => false,
    };
}

#[test]
fn our_scripts_cover_the_whole_language() {
    let mut seen = BTreeSet::new();
    for query in queries() {
        if let Ok(expr) = parser::parse(&query) {
            note(&expr, &mut seen);
        }
        if query.contains("WITH (") {
            seen.insert("WITH".to_owned());
        }
        if query.contains("1Ki") {
            seen.insert("units".to_owned());
        }
    }
    let mut wanted: Vec<String> = functions::all().map(|function| format!("{}()", function.name)).collect();
    wanted.extend(BinaryOp::ALL.iter().map(|op| op.as_str().to_owned()));
    wanted.extend(AggregateOp::all().map(|op| format!("{}()", op.as_str())));
    let modifiers = [
        "by",
        "without",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill",
        "fill_left",
        "fill_right",
        "offset",
        "@",
        "@ start()",
        "@ end()",
        "anchored",
        "smoothed",
        "[range]",
        "[subquery]",
        "[subquery] offset",
        "[computed]",
        "sign",
        "duration",
        "alternatives",
        "WITH",
        "units",
        "matcher =",
        "matcher !=",
        "matcher =~",
        "matcher !~",
    ];
    wanted.extend(modifiers.iter().map(|modifier| (*modifier).to_owned()));
    let missing: Vec<&String> = wanted.iter().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "no script in tests/scripts has: {missing:?}");
}
