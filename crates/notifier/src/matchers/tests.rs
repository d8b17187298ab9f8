//! Matchers in both notations, and what is none.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, want: &str) {
    let matchers = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(format(&matchers), want, "{text}");
}

#[track_caller]
fn refused(text: &str, want: &str) {
    assert_eq!(parse(text).expect_err(text).to_string(), want, "{text}");
}

#[test]
fn both_syntaxes_are_read() {
    check("", "{}");
    check("{}", "{}");
    check("foo=bar", "{foo=\"bar\"}");
    check("{foo=bar,}", "{foo=\"bar\"}");
    check("{foo=\"bar\", bar!~\"q.*\"}", "{foo=\"bar\",bar!~\"q.*\"}");
    check("foo=\"a\\\"b\"", "{foo=\"a\\\"b\"}");
    check("foo!=bar baz", "{foo!=\"bar baz\"}");
    check("\"b c\"=~\"d|e\"", "{\"b c\"=~\"d|e\"}");
    check("{ünï=cöde}", "{ünï=\"cöde\"}");
    check("{foo=\"bar\"}", "{foo=\"bar\"}");
}

#[test]
fn where_they_differ_the_older_one_counts() {
    // The newer syntax sees an escape here, the older one two signs.
    check("foo=\"\\d\"", "{foo=\"\\\\d\"}");
    check("foo=\\\"bar\\\"", "{foo=\"\\\"bar\\\"\"}");
    check("foo=", "{foo=\"\"}");
}

#[test]
fn what_neither_takes_is_refused_in_the_older_ones_words() {
    refused("foo", "bad matcher format: foo");
    refused("{foo=bar},=", "bad matcher format: =");
    refused("foo=\"bar", "matcher value contains unescaped double quote: \"bar");
    refused("foo=~\"(\"", "error parsing regexp: missing closing ): `(`");
}

#[test]
fn faults_of_the_newer_syntax_say_where() {
    let fault = |text: &str| utf8::parse(text).expect_err(text).to_string();
    assert_eq!(fault("{foo=bar"), "0:8: end of input: expected close brace");
    assert_eq!(fault("foo=bar}"), "0:8: }: expected opening brace");
    assert_eq!(fault("{foo}"), "4:5: unexpected }: expected an operator such as '=', '!=', '=~' or '!~'");
    assert_eq!(fault("foo=,"), "4:5: unexpected ,: expected label value");
    assert_eq!(fault("foo=bar bar"), "8:11: unexpected bar: expected a comma or close brace");
    assert_eq!(fault("{foo=bar}x"), "9:10: x: expected end of input");
    assert_eq!(fault("a=b,="), "4:5: unexpected =: expected a matcher or close brace after comma");
}

#[test]
fn one_matcher_is_exactly_one() {
    assert!(parse_one("a=b").is_ok());
    assert!(parse_one("").is_err());
    assert_eq!(parse_one("\"x y\"=b").expect("one").name(), "x y");
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[ab{}=!~,\\\\\" \u{e4}]{0,20}") {
        if let Ok(matchers) = parse(&text) {
            let printed = format(&matchers);
            prop_assert_eq!(format(&parse(&printed).expect("what is printed can be read")), printed);
        }
    }
}
