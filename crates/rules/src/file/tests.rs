//! Rule files that load, and those that do not, with what is said about them.

use std::path::{Path, PathBuf};

use super::*;

fn faults(text: &str) -> Vec<String> {
    match parse(text.as_bytes(), Options::default()) {
        Ok(file) => panic!("loads: {file:?}"),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(faults(text), expected);
}

const ALL_KEYS: &str = "\
groups:
- name: one
  interval: 30s
  query_offset: 10s
  limit: 7
  labels: {team: a, own: group}
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
    labels:
      own: 1
  - alert: Down
    expr: |
      up == 0
    for: 5m
    keep_firing_for: 10m
    annotations:
      summary: '{{ $labels.instance }} is down ({{ $value | humanize }})'
- name: two
";

#[test]
fn everything_that_may_stand_in_a_file_is_read() {
    let file = parse(ALL_KEYS.as_bytes(), Options::default()).expect("sound");
    let [one, two] = file.groups.as_slice() else { panic!("{file:?}") };
    assert_eq!((one.interval_ms, one.query_offset_ms, one.limit), (Some(30_000), Some(10_000), 7));
    assert_eq!((two.interval_ms, two.query_offset_ms, two.limit, two.rules.len()), (None, None, 0, 0));
    let [record, alert] = one.rules.as_slice() else { panic!("{one:?}") };
    assert_eq!((record.kind, record.name.as_str(), record.line), (RuleKind::Recording, "job:up:sum", 8));
    assert_eq!(record.labels["own"], "1", "a number is a text here");
    assert_eq!((alert.kind, alert.expr.as_str(), alert.line), (RuleKind::Alerting, "up == 0\n", 12));
    assert_eq!((alert.for_ms, alert.keep_firing_for_ms), (300_000, 600_000));
}

#[test]
fn a_file_may_be_empty() {
    for text in ["", "groups:\n", "groups: []\n", "# nothing yet\n"] {
        assert_eq!(parse(text.as_bytes(), Options::default()), Ok(RuleFile::default()), "{text:?}");
    }
}

#[test]
fn names_of_groups_are_there_and_differ() {
    check(
        "groups:\n- rules: []\n- name: a\n- name: a\n",
        &["2:3: Groupname must not be empty", "4:3: groupname: \"a\" is repeated in the same file"],
    );
}

#[test]
fn a_rule_is_one_thing_and_has_a_query() {
    check(
        "groups:\n- name: g\n  rules:\n  - record: a\n    alert: b\n    expr: up\n  - expr: up\n  - record: c\n  - alert: d\n    expr: up ==\n",
        &[
            "5:5: group \"g\", rule 1, \"b\": only one of 'record' and 'alert' must be set",
            "7:5: group \"g\", rule 2, \"\": one of 'record' or 'alert' must be set",
            "8:5: group \"g\", rule 3, \"c\": field 'expr' must be set in rule",
            "10:5: group \"g\", rule 4, \"d\": could not parse expression: 1:6: parse error: unexpected end of input",
        ],
    );
}

#[test]
fn a_recording_rule_takes_nothing_that_is_of_alerts() {
    check(
        "groups:\n- name: g\n  rules:\n  - {record: a, expr: up, for: 1m, keep_firing_for: 1m, annotations: {a: b}}\n  - {record: 'a{b=\"c\"}', expr: up}\n",
        &[
            "4:57: group \"g\", rule 1, \"a\": invalid field 'annotations' in recording rule",
            "4:27: group \"g\", rule 1, \"a\": invalid field 'for' in recording rule",
            "4:36: group \"g\", rule 1, \"a\": invalid field 'keep_firing_for' in recording rule",
            "5:6: group \"g\", rule 2, \"a{b=\\\"c\\\"}\": braces present in the recording rule name; should it be in expr?: a{b=\"c\"}",
        ],
    );
}

#[test]
fn names_of_labels_are_checked() {
    check(
        "groups:\n- name: g\n  labels: {__name__: x}\n  rules:\n  - {alert: a, expr: up, labels: {__name__: x, '': y}, annotations: {'': z}}\n",
        &[
            "3:12: invalid label name: __name__",
            "5:48: group \"g\", rule 1, \"a\": invalid label name: ",
            "5:35: group \"g\", rule 1, \"a\": invalid label name: __name__",
            "5:70: group \"g\", rule 1, \"a\": invalid annotation name: ",
        ],
    );
    let legacy = Options { legacy_names: true, ..Options::default() };
    let text = "groups: [{name: g, rules: [{record: a.b, expr: up, labels: {c.d: e}}]}]";
    assert!(parse(text.as_bytes(), Options::default()).is_ok());
    let faults = parse(text.as_bytes(), legacy).expect_err("refused");
    let texts: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(
        texts,
        [
            "group \"g\", rule 1, \"a.b\": invalid recording rule name: a.b",
            "group \"g\", rule 1, \"a.b\": invalid label name: c.d",
        ]
    );
}

#[test]
fn templates_are_read_where_they_stand() {
    let faults = faults(
        "groups:\n- name: g\n  rules:\n  - alert: a\n    expr: up\n    labels:\n      l: '{{ $label.x }}'\n    annotations:\n      n: '{{ nothing }}'\n",
    );
    let begins = |at: usize, with: &str| assert!(faults[at].starts_with(with), "{}", faults[at]);
    assert_eq!(faults.len(), 2, "{faults:?}");
    begins(0, "7:7: group \"g\", rule 1, \"a\": label \"l\": ");
    begins(1, "9:7: group \"g\", rule 1, \"a\": annotation \"n\": ");
    assert!(faults[0].contains("undefined variable \"$label\""), "{}", faults[0]);
}

#[test]
fn faults_of_form_name_line_and_remedy() {
    check(
        "groups:\n- name: g\n  rulez: []\n",
        &["3:3: groups[0]: unknown key \"rulez\"; did you mean \"rules\"?"],
    );
    for (text, part) in [
        ("groups: [{name: g, interval: 5}]", "not a valid duration string: \"5\""),
        ("groups: {name: g}", "expected"),
        ("groups: [{name: g, limit: many}]", "a whole number"),
        ("groups: [", "1:"),
    ] {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].contains(part), "{faults:?}");
    }
}

#[test]
fn unknown_keys_may_be_ignored() {
    let text = "ours: 1\ngroups:\n- name: g\n  owner: us\n  rules: [{record: a, expr: up, note: x}]\n";
    assert!(parse(text.as_bytes(), Options::default()).is_err());
    let lax = Options { ignore_unknown_keys: true, ..Options::default() };
    assert_eq!(parse(text.as_bytes(), lax).expect("sound").groups[0].rules.len(), 1);
    assert!(parse(b"groups: [{name: g, rules: [{record: a}]}]", lax).is_err(), "but no faults");
}

#[test]
fn manifests_of_the_operator_are_rule_files() {
    let text = "\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: x}
spec:
  groups:
  - name: g
    rules:
    - {record: a, expr: up}
";
    let file = parse(text.as_bytes(), Options::default()).expect("sound");
    assert_eq!((file.groups[0].name.as_str(), file.groups[0].rules[0].line), ("g", 8));
    let faults = faults(&text.replace("expr: up", "expr: up +"));
    assert!(faults[0].starts_with("8:19: group \"g\", rule 1, \"a\": could not parse"), "{faults:?}");
}

#[test]
fn any_bytes_are_read_without_panic() {
    for bytes in [&b"\xff\xfe"[..], b"groups: &a [*a]", b"- - -", b"groups: [[[[[", b"? a"] {
        let _either = parse(bytes, Options::default());
    }
}

/// Files of others live beside the repository, or where `KYMO_CORPUS` says.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = std::env::var_os("KYMO_CORPUS").map_or(beside, PathBuf::from);
    root.join("rules").exists().then_some(root)
}

#[test]
fn rule_files_of_others_load_or_are_refused_as_expected() {
    let Some(corpus) = corpus() else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no corpus beside the repository; KYMO_CORPUS names another place");
        }
        return;
    };
    let load = |path: &Path| parse(&std::fs::read(path).expect("read"), Options::default());
    for entry in std::fs::read_dir(corpus.join("rules")).expect("listed") {
        let path = entry.expect("an entry").path();
        let file = load(&path).unwrap_or_else(|faults| panic!("{}: {}", path.display(), faults[0]));
        assert!(file.groups.iter().map(|group| group.rules.len()).sum::<usize>() > 0, "{}", path.display());
    }
    let expected = std::fs::read_to_string(corpus.join("promtool/expected.tsv")).expect("read");
    for line in expected.lines().filter(|line| line.starts_with("check rules\t")) {
        let columns: Vec<&str> = line.split('\t').collect();
        let result = load(&corpus.join("promtool").join(columns[1]));
        assert_eq!(result.is_ok(), columns[2] == "ok", "{line}: {result:?}");
    }
}
