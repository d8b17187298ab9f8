//! Any text is answered: no panic, and errors that point into the text.

use proptest::prelude::*;

use crate::parser::{parse, parse_selector};

/// Pieces that are likely to mean something next to each other.
const PIECES: &[&str] = &[
    "a",
    "up",
    "sum",
    "topk",
    "rate",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "atan2",
    "start",
    "end",
    "step",
    "range",
    "min_of",
    "max_of",
    "fill",
    "anchored",
    "smoothed",
    "default",
    "ifnot",
    "median",
    "topk_max",
    "with (",
    "WITH (a = ",
    "f(b) = ",
    "1Ki",
    "{a=\"b\" or ",
    "info",
    "label_join",
    "time",
    "(",
    ")",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "!=",
    "=~",
    "!~",
    "<",
    "</",
    ">/",
    "<=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "@",
    "#",
    "\n",
    "1",
    "0",
    "1.5e3",
    "0x1f",
    "5m",
    "1h30m",
    "Inf",
    "NaN",
    "'x'",
    "\"y\"",
    "`z`",
    "\"",
    "'",
    "\\",
    "\"\\x41\"",
    "é",
    "\u{fffd}",
    "\u{0}",
    "job=\"x\"",
    "[5m]",
    "[1h:5m]",
    "()",
    "(a)",
    "(b, c)",
    "{a=\"b\"}",
    "offset 5m",
    "@ end()",
];

fn soup() -> impl Strategy<Value = String> {
    let piece = (prop::sample::select(PIECES), prop::sample::select(&["", " "][..]));
    prop::collection::vec(piece, 0..40)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(p, s)| [p, s]).collect())
}

fn check(text: &str) -> Result<(), TestCaseError> {
    for errors in [parse(text).err(), parse_selector(text).err()].into_iter().flatten() {
        prop_assert!(!errors.is_empty());
        for error in errors {
            prop_assert!(error.span.start <= error.span.end, "{error}: {:?}", error.span);
            prop_assert!(error.span.end <= text.len(), "{error}: {:?}", error.span);
            prop_assert!(!error.message.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn token_soup_is_answered(text in soup()) {
        check(&text)?;
    }

    #[test]
    fn characters_are_answered(text in "\\PC{0,60}") {
        check(&text)?;
    }

    #[test]
    fn what_looks_like_queries_is_answered(text in "[a-e0-9(){}\\[\\],=~!<>+*/^@:.'\"`\\\\ \n#-]{0,60}") {
        check(&text)?;
    }

    #[test]
    fn numbers_and_durations_are_answered(text in "[-+]?[0-9a-fxX_.eEsmhdwy+-]{1,14}") {
        check(&text)?;
        check(&format!("a[{text}:{text}] offset {text}"))?;
    }
}

#[test]
fn a_long_query_takes_linear_time() {
    let labels: Vec<String> = (0..20_000).map(|n| format!("l{n}=~\"x\"")).collect();
    assert!(parse(&format!("a{{{}}}", labels.join(","))).is_ok());
    let args = vec!["\"x\""; 100_000].join(", ");
    assert!(parse(&format!("label_join(a, \"b\", \",\", {args})")).is_ok());
    assert!(parse(&("\"".to_owned() + &"\\x41".repeat(100_000) + "\"")).is_ok());
    assert!(parse(&"{".repeat(100_000)).is_err());
    for nested in ["WITH (a = ", "WITH (f(x) = x) f(", "WITH (a = b) ", "WITH (f("] {
        assert!(parse(&nested.repeat(20_000)).is_err(), "{nested}");
    }
    let templates: Vec<String> = (0..20_000).map(|n| format!("t{n} = b{n}")).collect();
    assert!(parse(&format!("WITH ({}) a", templates.join(", "))).is_err());
    let laughs: Vec<String> = (0..100).map(|n| format!("t{} = t{n} + t{n}", n + 1)).collect();
    assert!(parse(&format!("WITH (t0 = a, {}) t100", laughs.join(", "))).is_err());
    let doubled: Vec<String> = (0..100).map(|n| format!("f{}(x) = f{n}(x + x)", n + 1)).collect();
    assert!(parse(&format!("WITH (f0(x) = x, {}) f100(a)", doubled.join(", "))).is_err());
}
