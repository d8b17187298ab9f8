//! Sets of templates, and their bounds.

use proptest::prelude::*;

use super::*;
use crate::{Alertmanager, Map};

const FUNCTIONS: Alertmanager = Alertmanager { now_ms: 0 };

fn expand(text: &str, limits: Limits) -> Result<String, Error> {
    Templates::new(limits).expand_text(text, &Value::from(Map::strings([("a", "b")])), &FUNCTIONS)
}

#[track_caller]
fn check_limit(text: &str, message: &str) {
    let limits = Limits { steps_max: 20_000, bytes_max: 100_000 };
    let error = expand(text, limits).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn no_template_runs_for_ever_or_fills_the_memory() {
    check_limit("{{range 1000000000}}{{end}}", "takes more than 20000 steps");
    check_limit("{{range 1000}}{{range 1000}}x{{end}}{{end}}", "takes more than 20000 steps");
    check_limit(r#"{{range 5000}}{{printf "%1000d" 1}}{{end}}"#, "output grows beyond the limit");
    check_limit(r#"{{printf "%1000000d" 1}}"#, "grows beyond the limit");
    check_limit(r#"{{$x := "ab"}}{{range 100}}{{$x = print $x $x}}{{end}}"#, "grows beyond the limit");
    check_limit(
        r#"{{$x := "ab"}}{{range 15}}{{$x = print $x $x}}{{end}}{{reReplaceAll "." "$0$0$0$0" $x}}"#,
        "grows beyond",
    );
    check_limit(r#"{{$x := list}}{{range 100}}{{$x = list $x $x}}{{end}}{{$x}}"#, "nest too deeply");
    check_limit(
        r#"{{$x := list}}{{range 40}}{{$x = list $x $x}}{{end}}{{toJson $x}}"#,
        "grows beyond the limit",
    );
    check_limit(
        r#"{{$x := list}}{{range 40}}{{$x = list $x $x}}{{end}}{{print $x}}"#,
        "grows beyond the limit",
    );
    check_limit(r#"{{$x := list}}{{range 1000}}{{$x = append $x 1}}{{end}}"#, "takes more than 20000 steps");
    check_limit(
        r#"{{define "a"}}{{template "a"}}{{end}}{{template "a"}}"#,
        "exceeded maximum template depth",
    );
}

#[test]
fn what_nests_too_deeply_is_refused_before_it_runs() {
    let refused = |text: String| {
        let error = expand(&text, Limits::default()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Syntax, "{error}");
    };
    refused(format!("{}{}", "{{if true}}".repeat(5_000), "{{end}}".repeat(5_000)));
    refused(format!("{{{{{}1{}}}}}", "(".repeat(5_000), ")".repeat(5_000)));
    // Arms of one condition do not nest.
    let arms = format!("{{{{if false}}}}{}{{{{end}}}}", "{{else if false}}".repeat(5_000));
    assert_eq!(expand(&arms, Limits::default()), Ok(String::new()));
}

#[test]
fn the_deepest_template_fits_into_a_small_stack() {
    let nested =
        format!("{}{{{{template \"a\" .}}}}{}", "{{with .}}{{if .}}".repeat(49), "{{end}}{{end}}".repeat(49));
    let text = format!("{{{{define \"a\"}}}}{nested}{{{{end}}}}{{{{template \"a\" .}}}}");
    let run = move || expand(&text, Limits::default()).expect_err("too deep").kind();
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), ErrorKind::Limit);
}

#[test]
fn later_templates_take_the_place_of_earlier_ones() {
    let mut set = Templates::default();
    set.add("one", r#"{{define "x"}}first{{end}}"#, &FUNCTIONS).expect("added");
    set.add("two", r#"{{define "x"}}second{{end}}{{define "y"}}{{template "x"}}!{{end}}"#, &FUNCTIONS)
        .expect("added");
    set.add("three", r#"{{define "x"}} {{end}}"#, &FUNCTIONS).expect("added");
    assert_eq!(set.text("y", &Value::Nil, &FUNCTIONS).as_deref(), Ok("second!"));
    assert_eq!(set.expand_text(r#"<{{template "x"}}>"#, &Value::Nil, &FUNCTIONS).as_deref(), Ok("<second>"));
    assert_eq!(
        set.expand_html(r#"{{"<"}}{{template "x"}}"#, &Value::Nil, &FUNCTIONS).as_deref(),
        Ok("&lt;second")
    );
    assert!(set.add("four", r#"{{define "z"}}z{{end}}{{nope}}"#, &FUNCTIONS).is_err());
    assert!(!set.contains("z") && set.contains("x"), "a refused text adds nothing");
    assert_eq!(set.names().collect::<Vec<_>>(), ["one", "three", "two", "x", "y"]);
    assert!(set.text("nope", &Value::Nil, &FUNCTIONS).is_err());
}

/// Text that looks like templates often enough to get somewhere.
fn template_like() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "{{",
        "}}",
        "{{-",
        "-}}",
        " ",
        ".a",
        ".",
        "$x",
        ":=",
        "=",
        "|",
        "(",
        ")",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        "\"s\"",
        "`r`",
        "'c'",
        "1",
        "1.5",
        "0x1f",
        "nil",
        "true",
        "printf",
        "\"%5.2[1]*d\"",
        "print",
        "index",
        "slice",
        "len",
        "eq",
        "and",
        "list",
        "dict",
        "toJson",
        "date",
        "now",
        "/*",
        "*/",
        "<a href=\"",
        "\">",
        "<script>",
        "</script>",
        "é",
        "\n",
        ",",
        "reReplaceAll",
        "join",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_is_refused_or_expanded(text in template_like()) {
        let limits = Limits { steps_max: 5_000, bytes_max: 10_000 };
        let set = Templates::new(limits);
        let data = Value::from(Map::strings([("a", "b<")]));
        let expanded = [set.expand_text(&text, &data, &FUNCTIONS), set.expand_html(&text, &data, &FUNCTIONS)];
        for out in expanded.into_iter().flatten() {
            prop_assert!(out.len() <= limits.bytes_max);
        }
    }

    #[test]
    fn values_never_add_markup(value in ".*") {
        let set = Templates::default();
        let data = Value::from(Map::strings([("a", value.as_str())]));
        let text = r#"<p title="{{.a}}">{{.a}}</p><a href="{{.a}}">x</a><i title={{.a}}></i>"#;
        let out = set.expand_html(text, &data, &FUNCTIONS).expect("expanded");
        prop_assert_eq!(out.matches('<').count(), 6);
        prop_assert_eq!(out.matches('>').count(), 6);
        prop_assert_eq!(out.matches('"').count(), 4);
    }
}
