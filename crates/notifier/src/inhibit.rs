//! Inhibition: an alert that fires mutes others that are its consequence.

use std::collections::{BTreeMap, HashMap};

use model::{Labels, Matcher};

use crate::alert::{Alert, Fingerprint};
use crate::config::file::InhibitSection;

/// Alerts that meet `source` mute those that meet `target`, where the labels in `equal` have the same values.
#[derive(Debug, Clone)]
pub struct InhibitRule {
    /// Its name; may be empty.
    pub name: String,
    source: Vec<Matcher>,
    target: Vec<Matcher>,
    equal: Vec<String>,
}

impl InhibitRule {
    pub(crate) fn new(section: &InhibitSection) -> Self {
        let all = |maps: [&[Matcher]; 3]| maps.concat();
        let mut equal = section.equal.clone();
        equal.sort();
        equal.dedup();
        Self {
            name: section.name.clone(),
            source: all([&section.source_match.0, &section.source_match_re.0, &section.source_matchers.0]),
            target: all([&section.target_match.0, &section.target_match_re.0, &section.target_matchers.0]),
            equal,
        }
    }

    /// The values that must be the same. A label that is not there is empty.
    fn values(&self, labels: &Labels) -> Vec<String> {
        self.equal.iter().map(|name| labels.get(name).unwrap_or("").to_owned()).collect()
    }
}

fn meets(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels.as_ref()))
}

/// An alert that may mute.
#[derive(Debug)]
struct Source {
    ends_at_ms: i64,
    /// Whether it is a target of the same rule; such alerts do not mute each other.
    is_target: bool,
}

/// All rules, each with the alerts that may mute by it, found by the values that must be the same.
#[derive(Debug, Default)]
pub(crate) struct Inhibitor {
    rules: Vec<(InhibitRule, Sources)>,
}

/// The alerts that may mute, by the values that must be the same.
type Sources = HashMap<Vec<String>, BTreeMap<Fingerprint, Source>>;

impl Inhibitor {
    pub(crate) fn new(rules: Vec<InhibitRule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, HashMap::new())).collect() }
    }

    /// Takes notice of an alert, new or changed.
    pub(crate) fn put(&mut self, alert: &Alert) {
        for (rule, sources) in &mut self.rules {
            if meets(&rule.source, &alert.labels) {
                let source =
                    Source { ends_at_ms: alert.ends_at_ms, is_target: meets(&rule.target, &alert.labels) };
                let alike = sources.entry(rule.values(&alert.labels)).or_default();
                alike.insert(alert.fingerprint(), source);
            }
        }
    }

    /// The alert that mutes one with these labels.
    pub(crate) fn muted_by(&self, labels: &Labels, now_ms: i64) -> Option<Fingerprint> {
        self.rules.iter().find_map(|(rule, sources)| {
            if !meets(&rule.target, labels) {
                return None;
            }
            let is_source = meets(&rule.source, labels);
            let mut alike = sources.get(&rule.values(labels))?.iter();
            let mutes = |source: &Source| source.ends_at_ms > now_ms && !(is_source && source.is_target);
            alike.find(|(_, source)| mutes(source)).map(|(fingerprint, _)| *fingerprint)
        })
    }

    /// Forgets what is over.
    pub(crate) fn collect_garbage(&mut self, now_ms: i64) {
        for (_, sources) in &mut self.rules {
            for alike in sources.values_mut() {
                alike.retain(|_, source| source.ends_at_ms > now_ms);
            }
            sources.retain(|_, alike| !alike.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Annotations;

    fn inhibitor(rule: &str) -> Inhibitor {
        Inhibitor::new(vec![InhibitRule::new(&yaml::from_str(rule).expect("a rule"))])
    }

    fn alert(pairs: &[(&str, &str)], ends_at_ms: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs(pairs.iter().copied()),
            annotations: Annotations::new(),
            starts_at_ms: 0,
            ends_at_ms,
            generator_url: String::new(),
            updated_at_ms: 0,
            is_timeout: true,
        }
    }

    const RULE: &str = "{source_matchers: [severity=critical], target_match_re: {severity: 'warning|critical'}, equal: [cluster]}";

    #[track_caller]
    fn check(source: &[(&str, &str)], target: &[(&str, &str)], want: bool) {
        let mut inhibitor = inhibitor(RULE);
        inhibitor.put(&alert(source, 100));
        let muted = inhibitor.muted_by(&Labels::from_pairs(target.iter().copied()), 50);
        assert_eq!(muted.is_some(), want, "{source:?} mutes {target:?}");
    }

    #[test]
    fn a_source_mutes_targets_of_the_same_values() {
        let critical = [("cluster", "a"), ("severity", "critical")];
        check(&critical, &[("cluster", "a"), ("severity", "warning")], true);
        check(&critical, &[("cluster", "b"), ("severity", "warning")], false);
        check(&critical, &[("cluster", "a"), ("severity", "info")], false);
        check(&[("severity", "critical")], &[("severity", "warning")], true);
    }

    #[test]
    fn what_is_source_and_target_does_not_mute_its_like() {
        let critical = [("cluster", "a"), ("severity", "critical")];
        check(&critical, &[("cluster", "a"), ("severity", "critical"), ("x", "y")], false);
    }

    #[test]
    fn what_is_over_mutes_nothing() {
        let mut inhibitor = inhibitor(RULE);
        let source = alert(&[("severity", "critical")], 100);
        inhibitor.put(&source);
        let target = Labels::from_pairs([("severity", "warning")]);
        assert_eq!(inhibitor.muted_by(&target, 99), Some(source.fingerprint()));
        assert_eq!(inhibitor.muted_by(&target, 100), None);
        inhibitor.collect_garbage(100);
        assert!(inhibitor.rules[0].1.is_empty());
    }
}
