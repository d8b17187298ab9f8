//! `kymo test promql` runs scripts.

use super::process::ends;

fn script(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.test");
    super::config::write(&path, text);
    (directory, path.to_string_lossy().into_owned())
}

#[test]
fn scripts_that_pass_end_with_0() {
    let (_directory, path) =
        script("load 1m\n  a 0+1x10\n\neval instant at 5m a\n  a 5\n\neval instant at 5m a * 2\n  {} 10\n");
    ends(&["test", "promql", &path], b"", 0, "2 passed, 0 failed", "");
}

#[test]
fn each_failure_names_its_line_what_was_expected_and_what_came() {
    let (_directory, path) =
        script("load 1m\n  a 0+1x10\n\neval instant at 5m a\n  a 6\n\neval instant at 5m a\n  a 5\n");
    ends(&["test", "promql", &path], b"", 1, "a.test:line 4: a", "");
    ends(&["test", "promql", &path], b"", 1, "expected: ", "");
    ends(&["test", "promql", &path], b"", 1, "got: ", "");
    ends(&["test", "promql", &path], b"", 1, "1 passed, 1 failed", "");
    ends(&["test", "promql", "/no/such.test"], b"", 1, "", "cannot read /no/such.test");
}
