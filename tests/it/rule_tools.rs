//! `kymo test rules` and `kymo check rules`: promtool's files pass, fail and are refused as promtool has it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kymo_tests::paths;

fn kymo(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(paths::kymo_binary());
    command.args(arguments).current_dir(directory);
    command.output().expect("kymo starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A directory with one file.
fn directory_with(name: &str, content: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    add(directory.path(), name, content);
    directory
}

fn add(directory: &Path, name: &str, content: &str) {
    use std::io::Write;
    let mut file = std::fs::File::create(directory.join(name)).expect("created");
    file.write_all(content.as_bytes()).expect("written");
}

#[test]
fn promtools_own_files_behave_as_with_promtool() {
    let Some(corpus) = paths::shared("corpus/promtool") else { return };
    let expected = std::fs::read_to_string(corpus.join("expected.tsv")).expect("readable");
    let mut wrong = String::new();
    let mut count = 0;
    for line in expected.lines().filter(|line| !line.is_empty()) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [command, file, want] = columns[..] else { panic!("three columns: {line}") };
        let arguments: Vec<&str> = command.split(' ').chain([file]).collect();
        let output = kymo(&arguments, &corpus);
        let want_code = if matches!(want, "passes" | "ok") { 0 } else { 1 };
        if output.status.code() != Some(want_code) {
            wrong.push_str(&format!("{line}: {:?}\n{}\n", output.status.code(), text(&output)));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 20, "only {count} files");
}

#[test]
fn refusals_and_failures_say_why() {
    let Some(corpus) = paths::shared("corpus/promtool") else { return };
    let check = |arguments: &[&str], reason: &str| {
        let output = kymo(arguments, &corpus);
        assert!(text(&output).contains(reason), "{arguments:?}: {}", text(&output));
    };
    check(&["test", "rules", "bad-input-series.yml"], "series \"up{job=\\\"prometheus\\\"");
    check(&["test", "rules", "bad-promql.yml"], "    expr: \"join_1 + on(a) join_2\", time: 0s, err: ");
    check(&["test", "rules", "bad-rules-error-test.yml"], "    rule: joined, time: 0s, err: ");
    check(
        &["test", "rules", "bad-rules-syntax-test.yml"],
        "group \"bad-syntax\", rule 1, \"x\": could not parse expression",
    );
    check(
        &["test", "rules", "failing.yml"],
        "    name: Failing test,\n    alertname: Test, time: 0s, \n        exp:[\n",
    );
    check(
        &["test", "rules", "failing.yml"],
        "        exp: {__name__=\"test\"} 1E+00\n        got: {__name__=\"test\"} 0E+00",
    );
    check(&["test", "rules", "rules_run_extrafields.yml"], "namespace");
    check(&["check", "rules", "rules-bad.yml"], "undefined variable \"$label\"");
    check(
        &["check", "rules", "rules_duplicates.yml"],
        "lint error 1 duplicate rule(s) found.\nMetric: job:test:count_over_time1m",
    );
}

#[test]
fn flags_choose_tests_and_forgive_keys() {
    let Some(corpus) = paths::shared("corpus/promtool") else { return };
    let code = |arguments: &[&str]| kymo(arguments, &corpus).status.code();
    assert_eq!(code(&["test", "rules", "--run", "correct", "rules_run.yml"]), Some(0));
    assert_eq!(code(&["test", "rules", "--run", "wrong", "rules_run.yml"]), Some(1));
    assert_eq!(code(&["test", "rules", "--run", "correct", "rules_run_fuzzy.yml"]), Some(0));
    assert_eq!(code(&["test", "rules", "--ignore-unknown-fields", "rules_run_extrafields.yml"]), Some(0));
    assert_eq!(code(&["check", "rules", "--ignore-unknown-fields", "rules_extrafields.yml"]), Some(0));
    assert_eq!(code(&["check", "rules", "--lint-fatal", "rules_duplicates.yml"]), Some(3));
    assert_eq!(code(&["check", "rules", "--lint-fatal", "--lint=none", "rules_duplicates.yml"]), Some(0));
    assert_eq!(code(&["check", "rules", "--lint=nonsense", "rules.yml"]), Some(2));
}

#[test]
fn all_manifests_of_kube_prometheus_load() {
    let Some(corpus) = paths::shared("corpus/rules") else { return };
    let files: Vec<PathBuf> =
        std::fs::read_dir(&corpus).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    let mut files: Vec<&str> = files
        .iter()
        .filter_map(|path| path.to_str())
        .filter(|path| path.ends_with(".yaml") || path.ends_with(".yml"))
        .collect();
    files.sort_unstable();
    assert!(files.len() > 5, "only {} files", files.len());
    let arguments: Vec<&str> = ["check", "rules"].into_iter().chain(files.iter().copied()).collect();
    let output = kymo(&arguments, &corpus);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(text(&output).matches("SUCCESS").count(), files.len(), "{}", text(&output));
}

#[test]
fn lints_propose_what_to_do() {
    let directory = directory_with(
        "rules.yml",
        "groups:\n- name: g\n  rules:\n  - alert: Errors\n    expr: errors_total > 5\n  - record: a\n    expr: up{job=\"a\",job=\"b\"}\n",
    );
    let output = kymo(&["check", "rules", "--lint-fatal", "rules.yml"], directory.path());
    assert_eq!(output.status.code(), Some(3));
    for line in [
        "Checking rules.yml\n  SUCCESS: 2 rules found",
        "line 4, group \"g\", rule \"Errors\": missing-for: ",
        "counter-without-rate: errors_total is a counter",
        "fix: compare how fast it grows: `rate(errors_total[5m])`",
        "line 6, group \"g\", rule \"a\": never-matches: no series has both job=\"a\" and job=\"b\"",
    ] {
        assert!(text(&output).contains(line), "{line}\n{}", text(&output));
    }
    let output =
        kymo(&["check", "rules", "--lint-fatal", "--lint", "label-clash", "rules.yml"], directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn results_are_written_for_ci() {
    let directory =
        directory_with("rules.yml", "groups:\n- name: g\n  rules:\n  - {record: b, expr: a * 2}\n");
    add(
        directory.path(),
        "test.yml",
        "rule_files: ['*rules.yml']\ntests:\n- name: twice\n  input_series: [{series: a, values: '1 2'}]\n  promql_expr_test:\n  - {expr: b, eval_time: 1m, exp_samples: [{labels: b, value: 4}]}\n- name: thrice\n  input_series: [{series: a, values: '1 2'}]\n  promql_expr_test:\n  - {expr: b, eval_time: 1m, exp_samples: [{labels: b, value: 6}]}\n",
    );
    let output = kymo(&["test", "rules", "--junit", "report.xml", "test.yml"], directory.path());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("Unit Testing:  test.yml\n"), "{}", text(&output));
    let report = std::fs::read_to_string(directory.path().join("report.xml")).expect("written");
    assert!(
        report.contains("<testsuite name=\"test.yml\" tests=\"2\" failures=\"1\" errors=\"0\">"),
        "{report}"
    );
    assert!(report.contains("<testcase name=\"thrice\">\n      <failure>"), "{report}");
    let output = kymo(&["test", "rules", "--run", "^twice$", "test.yml"], directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("  SUCCESS\n"), "{}", text(&output));
    let output = kymo(&["test", "rules", "nothing.yml"], directory.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("cannot read nothing.yml"), "{}", text(&output));
}
