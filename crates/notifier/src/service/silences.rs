//! Silences that end soon although alerts that they hold back still fire; what a silence would hold back; and which groups alerts
//! would form.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Labels;

use super::{Handle, Inner};
use crate::alert::{Alert, Annotations};
use crate::core::{AlertView, EndingSilence, Source};
use crate::matchers;
use crate::route::Route;
use crate::silence::{Silence, SilenceError, SilenceMatcher};

/// The alert that says that a silence ends soon.
pub(crate) const ALERT_NAME: &str = "SilenceExpiring";
/// It is over when it was not said again for so long.
const VALID_MS: i64 = 2 * 60_000;

/// A group that alerts would form.
#[derive(Debug, Clone)]
pub struct PlannedGroup {
    /// The node of the routing tree, by its place, depth first.
    pub route: usize,
    /// Who would be told.
    pub receiver: Arc<str>,
    /// Names the group.
    pub key: String,
    /// What its alerts have in common.
    pub labels: Labels,
    /// Its alerts.
    pub alerts: Vec<Labels>,
}

impl Handle {
    /// Alerts that fire and that a silence with these conditions would hold back now.
    ///
    /// # Errors
    /// If the conditions cannot be.
    pub fn preview_silence(&self, conditions: Vec<SilenceMatcher>) -> Result<Vec<AlertView>, SilenceError> {
        let compiled = crate::silence::compile(conditions)?;
        let mut alerts = self.alerts();
        alerts
            .retain(|view| compiled.iter().all(|matcher| matcher.matches_labels(view.alert.labels.as_ref())));
        Ok(alerts)
    }

    /// How many alerts that fire a silence holds for.
    pub fn alerts_of_silence(&self, id: &str) -> usize {
        let now_ms = self.inner.clock.now_ms();
        self.inner.core.lock().alerts_of_silence(id, now_ms).count()
    }

    /// Whether a silence ends so soon that it is to be said: alerts that it holds back still fire.
    pub fn ends_soon(&self, silence: &Silence) -> bool {
        let within_ms = self.inner.settings.read().silence_expiry_warning_ms;
        silence.ends_within(self.inner.clock.now_ms(), within_ms) && self.alerts_of_silence(&silence.id) > 0
    }

    /// The groups that alerts would form, in the order of the tree.
    pub fn plan_groups(&self, alerts: &[Labels]) -> Vec<PlannedGroup> {
        plan_groups(&self.route(), alerts)
    }
}

fn plan_groups(tree: &Route, alerts: &[Labels]) -> Vec<PlannedGroup> {
    let mut groups: BTreeMap<(usize, Labels), PlannedGroup> = BTreeMap::new();
    for alert in alerts {
        for node in tree.find(alert) {
            let labels = node.group_labels(alert);
            let group = groups.entry((node.index, labels.clone())).or_insert_with(|| PlannedGroup {
                route: node.index,
                receiver: Arc::clone(&node.options.receiver),
                key: format!("{}:{}", node.key, matchers::format_labels(&labels)),
                labels,
                alerts: Vec::new(),
            });
            group.alerts.push(alert.clone());
        }
    }
    groups.into_values().collect()
}

/// Says which silences end soon although alerts that they hold back still fire: in the log and the timeline once, as an alert as long as
/// that is so.
pub(super) fn warn(inner: &Inner) {
    let now = inner.now();
    let before_ms = inner.settings.read().silence_expiry_warning_ms;
    let ending = inner.core.lock().ending_silences(now.wall_ms, before_ms);
    inner.metrics.silences_ending.set(i64::try_from(ending.len()).unwrap_or(i64::MAX));
    if ending.is_empty() {
        return;
    }
    for ending in ending.iter().filter(|ending| ending.is_new) {
        let silence = &ending.silence;
        tracing::warn!(
            id = silence.id,
            created_by = silence.created_by,
            alerts = ending.alert_count,
            ends_in_s = (silence.ends_at_ms - now.wall_ms) / 1_000,
            "a silence ends soon, and alerts that it holds back still fire"
        );
    }
    let alerts = ending.iter().map(|ending| alert(ending, now.wall_ms, &inner.external_url)).collect();
    // What fires is said again before it is over.
    let refused = inner.core.lock().put(alerts, Source::Outside, now);
    if refused > 0 {
        inner.metrics.refused.inc_by(refused as u64);
    }
    inner.wake.notify_one();
}

fn alert(ending: &EndingSilence, now_ms: i64, external_url: &str) -> Alert {
    let silence = &ending.silence;
    let count = match ending.alert_count {
        1 => "1 alert that it holds back still fires".to_owned(),
        count => format!("{count} alerts that it holds back still fire"),
    };
    let comment = if silence.comment.is_empty() { String::new() } else { format!(" ({})", silence.comment) };
    let summary = format!(
        "The silence of {}{comment} ends at {}, and {count}.",
        silence.created_by,
        crate::timeline::moment(silence.ends_at_ms)
    );
    let names = [
        ("alertname", ALERT_NAME),
        ("severity", "info"),
        ("silence", silence.id.as_str()),
        ("created_by", silence.created_by.as_str()),
    ];
    Alert {
        labels: Labels::from_pairs(names.into_iter().filter(|(_, value)| !value.is_empty())),
        annotations: Annotations::from([("summary".to_owned(), summary)]),
        starts_at_ms: now_ms,
        ends_at_ms: now_ms + VALID_MS,
        generator_url: format!("{external_url}/#/silences"),
        updated_at_ms: now_ms,
        is_timeout: true,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_alert_says_whose_silence_ends_when_and_why_that_matters() {
        let silence = Silence {
            id: "i".to_owned(),
            matchers: Vec::new(),
            starts_at_ms: 0,
            ends_at_ms: 1_700_000_000_000,
            updated_at_ms: 0,
            created_by: "me".to_owned(),
            comment: "disks".to_owned(),
            recurrence: None,
        };
        let alert = alert(&EndingSilence { silence, alert_count: 2, is_new: true }, 5_000, "http://kymo");
        assert_eq!(
            alert.labels.to_string(),
            r#"{alertname="SilenceExpiring", created_by="me", severity="info", silence="i"}"#
        );
        assert_eq!(
            alert.annotations["summary"],
            "The silence of me (disks) ends at 2023-11-14 22:13:20 UTC, and 2 alerts that it holds back still fire."
        );
        assert_eq!((alert.starts_at_ms, alert.ends_at_ms), (5_000, 125_000));
    }

    #[test]
    fn alerts_form_the_groups_of_the_tree() {
        let text = "route:\n  receiver: a\n  group_by: [alertname]\n  routes:\n  - matchers: [team=db]\n    receiver: b\n    group_by: ['...']\n    continue: true\n  - matchers: [team=~\"d.*\"]\nreceivers: [{name: a}, {name: b}]\n";
        let config = Config::parse(text.as_bytes(), Path::new("")).expect("fine");
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let alerts = [
            labels(&[("alertname", "x"), ("n", "1")]),
            labels(&[("alertname", "x"), ("n", "2")]),
            labels(&[("alertname", "x"), ("team", "db")]),
        ];
        let planned = plan_groups(&config.route, &alerts);
        let shown: Vec<_> = planned
            .iter()
            .map(|group| (group.route, &*group.receiver, group.key.as_str(), group.alerts.len()))
            .collect();
        let want = [
            (0, "a", "{}:{alertname=\"x\"}", 2),
            (1, "b", "{}/{team=\"db\"}:{alertname=\"x\", team=\"db\"}", 1),
            (2, "a", "{}/{team=~\"d.*\"}:{alertname=\"x\"}", 1),
        ];
        assert_eq!(shown, want);
    }
}
