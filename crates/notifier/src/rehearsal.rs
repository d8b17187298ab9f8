//! What would have been told: the same decisions as those of [`crate::service`], over alerts of the past and in their time, and nobody is
//! told. Every notification succeeds at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Labels;

use crate::alert::Alert;
use crate::config::Config;
use crate::core::{Core, Source};
use crate::dispatch::Now;
use crate::log::{NotificationLog, Reason};
use crate::receiver::{Integration, Notification, Sending};
use crate::service::history::Queue;
use crate::service::{EMPTY_GROUPS_INTERVAL, GARBAGE_INTERVAL};
use crate::silence::{Silence, Silences};

/// A notifier in the time of its alerts, which are handed in, in order.
#[derive(Debug)]
pub struct Rehearsal {
    core: Core,
    /// When groups without alerts were forgotten last, and what is over.
    tidied_ms: Option<i64>,
    collected_ms: i64,
    told: Vec<Told>,
    refused_count: usize,
}

/// A notification that a receiver would have got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub receiver: Arc<str>,
    /// What its alerts have in common.
    pub group: Labels,
    /// Whether it tells of something that fires: a page.
    pub is_page: bool,
    /// Whether it says again what was said.
    pub is_repeat: bool,
    /// Names of alerts that fire.
    pub alert_names: BTreeSet<String>,
}

impl Rehearsal {
    /// A notifier of a configuration, with these silences. If nobody could be told, as without a configuration, every receiver counts as one who is.
    pub fn new(config: &Config, silences: Vec<Silence>) -> Self {
        let (silences, faults) = Silences::load(silences);
        for (id, error) in faults {
            tracing::warn!(id, %error, "a silence cannot be used in a rehearsal");
        }
        let mut config = config.clone();
        if config.receivers.iter().all(|receiver| receiver.integrations.is_empty()) {
            config.receivers.iter_mut().for_each(|receiver| receiver.integrations.push(Arc::new(Anybody)));
        }
        Self {
            core: Core::new(&config, silences, NotificationLog::default(), Arc::new(Queue::of_nobody())),
            tidied_ms: None,
            collected_ms: i64::MIN,
            told: Vec::new(),
            refused_count: 0,
        }
    }

    /// Alerts are reported at a time that is not before those of the last call.
    pub fn put(&mut self, alerts: Vec<Alert>, at_ms: i64) {
        self.tidied_ms.get_or_insert(at_ms);
        self.advance(at_ms.saturating_sub(1));
        self.refused_count += self.core.put(alerts, Source::Rules, at(at_ms));
    }

    /// Time passes, with nothing reported.
    pub fn advance(&mut self, until_ms: i64) {
        let Some(mut tidied_ms) = self.tidied_ms else { return };
        let period_ms = ms(EMPTY_GROUPS_INTERVAL);
        loop {
            let due_ms = self.core.next_due_ms().filter(|due_ms| *due_ms <= until_ms);
            let tidy_ms = tidied_ms + period_ms;
            match due_ms {
                Some(due_ms) if due_ms <= tidy_ms => self.flush(due_ms),
                _ if tidy_ms > until_ms => break,
                _ => {
                    tidied_ms = tidy_ms;
                    self.core.remove_empty_groups();
                    if tidy_ms.saturating_sub(self.collected_ms) >= ms(GARBAGE_INTERVAL) {
                        self.collected_ms = tidy_ms;
                        self.core.collect_garbage(tidy_ms);
                    }
                    // Nothing is due before something is reported.
                    if self.core.next_due_ms().is_none() {
                        tidied_ms = until_ms.max(tidied_ms);
                        break;
                    }
                }
            }
        }
        self.tidied_ms = Some(tidied_ms);
    }

    /// What would have been told, in order of time.
    pub fn into_told(self) -> Vec<Told> {
        self.told
    }

    /// How many reports found no room.
    pub fn refused_count(&self) -> usize {
        self.refused_count
    }

    fn flush(&mut self, at_ms: i64) {
        let generation = self.core.generation();
        for flush in self.core.take_due(at(at_ms)) {
            let mut said: Option<Told> = None;
            for telling in self.core.tellings(&flush) {
                self.core.told(&telling, &flush, at_ms);
                // Those who are not told of ends only write down that it is over.
                if telling.alerts.is_empty() {
                    continue;
                }
                let firing = telling.alerts.iter().filter(|alert| !alert.is_resolved_at(at_ms));
                let is_page = matches!(telling.reason, Reason::First | Reason::NewFiring | Reason::Repeat);
                let said = said.get_or_insert_with(|| Told {
                    at_ms,
                    receiver: Arc::clone(&flush.options.receiver),
                    group: flush.labels.clone(),
                    is_page: false,
                    is_repeat: true,
                    alert_names: BTreeSet::new(),
                });
                said.is_page |= is_page;
                said.is_repeat &= telling.reason == Reason::Repeat;
                for alert in firing {
                    if !said.alert_names.contains(alert.name()) {
                        said.alert_names.insert(alert.name().to_owned());
                    }
                }
            }
            self.told.extend(said);
            self.core.done(generation, &flush, true);
        }
    }
}

fn at(at_ms: i64) -> Now {
    Now { wall_ms: at_ms, monotonic_ms: at_ms }
}

fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Stands for whoever might be told.
#[derive(Debug)]
struct Anybody;

impl Integration for Anybody {
    fn kind(&self) -> &'static str {
        "anybody"
    }

    fn index(&self) -> usize {
        0
    }

    fn send_resolved(&self) -> bool {
        true
    }

    fn send<'a>(&'a self, _: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn alert(name: &str, severity: &str, starts: i64, ends: Option<i64>, now: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", name), ("severity", severity)]),
            annotations: crate::alert::Annotations::new(),
            starts_at_ms: starts * MINUTE,
            ends_at_ms: ends.map_or(i64::MAX / 2, |ends| ends * MINUTE),
            generator_url: String::new(),
            updated_at_ms: now * MINUTE,
            is_timeout: false,
        }
    }

    /// `minute receiver page|repeat|resolved names`
    fn shown(rehearsal: Rehearsal) -> Vec<String> {
        let told = rehearsal.into_told();
        told.iter()
            .map(|told| {
                let what = match (told.is_page, told.is_repeat) {
                    (true, true) => "repeat",
                    (true, false) => "page",
                    (false, _) => "resolved",
                };
                let names = Vec::from_iter(told.alert_names.iter().map(String::as_str)).join(",");
                format!("{} {} {what} {names}", told.at_ms as f64 / MINUTE as f64, told.receiver)
            })
            .collect()
    }

    const CONFIG: &str = "\
route: {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 1h, routes: [{receiver: 'null', matchers: [severity=info]}]}
receivers: [{name: team, webhook_configs: [{url: 'http://x.example/'}]}, {name: 'null'}]
inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [severity=warning]}]
";

    fn rehearsal(silences: Vec<Silence>) -> Rehearsal {
        Rehearsal::new(&Config::parse(CONFIG.as_bytes(), Path::new("")).expect("fine"), silences)
    }

    #[test]
    fn groups_are_told_repeated_and_resolved_in_their_time() {
        let mut rehearsal = rehearsal(Vec::new());
        rehearsal.put(vec![alert("a", "page", 10, None, 10)], 10 * MINUTE);
        rehearsal.put(vec![alert("i", "info", 10, None, 10)], 10 * MINUTE);
        rehearsal.put(vec![alert("a", "page", 10, Some(80), 80)], 80 * MINUTE);
        rehearsal.put(vec![alert("a", "page", 200, None, 200)], 200 * MINUTE);
        rehearsal.advance(210 * MINUTE);
        assert_eq!(
            shown(rehearsal),
            ["10.5 team page a", "75.5 team repeat a", "80.5 team resolved ", "200.5 team page a"]
        );
    }

    #[test]
    fn what_is_inhibited_or_silenced_is_not_told() {
        let mut rehearsal_ = rehearsal(Vec::new());
        rehearsal_.put(vec![alert("c", "critical", 1, None, 1), alert("w", "warning", 1, None, 1)], MINUTE);
        rehearsal_.advance(10 * MINUTE);
        assert_eq!(shown(rehearsal_), ["1.5 team page c"]);
        let silence = Silence {
            id: "s".to_owned(),
            matchers: crate::silence::parse_matchers(&["alertname=c".to_owned()]).expect("matchers"),
            starts_at_ms: 0,
            ends_at_ms: 8 * MINUTE,
            updated_at_ms: 0,
            created_by: String::new(),
            comment: String::new(),
            recurrence: None,
        };
        let mut silenced = rehearsal(vec![silence]);
        silenced.put(vec![alert("c", "critical", 1, None, 1)], MINUTE);
        silenced.advance(20 * MINUTE);
        assert_eq!(shown(silenced), ["11.5 team page c"]);
    }

    #[test]
    fn without_anybody_to_tell_every_receiver_counts() {
        let mut rehearsal = Rehearsal::new(&Config::without_file(), Vec::new());
        rehearsal.put(vec![alert("a", "page", 1, None, 1)], MINUTE);
        rehearsal.advance(2 * MINUTE);
        assert_eq!(shown(rehearsal), ["1.5 nobody page a"]);
    }
}
