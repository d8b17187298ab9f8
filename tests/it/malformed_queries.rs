//! Every malformed query gets the words and the position that a real Prometheus gives it.

use kymo_tests::http;
use kymo_tests::peer::Peer;
use kymo_tests::server::Kymo;

/// What Debian's Prometheus refuses in the same words as 3.14.
const AS_EVER: &[&str] = &[
    "(1",
    "1)",
    "(",
    "()",
    "(1 +)",
    "a b",
    "a 5",
    "1 2",
    "1 +",
    "*1",
    "1 !~ 2",
    "1 =~ 2",
    "a = b",
    "1 ! 2",
    "foo{",
    "foo{a",
    "foo{a=}",
    "foo{a=b}",
    "foo{a=\"b\"",
    "foo{a=\"b\" c=\"d\"}",
    "foo{=\"a\"}",
    "foo{a~\"b\"}",
    "foo{a=~\"[z-a]\"}",
    "foo{a=~\"*\"}",
    "foo{a=~\"a{2000}\"}",
    "foo{__name__=\"bar\"}",
    "{}",
    "{a=\"\"}",
    "{a=~\".*\"}",
    "{a!~\".+\"}",
    "foo[5m",
    "foo[5m]]",
    "foo[5m:",
    "foo[5m:1x]",
    "(foo)[5m]",
    "foo + bar[5m]",
    "\"a\"[5m]",
    "1 offset 5m",
    "rate(foo) offset 5m",
    "foo @",
    "foo @ x",
    "foo[5m] offset 1m offset 2m",
    "foo @ 1 @ 2",
    "sum(",
    "sum)",
    "sum(foo",
    "sum by",
    "sum by (a",
    "sum by (a,,b) (foo)",
    "sum by (1) (foo)",
    "sum without(a) by (b) (foo)",
    "sum(foo) by (a) without (b)",
    "topk(foo)",
    "topk(foo, 1)",
    "topk(1)",
    "sum()",
    "sum(1, foo, bar)",
    "count_values(1, foo)",
    "quantile(\"a\", foo)",
    "rate(foo)",
    "rate(foo[5m], 1)",
    "rate()",
    "rate(1)",
    "abs(foo, bar)",
    "abs()",
    "no_such_function(foo)",
    "clamp(foo, 1)",
    "label_replace(foo, 1, 2, 3, 4)",
    "vector(foo)",
    "time(1)",
    "histogram_quantile(foo)",
    "scalar(1)",
    "1 and 2",
    "foo and 1",
    "foo or bar on (a) group_left baz",
    "foo and on (a) group_left bar",
    "1 == 2",
    "foo + bool bar",
    "foo and bool bar",
    "1 + on (a) 2",
    "foo + on (a) 1",
    "foo + on (a,) group_left (a) bar",
    "foo + on (a) ignoring (b) bar",
    "foo + group_left bar",
    "foo + on a bar",
    "-foo[5m]",
    "-\"a\"",
    "\"a\" + 1",
    "\"a\" == \"b\"",
    "foo == bool",
    "$",
    "a ; b",
    "foo:bar:",
    ":",
    "\"abc",
    "'abc",
    "`abc",
    "\"\\xZZ\"",
    "\"\\q\"",
    "foo[100000000y]",
    "foo offset 99999999999999y",
    "foo[0s]",
    "sum_over_time(foo[5m:0s])",
    "0xg",
    "5mm",
    "5m1",
    "ignoring",
    "on",
    "by",
    "bool",
    "offset",
    "group_left",
    "and",
    "unless foo",
    "# nothing but a comment",
];

/// What 3.14 says in other words than 2.42: numbers and durations are one thing there, and an expression may stand for either.
const IN_NEW_WORDS: &[(&str, &str)] = &[
    ("foo{a=~\"(\"}", "1:5: parse error: error parsing regexp: missing closing ): `(`"),
    (
        "foo[]",
        "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    ("foo[x]", "1:5: parse error: unexpected character in duration expression: 'x'"),
    ("5m[1m]", "1:3: parse error: ranges only allowed for vector selectors"),
    (
        "foo offset",
        "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    (
        "foo offset x",
        "1:12: parse error: unexpected identifier \"x\" in offset, expected number, duration, step(), or range()",
    ),
    ("999999999999999999y", "1:1: parse error: duration out of range"),
    ("1..2", "1:1: parse error: bad number or duration syntax: \"1..\""),
    ("1e+", "1:1: parse error: bad number or duration syntax: \"1e+\""),
    ("1__0", "1:1: parse error: bad number or duration syntax: \"1__\""),
    ("", "unknown position: parse error: no expression found in input"),
];

fn error_of(base: &str, query: &str) -> (u16, String) {
    let response = http::get_with(base, "/api/v1/query", &[("query", query)]).expect("answered");
    let answer = response.json();
    assert!(answer["status"] == "error" || response.status == 200, "{query}: {answer}");
    (response.status, answer["error"].as_str().unwrap_or("no error").to_owned())
}

#[test]
fn malformed_queries_are_refused_as_prometheus_refuses_them() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let prometheus = Peer::prometheus("global: {scrape_interval: 1h}\n");
    let mut differences = Vec::new();
    for query in AS_EVER {
        let (ours, theirs) = (error_of(&kymo.url(), query), error_of(&prometheus.url(), query));
        if ours != theirs {
            differences.push(format!("{query}\n    {ours:?}\n    {theirs:?}"));
        }
    }
    for (query, want) in IN_NEW_WORDS {
        let got = error_of(&kymo.url(), query);
        if got != (400, format!("invalid parameter \"query\": {want}")) {
            differences.push(format!("{query}\n    {got:?}\n    {want}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
