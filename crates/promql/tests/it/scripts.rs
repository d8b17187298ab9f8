//! PromQL test scripts: Prometheus' own, where they are at hand, and ours in `scripts/`.
//!
//! Each of Prometheus' scripts must pass whole, or at least as many evaluations as the table says: raise its
//! number when more pass, never lower it.

use std::path::{Path, PathBuf};

use promql::script;

/// Where Prometheus' scripts are looked for: beside the workspace.
fn prometheus_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest")
}

/// Runs a script of Prometheus and compares the number of evaluations passed.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the counts are what a reader of the test log wants to see")]
fn check(name: &str, passed_min: usize, whole: bool) {
    let path = prometheus_scripts().join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("{name}: skipped, there is no {}", path.display());
        return;
    };
    let report = script::run(&text);
    for failure in report.failures.iter().take(if whole { 20 } else { 200 }) {
        println!("{name}: {failure}");
    }
    println!("{name}: {} passed, {} failed", report.passed, report.failed);
    assert!(report.passed >= passed_min, "{name}: only {} of {passed_min} evaluations pass", report.passed);
    assert!(!whole || report.failed == 0, "{name}: {} evaluations fail", report.failed);
}

macro_rules! scripts {
    ($($test:ident: $name:literal, $passed_min:literal, $whole:literal;)*) => {
        $(#[test] fn $test() { check($name, $passed_min, $whole); })*

        /// Every script at hand has its test.
        #[test]
        fn no_script_is_forgotten() {
            let known = [$($name),*];
            let Ok(entries) = std::fs::read_dir(prometheus_scripts()) else { return };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(!name.ends_with(".test") || known.contains(&name.as_str()), "{name} has no test");
            }
        }
    };
}

scripts! {
    aggregators: "aggregators.test", 117, true;
    at_modifier: "at_modifier.test", 61, true;
    collision: "collision.test", 2, true;
    duration_expression: "duration_expression.test", 43, true;
    extended_vectors: "extended_vectors.test", 129, true;
    fill_modifier: "fill-modifier.test", 28, true;
    functions: "functions.test", 310, true;
    histograms: "histograms.test", 136, true;
    info: "info.test", 37, true;
    limit: "limit.test", 30, true;
    literals: "literals.test", 16, true;
    name_label_dropping: "name_label_dropping.test", 25, true;
    native_histograms: "native_histograms.test", 389, true;
    operators: "operators.test", 159, true;
    range_queries: "range_queries.test", 15, true;
    selectors: "selectors.test", 19, true;
    staleness: "staleness.test", 14, true;
    start_timestamps: "start_timestamps.test", 19, true;
    subquery: "subquery.test", 24, true;
    trig_functions: "trig_functions.test", 12, true;
    type_and_unit: "type_and_unit.test", 44, true;
}

/// All of Prometheus' evaluations pass, and none is left out.
#[test]
#[expect(clippy::print_stdout, reason = "the count is what a reader of the test log wants to see")]
fn all_evaluations_of_prometheus_pass() {
    let Ok(entries) = std::fs::read_dir(prometheus_scripts()) else { return };
    let (mut scripts, mut evaluations, mut passed) = (0, 0, 0);
    for path in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
    {
        let text = std::fs::read_to_string(&path).expect("a script can be read");
        scripts += 1;
        evaluations += text.lines().filter(|line| line.trim_start().starts_with("eval")).count();
        passed += script::run(&text).passed;
    }
    println!("{passed} of {evaluations} evaluations in {scripts} scripts pass");
    assert_eq!(passed, evaluations);
}

/// Our own scripts pass whole.
#[test]
fn own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut evaluations = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of scripts is there").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a script can be read");
        let report = script::run(&text);
        failures
            .extend(report.failures.iter().map(|failure| format!("{}: {failure}", entry.path().display())));
        evaluations += report.passed;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(evaluations > 0, "no script was found in {}", folder.display());
}
