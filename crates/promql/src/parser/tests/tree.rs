//! Trees as the engine gets them: structure, times in milliseconds, spans, completed matching.

use model::{METRIC_NAME, MatchOp, Matcher};

use crate::ast::duration::DurationKind;
use crate::ast::{
    At, BinaryOp, Cardinality, Expr, ExprKind, Extended, FillValues, TimeModifiers, UnaryOp, ValueType,
    VectorMatching, VectorSelector, resolve_durations,
};
use crate::parser::{HEIGHT_MAX, NESTING_MAX, parse, parse_selector};

#[track_caller]
fn expr(query: &str) -> Expr {
    parse(query).unwrap_or_else(|errors| panic!("{query}: {}", errors[0]))
}

/// The structure of operators, fully parenthesised.
fn shape(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary(b) => format!("({} {} {})", shape(&b.lhs), b.op.as_str(), shape(&b.rhs)),
        ExprKind::Unary(UnaryOp::Minus, inner) => format!("(-{})", shape(inner)),
        ExprKind::Unary(UnaryOp::Plus, inner) => format!("(+{})", shape(inner)),
        ExprKind::Paren(inner) => format!("[{}]", shape(inner)),
        _ => expr.to_string(),
    }
}

#[track_caller]
fn binds(query: &str, want: &str) {
    assert_eq!(shape(&expr(query)), want, "{query}");
}

#[test]
fn operators_bind_as_their_precedence_says() {
    binds("a + b * c", "(a + (b * c))");
    binds("a * b + c", "((a * b) + c)");
    binds("a - b - c", "((a - b) - c)");
    binds("a ^ b ^ c", "(a ^ (b ^ c))");
    binds("a * b / c % d atan2 e", "((((a * b) / c) % d) atan2 e)");
    binds("a or b and c", "(a or (b and c))");
    binds("a and b unless c or d", "(((a and b) unless c) or d)");
    binds("a == b + c > d", "((a == (b + c)) > d)");
    binds("a </ b + c", "(a </ (b + c))");
    binds("a or b </ c", "(a or (b </ c))");
    binds("(a + b) * c", "([(a + b)] * c)");
    binds("a + b ^ c offset 1m", "(a + (b ^ c offset 1m))");
}

#[test]
fn signs_bind_like_multiplication_and_fold_into_numbers() {
    binds("-a ^ b", "(-(a ^ b))");
    binds("-a * b", "((-a) * b)");
    binds("-1 ^ 2", "(-(1 ^ 2))");
    binds("-1 * 2", "(-1 * 2)");
    binds("2 ^ -3 * 4", "((2 ^ -3) * 4)");
    binds("2 ^ -a ^ b", "(2 ^ (-(a ^ b)))");
    binds("- - a", "(-(-a))");
    binds("-(1)", "(-[1])");
    assert_eq!(expr("- -1").kind, ExprKind::Number(1.0));
    assert_eq!(expr("-5m").kind, ExprKind::Duration(-300.0));
}

fn selector(query: &str) -> VectorSelector {
    match expr(query).kind {
        ExprKind::VectorSelector(selector) => selector,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_selectors_name_is_its_last_matcher() {
    let found = selector("up{a=\"b\", c!~\"d\"}");
    let regex = Matcher::new(MatchOp::NotRegex, "c", "d").expect("valid");
    assert_eq!(found.name.as_deref(), Some("up"));
    assert_eq!(found.matchers, [Matcher::equal("a", "b"), regex, Matcher::equal(METRIC_NAME, "up")]);
    let found = selector("{\"a.b\", \"c d\"!=\"e\"}");
    assert_eq!(found.name, None);
    assert_eq!(found.matchers, [Matcher::equal(METRIC_NAME, "a.b"), Matcher::not_equal("c d", "e")]);
}

#[test]
fn times_are_milliseconds() {
    let time = |query: &str| selector(query).time;
    assert_eq!(time("up offset 1.5"), TimeModifiers { offset_ms: 1_500, at: None });
    assert_eq!(
        time("up offset -1h @ 1.0005"),
        TimeModifiers { offset_ms: -3_600_000, at: Some(At::TimeMs(1_001)) }
    );
    assert_eq!(time("up @ end() offset 5m").at, Some(At::End));
    assert_eq!(time("up @ -0.001").at, Some(At::TimeMs(-1)));
    assert_eq!(time("up @ start()").at, Some(At::Start));
}

#[test]
fn ranges_and_subqueries_keep_what_they_select_from() {
    let ExprKind::MatrixSelector(matrix) = expr(" up{a=\"b\"} [5m] smoothed offset 1m @ 1").kind else {
        panic!()
    };
    assert_eq!((matrix.range_ms, &matrix.range_expr, matrix.selector_span), (300_000, &None, 1..10));
    assert_eq!(matrix.selector.time, TimeModifiers { offset_ms: 60_000, at: Some(At::TimeMs(1_000)) });
    assert_eq!(matrix.selector.extended, Some(Extended::Smoothed));

    let ExprKind::Subquery(subquery) = expr("up offset 1m [1h:] offset 2m").kind else { panic!() };
    assert_eq!((subquery.range_ms, subquery.step_ms, subquery.time.offset_ms), (3_600_000, None, 120_000));
    assert_eq!(subquery.expr.span, 0..12);
    let ExprKind::Subquery(subquery) = expr("rate(up[5m])[1h:90]").kind else { panic!() };
    assert_eq!(subquery.step_ms, Some(90_000));
}

#[test]
fn spans_cover_every_part_in_bytes() {
    #[track_caller]
    fn spans(query: &str, want: &str) {
        assert_eq!(&query[expr(query).span], want);
    }
    for (query, want) in [
        (" 1 ", "1"),
        (" - 1 ", "- 1"),
        ("\n-a ^ b # x", "-a ^ b"),
        (" ( a + b ) ", "( a + b )"),
        (" \"é\" ", "\"é\""),
        (" a{b=\"é\"} offset -5m @ end() ", "a{b=\"é\"} offset -5m @ end()"),
        (" a [5m] @ 5 ", "a [5m] @ 5"),
        (" a[5m:1m] offset (1 + step()) ", "a[5m:1m] offset (1 + step())"),
        (" sum(a) ", "sum(a)"),
        (" sum(a) by (b) ", "sum(a) by (b)"),
        (" sum by (b) (a) ", "sum by (b) (a)"),
        (" rate( a[5m] ) ", "rate( a[5m] )"),
        (" (a) + on(b) group_left (c) x ", "(a) + on(b) group_left (c) x"),
    ] {
        spans(query, want);
    }
}

#[test]
fn nested_aggregations_end_at_their_own_parenthesis() {
    let ExprKind::Paren(inner) = expr("(sum(a) )").kind else { panic!() };
    assert_eq!(inner.span, 1..7);
    let ExprKind::Aggregate(outer) = expr("topk by (x) (scalar(sum(b)), sum(a))").kind else { panic!() };
    assert_eq!((outer.expr.span, outer.param.expect("topk has one").span), (29..35, 13..27));
}

fn matching(query: &str) -> Option<VectorMatching> {
    match expr(query).kind {
        ExprKind::Binary(binary) => binary.matching,
        other => panic!("{other:?}"),
    }
}

#[test]
fn matching_is_there_exactly_between_vectors() {
    let of = |cardinality, on: bool, labels: &[&str], include: &[&str]| {
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (labels, include) = (strings(labels), strings(include));
        Some(VectorMatching { cardinality, labels, on, include, fill: FillValues::default() })
    };
    assert_eq!(matching("a + 1"), None);
    assert_eq!(matching("1 + a"), None);
    assert_eq!(matching("1 + 2"), None);
    assert_eq!(matching("a + ignoring() 1"), None);
    assert_eq!(matching("a + b"), of(Cardinality::OneToOne, false, &[], &[]));
    assert_eq!(matching("a and b"), of(Cardinality::ManyToMany, false, &[], &[]));
    assert_eq!(matching("a unless on() b"), of(Cardinality::ManyToMany, true, &[], &[]));
    assert_eq!(matching("a * ignoring(x, \"y z\") b"), of(Cardinality::OneToOne, false, &["x", "y z"], &[]));
    assert_eq!(matching("a * on(x) group_left b"), of(Cardinality::ManyToOne, true, &["x"], &[]));
    assert_eq!(matching("a * on(x) group_right(y,) b"), of(Cardinality::OneToMany, true, &["x"], &["y"]));
    let fill = |query: &str| matching(query).expect("between vectors").fill;
    assert_eq!(fill("a + fill(1) b"), FillValues { left: Some(1.0), right: Some(1.0) });
    assert_eq!(fill("a + on(x) fill_right(-1m) b"), FillValues { left: None, right: Some(-60.0) });
    assert_eq!(fill("a + fill_right(1) fill_left(NaN) b").right, Some(1.0));
}

#[test]
fn aggregations_know_their_parameter_and_labels() {
    let ExprKind::Aggregate(aggregate) = expr("quantile(0.5, a) without (b, \"c d\")").kind else { panic!() };
    assert_eq!(aggregate.param.map(|p| p.kind), Some(ExprKind::Number(0.5)));
    assert_eq!((aggregate.without, aggregate.grouping), (true, vec!["b".to_owned(), "c d".to_owned()]));
    let ExprKind::Aggregate(aggregate) = expr("sum by (sum) (a)").kind else { panic!() };
    assert_eq!(
        (aggregate.without, aggregate.grouping, aggregate.param),
        (false, vec!["sum".to_owned()], None)
    );
}

#[test]
fn every_expression_has_a_type() {
    let of = |query: &str| expr(query).value_type();
    assert_eq!((of("1"), of("5m"), of("-(1 + time())"), of("scalar(a)")), {
        let s = ValueType::Scalar;
        (s, s, s, s)
    });
    assert_eq!((of("\"a\""), of("(\"a\")")), (ValueType::String, ValueType::String));
    assert_eq!((of("a"), of("-a"), of("1 + a"), of("sum(a)")), {
        let v = ValueType::Vector;
        (v, v, v, v)
    });
    assert_eq!((of("a[5m]"), of("(a[5m])"), of("a[5m:]")), {
        let m = ValueType::Matrix;
        (m, m, m)
    });
}

#[test]
fn computed_durations_get_their_value_from_the_query() {
    let mut query =
        expr("sum_over_time(a[step() * 2 + range()] offset -min_of(step(), 1m))[1h:max_of(step(), 1)]");
    resolve_durations(&mut query, 30_000, 600_000).expect("positive");
    let ExprKind::Subquery(subquery) = query.kind else { panic!() };
    assert_eq!((subquery.range_ms, subquery.step_ms), (3_600_000, Some(30_000)));
    let ExprKind::Call(call) = subquery.expr.kind else { panic!() };
    let ExprKind::MatrixSelector(matrix) = &call.args[0].kind else { panic!() };
    assert_eq!((matrix.range_ms, matrix.selector.time.offset_ms), (660_000, -30_000));
}

#[test]
fn constant_durations_have_their_value_at_once() {
    let ExprKind::MatrixSelector(matrix) = expr("a[5m + 2 ^ 3] offset (1m - 2m)").kind else { panic!() };
    assert_eq!((matrix.range_ms, matrix.selector.time.offset_ms), (308_000, -60_000));
    assert!(matches!(matrix.range_expr.expect("computed").kind, DurationKind::Binary(BinaryOp::Add, _)));
}

#[test]
fn a_computed_duration_may_turn_out_to_be_none() {
    #[track_caller]
    fn check(query: &str, step_ms: i64, want: &str) {
        let mut query = expr(query);
        assert_eq!(
            resolve_durations(&mut query, step_ms, 0).map_err(|fault| fault.message),
            Err(want.to_owned())
        );
    }
    check("rate(a[step() - 1m])", 60_000, "duration must be greater than 0");
    check("rate(a[1m / step()])", 0, "division by zero");
    check("rate(a[1m % range()])", 0, "modulo by zero");
    check("a offset (10 ^ 20 * step())", 1_000, "duration is out of range");
    check("a[1m:-step()]", 1_000, "duration must be greater than 0");
}

#[test]
fn selectors_alone_may_be_empty_but_nothing_may_follow_them() {
    assert_eq!(parse_selector("{}").expect("the caller decides").matchers, []);
    assert_eq!(parse_selector(" up{a=\"b\"} # x").expect("valid").to_string(), "up{a=\"b\"}");
    assert_eq!(parse_selector("sum").expect("valid").name.as_deref(), Some("sum"));
    let message = |text: &str| parse_selector(text).expect_err(text)[0].to_string();
    assert_eq!(message("up[5m]"), "1:3: parse error: unexpected \"[\"");
    assert_eq!(message("up offset 5m"), "1:4: parse error: unexpected <offset>");
    assert_eq!(message("1"), "1:1: parse error: unexpected number \"1\"");
    assert_eq!(message(""), "unknown position: parse error: unexpected end of input");
    assert_eq!(message("up{a=\"b\"} or up"), "1:11: parse error: unexpected <op:or>");
}

#[test]
fn faults_of_meaning_are_collected_first_first() {
    let errors = parse("nosuch(1) + other(2) offset 5m").expect_err("three faults");
    let messages: Vec<_> = errors.iter().map(|e| (e.column, e.message.as_str())).collect();
    assert_eq!(messages[0], (1, "unknown function with name \"nosuch\""));
    assert_eq!(messages[1], (13, "unknown function with name \"other\""));
    assert_eq!(messages.len(), 3);
    let errors = parse("rate(a) + rate(1)").expect_err("two faults");
    assert_eq!(errors.iter().map(|e| e.span.clone()).collect::<Vec<_>>(), [5..6, 15..16]);
}

#[test]
fn nesting_and_height_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(NESTING_MAX - 1)).is_ok());
    for text in [
        nested(100_000),
        "-".repeat(100_000) + "1",
        "abs(".repeat(100_000),
        "sum by (a) (".repeat(100_000),
        "2 ^ ".repeat(100_000) + "1",
        format!("a[{}1{}]", "(".repeat(100_000), ")".repeat(100_000)),
        format!("a[{}1]", "-".repeat(100_000)),
    ] {
        let errors = parse(&text).expect_err("too deep");
        assert!(errors[0].message.starts_with("expression nests too deeply"), "{}", errors[0]);
    }
    let chain = |terms: usize| vec!["a"; terms].join(" or ");
    assert!(parse(&chain(HEIGHT_MAX)).is_ok());
    let errors = parse(&chain(100_000)).expect_err("too long");
    assert!(errors[0].message.starts_with("expression has too many levels"), "{}", errors[0]);
    let errors = parse(&("a".to_owned() + &"[1m:]".repeat(100_000))).expect_err("too long");
    assert_eq!(errors.len(), 1, "{}", errors[0]);
    let errors = parse(&format!("a[{}]", vec!["1"; 100_000].join(" + "))).expect_err("too long");
    assert!(errors[0].message.contains("too many operators"), "{}", errors[0]);
}
