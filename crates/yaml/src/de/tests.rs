//! What files become, and what their faults say.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use crate::{Document, from_str};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Job {
    job_name: String,
    port: u16,
    ratio: f64,
    follow: bool,
    params: BTreeMap<String, Vec<String>>,
    level: Option<Level>,
    #[serde(rename = "*")]
    auth: Auth,
}

/// Takes its keys from a mapping that a [`Job`] takes its own from, which an [`Auth`] does in turn.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Outer {
    outermost: u16,
    #[serde(rename = "*")]
    job: Job,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Auth {
    username: String,
    password: Secret,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Secret(String);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Low,
    High,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    jobs: Vec<Job>,
}

#[track_caller]
fn check(text: &str, want: Job) {
    assert_eq!(from_str::<Job>(text).expect(text), want, "{text}");
}

#[track_caller]
fn refused(text: &str, want: &str) {
    let error = from_str::<File>(text).expect_err(text);
    assert_eq!(error.to_string(), want, "{text}");
}

#[test]
fn scalars_become_what_the_field_wants() {
    check("job_name: 12", Job { job_name: "12".into(), ..Job::default() });
    check("job_name: true", Job { job_name: "true".into(), ..Job::default() });
    check("job_name:", Job::default());
    check(
        "{port: 0x10, ratio: 1e3, follow: yes}",
        Job { port: 16, ratio: 1000.0, follow: true, ..Job::default() },
    );
    check("ratio: 2", Job { ratio: 2.0, ..Job::default() });
    check("level: high", Job { level: Some(Level::High), ..Job::default() });
    check("{port: , ratio: null, follow: ~, params: , level: }", Job::default());
    check(
        "params: {a: [1, x]}",
        Job { params: [("a".into(), vec!["1".into(), "x".into()])].into(), ..Job::default() },
    );
    check("job_name: !!binary aMO2", Job { job_name: "h\u{f6}".into(), ..Job::default() });
    check("", Job::default());
}

#[test]
fn an_inlined_struct_takes_the_keys_that_are_left() {
    let auth = Auth { username: "me".into(), password: Secret("p".into()) };
    check("{username: me, job_name: a, password: p}", Job { job_name: "a".into(), auth, ..Job::default() });
}

#[test]
fn anchors_aliases_and_merges_are_resolved() {
    let text = "jobs:\n- &base\n  job_name: a\n  port: 1\n- <<: *base\n  job_name: b\n- *base\n";
    let file: File = from_str(text).expect("valid");
    let jobs: Vec<_> = file.jobs.iter().map(|job| (job.job_name.as_str(), job.port)).collect();
    assert_eq!(jobs, [("a", 1), ("b", 1), ("a", 1)]);
}

#[test]
fn faults_name_line_column_path_and_remedy() {
    refused(
        "jobs:\n- job_nam: a\n",
        "line 2, column 3: jobs[0]: unknown key \"job_nam\"; did you mean \"job_name\"?",
    );
    refused(
        "jobs:\n- usernam: a\n",
        "line 2, column 3: jobs[0]: unknown key \"usernam\"; did you mean \"username\"?",
    );
    let error = from_str::<Outer>("outermos: 1").expect_err("a misspelt key");
    assert!(error.to_string().contains("did you mean \"outermost\"?"), "{error}");
    refused("job: []", "line 1, column 1: unknown key \"job\"; did you mean \"jobs\"?");
    refused("rules: []", "line 1, column 1: unknown key \"rules\"; allowed here: jobs");
    refused(
        "jobs:\n- port: 70000",
        "line 2, column 9: jobs[0].port: expected a whole number from 0 to 65535, found string \"70000\"",
    );
    refused(
        "jobs:\n- port: \"80\"",
        "line 2, column 9: jobs[0].port: expected a whole number from 0 to 65535, found string \"80\"; remove the quotes",
    );
    refused(
        "jobs:\n- params: {a: b}",
        "line 2, column 15: jobs[0].params.a: expected a sequence, found string \"b\"",
    );
    refused("jobs: 1", "line 1, column 7: jobs: expected a sequence, found string \"1\"");
    refused("jobs:\n- job_name: [a]", "line 2, column 13: jobs[0].job_name: expected a string, found a list");
    refused(
        "jobs:\n- level: middle",
        "line 2, column 10: jobs[0].level: unknown value \"middle\"; use one of: low, high",
    );
    refused(
        "jobs: []\njobs: []",
        "line 2, column 1: key \"jobs\" comes twice: first in line 1; remove one of them",
    );
    refused(
        "jobs: []\n---\njobs: []",
        "line 3, column 1: a second YAML document in one file; only one is read; remove the --- and what follows",
    );
}

#[test]
fn syntax_faults_name_their_place() {
    for (text, line) in
        [("jobs: [\n", 1), ("jobs: *nobody", 1), ("a: b: c", 1), ("jobs:\n\t- a", 2), ("{[a]: b}", 1)]
    {
        let error = from_str::<File>(text).expect_err(text);
        assert_eq!(error.mark.map(|mark| mark.line), Some(line), "{text:?}: {error}");
    }
    let error = from_str::<File>("!!binary /w==: 1").expect_err("not text");
    assert!(error.message.starts_with("\"\\xff\" is not a valid label name"), "{error}");
    let error = Document::parse_bytes(b"a: b\nc: \xff").expect_err("not UTF-8");
    assert_eq!(error.to_string(), "line 2, column 4: the file is not UTF-8 text");
}

#[test]
fn faults_found_later_find_their_line_by_their_path() {
    let document = Document::parse("jobs:\n- job_name: a\n- job_name: a\n").expect("valid");
    let fault = |path: &[&str]| document.fault(path, "no").to_string();
    assert_eq!(fault(&["jobs", "1", "job_name"]), "line 3, column 3: jobs[1].job_name: no");
    assert_eq!(fault(&["jobs", "1", "port"]), "line 3, column 3: jobs[1].port: no");
    assert_eq!(fault(&[]), "line 1, column 1: no");
}

#[test]
fn aliases_cannot_blow_up_memory() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        let last = format!("*a{}", i - 1);
        text.push_str(&format!("a{i}: &a{i} [{}]\n", [last.as_str(); 10].join(", ")));
    }
    let error = Document::parse(&text).expect_err("too many");
    assert!(error.message.contains("once aliases are copied in"), "{error}");
    assert!(Document::parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn what_is_printed_hides_secrets_and_reads_as_the_same() {
    let text =
        "jobs:\n- job_name: \"a: b\"\n  password: hidden\n  params:\n    x: [\"1\", \"\"]\n    z: []\n- {}\n";
    let document = Document::parse(text).expect("valid");
    document.read::<File>().expect("valid");
    let printed = document.print_redacted();
    assert_eq!(
        printed,
        "jobs:\n- job_name: \"a: b\"\n  password: <secret>\n  params:\n    x:\n    - \"1\"\n    - \"\"\n    z: []\n- {}\n"
    );
    let again: File = from_str(&printed.replace("<secret>", "hidden")).expect("valid");
    assert_eq!(again, document.read::<File>().expect("valid"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[a-z:\\-\\[\\]{}&*<#|>\"' \n\t,?!%@~0-9]{0,200}") {
        if let Ok(document) = Document::parse(&text) {
            let _refused_or_not = document.read::<File>();
            let _printed = document.print_redacted();
        }
    }

    #[test]
    fn any_value_survives_printing(value in "\\PC{0,40}|[\\x00-\\x7f]{0,10}") {
        let node = |text: &str| Document::parse(text).expect("valid").read::<BTreeMap<String, String>>().expect("valid");
        let escaped: String = value.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        let text = format!("a: \"{escaped}\"");
        let printed = Document::parse(&text).expect("valid").print_redacted();
        prop_assert_eq!(node(&printed), node(&text), "{}", printed);
    }
}
