//! The timeline: what happened to each alert, and what was decided about it.
//!
//! Map: here events and their kinds · `text` each as a sentence · [`decisions`] which decisions are new · [`why`] where an alert
//! stood at a moment.
//!
//! Only changes are events: a group that decides the same at each turn says so once. After a start, what holds is said once more.

use std::sync::Arc;

use model::Labels;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::alert::{Alert, Fingerprint};

pub(crate) mod decisions;
mod text;
pub mod why;

/// A moment, in ms since the epoch; RFC 3339 with milliseconds as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub i64);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(ms) = text.strip_suffix(" ms") {
            return ms.parse().map(Self).map_err(serde::de::Error::custom);
        }
        let at: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(at.as_millisecond()))
    }
}

/// The rule that raised an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFacts {
    /// Its name.
    pub rule: String,
    /// Its group.
    pub group: String,
    /// The group's file.
    pub file: String,
    /// Its query.
    pub query: String,
    /// How long its query must hold before an alert fires.
    pub for_seconds: f64,
    /// How long an alert goes on firing after that.
    pub keep_firing_for_seconds: f64,
    /// The query's value, or its last one; as text, because JSON knows neither NaN nor infinity.
    pub value: String,
    /// Since when the query holds for this alert.
    pub active_at: At,
}

/// A group, and who is told of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Names the group: the way to its route, and what its alerts have in common.
    pub group_key: String,
    /// Who is told.
    pub receiver: String,
}

/// What one integration of a receiver was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The group and its receiver.
    #[serde(flatten)]
    pub place: Place,
    /// The integration's kind.
    pub integration: String,
    /// Its place among those of its kind.
    pub index: usize,
    /// How often it was tried, this time included.
    pub attempt: u32,
    /// How long the last try took.
    pub took_ms: u64,
    /// How many alerts the notification was about.
    pub alerts: usize,
}

/// A silence as far as it concerns an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceFacts {
    /// Its name.
    pub silence: String,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it begins.
    pub starts_at: At,
    /// When it ends.
    pub ends_at: At,
}

/// What happened. `kind` in the API is the name in small letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum What {
    /// The query of its rule began to hold; it fires if that lasts.
    Pending(RuleFacts),
    /// It began to fire.
    Firing(RuleFacts),
    /// It was pending, and its query does not hold any more.
    Inactive(RuleFacts),
    /// It fired, and its query does not hold any more.
    Resolved(RuleFacts),
    /// Somebody outside reported it, and it was not there.
    Received {
        /// Since when it fires.
        starts_at: At,
        /// Until when it is believed to.
        ends_at: At,
    },
    /// Somebody outside reported its end.
    Ended {
        /// When it ended.
        ends_at: At,
    },
    /// Nothing more was heard of it, so it counts as over.
    Lapsed {
        /// When it was heard of last.
        last_heard_at: At,
    },
    /// It came into a group.
    Grouped {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// When the group is told next.
        due_at: At,
    },
    /// Its group's turn came, and there is something to tell.
    Notifying {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// Which integrations are told.
        integrations: Vec<String>,
        /// Why: `first`, `new_firing`, `new_resolved`, `all_resolved`, `repeat`.
        reason: String,
        /// How many alerts the notification is about.
        alerts: usize,
    },
    /// Another alert inhibits it.
    Inhibited {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// The other's name.
        by: String,
        /// Its labels.
        by_labels: std::collections::BTreeMap<String, String>,
    },
    /// Silences hold it back.
    Silenced {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// Their names.
        silences: Vec<String>,
    },
    /// Its route is mute at this time.
    Muted {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// Names of the intervals.
        intervals: Vec<String>,
        /// Whether they are those outside which the route is mute.
        is_outside: bool,
    },
    /// Everybody knows all there is to tell.
    Unchanged {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// When it is told again if nothing changes; unknown: nobody was told that it fires.
        repeats_at: Option<At>,
    },
    /// The receiver has nobody who could be told.
    NobodyToTell {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
    },
    /// It would be told again, but somebody takes care of it.
    HeldByAck {
        /// The group and its receiver.
        #[serde(flatten)]
        place: Place,
        /// Who does.
        owner: String,
        /// Until when.
        expires_at: At,
    },
    /// A try failed. Said again only when it fails in another way.
    AttemptFailed {
        /// Who was told what.
        #[serde(flatten)]
        told: Told,
        /// Why.
        error: String,
        /// Whether it is tried again.
        retry: bool,
    },
    /// A receiver took it.
    Delivered {
        /// Who was told what.
        #[serde(flatten)]
        told: Told,
    },
    /// Nobody was told, and it is not tried again before the group's next turn.
    GivenUp {
        /// Who was told what.
        #[serde(flatten)]
        told: Told,
        /// Why.
        error: String,
    },
    /// Somebody takes care of it.
    Acknowledged {
        /// Who.
        owner: String,
        /// What they say.
        comment: String,
        /// Until when.
        expires_at: At,
    },
    /// The acknowledgement is over.
    AckEnded {
        /// Whose it was.
        owner: String,
        /// Why: `taken_back`, `expired`, `resolved`.
        reason: String,
    },
    /// A silence that holds for it was made or changed.
    SilenceSet(SilenceFacts),
    /// A silence that holds for it began.
    SilenceBegan(SilenceFacts),
    /// A silence that held for it is over.
    SilenceEnded(SilenceFacts),
    /// A silence that holds for it ends soon.
    SilenceEndsSoon(SilenceFacts),
}

/// Something that happened to an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, in ms since the epoch.
    pub at_ms: i64,
    /// The alert's name.
    pub fingerprint: Fingerprint,
    /// What names the alert.
    pub labels: Labels,
    /// What; shared by all alerts to which it happened at once.
    pub what: Arc<What>,
}

impl Event {
    /// Something that happened to an alert with these labels.
    pub fn new(at_ms: i64, labels: Labels, what: Arc<What>) -> Self {
        Self { at_ms, fingerprint: Fingerprint::of(&labels), labels, what }
    }

    pub(crate) fn of(at_ms: i64, alert: &Alert, what: &Arc<What>) -> Self {
        Self::new(at_ms, alert.labels.clone(), Arc::clone(what))
    }
}

/// An event as it is kept: the name of its kind, and the rest as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// When, in ms since the epoch.
    pub at_ms: i64,
    /// The alert's name.
    pub fingerprint: Fingerprint,
    /// What names the alert.
    pub labels: Labels,
    /// What, in a word.
    pub kind: String,
    /// The rest, as a JSON object.
    pub details: String,
}

impl KeptEvent {
    pub(crate) fn of(event: &Event) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::to_value(&*event.what)?;
        let kind = value.as_object_mut().and_then(|object| object.remove("kind"));
        Ok(Self {
            at_ms: event.at_ms,
            fingerprint: event.fingerprint,
            labels: event.labels.clone(),
            kind: kind.and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default(),
            details: value.to_string(),
        })
    }
}

/// An event that was read again.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEvent {
    /// When, in ms since the epoch.
    pub at_ms: i64,
    /// What, in a word.
    pub kind: String,
    /// The rest, as a JSON object.
    pub details: serde_json::Value,
    /// What, if this version knows its kind.
    pub what: Option<What>,
}

impl PastEvent {
    /// Of what a store has kept.
    pub fn read(at_ms: i64, kind: &str, details: &str) -> Self {
        let details: serde_json::Value = serde_json::from_str(details)
            .unwrap_or_else(|_| serde_json::Value::Object(serde_json::Map::new()));
        let mut whole = details.clone();
        if let Some(object) = whole.as_object_mut() {
            object.insert("kind".to_owned(), kind.into());
        }
        // A newer version may have written kinds that this one does not know: shown without a sentence.
        Self { at_ms, kind: kind.to_owned(), details, what: serde_json::from_value(whole).ok() }
    }

    /// As a sentence.
    pub fn text(&self) -> String {
        match &self.what {
            Some(what) => what.text(),
            None => format!("{}: {}", self.kind, self.details),
        }
    }
}

/// An alert of which something is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAlert {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// What names it.
    pub labels: Labels,
}

/// A moment in ms since the epoch, as people read it.
pub(crate) fn moment(at_ms: i64) -> String {
    text::moment(At(at_ms))
}

#[cfg(test)]
mod tests;
