//! What Go's expressions mean, and how the faulty ones are refused.

use super::*;
use crate::matcher::compile_anchored;
use proptest::prelude::*;

#[track_caller]
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = compile_anchored(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for text in yes {
        assert!(regex.is_match(text), "{pattern:?} ({}) should match {text:?}", regex.as_str());
    }
    for text in no {
        assert!(!regex.is_match(text), "{pattern:?} ({}) should not match {text:?}", regex.as_str());
    }
}

#[track_caller]
fn refused(pattern: &str, want: &str) {
    let error = compile_anchored(pattern).expect_err(pattern);
    assert_eq!(error.to_string(), format!("error parsing regexp: {want}"));
}

#[test]
fn what_both_dialects_know_means_the_same() {
    check("", &[""], &["a"]);
    check("a|b|", &["a", "b", ""], &["ab"]);
    check("a.c", &["abc", "a\nc", "aéc"], &["ac"]);
    check("(?i)Straße", &["STRAßE", "straße"], &["strasse"]);
    check("a{2,3}?b*?c+", &["aac", "aaabbcc"], &["ac", "aaaac"]);
    check("(?P<x>a)(b)(?:c)(?i:D)", &["abcd"], &["ABCD"]);
    check("(a|b)*", &["", "abba"], &["c"]);
    check("[a-c][^d-f]", &["ag", "cé"], &["ad", "dg"]);
    check("(?-s).", &["a"], &["\n"]);
    check(r"\p{Greek}\pL\PL", &["αa1"], &["aa1", "ααα"]);
    check(r"\x41\x{1F600}\101\0", &["A😀A\0"], &["A"]);
    check(r"\a\f\n\r\t\v\.\-\_\/", &["\u{7}\u{c}\n\r\t\u{b}.-_/"], &[]);
    check(r"\A(a)\z", &["a"], &["b"]);
}

#[test]
fn what_only_go_means_is_kept() {
    check(r"\d\s\w", &["1 a", "2\t_"], &["٣ a", "1\u{a0}a", "1 é"]);
    check(r"\D\S\W", &["٣éé", "aa "], &["1aa"]);
    check(r"[\d\-x][^\W][\D]", &["-a٣", "xex"], &["1é1", "١aa"]);
    check("a{", &["a{"], &["a"]);
    check("a{,5}", &["a{,5}"], &["aaa"]);
    check("a{x}{01}", &["a{x}{01}"], &[]);
    check("}]", &["}]"], &[]);
    check("[[]", &["["], &["[["]);
    check("[]a]", &["]", "a"], &["b"]);
    check("[a&&b]", &["a", "&", "b"], &["&&"]);
    check("[+--b]", &["+", ",", "-", "b"], &["a"]);
    check("[a~~b]", &["~"], &["c"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[^^]", &["a"], &["^"]);
    check(r"\<a\>", &["<a>"], &["a"]);
    check(r"\Qa.b*\Ec", &["a.b*c"], &["aXbc"]);
    check(r"\Qa+", &["a+"], &["aa"]);
    check("[[:alpha:][:^ascii:]]+", &["aé"], &["1"]);
    check("(?P<1>a)", &["a"], &["b"]);
    check("a #b", &["a #b"], &["a"]);
    check("a(?i)*B", &["aab", "B"], &["Ab"]);
    check(r"\bé|a\b.*", &["a b"], &["é"]);
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    refused("(", "missing closing ): `(`");
    refused("a(b|c", "missing closing ): `a(b|c`");
    refused("a)b(", "unexpected ): `a)b(`");
    refused("*", "missing argument to repetition operator: `*`");
    refused("a|+?b", "missing argument to repetition operator: `+?`");
    refused("(*a)", "missing argument to repetition operator: `*`");
    refused("a**", "invalid nested repetition operator: `**`");
    refused("ba+?{2}c", "invalid nested repetition operator: `+?{2}`");
    refused("a{1001}", "invalid repeat count: `{1001}`");
    refused("a{5,2}", "invalid repeat count: `{5,2}`");
    refused("(a{100}){100}", "invalid repeat count: `{100}`");
    refused("x[a", "missing closing ]: `[a`");
    refused("[]", "missing closing ]: `[]`");
    refused("[a-\\", "trailing backslash at end of expression: ``");
    refused("[bz-ax]", "invalid character class range: `z-a`");
    refused("[[:word1:]]", "invalid character class range: `[:word1:]`");
    refused(r"\p{Klingon}", r"invalid character class range: `\p{Klingon}`");
    refused("a\\", "trailing backslash at end of expression: ``");
    refused(r"\q", r"invalid escape sequence: `\q`");
    refused(r"\8", r"invalid escape sequence: `\8`");
    refused(r"(a)\1", r"invalid escape sequence: `\1`");
    refused(r"\x{110000}z", r"invalid escape sequence: `\x{110000}`");
    refused(r"\xg0", r"invalid escape sequence: `\xg0`");
    refused(r"\C", r"invalid escape sequence: `\C`");
    refused("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
    refused("(?<!a)", "invalid or unsupported Perl syntax: `(?<`");
    refused("(?x)a", "invalid or unsupported Perl syntax: `(?x`");
    refused("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`");
    refused("(?P<a", "invalid named capture: `(?P<a`");
    refused("(?P<a b>c)", "invalid named capture: `(?P<a b>`");
    refused("(?P<a>b)(?P<a>c)", "duplicate capture group name: `a`");
    refused("(?i", "missing closing ): `(?i`");
}

#[test]
fn expressions_that_are_too_large_are_refused() {
    for large in ["(".repeat(100_000), format!("{}a{}", "(".repeat(1_000), ")".repeat(1_000))] {
        assert!(compile_anchored(&large).is_err());
    }
    assert!(compile_anchored(r"((((\pL{100}){10}\pN){10}){10}){10}").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_accepted_compiles(pattern in r"[ab(|)*+?{}\[\]\\^$.,:<>=!imsUPpQEdwx01&~-]{0,20}") {
        if let Ok(translated) = translate(&pattern) {
            let parsed = regex_syntax::ParserBuilder::new().build().parse(&translated);
            prop_assert!(parsed.is_ok(), "{pattern:?} became {translated:?}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn any_text_is_answered(pattern in "\\PC{0,30}") {
        let _ = translate(&pattern);
    }

    #[test]
    fn quoted_text_matches_itself(text in "\\PC{0,20}") {
        let regex = compile_anchored(&regex_syntax::escape(&text)).expect("quoted");
        prop_assert!(regex.is_match(&text));
    }
}
