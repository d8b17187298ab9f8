//! What is printed, and that it parses to the same tree.

use proptest::prelude::*;

use super::format_query;
use crate::ast::duration::DurationKind;
use crate::ast::{DurationExpr, Expr, ExprKind};
use crate::parser::parse;

#[track_caller]
fn check(query: &str, want: &[&str]) {
    let expr = parse(query).unwrap_or_else(|errors| panic!("{query}: {}", errors[0]));
    assert_eq!(format_query(&expr), want.join("\n"));
}

#[test]
fn what_fits_on_a_line_is_not_split() {
    check("sum(rate(a[5m]))by(b)/2", &["sum by (b) (rate(a[5m])) / 2"]);
    let name = "a".repeat(96);
    check(&format!("{name} + 1"), &[&format!("{name} + 1")]);
    let name = "a".repeat(97);
    check(&format!("{name} + 1"), &[&format!("  {name}"), "+", "  1"]);
}

#[test]
fn aggregations_and_calls_are_split_at_their_parentheses() {
    check(
        r#"sum by (job, instance) (rate(http_requests_total{job="api-server",handler="/api/v1/query",code=~"5.."}[5m] offset 1h))"#,
        &[
            r#"sum by (job, instance) ("#,
            r#"  rate(http_requests_total{code=~"5..",handler="/api/v1/query",job="api-server"}[5m] offset 1h)"#,
            r#")"#,
        ],
    );
    check(
        r#"histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket{job="api"}[5m]))) > 0.5"#,
        &[
            r#"  histogram_quantile("#,
            r#"    0.99,"#,
            r#"    sum by (le, job) (rate(http_request_duration_seconds_bucket{job="api"}[5m]))"#,
            r#"  )"#,
            r#">"#,
            r#"  0.5"#,
        ],
    );
    check(
        r#"topk(10, a_rather_long_metric_name_for_the_left_side{label="value"} unless bool_like_metric_name_that_is_long_too{label="value"})"#,
        &[
            r#"topk("#,
            r#"  10,"#,
            r#"    a_rather_long_metric_name_for_the_left_side{label="value"}"#,
            r#"  unless"#,
            r#"    bool_like_metric_name_that_is_long_too{label="value"}"#,
            r#")"#,
        ],
    );
    check(
        r#"label_replace(a_rather_long_metric_name{label="value"}, "destination_label", "prefix-$1-suffix", "source_label", "(.*)-[0-9]+")"#,
        &[
            r#"label_replace("#,
            r#"  a_rather_long_metric_name{label="value"},"#,
            r#"  "destination_label","#,
            r#"  "prefix-$1-suffix","#,
            r#"  "source_label","#,
            r#"  "(.*)-[0-9]+""#,
            r#")"#,
        ],
    );
    check(
        r#"count_values without (instance) ("version", build_information_of_some_service{job="prometheus",environment="production"}) == bool ignoring (x) group_right () y"#,
        &[
            r#"  count_values without (instance) ("#,
            r#"    "version","#,
            r#"    build_information_of_some_service{environment="production",job="prometheus"}"#,
            r#"  )"#,
            r#"== bool ignoring (x) group_right ()"#,
            r#"  y"#,
        ],
    );
    check(
        r#"sum(a_rather_long_metric_name_for_the_left_side{label="value"} or a_rather_long_metric_name_for_the_left_side{label="value"} or vector(0)) by (a)"#,
        &[
            r#"sum by (a) ("#,
            r#"      a_rather_long_metric_name_for_the_left_side{label="value"}"#,
            r#"    or"#,
            r#"      a_rather_long_metric_name_for_the_left_side{label="value"}"#,
            r#"  or"#,
            r#"    vector(0)"#,
            r#")"#,
        ],
    );
}

#[test]
fn operations_are_split_at_their_operators() {
    check(
        r#"a_rather_long_metric_name_for_the_left_side{label="value"} / on (instance, job) group_left (version, revision) another_rather_long_metric_name{label="value"}"#,
        &[
            r#"  a_rather_long_metric_name_for_the_left_side{label="value"}"#,
            r#"/ on (instance, job) group_left (version, revision)"#,
            r#"  another_rather_long_metric_name{label="value"}"#,
        ],
    );
    check(
        r#"absent(up{job="a"}) or absent(up{job="b"}) or absent(up{job="c"}) or absent(up{job="d"}) or absent(up{job="e"}) and up"#,
        &[
            r#"  absent(up{job="a"}) or absent(up{job="b"}) or absent(up{job="c"}) or absent(up{job="d"})"#,
            r#"or"#,
            r#"  absent(up{job="e"}) and up"#,
        ],
    );
    check(
        r#"sum(max by (a) (a_rather_long_metric_name_for_the_left_side{label="value"} == bool 1)) - quantile without (b) (0.5, up{instance="localhost:9090"}) > 1"#,
        &[
            r#"    sum(max by (a) (a_rather_long_metric_name_for_the_left_side{label="value"} == bool 1))"#,
            r#"  -"#,
            r#"    quantile without (b) (0.5, up{instance="localhost:9090"})"#,
            r#">"#,
            r#"  1"#,
        ],
    );
    check(
        r#"(a_rather_long_metric_name_for_the_left_side{label="value"} + another_rather_long_metric_name{label="value"}) * 100"#,
        &[
            r#"  ("#,
            r#"      a_rather_long_metric_name_for_the_left_side{label="value"}"#,
            r#"    +"#,
            r#"      another_rather_long_metric_name{label="value"}"#,
            r#"  )"#,
            r#"*"#,
            r#"  100"#,
        ],
    );
    check(
        r#"abs(-(-a_rather_long_metric_name_for_the_left_side{label="value"} ^ 2 + -another_rather_long_metric_name{label="value"}))"#,
        &[
            r#"abs("#,
            r#"  -("#,
            r#"      -a_rather_long_metric_name_for_the_left_side{label="value"} ^ 2"#,
            r#"    +"#,
            r#"      -another_rather_long_metric_name{label="value"}"#,
            r#"  )"#,
            r#")"#,
        ],
    );
}

#[test]
fn selectors_and_signs_stay_whole() {
    check(
        r#"-(a_rather_long_metric_name_for_the_left_side{label="value"} + another_rather_long_metric_name{label="value"})"#,
        &[
            r#"-("#,
            r#"    a_rather_long_metric_name_for_the_left_side{label="value"}"#,
            r#"  +"#,
            r#"    another_rather_long_metric_name{label="value"}"#,
            r#")"#,
        ],
    );
    check(
        r#"max_over_time(rate(a_rather_long_metric_name_for_the_left_side{label="value",another_label="another value"}[5m])[1h:1m] offset 1d)"#,
        &[
            r#"max_over_time("#,
            r#"  rate(a_rather_long_metric_name_for_the_left_side{another_label="another value",label="value"}[5m])[1h:1m] offset 1d"#,
            r#")"#,
        ],
    );
    check(
        r#"a_metric_with_a_name_that_is_so_long_that_it_does_not_fit_on_one_line_of_one_hundred_characters_together_with{its="label"}"#,
        &[
            r#"a_metric_with_a_name_that_is_so_long_that_it_does_not_fit_on_one_line_of_one_hundred_characters_together_with{its="label"}"#,
        ],
    );
    check(
        r#"((sum(rate(first_metric_of_this_query_total{job="a"}[5m])) + sum(rate(second_metric_of_this_query_total{job="b"}[5m]))) / 2)[1h:5m] @ 1600000000"#,
        &[
            r#"("#,
            r#"    ("#,
            r#"        sum(rate(first_metric_of_this_query_total{job="a"}[5m]))"#,
            r#"      +"#,
            r#"        sum(rate(second_metric_of_this_query_total{job="b"}[5m]))"#,
            r#"    )"#,
            r#"  /"#,
            r#"    2"#,
            r#")[1h:5m] @ 1600000000.000"#,
        ],
    );
    check(
        r#"rate(a_rather_long_metric_name_for_the_left_side{label="value",another_label="another value"}[5m] @ start() offset 1h30m15s)"#,
        &[
            r#"rate("#,
            r#"  a_rather_long_metric_name_for_the_left_side{another_label="another value",label="value"}[5m] @ start() offset 1h30m15s"#,
            r#")"#,
        ],
    );
}

/// Takes the positions out of a tree, so that trees of different texts can be compared.
fn without_spans(mut expr: Expr) -> Expr {
    fn duration(expr: Option<&mut Box<DurationExpr>>) {
        if let Some(expr) = expr {
            strip_duration(expr);
        }
    }
    fn strip_duration(expr: &mut DurationExpr) {
        expr.span = 0..0;
        match &mut expr.kind {
            DurationKind::Negative(inner) | DurationKind::Paren(inner) => strip_duration(inner),
            DurationKind::Min(sides) | DurationKind::Max(sides) | DurationKind::Binary(_, sides) => {
                sides.iter_mut().for_each(strip_duration);
            }
            _ => {}
        }
    }
    fn strip(expr: &mut Expr) {
        expr.span = 0..0;
        match &mut expr.kind {
            ExprKind::VectorSelector(selector) => {
                selector.matchers.sort_by_key(ToString::to_string);
                selector.alternatives.iter_mut().for_each(|set| set.sort_by_key(ToString::to_string));
                duration(selector.offset_expr.as_mut());
            }
            ExprKind::MatrixSelector(matrix) => {
                matrix.selector_span = 0..0;
                matrix.selector.matchers.sort_by_key(ToString::to_string);
                duration(matrix.selector.offset_expr.as_mut());
                duration(matrix.range_expr.as_mut());
            }
            ExprKind::Subquery(subquery) => {
                strip(&mut subquery.expr);
                duration(subquery.offset_expr.as_mut());
                duration(subquery.range_expr.as_mut());
                duration(subquery.step_expr.as_mut());
            }
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => strip(inner),
            ExprKind::Binary(binary) => {
                strip(&mut binary.lhs);
                strip(&mut binary.rhs);
            }
            ExprKind::Aggregate(aggregate) => {
                aggregate.param.iter_mut().for_each(strip);
                strip(&mut aggregate.expr);
            }
            ExprKind::Call(call) => call.args.iter_mut().for_each(strip),
            ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) => {}
        }
    }
    strip(&mut expr);
    expr
}

fn select(from: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(from).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = String> + Clone {
    select(&[
        "1",
        "-2",
        "0x1f",
        "1e3",
        "1.5e-9",
        "NaN",
        "5m",
        "1h30m7ms",
        "time()",
        "scalar(up)",
        "(3)",
        "-pi()",
        "1e300",
        "1Ki",
        "-1.5M",
    ])
}

fn duration() -> impl Strategy<Value = String> + Clone {
    select(&[
        "5m",
        "90",
        "1.5",
        "1d",
        "step()",
        "5m + step()",
        "(2 ^ 3 * 1m)",
        "range() / 3",
        "-(1s - 2s)",
        "min_of(1m, step())",
        "10m % 7s",
        "-10s + 15s",
        "max_of((1), range())",
    ])
}

fn time() -> impl Strategy<Value = String> + Clone {
    select(&[
        "",
        "",
        "",
        " offset 5m",
        " offset -1.5",
        " @ 1600000000.123",
        " @ start() offset 1h",
        " offset (step() * 2)",
        " @ -5",
        " @ end()",
        " offset -range()",
    ])
}

fn selector() -> impl Strategy<Value = String> + Clone {
    let plain = select(&[
        "up",
        "a:b",
        "sum",
        "offset",
        "start",
        "{\"a.b\"}",
        "up{a=\"b\"}",
        "{__name__=\"x y\",\"l l\"!=\"\\n\\\"\"}",
        "by{a=~\"b|c\",d!~`e\\w`}",
        "up{a=\"b\",c=\"d\" or or=\"e\"}",
        "{a=\"b\" or \"c.d\"}",
        "default{if=\"median\"}",
        "{a!=\"\",b=\"\u{a0}é☺\"}",
    ]);
    (plain, time()).prop_map(|(selector, time)| selector + &time)
}

fn range() -> impl Strategy<Value = String> + Clone {
    let extended = select(&["", "", " anchored", " smoothed"]);
    let plain = select(&["up", "a:b{c=\"d\"}", "{\"e f\"}"]);
    (plain, duration(), extended, time())
        .prop_map(|(name, range, extended, time)| format!("{name}[{range}]{extended}{time}"))
}

fn operator() -> impl Strategy<Value = String> + Clone {
    select(&[
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "atan2",
        "==",
        "!= bool",
        "> bool on (a)",
        "< ignoring (a, \"b c\")",
        "and",
        "or on ()",
        "unless",
        ">= on (a) group_left ()",
        "- ignoring (a) group_right (b)",
        "</",
        ">/",
        "default",
        "if on (a)",
        "ifnot ignoring (b)",
        "+ fill (0)",
        "* on (a) fill_left (-1.5) fill_right (2)",
        "/ on () group_left (\"x\") fill_right (1m)",
    ])
}

fn vector() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![selector(), range().prop_map(|range| format!("rate({range})"))];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let grouping = select(&["", " by (a)", " without ()", " by (\"b c\", on)"]);
        prop_oneof![
            4 => (inner.clone(), operator(), inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            1 => (scalar(), select(&["+", "^", "%", "==", "> bool"]), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => (inner.clone(), select(&["-", "^", "<", "</"]), scalar()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|inner| format!("-{inner}")),
            1 => inner.clone().prop_map(|inner| format!("+{inner}")),
            2 => inner.clone().prop_map(|inner| format!("({inner})")),
            2 => (select(&["sum", "group", "stddev"]), grouping, inner.clone())
                .prop_map(|(op, grouping, inner)| format!("{op}({inner}){grouping}")),
            1 => (scalar(), inner.clone()).prop_map(|(k, inner)| format!("topk by (a) ({k}, {inner})")),
            1 => inner.clone().prop_map(|inner| format!("label_join({inner}, \"a\", `\\`, '\"')")),
            1 => (inner.clone(), scalar()).prop_map(|(inner, to)| format!("round({inner}, {to})")),
            1 => (select(&["median", "share", "outliers_iqr"]), inner.clone())
                .prop_map(|(op, inner)| format!("{op} by (a) ({inner})")),
            1 => (scalar(), inner.clone()).prop_map(|(k, inner)| format!("topk_avg({k}, {inner}) without (a)")),
            1 => inner.clone().prop_map(|inner| format!("label_set(union({inner}, up), \"a\", \"\")")),
            1 => (inner.clone(), scalar())
                .prop_map(|(inner, n)| format!("WITH (x = {inner}, f(y) = y * {n}) f(x) + f(y)")),
            2 => (inner, duration(), prop_oneof![Just(String::new()), duration()], time())
                .prop_map(|(inner, range, step, time)| format!("sum_over_time(({inner})[{range}:{step}]{time})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(query in vector()) {
        let expr = parse(&query).map_err(|errors| TestCaseError::fail(format!("{query}: {}", errors[0])))?;
        let want = format!("{:?}", without_spans(expr.clone()));
        for printed in [expr.to_string(), format_query(&expr)] {
            let again = parse(&printed).map_err(|errors| TestCaseError::fail(format!("{printed}: {}", errors[0])))?;
            prop_assert_eq!(expr.to_string(), again.to_string());
            // Debug, because NaN is not equal to itself.
            prop_assert_eq!(&want, &format!("{:?}", without_spans(again)));
        }
    }
}
