//! `kymo check metrics` reads standard input.

use super::process::ends;

#[test]
fn what_is_fine_ends_with_0() {
    ends(
        &["check", "metrics"],
        b"# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n",
        0,
        "",
        "",
    );
    ends(&["check", "metrics"], b"", 0, "", "");
}

#[test]
fn a_fault_ends_with_1_and_names_its_line() {
    ends(&["check", "metrics"], b"# HELP a A.\na 1\nb{c=\"d\" 2\n", 1, "", "line 3");
    ends(&["check", "metrics"], b"a one\n", 1, "", "line 1");
    ends(&["check", "metrics"], b"a{b=\"c\",b=\"d\"} 1\n", 1, "", "b");
    ends(&["check", "metrics"], b"\xff 1\n", 1, "", "line 1");
}

#[test]
fn what_is_unwise_ends_with_3() {
    ends(&["check", "metrics"], b"a 1\n", 3, "", "a no help text");
}
