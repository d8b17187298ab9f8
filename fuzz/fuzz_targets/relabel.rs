//! Relabelling rules and matchers: any expression and template is refused or applied, and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::relabel::{RelabelSettings, Rule, apply};
use model::{LabelsBuilder, MatchOp, Matcher};

// Lines: action, regular expression, replacement, target, source labels, separator, then `name=value` labels.
fuzz_target!(|text: &str| {
    if text.len() > 2048 {
        return;
    }
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let settings = RelabelSettings {
        action: next(),
        regex: next(),
        replacement: next(),
        target_label: next(),
        source_labels: Some(next().split(',').map(str::to_owned).collect()),
        separator: next(),
        modulus: text.len() as u64,
    };
    let mut labels = LabelsBuilder::new();
    for line in lines {
        let (name, value) = line.split_once('=').unwrap_or((line, "x"));
        labels.set(name, value);
    }
    if let Ok(matcher) = Matcher::new(MatchOp::Regex, "x", &settings.regex) {
        let before = labels.build();
        let values = before.iter().map(|(_, value)| value);
        for value in values.chain(matcher.regex_literals().unwrap_or_default().iter().map(String::as_str)) {
            let opposite =
                Matcher::new(MatchOp::NotRegex, "x", &settings.regex).expect("the same expression");
            assert_ne!(matcher.matches(value), opposite.matches(value));
            assert!(
                !matcher.matches(value) || value.starts_with(matcher.regex_prefix()),
                "{matcher} {value:?}"
            );
        }
    }
    if let Ok(rule) = Rule::new(settings) {
        apply(&[rule], &mut labels);
        let built = labels.build();
        assert!(model::LabelsRef::from_packed(built.packed()).is_some());
    }
});
