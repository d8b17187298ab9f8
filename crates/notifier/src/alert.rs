//! Alerts: what they are named by, when they began and end, and how two reports of one become one.

use std::collections::BTreeMap;

use model::Labels;

/// Names and values that describe an alert without naming it.
pub type Annotations = BTreeMap<String, String>;

/// The name of an alert: a hash of its labels, as Alertmanager shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Fingerprint {
    /// FNV-1a over names and values, each followed by a byte that no text holds; as prometheus/common does.
    pub fn of(labels: &Labels) -> Self {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for (name, value) in labels {
            name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]).for_each(&mut add);
        }
        Self(hash)
    }
}

/// An alert. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What names it.
    pub labels: Labels,
    /// What else is said about it.
    pub annotations: Annotations,
    /// Since when it fires.
    pub starts_at_ms: i64,
    /// When it ended, or will be taken to have ended if nothing more is heard.
    pub ends_at_ms: i64,
    /// Where its query can be looked at.
    pub generator_url: String,
    /// When it was heard of last.
    pub updated_at_ms: i64,
    /// Whether its end is only that nothing more was heard.
    pub is_timeout: bool,
}

impl Alert {
    /// Its name.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels)
    }

    /// How much its texts take.
    pub(crate) fn text_bytes(&self) -> usize {
        let annotations = self.annotations.iter().map(|(name, value)| name.len() + value.len());
        self.labels.packed().len() + annotations.sum::<usize>() + self.generator_url.len()
    }

    /// Whether it is over.
    pub fn is_resolved_at(&self, now_ms: i64) -> bool {
        self.ends_at_ms <= now_ms
    }

    /// The label `alertname`.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").unwrap_or("")
    }

    /// One alert of two reports whose times overlap; `None` if they do not, and the newer simply follows.
    pub(crate) fn merged(&self, newer: &Self, now_ms: i64) -> Option<Self> {
        let within = |at_ms: i64| self.starts_at_ms < at_ms && at_ms < self.ends_at_ms;
        if !within(newer.ends_at_ms) && !within(newer.starts_at_ms) {
            return None;
        }
        let (old, new) = if newer.updated_at_ms < self.updated_at_ms { (newer, self) } else { (self, newer) };
        let mut merged = new.clone();
        merged.starts_at_ms = old.starts_at_ms.min(new.starts_at_ms);
        let is_later = old.ends_at_ms > new.ends_at_ms;
        // Of two ends the later counts; an end that somebody named counts more than one by silence.
        let takes_old = if new.is_resolved_at(now_ms) {
            old.is_resolved_at(now_ms) && is_later
        } else {
            is_later && !old.is_timeout
        };
        if takes_old {
            merged.ends_at_ms = old.ends_at_ms;
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(starts_at_ms: i64, ends_at_ms: i64, updated_at_ms: i64, is_timeout: bool) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", "a")]),
            annotations: Annotations::new(),
            starts_at_ms,
            ends_at_ms,
            generator_url: String::new(),
            updated_at_ms,
            is_timeout,
        }
    }

    #[track_caller]
    fn check(old: &Alert, new: &Alert, want: Option<(i64, i64)>) {
        let merged = old.merged(new, 100).map(|alert| (alert.starts_at_ms, alert.ends_at_ms));
        assert_eq!(merged, want);
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        let of =
            |pairs: &[(&str, &str)]| Fingerprint::of(&Labels::from_pairs(pairs.iter().copied())).to_string();
        assert_eq!(of(&[]), "cbf29ce484222325");
        assert_ne!(of(&[("a", "b")]), of(&[("ab", "")]));
    }

    #[test]
    fn reports_that_do_not_overlap_follow_each_other() {
        check(&alert(0, 10, 1, true), &alert(20, 30, 2, true), None);
    }

    #[test]
    fn the_earliest_start_is_kept() {
        check(&alert(0, 200, 1, true), &alert(50, 300, 2, true), Some((0, 300)));
    }

    #[test]
    fn a_named_end_outlives_one_by_silence() {
        check(&alert(0, 400, 1, false), &alert(50, 300, 2, true), Some((0, 400)));
        check(&alert(0, 400, 1, true), &alert(50, 300, 2, true), Some((0, 300)));
    }

    #[test]
    fn an_end_in_the_past_ends_it() {
        check(&alert(0, 400, 1, false), &alert(50, 90, 2, false), Some((0, 90)));
        check(&alert(0, 95, 1, false), &alert(50, 90, 2, false), Some((0, 95)));
    }

    #[test]
    fn the_younger_report_counts_whichever_comes_first() {
        check(&alert(50, 300, 2, true), &alert(0, 200, 1, true), Some((0, 300)));
    }
}
