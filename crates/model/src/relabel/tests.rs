//! Each action on small label sets, and every fault by its text.

use super::*;
use crate::Labels;
use proptest::prelude::*;

fn settings(change: impl FnOnce(&mut RelabelSettings)) -> RelabelSettings {
    let mut settings = RelabelSettings::default();
    change(&mut settings);
    settings
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Applies one rule to `{a="foo", b="bar", c="baz"}` (`None`: dropped).
#[track_caller]
fn check_rule(json: &str, want: Option<&[(&str, &str)]>) {
    check_rule_on(&[("a", "foo"), ("b", "bar"), ("c", "baz")], json, want);
}

#[track_caller]
fn check_rule_on(labels: &[(&str, &str)], json: &str, want: Option<&[(&str, &str)]>) {
    let rule: Rule = serde_json::from_str(json).expect("a valid rule");
    let mut builder = Labels::from_pairs(labels.iter().copied()).to_builder();
    let kept = apply(&[rule], &mut builder);
    assert_eq!(kept.then(|| builder.build()), want.map(|want| Labels::from_pairs(want.iter().copied())));
}

#[track_caller]
fn check_refused(json: &str, want: &str) {
    let error = serde_json::from_str::<Rule>(json).expect_err("refused").to_string();
    assert!(error.contains(want), "{error}");
}

#[test]
fn replace_fills_its_template_from_the_groups() {
    let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    check_rule(
        r#"{"source_labels":["a"],"regex":"f(.*)","target_label":"d","replacement":"ch${1}-ch${1}"}"#,
        Some(&[abc[0], abc[1], abc[2], ("d", "choo-choo")]),
    );
    check_rule(
        r#"{"source_labels":["a","b"],"regex":"(?P<x>f).*;(.*)r","target_label":"a","replacement":"b${2}$x$2m"}"#,
        Some(&[("a", "bbaf"), abc[1], abc[2]]),
    );
    check_rule(r#"{"source_labels":["a"],"regex":"f","target_label":"b","replacement":"bar"}"#, Some(&abc));
    check_rule(
        r#"{"source_labels":["a"],"regex":"(f).*","target_label":"b","replacement":"$2"}"#,
        Some(&[abc[0], abc[2]]),
    );
    check_rule(r#"{"target_label":"b","replacement":""}"#, Some(&[abc[0], abc[2]]));
    check_rule(
        r#"{"target_label":"d","replacement":"const"}"#,
        Some(&[abc[0], abc[1], abc[2], ("d", "const")]),
    );
    check_rule(
        r#"{"target_label":"d","replacement":"5$$ $ ${ ${1"}"#,
        Some(&[abc[0], abc[1], abc[2], ("d", "5$ $ ${ ${1")]),
    );
}

#[test]
fn replace_may_compute_the_name_of_its_label() {
    let some_label = [("a", "some-name-value")];
    let rule = |target: &str| {
        format!(
            r#"{{"source_labels":["a"],"regex":"some-([^-]+)-([^,]+)","replacement":"${{2}}","target_label":"{target}"}}"#
        )
    };
    check_rule_on(&some_label, &rule("${1}"), Some(&[some_label[0], ("name", "value")]));
    check_rule_on(&some_label, &rule("${3}"), Some(&some_label));
    check_rule_on(&some_label, &rule("größe ${1}"), Some(&[some_label[0], ("größe name", "value")]));
}

#[test]
fn keep_and_drop_match_the_joined_input_at_both_ends() {
    let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    check_rule(r#"{"source_labels":["a"],"regex":".*o.*","action":"drop"}"#, None);
    check_rule(r#"{"source_labels":["a"],"regex":"o","action":"drop"}"#, Some(&abc));
    check_rule(r#"{"source_labels":["a","b"],"regex":"foo;bar","action":"KEEP"}"#, Some(&abc));
    check_rule(
        r#"{"source_labels":["a","missing"],"separator":"-","regex":"foo-","action":"keep"}"#,
        Some(&abc),
    );
    check_rule(r#"{"source_labels":["a"],"regex":"no","action":"keep"}"#, None);
    check_rule_on(&[("a", "x\ny")], r#"{"source_labels":["a"],"regex":"x.y","action":"drop"}"#, None);
}

#[test]
fn keepequal_and_dropequal_compare_with_the_target() {
    let same = [("__port1", "1234"), ("__port2", "1234"), ("job", "x")];
    let other = [("__port1", "1234"), ("__port2", "5678")];
    let keep = r#"{"source_labels":["__port1"],"target_label":"__port2","action":"keepequal"}"#;
    let drop = r#"{"source_labels":["__port1"],"target_label":"__port2","action":"dropequal"}"#;
    check_rule_on(&same, keep, Some(&same));
    check_rule_on(&other, keep, None);
    check_rule_on(&same, drop, None);
    check_rule_on(&other, drop, Some(&other));
}

#[test]
fn hashmod_agrees_with_prometheus() {
    // Both numbers stand in Prometheus' own tests.
    let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    check_rule(
        r#"{"source_labels":["c"],"target_label":"d","action":"hashmod","modulus":1000}"#,
        Some(&[abc[0], abc[1], abc[2], ("d", "976")]),
    );
    check_rule_on(
        &[("a", "foo\nbar")],
        r#"{"source_labels":["a"],"target_label":"b","action":"hashmod","modulus":1000}"#,
        Some(&[("a", "foo\nbar"), ("b", "734")]),
    );
}

#[test]
fn actions_on_names_map_drop_and_keep_them() {
    let labels = [("a", "foo"), ("b1", "bar"), ("b2", "baz")];
    check_rule_on(
        &labels,
        r#"{"regex":"(b.*)","replacement":"bar_${1}","action":"labelmap"}"#,
        Some(&[labels[0], labels[1], labels[2], ("bar_b1", "bar"), ("bar_b2", "baz")]),
    );
    check_rule_on(
        &[("a", "foo"), ("__meta_my_bar", "aaa"), ("__meta_my_baz", "bbb")],
        r#"{"regex":"__meta_(my.*)","replacement":"${1}","action":"labelmap"}"#,
        Some(&[
            ("a", "foo"),
            ("__meta_my_bar", "aaa"),
            ("__meta_my_baz", "bbb"),
            ("my_bar", "aaa"),
            ("my_baz", "bbb"),
        ]),
    );
    check_rule_on(&labels, r#"{"regex":"(b.*)","action":"labeldrop"}"#, Some(&labels[..1]));
    check_rule_on(&labels, r#"{"regex":"(b.*)","action":"labelkeep"}"#, Some(&labels[1..]));
}

#[test]
fn case_is_mapped_character_by_character() {
    let lower = r#"{"source_labels":["a"],"target_label":"b","action":"lowercase"}"#;
    let upper = r#"{"source_labels":["a"],"target_label":"b","action":"uppercase"}"#;
    check_rule_on(
        &[("a", "bAr123Foo ΑΣ")],
        lower,
        Some(&[("a", "bAr123Foo ΑΣ"), ("b", "bar123foo ας".replace('ς', "σ").as_str())]),
    );
    check_rule_on(&[("a", "bAr123Foo ß")], upper, Some(&[("a", "bAr123Foo ß"), ("b", "BAR123FOO ß")]));
}

#[test]
fn rules_apply_in_order_and_stop_at_a_drop() {
    let rules = [
        settings(|s| {
            (s.source_labels, s.regex, s.target_label, s.replacement) =
                (names(&["a"]), "f(o*)".into(), "d".into(), "$1".into());
        }),
        settings(|s| (s.source_labels, s.regex, s.action) = (names(&["d"]), "oo".into(), "drop".into())),
    ]
    .map(|settings| Rule::new(settings).expect("valid"));
    assert!(!apply(&rules, &mut Labels::from_pairs([("a", "foo")]).to_builder()));
    assert!(apply(&rules, &mut Labels::from_pairs([("a", "fo")]).to_builder()));
}

#[test]
fn faults_are_named_in_the_words_of_prometheus() {
    check_refused(r#"{"action":null,"source_labels":["a"]}"#, "relabel action cannot be empty");
    check_refused(r#"{"action":"Explode"}"#, r#"unknown relabel action "Explode""#);
    check_refused(
        r#"{"action":"hashmod","target_label":"x"}"#,
        "relabel configuration for hashmod requires non-zero modulus",
    );
    for action in ["replace", "lowercase", "uppercase", "keepequal", "dropequal"] {
        let want = format!("relabel configuration for {action} action requires 'target_label' value");
        check_refused(&format!(r#"{{"action":"{action}"}}"#), &want);
    }
    check_refused(
        r#"{"action":"lowercase","target_label":"x","replacement":"y"}"#,
        "'replacement' can not be set for lowercase action",
    );
    check_refused(
        r#"{"action":"labelmap","replacement":""}"#,
        r#""" is invalid 'replacement' for labelmap action"#,
    );
    let only = "dropequal action requires only 'source_labels' and `target_label`, and no other fields";
    check_refused(r#"{"action":"dropequal","target_label":"x","regex":"y"}"#, only);
    check_refused(r#"{"action":"dropequal","target_label":"x","separator":""}"#, only);
    for extra in [
        r#""source_labels":[]"#,
        r#""target_label":"x""#,
        r#""modulus":8"#,
        r#""separator":",""#,
        r#""replacement":"y""#,
    ] {
        let want = "labelkeep action requires only 'regex', and no other fields";
        check_refused(&format!(r#"{{"action":"labelkeep",{extra}}}"#), want);
    }
    check_refused(
        r#"{"regex":"abc(def","target_label":"x"}"#,
        "error parsing regexp: missing closing ): `^(?s:abc(def)$`",
    );
    check_refused(r#"{"colour":"red"}"#, "unknown field `colour`");
}

#[test]
fn a_rule_is_written_as_prometheus_writes_it() {
    let rule: Rule =
        serde_json::from_str(r#"{"source_labels":["a"],"regex":"x","action":"DROP"}"#).expect("valid");
    let written = serde_json::to_string(&rule).expect("serializable");
    assert_eq!(
        written,
        r#"{"source_labels":["a"],"separator":";","regex":"x","replacement":"$1","action":"drop"}"#
    );
    assert_eq!(serde_json::from_str::<Rule>(&written).expect("valid"), rule);
}

proptest! {
    #[test]
    fn no_rule_panics_and_results_are_well_formed(
        action in 0usize..11, regex in "[a-c.*()|]{0,6}", target in "[a-c$1{}]{0,6}", replacement in "[a-c$1{}é]{0,6}",
        pairs in proptest::collection::vec(("[a-cé]{1,3}", "[a-cß\n]{0,5}"), 0..5)) {
        let rule = Rule::new(settings(|s| {
            (s.action, s.regex, s.target_label, s.replacement) = (Action::ALL[action].as_str().into(), regex, target, replacement);
            s.source_labels = (action % 2 == 0).then(|| vec!["a".into(), "b".into()]);
        }));
        if let Ok(rule) = rule {
            let mut builder = Labels::from_pairs(pairs).to_builder();
            apply(&[rule], &mut builder);
            prop_assert!(crate::LabelsRef::from_packed(builder.build().packed()).is_some());
        }
    }
}
