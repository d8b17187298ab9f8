//! What parses, shown by what the printer makes of it.

use crate::parser::parse;

#[track_caller]
fn prints(query: &str, want: &str) {
    match parse(query) {
        Ok(expr) => assert_eq!(expr.to_string(), want),
        Err(errors) => panic!("{query}: {}", errors[0]),
    }
}

/// Already in the canonical form.
#[track_caller]
fn same(query: &str) {
    prints(query, query);
}

#[test]
fn numbers_are_gos_and_durations_are_numbers() {
    same("1");
    same("+Inf");
    prints("-inf", "-Inf");
    prints("nan", "NaN");
    prints(".5", "0.5");
    prints("5.", "5");
    prints("1_000", "1000");
    prints("0x_1f", "31");
    prints("0XfF", "255");
    prints("0755", "493");
    prints("089", "89");
    prints("1e3", "1000");
    prints("1.5E-3", "0.0015");
    prints("1_2.3_4", "12.34");
    same("5m");
    same("-1h30m");
    prints("1y2w3d4h5m6s7ms", "382d4h5m6s7ms");
    prints("+1", "1");
    prints("- 1", "-1");
}

#[test]
fn operators_and_their_modifiers() {
    same("1 + 2 * 3 ^ 4 ^ 5 - 6");
    same("1 - 2 - 3");
    same("2 ^ -3 * 4");
    same("-1 ^ 2");
    same("-a ^ 2");
    same("-a * 2");
    same("--a");
    prints("- -1", "1");
    same("1 % 2 atan2 3");
    same("a or b and c unless d == e + f");
    same("a == bool b");
    same("1 >= bool 2");
    same("a != 1");
    prints("a > on (x) group_left b", "a > on (x) group_left () b");
    prints("a / ignoring(x,) group_right(y, z) b", "a / ignoring (x) group_right (y, z) b");
    prints("a + on() b", "a + on () b");
    same(r#"a and on (x, "y.z") b"#);
    same("a * on (by, bool, on, sum, offset, start, atan2) b");
    prints("a - ignoring() b", "a - b");
    same("a </ 5");
    same("a >/ b");
    prints("a + fill(0) b", "a + fill (0) b");
    prints("a + fill_left (1) fill_right(-2.5) b", "a + fill_left (1) fill_right (-2.5) b");
    prints("a + on (x) group_left () fill_right(1e30) b", "a + on (x) group_left () fill_right (1e+30) b");
    same("fill + fill_left");
}

#[test]
fn what_kymo_adds_stands_where_prometheus_has_errors() {
    same("a default b or c if d ifnot e");
    prints("a DEFAULT 0", "a default 0");
    same("default default default");
    same("if if on (if) ifnot");
    same("median + share / zscore - union");
    same(r#"median{share="x"} offset 5m"#);
    same("sum by (default, if, union) (median)");
    same("median by (a) (b)");
    prints("Topk_Max(3, a) without (b)", "topk_max without (b) (3, a)");
    same(r#"a{b="c" or d="e",f="g"}"#);
    prints(r#"{b="c" OR or="e"}"#, r#"{b="c" or or="e"}"#);
    same(r#"a{or="x"}"#);
    prints("1Ki + 1.5M - 2kB * 1_000K", "1024 + 1500000 - 2000 * 1000000");
    prints("x[1K]", "x[16m40s]");
}

#[test]
fn templates_are_put_in() {
    prints("WITH (a = b + c) a * 2", "(b + c) * 2");
    prints("WITH (a = b + c) a", "(b + c)");
    prints("2 * WITH (a = b) a + c", "2 * (b + c)");
    prints("sum(WITH (a = b) a + c)", "sum(b + c)");
    prints(
        "WITH (f(x, y) = x{a=\"b\"} / max_over_time(y[5m:])) f(c, d)",
        "(c{a=\"b\"} / max_over_time(d[5m:]))",
    );
    prints("WITH (f(x) = x[5m] offset 1m) rate(f(c{d=\"e\"}))", "rate(c{d=\"e\"}[5m] offset 1m)");
    prints("WITH (f = {a=\"b\", c=\"d\"}) x{e=\"f\", f}", "x{a=\"b\",c=\"d\",e=\"f\"}");
    prints("with (a = 1, b = a + 1, a = b) a", "(1 + 1)");
    prints("WITH (f(x) = -x, g(x) = f(x) ^ 2) g(y)", "((-y) ^ 2)");
    prints("with + with{with=\"a\"}", "with + with{with=\"a\"}");
    prints("WITH (f() = 1) f()", "1");
    prints(r#"WITH (a = b{c="d"}) a{e="f" or g="h"}"#, r#"b{c="d",e="f" or c="d",g="h"}"#);
    prints(r#"WITH (a = b{c="d" or e="f"}) a{g="h"}"#, r#"b{c="d",g="h" or e="f",g="h"}"#);
    prints(r#"WITH (f(x) = x{g="h"}) f(b{c="d" or e="f"})"#, r#"b{c="d",g="h" or e="f",g="h"}"#);
}

#[test]
fn strings_have_gos_escapes() {
    prints(r#""dou\"ble\n\u00e9\x41\101""#, r#""dou\"ble\néAA""#);
    prints("'sin\\'gle'", r#""sin'gle""#);
    prints(r#"`ra\w "text"`"#, r#""ra\\w \"text\"""#);
    same(r#""☺""#);
    prints("'\\U0001f600'", r#""😀""#);
    prints("'\u{a0}'", r#""\u00a0""#);
}

#[test]
fn selectors_match_by_name_and_label() {
    same("up");
    prints("up{}", "up");
    same(r#"foo:bar:rate5m{a="b"}"#);
    same(":foo");
    same(r#"{a="b"}"#);
    prints(r#"{a!="b",c=~"d.*",e!~"f|g",}"#, r#"{a!="b",c=~"d.*",e!~"f|g"}"#);
    prints(r#"{"metric.name"}"#, r#"{__name__="metric.name"}"#);
    prints(
        r#"{"metric.name", "label.name"="x", b="c"}"#,
        r#"{"label.name"="x",__name__="metric.name",b="c"}"#,
    );
    prints(r#"{__name__="a", __name__=~"b"}"#, r#"{__name__="a",__name__=~"b"}"#);
    prints(r#"{'quo\'ted', `raw`="x"}"#, r#"{__name__="quo'ted",raw="x"}"#);
    prints(
        r#"foo{on="1", by="2", bool="3", sum="4", inf="5"}"#,
        r#"foo{bool="3",by="2",inf="5",on="1",sum="4"}"#,
    );
}

#[test]
fn words_of_the_language_are_names_too() {
    same("sum");
    same("by");
    same(r#"without{a="b"}"#);
    same("offset offset 5m");
    same("and and or or unless");
    same("start");
    same(r#"end{start="x"}"#);
    same("step + range");
    same("anchored");
    same(r#"smoothed{a="b"} smoothed"#);
    same("min_of / max_of");
    same("limitk");
    prints("SUM(up)", "sum(up)");
    same("Rate");
}

#[test]
fn ranges_offsets_and_times_come_in_any_order() {
    same("up[5m]");
    prints("up[300]", "up[5m]");
    prints("up[1.5]", "up[1s500ms]");
    prints(r#"up{a="b"} [ 1h30m ]"#, r#"up{a="b"}[1h30m]"#);
    same("up offset 5m");
    same("up offset -1h");
    prints("up OFFSET +90s", "up offset 1m30s");
    prints("up offset 1.5", "up offset 1s500ms");
    prints("up offset 0s offset 5m", "up offset 5m");
    prints("up @ 1600000000", "up @ 1600000000.000");
    prints("up @ -1.5", "up @ -1.500");
    prints("up @ 1e3", "up @ 1000.000");
    prints("up @ 5m", "up @ 300.000");
    same("up @ start()");
    prints("up @ end ( ) offset 1m", "up @ end() offset 1m");
    prints("up offset 1m @ 0", "up @ 0.000 offset 1m");
    prints("up[5m] offset 1w @ 1", "up[5m] @ 1.000 offset 1w");
    prints("up[5m] @ 1.0005 offset -1ms", "up[5m] @ 1.001 offset -1ms");
    same("up[1h:5m]");
    same("up[1h:]");
    prints("up[1h:5m] offset 1d @ end()", "up[1h:5m] @ end() offset 1d");
    prints("up offset 1m [1h:]", "up offset 1m[1h:]");
    prints("up @ 5 [10m:1m]", "up @ 5.000[10m:1m]");
    same("rate(up[5m])[1h:1m]");
    same("max_over_time(rate(up[5m])[1h:1m] offset 2h)");
    same("(a + b)[5m:]");
}

#[test]
fn computed_durations_and_extended_ranges() {
    same("up anchored");
    same("up[5m] anchored");
    prints("up[5m] smoothed @ 5 offset 1m", "up[5m] smoothed @ 5.000 offset 1m");
    same("up[step()]");
    same("up[range() / 2]");
    same("up[5m + 1m * 2 ^ 3 - 10s % 3]");
    same("up[-(10s - 5s) + 20s]");
    same("up[min_of(step(), 5m)]");
    prints("up[MAX_OF(1m, step() + 1)]", "up[max_of(1m, step() + 1)]");
    same("up[(5m)]");
    same("up[1m + 1m:step() * 2]");
    same("up offset step()");
    same("up offset -step()");
    same("up offset (5m - 3m)");
    same("up offset -(1 + 2)");
    same("up offset 5m - 1");
    prints("up offset -2 ^ 2", "up offset -2s ^ 2");
    same("up offset -min_of(1m, range())");
}

#[test]
fn aggregations_take_their_labels_before_or_behind() {
    same("sum(up)");
    same("sum by (a) (up)");
    prints("sum(up) by (a, b,)", "sum by (a, b) (up)");
    same("sum without (a) (up)");
    prints("sum by () (up)", "sum(up)");
    prints("sum(up) without ()", "sum without () (up)");
    same(r#"avg by (le, "x y") (up)"#);
    same("topk(5, up)");
    same("bottomk by (a) (scalar(x), up)");
    prints("quantile(0.9, up) without (b)", "quantile without (b) (0.9, up)");
    same(r#"count_values("v", up)"#);
    same("limitk(2, up)");
    same("limit_ratio(-0.5, up)");
    same("group(stddev(stdvar(count(min(max(up))))))");
    same("sum(sum)");
}

#[test]
fn functions_take_what_their_signature_says() {
    same("rate(up[5m])");
    same("time()");
    same("pi() * 2");
    same("round(up)");
    same("round(up, 5)");
    same("hour()");
    same("hour(up)");
    same(r#"label_join(up, "a", ",")"#);
    same(r#"label_join(up, "a", ",", "b", "c", "d")"#);
    same(r#"label_replace(up, "a", "$1", "b", "(.*)")"#);
    same("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))");
    same(r#"histogram_quantiles(x, "q", 0.5, 0.9, 0.99)"#);
    same(r#"sort_by_label(up, "a", "b")"#);
    same("info(up)");
    same(r#"info(up, {a="b"})"#);
    same("info(up, {})");
    same("clamp(up, 0, 1)");
    same("start() + end() - range() / step()");
    same("start_timestamp(up)");
    same("min_of(1, max_of(2, 3))");
    same("vector(1m)");
    same(r#"absent({a="b"})"#);
    same("double_exponential_smoothing(up[5m], 0.1, 0.2)");
}

#[test]
fn space_and_comments_mean_nothing() {
    same("((up))");
    prints("( 1 )", "(1)");
    prints("up # comment", "up");
    prints("# first\n  up   # then\n+# more\n 1", "up + 1");
    prints("up{ # inside\na=\"b\" # here\n}", r#"up{a="b"}"#);
}
