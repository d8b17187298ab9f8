//! What Go refuses or leaves open; the rest is in `tests/golden/html.tsv`.

use super::*;

#[track_caller]
fn check(pieces: &[Result<&str, Value>], expected: &str) {
    let mut writer = Writer::html(10_000);
    for piece in pieces {
        match piece {
            Ok(literal) => writer.text(literal),
            Err(value) => writer.value(value).expect("written"),
        }
    }
    assert_eq!(writer.into_string(), expected);
}

#[test]
fn places_are_known_however_the_text_is_cut() {
    let evil = || Err(Value::from("\"><script>"));
    check(
        &[Ok("<a hr"), Ok("ef=\""), evil(), Ok("\">"), evil()],
        "<a href=\"%22%3e%3cscript%3e\">&#34;&gt;&lt;script&gt;",
    );
    check(&[Ok("<a title='"), evil(), Ok("x'"), Ok(">")], "<a title='&#34;&gt;&lt;script&gt;x'>");
    check(&[Ok("<!-- "), evil(), Ok(" -->x")], "x");
}

#[test]
fn what_does_not_fit_is_told() {
    let mut writer = Writer::html(10);
    writer.text("<p>");
    writer.value(&Value::from("&&&&&&&&")).expect("taken");
    assert!(writer.is_full());
}
