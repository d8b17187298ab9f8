//! "Why was I not paged?": where an alert stood at a moment, as its events tell.
//!
//! Pure: events in, a standing out. Events of the time before the alert fired last do not count.

use std::collections::BTreeMap;

use super::text::moment;
use super::{At, PastEvent, Place, Told, What};

/// How far an alert got on its way to somebody. Later steps are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// No rule raises such alerts.
    NoRule,
    /// A rule could, but its query did not hold.
    NeverFired,
    /// A rule could, but its evaluation fails.
    RuleFailed,
    /// It was pending: `for` was not over.
    Pending,
    /// It was over.
    Resolved,
    /// It fired, and was in no group.
    Firing,
    /// Its group waited.
    GroupWaiting,
    /// Another alert inhibited it.
    Inhibited,
    /// A silence held it back.
    Silenced,
    /// Its route was mute.
    Muted,
    /// Its receiver has nobody to tell.
    NobodyToTell,
    /// Somebody took care of it.
    Acknowledged,
    /// There was nothing to tell.
    Unchanged,
    /// It was being told.
    Notifying,
    /// Telling failed.
    Failed,
    /// Somebody was told.
    Delivered,
}

impl Step {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::NeverFired => "rule_never_fired",
            Self::RuleFailed => "rule_failed",
            Self::Pending => "pending",
            Self::Resolved => "resolved",
            Self::Firing => "firing",
            Self::GroupWaiting => "group_waiting",
            Self::Inhibited => "inhibited",
            Self::Silenced => "silenced",
            Self::Muted => "muted",
            Self::NobodyToTell => "nobody_to_tell",
            Self::Acknowledged => "acknowledged",
            Self::Unchanged => "unchanged",
            Self::Notifying => "notifying",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }
}

/// Where an alert stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How far it got.
    pub step: Step,
    /// A sentence that says it.
    pub text: String,
    /// Since when; of a delivery: when. In ms since the epoch.
    pub at_ms: i64,
    /// The receiver at which it got there; none before there is one.
    pub receiver: Option<String>,
}

/// Where the alert of these events (the oldest first, none after the moment that is asked for) stood after the last of them: the
/// receiver that got furthest; nothing if the events do not say.
pub fn standing(events: &[PastEvent]) -> Option<Standing> {
    standings(events).into_iter().max_by_key(|standing| standing.step)
}

/// The same for each group and receiver.
pub fn standings(events: &[PastEvent]) -> Vec<Standing> {
    let mut all = Life::default();
    for event in events {
        if let Some(what) = &event.what {
            all.take(event, what);
        }
    }
    all.standings()
}

/// An alert since it fired last.
#[derive(Default)]
struct Life {
    state: Option<Standing>,
    places: BTreeMap<Place, Standing>,
}

impl Life {
    fn take(&mut self, event: &PastEvent, what: &What) {
        let state = match what {
            What::Pending(_) => Some(Step::Pending),
            What::Firing(_) | What::Received { .. } => Some(Step::Firing),
            What::Inactive(_) => Some(Step::NeverFired),
            What::Resolved(_) | What::Ended { .. } | What::Lapsed { .. } => Some(Step::Resolved),
            _ => None,
        };
        if let Some(step) = state {
            let goes_on = step == Step::Resolved
                || step == Step::Firing && self.state.as_ref().is_some_and(|was| was.step == Step::Firing);
            if !goes_on {
                self.places.clear();
            }
            let receiver = None;
            self.state = Some(Standing { step, text: event.text(), at_ms: event.at_ms, receiver });
            return;
        }
        let Some((place, step)) = decision(what) else { return };
        let was = self.places.get(place).map(|standing| standing.step);
        // Who was told stays told, whatever is decided about telling him again.
        if was == Some(Step::Delivered) && step != Step::Delivered {
            return;
        }
        let text = match what {
            What::Delivered { told } => delivered(event.at_ms, told),
            _ => event.text(),
        };
        let receiver = Some(place.receiver.clone());
        self.places.insert(place.clone(), Standing { step, text, at_ms: event.at_ms, receiver });
    }

    fn standings(self) -> Vec<Standing> {
        let is_over = self.state.as_ref().is_some_and(|state| state.step == Step::Resolved);
        let mut places: Vec<Standing> = self.places.into_values().collect();
        match self.state {
            // Whether somebody was told is the better answer, even if it is over since.
            Some(state) if is_over => {
                places.retain(|standing| standing.step >= Step::Failed);
                if places.is_empty() { vec![state] } else { places }
            }
            Some(state) if places.is_empty() => vec![state],
            _ => places,
        }
    }
}

fn delivered(at_ms: i64, told: &Told) -> String {
    format!("It was delivered to {} by {} at {}.", told.place.receiver, told.integration, moment(At(at_ms)))
}

fn decision(what: &What) -> Option<(&Place, Step)> {
    Some(match what {
        What::Grouped { place, .. } => (place, Step::GroupWaiting),
        What::Notifying { place, .. } => (place, Step::Notifying),
        What::Inhibited { place, .. } => (place, Step::Inhibited),
        What::Silenced { place, .. } => (place, Step::Silenced),
        What::Muted { place, .. } => (place, Step::Muted),
        What::Unchanged { place, .. } => (place, Step::Unchanged),
        What::NobodyToTell { place } => (place, Step::NobodyToTell),
        What::HeldByAck { place, .. } => (place, Step::Acknowledged),
        What::AttemptFailed { told, .. } | What::GivenUp { told, .. } => (&told.place, Step::Failed),
        What::Delivered { told } => (&told.place, Step::Delivered),
        _ => return None,
    })
}
