//! What is refused, where, and in which words: those of Prometheus.

use crate::parser::parse;

#[track_caller]
fn fails(query: &str, place: &str, message: &str) {
    match parse(query) {
        Ok(expr) => panic!("{query} parsed as {expr}"),
        Err(errors) => {
            assert_eq!(errors[0].to_string(), format!("{place}: parse error: {message}"), "{query}");
        }
    }
}

#[test]
fn what_is_not_an_expression() {
    fails("", "unknown position", "no expression found in input");
    fails("# only a comment", "1:1", "no expression found in input");
    fails("1 +", "1:4", "unexpected end of input");
    fails("*1", "1:1", "unexpected <op:*>");
    fails("(1", "1:3", "unclosed left parenthesis");
    fails("1)", "1:3", "unexpected right parenthesis ')'");
    fails("()", "1:2", r#"unexpected ")""#);
    fails("(1 +)", "1:5", r#"unexpected ")""#);
    fails("1 2", "1:3", r#"unexpected number "2""#);
    fails("a b", "1:3", r#"unexpected identifier "b""#);
    fails("a 5", "1:3", r#"unexpected number "5""#);
}

#[test]
fn what_is_not_a_number() {
    fails(".", "1:1", "unexpected character: '.'");
    fails("1..2", "1:1", r#"bad number or duration syntax: "1..""#);
    fails("1.2.", "1:1", r#"bad number or duration syntax: "1.2.""#);
    fails("1__0", "1:1", r#"bad number or duration syntax: "1__""#);
    fails("1e+", "1:1", r#"bad number or duration syntax: "1e+""#);
    fails("0x", "1:1", r#"error parsing number: strconv.ParseFloat: parsing "0x": invalid syntax"#);
    fails("0xg", "1:1", r#"bad number or duration syntax: "0x""#);
    fails("1a", "1:1", r#"bad number or duration syntax: "1""#);
    fails("5mm", "1:1", r#"bad number or duration syntax: "5mm""#);
    fails("5m1", "1:1", r#"bad number or duration syntax: "5m1""#);
    fails("5m3h", "1:1", r#"not a valid duration string: "5m3h""#);
    fails("5y1hs", "1:1", r#"unknown unit "hs" in duration "5y1hs""#);
    fails("1e400", "1:1", r#"error parsing number: strconv.ParseFloat: parsing "1e400": value out of range"#);
    fails(
        "0x8000000000000000",
        "1:1",
        r#"error parsing number: strconv.ParseFloat: parsing "0x8000000000000000": invalid syntax"#,
    );
}

#[test]
fn characters_and_brackets_out_of_place() {
    fails("1 !~ 2", "1:3", "unexpected character after '!': '~'");
    fails("1 =~ 2", "1:3", "unexpected character after '=': '~'");
    fails("a = b", "1:3", r#"unexpected "=""#);
    fails("1 ! 2", "1:3", "unexpected character after '!': ' '");
    fails("$", "1:1", "unexpected character: '$'");
    fails("a ; b", "1:3", "unexpected character: ';'");
    fails("é", "1:1", "unexpected character: 'é'");
    fails("}", "1:1", "unexpected character: '}'");
    fails("a}", "1:2", "unexpected character: '}'");
    fails("]", "1:1", "unexpected right bracket ']'");
}

#[test]
fn what_is_wrong_with_kymos_words() {
    fails("a default", "1:10", "unexpected end of input");
    fails("default(a)", "1:1", r#"unknown function with name "default""#);
    fails("a if bool b", "1:3", "bool modifier can only be used on comparison operators");
    fails("a default on (x) group_left b", "1:1", r#"no grouping allowed for "default" operation"#);
    fails("a ifnot fill (0) b", "1:1", "filling in missing series not allowed for set operators");
    fails(
        "median(a, b)",
        "1:1",
        "wrong number of arguments for aggregate expression provided, expected 1, got 2",
    );
    fails(
        "topk_max(a)",
        "1:1",
        "wrong number of arguments for aggregate expression provided, expected 2, got 1",
    );
    fails("median by (a)", "1:14", "unexpected end of input in aggregation");
    fails("a{b=\"c\" or}", "1:11", r#"unexpected "}" in label matching, expected identifier"#);
    fails(
        "a{or b=\"c\"}",
        "1:6",
        r#"unexpected identifier "b" in label matching, expected label matching operator"#,
    );
    fails(
        "a{b=\"c\" and d=\"e\"}",
        "1:9",
        r#"unexpected identifier "and" in label matching, expected "," or "}""#,
    );
    fails("1Kb", "1:1", r#"bad number or duration syntax: "1""#);
    fails("0x1Ki", "1:1", r#"bad number or duration syntax: "0x1""#);
    fails("1e3K", "1:1", r#"bad number or duration syntax: "1e3""#);
    fails(
        "label_set(a, \"b\")",
        "1:1",
        r#"expected pairs of label name and value in call to "label_set", the last one is not whole"#,
    );
    fails("union()", "1:1", r#"expected at least 1 argument(s) in call to "union", got 0"#);
    fails(
        "increase_exact(a)",
        "1:16",
        r#"expected type range vector in call to function "increase_exact", got instant vector"#,
    );
    fails("WITH (by = 1) by", "1:7", "unexpected <by> in WITH, expected name of a template");
    fails("WITH (a = 1", "1:12", "unclosed left parenthesis");
    fails(
        "WITH (a(1) = 1) a",
        "1:9",
        r#"unexpected number "1" in WITH, expected name of a parameter or ")""#,
    );
}

#[test]
fn ranges_and_subqueries() {
    fails("a[", "1:3", "unexpected end of input in duration expression");
    fails(
        "a[]",
        "1:3",
        r#"unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
    );
    fails("a[5m", "1:5", "unclosed left bracket");
    fails("a[5m]]", "1:6", "unexpected right bracket ']'");
    fails("a[[5m]]", "1:3", "unexpected character in duration expression: '['");
    fails("a[5m b]", "1:6", "unexpected character: 'b', expected ':'");
    fails("a[5m s]", "1:6", "unexpected character: 's', expected ':'");
    fails("a[5m:1m:1m]", "1:8", "unexpected colon ':'");
    fails("a[:5m]", "1:4", "unexpected colon before duration in duration expression");
    fails("a[b]", "1:3", "unexpected character in duration expression: 'b'");
    fails(r#"a["5m"]"#, "1:3", r#"unexpected character in duration expression: '"'"#);
    fails("a[5m 5m]", "1:6", r#"unexpected duration "5m" in subquery or range, expected ":" or "]""#);
    fails(
        "a[5m +]",
        "1:7",
        r#"unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
    );
    fails(
        "a[5m:1m +]",
        "1:10",
        r#"unexpected "]" in subquery selector, expected number, duration, step(), range(), or "]""#,
    );
    fails("a[5m:1m 2m]", "1:9", r#"unexpected duration "2m" in subquery selector, expected "]""#);
    fails("a[5m:x]", "1:6", "unexpected character: 'x', expected ':'");
    fails("a[5m:)]", "1:7", "unexpected right parenthesis ')'");
    fails(
        "a[(5m]",
        "1:6",
        r#"unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
    );
    fails("a[5m)]", "1:6", "unexpected right parenthesis ')'");
    fails("a[-5m]", "1:3", "duration must be greater than 0");
    fails("a[0]", "1:3", "duration must be greater than 0");
    fails("a[5m:0s]", "1:6", "duration must be greater than 0");
    fails("a[1e11]", "1:3", "duration out of range");
    fails(
        "a[step]",
        "1:7",
        r#"unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
    );
    fails("a[step()/0]", "1:9", "division by zero");
    fails("a[5m%0s]", "1:5", "modulo by zero");
    fails("a[1h:-5m]", "1:6", "duration must be greater than 0");
    fails("1[5m]", "1:2", "ranges only allowed for vector selectors");
    fails(r#""a"[5m]"#, "1:4", "ranges only allowed for vector selectors");
    fails("(a)[5m]", "1:4", "ranges only allowed for vector selectors");
    fails("rate(a[5m])[5m]", "1:12", "ranges only allowed for vector selectors");
    fails("a offset 5m[5m]", "1:12", "no offset modifiers allowed before range");
    fails("a @ 5[5m]", "1:6", "no @ modifiers allowed before range");
    fails("a @ end() [5m]", "1:11", "no @ modifiers allowed before range");
    fails("a[5m][5m:1m]", "1:1", "subquery is only allowed on instant vector, got matrix instead");
    fails("a[5m][5m]", "1:6", "ranges only allowed for vector selectors");
    fails("1[5m:1m]", "1:1", "subquery is only allowed on instant vector, got scalar instead");
}

#[test]
fn offsets() {
    fails(
        "a offset",
        "1:9",
        "unexpected end of input in offset, expected number, duration, step(), or range()",
    );
    fails(
        "a offset b",
        "1:10",
        r#"unexpected identifier "b" in offset, expected number, duration, step(), or range()"#,
    );
    fails(
        "a offset offset",
        "1:10",
        "unexpected <offset> in offset, expected number, duration, step(), or range()",
    );
    fails(
        "a offset - b",
        "1:12",
        r#"unexpected identifier "b" in offset, expected number, duration, step(), or range()"#,
    );
    fails("a offset 1mm", "1:10", r#"bad number or duration syntax: "1mm""#);
    fails("a offset 1m offset 2m", "1:1", "offset may not be set multiple times");
    fails("a offset step() offset 1m", "1:1", "offset may not be set multiple times");
    fails("a offset 1e11", "1:10", "duration out of range");
    fails(
        "1 offset 5m",
        "1:1",
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    fails(
        "(a) offset 5m",
        "1:1",
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    fails(
        "a + b offset",
        "1:13",
        "unexpected end of input in offset, expected number, duration, step(), or range()",
    );
    fails(
        "rate(a[5m]) offset 1m",
        "1:1",
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    fails(
        "sum(a) @ 5",
        "1:1",
        "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
}

#[test]
fn times_and_extended_ranges() {
    fails("a @", "1:4", "unexpected end of input in @, expected timestamp");
    fails("a @ b", "1:5", r#"unexpected identifier "b" in @, expected timestamp"#);
    fails("a @ start", "1:10", "unexpected end of input in @, expected timestamp");
    fails("a @ start(", "1:11", "unclosed left parenthesis");
    fails("a @ start(5)", "1:11", r#"unexpected number "5" in @, expected timestamp"#);
    fails("a @ 5 @ 6", "1:1", "@ <timestamp> may not be set multiple times");
    fails("a @ end() @ 5", "1:1", "@ <timestamp> may not be set multiple times");
    fails("a @ Inf", "1:1", "timestamp out of bounds for @ modifier: +Inf");
    fails("a @ -1e19", "1:1", "timestamp out of bounds for @ modifier: -10000000000000000000.000000");
    fails(r#"a @ "5""#, "1:5", r#"unexpected string "\"5\"" in @, expected timestamp"#);
    fails(
        "1 @ 5",
        "1:1",
        "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    fails("a anchored smoothed", "1:1", "anchored and smoothed modifiers cannot be used together");
    fails("a[5m:1m] smoothed", "1:1", "smoothed modifier is not supported for subqueries");
    fails("1 anchored", "1:1", "anchored modifier not implemented");
}

#[test]
fn matchers() {
    fails("a{", "1:3", "unexpected end of input inside braces");
    fails("a{b", "1:4", "unexpected end of input inside braces");
    fails("a{b}", "1:4", r#"unexpected "}" in label matching, expected label matching operator"#);
    fails("a{b=}", "1:5", r#"unexpected "}" in label matching, expected string"#);
    fails(r#"a{b="c""#, "1:8", "unexpected end of input inside braces");
    fails(r#"a{b="c" d="e"}"#, "1:9", r#"unexpected identifier "d" in label matching, expected "," or "}""#);
    fails(r#"a{b="c",,}"#, "1:9", r#"unexpected "," in label matching, expected identifier or "}""#);
    fails("a{,}", "1:3", r#"unexpected "," in label matching, expected identifier or "}""#);
    fails("a{b=c}", "1:5", r#"unexpected identifier "c" in label matching, expected string"#);
    fails(r#"a{b="c"}{d="e"}"#, "1:9", r#"unexpected "{""#);
    fails(r#"a{b>"c"}"#, "1:4", "unexpected character inside braces: '>'");
    fails(r#"a{b=="c"}"#, "1:5", r#"unexpected "=" in label matching, expected string"#);
    fails(r#"a{5="c"}"#, "1:3", "unexpected character inside braces: '5'");
    fails(r#"a{b!"c"}"#, "1:4", r#"unexpected character after '!' inside braces: '"'"#);
    fails(r#"a{b="c"]"#, "1:8", "unexpected character inside braces: ']'");
    fails("a{{", "1:3", "unexpected left brace '{'");
    fails(r#"a{"b" "c"}"#, "1:7", r#"unexpected string "\"c\"" in label matching, expected "," or "}""#);
    fails(r#"a{"b"=}"#, "1:7", r#"unexpected "}" in label matching, expected string"#);
    fails(r#"a{"b"!=}"#, "1:8", r#"unexpected "}" in label matching, expected string"#);
    fails(r#"a{b=~"("}"#, "1:3", "error parsing regexp: missing closing ): `(`");
    fails(r#"a{b=~"[z-a]"}"#, "1:3", "error parsing regexp: invalid character class range: `z-a`");
    fails(r#"a{b!~"*"}"#, "1:3", "error parsing regexp: missing argument to repetition operator: `*`");
    fails("{}", "1:1", "vector selector must contain at least one non-empty matcher");
    fails(r#"{a=""}"#, "1:1", "vector selector must contain at least one non-empty matcher");
    fails(r#"{a!="b"}"#, "1:1", "vector selector must contain at least one non-empty matcher");
    fails(r#"{a=~".*",b!~".+"}"#, "1:1", "vector selector must contain at least one non-empty matcher");
    fails(r#"{""}"#, "1:1", "vector selector must contain at least one non-empty matcher");
    fails(r#"a{__name__="b"}"#, "1:1", r#"metric name must not be set twice: "a" or "b""#);
    fails(r#"a{__name__="a"}"#, "1:1", r#"metric name must not be set twice: "a" or "a""#);
    fails(r#"a{__name__=~"b.*"}"#, "1:1", r#"metric name must not be set twice: "a" or "b.*""#);
    fails(r#"a{"b"}"#, "1:1", r#"metric name must not be set twice: "a" or "b""#);
}

#[test]
fn strings() {
    fails(r#""a"#, "1:1", "unterminated quoted string");
    fails("'a", "1:1", "unterminated quoted string");
    fails("`a", "1:1", "unterminated raw string");
    fails(r#""a\"#, "1:1", "escape sequence not terminated");
    fails(r#""\q""#, "1:1", "unknown escape sequence U+0071 'q'");
    fails(r#""\x4""#, "1:1", r#"illegal character U+0022 '"' in escape sequence"#);
    fails(r#""\xzz""#, "1:1", "illegal character U+007A 'z' in escape sequence");
    fails(r#""\u12""#, "1:1", r#"illegal character U+0022 '"' in escape sequence"#);
    fails(r#""\ud800""#, "1:1", "escape sequence is an invalid Unicode code point");
    fails(r#""\U00110000""#, "1:1", "escape sequence is an invalid Unicode code point");
    fails(r#""\400""#, "1:1", "escape sequence is an invalid Unicode code point");
    fails(r#""a\'b""#, "1:1", "unknown escape sequence U+0027 '''");
}

#[test]
fn aggregations() {
    fails("sum(", "1:5", "unclosed left parenthesis");
    fails("sum()", "1:1", "no arguments for aggregate expression provided");
    fails("sum() by (a)", "1:1", "no arguments for aggregate expression provided");
    fails(
        "sum(a, b)",
        "1:1",
        "wrong number of arguments for aggregate expression provided, expected 1, got 2",
    );
    fails("sum(a,)", "1:6", "trailing commas not allowed in function call args");
    fails("sum(a b)", "1:7", r#"unexpected identifier "b" in aggregation"#);
    fails("sum(a +)", "1:8", r#"unexpected ")" in aggregation"#);
    fails("sum(rate(a b))", "1:12", r#"unexpected identifier "b" in aggregation"#);
    fails("sum((a b))", "1:8", r#"unexpected identifier "b" in aggregation"#);
    fails("sum by", "1:7", r#"unexpected end of input in grouping opts, expected "(""#);
    fails("sum by a", "1:8", r#"unexpected identifier "a" in grouping opts, expected "(""#);
    fails("sum by (", "1:9", "unclosed left parenthesis");
    fails("sum by (a", "1:10", "unclosed left parenthesis");
    fails("sum by (a b) (c)", "1:11", r#"unexpected identifier "b" in grouping opts, expected "," or ")""#);
    fails("sum by (a,,b) (c)", "1:11", r#"unexpected "," in grouping opts, expected label"#);
    fails("sum by (,) (c)", "1:9", r#"unexpected "," in grouping opts, expected label"#);
    fails("sum by (5) (c)", "1:9", r#"unexpected number "5" in grouping opts, expected label"#);
    fails(r#"sum by ("") (c)"#, "1:9", r#"invalid label name for grouping: """#);
    fails("sum by (a)", "1:11", "unexpected end of input in aggregation");
    fails("sum by (a) c", "1:12", r#"unexpected identifier "c" in aggregation"#);
    fails("sum by (a) (c) by (d)", "1:16", "unexpected <by>");
    fails("sum (c) without (a) by (b)", "1:21", "unexpected <by>");
    fails("sum foo (a)", "1:5", r#"unexpected identifier "foo""#);
    fails("sum(1)", "1:5", "expected type instant vector in aggregation expression, got scalar");
    fails(r#"sum("a")"#, "1:5", "expected type instant vector in aggregation expression, got string");
    fails("sum(a[5m])", "1:5", "expected type instant vector in aggregation expression, got range vector");
    fails("topk(a)", "1:1", "wrong number of arguments for aggregate expression provided, expected 2, got 1");
    fails("topk(a, b)", "1:6", "expected type scalar in aggregation parameter, got instant vector");
    fails(r#"topk("a", b)"#, "1:6", "expected type scalar in aggregation parameter, got string");
    fails("topk(1, 2)", "1:9", "expected type instant vector in aggregation expression, got scalar");
    fails(
        "topk(1, a, 2)",
        "1:1",
        "wrong number of arguments for aggregate expression provided, expected 2, got 3",
    );
    fails("count_values(5, a)", "1:14", "expected type string in aggregation parameter, got scalar");
    fails("count_values(a, a)", "1:14", "expected type string in aggregation parameter, got instant vector");
    fails(
        "quantile(0.5, a[5m])",
        "1:15",
        "expected type instant vector in aggregation expression, got range vector",
    );
}

#[test]
fn calls() {
    fails("rate()", "1:1", r#"expected 1 argument(s) in call to "rate", got 0"#);
    fails("rate(a)", "1:6", r#"expected type range vector in call to function "rate", got instant vector"#);
    fails("rate(a[5m], 1)", "1:1", r#"expected 1 argument(s) in call to "rate", got 2"#);
    fails("rate(1)", "1:6", r#"expected type range vector in call to function "rate", got scalar"#);
    fails(r#"rate("a")"#, "1:6", r#"expected type range vector in call to function "rate", got string"#);
    fails("rate(a[5m]", "1:11", "unclosed left parenthesis");
    fails("rate(a[5m],)", "1:11", "trailing commas not allowed in function call args");
    fails("rate(,a)", "1:6", r#"unexpected ",""#);
    fails("rate a", "1:6", r#"unexpected identifier "a""#);
    fails("nosuch(a)", "1:1", r#"unknown function with name "nosuch""#);
    fails("Rate(a[5m])", "1:1", r#"unknown function with name "Rate""#);
    fails("nosuch(1 2)", "1:10", r#"unexpected number "2""#);
    fails("time(1)", "1:1", r#"expected 0 argument(s) in call to "time", got 1"#);
    fails("pi(a)", "1:1", r#"expected 0 argument(s) in call to "pi", got 1"#);
    fails("round()", "1:1", r#"expected at least 1 argument(s) in call to "round", got 0"#);
    fails("round(a, 1, 2)", "1:1", r#"expected at most 2 argument(s) in call to "round", got 3"#);
    fails(r#"round(a, "b")"#, "1:10", r#"expected type scalar in call to function "round", got string"#);
    fails("hour(1)", "1:6", r#"expected type instant vector in call to function "hour", got scalar"#);
    fails("label_join(a)", "1:1", r#"expected at least 3 argument(s) in call to "label_join", got 1"#);
    fails(
        r#"label_join(a, "b", 1)"#,
        "1:20",
        r#"expected type string in call to function "label_join", got scalar"#,
    );
    fails(
        r#"label_replace(a, "b", "c", "d")"#,
        "1:1",
        r#"expected 5 argument(s) in call to "label_replace", got 4"#,
    );
    fails(
        "histogram_quantile(a, 0.5)",
        "1:20",
        r#"expected type scalar in call to function "histogram_quantile", got instant vector"#,
    );
    fails("scalar(1)", "1:8", r#"expected type instant vector in call to function "scalar", got scalar"#);
    fails("vector(a)", "1:8", r#"expected type scalar in call to function "vector", got instant vector"#);
    fails("a:b(c)", "1:4", r#"unexpected "(""#);
    fails("info(a, b)", "1:9", "expected label selectors only, got vector selector instead");
    fails("info(a, 1)", "1:1", r#"expected type instant vector in call to function "info", got scalar"#);
    fails(r#"info(a, {b="c"} > 1)"#, "1:9", "expected label selectors only");
    fails(
        "absent(a[5m])",
        "1:8",
        r#"expected type instant vector in call to function "absent", got range vector"#,
    );
}

#[test]
fn types_of_operands() {
    fails("1 == 2", "1:3", "comparisons between scalars must use BOOL modifier");
    fails("1 > 2 + 3", "1:3", "comparisons between scalars must use BOOL modifier");
    fails("1 and 2", "1:1", r#"set operator "and" not allowed in binary scalar expression"#);
    fails("a or 1", "1:1", r#"set operator "or" not allowed in binary scalar expression"#);
    fails("1 unless a", "1:1", r#"set operator "unless" not allowed in binary scalar expression"#);
    fails(r#""a" + 1"#, "1:1", "binary expression must contain only scalar and instant vector types");
    fails(r#"a + "b""#, "1:5", "binary expression must contain only scalar and instant vector types");
    fails(r#""a" == "b""#, "1:1", "binary expression must contain only scalar and instant vector types");
    fails("a[5m] + 1", "1:1", "binary expression must contain only scalar and instant vector types");
    fails("1 + a[5m]", "1:5", "binary expression must contain only scalar and instant vector types");
    fails("a + bool b", "1:3", "bool modifier can only be used on comparison operators");
    fails("a and bool b", "1:3", "bool modifier can only be used on comparison operators");
    fails("1 + on(x) 2", "1:1", "vector matching only allowed between instant vectors");
    fails("a + on(x) 1", "1:1", "vector matching only allowed between instant vectors");
    fails("1 + fill(0) 2", "1:1", "filling in missing series only allowed between instant vectors");
    fails("a and fill(0) b", "1:1", "filling in missing series not allowed for set operators");
    fails("a and on(x) group_left b", "1:1", r#"no grouping allowed for "and" operation"#);
    fails("a or ignoring(x) group_right(y) b", "1:1", r#"no grouping allowed for "or" operation"#);
    fails("a + on(x) group_left(x) b", "1:3", r#"label "x" must not occur in ON and GROUP clause at once"#);
}

#[test]
fn operator_modifiers_out_of_place() {
    fails("a + group_left(x) b", "1:5", "unexpected <group_left>");
    fails("a + on b", "1:8", r#"unexpected identifier "b" in grouping opts, expected "(""#);
    fails("a + on(x) ignoring(y) b", "1:11", "unexpected <ignoring>");
    fails("a + on(x) group_left", "1:21", r#"unexpected end of input in grouping opts, expected "(""#);
    fails("a + on(x) group_left )", "1:23", "unexpected right parenthesis ')'");
    fails(
        "a + on(x) group_left(y b",
        "1:24",
        r#"unexpected identifier "b" in grouping opts, expected "," or ")""#,
    );
    fails("a + ignoring (x) on (y) b", "1:18", "unexpected <on>");
    fails("a on(x) b", "1:3", "unexpected <on>");
    fails("a fill(0) b", "1:3", "unexpected <fill>");
    fails("a + fill(b) c", "1:10", r#"unexpected identifier "b""#);
    fails("bool", "1:1", "unexpected <bool>");
    fails("on", "1:1", "unexpected <on>");
    fails("a bool b", "1:3", "unexpected <bool>");
}

#[test]
fn signs() {
    fails(
        r#"-"a""#,
        "1:1",
        r#"unary expression only allowed on expressions of type scalar or instant vector, got "string""#,
    );
    fails(
        "-a[5m]",
        "1:1",
        r#"unary expression only allowed on expressions of type scalar or instant vector, got "range vector""#,
    );
    fails(
        "+(a[5m])",
        "1:1",
        r#"unary expression only allowed on expressions of type scalar or instant vector, got "range vector""#,
    );
}

#[test]
fn lines_and_bytes_are_counted() {
    fails("a +\n  b c", "2:5", r#"unexpected identifier "c""#);
    fails("(\n  a\n)) + b", "3:3", "unexpected right parenthesis ')'");
    fails("rate(a{b=\"c\"}[5m],\n   d)", "1:1", r#"expected 1 argument(s) in call to "rate", got 2"#);
    fails(r#""é" é"#, "1:6", "unexpected character: 'é'");
}
