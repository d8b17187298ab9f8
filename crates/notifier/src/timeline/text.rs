//! Events as sentences, for people.

use model::time::format_duration_ms;

use super::{At, Place, RuleFacts, SilenceFacts, Told, What};

fn seconds(seconds: f64) -> String {
    format_duration_ms((seconds * 1_000.0) as i64)
}

/// A moment as people read it: whole seconds.
pub(super) fn moment(at: At) -> String {
    let whole = jiff::Timestamp::from_second(at.0.div_euclid(1_000));
    whole.map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

fn group(place: &Place) -> String {
    format!("group {} of receiver {:?}", place.group_key, place.receiver)
}

fn integration(told: &Told) -> String {
    format!("{} ({}[{}])", told.place.receiver, told.integration, told.index)
}

fn silence(facts: &SilenceFacts) -> String {
    let comment = if facts.comment.is_empty() { String::new() } else { format!(" ({})", facts.comment) };
    format!("silence {} of {}{comment}", facts.silence, or_somebody(&facts.created_by))
}

fn or_somebody(name: &str) -> &str {
    if name.is_empty() { "somebody" } else { name }
}

fn of_rule(facts: &RuleFacts) -> String {
    format!("{} ({})", facts.rule, facts.query)
}

pub(super) fn labels(labels: &std::collections::BTreeMap<String, String>) -> String {
    model::Labels::from_pairs(labels).to_string()
}

impl What {
    /// As a sentence.
    pub fn text(&self) -> String {
        match self {
            Self::Pending(facts) => format!(
                "The query of rule {} holds, with value {}. It fires if that lasts {}.",
                of_rule(facts),
                facts.value,
                seconds(facts.for_seconds)
            ),
            Self::Firing(facts) => format!(
                "It fires: the query of rule {} holds since {}, with value {}.",
                of_rule(facts),
                moment(facts.active_at),
                facts.value
            ),
            Self::Inactive(facts) => format!(
                "The query of rule {} does not hold any more, before {} were over. The last value was {}.",
                of_rule(facts),
                seconds(facts.for_seconds),
                facts.value
            ),
            Self::Resolved(facts) => format!(
                "It is over: the query of rule {} does not hold any more. The last value was {}.",
                of_rule(facts),
                facts.value
            ),
            Self::Received { starts_at, .. } => {
                format!("It was reported from outside; it fires since {}.", moment(*starts_at))
            }
            Self::Ended { ends_at } => {
                format!("It was reported from outside that it is over, since {}.", moment(*ends_at))
            }
            Self::Lapsed { last_heard_at } => {
                format!("It counts as over: nothing was heard of it since {}.", moment(*last_heard_at))
            }
            Self::Acknowledged { owner, comment, expires_at } => {
                let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
                format!(
                    "{} acknowledged it{comment}: it is not repeated until {}.",
                    or_somebody(owner),
                    moment(*expires_at)
                )
            }
            Self::AckEnded { owner, reason } => {
                let why = match reason.as_str() {
                    "taken_back" => "it was taken back",
                    "resolved" => "the alert is over",
                    _ => "its time is over",
                };
                format!("The acknowledgement of {} ended: {why}.", or_somebody(owner))
            }
            Self::SilenceSet(facts) => {
                format!("The {} holds for it, until {}.", silence(facts), moment(facts.ends_at))
            }
            Self::SilenceBegan(facts) => {
                format!("The {} began, until {}.", silence(facts), moment(facts.ends_at))
            }
            Self::SilenceEnded(facts) => format!("The {} is over.", silence(facts)),
            Self::SilenceEndsSoon(facts) => {
                format!("The {} ends soon, at {}; then it is told.", silence(facts), moment(facts.ends_at))
            }
            decision => decision.decision_text(),
        }
    }

    /// What was decided about it in one of its groups.
    fn decision_text(&self) -> String {
        match self {
            Self::Grouped { place, due_at } => {
                format!("It came into {}, which is told at {}.", group(place), moment(*due_at))
            }
            Self::Notifying { place, integrations, reason, alerts } => {
                let why = match reason.as_str() {
                    "first" => "for the first time",
                    "new_firing" => "because alerts were added",
                    "new_resolved" => "because alerts are over",
                    "all_resolved" => "because all is over",
                    _ => "again, because repeat_interval is over",
                };
                let count = if *alerts == 1 { "1 alert".to_owned() } else { format!("{alerts} alerts") };
                format!("The {} is told {why}, of {count}, by {}.", group(place), list(integrations))
            }
            Self::Inhibited { place, by, by_labels } => {
                format!(
                    "It is not told to {:?}: alert {} ({by}) inhibits it.",
                    place.receiver,
                    labels(by_labels)
                )
            }
            Self::Silenced { place, silences } => {
                format!("It is not told to {:?}: silenced by {}.", place.receiver, list(silences))
            }
            Self::Muted { place, intervals, is_outside: false } => {
                format!("It is not told to {:?}: muted by the interval {}.", place.receiver, list(intervals))
            }
            Self::Muted { place, intervals, is_outside: true } => format!(
                "It is not told to {:?}: the route is active only in the interval {}.",
                place.receiver,
                list(intervals)
            ),
            Self::Unchanged { place, repeats_at: Some(at) } => format!(
                "It is not told again to {:?}: nothing is new. It is repeated after {}.",
                place.receiver,
                moment(*at)
            ),
            Self::Unchanged { place, repeats_at: None } => {
                format!("It is not told to {:?}: there is nothing to tell.", place.receiver)
            }
            Self::NobodyToTell { place } => {
                format!("It is told to nobody: receiver {:?} has no integrations.", place.receiver)
            }
            Self::HeldByAck { place, owner, expires_at } => format!(
                "It is not repeated to {:?}: acknowledged by {} until {}.",
                place.receiver,
                or_somebody(owner),
                moment(*expires_at)
            ),
            Self::AttemptFailed { told, error, retry } => {
                let next = if *retry { "it is tried again" } else { "it is not tried again" };
                format!("Attempt {} to tell {} failed: {error}; {next}.", told.attempt, integration(told))
            }
            Self::Delivered { told } if told.attempt == 1 => {
                format!("It was delivered to {}, which took {} ms.", integration(told), told.took_ms)
            }
            Self::Delivered { told } => {
                format!("It was delivered to {}, with attempt {}.", integration(told), told.attempt)
            }
            Self::GivenUp { told, error } => {
                format!(
                    "It was given up to tell {}, after attempt {}: {error}.",
                    integration(told),
                    told.attempt
                )
            }
            other => unreachable!("BUG: {other:?} is no decision"),
        }
    }
}
